package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const password = "correct horse"

type fixture struct {
	*auth.Gatekeeper
	service *auth.Service
	store   *store.Store
	clock   *clock
	admin   auth.User
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	c := &clock{now: time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)}
	s := storetest.SQLite(t, store.Options{Now: c.Now})
	service := auth.New(s, auth.Options{Now: c.Now})
	if _, err := service.EnsureAdmin(t.Context(), password); err != nil {
		t.Fatal(err)
	}
	admin, _, err := s.UserByName(t.Context(), "admin")
	if err != nil {
		t.Fatal(err)
	}
	for name, open := range map[string]bool{"main": false, "open": true} {
		if _, err := s.CreateRegistry(t.Context(), registry.Registry{Name: name, AnonymousPull: open, Policy: "{}"}); err != nil {
			t.Fatal(err)
		}
	}
	g, err := auth.NewGatekeeper(t.Context(), service, func(context.Context) string { return "https://registry.example" })
	if err != nil {
		t.Fatal(err)
	}
	return fixture{g, service, s, c, admin}
}

func (f fixture) token(t *testing.T, scope, user, secret string) (token string, status int) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/v2/_auth?"+url.Values{"scope": {scope}, "service": {"pratique"}}.Encode(), nil)
	if user != "" {
		r.SetBasicAuth(user, secret)
	}
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
		ExpiresIn   int    `json:"expires_in"`
	}
	if w.Code == http.StatusOK {
		if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
			t.Fatal(err)
		}
		if answer.Token != answer.AccessToken || answer.ExpiresIn != 900 {
			t.Errorf("answer %+v", answer)
		}
	}
	return answer.Token, w.Code
}

// allowed reports the status of a refusal, 200 for none.
func (f fixture) allowed(t *testing.T, authorization, name string, actions ...string) int {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/v2/x", nil)
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	_, err := f.Authorize(r, auth.Access{Type: "repository", Name: name, Actions: actions})
	var denied *auth.Denied
	if errors.As(err, &denied) {
		if denied.Status == http.StatusUnauthorized && !strings.HasPrefix(denied.Challenge,
			`Bearer realm="https://registry.example/v2/_auth",service="pratique",scope="repository:`+name+":"+strings.Join(actions, ",")+`"`) {
			t.Errorf("challenge %s", denied.Challenge)
		}
		return denied.Status
	}
	if err != nil {
		t.Fatal(err)
	}
	return http.StatusOK
}

func TestTokensAllowWhatTheySay(t *testing.T) {
	f := newFixture(t)
	token, status := f.token(t, "repository:main/app:pull", "admin", password)
	if status != http.StatusOK {
		t.Fatal(status)
	}
	bearer := "Bearer " + token
	for _, test := range []struct {
		name, authorization, repository string
		actions                         []string
		want                            int
	}{
		{"as granted", bearer, "main/app", []string{"pull"}, 200},
		{"another action", bearer, "main/app", []string{"pull", "push"}, 401},
		{"another repository", bearer, "main/app2", []string{"pull"}, 401},
		{"nobody", "", "main/app", []string{"pull"}, 401},
		{"nobody, open registry", "", "open/app", []string{"pull"}, 200},
		{"nobody may push", "", "open/app", []string{"pull", "push"}, 401},
		{"no such registry", "", "none/app", []string{"pull"}, 401},
		{"not ours", "Digest x", "main/app", []string{"pull"}, 401},
	} {
		if got := f.allowed(t, test.authorization, test.repository, test.actions...); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
	f.clock.advance(auth.TokenLifetime + time.Second)
	if got := f.allowed(t, bearer, "main/app", "pull"); got != 401 {
		t.Errorf("expired: %d", got)
	}
}

// TestWiderScopes: a token allows what was asked for as far as it may be granted, and
// what was granted only for as long as it may be.
func TestWiderScopes(t *testing.T) {
	f := newFixture(t)
	if _, err := f.service.CreateUser(t.Context(), "ann", password, false); err != nil {
		t.Fatal(err)
	}
	granted, err := f.store.Grant(t.Context(), auth.RoleGrant{Grant: auth.Grant{Registry: "main", Role: "read"}, To: auth.Grantee{Kind: auth.ToUser, Name: "ann"}})
	if err != nil {
		t.Fatal(err)
	}
	token, status := f.token(t, "repository:main/app:pull,push,delete,* repository:open/app:pull,push repository:none/app:pull registry:catalog:*", "ann", password)
	if status != http.StatusOK {
		t.Fatal(status)
	}
	for _, test := range []struct {
		name, repository string
		actions          []string
		want             int
	}{
		{"as granted", "main/app", []string{"pull"}, 200},
		{"wider than the role", "main/app", []string{"pull", "push"}, 401},
		{"to delete", "main/app", []string{"delete"}, 401},
		{"all", "main/app", []string{"*"}, 401},
		{"open to read", "open/app", []string{"pull"}, 200},
		{"open to push", "open/app", []string{"push"}, 401},
		{"no registry", "none/app", []string{"pull"}, 401},
	} {
		if got := f.allowed(t, "Bearer "+token, test.repository, test.actions...); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
	if _, err := f.service.RevokeRole(t.Context(), granted.ID, "main"); err != nil {
		t.Fatal(err)
	}
	if got := f.allowed(t, "Bearer "+token, "main/app", "pull"); got != 403 {
		t.Errorf("wider than the role is now: %d", got)
	}
}

func TestForgedTokens(t *testing.T) {
	f, other := newFixture(t), newFixture(t)
	foreign, _ := other.token(t, "repository:main/app:pull", "admin", password)
	standing, err := f.store.Standing(t.Context(), auth.Subject{UserID: 1})
	if err != nil {
		t.Fatal(err)
	}
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{
			"tag": standing.Tag, "iss": "pratique", "aud": "pratique", "sub": "admin", "uid": 1, "exp": f.clock.Now().Add(time.Minute).Unix(),
			"access": []auth.Access{{Type: "repository", Name: "main/app", Actions: []string{"pull"}}},
		}
		change(c)
		return c
	}
	key, err := f.store.Secret(t.Context(), "registry-token", []byte("there is one already"))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(method jwt.SigningMethod, key any, change func(jwt.MapClaims)) string {
		t.Helper()
		token, err := jwt.NewWithClaims(method, claims(change)).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	same := func(jwt.MapClaims) {}
	if got := f.allowed(t, "Bearer "+sign(jwt.SigningMethodHS256, key, same), "main/app", "pull"); got != 200 {
		t.Fatalf("the control: %d", got)
	}
	for name, token := range map[string]string{
		"of another deployment":  foreign,
		"alg none":               sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, same),
		"another algorithm":      sign(jwt.SigningMethodHS512, key, same),
		"another key":            sign(jwt.SigningMethodHS256, []byte("guess"), same),
		"another audience":       sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["aud"] = "other" }),
		"another issuer":         sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["iss"] = "other" }),
		"no expiry":              sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { delete(c, "exp") }),
		"expired":                sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["exp"] = f.clock.Now().Add(-time.Minute).Unix() }),
		"of another password":    sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["tag"] = strings.Repeat("0", 24) }),
		"without a password":     sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { delete(c, "tag") }),
		"of somebody who is not": sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["uid"] = 99 }),
		"for another repository": sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) {
			c["access"] = []auth.Access{{Type: "repository", Name: "main/app2", Actions: []string{"pull"}}}
		}),
		"for another action": sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) {
			c["access"] = []auth.Access{{Type: "repository", Name: "main/app", Actions: []string{"push"}}}
		}),
		"not yet valid": sign(jwt.SigningMethodHS256, key, func(c jwt.MapClaims) { c["nbf"] = f.clock.Now().Add(time.Minute).Unix() }),
		"empty":         "",
		"three dots":    "...",
	} {
		if got := f.allowed(t, "Bearer "+token, "main/app", "pull"); got != 401 {
			t.Errorf("%s: %d", name, got)
		}
	}
}

