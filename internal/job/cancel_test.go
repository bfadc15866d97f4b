package job_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/store"
)

func TestCancel(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		runs, other := job.New(s, options(t, nil)), job.New(s, options(t, nil))
		started := make(chan int64, 10)
		start(t, runs, map[string]job.Handler{"work": {Run: func(ctx context.Context, task *job.Task) error {
			started <- task.ID
			<-ctx.Done()
			if cause := context.Cause(ctx); !errors.Is(cause, job.ErrCancelled) {
				t.Errorf("the cause is %v", cause)
			}
			return ctx.Err()
		}}})
		for name, q := range map[string]*job.Queue{"the same replica": runs, "another replica": other} {
			running, queued := enqueue(t, runs, "work", name), int64(0)
			receive(t, started, "the job")
			queued = enqueue(t, runs, "work", name+" 2") // the lane has one place
			if j, err := q.Cancel(t.Context(), queued); err != nil || j.State != job.Cancelled || j.FinishedAt.IsZero() {
				t.Errorf("%s: queued: got %+v, %v", name, j, err)
			}
			if j, err := q.Cancel(t.Context(), running); err != nil || j.CancelAt.IsZero() {
				t.Errorf("%s: running: got %+v, %v", name, j, err)
			}
			if j := wait(t, q, running); j.State != job.Cancelled || j.FinishedAt.IsZero() || j.Attempts != 1 {
				t.Errorf("%s: got %+v, want it cancelled after one try", name, j)
			}
			lines, err := q.Log(t.Context(), running, 0, 100)
			if err != nil || len(lines) != 2 || lines[1].Text != "cancelled" || lines[1].Position != 2 {
				t.Errorf("%s: log: got %+v, %v", name, lines, err)
			}
			for what, id := range map[string]int64{"queued": queued, "running": running} {
				if _, err := q.Cancel(t.Context(), id); !errors.Is(err, job.ErrFinished) {
					t.Errorf("%s: %s again: got %v, want ErrFinished", name, what, err)
				}
			}
		}
		if _, err := other.Cancel(t.Context(), 999); !errors.Is(err, job.ErrNotFound) {
			t.Errorf("unknown: got %v, want ErrNotFound", err)
		}
	})
}

// TestCancelledJobsDoNotComeBack: of one that failed before it heard of it, and
// of one whose process is dead.
func TestCancelledJobsDoNotComeBack(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock()
		q := job.New(s, options(t, c))
		failing, dead := enqueue(t, q, "work", "failing"), enqueue(t, q, "work", "dead")
		now := c.Now()
		outcome, err := s.TurnJobs(t.Context(), job.Turn{Owner: "x", Now: now, LeaseUntil: now.Add(time.Minute), Want: map[string]int{"work": 2}})
		if err != nil || len(outcome.Claimed) != 2 {
			t.Fatalf("got %+v, %v", outcome, err)
		}
		for _, id := range []int64{failing, dead} {
			if _, err := q.Cancel(t.Context(), id); err != nil {
				t.Fatal(err)
			}
		}
		if ids, err := s.JobsToCancel(t.Context(), "x"); err != nil || len(ids) != 2 {
			t.Errorf("to cancel: got %v, %v", ids, err)
		}
		if ids, err := s.JobsToCancel(t.Context(), "y"); err != nil || len(ids) != 0 {
			t.Errorf("of another owner: got %v, %v", ids, err)
		}
		if _, err := s.TurnJobs(t.Context(), job.Turn{Owner: "x", Now: now, Results: []job.Result{{
			Hold: job.Hold{ID: failing, Try: 1}, State: job.Queued, Attempts: 1, RunAt: now.Add(time.Second), Error: "boom"}}}); err != nil {
			t.Fatal(err)
		}
		if n, err := s.ReleaseJobs(t.Context(), now.Add(time.Minute)); err != nil || n != 1 {
			t.Errorf("released %d, %v; want 1", n, err)
		}
		for _, id := range []int64{failing, dead} {
			if j, err := q.Job(t.Context(), id); err != nil || j.State != job.Cancelled || j.FinishedAt.IsZero() {
				t.Errorf("got %+v, %v; want it cancelled", j, err)
			}
		}
	})
}

// TestKilledReplicaResumesAtStart: the lease is an hour, and nobody waits for it.
func TestKilledReplicaResumesAtStart(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		opts := options(t, nil)
		opts.Lease, opts.Replica = time.Hour, "abc"
		q := job.New(s, opts)
		mine, others := enqueue(t, q, "work", "mine"), enqueue(t, q, "other", "others")
		now := time.Now()
		for owner, kind := range map[string]string{"abc/1": "work", "abcd/1": "other"} { // their processes were killed
			if o, err := s.TurnJobs(t.Context(), job.Turn{Owner: owner, Now: now, LeaseUntil: now.Add(time.Hour), Want: map[string]int{kind: 1}}); err != nil || len(o.Claimed) != 1 {
				t.Fatalf("got %+v, %v", o, err)
			}
		}
		start(t, q, does(func(context.Context, *job.Task) error { return nil }))
		if j := wait(t, q, mine); j.State != job.Done || j.Attempts != 2 {
			t.Errorf("got %+v, want it done at the second try", j)
		}
		if j, err := q.Job(t.Context(), others); err != nil || j.State != job.Running {
			t.Errorf("the job of another replica: got %+v, %v", j, err)
		}
	})
}

