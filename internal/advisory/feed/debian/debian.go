// Package debian reads the Debian security tracker's export,
// https://security-tracker.debian.org/tracker/data/json: an object of source
// packages, of CVE identifiers, of releases. What its words mean is told at
// https://security-team.debian.org/security_tracker.html.
//
// It must not know how the document is fetched or stored.
package debian

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

// Feed is the tracker.
type Feed struct{}

// New returns the feed.
func New() Feed { return Feed{} }

// Name is "debian".
func (Feed) Name() string { return "debian" }

// Revision is that of this parser.
func (Feed) Revision() int { return 3 }

// Parts is the one document.
func (Feed) Parts() []feed.Part {
	return []feed.Part{{Name: "tracker", URL: "https://security-tracker.debian.org/tracker/data/json"}}
}

// More has none.
func (Feed) More(map[string]bool) []feed.Part { return nil }

// numbers are the releases by codename, https://wiki.debian.org/DebianReleases.
var numbers = map[string]string{
	"sarge": "3.1", "etch": "4", "lenny": "5", "squeeze": "6", "wheezy": "7", "jessie": "8", "stretch": "9", "buster": "10",
	"bullseye": "11", "bookworm": "12", "trixie": "13", "forky": "14", "duke": "15", "sid": "unstable",
}

// ecosystem is the distribution of a codename. One that is newer than this
// program keeps its name, which is shown as what is covered.
func ecosystem(codename string) string {
	if number, known := numbers[codename]; known {
		return "debian:" + number
	}
	return "debian:" + codename
}

// maxRecords bounds the statements on one package; the kernel has some 60,000.
const maxRecords = 500_000

// Parse reads the export. A package is a group, of all releases.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	return f.Skim(ctx, part, r, func(feed.Origin) bool { return false }, func(g advisory.Group, _ feed.Origin) error { return emit(g) })
}

// Skim is Parse, but passes over the packages that are known. It calls emit from
// another goroutine: what a package states is made out while the next is read.
func (f Feed) Skim(ctx context.Context, part feed.Part, r io.Reader, known func(feed.Origin) bool, emit func(advisory.Group, feed.Origin) error) (feed.Parsed, error) {
	making, ctx := errgroup.WithContext(ctx)
	chunks := make(chan chunk)
	d := document{json: feed.NewDecoder(r), known: known, chunks: chunks, sent: make(map[string]bool)}
	m := maker{part: part, emit: emit, ecosystems: make(map[string]bool)}
	making.Go(func() error { return m.makeAll(chunks) })
	err := d.json.Object(func(name string) error { return d.source(ctx, name) })
	if err == nil {
		err = d.json.End()
	}
	close(chunks)
	if err := making.Wait(); err != nil {
		return feed.Parsed{}, err
	}
	if err != nil {
		return feed.Parsed{}, fmt.Errorf("%s %s: %w", f.Name(), part.Name, err)
	}
	m.skipped.Merge(d.skipped)
	return feed.Parsed{Ecosystems: slices.Sorted(maps.Keys(m.ecosystems)), Skipped: m.skipped}, nil
}

// maxHeld bounds the bytes of one package that are held back until it is known
// whether they are to be read; the kernel has some 15 million.
const maxHeld = 64 << 20

// entry is a record as it is written.
type entry struct {
	vulnerability string
	text          []byte
}

// chunk is of a package: all of it, but for one that is too large.
type chunk struct {
	name    string
	records []entry
	first   bool
	last    bool
	origin  feed.Origin
	end     int64 // byte
}

// document is the half of the parser that reads.
type document struct {
	json    *feed.Decoder
	known   func(feed.Origin) bool
	chunks  chan<- chunk
	sent    map[string]bool // packages
	skipped feed.Skipped
}

// source reads a package. Its records are held back to its end, for only then
// can they be told from those of the last time.
func (d *document) source(ctx context.Context, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c, size, twice := chunk{name: name, first: true}, 0, d.sent[name]
	digest := sha256.New()
	fmt.Fprintf(digest, "%q", name)
	err := d.json.Object(func(vulnerability string) error {
		text, err := d.json.Raw()
		if err != nil || twice {
			return err
		}
		fmt.Fprintf(digest, "%q %d ", vulnerability, len(text))
		digest.Write(text)
		c.records = append(c.records, entry{vulnerability, text})
		if size += len(text); size > maxHeld {
			err = d.send(ctx, c)
			c, size = chunk{name: name}, 0
		}
		return err
	})
	switch {
	case errors.Is(err, feed.ErrShape):
		d.skipped.Add(name, err.Error())
		return nil
	case err != nil:
		return err
	case twice:
		d.skipped.Add(name, "it is there twice; the first counts")
		return nil
	}
	if c.first {
		copy(c.origin[:], digest.Sum(nil))
		if d.known(c.origin) {
			return nil
		}
	}
	c.last, d.sent[name] = true, true
	return d.send(ctx, c)
}

