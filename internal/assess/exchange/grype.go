package exchange

import (
	"errors"
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pratique/pratique/internal/assess"
)

// readGrype reads the ignore rules of Grype's configuration
// (https://github.com/anchore/grype#specifying-matches-to-ignore). Other settings
// are passed over.
func readGrype(root *yaml.Node) ([]assess.ImportLine, error) {
	for _, m := range members(root) {
		if m.key != "ignore" {
			continue
		}
		if m.value.Kind != yaml.SequenceNode {
			return nil, fmt.Errorf("line %d: ignore is not a list", m.line)
		}
		lines := make([]assess.ImportLine, len(m.value.Content))
		for i, item := range m.value.Content {
			lines[i] = grypeRule(item)
		}
		return lines, nil
	}
	return nil, errors.New("it has no ignore rules")
}

func grypeRule(item *yaml.Node) assess.ImportLine {
	line := assess.ImportLine{Number: item.Line}
	rule, err := fieldsOf(item)
	var narrower []string
	var name, version string
	for _, f := range rule {
		var more error
		var text string
		switch f.key {
		case "vulnerability":
			line.Request.Vulnerability, more = f.text()
		case "reason":
			line.Request.Comment, more = f.text()
		case "include-aliases":
		case "package":
			if name, version, line.Note, more = grypePackage(f.value); more != nil {
				more = fmt.Errorf("package: %w", more)
			}
		default: // fix-state, namespace, match-type, vex-status, vex-justification …
			if text, more = f.text(); more == nil && text != "" {
				narrower = append(narrower, clip(f.key))
			}
		}
		if more != nil && err == nil {
			err = more
		}
	}
	line.Text = strings.TrimSpace(line.Request.Vulnerability + " " + name)
	switch {
	case err != nil:
		line.Problem = err.Error()
	case len(narrower) > 0:
		line.Problem = "it holds only where " + strings.Join(narrower, ", ") + " match, which is no scope; the rule of an assessment type may do"
	case line.Request.Vulnerability == "":
		line.Problem = "it names no vulnerability; the rule of an assessment type may do"
	case name != "":
		line.Request.Scope = packageScope(name, version)
	}
	return line
}

func grypePackage(node *yaml.Node) (name, version, note string, err error) {
	fields, err := fieldsOf(node)
	if err != nil {
		return "", "", "", err
	}
	var lost []string
	for _, f := range fields {
		text, err := f.text()
		if err != nil {
			return "", "", "", fmt.Errorf("%s %w", clip(f.key), err)
		}
		switch {
		case text == "":
		case f.key == "name":
			name = text
		case f.key == "version":
			version = text
		case f.key == "type" || f.key == "language":
			lost = append(lost, f.key)
		default:
			return "", "", "", fmt.Errorf("%s is no scope", clip(f.key))
		}
	}
	switch {
	case name == "":
		return "", "", "", errors.New("it has no name")
	case strings.ContainsAny(name, `*^$[]()|\?`):
		return "", "", "", fmt.Errorf("%q is a pattern, which is no scope", clip(name))
	case len(lost) > 0:
		note = "it holds for packages of that name of any " + strings.Join(lost, " and ")
	}
	return name, version, note, nil
}
