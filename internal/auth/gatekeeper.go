package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Denied is a request that may not go on.
type Denied struct {
	// Status is 401, 403 or 429.
	Status int
	// Challenge is the WWW-Authenticate header, "" where there is none.
	Challenge string
	Reason    string
}

func (d *Denied) Error() string { return d.Reason }

// Gatekeeper decides who may do what in the registry: by Basic credentials, by
// API key, or by a token of Docker's flow that it issues itself
// (https://distribution.github.io/distribution/spec/auth/token/).
//
// Who is signed in may do what their roles allow; others may pull where the
// registry lets anyone.
type Gatekeeper struct {
	service *Service
	tokens  *tokens
	base    func(context.Context) string
	pulls   *jwt.Parser
	open    *memory[bool]
}

// NewGatekeeper returns a gatekeeper whose token endpoint is found at
// baseURL/v2/_auth; at the host that a request names where that is "".
func NewGatekeeper(ctx context.Context, service *Service, baseURL func(context.Context) string) (*Gatekeeper, error) {
	fresh := make([]byte, 32)
	_, _ = rand.Read(fresh) // never fails
	key, err := service.store.Secret(ctx, "registry-token", fresh)
	if err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	return &Gatekeeper{
		service: service, tokens: newTokens(key, service.opts.Now), pulls: newPullParser(service.opts.Now), base: baseURL,
		open: newMemory[bool](time.Second, service.opts.Now),
	}, nil
}

// Invalidate forgets which registries are open to anyone, and who may do what.
func (g *Gatekeeper) Invalidate() {
	g.open.clear()
	g.service.Invalidate()
}

// Authorize returns who makes the request, where they may have all that it
// wants, else a *Denied. A request that wants nothing is one that asks whether
// its credentials are right.
func (g *Gatekeeper) Authorize(r *http.Request, wants ...Access) (Principal, error) {
	c := credentialsOf(r)
	if claims, ok := g.pull(c); ok {
		return g.byPull(r, claims, wants)
	}
	if c.scheme == schemeBearer && !strings.HasPrefix(c.password, keyPrefix) && !strings.HasPrefix(c.password, robotPrefix) {
		return g.byToken(r, c.password, wants)
	}
	if c.scheme == schemeNone {
		if len(wants) > 0 {
			allowed, err := g.allAllowed(r.Context(), Principal{}, wants)
			if err != nil || allowed {
				return Principal{}, err
			}
		}
		return Principal{}, g.unauthorized(r, wants, "authentication is required", "")
	}
	p, err := g.service.check(r.Context(), c, remoteHost(r))
	switch {
	case errors.Is(err, ErrCredentials):
		return Principal{}, g.unauthorized(r, wants, "the credentials are not right", "")
	case errors.Is(err, ErrThrottled):
		return Principal{}, &Denied{Status: http.StatusTooManyRequests, Reason: err.Error()}
	case err != nil:
		return Principal{}, err
	}
	if allowed, err := g.allAllowed(r.Context(), p, wants); err != nil {
		return Principal{}, err
	} else if !allowed {
		return Principal{}, forbidden(p, wants)
	}
	return p, nil
}

// forbidden is the refusal of who is known, and may not: to sign in again would not help.
func forbidden(p Principal, wants []Access) *Denied {
	actions := make([]string, len(wants))
	for i, want := range wants {
		actions[i] = strings.Join(want.Actions, " and ") + " " + want.Name
	}
	return &Denied{Status: http.StatusForbidden, Reason: p.Name + " may not " + strings.Join(actions, ", nor ")}
}

