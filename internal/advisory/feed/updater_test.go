package feed_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/alpine"
	"github.com/pratique/pratique/internal/advisory/feed/debian"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

const (
	alpineDocument = "/secdb.alpinelinux.org/v3.20/main.json"
	debianDocument = "/security-tracker.debian.org/tracker/data/json"
	musl           = `{"pkg": {"name": "musl", "secfixes": {"1.2.5-r1": ["CVE-2025-26519"]}}}`
	zlib           = `{"zlib": {"CVE-2022-37434": {"releases": {"bookworm": {"status": "resolved", "fixed_version": "1:1.2.13", "urgency": "high"}}}}}`
)

func secdb(packages ...string) string {
	return `{"distroversion": "v3.20", "reponame": "main", "packages": [` + strings.Join(packages, ",") + `]}`
}

// publishers is a server that stands for all publishers. Documents that are not
// there answer 404.
type publishers struct {
	*httptest.Server
	mu     sync.Mutex
	serves map[string]http.HandlerFunc
}

func newPublishers(t *testing.T) *publishers {
	p := &publishers{serves: make(map[string]http.HandlerFunc)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		serve := p.serves[r.URL.Path]
		p.mu.Unlock()
		if serve == nil {
			serve = http.NotFound
		}
		serve(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

func (p *publishers) serve(path string, h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serves[path] = h
}

// publish serves a document, with a validator where etag is not empty.
func (p *publishers) publish(path, etag, content string) {
	p.serve(path, func(w http.ResponseWriter, r *http.Request) {
		if etag != "" && r.Header.Get("If-None-Match") == etag {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		fmt.Fprint(w, content)
	})
}

func newUpdater(t *testing.T, s *store.Store, p *publishers) *feed.Updater {
	t.Helper()
	f := newFetcher(t, feed.FetcherOptions{
		Mirror: p.URL, Tries: 2, Backoff: time.Millisecond, HeaderTimeout: 100 * time.Millisecond, Timeout: time.Second, MaxSize: 1 << 20,
	})
	return feed.New(s, f, []feed.Feed{alpine.New(), debian.New()}, match.Package, feed.Options{Log: slog.New(slog.DiscardHandler)})
}

// known lists the vulnerabilities that the advisories of a distribution name.
func known(t *testing.T, s *store.Store, distribution string) string {
	t.Helper()
	list, err := s.NamespaceVulnerabilities(t.Context(), distribution, "", 100)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	var names []string
	for _, v := range list {
		names = append(names, v.Name)
	}
	return strings.Join(names, " ")
}

// TestBadDocumentsChangeNothing: what was stored stays, the other feed is brought
// up to date, the status says what is wrong, and the next good document mends it.
func TestBadDocumentsChangeNothing(t *testing.T) {
	good := secdb(musl)
	content := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, text) }
	}
	tests := []struct {
		name  string
		serve http.HandlerFunc
		says  string
	}{
		{"HTML", content("<!DOCTYPE html><html>Please log in</html>"), "v3.20/main"},
		{"nothing", content(""), "v3.20/main"},
		{"null", content("null"), "v3.20/main"},
		{"a list", content("[]"), "v3.20/main"},
		{"cut in the middle", content(good[:len(good)/2]), "v3.20/main"},
		{"cut before its last bracket", content(good[:len(good)-1]), "v3.20/main"},
		{"something behind its end", content(good + "{}"), "v3.20/main"},
		{"another branch's document", content(strings.Replace(good, "v3.20", "v3.19", 1)), "v3.20/main"},
		{"a cut transfer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(good)))
			fmt.Fprint(w, good[:len(good)/2])
		}, "not reachable"},
		{"no packages any more", content(secdb()), "held back"},
		{"internal error", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "oops", http.StatusInternalServerError) }, "500"},
		{"no answer", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "not reachable"},
		{"too large", content(good + strings.Repeat(" ", 1<<20)), "limit"},
		{"nesting without end", content(strings.Repeat("[", 100_000)), "v3.20/main"},
	}
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		p := newPublishers(t)
		u := newUpdater(t, s, p)
		p.publish(alpineDocument, "", good)
		p.publish(debianDocument, "", zlib)
		if _, err := u.Update(t.Context(), feed.Request{}); err != nil {
			t.Fatal(err)
		}
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				p.serve(alpineDocument, test.serve)
				cve := fmt.Sprintf("CVE-2026-%d", 1000+i)
				p.publish(debianDocument, "", strings.Replace(zlib, "CVE-2022-37434", cve, 1))
				results, err := u.Update(t.Context(), feed.Request{})
				if err == nil || results[0].Err == nil || results[1].Err != nil || !strings.Contains(err.Error(), test.says) {
					t.Errorf("alpine: %v; debian: %v; want %q", results[0].Err, results[1].Err, test.says)
				}
				if got := known(t, s, "alpine:v3.20"); got != "CVE-2025-26519" {
					t.Errorf("alpine has %q", got)
				}
				if got := known(t, s, "debian:12"); got != cve {
					t.Errorf("debian has %q, want %s", got, cve)
				}
				status, err := u.Status(t.Context())
				if err != nil || !strings.Contains(status[0].Error, test.says) || status[1].Error != "" || status[0].Advisories() != 1 {
					t.Errorf("status %+v, %v", status, err)
				}
				p.publish(alpineDocument, "", good)
				if _, err := u.Update(t.Context(), feed.Request{}); err != nil {
					t.Error(err)
				}
				if status, err := u.Status(t.Context()); err != nil || status[0].Error != "" || status[0].LastSuccess.IsZero() {
					t.Errorf("after a good document: %+v, %v", status[0], err)
				}
			})
		}
	})
}

