package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/oci/registry"
)

// Authenticator says who makes a request; *auth.Service is one.
type Authenticator interface {
	// Authenticate reads a Bearer API key, or Basic credentials: a user's name
	// and password, or the name "api" and an API key, or a robot's name and secret,
	// or the cookie of a session. It returns auth.ErrCredentials or
	// auth.ErrThrottled where they are not right.
	Authenticate(r *http.Request) (auth.Principal, error)
}

type principalKey struct{}

// principal is who makes the request of an operation.
func principal(ctx context.Context) auth.Principal {
	p, _ := ctx.Value(principalKey{}).(auth.Principal)
	return p
}

// place is where a right has to be had.
type place int

const (
	byPath         place = iota // as its path and method say: see rule
	anyone                      // nowhere
	signedIn                    // nowhere, by who is known; the handler looks at rights itself
	ownAccount                  // nowhere, by a user who looks after their own account
	everywhere                  // in all registries
	inRegistry                  // in that of the path
	ofImage                     // in one that holds the image of the path
	administrators              // nowhere, by administrators alone
)

// access is who may call an operation.
type access struct {
	place place
	right auth.Right
}

// rule is who may call the operation. What says nothing is for few.
func (op operation) rule() access {
	reads := op.method == http.MethodGet
	switch {
	case op.public:
		return access{place: anyone}
	case op.administrators:
		return access{place: administrators}
	case op.access.place != byPath:
		return op.access
	case strings.Contains(op.path, "{registry}") && reads:
		return access{inRegistry, auth.Read}
	case strings.Contains(op.path, "{registry}"):
		return access{inRegistry, auth.Administer}
	case strings.Contains(op.path, "/images/{digest}") && reads:
		return access{ofImage, auth.Read}
	case reads:
		return access{everywhere, auth.Read}
	}
	return access{place: administrators}
}

// verbs are what rights allow, in words.
var verbs = map[auth.Right]string{auth.Read: "read", auth.Push: "push to", auth.Delete: "delete in", auth.Assess: "assess in", auth.Administer: "administer"}

// String is a sentence for the description; "" for what needs none.
func (a access) String() string {
	switch {
	case a.place == administrators:
		return "For administrators."
	case a.place == ownAccount:
		return "For users, and API keys that are not limited."
	case a.place == everywhere:
		return "For who may " + verbs[a.right] + " all registries."
	case a.place == ofImage && a.right != auth.Read:
		return "For who may " + verbs[a.right] + " a registry that holds the image."
	case a.place == inRegistry && a.right != auth.Read:
		return "For who may " + verbs[a.right] + " the registry."
	}
	return ""
}

