package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/pratique/pratique/internal/advisory"
)

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

// span is what is compared at once: images, or vulnerabilities in all images, or in
// those with an inventory after one and up to another.
type span struct {
	column      string // image_id or vulnerability_id
	ids         []int64
	part        bool
	after, upto int64
}

// inventoryOf is that of an image i. Those without one come last.
const inventoryOf = `coalesce(i.inventory_id, 9223372036854775807)`

// within is the condition on images i, with what more an index needs to start with.
func (s span) within(more string) string {
	if !s.part {
		return ""
	}
	of := func(column string) string {
		return fmt.Sprintf(" and %[1]s > %[2]d and %[1]s <= %[3]d", column, s.after, s.upto)
	}
	if more != "" {
		return of(more) + of(inventoryOf)
	}
	return of(inventoryOf)
}

// query asks for what all sources find, of images or vulnerabilities $1, $2 ….
func (s span) query() string {
	in := map[string]string{"image_id": "i.id", "vulnerability_id": "m.vulnerability_id"}[s.column] + ` in (` + parameters(1, len(s.ids)) + `)`
	const columns = `, m.vulnerability_id, max(` + effective + `) as severity, max(case when m.fixed <> '' then 1 else 0 end) as fixable, min(m.first_seen) as first_seen`
	// Whether an image is stored where the analyser is attached is asked once of each:
	// first of few images, last of what is found of a vulnerability.
	stored, found := ` and `+builtInAt, ``
	if s.column == "vulnerability_id" {
		stored, found = ``, ` where `+builtInAt
	}
	return `select i.id, i.vulnerability_id, i.severity, i.fixable, i.first_seen, i.since from (
			select i.id, i.digest` + columns + `, min(case when m.first_seen > i.analysed_at then m.first_seen else i.analysed_at end) as since
			from images i
			join inventory_packages ip on ip.inventory_id = i.inventory_id and ip.owner = ''
			join matches m on m.package_id = ip.package_id and m.gone_at is null
			join vulnerabilities v on v.id = m.vulnerability_id
			where ` + in + stored + s.within("ip.inventory_id") + `
			group by i.id, i.digest, m.vulnerability_id
		) i` + found + `
		union all
		select i.id` + columns + `, min(m.first_seen)
			from source_findings m
			join images i on i.id = m.image_id
			join vulnerabilities v on v.id = m.vulnerability_id
			where ` + in + ` and m.gone_at is null and ` + attachedAt + s.within("") + `
			group by i.id, m.vulnerability_id`
}

// kept asks for the rows of the table found.
func (s span) kept() string {
	if !s.part {
		return `select image_id, vulnerability_id, severity from found where ` + s.column + ` in (` + parameters(1, len(s.ids)) + `)`
	}
	return `select f.image_id, f.vulnerability_id, f.severity from found f join images i on i.id = f.image_id
		where f.` + s.column + ` in (` + parameters(1, len(s.ids)) + `)` + s.within("")
}

// compare brings the table found up to date, and notes what that changes.
func (c *counting) compare(ctx context.Context, of span) error {
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
	}, of.query(), anys(of.ids)...); err != nil {
		return err
	}
	c.left -= len(fresh)
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
		c.left--
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
	}, of.kept(), anys(of.ids)...); err != nil {
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
