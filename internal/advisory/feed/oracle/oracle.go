// Package oracle reads Oracle Linux's errata as OVAL,
// https://linux.oracle.com/security/: one document of all of them.
//
// An erratum asks for a release, and under it for architectures, streams of
// modules, and versions of packages below the fixed one. Oracle builds some
// packages in several flavours, whose versions must not be compared with one
// another; see flavour.
//
// It must not know how documents are fetched or stored.
package oracle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/oval"
)

// Feed is Oracle's errata.
type Feed struct{}

// New returns the feed.
func New() Feed { return Feed{} }

// Name is "oracle".
func (Feed) Name() string { return "oracle" }

// Revision is that of this parser.
func (Feed) Revision() int { return 1 }

// Parts is the one document.
func (Feed) Parts() []feed.Part {
	return []feed.Part{{Name: "elsa-all", URL: "https://linux.oracle.com/security/oval/com.oracle.elsa-all.xml.bz2"}}
}

// More has none.
func (Feed) More(map[string]bool) []feed.Part { return nil }

// Parse reads the errata. One is a group.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	p := parser{part: part, emit: emit, ecosystems: make(map[string]bool), epochs: make(map[string]int)}
	sum, err := oval.Read(ctx, r, oval.Options{Test: p.learn, Definition: p.definition})
	if err == nil && len(p.ecosystems) == 0 {
		err = fmt.Errorf("byte %d: none of %d definitions can be used: %v", sum.Size, sum.Definitions, p.skipped.Names)
	}
	switch {
	case p.emitErr != nil:
		return feed.Parsed{}, p.emitErr
	case err != nil:
		return feed.Parsed{}, fmt.Errorf("%s %s: %w", f.Name(), part.Name, err)
	}
	return feed.Parsed{Ecosystems: slices.Sorted(maps.Keys(p.ecosystems)), Skipped: p.skipped}, nil
}

type parser struct {
	part       feed.Part
	emit       func(advisory.Group) error
	emitErr    error
	ecosystems map[string]bool
	skipped    feed.Skipped
	// epochs are the highest that ordinary builds have, by package.
	epochs map[string]int
}

// learn notes what the epochs of ordinary builds are.
func (p *parser) learn(t oval.Test) {
	fixed := oval.EVR(t.State.EVR.Value)
	if fixed == "" || flavour(fixed) != "" {
		return
	}
	if n := epoch(fixed); n >= p.epochs[t.Name] {
		p.epochs[t.Name] = n
	}
}

// title parts an erratum's name from what it is of, and the grade.
var title = regexp.MustCompile(`^\s*(EL[SBE]A-[0-9]{4}-[0-9-]+[0-9]):?\s*(.*?)\s*(?:\([A-Z/]+\))?\s*$`)

// definition reads one erratum. Those of bugs and enhancements that name no
// vulnerability are none.
func (p *parser) definition(d *oval.Definition) error {
	id, subject := "", ""
	if named := title.FindStringSubmatch(d.Title); named != nil {
		id, subject = named[1], named[2]
	}
	for _, r := range d.References {
		if strings.EqualFold(r.Source, "elsa") {
			id = r.ID
		}
	}
	name := cmp.Or(id, d.ID)
	vulnerabilities := d.Vulnerabilities()
	if len(vulnerabilities) == 0 {
		if !strings.HasPrefix(id, "ELSA-") {
			return nil
		}
		vulnerabilities = []string{id}
	}
	clauses, problems := d.Clauses(read)
	if problems.Count > 0 {
		p.skipped.Add(name, problems.String())
	}
	statements := p.statements(clauses)
	if len(statements) == 0 {
		if problems.Count == 0 {
			p.skipped.Add(name, "it speaks of no package")
		}
		return nil
	}
	group := advisory.Group{Part: p.part.Name, Name: d.ID, Details: make(map[string]advisory.Detail, len(vulnerabilities))}
	for _, vulnerability := range vulnerabilities {
		for _, a := range statements {
			a.ID, a.Vulnerability, a.Severity = id, vulnerability, oval.Severity(d.Severity)
			group.Advisories = append(group.Advisories, a)
		}
		group.Details[vulnerability] = detail(d, vulnerability, subject)
	}
	p.emitErr = p.emit(group)
	return p.emitErr
}

// detail is what an erratum says of a vulnerability. Its description is the
// packages' change log, so it is of none.
func detail(d *oval.Definition, vulnerability, subject string) advisory.Detail {
	var detail advisory.Detail
	for _, r := range d.References {
		if strings.EqualFold(r.Source, "elsa") || r.ID == vulnerability {
			detail.References = append(detail.References, r.URL)
		}
	}
	if oval.FindCVE(vulnerability) == "" { // of an erratum itself
		detail.Description, detail.Severity, detail.Published = subject, oval.Severity(d.Severity), oval.Date(d.Issued)
		return detail
	}
	for _, c := range d.CVEs {
		if c.Name != vulnerability {
			continue
		}
		detail.References = append(detail.References, c.URL)
		detail.Severity = max(detail.Severity, oval.Severity(c.Impact))
		if date := oval.Date(c.Public); !date.IsZero() {
			detail.Published = date
		}
		for _, text := range c.CVSS {
			if score, ok := oval.Score(text); ok {
				detail.Scores = append(detail.Scores, score)
			}
		}
	}
	return detail
}

