package event

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Options are the choices of a Broker. The zero value is usable.
type Options struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Log receives what no listener can be told; slog.Default() where nil.
	Log *slog.Logger
	// Poll is how often the store is asked; 1 s where zero.
	Poll time.Duration
	// Listeners is how many may listen at a time; 200 where zero.
	Listeners int
	// Backlog is how many events may wait for a listener before it is cut off;
	// 500 where zero.
	Backlog int
	// Overlap is for how long a change may stay unseen, as the clocks of
	// replicas differ and transactions take their time; 10 s where zero.
	Overlap time.Duration
}

// Broker hands events to listeners.
type Broker struct {
	store Store
	opts  Options

	mu        sync.Mutex
	listeners map[*Listener]bool
	closed    bool
	woken     chan struct{}
}

// Listener is somebody who listens.
type Listener struct {
	// Events is closed where the listener is too slow, or the broker ends: one
	// that listens again from its last event misses nothing.
	Events <-chan Event

	events chan Event
	topics map[Topic]bool
	broker *Broker
}

// New returns a broker over the store. Listeners are told something while Run runs.
func New(store Store, opts Options) *Broker {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	opts.Poll = cmp.Or(opts.Poll, time.Second)
	opts.Listeners = cmp.Or(opts.Listeners, 200)
	opts.Backlog = cmp.Or(opts.Backlog, 500)
	opts.Overlap = cmp.Or(opts.Overlap, 10*time.Second)
	return &Broker{store: store, opts: opts, listeners: map[*Listener]bool{}, woken: make(chan struct{}, 1)}
}

// Listen lets one listen to topics, to all where none is named. It returns
// ErrFull or ErrClosed. The listener is to be closed.
func (b *Broker) Listen(topics ...Topic) (*Listener, error) {
	if len(topics) == 0 {
		topics = []Topic{Jobs, Feeds, Images, Decided}
	}
	l := &Listener{events: make(chan Event, b.opts.Backlog), topics: map[Topic]bool{}, broker: b}
	l.Events = l.events
	for _, topic := range topics {
		l.topics[topic] = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, ErrClosed
	case len(b.listeners) >= b.opts.Listeners:
		return nil, fmt.Errorf("%w: %d", ErrFull, len(b.listeners))
	}
	b.listeners[l] = true
	select {
	case b.woken <- struct{}{}:
	default:
	}
	return l, nil
}

// Close ends the listening.
func (l *Listener) Close() {
	l.broker.mu.Lock()
	defer l.broker.mu.Unlock()
	l.broker.remove(l)
}

// remove is called with the lock.
func (b *Broker) remove(l *Listener) {
	if b.listeners[l] {
		delete(b.listeners, l)
		close(l.events)
	}
}

// Point is the id of events from now on.
func (b *Broker) Point() int64 { return b.opts.Now().UnixMicro() }

// Since lists what changed after the event of an id, for the topics of a
// listener, the oldest change first. It may repeat what the listener was told.
func (l *Listener) Since(ctx context.Context, id int64) ([]Event, error) {
	since := time.UnixMicro(id).Add(-l.broker.opts.Overlap)
	return l.broker.read(ctx, since, l.topics, time.Time{}, l.broker.opts.Backlog)
}

// Run tells listeners of changes until ctx is done, then ends their listening.
func (b *Broker) Run(ctx context.Context) error {
	defer b.close()
	told := map[string]string{} // what was told of each thing, to tell it once
	var high time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.woken:
		case <-timer.C:
		}
		timer.Reset(b.opts.Poll)
		topics := b.topics()
		if len(topics) == 0 {
			clear(told)
			high = time.Time{}
			continue
		}
		first := high.IsZero()
		if first {
			high = b.opts.Now()
		}
		const most = 1000
		events, err := b.read(ctx, high.Add(-b.opts.Overlap), topics, high, most)
		if err != nil {
			if ctx.Err() == nil {
				b.opts.Log.ErrorContext(ctx, "events are not told", "error", err)
			}
			continue
		}
		seen := make(map[string]string, len(events))
		var fresh []Event
		for _, e := range events {
			name, state := e.identity()
			seen[name] = state
			if told[name] != state || e.Lost {
				fresh = append(fresh, e)
			}
			if at := time.UnixMicro(e.ID); at.After(high) {
				high = at
			}
		}
		// What is too old to be read is too old to be told again, too.
		told = seen
		b.tell(fresh)
	}
}

