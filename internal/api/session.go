package api

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/auth/oidc"
)

// Sessions signs people in with a cookie; *auth.Service is one.
type Sessions interface {
	// SignIn returns auth.ErrCredentials or auth.ErrThrottled.
	SignIn(r *http.Request, name, password string) (auth.Principal, auth.Session, string, error)
	SignOut(r *http.Request) error
	// Session returns auth.ErrCredentials where the request has none.
	Session(r *http.Request) (auth.Principal, auth.Session, error)
}

// SignedIn says who makes requests.
type SignedIn struct {
	User      *SignedInUser `json:"user" doc:"Null where nobody is signed in."`
	ExpiresAt *time.Time    `json:"expires_at" doc:"When the session ends, whatever happens; null where there is none."`
	SignIn    *SignInAt     `json:"sign_in" doc:"Where one can sign in other than with a password; null for nowhere, or where somebody is signed in."`
	Version   string        `json:"version,omitempty" doc:"The program's; absent where nobody is signed in."`
}

// SignInAt is a provider of sign-ins.
type SignInAt struct {
	Title string `json:"title"`
	Path  string `json:"path" doc:"Where to send the browser, to which ?to= may be added: where it comes back to."`
}

// SignedInUser is the user who makes a request.
type SignedInUser struct {
	ID            int64      `json:"id" doc:"0 for a robot."`
	Name          string     `json:"name"`
	Administrator bool       `json:"administrator"`
	Everywhere    []string   `json:"everywhere" nullable:"false" enum:"read,push,delete,assess,administer" doc:"What they may do in all registries."`
	Registries    []RightsIn `json:"registries" nullable:"false" doc:"What they may do in single registries, by name."`
}

// RightsIn is what someone may do in a registry.
type RightsIn struct {
	Registry string   `json:"registry"`
	Rights   []string `json:"rights" nullable:"false" enum:"read,push,delete,assess,administer"`
}

// withCookie is an answer that sets a cookie.
type withCookie struct {
	Cookie http.Cookie `header:"Set-Cookie"`
	Body   SignedIn
}

// requestOf is the HTTP request of an operation whose credentials are a cookie.
type requestOf struct{ r *http.Request }

// Resolve keeps the request.
func (o *requestOf) Resolve(ctx huma.Context) []error {
	o.r, _ = humago.Unwrap(ctx)
	return nil
}

func (a *API) session() {
	const tag = "session"
	register(a, operation{id: "get-session", method: http.MethodGet, path: "/session", tag: tag, public: true,
		summary: "Show who is signed in"}, a.showSession)
	register(a, operation{id: "sign-in", method: http.MethodPost, path: "/session", tag: tag, public: true,
		summary: "Sign in with a cookie", doc: "For browsers; programs send an API key. It ends the session that the request came with."}, a.signIn)
	register(a, operation{id: "sign-out", method: http.MethodDelete, path: "/session", tag: tag, public: true, status: http.StatusNoContent,
		summary: "Sign out"}, a.signOut)
}

func (a *API) signedIn(p auth.Principal, expires time.Time) SignedIn {
	user := &SignedInUser{ID: p.UserID, Name: p.Name, Administrator: p.Administrator, Everywhere: rightNames(p.Rights.Everywhere), Registries: []RightsIn{}}
	for _, name := range slices.Sorted(maps.Keys(p.Rights.Registries)) {
		user.Registries = append(user.Registries, RightsIn{name, rightNames(p.Rights.Registries[name])})
	}
	return SignedIn{User: user, ExpiresAt: orNil(expires), Version: a.version}
}

func rightNames(r auth.Right) []string {
	names := []string{}
	for _, known := range []struct {
		right auth.Right
		name  string
	}{{auth.Read, "read"}, {auth.Push, "push"}, {auth.Delete, "delete"}, {auth.Assess, "assess"}, {auth.Administer, "administer"}} {
		if r&known.right != 0 {
			names = append(names, known.name)
		}
	}
	return names
}

func (a *API) showSession(ctx context.Context, in *requestOf) (*one[SignedIn], error) {
	p, session, err := a.Sessions.Session(in.r)
	if errors.Is(err, auth.ErrCredentials) { // an API key, then
		p, err = a.Authenticator.Authenticate(in.r)
	}
	switch {
	case errors.Is(err, auth.ErrCredentials), errors.Is(err, auth.ErrThrottled), err == nil && p.Anonymous():
		at, err := a.SignIn.Provider(ctx)
		if err != nil || !at.Enabled {
			return &one[SignedIn]{}, err
		}
		return &one[SignedIn]{SignedIn{SignIn: &SignInAt{at.Title, oidc.StartPath}}}, nil
	case err != nil:
		return nil, err
	}
	return &one[SignedIn]{a.signedIn(p, session.ExpiresAt)}, nil
}

func (a *API) signIn(ctx context.Context, in *struct {
	requestOf
	Body struct {
		Name     string `json:"name" maxLength:"100"`
		Password string `json:"password" format:"password" maxLength:"1024"`
	}
}) (*withCookie, error) {
	p, session, secret, err := a.Sessions.SignIn(in.r, in.Body.Name, in.Body.Password)
	switch {
	case errors.Is(err, auth.ErrCredentials):
		a.log.WarnContext(ctx, "a sign-in failed", "remote", in.r.RemoteAddr)
		return nil, huma.Error401Unauthorized("the name or the password is not right")
	case errors.Is(err, auth.ErrThrottled):
		return nil, huma.ErrorWithHeaders(huma.Error429TooManyRequests(err.Error()), http.Header{"Retry-After": {"60"}})
	case err != nil:
		return nil, err
	}
	ctx = context.WithValue(ctx, principalKey{}, p)
	if err := a.audit(ctx, "session.create", "user "+p.Name, struct{}{}); err != nil {
		return nil, err
	}
	return &withCookie{*auth.SessionCookie(secret, a.secure(in.r)), a.signedIn(p, session.ExpiresAt)}, nil
}

func (a *API) signOut(_ context.Context, in *requestOf) (*struct {
	Cookie http.Cookie `header:"Set-Cookie"`
}, error) {
	if err := a.Sessions.SignOut(in.r); err != nil {
		return nil, err
	}
	return &struct {
		Cookie http.Cookie `header:"Set-Cookie"`
	}{*auth.SessionCookie("", a.secure(in.r))}, nil
}

// secure reports whether the browser came over TLS, which may end at a proxy.
func (a *API) secure(r *http.Request) bool {
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return true
	}
	base, err := url.Parse(a.baseURL(r.Context()))
	return err == nil && base.Scheme == "https" && base.Host == r.Host
}
