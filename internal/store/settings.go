package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/setting"
)

// Settings returns what is set, by name.
func (s *Store) Settings(ctx context.Context) (map[string]setting.Stored, error) {
	return readSettings(ctx, s.read)
}

func readSettings(ctx context.Context, q querier) (map[string]setting.Stored, error) {
	all := make(map[string]setting.Stored)
	_, err := queryAll(ctx, q, func(rows *sql.Rows) (name string, err error) {
		var stored setting.Stored
		var changed sql.NullInt64
		if err = rows.Scan(&name, &stored.Value, &changed, &stored.ChangedBy); err == nil {
			stored.ChangedAt = at(changed)
			all[name] = stored
		}
		return name, err
	}, `select name, value, changed_at, changed_by from settings`)
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	return all, nil
}

// SetSettings sets some and forgets those with an empty value, unless check, if
// there is one, has an error for what is set before.
func (s *Store) SetSettings(ctx context.Context, values map[string]string, at time.Time, by string, check func(map[string]setting.Stored) error) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.checkSettings(ctx, tx, check); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(values)) { // one order, lest two wait for each other
			query, args := `delete from settings where name = $1`, []any{name}
			if value := values[name]; value != "" {
				query = `insert into settings (name, value, changed_at, changed_by) values ($1, $2, $3, $4)
					on conflict (name) do update set value = excluded.value, changed_at = excluded.changed_at, changed_by = excluded.changed_by,
						version = settings.version + 1`
				args = append(args, value, micros(at), by)
			}
			if _, err := tx.ExecContext(ctx, query, args...); err != nil {
				return fmt.Errorf("set setting %s: %w", name, err)
			}
		}
		return nil
	})
}

// checkSettings keeps others who check from setting anything until the end of the
// transaction: a row that is not there yet cannot be locked.
func (s *Store) checkSettings(ctx context.Context, tx *sql.Tx, check func(map[string]setting.Stored) error) error {
	if check == nil {
		return nil
	}
	if s.engine == Postgres {
		const lockNumber = 727_003
		if _, err := tx.ExecContext(ctx, `select pg_advisory_xact_lock($1)`, lockNumber); err != nil {
			return fmt.Errorf("lock settings: %w", err)
		}
	}
	all, err := readSettings(ctx, tx)
	if err != nil {
		return err
	}
	return check(all)
}
