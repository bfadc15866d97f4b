package server_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/test/sample"
)

// receiver is a program that is told, and that checks who tells.
type receiver struct {
	*httptest.Server
	mu     sync.Mutex
	told   []toldEvent
	refuse int // how many are still answered with 503
}

type toldEvent struct {
	Type string `json:"type"`
	Data struct {
		Title string `json:"title"`
		Data  struct {
			Vulnerability string `json:"vulnerability"`
			Images        int    `json:"images"`
		} `json:"data"`
	} `json:"data"`
}

func newReceiver(t *testing.T, secret string) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.refuse > 0 {
			r.refuse--
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		mac := hmac.New(sha256.New, []byte(secret))
		fmt.Fprintf(mac, "%s.%s.%s", req.Header.Get("Webhook-Id"), req.Header.Get("Webhook-Timestamp"), body)
		if got, want := req.Header.Get("Webhook-Signature"), "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)); got != want {
			t.Errorf("signature %q, want %q", got, want)
		}
		var e toldEvent
		if err := json.Unmarshal(body, &e); err != nil {
			t.Errorf("%v: %s", err, body)
		}
		r.told = append(r.told, e)
	}))
	t.Cleanup(r.Close)
	return r
}

// of returns what was told of a type.
func (r *receiver) of(what string) (events []toldEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.told {
		if e.Type == what {
			events = append(events, e)
		}
	}
	return events
}

// TestWebhooks: a program is told of pushes, of what an update finds in stored
// images (once for each vulnerability, not for each image), of refused pulls and
// expired assessments, and of nothing that it did not ask for.
func TestWebhooks(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		const secret = "twenty-four-bytes-or-more"
		dir := t.TempDir()
		s := start(t, t.TempDir(), "--database", database, "--feeds", "alpine", "--feeds-mirror", dir)
		write := func(fixes sample.Fixes) {
			t.Helper()
			if err := sample.WriteAlpineFeed(dir, "v3.20", "main", fixes); err != nil {
				t.Fatal(err)
			}
			updateFeeds(t, s)
		}
		write(sample.Fixes{"zlib": {"1.3-r1": {"CVE-2024-0001"}}})
		all, grave := newReceiver(t, secret), newReceiver(t, secret)
		all.refuse = 1
		call[any](t, s, "POST", "/webhooks", map[string]any{"name": "all", "kind": "webhook", "url": all.URL, "secret": secret}, http.StatusCreated)
		call[any](t, s, "POST", "/webhooks", map[string]any{"name": "grave", "kind": "webhook", "url": grave.URL, "secret": secret,
			"events": []string{"finding.new"}, "min_severity": "critical"}, http.StatusCreated)

		var digests []string
		for _, tag := range []string{"1", "2"} {
			digest, err := s.registry().Push(t.Context(), "main/app", tag, muslImage(t), marked(t, tag))
			if err != nil {
				t.Fatal(err)
			}
			digests = append(digests, digest)
		}
		waitFor(t, "the pushes", func() bool { return len(all.of("image.pushed")) == 2 && len(all.of("image.analysed")) == 2 })
		if got := all.of("image.pushed")[0].Data.Title; got != "main/app:1 was pushed by admin" && got != "main/app:2 was pushed by admin" {
			t.Errorf("pushed: %q", got)
		}

		write(sample.Fixes{"zlib": {"1.3-r1": {"CVE-2024-0001"}}, "musl": {"1.2.5-r1": {"CVE-2025-26519"}}})
		waitFor(t, "the new finding", func() bool { return len(all.of("finding.new")) > 0 })
		found := all.of("finding.new")
		if len(found) != 1 || found[0].Data.Data.Vulnerability != "CVE-2025-26519" || found[0].Data.Data.Images != 2 {
			t.Errorf("new findings: %+v", found)
		}

		call[any](t, s, "POST", "/assessments", map[string]any{"vulnerability": "CVE-2025-26519", "type": "Block",
			"scope": map[string]string{"kind": "registry", "value": "main"}, "expires_at": s.clock.Now().Add(8 * 24 * time.Hour)}, http.StatusCreated)
		if a := s.want(t, "GET", digests[0], "admin", password); a.status != http.StatusForbidden {
			t.Errorf("%+v", a)
		}
		// The schedule looks each minute.
		look := func() { call[any](t, s, "POST", "/jobs/tell-news/run", nil, http.StatusAccepted) }
		s.clock.Advance(2 * 24 * time.Hour)
		look()
		waitFor(t, "the expiring assessment", func() bool { return len(all.of("assessment.expiring")) == 1 })
		s.clock.Advance(7 * 24 * time.Hour)
		call[any](t, s, "POST", "/jobs/expire-assessments/run", nil, http.StatusAccepted)
		waitFor(t, "the expiry", func() bool {
			return len(call[list[any]](t, s, "GET", "/vulnerabilities/CVE-2025-26519/history", nil, http.StatusOK).Items) == 2
		})
		look()
		waitFor(t, "the expired assessment and the refused pull", func() bool {
			return len(all.of("assessment.expired")) == 1 && len(all.of("pull.blocked")) == 1
		})
		if got, want := all.of("pull.blocked")[0].Data.Title, "main/app was refused to admin"; got != want {
			t.Errorf("blocked: %q, want %q", got, want)
		}
		if n := len(grave.of("finding.new")); n != 0 {
			t.Errorf("%d findings below what was asked for", n)
		}

		// What was not taken at first was tried again, and can be told once more.
		type delivery struct {
			ID       int64
			Type     string
			State    string
			Attempts int
			Status   int
		}
		deliveries := call[list[delivery]](t, s, "GET", "/webhooks/all/deliveries", nil, http.StatusOK).Items
		again := slices.IndexFunc(deliveries, func(d delivery) bool { return d.Attempts == 2 })
		if again < 0 || deliveries[again].State != "delivered" || deliveries[again].Status != http.StatusOK {
			t.Fatalf("deliveries: %+v", deliveries)
		}
		before := len(all.of(deliveries[again].Type))
		call[any](t, s, "POST", fmt.Sprintf("/webhook-deliveries/%d/redeliver", deliveries[again].ID), nil, http.StatusAccepted)
		waitFor(t, "the redelivery", func() bool { return len(all.of(deliveries[again].Type)) == before+1 })
	})
}

