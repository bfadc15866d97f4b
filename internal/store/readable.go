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

// What follows counts in some registries only, for those who may not read all. The
// figures that are kept are of all; these are counted when they are asked for.

// foundIn joins what is found, in which the list of registries is the condition that
// follows.
const foundIn = `registries g join repositories r on r.registry_id = g.id join manifests mf on mf.repository_id = r.id
	join images i on i.digest = mf.digest join found o on o.image_id = i.id where o.image_id = i.id`

// oneOf writes "in (?, ?)" for conditions; nothing is one of none.
func oneOf(names []string) string {
	if len(names) == 0 {
		return "in (null)"
	}
	return "in (" + questions(len(names)) + ")"
}

// countIn counts the images and packages that vulnerabilities affect in some registries.
func (s *Store) countIn(ctx context.Context, registries []string, list []match.Summary) error {
	if len(list) == 0 {
		return nil
	}
	at := make(map[int64]int, len(list))
	ids := make([]any, len(list))
	for i, v := range list {
		at[v.ID], ids[i] = i, v.ID
		list[i].Images, list[i].Packages = 0, 0
	}
	for text, set := range map[string]func(*match.Summary, int){
		`select o.vulnerability_id, count(distinct i.digest) from ` + foundIn + ` and g.name ` + oneOf(registries) + ` and o.vulnerability_id in (` + questions(len(ids)) + `)
			group by o.vulnerability_id`: func(v *match.Summary, n int) { v.Images = n },
		`select m.vulnerability_id, count(distinct m.package_id) from registries g join repositories r on r.registry_id = g.id
			join manifests mf on mf.repository_id = r.id join images i on i.digest = mf.digest
			join inventory_packages ip on ip.inventory_id = i.inventory_id and ip.owner = '' join matches m on m.package_id = ip.package_id and m.gone_at is null
			where g.name ` + oneOf(registries) + ` and m.vulnerability_id in (` + questions(len(ids)) + `) group by m.vulnerability_id`: func(v *match.Summary, n int) { v.Packages = n },
	} {
		var where conditions
		where.add(text, append(anys(registries), ids...)...)
		if _, err := queryAll(ctx, s.read, func(rows *sql.Rows) (none struct{}, err error) {
			var id int64
			var n int
			err = rows.Scan(&id, &n)
			set(&list[at[id]], n)
			return none, err
		}, where.parts[0], where.args...); err != nil {
			return fmt.Errorf("count in registries: %w", err)
		}
	}
	return nil
}

// StatsIn counts what is stored in some registries.
func (s *Store) StatsIn(ctx context.Context, registries []string, when time.Time) (match.Stats, error) {
	all := match.Stats{CountedAt: when, Images: make(map[image.State]int), Vulnerabilities: make(map[advisory.Severity]int)}
	one := func(text string, into any) error {
		var where conditions
		where.add(text, anys(registries)...)
		return s.read.QueryRowContext(ctx, where.parts[0], where.args...).Scan(into)
	}
	const repositories = `registries g join repositories r on r.registry_id = g.id`
	in := ` where g.name ` + oneOf(registries)
	for _, q := range []struct {
		text string
		into any
	}{
		{`select count(*) from registries g` + in, &all.Registries},
		{`select count(*) from ` + repositories + in, &all.Repositories},
		{`select count(*) from ` + repositories + ` join tags t on t.repository_id = r.id` + in, &all.Tags},
		{`select coalesce(sum(b.size), 0) from (select distinct x.digest, x.size from ` + repositories + ` join repository_blobs x on x.repository_id = r.id` + in + `) b`, &all.BlobBytes},
		{`select count(distinct ip.package_id) from ` + repositories + ` join manifests mf on mf.repository_id = r.id join images i on i.digest = mf.digest
			join inventory_packages ip on ip.inventory_id = i.inventory_id` + in, &all.Packages},
		{`select count(*) from assessments a where a.ended_at is null and a.scope_kind = 'registry' and a.scope_value ` + oneOf(registries), &all.Assessments},
	} {
		if err := one(q.text, q.into); err != nil {
			return match.Stats{}, fmt.Errorf("stats of registries: %w", err)
		}
	}
	counts := func(text string, each func(rows *sql.Rows) error) error {
		var where conditions
		where.add(text, anys(registries)...)
		_, err := queryAll(ctx, s.read, func(rows *sql.Rows) (struct{}, error) { return struct{}{}, each(rows) }, where.parts[0], where.args...)
		return err
	}
	if err := counts(`select i.state, count(distinct i.digest) from `+repositories+` join manifests mf on mf.repository_id = r.id
		join images i on i.digest = mf.digest`+in+` group by i.state`, func(rows *sql.Rows) error {
		var state image.State
		var n int
		err := rows.Scan(&state, &n)
		all.Images[state] = n
		return err
	}); err != nil {
		return match.Stats{}, fmt.Errorf("stats of images in registries: %w", err)
	}
	if err := counts(`select a.severity, count(*) from affected a where a.vulnerability_id in (select o.vulnerability_id from `+foundIn+` and g.name `+oneOf(registries)+`)
		group by a.severity`, func(rows *sql.Rows) error {
		var severity advisory.Severity
		var n int
		err := rows.Scan(&severity, &n)
		all.Vulnerabilities[severity] = n
		return err
	}); err != nil {
		return match.Stats{}, fmt.Errorf("stats of vulnerabilities in registries: %w", err)
	}
	return all, nil
}
