package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Handler does the jobs of a kind.
type Handler struct {
	// Run does one job. It must heed ctx, whose cause says why it ends, and it
	// may be called again for the same job after any failure or crash. A
	// returned error or a panic is a failed try.
	Run func(ctx context.Context, task *Task) error
	// Concurrency is how many jobs of the kind run at once in this process; 1
	// where zero. Kinds do not take each other's places, so a flood of one
	// does not keep the others waiting.
	Concurrency int
	// Timeout bounds one try; 1 h where zero.
	Timeout time.Duration
}

// Task is a job while it runs.
type Task struct {
	Job

	mu       sync.Mutex
	progress string
	unsaved  bool

	leaseEnd time.Time // guarded by the runner
	cancel   context.CancelCauseFunc
	returned chan struct{}
}

// Decode reads the payload into v. A payload that does not fit is a permanent failure.
func (t *Task) Decode(v any) error {
	if err := json.Unmarshal(t.Payload, v); err != nil {
		return Permanent(fmt.Errorf("payload of job %s %q: %w", t.Kind, t.Key, err))
	}
	return nil
}

// SetProgress says how far the job is, for people. It is stored within a
// second or so, and with the result.
func (t *Task) SetProgress(text string) {
	text = clean(text)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.progress != text {
		t.progress, t.unsaved = text, true
	}
}

func (t *Task) hold() Hold { return Hold{ID: t.ID, Try: t.Attempts} }

// news returns the progress where it was not stored yet.
func (t *Task) news() (Progress, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := t.unsaved
	t.unsaved = false
	return Progress{Hold: t.hold(), Text: t.progress}, fresh
}

// permanent marks an error that no further try mends.
type permanent struct{ error }

func (p permanent) Unwrap() error { return p.error }

// Permanent makes the job fail at once, without further tries.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return permanent{err}
}

// errGoexit is the failure of a handler that called runtime.Goexit, as a failing
// assertion of the testing package does.
var errGoexit = errors.New("the handler ended its goroutine")

// try calls the handler and hands what it came to, whatever happens in it, to end.
func try(ctx context.Context, task *Task, run func(context.Context, *Task) error, end func(error)) {
	err := errGoexit
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("panic: %v\n%s", reason, debug.Stack())
		}
		end(err)
	}()
	err = run(ctx, task)
}

// result says what becomes of a job whose try returned err, and whether that is
// for this queue to say at all.
func (r *runner) result(ctx context.Context, task *Task, err error) (Result, bool) {
	now := r.q.opts.Now()
	task.mu.Lock()
	result := Result{Hold: task.hold(), Attempts: task.Attempts, Progress: task.progress}
	task.mu.Unlock()
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		result.State, result.FinishedAt = Done, now
	case errors.Is(cause, ErrLeaseLost):
		return Result{}, false
	case errors.Is(cause, ErrStopped):
		// Not the job's fault: the try does not count.
		result.State, result.Attempts, result.RunAt, result.Error = Queued, task.Attempts-1, now, task.Error
	case errors.As(err, new(permanent)) || task.Attempts >= task.MaxAttempts:
		result.State, result.FinishedAt, result.Error = Failed, now, reason(cause, err)
	default:
		result.State, result.RunAt, result.Error = Queued, now.Add(r.q.opts.Backoff(task.Attempts)), reason(cause, err)
	}
	return result, true
}

func reason(cause, err error) string {
	if errors.Is(cause, ErrTimeout) {
		err = fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return clean(err.Error())
}
