package exchange

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/pratique/pratique/internal/assess"
)

// identifier is what ids of vulnerabilities look like: a publisher, and a number
// with a year or a name of its own. Those of Trivy's other checks (DS002,
// AVD-AWS-0001, aws-access-key-id) do not.
var identifier = regexp.MustCompile(`^(CVE-\d{4}-\d+|GHSA(-[0-9a-z]{4}){3}|(?:[A-Z]{2,12})-(?:\d{4}[-:]|[A-Z]*-?\d{2,})[0-9A-Za-z:.-]*|ALAS[0-9A-Z.]*-\d{4}-\d+|TEMP-\d{7}-[0-9A-F]{6})$`)

func isVulnerability(id string) bool {
	return identifier.MatchString(id) && !strings.HasPrefix(id, "AVD-") && !strings.HasPrefix(id, "KSV-")
}

// readTrivyLines reads a .trivyignore
// (https://trivy.dev/latest/docs/configuration/filtering/#trivyignore): an id on
// a line, which exp:DATE may follow. The comments right above it say why.
func readTrivyLines(content []byte) []assess.ImportLine {
	var lines []assess.ImportLine
	var comments []string
	number := 0
	for text := range strings.Lines(string(content)) {
		number++
		text = strings.TrimSpace(text)
		if comment, ok := strings.CutPrefix(text, "#"); ok {
			comments = append(comments, strings.TrimSpace(comment))
			continue
		}
		if text == "" {
			comments = nil
			continue
		}
		if len(lines) > maxLines {
			break
		}
		line := trivyLine(text)
		line.Number, line.Text = number, text
		if line.Request.Comment == "" {
			line.Request.Comment = strings.TrimSpace(strings.Join(comments, "\n"))
		}
		lines = append(lines, line)
		comments = nil
	}
	return lines
}

func trivyLine(text string) (line assess.ImportLine) {
	if text, comment, ok := strings.Cut(text, " #"); ok {
		line = trivyLine(strings.TrimSpace(text))
		line.Request.Comment = strings.TrimSpace(comment)
		return line
	}
	fields := strings.Fields(text)
	id := fields[0]
	line.Request.Vulnerability = id
	if !isVulnerability(id) {
		line.Skip = "it is not the id of a vulnerability"
		if len(id) > 64 || strings.ContainsAny(id, "<>{}\x00\uFFFD") {
			line.Problem = "it is neither an id nor a comment"
		}
	}
	for _, field := range fields[1:] {
		date, ok := strings.CutPrefix(field, "exp:")
		if !ok {
			line.Problem = fmt.Sprintf("%q is not exp:DATE", clip(field))
			continue
		}
		end, err := moment(date)
		if err != nil {
			line.Problem = err.Error()
		}
		line.Request.Expiry.At = end
	}
	return line
}

// readTrivyYAML reads a .trivyignore.yaml
// (https://trivy.dev/latest/docs/configuration/filtering/#trivyignoreyaml).
func readTrivyYAML(root *yaml.Node) ([]assess.ImportLine, error) {
	sections := members(root)
	var lines []assess.ImportLine
	for _, section := range sections {
		switch section.key {
		case "vulnerabilities":
		case "misconfigurations", "secrets", "licenses":
			for _, item := range section.value.Content {
				lines = append(lines, assess.ImportLine{Number: item.Line, Text: section.key, Skip: "it is not about vulnerabilities, but " + section.key})
			}
			continue
		default:
			return nil, fmt.Errorf("line %d: %q is not known", section.line, clip(section.key))
		}
		if section.value.Kind != yaml.SequenceNode {
			if section.value.Tag == "!!null" {
				continue
			}
			return nil, fmt.Errorf("line %d: %s is not a list", section.line, section.key)
		}
		for _, item := range section.value.Content {
			lines = append(lines, trivyEntry(item)...)
		}
	}
	return lines, nil
}

// trivyEntry is one line for each purl of an entry, else one.
func trivyEntry(item *yaml.Node) []assess.ImportLine {
	line := assess.ImportLine{Number: item.Line}
	var purls []string
	fields, err := fieldsOf(item)
	for _, f := range fields {
		var more error
		switch f.key {
		case "id":
			line.Request.Vulnerability, more = f.text()
		case "statement":
			line.Request.Comment, more = f.text()
		case "expired_at":
			var text string
			if text, more = f.text(); more == nil && text != "" {
				line.Request.Expiry.At, more = moment(text)
			}
		case "purls":
			purls, more = f.texts()
		case "paths":
			var paths []string
			if paths, more = f.texts(); more == nil && len(paths) > 0 {
				more = errors.New("it holds for some paths only, which is no scope")
			}
		default:
			more = errors.New("is not known")
		}
		if more != nil && err == nil {
			err = fmt.Errorf("%s: %w", clip(f.key), more)
		}
	}
	line.Text = line.Request.Vulnerability
	if line.Request.Vulnerability == "" && err == nil {
		err = errors.New("it has no id")
	}
	if err != nil {
		line.Problem = err.Error()
		return []assess.ImportLine{line}
	}
	if len(purls) == 0 {
		return []assess.ImportLine{line}
	}
	var lines []assess.ImportLine
	for _, purl := range purls {
		one := line
		one.Text += " " + purl
		scope, note, err := scopeOfPURL(purl)
		if err != nil {
			one.Problem = err.Error()
		}
		one.Request.Scope, one.Note = scope, note
		lines = append(lines, one)
	}
	return lines
}
