package event_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/audit"
	"github.com/pratique/pratique/internal/event"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

const patience = 20 * time.Second

func run(t *testing.T, s event.Store, opts event.Options) *event.Broker {
	t.Helper()
	opts.Poll = 2 * time.Millisecond
	b := event.New(s, opts)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

func listen(t *testing.T, b *event.Broker, topics ...event.Topic) *event.Listener {
	t.Helper()
	l, err := b.Listen(topics...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// until reads events to the first that the condition holds for.
func until(t *testing.T, l *event.Listener, what string, condition func(event.Event) bool) event.Event {
	t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case e, open := <-l.Events:
			if !open {
				t.Fatalf("%s: cut off", what)
			}
			if condition(e) {
				return e
			}
		case <-deadline:
			t.Fatalf("%s: nothing came", what)
		}
	}
}

func isJob(id int64, state job.State) func(event.Event) bool {
	return func(e event.Event) bool { return e.Job != nil && e.Job.ID == id && e.Job.State == state }
}

func TestListenersHearWhatAnyReplicaChanges(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		b := run(t, s, event.Options{})
		q := job.New(s, job.Options{Poll: 2 * time.Millisecond}) // of another replica
		before, err := q.Enqueue(t.Context(), "work", "before", nil, job.EnqueueOptions{RunAt: time.Now().Add(time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		all, images := listen(t, b), listen(t, b, event.Images)
		step := make(chan struct{})
		ctx, stop := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() {
			if err := q.Run(ctx, map[string]job.Handler{"work": {Run: func(_ context.Context, task *job.Task) error {
				task.SetProgress("half")
				task.SetCount(1, 2)
				<-step
				return nil
			}}}); err != nil {
				t.Error(err)
			}
		})
		defer running.Wait()
		defer stop()
		id, err := q.Enqueue(t.Context(), "work", "a", nil, job.EnqueueOptions{})
		if err != nil {
			t.Fatal(err)
		}
		e := until(t, all, "the progress", func(e event.Event) bool { return e.Job != nil && e.Job.ID == id && e.Job.Progress == "half" })
		if e.Job.Completed != 1 || e.Job.Total != 2 || e.ID == 0 {
			t.Errorf("got %+v", e)
		}
		close(step)
		last := until(t, all, "the end", isJob(id, job.Done))
		const digest = "sha256:abc"
		if err := s.SaveImage(t.Context(), image.Image{Digest: digest, MediaType: "m"}); err != nil {
			t.Fatal(err)
		}
		pending := until(t, all, "the image", func(e event.Event) bool { return e.Image != nil })
		if pending.Image.Digest != digest || pending.Image.State != image.Pending || pending.ID < last.ID {
			t.Errorf("got %+v", pending)
		}
		until(t, images, "the image alone", func(e event.Event) bool {
			if e.Image == nil {
				t.Errorf("a listener to images hears %+v", e)
			}
			return true
		})
		// One that comes back is told what it missed, and what is older than that is not.
		missed, err := all.Since(t.Context(), pending.ID)
		if err != nil || len(missed) == 0 || missed[len(missed)-1].Image == nil {
			t.Errorf("got %+v, %v", missed, err)
		}
		missed, err = all.Since(t.Context(), time.Now().Add(time.Hour).UnixMicro())
		if err != nil || len(missed) != 0 {
			t.Errorf("after an hour: got %+v, %v", missed, err)
		}
		if _, err := q.Cancel(t.Context(), before); err != nil {
			t.Fatal(err)
		}
		until(t, all, "the cancellation", isJob(before, job.Cancelled))
		// Nothing is told twice while nothing changes.
		for range 10 {
			select {
			case e := <-all.Events:
				t.Errorf("again: %+v", e)
			case <-time.After(2 * time.Millisecond):
			}
		}
	})
}

// stock is a store with what a test puts there.
type stock struct {
	mu    sync.Mutex
	jobs  []job.Job
	feeds []event.Feed
	err   error

	decisions event.Decisions
}

func (s *stock) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *stock) ChangedJobs(_ context.Context, since time.Time, limit int) (found []job.Job, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := len(s.jobs) - 1; i >= 0 && len(found) < limit; i-- {
		if !s.jobs[i].ChangedAt.Before(since) {
			found = append(found, s.jobs[i])
		}
	}
	return found, s.err
}

func (s *stock) ChangedImages(context.Context, time.Time, int) ([]event.Image, error) {
	return nil, nil
}