func (g *Gatekeeper) byToken(r *http.Request, token string, wants []Access) (Principal, error) {
	c, err := g.tokens.read(token)
	if err != nil {
		return Principal{}, g.unauthorized(r, wants, "the token is not valid", "invalid_token")
	}
	var p Principal
	if of := (Subject{UserID: c.UserID, KeyID: c.KeyID, RobotID: c.RobotID}); of != (Subject{}) {
		// What was deleted since, or has another secret, may do nothing any more.
		if p, err = g.service.stand(r.Context(), of, c.Tag); errors.Is(err, ErrCredentials) {
			return Principal{}, g.unauthorized(r, wants, "the token is not valid any more", "invalid_token")
		} else if err != nil {
			return Principal{}, err
		}
	}
	for _, want := range wants {
		if !covered(want, c.Access) {
			return Principal{}, g.unauthorized(r, wants, "the token does not allow this", "insufficient_scope")
		}
	}
	// What someone may do can change within the life of a token.
	if allowed, err := g.allAllowed(r.Context(), p, wants); err != nil {
		return Principal{}, err
	} else if !allowed && !p.Anonymous() {
		return Principal{}, forbidden(p, wants)
	} else if !allowed {
		return Principal{}, g.unauthorized(r, wants, "authentication is required", "")
	}
	return p, nil
}

func covered(want Access, access []Access) bool {
	for _, action := range want.Actions {
		if !slices.ContainsFunc(access, func(a Access) bool {
			return a.Type == want.Type && a.Name == want.Name && slices.Contains(a.Actions, action)
		}) {
			return false
		}
	}
	return true
}

func (g *Gatekeeper) allAllowed(ctx context.Context, p Principal, wants []Access) (bool, error) {
	for _, want := range wants {
		granted, err := g.grant(ctx, p, want)
		if err != nil || len(granted) < len(want.Actions) {
			return false, err
		}
	}
	return true, nil
}

// May reports whether a principal may have access.
func (g *Gatekeeper) May(ctx context.Context, p Principal, want Access) (bool, error) {
	return g.allAllowed(ctx, p, []Access{want})
}

// grant returns those of the wanted actions that a principal may do.
func (g *Gatekeeper) grant(ctx context.Context, p Principal, want Access) ([]string, error) {
	if !p.Anonymous() {
		return p.granted(want), nil
	}
	if want.Type != "repository" || !slices.Contains(want.Actions, "pull") {
		return nil, nil
	}
	registry, _, _ := strings.Cut(want.Name, "/")
	key := sha256.Sum256([]byte(registry))
	open, known := g.open.get(key)
	if !known {
		var err error
		epoch := g.open.epoch()
		if open, err = g.service.store.AnonymousPull(ctx, registry); err != nil {
			return nil, err
		}
		g.open.put(epoch, key, open)
	}
	if !open {
		return nil, nil
	}
	return []string{"pull"}, nil
}

// actionRights are what the actions of a repository need.
var actionRights = map[string]Right{"pull": Read, "push": Push, "delete": Delete}

// granted returns those of the wanted actions that are allowed by the roles of a
// principal who is signed in.
func (p Principal) granted(want Access) []string {
	if want.Type == "registry" && want.Name == "catalog" {
		return want.Actions // what is listed is another question
	}
	if want.Type != "repository" {
		return nil
	}
	registry, _, _ := strings.Cut(want.Name, "/")
	rights := p.Rights.In(registry)
	granted := make([]string, 0, len(want.Actions))
	for _, action := range want.Actions {
		if right := actionRights[action]; right != 0 && rights&right != 0 {
			granted = append(granted, action)
		} else if action == "*" { // as who deletes ask for
			for _, action := range []string{"pull", "push", "delete"} {
				if rights&actionRights[action] != 0 {
					granted = append(granted, action)
				}
			}
		}
	}
	return granted
}

// unauthorized makes the challenge. klar reads realm, service and scope in this
// order, without spaces.
func (g *Gatekeeper) unauthorized(r *http.Request, wants []Access, reason, code string) *Denied {
	base := strings.TrimSuffix(g.base(r.Context()), "/")
	if base == "" {
		base = "http://" + r.Host
		if r.TLS != nil {
			base = "https://" + r.Host
		}
	}
	challenge := fmt.Sprintf("Bearer realm=%q,service=%q", base+"/v2/_auth", tokenService)
	if len(wants) > 0 {
		scopes := make([]string, len(wants))
		for i, want := range wants {
			scopes[i] = want.Type + ":" + want.Name + ":" + strings.Join(want.Actions, ",")
		}
		challenge += fmt.Sprintf(",scope=%q", strings.Join(scopes, " "))
	}
	if code != "" {
		challenge += fmt.Sprintf(",error=%q", code)
	}
	return &Denied{Status: http.StatusUnauthorized, Challenge: challenge, Reason: reason}
}

