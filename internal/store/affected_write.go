package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
)

// total is a row of affected, and what is behind it.
type total struct {
	id               int64
	images, severity int
	fixable          bool
	firstSeen        int64
	known            bool // there is a row
	before           bool // it affected images in the past
	graded           int  // the gravest severity in found; 0 where there is none
	fixed            bool // in matches and reports
	seen             sql.NullInt64
}

// write brings the figures of the vulnerabilities up to date.
func (c *counting) write(ctx context.Context) error {
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(c.of)), relationRows) {
		if err := c.writeSome(ctx, chunk); err != nil {
			return fmt.Errorf("figures: %w", err)
		}
	}
	return nil
}

func (c *counting) writeSome(ctx context.Context, ids []int64) error {
	var anew []int64
	for _, id := range ids {
		if c.of[id].anew {
			anew = append(anew, id)
		}
	}
	totals, err := c.totals(ctx, ids)
	if err != nil {
		return err
	}
	if err := c.again(ctx, anew, totals); err != nil {
		return err
	}
	now := micros(c.now())
	var put, gone, closed, opened []any
	for _, id := range ids {
		of, old := c.of[id], totals[id]
		fresh := total{id: id, images: old.images + of.images, severity: old.graded, fixable: old.fixable || of.fixable, firstSeen: of.firstSeen}
		if old.known && (fresh.firstSeen == 0 || old.firstSeen < fresh.firstSeen) {
			fresh.firstSeen = old.firstSeen
		}
		if of.anew {
			fresh.fixable = old.fixed
			if old.seen.Valid {
				fresh.firstSeen = old.seen.Int64
			}
		}
		switch {
		case fresh.images <= 0 && !old.known:
			continue
		case fresh.images <= 0:
			gone, closed = append(gone, id), append(closed, id)
			continue
		case !old.known || old.severity != fresh.severity:
			closed = append(closed, id)
			since := now
			if !old.known && !old.before {
				since = of.since
			}
			opened = append(opened, id, since, fresh.severity)
		case old.images == fresh.images && old.fixable == fresh.fixable && old.firstSeen == fresh.firstSeen:
			continue
		}
		put = append(put, id, fresh.severity, fresh.images, fresh.fixable, fresh.firstSeen)
	}
	if len(gone) > 0 {
		list := c.relation("id bigint", gone)
		if _, err := c.tx.ExecContext(ctx, `delete from affected where vulnerability_id in (`+list.query+`)`, list.args...); err != nil {
			return err
		}
	}
	if len(closed) > 0 {
		list := c.relation("id bigint", closed)
		if _, err := c.tx.ExecContext(ctx, `with k (id) as (`+list.query+`) update affected_spans set until = `+list.after(1)+`
			where until is null and vulnerability_id in (select id from k)`, list.with(now)...); err != nil {
			return err
		}
	}
	if err := c.insertRows(ctx, c.tx, `affected_spans (vulnerability_id bigint, since bigint, severity integer)`, opened); err != nil {
		return err
	}
	if len(put) == 0 {
		return nil
	}
	const columns = `id bigint, severity integer, images integer, fixable boolean, first_seen bigint`
	list := c.relation(columns, put)
	_, err = c.tx.ExecContext(ctx, `with k (`+namesOf(columns)+`) as (`+list.query+`)
		insert into affected (vulnerability_id, name, cvss, epss, exploited, severity, images, fixable, first_seen)
		select v.id, v.name, v.cvss, coalesce(e.score, 0), v.exploited_at is not null, k.severity, k.images, k.fixable, k.first_seen
		from k join vulnerabilities v on v.id = k.id left join epss e on e.name = v.name where true
		on conflict (vulnerability_id) do update set severity = excluded.severity, images = excluded.images, fixable = excluded.fixable, first_seen = excluded.first_seen`,
		list.args...)
	return err
}

// totals are the figures of vulnerabilities as they were, and the gravest severity
// that is found now.
func (c *counting) totals(ctx context.Context, ids []int64) (map[int64]*total, error) {
	all := make(map[int64]*total, len(ids))
	for _, id := range ids {
		all[id] = &total{id: id}
	}
	list := c.relation("id bigint", anys(ids))
	_, err := queryAll(ctx, c.tx, func(rows *sql.Rows) (none struct{}, err error) {
		var id int64
		var images, severity, firstSeen, graded sql.NullInt64
		var fixable sql.NullBool
		var before bool
		if err := rows.Scan(&id, &images, &severity, &fixable, &firstSeen, &graded, &before); err != nil {
			return none, err
		}
		t := all[id]
		t.images, t.severity, t.fixable, t.firstSeen, t.known = int(images.Int64), int(severity.Int64), fixable.Bool, firstSeen.Int64, images.Valid
		t.graded, t.before = int(graded.Int64), before
		return none, nil
	}, `with k (id) as (`+list.query+`)
		select k.id, a.images, a.severity, a.fixable, a.first_seen, (select max(f.severity) from found f where f.vulnerability_id = k.id),
			exists (select 1 from affected_spans s where s.vulnerability_id = k.id)
		from k left join affected a on a.vulnerability_id = k.id`, list.args...)
	return all, err
}

// again reads of vulnerabilities whether there is a fix, and since when they are
// known, from all that is reported of them.
func (c *counting) again(ctx context.Context, ids []int64, totals map[int64]*total) error {
	if len(ids) == 0 {
		return nil
	}
	list := c.relation("id bigint", anys(ids))
	_, err := queryAll(ctx, c.tx, func(rows *sql.Rows) (none struct{}, err error) {
		var id int64
		var fixed bool
		var matched, reported sql.NullInt64
		if err := rows.Scan(&id, &fixed, &matched, &reported); err != nil {
			return none, err
		}
		totals[id].fixed, totals[id].seen = fixed, matched
		if reported.Valid && (!matched.Valid || reported.Int64 < matched.Int64) {
			totals[id].seen = reported
		}
		return none, nil
	}, `with k (id) as (`+list.query+`)
		select k.id, exists (select 1 from matches m where m.vulnerability_id = k.id and m.gone_at is null and m.fixed <> '')
				or exists (select 1 from source_findings x where x.vulnerability_id = k.id and x.gone_at is null and x.fixed <> ''),
			(select min(m.first_seen) from matches m where m.vulnerability_id = k.id and m.gone_at is null),
			(select min(x.first_seen) from source_findings x where x.vulnerability_id = k.id and x.gone_at is null)
		from k`, list.args...)
	return err
}
