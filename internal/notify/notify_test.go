package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/notify"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// plainBox shows what was sealed for what.
type plainBox struct{}

func (plainBox) Seal(purpose string, secret []byte) []byte {
	return []byte(purpose + ": " + string(secret))
}

func (plainBox) Open(purpose string, sealed []byte) ([]byte, error) {
	secret, found := strings.CutPrefix(string(sealed), purpose+": ")
	if !found {
		return nil, errors.New("another key")
	}
	return []byte(secret), nil
}

// posted is a request to a receiver.
type posted struct {
	url    string
	header http.Header
	body   string
}

// post answers with the statuses, one after the other, then with 200.
type post struct {
	mu       sync.Mutex
	statuses []int
	got      []posted
}

func (p *post) Check(string) error { return nil }

func (p *post) Post(_ context.Context, url string, header http.Header, body []byte) (int, []byte, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.got = append(p.got, posted{url, header, string(body)})
	if len(p.statuses) == 0 {
		return http.StatusOK, []byte("taken"), nil
	}
	status := p.statuses[0]
	p.statuses = p.statuses[1:]
	switch status {
	case 0:
		return 0, nil, errors.New("connection refused")
	case -1:
		return 0, nil, fmt.Errorf("post %s: no route", url)
	}
	return status, []byte("no\x00t now"), nil
}

// memory is a queue that does nothing by itself.
type memory struct {
	mu  sync.Mutex
	ids []int64
}

func (m *memory) EnqueueDeliveries(_ context.Context, ids []int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range ids {
		if !slices.Contains(m.ids, id) {
			m.ids = append(m.ids, id)
		}
	}
	return nil
}

func (*memory) WakeDispatch(context.Context) error { return nil }

type fixture struct {
	*notify.Service
	t     *testing.T
	post  *post
	queue *memory
	now   time.Time
}

func newFixture(t *testing.T, s *store.Store) *fixture {
	f := &fixture{t: t, post: &post{}, queue: &memory{}, now: time.Now().Truncate(time.Microsecond)}
	f.Service = notify.New(s, f.queue, notify.Options{
		Now: func() time.Time { return f.now }, Poster: f.post, Sealer: plainBox{},
		BaseURL: func(context.Context) string { return "https://registry.example/" },
	})
	return f
}

func (f *fixture) create(r notify.Receiver) {
	f.t.Helper()
	r.Enabled = true
	if _, err := f.Create(f.t.Context(), r); err != nil {
		f.t.Fatal(err)
	}
}

// dispatch dispatches and returns who is told of what.
func (f *fixture) dispatch() (told []string) {
	f.t.Helper()
	if _, err := f.Dispatch(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
	for _, id := range f.queue.ids {
		d, err := f.Delivery(f.t.Context(), id)
		if err != nil {
			f.t.Fatal(err)
		}
		told = append(told, d.Receiver+" "+d.Event.Title)
	}
	f.queue.ids = nil
	slices.Sort(told)
	return told
}

func TestWhoIsTold(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		hook := func(name string, change func(*notify.Receiver)) {
			r := notify.Receiver{Name: name, Kind: notify.Webhook, URL: "https://hooks.example/" + name}
			change(&r)
			f.create(r)
		}
		hook("all", func(*notify.Receiver) {})
		hook("feeds", func(r *notify.Receiver) { r.Events = []notify.Type{notify.FeedFailing, notify.FeedStale} })
		hook("grave", func(r *notify.Receiver) { r.MinSeverity = advisory.High })
		hook("exploited", func(r *notify.Receiver) { r.ExploitedOnly = true })
		hook("prod", func(r *notify.Receiver) { r.Registries = []string{"prod"} })
		events := []notify.Event{
			{Type: notify.NewFindings, Title: "low", Severity: advisory.Low, Registries: []string{"main", "prod"}},
			{Type: notify.NewFindings, Title: "high", Severity: advisory.High, Registries: []string{"main"}},
			{Type: notify.NewFindings, Title: "exploited", Severity: advisory.Medium, Exploited: true, Registries: []string{"main"}},
			{Type: notify.FeedFailing, Title: "feed"},
			{Type: notify.ImagePushed, Title: "push", Registries: []string{"main"}},
		}
		if err := f.Emit(t.Context(), events...); err != nil {
			t.Fatal(err)
		}
		want := []string{"all exploited", "all feed", "all high", "all low", "all push", "exploited exploited", "exploited feed", "exploited push",
			"feeds feed", "grave feed", "grave high", "grave push", "prod feed", "prod low"}
		if got := f.dispatch(); !slices.Equal(got, want) {
			t.Errorf("told\n%q, want\n%q", got, want)
		}
		if got := f.dispatch(); len(got) > 0 {
			t.Errorf("told again: %q", got)
		}
	})
}

