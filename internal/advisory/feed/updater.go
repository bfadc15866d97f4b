package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pratique/pratique/internal/match"
)

// Options are the choices of an Updater; the zero value is usable.
type Options struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Log takes what is worth knowing; slog.Default() where nil.
	Log *slog.Logger
	// Batch is how many packages are stored in one transaction; 500 where zero.
	Batch int
	// Timeout bounds the update of one feed; 1 h where zero. A Crawler has six
	// times as long: its first load may be of tens of gigabytes, or of pages that
	// may be asked for only so often.
	Timeout time.Duration
}

// Updater brings advisories up to date. It is safe for use by several
// goroutines; updates of the same feed follow one another.
type Updater struct {
	store   Store
	fetcher *Fetcher
	feeds   []Feed
	decide  match.Decide
	opts    Options
	// room counts the statements that surveys keep.
	room atomic.Int64
	// turns holds, for each feed, a token that its update takes.
	turns map[string]chan struct{}
	// reading is who reads and stores documents.
	reading crowd
}

// New returns an updater of the feeds.
func New(store Store, fetcher *Fetcher, feeds []Feed, decide match.Decide, opts Options) *Updater {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	setDefault(&opts.Batch, 500)
	setDefault(&opts.Timeout, time.Hour)
	u := &Updater{store: store, fetcher: fetcher, feeds: feeds, decide: decide, opts: opts, turns: make(map[string]chan struct{}), reading: crowd{free: max(2, runtime.GOMAXPROCS(0))}}
	for _, f := range feeds {
		u.turns[f.Name()] = make(chan struct{}, 1)
	}
	return u
}

// Names lists the feeds.
func (u *Updater) Names() []string {
	names := make([]string, 0, len(u.feeds))
	for _, f := range u.feeds {
		names = append(names, f.Name())
	}
	return names
}

// Status says what is known of each feed, in the order of Names.
func (u *Updater) Status(ctx context.Context) ([]Status, error) {
	all := make([]Status, 0, len(u.feeds))
	for _, f := range u.feeds {
		one, err := u.store.FeedStatus(ctx, f.Name())
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// Request says what to update.
type Request struct {
	// Feeds are names; none is all.
	Feeds []string
	// AcceptLoss believes documents that take most of what is stored away.
	AcceptLoss bool
	// Progress is told what is going on, where not nil; never twice at once.
	Progress func(message string)
}

// Outcome is what an update did with a document.
type Outcome string

// The outcomes.
const (
	// Unchanged: the publisher still has what is stored.
	Unchanged Outcome = "unchanged"
	// Updated: the document was read, and what had changed is stored.
	Updated Outcome = "updated"
	// Absent: the publisher does not have the document. What is stored of it, if
	// anything, stays.
	Absent Outcome = "absent"
	// Failed: what is stored stays.
	Failed Outcome = "failed"
)

// PartResult is what an update did with a document.
type PartResult struct {
	Part    string
	URL     string
	Outcome Outcome
	// Packages and Advisories count what the document holds, Changed and
	// Removed the packages whose statements differed or are gone.
	Packages, Advisories, Changed, Removed int
	Skipped                                Skipped
	Err                                    error
}

// Result is what an update did with a feed.
type Result struct {
	Feed  string
	Parts []PartResult
	// Changed and Removed count packages, Skipped malformed records.
	Changed, Removed int
	Skipped          Skipped
	Duration         time.Duration
	// Err joins what went wrong; whatever else the feed has was updated.
	Err error
}

// Update brings the feeds up to date, side by side. A feed that fails, or a
// document of one, does not keep the others from being updated; the error
// joins those of all results. ErrUnknown says that a name is that of no feed.
func (u *Updater) Update(ctx context.Context, req Request) ([]Result, error) {
	feeds, err := u.choose(req.Feeds)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	tell := func(format string, args ...any) {
		if req.Progress != nil {
			mu.Lock()
			defer mu.Unlock()
			req.Progress(fmt.Sprintf(format, args...))
		}
	}
	results := make([]Result, len(feeds))
	errs := make([]error, len(feeds))
	var wait sync.WaitGroup
	for i, f := range feeds {
		wait.Go(func() {
			results[i] = u.inTurn(ctx, f, req.AcceptLoss, tell)
			errs[i] = results[i].Err
		})
	}
	wait.Wait()
	return results, errors.Join(errs...)
}

func (u *Updater) choose(names []string) ([]Feed, error) {
	if len(names) == 0 {
		return u.feeds, nil
	}
	var chosen []Feed
	for _, name := range names {
		i := slices.IndexFunc(u.feeds, func(f Feed) bool { return f.Name() == name })
		if i < 0 {
			return nil, fmt.Errorf("feed %q: %w; there are %s", name, ErrUnknown, strings.Join(u.Names(), ", "))
		}
		// Feeds need not be comparable; their names are.
		if !slices.ContainsFunc(chosen, func(f Feed) bool { return f.Name() == name }) {
			chosen = append(chosen, u.feeds[i])
		}
	}
	return chosen, nil
}

// inTurn updates one feed when no other update of it is under way.
func (u *Updater) inTurn(ctx context.Context, f Feed, acceptLoss bool, tell func(string, ...any)) Result {
	select {
	case u.turns[f.Name()] <- struct{}{}:
		defer func() { <-u.turns[f.Name()] }()
	case <-ctx.Done():
		return Result{Feed: f.Name(), Err: fmt.Errorf("feed %s: %w", f.Name(), context.Cause(ctx))}
	}
	began, timeout := u.opts.Now(), u.opts.Timeout
	if _, ok := f.(Crawler); ok {
		timeout *= 6
	}
	limited, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not done after %s", timeout))
	defer cancel()
	r := &run{Updater: u, feed: f, acceptLoss: acceptLoss, tell: tell, result: Result{Feed: f.Name()}}
	err := u.store.BeginFeedUpdate(limited, f.Name(), began)
	if err == nil {
		err = r.update(limited)
	}
	if err != nil {
		err = fmt.Errorf("feed %s: %w", f.Name(), err)
	}
	failure := ""
	if err != nil {
		failure = cut(err.Error(), maxProse)
	}
	// How it ended is noted even where it ended because it was told to, and while
	// other feeds are stored.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	changed := r.result.Changed+r.result.Removed > 0
	r.result.Err = errors.Join(err, u.store.EndFeedUpdate(noting, f.Name(), u.opts.Now(), changed, failure))
	r.result.Duration = u.opts.Now().Sub(began)
	return r.result
}
