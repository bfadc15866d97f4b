package nvd_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/nvd"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// vulnerability is one that the database has.
type vulnerability struct {
	ID       string
	Modified time.Time
	Text     string
}

func (v vulnerability) String() string {
	return fmt.Sprintf(`{"cve": {"id": %q, "published": "2031-01-01T00:00:00.000", "lastModified": %q, "vulnStatus": "Analyzed", "descriptions": [{"lang": "en", "value": %q}]}}`,
		v.ID, v.Modified.Format("2006-01-02T15:04:05.000"), v.Text)
}

// database is a server that answers as NVD does, though with few on a page.
type database struct {
	*httptest.Server
	t       *testing.T
	mu      sync.Mutex
	list    []vulnerability
	perPage int
	now     time.Time
	key     string
	// before may answer in place of the database; it is told how many requests
	// there were.
	before func(n int, w http.ResponseWriter, r *http.Request) bool
	asked  []string
}

func newDatabase(t *testing.T) *database {
	d := &database{t: t, perPage: 3, now: time.Date(2031, 5, 1, 0, 0, 0, 0, time.UTC)}
	d.Server = httptest.NewServer(http.HandlerFunc(d.serve))
	t.Cleanup(d.Close)
	return d
}

func (d *database) add(n int, modified time.Time, text string) {
	id := fmt.Sprintf("CVE-2031-%04d", n)
	d.list = slices.DeleteFunc(d.list, func(v vulnerability) bool { return v.ID == id })
	d.list = append(d.list, vulnerability{id, modified, text})
}

func (d *database) serve(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	query := r.URL.Query()
	since, end := query.Get("lastModStartDate"), query.Get("lastModEndDate")
	asked := query.Get("startIndex")
	list := d.list
	if since != "" {
		var times [2]time.Time
		for i, text := range []string{since, end} {
			at, err := time.Parse("2006-01-02T15:04:05.000-07:00", text)
			if err != nil {
				d.t.Errorf("asked for %s: %v", r.URL, err)
			}
			times[i] = at
		}
		if times[1].Sub(times[0]) > 120*24*time.Hour {
			d.t.Errorf("asked for %s", times[1].Sub(times[0]))
		}
		asked += " " + times[0].Format("01-02T15:04") + " " + times[1].Format("01-02T15:04")
		list = slices.DeleteFunc(slices.Clone(list), func(v vulnerability) bool { return v.Modified.Before(times[0]) || v.Modified.After(times[1]) })
	}
	d.asked = append(d.asked, asked)
	if query.Get("resultsPerPage") != "2000" || r.Header.Get("apiKey") != d.key {
		d.t.Errorf("asked for %s with the key %q", r.URL, r.Header.Get("apiKey"))
	}
	if d.before != nil && d.before(len(d.asked), w, r) {
		return
	}
	start, err := strconv.Atoi(query.Get("startIndex"))
	if err != nil {
		d.t.Error(err)
	}
	fmt.Fprint(w, d.page(list, start))
}

