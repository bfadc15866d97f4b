package job

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"
)

// Schedule is a job that is enqueued again and again.
type Schedule struct {
	// Name is the schedule's own, unique.
	Name string
	// Kind is that of its jobs.
	Kind string
	// Cron and TimeZone say when, see Next and Zone.
	Cron, TimeZone string
	Enabled        bool
	// Revision moves with each change of the three by people, from 1.
	Revision int64
	// NextRunAt is when it is due next, LastRunAt when it was last; the latter
	// is zero where it never was.
	NextRunAt, LastRunAt time.Time
}

// ScheduleStore keeps schedules. Every method is one transaction.
type ScheduleStore interface {
	// SeedSchedules stores those whose name is not there yet.
	SeedSchedules(ctx context.Context, schedules []Schedule) error
	// Schedules lists all by name.
	Schedules(ctx context.Context) ([]Schedule, error)
	// UpdateSchedule replaces cron, time zone, enabled and next run of the
	// revision that it names, or returns ErrNotFound or ErrStale.
	UpdateSchedule(ctx context.Context, s Schedule) error
	// FireSchedule enqueues the job and moves the next run from due to next,
	// if it still is due and enabled; else it does nothing and returns false.
	FireSchedule(ctx context.Context, name string, due, next, now time.Time, job Draft) (bool, error)
	// MarkScheduleRun notes that the schedule was run out of turn.
	MarkScheduleRun(ctx context.Context, name string, now time.Time) error
}

// Plan is a schedule as the program knows it: what to enqueue, and when until
// an administrator says otherwise.
type Plan struct {
	Name, Cron string
	// TimeZone is that of Cron; UTC where empty.
	TimeZone string
	Request  Request
}

func (p Plan) next(now time.Time) (string, time.Time, error) {
	zone := cmp.Or(p.TimeZone, "UTC")
	next, err := due(p.Cron, zone, now)
	return zone, next, err
}

// due is when an expression is due next by the clocks of a named zone.
func due(cron, zone string, now time.Time) (time.Time, error) {
	place, err := Zone(zone)
	if err != nil {
		return time.Time{}, err
	}
	return Next(cron, place, now)
}

// Change is what to change of a schedule; nil leaves a member as it is.
type Change struct {
	Cron, TimeZone *string
	Enabled        *bool
}

// Scheduler enqueues jobs by plan. Several schedulers may share one store: each
// due time is used once. Times that passed while no scheduler ran are made up
// for by one run.
type Scheduler struct {
	store ScheduleStore
	queue *Queue
	plans map[string]Plan
	opts  SchedulerOptions

	changed chan struct{}
}

// SchedulerOptions are the choices of a Scheduler.
type SchedulerOptions struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Log receives what no caller can be told; slog.Default() where nil.
	Log *slog.Logger
	// Poll is how often changes by other replicas are looked for; 15 s where zero.
	Poll time.Duration
}

// NewScheduler returns a scheduler that feeds the queue. A plan that cannot be
// kept is an error.
func NewScheduler(store ScheduleStore, queue *Queue, plans []Plan, opts SchedulerOptions) (*Scheduler, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Poll <= 0 {
		opts.Poll = 15 * time.Second
	}
	s := &Scheduler{store: store, queue: queue, plans: map[string]Plan{}, opts: opts, changed: make(chan struct{}, 1)}
	for _, plan := range plans {
		if _, twice := s.plans[plan.Name]; twice || plan.Name == "" {
			return nil, fmt.Errorf("schedule %q: no name, or twice: %w", plan.Name, ErrInvalid)
		}
		if _, _, err := plan.next(opts.Now()); err != nil {
			return nil, fmt.Errorf("schedule %s: %w", plan.Name, err)
		}
		if _, err := queue.prepare(plan.Request, opts.Now()); err != nil {
			return nil, fmt.Errorf("schedule %s: %w", plan.Name, err)
		}
		s.plans[plan.Name] = plan
	}
	return s, nil
}

// Run enqueues what is due until ctx is done.
func (s *Scheduler) Run(ctx context.Context) error {
	seeded := false
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.changed:
		case <-timer.C:
		}
		pause := s.opts.Poll
		if !seeded {
			if err := s.Seed(ctx); err != nil {
				s.complain(ctx, err)
				timer.Reset(pause)
				continue
			}
			seeded = true
		}
		next, err := s.fire(ctx)
		if err != nil {
			s.complain(ctx, err)
		} else if !next.IsZero() {
			pause = max(0, min(pause, next.Sub(s.opts.Now())))
		}
		timer.Reset(pause)
	}
}

func (s *Scheduler) complain(ctx context.Context, err error) {
	if ctx.Err() == nil {
		s.opts.Log.ErrorContext(ctx, "scheduler", "error", err)
	}
}

// Seed stores the plans that the store does not know. Run does it, too.
func (s *Scheduler) Seed(ctx context.Context) error {
	schedules := make([]Schedule, 0, len(s.plans))
	for _, plan := range s.plans {
		zone, next, err := plan.next(s.opts.Now())
		if err != nil {
			return fmt.Errorf("schedule %s: %w", plan.Name, err)
		}
		schedules = append(schedules, Schedule{Name: plan.Name, Cron: plan.Cron, TimeZone: zone, Enabled: true, NextRunAt: next})
	}
	slices.SortFunc(schedules, func(a, b Schedule) int { return strings.Compare(a.Name, b.Name) })
	if err := s.store.SeedSchedules(ctx, schedules); err != nil {
		return fmt.Errorf("store schedules: %w", err)
	}
	return nil
}

