package oidc

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/pratique/pratique/internal/auth"
)

// Paths of the two steps.
const (
	StartPath    = "/auth/oidc/start"
	CallbackPath = "/auth/oidc/callback"
)

const (
	// patience bounds what is asked of the provider, in all.
	patience = 10 * time.Second
	// maxAnswer bounds its answers, in bytes.
	maxAnswer = 1 << 20
	// stateAge is how long somebody may take to sign in there.
	stateAge = 10 * time.Minute
	// discoveryAge is how long it is remembered where things are at the provider.
	discoveryAge = 10 * time.Minute
	maxGroups    = 500
)

// Sessions begins sessions; *auth.Service is one.
type Sessions interface {
	SignInAs(r *http.Request, i auth.Identity) (p auth.Principal, session auth.Session, secret string, created bool, err error)
}

// Options are the choices of a Service. The zero value is usable.
type Options struct {
	// BaseURL is where browsers find the server; nil or "" where it is not known.
	BaseURL func(context.Context) string
	// SignedIn is told who came, for the audit log.
	SignedIn func(ctx context.Context, name string, created bool) error
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	Log *slog.Logger
}

// Service signs people in. It is the handler of both paths.
type Service struct {
	store    Store
	sealer   Sealer
	sessions Sessions
	opts     Options
	client   *http.Client

	mu      sync.Mutex
	known   *oidc.Provider
	issuer  string
	forgets time.Time
}

// New returns the service.
func New(store Store, sealer Sealer, sessions Sessions, opts Options) *Service {
	if opts.BaseURL == nil {
		opts.BaseURL = func(context.Context) string { return "" }
	}
	if opts.SignedIn == nil {
		opts.SignedIn = func(context.Context, string, bool) error { return nil }
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	return &Service{store: store, sealer: sealer, sessions: sessions, opts: opts,
		client: &http.Client{Timeout: patience, Transport: bounded{http.DefaultTransport}}}
}

// bounded cuts answers off.
type bounded struct{ next http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.next.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, maxAnswer), res.Body}
	}
	return res, err
}

// Why a sign-in failed, as the page of sign-ins says it: see web/src/shell/SignIn.tsx.
const (
	unavailable = "unavailable" // the provider does not answer, or not as it should
	refused     = "refused"     // the provider let nobody in
	expired     = "expired"     // it took too long, or began in another browser
	badName     = "name"        // the name there can be none here
	taken       = "taken"       // the name is another's here
	failed      = "failed"
)

// ServeHTTP answers both steps. What goes wrong leads back to the page of sign-ins,
// on which a password does as ever.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Referrer-Policy", "no-referrer")
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		http.Error(w, "the resource takes GET", http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	ctx = oidc.ClientContext(ctx, s.client)
	step := s.start
	if r.URL.Path == CallbackPath {
		step = s.callback
	}
	why, err := step(ctx, w, r)
	if why == "" {
		return
	}
	s.opts.Log.WarnContext(ctx, "a sign-in at the provider failed", "why", why, "remote", r.RemoteAddr, "error", err)
	http.Redirect(w, r, "/sign-in?failed="+why, http.StatusSeeOther)
}

// provider asks where things are, unless that is known.
func (s *Service) provider(ctx context.Context, issuer string) (*oidc.Provider, error) {
	s.mu.Lock()
	known, of, until := s.known, s.issuer, s.forgets
	s.mu.Unlock()
	if known != nil && of == issuer && s.opts.Now().Before(until) {
		return known, nil
	}
	// The keys are asked for later, with a context of their own.
	found, err := oidc.NewProvider(ctx, issuer)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known, s.issuer, s.forgets = found, issuer, s.opts.Now().Add(discoveryAge)
	return found, nil
}

