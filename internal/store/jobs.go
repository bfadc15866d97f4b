package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/job"
)

// skipLocked is where the engines differ in claiming: on PostgreSQL several
// replicas claim at once and must pass over each other's rows; on SQLite there
// is one writer at a time and no row locks.
var skipLocked = map[Engine]string{SQLite: "", Postgres: " for update skip locked"}

const jobColumns = `id, kind, key, payload, state, attempts, max_attempts, run_at, lease_owner, lease_until,
	progress, progress_done, progress_total, error, created_at, started_at, finished_at, cancel_at, changed_at`

func scanJob(row interface{ Scan(...any) error }) (j job.Job, err error) {
	var payload string
	var run, lease, created, started, finished, cancel, changed sql.NullInt64
	err = row.Scan(&j.ID, &j.Kind, &j.Key, &payload, &j.State, &j.Attempts, &j.MaxAttempts, &run, &j.LeaseOwner, &lease,
		&j.Progress, &j.Completed, &j.Total, &j.Error, &created, &started, &finished, &cancel, &changed)
	j.Payload = json.RawMessage(payload)
	j.RunAt, j.LeaseUntil, j.CreatedAt, j.StartedAt, j.FinishedAt = at(run), at(lease), at(created), at(started), at(finished)
	j.CancelAt, j.ChangedAt = at(cancel), at(changed)
	return j, err
}

// EnqueueJobs stores jobs and returns their ids, or those of the unfinished
// jobs of the same kind and key.
func (s *Store) EnqueueJobs(ctx context.Context, jobs []job.Draft) ([]int64, error) {
	var ids []int64
	err := s.tx(ctx, func(tx *sql.Tx) error {
		var err error
		ids, err = insertJobs(ctx, tx, jobs)
		return err
	})
	return ids, err
}

type jobName struct{ kind, key string }

// insertJobs is EnqueueJobs within a transaction.
func insertJobs(ctx context.Context, tx *sql.Tx, jobs []job.Draft) ([]int64, error) {
	// SQLite looks each parameter up among those before it: long statements cost
	// the square of their length.
	const batch, width = 64, 8
	// Two transactions that insert the same keys wait for each other; in one
	// order they cannot do so both ways.
	sorted := slices.Clone(jobs)
	slices.SortStableFunc(sorted, func(a, b job.Draft) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Key, b.Key))
	})
	ids := make(map[jobName]int64, len(jobs))
	for chunk := range slices.Chunk(sorted, batch) {
		if err := insertJobChunk(ctx, tx, chunk, width, ids); err != nil {
			return nil, err
		}
	}
	list := make([]int64, len(jobs))
	for i, j := range jobs {
		list[i] = ids[jobName{j.Kind, j.Key}]
	}
	return list, nil
}

func insertJobChunk(ctx context.Context, tx *sql.Tx, chunk []job.Draft, width int, ids map[jobName]int64) error {
	missing := make(map[jobName]job.Draft, len(chunk))
	for _, j := range chunk {
		name := jobName{j.Kind, j.Key}
		if _, have := ids[name]; have {
			continue
		}
		if _, twice := missing[name]; !twice {
			missing[name] = j
		}
	}
	// What was in the way of the insert can be finished when it is looked for.
	const tries = 20
	for try := 0; len(missing) > 0; try++ {
		if try == tries {
			return fmt.Errorf("enqueue: %d jobs appear and vanish", len(missing))
		}
		if err := tryInsertJobs(ctx, tx, missing, width, ids); err != nil {
			return err
		}
		for name := range missing {
			if _, have := ids[name]; have {
				delete(missing, name)
				continue
			}
			var id int64
			err := tx.QueryRowContext(ctx, `select id from jobs where kind = $1 and key = $2 and state in ('queued', 'running')`,
				name.kind, name.key).Scan(&id)
			if errors.Is(err, sql.ErrNoRows) {
				continue
			}
			if err != nil {
				return fmt.Errorf("find job %s %q: %w", name.kind, name.key, err)
			}
			ids[name] = id
			delete(missing, name)
		}
	}
	return nil
}

