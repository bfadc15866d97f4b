package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/pratique/pratique/internal/usage"
)

// errPulledGone says that a repository is deleted at this moment.
var errPulledGone = errors.New("what was pulled is gone")

// AddPulls adds pulls to the figures of tags, manifests and repositories, all of them
// or, with an error, none. Those of what is not there are left out.
func (s *Store) AddPulls(ctx context.Context, pulls []usage.Pulled) error {
	const tries = 3
	tables := foldPulls(pulls)
	for try := 1; ; try++ {
		err := s.tx(ctx, func(tx *sql.Tx) error {
			for _, f := range tables {
				given := s.relation(pullColumns, f.values)
				lock := ""
				if f.locked != "" && s.engine == Postgres {
					lock = keyShare[s.engine] + " of " + f.locked
				}
				if _, err := tx.ExecContext(ctx, fmt.Sprintf(f.add, given.query, lock), given.args...); err != nil {
					return dangling(err, errPulledGone)
				}
			}
			return nil
		})
		if err == nil {
			return nil
		}
		if try == tries || !errors.Is(err, errPulledGone) {
			return fmt.Errorf("add pulls: %w", err)
		}
	}
}

// folded is what is added to one table: each row once, or PostgreSQL refuses it. What
// is counted is locked, so that it is not deleted meanwhile, where the statement can.
type folded struct {
	add, locked string
	values      []any
}

const pullColumns = `repository_id bigint, name text, pulls bigint, last_pull bigint`

// addTo is the end of each statement that adds to a table of pulls.
func addTo(table string) string {
	return ` do update set pulls = ` + table + `.pulls + excluded.pulls,
		last_pull = case when excluded.last_pull > ` + table + `.last_pull then excluded.last_pull else ` + table + `.last_pull end`
}

// foldPulls adds up what is of one tag, manifest or repository. The statements write
// in the order of their keys, so that replicas do not wait for each other in a circle.
func foldPulls(pulls []usage.Pulled) (all []folded) {
	type key struct {
		repositoryID int64
		name         string
	}
	fold := func(of func(usage.Pulled) (string, int64, bool)) (values []any) {
		sums := make(map[key]usage.Figures)
		for _, p := range pulls {
			name, n, ok := of(p)
			if !ok {
				continue
			}
			k := key{p.RepositoryID, name}
			f := sums[k]
			f.Pulls += n
			if p.LastPull.After(f.LastPull) {
				f.LastPull = p.LastPull
			}
			sums[k] = f
		}
		for k, f := range sums {
			values = append(values, k.repositoryID, k.name, f.Pulls, micros(f.LastPull))
		}
		return values
	}
	for _, f := range []folded{
		{`with n (repository_id, name, pulls, last_pull) as (%s)
			insert into tag_pulls (repository_id, name, pulls, last_pull)
			select n.repository_id, n.name, n.pulls, n.last_pull from n join tags t on t.repository_id = n.repository_id and t.name = n.name
			where true order by 1, 2%s on conflict (repository_id, name)` + addTo("tag_pulls"), "t",
			fold(func(p usage.Pulled) (string, int64, bool) { return p.Tag, p.Pulls, p.Tag != "" })},
		{`with n (repository_id, digest, pulls, last_pull) as (%s)
			insert into manifest_pulls (repository_id, digest, pulls, last_pull)
			select n.repository_id, n.digest, n.pulls, n.last_pull from n join manifests m on m.repository_id = n.repository_id and m.digest = n.digest
			where true order by 1, 2%s on conflict (repository_id, digest)` + addTo("manifest_pulls"), "m",
			fold(func(p usage.Pulled) (string, int64, bool) { return p.Digest, p.Pulls, true })},
		// An index is pulled together with an image of it, which counts; and the id of a
		// deleted repository may be another's by now, which has no such manifest.
		{`with n (repository_id, digest, pulls, last_pull) as (%s)
			insert into repository_pulls (repository_id, pulls, last_pull)
			select n.repository_id, sum(n.pulls), max(n.last_pull) from n join manifests m on m.repository_id = n.repository_id and m.digest = n.digest
			where true group by n.repository_id order by 1%s on conflict (repository_id)` + addTo("repository_pulls"), "",
			fold(func(p usage.Pulled) (string, int64, bool) {
				if p.Index {
					return p.Digest, 0, true
				}
				return p.Digest, p.Pulls, true
			})},
	} {
		if len(f.values) > 0 {
			all = append(all, f)
		}
	}
	return all
}

// TagPulls returns how the tags of a repository are pulled. Those that never were are
// not among them.
func (s *Store) TagPulls(ctx context.Context, repositoryID int64, names []string) (map[string]usage.Figures, error) {
	found, err := pullsOf[string](ctx, s.read, `select name, pulls, last_pull from tag_pulls where repository_id = $1 and name in `, []any{repositoryID}, anys(names))
	if err != nil {
		return nil, fmt.Errorf("pulls of tags of repository %d: %w", repositoryID, err)
	}
	return found, nil
}

// RepositoryPulls returns how repositories are pulled from. Those that never were are
// not among them.
func (s *Store) RepositoryPulls(ctx context.Context, ids []int64) (map[int64]usage.Figures, error) {
	found, err := pullsOf[int64](ctx, s.read, `select repository_id, pulls, last_pull from repository_pulls where repository_id in `, nil, anys(ids))
	if err != nil {
		return nil, fmt.Errorf("pulls of repositories: %w", err)
	}
	return found, nil
}

// pullsOf looks up figures by keys.
func pullsOf[K comparable](ctx context.Context, q querier, query string, args, keys []any) (map[K]usage.Figures, error) {
	found := make(map[K]usage.Figures)
	for some := range slices.Chunk(keys, 500) {
		if _, err := queryAll(ctx, q, func(rows *sql.Rows) (none struct{}, err error) {
			var key K
			var f usage.Figures
			var last sql.NullInt64
			err = rows.Scan(&key, &f.Pulls, &last)
			f.LastPull = at(last)
			found[key] = f
			return none, err
		}, query+`(`+parameters(len(args)+1, len(some))+`)`, slices.Concat(args, some)...); err != nil {
			return nil, err
		}
	}
	return found, nil
}
