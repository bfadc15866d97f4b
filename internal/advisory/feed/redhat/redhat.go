// Package redhat reads what Red Hat publishes of each vulnerability, a document
// of the profile VEX of CSAF: https://security.access.redhat.com/data/csaf/v2/vex/
// has an archive of all of them, a list of those that changed since and one of
// those that are gone. What its documents mean is told at
// https://redhatproductsecurity.github.io/security-data-guidelines/csaf-vex/.
//
// # Which packages
//
// Statements are on RPM packages. Container images, and libraries that are
// shipped in archives of other kinds, are left out.
//
// What is fixed is stated of binary packages, which the document lists with
// their versions; of a source package only where none of the packages built
// from it is listed. What is not fixed is stated of each component as it is
// listed: where the package URL says arch=src, and where there is none, it is a
// source package, and holds for all that is built from it; where the URL names
// no architecture it is a binary package. That one version is not affected, of a
// package that an update brought beside the one that it fixes, is no statement
// on the others, and left out, as are packages with symbols for debuggers.
//
// # In which products
//
// See cpe.ecosystem, and Repositories for how a package's products are known.
//
// It must not know how documents are stored.
package redhat

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/cvss"
	"github.com/pratique/pratique/internal/advisory/feed"
)

// Feed is all of Red Hat's documents.
type Feed struct{}

// New returns the feed.
func New() Feed { return Feed{} }

// Name is "redhat".
func (Feed) Name() string { return "redhat" }

// Revision is that of this parser.
func (Feed) Revision() int { return 1 }

// base is where the documents are.
const base = "https://security.access.redhat.com/data/csaf/v2/vex/"

// Parts is all documents together.
func (Feed) Parts() []feed.Part { return []feed.Part{{Name: "vex", URL: base}} }

// More has none.
func (Feed) More(map[string]bool) []feed.Part { return nil }

// Parse reads one document. A vulnerability is a group.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	if err := ctx.Err(); err != nil {
		return feed.Parsed{}, err
	}
	groups, parsed, err := parse(r)
	if err != nil {
		return feed.Parsed{}, fmt.Errorf("%s %s: %w", f.Name(), part.Name, err)
	}
	for _, g := range groups {
		g.Part = part.Name
		if err := emit(g); err != nil {
			return feed.Parsed{}, err
		}
	}
	return parsed, nil
}

var cveID = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,19}$`)

// parse reads a document.
func parse(r io.Reader) ([]advisory.Group, feed.Parsed, error) {
	var parsed feed.Parsed
	doc, err := readDocument(r, &parsed.Skipped)
	if err != nil {
		return nil, feed.Parsed{}, err
	}
	mainstream := make(map[string]bool)
	var groups []advisory.Group
	for _, v := range doc.vulnerabilities {
		if !cveID.MatchString(v.cve) {
			parsed.Skipped.Add(doc.tracking.ID, fmt.Sprintf("%q is no CVE id", v.cve))
			continue
		}
		if slices.ContainsFunc(groups, func(g advisory.Group) bool { return g.Name == v.cve }) {
			parsed.Skipped.Add(v.cve, "it is there twice; the first counts")
			continue
		}
		s := newStatements(doc, v, &parsed.Skipped)
		groups = append(groups, advisory.Group{
			Name: v.cve, Advisories: s.advisories(), Details: map[string]advisory.Detail{v.cve: s.detail()},
		})
		maps.Copy(mainstream, s.mainstream)
	}
	if len(groups) == 0 {
		return nil, feed.Parsed{}, errors.New("the document names no vulnerability")
	}
	parsed.Ecosystems = slices.Sorted(maps.Keys(mainstream))
	return groups, parsed, nil
}

// detail is what the document says of the vulnerability as such.
func (s *statements) detail() advisory.Detail {
	d := advisory.Detail{
		Description: s.v.notes["description"], Severity: s.aggregate,
		References: append([]string{"https://access.redhat.com/security/cve/" + s.v.cve}, s.v.references...),
		Published:  date(s.v.published), Modified: s.doc.tracking.modified(),
	}
	if d.Description == "" {
		d.Description = s.v.notes["summary"]
	}
	if d.Published.IsZero() {
		d.Published = date(s.doc.tracking.Initial)
	}
	if weakness := strings.TrimSpace(s.v.weakness); strings.HasPrefix(weakness, "CWE-") {
		d.Weaknesses = []string{weakness}
	}
	for _, vector := range s.v.vectors {
		score, err := cvss.Parse(vector, "")
		if err != nil {
			s.skipped.Add(s.v.cve+" score", err.Error())
			continue
		}
		d.Scores = append(d.Scores, score)
	}
	return d
}

// modified is when what is said of the vulnerability last changed, which is not
// when the document was last made: all are made anew now and then.
func (t tracking) modified() time.Time {
	for _, r := range t.History {
		if r.Summary == "Current version" {
			return date(r.Date)
		}
	}
	return time.Time{}
}

// date reads a time; the zero time where it is none.
func date(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
