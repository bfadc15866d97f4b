// Package signin_test signs people in at a real provider of OpenID Connect, as a
// browser would.
package signin_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zitadel/oidc/v3/example/server/exampleop"
	"github.com/zitadel/oidc/v3/example/server/storage"
	"github.com/zitadel/oidc/v3/pkg/oidc"

	"github.com/pratique/pratique/test/program"
)

const password = "change-me-please"

// people are those whom the provider knows, by id.
type people map[string]*storage.User

func (p people) GetUserByID(id string) *storage.User { return p[id] }
func (p people) ExampleClientID() string             { return "service" }
func (p people) GetUserByUsername(name string) *storage.User {
	for _, u := range p {
		if u.Email == name {
			return u
		}
	}
	return nil
}

// provider is one that the test starts, and that can be stopped and given other keys.
type provider struct {
	issuer string
	client *storage.Client
	server *httptest.Server

	mu      sync.Mutex
	handler http.Handler
	groups  []string
}

// withGroups says in which groups people are.
type withGroups struct {
	*storage.Storage
	of *provider
}

func (g withGroups) SetUserinfoFromToken(ctx context.Context, info *oidc.UserInfo, token, subject, origin string) error {
	if err := g.Storage.SetUserinfoFromToken(ctx, info, token, subject, origin); err != nil {
		return err
	}
	g.of.mu.Lock()
	defer g.of.mu.Unlock()
	info.AppendClaims("groups", slices.Clone(g.of.groups))
	return nil
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	handler := p.handler
	p.mu.Unlock()
	if handler == nil {
		http.Error(w, "<script>down</script>", http.StatusBadGateway)
		return
	}
	handler.ServeHTTP(w, r)
}

// renew gives it other keys; what it signed before is worth nothing.
func (p *provider) renew() {
	log := slog.Default()
	defer slog.SetDefault(log)
	handler := exampleop.SetupServer(p.issuer, withGroups{storage.NewStorageWithClients(people{
		"1": {ID: "1", Username: "ada", Email: "ada", Password: "p"},
		"2": {ID: "2", Username: "admin", Email: "impostor", Password: "p"},
		"3": {ID: "3", Username: "a\x1b[2Jb", Email: "control", Password: "p"},
		"4": {ID: "4", Username: "robot+ci", Email: "robot", Password: "p"},
		"5": {ID: "5", Username: "<img src=x>", Email: "markup", Password: "p"},
	}, map[string]*storage.Client{"pratique": p.client}), p}, slog.New(slog.DiscardHandler), false)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = handler
}

func (p *provider) down() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = nil
}

func (p *provider) put(groups ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.groups = groups
}

func newProvider(t *testing.T, callback string) *provider {
	t.Helper()
	p := &provider{client: storage.WebClient("pratique", "s3cret", callback)}
	socket, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p.issuer = "http://" + socket.Addr().String()
	p.server = &httptest.Server{Listener: socket, Config: &http.Server{Handler: p, ReadHeaderTimeout: time.Minute}}
	p.server.Start()
	t.Cleanup(p.server.Close)
	p.renew()
	return p
}

// browser keeps cookies and follows where it is sent.
type browser struct {
	*http.Client
	t   *testing.T
	url string
}

func newBrowser(t *testing.T, url string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &browser{&http.Client{Jar: jar, Timeout: 20 * time.Second}, t, url}
}

func (b *browser) get(address string) (at *url.URL, body string) {
	b.t.Helper()
	res, err := b.Get(address)
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return res.Request.URL, string(text)
}

var requestID = regexp.MustCompile(`name="id" value="([^"]+)"`)

// signIn goes to the provider, gives a name and a password there, and returns where
// that leads. stop says that it does not follow the way back to us.
func (b *browser) signIn(name string, stop bool) *url.URL {
	b.t.Helper()
	at, page := b.get(b.url + "/auth/oidc/start?to=/registries")
	id := requestID.FindStringSubmatch(page)
	if id == nil {
		return at
	}
	if stop {
		follow := b.CheckRedirect
		b.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if strings.HasPrefix(r.URL.String(), b.url) {
				return http.ErrUseLastResponse
			}
			return nil
		}
		defer func() { b.CheckRedirect = follow }()
	}
	res, err := b.PostForm(at.Scheme+"://"+at.Host+at.Path, url.Values{"username": {name}, "password": {"p"}, "id": {id[1]}})
	if err != nil {
		b.t.Fatal(err)
	}
	defer res.Body.Close()
	if stop {
		back, err := res.Location()
		if err != nil {
			b.t.Fatalf("no way back: %d %v", res.StatusCode, err)
		}
		return back
	}
	return res.Request.URL
}

