package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/pratique/pratique/internal/oci/registry"
)

const repositoryColumns = `p.id, p.registry_id, r.name, p.name, p.created_at, p.updated_at`

func scanRepository(row interface{ Scan(...any) error }) (r registry.Repository, err error) {
	var created, updated sql.NullInt64
	err = row.Scan(&r.ID, &r.RegistryID, &r.Registry, &r.Name, &created, &updated)
	r.CreatedAt, r.UpdatedAt = at(created), at(updated)
	return r, err
}

// Repository returns a repository by the two parts of its name, or
// registry.ErrRegistryUnknown or registry.ErrRepositoryUnknown.
func (s *Store) Repository(ctx context.Context, registryName, name string) (registry.Repository, error) {
	return repository(ctx, s.read, registryName, name)
}

func repository(ctx context.Context, q querier, registryName, name string) (registry.Repository, error) {
	r, err := scanRepository(q.QueryRowContext(ctx, `select `+repositoryColumns+`
		from registries r join repositories p on p.registry_id = r.id where r.name = $1 and p.name = $2 and p.trashed_at is null`, registryName, name))
	if err == nil {
		return r, nil
	}
	if err = noRows(err, nil); err == nil {
		var known bool
		if err = q.QueryRowContext(ctx, `select exists (select 1 from registries where name = $1)`, registryName).Scan(&known); err == nil {
			err = missing{registry.ErrRegistryUnknown}
			if known {
				err = missing{registry.ErrRepositoryUnknown}
			}
		}
	}
	return registry.Repository{}, fmt.Errorf("repository %s/%s: %w", registryName, name, err)
}

// EnsureRepository returns a repository and creates it where it does not
// exist. It returns registry.ErrNameInvalid or registry.ErrRegistryUnknown.
func (s *Store) EnsureRepository(ctx context.Context, registryName, name string) (r registry.Repository, err error) {
	if err := registry.CheckName(registryName + "/" + name); err != nil {
		return registry.Repository{}, err
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		id, err := lockRegistry(ctx, tx, registryName)
		if err == nil {
			_, err = tx.ExecContext(ctx, `insert into repositories (registry_id, name, created_at) values ($1, $2, $3)
				on conflict (registry_id, name) do update set trashed_at = null where repositories.trashed_at is not null`, id, name, micros(s.now()))
		}
		if err != nil {
			return fmt.Errorf("create repository %s/%s: %w", registryName, name, err)
		}
		r, err = repository(ctx, tx, registryName, name)
		return err
	})
	return r, err
}

// Repositories lists at most limit repositories of a registry by name, from
// the one after after on, or returns registry.ErrRegistryUnknown.
func (s *Store) Repositories(ctx context.Context, registryName, after string, limit int) ([]registry.Repository, error) {
	r, err := s.Registry(ctx, registryName)
	if err != nil {
		return nil, fmt.Errorf("list repositories: %w", err)
	}
	rows, err := s.read.QueryContext(ctx, `select `+repositoryColumns+` from registries r join repositories p on p.registry_id = r.id
		where r.id = $1 and p.registry_id = $1 and p.name > $2 and p.trashed_at is null order by p.name limit $3`, r.ID, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list repositories: %w", err)
	}
	defer rows.Close()
	var list []registry.Repository
	for rows.Next() {
		r, err := scanRepository(rows)
		if err != nil {
			return nil, fmt.Errorf("list repositories: %w", err)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list repositories: %w", err)
	}
	return list, nil
}

// Catalog lists at most limit repositories that hold a manifest, of all
// registries, by registry and then by name, from the one after the full name
// after on.
func (s *Store) Catalog(ctx context.Context, after string, limit int) ([]registry.Repository, error) {
	registryName, name, _ := strings.Cut(after, "/")
	// In two questions, each of which an index answers in order: the rest of one
	// registry, then the registries after it.
	var list []registry.Repository
	for _, question := range []struct {
		where string
		args  []any
	}{
		{`r.name = $1 and p.name > $2 and exists (select 1 from manifests m where m.repository_id = p.id) order by p.name limit $3`,
			[]any{registryName, name}},
		{`r.name > $1 and exists (select 1 from manifests m where m.repository_id = p.id) order by r.name, p.name limit $2`,
			[]any{registryName}},
	} {
		found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (registry.Repository, error) { return scanRepository(rows) },
			`select `+repositoryColumns+` from registries r join repositories p on p.registry_id = r.id where `+question.where,
			append(question.args, limit-len(list))...)
		if err != nil {
			return nil, fmt.Errorf("list the catalog: %w", err)
		}
		if list = append(list, found...); len(list) >= limit {
			break
		}
	}
	return list, nil
}

// collect reads all rows and closes them.
func collect[T any](rows *sql.Rows, into func(*T) []any) ([]T, error) {
	defer rows.Close()
	var list []T
	for rows.Next() {
		var v T
		if err := rows.Scan(into(&v)...); err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, rows.Err()
}

// DeleteRepository puts a repository with all that is in it into the trash; where
// its registry has none, it removes it and ends the assessments that hold in it
// only. It returns
// registry.ErrRegistryUnknown or registry.ErrRepositoryUnknown.
func (s *Store) DeleteRepository(ctx context.Context, registryName, name string, d registry.Deletion) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		r, err := repository(ctx, tx, registryName, name)
		if err != nil {
			return err
		}
		if kept, err := s.trashRepository(ctx, tx, r.ID, d); err != nil || kept {
			return err
		}
		if _, err := tx.ExecContext(ctx, `delete from repositories where id = $1`, r.ID); err != nil {
			return fmt.Errorf("delete repository %s: %w", r, err)
		}
		return s.endAssessmentsUnder(ctx, tx, registryName, name, s.now(), d.By)
	})
}

// touch marks a repository as changed and keeps other changes of its manifests
// and links waiting until the end of the transaction.
func (s *Store) touch(ctx context.Context, tx *sql.Tx, id int64) error {
	done, err := tx.ExecContext(ctx, `update repositories set updated_at = $1 where id = $2`, micros(s.now()), id)
	if err != nil {
		return err
	}
	return changedOne(done, missing{registry.ErrRepositoryUnknown})
}

// changedOne returns otherwise where a statement changed nothing.
func changedOne(done sql.Result, otherwise error) error {
	n, err := done.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return otherwise
	}
	return nil
}
