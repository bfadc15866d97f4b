package store

import (
	"context"
	"database/sql"
	"slices"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
)

// RematchKeys brings all matches of the packages that answer to a key up to date.
func (s *Store) RematchKeys(ctx context.Context, keys []advisory.Key, decide match.Decide) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.lockMatching(ctx, tx); err != nil {
			return err
		}
		found, err := s.packagesByKey(ctx, tx, keys)
		if err != nil {
			return err
		}
		var packages []packageRow
		for _, r := range found { // each once, for each of its keys
			if !slices.Contains(packages, r.packageRow) {
				packages = append(packages, r.packageRow)
			}
		}
		return s.matchPackages(ctx, tx, packages, decide, nil)
	})
}
