package job_test

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/store"
)

func TestFailedTriesComeBackAfterAPause(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock()
		opts := options(t, c)
		opts.Backoff = func(try int) time.Duration { return time.Duration(try) * time.Minute }
		q := job.New(s, opts)
		start(t, q, does(func(_ context.Context, task *job.Task) error {
			if task.Key == "a" && task.Attempts < 3 {
				return errors.New("the mirror is down")
			}
			if task.Key == "a" && task.Error != "the mirror is down" {
				t.Errorf("the third try sees %q", task.Error)
			}
			return nil
		}))
		id := enqueue(t, q, "work", "a")
		for try := 1; try < 3; try++ {
			j := await(t, q, id, "queued again", func(j job.Job) bool { return j.Attempts == try && j.State == job.Queued })
			due := c.Now().Add(time.Duration(try) * time.Minute)
			if !j.RunAt.Equal(due) || j.Error != "the mirror is down" {
				t.Errorf("after try %d: got %+v, want it due at %v", try, j, due)
			}
			c.Move(time.Duration(try)*time.Minute - time.Microsecond)
			wait(t, q, enqueue(t, q, "work", "b")) // the queue looked, at this time
			if j, err := q.Job(t.Context(), id); err != nil || j.Attempts != try {
				t.Errorf("before it is due: got %+v, %v", j, err)
			}
			c.Move(time.Microsecond)
		}
		if j := wait(t, q, id); j.State != job.Done || j.Attempts != 3 || j.Error != "" {
			t.Errorf("got %+v, want it done at the third try", j)
		}
	})
}

func TestFailures(t *testing.T) {
	boom := errors.New("boom")
	for _, test := range []struct {
		name     string
		run      func(context.Context, *job.Task) error
		timeout  time.Duration
		attempts int
		reason   string // the error contains it
	}{
		{name: "five tries", attempts: 5, reason: "boom", run: func(context.Context, *job.Task) error { return boom }},
		{name: "permanent", attempts: 1, reason: "boom", run: func(context.Context, *job.Task) error { return job.Permanent(boom) }},
		{name: "panic", attempts: 5, reason: "panic: boom\ngoroutine ", run: func(context.Context, *job.Task) error { panic(boom) }},
		{name: "payload", attempts: 1, reason: "payload of job work", run: func(_ context.Context, task *job.Task) error {
			return task.Decode(new([]string))
		}},
		{name: "goroutine ended", attempts: 5, reason: "ended its goroutine", run: func(context.Context, *job.Task) error {
			runtime.Goexit()
			return nil
		}},
		{name: "too long", attempts: 5, timeout: time.Millisecond, reason: "ran for too long: context deadline exceeded",
			run: func(ctx context.Context, _ *job.Task) error { <-ctx.Done(); return ctx.Err() }},
		{name: "unstorable reason", attempts: 1, reason: "\uFFFDbad\uFFFD", run: func(context.Context, *job.Task) error {
			return job.Permanent(errors.New("\x00bad\xff" + strings.Repeat("x", 1<<20)))
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			each(t, func(t *testing.T, s *store.Store) {
				opts := options(t, nil)
				opts.Backoff = func(int) time.Duration { return 0 }
				q := job.New(s, opts)
				start(t, q, map[string]job.Handler{"work": {Run: test.run, Timeout: test.timeout}})
				j := wait(t, q, enqueue(t, q, "work", "a"))
				if j.State != job.Failed || j.Attempts != test.attempts || !strings.Contains(j.Error, test.reason) || len(j.Error) > 9000 {
					t.Errorf("got %+v, want %d tries and %q", j, test.attempts, test.reason)
				}
			})
		})
	}
	if job.Permanent(nil) != nil {
		t.Error("Permanent(nil) is an error")
	}
	if !errors.Is(job.Permanent(boom), boom) {
		t.Error("Permanent hides its error")
	}
}

func TestMaxAttemptsOfOneJob(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		q := job.New(s, options(t, nil))
		start(t, q, does(func(context.Context, *job.Task) error { return errors.New("no") }))
		id, err := q.Enqueue(t.Context(), "work", "a", nil, job.EnqueueOptions{MaxAttempts: 1})
		if err != nil {
			t.Fatal(err)
		}
		if j := wait(t, q, id); j.State != job.Failed || j.Attempts != 1 {
			t.Errorf("got %+v", j)
		}
	})
}

func TestDefaultBackoff(t *testing.T) {
	for try, middle := range map[int]time.Duration{
		0: 15 * time.Minute, 1: time.Second, 2: 4 * time.Second, 3: 16 * time.Second, 4: 64 * time.Second, 5: 256 * time.Second, 6: 15 * time.Minute, 99: 15 * time.Minute,
	} {
		different := map[time.Duration]bool{}
		for range 50 {
			got := job.DefaultBackoff(try)
			if got < middle*3/4 || got > middle*5/4 {
				t.Errorf("try %d: got %v, want %v give or take a quarter", try, got, middle)
			}
			different[got] = true
		}
		if len(different) < 10 {
			t.Errorf("try %d: no jitter", try)
		}
	}
}
