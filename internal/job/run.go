package job

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

const (
	// callTimeout bounds one call to the store. It is longer than a busy
	// SQLite makes its writers wait.
	callTimeout = 30 * time.Second
	// leeway is what a handler has at least to end when it is told to.
	leeway = 500 * time.Millisecond
)

// runner is one run of a queue. Its loop alone talks to the store about the
// beginning and the end of jobs, so that everything that happened meanwhile
// goes into one transaction; a second goroutine renews leases and stores
// progress, and must do so also while the loop waits for the database.
type runner struct {
	q     *Queue
	owner string

	lanes    map[string]*lane // of the loop
	kinds    []string
	finished chan ending

	woken chan struct{}
	mu    sync.Mutex
	next  map[string]time.Time // what wake was told
	tasks map[int64]*Task      // claimed, and not yet recorded as finished

	running sync.WaitGroup
}

// lane is a kind's part of the runner.
type lane struct {
	handler Handler
	free    int
	// due is when the next job of the kind is known to be; zero where unknown.
	due time.Time
}

// ending is a try that returned.
type ending struct {
	task   *Task
	result Result
	// ours is false where the result is for another queue to give.
	ours bool
	// held says that the try goes on and keeps its place.
	held bool
}

func newRunner(q *Queue, owner string, handlers map[string]Handler) (*runner, error) {
	r := &runner{
		q: q, owner: owner, lanes: map[string]*lane{},
		woken: make(chan struct{}, 1), next: map[string]time.Time{}, tasks: map[int64]*Task{},
	}
	slots := 0
	for kind, handler := range handlers {
		if kind == "" || handler.Run == nil {
			return nil, fmt.Errorf("handler of kind %q: %w", kind, ErrInvalid)
		}
		if handler.Concurrency <= 0 {
			handler.Concurrency = 1
		}
		if handler.Timeout <= 0 {
			handler.Timeout = time.Hour
		}
		r.lanes[kind] = &lane{handler: handler, free: handler.Concurrency}
		r.kinds = append(r.kinds, kind)
		slots += handler.Concurrency
	}
	slices.Sort(r.kinds)
	r.finished = make(chan ending, 2*slots) // a try that is given up ends twice
	return r, nil
}

// wake tells the loop when jobs are due.
func (r *runner) wake(next map[string]time.Time) {
	r.mu.Lock()
	for kind, due := range next {
		if known, ok := r.next[kind]; !ok || due.Before(known) {
			r.next[kind] = due
		}
	}
	r.mu.Unlock()
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

func (r *runner) run(ctx context.Context) {
	r.resume(ctx)
	// Jobs and what is stored about them outlive ctx, by the grace.
	base := context.WithoutCancel(ctx)
	ended := make(chan struct{})
	var beat sync.WaitGroup
	beat.Go(func() { r.beat(base, ended) })

	r.loop(ctx, base)
	r.drain(base)

	r.running.Wait()
	close(ended)
	beat.Wait()
}

// loop does jobs until ctx is done.
func (r *runner) loop(ctx, base context.Context) {
	opts := r.q.opts
	timer := time.NewTimer(0)
	defer timer.Stop()
	var pending []ending
	pollAt := time.Time{} // by the real clock, as the timer is
	for {
		select {
		case <-ctx.Done():
			r.put(pending)
			return
		case <-r.woken:
		case e := <-r.finished:
			pending = r.gather(append(pending, e))
		case <-timer.C:
		}
		r.heed()
		if !time.Now().Before(pollAt) {
			pollAt = time.Now().Add(opts.Poll)
			r.look(base)
		}
		var ok bool
		if pending, ok = r.turn(base, pending, ctx.Err() == nil); !ok {
			// The database does not answer: whoever wakes the loop before the
			// next poll only adds to what is pending.
			timer.Reset(opts.Poll)
			continue
		}
		timer.Reset(r.pause(time.Until(pollAt)))
	}
}

// gather takes what else has finished without waiting.
func (r *runner) gather(pending []ending) []ending {
	for {
		select {
		case e := <-r.finished:
			pending = append(pending, e)
		default:
			return pending
		}
	}
}

// put gives back what the loop took and could not record; the channel has room
// for every running job.
func (r *runner) put(pending []ending) {
	for _, e := range pending {
		r.finished <- e
	}
}

// heed takes over what wake was told.
func (r *runner) heed() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for kind, due := range r.next {
		if lane := r.lanes[kind]; lane != nil {
			lane.expect(due)
		}
	}
	clear(r.next)
}

