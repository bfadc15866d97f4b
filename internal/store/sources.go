package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/source"
)

const sourceColumns = `id, name, extension, url, credential, ca, skip_verify, timeout_seconds, concurrency, version, created_at, updated_at`

func scanSource(row interface{ Scan(...any) error }) (o source.Source, err error) {
	var seconds int64
	var created, updated sql.NullInt64
	err = row.Scan(&o.ID, &o.Name, &o.Extension, &o.URL, &o.Sealed, &o.CA, &o.SkipVerify, &seconds, &o.Concurrency, &o.Version, &created, &updated)
	o.Timeout, o.CreatedAt, o.UpdatedAt = time.Duration(seconds)*time.Second, at(created), at(updated)
	return o, err
}

// Extensions returns what was said of extensions, by name.
func (s *Store) Extensions(ctx context.Context) (map[string]bool, error) {
	type row struct {
		name    string
		enabled bool
	}
	rows, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.name, &r.enabled)
		return r, err
	}, `select name, enabled from extensions`)
	if err != nil {
		return nil, fmt.Errorf("extensions: %w", err)
	}
	states := make(map[string]bool, len(rows))
	for _, r := range rows {
		states[r.name] = r.enabled
	}
	return states, nil
}

// SetExtension enables an extension, or disables it unless sources use it: then
// it returns *source.InUseError.
func (s *Store) SetExtension(ctx context.Context, name string, enabled bool) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		// The row is locked first, which whoever adds a source does, too.
		if _, err := tx.ExecContext(ctx, `insert into extensions (name, enabled) values ($1, $2)
			on conflict (name) do update set enabled = excluded.enabled`, name, enabled); err != nil || enabled {
			return err
		}
		users, err := queryAll(ctx, tx, scanString, `select name from vulnerability_sources where extension = $1 order by name`, name)
		if err == nil && len(users) > 0 {
			err = &source.InUseError{Extension: name, Sources: users}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("extension %s: %w", name, err)
	}
	return nil
}

// CreateSource adds a source and returns it as it is stored. It returns
// source.ErrDisabled or source.ErrExists.
func (s *Store) CreateSource(ctx context.Context, o source.Source) (source.Source, error) {
	name := o.Name
	err := s.tx(ctx, func(tx *sql.Tx) error {
		var enabled bool
		if err := tx.QueryRowContext(ctx, `insert into extensions (name, enabled) values ($1, $2)
			on conflict (name) do update set enabled = extensions.enabled returning enabled`, o.Extension, false).Scan(&enabled); err != nil {
			return err
		}
		if !enabled {
			return source.ErrDisabled
		}
		now := micros(s.now())
		stored, err := scanSource(tx.QueryRowContext(ctx, `insert into vulnerability_sources
				(name, extension, url, credential, ca, skip_verify, timeout_seconds, concurrency, created_at, updated_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9) returning `+sourceColumns,
			o.Name, o.Extension, o.URL, o.Sealed, o.CA, o.SkipVerify, int64(o.Timeout/time.Second), o.Concurrency, now))
		if err == nil {
			o = stored
		}
		return err
	})
	if conflicting(err) {
		err = source.ErrExists
	}
	if err != nil {
		return source.Source{}, fmt.Errorf("vulnerability source %q: %w", name, err)
	}
	return o, nil
}

// Source returns a source, or source.ErrNotFound.
func (s *Store) Source(ctx context.Context, name string) (source.Source, error) {
	o, err := scanSource(s.read.QueryRowContext(ctx, `select `+sourceColumns+` from vulnerability_sources where name = $1`, name))
	if err != nil {
		return source.Source{}, fmt.Errorf("vulnerability source %q: %w", name, noRows(err, source.ErrNotFound))
	}
	return o, nil
}

// Sources lists all sources by name.
func (s *Store) Sources(ctx context.Context) ([]source.Source, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (source.Source, error) { return scanSource(rows) },
		`select `+sourceColumns+` from vulnerability_sources order by name`)
	if err != nil {
		return nil, fmt.Errorf("vulnerability sources: %w", err)
	}
	return list, nil
}

// ChangeSource stores a source anew where its version is still the one given.
// It returns source.ErrChanged or source.ErrNotFound.
func (s *Store) ChangeSource(ctx context.Context, o source.Source) (stored source.Source, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) (err error) {
		stored, err = scanSource(tx.QueryRowContext(ctx, `update vulnerability_sources set url = $1, credential = $2, ca = $3, skip_verify = $4,
				timeout_seconds = $5, concurrency = $6, version = version + 1, updated_at = $7
			where id = $8 and version = $9 returning `+sourceColumns,
			o.URL, o.Sealed, o.CA, o.SkipVerify, int64(o.Timeout/time.Second), o.Concurrency, micros(s.now()), o.ID, o.Version))
		return noRows(err, source.ErrChanged)
	})
	if err != nil {
		return source.Source{}, fmt.Errorf("vulnerability source %q: %w", o.Name, err)
	}
	return stored, nil
}

