package redhat_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/redhat"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

const root = "/security.access.redhat.com/data/csaf/v2/vex/"

// vex is a document that says that RHEL 9's package of a vulnerability is fixed.
func vex(cve, version string) string {
	return fmt.Sprintf(`{"document": {"category": "csaf_vex", "csaf_version": "2.0", "aggregate_severity": {"text": "low"}, "tracking": {"id": %[1]q}},
		"product_tree": {"branches": [
			{"product": {"product_id": "p", "product_identification_helper": {"cpe": "cpe:/o:redhat:enterprise_linux:9::baseos"}}},
			{"product": {"product_id": "c", "product_identification_helper": {"purl": "pkg:rpm/redhat/%[3]s@%[2]s?arch=x86_64"}}}],
			"relationships": [{"full_product_name": {"product_id": "p:c"}, "product_reference": "c", "relates_to_product_reference": "p"}]},
		"vulnerabilities": [{"cve": %[1]q, "product_status": {"fixed": ["p:c"]}}]}`, cve, version, strings.ToLower(cve))
}

func number(n int) string { return fmt.Sprintf("CVE-2031-%d", 1000+n) }

func document(n int) string { return fmt.Sprintf("2031/cve-2031-%d.json", 1000+n) }

// file is one of an archive.
type file struct {
	name, content string
	kind          byte
}

func archive(t testing.TB, files ...file) string {
	t.Helper()
	var b bytes.Buffer
	z, err := zstd.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for _, f := range files {
		head := tar.Header{Name: f.name, Size: int64(len(f.content)), Mode: 0o644, Typeflag: cmp.Or(f.kind, tar.TypeReg)}
		if head.Typeflag != tar.TypeReg {
			head.Linkname, head.Size = f.content, 0
		}
		if err := w.WriteHeader(&head); err != nil {
			t.Fatal(err)
		}
		if head.Size > 0 {
			if _, err := w.Write([]byte(f.content)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func listed(lines ...string) string {
	var b strings.Builder
	for n := 0; n < len(lines); n += 2 {
		fmt.Fprintf(&b, "%q,%q\n", lines[n], lines[n+1])
	}
	return b.String()
}

// publisher is a server that stands for Red Hat's. What is not there answers 404.
type publisher struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string]string
	fail  map[string]int // status by path
	asked []string
}

func newPublisher(t testing.TB) *publisher {
	p := &publisher{files: make(map[string]string), fail: make(map[string]int)}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		name := strings.TrimPrefix(r.URL.Path, root)
		content, there := p.files[name]
		etag := fmt.Sprintf(`"%d"`, len(p.files[name]))
		asked := name
		switch {
		case p.fail[name] != 0:
			w.WriteHeader(p.fail[name])
		case !there:
			http.NotFound(w, r)
		case r.Header.Get("If-None-Match") == etag:
			asked += " (not modified)"
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("ETag", etag)
			fmt.Fprint(w, content)
		}
		p.asked = append(p.asked, asked)
	}))
	t.Cleanup(p.Close)
	return p
}

// took returns what was asked for since, sorted: documents are fetched side by side.
func (p *publisher) took() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	slices.Sort(asked)
	return asked
}

type crawling struct {
	*testing.T
	store   *store.Store
	updater *feed.Updater
}

func newCrawling(t *testing.T, s *store.Store, mirror string) *crawling {
	t.Helper()
	temp := t.TempDir()
	fetcher, err := feed.NewFetcher(feed.FetcherOptions{Mirror: mirror, TempDir: temp, Tries: 2, Backoff: time.Millisecond})
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
	return &crawling{T: t, store: s, updater: feed.New(s, fetcher, []feed.Feed{redhat.New()}, match.Package, feed.Options{
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Date(2031, 6, 1, 0, 0, 0, 0, time.UTC) },
	})}
}

func (c *crawling) run() (feed.PartResult, error) {
	c.Helper()
	results, err := c.updater.Update(c.Context(), feed.Request{})
	if len(results) != 1 || len(results[0].Parts) != 1 {
		c.Fatalf("%+v, %v", results, err)
	}
	return results[0].Parts[0], err
}

