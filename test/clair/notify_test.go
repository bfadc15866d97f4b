package clair_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/clairapi/guard"
	"github.com/pratique/pratique/internal/clairapi/notifying"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/test/clair/clairtest"
)

// receiver takes notifications, and fails as often as it is told to.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	failures int
	bodies   []string
	headers  []http.Header
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.failures > 0 {
			r.failures--
			w.WriteHeader(http.StatusAccepted) // is no 200
			return
		}
		var body json.RawMessage
		if err := json.NewDecoder(request.Body).Decode(&body); err != nil {
			t.Errorf("the body is no JSON: %v", err)
		}
		r.bodies, r.headers = append(r.bodies, string(body)), append(r.headers, request.Header)
	}))
	t.Cleanup(r.Close)
	return r
}

// clock moves on when it is told to.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Quay hears of an image that has become vulnerable, once, and reads what by
// pages. A receiver that fails is asked again.
func TestQuayNotifications(t *testing.T) {
	for _, all := range []bool{false, true} {
		t.Run(fmt.Sprintf("all %t", all), func(t *testing.T) {
			c := &clock{now: time.Now()}
			server, blobs := clairtest.Start(t, clairtest.Options{Store: store.Options{Now: c.Now}}), clairtest.NewBlobs(t)
			advise(t, server)
			img := debianImage(t, blobs, "")
			hash := img.indexV4(t, server)
			hook, key := newReceiver(t), []byte("key")
			service := notifying.New(server.Store, notifying.Options{
				URL: hook.URL + "/secscan/notification", Callback: "http://clair.example/notifier/api/v1/notification/",
				Header: http.Header{"X-Extra": {"1"}}, Key: key, All: all, Now: c.Now, Logger: slog.New(slog.DiscardHandler),
			})
			work := func() {
				t.Helper()
				if err := service.Work(t.Context()); err != nil && !strings.Contains(err.Error(), "status 202") {
					t.Fatal(err)
				}
			}
			work()
			if len(hook.bodies) != 0 {
				t.Fatalf("told of a first load: %v", hook.bodies)
			}
			server.Advise(t,
				clairtest.Affected("CVE-2024-1001", "debian:12", "curl", "7.88.1-10+deb12u6", advisory.High),
				clairtest.Affected("CVE-2024-1002", "debian:12", "curl", "", advisory.Low),
				clairtest.Affected("CVE-2024-1003", "debian:12", "nowhere", "", advisory.Critical),
			)
			hook.failures = 2
			for range 3 {
				work()
				c.pass(time.Minute)
			}
			work()
			if len(hook.bodies) != 1 {
				t.Fatalf("got %v", hook.bodies)
			}
			var sent struct {
				ID       string `json:"notification_id"`
				Callback string
			}
			if err := json.Unmarshal([]byte(hook.bodies[0]), &sent); err != nil {
				t.Fatal(err)
			}
			if sent.Callback != "http://clair.example/notifier/api/v1/notification/"+sent.ID || hook.headers[0].Get("X-Extra") != "1" {
				t.Errorf("got %s %v", hook.bodies[0], hook.headers[0])
			}
			w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/secscan/notification", nil)
			r.Header = hook.headers[0]
			guard.New(guard.Options{Key: key, Now: c.Now}).Before(http.NotFoundHandler()).ServeHTTP(w, r)
			if w.Code != http.StatusNotFound {
				t.Errorf("Quay would not take its token: %d", w.Code)
			}

			client := newClient(t, server.URL)
			type notifications struct {
				Page          struct{ Next string }
				Notifications []struct {
					ID, Manifest, Reason string
					Vulnerability        struct {
						Name, Description, Links string
						Severity                 string
						NormalizedSeverity       string `json:"normalized_severity"`
						FixedInVersion           string `json:"fixed_in_version"`
						Package                  struct{ Name string }
						Distribution             struct{ DID string }
					}
				}
			}
			var names []string
			for next := ""; ; {
				status, _, content := client.do(http.MethodGet, "/notifier/api/v1/notification/"+sent.ID+"?page_size=1&next="+next, nil)
				wantStatus(t, "page", status, http.StatusOK, content)
				page := read[notifications](t, content)
				for _, n := range page.Notifications {
					v := n.Vulnerability
					names = append(names, v.Name)
					if n.Manifest != hash || n.Reason != "added" || v.NormalizedSeverity != v.Severity || v.Package.Name != "curl" || v.Distribution.DID != "debian" || v.Links == "" {
						t.Errorf("got %s", content)
					}
					if v.Name == "CVE-2024-1001" && (v.Severity != "High" || v.FixedInVersion != "7.88.1-10+deb12u6") {
						t.Errorf("got %s", content)
					}
				}
				if next = page.Page.Next; next == "" {
					break
				}
			}
			want := 1
			if all {
				want = 2
			}
			if len(names) != want || !strings.Contains(strings.Join(names, " "), "CVE-2024-1001") {
				t.Errorf("told of %v", names)
			}
			status, _, content := client.do(http.MethodDelete, "/notifier/api/v1/notification/"+sent.ID, nil)
			wantStatus(t, "delete", status, http.StatusOK, content)
			_, _, content = client.do(http.MethodGet, "/notifier/api/v1/notification/"+sent.ID, nil)
			if page := read[notifications](t, content); len(page.Notifications) != 0 {
				t.Errorf("after its deletion: %s", content)
			}
		})
	}
}

