package guard_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pratique/pratique/internal/clairapi/guard"
	"github.com/pratique/pratique/internal/clairapi/throttle"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func token(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	text, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return "Bearer " + text
}

func TestAuthentication(t *testing.T) {
	key := []byte("0123456789abcdef0123456789abcdef")
	quay := jwt.MapClaims{"iss": "quay", "exp": now.Add(5 * time.Minute).Unix()} // as Quay signs
	with := func(name string, value any) jwt.MapClaims {
		c := jwt.MapClaims{}
		for k, v := range quay {
			c[k] = v
		}
		c[name] = value
		return c
	}
	known := func(r *http.Request) bool {
		user, password, _ := r.BasicAuth()
		return r.Header.Get("Authorization") == "Bearer prq_key" || user == "api" && password == "prq_key"
	}
	for _, test := range []struct {
		name   string
		opts   guard.Options
		header []string
		want   int
	}{
		{"nothing is asked for", guard.Options{}, nil, 200},
		{"no token", guard.Options{Key: key}, nil, 401},
		{"Quay's", guard.Options{Key: key, Issuers: []string{"quay"}}, []string{"Authorization", token(t, jwt.SigningMethodHS256, key, quay)}, 200},
		{"of a longer hash", guard.Options{Key: key, Issuers: []string{"quay"}}, []string{"Authorization", token(t, jwt.SigningMethodHS512, key, quay)}, 200},
		{"of Clair's own parts", guard.Options{Key: key}, []string{"Authorization", token(t, jwt.SigningMethodHS256, key, with("iss", guard.Intraservice))}, 200},
		{"without times", guard.Options{Key: key, Issuers: []string{"a"}}, []string{"Authorization", token(t, jwt.SigningMethodHS256, key, jwt.MapClaims{"iss": "a"})}, 200},
		{"another issuer", guard.Options{Key: key, Issuers: []string{"clairctl"}}, []string{"Authorization", token(t, jwt.SigningMethodHS256, key, quay)}, 401},
		{"another key", guard.Options{Key: key, Issuers: []string{"quay"}}, []string{"Authorization", token(t, jwt.SigningMethodHS256, []byte("other"), quay)}, 401},
		{"no signature", guard.Options{Key: key, Issuers: []string{"quay"}}, []string{"Authorization", token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, quay)}, 401},
		{"expired", guard.Options{Key: key, Issuers: []string{"quay"}}, []string{"Authorization", token(t, jwt.SigningMethodHS256, key, with("exp", now.Add(-16*time.Second).Unix()))}, 401},
		{"expired just now", guard.Options{Key: key, Issuers: []string{"quay"}}, []string{"Authorization", token(t, jwt.SigningMethodHS256, key, with("exp", now.Add(-14*time.Second).Unix()))}, 200},
		{"not yet", guard.Options{Key: key, Issuers: []string{"quay"}}, []string{"Authorization", token(t, jwt.SigningMethodHS256, key, with("nbf", now.Add(16*time.Second).Unix()))}, 401},
		{"from the future", guard.Options{Key: key, Issuers: []string{"quay"}}, []string{"Authorization", token(t, jwt.SigningMethodHS256, key, with("iat", now.Add(time.Hour).Unix()))}, 401},
		{"no token at all", guard.Options{Key: key}, []string{"Authorization", "Bearer x.y.z"}, 401},
		{"key as a bearer", guard.Options{Known: known}, []string{"Authorization", "Bearer prq_key"}, 200},
		{"key as a password", guard.Options{Known: known}, []string{"Authorization", "Basic YXBpOnBycV9rZXk="}, 200},
		{"key as Harbor sends it", guard.Options{Known: known}, []string{guard.APIKeyHeader, "prq_key"}, 200},
		{"wrong key", guard.Options{Known: known}, []string{guard.APIKeyHeader, "prq_other"}, 401},
		{"key beside a pre-shared key", guard.Options{Key: key, Known: known}, []string{"Authorization", "Bearer prq_key"}, 200},
		{"key where only the pre-shared one counts", guard.Options{Key: key}, []string{"Authorization", "Bearer prq_key"}, 401},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.opts.Now = func() time.Time { return now }
			h := guard.New(test.opts).Before(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
			for path, want := range map[string]int{"/indexer/api/v1/index_state": test.want, "/robots.txt": 200} {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
				for i := 0; i+1 < len(test.header); i += 2 {
					r.Header.Set(test.header[i], test.header[i+1])
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != want {
					t.Errorf("%s: got %d, want %d", path, w.Code, want)
				}
				if w.Code == 401 && (w.Body.Len() > 0 || w.Header().Get("WWW-Authenticate") != "") {
					t.Errorf("401 is not bare: %v %s", w.Header(), w.Body)
				}
			}
		})
	}
}

func TestSign(t *testing.T) {
	key := []byte("key")
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x", nil)
	if err := guard.Sign(r, key, now); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	guard.New(guard.Options{Key: key, Now: func() time.Time { return now }}).Before(http.NotFoundHandler()).ServeHTTP(w, r)
	if w.Code != http.StatusNotFound {
		t.Errorf("got %d", w.Code)
	}
}

func TestRate(t *testing.T) {
	h := guard.New(guard.Options{Requests: throttle.New(1, 2, func() time.Time { return now })}).Before(http.NotFoundHandler())
	ask := func(address string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/namespaces", nil)
		r.RemoteAddr = address
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, port := range []string{"1", "2"} {
		if w := ask("192.0.2.1:" + port); w.Code != http.StatusNotFound {
			t.Errorf("got %d", w.Code)
		}
	}
	w := ask("192.0.2.1:3")
	if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), `"code":"too-many-requests"`) {
		t.Errorf("got %d %v %s", w.Code, w.Header(), w.Body)
	}
	if w := ask("192.0.2.2:1"); w.Code != http.StatusNotFound {
		t.Errorf("another client: got %d", w.Code)
	}
}
