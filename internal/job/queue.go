package job

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"
)

// Queue hands jobs to a store and, while it is run, does them. It is safe for
// use by several goroutines; several queues may share one store.
type Queue struct {
	store Store
	opts  Options

	mu      sync.Mutex
	runner  *runner
	waiters map[int64][]chan struct{}
}

// Options are the choices of a Queue.
type Options struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Log receives what no caller can be told; slog.Default() where nil.
	Log *slog.Logger
	// Poll is how often the store is asked for the work of other replicas;
	// 1 s where zero.
	Poll time.Duration
	// Lease is how long a job is left alone by other replicas after its own
	// fell silent; 1 min where zero. It is renewed three times in that time.
	Lease time.Duration
	// Grace is how long running jobs may go on when the queue is stopped; 10 s where zero.
	Grace time.Duration
	// MaxAttempts is the number of tries of a job that says nothing itself; 5 where zero.
	MaxAttempts int
	// Backoff is the pause after the try of that number (from 1) failed;
	// DefaultBackoff where nil.
	Backoff func(try int) time.Duration
	// Replica is a name of this installation that lasts from start to start and
	// that no other one has, of letters and digits: the jobs of a process that
	// was killed then go on at the next start, not when their leases end. ""
	// where there is none.
	Replica string
}

// DefaultBackoff is 1, 4, 16, 64 … seconds, at most 15 minutes, give or take a
// quarter so that jobs that failed together do not come back together.
func DefaultBackoff(try int) time.Duration {
	const ceiling = 15 * time.Minute
	pause := ceiling
	if try >= 1 && try <= 5 {
		pause = time.Second << (2 * (try - 1))
	}
	return time.Duration(float64(pause) * (0.75 + mathrand.Float64()/2))
}

// New returns a queue over the store. It does nothing until Run, but jobs
// can be enqueued and waited for.
func New(store Store, opts Options) *Queue {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Backoff == nil {
		opts.Backoff = DefaultBackoff
	}
	if opts.MaxAttempts <= 0 {
		opts.MaxAttempts = 5
	}
	for value, otherwise := range map[*time.Duration]time.Duration{
		&opts.Poll: time.Second, &opts.Lease: time.Minute, &opts.Grace: 10 * time.Second,
	} {
		if *value <= 0 {
			*value = otherwise
		}
	}
	return &Queue{store: store, opts: opts, waiters: map[int64][]chan struct{}{}}
}

// Request asks for a job.
type Request struct {
	// Kind chooses the handler.
	Kind string
	// Key says what the job is about. It is a key like any other where empty:
	// such a kind has one unfinished job at a time.
	Key string
	// Payload is stored as JSON; nil is {}.
	Payload any
	Opts    EnqueueOptions
}

// EnqueueOptions are the choices for one job.
type EnqueueOptions struct {
	// RunAt is when the job is due; at once where zero.
	RunAt time.Time
	// MaxAttempts is the number of tries; the queue's where zero.
	MaxAttempts int
}

// Enqueue stores a job and returns its id, or that of the unfinished job of the
// same kind and key. That one may run already: a job must therefore read what
// it works on when it starts, and who changes such a thing while it may be
// running must make the change part of the key.
func (q *Queue) Enqueue(ctx context.Context, kind, key string, payload any, opts EnqueueOptions) (int64, error) {
	ids, err := q.EnqueueAll(ctx, []Request{{Kind: kind, Key: key, Payload: payload, Opts: opts}})
	if err != nil {
		return 0, err
	}
	return ids[0], nil
}

// EnqueueAll is Enqueue for many jobs in one transaction. The ids come in the
// order of the requests.
func (q *Queue) EnqueueAll(ctx context.Context, requests []Request) ([]int64, error) {
	if len(requests) == 0 {
		return nil, nil
	}
	now := q.opts.Now()
	jobs := make([]Draft, len(requests))
	next := map[string]time.Time{}
	for i, request := range requests {
		job, err := q.prepare(request, now)
		if err != nil {
			return nil, err
		}
		jobs[i] = job
		if first, ok := next[job.Kind]; !ok || job.RunAt.Before(first) {
			next[job.Kind] = job.RunAt
		}
	}
	ids, err := q.store.EnqueueJobs(ctx, jobs)
	if err != nil {
		return nil, fmt.Errorf("enqueue %d jobs of kind %s: %w", len(jobs), jobs[0].Kind, err)
	}
	q.wake(next)
	return ids, nil
}

func (q *Queue) prepare(request Request, now time.Time) (Draft, error) {
	if request.Kind == "" {
		return Draft{}, fmt.Errorf("job without a kind: %w", ErrInvalid)
	}
	if err := errors.Join(checkName("kind", request.Kind), checkName("key", request.Key)); err != nil {
		return Draft{}, err
	}
	job := Draft{
		Kind: request.Kind, Key: request.Key, Payload: json.RawMessage("{}"),
		MaxAttempts: request.Opts.MaxAttempts, RunAt: request.Opts.RunAt, CreatedAt: now,
	}
	if request.Payload != nil {
		payload, err := json.Marshal(request.Payload)
		if err != nil {
			return Draft{}, fmt.Errorf("job %s %q: payload: %w", request.Kind, request.Key, err)
		}
		job.Payload = payload
	}
	if job.MaxAttempts <= 0 {
		job.MaxAttempts = q.opts.MaxAttempts
	}
	if job.RunAt.IsZero() {
		job.RunAt = now
	}
	return job, nil
}

