package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/auth"
)

// The hash of the password makes the tag.
const userColumns = `u.id, u.name, u.administrator, u.created_at, u.password_hash, u.issuer`

func scanUser(row interface{ Scan(...any) error }, more ...any) (u auth.User, err error) {
	var created sql.NullInt64
	var passwordHash string
	err = row.Scan(append([]any{&u.ID, &u.Name, &u.Administrator, &created, &passwordHash, &u.Issuer}, more...)...)
	u.CreatedAt, u.Tag = at(created), userTag(passwordHash, u.Administrator)
	if errors.Is(err, sql.ErrNoRows) {
		err = auth.ErrNotFound
	}
	return u, err
}

// userTag tells one password from the next. The hash has a salt, so that this
// tells nothing else.
func userTag(passwordHash string, administrator bool) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %t", passwordHash, administrator))
	return hex.EncodeToString(sum[:12])
}

// CreateUser stores a user, or returns auth.ErrExists.
func (s *Store) CreateUser(ctx context.Context, u auth.User, passwordHash string) (auth.User, error) {
	name := u.Name
	err := s.tx(ctx, func(tx *sql.Tx) (err error) {
		u, err = scanUser(tx.QueryRowContext(ctx, `insert into users (name, password_hash, administrator, created_at)
			values ($1, $2, $3, $4) returning id, name, administrator, created_at, password_hash, issuer`, name, passwordHash, u.Administrator, micros(s.now())))
		return err
	})
	if conflicting(err) {
		err = auth.ErrExists
	}
	if err != nil {
		return auth.User{}, fmt.Errorf("create user %q: %w", name, err)
	}
	return u, nil
}

// UserByName returns a user with the hash of the password, or auth.ErrNotFound.
func (s *Store) UserByName(ctx context.Context, name string) (u auth.User, passwordHash string, err error) {
	u, err = scanUser(s.read.QueryRowContext(ctx, `select `+userColumns+`, u.password_hash from users u where u.name = $1`, name), &passwordHash)
	if err != nil {
		return auth.User{}, "", fmt.Errorf("user %q: %w", name, err)
	}
	return u, passwordHash, nil
}

// UserByID returns a user, or auth.ErrNotFound.
func (s *Store) UserByID(ctx context.Context, id int64) (auth.User, error) {
	u, err := scanUser(s.read.QueryRowContext(ctx, `select `+userColumns+` from users u where u.id = $1`, id))
	if err != nil {
		return auth.User{}, fmt.Errorf("user %d: %w", id, err)
	}
	return u, nil
}

// Users lists all users by name.
func (s *Store) Users(ctx context.Context) ([]auth.User, error) {
	users, err := queryAll(ctx, s.read, func(rows *sql.Rows) (auth.User, error) { return scanUser(rows) },
		`select `+userColumns+` from users u order by u.name`)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	return users, nil
}

// SetPasswordHash replaces a user's. It returns auth.ErrNotFound, or
// auth.ErrChanged where tag is neither "" nor the user's.
func (s *Store) SetPasswordHash(ctx context.Context, id int64, passwordHash, tag string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		// Changed, so that nobody else changes it until the end.
		if _, err := tx.ExecContext(ctx, `update users set name = name where id = $1`, id); err != nil {
			return err
		}
		u, err := scanUser(tx.QueryRowContext(ctx, `select `+userColumns+` from users u where u.id = $1`, id))
		if err == nil && tag != "" && tag != u.Tag {
			err = auth.ErrChanged
		}
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `update users set password_hash = $1 where id = $2`, passwordHash, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("user %d: %w", id, err)
	}
	return nil
}

// DeleteUser deletes a user with their keys. It returns auth.ErrNotFound, or
// auth.ErrLastAdministrator.
func (s *Store) DeleteUser(ctx context.Context, id int64) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		u, err := scanUser(tx.QueryRowContext(ctx, `select `+userColumns+` from users u where u.id = $1`, id))
		if err != nil {
			return err
		}
		if u.Administrator {
			// Changed, so that two who delete each other do so one after the other.
			if _, err := tx.ExecContext(ctx, `update users set name = name where administrator`); err != nil {
				return err
			}
			var others int
			if err := tx.QueryRowContext(ctx, `select count(*) from users where administrator and id <> $1`, id).Scan(&others); err != nil {
				return err
			}
			if others == 0 {
				return auth.ErrLastAdministrator
			}
		}
		_, err = tx.ExecContext(ctx, `delete from users where id = $1`, id)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete user %d: %w", id, err)
	}
	return nil
}

const keyColumns = `k.id, k.user_id, k.name, k.prefix, k.created_at, k.expires_at, k.last_used_at, k.limited`

func scanKey(row interface{ Scan(...any) error }, more ...any) (k auth.Key, err error) {
	var created, expires, used sql.NullInt64
	err = row.Scan(append([]any{&k.ID, &k.UserID, &k.Name, &k.Prefix, &created, &expires, &used, &k.Limited}, more...)...)
	k.CreatedAt, k.ExpiresAt, k.LastUsedAt = at(created), at(expires), at(used)
	return k, err
}

