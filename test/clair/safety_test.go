package clair_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/pratique/pratique/test/clair/clairtest"
	"github.com/pratique/pratique/test/sample"
)

// ways are those by which clients have the server fetch from an address: the Path
// of v1 and the URI of v4. Each returns whether it was fetched and the words of the
// refusal. The digest is that of what should be there.
var ways = map[string]func(t *testing.T, p program, digest, url string, header map[string]string) (fetched bool, words string){
	"v1": func(t *testing.T, p program, digest, url string, header map[string]string) (bool, string) {
		status, _, content := newClient(t, p.clair).do(http.MethodPost, "/v1/layers", envelopeOf(post{Name: digest, Path: url, Format: "Docker", Headers: header}))
		if status != http.StatusCreated && status != http.StatusBadRequest && status != http.StatusServiceUnavailable {
			t.Errorf("v1: %d %s", status, content)
		}
		return status == http.StatusCreated, string(content)
	},
	"v4": func(t *testing.T, p program, digest, url string, header map[string]string) (bool, string) {
		type body struct {
			Hash    string              `json:"hash"`
			URI     string              `json:"uri"`
			Headers map[string][]string `json:"headers"`
		}
		l := body{digest, url, make(map[string][]string)}
		for name, value := range header {
			l.Headers[name] = []string{value}
		}
		status, _, content := newClient(t, p.clair).do(http.MethodPost, "/indexer/api/v1/index_report", map[string]any{"hash": digest, "layers": []body{l}})
		if status != http.StatusCreated && status != http.StatusTooManyRequests {
			t.Errorf("v4: %d %s", status, content)
		}
		return strings.Contains(string(content), `"success":true`), string(content)
	},
}

// unknownLayer is a layer that nobody has seen.
func unknownLayer(t *testing.T) sample.Layer {
	t.Helper()
	return clairtest.Must(t)(sample.NewLayer("ADD rootfs /", sample.File{Path: "etc/alpine-release", Content: "3.20.0\n"}, sample.File{Path: "x", Content: rand.Text()}))
}

