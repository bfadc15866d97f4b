// Package suse reads SUSE's and openSUSE's OVAL documents,
// https://www.suse.com/support/security/oval/. Of the three that are published
// for each product, those indexed by CVE with what is fixed, not affected and not
// fixed yet ("-affected") are read; openSUSE's have nothing unfixed and come
// without. A service pack has a document of its own, a tenth of that of a whole
// release.
//
// It must not know how documents are fetched or stored.
package suse

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/oval"
)

// Feed is SUSE's OVAL.
type Feed struct{}

// New returns the feed.
func New() Feed { return Feed{} }

// Name is "suse".
func (Feed) Name() string { return "suse" }

// Revision is that of this parser.
func (Feed) Revision() int { return 1 }

// series are the products whose documents are numbered; first to last are
// published, and where the series goes on, later ones are looked for.
var series = []struct {
	document, product string
	variant           string
	first, last       int
	goesOn            bool
}{
	{"suse.linux.enterprise.12-sp", "sles:12.", "-affected", 1, 5, false},
	{"suse.linux.enterprise.15-sp", "sles:15.", "-affected", 1, 7, false},
	{"suse.linux.enterprise.16.", "sles:16.", "-affected", 0, 0, true},
	{"suse.linux.enterprise.micro.5.", "sle-micro:5.", "-affected", 0, 5, false},
	{"suse.linux.micro.6.", "sl-micro:6.", "-affected", 0, 2, true},
	{"opensuse.leap.15.", "opensuse-leap:15.", "", 0, 6, false},
	{"opensuse.leap.16.", "opensuse-leap:16.", "", 0, 0, true},
	{"opensuse.leap.micro.5.", "opensuse-leap-micro:5.", "", 2, 5, false},
}

const tumbleweed = "opensuse-tumbleweed"

// Parts lists the products that are known.
func (Feed) Parts() []feed.Part {
	parts := []feed.Part{part("opensuse.tumbleweed", tumbleweed)}
	for _, s := range series {
		for n := s.first; n <= s.last; n++ {
			parts = append(parts, part(s.document+strconv.Itoa(n)+s.variant, s.product+strconv.Itoa(n)))
		}
	}
	return parts
}

// More is what follows the newest of each series that is published.
func (Feed) More(published map[string]bool) (parts []feed.Part) {
	for _, s := range series {
		for n := s.last; s.goesOn && published[s.document+strconv.Itoa(n)+s.variant]; n++ {
			next := part(s.document+strconv.Itoa(n+1)+s.variant, s.product+strconv.Itoa(n+1))
			if _, asked := published[next.Name]; !asked {
				parts = append(parts, next)
				break
			}
		}
	}
	return parts
}

func part(name, ecosystem string) feed.Part {
	return feed.Part{Name: name, URL: "https://ftp.suse.com/pub/projects/security/oval/" + name + ".xml.gz", Ecosystems: []string{ecosystem}}
}

// Parse reads one document. A vulnerability is a group. Statements on
// distributions that are not the part's are left out: they have documents of
// their own. A part without ecosystems has those of all.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	p := parser{part: part, emit: emit, ecosystems: make(map[string]bool)}
	sum, err := oval.Read(ctx, r, oval.Options{Definition: p.definition})
	switch {
	case p.emitErr != nil:
		return feed.Parsed{}, p.emitErr
	case err == nil && len(part.Ecosystems) > 0 && len(p.ecosystems) == 0:
		err = fmt.Errorf("byte %d: none of %d definitions speaks of %s", sum.Size, sum.Definitions, strings.Join(part.Ecosystems, ", "))
	}
	if err != nil {
		return feed.Parsed{}, fmt.Errorf("%s %s: %w", f.Name(), part.Name, err)
	}
	return feed.Parsed{Ecosystems: slices.Sorted(maps.Keys(p.ecosystems)), Skipped: p.skipped}, nil
}

type parser struct {
	part       feed.Part
	emit       func(advisory.Group) error
	emitErr    error
	ecosystems map[string]bool
	foreign    int // statements on other distributions
	skipped    feed.Skipped
}

func (p *parser) definition(d *oval.Definition) error {
	vulnerability := oval.FindCVE(d.Title)
	name := cmp.Or(vulnerability, d.Title, d.ID)
	if vulnerability == "" {
		p.skipped.Add(name, "its title is no CVE identifier")
		return nil
	}
	clauses, problems := d.Clauses(read)
	foreign := p.foreign
	statements, lost := p.statements(clauses)
	switch {
	case problems.Count > 0:
		p.skipped.Add(name, problems.String())
	case lost != "":
		p.skipped.Add(name, lost)
	case len(clauses) > 0 && len(statements) == 0 && p.foreign == foreign:
		p.skipped.Add(name, "it speaks of no package")
	}
	if len(statements) == 0 {
		return nil
	}
	for i := range statements {
		statements[i].Vulnerability, statements[i].Severity = vulnerability, oval.Severity(d.Severity)
	}
	p.emitErr = p.emit(advisory.Group{
		Part: p.part.Name, Name: d.ID, Advisories: statements, Details: map[string]advisory.Detail{vulnerability: detail(d, vulnerability)},
	})
	return p.emitErr
}

