package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/job"
)

// Schedules enqueues jobs by plan; *job.Scheduler is one.
type Schedules interface {
	List(ctx context.Context) ([]job.Schedule, error)
	// Schedule returns one by name, or job.ErrNotFound.
	Schedule(ctx context.Context, name string) (job.Schedule, error)
	// Set changes one of the given revision, of any where 0. It returns
	// job.ErrNotFound, job.ErrStale or a *job.FieldError.
	Set(ctx context.Context, name string, change job.Change, revision int64) (job.Schedule, error)
	// RunNow returns the id of the schedule's job, or job.ErrNotFound.
	RunNow(ctx context.Context, name string) (int64, error)
}

// Schedule is a job that is enqueued again and again.
type Schedule struct {
	Name      string     `json:"name" doc:"Give it to jobs/{name}/run."`
	Kind      string     `json:"kind" doc:"Of its jobs: jobs?kind= is the history."`
	Cron      string     `json:"cron" doc:"Minute, hour, day of the month, month, day of the week; or @hourly, @daily, @weekly, @monthly."`
	TimeZone  string     `json:"time_zone" doc:"Whose clocks the expression is about."`
	Enabled   bool       `json:"enabled"`
	NextRunAt *time.Time `json:"next_run_at" doc:"Null while it is disabled."`
	LastRunAt *time.Time `json:"last_run_at" doc:"When it was last due, or run by hand."`
	ETag      string     `json:"etag" doc:"Give it as If-Match to change what you saw."`
}

func showSchedule(s job.Schedule) Schedule {
	shown := Schedule{Name: s.Name, Kind: s.Kind, Cron: s.Cron, TimeZone: s.TimeZone, Enabled: s.Enabled, LastRunAt: orNil(s.LastRunAt), ETag: etag(s.Revision)}
	if s.Enabled {
		shown.NextRunAt = orNil(s.NextRunAt)
	}
	return shown
}

func (a *API) schedules(tag string) {
	register(a, operation{id: "list-schedules", access: access{place: signedIn}, method: http.MethodGet, path: "/schedules", tag: tag,
		summary: "List schedules", doc: "By name; always one page."}, a.listSchedules)
	register(a, operation{id: "get-schedule", access: access{place: signedIn}, method: http.MethodGet, path: "/schedules/{name}", tag: tag,
		summary: "Show a schedule"}, a.schedule)
	register(a, operation{id: "change-schedule", method: http.MethodPatch, path: "/schedules/{name}", tag: tag,
		summary: "Change when a job is due", doc: "What is absent stays. With If-Match, nothing is changed (412) where another has changed it since you saw it.",
		administrators: true}, a.changeSchedule)
}

// lastJob is the newest job of a kind; nil where there is none.
func (a *API) lastJob(ctx context.Context, kind string) (*Job, error) {
	last, err := a.Jobs.Last(ctx, kind)
	if errors.Is(err, job.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	shown := showJob(last)
	return &shown, nil
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

func (a *API) schedule(ctx context.Context, in *struct {
	Name string `path:"name"`
}) (*tagged[Schedule], error) {
	found, err := a.Schedules.Schedule(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return &tagged[Schedule]{etag(found.Revision), showSchedule(found)}, nil
}

func (a *API) changeSchedule(ctx context.Context, in *struct {
	Name string `path:"name"`
	IfMatch
	Body struct {
		Cron     *string `json:"cron,omitempty" maxLength:"200" example:"17 */6 * * *"`
		TimeZone *string `json:"time_zone,omitempty" maxLength:"100" example:"Europe/Berlin"`
		Enabled  *bool   `json:"enabled,omitempty"`
	}
}) (*tagged[Schedule], error) {
	revision, err := in.version()
	if err != nil {
		return nil, err
	}
	changed, err := a.Schedules.Set(ctx, in.Name, job.Change{Cron: in.Body.Cron, TimeZone: in.Body.TimeZone, Enabled: in.Body.Enabled}, revision)
	if err != nil {
		return nil, err
	}
	shown := showSchedule(changed)
	return &tagged[Schedule]{shown.ETag, shown}, a.audit(ctx, "schedule.change", "schedule "+changed.Name, shown)
}
