package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/policy"
)

const exceptionColumns = `id, registry, repository, tag, user_name, digest, comment, author, created_at, expires_at, ended_at, ended_by`

func scanException(row interface{ Scan(...any) error }) (e policy.Exception, err error) {
	var created, expires, ended sql.NullInt64
	err = row.Scan(&e.ID, &e.Registry, &e.Repository, &e.Tag, &e.User, &e.Digest, &e.Comment, &e.Author, &created, &expires, &ended, &e.EndedBy)
	e.CreatedAt, e.ExpiresAt, e.EndedAt = at(created), at(expires), at(ended)
	return e, err
}

func scanExceptions(rows *sql.Rows) (policy.Exception, error) { return scanException(rows) }

// CreateException stores an exception, or returns policy.ErrNotFound where its
// registry does not exist.
func (s *Store) CreateException(ctx context.Context, e policy.Exception) (policy.Exception, error) {
	err := s.tx(ctx, func(tx *sql.Tx) (err error) {
		if e.Registry != "" {
			// The registry must not be deleted between here and the end.
			if _, err := lockRegistry(ctx, tx, e.Registry); err != nil {
				return policy.ErrNotFound
			}
		}
		e, err = scanException(tx.QueryRowContext(ctx, `insert into policy_exceptions (registry, repository, tag, user_name, digest, comment, author, created_at, expires_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning `+exceptionColumns,
			e.Registry, e.Repository, e.Tag, e.User, e.Digest, e.Comment, e.Author, micros(e.CreatedAt), micros(e.ExpiresAt)))
		return err
	})
	return e, err
}

// EndException ends an exception that holds, or returns policy.ErrNotFound or
// policy.ErrEnded.
func (s *Store) EndException(ctx context.Context, id int64, when time.Time, by string) (e policy.Exception, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `update policy_exceptions set ended_at = $1, ended_by = $2 where id = $3 and ended_at is null and expires_at > $1`,
			micros(when), by, id)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		if err != nil {
			return err
		}
		e, err = scanException(tx.QueryRowContext(ctx, `select `+exceptionColumns+` from policy_exceptions where id = $1`, id))
		if err != nil {
			return noRows(err, policy.ErrNotFound)
		}
		if n == 0 {
			return policy.ErrEnded
		}
		return nil
	})
	return e, err
}

// endExceptionsIn ends, inside the transaction that deletes a registry, its
// exceptions: another registry of that name must not inherit them.
func endExceptionsIn(ctx context.Context, tx *sql.Tx, registry string, when time.Time, by string) error {
	if _, err := tx.ExecContext(ctx, `update policy_exceptions set ended_at = $1, ended_by = $2 where registry = $3 and ended_at is null and expires_at > $1`,
		micros(when), by, registry); err != nil {
		return fmt.Errorf("end exceptions of registry %s: %w", registry, err)
	}
	return nil
}

// Exception returns one, or policy.ErrNotFound.
func (s *Store) Exception(ctx context.Context, id int64) (policy.Exception, error) {
	e, err := scanException(s.read.QueryRowContext(ctx, `select `+exceptionColumns+` from policy_exceptions where id = $1`, id))
	return e, noRows(err, policy.ErrNotFound)
}

// Exceptions lists those that the filter lets through, the newest first.
func (s *Store) Exceptions(ctx context.Context, f policy.ExceptionFilter) ([]policy.Exception, error) {
	var where conditions
	if f.Registry != "" {
		where.add(`registry in ('', ?)`, f.Registry)
	}
	if !f.LiveAt.IsZero() {
		where.add(`ended_at is null`)
		where.add(`expires_at > ?`, micros(f.LiveAt))
	}
	if f.Before > 0 {
		where.add(`id < ?`, f.Before)
	}
	query := `select ` + exceptionColumns + ` from policy_exceptions ` + where.String() + ` order by id desc`
	if f.Limit > 0 {
		where.args = append(where.args, f.Limit)
		query += fmt.Sprintf(` limit $%d`, len(where.args))
	}
	return queryAll(ctx, s.read, scanExceptions, query, where.args...)
}

// LiveExceptions returns those that hold at a time in a registry.
func (s *Store) LiveExceptions(ctx context.Context, registry string, when time.Time) ([]policy.Exception, error) {
	list, err := s.Exceptions(ctx, policy.ExceptionFilter{Registry: registry, LiveAt: when})
	if err != nil {
		return nil, fmt.Errorf("exceptions of registry %q: %w", registry, err)
	}
	return list, nil
}

// PullNames returns the names by which an image can be pulled from a repository:
// its digest and those of the indexes that hold it, and the tags of all these.
func (s *Store) PullNames(ctx context.Context, registry, repository, digest string) (names policy.Names, err error) {
	const levels = 4 // see ImagesToPull
	type row struct{ digest, tag string }
	found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.digest, &r.tag)
		return r, err
	}, `with recursive above (digest, depth) as (
			select cast($3 as text), 0
			union
			select m.digest, a.depth + 1
			from above a
			join manifest_references f on f.digest = a.digest and f.kind = 'manifest'
			join manifests m on m.id = f.manifest_id
			join repositories p on p.id = m.repository_id and p.name = $2
			join registries r on r.id = p.registry_id and r.name = $1
			where a.depth < $4
		)
		select a.digest, coalesce(t.name, '')
		from above a
		left join (select t.name, t.digest from tags t
			join repositories p on p.id = t.repository_id and p.name = $2
			join registries r on r.id = p.registry_id and r.name = $1) t on t.digest = a.digest
		order by a.digest, t.name`, registry, repository, digest, levels)
	if err != nil {
		return names, fmt.Errorf("names of image %s: %w", digest, err)
	}
	for _, r := range found {
		if !slices.Contains(names.Digests, r.digest) {
			names.Digests = append(names.Digests, r.digest)
		}
		if r.tag != "" && !slices.Contains(names.Tags, r.tag) {
			names.Tags = append(names.Tags, r.tag)
		}
	}
	return names, nil
}