// TestNothingIsStuckPastTwiceItsTimeout: also where the handler heeds nothing.
func TestNothingIsStuckPastTwiceItsTimeout(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		q := job.New(s, options(t, nil))
		const timeout = 100 * time.Millisecond
		release, ran := make(chan struct{}), make(chan string, 10)
		stop := start(t, q, map[string]job.Handler{"work": {Timeout: timeout, Run: func(_ context.Context, task *job.Task) error {
			if ran <- task.Key; task.Key == "stuck" {
				<-release
			}
			return nil
		}}})
		began := time.Now()
		id := enqueue(t, q, "work", "stuck")
		j := wait(t, q, id)
		if j.State != job.Failed || j.Attempts != 1 || !strings.Contains(j.Error, "given up") {
			t.Errorf("got %+v, want it failed and the reason", j)
		}
		t.Logf("given up after %v of a time-out of %v", time.Since(began), timeout)
		receive(t, ran, "the stuck job")
		next := enqueue(t, q, "work", "next")
		if j, err := q.Job(t.Context(), next); err != nil || j.State != job.Queued { // its place is taken
			t.Errorf("got %+v, %v", j, err)
		}
		close(release)
		if j := wait(t, q, next); j.State != job.Done {
			t.Errorf("got %+v", j)
		}
		stop()
	})
}

func TestLogAndCount(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		opts := options(t, nil)
		opts.Backoff = func(int) time.Duration { return 0 }
		q := job.New(s, opts)
		step := make(chan struct{})
		start(t, q, does(func(_ context.Context, task *job.Task) error {
			task.Log(job.Info, "began with %d", 7)
			task.SetCount(3, 10)
			if task.Attempts == 1 {
				<-step
				return errors.New("bo\x00om")
			}
			for i := range 3000 {
				task.Log(job.Info, "line %d %s", i, strings.Repeat("x", 3000))
			}
			task.Log(job.Warning, "the end")
			task.SetCount(10, 10)
			return nil
		}))
		id := enqueue(t, q, "work", "a")
		j := await(t, q, id, "counting", func(j job.Job) bool { return j.Total == 10 })
		if j.Completed != 3 || j.State != job.Running || j.ChangedAt.IsZero() {
			t.Errorf("got %+v", j)
		}
		if lines, err := q.Log(t.Context(), id, 0, 10); err != nil || len(lines) != 1 || lines[0].Text != "began with 7" || lines[0].Level != job.Info {
			t.Errorf("the log of a running job: got %+v, %v", lines, err)
		}
		close(step)
		if j := wait(t, q, id); j.Completed != 10 || j.State != job.Done {
			t.Errorf("got %+v", j)
		}
		var all []job.Line
		for {
			after := 0
			if len(all) > 0 {
				after = all[len(all)-1].Position
			}
			lines, err := q.Log(t.Context(), id, after, 333)
			if err != nil {
				t.Fatal(err)
			}
			if all = append(all, lines...); len(lines) < 333 {
				break
			}
		}
		if len(all) > 1000 || !strings.HasPrefix(all[1].Text, "try 1 of 5 failed, the next is at ") || !strings.HasSuffix(all[1].Text, "bo\uFFFDom") {
			t.Errorf("got %d lines, the second %+v", len(all), all[1])
		}
		last := all[len(all)-1].Text
		if last != "the end" && !strings.Contains(last, "left out") {
			t.Errorf("the last line is %q", last)
		}
		for i, line := range all {
			if line.Position != i+1 || len(line.Text) > 2100 || line.At.IsZero() {
				t.Fatalf("line %d: %+v", i, line)
			}
		}
		if _, err := q.Log(t.Context(), 999, 0, 10); !errors.Is(err, job.ErrNotFound) {
			t.Errorf("of an unknown job: got %v, want ErrNotFound", err)
		}
		// The log is full in the end, and what warns has the last of its places.
		lines := make([]job.Line, 2000)
		for i := range lines {
			lines[i] = job.Line{At: time.Now(), Level: job.Info, Text: fmt.Sprint(i)}
		}
		lines = append(lines, job.Line{At: time.Now(), Level: job.Error, Text: "important"})
		full := enqueue(t, q, "never", "full")
		o, err := s.TurnJobs(t.Context(), job.Turn{Owner: "x", Now: time.Now(), LeaseUntil: time.Now().Add(time.Hour), Want: map[string]int{"never": 1}})
		if err != nil || len(o.Claimed) != 1 {
			t.Fatalf("got %+v, %v", o, err)
		}
		for range 2 {
			if err := s.SaveJobProgress(t.Context(), "x", time.Now(), []job.Progress{{Hold: job.Hold{ID: full, Try: 1}, Lines: lines}}); err != nil {
				t.Fatal(err)
			}
		}
		kept, err := q.Log(t.Context(), full, 0, 2000)
		if err != nil || len(kept) != 902 || !strings.Contains(kept[899].Text, "full") || kept[900].Text != "important" || kept[901].Text != "important" {
			t.Errorf("got %d lines, %v", len(kept), err)
		}
	})
}
