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
// anywhere. What was deleted meanwhile does not count for the past either.
func (s *Store) Trend(ctx context.Context, times []time.Time) ([]match.TrendPoint, error) {
	type span struct {
		id          int64
		severity    advisory.Severity
		from, until sql.NullInt64
	}
	scan := func(rows *sql.Rows) (v span, err error) {
		err = rows.Scan(&v.id, &v.severity, &v.from, &v.until)
		return v, err
	}
	// Of what affects several packages, the first and the last count.
	spans, err := queryAll(ctx, s.read, scan, `select v.id, max(`+effective+`),
			min(case when m.first_seen > i.analysed_at then m.first_seen else i.analysed_at end),
			case when max(case when m.gone_at is null then 1 else 0 end) = 1 then null else max(m.gone_at) end
		from matches m
		join vulnerabilities v on v.id = m.vulnerability_id
		join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
		join images i on i.inventory_id = ip.inventory_id
		where (m.gone_at is null or m.gone_at > i.analysed_at) and exists (select 1 from manifests mf where mf.digest = i.digest)
		group by v.id`)
	if err != nil {
		return nil, fmt.Errorf("trend: %w", err)
	}
	decisions, err := queryAll(ctx, s.read, scan, `select vulnerability_id, 0, created_at,
			case when expires_at is not null and (ended_at is null or expires_at < ended_at) then expires_at else ended_at end
		from assessments`)
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