// A notifier of Clair itself, apart, asks the matcher what changed and the
// indexer whom it affects.
func TestUpdateOperations(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	advise(t, server)
	hash := debianImage(t, blobs, "").indexV4(t, server)
	client := newClient(t, server.URL)
	type operation struct{ Ref, Updater, Kind string }
	operations := func(query string) []operation {
		_, _, content := client.do(http.MethodGet, "/matcher/api/v1/internal/update_operation"+query, nil)
		return read[map[string][]operation](t, content)["debian/updater"]
	}
	first := operations("?latest=true")
	if len(first) != 1 || first[0].Kind != "vulnerability" {
		t.Fatalf("got %v", first)
	}
	server.Advise(t, clairtest.Affected("CVE-2024-1001", "debian:12", "curl", "7.88.1-10+deb12u6", advisory.High))
	second := operations("?latest=true")
	if len(second) != 1 || second[0].Ref == first[0].Ref || len(operations("")) < 2 {
		t.Fatalf("got %v", second)
	}
	status, header, content := client.do(http.MethodGet, "/matcher/api/v1/internal/update_operation", nil)
	wantStatus(t, "operations", status, http.StatusOK, content)
	again := newClient(t, server.URL, "If-None-Match", header.Get("Etag"))
	if status, _, _ := again.do(http.MethodGet, "/matcher/api/v1/internal/update_operation", nil); status != http.StatusNotModified {
		t.Errorf("again: %d", status)
	}
	status, _, content = client.do(http.MethodGet, "/matcher/api/v1/internal/update_diff?prev="+first[0].Ref+"&cur="+second[0].Ref, nil)
	wantStatus(t, "difference", status, http.StatusOK, content)
	diff := read[struct {
		Prev, Cur      operation
		Added, Removed []json.RawMessage
	}](t, content)
	if diff.Prev.Ref != first[0].Ref || diff.Cur.Ref != second[0].Ref || len(diff.Added) != 1 || len(diff.Removed) != 0 || !strings.Contains(string(diff.Added[0]), "CVE-2024-1001") {
		t.Fatalf("got %s", content)
	}
	affected := func(body string) map[string][]string {
		status, _, content := client.do(http.MethodPost, "/indexer/api/v1/internal/affected_manifest/", body)
		wantStatus(t, "affected", status, http.StatusOK, content)
		return read[struct {
			Manifests map[string][]string `json:"vulnerable_manifests"`
		}](t, content).Manifests
	}
	if got := affected(fmt.Sprintf(`{"vulnerabilities":[%s]}`, diff.Added[0])); len(got) != 1 || len(got[hash]) != 1 {
		t.Errorf("affected are %v", got)
	}
	// As Clair itself words them: the source, with its distribution.
	foreign := func(fixed string) string {
		return fmt.Sprintf(`{"vulnerabilities":[{"id":"7","name":"CVE-9","normalized_severity":"Low","package":{"name":"curl","kind":"source"},
			"distribution":{"did":"debian","version_id":"12","version":"12 (bookworm)","version_code_name":"bookworm"},"fixed_in_version":%q},
			{"id":"8","name":"CVE-8","normalized_severity":"High","package":{"name":"curl","kind":"source"},"distribution":{"did":"debian","version_id":"12"}}, null, {}]}`, fixed)
	}
	if got := affected(foreign("99"))[hash]; strings.Join(got, " ") != "8 7" {
		t.Errorf("affected are %v", got)
	}
	if got := affected(foreign("1.0"))[hash]; strings.Join(got, " ") != "8" {
		t.Errorf("fixed long ago: affected are %v", got)
	}
	status, header, _ = client.do(http.MethodPost, "/indexer/api/v1/internal/affected_manifest", "{}")
	if status != http.StatusTemporaryRedirect || !strings.HasSuffix(header.Get("Location"), "/affected_manifest/") {
		t.Errorf("without the slash: %d %v", status, header)
	}
	status, _, content = client.do(http.MethodDelete, "/matcher/api/v1/internal/update_operation/"+second[0].Ref, nil)
	wantStatus(t, "delete", status, http.StatusOK, content)
	if status, _, _ = client.do(http.MethodGet, "/matcher/api/v1/internal/update_diff?prev="+first[0].Ref+"&cur="+second[0].Ref, nil); status != http.StatusInternalServerError {
		t.Errorf("the difference to what was deleted: %d", status)
	}
}

