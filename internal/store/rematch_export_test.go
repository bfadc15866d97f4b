package store

import (
	"context"
	"database/sql"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
)

// RematchKeys brings matches up to date as the import of a feed does.
func (s *Store) RematchKeys(ctx context.Context, keys []advisory.Key, decide match.Decide) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.lockMatching(ctx, tx); err != nil {
			return err
		}
		return s.rematchKeys(ctx, tx, keys, decide, nil)
	})
}
