package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/job"
)

// SeedSchedules stores those whose name is not there yet.
func (s *Store) SeedSchedules(ctx context.Context, schedules []job.Schedule) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		for _, schedule := range schedules {
			if _, err := tx.ExecContext(ctx, `insert into schedules (name, cron, time_zone, enabled, next_run_at) values ($1, $2, $3, $4, $5)
				on conflict (name) do nothing`, schedule.Name, schedule.Cron, schedule.TimeZone, schedule.Enabled, micros(schedule.NextRunAt)); err != nil {
				return fmt.Errorf("schedule %s: %w", schedule.Name, err)
			}
		}
		return nil
	})
}

// Schedules lists all by name.
func (s *Store) Schedules(ctx context.Context) ([]job.Schedule, error) {
	rows, err := s.read.QueryContext(ctx, `select name, cron, time_zone, enabled, revision, next_run_at, last_run_at from schedules order by name`)
	if err != nil {
		return nil, fmt.Errorf("list schedules: %w", err)
	}
	defer rows.Close()
	var schedules []job.Schedule
	for rows.Next() {
		var schedule job.Schedule
		var next, last sql.NullInt64
		if err := rows.Scan(&schedule.Name, &schedule.Cron, &schedule.TimeZone, &schedule.Enabled, &schedule.Revision, &next, &last); err != nil {
			return nil, fmt.Errorf("list schedules: %w", err)
		}
		schedule.NextRunAt, schedule.LastRunAt = at(next), at(last)
		schedules = append(schedules, schedule)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list schedules: %w", err)
	}
	return schedules, nil
}

// UpdateSchedule replaces cron, time zone, enabled and next run of the revision
// that it names, or returns job.ErrNotFound or job.ErrStale.
func (s *Store) UpdateSchedule(ctx context.Context, schedule job.Schedule) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `update schedules set cron = $1, time_zone = $2, enabled = $3, next_run_at = $4, revision = revision + 1
			where name = $5 and revision = $6`,
			schedule.Cron, schedule.TimeZone, schedule.Enabled, micros(schedule.NextRunAt), schedule.Name, schedule.Revision)
		if err != nil {
			return fmt.Errorf("update schedule: %w", err)
		}
		n, err := done.RowsAffected()
		if err != nil {
			return fmt.Errorf("update schedule: %w", err)
		}
		if n == 1 {
			return nil
		}
		var known bool
		if err := tx.QueryRowContext(ctx, `select exists (select 1 from schedules where name = $1)`, schedule.Name).Scan(&known); err != nil {
			return fmt.Errorf("update schedule: %w", err)
		}
		if known {
			return job.ErrStale
		}
		return job.ErrNotFound
	})
}

// FireSchedule enqueues the job and moves the next run, if the schedule is
// still due when the caller thinks it is, and enabled.
func (s *Store) FireSchedule(ctx context.Context, name string, due, next, now time.Time, draft job.Draft) (bool, error) {
	fired := false
	err := s.tx(ctx, func(tx *sql.Tx) error {
		fired = false
		done, err := tx.ExecContext(ctx, `update schedules set next_run_at = $1, last_run_at = $2
			where name = $3 and next_run_at = $4 and enabled`, micros(next), micros(now), name, micros(due))
		if err != nil {
			return fmt.Errorf("fire schedule: %w", err)
		}
		n, err := done.RowsAffected()
		if err != nil {
			return fmt.Errorf("fire schedule: %w", err)
		}
		if n == 0 {
			return nil
		}
		if _, err := insertJobs(ctx, tx, []job.Draft{draft}); err != nil {
			return err
		}
		fired = true
		return nil
	})
	return fired, err
}

// MarkScheduleRun notes that the schedule was run out of turn.
func (s *Store) MarkScheduleRun(ctx context.Context, name string, now time.Time) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `update schedules set last_run_at = $1 where name = $2`, micros(now), name); err != nil {
			return fmt.Errorf("mark schedule run: %w", err)
		}
		return nil
	})
}
