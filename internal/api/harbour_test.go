package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/auth/oidc"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/event"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/notify"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/promote"
	"github.com/pratique/pratique/internal/retention"
	"github.com/pratique/pratique/internal/secret"
	"github.com/pratique/pratique/internal/setting"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/adapter"
	"github.com/pratique/pratique/internal/source/clairv1"
	"github.com/pratique/pratique/internal/source/clairv4"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/internal/upstream"
	"github.com/pratique/pratique/internal/vex"
)

var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// clock moves only when told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// harbour is a served interface over a real store.
type harbour struct {
	base   *address
	store  *store.Store
	gate   *policy.Gate
	clock  *clock
	server *httptest.Server
	feeds  *someFeeds
}

func newHarbour(t *testing.T) *harbour {
	t.Helper()
	c := &clock{now: noon}
	return serve(t, storetest.SQLite(t, store.Options{Now: c.Now}), c)
}

func serve(t *testing.T, s *store.Store, c *clock) *harbour {
	t.Helper()
	gate := policy.NewGate(s, policy.GateOptions{Now: c.Now})
	assessments := assess.New(s, assess.Options{Now: c.Now, Changed: gate.Invalidate})
	if err := assessments.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	queue := job.New(s, job.Options{Now: c.Now})
	scheduler, err := job.NewScheduler(s, queue, []job.Plan{{Name: "expire-assessments", Cron: "* * * * *", Request: job.Request{Kind: "expire-assessments"}}},
		job.SchedulerOptions{Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := scheduler.Seed(t.Context()); err != nil {
		t.Fatal(err)
	}
	users := auth.New(s, auth.Options{Now: c.Now})
	for _, name := range []string{admin, user} {
		if _, err := users.CreateUser(t.Context(), name, name+" password", name == admin); err != nil {
			t.Fatal(err)
		}
	}
	all := auth.Principal{Name: admin, Rights: auth.RightsOf([]auth.Grant{{Role: auth.RoleAdminister}})}
	if _, err := users.GrantRole(t.Context(), all, auth.RoleGrant{Grant: auth.Grant{Role: auth.RoleMaintain}, To: auth.Grantee{Kind: auth.ToUser, Name: user}}); err != nil {
		t.Fatal(err)
	}
	events := event.New(s, event.Options{Now: c.Now, Poll: 5 * time.Millisecond})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- events.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	box, err := secret.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	base := &address{}
	sources := source.New(s, []source.Extension{clairv1.Extension(), clairv4.Extension(), adapter.Extension()}, box,
		source.Options{BaseURL: func(context.Context) string { return base.url }, Changed: gate.Invalidate})
	feeds := new(someFeeds)
	handler, err := api.New(api.Services{
		SignIn: oidc.New(s, box, users, oidc.Options{Now: c.Now}), Authenticator: users, Sessions: users, Registries: s, Images: s, Vulnerabilities: s, Assessments: assessments, Judge: gate,
		Jobs: queue, Schedules: scheduler, Kinds: []job.Kind{{Name: "expire-assessments", Description: "Ends assessments."}}, Events: events,
		Feeds: feeds, Users: users, Audit: s, Stats: s, System: someFacts{}, Summaries: s, Trends: s,
		Notify: notify.New(s, vexQueue{queue}, notify.Options{Now: c.Now, Poster: noPoster{}, Sealer: box}),
		VEX:    vex.New(s, nil, vexQueue{queue}, vex.Options{Changed: gate.Invalidate}), Sources: sources,
		Settings: setting.New(s, []setting.Known{
			{Name: "base_url", Title: "Web.BaseUrl", Check: config.CheckBaseURL},
			{Name: "given", Title: "Given", Given: "at start"},
		}, setting.Options{Now: c.Now}),
		Policies: policy.New(s, policy.Options{Now: c.Now, Changed: gate.Invalidate}),
		Clusters: policy.NewClusters(s, c.Now), Finder: policy.NewFinder(s, func(context.Context) string { return "https://registry.example.com" }),
		Promotion: promotions{promote.New(s, gate, unheard{}), s}, Trash: trash{s}, Retention: retention.New(s, c.Now),
		Upstream: upstream.New(s, nil, nil, box, upstream.Options{Now: c.Now}), Usage: s,
	}, api.Options{StartSettings: startSettings(), Now: c.Now, Changed: gate.Invalidate, Version: "1.2.3"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return &harbour{base: base, store: s, gate: gate, clock: c, server: server, feeds: feeds}
}

// promotions are made and listed.
type promotions struct {
	*promote.Service
	*store.Store
}

// unheard is told of manifests, and does nothing about them.
type unheard struct{}

func (unheard) ManifestStored(context.Context, string, string, []byte) error { return nil }

// address is the base URL, which tests set before they ask.
type address struct{ url string }

// vexQueue stores work that nobody does, or forgets it.
type vexQueue struct{ *job.Queue }

func (q vexQueue) Later(ctx context.Context, work ...vex.Work) error {
	for _, w := range work {
		if _, err := q.Enqueue(ctx, "apply-vex", "", w, job.EnqueueOptions{}); err != nil {
			return err
		}
	}
	return nil
}

func (q vexQueue) EnqueueDeliveries(context.Context, []int64) error { return nil }
func (q vexQueue) WakeDispatch(context.Context) error               { return nil }

// noPoster posts nothing.
type noPoster struct{}

func (noPoster) Check(string) error { return nil }
func (noPoster) Post(context.Context, string, http.Header, []byte) (int, []byte, error) {
	return 0, nil, errors.New("nothing is posted")
}

// someFeeds are those of a test: all feeds are switched off where it says nothing.
type someFeeds struct {
	statuses []feed.Status
	stale    map[string]string
}

func (f *someFeeds) Status(context.Context) ([]feed.Status, error) { return f.statuses, nil }
func (f *someFeeds) Stale(context.Context, []feed.Status) (map[string]string, error) {
	return f.stale, nil
}
func (f *someFeeds) Enqueue(context.Context, []string, bool) (int64, error) {
	return 0, feed.ErrUnknown
}

// Who sends requests.
const (
	nobody = ""
	admin  = "admin"
	user   = "user"
)

// response is an answer that was read.
type response struct {
	status int
	header http.Header
	body   []byte
}

// send makes a request with a body that is sent as it is where it is a string
// or bytes, as JSON else; header holds names and values in turn.
func (h *harbour) send(t *testing.T, method, path string, body any, who string, header ...string) response {
	t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	case []byte:
		reader = bytes.NewReader(b)
	default:
		text, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		reader = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, h.server.URL+api.Prefix+path, reader)
	if err != nil {
		t.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if who != nobody {
		request.SetBasicAuth(who, who+" password")
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	answer, err := h.server.Client().Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response{answer.StatusCode, answer.Header, text}
}

// startSettings are those of a server with a secret.
func startSettings() []api.StartSetting {
	return []api.StartSetting{{Name: "feeds", Section: "Feeds", Value: "alpine,nvd"}, {Name: "nvd-api-key", Section: "Feeds", Secret: true}}
}

// trash keeps what is deleted for as long as the program does.
type trash struct{ *store.Store }

func (trash) DefaultTrashDays(context.Context) int { return 7 }
