package api

import (
	"context"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/job"
)

// Jobs shows background work and ends it; *job.Queue is one.
type Jobs interface {
	Job(ctx context.Context, id int64) (job.Job, error)
	Jobs(ctx context.Context, filter job.Filter) ([]job.Job, error)
	// Last is the newest of a kind, or job.ErrNotFound.
	Last(ctx context.Context, kind string) (job.Job, error)
	Depths(ctx context.Context) ([]job.Depth, error)
	// Log returns job.ErrNotFound for a job that there is not.
	Log(ctx context.Context, id int64, after, limit int) ([]job.Line, error)
	// Cancel returns job.ErrNotFound or job.ErrFinished.
	Cancel(ctx context.Context, id int64) (job.Job, error)
}

// Job is a piece of background work.
type Job struct {
	ID          int64      `json:"id"`
	Kind        string     `json:"kind"`
	Key         string     `json:"key" doc:"What it is about."`
	State       string     `json:"state" enum:"queued,running,done,failed,cancelled" doc:"A job that failed used up its tries, or cannot succeed; error says why."`
	Progress    string     `json:"progress" doc:"How far it is, in words."`
	Completed   int64      `json:"completed" doc:"How far it is, in a unit of its own."`
	Total       int64      `json:"total" doc:"Where completed leads to; 0 where that is not known."`
	Error       string     `json:"error" doc:"Why the last try that failed did."`
	Attempts    int        `json:"attempts"`
	MaxAttempts int        `json:"max_attempts"`
	RunAt       time.Time  `json:"run_at" doc:"When it is, or was, due."`
	CreatedAt   time.Time  `json:"created_at"`
	StartedAt   *time.Time `json:"started_at" doc:"The start of the last try."`
	FinishedAt  *time.Time `json:"finished_at"`
	CancelledAt *time.Time `json:"cancelled_at" doc:"When somebody asked for its end; it ends within seconds."`
}

func showJob(j job.Job) Job {
	return Job{
		ID: j.ID, Kind: j.Kind, Key: j.Key, State: string(j.State), Progress: j.Progress, Completed: j.Completed, Total: j.Total, Error: j.Error,
		Attempts: j.Attempts, MaxAttempts: j.MaxAttempts, RunAt: j.RunAt.UTC(), CreatedAt: j.CreatedAt.UTC(),
		StartedAt: orNil(j.StartedAt), FinishedAt: orNil(j.FinishedAt), CancelledAt: orNil(j.CancelAt),
	}
}

// JobLine is a line of a job's log.
type JobLine struct {
	Position int       `json:"position" doc:"Counts the lines of the job, from 1."`
	At       time.Time `json:"at"`
	Level    string    `json:"level" enum:"info,warning,error"`
	Text     string    `json:"text"`
}

// JobKind is a kind of jobs.
type JobKind struct {
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Schedule    *Schedule `json:"schedule" doc:"When it is due; null where nothing but the work itself asks for it."`
	LastJob     *Job      `json:"last_job" doc:"The newest, whatever its state."`
	Queued      int       `json:"queued"`
	Running     int       `json:"running"`
}

func (a *API) jobs() {
	const tag = "jobs"
	register(a, operation{id: "list-job-kinds", access: access{place: signedIn}, method: http.MethodGet, path: "/job-kinds", tag: tag,
		summary: "List the kinds of jobs", doc: "By name, with their schedules and newest jobs; always one page."}, a.listJobKinds)
	register(a, operation{id: "list-jobs", method: http.MethodGet, path: "/jobs", tag: tag,
		summary: "List jobs", doc: "Those that finished are kept for some time, see docs/jobs.md."}, a.listJobs)
	register(a, operation{id: "get-job", method: http.MethodGet, path: "/jobs/{id}", tag: tag,
		summary: "Show a job"}, a.job)
	register(a, operation{id: "get-job-log", method: http.MethodGet, path: "/jobs/{id}/log", tag: tag,
		summary: "Show a job's log", doc: "The oldest line first, also while the job runs. At most 1,000 lines are kept."}, a.jobLog)
	register(a, operation{id: "cancel-job", method: http.MethodPost, path: "/jobs/{id}/cancel", tag: tag, status: http.StatusAccepted,
		summary: "Cancel a job", doc: "One that waits is cancelled at once; one that runs, on whatever replica, within seconds.", administrators: true}, a.cancelJob)
	register(a, operation{id: "run-job", method: http.MethodPost, path: "/jobs/{name}/run", tag: tag, status: http.StatusAccepted,
		summary: "Run a scheduled job now", doc: "Where it is queued or running already, that job is answered.", administrators: true}, a.runJob)
	a.schedules(tag)
}

