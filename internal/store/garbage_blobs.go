package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

// unreferenced are the blobs of repository $1 that none of its manifests refers
// to, and that were linked, or promised to somebody, before $2.
const unreferenced = ` from repository_blobs where repository_id = $1 and linked_at < $2 and digest not in (
	select f.digest from manifests m join manifest_references f on f.manifest_id = m.id where m.repository_id = $1)`

// RepositoryIDs lists at most limit repositories after one.
func (s *Store) RepositoryIDs(ctx context.Context, after int64, limit int) ([]int64, error) {
	ids, err := queryAll(ctx, s.read, scanID, `select id from repositories where id > $1 order by id limit $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list repositories: %w", err)
	}
	return ids, nil
}

// UnlinkUnreferenced makes blobs unreadable in a repository that none of its
// manifests refers to and that were linked, or promised to somebody, before a
// time. It returns how many they were.
func (s *Store) UnlinkUnreferenced(ctx context.Context, repositoryID int64, before time.Time) (int, error) {
	// Most repositories have none, and reading keeps nobody waiting.
	var some bool
	if err := s.read.QueryRowContext(ctx, `select exists (select 1`+unreferenced+`)`, repositoryID, micros(before)).Scan(&some); err != nil {
		return 0, fmt.Errorf("unreferenced blobs: %w", err)
	}
	if !some {
		return 0, nil
	}
	var unlinked int64
	err := s.tx(ctx, func(tx *sql.Tx) error {
		// A manifest that is being pushed waits, or this waits for it.
		if _, err := tx.ExecContext(ctx, `update repositories set updated_at = updated_at where id = $1`, repositoryID); err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx, `delete`+unreferenced, repositoryID, micros(before))
		if err != nil {
			return err
		}
		unlinked, err = done.RowsAffected()
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("unlink unreferenced blobs: %w", err)
	}
	return int(unlinked), nil
}

// LinkedBlobs returns those of the digests that some repository links, or that
// something in the trash refers to. One statement asks for both: what comes back
// from the trash is linked in the transaction in which it leaves it.
func (s *Store) LinkedBlobs(ctx context.Context, digests []string) (map[string]bool, error) {
	linked := make(map[string]bool, len(digests))
	if len(digests) == 0 {
		return linked, nil
	}
	args := make([]any, len(digests))
	for i, d := range digests {
		args[i] = d
	}
	found, err := queryAll(ctx, s.read, scanString, `select digest from repository_blobs where digest in (`+parameters(1, len(args))+`)
		union select digest from trash_references where digest in (`+parameters(1, len(args))+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("linked blobs: %w", err)
	}
	for _, d := range found {
		linked[d] = true
	}
	return linked, nil
}
