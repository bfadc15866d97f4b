package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/job"
)

// SaveJobProgress stores the progress of jobs that still are the owner's.
func (s *Store) SaveJobProgress(ctx context.Context, owner string, now time.Time, progress []job.Progress) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		for _, p := range progress {
			done, err := tx.ExecContext(ctx, `update jobs set progress = $1, progress_done = $2, progress_total = $3, changed_at = $4
				where id = $5 and lease_owner = $6 and attempts = $7 and state = 'running'`,
				p.Text, p.Completed, p.Total, micros(now), p.ID, owner, p.Try)
			if err != nil {
				return fmt.Errorf("progress of job %d: %w", p.ID, err)
			}
			if n, err := done.RowsAffected(); err != nil {
				return fmt.Errorf("progress of job %d: %w", p.ID, err)
			} else if n == 0 {
				continue
			}
			if err := logJob(ctx, tx, p.ID, p.Lines); err != nil {
				return err
			}
		}
		return nil
	})
}

// Bounds of a job's log, in lines: of those that only inform, and of all.
const (
	maxInformation = 900
	maxJobLog      = 1000
)

// logJob adds lines to a job's log, as far as there is room.
func logJob(ctx context.Context, tx *sql.Tx, id int64, lines []job.Line) error {
	if len(lines) == 0 {
		return nil
	}
	var have int
	if err := tx.QueryRowContext(ctx, `select coalesce(max(position), 0) from job_log where job_id = $1`, id).Scan(&have); err != nil {
		return fmt.Errorf("log of job %d: %w", id, err)
	}
	for _, line := range lines {
		if have >= maxJobLog || have >= maxInformation && line.Level == job.Info {
			continue
		}
		have++
		if have == maxJobLog || have == maxInformation && line.Level == job.Info {
			line.Level, line.Text = job.Warning, "the log is full; what follows is left out"
		}
		if _, err := tx.ExecContext(ctx, `insert into job_log (job_id, position, at, level, line) values ($1, $2, $3, $4, $5)`,
			id, have, micros(line.At), string(line.Level), line.Text); err != nil {
			return fmt.Errorf("log of job %d: %w", id, err)
		}
	}
	return nil
}

// JobLog lists at most limit lines of a job after the position given, or
// returns job.ErrNotFound.
func (s *Store) JobLog(ctx context.Context, id int64, after, limit int) ([]job.Line, error) {
	lines, err := queryAll(ctx, s.read, func(rows *sql.Rows) (l job.Line, err error) {
		var when sql.NullInt64
		err = rows.Scan(&l.Position, &when, &l.Level, &l.Text)
		l.At = at(when)
		return l, err
	}, `select position, at, level, line from job_log where job_id = $1 and position > $2 order by position limit $3`, id, after, limit)
	if err != nil {
		return nil, fmt.Errorf("log of job %d: %w", id, err)
	}
	if len(lines) > 0 {
		return lines, nil
	}
	var known bool
	if err := s.read.QueryRowContext(ctx, `select exists (select 1 from jobs where id = $1)`, id).Scan(&known); err != nil {
		return nil, fmt.Errorf("log of job %d: %w", id, err)
	}
	if !known {
		return nil, fmt.Errorf("job %d: %w", id, job.ErrNotFound)
	}
	return nil, nil
}

// ReleaseJobs takes jobs whose lease ended by now from their owners.
func (s *Store) ReleaseJobs(ctx context.Context, now time.Time) (int, error) {
	return s.releaseJobs(ctx, now, "its process ended or hung", `lease_until <= $1`)
}

// ReleaseReplica takes the running jobs of a replica from its owners.
func (s *Store) ReleaseReplica(ctx context.Context, replica string, now time.Time) (int, error) {
	return s.releaseJobs(ctx, now, "its process was killed", `lease_owner like $3`, replica+"/%")
}

func (s *Store) releaseJobs(ctx context.Context, now time.Time, why, condition string, args ...any) (int, error) {
	reason := job.ErrLeaseLost.Error() + ": " + why
	var released []int64
	err := s.tx(ctx, func(tx *sql.Tx) error {
		var err error
		released, err = queryAll(ctx, tx, func(rows *sql.Rows) (id int64, err error) {
			err = rows.Scan(&id)
			return id, err
		}, `update jobs set
				state = case when cancel_at is not null then 'cancelled' when attempts < max_attempts then 'queued' else 'failed' end,
				finished_at = case when cancel_at is null and attempts < max_attempts then null else cast($1 as bigint) end,
				run_at = case when cancel_at is null and attempts < max_attempts then cast($1 as bigint) else run_at end,
				error = $2, changed_at = $1, lease_owner = '', lease_until = null
			where state = 'running' and `+condition+` returning id`, append([]any{micros(now), reason}, args...)...)
		if err != nil {
			return fmt.Errorf("release jobs: %w", err)
		}
		for _, id := range released {
			if err := logJob(ctx, tx, id, []job.Line{{At: now, Level: job.Warning, Text: reason}}); err != nil {
				return err
			}
		}
		return nil
	})
	return len(released), err
}

// CancelJob ends a job that is queued and marks one that is running. It returns
// job.ErrNotFound or job.ErrFinished.
func (s *Store) CancelJob(ctx context.Context, id int64, now time.Time) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		var state job.State
		err := tx.QueryRowContext(ctx, `update jobs set
				state = case when state = 'queued' then 'cancelled' else state end,
				finished_at = case when state = 'queued' then cast($1 as bigint) else finished_at end,
				cancel_at = coalesce(cancel_at, $1), changed_at = $1
			where id = $2 and state in ('queued', 'running') returning state`, micros(now), id).Scan(&state)
		switch {
		case err == nil && state == job.Cancelled:
			return logJob(ctx, tx, id, []job.Line{{At: now, Level: job.Warning, Text: "cancelled before it ran"}})
		case err == nil:
			return logJob(ctx, tx, id, []job.Line{{At: now, Level: job.Warning, Text: "its end was asked for"}})
		case !errors.Is(err, sql.ErrNoRows):
			return fmt.Errorf("cancel job %d: %w", id, err)
		}
		err = tx.QueryRowContext(ctx, `select state from jobs where id = $1`, id).Scan(&state)
		if err != nil {
			return fmt.Errorf("cancel job %d: %w", id, noRows(err, job.ErrNotFound))
		}
		return fmt.Errorf("job %d is %s: %w", id, state, job.ErrFinished)
	})
}

// JobsToCancel lists the owner's running jobs that somebody wants ended.
func (s *Store) JobsToCancel(ctx context.Context, owner string) ([]int64, error) {
	ids, err := queryAll(ctx, s.read, func(rows *sql.Rows) (id int64, err error) {
		err = rows.Scan(&id)
		return id, err
	}, `select id from jobs where state = 'running' and lease_owner = $1 and cancel_at is not null`, owner)
	if err != nil {
		return nil, fmt.Errorf("jobs to cancel: %w", err)
	}
	return ids, nil
}
