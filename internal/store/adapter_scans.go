package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/clairapi"
)

// SaveScan keeps a scan, and forgets those from before a time.
func (s *Store) SaveScan(ctx context.Context, scan clairapi.Scan, before time.Time) error {
	artifact, err := json.Marshal(scan.Artifact)
	if err != nil {
		return fmt.Errorf("scan %s: %w", scan.ID, err)
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `delete from adapter_scans where created_at < $1`, micros(before)); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `insert into adapter_scans (id, artifact, state, error, created_at) values ($1, $2, $3, $4, $5)
			on conflict (id) do update set state = excluded.state, error = excluded.error`,
			scan.ID, string(artifact), string(scan.State), scan.Error, micros(scan.Created))
		return err
	})
	if err != nil {
		return fmt.Errorf("save scan %s: %w", scan.ID, err)
	}
	return nil
}

// Scan returns a scan, or clairapi.ErrNotFound.
func (s *Store) Scan(ctx context.Context, id string) (clairapi.Scan, error) {
	scan := clairapi.Scan{ID: id}
	var artifact string
	var created sql.NullInt64
	err := s.read.QueryRowContext(ctx, `select artifact, state, error, created_at from adapter_scans where id = $1`, id).
		Scan(&artifact, &scan.State, &scan.Error, &created)
	if err == nil {
		err = json.Unmarshal([]byte(artifact), &scan.Artifact)
	}
	scan.Created = at(created)
	if err != nil {
		return scan, fmt.Errorf("scan %q: %w", id, noRows(err, clairapi.ErrNotFound))
	}
	return scan, nil
}

// FeedsUpdated returns when a feed was last read without fault; the zero time
// where none ever was.
func (s *Store) FeedsUpdated(ctx context.Context) (time.Time, error) {
	var last sql.NullInt64
	if err := s.read.QueryRowContext(ctx, `select max(last_success) from feeds`).Scan(&last); err != nil {
		return time.Time{}, fmt.Errorf("when feeds were read: %w", err)
	}
	return at(last), nil
}
