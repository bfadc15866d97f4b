package job_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/store"
)

func TestEnqueueReturnsTheUnfinishedJobOfTheSameKey(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		q := job.New(s, options(t, nil))
		first := enqueue(t, q, "work", "a")
		if again := enqueue(t, q, "work", "a"); again != first {
			t.Errorf("queued: got job %d, want %d", again, first)
		}
		if other := enqueue(t, q, "work", "b"); other == first {
			t.Error("another key got the same job")
		}
		if other := enqueue(t, q, "rest", "a"); other == first {
			t.Error("another kind got the same job")
		}
		started, release := make(chan struct{}), make(chan struct{})
		start(t, q, does(func(ctx context.Context, task *job.Task) error {
			if task.Key == "a" {
				started <- struct{}{}
				<-release
			}
			return nil
		}))
		receive(t, started, "the first job")
		if again := enqueue(t, q, "work", "a"); again != first {
			t.Errorf("running: got job %d, want %d", again, first)
		}
		release <- struct{}{}
		if j := wait(t, q, first); j.State != job.Done || j.Attempts != 1 {
			t.Errorf("got %+v, want done at the first try", j)
		}
		again := enqueue(t, q, "work", "a")
		if again == first {
			t.Error("finished: the job is not a new one")
		}
		receive(t, started, "the second job")
		release <- struct{}{}
		wait(t, q, again)
	})
}

func TestEnqueueAllKeepsTheOrder(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		q := job.New(s, options(t, nil))
		old := enqueue(t, q, "work", "7")
		var requests []job.Request
		for i := range 1203 {
			requests = append(requests, job.Request{Kind: "work", Key: fmt.Sprint(i % 1201), Payload: map[string]int{"n": i}})
		}
		ids, err := q.EnqueueAll(t.Context(), requests)
		if err != nil {
			t.Fatal(err)
		}
		if ids[7] != old || ids[1201] != ids[0] || ids[1202] != ids[1] {
			t.Errorf("got %d, %d, %d; want %d, %d, %d", ids[7], ids[1201], ids[1202], old, ids[0], ids[1])
		}
		for _, i := range []int{0, 1, 500, 1200} {
			j, err := q.Job(t.Context(), ids[i])
			if err != nil {
				t.Fatal(err)
			}
			if j.Key != fmt.Sprint(i) || string(j.Payload) != fmt.Sprintf(`{"n":%d}`, i) || j.State != job.Queued || j.MaxAttempts != 5 {
				t.Errorf("request %d became %+v", i, j)
			}
		}
		depths, err := q.Depths(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]job.Depth{{Kind: "work", State: job.Queued, Jobs: 1201}}, depths); diff != "" {
			t.Error(diff)
		}
	})
}

func TestEnqueueRefuses(t *testing.T) {
	q := job.New(nil, job.Options{})
	for _, test := range []struct{ name, kind, key string }{
		{"no kind", "", "a"}, {"long key", "work", strings.Repeat("x", 513)},
		{"NUL", "work", "a\x00"}, {"broken UTF-8", "w\xff", "a"},
	} {
		if _, err := q.Enqueue(t.Context(), test.kind, test.key, nil, job.EnqueueOptions{}); !errors.Is(err, job.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", test.name, err)
		}
	}
	if _, err := q.Enqueue(t.Context(), "work", "a", func() {}, job.EnqueueOptions{}); err == nil {
		t.Error("a payload that is no JSON: want an error")
	}
}

func TestEnqueueFromManyGoroutinesMakesOneJob(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		q := job.New(s, options(t, nil))
		var ids sync.Map
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				id, err := q.Enqueue(t.Context(), "work", "same", nil, job.EnqueueOptions{})
				if err != nil {
					t.Error(err)
				}
				ids.Store(id, true)
			})
		}
		all.Wait()
		n := 0
		ids.Range(func(any, any) bool { n++; return true })
		if n != 1 {
			t.Errorf("got %d jobs, want 1", n)
		}
	})
}

func TestJobsStartWithoutPolling(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		opts := options(t, nil)
		opts.Poll = never
		q := job.New(s, opts)
		ran := make(chan string)
		start(t, q, does(func(ctx context.Context, task *job.Task) error { ran <- task.Key; return nil }))
		for i := range 20 {
			key := fmt.Sprint(i)
			enqueue(t, q, "work", key)
			if got := receive(t, ran, "job "+key); got != key {
				t.Errorf("got job %s, want %s", got, key)
			}
		}
	})
}

func TestJobsThatAreDueLaterStartWithoutPolling(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		opts := options(t, nil)
		opts.Poll = never
		q := job.New(s, opts)
		ran := make(chan time.Time)
		start(t, q, does(func(ctx context.Context, task *job.Task) error { ran <- time.Now(); return nil }))
		due := time.Now().Add(30 * time.Millisecond)
		if _, err := q.Enqueue(t.Context(), "work", "later", nil, job.EnqueueOptions{RunAt: due}); err != nil {
			t.Fatal(err)
		}
		if got := receive(t, ran, "the job"); got.Before(due.Truncate(time.Microsecond)) {
			t.Errorf("ran at %v, before %v", got, due)
		}
	})
}