func TestMalformedRecordsAreLeftOutAlone(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	p := newPublishers(t)
	u := newUpdater(t, s, p)
	p.publish(alpineDocument, "", secdb(musl, `{"pkg": {"name": 7, "secfixes": {"1": ["CVE-2026-1"]}}}`,
		`{"pkg": {"name": "bad", "secfixes": ["CVE-2026-2"]}}`, strings.Replace(strings.Replace(musl, "musl", "zlib", 1), "26519", "7", 1)))
	results, err := u.Update(t.Context(), feed.Request{Feeds: []string{"alpine"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := known(t, s, "alpine:v3.20"); got != "CVE-2025-26519 CVE-2025-7" {
		t.Errorf("got %q", got)
	}
	if skipped := results[0].Skipped; skipped.Count != 2 || !strings.Contains(strings.Join(skipped.Names, "\n"), "bad") {
		t.Errorf("skipped %+v", skipped)
	}
	if status, err := u.Status(t.Context()); err != nil || status[0].Skipped() != 2 {
		t.Errorf("status %+v, %v", status, err)
	}
}

func TestUnchangedDocumentsTouchNothing(t *testing.T) {
	for _, etag := range []string{"", `"1"`} {
		storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
			p := newPublishers(t)
			u := newUpdater(t, s, p)
			p.publish(alpineDocument, etag, secdb(musl))
			request := feed.Request{Feeds: []string{"alpine"}}
			if results, err := u.Update(t.Context(), request); err != nil || results[0].Changed != 1 {
				t.Fatalf("%+v, %v", results, err)
			}
			before, err := u.Status(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			results, err := u.Update(t.Context(), request)
			if err != nil || results[0].Changed != 0 || results[0].Removed != 0 {
				t.Errorf("%+v, %v", results, err)
			}
			after, err := u.Status(t.Context())
			if err != nil || !after[0].Parts[0].Changed.Equal(before[0].Parts[0].Changed) || !after[0].LastChange.Equal(before[0].LastChange) {
				t.Errorf("before %+v, after %+v, %v", before[0], after[0], err)
			}
			for _, part := range results[0].Parts {
				if part.Part == "v3.20/main" && part.Outcome != feed.Unchanged || part.Part != "v3.20/main" && part.Outcome != feed.Absent {
					t.Errorf("%s: %s", part.Part, part.Outcome)
				}
			}
		})
	}
}

func TestLossIsBelievedWhenAskedTo(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	p := newPublishers(t)
	u := newUpdater(t, s, p)
	var many []string
	for i := range 200 {
		many = append(many, fmt.Sprintf(`{"pkg": {"name": "p%d", "secfixes": {"1": ["CVE-2026-%d"]}}}`, i, i+1))
	}
	request := feed.Request{Feeds: []string{"alpine"}}
	for _, step := range []struct {
		packages   []string
		acceptLoss bool
		want       error
		left       int
	}{{many, false, nil, 200}, {many[:99], false, feed.ErrHeldBack, 200}, {many[:100], false, nil, 100}, {many[:10], false, feed.ErrHeldBack, 100}, {many[:10], true, nil, 10}} {
		p.publish(alpineDocument, "", secdb(step.packages...))
		request.AcceptLoss = step.acceptLoss
		if _, err := u.Update(t.Context(), request); !errors.Is(err, step.want) || err != nil && step.want == nil {
			t.Errorf("%d packages: %v, want %v", len(step.packages), err, step.want)
		}
		status, err := u.Status(t.Context())
		if err != nil || status[0].Packages() != step.left {
			t.Errorf("%d packages: %d are left, %v; want %d", len(step.packages), status[0].Packages(), err, step.left)
		}
	}
}

func TestUpdateNamesUnknownFeeds(t *testing.T) {
	u := newUpdater(t, storetest.SQLite(t, store.Options{}), newPublishers(t))
	if _, err := u.Update(t.Context(), feed.Request{Feeds: []string{"redhat"}}); !errors.Is(err, feed.ErrUnknown) || !strings.Contains(err.Error(), `"redhat"`) {
		t.Errorf("got %v", err)
	}
	// Nothing at all is published.
	if _, err := u.Update(t.Context(), feed.Request{}); !errors.Is(err, feed.ErrNotPublished) {
		t.Errorf("got %v", err)
	}
}
