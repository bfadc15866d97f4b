package job_test

import (
	"context"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// clock stands still until it is moved.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const (
	// tick is the polling of queues whose clock is moved by hand.
	tick = 2 * time.Millisecond
	// patience is how long a test waits for what must happen.
	patience = 30 * time.Second
	// never is the polling of queues that must not need any.
	never = time.Hour
)

func each(t *testing.T, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	storetest.Each(t, store.Options{}, test)
}

// options are those of a queue that polls often and logs to the test.
func options(t testing.TB, c *clock) job.Options {
	opts := job.Options{Poll: tick, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}
	if c != nil {
		opts.Now = c.Now
	}
	return opts
}

// start runs the queue until the test ends or the returned function is called,
// which waits for it.
func start(t testing.TB, q *job.Queue, handlers map[string]job.Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx, handlers) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func enqueue(t testing.TB, q *job.Queue, kind, key string) int64 {
	t.Helper()
	id, err := q.Enqueue(context.Background(), kind, key, nil, job.EnqueueOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// wait returns the job when it is finished.
func wait(t testing.TB, q *job.Queue, id int64) job.Job {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	j, err := q.Wait(ctx, id)
	if err != nil {
		t.Fatalf("wait for job %d, which is %+v: %v", id, j, err)
	}
	return j
}

// await polls the job until the condition holds.
func await(t testing.TB, q *job.Queue, id int64, what string, condition func(job.Job) bool) job.Job {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(tick) {
		j, err := q.Job(context.Background(), id)
		if err != nil {
			t.Fatal(err)
		}
		if condition(j) {
			return j
		}
		if time.Now().After(deadline) {
			t.Fatalf("job %d is not %s: %+v", id, what, j)
		}
	}
}

// receive waits for a value.
func receive[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing came", what)
		panic("unreachable")
	}
}

func does(run func(ctx context.Context, task *job.Task) error) map[string]job.Handler {
	return map[string]job.Handler{"work": {Run: run, Concurrency: 4}}
}
