package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"

	"github.com/pratique/pratique/internal/oci/registry"
)

// RepositoryBlob returns the size in bytes of a blob that is linked in a
// repository, or registry.ErrBlobUnknown.
func (s *Store) RepositoryBlob(ctx context.Context, repositoryID int64, digest string) (size int64, err error) {
	err = s.read.QueryRowContext(ctx,
		`select size from repository_blobs where repository_id = $1 and digest = $2`, repositoryID, digest).Scan(&size)
	if err != nil {
		return 0, fmt.Errorf("blob %s: %w", digest, noRows(err, missing{registry.ErrBlobUnknown}))
	}
	return size, nil
}

// BlobRepositories lists at most limit repositories in which a blob is linked.
func (s *Store) BlobRepositories(ctx context.Context, digest string, limit int) ([]registry.Repository, error) {
	rows, err := s.read.QueryContext(ctx, `select p.id, p.registry_id, r.name, p.name
		from repository_blobs b join repositories p on p.id = b.repository_id join registries r on r.id = p.registry_id
		where b.digest = $1 and p.trashed_at is null limit $2`, digest, limit)
	if err != nil {
		return nil, fmt.Errorf("repositories of blob %s: %w", digest, err)
	}
	list, err := collect(rows, func(r *registry.Repository) []any { return []any{&r.ID, &r.RegistryID, &r.Registry, &r.Name} })
	if err != nil {
		return nil, fmt.Errorf("repositories of blob %s: %w", digest, err)
	}
	return list, nil
}

const linkBlob = `insert into repository_blobs (repository_id, digest, size, linked_at) values ($1, $2, $3, $4)
	on conflict (repository_id, digest) do update set size = excluded.size, linked_at = excluded.linked_at`

// keyShare keeps the rows that a statement copies from being deleted until the
// transaction ends; SQLite has one writer.
var keyShare = map[Engine]string{SQLite: "", Postgres: " for key share"}

// PromiseBlob is RepositoryBlob for a client that may rely on the answer for as
// long as given: a link that was made, or promised, longer ago counts anew.
// What clears up links leaves those alone that are younger than twice as old.
func (s *Store) PromiseBlob(ctx context.Context, repositoryID int64, digest string, keep time.Duration) (size int64, err error) {
	var linked int64
	now := s.now()
	err = s.read.QueryRowContext(ctx,
		`select size, linked_at from repository_blobs where repository_id = $1 and digest = $2`, repositoryID, digest).Scan(&size, &linked)
	if err == nil && linked < micros(now.Add(-keep)) {
		err = s.tx(ctx, func(tx *sql.Tx) error {
			return tx.QueryRowContext(ctx, `update repository_blobs set linked_at = $1 where repository_id = $2 and digest = $3 returning size`,
				micros(now), repositoryID, digest).Scan(&size)
		})
	}
	if err != nil {
		return 0, fmt.Errorf("blob %s: %w", digest, noRows(err, missing{registry.ErrBlobUnknown}))
	}
	return size, nil
}

// LinkBlob makes a stored blob readable in a repository. It returns
// registry.ErrRepositoryUnknown where that is gone, and *registry.QuotaError.
func (s *Store) LinkBlob(ctx context.Context, repositoryID int64, digest string, size int64) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.claim(ctx, tx, repositoryID, digest, size); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, linkBlob, repositoryID, digest, size, micros(s.now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("link blob %s: %w", digest, dangling(err, registry.ErrRepositoryUnknown))
	}
	return nil
}

// MountBlob links a blob of one repository in another and returns its size, or
// registry.ErrBlobUnknown where the first has none; *registry.QuotaError.
func (s *Store) MountBlob(ctx context.Context, from, to int64, digest string) (size int64, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		err := tx.QueryRowContext(ctx, `select size from repository_blobs where repository_id = $1 and digest = $2`, from, digest).Scan(&size)
		if err == nil {
			err = s.claim(ctx, tx, to, digest, size)
		}
		if err != nil {
			return noRows(err, missing{registry.ErrBlobUnknown})
		}
		err = tx.QueryRowContext(ctx, `insert into repository_blobs (repository_id, digest, size, linked_at)
			select $1, digest, size, $2 from repository_blobs where repository_id = $3 and digest = $4`+keyShare[s.engine]+`
			on conflict (repository_id, digest) do update set size = excluded.size, linked_at = excluded.linked_at returning size`,
			to, micros(s.now()), from, digest).Scan(&size)
		return noRows(err, missing{registry.ErrBlobUnknown})
	})
	if err != nil {
		return 0, fmt.Errorf("mount blob %s: %w", digest, dangling(err, registry.ErrRepositoryUnknown))
	}
	return size, nil
}

