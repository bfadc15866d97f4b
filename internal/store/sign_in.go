package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/auth/oidc"
)

// Provider returns the provider of sign-ins; the zero value where there is none.
func (s *Store) Provider(ctx context.Context) (p oidc.Provider, err error) {
	err = s.read.QueryRowContext(ctx, `select enabled, title, issuer, client_id, secret, scopes, name_claim, groups_claim from sign_in_provider where id = 1`).
		Scan(&p.Enabled, &p.Title, &p.Issuer, &p.ClientID, &p.Sealed, &p.Scopes, &p.NameClaim, &p.GroupsClaim)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return oidc.Provider{}, fmt.Errorf("provider of sign-ins: %w", err)
	}
	return p, nil
}

// SaveProvider replaces the provider of sign-ins.
func (s *Store) SaveProvider(ctx context.Context, p oidc.Provider) error {
	if p.Sealed == nil {
		p.Sealed = []byte{}
	}
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `insert into sign_in_provider (id, enabled, title, issuer, client_id, secret, scopes, name_claim, groups_claim)
			values (1, $1, $2, $3, $4, $5, $6, $7, $8) on conflict (id) do update set enabled = excluded.enabled, title = excluded.title,
			issuer = excluded.issuer, client_id = excluded.client_id, secret = excluded.secret, scopes = excluded.scopes,
			name_claim = excluded.name_claim, groups_claim = excluded.groups_claim`,
			p.Enabled, p.Title, p.Issuer, p.ClientID, p.Sealed, p.Scopes, p.NameClaim, p.GroupsClaim)
		return err
	})
	if err != nil {
		return fmt.Errorf("provider of sign-ins: %w", err)
	}
	return nil
}

// UserOfIdentity returns the user whom an issuer knows by a subject, or makes one of
// that name. It returns auth.ErrExists where the name is another user's.
func (s *Store) UserOfIdentity(ctx context.Context, i auth.Identity) (u auth.User, created bool, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) (err error) {
		u, err = scanUser(tx.QueryRowContext(ctx, `select `+userColumns+` from users u where u.issuer = $1 and u.subject = $2`, i.Issuer, i.Subject))
		if created = errors.Is(err, auth.ErrNotFound); !created {
			return err
		}
		u, err = scanUser(tx.QueryRowContext(ctx, `insert into users (name, password_hash, administrator, created_at, issuer, subject)
			values ($1, '', false, $2, $3, $4) returning id, name, administrator, created_at, password_hash, issuer`, i.Name, micros(s.now()), i.Issuer, i.Subject))
		return err
	})
	if conflicting(err) {
		err = auth.ErrExists
	}
	if err != nil {
		return auth.User{}, false, fmt.Errorf("user %q of %s: %w", i.Name, i.Issuer, err)
	}
	return u, created, nil
}
