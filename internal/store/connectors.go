package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/upstream"
)

const connectorColumns = `c.id, c.name, c.url, c.username, c.password, c.ca, c.skip_verify, c.timeout_seconds, c.concurrency, c.tag_seconds,
	c.allowed, c.denied, c.trusted_hosts, c.version, c.created_at, c.updated_at`

func scanConnector(row interface{ Scan(...any) error }) (c upstream.Connector, err error) {
	var timeout, age int64
	var created, updated sql.NullInt64
	var allowed, denied, trusted string
	if err = row.Scan(&c.ID, &c.Name, &c.URL, &c.Username, &c.Sealed, &c.CA, &c.SkipVerify, &timeout, &c.Concurrency, &age,
		&allowed, &denied, &trusted, &c.Version, &created, &updated); err != nil {
		return c, err
	}
	c.Timeout, c.TagAge = time.Duration(timeout)*time.Second, time.Duration(age)*time.Second
	c.CreatedAt, c.UpdatedAt = at(created), at(updated)
	return c, errors.Join(json.Unmarshal([]byte(allowed), &c.Allowed), json.Unmarshal([]byte(denied), &c.Denied), json.Unmarshal([]byte(trusted), &c.TrustedHosts))
}

// connectorLists are the lists of a connector as they are stored.
func connectorLists(c upstream.Connector) (texts [3]string, err error) {
	for i, list := range [][]string{c.Allowed, c.Denied, c.TrustedHosts} {
		if texts[i], err = patternsText(list); err != nil {
			return texts, err
		}
	}
	return texts, nil
}

// Connectors lists all connectors by name.
func (s *Store) Connectors(ctx context.Context) ([]upstream.Connector, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (upstream.Connector, error) { return scanConnector(rows) },
		`select `+connectorColumns+` from connectors c order by c.name`)
	if err != nil {
		return nil, fmt.Errorf("connectors: %w", err)
	}
	return list, nil
}

// Connector returns a connector, or upstream.ErrNotFound.
func (s *Store) Connector(ctx context.Context, name string) (upstream.Connector, error) {
	c, err := scanConnector(s.read.QueryRowContext(ctx, `select `+connectorColumns+` from connectors c where c.name = $1`, name))
	if err != nil {
		return upstream.Connector{}, fmt.Errorf("connector %q: %w", name, noRows(err, upstream.ErrNotFound))
	}
	return c, nil
}

// CreateConnector adds a connector and returns it as it is stored, or upstream.ErrExists.
func (s *Store) CreateConnector(ctx context.Context, c upstream.Connector) (stored upstream.Connector, err error) {
	lists, err := connectorLists(c)
	if err != nil {
		return stored, err
	}
	err = s.tx(ctx, func(tx *sql.Tx) (err error) {
		stored, err = scanConnector(tx.QueryRowContext(ctx, `insert into connectors as c
				(name, url, username, password, ca, skip_verify, timeout_seconds, concurrency, tag_seconds, allowed, denied, trusted_hosts, created_at, updated_at)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13) returning id, name, url, username, password, ca, skip_verify, timeout_seconds, concurrency,
				tag_seconds, allowed, denied, trusted_hosts, version, created_at, updated_at`,
			c.Name, c.URL, c.Username, c.Sealed, c.CA, c.SkipVerify, int64(c.Timeout/time.Second), c.Concurrency, int64(c.TagAge/time.Second),
			lists[0], lists[1], lists[2], micros(s.now())))
		return err
	})
	if conflicting(err) {
		err = upstream.ErrExists
	}
	if err != nil {
		return upstream.Connector{}, fmt.Errorf("connector %q: %w", c.Name, err)
	}
	return stored, nil
}

// ChangeConnector stores a connector anew where its version is still the one
// given, else it returns upstream.ErrChanged.
func (s *Store) ChangeConnector(ctx context.Context, c upstream.Connector) (stored upstream.Connector, err error) {
	lists, err := connectorLists(c)
	if err != nil {
		return stored, err
	}
	err = s.tx(ctx, func(tx *sql.Tx) (err error) {
		stored, err = scanConnector(tx.QueryRowContext(ctx, `update connectors set url = $1, username = $2, password = $3, ca = $4, skip_verify = $5,
				timeout_seconds = $6, concurrency = $7, tag_seconds = $8, allowed = $9, denied = $10, trusted_hosts = $11, version = version + 1, updated_at = $12
			where id = $13 and version = $14 returning id, name, url, username, password, ca, skip_verify, timeout_seconds, concurrency,
				tag_seconds, allowed, denied, trusted_hosts, version, created_at, updated_at`,
			c.URL, c.Username, c.Sealed, c.CA, c.SkipVerify, int64(c.Timeout/time.Second), c.Concurrency, int64(c.TagAge/time.Second),
			lists[0], lists[1], lists[2], micros(s.now()), c.ID, c.Version))
		return noRows(err, upstream.ErrChanged)
	})
	if err != nil {
		return upstream.Connector{}, fmt.Errorf("connector %q: %w", c.Name, err)
	}
	return stored, nil
}

// DeleteConnector deletes a connector. Where version is not 0, it must be the
// connector's. It returns upstream.ErrNotFound or upstream.ErrChanged.
func (s *Store) DeleteConnector(ctx context.Context, name string, version int64) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		var id, stands int64
		if err := tx.QueryRowContext(ctx, `select id, version from connectors where name = $1`, name).Scan(&id, &stands); err != nil {
			return noRows(err, upstream.ErrNotFound)
		}
		if version != 0 && version != stands {
			return upstream.ErrChanged
		}
		_, err := tx.ExecContext(ctx, `delete from connectors where id = $1`, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("connector %q: %w", name, err)
	}
	return nil
}

// AttachedConnectors lists the connectors of a registry in their order, or
// returns upstream.ErrNotFound where there is no such registry.
func (s *Store) AttachedConnectors(ctx context.Context, registry string) ([]upstream.Connector, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (upstream.Connector, error) { return scanConnector(rows) },
		`select `+connectorColumns+` from registry_connectors a join registries r on r.id = a.registry_id join connectors c on c.id = a.connector_id
		where r.name = $1 order by a.position`, registry)
	if err == nil && len(list) == 0 {
		var one int
		err = noRows(s.read.QueryRowContext(ctx, `select 1 from registries where name = $1`, registry).Scan(&one), upstream.ErrNotFound)
	}
	if err != nil {
		return nil, fmt.Errorf("connectors of registry %q: %w", registry, err)
	}
	return list, nil
}

// AttachConnectors makes these the connectors of a registry, in this order. It
// returns upstream.ErrNotFound where the registry or one of them does not exist.
func (s *Store) AttachConnectors(ctx context.Context, registry string, names []string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		id, err := lockRegistry(ctx, tx, registry)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `delete from registry_connectors where registry_id = $1`, id); err != nil {
			return err
		}
		for i, name := range names {
			done, err := tx.ExecContext(ctx, `insert into registry_connectors (registry_id, connector_id, position)
				select $1, c.id, $2 from connectors c where c.name = $3`, id, i, name)
			if err != nil {
				return err
			}
			if err := changedOne(done, fmt.Errorf("connector %q: %w", name, upstream.ErrNotFound)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("connectors of registry %q: %w", registry, err)
	}
	return nil
}
