package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/auth"
)

// browser is a client that keeps the session's cookie, as a browser does.
type browser struct {
	*harbour
	cookie *http.Cookie
}

// do makes a request with headers, and keeps the cookie that it is answered with.
func (b *browser) do(t *testing.T, method, path, body string, headers ...string) (response, *http.Cookie) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+api.Prefix+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	if b.cookie != nil {
		request.AddCookie(&http.Cookie{Name: b.cookie.Name, Value: b.cookie.Value})
	}
	answer, err := b.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var text json.RawMessage
	if answer.StatusCode != http.StatusNoContent {
		if err := json.NewDecoder(answer.Body).Decode(&text); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range answer.Cookies() {
		return response{answer.StatusCode, answer.Header, text}, c
	}
	return response{answer.StatusCode, answer.Header, text}, nil
}

func (b *browser) signIn(t *testing.T, who string) {
	t.Helper()
	r, cookie := b.do(t, http.MethodPost, "/session", `{"name":"`+who+`","password":"`+who+` password"}`)
	if r.status != http.StatusOK || cookie == nil {
		t.Fatalf("sign in: %d %s, cookie %v", r.status, r.body, cookie)
	}
	b.cookie = cookie
}

// who is the name of the user that the server sees.
func (b *browser) who(t *testing.T) string {
	t.Helper()
	r, _ := b.do(t, http.MethodGet, "/session", "")
	var answer api.SignedIn
	if err := json.Unmarshal(r.body, &answer); err != nil || r.status != http.StatusOK {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	if answer.User == nil {
		return nobody
	}
	return answer.User.Name
}

func TestSession(t *testing.T) {
	b := &browser{harbour: newHarbour(t)}
	if who := b.who(t); who != nobody {
		t.Errorf("before signing in: %q", who)
	}
	b.signIn(t, user)
	if c := b.cookie; !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" || c.Secure || c.Name != "pratique_session" {
		t.Errorf("cookie %v", c)
	}
	if who := b.who(t); who != user {
		t.Errorf("signed in as %q", who)
	}
	if r, _ := b.do(t, http.MethodGet, "/registries", ""); r.status != http.StatusOK {
		t.Errorf("a list: %d %s", r.status, r.body)
	}
	if r, _ := b.do(t, http.MethodGet, "/users", ""); r.status != http.StatusForbidden {
		t.Errorf("what is for administrators: %d", r.status)
	}

	first := b.cookie
	b.signIn(t, admin)
	if b.cookie.Value == first.Value {
		t.Error("signing in again keeps the secret")
	}
	if who := (&browser{b.harbour, first}).who(t); who != nobody {
		t.Errorf("the session before is still %q's", who)
	}
	if r, _ := b.do(t, http.MethodGet, "/audit-log", ""); !strings.Contains(string(r.body), `"actor":"admin","action":"session.create"`) {
		t.Errorf("the audit log does not have it: %s", r.body)
	}
	last := *b.cookie
	if r, cookie := b.do(t, http.MethodDelete, "/session", ""); r.status != http.StatusNoContent || cookie == nil || cookie.MaxAge >= 0 {
		t.Errorf("sign out: %d, cookie %v", r.status, cookie)
	}
	if who := (&browser{b.harbour, &last}).who(t); who != nobody {
		t.Errorf("after signing out: %q", who)
	}
	if r, _ := b.do(t, http.MethodDelete, "/session", ""); r.status != http.StatusNoContent {
		t.Errorf("sign out again: %d", r.status)
	}
}

func TestSessionEnds(t *testing.T) {
	tests := []struct {
		name string
		what func(t *testing.T, b *browser)
		ends bool
	}{
		{"used now and then", func(t *testing.T, b *browser) {
			for range 13 {
				b.clock.Advance(auth.SessionIdle - time.Minute)
				if b.who(t) != user {
					t.Fatal("it ended")
				}
			}
		}, false},
		{"not used", func(_ *testing.T, b *browser) { b.clock.Advance(auth.SessionIdle) }, true},
		{"at last", func(t *testing.T, b *browser) {
			for range 15 {
				b.clock.Advance(auth.SessionIdle - time.Minute)
				b.who(t)
			}
		}, true},
		{"another password", func(t *testing.T, b *browser) {
			r, _ := b.do(t, http.MethodGet, "/session", "")
			var answer api.SignedIn
			if err := json.Unmarshal(r.body, &answer); err != nil {
				t.Fatal(err)
			}
			path := "/users/" + jsonNumber(answer.User.ID)
			if r, _ := b.do(t, http.MethodPatch, path, `{"password":"another password"}`); r.status != http.StatusOK {
				t.Fatalf("%d %s", r.status, r.body)
			}
		}, true},
		{"a secret that is none", func(_ *testing.T, b *browser) { b.cookie.Value = strings.Repeat("A", 43) }, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := &browser{harbour: newHarbour(t)}
			b.signIn(t, user)
			test.what(t, b)
			if ended := b.who(t) == nobody; ended != test.ends {
				t.Errorf("ended: %v, want %v", ended, test.ends)
			}
		})
	}
}

