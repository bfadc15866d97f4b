package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/event"
	"github.com/pratique/pratique/internal/job"
)

// ChangedJobs lists at most limit jobs that changed at a time or later, the
// newest change first.
func (s *Store) ChangedJobs(ctx context.Context, since time.Time, limit int) ([]job.Job, error) {
	rows, err := s.read.QueryContext(ctx, `select `+jobColumns+` from jobs where changed_at >= $1 order by changed_at desc limit $2`, micros(since), limit)
	if err != nil {
		return nil, fmt.Errorf("changed jobs: %w", err)
	}
	jobs, err := collectJobs(rows)
	if err != nil {
		return nil, fmt.Errorf("changed jobs: %w", err)
	}
	return jobs, nil
}

// ChangedImages lists at most limit images whose analysis changed at a time or
// later, the newest change first.
func (s *Store) ChangedImages(ctx context.Context, since time.Time, limit int) ([]event.Image, error) {
	images, err := queryAll(ctx, s.read, func(rows *sql.Rows) (i event.Image, err error) {
		var changed sql.NullInt64
		err = rows.Scan(&i.Digest, &i.State, &i.Error, &changed)
		i.ChangedAt = at(changed)
		return i, err
	}, `select digest, state, error, changed_at from images where changed_at >= $1 order by changed_at desc limit $2`, micros(since), limit)
	if err != nil {
		return nil, fmt.Errorf("changed images: %w", err)
	}
	return images, nil
}

// FeedStates lists all feeds by name.
func (s *Store) FeedStates(ctx context.Context) ([]event.Feed, error) {
	feeds, err := queryAll(ctx, s.read, func(rows *sql.Rows) (f event.Feed, err error) {
		var attempt, success, change sql.NullInt64
		err = rows.Scan(&f.Name, &attempt, &success, &change, &f.Error)
		f.LastAttempt, f.LastSuccess, f.LastChange = at(attempt), at(success), at(change)
		return f, err
	}, `select name, last_attempt, last_success, last_change, error from feeds order by name`)
	if err != nil {
		return nil, fmt.Errorf("states of feeds: %w", err)
	}
	return feeds, nil
}

// LastDecisions tells how far assessments, and what the audit log calls policies
// and types, have changed. Policies of registries are changed with them, too.
func (s *Store) LastDecisions(ctx context.Context) (d event.Decisions, err error) {
	const kinds = `('assessment-type.change', 'assessment-type.create', 'assessment-type.delete', 'assessment-type.order', 'policy.change',
		'policy-exception.create', 'policy-exception.end', 'registry.change', 'registry.delete')`
	var assessed, changed sql.NullInt64
	err = s.read.QueryRowContext(ctx, `select
			coalesce((select max(id) from assessment_events), 0), (select at from assessment_events order by id desc limit 1),
			coalesce(c.id, 0), (select at from audit_log where id = c.id)
		from (select max(id) as id from audit_log where action in `+kinds+`) c`).Scan(&d.Assessments, &assessed, &d.Changes, &changed)
	if err != nil {
		return event.Decisions{}, fmt.Errorf("last decisions: %w", err)
	}
	if d.ChangedAt = at(assessed); at(changed).After(d.ChangedAt) {
		d.ChangedAt = at(changed)
	}
	return d, nil
}
