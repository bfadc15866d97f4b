package vex

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// Decision is a statement that is of no image in particular, with who decided.
type Decision struct {
	Statement
	Author string
}

// DecisionsWriter writes decisions as one document while they are read: it keeps none
// of them. What is known of all only in the end, such as who they are by, follows
// them, since members of JSON have no order.
type DecisionsWriter struct {
	out     *bufio.Writer
	form    decisionsForm
	version string
	hash    hash.Hash
	authors map[string]bool
	created time.Time
	written int
	line    bytes.Buffer
}

// decisionsForm is how a format writes decisions.
type decisionsForm struct {
	name string
	// head begins the document, up to its list of statements.
	head      [][2]string
	list      string
	statement func(Decision) any
	tail      func(*DecisionsWriter) [][2]any
}

// NewOpenVEXWriter writes OpenVEX 0.2.0. The version is that of this program.
func NewOpenVEXWriter(w io.Writer, version string) *DecisionsWriter {
	return newDecisionsWriter(w, version, decisionsForm{
		name: "OpenVEX", head: [][2]string{{"@context", `"` + openVEXNamespace + `/v0.2.0"`}, {"version", "1"}}, list: "statements",
		statement: func(d Decision) any {
			s := openVEXStatement{Vulnerability: openVEXVulnerability{Name: d.Vulnerability}, Timestamp: stamp(d.Timestamp), Status: string(d.Status),
				Justification: d.Justification, ImpactStatement: d.Impact, ActionStatement: d.Action}
			for _, p := range d.Products {
				c := openVEXComponent{ID: p.ID}
				if strings.HasPrefix(p.ID, "pkg:") {
					c = component(p.ID)
				}
				s.Products = append(s.Products, openVEXProduct{openVEXComponent: c})
			}
			return s
		},
		tail: func(w *DecisionsWriter) [][2]any {
			return [][2]any{{"@id", "https://pratique.invalid/vex/" + w.serial().String()}, {"author", w.author()}, {"timestamp", stamp(w.created)}, {"tooling", tool + " " + w.version}}
		},
	})
}

// NewCycloneDXWriter writes CycloneDX 1.6 with analyses alone: what they affect is
// named by package URLs and the like, not by components.
func NewCycloneDXWriter(w io.Writer, version string) *DecisionsWriter {
	return newDecisionsWriter(w, version, decisionsForm{
		name: "CycloneDX", head: [][2]string{{"$schema", `"http://cyclonedx.org/schema/bom-1.6.schema.json"`}, {"bomFormat", `"CycloneDX"`}, {"specVersion", `"1.6"`}, {"version", "1"}},
		list: "vulnerabilities",
		statement: func(d Decision) any {
			v := cyclonedx.Vulnerability{ID: d.Vulnerability, Analysis: &cyclonedx.VulnerabilityAnalysis{State: cyclonedx.IASExploitable, FirstIssued: stamp(d.Timestamp)}}
			if d.Status == NotAffected {
				v.Analysis.State, v.Analysis.Detail, v.Analysis.Justification = cyclonedx.IASNotAffected, d.Impact, cycloneDXJustification(d.Justification)
			} else {
				v.Recommendation = d.Action
			}
			var affects []cyclonedx.Affects
			for _, p := range d.Products {
				affects = append(affects, cyclonedx.Affects{Ref: p.ID})
			}
			if len(affects) > 0 {
				v.Affects = &affects
			}
			return v
		},
		tail: func(w *DecisionsWriter) [][2]any {
			return [][2]any{{"serialNumber", w.serial().URN()}, {"metadata", cyclonedx.Metadata{
				Timestamp: stamp(w.created), Authors: &[]cyclonedx.OrganizationalContact{{Name: w.author()}},
				Tools: &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeApplication, Name: tool, Version: w.version}}},
			}}}
		},
	})
}

func newDecisionsWriter(w io.Writer, version string, form decisionsForm) *DecisionsWriter {
	d := &DecisionsWriter{out: bufio.NewWriter(w), form: form, version: version, hash: sha256.New(), authors: make(map[string]bool)}
	d.text("{\n")
	for _, member := range form.head {
		d.text("  \"" + member[0] + "\": " + member[1] + ",\n")
	}
	d.text("  \"" + form.list + "\": [")
	return d
}

// text writes; what goes wrong is told by Close.
func (w *DecisionsWriter) text(s string) { _, _ = w.out.WriteString(s) }

// Write writes decisions.
func (w *DecisionsWriter) Write(list []Decision) error {
	for _, d := range list {
		if d.Timestamp.After(w.created) {
			w.created = d.Timestamp
		}
		if d.Author != "" {
			w.authors[d.Author] = true
		}
		fmt.Fprintf(w.hash, "%q %q %q %q %q %v\n", d.Vulnerability, d.Status, d.Justification, d.Impact, d.Action, d.Products)
		if w.written++; w.written > 1 {
			w.text(",")
		}
		w.text("\n    ")
		if err := w.value(w.form.statement(d), "    "); err != nil {
			return err
		}
	}
	return nil
}

// value writes one as JSON, whose further lines are indented so far.
func (w *DecisionsWriter) value(v any, indent string) error {
	w.line.Reset()
	encoder := json.NewEncoder(&w.line)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent(indent, "  ")
	err := encoder.Encode(v)
	if err == nil {
		_, err = w.out.Write(bytes.TrimRight(w.line.Bytes(), "\n"))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", w.form.name, err)
	}
	return nil
}

// Close ends the document. Without it there is none.
func (w *DecisionsWriter) Close() error {
	if w.written > 0 {
		w.text("\n  ")
	}
	w.text("]")
	for _, member := range w.form.tail(w) {
		w.text(",\n  \"" + member[0].(string) + "\": ")
		if err := w.value(member[1], "  "); err != nil {
			return err
		}
	}
	w.text("\n}\n")
	if err := w.out.Flush(); err != nil {
		return fmt.Errorf("write %s: %w", w.form.name, err)
	}
	return nil
}

// serial is the same for the same document.
func (w *DecisionsWriter) serial() uuid.UUID {
	h := sha256.New()
	fmt.Fprintf(h, "%s %q %x\n", w.created.UTC().Format(time.RFC3339Nano), w.author(), w.hash.Sum(nil))
	id, _ := uuid.FromBytes(h.Sum(nil)[:16])
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80 // version 5, RFC 9562
	return id
}

func (w *DecisionsWriter) author() string {
	names := make([]string, 0, len(w.authors))
	for name := range w.authors {
		names = append(names, name)
	}
	if len(names) == 0 {
		return tool
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
