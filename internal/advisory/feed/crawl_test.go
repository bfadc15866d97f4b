package feed_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// script is a Crawler that does as it is told.
type script struct {
	revision int
	url      string
	crawl    func(ctx context.Context, s *feed.Session) error
}

func (*script) Name() string    { return "script" }
func (c *script) Revision() int { return c.revision }
func (c *script) Parts() []feed.Part {
	return []feed.Part{{Name: "all", URL: c.url, Ecosystems: []string{"debian:12"}}}
}
func (*script) More(map[string]bool) []feed.Part { return nil }
func (*script) Parse(context.Context, feed.Part, io.Reader, func(advisory.Group) error) (feed.Parsed, error) {
	return feed.Parsed{}, errors.New("nothing is parsed here")
}
func (c *script) Crawl(ctx context.Context, s *feed.Session) error { return c.crawl(ctx, s) }

// group states so many vulnerabilities of a package of the same name, all fixed
// in a version.
func group(name, fixed string, vulnerabilities int) advisory.Group {
	g := advisory.Group{Name: name}
	for n := range vulnerabilities {
		g.Advisories = append(g.Advisories, advisory.Advisory{
			Vulnerability: fmt.Sprintf("CVE-2026-%d", 1000+n), Ecosystem: "debian:12", Package: name, Source: true,
			Status: advisory.Affected, Fixed: fixed, Severity: advisory.High,
		})
	}
	return g
}

// crawling is a script with the store that its finds go to.
type crawling struct {
	*testing.T
	*script
	store   *store.Store
	updater *feed.Updater
	now     time.Time
}