// tryInsertJobs inserts those that nothing is in the way of.
func tryInsertJobs(ctx context.Context, tx *sql.Tx, jobs map[jobName]job.Draft, width int, ids map[jobName]int64) error {
	names := make([]jobName, 0, len(jobs))
	for name := range jobs {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b jobName) int {
		return cmp.Or(strings.Compare(a.kind, b.kind), strings.Compare(a.key, b.key))
	})
	args := make([]any, 0, len(jobs)*width)
	for _, name := range names {
		j := jobs[name]
		args = append(args, j.Kind, j.Key, string(j.Payload), string(job.Queued), j.MaxAttempts, micros(j.RunAt), micros(j.CreatedAt), micros(j.CreatedAt))
	}
	rows, err := tx.QueryContext(ctx, `insert into jobs (kind, key, payload, state, max_attempts, run_at, created_at, changed_at)
		values `+placeholders(len(names), width)+`
		on conflict (kind, key) where state in ('queued', 'running') do nothing
		returning id, kind, key`, args...)
	if err != nil {
		return fmt.Errorf("insert jobs: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var id int64
		var name jobName
		if err := rows.Scan(&id, &name.kind, &name.key); err != nil {
			return fmt.Errorf("insert jobs: %w", err)
		}
		ids[name] = id
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("insert jobs: %w", err)
	}
	return nil
}

// TurnJobs records results, then claims jobs that are due.
func (s *Store) TurnJobs(ctx context.Context, turn job.Turn) (job.TurnOutcome, error) {
	var outcome job.TurnOutcome
	err := s.tx(ctx, func(tx *sql.Tx) error {
		outcome = job.TurnOutcome{}
		var err error
		if outcome.Lost, err = recordJobs(ctx, tx, turn); err != nil {
			return err
		}
		kinds := make([]string, 0, len(turn.Want))
		for kind := range turn.Want {
			kinds = append(kinds, kind)
		}
		slices.Sort(kinds)
		for _, kind := range kinds {
			claimed, err := s.claimJobs(ctx, tx, turn, kind)
			if err != nil {
				return err
			}
			outcome.Claimed = append(outcome.Claimed, claimed...)
		}
		return nil
	})
	return outcome, err
}

// recordJobs stores results and returns the ids of those that are not the
// owner's to give. A job that somebody wants ended is not tried again.
func recordJobs(ctx context.Context, tx *sql.Tx, turn job.Turn) (lost []int64, err error) {
	if len(turn.Results) == 0 {
		return nil, nil
	}
	record, err := tx.PrepareContext(ctx, `update jobs set
			state = case when cast($1 as text) = 'queued' and cancel_at is not null then 'cancelled' else cast($1 as text) end,
			finished_at = case when cast($1 as text) = 'queued' and cancel_at is not null then cast($2 as bigint) else cast($3 as bigint) end,
			attempts = $4, run_at = coalesce($5, run_at), progress = $6, progress_done = $7, progress_total = $8, error = $9,
			changed_at = $2, lease_owner = '', lease_until = null
		where id = $10 and lease_owner = $11 and attempts = $12 and state = 'running'`)
	if err != nil {
		return nil, fmt.Errorf("record jobs: %w", err)
	}
	defer record.Close()
	for _, r := range turn.Results {
		done, err := record.ExecContext(ctx, string(r.State), micros(turn.Now), nullMicros(r.FinishedAt), r.Attempts, nullMicros(r.RunAt),
			r.Progress, r.Completed, r.Total, r.Error, r.ID, turn.Owner, r.Try)
		if err != nil {
			return nil, fmt.Errorf("record job %d: %w", r.ID, err)
		}
		n, err := done.RowsAffected()
		if err != nil {
			return nil, fmt.Errorf("record job %d: %w", r.ID, err)
		}
		if n == 0 {
			lost = append(lost, r.ID)
			continue
		}
		if err := logJob(ctx, tx, r.ID, r.Lines); err != nil {
			return nil, err
		}
	}
	return lost, nil
}

