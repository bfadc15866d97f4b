package job_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/store"
)

func feedsPlan() []job.Plan {
	return []job.Plan{{Name: "update feeds", Cron: "30 */6 * * *", Request: job.Request{Kind: "feeds", Payload: map[string]bool{"all": true}}}}
}

func scheduler(t *testing.T, s *store.Store, q *job.Queue, c *clock, plans []job.Plan) *job.Scheduler {
	t.Helper()
	scheduler, err := job.NewScheduler(s, q, plans, job.SchedulerOptions{
		Now: c.Now, Poll: tick, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	return scheduler
}

func run(t *testing.T, s *job.Scheduler) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// jobsOf waits until there are n jobs of the kind, and returns them.
func jobsOf(t *testing.T, q *job.Queue, kind string, n int) []job.Job {
	t.Helper()
	for deadline := time.Now().Add(patience); ; <-time.After(tick) {
		jobs, err := q.Jobs(t.Context(), job.Filter{Kind: kind})
		if err != nil {
			t.Fatal(err)
		}
		if len(jobs) >= n {
			if len(jobs) > n {
				t.Fatalf("got %d jobs, want %d", len(jobs), n)
			}
			return jobs
		}
		if time.Now().After(deadline) {
			t.Fatalf("got %d jobs, want %d", len(jobs), n)
		}
	}
}

func TestSchedulersEnqueueOnceForEachDueTime(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock() // 12:00
		q := job.New(s, options(t, c))
		ran := make(chan string, 100)
		start(t, q, map[string]job.Handler{"feeds": {Run: func(_ context.Context, task *job.Task) error {
			ran <- string(task.Payload)
			return nil
		}}})
		plans := append(feedsPlan(), job.Plan{Name: "clock", Cron: "* * * * *", Request: job.Request{Kind: "tick"}})
		replicas := []*job.Scheduler{scheduler(t, s, q, c, plans), scheduler(t, s, q, c, plans), scheduler(t, s, q, c, plans)}
		if err := replicas[0].Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, replica := range replicas {
			run(t, replica)
		}
		for i, pause := range []time.Duration{30 * time.Minute, 6 * time.Hour, 6 * time.Hour, 6 * time.Hour} {
			c.Move(pause)
			if got := receive(t, ran, "the job"); got != `{"all":true}` {
				t.Errorf("payload %s", got)
			}
			jobs := jobsOf(t, q, "feeds", i+1)
			wait(t, q, jobs[0].ID)
			if !jobs[0].CreatedAt.Equal(c.Now()) {
				t.Errorf("created at %v, want %v", jobs[0].CreatedAt, c.Now())
			}
		}
		for _, replica := range replicas {
			schedules, err := replica.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := job.Schedule{Name: "update feeds", Kind: "feeds", Cron: "30 */6 * * *", TimeZone: "UTC", Revision: 1, Enabled: true, LastRunAt: c.Now(), NextRunAt: c.Now().Add(6 * time.Hour)}
			if diff := cmp.Diff(want, schedules[1]); diff != "" {
				t.Error(diff)
			}
		}
	})
}

func TestFireScheduleIsCompareAndSet(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock()
		q := job.New(s, options(t, c))
		if err := scheduler(t, s, q, c, feedsPlan()).Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
		due := c.Now().Add(30 * time.Minute)
		fired := make(chan bool, 16)
		var all sync.WaitGroup
		for range cap(fired) {
			all.Go(func() {
				ok, err := s.FireSchedule(t.Context(), "update feeds", due, due.Add(6*time.Hour), due,
					job.Draft{Kind: "feeds", Key: time.Now().String(), Payload: []byte("{}"), MaxAttempts: 1, RunAt: due, CreatedAt: due})
				if err != nil {
					t.Error(err)
				}
				fired <- ok
			})
		}
		all.Wait()
		n := 0
		for range cap(fired) {
			if <-fired {
				n++
			}
		}
		if n != 1 {
			t.Errorf("fired %d times, want once", n)
		}
		jobsOf(t, q, "feeds", 1)
	})
}

func TestMissedRunsAreMadeUpForOnce(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock()
		q := job.New(s, options(t, c))
		sched := scheduler(t, s, q, c, feedsPlan())
		if err := sched.Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
		c.Move(10*24*time.Hour + time.Minute) // 12:01
		run(t, sched)
		jobsOf(t, q, "feeds", 1)
		schedules, err := sched.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if want := c.Now().Add(29 * time.Minute); !schedules[0].NextRunAt.Equal(want) {
			t.Errorf("next run at %v, want %v", schedules[0].NextRunAt, want)
		}
	})
}