func TestWait(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		here, there := job.New(s, options(t, nil)), job.New(s, options(t, nil))
		id := enqueue(t, here, "work", "a")
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := here.Wait(ctx, id); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: got %v", err)
		}
		if _, err := here.Wait(t.Context(), id+1); !errors.Is(err, job.ErrNotFound) {
			t.Errorf("unknown: got %v, want ErrNotFound", err)
		}
		start(t, there, does(func(context.Context, *job.Task) error { return nil }))
		if j := wait(t, here, id); j.State != job.Done {
			t.Errorf("got %+v, want it done by the other queue", j)
		}
	})
}

func TestRunLeavesOtherKindsAlone(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		q := job.New(s, options(t, nil))
		other := enqueue(t, q, "of another version", "a")
		start(t, q, does(func(context.Context, *job.Task) error { return nil }))
		wait(t, q, enqueue(t, q, "work", "a"))
		if j, err := q.Job(t.Context(), other); err != nil || j.State != job.Queued || j.Attempts != 0 {
			t.Errorf("got %+v, %v; want it untouched", j, err)
		}
	})
}

func TestFloodOfOneKindDoesNotDelayOthers(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		opts := options(t, nil)
		opts.Poll, opts.Grace = never, time.Millisecond
		q := job.New(s, opts)
		var flood []job.Request
		for i := range 3000 {
			flood = append(flood, job.Request{Kind: "layer", Key: fmt.Sprint(i)})
		}
		if _, err := q.EnqueueAll(t.Context(), flood); err != nil {
			t.Fatal(err)
		}
		busy := make(chan struct{}, 2)
		start(t, q, map[string]job.Handler{
			"layer": {Concurrency: 2, Run: func(ctx context.Context, _ *job.Task) error {
				busy <- struct{}{}
				<-ctx.Done()
				return ctx.Err()
			}},
			"short": {Run: func(context.Context, *job.Task) error { return nil }},
		})
		receive(t, busy, "the first layer")
		receive(t, busy, "the second layer")
		if j := wait(t, q, enqueue(t, q, "short", "a")); j.State != job.Done {
			t.Errorf("got %+v", j)
		}
		depths, err := q.Depths(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want := []job.Depth{{Kind: "layer", State: job.Queued, Jobs: 2998}, {Kind: "layer", State: job.Running, Jobs: 2}}
		if diff := cmp.Diff(want, depths); diff != "" {
			t.Error(diff)
		}
	})
}

func TestProgressIsSeenWhileTheJobRuns(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		q := job.New(s, options(t, nil))
		release := make(chan struct{})
		start(t, q, does(func(ctx context.Context, task *job.Task) error {
			task.SetProgress("half \x00\xff" + strings.Repeat("é", 8000))
			<-release
			task.SetProgress("412 packages")
			return nil
		}))
		id := enqueue(t, q, "work", "a")
		j := await(t, q, id, "in progress", func(j job.Job) bool { return j.Progress != "" })
		if !strings.HasPrefix(j.Progress, "half \uFFFD\uFFFDéé") || len(j.Progress) > 9000 || j.State != job.Running || j.LeaseOwner == "" || j.StartedAt.IsZero() {
			t.Errorf("got %+v", j)
		}
		close(release)
		if j := wait(t, q, id); j.Progress != "412 packages" || j.State != job.Done || j.FinishedAt.IsZero() || j.LeaseOwner != "" {
			t.Errorf("got %+v", j)
		}
	})
}

func TestFinishedJobsArePruned(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock()
		q := job.New(s, options(t, c))
		start(t, q, does(func(context.Context, *job.Task) error { return nil }))
		old := enqueue(t, q, "work", "old")
		wait(t, q, old)
		c.Move(13 * 24 * time.Hour)
		young := enqueue(t, q, "work", "young")
		wait(t, q, young)
		c.Move(25 * time.Hour)
		if n, err := q.Prune(t.Context(), c.Now().Add(-14*24*time.Hour)); err != nil || n != 1 {
			t.Errorf("pruned %d, %v; want 1", n, err)
		}
		if _, err := q.Job(t.Context(), old); !errors.Is(err, job.ErrNotFound) {
			t.Errorf("the old job: got %v, want ErrNotFound", err)
		}
		if _, err := q.Job(t.Context(), young); err != nil {
			t.Errorf("the young job: %v", err)
		}
	})
}

func TestRunRefuses(t *testing.T) {
	q := job.New(nil, job.Options{})
	if err := q.Run(t.Context(), map[string]job.Handler{"work": {}}); !errors.Is(err, job.ErrInvalid) {
		t.Errorf("no function: got %v, want ErrInvalid", err)
	}
}
