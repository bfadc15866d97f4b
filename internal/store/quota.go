package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pratique/pratique/internal/oci/registry"
)

// held is the size of all blobs of the registry $1, each counted once.
const held = `select coalesce(sum(size), 0) from (select distinct b.digest, b.size from repositories r
	join repository_blobs b on b.repository_id = r.id where r.registry_id = $1) d`

// Room returns *registry.QuotaError where a blob of so many bytes does not fit into
// the registry of a repository as things are: a word in time, for what counts is the
// end of the upload.
func (s *Store) Room(ctx context.Context, repositoryID, size int64) error {
	return s.room(ctx, s.read, repositoryID, "", size)
}

// claim is Room, for a blob that is linked in the same transaction. It comes first in
// it: who deletes registries takes their locks in this order, too.
func (s *Store) claim(ctx context.Context, tx *sql.Tx, repositoryID int64, digest string, size int64) error {
	if _, err := tx.ExecContext(ctx, `update registries set name = name where quota > 0 and id = (select registry_id from repositories where id = $1)`, repositoryID); err != nil {
		return err
	}
	return s.room(ctx, tx, repositoryID, digest, size)
}

func (s *Store) room(ctx context.Context, q querier, repositoryID int64, digest string, size int64) error {
	full := registry.QuotaError{Asked: size}
	var id int64
	var there bool
	err := q.QueryRowContext(ctx, `select g.id, g.name, g.quota, exists (select 1 from repositories o join repository_blobs b on b.repository_id = o.id
			where o.registry_id = g.id and b.digest = $2)
		from repositories r join registries g on g.id = r.registry_id where r.id = $1 and g.quota > 0`, repositoryID, digest).Scan(&id, &full.Registry, &full.Quota, &there)
	if errors.Is(err, sql.ErrNoRows) || err == nil && there {
		return nil
	}
	if err == nil {
		err = q.QueryRowContext(ctx, held, id).Scan(&full.Used)
	}
	if err != nil {
		return fmt.Errorf("quota of the registry: %w", err)
	}
	if full.Used+size > full.Quota || full.Used >= full.Quota {
		return &full
	}
	return nil
}
