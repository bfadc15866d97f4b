package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
)

// Crawler is a feed whose parts are not a document each but many: an archive
// with a list of what changed since, or the pages of an interface. It finds out
// what changed since the last time instead of having a document read.
type Crawler interface {
	Feed
	// Crawl brings one part (Session.Part) up to date. Parse is not called for
	// it; it reads whatever the Crawler makes documents of. ErrNotPublished says
	// that the publisher does not have the part at all.
	//
	// What it puts may be stored though it ends in an error, so that each group
	// must be right by itself. Whatever else is stored stays then.
	Crawl(ctx context.Context, s *Session) error
}

// Session is one crawl of one part: how far the last one came, and what becomes
// of what this one finds. It is for one goroutine, Fetch for several.
type Session struct {
	run    *run
	part   Part
	state  *PartState // as it is to be stored
	result *PartResult
	cursor string
	// stored are the fingerprints of what is stored or pending, advisories how
	// many statements these are; the others are what there was at first, and how
	// many groups of that are gone.
	stored             map[string]Fingerprint
	advisories         int
	before, statements int
	lost               int
	// pending are the groups to be stored next by name, nil for those to be
	// removed; weight counts their statements.
	pending map[string]*Entry
	weight  int
	// earlier are the records that sessions before this one left out, skipped
	// those that this one did.
	earlier, skipped Skipped
	ecosystems       map[string]bool
	whole            *whole
	failed           error
}

func (r *run) newSession(ctx context.Context, part Part, location string, state *PartState, result *PartResult) (*Session, error) {
	stored, err := r.store.Fingerprints(ctx, r.feed.Name(), part.Name)
	if err != nil {
		return nil, err
	}
	s := &Session{
		run: r, part: part, state: state, result: result, stored: stored, before: len(stored),
		pending: make(map[string]*Entry), earlier: state.Skipped, ecosystems: make(map[string]bool),
	}
	for _, print := range stored {
		s.advisories += print.Advisories()
	}
	s.statements = s.advisories
	if state.Revision == r.feed.Revision() && state.URL == location { // another place's progress means nothing
		s.cursor = state.Cursor
	}
	state.URL, state.Revision, state.Cursor = location, r.feed.Revision(), s.cursor
	for _, name := range slices.Concat(part.Ecosystems, state.Ecosystems) {
		s.ecosystems[name] = true
	}
	return s, nil
}

// Part is what is to be brought up to date.
func (s *Session) Part() Part { return s.part }

// Cursor is what SetCursor was last given, in this session or before; "" where
// everything is to be loaded: at first, where the feed's Revision changed, and
// where the part is read elsewhere than the last time.
func (s *Session) Cursor() string { return s.cursor }

