package exchange

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/vex"
)

// readVEX reads OpenVEX, CSAF or CycloneDX. A line is a statement, and each of its
// products makes a decision.
func readVEX(content []byte) ([]assess.ImportLine, error) {
	d, err := vex.Read(bytes.NewReader(content), vex.Limits{})
	if err != nil {
		return nil, err
	}
	var lines []assess.ImportLine
	for _, skipped := range d.Skipped {
		line := assess.ImportLine{Problem: skipped}
		if _, err := fmt.Sscanf(skipped, "statement %d on", &line.Number); err != nil {
			line.Problem = "statements that cannot be read: " + skipped
		}
		lines = append(lines, line)
	}
	for i, s := range d.Statements {
		if len(lines) > maxLines {
			break
		}
		lines = append(lines, statement(i+1, d, s)...)
	}
	return lines, nil
}

func statement(number int, d vex.Document, s vex.Statement) []assess.ImportLine {
	line := assess.ImportLine{Number: number, Text: s.Vulnerability + " " + string(s.Status), Request: assess.Request{
		Vulnerability: s.Vulnerability, Author: d.Author,
	}}
	switch s.Status {
	case vex.NotAffected, vex.Fixed:
		line.Request.Comment = s.Impact
		for _, known := range assess.Justifications() {
			if s.Justification == known {
				line.Request.Justification = known
			}
		}
		if line.Request.Justification == "" && s.Justification != "" {
			line.Request.Comment = strings.TrimSpace(s.Justification + ". " + s.Impact)
		}
	case vex.Affected:
		line.Request.Type, line.Request.Comment = assess.Warning, s.Action
	default:
		line.Skip = "it is under investigation"
		return []assess.ImportLine{line}
	}
	if len(s.Products) == 0 {
		return []assess.ImportLine{line}
	}
	var lines []assess.ImportLine
	seen := make(map[assess.Scope]bool)
	for _, p := range s.Products {
		one := line
		one.Text += " " + p.ID
		scope, note, err := scopeOf(p)
		if err != nil {
			one.Problem = err.Error()
		} else if seen[scope] {
			continue // the identifiers of one product
		}
		seen[scope] = true
		one.Request.Scope, one.Note = scope, note
		lines = append(lines, one)
	}
	return lines
}

// scopeOf is where a statement on a product holds.
func scopeOf(p vex.Product) (assess.Scope, string, error) {
	if rest, ok := strings.CutPrefix(p.ID, scopeURN); ok {
		kind, value, _ := strings.Cut(rest, ":")
		return assess.Scope{Kind: assess.ScopeKind(kind), Value: value}, "", nil
	}
	if digest, ok := vex.ImageDigest(p.ID); ok {
		if digest == "" {
			return assess.Scope{}, "", fmt.Errorf("image %q has no digest", clip(p.ID))
		}
		note := ""
		if len(p.Subcomponents) > 0 {
			note = fmt.Sprintf("it holds for the whole image, not only %d of its packages", len(p.Subcomponents))
		}
		return assess.Scope{Kind: assess.Image, Value: digest}, note, nil
	}
	if len(p.Subcomponents) > 0 {
		return assess.Scope{}, "", errors.New("a package in a package is no scope")
	}
	return scopeOfPURL(p.ID)
}

// scopeURN begins the products of scopes that no purl can name.
const scopeURN = "urn:pratique:scope:"

// scopeOfPURL is the scope of a package (https://github.com/package-url/purl-spec).
func scopeOfPURL(text string) (assess.Scope, string, error) {
	p, err := packageurl.FromString(text)
	if err != nil {
		return assess.Scope{}, "", fmt.Errorf("%q is not a purl: %w", clip(text), err)
	}
	if p.Type == packageurl.TypeOCI || p.Type == packageurl.TypeDocker {
		return scopeOf(vex.Product{ID: text})
	}
	name, version := p.Name, p.Version
	switch p.Type {
	case "deb", "apk", "rpm":
		if epoch := p.Qualifiers.Map()["epoch"]; epoch != "" && version != "" && p.Type == "rpm" {
			version = epoch + ":" + version
		}
	case "maven":
		if p.Namespace != "" {
			name = p.Namespace + ":" + name
		}
	default:
		if p.Namespace != "" {
			name = p.Namespace + "/" + name
		}
	}
	note := ""
	if p.Type != "generic" {
		note = "it holds for packages of that name of any type"
	}
	return packageScope(name, version), note, nil
}

// Product names a scope as readVEX reads it; "" for everywhere.
func Product(s assess.Scope) string {
	switch s.Kind {
	case assess.Everywhere:
		return ""
	case assess.Image:
		return packageurl.NewPackageURL(packageurl.TypeOCI, "", "image", s.Value, nil, "").ToString()
	case assess.Package:
		name, version := s.Package()
		namespace := ""
		if at := strings.LastIndexByte(name, '/'); at > 0 && at < len(name)-1 {
			namespace, name = name[:at], name[at+1:]
		}
		return packageurl.NewPackageURL("generic", namespace, name, version, nil, "").ToString()
	}
	return scopeURN + string(s.Kind) + ":" + s.Value
}