func (l *lane) expect(due time.Time) {
	if l.due.IsZero() || due.Before(l.due) {
		l.due = due
	}
}

// look asks the store what is due and frees the jobs of the dead. It only
// reads where there is nothing to do.
func (r *runner) look(base context.Context) {
	ctx, cancel := context.WithTimeout(base, callTimeout)
	defer cancel()
	outlook, err := r.q.store.JobOutlook(ctx, r.kinds)
	if err != nil {
		r.q.opts.Log.ErrorContext(ctx, "job queue: cannot see what is due", "error", err)
		return
	}
	now := r.q.opts.Now()
	if !outlook.LeaseEnd.IsZero() && !now.Before(outlook.LeaseEnd) {
		// After a pause of the whole machine these may be this runner's own.
		r.renew(base, now)
		n, err := r.q.store.ReleaseJobs(ctx, now)
		if err != nil {
			r.q.opts.Log.ErrorContext(ctx, "job queue: cannot release the jobs of ended leases", "error", err)
			return
		}
		if n > 0 {
			r.q.opts.Log.WarnContext(ctx, "jobs whose process fell silent are queued again", "jobs", n)
			if outlook, err = r.q.store.JobOutlook(ctx, r.kinds); err != nil {
				r.q.opts.Log.ErrorContext(ctx, "job queue: cannot see what is due", "error", err)
				return
			}
		}
	}
	for kind, lane := range r.lanes {
		lane.due = outlook.Next[kind]
	}
}

// turn records what is pending and claims what is due, where there is either.
// It returns what is still pending, and false where the store failed.
func (r *runner) turn(base context.Context, pending []ending, claim bool) ([]ending, bool) {
	now := r.q.opts.Now()
	turn := Turn{Owner: r.owner, Now: now, LeaseUntil: now.Add(r.q.opts.Lease)}
	for _, e := range pending {
		if e.ours {
			turn.Results = append(turn.Results, e.result)
		}
	}
	if claim {
		turn.Want = r.want(pending, now)
	}
	var outcome TurnOutcome
	if len(turn.Results) > 0 || len(turn.Want) > 0 {
		ctx, cancel := context.WithTimeout(base, callTimeout)
		defer cancel()
		var err error
		if outcome, err = r.q.store.TurnJobs(ctx, turn); err != nil {
			r.q.opts.Log.ErrorContext(ctx, "job queue: the store does not take the results and claims; tried again",
				"results", len(turn.Results), "error", err)
			return pending, false
		}
	}
	r.settle(base, pending, outcome.Lost)
	for kind, n := range turn.Want {
		claimed := 0
		for _, job := range outcome.Claimed {
			if job.Kind == kind {
				claimed++
			}
		}
		if claimed < n {
			r.lanes[kind].due = time.Time{}
		}
	}
	for _, e := range pending {
		if e.ours && e.result.State == Queued {
			r.lanes[e.task.Kind].expect(e.result.RunAt)
		}
	}
	for _, job := range outcome.Claimed {
		r.start(base, job, turn.LeaseUntil)
	}
	return pending[:0], true
}

// want is how many jobs of each kind could be started now.
func (r *runner) want(pending []ending, now time.Time) map[string]int {
	freed := map[string]int{}
	for _, e := range pending {
		if !e.held {
			freed[e.task.Kind]++
		}
	}
	want := map[string]int{}
	for kind, lane := range r.lanes {
		if free := lane.free + freed[kind]; free > 0 && !lane.due.IsZero() && !now.Before(lane.due) {
			want[kind] = free
		}
	}
	return want
}

// settle gives back the places of recorded tries and tells who waits.
func (r *runner) settle(base context.Context, pending []ending, lost []int64) {
	var done []int64
	r.mu.Lock()
	for _, e := range pending {
		if r.tasks[e.task.ID] == e.task { // else the job was claimed again
			delete(r.tasks, e.task.ID)
		}
		if !e.held {
			r.lanes[e.task.Kind].free++
		}
		if e.ours && e.result.State.Finished() {
			done = append(done, e.task.ID)
		}
	}
	r.mu.Unlock()
	if len(lost) > 0 {
		r.q.opts.Log.WarnContext(base, "jobs ended after their lease was lost; their results are dropped", "jobs", lost)
	}
	r.q.tell(done)
}

