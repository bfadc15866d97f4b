// Package oidc lets people sign in at a provider of OpenID Connect
// (https://openid.net/specs/openid-connect-core-1_0.html), by the code flow with
// state, nonce and PKCE (RFC 7636). Signing in with a password here does not depend on it.
//
// It must not know who may do what.
package oidc

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"unicode"
)

// Provider is how the provider is reached, and what of it counts.
type Provider struct {
	Enabled bool
	// Title is what the button says.
	Title string
	// Issuer is its URL.
	Issuer, ClientID string
	// Sealed is the client's secret, encrypted.
	Sealed []byte
	// Scopes are asked for beside openid, separated by blanks.
	Scopes string
	// NameClaim has the name of the user, GroupsClaim the groups; "" for none.
	NameClaim, GroupsClaim string
}

// Change is what to change of the provider; nil stays.
type Change struct {
	Enabled                                                               *bool
	Title, Issuer, ClientID, ClientSecret, Scopes, NameClaim, GroupsClaim *string
}

// Store keeps the provider.
type Store interface {
	// Provider returns the zero value where there is none.
	Provider(ctx context.Context) (Provider, error)
	SaveProvider(ctx context.Context, p Provider) error
}

// Sealer encrypts for a purpose; *secret.Box is one.
type Sealer interface {
	Seal(purpose string, secret []byte) []byte
	Open(purpose string, sealed []byte) ([]byte, error)
}

// FieldError is a value that cannot be taken.
type FieldError struct{ Field, Reason string }

func (e *FieldError) Error() string { return e.Field + " " + e.Reason }

// What the secret and the state of a sign-in are sealed for.
const (
	secretPurpose = "sign-in-client"
	statePurpose  = "sign-in-state"
)

// Provider returns the provider; the defaults where there is none yet.
func (s *Service) Provider(ctx context.Context) (Provider, error) {
	p, err := s.store.Provider(ctx)
	if err == nil && p.Issuer == "" {
		p = Provider{Title: "Single sign-on", Scopes: "profile email", NameClaim: "preferred_username", GroupsClaim: "groups"}
	}
	return p, err
}

// Change changes the provider. It returns a *FieldError.
func (s *Service) Change(ctx context.Context, c Change) (Provider, error) {
	p, err := s.Provider(ctx)
	if err != nil {
		return p, err
	}
	issuer := p.Issuer
	set(&p.Enabled, c.Enabled)
	for to, from := range map[*string]*string{&p.Title: c.Title, &p.Issuer: c.Issuer, &p.ClientID: c.ClientID, &p.Scopes: c.Scopes,
		&p.NameClaim: c.NameClaim, &p.GroupsClaim: c.GroupsClaim} {
		set(to, from)
	}
	if err := p.check(); err != nil {
		return p, err
	}
	switch {
	case c.ClientSecret != nil && len(*c.ClientSecret) > 1000:
		return p, &FieldError{"client_secret", "must have at most 1000 bytes"}
	case c.ClientSecret != nil:
		p.Sealed = s.sealer.Seal(secretPurpose, []byte(*c.ClientSecret))
	case p.Issuer != issuer:
		p.Sealed = nil // which is not for another to see
	}
	return p, s.store.SaveProvider(ctx, p)
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

func (p Provider) check() error {
	for field, value := range map[string]string{"title": p.Title, "client_id": p.ClientID, "scopes": p.Scopes, "name_claim": p.NameClaim, "groups_claim": p.GroupsClaim} {
		if len(value) > 200 || strings.ContainsFunc(value, unicode.IsControl) {
			return &FieldError{field, "must have at most 200 bytes, and no control characters"}
		}
	}
	if p.Issuer == "" && !p.Enabled {
		return nil
	}
	u, err := url.Parse(p.Issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || len(p.Issuer) > 1000:
		return &FieldError{"issuer", "must be a URL without query, fragment, name and password"}
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return &FieldError{"issuer", "must begin with https://"}
	case p.ClientID == "":
		return &FieldError{"client_id", "must not be empty"}
	case p.Title == "":
		return &FieldError{"title", "must not be empty"}
	case p.NameClaim == "":
		return &FieldError{"name_claim", "must not be empty"}
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// clientSecret opens the secret; "" where there is none.
func (s *Service) clientSecret(p Provider) (string, error) {
	if len(p.Sealed) == 0 {
		return "", nil
	}
	text, err := s.sealer.Open(secretPurpose, p.Sealed)
	if err != nil {
		return "", fmt.Errorf("secret of the sign-in client: %w", err)
	}
	return string(text), nil
}