func (s *Store) claimJobs(ctx context.Context, tx *sql.Tx, turn job.Turn, kind string) ([]job.Job, error) {
	rows, err := tx.QueryContext(ctx, `with due as materialized (
			select id from jobs where state = 'queued' and kind = $1 and run_at <= $2
			order by run_at, id limit $3`+skipLocked[s.engine]+`)
		update jobs set state = 'running', attempts = attempts + 1, lease_owner = $4, lease_until = $5, started_at = $2,
			changed_at = $2
		where id in (select id from due) and state = 'queued'
		returning `+jobColumns,
		kind, micros(turn.Now), turn.Want[kind], turn.Owner, micros(turn.LeaseUntil))
	if err != nil {
		return nil, fmt.Errorf("claim jobs of kind %s: %w", kind, err)
	}
	jobs, err := collectJobs(rows)
	if err != nil {
		return nil, fmt.Errorf("claim jobs of kind %s: %w", kind, err)
	}
	slices.SortFunc(jobs, func(a, b job.Job) int { return cmp.Or(a.RunAt.Compare(b.RunAt), cmp.Compare(a.ID, b.ID)) })
	return jobs, nil
}

func collectJobs(rows *sql.Rows) ([]job.Job, error) {
	defer rows.Close()
	var jobs []job.Job
	for rows.Next() {
		j, err := scanJob(rows)
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, j)
	}
	return jobs, rows.Err()
}

// JobOutlook says what waits.
func (s *Store) JobOutlook(ctx context.Context, kinds []string) (job.Outlook, error) {
	outlook := job.Outlook{Next: map[string]time.Time{}}
	// One seek in an index for each kind, and one for the leases.
	parts := []string{`select '', min(lease_until) from jobs where state = 'running'`}
	args := make([]any, len(kinds))
	for i, kind := range kinds {
		args[i] = kind
		parts = append(parts, fmt.Sprintf(`select $%d, min(run_at) from jobs where state = 'queued' and kind = $%[1]d`, i+1))
	}
	rows, err := s.read.QueryContext(ctx, strings.Join(parts, " union all "), args...)
	if err != nil {
		return job.Outlook{}, fmt.Errorf("job outlook: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var kind string
		var due sql.NullInt64
		if err := rows.Scan(&kind, &due); err != nil {
			return job.Outlook{}, fmt.Errorf("job outlook: %w", err)
		}
		switch {
		case kind == "":
			outlook.LeaseEnd = at(due)
		case due.Valid:
			outlook.Next[kind] = at(due)
		}
	}
	if err := rows.Err(); err != nil {
		return job.Outlook{}, fmt.Errorf("job outlook: %w", err)
	}
	return outlook, nil
}

// HoldJobs moves the leases to until and returns the ids of those that still
// are the owner's.
func (s *Store) HoldJobs(ctx context.Context, owner string, holds []job.Hold, until time.Time) ([]int64, error) {
	var kept []int64
	err := s.tx(ctx, func(tx *sql.Tx) error {
		kept = kept[:0]
		for _, hold := range holds {
			done, err := tx.ExecContext(ctx, `update jobs set lease_until = $1
				where id = $2 and lease_owner = $3 and attempts = $4 and state = 'running'`, micros(until), hold.ID, owner, hold.Try)
			if err != nil {
				return fmt.Errorf("hold job %d: %w", hold.ID, err)
			}
			n, err := done.RowsAffected()
			if err != nil {
				return fmt.Errorf("hold job %d: %w", hold.ID, err)
			}
			if n == 1 {
				kept = append(kept, hold.ID)
			}
		}
		return nil
	})
	return kept, err
}

// PruneJobs deletes at most limit jobs that finished before the time given.
func (s *Store) PruneJobs(ctx context.Context, before time.Time, limit int) (int, error) {
	var pruned int64
	err := s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `delete from jobs where id in (
			select id from jobs where finished_at is not null and finished_at < $1 order by finished_at limit $2)`, micros(before), limit)
		if err != nil {
			return fmt.Errorf("prune jobs: %w", err)
		}
		if pruned, err = done.RowsAffected(); err != nil {
			return fmt.Errorf("prune jobs: %w", err)
		}
		return nil
	})
	return int(pruned), err
}
