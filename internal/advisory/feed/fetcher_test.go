package feed_test

import (
	"bytes"
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
)

const upstreamURL = "https://publisher.example/advisories/doc.json"

func zipped(t testing.TB, content string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, content); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func newFetcher(t testing.TB, opts feed.FetcherOptions) *feed.Fetcher {
	t.Helper()
	if opts.TempDir == "" {
		opts.TempDir = t.TempDir()
	}
	f, err := feed.NewFetcher(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		left, err := os.ReadDir(opts.TempDir)
		if err != nil || len(left) > 0 {
			t.Errorf("left in the temporary folder: %v, %v", left, err)
		}
	})
	return f
}

// TestFetchFromBadServers: whatever a server does, the answer is a document that
// is whole or an error that names the URL, after a bounded number of tries.
func TestFetchFromBadServers(t *testing.T) {
	const content = `{"packages": []}`
	hang := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", code) }
	}
	bomb := zipped(t, strings.Repeat(" ", 1<<20))
	known := feed.Validators{ETag: `"1"`, LastModified: "Tue, 24 Nov 2026 12:00:00 GMT"}
	tests := []struct {
		name  string
		known feed.Validators
		serve func(try int) http.HandlerFunc
		want  error  // nil and says "": the document
		says  string // part of the error
		tries int
	}{
		{name: "a good answer", tries: 1, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", `"2"`)
				fmt.Fprint(w, content)
			}
		}},
		{name: "a compressed answer", tries: 1, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				w.Header().Set("ETag", `"2"`)
				w.Write(zipped(t, content))
			}
		}},
		{name: "500, then a good answer", tries: 2, serve: func(try int) http.HandlerFunc {
			if try == 1 {
				return status(500)
			}
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("ETag", `"2"`)
				fmt.Fprint(w, content)
			}
		}},
		{name: "not modified", known: known, want: feed.ErrNotModified, tries: 1, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("If-None-Match") != known.ETag || r.Header.Get("If-Modified-Since") != known.LastModified {
					t.Errorf("header %v", r.Header)
				}
				w.WriteHeader(http.StatusNotModified)
			}
		}},
		{name: "not modified, though nothing is known", says: "304", tries: 1, serve: func(int) http.HandlerFunc { return status(304) }},
		{name: "404", want: feed.ErrNotPublished, tries: 1, serve: func(int) http.HandlerFunc { return status(404) }},
		{name: "410", want: feed.ErrNotPublished, tries: 1, serve: func(int) http.HandlerFunc { return status(410) }},
		{name: "403", says: "403", tries: 1, serve: func(int) http.HandlerFunc { return status(403) }},
		{name: "206", says: "206", tries: 1, serve: func(int) http.HandlerFunc { return status(206) }},
		{name: "500 for ever", want: feed.ErrUnreachable, says: "500", tries: 3, serve: func(int) http.HandlerFunc { return status(500) }},
		{name: "asks to wait for an hour", want: feed.ErrUnreachable, says: "wait for 1h", tries: 1, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(http.StatusTooManyRequests)
			}
		}},
		{name: "never answers", want: feed.ErrUnreachable, says: "timeout", tries: 3, serve: func(int) http.HandlerFunc { return hang }},
		{name: "stops in the middle and hangs", want: feed.ErrUnreachable, says: "not done after", tries: 3, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprint(w, content[:5])
				w.(http.Flusher).Flush()
				hang(w, r)
			}
		}},
		{name: "sends less than it says", want: feed.ErrUnreachable, says: "after 5 bytes", tries: 3, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "100")
				fmt.Fprint(w, content[:5])
			}
		}},
		{name: "cuts the connection", want: feed.ErrUnreachable, tries: 3, serve: func(int) http.HandlerFunc {
			return func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
		}},
		{name: "redirects in a circle", says: "redirect refused", tries: 6, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }
		}},
		{name: "says that it is too large", says: "limit", tries: 1, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "10000000000")
				w.WriteHeader(http.StatusOK)
			}
		}},
		{name: "never ends", says: "limit", tries: 1, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				block := bytes.Repeat([]byte(" "), 1000)
				for r.Context().Err() == nil {
					if _, err := w.Write(block); err != nil {
						return
					}
				}
			}
		}},
		{name: "is a bomb", says: "limit", tries: 1, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				w.Write(bomb)
			}
		}},
		{name: "is not the gzip that it says it is", says: "gzip", tries: 1, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				fmt.Fprint(w, content)
			}
		}},
		{name: "is gzip that is cut", says: "unexpected EOF", tries: 1, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "gzip")
				z := zipped(t, content)
				w.Write(z[:len(z)-6])
			}
		}},
		{name: "uses an encoding that nobody asked for", says: `"br"`, tries: 1, serve: func(int) http.HandlerFunc {
			return func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Encoding", "br")
				fmt.Fprint(w, content)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var tries atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/publisher.example/advisories/doc.json" {
					t.Errorf("asked for %s", r.URL.Path)
				}
				test.serve(int(tries.Add(1)))(w, r)
			}))
			defer server.Close()
			f := newFetcher(t, feed.FetcherOptions{
				Mirror: server.URL, MaxSize: 1000, Tries: 3, Backoff: time.Millisecond,
				HeaderTimeout: 250 * time.Millisecond, Timeout: time.Second,
			})
			doc, err := f.Fetch(t.Context(), upstreamURL, test.known)
			if int(tries.Load()) != test.tries {
				t.Errorf("asked %d times, want %d", tries.Load(), test.tries)
			}
			if test.want == nil && test.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(doc.Reader())
				if err != nil || string(got) != content || doc.Validators.ETag != `"2"` || doc.Size != int64(len(content)) {
					t.Errorf("got %q, %+v, %v", got, doc, err)
				}
				if err := doc.Close(); err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				doc.Close()
				t.Fatal("no error")
			}
			if test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %v that says %q", err, test.want, test.says)
			}
			if test.want != feed.ErrNotModified && !strings.Contains(err.Error(), server.URL+"/publisher.example/advisories/doc.json") {
				t.Errorf("the error does not name the URL: %v", err)
			}
		})
	}
}

