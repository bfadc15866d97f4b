package usage

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Store keeps the figures.
type Store interface {
	// AddPulls adds to what is there: several replicas count. Pulls of what was
	// deleted meanwhile are left out. It adds all of them or, with an error, none.
	AddPulls(ctx context.Context, pulls []Pulled) error
}

// Options are the choices of a Counter. The zero value is usable.
type Options struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Every is how long pulls wait to be written; 5 s where zero.
	Every time.Duration
	// MaxPulled bounds what is counted before it is written early; 10,000 different
	// tags and manifests where zero. Of pulls that cannot be written, twice as many are kept.
	MaxPulled int
	Log       *slog.Logger
}

const (
	// batch is how much is written in one transaction: others want to write, too.
	batch = 500
	// nameFor is for how long a client that asked what a tag names is awaited.
	nameFor = time.Minute
	// lastWords is how long the last batches may take.
	lastWords = 10 * time.Second
)

// Counter counts pulls in memory; Run writes them.
type Counter struct {
	store Store
	opts  Options
	wake  chan struct{}
	// writing is held by who writes, so that pulls come to the database in order.
	writing sync.Mutex

	mu      sync.Mutex
	pulled  map[Pull]Figures
	named   map[asked]name
	dropped int
	stalled bool // the database does not take what is written
}

// asked is a client's question for a tag, by its answer.
type asked struct {
	client       uint64
	repositoryID int64
	digest       string
}

type name struct {
	tag string
	at  time.Time
}

// New returns a counter.
func New(store Store, opts Options) *Counter {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Every == 0 {
		opts.Every = 5 * time.Second
	}
	if opts.MaxPulled == 0 {
		opts.MaxPulled = 10_000
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	return &Counter{store: store, opts: opts, wake: make(chan struct{}, 1), pulled: make(map[Pull]Figures), named: make(map[asked]name)}
}

// Named takes note that a client asked which manifest a tag names, and did not fetch
// it. Docker and containerd do so, and then fetch the manifest by its digest: that is
// a pull of the tag. Client is a number that is as good as the client's own.
func (c *Counter) Named(client uint64, p Pull) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.named) >= c.opts.MaxPulled {
		clear(c.named) // these pulls count by digest alone
	}
	c.named[asked{client, p.RepositoryID, p.Digest}] = name{p.Tag, c.opts.Now()}
}

// Pulled counts a pull. It waits for nobody.
func (c *Counter) Pulled(client uint64, p Pull) {
	now := c.opts.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.Tag == "" && len(c.named) > 0 {
		key := asked{client, p.RepositoryID, p.Digest}
		if n, ok := c.named[key]; ok {
			delete(c.named, key)
			if now.Sub(n.at) < nameFor {
				p.Tag = n.tag
			}
		}
	}
	c.add(Pulled{p, Figures{1, now}})
	if len(c.pulled) >= c.opts.MaxPulled && !c.stalled {
		select {
		case c.wake <- struct{}{}:
		default: // it is awake
		}
	}
}

// add is called with the lock. Where the database does not keep up, it forgets.
func (c *Counter) add(p Pulled) {
	f, ok := c.pulled[p.Pull]
	if !ok && len(c.pulled) >= 2*c.opts.MaxPulled {
		c.dropped += int(p.Pulls)
		return
	}
	f.Pulls += p.Pulls
	if p.LastPull.After(f.LastPull) {
		f.LastPull = p.LastPull
	}
	c.pulled[p.Pull] = f
}

// Run writes what was counted until ctx is done, and then the rest.
func (c *Counter) Run(ctx context.Context) error {
	tick := time.NewTicker(c.opts.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
			defer cancel()
			c.Write(last)
			return nil
		case <-c.wake:
		case <-tick.C:
		}
		c.Write(ctx)
	}
}

// Write writes what was counted so far. What cannot be written is kept for the next
// time.
func (c *Counter) Write(ctx context.Context) {
	c.writing.Lock()
	defer c.writing.Unlock()
	list := c.take()
	for len(list) > 0 {
		some := list[:min(batch, len(list))]
		if err := c.store.AddPulls(ctx, some); err != nil {
			c.ended(list)
			c.opts.Log.ErrorContext(ctx, "pulls are not counted yet", "different", len(list), "error", err)
			return
		}
		list = list[len(some):]
	}
	c.ended(nil)
}

// take empties the counter.
func (c *Counter) take() []Pulled {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dropped > 0 {
		c.opts.Log.Warn("pulls were not counted: the database does not keep up", "pulls", c.dropped)
		c.dropped = 0
	}
	old := c.opts.Now().Add(-nameFor)
	for key, n := range c.named {
		if n.at.Before(old) {
			delete(c.named, key)
		}
	}
	list := make([]Pulled, 0, len(c.pulled))
	for p, f := range c.pulled {
		list = append(list, Pulled{p, f})
	}
	clear(c.pulled)
	// Those of one repository are written together.
	slices.SortFunc(list, func(a, b Pulled) int { return cmp.Compare(a.RepositoryID, b.RepositoryID) })
	return list
}

// ended takes back what was not written.
func (c *Counter) ended(list []Pulled) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalled = len(list) > 0
	for _, p := range list {
		c.add(p)
	}
}
