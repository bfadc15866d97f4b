package api

import (
	"context"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/job"
)

// Jobs shows background work; *job.Queue is one.
type Jobs interface {
	Job(ctx context.Context, id int64) (job.Job, error)
	Jobs(ctx context.Context, filter job.Filter) ([]job.Job, error)
}

// Schedules enqueues jobs by plan; *job.Scheduler is one.
type Schedules interface {
	List(ctx context.Context) ([]job.Schedule, error)
	// Set returns job.ErrNotFound, or an error that wraps job.ErrInvalid.
	Set(ctx context.Context, name, cron string, enabled bool) (job.Schedule, error)
	// RunNow returns the id of the schedule's job, or job.ErrNotFound.
	RunNow(ctx context.Context, name string) (int64, error)
}

// Job is a piece of background work.
type Job struct {
	ID          int64      `json:"id"`
	Kind        string     `json:"kind"`
	Key         string     `json:"key" doc:"What it is about."`
	State       string     `json:"state" enum:"queued,running,done,failed"`
	Progress    string     `json:"progress"`
	Error       string     `json:"error" doc:"Why the last try that failed did."`
	Attempts    int        `json:"attempts"`
	MaxAttempts int        `json:"max_attempts"`
	RunAt       time.Time  `json:"run_at" doc:"When it is, or was, due."`
	CreatedAt   time.Time  `json:"created_at"`
	StartedAt   *time.Time `json:"started_at" doc:"The start of the last try."`
	FinishedAt  *time.Time `json:"finished_at"`
}

func showJob(j job.Job) Job {
	return Job{
		ID: j.ID, Kind: j.Kind, Key: j.Key, State: string(j.State), Progress: j.Progress, Error: j.Error,
		Attempts: j.Attempts, MaxAttempts: j.MaxAttempts, RunAt: j.RunAt.UTC(), CreatedAt: j.CreatedAt.UTC(),
		StartedAt: orNil(j.StartedAt), FinishedAt: orNil(j.FinishedAt),
	}
}

// Schedule is a job that is enqueued again and again.
type Schedule struct {
	Name      string     `json:"name" doc:"Give it to jobs/{name}/run."`
	Cron      string     `json:"cron"`
	Enabled   bool       `json:"enabled"`
	NextRunAt time.Time  `json:"next_run_at"`
	LastRunAt *time.Time `json:"last_run_at"`
}

func showSchedule(s job.Schedule) Schedule {
	return Schedule{Name: s.Name, Cron: s.Cron, Enabled: s.Enabled, NextRunAt: s.NextRunAt.UTC(), LastRunAt: orNil(s.LastRunAt)}
}

func (a *API) jobs() {
	const tag = "jobs"
	register(a, operation{id: "list-jobs", method: http.MethodGet, path: "/jobs", tag: tag,
		summary: "List jobs", doc: "The newest first."}, a.listJobs)
	register(a, operation{id: "get-job", method: http.MethodGet, path: "/jobs/{id}", tag: tag,
		summary: "Show a job"}, a.job)
	register(a, operation{id: "run-job", method: http.MethodPost, path: "/jobs/{name}/run", tag: tag, status: http.StatusAccepted,
		summary: "Run a scheduled job now", doc: "Where it is queued or running already, that job is answered.", administrators: true}, a.runJob)
	register(a, operation{id: "list-schedules", method: http.MethodGet, path: "/schedules", tag: tag,
		summary: "List schedules", doc: "By name; always one page."}, a.listSchedules)
	register(a, operation{id: "change-schedule", method: http.MethodPatch, path: "/schedules/{name}", tag: tag,
		summary: "Change when a job is due", doc: "What is absent stays.", administrators: true}, a.changeSchedule)
}

func (a *API) listJobs(ctx context.Context, in *struct {
	Kind  string `query:"kind" maxLength:"200"`
	State string `query:"state" enum:"queued,running,done,failed"`
	Paging
}) (*listed[Job], error) {
	const list = "jobs"
	before, err := after[int64](in.Paging, list)
	if err != nil {
		return nil, err
	}
	found, err := a.Jobs.Jobs(ctx, job.Filter{Kind: in.Kind, State: job.State(in.State), Before: orZero(before), Limit: in.PageSize + 1})
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

func (a *API) listSchedules(ctx context.Context, _ *struct{}) (*listed[Schedule], error) {
	found, err := a.Schedules.List(ctx)
	if err != nil {
		return nil, err
	}
	out := &listed[Schedule]{List[Schedule]{Items: make([]Schedule, len(found))}}
	for i, s := range found {
		out.Body.Items[i] = showSchedule(s)
	}
	return out, nil
}

func (a *API) changeSchedule(ctx context.Context, in *struct {
	Name string `path:"name"`
	Body struct {
		Cron    *string `json:"cron,omitempty" maxLength:"200" example:"17 */6 * * *"`
		Enabled *bool   `json:"enabled,omitempty"`
	}
}) (*one[Schedule], error) {
	all, err := a.Schedules.List(ctx)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if s.Name != in.Name {
			continue
		}
		if in.Body.Cron != nil {
			s.Cron = *in.Body.Cron
		}
		if in.Body.Enabled != nil {
			s.Enabled = *in.Body.Enabled
		}
		if s, err = a.Schedules.Set(ctx, s.Name, s.Cron, s.Enabled); err != nil {
			return nil, err
		}
		shown := showSchedule(s)
		return &one[Schedule]{shown}, a.audit(ctx, "schedule.change", "schedule "+s.Name, shown)
	}
	return nil, notFound("schedule %q", in.Name)
}
