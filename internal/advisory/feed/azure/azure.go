// Package azure reads the OVAL documents of Azure Linux, and of CBL-Mariner as
// it was called before: https://github.com/microsoft/AzureLinuxVulnerabilityData.
// One document for each release; a definition is a vulnerability of a package.
//
// Packages are named as their sources are: "gcc", "python-urllib3", where what is
// installed is libgcc, python3-urllib3. No name of a part of a source is in any
// of the documents.
//
// It must not know how documents are fetched or stored.
package azure

import (
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

// Feed is Azure Linux's vulnerability data.
type Feed struct{}

// New returns the feed.
func New() Feed { return Feed{} }

// Name is "azurelinux".
func (Feed) Name() string { return "azurelinux" }

// Revision is that of this parser.
func (Feed) Revision() int { return 1 }

// last is the newest release that is known to be published.
const last = 3

// Parts lists the releases that are known.
func (Feed) Parts() []feed.Part { return []feed.Part{release(last), mariner("2.0"), mariner("1.0")} }

// More is the release after the newest one that is published.
func (Feed) More(published map[string]bool) []feed.Part {
	for n := last; published[release(n).Name]; n++ {
		if _, asked := published[release(n+1).Name]; !asked {
			return []feed.Part{release(n + 1)}
		}
	}
	return nil
}

func release(n int) feed.Part {
	version := strconv.Itoa(n) + ".0"
	return part("azurelinux-"+version, "azurelinux:"+version)
}

func mariner(version string) feed.Part { return part("cbl-mariner-"+version, "mariner:"+version) }

func part(name, ecosystem string) feed.Part {
	return feed.Part{
		Name: name, URL: "https://raw.githubusercontent.com/microsoft/AzureLinuxVulnerabilityData/main/" + name + "-oval.xml",
		Ecosystems: []string{ecosystem},
	}
}

// Parse reads the document of one release. A definition is a group.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	if len(part.Ecosystems) != 1 {
		return feed.Parsed{}, fmt.Errorf("%s %s: a part is of one distribution", f.Name(), part.Name)
	}
	p := parser{part: part, emit: emit, ecosystems: make(map[string]bool)}
	sum, err := oval.Read(ctx, r, oval.Options{Definition: p.definition})
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
}

func (p *parser) definition(d *oval.Definition) error {
	// That a document is another distribution's is seen from this only.
	family := p.part.Name[:max(0, strings.LastIndexByte(p.part.Name, '-'))]
	if strings.HasPrefix(d.ID, "oval:com.microsoft.") && !strings.HasPrefix(d.ID, "oval:com.microsoft."+family+":") {
		return fmt.Errorf("definition %q is of another distribution", d.ID)
	}
	vulnerabilities := d.Vulnerabilities()
	if len(vulnerabilities) == 0 {
		p.skipped.Add(d.ID, "it names no vulnerability")
		return nil
	}
	clauses, problems := d.Clauses(read)
	if problems.Count > 0 {
		p.skipped.Add(d.ID, problems.String())
	}
	group := advisory.Group{Part: p.part.Name, Name: d.ID, Details: make(map[string]advisory.Detail, len(vulnerabilities))}
	for _, c := range clauses {
		if c.Package == "" {
			continue
		}
		a := p.statement(d, c)
		for _, a.Vulnerability = range vulnerabilities {
			group.Advisories = append(group.Advisories, a)
		}
	}
	if len(group.Advisories) == 0 {
		if problems.Count == 0 {
			p.skipped.Add(d.ID, "it speaks of no package")
		}
		return nil
	}
	p.ecosystems[p.part.Ecosystems[0]] = true
	for _, vulnerability := range vulnerabilities {
		detail := advisory.Detail{Severity: oval.Severity(d.Severity), Published: oval.Date(d.Other["advisory_date"])}
		for _, r := range d.References {
			if oval.FindCVE(r.ID) == vulnerability {
				detail.References = append(detail.References, r.URL)
			}
		}
		group.Details[vulnerability] = detail
	}
	p.emitErr = p.emit(group)
	return p.emitErr
}

// statement is what a definition says of a package. patchable is "true" where
// there is a fix, "false" where there is none yet, and "Not Applicable" for what
// "either no longer is or was never applicable", whatever the criteria ask for.
func (p *parser) statement(d *oval.Definition, c oval.Condition) advisory.Advisory {
	a := advisory.Advisory{
		ID: d.Other["advisory_id"], Ecosystem: p.part.Ecosystems[0], Package: c.Package, Source: true, Note: c.Note,
		Status: advisory.Affected, Severity: oval.Severity(d.Severity),
	}
	patchable := d.Other["patchable"]
	if strings.EqualFold(patchable, "Not Applicable") {
		a.Status, a.Note = advisory.NotAffected, patchable
		return a
	}
	a.Introduced, a.Fixed, a.LastAffected = c.Range.Introduced, c.Range.Fixed, c.Range.LastAffected
	if a.Fixed == "" && patchable != "" && a.Note == "" {
		a.Note = "patchable: " + patchable
	}
	return a
}

// read says what a criterion asks: a package's version is below one, and of
// those with several series, above one too.
func read(c oval.Criterion) (condition oval.Condition, err error) {
	t := c.Test
	if t.Kind != "rpminfo_test" {
		return condition, fmt.Errorf("a %s is not read", t.Kind)
	}
	if t.State.EVR.IsZero() {
		return condition, errors.New("it asks for nothing that is known")
	}
	condition.Package = t.Name
	condition.Range, err = t.State.EVR.Range()
	if t.State.EVR.Operation == "greater than" {
		condition.Note = c.Comment()
	}
	return condition, err
}
