package feed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/pratique/pratique/internal/advisory"
)

// run is one update of one feed.
type run struct {
	*Updater
	feed       Feed
	acceptLoss bool
	tell       func(format string, args ...any)
	stored     map[string]PartState
	result     Result
}

func (r *run) update(ctx context.Context) error {
	status, err := r.store.FeedStatus(ctx, r.feed.Name())
	if err != nil {
		return err
	}
	r.stored = make(map[string]PartState, len(status.Parts))
	for _, p := range status.Parts {
		r.stored[p.Part] = p
	}
	published := make(map[string]bool)
	var failures []error
	any, unreachable := false, 0
	parts, err := r.parts(ctx)
	if err != nil {
		failures = append(failures, err)
	}
	for ; len(parts) > 0; parts = r.feed.More(published) {
		for _, part := range parts {
			if err := ctx.Err(); err != nil {
				return errors.Join(append(failures, context.Cause(ctx))...)
			}
			const patience = 3
			if unreachable == patience {
				return errors.Join(append(failures, fmt.Errorf("%s and what follows were not asked for: %d documents one after the other were not reachable", part.Name, patience))...)
			}
			p := r.part(ctx, part)
			r.result.Parts = append(r.result.Parts, p)
			r.result.Changed += p.Changed
			r.result.Removed += p.Removed
			r.result.Skipped.Merge(p.Skipped)
			published[part.Name] = p.Outcome == Unchanged || p.Outcome == Updated
			any = any || published[part.Name]
			unreachable++
			if !errors.Is(p.Err, ErrUnreachable) {
				unreachable = 0
			}
			if p.Err != nil {
				failures = append(failures, fmt.Errorf("%s: %w", part.Name, p.Err))
			}
		}
	}
	if !any && len(failures) == 0 {
		return fmt.Errorf("%w: none of its %d documents", ErrNotPublished, len(r.result.Parts))
	}
	return errors.Join(failures...)
}

// part brings one document up to date and notes what came of it.
func (r *run) part(ctx context.Context, part Part) PartResult {
	state, known := r.stored[part.Name]
	if !known {
		state = PartState{Part: part.Name, Ecosystems: part.Ecosystems}
	}
	p := PartResult{Part: part.Name, Packages: state.Packages, Advisories: state.Advisories}
	r.tell("%s: %s", r.feed.Name(), part.Name)
	err := r.refresh(ctx, part, &state, &p)
	switch {
	case errors.Is(err, ErrNotPublished):
		p.Outcome = Absent
		if known {
			r.opts.Log.WarnContext(ctx, "a document of a feed is not published any more; what is stored stays",
				"feed", r.feed.Name(), "part", part.Name, "error", err, "checked", state.Checked)
		}
		return p
	case err != nil:
		p.Outcome, p.Err = Failed, err
		state.Error = cut(err.Error(), maxProse)
	default:
		state.Error = ""
	}
	if ctx.Err() != nil && err != nil {
		return p
	}
	if err := r.store.SaveFeedPart(ctx, r.feed.Name(), state); err != nil {
		p.Outcome, p.Err = Failed, errors.Join(p.Err, err)
	}
	return p
}