// names are those of the stored groups.
func (c *crawling) names() []string {
	c.Helper()
	prints, err := c.store.Fingerprints(c.Context(), "redhat", "vex")
	if err != nil {
		c.Fatal(err)
	}
	var names []string
	for name := range prints {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (c *crawling) state() feed.PartState {
	c.Helper()
	status, err := c.store.FeedStatus(c.Context(), "redhat")
	if err != nil || len(status.Parts) != 1 {
		c.Fatalf("%+v, %v", status, err)
	}
	return status.Parts[0]
}

func same(t testing.TB, what string, got []string, want ...string) {
	t.Helper()
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestCrawl(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		p := newPublisher(t)
		p.files["archive_latest.txt"] = "csaf_vex_2031-03-02.tar.zst\n"
		p.files["csaf_vex_2031-03-02.tar.zst"] = archive(t, file{name: "2031/", kind: tar.TypeDir},
			file{name: document(1), content: vex(number(1), "1-1")}, file{name: document(2), content: vex(number(2), "1-1")}, file{name: document(3), content: vex(number(3), "1-1")})
		p.files[document(1)], p.files[document(2)], p.files[document(4)] = vex(number(1), "1-1"), vex(number(2), "1-2"), vex(number(4), "1-1")
		p.files["changes.csv"] = listed(document(4), "2031-03-03T00:00:00+00:00", document(2), "2031-03-02T12:00:00+00:00", document(1), "2031-02-01T00:00:00+00:00")
		p.files["deletions.csv"] = listed(document(3), "2031-03-02T15:00:00+00:00", document(2), "2031-01-01T00:00:00+00:00")
		c := newCrawling(t, s, p.URL)

		result, err := c.run()
		if err != nil || result.Changed != 5 || result.Removed != 1 || result.Outcome != feed.Updated {
			t.Errorf("%+v, %v", result, err)
		}
		same(t, "asked for", p.took(), document(2), document(4), "archive_latest.txt", "changes.csv", "csaf_vex_2031-03-02.tar.zst", "deletions.csv")
		same(t, "stored", c.names(), number(1), number(2), number(4))
		if got := c.state(); got.Packages != 3 || got.Advisories != 3 || got.Checked.IsZero() || got.Error != "" || !slices.Equal(got.Ecosystems, []string{"rhel:9"}) {
			t.Errorf("state %+v", got)
		}

		result, err = c.run()
		if err != nil || result.Outcome != feed.Unchanged {
			t.Errorf("%+v, %v", result, err)
		}
		same(t, "asked for when nothing changed", p.took(), "changes.csv (not modified)", "deletions.csv (not modified)")

		// One changes, one is made anew with what it had, one is new.
		p.files[document(1)], p.files[document(5)] = vex(number(1), "1-3"), vex(number(5), "1-1")
		p.files["changes.csv"] += listed(document(5), "2031-03-04T00:00:00+00:00", document(1), "2031-03-04T00:00:00+00:00", document(2), "2031-03-05T00:00:00+00:00")
		result, err = c.run()
		if err != nil || result.Changed != 2 || result.Removed != 0 {
			t.Errorf("%+v, %v", result, err)
		}
		same(t, "asked for when there are changes", p.took(), document(1), document(2), document(5), "changes.csv", "deletions.csv (not modified)")

		// One goes; one that went long ago is back.
		p.files["deletions.csv"] += listed(document(5), "2031-03-06T00:00:00+00:00")
		p.files[document(3)] = vex(number(3), "1-1")
		p.files["changes.csv"] += listed(document(3), "2031-03-07T00:00:00+00:00")
		result, err = c.run()
		if err != nil || result.Changed != 1 || result.Removed != 1 {
			t.Errorf("%+v, %v", result, err)
		}
		same(t, "asked for when something is gone", p.took(), document(3), "changes.csv", "deletions.csv")
		same(t, "stored", c.names(), number(1), number(2), number(3), number(4))

		// Something goes, and nothing changes.
		p.files["deletions.csv"] += listed(document(4), "2031-03-08T00:00:00+00:00")
		if result, err = c.run(); err != nil || result.Changed != 0 || result.Removed != 1 {
			t.Errorf("%+v, %v", result, err)
		}
		same(t, "asked for when something is gone", p.took(), "changes.csv", "deletions.csv")
		same(t, "stored", c.names(), number(1), number(2), number(3))
	})
}

// TestCrawlWithoutAnArchive reads all documents one after the other.
func TestCrawlWithoutAnArchive(t *testing.T) {
	p := newPublisher(t)
	for n := range 3 {
		p.files[document(n)] = vex(number(n), "1-1")
		p.files["changes.csv"] += listed(document(n), fmt.Sprintf("2031-03-0%dT00:00:00+00:00", n+1))
	}
	c := newCrawling(t, storetest.SQLite(t, store.Options{}), p.URL)
	if _, err := c.run(); err != nil {
		t.Error(err)
	}
	same(t, "stored", c.names(), number(0), number(1), number(2))
	p.took()
	if result, err := c.run(); err != nil || result.Outcome != feed.Unchanged {
		t.Errorf("%+v, %v", result, err)
	}
	same(t, "asked for again", p.took(), "changes.csv (not modified)", "deletions.csv")
}

// TestCrawlFromAFolder is the same from the files of a mirror.
func TestCrawlFromAFolder(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) {
		t.Helper()
		name = filepath.Join(folder, filepath.FromSlash(root), filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	write("archive_latest.txt", "csaf_vex_2031-03-02.tar.zst")
	write("csaf_vex_2031-03-02.tar.zst", archive(t, file{name: document(1), content: vex(number(1), "1-1")}, file{name: document(2), content: vex(number(2), "1-1")}))
	write(document(3), vex(number(3), "1-1"))
	write("changes.csv", listed(document(3), "2031-03-04T00:00:00+00:00"))
	write("deletions.csv", "")
	c := newCrawling(t, storetest.SQLite(t, store.Options{}), folder)
	if result, err := c.run(); err != nil || result.Changed != 3 {
		t.Errorf("%+v, %v", result, err)
	}
	if result, err := c.run(); err != nil || result.Outcome != feed.Unchanged {
		t.Errorf("%+v, %v", result, err)
	}
	write("deletions.csv", listed(document(2), "2031-03-05T00:00:00+00:00"))
	if result, err := c.run(); err != nil || result.Removed != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	same(t, "stored", c.names(), number(1), number(3))
}

// TestCrawlThatIsInterrupted goes on where it was.
func TestCrawlThatIsInterrupted(t *testing.T) {
	const all, broken = 450, 330
	p := newPublisher(t)
	var changes []string
	began := time.Date(2031, 3, 1, 0, 0, 0, 0, time.UTC)
	for n := range all {
		p.files[document(n)] = vex(number(n), "1-1")
		changes = append(changes, document(n), began.Add(time.Duration(n/3)*time.Second).Format(time.RFC3339)) // three at a time
		if n >= broken {
			p.fail[document(n)] = http.StatusInternalServerError
		}
	}
	p.files["changes.csv"] = listed(changes...)
	c := newCrawling(t, storetest.SQLite(t, store.Options{}), p.URL)
	result, err := c.run()
	if !errors.Is(err, feed.ErrUnreachable) || result.Outcome != feed.Failed {
		t.Errorf("%+v, %v", result, err)
	}
	stored := len(c.names())
	if state := c.state(); stored < 200 || stored > broken || !state.Checked.IsZero() || state.Cursor == "" || state.Packages != stored {
		t.Errorf("%d are stored, state %+v", stored, state)
	}
	p.took()
	clear(p.fail)
	if result, err := c.run(); err != nil || result.Changed != all-stored {
		t.Errorf("%+v, %v", result, err)
	}
	if asked := len(p.took()); asked > all-stored+10 {
		t.Errorf("%d documents were asked for, where %d were stored", asked, stored)
	}
	if len(c.names()) != all {
		t.Errorf("%d are stored", len(c.names()))
	}
}

// TestCrawlThatIsCancelled leaves nothing behind, and nothing half done.
func TestCrawlThatIsCancelled(t *testing.T) {
	p := newPublisher(t)
	ctx, cancel := context.WithCancel(t.Context())
	var changes []string
	for n := range 50 {
		p.files[document(n)] = vex(number(n), "1-1")
		changes = append(changes, document(n), "2031-03-01T00:00:00Z")
	}
	p.files["changes.csv"] = listed(changes...)
	handler := p.Config.Handler
	p.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path.Base(r.URL.Path) == path.Base(document(20)) {
			cancel()
		}
		handler.ServeHTTP(w, r)
	})
	c := newCrawling(t, storetest.SQLite(t, store.Options{}), p.URL)
	if _, err := c.updater.Update(ctx, feed.Request{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if result, err := c.run(); err != nil || result.Packages != 50 {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestDocumentsThatCannotBeRead are left out by name, tried again, and take
// nothing away.
func TestDocumentsThatCannotBeRead(t *testing.T) {
	p := newPublisher(t)
	p.files["archive_latest.txt"] = "csaf_vex_2031-03-02.tar.zst"
	p.files["csaf_vex_2031-03-02.tar.zst"] = archive(t, file{name: document(1), content: vex(number(1), "1-1")}, file{name: document(2), content: vex(number(2), "1-1")},
		file{name: document(3), content: vex(number(3), "1-1")}, file{name: document(4), content: vex(number(4), "1-1")}, file{name: document(6), content: vex(number(6), "1-1")})
	p.files["changes.csv"] = listed(document(1), "2031-03-01T00:00:00Z")
	p.files[document(1)] = vex(number(1), "1-1")
	c := newCrawling(t, storetest.SQLite(t, store.Options{}), p.URL)
	if _, err := c.run(); err != nil {
		t.Fatal(err)
	}
	p.files["changes.csv"] += listed(document(1), "2031-03-03T00:00:00Z", document(2), "2031-03-03T00:00:01Z", document(3), "2031-03-03T00:00:02Z",
		document(4), "2031-03-03T00:00:03Z", document(5), "2031-03-03T00:00:04Z", document(6), "2031-03-03T00:00:05Z")
	p.files[document(1)] = vex(number(1), "1-2")[:100]
	p.files[document(2)] = vex(number(7), "1-2")
	p.files[document(3)] = "<!DOCTYPE html><html>Please log in</html>"
	p.fail[document(4)] = http.StatusForbidden
	p.fail[document(5)] = http.StatusInternalServerError
	p.files[document(6)] = vex(number(6), "1-2")
	result, err := c.run()
	if err != nil || result.Changed != 1 || result.Removed != 0 {
		t.Errorf("%+v, %v", result, err)
	}
	same(t, "stored", c.names(), number(1), number(2), number(3), number(4), number(6))
	names := strings.Join(c.state().Skipped.Names, "\n")
	for n, says := range map[int]string{1: "unexpected EOF", 2: "it is the document of CVE-2031-1007", 3: "web page", 4: "403", 5: "500"} {
		if !strings.Contains(names, number(n)+": ") || !strings.Contains(names, says) {
			t.Errorf("%s (%s) is not among\n%s", number(n), says, names)
		}
	}
	// They are tried again, though nothing else changed, and counted once.
	p.took()
	if result, err := c.run(); err != nil || result.Outcome != feed.Unchanged {
		t.Errorf("%+v, %v", result, err)
	}
	same(t, "asked for", p.took(), document(1), document(2), document(3), document(4), document(5), document(5), "changes.csv (not modified)", "deletions.csv")
	if got := c.state().Skipped; got.Count != 5 || len(got.Names) != 5 {
		t.Errorf("skipped %+v", got)
	}
	clear(p.fail)
	for n := range 6 {
		p.files[document(n)] = vex(number(n), "1-4")
	}
	if result, err := c.run(); err != nil || result.Changed != 5 {
		t.Errorf("%+v, %v", result, err)
	}
	if got := c.state(); got.Skipped.Count != 0 || strings.Contains(got.Cursor, "retry") {
		t.Errorf("state %+v", got)
	}
}

// TestManyChanges: where thousands of documents changed and there is a newer
// archive, that is read.
func TestManyChanges(t *testing.T) {
	p := newPublisher(t)
	p.files["archive_latest.txt"] = "csaf_vex_2031-03-02.tar.zst"
	p.files["csaf_vex_2031-03-02.tar.zst"] = archive(t, file{name: document(1), content: vex(number(1), "1-1")}, file{name: document(2), content: vex(number(2), "1-1")})
	p.files["changes.csv"] = listed(document(1), "2031-02-01T00:00:00Z")
	c := newCrawling(t, storetest.SQLite(t, store.Options{}), p.URL)
	if _, err := c.run(); err != nil {
		t.Fatal(err)
	}
	var changes []string
	for n := range 5001 {
		changes = append(changes, document(n), "2031-03-05T00:00:00Z")
	}
	p.files["changes.csv"] = listed(changes...) + listed(document(3), "2031-03-10T00:00:00Z")
	p.files[document(3)] = vex(number(3), "1-2")
	p.files["archive_latest.txt"] = "csaf_vex_2031-03-10.tar.zst"
	p.files["csaf_vex_2031-03-10.tar.zst"] = archive(t, file{name: document(2), content: vex(number(2), "1-2")}, file{name: document(3), content: vex(number(3), "1-1")})
	p.took()
	if result, err := c.run(); err != nil || result.Changed != 3 || result.Removed != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	same(t, "asked for", p.took(), document(3), "archive_latest.txt", "changes.csv", "csaf_vex_2031-03-10.tar.zst", "deletions.csv")
	same(t, "stored", c.names(), number(2), number(3))
}