// Wake makes the queue look for jobs of these kinds at once. It is for jobs
// that were stored within another transaction than Enqueue's.
func (q *Queue) Wake(kinds ...string) {
	now := q.opts.Now()
	next := make(map[string]time.Time, len(kinds))
	for _, kind := range kinds {
		next[kind] = now
	}
	q.wake(next)
}

func (q *Queue) wake(next map[string]time.Time) {
	q.mu.Lock()
	r := q.runner
	q.mu.Unlock()
	if r != nil {
		r.wake(next)
	}
}

// Job returns a job, or ErrNotFound.
func (q *Queue) Job(ctx context.Context, id int64) (Job, error) { return q.store.Job(ctx, id) }

// Jobs lists jobs, newest first.
func (q *Queue) Jobs(ctx context.Context, filter Filter) ([]Job, error) {
	if filter.Limit <= 0 {
		filter.Limit = 100
	}
	switch filter.State {
	case "", Queued, Running, Done, Failed, Cancelled:
	default:
		return nil, fmt.Errorf("state %q: %w", filter.State, ErrInvalid)
	}
	return q.store.Jobs(ctx, filter)
}

// Cancel ends a job: at once where it is queued, within seconds where it runs,
// whoever runs it. It returns the job as it is then, ErrNotFound or ErrFinished.
func (q *Queue) Cancel(ctx context.Context, id int64) (Job, error) {
	if err := q.store.CancelJob(ctx, id, q.opts.Now()); err != nil {
		return Job{}, err
	}
	q.mu.Lock()
	r := q.runner
	q.mu.Unlock()
	if r != nil {
		r.cancelOne(id)
	}
	q.tell([]int64{id})
	return q.store.Job(ctx, id)
}

// Log lists at most limit lines of a job's log after a position.
func (q *Queue) Log(ctx context.Context, id int64, after, limit int) ([]Line, error) {
	return q.store.JobLog(ctx, id, after, limit)
}

// Last returns the newest job of a kind, or ErrNotFound.
func (q *Queue) Last(ctx context.Context, kind string) (Job, error) {
	jobs, err := q.store.Jobs(ctx, Filter{Kind: kind, Limit: 1})
	if err != nil {
		return Job{}, err
	}
	if len(jobs) == 0 {
		return Job{}, ErrNotFound
	}
	return jobs[0], nil
}

// Prune deletes what is remembered of jobs that finished before a time, and
// returns how many they were.
func (q *Queue) Prune(ctx context.Context, before time.Time) (int, error) {
	const batch = 1000
	for pruned := 0; ; {
		n, err := q.store.PruneJobs(ctx, before, batch)
		if pruned += n; err != nil || n < batch {
			return pruned, err
		}
	}
}

// Depths counts the unfinished jobs by kind and state.
func (q *Queue) Depths(ctx context.Context) ([]Depth, error) { return q.store.JobDepths(ctx) }

// Wait blocks until the job is finished, whoever runs it, and returns it. That
// the job failed is no error of Wait.
func (q *Queue) Wait(ctx context.Context, id int64) (Job, error) {
	finished := make(chan struct{}, 1)
	q.mu.Lock()
	q.waiters[id] = append(q.waiters[id], finished)
	q.mu.Unlock()
	defer q.forget(id, finished)

	// The jobs of other replicas finish without a word.
	poll := time.NewTicker(q.opts.Poll)
	defer poll.Stop()
	for {
		job, err := q.store.Job(ctx, id)
		if err != nil || job.State.Finished() {
			return job, err
		}
		select {
		case <-finished:
		case <-poll.C:
		case <-ctx.Done():
			return job, fmt.Errorf("wait for job %d: %w", id, context.Cause(ctx))
		}
	}
}

func (q *Queue) forget(id int64, waiter chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	rest := q.waiters[id][:0]
	for _, other := range q.waiters[id] {
		if other != waiter {
			rest = append(rest, other)
		}
	}
	if q.waiters[id] = rest; len(rest) == 0 {
		delete(q.waiters, id)
	}
}

// tell wakes those who wait for jobs.
func (q *Queue) tell(ids []int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, id := range ids {
		for _, waiter := range q.waiters[id] {
			select {
			case waiter <- struct{}{}:
			default:
			}
		}
	}
}

// Run does jobs until ctx is done, then lets the running ones end within the
// grace, cancels the rest and returns when all its goroutines have. Handlers
// are by kind; they are given here, not to New, because what they call
// usually enqueues jobs itself. Jobs of other kinds are left to other replicas.
func (q *Queue) Run(ctx context.Context, handlers map[string]Handler) error {
	r, err := newRunner(q, owner(q.opts.Replica, rand.Text()), handlers)
	if err != nil {
		return err
	}
	q.mu.Lock()
	if q.runner != nil {
		q.mu.Unlock()
		return errors.New("the queue is run already")
	}
	q.runner = r
	q.mu.Unlock()
	defer func() {
		q.mu.Lock()
		q.runner = nil
		q.mu.Unlock()
	}()
	r.run(ctx)
	return nil
}