// pause is how long nothing is known to be due.
func (r *runner) pause(poll time.Duration) time.Duration {
	now := r.q.opts.Now()
	for _, lane := range r.lanes {
		if lane.free > 0 && !lane.due.IsZero() {
			poll = min(poll, lane.due.Sub(now))
		}
	}
	return max(poll, 0)
}

// start runs a claimed job in its own goroutine.
func (r *runner) start(base context.Context, job Job, leaseEnd time.Time) {
	lane := r.lanes[job.Kind]
	lane.free--
	ctx, cancel := context.WithCancelCause(base)
	task := &Task{Job: job, now: r.q.opts.Now, progress: job.Progress, leaseEnd: leaseEnd, cancel: cancel, returned: make(chan struct{})}
	r.mu.Lock()
	before := r.tasks[job.ID]
	r.tasks[job.ID] = task
	r.mu.Unlock()
	r.running.Go(func() {
		defer cancel(nil)
		defer close(task.returned)
		timeout := lane.handler.Timeout
		ctx, stop := context.WithTimeoutCause(ctx, timeout, ErrTimeout)
		defer stop()
		end := func(err error, held bool) {
			if task.ended.CompareAndSwap(false, true) {
				result, ours := r.result(ctx, task, err)
				r.finished <- ending{task: task, result: result, ours: ours, held: held}
			} else {
				r.finished <- ending{task: task}
			}
		}
		// A handler that does not heed its context cannot be stopped, but its
		// job must not look as if it were under way for ever.
		overdue := time.AfterFunc(timeout+max(timeout/2, leeway), func() {
			if !task.ended.Load() {
				end(unheeding{timeout}, true)
			}
		})
		defer overdue.Stop()
		run := lane.handler.Run
		if before != nil {
			// The lease was lost while the handler went on, and this process
			// got the job again: it must not run twice at a time.
			before.cancel(ErrLeaseLost)
			select {
			case <-before.returned:
			case <-ctx.Done():
				run = func(context.Context, *Task) error { return errors.New("an earlier try still runs") }
			}
		}
		try(ctx, task, run, func(err error) { end(err, false) })
	})
}

// drain lets running jobs end, cancels them after the grace, and records how
// they ended.
func (r *runner) drain(base context.Context) {
	const tries = 3
	grace := time.NewTimer(r.q.opts.Grace)
	defer grace.Stop()
	var pending []ending
	var again <-chan time.Time
	for failures := 0; r.taken() > 0; {
		select {
		case e := <-r.finished:
			pending = r.gather(append(pending, e))
		case <-again:
		case <-grace.C:
			r.cancelAll(ErrStopped)
			continue
		}
		var ok bool
		if pending, ok = r.turn(base, pending, false); ok {
			failures, again = 0, nil
			continue
		}
		if failures++; failures >= tries && r.taken() == len(pending) {
			r.q.opts.Log.ErrorContext(base, "job queue: stops without having recorded results; the jobs are done again", "jobs", len(pending))
			return
		}
		again = time.After(r.q.opts.Poll)
	}
}

// taken is how many tries are not recorded as ended.
func (r *runner) taken() int {
	n := 0
	for _, lane := range r.lanes {
		n += lane.handler.Concurrency - lane.free
	}
	return n
}

func (r *runner) cancelOne(id int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if task := r.tasks[id]; task != nil {
		task.cancel(ErrCancelled)
	}
}

func (r *runner) cancelAll(cause error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, task := range r.tasks {
		task.cancel(cause)
	}
}

// resume takes back what this replica did when its process before was killed,
// without waiting for the leases.
func (r *runner) resume(ctx context.Context) {
	replica := r.q.opts.Replica
	if replica == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout)
	defer cancel()
	n, err := r.q.store.ReleaseReplica(ctx, replica, r.q.opts.Now())
	switch {
	case err != nil: // their leases end
		r.q.opts.Log.ErrorContext(ctx, "job queue: cannot take back the jobs of the process before", "error", err)
	case n > 0:
		r.q.opts.Log.WarnContext(ctx, "jobs of a process that was killed are queued again", "jobs", n)
	}
}