func TestDeliver(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		f.create(notify.Receiver{Name: "ci", Kind: notify.Webhook, URL: "https://hooks.example/ci", Secret: []byte("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")})
		f.post.statuses = []int{503, 0}
		if err := f.Emit(t.Context(), notify.Event{Type: notify.PullBlocked, Title: "blocked", Path: "/images/sha256:1", Data: json.RawMessage(`{"image":"x"}`)}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Dispatch(t.Context()); err != nil {
			t.Fatal(err)
		}
		id := f.queue.ids[0]
		for i, want := range []string{"the receiver answered 503", "connection refused", ""} {
			err := f.Deliver(t.Context(), id, false)
			if got := fmt.Sprint(err); want == "" && err != nil || !strings.Contains(got, want) {
				t.Errorf("try %d: %v, want %q", i, err, want)
			}
		}
		d, err := f.Delivery(t.Context(), id)
		if err != nil || d.State != notify.Delivered || d.Attempts != 3 || d.Status != http.StatusOK || d.Answer != "taken" || d.Error != "" || !d.FinishedAt.Equal(f.now) {
			t.Errorf("%+v, %v", d, err)
		}
		if err := f.Deliver(t.Context(), id, false); err != nil || len(f.post.got) != 3 {
			t.Errorf("delivered once more: %v, %d requests", err, len(f.post.got))
		}
		sent := f.post.got[2]
		if got := sent.header; sent.url != "https://hooks.example/ci" || got.Get("Webhook-Id") != fmt.Sprintf("event_%d", d.Event.ID) ||
			got.Get("Webhook-Timestamp") != strconv.FormatInt(f.now.Unix(), 10) || !strings.HasPrefix(got.Get("Webhook-Signature"), "v1,") {
			t.Errorf("%s %v", sent.url, got)
		}
		var body struct {
			Type string
			Data struct {
				Title, Link string
				Data        struct{ Image string }
			}
		}
		if err := json.Unmarshal([]byte(sent.body), &body); err != nil || body.Type != "pull.blocked" || body.Data.Title != "blocked" ||
			body.Data.Link != "https://registry.example/images/sha256:1" || body.Data.Data.Image != "x" {
			t.Errorf("%s: %v", sent.body, err)
		}

		again, err := f.Redeliver(t.Context(), id)
		if err != nil || again.ID == id || again.State != notify.Queued {
			t.Errorf("redeliver: %+v, %v", again, err)
		}
		f.post.statuses = []int{404}
		if err := f.Deliver(t.Context(), again.ID, true); err == nil {
			t.Error("a 404 is a success")
		}
		if again, err = f.Delivery(t.Context(), again.ID); err != nil || again.State != notify.Failed || again.Status != 404 || again.Answer != "not now" {
			t.Errorf("failed: %+v, %v", again, err)
		}
		list, err := f.Deliveries(t.Context(), "ci", 0, 10)
		if err != nil || len(list) != 2 || list[0].ID != again.ID {
			t.Errorf("listed: %+v, %v", list, err)
		}
		if err := f.Delete(t.Context(), "ci"); err != nil {
			t.Fatal(err)
		}
		if err := f.Deliver(t.Context(), again.ID, false); err != nil {
			t.Errorf("of a receiver that is gone: %v", err)
		}
	})
}

func TestSendTest(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t, store.Options{}))
	f.create(notify.Receiver{Name: "a", Kind: notify.Slack, URL: "https://hooks.example/a"})
	f.create(notify.Receiver{Name: "b", Kind: notify.Slack, URL: "https://hooks.example/b"})
	d, err := f.SendTest(t.Context(), "a", "ada")
	if err != nil || d.Receiver != "a" {
		t.Fatalf("%+v, %v", d, err)
	}
	if got := f.dispatch(); !slices.Equal(got, []string{"a A test by ada"}) {
		t.Errorf("told: %q", got)
	}
	if err := f.Deliver(t.Context(), d.ID, false); err != nil || len(f.post.got) != 1 {
		t.Fatalf("%v, %d requests", err, len(f.post.got))
	}
	if _, err := f.SendTest(t.Context(), "c", "ada"); !errors.Is(err, notify.ErrNotFound) {
		t.Errorf("to nobody: %v", err)
	}
}