// Quay's old client hears of a layer, pages through what changed and marks it read.
func TestOldQuayNotifications(t *testing.T) {
	c := &clock{now: time.Now()}
	server, blobs := clairtest.Start(t, clairtest.Options{Store: store.Options{Now: c.Now}}), clairtest.NewBlobs(t)
	advise(t, server)
	img := debianImage(t, blobs, "")
	parent := ""
	for i, l := range img.layers {
		name := fmt.Sprint("layer", i)
		if status, body := server.Post(t, clairtest.Layer{Name: name, Path: l.url, ParentName: parent}); status != http.StatusCreated {
			t.Fatalf("%d %s", status, body)
		}
		parent = name
	}
	hook := newReceiver(t)
	service := notifying.New(server.Store, notifying.Options{V1URL: hook.URL + "/secscan/notify", Now: c.Now})
	server.Advise(t,
		clairtest.Affected("CVE-2024-1001", "debian:12", "curl", "7.88.1-10+deb12u6", advisory.High),
		clairtest.Affected("CVE-2024-1003", "debian:12", "nowhere", "", advisory.Critical),
	)
	if err := service.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(hook.bodies) != 1 {
		t.Fatalf("got %v", hook.bodies)
	}
	name := read[struct{ Notification struct{ Name string } }](t, []byte(hook.bodies[0])).Notification.Name
	client := newClient(t, server.URL)
	status, _, content := client.do(http.MethodGet, "/v1/notifications/"+name+"?limit=100&page=", nil)
	wantStatus(t, "get", status, http.StatusOK, content)
	type side struct {
		Vulnerability                         struct{ Name, NamespaceName, Severity string }
		OrderedLayersIntroducingVulnerability []struct {
			Index     int
			LayerName string
		}
		LayersIntroducingVulnerability []string
	}
	n := read[struct {
		Notification struct {
			Name, Created, Notified, Page, NextPage string
			Old, New                                *side
		}
	}](t, content).Notification
	if n.Old != nil || n.New == nil || n.New.Vulnerability.Name != "CVE-2024-1001" || n.New.Vulnerability.Severity != "High" || n.Notified == "" || n.Created == "" || n.NextPage != "" {
		t.Fatalf("got %s", content)
	}
	if l := n.New.LayersIntroducingVulnerability; len(l) != 1 || l[0] != "layer1" || n.New.OrderedLayersIntroducingVulnerability[0].LayerName != "layer1" {
		t.Errorf("introduced by %v", l)
	}
	// Unread, it is sent again.
	if err := service.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(hook.bodies) != 1 {
		t.Errorf("sent again too early: %v", hook.bodies)
	}
	c.pass(2*time.Hour + time.Minute)
	if err := service.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(hook.bodies) != 2 {
		t.Errorf("not sent again: %v", hook.bodies)
	}
	for i, want := range []int{http.StatusOK, http.StatusNotFound} {
		if status, _, content := client.do(http.MethodDelete, "/v1/notifications/"+name, nil); status != want {
			t.Errorf("delete %d: %d %s", i, status, content)
		}
	}
	c.pass(3 * time.Hour)
	if err := service.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(hook.bodies) != 2 {
		t.Errorf("sent although it was read: %v", hook.bodies)
	}
	status, _, content = client.do(http.MethodGet, "/v1/notifications/"+name+"?limit=1", nil)
	if status != http.StatusOK || !strings.Contains(string(content), `"Deleted"`) {
		t.Errorf("marked: %d %s", status, content)
	}
}
