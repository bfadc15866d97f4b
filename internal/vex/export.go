package vex

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
	"github.com/package-url/packageurl-go"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/sbom"
)

// Export is what is decided on an image's findings, to be written as VEX.
type Export struct {
	Digest string
	// Repository holds the image; "" where none does.
	Repository string
	// Created is when the image was analysed, Version that of this program.
	Created time.Time
	Version string
	// Type is the name of the assessment type that VEX statements become.
	Type    string
	Decided []Decided
}

// Decided is a finding with what is decided on it.
type Decided struct {
	Vulnerability string
	Package       inventory.Package
	FirstSeen     time.Time
	// Assessment gives the state; its ID is 0 where the finding is unassessed.
	Assessment assess.Assessment
	// Blocks says that the state, or its type by itself, blocks pulls.
	Blocks bool
}

// exported is a statement with its packages as purls.
type exported struct {
	Statement
	author   string
	packages []string
}

// image is the purl of the image.
func (e Export) image() string {
	name := "image"
	if e.Repository != "" {
		name = path.Base(e.Repository)
	}
	return packageurl.NewPackageURL(packageurl.TypeOCI, "", name, e.Digest, nil, "").ToString()
}

// statements are one for each vulnerability and assessment, by name.
func (e Export) statements() []exported {
	type key struct {
		vulnerability string
		assessment    int64
		blocks        bool
	}
	index := make(map[key]int)
	var list []exported
	for _, d := range e.Decided {
		k := key{d.Vulnerability, d.Assessment.ID, d.Blocks}
		i, ok := index[k]
		if !ok {
			i = len(list)
			index[k] = i
			list = append(list, d.statement(e.Type))
		}
		if purl := sbom.PURL(d.Package); !slices.Contains(list[i].packages, purl) {
			list[i].packages = append(list[i].packages, purl)
		}
		if d.Assessment.ID == 0 && d.FirstSeen.Before(list[i].Timestamp) {
			list[i].Timestamp = d.FirstSeen
		}
	}
	for i := range list {
		slices.Sort(list[i].packages)
		list[i].Products = []Product{{ID: e.image(), Subcomponents: list[i].packages}}
		list[i].Timestamp = list[i].Timestamp.UTC()
	}
	slices.SortFunc(list, func(a, b exported) int {
		return cmp.Or(strings.Compare(a.Vulnerability, b.Vulnerability), strings.Compare(a.packages[0], b.packages[0]),
			strings.Compare(string(a.Status), string(b.Status)))
	})
	return list
}

// statement says what an assessment means. Only the type that VEX becomes here
// says that a vulnerability does not matter; others may just tolerate it.
func (d Decided) statement(clears string) exported {
	a := d.Assessment
	s := exported{Statement: Statement{Vulnerability: d.Vulnerability, Status: UnderInvestigation, Timestamp: d.FirstSeen}}
	if a.ID == 0 {
		return s
	}
	s.author, s.Timestamp = a.Author, a.CreatedAt
	text := a.Comment
	if text == "" {
		text = "Assessed as " + a.Type + " by " + a.Author + "."
	}
	if a.Type == clears && !d.Blocks {
		s.Status, s.Justification, s.Impact = NotAffected, a.Justification, text
	} else {
		s.Status, s.Action = Affected, text
	}
	return s
}

// authors are those of the statements, or this program where there are none.
func authors(list []exported) []string {
	var names []string
	for _, s := range list {
		if s.author != "" && !slices.Contains(names, s.author) {
			names = append(names, s.author)
		}
	}
	if slices.Sort(names); len(names) == 0 {
		return []string{tool}
	}
	return names
}

const tool = "Pratique"

// issued is when the last of it was said.
func (e Export) issued(list []exported) time.Time {
	last := e.Created
	for _, s := range list {
		last = latest(last, s.Timestamp)
	}
	return last.UTC()
}

