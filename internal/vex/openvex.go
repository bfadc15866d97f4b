package vex

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

const openVEXNamespace = "https://openvex.dev/ns"

// openVEXContext reports whether an @context is OpenVEX's, of any version.
func openVEXContext(raw json.RawMessage) bool {
	var contexts texts
	if len(raw) == 0 || json.Unmarshal(raw, &contexts) != nil {
		return false
	}
	return slices.ContainsFunc(contexts, func(c string) bool {
		return c == openVEXNamespace || strings.HasPrefix(c, openVEXNamespace+"/")
	})
}

// openVEX is a document of OpenVEX 0.0.1 or 0.2.0
// (https://github.com/openvex/spec/blob/main/OPENVEX-SPEC.md).
type openVEX struct {
	Context     string             `json:"@context"`
	ID          string             `json:"@id"`
	Author      string             `json:"author"`
	Role        string             `json:"role,omitempty"`
	Timestamp   string             `json:"timestamp,omitempty"`
	LastUpdated string             `json:"last_updated,omitempty"`
	Version     json.RawMessage    `json:"version"` // a number, or the text of 0.0.1
	Tooling     string             `json:"tooling,omitempty"`
	Statements  []openVEXStatement `json:"statements"`
}

type openVEXStatement struct {
	Vulnerability   openVEXVulnerability `json:"vulnerability"`
	Timestamp       string               `json:"timestamp,omitempty"`
	LastUpdated     string               `json:"last_updated,omitempty"`
	Products        []openVEXProduct     `json:"products,omitempty"`
	Subcomponents   []openVEXComponent   `json:"subcomponents,omitempty"` // of 0.0.1
	Status          string               `json:"status"`
	Justification   string               `json:"justification,omitempty"`
	ImpactStatement string               `json:"impact_statement,omitempty"`
	ActionStatement string               `json:"action_statement,omitempty"`
}

// openVEXVulnerability is an object; in 0.0.1 it was its name.
type openVEXVulnerability struct {
	ID      string `json:"@id,omitempty"`
	Name    string `json:"name"`
	Aliases texts  `json:"aliases,omitempty"`
}

func (v *openVEXVulnerability) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		return json.Unmarshal(data, &v.Name)
	}
	type plain openVEXVulnerability
	return json.Unmarshal(data, (*plain)(v))
}

// openVEXComponent is an object; in 0.0.1 it was its identifier.
type openVEXComponent struct {
	ID          string            `json:"@id,omitempty"`
	Identifiers map[string]string `json:"identifiers,omitempty"`
	Hashes      map[string]string `json:"hashes,omitempty"`
}

func (c *openVEXComponent) UnmarshalJSON(data []byte) error {
	if bytes.HasPrefix(data, []byte(`"`)) {
		return json.Unmarshal(data, &c.ID)
	}
	type plain openVEXComponent
	return json.Unmarshal(data, (*plain)(c))
}

type openVEXProduct struct {
	openVEXComponent
	Subcomponents []openVEXComponent `json:"subcomponents,omitempty"`
}

func (p *openVEXProduct) UnmarshalJSON(data []byte) error {
	if err := p.openVEXComponent.UnmarshalJSON(data); err != nil || bytes.HasPrefix(data, []byte(`"`)) {
		return err
	}
	var more struct {
		Subcomponents []openVEXComponent `json:"subcomponents"`
	}
	if err := json.Unmarshal(data, &more); err != nil {
		return err
	}
	p.Subcomponents = more.Subcomponents
	return nil
}

// names are the ways in which a component can be recognised.
func (c openVEXComponent) names() []string {
	var names []string
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	add(c.ID)
	add(c.Identifiers["purl"])
	for _, algorithm := range slices.Sorted(maps.Keys(c.Hashes)) {
		if strings.ReplaceAll(strings.ToLower(algorithm), "-", "") == "sha256" {
			add("sha256:" + strings.TrimPrefix(strings.ToLower(c.Hashes[algorithm]), "sha256:"))
		}
	}
	return names
}