func (s *Service) oauth(p Provider, found *oidc.Provider, secret string, r *http.Request) oauth2.Config {
	return oauth2.Config{ClientID: p.ClientID, ClientSecret: secret, Endpoint: found.Endpoint(), RedirectURL: s.base(r) + CallbackPath,
		Scopes: append([]string{oidc.ScopeOpenID}, strings.Fields(p.Scopes)...)}
}

// base is where the browser finds us.
func (s *Service) base(r *http.Request) string {
	if base := strings.TrimSuffix(s.opts.BaseURL(r.Context()), "/"); base != "" {
		return base
	}
	if s.secure(r) {
		return "https://" + r.Host
	}
	return "http://" + r.Host
}

// secure reports whether the browser came over TLS, which may end at a proxy.
func (s *Service) secure(r *http.Request) bool {
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		return true
	}
	base, err := url.Parse(s.opts.BaseURL(r.Context()))
	return err == nil && base.Scheme == "https" && base.Host == r.Host
}

// state is what a sign-in has to come back with. It is in a cookie that only we can
// read, so that every replica can go on with it.
type state struct {
	State, Nonce, Verifier, Issuer, To string
	Until                              time.Time
}

func (s *Service) cookie(r *http.Request, value string) *http.Cookie {
	// Lax: the provider sends the browser here from another site.
	c := &http.Cookie{Name: "pratique_sign_in", Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(stateAge / time.Second)}
	if s.secure(r) {
		c.Name, c.Secure = "__Host-"+c.Name, true
	}
	if value == "" {
		c.MaxAge = -1
	}
	return c
}

// start sends the browser to the provider.
func (s *Service) start(ctx context.Context, w http.ResponseWriter, r *http.Request) (why string, err error) {
	p, err := s.store.Provider(ctx)
	if err != nil {
		return failed, err
	}
	if !p.Enabled {
		return failed, errors.New("it is not enabled")
	}
	found, err := s.provider(ctx, p.Issuer)
	if err != nil {
		return unavailable, err
	}
	secret, err := s.clientSecret(p)
	if err != nil {
		return failed, err
	}
	st := state{State: oauth2.GenerateVerifier(), Nonce: oauth2.GenerateVerifier(), Verifier: oauth2.GenerateVerifier(), Issuer: p.Issuer,
		To: own(r.URL.Query().Get("to")), Until: s.opts.Now().Add(stateAge)}
	text, err := json.Marshal(st)
	if err != nil {
		return failed, err
	}
	http.SetCookie(w, s.cookie(r, base64.RawURLEncoding.EncodeToString(s.sealer.Seal(statePurpose, text))))
	config := s.oauth(p, found, secret, r)
	http.Redirect(w, r, config.AuthCodeURL(st.State, oidc.Nonce(st.Nonce), oauth2.S256ChallengeOption(st.Verifier)), http.StatusSeeOther)
	return "", nil
}

// own is a path of ours; "/" for what leads anywhere else.
func own(path string) string {
	u, err := url.Parse(path)
	if err != nil || u.IsAbs() || u.Host != "" || len(path) > 1000 || !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.ContainsAny(path, "\\\r\n\t") {
		return "/"
	}
	return path
}

// callback takes what the provider sends the browser back with.
func (s *Service) callback(ctx context.Context, w http.ResponseWriter, r *http.Request) (why string, err error) {
	st, err := s.state(r)
	http.SetCookie(w, s.cookie(r, "")) // it serves once
	if err != nil {
		return expired, err
	}
	query := r.URL.Query()
	if query.Get("error") != "" {
		return refused, fmt.Errorf("the provider says %.200q", query.Get("error"))
	}
	p, err := s.store.Provider(ctx)
	switch {
	case err != nil:
		return failed, err
	case !p.Enabled || p.Issuer != st.Issuer:
		return expired, errors.New("the provider was changed meanwhile")
	}
	identity, why, err := s.identity(ctx, r, p, st, query.Get("code"))
	if err != nil {
		return why, err
	}
	principal, _, secret, created, err := s.sessions.SignInAs(r, identity)
	var field *auth.FieldError
	switch {
	case errors.As(err, &field):
		return badName, err
	case errors.Is(err, auth.ErrExists):
		return taken, err
	case err != nil:
		return failed, err
	}
	if err := s.opts.SignedIn(ctx, principal.Name, created); err != nil {
		return failed, err
	}
	http.SetCookie(w, auth.SessionCookie(secret, s.secure(r)))
	http.Redirect(w, r, st.To, http.StatusSeeOther)
	return "", nil
}