func TestCredentials(t *testing.T) {
	f := newFixture(t)
	ctx := context.Background()
	k, secret, err := f.service.CreateKey(ctx, auth.Principal{UserID: f.admin.ID}, auth.NewKey{Name: "ci", ExpiresAt: f.clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		user, password string
		want           int
	}{
		{"admin", password, 200}, {"api", secret, 200}, {"admin", "wrong", 401}, {"api", password, 401},
		{"nobody", password, 401}, {"admin", "", 401}, {"api", "prq_", 401}, {"admin", strings.Repeat("x", 5000), 401},
	} {
		if _, got := f.token(t, "repository:main/app:pull", test.user, test.password); got != test.want {
			t.Errorf("%q, %.20q: %d, want %d", test.user, test.password, got, test.want)
		}
	}
	if err := f.service.RevokeKey(ctx, k.ID); err != nil {
		t.Fatal(err)
	}
	if _, got := f.token(t, "x", "api", secret); got != 401 {
		t.Errorf("a revoked key: %d", got)
	}
	if err := f.service.SetPassword(ctx, f.admin.ID, "another password", ""); err != nil {
		t.Fatal(err)
	}
	if _, got := f.token(t, "x", "admin", password); got != 401 {
		t.Errorf("the former password: %d", got)
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	f := newFixture(t)
	status := 0
	for range 11 {
		_, status = f.token(t, "x", "admin", "guess")
	}
	if status != http.StatusTooManyRequests {
		t.Errorf("after 11 guesses: %d", status)
	}
	f.clock.advance(time.Minute)
	if _, status = f.token(t, "x", "admin", password); status != http.StatusOK {
		t.Errorf("a minute later: %d", status)
	}
}

func FuzzAuthorization(f *testing.F) {
	for _, seed := range []string{"", "Bearer x", "Basic eDp5", "Bearer eyJhbGciOiJub25lIn0.e30.", "Basic !!", "bearer prq_x"} {
		f.Add(seed)
	}
	c := &clock{now: time.Now()}
	s, err := store.Open(context.Background(), storetest.SQLiteURL(f), store.Options{Now: c.Now})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = s.Close() })
	g, err := auth.NewGatekeeper(context.Background(), auth.New(s, auth.Options{Now: c.Now}), func(context.Context) string { return "" })
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header string) {
		c.advance(time.Hour) // throttling is another test's
		r := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		r.Header.Set("Authorization", header)
		if _, err := g.Authorize(r, auth.Access{Type: "repository", Name: "main/app", Actions: []string{"push"}}); err == nil {
			t.Errorf("%q is let in", header)
		}
	})
}
