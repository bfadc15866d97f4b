package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/pratique/pratique/internal/job"
)

// Job returns a job, or job.ErrNotFound.
func (s *Store) Job(ctx context.Context, id int64) (job.Job, error) {
	j, err := scanJob(s.read.QueryRowContext(ctx, `select `+jobColumns+` from jobs where id = $1`, id))
	if err != nil {
		return job.Job{}, fmt.Errorf("job %d: %w", id, noRows(err, job.ErrNotFound))
	}
	return j, nil
}

// Jobs lists those that the filter lets through, in its order.
func (s *Store) Jobs(ctx context.Context, filter job.Filter) ([]job.Job, error) {
	conditions := []string{"true"}
	var args []any
	if filter.Kind != "" {
		args = append(args, filter.Kind)
		conditions = append(conditions, fmt.Sprintf("kind = $%d", len(args)))
	}
	if filter.State != "" {
		args = append(args, string(filter.State))
		conditions = append(conditions, fmt.Sprintf("state = $%d", len(args)))
	}
	if filter.Before > 0 {
		args = append(args, filter.Before)
		conditions = append(conditions, fmt.Sprintf("id < $%d", len(args)))
	}
	if filter.After > 0 {
		args = append(args, filter.After)
		conditions = append(conditions, fmt.Sprintf("id > $%d", len(args)))
	}
	order := "id desc"
	if filter.Oldest {
		order = "id"
	}
	args = append(args, filter.Limit)
	rows, err := s.read.QueryContext(ctx, `select `+jobColumns+` from jobs where `+strings.Join(conditions, " and ")+
		fmt.Sprintf(` order by %s limit $%d`, order, len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	jobs, err := collectJobs(rows)
	if err != nil {
		return nil, fmt.Errorf("list jobs: %w", err)
	}
	return jobs, nil
}

// JobDepths counts the unfinished jobs.
func (s *Store) JobDepths(ctx context.Context) ([]job.Depth, error) {
	rows, err := s.read.QueryContext(ctx, `select kind, state, count(*) from jobs where state in ('queued', 'running')
		group by kind, state order by kind, state`)
	if err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	defer rows.Close()
	var depths []job.Depth
	for rows.Next() {
		var d job.Depth
		if err := rows.Scan(&d.Kind, &d.State, &d.Jobs); err != nil {
			return nil, fmt.Errorf("count jobs: %w", err)
		}
		depths = append(depths, d)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("count jobs: %w", err)
	}
	return depths, nil
}
