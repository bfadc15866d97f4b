// Package vex is about VEX: what suppliers say of vulnerabilities in their
// products. It reads documents in OpenVEX, CSAF 2.0 and CycloneDX, applies what
// they state of stored images as assessments, and writes an image's assessments
// as VEX.
//
// It must not know SQL or HTTP. It does not verify signatures: who says
// something is what the document claims, who brought it is known.
package vex

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"
)

// Status is what a statement says of a product.
type Status string

// The statuses (https://github.com/openvex/spec, "Status Labels").
const (
	NotAffected        Status = "not_affected"
	Affected           Status = "affected"
	Fixed              Status = "fixed"
	UnderInvestigation Status = "under_investigation"
)

// clears reports whether the status says that there is nothing to fear.
func (s Status) clears() bool { return s == NotAffected || s == Fixed }

func (s Status) valid() bool {
	switch s {
	case NotAffected, Affected, Fixed, UnderInvestigation:
		return true
	}
	return false
}

// The formats.
const (
	FormatOpenVEX   = "openvex"
	FormatCSAF      = "csaf"
	FormatCycloneDX = "cyclonedx"
)

// Document is a VEX document.
type Document struct {
	// ID is the publisher's, "" where there is none. Author is who says it.
	ID, Author, Format, Version string
	// Issued is when the document was last changed; zero where it does not say.
	Issued     time.Time
	Statements []Statement
	// Skipped names what could not be read, and why.
	Skipped []string
}

// Statement is what a document says of a vulnerability in some products.
type Statement struct {
	// Vulnerability is the name that the document uses, Aliases are others.
	Vulnerability string    `json:"vulnerability"`
	Aliases       []string  `json:"aliases,omitempty"`
	Products      []Product `json:"products,omitempty"`
	Status        Status    `json:"status"`
	// Justification is one of OpenVEX's labels, such as component_not_present.
	Justification string `json:"justification,omitempty"`
	// Impact and Action are for people.
	Impact string `json:"impact,omitempty"`
	Action string `json:"action,omitempty"`
	// Timestamp is the document's where the statement has none.
	Timestamp time.Time `json:"timestamp"`
}

// Names are the names of the vulnerability, each once.
func (s Statement) Names() []string {
	names := []string{s.Vulnerability}
	seen := map[string]bool{s.Vulnerability: true}
	for _, alias := range s.Aliases {
		if alias != "" && !seen[alias] {
			seen[alias] = true
			names = append(names, alias)
		}
	}
	return names
}

// about makes the image the product of the statements that name none.
func (d Document) about(image string) {
	for i := range d.Statements {
		if len(d.Statements[i].Products) == 0 && image != "" {
			d.Statements[i].Products = []Product{{ID: image}}
		}
	}
}

// Product is an image or a package, by purl or digest.
type Product struct {
	ID string `json:"id"`
	// Subcomponents, where there are any, are the packages of the product that
	// are meant, by purl.
	Subcomponents []string `json:"subcomponents,omitempty"`
}

// ErrNotVEX is returned for JSON of another kind.
var ErrNotVEX = errors.New("not a VEX document")

// Limits bound what a document may hold. What is beyond is refused, for half of
// what someone states may be the contrary of it.
type Limits struct {
	Bytes      int64 // 8 MiB where zero
	Statements int   // 20,000 where zero
	Products   int   // of all statements, with subcomponents; 100,000 where zero
}

func (l Limits) orDefault() Limits {
	if l.Bytes == 0 {
		l.Bytes = 8 << 20
	}
	if l.Statements == 0 {
		l.Statements = 20_000
	}
	if l.Products == 0 {
		l.Products = 100_000
	}
	return l
}

// Bounds of single values, in bytes. Texts are cut, names are refused.
const (
	maxName    = 200
	maxID      = 1000
	maxText    = 2000
	maxAliases = 100
	maxSkipped = 20
)

// Read reads a document: OpenVEX 0.0.1 and 0.2.0, CSAF 2.0, CycloneDX with
// analyses, and in-toto statements on OpenVEX, plain, in a DSSE envelope or in a
// Sigstore bundle. It returns ErrNotVEX for JSON that is something else. A
// statement that cannot be read is left out and named in Skipped.
func Read(r io.Reader, limits Limits) (Document, error) {
	limits = limits.orDefault()
	content, err := io.ReadAll(io.LimitReader(r, limits.Bytes+1))
	if err != nil {
		return Document{}, fmt.Errorf("read VEX document: %w", err)
	}
	if int64(len(content)) > limits.Bytes {
		return Document{}, fmt.Errorf("VEX document: it has more than %d bytes", limits.Bytes)
	}
	d, err := read(content, 0)
	if err != nil {
		return Document{}, fmt.Errorf("VEX document: %w", err)
	}
	b := builder{limits: limits, document: d.Document, subjects: d.subjects}
	for i, s := range d.statements {
		if err := b.add(i, s); err != nil {
			return Document{}, fmt.Errorf("VEX document: %w", err)
		}
	}
	return b.finish(), nil
}

