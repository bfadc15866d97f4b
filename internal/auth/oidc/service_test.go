package oidc

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/secret"
)

// memory is a store of one provider.
type memory struct{ p Provider }

func (m memory) Provider(context.Context) (Provider, error)       { return m.p, nil }
func (m memory) SaveProvider(_ context.Context, _ Provider) error { return errors.New("nobody saves") }

// guests are who was signed in.
type guests struct{ came []auth.Identity }

func (g *guests) SignInAs(_ *http.Request, i auth.Identity) (p auth.Principal, session auth.Session, secret string, created bool, err error) {
	g.came = append(g.came, i)
	return auth.Principal{Name: i.Name}, session, "the secret of a session", true, nil
}

// desk is a service with a provider that answers every code with what token makes.
type desk struct {
	*Service
	guests *guests
	issuer string
	token  func(nonce string) map[string]any
	asked  int
}

func newDesk(t testing.TB, key *rsa.PublicKey) *desk {
	t.Helper()
	d := &desk{guests: new(guests)}
	provider := http.NewServeMux()
	answer := func(w http.ResponseWriter, body any) {
		d.asked++
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(body)
	}
	provider.HandleFunc("/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"issuer": d.issuer, "authorization_endpoint": d.issuer + "/authorize", "token_endpoint": d.issuer + "/token", "jwks_uri": d.issuer + "/keys",
			// What a provider says it could sign with is not what we take.
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}})
	})
	provider.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		b64 := base64.RawURLEncoding.EncodeToString
		answer(w, map[string]any{"keys": []map[string]string{{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "1", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}}})
	})
	provider.HandleFunc("/token", func(w http.ResponseWriter, r *http.Request) { answer(w, d.token(r.FormValue("code"))) })
	server := httptest.NewServer(provider)
	t.Cleanup(server.Close)
	d.issuer = server.URL
	box, err := secret.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	store := memory{Provider{Enabled: true, Title: "Example", Issuer: d.issuer, ClientID: "pratique", Scopes: "profile", NameClaim: "preferred_username", GroupsClaim: "groups"}}
	d.Service = New(store, box, d.guests, Options{Log: slog.New(slog.DiscardHandler)})
	return d
}

// start begins a sign-in, and returns the cookie and what the provider is sent.
func (d *desk) begin(t testing.TB) (*http.Cookie, url.Values) {
	t.Helper()
	w := httptest.NewRecorder()
	d.ServeHTTP(w, httptest.NewRequest(http.MethodGet, StartPath+"?to=/registries", nil))
	to, err := w.Result().Location()
	if err != nil || len(w.Result().Cookies()) != 1 {
		t.Fatalf("%v, %v", w.Result().Header, err)
	}
	return w.Result().Cookies()[0], to.Query()
}

// back comes back from the provider.
func (d *desk) back(cookie, query string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, CallbackPath, nil)
	r.URL.RawQuery = query
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	}
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	return w.Result()
}

// inside reports whether somebody was let in.
func inside(res *http.Response) bool {
	return slices.ContainsFunc(res.Cookies(), func(c *http.Cookie) bool { return strings.HasSuffix(c.Name, "pratique_session") && c.MaxAge > 0 })
}