func purls(components []openVEXComponent) []string {
	var list []string
	for _, c := range components {
		name := c.Identifiers["purl"]
		if name == "" {
			name = c.ID
		}
		list = append(list, name)
	}
	return list
}

func readOpenVEX(content []byte) (parsed, error) {
	var d struct {
		openVEX
		Statements []json.RawMessage `json:"statements"`
	}
	if err := json.Unmarshal(content, &d); err != nil {
		return parsed{}, fmt.Errorf("OpenVEX: %w", err)
	}
	p := parsed{Document: Document{
		ID: d.ID, Author: d.Author, Format: FormatOpenVEX, Version: strings.Trim(string(d.Version), `"`),
		Issued: latest(moment(d.Timestamp), moment(d.LastUpdated)),
	}}
	for _, raw := range d.Statements {
		var s openVEXStatement
		if err := json.Unmarshal(raw, &s); err != nil {
			// Without a status it is named among the skipped.
			p.statements = append(p.statements, Statement{Vulnerability: s.Vulnerability.Name, Status: Status("malformed: " + err.Error())})
			continue
		}
		name := s.Vulnerability.Name
		if name == "" {
			name = s.Vulnerability.ID[strings.LastIndexByte(s.Vulnerability.ID, '/')+1:]
		}
		out := Statement{
			Vulnerability: name, Aliases: s.Vulnerability.Aliases, Status: Status(s.Status), Justification: s.Justification,
			Impact: s.ImpactStatement, Action: s.ActionStatement, Timestamp: latest(moment(s.Timestamp), moment(s.LastUpdated)),
		}
		for _, product := range s.Products {
			of := purls(product.Subcomponents)
			if len(of) == 0 {
				of = purls(s.Subcomponents)
			}
			names := product.names()
			if len(names) == 0 {
				// No products at all would mean the image it is attached to.
				names = []string{"unidentified"}
			}
			for _, id := range names {
				out.Products = append(out.Products, Product{ID: id, Subcomponents: of})
			}
		}
		p.statements = append(p.statements, out)
	}
	return p, nil
}

// readInToto reads a statement whose predicate is OpenVEX
// (https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md).
func readInToto(content []byte, depth int) (parsed, error) {
	var statement struct {
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate"`
		Subject       []struct {
			Digest map[string]string `json:"digest"`
		} `json:"subject"`
	}
	if err := json.Unmarshal(content, &statement); err != nil {
		return parsed{}, fmt.Errorf("in-toto statement: %w", err)
	}
	if t := statement.PredicateType; t != openVEXNamespace && !strings.HasPrefix(t, openVEXNamespace+"/") {
		return parsed{}, fmt.Errorf("%w: the predicate is of type %q", ErrNotVEX, clip(t, maxName))
	}
	p, err := read(statement.Predicate, depth+1)
	if err != nil {
		return parsed{}, err
	}
	for _, s := range statement.Subject {
		if hex := s.Digest["sha256"]; hex != "" {
			p.subjects = append(p.subjects, Product{ID: "sha256:" + hex})
		}
	}
	return p, nil
}

// readEnvelope reads the payload of a DSSE envelope
// (https://github.com/secure-systems-lab/dsse/blob/master/envelope.md). Its
// signatures are not verified.
func readEnvelope(content []byte, depth int) (parsed, error) {
	var envelope struct {
		PayloadType string `json:"payloadType"`
		Payload     string `json:"payload"`
	}
	if err := json.Unmarshal(content, &envelope); err != nil {
		return parsed{}, fmt.Errorf("DSSE envelope: %w", err)
	}
	payload, err := base64.StdEncoding.DecodeString(envelope.Payload)
	if err != nil {
		if payload, err = base64.URLEncoding.DecodeString(envelope.Payload); err != nil {
			return parsed{}, fmt.Errorf("DSSE envelope: payload: %w", err)
		}
	}
	return read(payload, depth+1)
}