// refresh fetches the document and stores what changed. It changes state as it
// is to be stored, with and without an error.
func (r *run) refresh(ctx context.Context, part Part, state *PartState, p *PartResult) error {
	if c, ok := r.feed.(Crawler); ok {
		return r.crawl(ctx, c, part, state, p)
	}
	location, err := r.fetcher.Locate(part.URL)
	if err != nil {
		return err
	}
	location = redact(location)
	p.URL = location
	if state.Digest == "" {
		state.URL = location
	}
	current := state.Digest != "" && state.Revision == r.feed.Revision()
	var validators Validators
	if current && state.URL == location { // another place's validators mean nothing
		validators = state.Validators
	}
	doc, err := r.fetcher.Fetch(ctx, part.URL, validators)
	if errors.Is(err, ErrNotModified) {
		p.Outcome, state.Checked = Unchanged, r.opts.Now()
		return nil
	}
	if err != nil {
		return err
	}
	defer func() {
		if err := doc.Close(); err != nil {
			r.opts.Log.WarnContext(ctx, "a fetched document stays behind", "error", err)
		}
	}()
	if current && doc.Digest == state.Digest {
		p.Outcome, state.Checked = Unchanged, r.opts.Now()
		state.URL, state.Validators = location, doc.Validators
		return nil
	}
	work := int64(state.Advisories)
	if work == 0 {
		work = doc.Size / 200 // as many bytes, about, make a statement
	}
	if err := r.reading.enter(ctx, work); err != nil {
		return err
	}
	defer r.reading.leave()
	if scores, ok := r.feed.(ScoreFeed); ok {
		return r.score(ctx, scores, part, doc, location, state, p)
	}
	s, err := r.survey(ctx, part, doc, state, current)
	if err != nil {
		return err
	}
	defer func() {
		if err := s.drop(); err != nil {
			r.opts.Log.WarnContext(ctx, "what was kept of a document stays behind", "error", err)
		}
	}()
	if err := r.apply(ctx, part, doc, s, p); err != nil {
		return err
	}
	if err := r.still(ctx, part, s, state.Ecosystems); err != nil {
		return err
	}
	for _, gone := range state.Ecosystems {
		if !slices.Contains(s.parsed.Ecosystems, gone) {
			r.opts.Log.WarnContext(ctx, "a feed does not speak of a distribution any more", "feed", r.feed.Name(), "part", part.Name, "distribution", gone)
		}
	}
	p.Outcome, p.Packages, p.Advisories, p.Skipped = Updated, len(s.seen), s.advisories, s.skipped
	now := r.opts.Now()
	changed := state.Changed
	if p.Changed+p.Removed > 0 || changed.IsZero() {
		changed = now
	}
	*state = PartState{
		Part: part.Name, URL: location, Validators: doc.Validators, Digest: doc.Digest, Revision: r.feed.Revision(),
		Ecosystems: s.parsed.Ecosystems, Packages: len(s.seen), Advisories: s.advisories, Skipped: s.skipped,
		Checked: now, Changed: changed,
	}
	return nil
}

// survey is what the first pass over a document finds out.
type survey struct {
	parsed Parsed
	// seen are the fingerprints of its groups, by package.
	seen    map[string]Fingerprint
	changed map[string]bool
	removed []string
	// kept are the changed groups, and then those of spill, which may be nil. Where
	// again is set they are neither, and the document is to be read again.
	kept   []Entry
	spill  *spill
	again  bool
	weight int64
	room   *atomic.Int64
	dir    string // for spill
	// passed is set where records were passed over, as origins tells; moved are
	// the origins of groups that state the same in other bytes.
	passed     bool
	origins    map[Origin]string
	moved      map[string]Origin
	advisories int
	skipped    Skipped
}

// survey reads a document to its end before anything is changed because of it.
// Where the program reads as it did the last time, it passes over what it knows.
func (r *run) survey(ctx context.Context, part Part, doc *Document, state *PartState, current bool) (*survey, error) {
	var stored map[string]Fingerprint
	var origins map[Origin]string
	var err error
	if _, ok := r.feed.(Skimmer); ok && current {
		stored, origins, err = r.store.Origins(ctx, r.feed.Name(), part.Name)
	} else {
		stored, err = r.store.Fingerprints(ctx, r.feed.Name(), part.Name)
	}
	if err != nil {
		return nil, err
	}
	s := &survey{seen: make(map[string]Fingerprint, len(stored)), changed: make(map[string]bool), moved: make(map[string]Origin), origins: origins,
		room: &r.room, dir: r.fetcher.opts.TempDir}
	s.again = len(stored) == 0 // of a first load most would be
	var seeing sync.Mutex
	s.parsed, err = r.parse(ctx, part, doc, func(o Origin) bool {
		name, known := s.origins[o]
		seeing.Lock()
		defer seeing.Unlock()
		if _, twice := s.seen[name]; !known || twice {
			return false
		}
		s.passed = true
		s.seen[name] = stored[name]
		s.advisories += stored[name].Advisories()
		return true
	}, func(g advisory.Group, origin Origin) error {
		told := s.skipped.Count
		if !normalise(&g, s.skipped.Add) {
			return nil
		}
		if s.skipped.Count > told {
			origin = Origin{}
		}
		print, err := fingerprint(&g)
		if err != nil {
			return err
		}
		seeing.Lock()
		_, twice := s.seen[g.Name]
		if !twice {
			s.seen[g.Name] = print
			s.advisories += len(g.Advisories)
		}
		seeing.Unlock()
		if twice {
			s.skipped.Add(g.Name, "it is there twice; the first counts")
			return nil
		}
		if old, known := stored[g.Name]; !known || old != print {
			s.changed[g.Name] = true
			return s.keep(Entry{Group: g, Fingerprint: print, Origin: origin})
		} else if _, same := s.origins[origin]; !same && origin != (Origin{}) {
			s.moved[g.Name] = origin
		}
		return nil
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", doc.Location, err), s.drop())
	}
	s.skipped.Merge(s.parsed.Skipped)
	for name := range stored {
		if _, still := s.seen[name]; !still {
			s.removed = append(s.removed, name)
		}
	}
	slices.Sort(s.removed)
	if err := r.believe(len(stored)-len(s.removed), len(stored), len(s.seen), s.advisories, state.Advisories); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", doc.Location, err), s.drop())
	}
	return s, nil
}

