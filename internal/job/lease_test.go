package job_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// crash claims a job as a process does that dies right after.
func crash(t *testing.T, s *store.Store, c *clock, kind string) job.Job {
	t.Helper()
	outcome, err := s.TurnJobs(t.Context(), job.Turn{
		Owner: "dead", Now: c.Now(), LeaseUntil: c.Now().Add(time.Minute), Want: map[string]int{kind: 1},
	})
	if err != nil || len(outcome.Claimed) != 1 {
		t.Fatalf("got %+v, %v; want one job", outcome, err)
	}
	return outcome.Claimed[0]
}

func TestJobsOfADeadProcessAreDoneByAnother(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock()
		q := job.New(s, options(t, c))
		id := enqueue(t, q, "work", "a")
		claimed := crash(t, s, c, "work")
		if claimed.ID != id || claimed.Attempts != 1 || claimed.State != job.Running {
			t.Fatalf("claimed %+v", claimed)
		}
		start(t, q, does(func(context.Context, *job.Task) error { return nil }))
		c.Move(time.Minute - time.Microsecond)
		wait(t, q, enqueue(t, q, "work", "b"))
		if j, err := q.Job(t.Context(), id); err != nil || j.LeaseOwner != "dead" {
			t.Errorf("within the lease: got %+v, %v", j, err)
		}
		c.Move(time.Microsecond)
		if j := wait(t, q, id); j.State != job.Done || j.Attempts != 2 {
			t.Errorf("got %+v, want it done at the second try", j)
		}
		// The dead come back, too late.
		outcome, err := s.TurnJobs(t.Context(), job.Turn{Owner: "dead", Now: c.Now(), Results: []job.Result{
			{Hold: job.Hold{ID: id, Try: 1}, State: job.Failed, Attempts: 1, FinishedAt: c.Now(), Error: "too late"},
		}})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]int64{id}, outcome.Lost); diff != "" {
			t.Error(diff)
		}
		if j, _ := q.Job(t.Context(), id); j.State != job.Done || j.Error != "" {
			t.Errorf("got %+v, want the late result refused", j)
		}
	})
}

func TestJobThatAlwaysKillsItsProcessIsQuarantined(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock()
		q := job.New(s, options(t, c))
		id := enqueue(t, q, "work", "a")
		for try := 1; try <= 5; try++ {
			if j := crash(t, s, c, "work"); j.Attempts != try {
				t.Fatalf("got %+v, want try %d", j, try)
			}
			c.Move(time.Minute)
			if n, err := s.ReleaseJobs(t.Context(), c.Now()); n != 1 || err != nil {
				t.Fatalf("released %d, %v", n, err)
			}
		}
		j, err := q.Job(t.Context(), id)
		if err != nil || j.State != job.Failed || !strings.Contains(j.Error, "lease") || !j.FinishedAt.Equal(c.Now()) {
			t.Errorf("got %+v, %v; want it failed", j, err)
		}
	})
}

func TestLostLeaseCancelsTheJobAndItNeverRunsTwiceAtATime(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock()
		q := job.New(s, options(t, c))
		var running atomic.Int32
		started, causes, release := make(chan int), make(chan error, 1), make(chan struct{})
		start(t, q, does(func(ctx context.Context, task *job.Task) error {
			if running.Add(1) != 1 {
				t.Error("the job runs twice at a time")
			}
			defer running.Add(-1)
			started <- task.Attempts
			if task.Attempts == 1 {
				<-ctx.Done()
				causes <- context.Cause(ctx)
				<-release // it is slow to end
				return ctx.Err()
			}
			return nil
		}))
		id := enqueue(t, q, "work", "a")
		receive(t, started, "the first try")
		if n, err := s.ReleaseJobs(t.Context(), c.Now().Add(24*time.Hour)); n != 1 || err != nil {
			t.Fatalf("released %d, %v", n, err)
		}
		c.Move(30 * time.Second) // leases are renewed
		if cause := receive(t, causes, "the cancellation"); !errors.Is(cause, job.ErrLeaseLost) {
			t.Errorf("cancelled because of %v, want ErrLeaseLost", cause)
		}
		// Released jobs are due when they were released.
		c.Move(24 * time.Hour)
		await(t, q, id, "claimed again", func(j job.Job) bool { return j.Attempts == 2 })
		close(release)
		if try := receive(t, started, "the second try"); try != 2 {
			t.Errorf("got try %d", try)
		}
		if j := wait(t, q, id); j.State != job.Done || j.Attempts != 2 {
			t.Errorf("got %+v", j)
		}
	})
}

func TestLeasesOfRunningJobsAreRenewed(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock()
		here, there := job.New(s, options(t, c)), job.New(s, options(t, c))
		release := make(chan struct{})
		work := does(func(ctx context.Context, task *job.Task) error {
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		})
		start(t, here, work)
		id := enqueue(t, here, "work", "a")
		first := await(t, here, id, "running", func(j job.Job) bool { return j.State == job.Running })
		start(t, there, work)
		for range 10 {
			c.Move(25 * time.Second)
			now := c.Now()
			j := await(t, here, id, "renewed", func(j job.Job) bool { return j.LeaseUntil.Equal(now.Add(time.Minute)) })
			if j.LeaseOwner != first.LeaseOwner || j.Attempts != 1 {
				t.Fatalf("got %+v, want it kept by %s", j, first.LeaseOwner)
			}
		}
		close(release)
		if j := wait(t, here, id); j.State != job.Done || j.Attempts != 1 {
			t.Errorf("got %+v", j)
		}
	})
}

