package vex

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/CycloneDX/cyclonedx-go"
)

// cycloneDX is the part of a CycloneDX document that matters here
// (https://cyclonedx.org/docs/1.6/json/#vulnerabilities).
type cycloneDX struct {
	Serial   string `json:"serialNumber"`
	Version  int    `json:"version"`
	Metadata struct {
		Timestamp string `json:"timestamp"`
		Authors   []struct {
			Name string `json:"name"`
		} `json:"authors"`
		Supplier struct {
			Name string `json:"name"`
		} `json:"supplier"`
		Manufacturer struct {
			Name string `json:"name"`
		} `json:"manufacturer"`
		Component *cycloneComponent `json:"component"`
	} `json:"metadata"`
	Components      []cycloneComponent `json:"components"`
	Vulnerabilities []struct {
		ID         string `json:"id"`
		References []struct {
			ID string `json:"id"`
		} `json:"references"`
		Recommendation string `json:"recommendation"`
		Published      string `json:"published"`
		Updated        string `json:"updated"`
		Analysis       *struct {
			State         string   `json:"state"`
			Justification string   `json:"justification"`
			Response      []string `json:"response"`
			Detail        string   `json:"detail"`
			FirstIssued   string   `json:"firstIssued"`
			LastUpdated   string   `json:"lastUpdated"`
		} `json:"analysis"`
		Affects []struct {
			Ref string `json:"ref"`
		} `json:"affects"`
	} `json:"vulnerabilities"`
}

type cycloneComponent struct {
	Ref        string             `json:"bom-ref"`
	PURL       string             `json:"purl"`
	Version    string             `json:"version"`
	Type       string             `json:"type"`
	Components []cycloneComponent `json:"components"`
}

// cycloneStates and cycloneJustifications are CycloneDX's words in OpenVEX's.
var (
	cycloneStates = map[string]Status{
		"not_affected": NotAffected, "false_positive": NotAffected, "resolved": Fixed, "resolved_with_pedigree": Fixed,
		"exploitable": Affected, "in_triage": UnderInvestigation,
	}
	cycloneJustifications = map[string]string{
		"code_not_present": "vulnerable_code_not_present", "code_not_reachable": "vulnerable_code_not_in_execute_path",
		"requires_configuration": "vulnerable_code_cannot_be_controlled_by_adversary", "requires_dependency": "component_not_present",
		"requires_environment":            "vulnerable_code_cannot_be_controlled_by_adversary",
		"protected_by_compiler":           "inline_mitigations_already_exist",
		"protected_at_runtime":            "inline_mitigations_already_exist",
		"protected_at_perimeter":          "inline_mitigations_already_exist",
		"protected_by_mitigating_control": "inline_mitigations_already_exist",
	}
)

func readCycloneDX(content []byte) (parsed, error) {
	var d cycloneDX
	if err := json.Unmarshal(content, &d); err != nil {
		return parsed{}, fmt.Errorf("CycloneDX: %w", err)
	}
	p := parsed{Document: Document{
		ID: d.Serial, Format: FormatCycloneDX, Version: strconv.Itoa(d.Version), Issued: moment(d.Metadata.Timestamp),
	}}
	names := make([]string, 0, len(d.Metadata.Authors))
	for _, a := range d.Metadata.Authors {
		names = append(names, a.Name)
	}
	p.Author = strings.Join(names, ", ")
	for _, other := range []string{d.Metadata.Supplier.Name, d.Metadata.Manufacturer.Name} {
		if p.Author == "" {
			p.Author = other
		}
	}
	refs := make(map[string]string)
	image := ""
	if c := d.Metadata.Component; c != nil {
		image = c.image()
		refs[c.Ref] = image
	}
	for open := slices.Clone(d.Components); len(open) > 0; {
		c := open[len(open)-1]
		open = append(open[:len(open)-1], c.Components...)
		if c.Ref != "" && c.PURL != "" {
			refs[c.Ref] = c.PURL
		}
	}
	for _, v := range d.Vulnerabilities {
		if v.Analysis == nil || v.Analysis.State == "" {
			continue // a finding, not a statement
		}
		state, known := cycloneStates[v.Analysis.State]
		if !known {
			state = Status(v.Analysis.State)
		}
		s := Statement{
			Vulnerability: v.ID, Status: state, Justification: cycloneJustifications[v.Analysis.Justification],
			Impact: v.Analysis.Detail, Action: v.Recommendation,
			Timestamp: latest(moment(v.Analysis.FirstIssued), moment(v.Analysis.LastUpdated)),
		}
		for _, r := range v.References {
			s.Aliases = append(s.Aliases, r.ID)
		}
		if s.Action == "" {
			s.Action = strings.Join(v.Analysis.Response, ", ")
		}
		for _, a := range v.Affects {
			s.Products = append(s.Products, product(a.Ref, refs, image))
		}
		p.statements = append(p.statements, s)
	}
	if len(p.statements) == 0 {
		return parsed{}, fmt.Errorf("%w: a CycloneDX document without analyses of vulnerabilities", ErrNotVEX)
	}
	return p, nil
}

// image names the image that a document is about; "" where it is of none.
func (c cycloneComponent) image() string {
	switch {
	case c.PURL != "":
		return c.PURL
	case isImage(c.Version):
		return c.Version
	case isImage(c.Ref):
		return c.Ref
	}
	return ""
}

// product resolves a reference: a bom-ref, the end of a BOM-Link
// (https://cyclonedx.org/capabilities/bomlink/), or a purl itself. A package of
// a document on an image is meant in that image.
func product(ref string, refs map[string]string, image string) Product {
	id := ref
	if link, fragment, ok := strings.Cut(ref, "#"); ok && strings.HasPrefix(link, "urn:cdx:") {
		id = fragment
		if plain, err := url.PathUnescape(fragment); err == nil {
			id = plain
		}
	}
	if resolved := refs[id]; resolved != "" {
		id = resolved
	}
	if isImage(image) && !isImage(id) {
		return Product{ID: image, Subcomponents: []string{id}}
	}
	return Product{ID: id}
}

// cycloneDXJustification is one of OpenVEX's justifications in CycloneDX's words.
func cycloneDXJustification(openVEX string) cyclonedx.ImpactAnalysisJustification {
	switch openVEX {
	case "component_not_present":
		return cyclonedx.IAJRequiresDependency
	case "vulnerable_code_not_present":
		return cyclonedx.IAJCodeNotPresent
	case "vulnerable_code_not_in_execute_path":
		return cyclonedx.IAJCodeNotReachable
	case "vulnerable_code_cannot_be_controlled_by_adversary":
		return cyclonedx.IAJRequiresEnvironment
	case "inline_mitigations_already_exist":
		return cyclonedx.IAJProtectedByMitigatingControl
	}
	return ""
}