func TestFetchRefusesToLeaveHTTPS(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("asked over http") }))
	defer plain.Close()
	safe := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, plain.URL, http.StatusFound) }))
	defer safe.Close()
	roots := x509.NewCertPool()
	roots.AddCert(safe.Certificate())
	f := newFetcher(t, feed.FetcherOptions{Mirror: safe.URL, TLS: &tls.Config{RootCAs: roots}})
	if _, err := f.Fetch(t.Context(), upstreamURL, feed.Validators{}); err == nil || !strings.Contains(err.Error(), "redirect refused: from https to http") {
		t.Errorf("got %v", err)
	}
}

func TestFetchWhereNobodyListens(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	f := newFetcher(t, feed.FetcherOptions{Mirror: server.URL, Tries: 2, Backoff: time.Millisecond})
	if _, err := f.Fetch(t.Context(), upstreamURL, feed.Validators{}); !errors.Is(err, feed.ErrUnreachable) || !strings.Contains(err.Error(), "2 tries") {
		t.Errorf("got %v", err)
	}
}

func TestFetchFromAFolder(t *testing.T) {
	root := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	for name, content := range map[string]string{
		filepath.Join(root, "publisher.example", "advisories", "doc.json"): "{}",
		outside: "secret",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(outside, filepath.Join(root, "publisher.example", "link.json")); err != nil {
		t.Fatal(err)
	}
	f := newFetcher(t, feed.FetcherOptions{Mirror: root})
	doc, err := f.Fetch(t.Context(), upstreamURL, feed.Validators{})
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Close(); err != nil {
		t.Error(err)
	}
	if _, err := f.Fetch(t.Context(), "https://publisher.example/none.json", feed.Validators{}); !errors.Is(err, feed.ErrNotPublished) {
		t.Errorf("a file that is not there: %v", err)
	}
	for _, upstream := range []string{"https://publisher.example/link.json", "https://publisher.example/../../secret", "https://../secret"} {
		if doc, err := f.Fetch(t.Context(), upstream, feed.Validators{}); err == nil {
			doc.Close()
			t.Errorf("%s was read", upstream)
		}
	}
	if _, err := feed.NewFetcher(feed.FetcherOptions{Mirror: filepath.Join(root, "nothing")}); err == nil {
		t.Error("a mirror that is not there is taken")
	}
}

func TestLocate(t *testing.T) {
	folder := t.TempDir()
	redirects := map[string]string{"https://a.example.com": "https://mirror.example.com/a", "https://a.example.com/deep/": "http://other.example.com/"}
	for _, test := range []struct{ mirror, upstream, want string }{
		{"", "https://b.example.com/x", "https://b.example.com/x"},
		{"", "https://a.example.com/x", "https://mirror.example.com/a/x"},
		{"", "https://a.example.com/deep/x?y=1", "http://other.example.com/x?y=1"},
		{"https://m.example.com/feeds", "https://b.example.com/x", "https://m.example.com/feeds/b.example.com/x"},
		{"https://m.example.com/feeds", "https://a.example.com/x", "https://mirror.example.com/a/x"},
		{folder, "https://b.example.com/x", "file://" + folder + "/b.example.com/x"},
		{folder, "https://b.example.com/../../x", "file://" + folder + "/b.example.com/x"},
		{folder, "https://a.example.com/x", "https://mirror.example.com/a/x"},
	} {
		f, err := feed.NewFetcher(feed.FetcherOptions{Mirror: test.mirror, Redirects: redirects})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Locate(test.upstream); err != nil || got != test.want {
			t.Errorf("%s by %q: got %s, %v; want %s", test.upstream, test.mirror, got, err, test.want)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}
