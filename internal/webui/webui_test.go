package webui_test

import (
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/pratique/pratique/internal/webui"
)

var built = fstest.MapFS{
	"index.html":          {Data: []byte(`<meta name="nonce" content="{{nonce}}"><script type="module" src="/assets/index-abc.js"></script>`)},
	"favicon.svg":         {Data: []byte("<svg/>")},
	"assets/index-abc.js": {Data: []byte(strings.Repeat("console.log(1);", 100))},
}

func ask(t *testing.T, h http.Handler, method, path string, headers ...string) (*http.Response, string) {
	t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result(), w.Body.String()
}

func TestPaths(t *testing.T) {
	tests := []struct {
		name, method, path string
		status             int
		kind, cache        string
	}{
		{"start", http.MethodGet, "/", 200, "text/html; charset=utf-8", "no-cache"},
		{"a page", http.MethodGet, "/registries/main/team/app", 200, "text/html; charset=utf-8", "no-cache"},
		{"a page with a dot", http.MethodGet, "/vulnerabilities/CVE-2024-1.html", 200, "text/html; charset=utf-8", "no-cache"},
		{"its head", http.MethodHead, "/dashboard", 200, "text/html; charset=utf-8", "no-cache"},
		{"a hashed file", http.MethodGet, "/assets/index-abc.js", 200, "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"a file", http.MethodGet, "/favicon.svg", 200, "image/svg+xml", "no-cache"},
		{"a file of another version", http.MethodGet, "/assets/index-old.js", 404, "text/plain; charset=utf-8", "no-store"},
		{"a folder", http.MethodGet, "/assets/", 404, "text/plain; charset=utf-8", "no-store"},
		{"climbing", http.MethodGet, "/assets/../../webui.go", 200, "text/html; charset=utf-8", "no-cache"},
		{"REST", http.MethodGet, "/api/v2/registries", 404, "text/plain; charset=utf-8", "no-store"},
		{"REST without more", http.MethodGet, "/api", 404, "text/plain; charset=utf-8", "no-store"},
		{"the registry", http.MethodGet, "/v2x/../v2/app/manifests/1", 404, "text/plain; charset=utf-8", "no-store"},
		{"Clair", http.MethodPost, "/v1/layers", 404, "text/plain; charset=utf-8", "no-store"},
		{"health", http.MethodGet, "/healthz", 404, "text/plain; charset=utf-8", "no-store"},
		{"a form", http.MethodPost, "/", 405, "text/plain; charset=utf-8", ""},
	}
	h := webui.New(webui.Options{Files: built})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r, body := ask(t, h, test.method, test.path)
			if r.StatusCode != test.status || r.Header.Get("Content-Type") != test.kind || r.Header.Get("Cache-Control") != test.cache {
				t.Errorf("%d, %q, %q; want %d, %q, %q", r.StatusCode, r.Header.Get("Content-Type"), r.Header.Get("Cache-Control"), test.status, test.kind, test.cache)
			}
			if r.Header.Get("X-Content-Type-Options") != "nosniff" {
				t.Error("the browser may guess the type")
			}
			if test.method == http.MethodHead && body != "" {
				t.Errorf("an answer to HEAD has a body: %q", body)
			}
		})
	}
}

func TestPolicyHasTheNonceOfThePage(t *testing.T) {
	h := webui.New(webui.Options{Files: built})
	seen := map[string]bool{}
	for range 3 {
		r, body := ask(t, h, http.MethodGet, "/")
		policy := r.Header.Get("Content-Security-Policy")
		nonce := regexp.MustCompile(`content="([^"]+)"`).FindStringSubmatch(body)
		if nonce == nil || !strings.Contains(policy, "style-src 'self' 'nonce-"+nonce[1]+"'") || seen[nonce[1]] {
			t.Fatalf("page %q, policy %q", body, policy)
		}
		seen[nonce[1]] = true
		if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "script-src 'self';") || !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("policy %q", policy)
		}
	}
}

func TestPacked(t *testing.T) {
	h := webui.New(webui.Options{Files: built})
	want := string(built["assets/index-abc.js"].Data)
	for encoding, packed := range map[string]bool{"gzip": true, "br, gzip;q=0.5": true, "": false, "gzip;q=0": false, "br": false} {
		r, body := ask(t, h, http.MethodGet, "/assets/index-abc.js", "Accept-Encoding", encoding)
		if got := r.Header.Get("Content-Encoding") == "gzip"; got != packed || r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%q: packed %v, want %v", encoding, got, packed)
		}
		if packed {
			z, err := gzip.NewReader(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(z)
			if err != nil {
				t.Fatal(err)
			}
			body = string(plain)
		}
		if body != want {
			t.Errorf("%q: got %q", encoding, body)
		}
		if r, body := ask(t, h, http.MethodGet, "/assets/index-abc.js", "If-None-Match", r.Header.Get("ETag")); r.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("unchanged: %d, %q", r.StatusCode, body)
		}
	}
}

func TestUnbuilt(t *testing.T) {
	r, body := ask(t, webui.New(webui.Options{Files: fstest.MapFS{}}), http.MethodGet, "/")
	if r.StatusCode != http.StatusOK || !strings.Contains(body, "make build") || strings.Contains(body, "{{nonce}}") {
		t.Errorf("%d %s", r.StatusCode, body)
	}
}