// DeleteSource deletes a source with all that it reported. Where version is not
// 0, it must be the source's. It returns source.ErrNotFound or source.ErrChanged.
func (s *Store) DeleteSource(ctx context.Context, name string, version int64) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		var id, stands int64
		if err := tx.QueryRowContext(ctx, `select id, version from vulnerability_sources where name = $1`, name).Scan(&id, &stands); err != nil {
			return noRows(err, source.ErrNotFound)
		}
		if version != 0 && version != stands {
			return source.ErrChanged
		}
		if err := s.reportedDue(ctx, tx, name); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from vulnerability_sources where id = $1`, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("vulnerability source %q: %w", name, err)
	}
	return nil
}

// Attachments lists the sources of a registry, the built-in analyser first. It
// returns source.ErrNotFound where there is no such registry.
func (s *Store) Attachments(ctx context.Context, registry string) ([]source.Attachment, error) {
	var id int64
	var builtIn bool
	if err := s.read.QueryRowContext(ctx, `select id, built_in from registries where name = $1`, registry).Scan(&id, &builtIn); err != nil {
		return nil, fmt.Errorf("registry %q: %w", registry, noRows(err, source.ErrNotFound))
	}
	var list []source.Attachment
	if builtIn {
		list = append(list, source.Attachment{Source: source.BuiltIn, Extension: source.BuiltIn})
	}
	external, err := queryAll(ctx, s.read, func(rows *sql.Rows) (a source.Attachment, err error) {
		var attached sql.NullInt64
		err = rows.Scan(&a.Source, &a.Extension, &attached)
		a.AttachedAt = at(attached)
		return a, err
	}, `select s.name, s.extension, rs.attached_at from registry_sources rs join vulnerability_sources s on s.id = rs.source_id
		where rs.registry_id = $1 order by s.name`, id)
	if err != nil {
		return nil, fmt.Errorf("vulnerability sources of registry %q: %w", registry, err)
	}
	return append(list, external...), nil
}

// AttachSource makes a source one of a registry's, and says whether it was not before;
// the images that are there are to be asked of it. It returns source.ErrNotFound.
func (s *Store) AttachSource(ctx context.Context, registry, name string) (fresh bool, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		fresh = false
		if name == source.BuiltIn {
			fresh, err = setBuiltIn(ctx, tx, registry, true)
			return err
		}
		done, err := tx.ExecContext(ctx, `insert into registry_sources (registry_id, source_id, attached_at)
			select r.id, s.id, $3 from registries r, vulnerability_sources s where r.name = $1 and s.name = $2
			on conflict (registry_id, source_id) do nothing`, registry, name, micros(s.now()))
		if err != nil {
			return err
		}
		if changedOne(done, errUnchanged) == nil {
			fresh = true
			if _, err = s.askRegistry(ctx, tx, registry, name); err != nil {
				return err
			}
			return s.reportedDue(ctx, tx, name)
		}
		var one int
		return noRows(tx.QueryRowContext(ctx, `select 1 from registries r, vulnerability_sources s where r.name = $1 and s.name = $2`, registry, name).Scan(&one), source.ErrNotFound)
	})
	if err != nil {
		return false, fmt.Errorf("attach %q to registry %q: %w", name, registry, err)
	}
	return fresh, nil
}

// DetachSource ends that. What the source reported is kept, and counts again should
// it come back. It returns source.ErrNotFound where it was not attached.
func (s *Store) DetachSource(ctx context.Context, registry, name string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if name == source.BuiltIn {
			changed, err := setBuiltIn(ctx, tx, registry, false)
			if err == nil && !changed {
				err = source.ErrNotFound
			}
			return err
		}
		done, err := tx.ExecContext(ctx, `delete from registry_sources
			where registry_id = (select id from registries where name = $1) and source_id = (select id from vulnerability_sources where name = $2)`, registry, name)
		if err != nil {
			return err
		}
		if err := changedOne(done, source.ErrNotFound); err != nil {
			return err
		}
		return s.reportedDue(ctx, tx, name)
	})
	if err != nil {
		return fmt.Errorf("detach %q from registry %q: %w", name, registry, err)
	}
	return nil
}

var errUnchanged = errors.New("nothing changed")

func setBuiltIn(ctx context.Context, tx *sql.Tx, registry string, attached bool) (changed bool, err error) {
	done, err := tx.ExecContext(ctx, `update registries set built_in = $1 where name = $2 and built_in <> $1`, attached, registry)
	if err != nil {
		return false, err
	}
	if changedOne(done, errUnchanged) == nil {
		return true, nil
	}
	var one int
	return false, noRows(tx.QueryRowContext(ctx, `select 1 from registries where name = $1`, registry).Scan(&one), source.ErrNotFound)
}

// SourcesPending names the sources attached to a registry that have not answered
// for an image: the built-in analyser until its analysis has ended, an external
// one until its first good answer. An answer stands until there is a newer one,
// so that a source which fails today but answered before is not named. Of
// anything that is no image, nobody is asked.
func (s *Store) SourcesPending(ctx context.Context, registry, digest string) ([]string, error) {
	names, err := queryAll(ctx, s.read, scanString, `select $3 from registries r, images i
			where r.name = $1 and i.digest = $2 and r.built_in and i.state = $4
		union all select s.name from registries r
			join registry_sources rs on rs.registry_id = r.id
			join vulnerability_sources s on s.id = rs.source_id
			join images i on i.digest = $2
			where r.name = $1 and not exists (select 1 from source_scans c
				where c.image_id = i.id and c.source_id = s.id and c.answered_at is not null)
		order by 1`, registry, digest, source.BuiltIn, image.Pending)
	if err != nil {
		return nil, fmt.Errorf("sources of image %s in registry %s: %w", digest, registry, err)
	}
	return names, nil
}
