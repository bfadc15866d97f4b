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
	all := make(map[string]setting.Stored)
	_, err := queryAll(ctx, s.read, func(rows *sql.Rows) (name string, err error) {
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

// SetSettings sets some and forgets those with an empty value.
func (s *Store) SetSettings(ctx context.Context, values map[string]string, at time.Time, by string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
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
