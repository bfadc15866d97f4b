package auth_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/auth"
)

func TestPullToken(t *testing.T) {
	f := newFixture(t)
	const a, b = "sha256:aa", "sha256:bb"
	token, err := f.PullToken(auth.Pull{Source: "clair", Repository: "main/app", Digests: []string{a}}, 5*time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(auth.PullUser+":"+token))
	ask := func(authorization string, want ...auth.Access) (auth.Principal, int) {
		t.Helper()
		r := httptest.NewRequest(http.MethodGet, "/v2/x", nil)
		r.Header.Set("Authorization", authorization)
		p, err := f.Authorize(r, want...)
		var denied *auth.Denied
		if errors.As(err, &denied) {
			return p, denied.Status
		}
		if err != nil {
			t.Fatal(err)
		}
		return p, http.StatusOK
	}
	want := func(name, digest string, actions ...string) auth.Access {
		return auth.Access{Type: "repository", Name: name, Actions: actions, Digest: digest}
	}
	for _, test := range []struct {
		name   string
		want   auth.Access
		status int
	}{
		{"the blob", want("main/app", a, "pull"), 200},
		{"another blob", want("main/app", b, "pull"), 401},
		{"by tag", want("main/app", "", "pull"), 401},
		{"in another repository", want("main/other", a, "pull"), 401},
		{"in one that is open to all", want("open/app", b, "pull"), 401},
		{"to push", want("main/app", a, "pull", "push"), 401},
		{"to delete", want("main/app", a, "delete"), 401},
		{"the catalog", auth.Access{Type: "registry", Name: "catalog", Actions: []string{"*"}, Digest: a}, 401},
	} {
		for _, authorization := range []string{"Bearer " + token, basic} {
			if p, status := ask(authorization, test.want); status != test.status || status == 200 && (p.Source != "clair" || !p.Anonymous()) {
				t.Errorf("%s: %d, %+v", test.name, status, p)
			}
		}
	}
	if _, status := ask(basic); status != 200 {
		t.Errorf("ping: %d", status)
	}

	// Docker's flow hands the same token out, for Basic credentials.
	r := httptest.NewRequest(http.MethodGet, "/v2/_auth?scope=repository:main/app:pull,push", nil)
	r.Header.Set("Authorization", basic)
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	var answer struct {
		Token     string `json:"token"`
		ExpiresIn int    `json:"expires_in"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil || answer.Token != token || answer.ExpiresIn != 300 {
		t.Errorf("got %+v, %v", answer, err)
	}

	// It is of no use anywhere else, nor are others' here.
	if _, err := f.service.Authenticate(request(basic)); !errors.Is(err, auth.ErrCredentials) {
		t.Errorf("REST: %v", err)
	}
	other, _ := f.token(t, "repository:main/app:pull", "admin", password)
	if p, status := ask("Bearer "+other, want("main/app", b, "pull")); status != 200 || p.Source != "" {
		t.Errorf("a token of Docker's flow: %d, %+v", status, p)
	}
	parts := strings.Split(token, ".")
	forged := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"iss":"pratique","aud":["pratique-pull"],"exp":%d,"repo":"main/app","blobs":[]}`, f.clock.Now().Unix()+999)))
	if _, status := ask("Bearer "+parts[0]+"."+forged+"."+parts[2], want("main/app", a, "pull")); status != 401 {
		t.Errorf("forged: %d", status)
	}
	f.clock.advance(5*time.Minute + time.Second)
	if _, status := ask("Bearer "+token, want("main/app", a, "pull")); status != 401 {
		t.Errorf("expired: %d", status)
	}
}

// A header has to hold the token for an image of many layers.
func TestPullTokenIsShort(t *testing.T) {
	var digests []string
	for i := range 128 {
		digests = append(digests, fmt.Sprintf("sha256:%064x", i))
	}
	token, err := newFixture(t).PullToken(auth.Pull{Source: "s", Repository: "main/app", Digests: digests}, time.Minute)
	if err != nil || len(token) > 4096 {
		t.Errorf("%d bytes, %v", len(token), err)
	}
}

func request(authorization string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("Authorization", authorization)
	return r
}