// fire enqueues what is due and returns when the next is.
func (s *Scheduler) fire(ctx context.Context) (time.Time, error) {
	schedules, err := s.List(ctx)
	if err != nil {
		return time.Time{}, err
	}
	var first time.Time
	var failed []error
	for _, schedule := range schedules {
		if !schedule.Enabled {
			continue
		}
		now, due := s.opts.Now(), schedule.NextRunAt
		if !now.Before(due) {
			next, err := s.fireOne(ctx, schedule, now)
			if err != nil {
				failed = append(failed, fmt.Errorf("schedule %s: %w", schedule.Name, err))
				continue
			}
			due = next
		}
		if first.IsZero() || due.Before(first) {
			first = due
		}
	}
	return first, errors.Join(failed...)
}

func (s *Scheduler) fireOne(ctx context.Context, schedule Schedule, now time.Time) (time.Time, error) {
	next, err := due(schedule.Cron, schedule.TimeZone, now)
	if err != nil {
		return time.Time{}, err
	}
	request := s.plans[schedule.Name].Request
	request.Opts.RunAt = time.Time{}
	job, err := s.queue.prepare(request, now)
	if err != nil {
		return time.Time{}, err
	}
	fired, err := s.store.FireSchedule(ctx, schedule.Name, schedule.NextRunAt, next, now, job)
	if err != nil {
		return time.Time{}, err
	}
	if fired {
		s.queue.Wake(job.Kind)
	}
	return next, nil
}

// List returns the schedules of the plans, by name. The store may know more,
// of another version of the program.
func (s *Scheduler) List(ctx context.Context) ([]Schedule, error) {
	all, err := s.store.Schedules(ctx)
	if err != nil {
		return nil, fmt.Errorf("list schedules: %w", err)
	}
	all = slices.DeleteFunc(all, func(schedule Schedule) bool {
		_, known := s.plans[schedule.Name]
		return !known
	})
	for i := range all {
		all[i].Kind = s.plans[all[i].Name].Request.Kind
	}
	return all, nil
}

// Schedule returns one by name, or ErrNotFound.
func (s *Scheduler) Schedule(ctx context.Context, name string) (Schedule, error) {
	all, err := s.List(ctx)
	if err != nil {
		return Schedule{}, err
	}
	for _, schedule := range all {
		if schedule.Name == name {
			return schedule, nil
		}
	}
	return Schedule{}, fmt.Errorf("schedule %q: %w", name, ErrNotFound)
}

// Set changes when a schedule is due. A revision that is not 0 must be the
// present one, else the error is ErrStale. It returns ErrNotFound, or a
// *FieldError where the expression is none or never due, or there is no such zone.
func (s *Scheduler) Set(ctx context.Context, name string, change Change, revision int64) (Schedule, error) {
	// Of two changes at a time that name no revision, the second is made to what
	// the first left.
	const tries = 10
	for range tries {
		schedule, err := s.Schedule(ctx, name)
		if err != nil {
			return Schedule{}, err
		}
		if revision != 0 && schedule.Revision != revision {
			return Schedule{}, fmt.Errorf("schedule %q: %w", name, ErrStale)
		}
		for member, value := range map[*string]*string{&schedule.Cron: change.Cron, &schedule.TimeZone: change.TimeZone} {
			if value != nil {
				*member = *value
			}
		}
		if change.Enabled != nil {
			schedule.Enabled = *change.Enabled
		}
		if schedule.NextRunAt, err = due(schedule.Cron, schedule.TimeZone, s.opts.Now()); err != nil {
			return Schedule{}, err
		}
		err = s.store.UpdateSchedule(ctx, schedule)
		if errors.Is(err, ErrStale) && revision == 0 {
			continue
		}
		if err != nil {
			return Schedule{}, fmt.Errorf("schedule %s: %w", name, err)
		}
		select {
		case s.changed <- struct{}{}:
		default:
		}
		return s.Schedule(ctx, name)
	}
	return Schedule{}, fmt.Errorf("schedule %q: %w, time after time", name, ErrStale)
}

// RunNow enqueues the schedule's job at once and returns its id; when it is due
// next does not change. It returns ErrNotFound for a schedule of no plan.
func (s *Scheduler) RunNow(ctx context.Context, name string) (int64, error) {
	plan, known := s.plans[name]
	if !known {
		return 0, fmt.Errorf("schedule %q: %w", name, ErrNotFound)
	}
	request := plan.Request
	request.Opts.RunAt = time.Time{}
	ids, err := s.queue.EnqueueAll(ctx, []Request{request})
	if err != nil {
		return 0, err
	}
	if err := s.store.MarkScheduleRun(ctx, name, s.opts.Now()); err != nil {
		return 0, fmt.Errorf("schedule %s: %w", name, err)
	}
	return ids[0], nil
}