func TestReplicasShareTheWork(t *testing.T) {
	for name, location := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		t.Run(name, func(t *testing.T) {
			const jobs, replicas = 600, 3
			url := location(t)
			var running, ran sync.Map
			var queues []*job.Queue
			for range replicas {
				s, err := store.Open(t.Context(), url, store.Options{})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() {
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				})
				queues = append(queues, job.New(s, options(t, nil)))
			}
			did := make([]atomic.Int32, replicas)
			for i, q := range queues {
				start(t, q, does(func(_ context.Context, task *job.Task) error {
					if _, twice := running.LoadOrStore(task.ID, true); twice {
						t.Errorf("job %d runs twice at a time", task.ID)
					}
					if _, twice := ran.LoadOrStore(task.ID, true); twice {
						t.Errorf("job %d ran twice", task.ID)
					}
					did[i].Add(1)
					running.Delete(task.ID)
					return nil
				}))
			}
			var ids []int64
			for chunk := range 6 {
				var requests []job.Request
				for i := range jobs / 6 {
					requests = append(requests, job.Request{Kind: "work", Key: fmt.Sprint(chunk, " ", i)})
				}
				some, err := queues[chunk%replicas].EnqueueAll(t.Context(), requests)
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, some...)
			}
			for _, id := range ids {
				if j := wait(t, queues[0], id); j.State != job.Done || j.Attempts != 1 {
					t.Errorf("got %+v", j)
				}
			}
			t.Logf("jobs by replica: %d, %d, %d", did[0].Load(), did[1].Load(), did[2].Load())
		})
	}
}

func TestStopLetsRunningJobsEnd(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		q := job.New(s, options(t, nil))
		started, release := make(chan struct{}), make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		stopped := make(chan error, 1)
		go func() {
			stopped <- q.Run(ctx, map[string]job.Handler{"work": {Run: func(ctx context.Context, _ *job.Task) error {
				started <- struct{}{}
				<-release
				return ctx.Err() // nil: the job is not cancelled
			}}})
		}()
		first, second := enqueue(t, q, "work", "a"), enqueue(t, q, "work", "b")
		receive(t, started, "the job")
		cancel()
		release <- struct{}{}
		if err := receive(t, stopped, "Run"); err != nil {
			t.Error(err)
		}
		if j, err := q.Job(t.Context(), first); err != nil || j.State != job.Done {
			t.Errorf("got %+v, %v; want it done", j, err)
		}
		if j, err := q.Job(t.Context(), second); err != nil || j.State != job.Queued || j.Attempts != 0 {
			t.Errorf("got %+v, %v; want it queued still", j, err)
		}
		start(t, q, does(func(context.Context, *job.Task) error { return nil }))
		wait(t, q, second)
	})
}

func TestStopCancelsJobsAfterTheGraceAndDoesNotCountTheTry(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		opts := options(t, nil)
		opts.Grace = 10 * time.Millisecond
		q := job.New(s, opts)
		started, causes := make(chan struct{}), make(chan error, 1)
		stop := start(t, q, does(func(ctx context.Context, _ *job.Task) error {
			started <- struct{}{}
			<-ctx.Done()
			causes <- context.Cause(ctx)
			return ctx.Err()
		}))
		id := enqueue(t, q, "work", "a")
		receive(t, started, "the job")
		stop()
		if cause := receive(t, causes, "the cause"); !errors.Is(cause, job.ErrStopped) {
			t.Errorf("cancelled because of %v, want ErrStopped", cause)
		}
		if j, err := q.Job(t.Context(), id); err != nil || j.State != job.Queued || j.Attempts != 0 || j.LeaseOwner != "" || j.Error != "" {
			t.Errorf("got %+v, %v; want it as it was", j, err)
		}
	})
}

// faulty fails its turns while it is told to.
type faulty struct {
	*store.Store
	down atomic.Bool
	seen chan struct{}
}

func (f *faulty) TurnJobs(ctx context.Context, turn job.Turn) (job.TurnOutcome, error) {
	if f.down.Load() {
		select {
		case f.seen <- struct{}{}:
		default:
		}
		return job.TurnOutcome{}, errors.New("the database is down")
	}
	return f.Store.TurnJobs(ctx, turn)
}

func TestResultsOutliveAFaultOfTheStore(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		f := &faulty{Store: s, seen: make(chan struct{}, 1)}
		q := job.New(f, options(t, nil))
		var runs atomic.Int32
		start(t, q, does(func(context.Context, *job.Task) error {
			runs.Add(1)
			f.down.Store(true)
			return nil
		}))
		id := enqueue(t, q, "work", "a")
		receive(t, f.seen, "the refused result")
		receive(t, f.seen, "the second refusal")
		f.down.Store(false)
		if j := wait(t, q, id); j.State != job.Done || runs.Load() != 1 {
			t.Errorf("got %+v after %d runs", j, runs.Load())
		}
	})
}

func TestStopGivesUpOnAStoreThatStaysDown(t *testing.T) {
	f := &faulty{Store: storetest.SQLite(t, store.Options{}), seen: make(chan struct{}, 1)}
	q := job.New(f, options(t, nil))
	stop := start(t, q, does(func(context.Context, *job.Task) error {
		f.down.Store(true)
		return nil
	}))
	id := enqueue(t, q, "work", "a")
	receive(t, f.seen, "the refused result")
	stop()
	if j, err := q.Job(t.Context(), id); err != nil || j.State != job.Running {
		t.Errorf("got %+v, %v; want it left to its lease", j, err)
	}
}
