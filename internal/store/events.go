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