// believe refuses what would take most of what is stored away: such documents
// are damaged more often than they are right. Of the packages that are stored
// kept would stay, and with new ones there would be now; of as many statements
// as are stated, advisories.
func (r *run) believe(kept, packages, now, advisories, stated int) error {
	if r.acceptLoss {
		return nil
	}
	const few = 100
	refuse := func(left, before int, what string) error {
		return fmt.Errorf("%w: %d of %d %s would be left; what is stored stays", ErrHeldBack, left, before, what)
	}
	switch {
	case packages > 0 && now == 0, packages >= few && 2*kept < packages:
		return refuse(kept, packages, "packages")
	case stated >= few && 2*advisories < stated:
		return refuse(advisories, stated, "advisories")
	}
	return nil
}

// apply stores the groups that changed. It reads the document again where they
// could not be kept.
func (r *run) apply(ctx context.Context, part Part, doc *Document, s *survey, p *PartResult) error {
	const manyAdvisories = 4000
	var batch []Entry
	weight, total := 0, len(s.changed)
	store := func() error {
		if len(batch) == 0 {
			return nil
		}
		if err := r.store.ReplaceAdvisories(ctx, r.feed.Name(), part.Name, batch, nil, r.decide); err != nil {
			return err
		}
		p.Changed += len(batch)
		r.tell("%s: %s: %d of %d changed packages", r.feed.Name(), part.Name, p.Changed, total)
		batch, weight = batch[:0], 0
		return nil
	}
	add := func(e Entry) error {
		batch = append(batch, e)
		if weight += len(e.Advisories); len(batch) >= r.opts.Batch || weight >= manyAdvisories {
			return store()
		}
		return nil
	}
	for _, e := range s.kept {
		if err := add(e); err != nil {
			return err
		}
	}
	if s.spill != nil {
		if err := s.spill.each(add); err != nil {
			return err
		}
	}
	if total > 0 && s.again {
		known := func(o Origin) bool {
			name, known := s.origins[o]
			return known && !s.changed[name]
		}
		if _, err := r.parse(ctx, part, doc, known, func(g advisory.Group, origin Origin) error {
			if !s.changed[g.Name] {
				return nil
			}
			told := false
			normalise(&g, func(string, string) { told = true }) // the first pass has told whom it concerns
			if told {
				origin = Origin{}
			}
			delete(s.changed, g.Name)
			return add(Entry{Group: g, Fingerprint: s.seen[g.Name], Origin: origin})
		}); err != nil {
			return err
		}
	}
	if err := store(); err != nil {
		return err
	}
	if len(s.moved) > 0 {
		if err := r.store.SaveOrigins(ctx, r.feed.Name(), part.Name, s.moved); err != nil {
			return err
		}
	}
	for names := range slices.Chunk(s.removed, r.opts.Batch) {
		if err := r.store.ReplaceAdvisories(ctx, r.feed.Name(), part.Name, nil, names, r.decide); err != nil {
			return err
		}
		p.Removed += len(names)
	}
	return nil
}
