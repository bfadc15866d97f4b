package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"
)

// LayerCache bounds the analyses of layers that no stored image has: those of
// images that were only scanned, and of images that are gone.
type LayerCache struct {
	// Bytes is how much they may take as they are stored.
	Bytes int64
	// Age is how long they stay without being used; none goes that was used within
	// Grace, for it may be in use.
	Age, Grace time.Duration
}

// TouchLayers notes that layers are used. Of those that were within an hour nothing
// is written.
func (s *Store) TouchLayers(ctx context.Context, digests []string) error {
	now := s.now()
	for chunk := range slices.Chunk(digests, matchBatch) {
		args := append([]any{micros(now), micros(now.Add(-time.Hour))}, anys(chunk)...)
		var stale bool
		if err := s.read.QueryRowContext(ctx, `select exists (select 1 from layers where updated_at < $1 and digest in (`+parameters(2, len(chunk))+`))`, args[1:]...).Scan(&stale); err != nil {
			return fmt.Errorf("use of layers: %w", err)
		}
		if !stale {
			continue
		}
		if err := s.tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `update layers set updated_at = $1 where updated_at < $2 and digest in (`+parameters(3, len(chunk))+`)`, args...)
			return err
		}); err != nil {
			return fmt.Errorf("note the use of layers: %w", err)
		}
	}
	return nil
}

// unowned is of a layer that no stored image has, nor a client of Clair's API.
const unowned = `not exists (select 1 from image_layers i where i.digest = layers.digest) and layers.digest not in (select c.digest from clair_layers c)
	and layers.digest not in (select c.digest from clair_manifest_layers c)`

// PruneLayers takes away analyses beyond the bounds, the least recently used first,
// and returns how many.
func (s *Store) PruneLayers(ctx context.Context, cache LayerCache) (removed int, err error) {
	type row struct {
		digest     string
		size, used int64
	}
	found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.digest, &r.size, &r.used)
		return r, err
	}, `select digest, coalesce(length(analysis), 0), updated_at from layers where `+unowned+` order by updated_at desc, digest`)
	if err != nil {
		return 0, fmt.Errorf("layers that no image has: %w", err)
	}
	now := s.now()
	old, grace := micros(now.Add(-cache.Age)), micros(now.Add(-cache.Grace))
	const overhead = 200 // of a row without its analysis, about
	var gone []any
	total := int64(0)
	for _, r := range found {
		total += r.size + overhead
		if r.used < grace && (total > cache.Bytes || r.used < old) {
			gone = append(gone, r.digest)
		}
	}
	for chunk := range slices.Chunk(gone, matchBatch) {
		var n int64
		if err := s.tx(ctx, func(tx *sql.Tx) error {
			// It may have been used, or become an image's, since.
			result, err := tx.ExecContext(ctx, `delete from layers where updated_at < $1 and `+unowned+` and digest in (`+parameters(2, len(chunk))+`)`, append([]any{grace}, chunk...)...)
			if err != nil {
				return err
			}
			n, err = result.RowsAffected()
			return err
		}); err != nil {
			return removed, fmt.Errorf("delete layers: %w", err)
		}
		removed += int(n)
	}
	return removed, nil
}
