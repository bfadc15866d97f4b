package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pratique/pratique/internal/advisory"
)

// Triggers note in found_due of which images and vulnerabilities findings may have
// changed, whatever changed them. Before a transaction ends, count compares what is
// found in these with the table found, and brings all that counts it up to date:
// affected, affected_spans and image_risks. So lists and figures are right at
// once, at a cost in proportion to what changed.

// countBatch bounds the images whose findings are in memory at once.
const countBatch = 500

// count does what is due. It comes last in a transaction, since it takes the lock
// of all who count.
func (s *Store) count(ctx context.Context, tx *sql.Tx) error {
	for {
		more, err := s.countSome(ctx, tx, 20*countBatch)
		if err != nil {
			return fmt.Errorf("count findings: %w", err)
		}
		if !more {
			return nil
		}
	}
}

// countOld does what a new version of the schema left due, in several transactions.
func (s *Store) countOld(ctx context.Context) error {
	for more := true; more; {
		tx, err := s.write.BeginTx(ctx, nil)
		if err != nil {
			return fmt.Errorf("begin: %w", err)
		}
		if more, err = s.countSome(ctx, tx, 4*countBatch); err == nil {
			err = tx.Commit()
		}
		if err != nil {
			return errors.Join(fmt.Errorf("count findings: %w", err), tx.Rollback())
		}
	}
	return nil
}

// countSome does at most so much of what is due; more tells whether there was any.
func (s *Store) countSome(ctx context.Context, tx *sql.Tx, limit int) (more bool, err error) {
	if err := tx.QueryRowContext(ctx, `select exists (select 1 from found_due)`).Scan(&more); err != nil || !more {
		return false, err
	}
	if s.engine == Postgres {
		const lockNumber = 727_002
		if _, err := tx.ExecContext(ctx, `select pg_advisory_xact_lock($1)`, lockNumber); err != nil {
			return false, fmt.Errorf("lock: %w", err)
		}
	}
	images, vulnerabilities := make(map[int64]bool), make(map[int64]bool)
	if _, err := queryAll(ctx, tx, func(rows *sql.Rows) (none struct{}, err error) {
		var i, v sql.NullInt64
		if err = rows.Scan(&i, &v); i.Valid {
			images[i.Int64] = true
		} else {
			vulnerabilities[v.Int64] = true
		}
		return none, err
	}, `delete from found_due where id in (select id from found_due order by id limit $1) returning image_id, vulnerability_id`, limit); err != nil {
		return false, err
	}
	c := counting{Store: s, tx: tx, of: make(map[int64]*counted)}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(images)), countBatch) {
		if err := c.compare(ctx, "image_id", chunk); err != nil {
			return false, fmt.Errorf("of images: %w", err)
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(vulnerabilities)), 10) {
		if err := c.compare(ctx, "vulnerability_id", chunk); err != nil {
			return false, fmt.Errorf("of vulnerabilities: %w", err)
		}
		for _, id := range chunk {
			c.about(id).anew = true
		}
	}
	return true, c.write(ctx)
}

// counting is on its way to bring the figures of vulnerabilities up to date.
type counting struct {
	*Store
	tx *sql.Tx
	of map[int64]*counted
}

// counted is what changed of a vulnerability.
type counted struct {
	images    int // more, or less
	fixable   bool
	firstSeen int64 // in what was looked at; 0 where nothing was
	since     int64 // when that was in an image that is stored
	anew      bool  // all of it is to be looked at
	graded    bool  // the severity in some image differs
}

func (c *counting) about(id int64) *counted {
	if c.of[id] == nil {
		c.of[id] = &counted{}
	}
	return c.of[id]
}

// pair is a vulnerability in an image.
type pair struct{ image, vulnerability int64 }

// grade is what is found of a pair.
type grade struct {
	severity         int
	fixable          bool
	firstSeen, since int64
}

// builtInAt holds where the built-in analyser is attached to a registry of an image
// i, and attachedAt where the source of a report m is.
const (
	builtInAt = `exists (select 1 from manifests mf join repositories r on r.id = mf.repository_id
				join registries g on g.id = r.registry_id where mf.digest = i.digest and g.built_in)`
	attachedAt = `exists (select 1 from manifests mf join repositories r on r.id = mf.repository_id
				join registry_sources rs on rs.registry_id = r.registry_id where mf.digest = i.digest and rs.source_id = m.source_id)`
)