func (s *stock) FeedStates(context.Context) ([]event.Feed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.feeds), nil
}

func (s *stock) LastDecisions(context.Context) (event.Decisions, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.decisions, nil
}

func TestDecisions(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		l := listen(t, run(t, s, event.Options{}), event.Decided)
		for _, action := range []string{"user.create", "policy.change", "registry.change"} {
			if err := s.AppendAudit(t.Context(), audit.Entry{Actor: "ada", Action: action, Object: "x"}); err != nil {
				t.Fatal(err)
			}
			if action == "user.create" {
				continue // nothing is decided by it
			}
			until(t, l, action, func(e event.Event) bool {
				if e.Decisions == nil || e.Decisions.Changes < 2 || e.ID == 0 {
					t.Errorf("%s: got %+v", action, e.Decisions)
				}
				return true
			})
		}
	})
}

func TestFeedsAndFailures(t *testing.T) {
	s := &stock{err: errors.New("the database is away")}
	b := run(t, s, event.Options{})
	l := listen(t, b)
	now := time.Now()
	s.set(func() {
		s.feeds = []event.Feed{{Name: "old", LastAttempt: now.Add(-time.Hour)}, {Name: "debian", LastAttempt: now.Add(time.Second)}}
	})
	s.set(func() { s.err = nil })
	until(t, l, "the feed", func(e event.Event) bool {
		if e.Feed == nil || e.Feed.Name != "debian" {
			t.Errorf("got %+v", e)
		}
		return true
	})
	s.set(func() { s.feeds[1].Error = "404" })
	until(t, l, "its error", func(e event.Event) bool { return e.Feed != nil && e.Feed.Error == "404" })
}

// TestBounds: of listeners, of what waits for one, and of what is told at once.
func TestBounds(t *testing.T) {
	s := &stock{}
	b := run(t, s, event.Options{Listeners: 2, Backlog: 10})
	slow, other := listen(t, b, event.Jobs), listen(t, b, event.Feeds)
	if _, err := b.Listen(); !errors.Is(err, event.ErrFull) {
		t.Errorf("the third: got %v, want ErrFull", err)
	}
	now := time.Now()
	fill := func(n int, at time.Time) {
		s.set(func() {
			for i := range n {
				s.jobs = append(s.jobs, job.Job{ID: int64(len(s.jobs) + 1), ChangedAt: at.Add(time.Duration(i) * time.Microsecond)})
			}
		})
	}
	fill(100, now.Add(time.Second))
	for deadline := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		if l, err := b.Listen(event.Feeds); err == nil { // it has been cut off
			l.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a slow listener is not cut off")
		}
	}
	got := 0
	for range slow.Events {
		got++
	}
	if got > 10 {
		t.Errorf("a slow listener got %d events, want at most 10", got)
	}
	slow.Close()
	again := listen(t, b, event.Jobs)
	missed, err := again.Since(t.Context(), now.Add(time.Minute).UnixMicro())
	if err != nil || len(missed) != 0 {
		t.Errorf("got %v, %v", missed, err)
	}
	missed, err = again.Since(t.Context(), now.UnixMicro())
	if err != nil || len(missed) != 11 || !missed[0].Lost && !missed[1].Lost {
		t.Errorf("more than it can be told: got %d, %v: %+v", len(missed), err, missed)
	}
	select {
	case e := <-other.Events:
		t.Errorf("a listener to feeds hears %+v", e)
	default:
	}
}

func TestMoreThanIsTold(t *testing.T) {
	s := &stock{}
	b := run(t, s, event.Options{Backlog: 5000})
	l := listen(t, b)
	s.set(func() {
		for i := range 3000 {
			s.jobs = append(s.jobs, job.Job{ID: int64(i + 1), ChangedAt: time.Now().Add(time.Second + time.Duration(i)*time.Microsecond)})
		}
	})
	lost := until(t, l, "that more changed", func(e event.Event) bool { return e.Lost })
	until(t, l, "the last", func(e event.Event) bool { return e.Job != nil && e.Job.ID == 3000 && e.ID > lost.ID })
}

func TestEndOfRun(t *testing.T) {
	b := event.New(&stock{}, event.Options{})
	l, err := b.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, open := <-l.Events; open {
		t.Error("the listener is not told the end")
	}
	l.Close()
	if _, err := b.Listen(); !errors.Is(err, event.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
}