// statement is what a clause says of a package, but for architectures.
type statement struct {
	product, module, pkg string
	versions             oval.Range
	note                 string
}

// statements are those of an erratum, without a vulnerability.
func (p *parser) statements(clauses []oval.Condition) []advisory.Advisory {
	var order []statement
	systems := make(map[statement][]string) // nil: every one
	all := make(map[string][]string)        // by product
	for _, c := range clauses {
		if c.Package == "" || c.Product == "" {
			continue
		}
		s := statement{c.Product, c.Module, c.Package, c.Range, c.Note}
		known, seen := systems[s]
		if !seen {
			order = append(order, s)
		}
		switch {
		case c.Architectures == "":
			systems[s] = nil
		case !seen || known != nil:
			systems[s] = join(known, c.Architectures)
		}
		all[c.Product] = join(all[c.Product], c.Architectures)
	}
	advisories := make([]advisory.Advisory, 0, len(order))
	for _, s := range order {
		a := advisory.Advisory{
			Ecosystem: s.product, Package: s.pkg, Module: s.module, Status: advisory.Affected, Note: s.note,
			Introduced: s.versions.Introduced, Fixed: s.versions.Fixed, LastAffected: s.versions.LastAffected,
		}
		// What holds on each of several architectures holds on all.
		if on := systems[s]; len(on) < 2 || len(on) < len(all[s.product]) {
			a.Architectures = packages(on)
		}
		p.limit(&a)
		p.ecosystems[a.Ecosystem] = true
		advisories = append(advisories, a)
	}
	return advisories
}

// join is the union of names with those in a text.
func join(names []string, text string) []string {
	names = append(slices.Clone(names), strings.Fields(text)...)
	slices.Sort(names)
	return slices.Compact(names)
}

// packages are the architectures of the packages that systems can have.
func packages(systems []string) string {
	var names []string
	for _, system := range systems {
		switch system {
		case "x86_64", "i386", "i686":
			names = append(names, "i386", "i486", "i586", "i686")
		}
		names = append(names, system, "noarch")
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

var (
	releaseNumber = regexp.MustCompile(`^\^?([0-9]{1,3})\$?$`)
	streamName    = regexp.MustCompile(`stream\\s\*=\\s\*((?:[A-Za-z0-9_+]|\\?[.-])+)\\b`)
)

// read says what a criterion asks.
func read(c oval.Criterion) (condition oval.Condition, err error) {
	t := c.Test
	switch t.Kind {
	case "rpminfo_test":
	case "textfilecontent54_test":
		condition.Module, err = module(t)
		return condition, err
	default:
		return condition, fmt.Errorf("a %s is not read", t.Kind)
	}
	s := t.State
	if t.Name == "oraclelinux-release" {
		if !s.Version.IsZero() {
			number := releaseNumber.FindStringSubmatch(s.Version.Value)
			if number == nil {
				return condition, fmt.Errorf("%q is no release", s.Version.Value)
			}
			condition.Product = "ol:" + number[1]
		}
		return architectures(condition, s)
	}
	switch {
	case !s.EVR.IsZero():
		condition.Package = t.Name
		if condition.Range, err = s.EVR.Range(); err != nil {
			return condition, err
		}
		return architectures(condition, s)
	case !s.Key.IsZero(): // who signed it: Oracle, for what is matched is Oracle's
		return condition, nil
	case !s.Release.IsZero(): // of which flavour it is: the version says so
		if flavour(s.Release.Value) != "" {
			return condition, nil
		}
	}
	return condition, errors.New("it asks for nothing that is known")
}

func architectures(c oval.Condition, s oval.State) (oval.Condition, error) {
	if s.Arch.IsZero() {
		return c, nil
	}
	names, err := s.Arch.Architectures()
	c.Architectures = strings.Join(names, " ")
	return c, err
}

// module is the stream that must be enabled: the file of one in
// /etc/dnf/modules.d is matched with a pattern of "stream = NAME" and "state =
// enabled", in either order.
func module(t oval.Test) (string, error) {
	name, ok := strings.CutSuffix(path.Base(t.Path), ".module")
	streams := streamName.FindAllStringSubmatch(t.State.Text.Value, -1)
	if !ok || path.Dir(t.Path) != "/etc/dnf/modules.d" || len(streams) == 0 {
		return "", fmt.Errorf("%q is no module's file with a stream", t.Path)
	}
	for _, s := range streams {
		if s[1] != streams[0][1] {
			return "", fmt.Errorf("streams %q and %q are asked for at once", streams[0][1], s[1])
		}
	}
	return name + ":" + strings.ReplaceAll(streams[0][1], `\`, ""), nil
}