func detail(d *oval.Definition, vulnerability string) advisory.Detail {
	detail := advisory.Detail{
		Description: d.Description, Severity: oval.Severity(d.Severity), Published: oval.Date(d.Issued), Modified: oval.Date(d.Updated),
	}
	for _, r := range d.References { // the page of a vulnerability at SUSE lists its updates
		if oval.FindCVE(r.ID) == vulnerability {
			detail.References = append(detail.References, r.URL)
		}
	}
	for _, c := range d.CVEs {
		if c.Name != vulnerability {
			continue
		}
		source := ""
		if strings.HasSuffix(c.Text, " at NVD") {
			source = "nvd@nist.gov"
		}
		for _, text := range c.CVSS {
			if score, ok := oval.Score(text); ok {
				score.Source = source
				detail.Scores = append(detail.Scores, score)
			}
		}
	}
	return detail
}

// subject is what statements are made on.
type subject struct{ product, pkg string }

// statements are those of one vulnerability. A distribution is sold as many
// products; where some of them are it as such, they speak for it, and those that
// are a paid extension of it (LTSS, ESPOS, BCL, SAP) do only where no other does:
// they give as fixed the first version that they were released with, which may be
// far above the real fix (anchore/vulnerability-match-labels#207). lost says what
// could not be used.
func (p *parser) statements(clauses []oval.Condition) (advisories []advisory.Advisory, lost string) {
	var order []subject
	by := make(map[subject][]oval.Condition)
	for _, c := range clauses {
		if c.Package == "" {
			continue
		}
		if c.Product == "" && len(p.part.Ecosystems) == 1 {
			c.Product = p.part.Ecosystems[0] // openSUSE 12's documents do not ask for it
		}
		if c.Product == "" {
			lost = "it does not say for which product"
			continue
		}
		if len(p.part.Ecosystems) > 0 && !slices.Contains(p.part.Ecosystems, c.Product) {
			p.foreign++
			continue
		}
		s := subject{c.Product, c.Package}
		known := by[s]
		switch {
		case len(known) == 0:
			order = append(order, s)
		case known[0].Extended && !c.Extended:
			known = nil
		case !known[0].Extended && c.Extended:
			continue
		}
		by[s] = append(known, c)
	}
	for _, s := range order {
		p.ecosystems[s.product] = true
		advisories = appendStatements(advisories, s, by[s])
	}
	return advisories, lost
}

// appendStatements says what conditions on one package mean. What says that it
// is not affected gives way to what says that it is.
func appendStatements(advisories []advisory.Advisory, s subject, conditions []oval.Condition) []advisory.Advisory {
	first := len(advisories)
	affected := slices.ContainsFunc(conditions, func(c oval.Condition) bool { return !c.Unaffected })
	for _, c := range conditions {
		if affected && c.Unaffected {
			continue
		}
		a := advisory.Advisory{
			Ecosystem: s.product, Package: s.pkg, Status: advisory.Affected, Note: c.Note,
			Introduced: c.Range.Introduced, Fixed: c.Range.Fixed, LastAffected: c.Range.LastAffected,
		}
		if c.Unaffected {
			a.Status = advisory.NotAffected
		}
		known := slices.IndexFunc(advisories[first:], func(b advisory.Advisory) bool {
			b.Architectures = ""
			return a == b
		})
		switch {
		case known < 0:
			a.Architectures = c.Architectures
			advisories = append(advisories, a)
		case c.Architectures == "":
			advisories[first+known].Architectures = ""
		case advisories[first+known].Architectures != "":
			advisories[first+known].Architectures = union(advisories[first+known].Architectures, c.Architectures)
		}
	}
	if len(advisories) == first+1 { // then it is the same on each that the package is built for
		advisories[first].Architectures = ""
	}
	return advisories
}

func union(a, b string) string {
	names := append(strings.Fields(a), strings.Fields(b)...)
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// read says what a criterion asks.
func read(c oval.Criterion) (condition oval.Condition, err error) {
	t := c.Test
	if t.Kind != "rpminfo_test" {
		return condition, fmt.Errorf("a %s is not read", t.Kind)
	}
	s := t.State
	installed := s.EVR.Operation == "greater than or equal" || !s.Version.IsZero() && s.Version != unaffected
	switch {
	case installed && strings.HasSuffix(strings.ToLower(t.Name), "-release"):
		var known bool
		condition.Product, condition.Extended, known = product(t.Name, s, c.Comment())
		condition.Never = !known
		return condition, nil
	case s.Version == unaffected:
		condition.Package, condition.Unaffected = t.Name, true
		return condition, nil
	case s.EVR == unfixed:
		condition.Package = t.Name
	case !s.EVR.IsZero():
		condition.Package = t.Name
		if condition.Range, err = s.EVR.Range(); err != nil {
			return condition, err
		}
		if s.EVR.Operation == "greater than" {
			condition.Note = c.Comment()
		}
	case !s.Key.IsZero(): // who signed it: SUSE, for what is matched is SUSE's
		return condition, nil
	default:
		return condition, errors.New("it asks for nothing that is known")
	}
	if !s.Arch.IsZero() {
		var names []string
		names, err = s.Arch.Architectures()
		condition.Architectures = strings.Join(names, " ")
	}
	return condition, err
}

var (
	// unaffected is how "is not affected" is written: as what no package is.
	unaffected = oval.Field{Operation: "equals", Value: "0"}
	// unfixed is how "is affected" is written: as what every package is.
	unfixed = oval.Field{Operation: "greater than", Value: "0:0-0"}
)
