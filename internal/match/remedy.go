package match

import (
	"cmp"
	"slices"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/version"
)

// Upgrade is a change of the version of one package, or of all packages that
// are built of one source, and what it clears.
type Upgrade struct {
	Type         string
	Distribution string
	// Name is the source package's where that is what publishers fix.
	Name string
	// Packages are the installed packages that it changes, From their versions
	// as they are compared, the lowest first; To is the version that they need.
	Packages []string
	From     []string
	To       string
	// Layers are the indexes of the layers that hold them.
	Layers []int
	// Cleared are the findings that it clears, Left those of the same packages
	// that stay. Gained are vulnerabilities that only the new version has.
	Cleared []Finding
	Left    []Finding
	Gained  []string
}

// Remedy lists upgrades, the one that clears the most severe findings first: the
// first N of them are the N upgrades that clear the most.
//
// The version of an upgrade is the lowest among the fixed versions that leaves
// the fewest findings, by all statements on the package: one that fixes one
// vulnerability may be affected by another. The statements are those under the
// Keys of the packages, of these products.
func Remedy(findings []Finding, statements map[advisory.Key][]Statement, products Products) []Upgrade {
	type subject struct{ kind, distribution, name, module string }
	groups := make(map[subject][]Finding)
	for _, f := range findings {
		s := subject{f.Package.Type, f.Package.Distribution, f.Evidence.Subject, f.Package.Module}
		groups[s] = append(groups[s], f)
	}
	var upgrades []Upgrade
	for s, found := range groups {
		if u, ok := upgrade(found, statements, products); ok {
			u.Type, u.Distribution, u.Name = s.kind, s.distribution, s.name
			upgrades = append(upgrades, u)
		}
	}
	slices.SortFunc(upgrades, func(a, b Upgrade) int {
		return cmp.Or(Count(b.Cleared).Compare(Count(a.Cleared)), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.To, b.To))
	})
	return upgrades
}

// Tally counts by severity, the index.
type Tally [advisory.Critical + 1]int

// Count tallies findings.
func Count(findings []Finding) (t Tally) {
	for _, f := range findings {
		t[f.Severity]++
	}
	return t
}

// Compare compares the numbers of critical findings, then of high ones, and so on.
func (t Tally) Compare(other Tally) int {
	for severity := advisory.Critical; severity >= advisory.Unknown; severity-- {
		if c := cmp.Compare(t[severity], other[severity]); c != 0 {
			return c
		}
	}
	return 0
}

// upgrade finds the version that is best for packages that are upgraded together.
func upgrade(found []Finding, statements map[advisory.Key][]Statement, products Products) (u Upgrade, ok bool) {
	scheme, known := Scheme(found[0].Package.Type)
	if !known {
		return u, false
	}
	var candidates []string
	packages := make(map[inventory.Package]map[string]bool) // to the vulnerabilities that it has
	for _, f := range found {
		if f.Fixed != "" {
			candidates = append(candidates, f.Fixed)
		}
		if packages[f.Package] == nil {
			packages[f.Package] = make(map[string]bool)
		}
		packages[f.Package][f.Vulnerability] = true
	}
	sortVersions(scheme, candidates)
	var least Tally
	var after map[inventory.Package]map[string]bool
	for _, to := range slices.Compact(candidates) {
		affected, tally := at(packages, to, statements, products)
		if after == nil || tally.Compare(least) < 0 {
			u.To, least, after = to, tally, affected
		}
	}
	if after == nil {
		return u, false
	}
	for _, f := range found {
		if after[f.Package][f.Vulnerability] {
			u.Left = append(u.Left, f)
		} else {
			u.Cleared = append(u.Cleared, f)
		}
		u.Packages = append(u.Packages, f.Package.Name)
		u.From = append(u.From, Subject(f.Package, f.Package.Name != f.Evidence.Subject))
		u.Layers = append(u.Layers, f.LayerIndex)
	}
	for p, affected := range after {
		for name := range affected {
			if !packages[p][name] {
				u.Gained = append(u.Gained, name)
			}
		}
	}
	for _, list := range []*[]string{&u.Packages, &u.Gained} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	slices.Sort(u.Layers)
	sortVersions(scheme, u.From)
	u.From, u.Layers = slices.Compact(u.From), slices.Compact(u.Layers)
	return u, len(u.Cleared) > 0
}

// at returns what the packages would have at a version, and its tally.
func at(packages map[inventory.Package]map[string]bool, to string, statements map[advisory.Key][]Statement, products Products) (affected map[inventory.Package]map[string]bool, t Tally) {
	affected = make(map[inventory.Package]map[string]bool, len(packages))
	for p := range packages {
		var concerning []Statement
		for _, h := range Keys(p, products) {
			from := len(concerning)
			concerning = append(concerning, statements[h.Key]...)
			for i := range concerning[from:] {
				concerning[from+i].Fallback = h.Fallback
			}
		}
		changed := p
		changed.Version, changed.SourceVersion = to, to
		affected[p] = make(map[string]bool)
		for _, m := range Package(changed, concerning) {
			affected[p][m.Vulnerability] = true
			t[m.Severity]++
		}
	}
	return affected, t
}

// sortVersions sorts by the scheme's order, and by bytes where that has none.
func sortVersions(scheme version.Scheme, list []string) {
	slices.SortFunc(list, func(a, b string) int {
		c, err := version.Compare(scheme, a, b)
		if err != nil || c == 0 {
			return cmp.Or(c, cmp.Compare(a, b))
		}
		return c
	})
}
