package exchange

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"

	"github.com/pratique/pratique/internal/assess"
)

// columns are the names of columns, in lower case and without what is neither
// letter nor digit, by what they hold: ours, and those of exports from ProGet.
var columns = map[string]string{
	"vulnerability": "vulnerability", "vulnerabilityid": "vulnerability", "id": "vulnerability", "cve": "vulnerability", "externalid": "vulnerability",
	"type": "type", "assessment": "type", "assessmenttype": "type", "assessedas": "type", "status": "type",
	"scopekind": "kind", "scopevalue": "value",
	"package": "package", "packagename": "package", "packageversion": "version",
	"registry": "registry", "feed": "registry", "feedname": "registry",
	"comment": "comment", "comments": "comment", "reason": "comment", "notes": "comment",
	"justification": "justification",
	"author":        "author", "user": "author", "username": "author", "assessedby": "author",
	"createdat": "created", "date": "created", "assesseddate": "created", "assessmentdate": "created",
	"expiresat": "expires", "expires": "expires", "expiry": "expires", "expirationdate": "expires", "expiration": "expires",
}

// header are the columns that are written.
var header = []string{"vulnerability", "type", "scope_kind", "scope_value", "comment", "justification", "author", "created_at", "expires_at"}

// readCSV reads a file with a header (RFC 4180); fields are separated by commas,
// or by semicolons where the header is.
func readCSV(content []byte) ([]assess.ImportLine, error) {
	r := csv.NewReader(bytes.NewReader(content))
	first, _, _ := bytes.Cut(content, []byte("\n"))
	if bytes.Count(first, []byte(";")) > bytes.Count(first, []byte(",")) {
		r.Comma = ';'
	}
	r.FieldsPerRecord = -1
	names, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	at := make(map[string]int)
	for i, name := range names {
		what := columns[strings.Map(func(c rune) rune {
			if unicode.IsLetter(c) || unicode.IsDigit(c) {
				return unicode.ToLower(c)
			}
			return -1
		}, name)]
		if _, twice := at[what]; what != "" && !twice {
			at[what] = i
		}
	}
	if _, ok := at["vulnerability"]; !ok {
		return nil, errors.New("the header names no column vulnerability")
	}
	if _, ok := at["type"]; !ok {
		return nil, errors.New("the header names no column type")
	}
	var lines []assess.ImportLine
	for len(lines) <= maxLines {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		var malformed *csv.ParseError
		if errors.As(err, &malformed) {
			lines = append(lines, assess.ImportLine{Number: malformed.StartLine, Problem: malformed.Err.Error()})
			continue
		}
		if err != nil {
			return nil, err
		}
		number, _ := r.FieldPos(0)
		lines = append(lines, csvLine(number, record, at, len(names)))
	}
	return lines, nil
}

func csvLine(number int, record []string, at map[string]int, width int) assess.ImportLine {
	line := assess.ImportLine{Number: number, Text: strings.Join(record, ",")}
	if len(record) != width {
		line.Problem = fmt.Sprintf("it has %d fields, and the header %d", len(record), width)
		return line
	}
	field := func(what string) string {
		if i, ok := at[what]; ok {
			return harmful(strings.TrimSpace(record[i]))
		}
		return ""
	}
	line.Request = assess.Request{
		Vulnerability: field("vulnerability"), Type: field("type"), Comment: field("comment"), Justification: field("justification"), Author: field("author"),
		Scope: assess.Scope{Kind: assess.ScopeKind(strings.ToLower(field("kind"))), Value: field("value")},
	}
	if line.Request.Type == "" {
		line.Skip = "it is not assessed"
	}
	if line.Request.Scope.Kind == "" {
		var err error
		if line.Request.Scope, line.Note, err = proGetScope(field("package"), field("version"), field("registry")); err != nil {
			line.Problem = err.Error()
		}
	}
	if text := field("expires"); text != "" {
		end, err := moment(text)
		if err != nil {
			line.Problem = "expires: " + err.Error()
		}
		line.Request.Expiry.At = end
	}
	if text := field("created"); text != "" {
		line.Request.Note = "decided on " + clip(text)
	}
	return line
}

// proGetScope is where a decision of ProGet holds: on a package, or in a feed.
// Those of ProGet on containers are on layers.
func proGetScope(pkg, version, registry string) (assess.Scope, string, error) {
	note := ""
	if strings.HasPrefix(pkg, "sha256:") {
		pkg, version, note = "", "", "it was decided for one layer"
	}
	switch {
	case pkg != "" && registry != "":
		return assess.Scope{}, "", errors.New("a package in one registry alone is no scope: leave one of them out")
	case pkg != "":
		if strings.ContainsAny(version, "<>=[]() ,*") {
			return assess.Scope{}, "", fmt.Errorf("a range of versions, %q, is no scope", clip(version))
		}
		return packageScope(pkg, version), note, nil
	case registry != "":
		return assess.Scope{Kind: assess.Registry, Value: registry}, note, nil
	}
	return assess.Scope{}, note, nil
}

// formula are what programs take the start of a formula for
// (https://owasp.org/www-community/attacks/CSV_Injection).
const formula = "=+-@\t\r"

// Harmless puts an apostrophe in front of what a spreadsheet would compute, and
// of what has one in front of such already.
func Harmless(field string) string {
	if rest := strings.TrimLeft(field, "'"); rest != "" && strings.ContainsRune(formula, rune(rest[0])) {
		return "'" + field
	}
	return field
}

// harmful takes the apostrophe off.
func harmful(field string) string {
	if rest := strings.TrimLeft(field, "'"); rest != field && rest != "" && strings.ContainsRune(formula, rune(rest[0])) {
		return field[1:]
	}
	return field
}

// CSVWriter writes assessments as Read reads them.
type CSVWriter struct{ w *csv.Writer }

// NewCSVWriter writes the header.
func NewCSVWriter(w io.Writer) (*CSVWriter, error) {
	out := &CSVWriter{csv.NewWriter(w)}
	return out, out.w.Write(header)
}

// Write writes assessments.
func (c *CSVWriter) Write(list []assess.Assessment) error {
	for _, a := range list {
		expires := ""
		if !a.ExpiresAt.IsZero() {
			expires = a.ExpiresAt.UTC().Format(timeLayout)
		}
		record := []string{a.Vulnerability, a.Type, string(a.Scope.Kind), a.Scope.Value, a.Comment, a.Justification, a.Author, a.CreatedAt.UTC().Format(timeLayout), expires}
		for i, field := range record {
			record[i] = Harmless(field)
		}
		if err := c.w.Write(record); err != nil {
			return fmt.Errorf("write CSV: %w", err)
		}
	}
	c.w.Flush()
	return c.w.Error()
}

// timeLayout keeps all that databases do.
const timeLayout = "2006-01-02T15:04:05.999999Z07:00"
