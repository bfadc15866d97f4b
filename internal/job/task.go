package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
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

	now      func() time.Time
	mu       sync.Mutex
	progress string
	// completed and total, lines and dropped are as Job and Line have them.
	completed, total int64
	lines            []Line
	dropped          int
	unsaved          bool
	// ended is set by the first who says what the try came to.
	ended atomic.Bool

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

// SetCount says how many of how many things are done, in a unit of the
// handler's; a total of 0 is one that is not known.
func (t *Task) SetCount(completed, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.completed != completed || t.total != total {
		t.completed, t.total, t.unsaved = completed, total, true
	}
}

// Log adds a line to the job's log, which is kept with it. It is for what
// people should know of one run, some hundred lines at most.
func (t *Task) Log(level Level, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.log(level, fmt.Sprintf(format, args...))
}

func (t *Task) log(level Level, text string) {
	// The store bounds what is kept; this bounds what waits to be stored.
	const waiting = 500
	if len(t.lines) >= waiting && level == Info {
		t.dropped++
		return
	}
	t.lines = append(t.lines, Line{At: t.now(), Level: level, Text: cleanTo(text, maxLine)})
	t.unsaved = true
}

// takeLines are the lines that are not stored yet.
func (t *Task) takeLines() []Line {
	lines := t.lines
	if t.dropped > 0 {
		lines = append(lines, Line{At: t.now(), Level: Warning, Text: fmt.Sprintf("%d lines came too fast and are left out", t.dropped)})
	}
	t.lines, t.dropped = nil, 0
	return lines
}

// giveBack returns lines that could not be stored.
func (t *Task) giveBack(lines []Line) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines, t.unsaved = append(lines, t.lines...), true
}

func (t *Task) hold() Hold { return Hold{ID: t.ID, Try: t.Attempts} }

// news returns the progress where it was not stored yet.
func (t *Task) news() (Progress, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fresh := t.unsaved
	t.unsaved = false
	if !fresh {
		return Progress{}, false
	}
	return Progress{Hold: t.hold(), Text: t.progress, Completed: t.completed, Total: t.total, Lines: t.takeLines()}, true
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
	defer task.mu.Unlock()
	result := Result{Hold: task.hold(), Attempts: task.Attempts, Progress: task.progress, Completed: task.completed, Total: task.total}
	cause := context.Cause(ctx)
	switch {
	case err == nil:
		result.State, result.FinishedAt = Done, now
	case errors.Is(cause, ErrLeaseLost):
		return Result{}, false
	case errors.Is(cause, ErrCancelled):
		result.State, result.FinishedAt, result.Error = Cancelled, now, task.Error
		task.log(Warning, "cancelled")
	case errors.Is(cause, ErrStopped):
		// Not the job's fault: the try does not count.
		result.State, result.Attempts, result.RunAt, result.Error = Queued, task.Attempts-1, now, task.Error
		task.log(Info, "interrupted by the end of the server; it goes on when one runs")
	case errors.As(err, new(permanent)), errors.As(err, new(unheeding)), task.Attempts >= task.MaxAttempts:
		result.State, result.FinishedAt, result.Error = Failed, now, reason(cause, err)
		task.log(Error, fmt.Sprintf("try %d of %d failed, and none follows: %s", task.Attempts, task.MaxAttempts, result.Error))
	default:
		result.State, result.RunAt, result.Error = Queued, now.Add(r.q.opts.Backoff(task.Attempts)), reason(cause, err)
		task.log(Warning, fmt.Sprintf("try %d of %d failed, the next is at %s: %s", task.Attempts, task.MaxAttempts,
			result.RunAt.UTC().Format(time.RFC3339), result.Error))
	}
	result.Lines = task.takeLines()
	return result, true
}

// unheeding is the failure of a try that goes on after its end was asked for.
type unheeding struct{ timeout time.Duration }

func (e unheeding) Error() string {
	return fmt.Sprintf("the try was to end after %s, and did not by half as much again: given up", e.timeout)
}

func reason(cause, err error) string {
	if errors.Is(cause, ErrTimeout) {
		err = fmt.Errorf("%w: %w", ErrTimeout, err)
	}
	return clean(err.Error())
}