// SetCursor stores all that was put, and then how far that is. A crawl that is
// interrupted later goes on from there.
func (s *Session) SetCursor(ctx context.Context, cursor string) error {
	const most = 1 << 20
	switch {
	case s.whole != nil:
		return s.fail(errors.New("a whole load has no cursor before it ends"))
	case len(cursor) > most:
		return s.fail(fmt.Errorf("the cursor is %d bytes long", len(cursor)))
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	if cursor == s.cursor {
		return nil
	}
	s.cursor, s.state.Cursor = cursor, cursor
	return s.fail(s.run.store.SaveFeedPart(ctx, s.run.feed.Name(), *s.state))
}

// Fetch fetches a document as Fetcher.Fetch does. The caller closes it.
func (s *Session) Fetch(ctx context.Context, url string, known Validators) (*Document, error) {
	return s.run.fetcher.Fetch(ctx, url, known)
}

// FetchWith is Fetch for a publisher that wants more in the request's header: it
// is sent to that publisher only, not to a mirror nor to where it redirects.
func (s *Session) FetchWith(ctx context.Context, url string, known Validators, header map[string]string) (*Document, error) {
	return s.run.fetcher.FetchWith(ctx, url, known, header)
}

// Mirrored reports whether a mirror stands in for the publisher: it needs no
// restraint, and knows documents by path only, whatever a query asks for.
func (s *Session) Mirrored() bool { return s.run.fetcher.opts.Mirror != "" }

// Now is the time.
func (s *Session) Now() time.Time { return s.run.opts.Now() }

// Tell tells whoever watches what is going on.
func (s *Session) Tell(format string, args ...any) {
	s.run.tell("%s: %s: %s", s.run.feed.Name(), s.part.Name, fmt.Sprintf(format, args...))
}

// Skip counts a record that is left out because it is malformed. The name
// begins with that of its group.
func (s *Session) Skip(name, reason string) { s.skipped.Add(name, reason) }

// LeftOut counts the records that a document's parser left out.
func (s *Session) LeftOut(records Skipped) { s.skipped.Merge(records) }

// Keep leaves what is stored under the names, if anything, as it is in a whole
// load that cannot put them, for what is published of them now cannot be read.
func (s *Session) Keep(names ...string) {
	for _, name := range names {
		s.earlier.forget(name) // what is wrong with it is told anew
		if stored, known := s.stored[name]; known && s.whole != nil && !s.whole.seen[name] {
			s.whole.seen[name] = true
			s.whole.advisories += stored.Advisories()
		}
	}
}

// ReplaceProducts makes this all that is known of repositories.
func (s *Session) ReplaceProducts(ctx context.Context, products match.Products) error {
	changed, err := s.run.store.ReplaceProducts(ctx, products, s.run.decide)
	s.result.Changed += changed
	return s.fail(err)
}

// Len is how many groups the part has, with those that were put.
func (s *Session) Len() int { return len(s.stored) }

// AcceptLoss reports whether somebody has confirmed that data may be taken away.
func (s *Session) AcceptLoss() bool { return s.run.acceptLoss }

// Covers names ecosystems that the part speaks of, those whose packages it says
// all there is to say of.
func (s *Session) Covers(ecosystems ...string) {
	for _, name := range ecosystems {
		s.ecosystems[name] = true
	}
}

// Put states what the publisher says now under the group's name. It costs
// nothing where that is what is stored; nothing at all takes away what is.
func (s *Session) Put(ctx context.Context, g advisory.Group) error {
	if s.failed != nil {
		return s.failed
	}
	g.Part = s.part.Name
	s.earlier.forget(g.Name)
	if s.whole != nil && s.whole.seen[g.Name] {
		s.Skip(g.Name, "it is there twice; the first counts")
		return nil
	}
	if !normalise(&g, s.Skip) {
		if s.whole != nil {
			return nil // as all that is not put
		}
		return s.Remove(ctx, g.Name)
	}
	print, err := fingerprint(&g)
	if err != nil {
		return s.fail(err)
	}
	if s.whole != nil {
		s.whole.seen[g.Name] = true
		s.whole.advisories += print.Advisories()
	}
	old, known := s.stored[g.Name]
	switch {
	case known && old == print:
		return nil
	case s.whole != nil && s.whole.spool != nil:
		return s.fail(s.whole.spool.add(Entry{Group: g, Fingerprint: print}))
	}
	return s.enqueue(ctx, Entry{Group: g, Fingerprint: print})
}

// Remove takes away what is stored under the names, if anything.
func (s *Session) Remove(ctx context.Context, names ...string) error {
	if s.failed != nil {
		return s.failed
	}
	if s.whole != nil {
		return s.fail(errors.New("a whole load removes what it does not put"))
	}
	for _, name := range names {
		s.earlier.forget(name)
		if old, known := s.stored[name]; known {
			delete(s.stored, name)
			s.advisories -= old.Advisories()
			s.lost++
			s.pending[name] = nil
		}
	}
	// All of them count before the first goes.
	if err := s.believe(); err != nil {
		return err
	}
	if len(s.pending) >= s.run.opts.Batch {
		return s.flush(ctx)
	}
	return nil
}

func (s *Session) enqueue(ctx context.Context, e Entry) error {
	const manyAdvisories = 4000
	if old, known := s.stored[e.Name]; known {
		s.advisories -= old.Advisories()
	}
	s.stored[e.Name] = e.Fingerprint
	s.advisories += e.Fingerprint.Advisories()
	s.pending[e.Name] = &e
	if s.weight += len(e.Advisories); len(s.pending) >= s.run.opts.Batch || s.weight >= manyAdvisories {
		return s.flush(ctx)
	}
	return nil
}

// believe refuses what would leave less than half of what there was when the
// session began.
func (s *Session) believe() error {
	return s.fail(s.run.believe(s.before-s.lost, s.before, len(s.stored), s.advisories, s.statements))
}

// flush stores what is pending in one transaction.
func (s *Session) flush(ctx context.Context) error {
	if s.failed != nil || len(s.pending) == 0 {
		return s.failed
	}
	if err := ctx.Err(); err != nil {
		return s.fail(context.Cause(ctx))
	}
	if err := s.believe(); err != nil {
		return err
	}
	var changed []Entry
	var removed []string
	for name, e := range s.pending {
		if e == nil {
			removed = append(removed, name)
			continue
		}
		changed = append(changed, *e)
	}
	slices.SortFunc(changed, func(a, b Entry) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(removed)
	for names := range slices.Chunk(removed, s.run.opts.Batch) {
		if err := s.replace(ctx, nil, names); err != nil {
			return err
		}
	}
	if err := s.replace(ctx, changed, nil); err != nil {
		return err
	}
	clear(s.pending)
	s.weight = 0
	s.note()
	return nil
}

func (s *Session) replace(ctx context.Context, changed []Entry, removed []string) error {
	if len(changed)+len(removed) == 0 {
		return nil
	}
	if err := s.run.store.ReplaceAdvisories(ctx, s.run.feed.Name(), s.part.Name, changed, removed, s.run.decide); err != nil {
		return s.fail(err)
	}
	s.result.Changed += len(changed)
	s.result.Removed += len(removed)
	return nil
}

// note brings the state up to what is stored; nothing is pending.
func (s *Session) note() {
	s.state.Packages, s.state.Advisories = len(s.stored), s.advisories
	s.state.Skipped = s.earlier.without(s.skipped.Names)
	s.state.Skipped.Merge(s.skipped)
	s.state.Ecosystems = s.state.Ecosystems[:0:0]
	for name := range s.ecosystems {
		s.state.Ecosystems = append(s.state.Ecosystems, name)
	}
	slices.Sort(s.state.Ecosystems)
	s.result.Packages, s.result.Advisories, s.result.Skipped = s.state.Packages, s.state.Advisories, s.skipped
}

// fail remembers what the session cannot go on after: what it takes for stored
// may not be.
func (s *Session) fail(err error) error {
	if s.failed == nil {
		s.failed = err
	}
	return err
}

// crawl has the feed bring a part up to date. It changes state as it is to be
// stored, with and without an error.
func (r *run) crawl(ctx context.Context, c Crawler, part Part, state *PartState, p *PartResult) error {
	location, err := r.fetcher.Locate(part.URL)
	if err != nil {
		return err
	}
	location = redact(location)
	p.URL = location
	s, err := r.newSession(ctx, part, location, state, p)
	if err != nil {
		return err
	}
	if err := c.Crawl(ctx, s); err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	s.note()
	p.Outcome, state.Checked = Unchanged, r.opts.Now()
	if changed := p.Changed+p.Removed > 0; changed || state.Changed.IsZero() {
		p.Outcome, state.Changed = Updated, state.Checked
	}
	return nil
}
