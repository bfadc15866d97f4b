package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/pratique/pratique/internal/oci/registry"
)

// missing is what the package registry says of something that does not exist;
// it is ErrNotFound, too.
type missing struct{ error }

func (m missing) Is(target error) bool { return target == ErrNotFound }

func (m missing) Unwrap() error { return m.error }

// existing is the same for what exists already, and ErrConflict.
type existing struct{ error }

func (e existing) Is(target error) bool { return target == ErrConflict }

func (e existing) Unwrap() error { return e.error }

const registryColumns = `id, name, description, anonymous_pull, policy, attach_sbom, created_at, honour_vex, quota, immutable_tags, version_tags`

func scanRegistry(row interface{ Scan(...any) error }) (r registry.Registry, err error) {
	var created sql.NullInt64
	var immutable string
	err = row.Scan(&r.ID, &r.Name, &r.Description, &r.AnonymousPull, &r.Policy, &r.AttachSBOM, &created, &r.HonourVEX, &r.Quota, &immutable, &r.VersionTags)
	if err != nil {
		return r, err
	}
	r.CreatedAt = at(created)
	return r, json.Unmarshal([]byte(immutable), &r.ImmutableTags)
}

// CreateRegistry adds a registry and returns it as it is stored. It returns
// registry.ErrNameInvalid or registry.ErrRegistryExists.
func (s *Store) CreateRegistry(ctx context.Context, r registry.Registry) (registry.Registry, error) {
	if err := registry.CheckRegistryName(r.Name); err != nil {
		return registry.Registry{}, err
	}
	if r.Policy == "" {
		r.Policy = "{}"
	}
	if r.AttachSBOM == "" {
		r.AttachSBOM = registry.NoBill
	}
	immutable, err := patternsText(r.ImmutableTags)
	if err != nil {
		return registry.Registry{}, err
	}
	var stored registry.Registry
	err = s.tx(ctx, func(tx *sql.Tx) (err error) {
		stored, err = scanRegistry(tx.QueryRowContext(ctx,
			`insert into registries (name, description, anonymous_pull, policy, attach_sbom, created_at, quota, immutable_tags, version_tags)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9) returning `+registryColumns,
			r.Name, r.Description, r.AnonymousPull, r.Policy, r.AttachSBOM, micros(s.now()), r.Quota, immutable, r.VersionTags))
		return err
	})
	if conflicting(err) {
		err = existing{registry.ErrRegistryExists}
	}
	if err != nil {
		return registry.Registry{}, fmt.Errorf("create registry %q: %w", r.Name, err)
	}
	return stored, nil
}

// Registry returns a registry, or registry.ErrRegistryUnknown.
func (s *Store) Registry(ctx context.Context, name string) (registry.Registry, error) {
	r, err := scanRegistry(s.read.QueryRowContext(ctx, `select `+registryColumns+` from registries where name = $1`, name))
	if err != nil {
		return registry.Registry{}, fmt.Errorf("registry %q: %w", name, noRows(err, missing{registry.ErrRegistryUnknown}))
	}
	return r, nil
}

// Registries lists at most limit registries by name, from the one after after on.
func (s *Store) Registries(ctx context.Context, after string, limit int) ([]registry.Registry, error) {
	rows, err := s.read.QueryContext(ctx,
		`select `+registryColumns+` from registries where name > $1 order by name limit $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list registries: %w", err)
	}
	defer rows.Close()
	var list []registry.Registry
	for rows.Next() {
		r, err := scanRegistry(rows)
		if err != nil {
			return nil, fmt.Errorf("list registries: %w", err)
		}
		list = append(list, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list registries: %w", err)
	}
	return list, nil
}

// UpdateRegistry changes a registry and returns it as it then is, or
// registry.ErrRegistryUnknown; registry.ErrChanged where it has another tag.
func (s *Store) UpdateRegistry(ctx context.Context, name string, c registry.Change) (r registry.Registry, err error) {
	var immutable *string
	if c.ImmutableTags != nil {
		text, err := patternsText(*c.ImmutableTags)
		if err != nil {
			return registry.Registry{}, err
		}
		immutable = &text
	}
	err = s.tx(ctx, func(tx *sql.Tx) (err error) {
		if c.Tag != "" {
			if _, err := lockRegistry(ctx, tx, name); err != nil {
				return err
			}
			if r, err = scanRegistry(tx.QueryRowContext(ctx, `select `+registryColumns+` from registries where name = $1`, name)); err != nil {
				return err
			}
			if r.Tag() != c.Tag {
				return registry.ErrChanged
			}
		}
		r, err = scanRegistry(tx.QueryRowContext(ctx, `update registries set
				description = coalesce($1, description),
				anonymous_pull = coalesce($2, anonymous_pull),
				attach_sbom = coalesce($3, attach_sbom),
				honour_vex = coalesce($4, honour_vex),
				quota = coalesce($5, quota),
				immutable_tags = coalesce($6, immutable_tags),
				version_tags = coalesce($7, version_tags)
			where name = $8 returning `+registryColumns, c.Description, c.AnonymousPull, c.AttachSBOM, c.HonourVEX, c.Quota, immutable, c.VersionTags, name))
		return noRows(err, missing{registry.ErrRegistryUnknown})
	})
	if err == nil && c.VersionTags != nil && *c.VersionTags {
		err = s.followAll(ctx, r.ID)
	}
	if err != nil {
		return registry.Registry{}, fmt.Errorf("update registry %q: %w", name, err)
	}
	return r, nil
}

func patternsText(patterns []string) (string, error) {
	if len(patterns) == 0 {
		return "[]", nil
	}
	text, err := json.Marshal(patterns)
	return string(text), err
}

// DeleteRegistry removes a registry and ends the assessments that hold in it
// only, in the name of by. It returns registry.ErrRegistryUnknown, or
// registry.ErrNotEmpty where it holds repositories and force is not set.
func (s *Store) DeleteRegistry(ctx context.Context, name string, force bool, by string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		id, err := lockRegistry(ctx, tx, name)
		if err != nil {
			return err
		}
		if !force {
			var filled bool
			if err := tx.QueryRowContext(ctx,
				`select exists (select 1 from repositories where registry_id = $1)`, id).Scan(&filled); err != nil {
				return err
			}
			if filled {
				return existing{registry.ErrNotEmpty}
			}
		}
		if _, err := tx.ExecContext(ctx, `delete from registries where id = $1`, id); err != nil {
			return err
		}
		if err := endExceptionsIn(ctx, tx, name, s.now(), by); err != nil {
			return err
		}
		return s.endAssessmentsUnder(ctx, tx, name, "", s.now(), by)
	})
	if err != nil {
		return fmt.Errorf("delete registry %q: %w", name, err)
	}
	return nil
}

// lockRegistry returns a registry's id, and keeps others from adding a
// repository to it, and from deleting it, until the end of the transaction.
func lockRegistry(ctx context.Context, tx *sql.Tx, name string) (id int64, err error) {
	err = tx.QueryRowContext(ctx, `update registries set name = name where name = $1 returning id`, name).Scan(&id)
	return id, noRows(err, missing{registry.ErrRegistryUnknown})
}