// CreateKey stores a key by the hash of its secret, with its scope. It returns
// auth.ErrNotFound where the user is gone, or auth.ErrRegistry.
func (s *Store) CreateKey(ctx context.Context, k auth.Key, hash []byte) (auth.Key, error) {
	scope := k.Scope
	err := s.tx(ctx, func(tx *sql.Tx) (err error) {
		k, err = scanKey(tx.QueryRowContext(ctx, `insert into api_keys (user_id, name, hash, prefix, created_at, expires_at, limited)
			values ($1, $2, $3, $4, $5, $6, $7) returning id, user_id, name, prefix, created_at, expires_at, last_used_at, limited`,
			k.UserID, k.Name, hash, k.Prefix, micros(s.now()), nullMicros(k.ExpiresAt), k.Limited))
		if err != nil {
			return err
		}
		k.Scope, k.Tag = scope, secretTag(hash)
		return insertGrants(ctx, tx, "key_id", k.ID, scope, "", s.now())
	})
	if err != nil {
		return auth.Key{}, fmt.Errorf("create API key: %w", dangling(err, auth.ErrNotFound))
	}
	return k, nil
}

// KeyByHash returns a key and its user, or auth.ErrNotFound.
func (s *Store) KeyByHash(ctx context.Context, hash []byte) (auth.Key, auth.User, error) {
	var u auth.User
	var created sql.NullInt64
	var passwordHash string
	k, err := scanKey(s.read.QueryRowContext(ctx, `select `+keyColumns+`, `+userColumns+` from api_keys k join users u on u.id = k.user_id
		where k.hash = $1`, hash), &u.ID, &u.Name, &u.Administrator, &created, &passwordHash, &u.Issuer)
	if errors.Is(err, sql.ErrNoRows) {
		err = auth.ErrNotFound
	}
	if err != nil {
		return auth.Key{}, auth.User{}, fmt.Errorf("API key: %w", err)
	}
	k.Tag, u.CreatedAt, u.Tag = secretTag(hash), at(created), userTag(passwordHash, u.Administrator)
	return k, u, nil
}

// Keys lists a user's keys by id, everyone's where userID is 0.
func (s *Store) Keys(ctx context.Context, userID int64) ([]auth.Key, error) {
	keys, err := queryAll(ctx, s.read, func(rows *sql.Rows) (auth.Key, error) { return scanKey(rows) },
		`select `+keyColumns+` from api_keys k where $1 = 0 or k.user_id = $1 order by k.id`, userID)
	if err != nil {
		return nil, fmt.Errorf("list API keys: %w", err)
	}
	type grant struct {
		key int64
		auth.Grant
	}
	grants, err := queryAll(ctx, s.read, func(rows *sql.Rows) (g grant, err error) {
		err = rows.Scan(&g.key, &g.Registry, &g.Role)
		return g, err
	}, `select g.key_id, coalesce(r.name, ''), g.role from role_grants g join api_keys k on k.id = g.key_id left join registries r on r.id = g.registry_id
		where $1 = 0 or k.user_id = $1 order by 2, 3`, userID)
	if err != nil {
		return nil, fmt.Errorf("list scopes of API keys: %w", err)
	}
	of := make(map[int64][]auth.Grant)
	for _, g := range grants {
		of[g.key] = append(of[g.key], g.Grant)
	}
	for i, k := range keys {
		keys[i].Scope = of[k.ID]
	}
	return keys, nil
}

// DeleteKey deletes a key, or returns auth.ErrNotFound.
func (s *Store) DeleteKey(ctx context.Context, id int64) error {
	if err := s.changeOne(ctx, `delete from api_keys where id = $1`, id); err != nil {
		return fmt.Errorf("API key %d: %w", id, err)
	}
	return nil
}

// TouchKey notes that a key was used.
func (s *Store) TouchKey(ctx context.Context, id int64, when time.Time) error {
	if err := s.changeOne(ctx, `update api_keys set last_used_at = $1 where id = $2`, micros(when), id); err != nil {
		return fmt.Errorf("API key %d: %w", id, err)
	}
	return nil
}

func (s *Store) changeOne(ctx context.Context, statement string, args ...any) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		return changedOne(done, auth.ErrNotFound)
	})
}

// Secret returns the named secret, having stored fresh where there was none.
func (s *Store) Secret(ctx context.Context, name string, fresh []byte) (value []byte, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `insert into secrets (name, value) values ($1, $2) on conflict (name) do nothing`, name, fresh); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, `select value from secrets where name = $1`, name).Scan(&value)
	})
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", name, err)
	}
	return value, nil
}

// AnonymousPull reports whether anyone may pull from a registry.
func (s *Store) AnonymousPull(ctx context.Context, registry string) (open bool, err error) {
	err = s.read.QueryRowContext(ctx, `select anonymous_pull from registries where name = $1`, registry).Scan(&open)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return false, fmt.Errorf("registry %s: %w", registry, err)
	}
	return open, nil
}
