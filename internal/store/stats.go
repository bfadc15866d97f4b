package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/match"
)

// figures are counts that take a look at everything. They are kept for a hundred
// times as long as that took, but a minute: at most a hundredth of the time goes
// into counting, and where little is stored they are never old.
type figures struct {
	mu    sync.Mutex
	kept  match.Stats
	until time.Time
}

func (f *figures) get(ctx context.Context, when time.Time, count func(context.Context, *match.Stats) error) (match.Stats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	began := time.Now() // what counting costs has nothing to do with the clock of the store
	if began.After(f.until) {
		fresh := match.Stats{CountedAt: when}
		if err := count(ctx, &fresh); err != nil {
			return match.Stats{}, err
		}
		took := time.Since(began)
		f.kept, f.until = fresh, began
		if took > 20*time.Millisecond {
			f.until = began.Add(min(100*took, time.Minute))
		}
	}
	all := f.kept
	all.Images = maps.Clone(all.Images)
	return all, nil
}

// countStored counts what Stats keeps.
func (s *Store) countStored(ctx context.Context, all *match.Stats) error {
	err := s.read.QueryRowContext(ctx, `select
			(select count(*) from registries), (select count(*) from repositories), (select count(*) from tags),
			(select coalesce(sum(size), 0) from (select distinct digest, size from repository_blobs) b),
			(select count(*) from packages)`).Scan(&all.Registries, &all.Repositories, &all.Tags, &all.BlobBytes, &all.Packages)
	if err != nil {
		return fmt.Errorf("stats: %w", err)
	}
	type stateCount struct {
		state image.State
		n     int
	}
	images, err := queryAll(ctx, s.read, func(rows *sql.Rows) (c stateCount, err error) {
		err = rows.Scan(&c.state, &c.n)
		return c, err
	}, `select state, count(*) from images i where exists (select 1 from manifests m where m.digest = i.digest) group by state`)
	if err != nil {
		return fmt.Errorf("stats of images: %w", err)
	}
	all.Images = make(map[image.State]int)
	for _, c := range images {
		all.Images[c.state] = c.n
	}
	return nil
}

// Stats counts what is stored at a time. CountedAt says when most of it was counted;
// vulnerabilities and assessments are those of now.
func (s *Store) Stats(ctx context.Context, when time.Time) (match.Stats, error) {
	all, err := s.figures.get(ctx, when, s.countStored)
	if err != nil {
		return match.Stats{}, err
	}
	if all.Uncounted, err = s.uncounted(ctx, s.read); err != nil {
		return match.Stats{}, err
	}
	all.Vulnerabilities = make(map[advisory.Severity]int)
	if err := s.read.QueryRowContext(ctx, `select count(*) from assessments where ended_at is null and (expires_at is null or expires_at > $1)`,
		micros(when)).Scan(&all.Assessments); err != nil {
		return match.Stats{}, fmt.Errorf("stats of assessments: %w", err)
	}
	type severityCount struct {
		severity advisory.Severity
		n        int
	}
	vulnerabilities, err := queryAll(ctx, s.read, func(rows *sql.Rows) (c severityCount, err error) {
		err = rows.Scan(&c.severity, &c.n)
		return c, err
	}, `select severity, count(*) from affected group by severity`)
	if err != nil {
		return match.Stats{}, fmt.Errorf("stats of vulnerabilities: %w", err)
	}
	for _, c := range vulnerabilities {
		all.Vulnerabilities[c.severity] = c.n
	}
	return all, nil
}