// serial is the same for the same document.
func (e Export) serial(list []exported) uuid.UUID {
	h := sha256.New()
	fmt.Fprintln(h, e.image(), e.issued(list).Format(time.RFC3339Nano))
	for _, s := range list {
		fmt.Fprintf(h, "%q %q %q %q %q %q\n", s.Vulnerability, s.Status, s.Justification+s.Impact, s.Action, s.author, s.packages)
	}
	id, _ := uuid.FromBytes(h.Sum(nil)[:16])
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80 // version 5, RFC 9562
	return id
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// WriteOpenVEX writes OpenVEX 0.2.0.
func WriteOpenVEX(w io.Writer, e Export) error {
	list := e.statements()
	d := openVEX{
		Context: openVEXNamespace + "/v0.2.0", ID: "https://pratique.invalid/vex/" + e.serial(list).String(), Author: strings.Join(authors(list), ", "),
		Timestamp: stamp(e.issued(list)), Version: json.RawMessage("1"), Tooling: tool + " " + e.Version, Statements: []openVEXStatement{},
	}
	for _, s := range list {
		p := openVEXProduct{openVEXComponent: component(s.Products[0].ID)}
		for _, purl := range s.packages {
			p.Subcomponents = append(p.Subcomponents, component(purl))
		}
		d.Statements = append(d.Statements, openVEXStatement{
			Vulnerability: openVEXVulnerability{Name: s.Vulnerability}, Timestamp: stamp(s.Timestamp), Products: []openVEXProduct{p},
			Status: string(s.Status), Justification: s.Justification, ImpactStatement: s.Impact, ActionStatement: s.Action,
		})
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(d); err != nil {
		return fmt.Errorf("write OpenVEX: %w", err)
	}
	return nil
}

func component(purl string) openVEXComponent {
	return openVEXComponent{ID: purl, Identifiers: map[string]string{"purl": purl}}
}

// WriteCycloneDX writes CycloneDX 1.6 with the packages that have findings, and
// an analysis of each vulnerability.
func WriteCycloneDX(w io.Writer, e Export) error {
	list := e.statements()
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = e.serial(list).URN()
	contacts := []cyclonedx.OrganizationalContact{}
	for _, name := range authors(list) {
		contacts = append(contacts, cyclonedx.OrganizationalContact{Name: name})
	}
	name := e.Repository
	if name == "" {
		name = e.Digest
	}
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: stamp(e.issued(list)), Authors: &contacts,
		Tools: &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{
			Type: cyclonedx.ComponentTypeApplication, Name: tool, Version: e.Version,
		}}},
		Component: &cyclonedx.Component{BOMRef: e.image(), Type: cyclonedx.ComponentTypeContainer, Name: name, Version: e.Digest, PackageURL: e.image()},
	}
	components := []cyclonedx.Component{}
	known := make(map[string]bool)
	for _, d := range e.Decided {
		if purl := sbom.PURL(d.Package); !known[purl] {
			known[purl] = true
			components = append(components, cyclonedx.Component{
				BOMRef: purl, Type: cyclonedx.ComponentTypeLibrary, Name: d.Package.Name, Version: d.Package.Version, PackageURL: purl,
			})
		}
	}
	slices.SortFunc(components, func(a, b cyclonedx.Component) int { return strings.Compare(a.BOMRef, b.BOMRef) })
	vulnerabilities := []cyclonedx.Vulnerability{}
	for _, s := range list {
		analysis := &cyclonedx.VulnerabilityAnalysis{State: cyclonedx.IASInTriage, FirstIssued: stamp(s.Timestamp)}
		v := cyclonedx.Vulnerability{ID: s.Vulnerability, Analysis: analysis}
		switch s.Status {
		case NotAffected:
			analysis.State, analysis.Detail = cyclonedx.IASNotAffected, s.Impact
			analysis.Justification = cycloneDXJustification(s.Justification)
		case Affected:
			analysis.State, v.Recommendation = cyclonedx.IASExploitable, s.Action
		}
		affects := make([]cyclonedx.Affects, len(s.packages))
		for i, purl := range s.packages {
			affects[i].Ref = purl
		}
		v.Affects = &affects
		vulnerabilities = append(vulnerabilities, v)
	}
	bom.Components, bom.Vulnerabilities = &components, &vulnerabilities
	encoder := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	if err := encoder.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return fmt.Errorf("write CycloneDX: %w", err)
	}
	return nil
}
