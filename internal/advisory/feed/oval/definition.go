package oval

import (
	"context"
	"fmt"
	"regexp"
	"slices"
)

// Definition is one statement of a publisher.
type Definition struct {
	ID, Class, Title, Description string
	// Platforms are products by name ("Oracle Linux 8").
	Platforms  []string
	References []Reference
	CVEs       []CVE
	// CPEs are those of the affected products.
	CPEs []string
	// Severity is the publisher's word; Issued and Updated are dates
	// ("2021-04-01"). "" where nothing is said.
	Severity, Issued, Updated string
	// Other are further elements of the metadata that have only text.
	Other map[string]string

	tables *tables
	nodes  []node
	// comments are those of the criterions, one after the other.
	comments []byte
	// fault is why the definition cannot be used.
	fault error
}

// Reference is where something is said of a definition.
type Reference struct{ ID, URL, Source string }

// CVE is a vulnerability that a definition names.
type CVE struct {
	// Name is the identifier, Text the element's text ("CVE-2021-1 at NVD").
	Name, Text string
	// Impact is the publisher's grade; URL where more is said; Public the date
	// when it became known ("20230220").
	Impact, URL, Public string
	// CVSS are scores with vectors, "7.8/CVSS:3.1/AV:L/…".
	CVSS []string
}

var cve = regexp.MustCompile(`\bCVE-[0-9]{4}-[0-9]{4,19}\b`)

// FindCVE is the first CVE identifier in a text, "" where there is none.
func FindCVE(text string) string { return cve.FindString(text) }

// The most that is kept of a definition; more platforms, references and CPEs
// are left out, for they decide nothing.
const (
	maxProse      = 16 << 10
	maxPlatforms  = 1000
	maxReferences = 2000
	maxOther      = 20
)

// readDefinitions tells of every definition.
func readDefinitions(ctx context.Context, source Source, t *tables, tell func(*Definition) error) error {
	d := Definition{tables: t}
	var told error
	_, err := open(ctx, source, func(s *scanner) error {
		if string(s.name) != "definitions" {
			return nil
		}
		return s.children(func() error {
			if string(s.name) != "definition" {
				return nil
			}
			d.reset()
			if err := d.read(s); err != nil {
				return err
			}
			told = tell(&d)
			return told
		})
	})
	if told != nil {
		return told
	}
	return err
}

func (d *Definition) reset() {
	*d = Definition{
		tables: d.tables, nodes: d.nodes[:0], comments: d.comments[:0],
		Platforms: d.Platforms[:0], References: d.References[:0], CVEs: d.CVEs[:0], CPEs: d.CPEs[:0],
	}
}

func (d *Definition) read(s *scanner) (err error) {
	if d.ID, err = s.attr("id", maxID); err != nil {
		return err
	}
	if d.Class, err = s.attr("class", 60); err != nil {
		return err
	}
	return s.children(func() error {
		switch string(s.name) {
		case "metadata":
			return s.children(func() error { return d.readMetadata(s) })
		case "criteria":
			return d.readCriteria(s)
		}
		return nil
	})
}

func (d *Definition) readMetadata(s *scanner) (err error) {
	switch name := string(s.name); name {
	case "title":
		d.Title, err = s.content(1000)
	case "description":
		d.Description, err = s.content(maxProse)
	case "affected":
		err = s.children(func() error { return keep(s, &d.Platforms, "platform") })
	case "reference":
		if len(d.References) < maxReferences {
			err = d.readReference(s)
		}
	case "advisory":
		err = s.children(func() error { return d.readAdvisory(s) })
	case "severity":
		d.Severity, err = s.content(60)
	default:
		if len(d.Other) == maxOther {
			return nil
		}
		var text string
		if text, err = s.content(1000); err == nil && text != "" {
			if d.Other == nil {
				d.Other = make(map[string]string)
			}
			d.Other[name] = text
		}
	}
	return err
}

// keep appends the text of an element with a name.
func keep(s *scanner, list *[]string, name string) error {
	if string(s.name) != name || len(*list) == maxPlatforms {
		return nil
	}
	text, err := s.content(maxID)
	*list = append(*list, text)
	return err
}

func (d *Definition) readReference(s *scanner) (err error) {
	var r Reference
	if r.ID, err = s.attr("ref_id", maxID); err != nil {
		return err
	}
	if r.URL, err = s.attr("ref_url", 1000); err != nil {
		return err
	}
	if r.Source, err = s.attr("source", 60); err != nil {
		return err
	}
	d.References = append(d.References, r)
	return nil
}

func (d *Definition) readAdvisory(s *scanner) (err error) {
	switch string(s.name) {
	case "severity":
		d.Severity, err = s.content(60)
	case "issued":
		d.Issued, err = s.attr("date", 60)
	case "updated":
		d.Updated, err = s.attr("date", 60)
	case "cve":
		if len(d.CVEs) == maxCVEs {
			d.fault = fmt.Errorf("it names more than %d vulnerabilities", maxCVEs)
			return nil
		}
		err = d.readCVE(s)
	case "affected_cpe_list":
		err = s.children(func() error { return keep(s, &d.CPEs, "cpe") })
	}
	return err
}

func (d *Definition) readCVE(s *scanner) (err error) {
	var c CVE
	for _, a := range []struct {
		name string
		into *string
	}{{"impact", &c.Impact}, {"href", &c.URL}, {"public", &c.Public}} {
		if *a.into, err = s.attr(a.name, 1000); err != nil {
			return err
		}
	}
	for _, name := range []string{"cvss4", "cvss3", "cvss2"} {
		score, err := s.attr(name, maxID)
		if err != nil {
			return err
		}
		if score != "" {
			c.CVSS = append(c.CVSS, score)
		}
	}
	if c.Text, err = s.content(maxID); err != nil {
		return err
	}
	c.Name = FindCVE(c.Text)
	d.CVEs = append(d.CVEs, c)
	return nil
}

// Vulnerabilities are the CVE identifiers that the definition is about, in
// its order: those of its list, else of its references, else of its title.
func (d *Definition) Vulnerabilities() []string {
	var names []string
	add := func(text string) {
		if name := FindCVE(text); name != "" {
			names = append(names, name)
		}
	}
	for i := range d.CVEs {
		add(d.CVEs[i].Name)
	}
	if len(names) == 0 {
		for _, r := range d.References {
			add(r.ID)
		}
	}
	if len(names) == 0 {
		add(d.Title)
	}
	seen := make(map[string]bool, len(names))
	return slices.DeleteFunc(names, func(name string) bool {
		twice := seen[name]
		seen[name] = true
		return twice
	})
}
