package auth

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Access is something that a request wants to do, or that a token allows, in
// the terms of distribution's token scopes
// (https://distribution.github.io/distribution/spec/auth/scope/).
type Access struct {
	// Type is "repository", or "registry" for the catalog.
	Type string `json:"type"`
	// Name is "main/app", or "catalog".
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
	// Digest is the blob or manifest that a request wants to read, where it names
	// one. Tokens of Docker's flow do not look at it.
	Digest string `json:"-"`
}

// ErrToken is returned for a token that is not ours or not valid now.
var ErrToken = errors.New("invalid token")

// TokenLifetime is how long a registry token lasts.
const TokenLifetime = 15 * time.Minute

// Service name and issuer of registry tokens. The signing key tells deployments apart.
const (
	tokenService = "pratique"
	tokenIssuer  = "pratique"
)

type claims struct {
	jwt.RegisteredClaims
	UserID  int64    `json:"uid,omitempty"`
	KeyID   int64    `json:"key,omitempty"`
	RobotID int64    `json:"robot,omitempty"`
	Tag     string   `json:"tag,omitempty"`
	Access  []Access `json:"access"`
}

// tokens signs and reads registry tokens. Who signs is who reads, so a shared
// secret does.
type tokens struct {
	key    []byte
	now    func() time.Time
	parser *jwt.Parser
}

func newTokens(key []byte, now func() time.Time) *tokens {
	return &tokens{key: key, now: now, parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(tokenIssuer), jwt.WithAudience(tokenService),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
	)}
}

// sign makes a token for a principal that allows access.
func (t *tokens) sign(p Principal, access []Access) (token string, issued time.Time, err error) {
	issued = t.now().UTC().Truncate(time.Second)
	token, err = jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: tokenIssuer, Audience: jwt.ClaimStrings{tokenService}, Subject: p.Name, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(issued), NotBefore: jwt.NewNumericDate(issued), ExpiresAt: jwt.NewNumericDate(issued.Add(TokenLifetime)),
		},
		UserID: p.UserID, KeyID: p.KeyID, RobotID: p.RobotID, Tag: p.tag, Access: access,
	}).SignedString(t.key)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("sign token: %w", err)
	}
	return token, issued, nil
}

// read verifies a token. It does not know what became of its subject since.
func (t *tokens) read(token string) (c claims, err error) {
	if _, err := t.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return t.key, nil }); err != nil {
		return claims{}, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return c, nil
}
