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
)

// Finished reports whether the state is final.
func (s State) Finished() bool { return s == Done || s == Failed }

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
	CreatedAt       time.Time
	// StartedAt is the start of the last try, FinishedAt the end of the job.
	StartedAt, FinishedAt time.Time
}

// Errors for which callers branch.
var (
	// ErrNotFound is returned for a job or schedule that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrInvalid is wrapped by what a request or a cron expression is refused with.
	ErrInvalid = errors.New("invalid")
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
	SaveJobProgress(ctx context.Context, owner string, progress []Progress) error
	// ReleaseJobs takes jobs whose lease ended by now from their owners: they
	// are queued again, or failed where that was their last try.
	ReleaseJobs(ctx context.Context, now time.Time) (int, error)
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
	Text string
}

// Filter narrows a list of jobs. Zero members do not.
type Filter struct {
	Kind  string
	State State
	// Before keeps those with a smaller id: where the next page starts.
	Before int64
	// Limit is how many at most; 100 where zero.
	Limit int
}

// Depth is how many jobs of a kind are in an unfinished state.
type Depth struct {
	Kind  string
	State State
	Jobs  int
}
