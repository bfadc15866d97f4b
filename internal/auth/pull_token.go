package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// PullUser is the user name that goes with a pull token in Basic authentication.
const PullUser = "pull-token"

// pullAudience keeps pull tokens and those of Docker's flow apart.
const pullAudience = "pratique-pull"

// Pull is what a vulnerability source may fetch: some blobs and manifests of one
// repository, whatever its policy says: what is blocked has to be looked at again.
type Pull struct {
	// Source is the vulnerability source's name.
	Source string
	// Repository is REGISTRY/REPOSITORY.
	Repository string
	// Digests are of blobs and manifests.
	Digests []string
}

type pullClaims struct {
	jwt.RegisteredClaims
	Repository string   `json:"repo"`
	Blobs      []string `json:"blobs"`
}

// PullToken makes a token that allows a pull until the lifetime is over. It is
// taken as a Bearer token, or as the password of the user PullUser.
func (g *Gatekeeper) PullToken(p Pull, lifetime time.Duration) (string, error) {
	now := g.service.opts.Now().UTC().Truncate(time.Second)
	c := pullClaims{RegisteredClaims: jwt.RegisteredClaims{
		Issuer: tokenIssuer, Audience: jwt.ClaimStrings{pullAudience}, Subject: p.Source, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(lifetime)),
	}, Repository: p.Repository}
	for _, d := range p.Digests {
		c.Blobs = append(c.Blobs, abridged(d))
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(g.tokens.key)
	if err != nil {
		return "", fmt.Errorf("sign pull token: %w", err)
	}
	return token, nil
}

// abridged keeps tokens for many blobs within a header: 96 bits tell blobs apart.
func abridged(digest string) string {
	sum := sha256.Sum256([]byte(digest))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// pull reads the pull token in credentials; ok is false where there is none, or
// none that is valid now.
func (g *Gatekeeper) pull(c credentials) (claims pullClaims, ok bool) {
	if c.scheme != schemeBearer && (c.scheme != schemeBasic || c.user != PullUser) || strings.Count(c.password, ".") != 2 {
		return claims, false
	}
	_, err := g.pulls.ParseWithClaims(c.password, &claims, func(*jwt.Token) (any, error) { return g.tokens.key, nil })
	return claims, err == nil
}

func newPullParser(now func() time.Time) *jwt.Parser {
	return jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithIssuer(tokenIssuer), jwt.WithAudience(pullAudience),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(now), jwt.WithStrictDecoding(),
	)
}

// byPull lets through what a pull token names, and nothing else.
func (g *Gatekeeper) byPull(r *http.Request, claims pullClaims, wants []Access) (Principal, error) {
	for _, want := range wants {
		if want.Type != "repository" || want.Name != claims.Repository || !slices.Equal(want.Actions, []string{"pull"}) ||
			want.Digest == "" || !slices.Contains(claims.Blobs, abridged(want.Digest)) {
			return Principal{}, g.unauthorized(r, wants, "the token does not allow this", "insufficient_scope")
		}
	}
	return Principal{Name: claims.Subject, Source: claims.Subject}, nil
}