func TestIDTokens(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	d := newDesk(t, &key.PublicKey)
	signed := func(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
		token := jwt.NewWithClaims(method, claims)
		token.Header["kid"] = "1"
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for _, test := range []struct {
		name string
		// change makes claims wrong; make signs in another way than RS256 by the key.
		change func(c jwt.MapClaims)
		make   func(c jwt.MapClaims) any
		want   string // why nobody is let in
	}{
		{"good", nil, nil, ""},
		{"good, one audience of several", func(c jwt.MapClaims) { c["aud"] = []string{"other", "pratique"} }, nil, ""},
		{"good, wider scopes", func(c jwt.MapClaims) { c["scope"], c["administrator"] = "admin write everything", true }, nil, ""},
		{"expired", func(c jwt.MapClaims) { c["exp"] = time.Now().Add(-time.Minute).Unix() }, nil, refused},
		{"no expiry", func(c jwt.MapClaims) { delete(c, "exp") }, nil, refused},
		{"not valid yet", func(c jwt.MapClaims) { c["nbf"] = time.Now().Add(time.Hour).Unix() }, nil, refused},
		{"another audience", func(c jwt.MapClaims) { c["aud"] = "other" }, nil, refused},
		{"no audience", func(c jwt.MapClaims) { delete(c, "aud") }, nil, refused},
		{"another issuer", func(c jwt.MapClaims) { c["iss"] = "https://login.example.com" }, nil, refused},
		{"another nonce", func(c jwt.MapClaims) { c["nonce"] = "guess" }, nil, refused},
		{"no nonce", func(c jwt.MapClaims) { delete(c, "nonce") }, nil, refused},
		{"nobody", func(c jwt.MapClaims) { delete(c, "sub") }, nil, refused},
		{"a long subject", func(c jwt.MapClaims) { c["sub"] = strings.Repeat("x", 1001) }, nil, refused},
		{"a name that is none", func(c jwt.MapClaims) { c["preferred_username"] = []string{"ada"} }, nil, badName},
		{"no name", func(c jwt.MapClaims) { delete(c, "preferred_username") }, nil, badName},
		{"forged", nil, func(c jwt.MapClaims) any { return signed(jwt.SigningMethodRS256, other, c) }, refused},
		{"changed", nil, func(c jwt.MapClaims) any {
			parts := strings.Split(signed(jwt.SigningMethodRS256, key, c), ".")
			c["preferred_username"] = "admin"
			changed, err := json.Marshal(c)
			if err != nil {
				t.Fatal(err)
			}
			return parts[0] + "." + base64.RawURLEncoding.EncodeToString(changed) + "." + parts[2]
		}, refused},
		{"alg none", nil, func(c jwt.MapClaims) any { return signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, c) }, refused},
		{"the public key as a secret", nil, func(c jwt.MapClaims) any {
			return signed(jwt.SigningMethodHS256, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), c)
		}, refused},
		{"the client's secret as a key", nil, func(c jwt.MapClaims) any { return signed(jwt.SigningMethodHS256, []byte(""), c) }, refused},
		{"no token", nil, func(jwt.MapClaims) any { return nil }, refused},
		{"a number", nil, func(jwt.MapClaims) any { return 1 }, refused},
		{"dots", nil, func(jwt.MapClaims) any { return "..." }, refused},
	} {
		t.Run(test.name, func(t *testing.T) {
			cookie, sent := d.begin(t)
			claims := jwt.MapClaims{"iss": d.issuer, "aud": "pratique", "sub": "7", "exp": time.Now().Add(time.Minute).Unix(), "nonce": sent.Get("nonce"),
				"preferred_username": "ada", "groups": []any{"devs", 1, "devs", "admins"}}
			if test.change != nil {
				test.change(claims)
			}
			var token any
			if test.make != nil {
				token = test.make(claims)
			} else {
				token = signed(jwt.SigningMethodRS256, key, claims)
			}
			d.token = func(string) map[string]any {
				return map[string]any{"access_token": "x", "token_type": "Bearer", "scope": "everything", "id_token": token}
			}
			d.guests.came = nil
			res := d.back(cookie.Name+"="+cookie.Value, url.Values{"state": {sent.Get("state")}, "code": {"c"}}.Encode())
			want := "/registries"
			if test.want != "" {
				want = "/sign-in?failed=" + test.want
			}
			if got := res.Header.Get("Location"); got != want || inside(res) != (test.want == "") || len(d.guests.came) != 0 != (test.want == "") {
				t.Fatalf("led to %s, want %s; cookies %v, came %v", got, want, res.Cookies(), d.guests.came)
			}
			// Of a good one nothing counts but who it is and the groups.
			if test.want == "" {
				if i := d.guests.came[0]; i.Name != "ada" || i.Subject != "7" || i.Issuer != d.issuer || !slices.Equal(i.Groups, []string{"admins", "devs"}) {
					t.Errorf("came %+v", i)
				}
			}
		})
	}
}