// identity names what an event is about, and its state.
func (e Event) identity() (name, state string) {
	switch {
	case e.Job != nil:
		j := e.Job
		return fmt.Sprint("job ", j.ID), fmt.Sprint(e.ID, j.State, j.Attempts, j.Completed, j.Total, j.Progress, j.CancelAt.UnixMicro())
	case e.Feed != nil:
		return "feed " + e.Feed.Name, fmt.Sprint(*e.Feed)
	case e.Image != nil:
		return "image " + e.Image.Digest, fmt.Sprint(e.ID, e.Image.State, e.Image.Error)
	case e.Decisions != nil:
		return "decisions", fmt.Sprint(e.Decisions.Assessments, e.Decisions.Changes)
	}
	return "", ""
}

// topics are those that somebody listens to.
func (b *Broker) topics() map[Topic]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := map[Topic]bool{}
	for l := range b.listeners {
		for topic := range l.topics {
			all[topic] = true
		}
	}
	return all
}

// read lists what changed since a time, the oldest first. Where there is more
// than limit of a topic, and what is left out changed after known, an event
// says so.
func (b *Broker) read(ctx context.Context, since time.Time, topics map[Topic]bool, known time.Time, limit int) ([]Event, error) {
	var events []Event
	var left time.Time
	if topics[Jobs] {
		jobs, err := b.store.ChangedJobs(ctx, since, limit)
		if err != nil {
			return nil, err
		}
		for _, j := range jobs {
			events = append(events, Event{ID: j.ChangedAt.UnixMicro(), Job: &j})
		}
		if len(jobs) == limit {
			left = jobs[limit-1].ChangedAt
		}
	}
	if topics[Images] {
		images, err := b.store.ChangedImages(ctx, since, limit)
		if err != nil {
			return nil, err
		}
		for _, i := range images {
			events = append(events, Event{ID: i.ChangedAt.UnixMicro(), Image: &i})
		}
		if len(images) == limit {
			left = later(left, images[limit-1].ChangedAt)
		}
	}
	if topics[Feeds] {
		feeds, err := b.store.FeedStates(ctx)
		if err != nil {
			return nil, err
		}
		for _, f := range feeds {
			if at := f.changedAt(); !at.Before(since) {
				events = append(events, Event{ID: at.UnixMicro(), Feed: &f})
			}
		}
	}
	if topics[Decided] {
		last, err := b.store.LastDecisions(ctx)
		if err != nil {
			return nil, err
		}
		if !last.ChangedAt.Before(since) {
			events = append(events, Event{ID: last.ChangedAt.UnixMicro(), Decisions: &last})
		}
	}
	if left.After(known) {
		events = append(events, Event{ID: left.UnixMicro(), Lost: true})
	}
	slices.SortStableFunc(events, func(a, c Event) int { return cmp.Compare(a.ID, c.ID) })
	return events, nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func (e Event) topic() Topic {
	switch {
	case e.Job != nil:
		return Jobs
	case e.Feed != nil:
		return Feeds
	case e.Image != nil:
		return Images
	case e.Decisions != nil:
		return Decided
	}
	return ""
}

// tell hands events to listeners; one that does not take them is cut off.
func (b *Broker) tell(events []Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for l := range b.listeners {
		for _, e := range events {
			if !e.Lost && !l.topics[e.topic()] {
				continue
			}
			select {
			case l.events <- e:
				continue
			default:
			}
			b.remove(l)
			break
		}
	}
}

func (b *Broker) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for l := range b.listeners {
		b.remove(l)
	}
}