func newCrawling(t *testing.T, s *store.Store) *crawling {
	c := &crawling{T: t, script: &script{revision: 1, url: "https://publisher.example/all/"}, store: s, now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	c.updater = feed.New(s, newFetcher(t, feed.FetcherOptions{Mirror: t.TempDir()}), []feed.Feed{c.script}, match.Package, feed.Options{
		Log: slog.New(slog.DiscardHandler), Batch: 3, Now: func() time.Time { return c.now },
	})
	return c
}

// run has one crawl done.
func (c *crawling) run(crawl func(ctx context.Context, s *feed.Session) error) (feed.Result, error) {
	c.Helper()
	return c.request(feed.Request{}, crawl)
}

func (c *crawling) request(req feed.Request, crawl func(ctx context.Context, s *feed.Session) error) (feed.Result, error) {
	c.Helper()
	c.now = c.now.Add(time.Hour)
	c.crawl = crawl
	results, err := c.updater.Update(c.Context(), req)
	if len(results) != 1 {
		c.Fatalf("%d results, %v", len(results), err)
	}
	return results[0], err
}

func (c *crawling) state() feed.PartState {
	c.Helper()
	status, err := c.store.FeedStatus(c.Context(), "script")
	if err != nil || len(status.Parts) != 1 {
		c.Fatalf("%+v, %v", status, err)
	}
	return status.Parts[0]
}

// names are those of the stored groups with how many statements each has.
func (c *crawling) names() map[string]int {
	c.Helper()
	prints, err := c.store.Fingerprints(c.Context(), "script", "all")
	if err != nil {
		c.Fatal(err)
	}
	names := make(map[string]int)
	for name, print := range prints {
		names[name] = print.Advisories()
	}
	return names
}

func (c *crawling) want(want map[string]int) {
	c.Helper()
	if diff := cmp.Diff(want, c.names()); diff != "" {
		c.Errorf("stored (-want +got):\n%s", diff)
	}
}

func put(ctx context.Context, s *feed.Session, groups ...advisory.Group) error {
	for _, g := range groups {
		if err := s.Put(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

func TestCrawlGoesOnWhereItWas(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		c := newCrawling(t, s)
		result, err := c.run(func(ctx context.Context, s *feed.Session) error {
			if s.Cursor() != "" {
				t.Errorf("cursor %q at first", s.Cursor())
			}
			s.Skip("odd CVE-1", "it is odd")
			s.Skip("strange", "it is strange")
			s.Covers("debian:13")
			return errors.Join(put(ctx, s, group("a", "1", 2), group("b", "1", 1)), s.SetCursor(ctx, "1"))
		})
		if err != nil || result.Changed != 2 || result.Skipped.Count != 2 || result.Parts[0].Outcome != feed.Updated {
			t.Fatalf("%+v, %v", result, err)
		}
		c.want(map[string]int{"a": 2, "b": 1})
		first := c.state()
		want := feed.PartState{
			Part: "all", URL: first.URL, Revision: 1, Cursor: "1", Ecosystems: []string{"debian:12", "debian:13"}, Packages: 2, Advisories: 3,
			Skipped: feed.Skipped{Count: 2, Names: []string{"odd CVE-1: it is odd", "strange: it is strange"}}, Checked: c.now, Changed: c.now,
		}
		if diff := cmp.Diff(want, first); diff != "" {
			t.Errorf("state (-want +got):\n%s", diff)
		}
		result, err = c.run(func(ctx context.Context, s *feed.Session) error {
			if s.Cursor() != "1" {
				t.Errorf("cursor %q, want 1", s.Cursor())
			}
			return put(ctx, s, group("a", "1", 2))
		})
		if err != nil || result.Changed != 0 || result.Parts[0].Outcome != feed.Unchanged {
			t.Errorf("%+v, %v", result, err)
		}
		want.Checked = c.now
		if diff := cmp.Diff(want, c.state()); diff != "" {
			t.Errorf("state after nothing changed (-want +got):\n%s", diff)
		}
		// The same name twice, something that was odd and is sound now, something
		// that goes, something that goes and comes back, something that has nothing.
		result, err = c.run(func(ctx context.Context, s *feed.Session) error {
			return errors.Join(
				put(ctx, s, group("odd", "1", 1), group("a", "2", 2), group("a", "3", 3), group("c", "1", 1)),
				s.Remove(ctx, "b", "nobody"), put(ctx, s, group("b", "1", 1)), s.Remove(ctx, "c"),
				put(ctx, s, group("d", "1", 0)), s.SetCursor(ctx, "2"),
			)
		})
		if err != nil || result.Parts[0].Outcome != feed.Updated {
			t.Errorf("%+v, %v", result, err)
		}
		c.want(map[string]int{"a": 3, "b": 1, "odd": 1})
		if got := c.state(); got.Packages != 3 || got.Advisories != 5 || got.Skipped.Count != 1 || got.Cursor != "2" {
			t.Errorf("state %+v", got)
		}
		// Of another revision nothing is known, and what is stored costs nothing.
		c.revision = 2
		result, err = c.run(func(ctx context.Context, s *feed.Session) error {
			if s.Cursor() != "" {
				t.Errorf("cursor %q of another revision", s.Cursor())
			}
			return put(ctx, s, group("a", "3", 3))
		})
		if err != nil || result.Changed != 0 || c.state().Cursor != "" || c.state().Revision != 2 {
			t.Errorf("%+v, %v, %+v", result, err, c.state())
		}
		// Nor where it is read elsewhere.
		if _, err := c.run(func(ctx context.Context, s *feed.Session) error { return s.SetCursor(ctx, "3") }); err != nil {
			t.Error(err)
		}
		c.url = "https://other.example/"
		if _, err := c.run(func(ctx context.Context, s *feed.Session) error {
			if s.Cursor() != "" {
				t.Errorf("cursor %q of another place", s.Cursor())
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}

func TestCrawlThatIsInterrupted(t *testing.T) {
	c := newCrawling(t, storetest.SQLite(t, store.Options{}))
	broken := errors.New("the line is cut")
	result, err := c.run(func(ctx context.Context, s *feed.Session) error {
		return errors.Join(put(ctx, s, group("a", "1", 1)), s.SetCursor(ctx, "1"), put(ctx, s, group("b", "1", 1)), broken)
	})
	if !errors.Is(err, broken) || result.Parts[0].Outcome != feed.Failed || result.Changed != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	c.want(map[string]int{"a": 1})
	if got := c.state(); got.Cursor != "1" || got.Packages != 1 || !got.Checked.IsZero() || !strings.Contains(got.Error, broken.Error()) {
		t.Errorf("state %+v", got)
	}
	// Told to end in the middle: as much is kept as the cursor says.
	ctx, cancel := context.WithCancel(t.Context())
	c.crawl = func(ctx context.Context, s *feed.Session) error {
		err := errors.Join(put(ctx, s, group("b", "1", 1)), s.SetCursor(ctx, "2"), put(ctx, s, group("c", "1", 1)))
		cancel()
		return errors.Join(err, s.SetCursor(ctx, "3"))
	}
	if _, err := c.updater.Update(ctx, feed.Request{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	c.want(map[string]int{"a": 1, "b": 1})
	if got := c.state(); got.Cursor != "2" {
		t.Errorf("state %+v", got)
	}
	if _, err := c.run(func(ctx context.Context, s *feed.Session) error {
		if s.Cursor() != "2" {
			t.Errorf("cursor %q, want 2", s.Cursor())
		}
		return put(ctx, s, group("c", "1", 1))
	}); err != nil {
		t.Error(err)
	}
	c.want(map[string]int{"a": 1, "b": 1, "c": 1})
	if got := c.state(); got.Error != "" || !got.Checked.Equal(c.now) {
		t.Errorf("state %+v", got)
	}
}

func TestWholeLoad(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		c := newCrawling(t, s)
		var many []advisory.Group
		for n := range 10 {
			many = append(many, group(fmt.Sprintf("p%d", n), "1", n+1))
		}
		load := func(groups []advisory.Group, then error) func(ctx context.Context, s *feed.Session) error {
			return func(ctx context.Context, s *feed.Session) error {
				return s.Whole(ctx, func() error { return errors.Join(put(ctx, s, groups...), then) })
			}
		}
		broken := errors.New("the archive is cut")
		// Nothing was there: what came before the archive broke is a beginning.
		if _, err := c.run(load(many[:5], broken)); !errors.Is(err, broken) {
			t.Error(err)
		}
		c.want(map[string]int{"p0": 1, "p1": 2, "p2": 3})
		if got := c.state(); !got.Checked.IsZero() || got.Packages != 3 || got.Advisories != 6 {
			t.Errorf("state %+v", got)
		}
		result, err := c.run(load(many, nil))
		if err != nil || result.Changed != 7 || result.Removed != 0 {
			t.Errorf("%+v, %v", result, err)
		}
		if got := c.state(); got.Checked.IsZero() || got.Packages != 10 || got.Advisories != 55 || got.Cursor != "" {
			t.Errorf("state %+v", got)
		}
		all := c.names()
		// Something is there: a load that is not whole changes none of it.
		changed := []advisory.Group{group("p0", "2", 4), group("new", "1", 1)}
		if _, err := c.run(load(changed, broken)); !errors.Is(err, broken) {
			t.Error(err)
		}
		c.want(all)
		result, err = c.run(load(append(changed, many...), nil)) // p0 is there twice
		if err != nil || result.Changed != 2 || result.Removed != 0 || result.Skipped.Count != 1 {
			t.Errorf("%+v, %v", result, err)
		}
		all["p0"], all["new"] = 4, 1
		c.want(all)
		result, err = c.run(load(many[1:8], nil))
		if err != nil || result.Changed != 0 || result.Removed != 4 || result.Parts[0].Advisories != 35 {
			t.Errorf("%+v, %v", result, err)
		}
		if got := c.state(); got.Packages != 7 || got.Skipped.Count != 0 {
			t.Errorf("state %+v", got)
		}
		if _, err := c.run(load(nil, nil)); !errors.Is(err, feed.ErrHeldBack) {
			t.Errorf("an empty load: %v", err)
		}
		if got := c.state(); got.Packages != 7 || !strings.Contains(got.Error, "held back") {
			t.Errorf("state %+v", got)
		}
	})
}

func TestCrawlThatTakesMostAwayIsHeldBack(t *testing.T) {
	var many []advisory.Group
	var names []string
	for n := range 200 {
		many = append(many, group(fmt.Sprintf("p%d", n), "1", 2))
		names = append(names, many[n].Name)
	}
	fewer := make([]advisory.Group, 0, 200)
	for _, name := range names {
		fewer = append(fewer, advisory.Group{Name: name, Details: map[string]advisory.Detail{"CVE-2026-1": {Description: "It is nothing."}}})
	}
	tests := []struct {
		name  string
		crawl func(ctx context.Context, s *feed.Session) error
	}{
		{"a load of less than half", func(ctx context.Context, s *feed.Session) error {
			return s.Whole(ctx, func() error { return put(ctx, s, many[:99]...) })
		}},
		{"a load without statements", func(ctx context.Context, s *feed.Session) error {
			return s.Whole(ctx, func() error { return put(ctx, s, fewer...) })
		}},
		{"a list of all as deleted", func(ctx context.Context, s *feed.Session) error {
			return errors.Join(put(ctx, s, many[0]), s.Remove(ctx, names...), s.SetCursor(ctx, "lost"))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newCrawling(t, storetest.SQLite(t, store.Options{}))
			if _, err := c.run(func(ctx context.Context, s *feed.Session) error {
				return errors.Join(s.Whole(ctx, func() error { return put(ctx, s, many...) }), s.SetCursor(ctx, "first"))
			}); err != nil {
				t.Fatal(err)
			}
			result, err := c.run(test.crawl)
			if !errors.Is(err, feed.ErrHeldBack) || result.Changed+result.Removed != 0 {
				t.Errorf("%+v, %v", result, err)
			}
			if got := c.state(); got.Packages != 200 || got.Advisories != 400 || got.Cursor != "first" {
				t.Errorf("state %+v", got)
			}
			if _, err := c.request(feed.Request{AcceptLoss: true}, test.crawl); err != nil {
				t.Errorf("though it is confirmed: %v", err)
			}
			if got := c.state(); got.Advisories > 200 {
				t.Errorf("state %+v", got)
			}
		})
	}
	t.Run("one after the other", func(t *testing.T) {
		c := newCrawling(t, storetest.SQLite(t, store.Options{}))
		if _, err := c.run(func(ctx context.Context, s *feed.Session) error { return put(ctx, s, many...) }); err != nil {
			t.Fatal(err)
		}
		_, err := c.run(func(ctx context.Context, s *feed.Session) error { return put(ctx, s, fewer...) })
		if !errors.Is(err, feed.ErrHeldBack) {
			t.Error(err)
		}
		if got := c.state(); got.Advisories < 200 || got.Advisories > 210 || got.Packages != 200 {
			t.Errorf("state %+v", got)
		}
	})
}

func TestSessionRefuses(t *testing.T) {
	tests := []struct {
		name, says string
		crawl      func(ctx context.Context, s *feed.Session) error
	}{
		{"a cursor in a whole load", "no cursor", func(ctx context.Context, s *feed.Session) error {
			return s.Whole(ctx, func() error { return s.SetCursor(ctx, "1") })
		}},
		{"to remove in a whole load", "removes what it does not put", func(ctx context.Context, s *feed.Session) error {
			return s.Whole(ctx, func() error { return s.Remove(ctx, "a") })
		}},
		{"a whole load in one", "within another", func(ctx context.Context, s *feed.Session) error {
			return s.Whole(ctx, func() error { return s.Whole(ctx, func() error { return nil }) })
		}},
		{"a cursor without end", "bytes long", func(ctx context.Context, s *feed.Session) error {
			return s.SetCursor(ctx, strings.Repeat("1", 2<<20))
		}},
		{"to go on after that", "bytes long", func(ctx context.Context, s *feed.Session) error {
			_ = s.SetCursor(ctx, strings.Repeat("1", 2<<20))
			return s.Put(ctx, group("b", "1", 1))
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := newCrawling(t, storetest.SQLite(t, store.Options{}))
			if _, err := c.run(func(ctx context.Context, s *feed.Session) error { return put(ctx, s, group("a", "1", 1)) }); err != nil {
				t.Fatal(err)
			}
			if _, err := c.run(test.crawl); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one with %q", err, test.says)
			}
			c.want(map[string]int{"a": 1})
		})
	}
}

func TestSessionFetches(t *testing.T) {
	p := newPublishers(t)
	p.publish("/publisher.example/all/doc", `"1"`, "text")
	p.serve("/publisher.example/all/secret", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	c := newCrawling(t, storetest.SQLite(t, store.Options{}))
	c.updater = feed.New(c.store, newFetcher(t, feed.FetcherOptions{Mirror: p.URL}), []feed.Feed{c.script}, match.Package, feed.Options{})
	if _, err := c.run(func(ctx context.Context, s *feed.Session) error {
		doc, err := s.Fetch(ctx, s.Part().URL+"doc", feed.Validators{})
		if err != nil {
			return err
		}
		text, err := io.ReadAll(doc.Reader())
		if string(text) != "text" || !s.Mirrored() {
			t.Errorf("read %q, mirrored %v", text, s.Mirrored())
		}
		if _, again := s.Fetch(ctx, s.Part().URL+"doc", doc.Validators); !errors.Is(again, feed.ErrNotModified) {
			t.Errorf("again: %v", again)
		}
		if _, refused := s.Fetch(ctx, s.Part().URL+"secret", feed.Validators{}); !errors.Is(refused, feed.ErrRefused) {
			t.Errorf("403: %v", refused)
		}
		return errors.Join(err, doc.Close())
	}); err != nil {
		t.Error(err)
	}
}

// TestFetchWithAKey: a key goes to the publisher and to nobody else.
func TestFetchWithAKey(t *testing.T) {
	p, other := newPublishers(t), newPublishers(t)
	key := map[string]string{"apiKey": "secret"}
	var got []string
	answer := func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Host+" "+r.Header.Get("apiKey"))
		fmt.Fprint(w, "text")
	}
	p.serve("/doc", answer)
	p.serve("/upstream.example/doc", answer)
	other.serve("/doc", answer)
	p.serve("/away", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL+"/doc", http.StatusFound) })
	p.serve("/near", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/doc", http.StatusFound) })
	direct := newFetcher(t, feed.FetcherOptions{})
	mirrored := newFetcher(t, feed.FetcherOptions{Mirror: p.URL})
	for _, ask := range []struct {
		f   *feed.Fetcher
		url string
	}{{direct, p.URL + "/doc"}, {direct, p.URL + "/near"}, {direct, p.URL + "/away"}, {mirrored, "https://upstream.example/doc"}} {
		doc, err := ask.f.FetchWith(t.Context(), ask.url, feed.Validators{}, key)
		if err != nil {
			t.Fatal(err)
		}
		if err := doc.Close(); err != nil {
			t.Error(err)
		}
	}
	host := strings.TrimPrefix(p.URL, "http://")
	want := []string{host + " secret", host + " secret", strings.TrimPrefix(other.URL, "http://") + " ", host + " "}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWholeLoadLeavesNoFiles(t *testing.T) {
	folder := t.TempDir()
	c := newCrawling(t, storetest.SQLite(t, store.Options{}))
	c.updater = feed.New(c.store, newFetcher(t, feed.FetcherOptions{TempDir: folder}), []feed.Feed{c.script}, match.Package, feed.Options{})
	for range 2 {
		if _, err := c.run(func(ctx context.Context, s *feed.Session) error {
			return s.Whole(ctx, func() error { return put(ctx, s, group("a", fmt.Sprint(c.now.Unix()), 1)) })
		}); err != nil {
			t.Error(err)
		}
	}
	left, err := os.ReadDir(folder)
	if err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}
