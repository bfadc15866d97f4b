// Package job is the durable queue of background work and the scheduler that
// feeds it.
//
// Jobs live in the database that everything else lives in, so that a crash
// loses none and several replicas of Pratique share them. The package knows no
// SQL and nothing of what the jobs do.
package job

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// State says where a job is in its life.
type State string

// The states. A job is unfinished while queued or running.
const (
	Queued  State = "queued"
	Running State = "running"
	Done    State = "done"
	// Failed jobs used up their tries, or failed in a way that no further try
	// mends. They stay as they are until they are pruned.
	Failed State = "failed"
	// Cancelled jobs were ended by people.
	Cancelled State = "cancelled"
)

// Finished reports whether the state is final.
func (s State) Finished() bool { return s == Done || s == Failed || s == Cancelled }

// Job is a piece of work.
type Job struct {
	ID int64
	// Kind says which handler does it, Key what it is about. Of the unfinished
	// jobs of a kind no two have the same key.
	Kind, Key string
	// Payload is the handler's input, JSON.
	Payload json.RawMessage
	State   State
	// Attempts counts the tries that were started, the running one included.
	Attempts, MaxAttempts int
	// RunAt is when the job is, or was, due.
	RunAt time.Time
	// LeaseOwner is the queue that runs the job, LeaseUntil how long others
	// leave it alone; both zero unless it runs.
	LeaseOwner string
	LeaseUntil time.Time
	// Progress is the handler's own last word. Error is why the last try that
	// failed did; it stays while the next one runs and is empty once one succeeded.
	Progress, Error string
	// Completed and Total are the progress in the handler's own unit; Total is 0
	// where it is not known.
	Completed, Total int64
	CreatedAt        time.Time
	// StartedAt is the start of the last try, FinishedAt the end of the job.
	StartedAt, FinishedAt time.Time
	// CancelAt is when somebody asked for the end of a job that was running.
	CancelAt time.Time
	// ChangedAt is when anything of it last changed.
	ChangedAt time.Time
}

// Level says how much a line of a log matters.
type Level string

// The levels.
const (
	Info    Level = "info"
	Warning Level = "warning"
	Error   Level = "error"
)

// Line is one line of a job's log.
type Line struct {
	// Position counts the lines of the job, from 1.
	Position int
	At       time.Time
	Level    Level
	Text     string
}

// Kind is a kind of jobs, as people are told of it.
type Kind struct {
	Name string
	// Description is a sentence.
	Description string
}

