package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pratique/pratique/internal/usage"
)

// withinRegistries is the condition that a column is of a repository in one of some
// registries; of any where these are nil. Its parameters start at first. Who may not
// read all does not learn that others hold the same blobs.
func withinRegistries(column string, registries []string, first int) (condition string, args []any) {
	if registries == nil {
		return "true", nil
	}
	if len(registries) == 0 {
		return "false", nil
	}
	return column + ` in (select wp.id from registries wg join repositories wp on wp.registry_id = wg.id where wg.name in (` + parameters(first, len(registries)) + `))`, anys(registries)
}

// scanUsage reads sizes and figures.
func scanUsage(row *sql.Row) (u usage.Usage, err error) {
	var last sql.NullInt64
	err = row.Scan(&u.Total, &u.Shared, &u.Pulls, &last)
	u.LastPull = at(last)
	return u, err
}

// RegistryUsage returns the size of all blobs of a registry, and how it is pulled
// from. What registries elsewhere share counts where readable is nil or names them.
func (s *Store) RegistryUsage(ctx context.Context, registryID int64, readable []string) (usage.Usage, error) {
	in, args := withinRegistries("o.repository_id", readable, 2)
	// Where exists is a condition, PostgreSQL can look at all links of others at once.
	u, err := scanUsage(s.read.QueryRowContext(ctx, `with d (digest, size) as (
			select distinct b.digest, b.size from repositories r join repository_blobs b on b.repository_id = r.id where r.registry_id = $1)
		select (select coalesce(sum(size), 0) from d),
			(select coalesce(sum(d.size), 0) from d where exists (
				select 1 from repository_blobs o join repositories p on p.id = o.repository_id where o.digest = d.digest and p.registry_id <> $1 and `+in+`)),
			(select coalesce(sum(n.pulls), 0) from repositories r join repository_pulls n on n.repository_id = r.id where r.registry_id = $1),
			(select max(n.last_pull) from repositories r join repository_pulls n on n.repository_id = r.id where r.registry_id = $1)`,
		append([]any{registryID}, args...)...))
	if err != nil {
		return u, fmt.Errorf("usage of registry %d: %w", registryID, err)
	}
	return u, nil
}

// RepositoryUsage is RegistryUsage for a repository: its own are the blobs that no
// other repository has.
func (s *Store) RepositoryUsage(ctx context.Context, repositoryID int64, readable []string) (usage.Usage, error) {
	in, args := withinRegistries("o.repository_id", readable, 2)
	u, err := scanUsage(s.read.QueryRowContext(ctx, `select coalesce(sum(b.size), 0), coalesce(sum(case when exists (
				select 1 from repository_blobs o where o.digest = b.digest and o.repository_id <> $1 and `+in+`) then b.size else 0 end), 0),
			coalesce((select pulls from repository_pulls where repository_id = $1), 0), (select last_pull from repository_pulls where repository_id = $1)
		from repository_blobs b where b.repository_id = $1`, append([]any{repositoryID}, args...)...))
	if err != nil {
		return u, fmt.Errorf("usage of repository %d: %w", repositoryID, err)
	}
	return u, nil
}

// ImageUsage returns the size of an image or index with what it lists, wherever it
// is, and how it is pulled from each place. Its own are the blobs that no other
// manifest refers to. The images of an index are a part of it, except those that have
// a tag or that another index lists. Places and what shares blobs count where
// readable is nil or names their registries.
func (s *Store) ImageUsage(ctx context.Context, digest string, readable []string) (u usage.Usage, places []usage.Place, err error) {
	// As many levels as a pull may have, see ImagesToPull.
	const levels = 4
	in, args := withinRegistries("m.repository_id", readable, 3)
	const lists = `manifest_references f on f.manifest_id = m.id and f.kind = 'manifest'`
	err = s.read.QueryRowContext(ctx, `with recursive tree (digest, depth) as (
			select cast($1 as text), 0 union
			select f.digest, t.depth + 1 from tree t join manifests m on m.digest = t.digest join `+lists+` where t.depth < $2 and `+in+`
		), held (digest) as (
			select t.digest from tree t where t.digest <> $1 and (
				exists (select 1 from manifests m join tags g on g.repository_id = m.repository_id and g.digest = m.digest where m.digest = t.digest and `+in+`)
				or exists (select 1 from manifest_references f join manifests m on m.id = f.manifest_id
					where f.digest = t.digest and f.kind = 'manifest' and m.digest not in (select digest from tree) and `+in+`))
		), part (digest, depth) as (
			select cast($1 as text), 0 union
			select f.digest, t.depth + 1 from part t join manifests m on m.digest = t.digest join `+lists+`
			where t.depth < $2 and f.digest not in (select digest from held) and `+in+`
		), blobs (digest, size) as (
			select b.digest, max(b.size) from (select distinct digest from tree) t join manifests m on m.digest = t.digest
				join manifest_references f on f.manifest_id = m.id and f.kind <> 'manifest'
				join repository_blobs b on b.repository_id = m.repository_id and b.digest = f.digest
			where `+in+` group by b.digest
		)
		select coalesce(sum(b.size), 0), coalesce(sum(case when exists (
			select 1 from manifest_references f join manifests m on m.id = f.manifest_id
			where f.digest = b.digest and f.kind <> 'manifest' and m.digest not in (select digest from part) and `+in+`) then b.size else 0 end), 0)
		from blobs b`, append([]any{digest, levels}, args...)...).Scan(&u.Total, &u.Shared)
	if err != nil {
		return u, nil, fmt.Errorf("size of image %s: %w", digest, err)
	}
	in, args = withinRegistries("m.repository_id", readable, 2)
	places, err = queryAll(ctx, s.read, func(rows *sql.Rows) (p usage.Place, err error) {
		var last sql.NullInt64
		err = rows.Scan(&p.Registry, &p.Repository, &p.Pulls, &last)
		p.LastPull = at(last)
		return p, err
	}, `select g.name, r.name, coalesce(n.pulls, 0), n.last_pull from manifests m join repositories r on r.id = m.repository_id join registries g on g.id = r.registry_id
		left join manifest_pulls n on n.repository_id = m.repository_id and n.digest = m.digest
		where m.digest = $1 and `+in+` order by g.name, r.name`, append([]any{digest}, args...)...)
	if err != nil {
		return u, nil, fmt.Errorf("pulls of image %s: %w", digest, err)
	}
	for _, p := range places {
		u.Pulls += p.Pulls
		if p.LastPull.After(u.LastPull) {
			u.LastPull = p.LastPull
		}
	}
	return u, places, nil
}