func jsonNumber(n int64) string {
	text, _ := json.Marshal(n)
	return string(text)
}

func TestSignInRefuses(t *testing.T) {
	b := &browser{harbour: newHarbour(t)}
	key, _ := b.harbour.sendKey(t)
	tests := []struct {
		name, body string
		headers    []string
		status     int
	}{
		{"wrong password", `{"name":"user","password":"wrong"}`, nil, http.StatusUnauthorized},
		{"nobody's name", `{"name":"nobody","password":"wrong password"}`, nil, http.StatusUnauthorized},
		{"no password", `{"name":"user"}`, nil, http.StatusUnprocessableEntity},
		{"an API key", `{"name":"api","password":"` + key + `"}`, nil, http.StatusUnauthorized},
		{"from another site", `{"name":"user","password":"user password"}`, []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"from another origin", `{"name":"user","password":"user password"}`, []string{"Origin", "https://evil.example"}, http.StatusForbidden},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, cookie := b.do(t, http.MethodPost, "/session", test.body, test.headers...)
			if r.status != test.status || cookie != nil {
				t.Errorf("%d %s, cookie %v; want %d", r.status, r.body, cookie, test.status)
			}
			if strings.Contains(string(r.body), "wrong password") {
				t.Errorf("the answer has the password: %s", r.body)
			}
		})
	}
	for range 12 {
		b.do(t, http.MethodPost, "/session", `{"name":"user","password":"wrong"}`)
	}
	if r, _ := b.do(t, http.MethodPost, "/session", `{"name":"user","password":"user password"}`); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
		t.Errorf("after many wrong tries: %d %s", r.status, r.body)
	}
}

// sendKey makes an API key of the administrator's.
func (h *harbour) sendKey(t *testing.T) (secret string, id int64) {
	t.Helper()
	var made api.Key
	r := h.send(t, http.MethodPost, "/api-keys", map[string]string{"name": "ci"}, admin)
	if err := json.Unmarshal(r.body, &made); err != nil || r.status != http.StatusCreated {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	return made.Key, made.ID
}

// Who has a key that expires would have the account for ever with a password of theirs.
func TestKeyThatExpiresSetsNoPassword(t *testing.T) {
	h := newHarbour(t)
	var made api.Key
	r := h.send(t, http.MethodPost, "/api-keys", map[string]any{"name": "short", "expires_at": h.clock.Now().Add(time.Hour)}, user)
	if err := json.Unmarshal(r.body, &made); err != nil || r.status != http.StatusCreated {
		t.Fatalf("%d %s: %v", r.status, r.body, err)
	}
	path := fmt.Sprintf("/users/%d", made.UserID)
	r = h.send(t, http.MethodPatch, path, map[string]string{"password": "another password"}, nobody, "Authorization", "Bearer "+made.Key)
	if r.status != http.StatusForbidden || !strings.Contains(string(r.body), auth.ErrOutlasts.Error()) {
		t.Errorf("by the key: %d %s", r.status, r.body)
	}
	if r := h.send(t, http.MethodPatch, path, map[string]string{"password": "another password"}, user); r.status != http.StatusOK {
		t.Errorf("by the password: %d %s", r.status, r.body)
	}
}

// A page of another site that has the browser send the cookie changes nothing.
func TestSessionFromAnotherSite(t *testing.T) {
	b := &browser{harbour: newHarbour(t)}
	b.signIn(t, admin)
	for _, headers := range [][]string{{"Sec-Fetch-Site", "cross-site"}, {"Sec-Fetch-Site", "same-site"}, {"Origin", "https://evil.example"}} {
		if r, _ := b.do(t, http.MethodPost, "/registries", `{"name":"other"}`, headers...); r.status != http.StatusForbidden {
			t.Errorf("%v: %d %s", headers, r.status, r.body)
		}
	}
	if r, _ := b.do(t, http.MethodGet, "/registries/other", ""); r.status != http.StatusNotFound {
		t.Errorf("the registry is there: %d", r.status)
	}
}

func TestSecureCookie(t *testing.T) {
	b := &browser{harbour: newHarbour(t)}
	_, cookie := b.do(t, http.MethodPost, "/session", `{"name":"user","password":"user password"}`, "X-Forwarded-Proto", "https")
	if cookie == nil || !cookie.Secure || cookie.Name != "__Host-pratique_session" {
		t.Fatalf("cookie %v", cookie)
	}
	b.cookie = cookie
	if who := b.who(t); who != user {
		t.Errorf("signed in as %q", who)
	}
}

// A browser must not ask for the password in a window of its own.
func TestChallenge(t *testing.T) {
	b := &browser{harbour: newHarbour(t)}
	for mode, want := range map[string]string{"cors": "Bearer", "navigate": "Basic", "": "Basic"} {
		r, _ := b.do(t, http.MethodGet, "/registries", "", "Sec-Fetch-Mode", mode)
		if got := r.header.Get("WWW-Authenticate"); r.status != http.StatusUnauthorized || !strings.HasPrefix(got, want) {
			t.Errorf("mode %q: %d %q", mode, r.status, got)
		}
	}
}
