// Package exchange reads decisions on vulnerabilities as other programs keep
// them, and writes those that are kept here: CSV as ProGet's users export it,
// .trivyignore and its YAML, Grype's ignore rules, clair-scanner's whitelists,
// and VEX in OpenVEX, CSAF and CycloneDX.
//
// It must not know SQL or HTTP, nor what becomes of what it reads. What a line
// says that no assessment can express makes it a problem, or is noted: a decision
// must not reach further than it did.
package exchange

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"github.com/pratique/pratique/internal/assess"
)

// Format is how a file keeps decisions.
type Format string

// The formats.
const (
	CSV        Format = "csv"
	TrivyLines Format = "trivyignore"
	TrivyYAML  Format = "trivyignore-yaml"
	Grype      Format = "grype"
	Clair      Format = "clair"
	VEX        Format = "vex"
)

// Formats lists all there are.
func Formats() []Format { return []Format{CSV, TrivyLines, TrivyYAML, Grype, Clair, VEX} }

// Options are the choices of Read. The zero value is usable.
type Options struct {
	// Registry is where clair-scanner's names of images are looked for.
	Registry string
}

// Bounds of a file.
const (
	MaxBytes = 8 << 20
	maxYAML  = 2 << 20
	maxLines = 20_000
)

// ErrInvalid is wrapped by what is no file of the format at all.
var ErrInvalid = errors.New("cannot be read")

// Read reads a file, whose format is told by its content where none is given. A
// line that cannot be read is among the lines, with its problem.
func Read(content []byte, format Format, opts Options) (Format, []assess.ImportLine, error) {
	// PowerShell and Excel write UTF-16. What cannot be decoded is no text of any format.
	if text, _, err := transform.Bytes(unicode.BOMOverride(transform.Nop), content); err == nil {
		content = text
	}
	detected := format == ""
	if detected {
		format = detect(content)
	}
	if !slices.Contains(Formats(), format) {
		return format, nil, fmt.Errorf("%w: format %q is not one of %s", ErrInvalid, format, formatNames())
	}
	lines, err := read(content, format, opts)
	if err == nil && len(lines) > maxLines {
		err = fmt.Errorf("it has more than %d decisions", maxLines)
	}
	if err == nil && len(lines) == 0 {
		err = errors.New("it holds no decisions")
	}
	if err == nil && detected && !slices.ContainsFunc(lines, func(l assess.ImportLine) bool { return l.Problem == "" && l.Skip == "" }) {
		err = errors.New("nothing in it decides anything; name the format if it is this one")
	}
	if err != nil {
		return format, nil, fmt.Errorf("%w as %s: %w", ErrInvalid, format, err)
	}
	for i := range lines {
		lines[i].Text = clip(lines[i].Text)
	}
	return format, lines, nil
}

func read(content []byte, format Format, opts Options) ([]assess.ImportLine, error) {
	if len(content) > MaxBytes {
		return nil, fmt.Errorf("it has more than %d bytes", MaxBytes)
	}
	switch format {
	case CSV:
		return readCSV(content)
	case TrivyLines:
		return readTrivyLines(content), nil
	case VEX:
		return readVEX(content)
	}
	if len(content) > maxYAML {
		return nil, fmt.Errorf("it has more than %d bytes", maxYAML)
	}
	root, err := parseYAML(content)
	if err != nil {
		return nil, err
	}
	switch format {
	case TrivyYAML:
		return readTrivyYAML(root)
	case Grype:
		return readGrype(root)
	}
	return readClair(root, opts)
}

func formatNames() string {
	var names []string
	for _, f := range Formats() {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

// detect tells formats by what only one of them has.
func detect(content []byte) Format {
	text := strings.TrimSpace(string(content[:min(len(content), 64<<10)]))
	if strings.HasPrefix(text, "{") {
		return VEX
	}
	header, _, _ := strings.Cut(text, "\n")
	if strings.ContainsAny(header, ",;") && !strings.HasPrefix(header, "#") {
		return CSV
	}
	for line := range strings.Lines(text) {
		switch key, _, _ := strings.Cut(strings.TrimRight(line, "\r\n"), ":"); strings.Trim(key, `"'`) {
		case "vulnerabilities", "misconfigurations", "secrets", "licenses":
			return TrivyYAML
		case "ignore":
			return Grype
		case "generalwhitelist", "images":
			return Clair
		}
	}
	return TrivyLines
}

// clip shortens what is shown of a line, and makes it text.
func clip(s string) string {
	const most = 300
	s = strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", ""), "\uFFFD")
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// moment reads a time: RFC 3339, or a date, which is its first instant in UTC.
func moment(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 && t.Year() <= 9999 {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is not a time such as 2026-12-31 or 2026-12-31T12:00:00Z", clip(text))
}

// packageScope is that of a package, of one version of it where that is not "".
func packageScope(name, version string) assess.Scope {
	if version != "" {
		name += "@" + version
	}
	return assess.Scope{Kind: assess.Package, Value: name}
}