func (d *database) page(list []vulnerability, start int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"resultsPerPage": %d, "startIndex": %d, "totalResults": %d, "format": "NVD_CVE", "version": "2.0", "timestamp": %q, "vulnerabilities": [`,
		d.perPage, start, len(list), d.now.Format("2006-01-02T15:04:05.000"))
	for n := start; n < min(start+d.perPage, len(list)); n++ {
		if n > start {
			b.WriteString(", ")
		}
		b.WriteString(list[n].String())
	}
	return b.String() + "]}"
}

func (d *database) took() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	asked := d.asked
	d.asked = nil
	return asked
}

type crawling struct {
	*testing.T
	store   *store.Store
	fetcher *feed.Fetcher
	opts    nvd.Options
	now     time.Time
}

func newCrawling(t *testing.T, s *store.Store, mirror string, opts nvd.Options) *crawling {
	t.Helper()
	temp := t.TempDir()
	fetcher, err := feed.NewFetcher(feed.FetcherOptions{Mirror: mirror, TempDir: temp, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		left, err := os.ReadDir(temp)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the temporary folder: %v, %v", left, err)
		}
		if err := fetcher.Close(); err != nil {
			t.Error(err)
		}
	})
	opts.Pause, opts.Penalty = time.Nanosecond, time.Nanosecond
	return &crawling{T: t, store: s, fetcher: fetcher, opts: opts, now: time.Date(2031, 5, 1, 0, 0, 0, 0, time.UTC)}
}

func (c *crawling) run() (feed.PartResult, error) {
	c.Helper()
	return c.runWith(c.Context())
}

func (c *crawling) runWith(ctx context.Context) (feed.PartResult, error) {
	c.Helper()
	u := feed.New(c.store, c.fetcher, []feed.Feed{nvd.New(c.opts)}, match.Package, feed.Options{
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return c.now },
	})
	results, err := u.Update(ctx, feed.Request{})
	if len(results) != 1 || len(results[0].Parts) != 1 {
		c.Fatalf("%+v, %v", results, err)
	}
	return results[0].Parts[0], err
}

func (c *crawling) stored() int {
	c.Helper()
	prints, err := c.store.Fingerprints(c.Context(), "nvd", "cves")
	if err != nil {
		c.Fatal(err)
	}
	return len(prints)
}

func (c *crawling) cursor() string {
	c.Helper()
	status, err := c.store.FeedStatus(c.Context(), "nvd")
	if err != nil || len(status.Parts) != 1 {
		c.Fatalf("%+v, %v", status, err)
	}
	return status.Parts[0].Cursor
}

func same(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestCrawl(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		d := newDatabase(t)
		d.key = "secret"
		old := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
		for n := range 8 {
			d.add(n, old, "first")
		}
		c := newCrawling(t, s, "", nvd.Options{URL: d.URL, Key: "secret"})
		result, err := c.run()
		if err != nil || result.Changed != 8 || result.Packages != 8 || result.Outcome != feed.Updated {
			t.Errorf("%+v, %v", result, err)
		}
		same(t, "asked for", d.took(), "0", "3", "6")

		// A day later: two changed, one is new, one of those within the hour before.
		d.add(1, d.now.Add(-30*time.Minute), "second")
		d.add(9, d.now.Add(time.Hour), "first")
		d.add(2, d.now.Add(2*time.Hour), "first")
		d.now, c.now = d.now.Add(24*time.Hour), c.now.Add(24*time.Hour)
		result, err = c.run()
		if err != nil || result.Changed != 3 || result.Packages != 9 {
			t.Errorf("%+v, %v", result, err)
		}
		same(t, "asked for a day later", d.took(), "0 04-30T23:00 05-02T00:00")

		// A year later, in windows.
		for n := range 5 {
			d.add(n, d.now.Add(200*24*time.Hour), "third")
		}
		d.now, c.now = d.now.Add(300*24*time.Hour), c.now.Add(300*24*time.Hour)
		result, err = c.run()
		if err != nil || result.Changed != 5 {
			t.Errorf("%+v, %v", result, err)
		}
		same(t, "asked for a year later", d.took(), "0 05-01T23:00 08-29T00:00", "0 08-28T23:00 12-26T00:00", "3 08-28T23:00 12-26T00:00", "0 12-25T23:00 02-26T00:00")

		// Nothing changes, and our clock is ahead of theirs by an hour.
		d.now, c.now = d.now.Add(23*time.Hour), c.now.Add(24*time.Hour)
		if result, err = c.run(); err != nil || result.Outcome != feed.Unchanged {
			t.Errorf("%+v, %v", result, err)
		}
		same(t, "asked for", d.took(), "0 02-25T23:00 02-27T00:00")
		d.now, c.now = d.now.Add(24*time.Hour), c.now.Add(24*time.Hour)
		if _, err = c.run(); err != nil {
			t.Error(err)
		}
		same(t, "asked for", d.took(), "0 02-26T22:00 02-28T00:00")
	})
}

// TestCrawlThatIsInterrupted goes on with the page that did not come.
func TestCrawlThatIsInterrupted(t *testing.T) {
	d := newDatabase(t)
	for n := range 12 {
		d.add(n, d.now.Add(-time.Hour*24*365), "first")
	}
	c := newCrawling(t, storetest.SQLite(t, store.Options{}), "", nvd.Options{URL: d.URL})
	ctx, cancel := context.WithCancel(t.Context())
	d.before = func(n int, _ http.ResponseWriter, r *http.Request) bool {
		if n == 3 {
			cancel()
			<-r.Context().Done()
		}
		return n == 3
	}
	if _, err := c.runWith(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got := c.stored(); got != 6 || !strings.Contains(c.cursor(), `"next":6`) {
		t.Errorf("%d are stored, cursor %s", got, c.cursor())
	}
	d.before = nil
	d.took()
	d.add(0, d.now.Add(time.Minute), "second") // which moves all others to the place before
	c.now = c.now.Add(time.Hour)
	d.now = d.now.Add(time.Hour)
	if result, err := c.run(); err != nil || result.Packages != 12 {
		t.Errorf("%+v, %v", result, err)
	}
	same(t, "asked for", d.took(), "6", "9", "0", "3", "6", "9", "0 04-30T23:00 05-01T01:00")
}

func TestCrawlIsPatient(t *testing.T) {
	turnedAway := func(status, times int) func(n int, w http.ResponseWriter, _ *http.Request) bool {
		return func(n int, w http.ResponseWriter, _ *http.Request) bool {
			if n <= times {
				w.WriteHeader(status)
			}
			return n <= times
		}
	}
	for _, test := range []struct {
		name          string
		status, times int
		asked         int
		want          error
	}{
		{"403 once", http.StatusForbidden, 1, 2, nil}, {"403 twice", http.StatusForbidden, 2, 3, nil}, {"503 twice", http.StatusServiceUnavailable, 2, 3, nil},
		{"429 once", http.StatusTooManyRequests, 1, 2, nil}, {"403 for ever", http.StatusForbidden, 100, 3, feed.ErrRefused}, {"503 for ever", http.StatusServiceUnavailable, 100, 3, feed.ErrUnreachable},
		{"404", http.StatusNotFound, 100, 1, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDatabase(t)
			d.add(1, d.now.Add(-time.Hour), "first")
			d.before = turnedAway(test.status, test.times)
			c := newCrawling(t, storetest.SQLite(t, store.Options{}), "", nvd.Options{URL: d.URL})
			_, err := c.run()
			switch {
			case test.want != nil && !errors.Is(err, test.want), test.want == nil && test.times < 100 && err != nil, test.times == 100 && err == nil:
				t.Errorf("error %v, want %v", err, test.want)
			}
			if asked := d.took(); len(asked) != test.asked {
				t.Errorf("asked %d times, want %d", len(asked), test.asked)
			}
		})
	}
}

// TestPagesThatLie end in an error, after a bounded number of requests, and take
// nothing away.
func TestPagesThatLie(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer func(d *database, start int) string
		says   string
	}{
		{"the first page for ever", func(d *database, _ int) string { return d.page(d.list, 0) }, "that from 0 on came"},
		{"nothing, of many", func(d *database, start int) string {
			return fmt.Sprintf(`{"startIndex": %d, "totalResults": 1000000, "format": "NVD_CVE", "version": "2.0", "vulnerabilities": []}`, start)
		}, "is empty"},
		{"another format", func(*database, int) string { return `{"message": "try later"}` }, "no NVD_CVE"},
		{"a page", func(*database, int) string { return `<html>try later</html>` }, "web page"},
		{"cut", func(d *database, start int) string { p := d.page(d.list, start); return p[:len(p)-20] }, "unexpected EOF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			d := newDatabase(t)
			for n := range 7 {
				d.add(n, d.now.Add(-24*time.Hour), "first")
			}
			c := newCrawling(t, storetest.SQLite(t, store.Options{}), "", nvd.Options{URL: d.URL})
			if _, err := c.run(); err != nil {
				t.Fatal(err)
			}
			d.took()
			for n := range 7 {
				d.add(n, d.now.Add(time.Hour), "first")
			}
			c.now = c.now.Add(24 * time.Hour)
			before := c.cursor()
			d.before = func(_ int, w http.ResponseWriter, r *http.Request) bool {
				start, err := strconv.Atoi(r.URL.Query().Get("startIndex"))
				if err != nil {
					t.Error(err)
				}
				fmt.Fprint(w, test.answer(d, start))
				return true
			}
			if _, err := c.run(); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("error %v, want one with %q", err, test.says)
			}
			if asked := d.took(); len(asked) > 3 || c.stored() != 7 || c.cursor() != before {
				t.Errorf("asked for %q, %d are stored, cursor %s", asked, c.stored(), c.cursor())
			}
		})
	}
}

// TestMirror reads the one page that a mirror has, whatever is asked for.
func TestMirror(t *testing.T) {
	d := newDatabase(t)
	d.perPage = 100
	for n := range 5 {
		d.add(n, d.now, "first")
	}
	folder := t.TempDir()
	name := filepath.Join(folder, "services.nvd.nist.gov", "rest", "json", "cves", "2.0")
	write := func(content string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write(d.page(d.list, 0))
	c := newCrawling(t, storetest.SQLite(t, store.Options{}), folder, nvd.Options{Key: "secret"})
	if result, err := c.run(); err != nil || result.Changed != 5 {
		t.Errorf("%+v, %v", result, err)
	}
	if result, err := c.run(); err != nil || result.Outcome != feed.Unchanged {
		t.Errorf("%+v, %v", result, err)
	}
	d.add(7, d.now, "first")
	d.add(0, d.now, "second")
	d.perPage = 6
	write(strings.Replace(d.page(d.list, 0), `"totalResults": 6`, `"totalResults": 300000`, 1))
	if result, err := c.run(); err != nil || result.Changed != 2 || result.Packages != 6 {
		t.Errorf("%+v, %v", result, err)
	}
	write("{")
	if _, err := c.run(); err == nil || c.stored() != 6 {
		t.Errorf("%d are stored, %v", c.stored(), err)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if result, err := c.run(); result.Outcome != feed.Absent || !errors.Is(err, feed.ErrNotPublished) || c.stored() != 6 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestRealMirror(t *testing.T) {
	var doc struct {
		Vulnerabilities []json.RawMessage `json:"vulnerabilities"`
	}
	if err := json.Unmarshal(realPage(t), &doc); err != nil {
		t.Fatal(err)
	}
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		c := newCrawling(t, s, realFeeds(t), nvd.Options{})
		result, err := c.run()
		if err != nil || result.Changed != len(doc.Vulnerabilities) || result.Packages != len(doc.Vulnerabilities) || result.Skipped.Count != 0 {
			t.Errorf("%+v, %v", result, err)
		}
		if result, err := c.run(); err != nil || result.Outcome != feed.Unchanged {
			t.Errorf("%+v, %v", result, err)
		}
	})
}

func TestOptions(t *testing.T) {
	if got := nvd.New(nvd.Options{}).Parts()[0].URL; got != "https://services.nvd.nist.gov/rest/json/cves/2.0" {
		t.Errorf("got %s", got)
	}
}