func TestLeftDeliveriesAreQueuedAgain(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t, store.Options{Now: func() time.Time { return time.Now().Add(-2 * time.Hour) }}))
	f.create(notify.Receiver{Name: "a", Kind: notify.Slack, URL: "https://hooks.example/a"})
	if err := f.Emit(t.Context(), notify.Event{Type: notify.JobFailed, Title: "x"}); err != nil {
		t.Fatal(err)
	}
	if got := f.dispatch(); len(got) != 1 { // and the process ends
		t.Fatalf("told: %q", got)
	}
	if got := f.dispatch(); len(got) != 1 {
		t.Errorf("told after the restart: %q", got)
	}
}

func TestPrune(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		f := newFixture(t, s)
		f.create(notify.Receiver{Name: "a", Kind: notify.Slack, URL: "https://hooks.example/a"})
		if err := f.Emit(t.Context(), notify.Event{Type: notify.JobFailed, Title: "told"}, notify.Event{Type: notify.FeedStale, Title: "waits"}); err != nil {
			t.Fatal(err)
		}
		if _, err := f.Dispatch(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := f.Deliver(t.Context(), f.queue.ids[0], false); err != nil {
			t.Fatal(err)
		}
		f.now = f.now.Add(31 * 24 * time.Hour)
		if n, err := f.Prune(t.Context()); err != nil || n != 1 {
			t.Errorf("%d pruned, %v", n, err)
		}
		if d, err := f.Deliveries(t.Context(), "a", 0, 10); err != nil || len(d) != 1 || d[0].Event.Title != "waits" {
			t.Errorf("%+v, %v", d, err)
		}
	})
}

func TestCreateRefuses(t *testing.T) {
	f := newFixture(t, storetest.SQLite(t, store.Options{}))
	good := notify.Receiver{Name: "a", Kind: notify.Webhook, URL: "https://a.example"}
	f.create(good)
	tests := []struct {
		name   string
		change func(*notify.Receiver)
		want   string
	}{
		{"its name is taken", func(*notify.Receiver) {}, "receiver a: the name is taken"},
		{"no name", func(r *notify.Receiver) { r.Name = "" }, "name: must be"},
		{"a path", func(r *notify.Receiver) { r.Name = "../x" }, "name: must be"},
		{"no kind", func(r *notify.Receiver) { r.Kind = "fax" }, "kind: "},
		{"no address", func(r *notify.Receiver) { r.URL = "" }, "url: is wanted"},
		{"a file", func(r *notify.Receiver) { r.URL = "file:///etc/passwd" }, "url: must be"},
		{"a password", func(r *notify.Receiver) { r.URL = "https://u:p@a.example" }, "url: must not"},
		{"recipients", func(r *notify.Receiver) { r.Recipients = []string{"a@b.example"} }, "recipients: are for"},
		{"an e-mail without", func(r *notify.Receiver) { r.Kind, r.URL = notify.Email, "" }, "recipients: must be from 1"},
		{"a header in an address", func(r *notify.Receiver) {
			r.Kind, r.URL, r.Recipients = notify.Email, "", []string{"a@b.example", "a@b.example\r\nBcc: c@d.example"}
		}, "recipients[1]: "},
		{"a short secret", func(r *notify.Receiver) { r.Secret = []byte("short") }, "secret: must be from 24"},
		{"a wrong secret", func(r *notify.Receiver) { r.Secret = []byte("whsec_???") }, "secret: what follows"},
		{"a secret of Slack", func(r *notify.Receiver) { r.Kind, r.Secret = notify.Slack, []byte(strings.Repeat("x", 24)) }, "secret: is for"},
		{"no event", func(r *notify.Receiver) { r.Events = []notify.Type{"test"} }, "events[0]: there is no"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := good
			tt.change(&r)
			if _, err := f.Create(t.Context(), r); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
	r, err := f.Receiver(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	r.Events = []notify.Type{notify.JobFailed}
	if _, err := f.Change(t.Context(), r); err != nil {
		t.Error(err)
	}
	if _, err := f.Change(t.Context(), r); !errors.Is(err, notify.ErrChanged) {
		t.Errorf("of an old version: %v", err)
	}
}