// parsed is a document whose statements are not checked yet.
type parsed struct {
	Document
	statements []Statement
	// subjects are what an envelope is about: the products of statements
	// without any.
	subjects []Product
}

// read tells the format by the members that only one has.
func read(content []byte, depth int) (parsed, error) {
	const maxDepth = 3 // a bundle, an envelope, a statement
	if depth > maxDepth {
		return parsed{}, fmt.Errorf("%w: envelopes in envelopes", ErrNotVEX)
	}
	var kind struct {
		Context       json.RawMessage `json:"@context"`
		BOMFormat     string          `json:"bomFormat"`
		Document      json.RawMessage `json:"document"`
		PayloadType   string          `json:"payloadType"`
		PredicateType string          `json:"predicateType"`
		Envelope      json.RawMessage `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(bytes.TrimPrefix(content, []byte("\xef\xbb\xbf")), &kind); err != nil {
		return parsed{}, fmt.Errorf("%w: %w", ErrNotVEX, err)
	}
	content = bytes.TrimPrefix(content, []byte("\xef\xbb\xbf"))
	switch {
	case openVEXContext(kind.Context):
		return readOpenVEX(content)
	case kind.BOMFormat == "CycloneDX":
		return readCycloneDX(content)
	case kind.PredicateType != "":
		return readInToto(content, depth)
	case kind.PayloadType != "":
		return readEnvelope(content, depth)
	case len(kind.Envelope) > 0:
		return read(kind.Envelope, depth+1)
	case len(kind.Document) > 0:
		return readCSAF(content)
	}
	return parsed{}, ErrNotVEX
}

// builder checks statements.
type builder struct {
	limits   Limits
	document Document
	subjects []Product
	products int
	skipped  int
}

func (b *builder) skip(i int, s Statement, format string, args ...any) {
	if b.skipped++; b.skipped <= maxSkipped {
		b.document.Skipped = append(b.document.Skipped,
			fmt.Sprintf("statement %d on %q: ", i+1, clip(s.Vulnerability, 60))+fmt.Sprintf(format, args...))
	}
}

func (b *builder) add(i int, s Statement) error {
	if len(s.Products) == 0 {
		s.Products = b.subjects
	}
	b.products += len(s.Products)
	for _, p := range s.Products {
		b.products += len(p.Subcomponents)
	}
	if b.products > b.limits.Products {
		return fmt.Errorf("it names more than %d products", b.limits.Products)
	}
	switch {
	case s.Vulnerability == "":
		b.skip(i, s, "it names no vulnerability")
	case len(s.Vulnerability) > maxName:
		b.skip(i, s, "the name has more than %d bytes", maxName)
	case !s.Status.valid():
		b.skip(i, s, "status %q is not known", clip(string(s.Status), 40))
	case len(b.document.Statements) == b.limits.Statements:
		return fmt.Errorf("it has more than %d statements", b.limits.Statements)
	default:
		b.document.Statements = append(b.document.Statements, b.tidy(s))
	}
	return nil
}

// tidy bounds what is kept of a statement.
func (b *builder) tidy(s Statement) Statement {
	var aliases []string
	for _, alias := range s.Aliases {
		if alias != "" && len(alias) <= maxName && len(aliases) < maxAliases {
			aliases = append(aliases, clean(alias))
		}
	}
	s.Vulnerability, s.Aliases = clean(s.Vulnerability), aliases
	s.Justification, s.Impact, s.Action = clip(s.Justification, maxName), clip(s.Impact, maxText), clip(s.Action, maxText)
	products := make([]Product, 0, len(s.Products))
	for _, p := range s.Products {
		kept := Product{ID: clip(p.ID, maxID)}
		for _, sub := range p.Subcomponents {
			kept.Subcomponents = append(kept.Subcomponents, clip(sub, maxID))
		}
		products = append(products, kept)
	}
	s.Products = products
	if s.Timestamp.IsZero() {
		s.Timestamp = b.document.Issued
	}
	s.Timestamp = s.Timestamp.UTC()
	return s
}

func (b *builder) finish() Document {
	d := b.document
	if more := b.skipped - maxSkipped; more > 0 {
		d.Skipped = append(d.Skipped, fmt.Sprintf("%d more", more))
	}
	d.ID, d.Author, d.Version = clip(d.ID, maxID), clip(strings.Join(strings.Fields(d.Author), " "), maxName), clip(d.Version, maxName)
	d.Issued = d.Issued.UTC()
	return d
}

// clean removes what PostgreSQL does not store.
func clean(s string) string { return strings.ReplaceAll(s, "\x00", "") }

// clip is s without null characters, cut to n bytes.
func clip(s string, n int) string {
	s = strings.TrimSpace(clean(s))
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// moment reads a time of RFC 3339; a malformed one counts as none, and one
// beyond what databases keep, too.
func moment(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || t.Year() < 1970 || t.Year() > 9999 {
		return time.Time{}
	}
	return t.UTC().Truncate(time.Microsecond)
}

// latest is the last of the times.
func latest(times ...time.Time) (last time.Time) {
	for _, t := range times {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// texts reads a list of strings, or one alone.
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}