// TestWhereLayersComeFrom asks the program, by both APIs, to fetch what it must not,
// and what it may where the configuration says so.
func TestWhereLayersComeFrom(t *testing.T) {
	blobs := clairtest.NewBlobs(t)
	folder, outside := t.TempDir(), t.TempDir()
	var good string
	// renew puts a layer that is not known yet wherever one can be had.
	renew := func() sample.Layer {
		l := unknownLayer(t)
		good = blobs.Serve("/v2/app/blobs/good", l.Content)
		for _, name := range []string{filepath.Join(folder, "layer.tar.gz"), filepath.Join(outside, "layer.tar.gz")} {
			if err := os.WriteFile(name, l.Content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	renew()
	if err := os.Symlink(filepath.Join(outside, "layer.tar.gz"), filepath.Join(folder, "link.tar.gz")); err != nil {
		t.Fatal(err)
	}
	to := func(path, target string) string {
		return blobs.Handle(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", target)
			w.WriteHeader(http.StatusTemporaryRedirect)
		})
	}
	hop := to("/hop", "http://169.254.169.254/latest/meta-data/")
	slow := blobs.Handle("/slow", func(w http.ResponseWriter, r *http.Request) {
		for {
			if _, err := w.Write([]byte{0x1f}); err != nil || http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case <-r.Context().Done():
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	type request struct {
		name, url string
		header    map[string]string
		want      string // words of the refusal; "" where it is fetched
	}
	never := []request{ // by no configuration
		{"ftp", "ftp://127.0.0.1/layer.tar", nil, "only http and https"},
		{"metadata", "http://169.254.169.254/latest/meta-data/", nil, "link-local"},
		{"metadata of another cloud", "http://100.100.100.200/latest/meta-data/", nil, "cloud metadata address"},
		{"link-local IPv6", "http://[fe80::1]/", nil, "link-local"},
		{"mapped metadata", "http://[::ffff:169.254.169.254]/", nil, "link-local"},
		{"unspecified", "http://0.0.0.0/", nil, "unspecified"},
		{"credentials in the URL", strings.Replace(good, "http://", "http://user:secret@", 1), nil, "forbidden"},
		{"file outside of the folder", filepath.Join(outside, "layer.tar.gz"), nil, "forbidden"},
		{"a link that leads out of the folder", filepath.Join(folder, "link.tar.gz"), nil, "forbidden"},
		{"system file", "file:///etc/passwd", nil, "forbidden"},
		{"device", "/dev/zero", nil, "forbidden"},
	}
	fromLoopback := append(slices.Clone(never),
		request{"redirect to metadata", hop, nil, "link-local"},
		request{"two redirects to metadata", to("/two", hop), nil, "link-local"},
		request{"redirect to a file", to("/file", "file://"+filepath.Join(folder, "layer.tar.gz")), nil, "only http and https"},
		request{"injected field", good, map[string]string{"X-A": "b\r\nX-B: c"}, "forbidden header"},
		request{"injected name", good, map[string]string{"X-A\r\nX-B": "c"}, "forbidden header"})
	for _, test := range []struct {
		name      string
		arguments []string
		requests  []request
	}{
		{"as it is", nil, append([]request{
			{"loopback", good, nil, ""}, {"redirect", to("/redirect", good), nil, ""}, {"file", filepath.Join(folder, "layer.tar.gz"), nil, "forbidden"},
		}, fromLoopback...)},
		{"a folder is opened", []string{"--clair-layer-folder", folder}, append([]request{
			{"file", filepath.Join(folder, "layer.tar.gz"), nil, ""}, {"file URL", "file://" + filepath.Join(folder, "layer.tar.gz"), nil, ""},
		}, fromLoopback...)},
		{"no private network", []string{"--clair-allow-networks", "none"}, append([]request{
			{"loopback", good, nil, "not among the allowed networks"}, {"private", "http://10.0.0.1/x", nil, "not among the allowed networks"},
			{"private IPv6", "http://[fd12::1]/x", nil, "not among the allowed networks"},
		}, never...)},
		{"one host", []string{"--clair-allow-networks", "none", "--clair-allow-hosts", "127.0.0.1"}, append([]request{
			{"that host", good, nil, ""}, {"another name", strings.Replace(good, "127.0.0.1", "localhost", 1), nil, "not among the allowed networks"},
		}, fromLoopback...)},
		{"everything", []string{"--clair-allow-networks", "0.0.0.0/0,::/0"}, fromLoopback},
		{"bounds", []string{"--clair-download-size", "1KiB", "--clair-download-time", "300ms"}, []request{
			{"too slow", slow, nil, "timed out"},
			{"too large", blobs.Serve("/large", make([]byte, 2000)), nil, "too large"},
			{"just right", good, nil, ""},
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startEmptyProgram(t, test.arguments...)
			for _, r := range test.requests {
				for way, fetch := range ways {
					fetched, words := fetch(t, p, renew().Digest(), r.url, r.header)
					if fetched != (r.want == "") || !strings.Contains(words, r.want) {
						t.Errorf("%s: %s: fetched is %t, want %q: %.300s", r.name, way, fetched, r.want, words)
					}
				}
			}
		})
	}
}

// Each client may have so many layers fetched, and ask so often.
func TestRates(t *testing.T) {
	blobs := clairtest.NewBlobs(t)
	t.Run("downloads", func(t *testing.T) {
		p := startEmptyProgram(t, "--clair-download-rate", "1")
		fetched, words := 0, ""
		for i := range 10 {
			for _, fetch := range ways {
				l := unknownLayer(t)
				ok, said := fetch(t, p, l.Digest(), blobs.Serve(fmt.Sprint("/", i), l.Content), nil)
				if ok {
					fetched++
				} else {
					words = said
				}
			}
		}
		if fetched < 5 || fetched > 15 || words == "" { // five at once, and one a second
			t.Errorf("%d were fetched at once: %s", fetched, words)
		}
	})
	t.Run("requests", func(t *testing.T) {
		p := startEmptyProgram(t, "--clair-request-rate", "1")
		answers := make(map[int]int)
		for range 20 {
			for _, path := range []string{"/v1/namespaces", "/indexer/api/v1/index_state", "/api/v1/metadata"} {
				status, _, _ := newClient(t, p.clair).do(http.MethodGet, path, nil)
				answers[status]++
			}
		}
		if answers[http.StatusOK] == 0 || answers[http.StatusTooManyRequests] < 40 {
			t.Errorf("got %v", answers)
		}
	})
}

// With a pre-shared key every path asks for it, whatever API it is of.
func TestEveryPathAsksForTheKey(t *testing.T) {
	p := startEmptyProgram(t, "--clair-psk", "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0MTI=", "--clair-psk-issuers", "quay")
	for _, test := range []struct{ method, path string }{
		{"POST", "/v1/layers"}, {"GET", "/v1/layers/a"}, {"GET", "/v1/namespaces"}, {"GET", "/v1/metrics"}, {"GET", "/v1/notifications/a?limit=1"},
		{"POST", "/v1/namespaces/debian:12/vulnerabilities"}, {"POST", "/indexer/api/v1/index_report"}, {"GET", "/indexer/api/v1/index_state"},
		{"DELETE", "/indexer/api/v1/index_report"}, {"GET", "/matcher/api/v1/vulnerability_report/x"}, {"GET", "/matcher/api/v1/internal/update_operation"},
		{"GET", "/notifier/api/v1/notification/x"}, {"GET", "/openapi/v1"}, {"GET", "/api/v1/metadata"}, {"POST", "/scanner/api/v1/scan"}, {"GET", "/"},
	} {
		status, header, content := newClient(t, p.clair).do(test.method, test.path, nil)
		if status != http.StatusUnauthorized || len(content) > 0 || header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s %s: %d %v %s", test.method, test.path, status, header, content)
		}
	}
	if status, _, _ := newClient(t, p.clair).do(http.MethodGet, "/robots.txt", nil); status != http.StatusOK {
		t.Errorf("robots.txt: %d", status)
	}
	for issuer, want := range map[string]int{"quay": http.StatusOK, "clairctl": http.StatusUnauthorized} {
		// As Quay signs: HS256, with the decoded key, for five minutes.
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"iss": issuer, "exp": time.Now().Add(5 * time.Minute).Unix()}).SignedString([]byte("secretsecretsecretsecretsecret12"))
		if err != nil {
			t.Fatal(err)
		}
		status, header, content := newClient(t, p.clair, "Authorization", "Bearer "+token).do(http.MethodGet, "/indexer/api/v1/index_state", nil)
		if status != want || want == http.StatusOK && header.Get("Etag") == "" {
			t.Errorf("token of %s: %d %v %s", issuer, status, header, content)
		}
	}
}
