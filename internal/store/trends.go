package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
)

// Trend counts the vulnerabilities that affected stored images at each of the
// times, which are in order: by severity, and those on which nothing was decided
// anywhere. What was found and gone before there were spans does not count.
func (s *Store) Trend(ctx context.Context, times []time.Time) ([]match.TrendPoint, error) {
	if len(times) == 0 {
		return nil, nil
	}
	type span struct {
		id          int64
		severity    advisory.Severity
		from, until sql.NullInt64
	}
	scan := func(rows *sql.Rows) (v span, err error) {
		err = rows.Scan(&v.id, &v.severity, &v.from, &v.until)
		return v, err
	}
	first, last := micros(times[0]), micros(times[len(times)-1])
	spans, err := queryAll(ctx, s.read, scan, `select vulnerability_id, severity, since, until from affected_spans
		where since <= $2 and (until is null or until > $1)`, first, last)
	if err != nil {
		return nil, fmt.Errorf("trend: %w", err)
	}
	decisions, err := queryAll(ctx, s.read, scan, `select vulnerability_id, 0, created_at,
			case when expires_at is not null and (ended_at is null or expires_at < ended_at) then expires_at else ended_at end
		from assessments where created_at <= $2 and (ended_at is null or ended_at > $1) and (expires_at is null or expires_at > $1)`, first, last)
	if err != nil {
		return nil, fmt.Errorf("trend of assessments: %w", err)
	}
	holds := func(v span, t int64) bool { return v.from.Int64 <= t && (!v.until.Valid || v.until.Int64 > t) }
	decided := make(map[int64][]span)
	for _, d := range decisions {
		decided[d.id] = append(decided[d.id], d)
	}
	points := make([]match.TrendPoint, len(times))
	for i, when := range times {
		t := micros(when)
		points[i] = match.TrendPoint{Time: when, Vulnerabilities: make(map[advisory.Severity]int)}
		for _, v := range spans {
			if !holds(v, t) {
				continue
			}
			points[i].Vulnerabilities[v.severity]++
			open := true
			for _, d := range decided[v.id] {
				open = open && !holds(d, t)
			}
			if open {
				points[i].Unassessed++
			}
		}
	}
	return points, nil
}