// TestWebhooksThatHarm: a receiver that redirects to an address that must not be
// called, or answers without end, harms nobody.
func TestWebhooksThatHarm(t *testing.T) {
	s := start(t, t.TempDir(), "--feeds", "alpine")
	for name, url := range map[string]string{"metadata": "http://169.254.169.254/latest", "file": "file:///etc/passwd", "password": "http://u:p@example.com/"} {
		call[any](t, s, "POST", "/webhooks", map[string]any{"name": name, "kind": "webhook", "url": url}, http.StatusUnprocessableEntity)
	}
	lured := make(chan struct{}, 1)
	inner := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { lured <- struct{}{} }))
	t.Cleanup(inner.Close)
	redirecting := httptest.NewServer(http.RedirectHandler(inner.URL, http.StatusTemporaryRedirect))
	t.Cleanup(redirecting.Close)
	endless := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for block := strings.Repeat("x", 1<<16); r.Context().Err() == nil; {
			if _, err := io.WriteString(w, block); err != nil {
				return
			}
		}
	}))
	t.Cleanup(endless.Close)
	type delivery struct {
		ID     int64
		State  string
		Status int
		Error  string
		Answer string
	}
	for name, url := range map[string]string{"redirecting": redirecting.URL, "endless": endless.URL} {
		call[any](t, s, "POST", "/webhooks", map[string]any{"name": name, "kind": "slack", "url": url}, http.StatusCreated)
		d := call[delivery](t, s, "POST", "/webhooks/"+name+"/test", nil, http.StatusAccepted)
		waitFor(t, name, func() bool {
			d = call[delivery](t, s, "GET", fmt.Sprintf("/webhook-deliveries/%d", d.ID), nil, http.StatusOK)
			return d.Status != 0
		})
		if want := map[string]string{"redirecting": "queued", "endless": "delivered"}[name]; d.State != want || len(d.Answer) > 1024 {
			t.Errorf("%s: %+v", name, d)
		}
	}
	select {
	case <-lured:
		t.Error("a redirect was followed")
	default:
	}
	if diff := cmp.Diff(0, len(call[list[delivery]](t, s, "GET", "/jobs?state=failed", nil, http.StatusOK).Items)); diff != "" {
		t.Error(diff)
	}
}

// marked is a layer that makes an image differ from others.
func marked(t *testing.T, text string) sample.Layer {
	t.Helper()
	l, err := sample.NewLayer("COPY mark", sample.File{Path: "etc/mark", Content: text})
	if err != nil {
		t.Fatal(err)
	}
	return l
}