// FieldError says which member of a request is wrong, and why. It is ErrInvalid.
type FieldError struct{ Field, Reason string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Is makes it ErrInvalid.
func (e *FieldError) Is(target error) bool { return target == ErrInvalid }

// Errors for which callers branch.
var (
	// ErrNotFound is returned for a job or schedule that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrInvalid is wrapped by what a request or a cron expression is refused with.
	ErrInvalid = errors.New("invalid")
	// ErrFinished is returned for a job that is over, where it would have to go on.
	ErrFinished = errors.New("the job is finished")
	// ErrStale is returned where something changed since the caller saw it.
	ErrStale = errors.New("changed meanwhile")
	// ErrCancelled is the cancellation cause of a job that somebody ended.
	ErrCancelled = errors.New("the job was cancelled")
	// ErrLeaseLost is the cancellation cause of a job that another queue may run by now.
	ErrLeaseLost = errors.New("the lease of the job was lost")
	// ErrStopped is the cancellation cause of a job that did not end within
	// the grace when its queue was stopped.
	ErrStopped = errors.New("the queue stops")
	// ErrTimeout is the cancellation cause of a job that ran longer than its handler may.
	ErrTimeout = errors.New("the job ran for too long")
)

// Store keeps jobs. Every method is one transaction. Times come from the
// caller, so that all decisions are by one clock per replica; the clocks of
// replicas must agree to well within a lease.
type Store interface {
	// EnqueueJobs stores jobs and returns, in the same order, their ids; where
	// an unfinished job of the same kind and key exists, the id of that one.
	EnqueueJobs(ctx context.Context, jobs []Draft) ([]int64, error)
	// TurnJobs records results, then claims jobs that are due.
	TurnJobs(ctx context.Context, turn Turn) (TurnOutcome, error)
	// JobOutlook says what waits, by reading only.
	JobOutlook(ctx context.Context, kinds []string) (Outlook, error)
	// HoldJobs moves the leases to until and returns the ids of those holds
	// that still are the owner's.
	HoldJobs(ctx context.Context, owner string, holds []Hold, until time.Time) ([]int64, error)
	// SaveJobProgress stores the progress of those holds that still are the owner's.
	SaveJobProgress(ctx context.Context, owner string, now time.Time, progress []Progress) error
	// ReleaseJobs takes jobs whose lease ended by now from their owners: they
	// are queued again, or failed where that was their last try, or cancelled.
	ReleaseJobs(ctx context.Context, now time.Time) (int, error)
	// ReleaseReplica does that to all running jobs of a replica's owners.
	ReleaseReplica(ctx context.Context, replica string, now time.Time) (int, error)
	// CancelJob ends a job that is queued, and marks one that is running. It
	// returns ErrNotFound or ErrFinished.
	CancelJob(ctx context.Context, id int64, now time.Time) error
	// JobsToCancel lists the owner's running jobs that are marked.
	JobsToCancel(ctx context.Context, owner string) ([]int64, error)
	// JobLog lists at most limit lines of a job after the position given.
	JobLog(ctx context.Context, id int64, after, limit int) ([]Line, error)
	// Job returns one, or ErrNotFound.
	Job(ctx context.Context, id int64) (Job, error)
	// Jobs lists those that the filter lets through, newest first.
	Jobs(ctx context.Context, filter Filter) ([]Job, error)
	// JobDepths counts the unfinished jobs.
	JobDepths(ctx context.Context) ([]Depth, error)
	// PruneJobs deletes at most limit jobs that finished before the time given.
	PruneJobs(ctx context.Context, before time.Time, limit int) (int, error)
}

// Draft is a job to be stored.
type Draft struct {
	Kind, Key        string
	Payload          json.RawMessage
	MaxAttempts      int
	RunAt, CreatedAt time.Time
}

// Hold names one try of a job. A result that comes from an earlier try than
// the one under way must change nothing.
type Hold struct {
	ID  int64
	Try int
}

// Result is how a try ended.
type Result struct {
	Hold
	// State is what becomes of the job: queued at RunAt, or finished at FinishedAt.
	State             State
	Attempts          int
	RunAt, FinishedAt time.Time
	Progress, Error   string
	Completed, Total  int64
	// Lines are added to the log.
	Lines []Line
}

// Turn is one exchange of a queue with the store.
type Turn struct {
	Owner           string
	Now, LeaseUntil time.Time
	Results         []Result
	// Want bounds the jobs to be claimed, by kind.
	Want map[string]int
}

// TurnOutcome is the store's part of a Turn.
type TurnOutcome struct {
	// Claimed are the owner's now, by kind and then by how long they are due.
	Claimed []Job
	// Lost are the ids of results that were refused.
	Lost []int64
}

// Outlook says what waits in the store.
type Outlook struct {
	// Next is when the first queued job of a kind is due; kinds without one are absent.
	Next map[string]time.Time
	// LeaseEnd is when the first lease ends; zero where nothing runs.
	LeaseEnd time.Time
}

// Progress is a running job's word.
type Progress struct {
	Hold
	Text             string
	Completed, Total int64
	// Lines are added to the log.
	Lines []Line
}

// Owner names a queue of a replica; the replica is "" where it has no lasting name.
func owner(replica, random string) string {
	if replica == "" {
		return random
	}
	return replica + "/" + random
}

// Filter narrows a list of jobs. Zero members do not.
type Filter struct {
	Kind  string
	State State
	// Before keeps those with a smaller id: where the next page starts.
	Before int64
	// Oldest puts the oldest first; then After keeps those with a larger id.
	Oldest bool
	After  int64
	// Limit is how many at most; 100 where zero.
	Limit int
}

// Depth is how many jobs of a kind are in an unfinished state.
type Depth struct {
	Kind  string
	State State
	Jobs  int
}
