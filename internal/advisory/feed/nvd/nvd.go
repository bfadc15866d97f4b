// Package nvd reads the National Vulnerability Database through its interface,
// https://nvd.nist.gov/developers/vulnerabilities: what vulnerabilities are, how
// severe they are, and which are known to be exploited. It states nothing on
// packages: that is done better by those who build them.
//
// It must not know how pages are stored.
package nvd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

// Options are the choices of a Feed; the zero value is usable.
type Options struct {
	// URL is where the interface is; NVD's own where "". Other than a mirror, it
	// answers queries.
	URL string
	// Key is an API key (https://nvd.nist.gov/developers/request-an-api-key): ten
	// times as many requests are allowed with one.
	Key string
	// Pause is the least time between two requests; 6 s where zero, 1 s with a key.
	Pause time.Duration
	// Penalty is the wait after a request was turned away, doubled when that
	// happens again; 30 s where zero, for which requests are counted.
	Penalty time.Duration
}

// Feed is the database.
type Feed struct{ opts Options }

// New returns the feed.
func New(opts Options) Feed {
	if opts.URL == "" {
		opts.URL = "https://services.nvd.nist.gov/rest/json/cves/2.0"
	}
	if opts.Pause == 0 {
		opts.Pause = 6 * time.Second
		if opts.Key != "" {
			opts.Pause = time.Second
		}
	}
	if opts.Penalty == 0 {
		opts.Penalty = 30 * time.Second
	}
	return Feed{opts: opts}
}

// Name is "nvd".
func (Feed) Name() string { return "nvd" }

// Revision is that of this parser.
func (Feed) Revision() int { return 1 }

// Parts is the one interface.
func (f Feed) Parts() []feed.Part { return []feed.Part{{Name: "cves", URL: f.opts.URL}} }

// More has none.
func (Feed) More(map[string]bool) []feed.Part { return nil }

// Parse reads one page. A vulnerability is a group.
func (f Feed) Parse(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (feed.Parsed, error) {
	p, err := f.page(ctx, part, r, emit)
	return feed.Parsed{Skipped: p.skipped}, err
}

// page is what a page says of itself.
type page struct {
	start, total int
	// count is how many vulnerabilities are on it, dropped how many of those are
	// malformed.
	count, dropped int
	// at is when it was made, by the publisher's clock.
	at      time.Time
	skipped feed.Skipped
}

// page reads one page.
func (f Feed) page(ctx context.Context, part feed.Part, r io.Reader, emit func(advisory.Group) error) (page, error) {
	d := feed.NewDecoder(r)
	var p page
	var format, version, at string
	listed := false
	var emitErr error
	err := d.Object(func(name string) (err error) {
		switch name {
		case "startIndex":
			err = d.Value(&p.start)
		case "totalResults":
			err = d.Value(&p.total)
		case "format":
			err = d.Value(&format)
		case "version":
			err = d.Value(&version)
		case "timestamp":
			err = d.Value(&at)
		case "vulnerabilities":
			listed = true
			err = d.Array(func() error {
				if err := ctx.Err(); err != nil {
					return err
				}
				p.count++
				g, ok, err := p.vulnerability(d)
				if err != nil || !ok {
					return err
				}
				g.Part = part.Name
				emitErr = emit(g)
				return emitErr
			})
		default:
			err = d.Skip()
		}
		if errors.Is(err, feed.ErrShape) {
			return fmt.Errorf("%q: %w", name, err)
		}
		return err
	})
	if err == nil {
		err = d.End()
	}
	switch {
	case emitErr != nil:
		return page{}, emitErr
	case err != nil:
	case format != "NVD_CVE" || version != "2.0" || !listed:
		err = fmt.Errorf("byte %d: the document is no NVD_CVE of version 2.0, but %.40q of %.40q", d.Offset(), format, version)
	case p.start < 0 || p.total < 0:
		err = fmt.Errorf("byte %d: the page starts at %d of %d", d.Offset(), p.start, p.total)
	}
	if err != nil {
		return page{}, fmt.Errorf("%s %s: %w", f.Name(), part.Name, err)
	}
	p.at = date(at)
	return p, nil
}

// vulnerability reads an element of vulnerabilities. One that is malformed is
// left out, as a whole or in part.
func (p *page) vulnerability(d *feed.Decoder) (advisory.Group, bool, error) {
	var element struct {
		CVE record `json:"cve"`
	}
	err := d.Value(&element)
	name := element.CVE.ID
	switch {
	case errors.Is(err, feed.ErrShape) && !cveID.MatchString(name), err == nil && !cveID.MatchString(name):
		p.dropped++
		p.skipped.Add(fmt.Sprintf("vulnerability %d %.40q", p.count, name), "it has no CVE id")
		return advisory.Group{}, false, nil
	case errors.Is(err, feed.ErrShape):
		p.skipped.Add(name, err.Error()) // what is sound of it is kept
	case err != nil:
		return advisory.Group{}, false, err
	}
	detail := element.CVE.detail(func(reason string) { p.skipped.Add(name, reason) })
	return advisory.Group{Name: name, Details: map[string]advisory.Detail{name: detail}}, true, nil
}
