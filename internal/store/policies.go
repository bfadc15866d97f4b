package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pratique/pratique/internal/policy"
)

// globalPolicy is the name of the document that holds the global policy.
const globalPolicy = "policy"

// Policy returns the settings of a registry, of the global policy where registry
// is "", or policy.ErrNotFound.
func (s *Store) Policy(ctx context.Context, registry string) (policy.Stored, error) {
	if registry == "" {
		text, version, err := s.SettingsDocument(ctx, globalPolicy)
		if err != nil {
			return policy.Stored{}, err
		}
		settings, err := policy.ParseSettings(text)
		return policy.Stored{Settings: settings, Version: version}, err
	}
	var text string
	var stored policy.Stored
	err := s.read.QueryRowContext(ctx, `select policy, policy_version from registries where name = $1`, registry).Scan(&text, &stored.Version)
	if err != nil {
		return policy.Stored{}, noRows(err, policy.ErrNotFound)
	}
	stored.Settings, err = policy.ParseSettings(text)
	return stored, err
}

// PolicySettings returns those of the global policy and of a registry.
func (s *Store) PolicySettings(ctx context.Context, registry string) (global, own policy.Settings, err error) {
	var all, text string
	err = s.read.QueryRowContext(ctx, `select coalesce((select value from settings where name = $1), ''), policy from registries where name = $2`,
		globalPolicy, registry).Scan(&all, &text)
	if err != nil {
		return global, own, fmt.Errorf("policy of registry %q: %w", registry, noRows(err, policy.ErrNotFound))
	}
	if global, err = policy.ParseSettings(all); err != nil {
		return global, own, fmt.Errorf("global policy: %w", err)
	}
	if own, err = policy.ParseSettings(text); err != nil {
		return global, own, fmt.Errorf("registry %q: %w", registry, err)
	}
	return global, own, nil
}

// SavePolicy replaces the settings that have the version, or returns
// policy.ErrStale; policy.ErrNotFound where there is no such registry.
func (s *Store) SavePolicy(ctx context.Context, registry string, settings policy.Settings, version int64) error {
	if registry == "" {
		return s.SaveSettingsDocument(ctx, globalPolicy, settings.String(), version)
	}
	return s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `update registries set policy = $1, policy_version = policy_version + 1 where name = $2 and policy_version = $3`,
			settings.String(), registry, version)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n > 0 {
			return err
		}
		var one int
		if err := tx.QueryRowContext(ctx, `select 1 from registries where name = $1`, registry).Scan(&one); err != nil {
			return noRows(err, policy.ErrNotFound)
		}
		return policy.ErrStale
	})
}

// SettingsDocument returns a document of settings with its version; one that was
// never saved is empty and of version 1.
func (s *Store) SettingsDocument(ctx context.Context, name string) (content string, version int64, err error) {
	err = s.read.QueryRowContext(ctx, `select value, version from settings where name = $1`, name).Scan(&content, &version)
	if err != nil {
		return "", 1, noRows(err, nil)
	}
	return content, version, nil
}

// SaveSettingsDocument replaces a document that has the version, or returns
// policy.ErrStale.
func (s *Store) SaveSettingsDocument(ctx context.Context, name, content string, version int64) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		query := `update settings set value = $2, changed_at = $3, version = version + 1 where name = $1 and version = $4`
		args := []any{name, content, micros(s.now()), version}
		if version == 1 {
			query, args = `insert into settings (name, value, version, changed_at, changed_by) values ($1, $2, 2, $3, '') on conflict (name) do nothing`, args[:3]
		}
		done, err := tx.ExecContext(ctx, query, args...)
		if err != nil {
			return fmt.Errorf("save settings %s: %w", name, err)
		}
		if n, err := done.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return policy.ErrStale
	})
}
