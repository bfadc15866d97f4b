package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/klauspost/compress/zstd"

	"github.com/pratique/pratique/internal/inventory"
)

// LayerStates returns the states of those of the layers that were analysed by
// these detectors, by digest.
func (s *Store) LayerStates(ctx context.Context, digests []string, detectors inventory.DetectorSet) (map[string]inventory.State, error) {
	states := make(map[string]inventory.State, len(digests))
	if len(digests) == 0 {
		return states, nil
	}
	args := []any{string(detectors)}
	for _, d := range digests {
		args = append(args, d)
	}
	type row struct {
		digest, failed string
		unused         bool
	}
	found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.digest, &r.failed, &r.unused)
		return r, err
	}, `select digest, error, unused_since is not null from layers where detectors = $1 and digest in (`+parameters(2, len(digests))+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("states of layers: %w", err)
	}
	for _, r := range found {
		if r.unused {
			// It is about to be deleted, and the caller will refer to it.
			if kept, err := s.keepLayer(ctx, r.digest); err != nil {
				return nil, err
			} else if !kept {
				continue
			}
		}
		states[r.digest] = inventory.State{Failed: r.failed}
	}
	return states, nil
}

// keepLayer takes away the mark of a layer's analysis, and reports whether it
// is still there.
func (s *Store) keepLayer(ctx context.Context, digest string) (kept bool, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `update layers set unused_since = null where digest = $1`, digest)
		if err != nil {
			return err
		}
		n, err := done.RowsAffected()
		kept = n == 1
		return err
	})
	if err != nil {
		return false, fmt.Errorf("keep layer %s: %w", digest, err)
	}
	return kept, nil
}

// Layer returns the analysis of a layer, ErrNotFound where there is none by
// these detectors.
func (s *Store) Layer(ctx context.Context, digest string, detectors inventory.DetectorSet) (*inventory.Layer, error) {
	var packed []byte
	err := s.read.QueryRowContext(ctx, `select analysis from layers where digest = $1 and detectors = $2 and state = 'done'`,
		digest, string(detectors)).Scan(&packed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("layer %s: %w", digest, ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", digest, err)
	}
	text, err := unpack(packed)
	if err != nil {
		return nil, fmt.Errorf("layer %s: stored analysis: %w", digest, err)
	}
	layer := new(inventory.Layer)
	if err := json.Unmarshal(text, layer); err != nil {
		return nil, fmt.Errorf("layer %s: stored analysis: %w", digest, err)
	}
	return layer, nil
}

// SaveLayer stores the analysis of a layer in place of an earlier one.
func (s *Store) SaveLayer(ctx context.Context, layer *inventory.Layer, detectors inventory.DetectorSet) error {
	text, err := json.Marshal(layer)
	if err != nil {
		return fmt.Errorf("layer %s: %w", layer.Digest, err)
	}
	packed, err := pack(text)
	if err != nil {
		return fmt.Errorf("layer %s: %w", layer.Digest, err)
	}
	return s.saveLayer(ctx, layer.Digest, "done", string(detectors), "", packed)
}

// FailLayer remembers that a layer cannot be read, and why. An earlier
// successful analysis, by other detectors, gives way.
func (s *Store) FailLayer(ctx context.Context, digest string, detectors inventory.DetectorSet, reason string) error {
	return s.saveLayer(ctx, digest, "failed", string(detectors), reason, nil)
}

// GiveUpLayer remembers that a layer could not be read time after time.
func (s *Store) GiveUpLayer(ctx context.Context, digest string, detectors inventory.DetectorSet, reason string) error {
	return s.saveLayer(ctx, digest, "given up", string(detectors), reason, nil)
}

// TakeGivenUp forgets of at most limit layers that they were given up, and
// lists them.
func (s *Store) TakeGivenUp(ctx context.Context, limit int) (digests []string, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		digests, err = queryAll(ctx, tx, scanString, `delete from layers where digest in (
			select digest from layers where state = 'given up' order by digest limit $1) returning digest`, limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("layers that were given up: %w", err)
	}
	return digests, nil
}

func (s *Store) saveLayer(ctx context.Context, digest, state, detectors, reason string, analysis []byte) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `insert into layers (digest, state, detectors, error, analysis, updated_at) values ($1, $2, $3, $4, $5, $6)
			on conflict (digest) do update set state = excluded.state, detectors = excluded.detectors, error = excluded.error,
				analysis = excluded.analysis, updated_at = excluded.updated_at, unused_since = null`,
			digest, state, detectors, reason, analysis, micros(s.now())); err != nil {
			return fmt.Errorf("save layer %s: %w", digest, err)
		}
		return nil
	})
}

// StaleLayers lists layers of stored images that these detectors have not read
// yet, after the given digest, in order of digest.
func (s *Store) StaleLayers(ctx context.Context, detectors inventory.DetectorSet, after string, limit int) ([]string, error) {
	digests, err := queryAll(ctx, s.read, scanString, `select distinct il.digest from image_layers il
		left join layers l on l.digest = il.digest
		where il.digest > $1 and (l.digest is null or l.detectors <> $2)
		order by il.digest limit $3`, after, string(detectors), limit)
	if err != nil {
		return nil, fmt.Errorf("layers to analyse again: %w", err)
	}
	return digests, nil
}

func scanString(rows *sql.Rows) (v string, err error) {
	err = rows.Scan(&v)
	return v, err
}

// pack and unpack compress what is kept for coalescing only: it is repetitive
// and large beside everything else.
func pack(text []byte) ([]byte, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		return nil, err
	}
	defer encoder.Close()
	return encoder.EncodeAll(text, nil), nil
}

func unpack(packed []byte) ([]byte, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<30))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	return decoder.DecodeAll(packed, nil)
}
