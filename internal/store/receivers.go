package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pratique/pratique/internal/notify"
)

const receiverColumns = `r.id, r.name, r.kind, r.url, r.recipients, r.secret, r.events, r.registries, r.min_severity, r.exploited_only,
	r.enabled, r.version, r.created_at, r.updated_at, r.address`

func scanReceiver(row interface{ Scan(...any) error }, more ...any) (r notify.Receiver, err error) {
	var recipients, events, registries string
	var created, updated sql.NullInt64
	err = row.Scan(append([]any{&r.ID, &r.Name, &r.Kind, &r.URL, &recipients, &r.Secret, &events, &registries, &r.MinSeverity, &r.ExploitedOnly,
		&r.Enabled, &r.Version, &created, &updated, &r.Address}, more...)...)
	if errors.Is(err, sql.ErrNoRows) {
		return r, notify.ErrNotFound
	}
	if err != nil {
		return r, err
	}
	r.CreatedAt, r.UpdatedAt = at(created), at(updated)
	return r, errors.Join(json.Unmarshal([]byte(recipients), &r.Recipients), json.Unmarshal([]byte(events), &r.Events),
		json.Unmarshal([]byte(registries), &r.Registries))
}

// receiverValues are kind to enabled, in the order of receiverColumns, and the address.
func receiverValues(r notify.Receiver) ([]any, error) {
	list := func(v any, n int) (string, error) {
		if n == 0 {
			return "[]", nil
		}
		text, err := json.Marshal(v)
		return string(text), err
	}
	recipients, err := list(r.Recipients, len(r.Recipients))
	if err != nil {
		return nil, err
	}
	events, err := list(r.Events, len(r.Events))
	if err != nil {
		return nil, err
	}
	registries, err := list(r.Registries, len(r.Registries))
	if err != nil {
		return nil, err
	}
	var secret []byte
	if len(r.Secret) > 0 {
		secret = r.Secret
	}
	return []any{r.Kind, r.URL, recipients, secret, events, registries, int(r.MinSeverity), r.ExploitedOnly, r.Enabled, r.Address}, nil
}

// Receivers lists all by name.
func (s *Store) Receivers(ctx context.Context) ([]notify.Receiver, error) {
	receivers, err := queryAll(ctx, s.read, func(rows *sql.Rows) (notify.Receiver, error) { return scanReceiver(rows) },
		`select `+receiverColumns+` from receivers r order by r.name`)
	if err != nil {
		return nil, fmt.Errorf("list receivers: %w", err)
	}
	return receivers, nil
}

// Receiver returns one, or notify.ErrNotFound.
func (s *Store) Receiver(ctx context.Context, name string) (notify.Receiver, error) {
	r, err := scanReceiver(s.read.QueryRowContext(ctx, `select `+receiverColumns+` from receivers r where r.name = $1`, name))
	if err != nil {
		return r, fmt.Errorf("receiver %q: %w", name, err)
	}
	return r, nil
}

// CreateReceiver stores one, or returns notify.ErrExists.
func (s *Store) CreateReceiver(ctx context.Context, r notify.Receiver) (notify.Receiver, error) {
	values, err := receiverValues(r)
	if err != nil {
		return notify.Receiver{}, err
	}
	now := micros(s.now())
	err = s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into receivers (kind, url, recipients, secret, events, registries, min_severity, exploited_only, enabled,
			address, name, created_at, updated_at) values (`+parameters(1, 13)+`)`, append(values, r.Name, now, now)...)
		return err
	})
	if conflicting(err) {
		err = notify.ErrExists
	}
	if err != nil {
		return notify.Receiver{}, err
	}
	return s.Receiver(ctx, r.Name)
}

// UpdateReceiver replaces all but the name and, where that is nil, the secret. It
// returns notify.ErrNotFound, or notify.ErrChanged where the version is another.
func (s *Store) UpdateReceiver(ctx context.Context, r notify.Receiver) (notify.Receiver, error) {
	values, err := receiverValues(r)
	if err != nil {
		return notify.Receiver{}, err
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		var version int64
		err := tx.QueryRowContext(ctx, `select version from receivers where name = $1`, r.Name).Scan(&version)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			return notify.ErrNotFound
		case err != nil:
			return err
		case version != r.Version:
			return notify.ErrChanged
		}
		done, err := tx.ExecContext(ctx, `update receivers set (kind, url, recipients, secret, events, registries, min_severity, exploited_only, enabled,
			address, version, updated_at) = ($1, $2, $3, case when $13 then secret else $4 end, $5, $6, $7, $8, $9, $10, version + 1, $11)
			where name = $12 and version = $14`, append(values, micros(s.now()), r.Name, r.Secret == nil, version)...)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return errors.Join(err, notify.ErrChanged)
		}
		return nil
	})
	if err != nil {
		return notify.Receiver{}, err
	}
	return s.Receiver(ctx, r.Name)
}

// SealAddress stores the address of a receiver that has none sealed, and what is
// shown of it.
func (s *Store) SealAddress(ctx context.Context, id int64, shown string, address []byte) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `update receivers set url = $1, address = $2 where id = $3 and address is null`, shown, address, id)
		if err != nil {
			return fmt.Errorf("seal the address of receiver %d: %w", id, err)
		}
		return nil
	})
}

// DeleteReceiver forgets one with its deliveries, or returns notify.ErrNotFound.
func (s *Store) DeleteReceiver(ctx context.Context, name string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `delete from receivers where name = $1`, name)
		if err != nil {
			return fmt.Errorf("delete receiver %q: %w", name, err)
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return fmt.Errorf("receiver %q: %w", name, errors.Join(err, notify.ErrNotFound))
		}
		return nil
	})
}