// middlewares let through who the rule names.
func (a *API) middlewares(rule access) huma.Middlewares {
	if rule.place == anyone {
		return nil
	}
	return huma.Middlewares{a.authenticate, func(ctx huma.Context, next func(huma.Context)) {
		r, w := humago.Unwrap(ctx)
		switch err := a.allow(ctx.Context(), rule, ctx.Param); {
		case err == nil:
			next(ctx)
		case errors.Is(err, errHidden):
			a.writeProblem(w, r, http.StatusNotFound, strings.TrimSuffix(err.Error(), ": "+errHidden.Error()))
		case errors.Is(err, errForbidden):
			a.writeProblem(w, r, http.StatusForbidden, err.Error())
		default:
			a.log.ErrorContext(ctx.Context(), "rights were not looked up", "path", r.URL.Path, "error", err)
			a.writeProblem(w, r, http.StatusInternalServerError, "rights could not be looked up")
		}
	}}
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

// forbiddenError says what one may not do.
type forbiddenError struct{ reason string }

func (e forbiddenError) Error() string        { return e.reason }
func (e forbiddenError) Is(target error) bool { return target == errForbidden }

var (
	errForbidden = errors.New("forbidden")
	// errHidden is for what one may not know of: it is answered like what is not there.
	errHidden = errors.New("hidden")
)

// allow looks whether the principal is among those of a rule.
func (a *API) allow(ctx context.Context, rule access, param func(string) string) error {
	p := principal(ctx)
	switch rule.place {
	case administrators:
		if !p.Administrator {
			return forbiddenError{"only administrators may do this"}
		}
	case ownAccount:
		if !p.OwnsAccount() {
			return forbiddenError{auth.ErrOwnAlone.Error()}
		}
	case everywhere:
		if !p.MayEverywhere(rule.right) {
			return forbiddenError{"only who may " + verbs[rule.right] + " all registries may do this"}
		}
	case inRegistry:
		return mayIn(p, rule.right, param("registry"))
	case ofImage:
		if p.MayEverywhere(rule.right) {
			return nil // which is not looked up for
		}
		places, err := a.locations(ctx, param("digest"))
		switch {
		case err != nil:
			return err
		case len(places) == 0:
			return fmt.Errorf("image %s: not found: %w", param("digest"), errHidden)
		case !slices.ContainsFunc(places, func(l assess.Location) bool { return p.May(rule.right, l.Registry) }):
			return forbiddenError{"only who may " + verbs[rule.right] + " a registry that holds the image may do this"}
		}
	}
	return nil
}

// mayIn refuses who has not a right in a registry; of one that they may not read
// they do not learn that it exists.
func mayIn(p auth.Principal, right auth.Right, name string) error {
	switch {
	case p.May(right, name):
		return nil
	case !p.May(auth.Read, name):
		return fmt.Errorf("registry %q: %w: %w", name, registry.ErrRegistryUnknown, errHidden)
	}
	return forbiddenError{"you may not " + verbs[right] + " registry " + name}
}

// locations are where an image is, of what the principal may read.
func (a *API) locations(ctx context.Context, digest string) ([]assess.Location, error) {
	all, err := a.Images.ImageLocations(ctx, digest)
	if err != nil {
		return nil, err
	}
	p := principal(ctx)
	return slices.DeleteFunc(all, func(l assess.Location) bool { return !p.May(auth.Read, l.Registry) }), nil
}

// readable are the registries to which lists are restricted; nil for all.
func readable(ctx context.Context) []string {
	r := principal(ctx).Readable()
	if r.All {
		return nil
	}
	return append([]string{}, r.Names...)
}

// mayAssess refuses who may not decide in a scope. One that is none is refused later.
func (a *API) mayAssess(ctx context.Context, s assess.Scope) error {
	p := principal(ctx)
	if p.MayEverywhere(auth.Assess) {
		return nil
	}
	switch s.Kind {
	case assess.Registry:
		return mayIn(p, auth.Assess, s.Value)
	case assess.Repository:
		name, _, _ := strings.Cut(s.Value, "/")
		return mayIn(p, auth.Assess, name)
	case assess.Image:
		all, err := a.Images.ImageLocations(ctx, s.Value)
		if err != nil {
			return err
		}
		if len(all) == 0 || !slices.ContainsFunc(all, func(l assess.Location) bool { return p.May(auth.Read, l.Registry) }) {
			return fmt.Errorf("image %s: not found: %w", s.Value, errHidden)
		}
		for _, l := range all {
			if !p.May(auth.Assess, l.Registry) {
				return forbiddenError{"only who may assess in all registries that hold the image may do this"}
			}
		}
		return nil
	}
	return forbiddenError{"only who may assess in all registries may do this"}
}

// sees reports whether the principal may know of an assessment in a scope.
func (a *API) sees(ctx context.Context, s assess.Scope) (bool, error) {
	p := principal(ctx)
	if p.MayEverywhere(auth.Read) {
		return true, nil
	}
	switch s.Kind {
	case assess.Registry:
		return p.May(auth.Read, s.Value), nil
	case assess.Repository:
		name, _, _ := strings.Cut(s.Value, "/")
		return p.May(auth.Read, name), nil
	case assess.Image:
		places, err := a.locations(ctx, s.Value)
		return len(places) > 0, err
	}
	return true, nil
}

// challenge is what to send credentials by. A browser would ask for a password in
// a window of its own, in front of our page that does.
func challenge(r *http.Request) string {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" && mode != "navigate" {
		return `Bearer realm="Pratique"`
	}
	return `Basic realm="Pratique", charset="UTF-8"`
}
