package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/match"
)

// Stats counts what is stored at a time.
func (s *Store) Stats(ctx context.Context, when time.Time) (match.Stats, error) {
	all := match.Stats{Images: make(map[image.State]int), Vulnerabilities: make(map[advisory.Severity]int)}
	err := s.read.QueryRowContext(ctx, `select
			(select count(*) from registries), (select count(*) from repositories), (select count(*) from tags),
			(select coalesce(sum(size), 0) from (select distinct digest, size from repository_blobs) b),
			(select count(*) from packages),
			(select count(*) from assessments where ended_at is null and (expires_at is null or expires_at > $1))`, micros(when)).Scan(
		&all.Registries, &all.Repositories, &all.Tags, &all.BlobBytes, &all.Packages, &all.Assessments)
	if err != nil {
		return match.Stats{}, fmt.Errorf("stats: %w", err)
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
		return match.Stats{}, fmt.Errorf("stats of images: %w", err)
	}
	for _, c := range images {
		all.Images[c.state] = c.n
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