type signedIn struct {
	User *struct {
		ID            int
		Name          string
		Administrator bool
		Registries    []struct {
			Registry string
			Rights   []string
		}
	}
	SignIn *struct{ Title, Path string } `json:"sign_in"`
}

func (b *browser) session() (s signedIn) {
	b.t.Helper()
	_, body := b.get(b.url + "/api/v1/session")
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		b.t.Fatal(err)
	}
	return s
}

// admin makes a request of the REST interface as the administrator.
func admin(t *testing.T, p *program.Program, method, path, body string, want int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.URL+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.SetBasicAuth("admin", password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != want {
		t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, answer)
	}
	return string(answer)
}

func TestSignInAtAProvider(t *testing.T) {
	clock := &program.Clock{}
	var log bytes.Buffer
	var mu sync.Mutex
	p, err := program.Start(clock, slog.New(slog.NewTextHandler(writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), nil)), t.TempDir(), password)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	at := newProvider(t, p.URL+"/auth/oidc/callback")
	for _, bad := range []string{`{"issuer":"http://login.example.com","client_id":"x"}`, `{"issuer":"https://a:b@login.example.com","client_id":"x"}`,
		`{"issuer":"file:///etc/passwd","client_id":"x"}`, `{"issuer":"https://login.example.com?x=1","client_id":"x"}`, `{"enabled":true}`} {
		admin(t, p, "PATCH", "/sign-in-provider", bad, http.StatusUnprocessableEntity)
	}
	if s := newBrowser(t, p.URL).session(); s.SignIn != nil {
		t.Errorf("a button before there is a provider: %+v", s.SignIn)
	}
	shown := admin(t, p, "PATCH", "/sign-in-provider", `{"enabled":true,"title":"Example","issuer":"`+at.issuer+`","client_id":"pratique","client_secret":"s3cret"}`, http.StatusOK)
	if strings.Contains(shown, "s3cret") || strings.Contains(admin(t, p, "GET", "/audit-log", "", http.StatusOK), "s3cret") {
		t.Error("the secret shows")
	}
	admin(t, p, "POST", "/groups", `{"name":"developers","claim":"devs"}`, http.StatusCreated)
	admin(t, p, "POST", "/registries/main/roles", `{"role":"publish","to":{"kind":"group","name":"developers"}}`, http.StatusCreated)

	at.put("devs", "others")
	ada := newBrowser(t, p.URL)
	if s := ada.session(); s.SignIn == nil || s.SignIn.Title != "Example" {
		t.Fatalf("no button: %+v", s)
	}
	if to := ada.signIn("ada", false); to.Path != "/registries" {
		t.Fatalf("led to %s", to)
	}
	s := ada.session()
	if s.User == nil || s.User.Name != "ada" || s.User.Administrator || len(s.User.Registries) != 1 || !slices.Equal(s.User.Registries[0].Rights, []string{"read", "push"}) {
		t.Fatalf("signed in as %+v", s.User)
	}
	id := s.User.ID
	// Who is not in the group any more has no role any more. The user is the same.
	at.put("others")
	ada.signIn("ada", false)
	if s := ada.session(); s.User == nil || s.User.ID != id || len(s.User.Registries) != 0 {
		t.Errorf("after leaving the group: %+v", s.User)
	}
	clock.Advance(13 * time.Hour)
	if s := ada.session(); s.User != nil {
		t.Errorf("a session of the provider lives on: %+v", s.User)
	}
	clock.Advance(-13 * time.Hour)

	for name, why := range map[string]string{"impostor": "taken", "control": "name", "robot": "name", "markup": "name"} {
		b := newBrowser(t, p.URL)
		if to := b.signIn(name, false); to.Query().Get("failed") != why || b.session().User != nil {
			t.Errorf("%s was led to %s", name, to)
		}
	}
	if to, _ := ada.get(p.URL + "/auth/oidc/callback?error=access_denied&state=x"); to.Query().Get("failed") != "expired" {
		t.Errorf("a refusal that nobody asked for led to %s", to)
	}

	t.Run("another browser", func(t *testing.T) {
		victim, thief := newBrowser(t, p.URL), newBrowser(t, p.URL)
		back := thief.signIn("ada", true)
		if to, _ := victim.get(back.String()); to.Query().Get("failed") != "expired" || victim.session().User != nil {
			t.Errorf("a sign-in of somebody else's was taken, and led to %s", to)
		}
		// Nor in a browser that has another sign-in under way.
		victim.signIn("ada", true)
		if to, _ := victim.get(back.String()); to.Query().Get("failed") != "expired" || victim.session().User != nil {
			t.Errorf("with another state: %s", to)
		}
	})
	t.Run("twice", func(t *testing.T) {
		b := newBrowser(t, p.URL)
		back := b.signIn("ada", true)
		b.get(back.String())
		if b.session().User == nil {
			t.Fatal("not signed in")
		}
		if to, _ := b.get(back.String()); to.Query().Get("failed") != "expired" {
			t.Errorf("the second time led to %s", to)
		}
	})
	t.Run("too late", func(t *testing.T) {
		b := newBrowser(t, p.URL)
		back := b.signIn("ada", true)
		clock.Advance(11 * time.Minute)
		defer clock.Advance(-11 * time.Minute)
		if to, _ := b.get(back.String()); to.Query().Get("failed") != "expired" {
			t.Errorf("led to %s", to)
		}
	})
	t.Run("fixation", func(t *testing.T) {
		b := newBrowser(t, p.URL)
		u, err := url.Parse(p.URL)
		if err != nil {
			t.Fatal(err)
		}
		planted := strings.Repeat("x", 43)
		b.Jar.SetCookies(u, []*http.Cookie{{Name: "pratique_session", Value: planted, Path: "/"}})
		b.signIn("ada", false)
		for _, c := range b.Jar.Cookies(u) {
			if c.Name == "pratique_session" && c.Value == planted {
				t.Error("the planted secret is the session's")
			}
		}
		if b.session().User == nil {
			t.Error("not signed in")
		}
	})
	t.Run("leads nowhere else", func(t *testing.T) {
		for _, to := range []string{"https://evil.example/", "//evil.example/", `/\evil.example`, "javascript:alert(1)", "/\t/evil.example"} {
			b := newBrowser(t, p.URL)
			_, page := b.get(p.URL + "/auth/oidc/start?to=" + url.QueryEscape(to))
			id := requestID.FindStringSubmatch(page)
			res, err := b.PostForm(at.issuer+"/login/username", url.Values{"username": {"ada"}, "password": {"p"}, "id": {id[1]}})
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if got := res.Request.URL.String(); got != p.URL+"/" {
				t.Errorf("%q led to %s", to, got)
			}
		}
	})
	t.Run("other keys", func(t *testing.T) {
		at.renew()
		b := newBrowser(t, p.URL)
		if b.signIn("ada", false); b.session().User == nil {
			t.Error("not signed in with the new keys")
		}
	})
	t.Run("down", func(t *testing.T) {
		b := newBrowser(t, p.URL)
		back := b.signIn("ada", true)
		at.down()
		defer at.renew()
		if to, page := b.get(back.String()); to.Query().Get("failed") == "" || strings.Contains(page, "down") {
			t.Errorf("led to %s", to)
		}
		clock.Advance(time.Hour) // where things are is forgotten
		defer clock.Advance(-time.Hour)
		if to := b.signIn("ada", false); to.Query().Get("failed") != "unavailable" {
			t.Errorf("led to %s", to)
		}
		// A password does as ever.
		res, err := b.Post(p.URL+"/api/v1/session", "application/json", strings.NewReader(`{"name":"admin","password":"`+password+`"}`))
		if err != nil || res.StatusCode != http.StatusOK || b.session().User == nil {
			t.Errorf("by a password: %v, %v", res, err)
		}
		res.Body.Close()
	})
	t.Run("no password", func(t *testing.T) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", p.URL+"/api/v1/registries", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("ada", "")
		res, err := http.DefaultClient.Do(req)
		if err != nil || res.StatusCode != http.StatusUnauthorized {
			t.Errorf("by an empty password: %v, %v", res, err)
		}
		res.Body.Close()
	})
	mu.Lock()
	defer mu.Unlock()
	if strings.Contains(log.String(), "s3cret") {
		t.Error("the log has the secret")
	}
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
