package nvd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

// The rules of the interface, and of a crawl.
const (
	perPage = 2000
	// window is how much is asked for at once; 120 days are allowed.
	window = 119 * 24 * time.Hour
	// overlap is asked for again, for changes that are published late.
	overlap = time.Hour
	// maxPages bounds one load; the whole database has some 170.
	maxPages = 5000
	// attempts is how often a page is asked for.
	attempts = 3
)

// progress is how far the database is read.
type progress struct {
	// Modified is until when all changes are read, zero before the first load
	// ended. Next is the place at which that goes on, Began when it did begin.
	Modified time.Time `json:"modified,omitzero"`
	// Dropped are the records of it that are malformed.
	Next    int       `json:"next,omitempty"`
	Dropped int       `json:"dropped,omitempty"`
	Began   time.Time `json:"began,omitzero"`
	// Of a mirror's one page.
	feed.Validators
	Digest string `json:"digest,omitempty"`
}

type crawl struct {
	*feed.Session
	feed Feed
	progress
	asked bool // a request was made, and the next one has to wait
}

// Crawl reads all pages the first time, and later those of the changes since. A
// mirror has one page, which is read again where it changed.
func (f Feed) Crawl(ctx context.Context, s *feed.Session) error {
	c := &crawl{Session: s, feed: f}
	if s.Cursor() != "" {
		if err := json.Unmarshal([]byte(s.Cursor()), &c.progress); err != nil {
			return fmt.Errorf("the cursor %.100q: %w", s.Cursor(), err)
		}
	}
	if s.Mirrored() {
		return c.mirror(ctx)
	}
	if c.Modified.IsZero() {
		if err := c.load(ctx); err != nil {
			return err
		}
	}
	for now := s.Now(); c.Modified.Before(now); {
		end := now
		if latest := c.Modified.Add(window); latest.Before(end) {
			end = latest
		}
		if err := c.follow(ctx, c.Modified.Add(-overlap), end); err != nil {
			return err
		}
		if end.Equal(now) {
			break // where our clock is fast, the rest is yet to come
		}
	}
	return nil
}

// mirror reads the page of a mirror, which does not see what is asked for.
func (c *crawl) mirror(ctx context.Context) error {
	doc, err := c.Fetch(ctx, c.Part().URL, c.Validators)
	if errors.Is(err, feed.ErrNotModified) {
		return nil
	}
	if err != nil {
		return err
	}
	if doc.Digest != c.Digest {
		p, err := c.read(ctx, doc)
		if err != nil {
			return errors.Join(err, doc.Close())
		}
		if p.total > p.start+p.count {
			c.Tell("the mirror has %d of %d vulnerabilities", p.count, p.total)
		}
	}
	c.progress = progress{Validators: doc.Validators, Digest: doc.Digest}
	return errors.Join(c.save(ctx), doc.Close())
}

// load reads everything, from where the last one was interrupted. What changes
// meanwhile is read afterwards. Where that moved others to places that were read
// already, as the number of them tells, everything is read once more.
func (c *crawl) load(ctx context.Context) error {
	for try := 1; ; try++ {
		total := 0
		err := c.pages(ctx, url.Values{}, c.Next, func(p page, next int) error {
			if c.Began.IsZero() {
				c.Began = c.clock(p)
			}
			c.Tell("%d of %d vulnerabilities", next, p.total)
			c.Next, total = next, p.total
			c.Dropped += p.dropped
			return c.save(ctx)
		})
		if err != nil {
			return err
		}
		missing := total - c.Len() - c.Dropped
		if c.Next, c.Dropped = 0, 0; missing <= 0 || try == 2 {
			c.Modified, c.Began = c.Began, time.Time{}
			return c.save(ctx)
		}
		c.Tell("%d vulnerabilities are missing", missing)
	}
}

// follow reads what changed in a time of no more than 120 days.
func (c *crawl) follow(ctx context.Context, since, end time.Time) error {
	const layout = "2006-01-02T15:04:05.000-07:00"
	query := url.Values{"lastModStartDate": {since.UTC().Format(layout)}, "lastModEndDate": {end.UTC().Format(layout)}}
	var began time.Time
	return c.pages(ctx, query, 0, func(p page, next int) error {
		if began.IsZero() {
			began = c.clock(p)
		}
		c.Tell("%d of %d changed vulnerabilities until %s", next, p.total, end.Format(time.DateOnly))
		if next < p.total {
			return nil
		}
		if c.Modified = end; began.Before(end) {
			c.Modified = began
		}
		return c.save(ctx)
	})
}

// clock is the publisher's time, no later than ours.
func (c *crawl) clock(p page) time.Time {
	now := c.Now().UTC()
	if p.at.IsZero() || p.at.After(now) {
		return now
	}
	return p.at
}

// pages reads the pages of a query from a place on; done is told each, and the
// place of the next.
func (c *crawl) pages(ctx context.Context, query url.Values, start int, done func(p page, next int) error) error {
	query.Set("resultsPerPage", strconv.Itoa(perPage))
	last := ""
	for range maxPages {
		query.Set("startIndex", strconv.Itoa(start))
		doc, err := c.fetch(ctx, c.Part().URL+"?"+query.Encode())
		if err != nil {
			return err
		}
		digest := doc.Digest
		p, err := c.read(ctx, doc)
		if err = errors.Join(err, doc.Close()); err != nil {
			return err
		}
		switch {
		case p.start != start || digest == last:
			return fmt.Errorf("%s: the page from %d on was asked for, and that from %d on came", doc.Location, start, p.start)
		case p.count == 0 && start < p.total:
			return fmt.Errorf("%s: the page from %d on is empty, of %d", doc.Location, start, p.total)
		}
		start, last = start+p.count, digest
		if err := done(p, start); err != nil {
			return err
		}
		if start >= p.total {
			return nil
		}
	}
	return fmt.Errorf("%s: more than %d pages", c.Part().URL, maxPages)
}

// read puts what is on a page.
func (c *crawl) read(ctx context.Context, doc *feed.Document) (page, error) {
	p, err := c.feed.page(ctx, c.Part(), doc.Reader(), func(g advisory.Group) error { return c.Put(ctx, g) })
	if err != nil {
		return page{}, fmt.Errorf("%s: %w", doc.Location, err)
	}
	c.LeftOut(p.skipped)
	return p, nil
}

// fetch asks for a page, no more often than is allowed, and again where it is
// turned away nevertheless: others may ask from the same address.
func (c *crawl) fetch(ctx context.Context, location string) (*feed.Document, error) {
	header := make(map[string]string)
	if c.feed.opts.Key != "" {
		header["apiKey"] = c.feed.opts.Key
	}
	penalty := c.feed.opts.Penalty
	for attempt := 1; ; attempt++ {
		if c.asked {
			if err := wait(ctx, c.feed.opts.Pause); err != nil {
				return nil, err
			}
		}
		c.asked = true
		doc, err := c.FetchWith(ctx, location, feed.Validators{}, header)
		if err == nil || attempt == attempts || !errors.Is(err, feed.ErrRefused) && !errors.Is(err, feed.ErrUnreachable) {
			return doc, err
		}
		c.Tell("waiting for %s: %v", penalty, err)
		if err := wait(ctx, penalty); err != nil {
			return nil, err
		}
		penalty *= 2
	}
}

func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// save stores the progress, and all that it stands for before it.
func (c *crawl) save(ctx context.Context) error {
	text, err := json.Marshal(c.progress)
	if err != nil {
		return err
	}
	return c.SetCursor(ctx, string(text))
}
