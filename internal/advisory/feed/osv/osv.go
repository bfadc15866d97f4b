// Package osv reads the archives of OSV.dev, one for each ecosystem
// (https://google.github.io/osv.dev/data/): zip files of records in the OSV
// format (https://ossf.github.io/osv-schema/), of many publishers. They cover
// the packages of languages and, of distributions, AlmaLinux, Rocky Linux and
// Ubuntu.
//
// It must not know how documents are fetched or stored, nor compare versions.
package osv

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

// Feed is the archive of one ecosystem.
type Feed struct{ ecosystem ecosystem }

// Feeds returns the feeds of all ecosystems.
func Feeds() []feed.Feed {
	var feeds []feed.Feed
	for _, e := range ecosystems() {
		feeds = append(feeds, Feed{e})
	}
	return feeds
}

// Name is that of the ecosystem: "pypi", "crates-io", "rocky".
func (f Feed) Name() string { return f.ecosystem.name }

// Revision is that of this parser.
func (Feed) Revision() int { return 1 }

// Parts is the one archive.
func (f Feed) Parts() []feed.Part {
	part := feed.Part{Name: "all", URL: "https://osv-vulnerabilities.storage.googleapis.com/" + url.PathEscape(f.ecosystem.folder) + "/all.zip"}
	if f.ecosystem.key != "" {
		part.Ecosystems = []string{f.ecosystem.key}
	}
	return []feed.Part{part}
}

// More has none.
func (Feed) More(map[string]bool) []feed.Part { return nil }

// Parse reads an archive, which must be an io.ReaderAt with a Size, as
// io.SectionReader is. A record is a group.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	return f.Skim(ctx, part, r, func(feed.Origin) bool { return false }, func(g advisory.Group, _ feed.Origin) error { return emit(g) })
}

// Skim is Parse, but passes over the records that are known.
func (f Feed) Skim(ctx context.Context, part feed.Part, r io.Reader, known func(feed.Origin) bool, emit func(advisory.Group, feed.Origin) error) (feed.Parsed, error) {
	p := parser{ecosystem: f.ecosystem, part: part.Name, known: known, emit: emit, covered: make(map[string]bool), seen: make(map[uint64]struct{})}
	if f.ecosystem.key != "" {
		p.covered[f.ecosystem.key] = true
	}
	err := p.parse(ctx, r)
	switch {
	case p.emitErr != nil:
		return feed.Parsed{}, p.emitErr
	case err != nil:
		return feed.Parsed{}, fmt.Errorf("%s %s: %w", f.Name(), part.Name, err)
	}
	return feed.Parsed{Ecosystems: slices.Sorted(maps.Keys(p.covered)), Skipped: p.skipped}, nil
}

type parser struct {
	ecosystem ecosystem
	part      string
	known     func(feed.Origin) bool
	emit      func(advisory.Group, feed.Origin) error
	emitErr   error
	reader    reader
	// seen are the hashes of entries' names: the names would take ten times the memory.
	seen map[uint64]struct{}
	// records counts those that were read, about those that speak of the ecosystem.
	records, about int
	covered        map[string]bool
	skipped        feed.Skipped
}

func (p *parser) parse(ctx context.Context, r io.Reader) error {
	file, ok := r.(interface {
		io.ReaderAt
		Size() int64
	})
	if !ok {
		return fmt.Errorf("an archive cannot be read from a %T", r)
	}
	a, err := openArchive(file, file.Size())
	if err != nil {
		return err
	}
	seed := maphash.MakeSeed()
	err = a.entries(func(e entry) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if strings.HasSuffix(e.name, "/") {
			return nil
		}
		if !strings.HasSuffix(e.name, ".json") {
			p.skipped.Add(label(e.name), "it is no record")
			return nil
		}
		hash := maphash.String(seed, e.name)
		if _, twice := p.seen[hash]; twice {
			p.skipped.Add(label(e.name), "it is there twice; the first counts")
			return nil
		}
		p.seen[hash] = struct{}{}
		return p.entry(a, e)
	})
	switch {
	case err != nil:
		return err
	case p.about == 0:
		return fmt.Errorf("none of its %d records is about %s", p.records, p.ecosystem.folder)
	}
	return nil
}

// entry reads a record and emits what it states.
func (p *parser) entry(a *archive, e entry) error {
	origin, err := a.origin(e)
	if err == nil && p.known(origin) {
		p.records++
		p.about++
		return nil
	}
	var text []byte
	if err == nil {
		text, err = a.read(e)
	}
	if errors.Is(err, errEntry) {
		p.skipped.Add(label(e.name), err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("entry %q: %w", e.name, err)
	}
	p.reader.reset(text)
	rec, err := p.reader.readRecord()
	switch {
	case err != nil:
		p.skipped.Add(label(e.name), strings.TrimPrefix(err.Error(), "jsontext: "))
		return nil
	case rec.id == "":
		p.skipped.Add(label(e.name), "it has no id")
		return nil
	}
	p.records++
	j := judgement{ecosystem: p.ecosystem, reader: &p.reader, record: rec}
	told := p.skipped.Count
	for _, problem := range rec.problems {
		j.skip("", problem)
	}
	p.ecosystem.judge(&j)
	if j.about {
		p.about++
	}
	for _, s := range j.skipped {
		p.skipped.Add(label(s.name), s.reason)
	}
	if len(j.advisories) == 0 {
		return nil
	}
	for _, a := range j.advisories {
		p.covered[a.Ecosystem] = true
	}
	if p.skipped.Count > told {
		origin = feed.Origin{}
	}
	p.emitErr = p.emit(advisory.Group{Part: p.part, Name: rec.id, Advisories: j.advisories, Details: j.details()}, origin)
	return p.emitErr
}

// label is a foreign name that is fit to be shown.
func label(name string) string {
	if !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return strconv.Quote(name)
	}
	return name
}