// state reads the cookie, and whether the browser comes back with what it went with.
func (s *Service) state(r *http.Request) (st state, err error) {
	c, err := r.Cookie(s.cookie(r, "").Name)
	if err != nil {
		return st, errors.New("the browser has no sign-in under way")
	}
	sealed, err := base64.RawURLEncoding.DecodeString(c.Value)
	if err != nil {
		return st, errors.New("the cookie is malformed")
	}
	text, err := s.sealer.Open(statePurpose, sealed)
	if err != nil {
		return st, fmt.Errorf("the cookie is not ours: %w", err)
	}
	if err := json.Unmarshal(text, &st); err != nil {
		return st, err
	}
	switch {
	case st.State == "" || r.URL.Query().Get("state") != st.State:
		return st, errors.New("the state is another")
	case !s.opts.Now().Before(st.Until):
		return st, errors.New("it took too long")
	}
	return st, nil
}

// identity exchanges the code, and reads who it is for.
func (s *Service) identity(ctx context.Context, r *http.Request, p Provider, st state, code string) (i auth.Identity, why string, err error) {
	found, err := s.provider(ctx, p.Issuer)
	if err != nil {
		return i, unavailable, err
	}
	secret, err := s.clientSecret(p)
	if err != nil {
		return i, failed, err
	}
	config := s.oauth(p, found, secret, r)
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(st.Verifier))
	if err != nil {
		var answered *oauth2.RetrieveError
		if errors.As(err, &answered) {
			return i, refused, err
		}
		return i, unavailable, err
	}
	raw, _ := token.Extra("id_token").(string)
	// The keys are those of now: a key that is not known is asked for. What is signed
	// with none, or for others, is refused.
	verified, err := found.VerifierContext(ctx, &oidc.Config{ClientID: p.ClientID, Now: s.opts.Now}).Verify(ctx, raw)
	if err != nil {
		return i, refused, err
	}
	if verified.Nonce != st.Nonce {
		return i, refused, errors.New("the nonce is another")
	}
	if verified.Subject == "" || len(verified.Subject) > 1000 {
		return i, refused, errors.New("the token is nobody's")
	}
	claims := map[string]any{}
	if err := verified.Claims(&claims); err != nil {
		return i, refused, err
	}
	if found.UserInfoEndpoint() != "" && (claims[p.NameClaim] == nil || p.GroupsClaim != "" && claims[p.GroupsClaim] == nil) {
		info, err := found.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return i, unavailable, err
		}
		if info.Subject != verified.Subject {
			return i, refused, errors.New("the user info is another's")
		}
		more := map[string]any{}
		if err := info.Claims(&more); err != nil {
			return i, refused, err
		}
		for name, value := range more {
			if claims[name] == nil {
				claims[name] = value
			}
		}
	}
	i = auth.Identity{Issuer: p.Issuer, Subject: verified.Subject, Groups: texts(claims[p.GroupsClaim])}
	if i.Name, _ = claims[p.NameClaim].(string); i.Name == "" {
		return i, badName, fmt.Errorf("there is no claim %s", p.NameClaim)
	}
	return i, "", nil
}

// texts are the groups of a claim, which is a list, or one alone.
func texts(claim any) (list []string) {
	switch claim := claim.(type) {
	case string:
		list = []string{claim}
	case []any:
		for _, item := range claim {
			if text, ok := item.(string); ok && len(list) < maxGroups {
				list = append(list, text)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