func TestSetAndRunNow(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock()
		q := job.New(s, options(t, c))
		sched := scheduler(t, s, q, c, feedsPlan())
		if err := sched.Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
		daily, off, tokyo := "@daily", false, "Asia/Tokyo"
		got, err := sched.Set(t.Context(), "update feeds", job.Change{Cron: &daily, TimeZone: &tokyo, Enabled: &off}, 1)
		if err != nil {
			t.Fatal(err)
		}
		want := job.Schedule{Name: "update feeds", Kind: "feeds", Cron: "@daily", TimeZone: "Asia/Tokyo", Revision: 2, NextRunAt: time.Date(2026, 11, 24, 15, 0, 0, 0, time.UTC)}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		if err := sched.Seed(t.Context()); err != nil { // as a restart does
			t.Fatal(err)
		}
		run(t, sched)
		c.Move(48 * time.Hour) // disabled: nothing happens
		id, err := sched.RunNow(t.Context(), "update feeds")
		if err != nil {
			t.Fatal(err)
		}
		if jobs := jobsOf(t, q, "feeds", 1); jobs[0].ID != id {
			t.Errorf("got job %d, want %d", jobs[0].ID, id)
		}
		if again, err := sched.RunNow(t.Context(), "update feeds"); err != nil || again != id {
			t.Errorf("while it is unfinished: got job %d, %v; want %d", again, err, id)
		}
		schedules, err := sched.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		want.LastRunAt = c.Now()
		if diff := cmp.Diff([]job.Schedule{want}, schedules); diff != "" {
			t.Error(diff)
		}
		if _, err := sched.RunNow(t.Context(), "nothing"); !errors.Is(err, job.ErrNotFound) {
			t.Errorf("RunNow: got %v, want ErrNotFound", err)
		}
		if _, err := sched.Set(t.Context(), "nothing", job.Change{Cron: &daily}, 0); !errors.Is(err, job.ErrNotFound) {
			t.Errorf("Set: got %v, want ErrNotFound", err)
		}
		if _, err := sched.Set(t.Context(), "update feeds", job.Change{Cron: &daily}, 1); !errors.Is(err, job.ErrStale) {
			t.Errorf("Set of an old revision: got %v, want ErrStale", err)
		}
		never, mars := "0 0 30 2 *", "Mars/Olympus"
		for field, change := range map[string]job.Change{"cron": {Cron: &never}, "time_zone": {TimeZone: &mars}} {
			var wrong *job.FieldError
			if _, err := sched.Set(t.Context(), "update feeds", change, 0); !errors.As(err, &wrong) || wrong.Field != field {
				t.Errorf("%s: got %v, want a FieldError", field, err)
			}
		}
		if unchanged, err := sched.List(t.Context()); err != nil || !cmp.Equal(schedules, unchanged) {
			t.Errorf("after what was refused: %v, %s", err, cmp.Diff(schedules, unchanged))
		}
	})
}

func TestSetTakesEffectWithoutPolling(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		c := newClock()
		q := job.New(s, options(t, c))
		plans := append(feedsPlan(), job.Plan{Name: "other", Cron: "@yearly", Request: job.Request{Kind: "other"}})
		sched, err := job.NewScheduler(s, q, plans, job.SchedulerOptions{Now: c.Now, Poll: never})
		if err != nil {
			t.Fatal(err)
		}
		if err := sched.Seed(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.UpdateSchedule(t.Context(), job.Schedule{Name: "other", Cron: "@yearly", TimeZone: "UTC", Enabled: true, NextRunAt: c.Now(), Revision: 1}); err != nil {
			t.Fatal(err)
		}
		run(t, sched)
		jobsOf(t, q, "other", 1) // it looked once and now waits for an hour
		if err := s.UpdateSchedule(t.Context(), job.Schedule{Name: "other", Cron: "@yearly", TimeZone: "UTC", Enabled: true, NextRunAt: c.Now(), Revision: 2}); err != nil {
			t.Fatal(err)
		}
		hourly := "@hourly"
		if _, err := sched.Set(t.Context(), "update feeds", job.Change{Cron: &hourly}, 0); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(patience); ; <-time.After(tick) {
			schedules, err := sched.List(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if schedules[0].NextRunAt.After(c.Now()) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the change did not make the scheduler look")
			}
		}
	})
}

func TestNewSchedulerRefuses(t *testing.T) {
	q := job.New(nil, job.Options{})
	good := feedsPlan()[0]
	for _, test := range []struct {
		name  string
		plans []job.Plan
	}{
		{"no name", []job.Plan{{Cron: "@daily", Request: good.Request}}},
		{"twice", []job.Plan{good, good}},
		{"no expression", []job.Plan{{Name: "x", Request: good.Request}}},
		{"never due", []job.Plan{{Name: "x", Cron: "0 0 31 4 *", Request: good.Request}}},
		{"no kind", []job.Plan{{Name: "x", Cron: "@daily"}}},
	} {
		if _, err := job.NewScheduler(nil, q, test.plans, job.SchedulerOptions{}); !errors.Is(err, job.ErrInvalid) {
			t.Errorf("%s: got %v, want ErrInvalid", test.name, err)
		}
	}
}