func (d *document) send(ctx context.Context, c chunk) error {
	c.end = d.json.Offset()
	select {
	case d.chunks <- c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// maker is the half of the parser that makes groups of what was read.
type maker struct {
	part       feed.Part
	emit       func(advisory.Group, feed.Origin) error
	ecosystems map[string]bool
	skipped    feed.Skipped
}

func (m *maker) makeAll(chunks <-chan chunk) error {
	var group advisory.Group
	told := 0
	for c := range chunks {
		if c.first {
			group, told = advisory.Group{Part: m.part.Name, Name: c.name, Details: make(map[string]advisory.Detail)}, m.skipped.Count
		}
		if err := m.records(&group, c); err != nil {
			return fmt.Errorf("%s %s: %w", New().Name(), m.part.Name, err)
		}
		if !c.last || len(group.Advisories) == 0 {
			continue
		}
		if m.skipped.Count > told {
			c.origin = feed.Origin{}
		}
		if err := m.emit(group, c.origin); err != nil {
			return err
		}
	}
	return nil
}

// records adds what is sound of records.
func (m *maker) records(group *advisory.Group, c chunk) error {
	for _, e := range c.records {
		if len(group.Advisories) > maxRecords {
			return fmt.Errorf("byte %d: more than %d statements on %q", c.end, maxRecords, group.Name)
		}
		var r record
		err := feed.Unmarshal(e.text, &r)
		if err != nil && !errors.Is(err, feed.ErrShape) {
			return fmt.Errorf("%s %s: %w", group.Name, e.vulnerability, err)
		}
		m.record(group, e.vulnerability, r, err)
	}
	return nil
}

// record is what the tracker says of one vulnerability of one source package.
type record struct {
	Description string             `json:"description"`
	Releases    map[string]release `json:"releases"`
}

type release struct {
	Status       string `json:"status"`
	FixedVersion string `json:"fixed_version"`
	Urgency      string `json:"urgency"`
	NoDSA        string `json:"nodsa"`
	NoDSAReason  string `json:"nodsa_reason"`
}

// record adds what is sound of a record; shape tells what is not, if anything.
func (m *maker) record(group *advisory.Group, vulnerability string, r record, shape error) {
	if shape != nil {
		m.skipped.Add(group.Name+" "+vulnerability, shape.Error())
	}
	if !identifier(vulnerability) {
		m.skipped.Add(group.Name+" "+vulnerability, "the name is no identifier")
		return
	}
	for _, codename := range slices.Sorted(maps.Keys(r.Releases)) {
		a, problem := r.Releases[codename].advisory()
		if problem == "" && !plain(codename) {
			problem = "the name of the release is not one"
		}
		if problem != "" && shape != nil {
			continue // it is told already
		}
		if problem != "" {
			m.skipped.Add(group.Name+" "+vulnerability+" "+codename, problem)
			continue
		}
		a.Vulnerability, a.Package, a.Source, a.Ecosystem = vulnerability, group.Name, true, ecosystem(codename)
		m.ecosystems[a.Ecosystem] = true
		group.Advisories = append(group.Advisories, a)
		if r.Description != "" {
			group.Details[vulnerability] = advisory.Detail{Description: r.Description}
		}
	}
}

// advisory is what the release's entry states, or why it states nothing.
func (r release) advisory() (a advisory.Advisory, problem string) {
	a = advisory.Advisory{Severity: severity(r.Urgency), Note: r.note()}
	switch r.Status {
	case "resolved":
		switch {
		case r.FixedVersion == "":
			return a, "resolved without a version"
		case r.FixedVersion == "0":
			a.Status = advisory.NotAffected
		default:
			a.Status, a.Fixed = advisory.Affected, r.FixedVersion
		}
	case "open":
		a.Status, a.Fix = advisory.Affected, r.fix()
	case "undetermined":
		a.Status = advisory.Undetermined
	default:
		return a, fmt.Sprintf("status %q is not known", r.Status)
	}
	return a, ""
}

// The urgencies that are no grades. An unassigned one is no note either, for
// most are.
const (
	unassigned = "not yet assigned"
	endOfLife  = "end-of-life"
)

// fix is what Debian means to do about a vulnerability that is open. "no-dsa"
// says that it is not worth an advisory of its own: a point release may fix it,
// as it may one that is "postponed".
func (r release) fix() advisory.FixState {
	switch {
	case strings.TrimRight(r.Urgency, "*") == endOfLife:
		return advisory.EndOfLife
	case r.NoDSAReason == "ignored":
		return advisory.WillNotFix
	case r.NoDSAReason == "postponed", r.NoDSAReason == "" && r.NoDSA != "":
		return advisory.Deferred
	}
	return advisory.FixUnknown
}

// note is the tracker's own words: the urgency, and why no advisory comes.
func (r release) note() string {
	var note string
	if r.Urgency != unassigned {
		note = r.Urgency
	}
	if r.NoDSA == "" && r.NoDSAReason == "" {
		return note
	}
	reason := r.NoDSAReason
	if reason == "" {
		reason = "no-dsa"
	}
	if r.NoDSA != "" {
		reason += ": " + r.NoDSA
	}
	return join(note, reason)
}

// severity reads an urgency; asterisks mark those that the tracker took over
// from others. That a release is at its end says nothing of severity.
func severity(urgency string) advisory.Severity {
	switch strings.TrimRight(urgency, "*") {
	case "unimportant":
		return advisory.Negligible
	case "low":
		return advisory.Low
	case "medium":
		return advisory.Medium
	case "high":
		return advisory.High
	}
	return advisory.Unknown
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

// identifier reports a name such as CVE-2024-1, TEMP-0290435-0B57B5 or DSA-1-1.
func identifier(s string) bool {
	kind, number, found := strings.Cut(s, "-")
	if !found || kind == "" || number == "" || len(s) > 64 {
		return false
	}
	for _, c := range []byte(s) {
		if c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

// plain reports a word of lower-case letters.
func plain(s string) bool {
	return s != "" && len(s) <= 32 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}
