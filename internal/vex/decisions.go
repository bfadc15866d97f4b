package vex

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
)

// Decisions are statements that are of no image in particular, to be written as
// one document.
type Decisions struct {
	// Authors are who decided, Created is when the last decision was taken.
	Authors []string
	Created time.Time
	// Version is that of this program.
	Version    string
	Statements []Statement
}

func (d Decisions) serial() uuid.UUID {
	h := sha256.New()
	fmt.Fprintln(h, d.Created.UTC().Format(time.RFC3339Nano), d.Authors)
	for _, s := range d.Statements {
		fmt.Fprintf(h, "%q %q %q %q %q %v\n", s.Vulnerability, s.Status, s.Justification, s.Impact, s.Action, s.Products)
	}
	id, _ := uuid.FromBytes(h.Sum(nil)[:16])
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80 // version 5, RFC 9562
	return id
}

func (d Decisions) author() string {
	if len(d.Authors) == 0 {
		return tool
	}
	return strings.Join(d.Authors, ", ")
}

// WriteDecisionsOpenVEX writes OpenVEX 0.2.0.
func WriteDecisionsOpenVEX(w io.Writer, d Decisions) error {
	document := openVEX{
		Context: openVEXNamespace + "/v0.2.0", ID: "https://pratique.invalid/vex/" + d.serial().String(), Author: d.author(),
		Timestamp: stamp(d.Created), Version: json.RawMessage("1"), Tooling: tool + " " + d.Version, Statements: []openVEXStatement{},
	}
	for _, s := range d.Statements {
		statement := openVEXStatement{Vulnerability: openVEXVulnerability{Name: s.Vulnerability}, Timestamp: stamp(s.Timestamp), Status: string(s.Status),
			Justification: s.Justification, ImpactStatement: s.Impact, ActionStatement: s.Action}
		for _, p := range s.Products {
			c := openVEXComponent{ID: p.ID}
			if strings.HasPrefix(p.ID, "pkg:") {
				c = component(p.ID)
			}
			statement.Products = append(statement.Products, openVEXProduct{openVEXComponent: c})
		}
		document.Statements = append(document.Statements, statement)
	}
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(document); err != nil {
		return fmt.Errorf("write OpenVEX: %w", err)
	}
	return nil
}

// WriteDecisionsCycloneDX writes CycloneDX 1.6 with analyses alone: what they
// affect is named by package URLs and the like, not by components.
func WriteDecisionsCycloneDX(w io.Writer, d Decisions) error {
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = d.serial().URN()
	contacts := []cyclonedx.OrganizationalContact{{Name: d.author()}}
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: stamp(d.Created), Authors: &contacts,
		Tools: &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{Type: cyclonedx.ComponentTypeApplication, Name: tool, Version: d.Version}}},
	}
	vulnerabilities := []cyclonedx.Vulnerability{}
	for _, s := range d.Statements {
		v := cyclonedx.Vulnerability{ID: s.Vulnerability, Analysis: &cyclonedx.VulnerabilityAnalysis{State: cyclonedx.IASExploitable, FirstIssued: stamp(s.Timestamp)}}
		if s.Status == NotAffected {
			v.Analysis.State, v.Analysis.Detail, v.Analysis.Justification = cyclonedx.IASNotAffected, s.Impact, cycloneDXJustification(s.Justification)
		} else {
			v.Recommendation = s.Action
		}
		var affects []cyclonedx.Affects
		for _, p := range s.Products {
			affects = append(affects, cyclonedx.Affects{Ref: p.ID})
		}
		if len(affects) > 0 {
			v.Affects = &affects
		}
		vulnerabilities = append(vulnerabilities, v)
	}
	bom.Vulnerabilities = &vulnerabilities
	encoder := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	if err := encoder.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return fmt.Errorf("write CycloneDX: %w", err)
	}
	return nil
}