// FuzzCallback: nobody comes in by what a browser brings, but who went from here; and
// nothing but that has the provider asked.
func FuzzCallback(f *testing.F) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	d := newDesk(f, &key.PublicKey)
	d.token = func(string) map[string]any { return map[string]any{"error": "invalid_grant"} }
	cookie, sent := d.begin(f)
	good := cookie.Name + "=" + cookie.Value
	state := sent.Get("state")
	for _, seed := range []struct{ cookie, query string }{
		{"", ""},
		{good, "code=c"},
		{good, "code=c&state="},
		{good, "code=c&state=" + state + "x"},
		{good + "A", "code=c&state=" + state},
		{good[:len(good)-4], "code=c&state=" + state},
		{good, "error=access_denied&state=other"},
		{cookie.Name + "=", "state="},
		{cookie.Name + "=e30", "state=" + state},
		{cookie.Name + `="` + cookie.Value + `"`, "state=%00"},
		{cookie.Name + "=!!!; " + cookie.Name + "=" + cookie.Value, "state=a&state=" + state},
		{"__Host-" + good, "code=c&state=x"},
		{cookie.Name + "=" + base64.RawURLEncoding.EncodeToString([]byte(`{"State":"a","To":"//evil.example"}`)), "state=a"},
		{cookie.Name + "=" + base64.RawURLEncoding.EncodeToString(d.sealer.Seal("another purpose", []byte(`{"State":"a"}`))), "state=a"},
		{cookie.Name + "=" + base64.RawURLEncoding.EncodeToString(d.sealer.Seal(statePurpose, []byte(`{"State":"a"}`))), "state=a"},
		{cookie.Name + "=" + base64.RawURLEncoding.EncodeToString(d.sealer.Seal(statePurpose, []byte(`{"State":1`))), "state=1"},
		{cookie.Name + "=" + strings.Repeat("A", 5000), "state=%zz;&&="},
	} {
		f.Add(seed.cookie, seed.query)
	}
	f.Fuzz(func(t *testing.T, cookie, query string) {
		if values, err := url.ParseQuery(query); err == nil && values.Get("state") == state && strings.Contains(cookie, good) {
			t.Skip("who went from here")
		}
		asked := d.asked
		res := d.back(cookie, query)
		if res.StatusCode != http.StatusSeeOther || res.Header.Get("Location") != "/sign-in?failed="+expired {
			t.Errorf("%d to %s", res.StatusCode, res.Header.Get("Location"))
		}
		if inside(res) || len(d.guests.came) != 0 {
			t.Errorf("somebody came in: %v", d.guests.came)
		}
		if d.asked != asked {
			t.Error("the provider was asked")
		}
	})
}

// FuzzOwn: whatever a link to the sign-in says, a browser ends at a path of ours.
func FuzzOwn(f *testing.F) {
	for _, seed := range []string{"", "/", "/registries/main?x=1#y", "https://evil.example/", "//evil.example/", `/\evil.example`, `\\evil.example`, "javascript:alert(1)",
		"/\t/evil.example", "\t//evil.example", " //evil.example", "/.//evil.example", "/..//evil.example", "/%2f/evil.example", "/%5cevil.example", "///evil.example", "/:@evil.example", "?x", "#x", "/\x00", "/é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := own(path)
		if got != "/" && got != path {
			t.Fatalf("%q became %q", path, got)
		}
		// As http.Redirect sends it, and as browsers read it (WHATWG URL: tabs and line ends
		// go, a backslash is a slash).
		w := httptest.NewRecorder()
		http.Redirect(w, httptest.NewRequest(http.MethodGet, CallbackPath, nil), got, http.StatusSeeOther)
		read := strings.NewReplacer("\t", "", "\r", "", "\n", "", `\`, "/").Replace(strings.TrimLeft(w.Header().Get("Location"), "\x00\x01\x02\x03\x04\x05\x06\x07\x08\t\n\x0b\x0c\r\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f "))
		if !strings.HasPrefix(read, "/") || strings.HasPrefix(read, "//") {
			t.Errorf("%q leads to %q", path, read)
		}
	})
}