// foundIn asks for what all sources find, of images or vulnerabilities $1, $2 ….
func foundIn(column string, n int) string {
	in := map[string]string{"image_id": "i.id", "vulnerability_id": "m.vulnerability_id"}[column] + ` in (` + parameters(1, n) + `)`
	const columns = `, m.vulnerability_id, max(` + effective + `), max(case when m.fixed <> '' then 1 else 0 end), min(m.first_seen)`
	return `select i.id` + columns + `, min(case when m.first_seen > i.analysed_at then m.first_seen else i.analysed_at end)
			from images i
			join inventory_packages ip on ip.inventory_id = i.inventory_id and ip.owner = ''
			join matches m on m.package_id = ip.package_id and m.gone_at is null
			join vulnerabilities v on v.id = m.vulnerability_id
			where ` + in + ` and ` + builtInAt + `
			group by i.id, m.vulnerability_id
		union all
		select i.id` + columns + `, min(m.first_seen)
			from source_findings m
			join images i on i.id = m.image_id
			join vulnerabilities v on v.id = m.vulnerability_id
			where ` + in + ` and m.gone_at is null and ` + attachedAt + `
			group by i.id, m.vulnerability_id`
}

// compare brings the table found up to date for the images or vulnerabilities that
// a column names, and notes what that changes.
func (c *counting) compare(ctx context.Context, column string, ids []int64) error {
	fresh := make(map[pair]grade)
	if _, err := queryAll(ctx, c.tx, func(rows *sql.Rows) (none struct{}, err error) {
		var p pair
		var g grade
		var since sql.NullInt64
		if err := rows.Scan(&p.image, &p.vulnerability, &g.severity, &g.fixable, &g.firstSeen, &since); err != nil {
			return none, err
		}
		g.since = max(since.Int64, g.firstSeen)
		if other, both := fresh[p]; both {
			g = grade{max(g.severity, other.severity), g.fixable || other.fixable, min(g.firstSeen, other.firstSeen), min(g.since, other.since)}
		}
		fresh[p] = g
		return none, nil
	}, foundIn(column, len(ids)), anys(ids)...); err != nil {
		return err
	}
	risks := make(map[int64]*[2]int)
	risk := func(image int64, severity, by int) {
		at := slices.Index([]int{int(advisory.Critical), int(advisory.High)}, severity)
		if at < 0 {
			return
		}
		if risks[image] == nil {
			risks[image] = &[2]int{}
		}
		risks[image][at] += by
	}
	var put, gone []any
	if _, err := queryAll(ctx, c.tx, func(rows *sql.Rows) (none struct{}, err error) {
		var p pair
		var severity int
		if err := rows.Scan(&p.image, &p.vulnerability, &severity); err != nil {
			return none, err
		}
		g, still := fresh[p]
		if still && g.severity == severity {
			c.about(p.vulnerability).see(g)
			delete(fresh, p)
			return none, nil
		}
		risk(p.image, severity, -1)
		of := c.about(p.vulnerability)
		of.graded = true
		of.images-- // and one more below, where it is still found
		if !still {
			of.anew = true
			gone = append(gone, p.image, p.vulnerability)
		}
		return none, nil
	}, `select image_id, vulnerability_id, severity from found where `+column+` in (`+parameters(1, len(ids))+`)`, anys(ids)...); err != nil {
		return err
	}
	for p, g := range fresh {
		put = append(put, p.image, p.vulnerability, g.severity)
		risk(p.image, g.severity, 1)
		of := c.about(p.vulnerability)
		of.images++
		of.graded = true
		of.see(g)
	}
	for rows := range slices.Chunk(gone, 2*relationRows) {
		list := c.relation("image_id bigint, vulnerability_id bigint", rows)
		if _, err := c.tx.ExecContext(ctx, `with k (image_id, vulnerability_id) as (`+list.query+`)
			delete from found where (image_id, vulnerability_id) in (select image_id, vulnerability_id from k)`, list.args...); err != nil {
			return fmt.Errorf("what is gone: %w", err)
		}
	}
	if err := c.insertRows(ctx, c.tx, `found (image_id bigint, vulnerability_id bigint, severity integer)
		on conflict (image_id, vulnerability_id) do update set severity = excluded.severity`, put); err != nil {
		return fmt.Errorf("what is found: %w", err)
	}
	var changed []any
	for image, by := range risks {
		if *by != [2]int{} {
			changed = append(changed, image, by[0], by[1])
		}
	}
	if err := c.insertRows(ctx, c.tx, `image_risks (image_id bigint, critical integer, high integer) on conflict (image_id)
		do update set critical = image_risks.critical + excluded.critical, high = image_risks.high + excluded.high`, changed); err != nil {
		return fmt.Errorf("risks: %w", err)
	}
	for some := range slices.Chunk(slices.Sorted(maps.Keys(risks)), relationRows) {
		list := c.relation("id bigint", anys(some))
		if _, err := c.tx.ExecContext(ctx, `delete from image_risks where image_id in (`+list.query+`) and critical = 0 and high = 0`, list.args...); err != nil {
			return fmt.Errorf("risks: %w", err)
		}
	}
	return nil
}

// see takes in what is found in an image.
func (of *counted) see(g grade) {
	of.fixable = of.fixable || g.fixable
	if of.firstSeen == 0 || g.firstSeen < of.firstSeen {
		of.firstSeen = g.firstSeen
	}
	if of.since == 0 || g.since < of.since {
		of.since = g.since
	}
}
