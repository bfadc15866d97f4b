package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/pratique/pratique/internal/auth"
)

// Authenticator says who makes a request; *auth.Service is one.
type Authenticator interface {
	// Authenticate reads a Bearer API key, or Basic credentials: a user's name
	// and password, or the name "api" and an API key, or the cookie of a session.
	// It returns auth.ErrCredentials or auth.ErrThrottled where they are not right.
	Authenticate(r *http.Request) (auth.Principal, error)
}

type principalKey struct{}

// principal is who makes the request of an operation.
func principal(ctx context.Context) auth.Principal {
	p, _ := ctx.Value(principalKey{}).(auth.Principal)
	return p
}

// authenticate lets only known principals through.
func (a *API) authenticate(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	p, err := a.Authenticator.Authenticate(r)
	switch {
	case errors.Is(err, auth.ErrThrottled):
		w.Header().Set("Retry-After", "60")
		a.writeProblem(w, r, http.StatusTooManyRequests, err.Error())
	case err != nil && !errors.Is(err, auth.ErrCredentials):
		a.log.ErrorContext(ctx.Context(), "authentication failed", "error", err)
		a.writeProblem(w, r, http.StatusInternalServerError, "credentials could not be checked")
	case err != nil || p.Anonymous():
		w.Header().Set("WWW-Authenticate", challenge(r))
		a.writeProblem(w, r, http.StatusUnauthorized, "give an API key as a Bearer token, or a name and password")
	default:
		next(huma.WithValue(ctx, principalKey{}, p))
	}
}

// administrator lets only administrators through.
func (a *API) administrator(ctx huma.Context, next func(huma.Context)) {
	if !principal(ctx.Context()).Administrator {
		r, w := humago.Unwrap(ctx)
		a.writeProblem(w, r, http.StatusForbidden, "only administrators may do this")
		return
	}
	next(ctx)
}

// challenge is what to send credentials by. A browser would ask for a password in
// a window of its own, in front of our page that does.
func challenge(r *http.Request) string {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return `Bearer realm="Pratique"`
	}
	return `Basic realm="Pratique", charset="UTF-8"`
}