// ServeHTTP is the token endpoint: GET with Basic credentials or none, or POST
// with an OAuth 2 password grant, as Docker and containerd send.
func (g *Gatekeeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	c, scopes := credentialsOf(r), r.URL.Query()["scope"]
	switch r.Method {
	case http.MethodGet:
	case http.MethodPost:
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		if err := r.ParseForm(); err != nil {
			refuseToken(w, http.StatusBadRequest, "invalid_request")
			return
		}
		if r.PostForm.Get("grant_type") != "password" {
			refuseToken(w, http.StatusBadRequest, "unsupported_grant_type")
			return
		}
		c = credentials{scheme: schemeBasic, user: r.PostForm.Get("username"), password: r.PostForm.Get("password")}
		scopes = r.PostForm["scope"]
	default:
		w.Header().Set("Allow", "GET, POST")
		refuseToken(w, http.StatusMethodNotAllowed, "invalid_request")
		return
	}
	if claims, ok := g.pull(c); ok {
		// It is what the client asks for already.
		g.answerToken(w, c.password, claims.IssuedAt.Time, claims.ExpiresAt.Sub(g.service.opts.Now()))
		return
	}
	var p Principal
	if c.scheme != schemeNone {
		var err error
		p, err = g.service.check(r.Context(), c, remoteHost(r))
		switch {
		case errors.Is(err, ErrCredentials):
			w.Header().Set("WWW-Authenticate", `Basic realm="Pratique"`)
			refuseToken(w, http.StatusUnauthorized, "invalid_grant")
			return
		case errors.Is(err, ErrThrottled):
			w.Header().Set("Retry-After", "60")
			refuseToken(w, http.StatusTooManyRequests, "slow_down")
			return
		case err != nil:
			g.fail(w, r, err)
			return
		}
	}
	access, err := g.access(r.Context(), p, scopes)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	token, issued, err := g.tokens.sign(p, access)
	if err != nil {
		g.fail(w, r, err)
		return
	}
	g.answerToken(w, token, issued, TokenLifetime)
}

func (g *Gatekeeper) answerToken(w http.ResponseWriter, token string, issued time.Time, lifetime time.Duration) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(struct { // a client that has gone needs no answer
		Token       string    `json:"token"`
		AccessToken string    `json:"access_token"`
		ExpiresIn   int       `json:"expires_in"`
		IssuedAt    time.Time `json:"issued_at"`
	}{token, token, int(lifetime.Seconds()), issued})
}

// access grants what is asked as far as the principal may have it.
func (g *Gatekeeper) access(ctx context.Context, p Principal, scopes []string) ([]Access, error) {
	const maxScopes = 100
	access := []Access{}
	for _, scope := range strings.Fields(strings.Join(scopes, " ")) {
		kind, rest, _ := strings.Cut(scope, ":")
		colon := strings.LastIndexByte(rest, ':')
		if colon < 0 || len(access) == maxScopes {
			continue
		}
		granted, err := g.grant(ctx, p, Access{Type: kind, Name: rest[:colon], Actions: strings.Split(rest[colon+1:], ",")})
		if err != nil {
			return nil, err
		}
		if len(granted) > 0 {
			access = append(access, Access{Type: kind, Name: rest[:colon], Actions: granted})
		}
	}
	return access, nil
}

func refuseToken(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
}

func (g *Gatekeeper) fail(w http.ResponseWriter, r *http.Request, err error) {
	g.service.opts.Logger.ErrorContext(r.Context(), "token was not issued", "error", err)
	refuseToken(w, http.StatusInternalServerError, "server_error")
}
