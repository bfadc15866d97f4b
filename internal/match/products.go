package match

import (
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
)

// Ecosystems are those under which advisories speak of what comes from a repository.
type Ecosystems struct {
	// Own are those whose statements hold.
	Own []string `json:"own"`
	// Fallback are those whose statements on a package and a vulnerability hold
	// where Own has none on both.
	Fallback []string `json:"fallback,omitempty"`
}

// Products says by the ids of repositories which products their packages belong
// to. What is not there is not known, but for what RepositoryOf tells.
type Products map[string]Ecosystems

// Of returns the ecosystems of what comes from any of the repositories, whose ids
// are joined by spaces; none where no repository is known.
func (m Products) Of(repositories string) (e Ecosystems) {
	if len(m) == 0 {
		return e
	}
	for id := range strings.FieldsSeq(repositories) {
		of, known := m[id]
		if !known {
			of = m[RepositoryOf(id)]
		}
		e.Own = append(e.Own, of.Own...)
		e.Fallback = append(e.Fallback, of.Fallback...)
	}
	slices.Sort(e.Own)
	e.Own = slices.Compact(e.Own)
	slices.Sort(e.Fallback)
	e.Fallback = slices.DeleteFunc(slices.Compact(e.Fallback), func(name string) bool { return slices.Contains(e.Own, name) })
	return e
}

// RepositoryOf is the id of the repository that one of a minor release belongs to,
// "rhel-8-for-x86_64-baseos-eus-rpms" of that with "__8_DOT_4" at its end; any other
// id is its own.
func RepositoryOf(id string) string {
	repository, _, _ := strings.Cut(id, "__")
	return repository
}

// Heading is what statements on a package are kept under.
type Heading struct {
	advisory.Key
	// Fallback is that of what is stated there, see Statement.
	Fallback bool
}

// Keys lists the headings under which advisories speak of a package: for a package
// of a distribution its source's name and its own, in the products of the
// repositories that it may have come from, and in the distribution where these are
// not known; for one of a language its own. A package of an unknown distribution
// has none.
func Keys(p inventory.Package, products Products) []Heading {
	switch p.Type {
	case "deb", "apk", "rpm":
		if p.Distribution == "" {
			return nil
		}
		e := products.Of(p.Repositories)
		if len(e.Own) == 0 {
			e = Ecosystems{Own: []string{p.Distribution}}
		}
		headings := make([]Heading, 0, 2*(len(e.Own)+len(e.Fallback)))
		add := func(ecosystems []string, fallback bool) {
			for _, ecosystem := range ecosystems {
				headings = append(headings, Heading{advisory.Key{Ecosystem: ecosystem, Package: p.Name}, fallback})
				if p.SourceName != "" {
					headings = append(headings, Heading{advisory.Key{Ecosystem: ecosystem, Package: p.SourceName, Source: true}, fallback})
				}
			}
		}
		add(e.Own, false)
		add(e.Fallback, true)
		return headings
	}
	if _, ok := Scheme(p.Type); !ok {
		return nil
	}
	return []Heading{{Key: advisory.Key{Ecosystem: p.Type, Package: advisory.PackageName(p.Type, p.Name)}}}
}

// overruled returns the vulnerabilities of which something is stated on the
// package that is no fallback.
func overruled(p inventory.Package, statements []Statement) map[string]bool {
	if !slices.ContainsFunc(statements, func(s Statement) bool { return s.Fallback }) {
		return nil
	}
	own := make(map[string]bool)
	for i := range statements {
		if s := &statements[i]; !s.Fallback && s.Status != advisory.Withdrawn && concerns(p, s.Advisory) {
			own[s.Vulnerability] = true
		}
	}
	return own
}

// PackagesOf are the packages as such.
func PackagesOf(installed []inventory.Installed) []inventory.Package {
	packages := make([]inventory.Package, len(installed))
	for i, p := range installed {
		packages[i] = p.Package
	}
	return packages
}