// UnlinkBlob makes a blob unreadable in a repository; its bytes stay. It
// returns registry.ErrBlobUnknown, or *registry.InUseError where a manifest of
// the repository refers to the blob.
func (s *Store) UnlinkBlob(ctx context.Context, repositoryID int64, digest string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		// A manifest that is being pushed waits, or this waits for it.
		if err := s.touch(ctx, tx, repositoryID); err != nil {
			return err
		}
		var user string
		err := tx.QueryRowContext(ctx, `select m.digest from manifest_references f join manifests m on m.id = f.manifest_id
			where f.digest = $1 and m.repository_id = $2 and f.kind <> 'manifest' limit 1`, digest, repositoryID).Scan(&user)
		if err == nil {
			return &registry.InUseError{Digest: digest, Manifest: user}
		}
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		done, err := tx.ExecContext(ctx, `delete from repository_blobs where repository_id = $1 and digest = $2`, repositoryID, digest)
		if err != nil {
			return err
		}
		return changedOne(done, missing{registry.ErrBlobUnknown})
	})
	if err != nil {
		return fmt.Errorf("unlink blob %s: %w", digest, err)
	}
	return nil
}

// CreateUpload remembers that an upload belongs to a repository.
func (s *Store) CreateUpload(ctx context.Context, id string, repositoryID int64) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into uploads (id, repository_id, started_at) values ($1, $2, $3)`, id, repositoryID, micros(s.now()))
		return err
	})
	if err != nil {
		return fmt.Errorf("create upload %s: %w", id, dangling(err, registry.ErrRepositoryUnknown))
	}
	return nil
}

// Upload returns an upload, or registry.ErrUploadUnknown.
func (s *Store) Upload(ctx context.Context, id string) (registry.Upload, error) {
	u := registry.Upload{ID: id}
	var started sql.NullInt64
	err := s.read.QueryRowContext(ctx, `select repository_id, started_at from uploads where id = $1`, id).Scan(&u.RepositoryID, &started)
	if err != nil {
		return registry.Upload{}, fmt.Errorf("upload %s: %w", id, noRows(err, missing{registry.ErrUploadUnknown}))
	}
	u.StartedAt = at(started)
	return u, nil
}

// FinishUpload links the blob that an upload became in its repository and
// forgets the upload, or returns *registry.QuotaError.
func (s *Store) FinishUpload(ctx context.Context, u registry.Upload, digest string, size int64) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.claim(ctx, tx, u.RepositoryID, digest, size); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, linkBlob, u.RepositoryID, digest, size, micros(s.now())); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from uploads where id = $1`, u.ID)
		return err
	})
	if err != nil {
		return fmt.Errorf("finish upload %s: %w", u.ID, dangling(err, registry.ErrRepositoryUnknown))
	}
	return nil
}

// DeleteUpload forgets an upload, or returns registry.ErrUploadUnknown.
func (s *Store) DeleteUpload(ctx context.Context, id string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `delete from uploads where id = $1`, id)
		if err != nil {
			return err
		}
		return changedOne(done, missing{registry.ErrUploadUnknown})
	})
	if err != nil {
		return fmt.Errorf("delete upload %s: %w", id, err)
	}
	return nil
}

// Uploads lists at most limit uploads that were started before a time, by id,
// from the one after after on.
func (s *Store) Uploads(ctx context.Context, before time.Time, after string, limit int) ([]registry.Upload, error) {
	rows, err := s.read.QueryContext(ctx, `select id, repository_id, started_at from uploads
		where id > $1 and started_at < $2 order by id limit $3`, after, micros(before), limit)
	if err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	type row struct {
		registry.Upload
		started sql.NullInt64
	}
	all, err := collect(rows, func(r *row) []any { return []any{&r.ID, &r.RepositoryID, &r.started} })
	if err != nil {
		return nil, fmt.Errorf("list uploads: %w", err)
	}
	uploads := make([]registry.Upload, len(all))
	for i, r := range all {
		r.StartedAt = at(r.started)
		uploads[i] = r.Upload
	}
	return uploads, nil
}

// dangling replaces the engines' word for a row that refers to one that is gone.
func dangling(err, otherwise error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "23503" {
		return missing{otherwise}
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) && lite.Code() == 787 { // SQLITE_CONSTRAINT_FOREIGNKEY
		return missing{otherwise}
	}
	return err
}