func (a *API) listJobKinds(ctx context.Context, _ *struct{}) (*listed[JobKind], error) {
	schedules, err := a.Schedules.List(ctx)
	if err != nil {
		return nil, err
	}
	depths, err := a.Jobs.Depths(ctx)
	if err != nil {
		return nil, err
	}
	out := &listed[JobKind]{List[JobKind]{Items: make([]JobKind, len(a.Kinds))}}
	for i, kind := range a.Kinds {
		shown := JobKind{Name: kind.Name, Description: kind.Description}
		for _, s := range schedules {
			if s.Kind == kind.Name {
				schedule := showSchedule(s)
				shown.Schedule = &schedule
			}
		}
		for _, d := range depths {
			switch {
			case d.Kind == kind.Name && d.State == job.Queued:
				shown.Queued = d.Jobs
			case d.Kind == kind.Name && d.State == job.Running:
				shown.Running = d.Jobs
			}
		}
		if shown.LastJob, err = a.lastJob(ctx, kind.Name); err != nil {
			return nil, err
		}
		out.Body.Items[i] = shown
	}
	return out, nil
}

func (a *API) listJobs(ctx context.Context, in *struct {
	Kind  string `query:"kind" maxLength:"200"`
	State string `query:"state" enum:"queued,running,done,failed,cancelled"`
	Order string `query:"order" enum:"asc,desc" default:"desc" doc:"The oldest, or the newest, first."`
	Paging
}) (*listed[Job], error) {
	list := "jobs " + in.Order
	from, err := after[int64](in.Paging, list)
	if err != nil {
		return nil, err
	}
	filter := job.Filter{Kind: in.Kind, State: job.State(in.State), Oldest: in.Order == "asc", Limit: in.PageSize + 1}
	if filter.Oldest {
		filter.After = orZero(from)
	} else {
		filter.Before = orZero(from)
	}
	found, err := a.Jobs.Jobs(ctx, filter)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(j job.Job) int64 { return j.ID }, showJob), nil
}

func (a *API) job(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
}) (*one[Job], error) {
	found, err := a.Jobs.Job(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &one[Job]{showJob(found)}, nil
}

func (a *API) jobLog(ctx context.Context, in *struct {
	ID    int64 `path:"id" minimum:"1"`
	After int   `query:"after" minimum:"0" doc:"Only the lines after this position: what was added since."`
	Paging
}) (*listed[JobLine], error) {
	const list = "job-log"
	position, err := after[int](in.Paging, list)
	if err != nil {
		return nil, err
	}
	found, err := a.Jobs.Log(ctx, in.ID, max(in.After, orZero(position)), in.PageSize+1)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(l job.Line) int { return l.Position }, func(l job.Line) JobLine {
		return JobLine{Position: l.Position, At: l.At.UTC(), Level: string(l.Level), Text: l.Text}
	}), nil
}

func (a *API) cancelJob(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
}) (*one[Job], error) {
	cancelled, err := a.Jobs.Cancel(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &one[Job]{showJob(cancelled)}, a.audit(ctx, "job.cancel", "job "+cancelled.Kind, struct {
		Job int64 `json:"job"`
	}{in.ID})
}

func (a *API) runJob(ctx context.Context, in *struct {
	Name string `path:"name" doc:"The name of a schedule."`
}) (*one[Job], error) {
	id, err := a.Schedules.RunNow(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return a.accepted(ctx, "job.run", "job "+in.Name, id)
}

// accepted answers with a job that was asked for.
func (a *API) accepted(ctx context.Context, action, object string, id int64) (*one[Job], error) {
	found, err := a.Jobs.Job(ctx, id)
	if err != nil {
		return nil, err
	}
	return &one[Job]{showJob(found)}, a.audit(ctx, action, object, struct {
		Job int64 `json:"job"`
	}{id})
}
