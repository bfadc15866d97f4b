package clairv4_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/clairapi/clairv4"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/clairapi/throttle"
	"github.com/pratique/pratique/test/clair/clairtest"
	"github.com/pratique/pratique/test/sample"
)

const hash = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

// world is a server with advisories, and an image at a registry: two layers, of
// which the upper replaces the package database.
type world struct {
	*clairtest.Server
	blobs  *clairtest.Blobs
	layers []sample.Layer
}

func newWorld(t testing.TB, opts clairtest.Options) world {
	w := world{Server: clairtest.Start(t, opts), blobs: clairtest.NewBlobs(t)}
	must := clairtest.Must(t)
	w.Advise(t,
		clairtest.Affected("CVE-2024-0001", "debian:12", "zlib", "1:1.3.dfsg-2", advisory.Medium),
		clairtest.Affected("CVE-2024-0002", "debian:12", "zlib", "", advisory.High),
		clairtest.Affected("CVE-2024-0005", "debian:12", "curl", "7.88.1-10+deb12u5", advisory.Critical),
		clairtest.Affected("CVE-2024-0009", "debian:11", "curl", "", advisory.Critical),
	)
	zlib := []sample.DebianPackage{
		{Name: "zlib1g", Version: "1:1.3.dfsg-1+b1", Source: "zlib (1:1.3.dfsg-1)"},
		{Name: "zlib1g-dev", Version: "1:1.3.dfsg-1+b1", Source: "zlib (1:1.3.dfsg-1)"},
	}
	w.layers = []sample.Layer{
		must(sample.DebianBase("12", "bookworm", zlib...)),
		must(sample.NewLayer("RUN apt-get install curl", sample.File{Path: "var/lib/dpkg/status", Content: sample.Status(
			append(zlib, sample.DebianPackage{Name: "curl", Version: "7.88.1-10+deb12u4"}, sample.DebianPackage{Name: "bash", Version: "5.2.15-2"})...)})),
	}
	return w
}

// manifest is the image as Quay sends it.
func (w world) manifest() string {
	var layers []string
	for _, l := range w.layers {
		layers = append(layers, fmt.Sprintf(`{"hash":%q,"uri":%q,"headers":{"Authorization":["Bearer t0k"],"Accept":["application/gzip"]}}`, l.Digest(), w.blobs.Add(l)))
	}
	return fmt.Sprintf(`{"hash":%q,"layers":[%s]}`, hash, strings.Join(layers, ","))
}

const (
	reports = "/indexer/api/v1/index_report"
	matcher = "/matcher/api/v1/vulnerability_report/"
)

func (w world) index(t testing.TB) string {
	t.Helper()
	response, body := w.Call(t, http.MethodPost, reports, w.manifest())
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("index: %d %s", response.StatusCode, body)
	}
	return body
}

func (w world) state(t testing.TB) string {
	t.Helper()
	_, body := w.Call(t, http.MethodGet, "/indexer/api/v1/index_state", "")
	var s struct{ State string }
	if err := json.Unmarshal([]byte(body), &s); err != nil || len(s.State) != 32 {
		t.Fatalf("state: %v %s", err, body)
	}
	return s.State
}

func TestIndexReport(t *testing.T) {
	w := newWorld(t, clairtest.Options{})
	tag := `"` + w.state(t) + `"`
	response, body := w.Call(t, http.MethodPost, reports, w.manifest())
	if response.StatusCode != http.StatusCreated || response.Header.Get("Etag") != tag || response.Header.Get("Location") != reports+"/"+hash {
		t.Fatalf("got %d %v %s", response.StatusCode, response.Header, body)
	}
	links := []string{
		"<" + reports + "/" + hash + `>; rel="https://projectquay.io/clair/v1/index_report"`,
		"<" + matcher + hash + `>; rel="https://projectquay.io/clair/v1/vulnerability_report"`,
	}
	if got := response.Header.Values("Link"); len(got) != 2 || got[0] != links[0] || got[1] != links[1] {
		t.Errorf("links are %q", got)
	}
	var report struct {
		Hash         string `json:"manifest_hash"`
		State, Err   string
		Success      bool
		Packages     map[string]struct{ Name, Version, Kind, Arch string }
		Environments map[string][]struct {
			PackageDB    string `json:"package_db"`
			IntroducedIn string `json:"introduced_in"`
		}
		Distributions map[string]struct {
			DID             string `json:"did"`
			Version         string
			VersionID       string `json:"version_id"`
			VersionCodeName string `json:"version_code_name"`
		}
	}
	if err := json.Unmarshal([]byte(body), &report); err != nil {
		t.Fatal(err)
	}
	if report.Hash != hash || report.State != "IndexFinished" || !report.Success || len(report.Packages) != 4 {
		t.Errorf("got %s", body)
	}
	if d := report.Distributions["1"]; d.DID != "debian" || d.Version != "12 (bookworm)" || d.VersionID != "12" || d.VersionCodeName != "bookworm" {
		t.Errorf("distribution is %+v", d)
	}
	for id, p := range report.Packages {
		e := report.Environments[id]
		want := w.layers[0].Digest()
		if p.Name == "curl" || p.Name == "bash" {
			want = w.layers[1].Digest()
		}
		if len(e) != 1 || e[0].PackageDB != "var/lib/dpkg/status" || e[0].IntroducedIn != want || p.Kind != "binary" {
			t.Errorf("%+v is in %+v", p, e)
		}
	}
	path := "/v2/feed/app/blobs/" + w.layers[0].Digest()
	if r := w.blobs.Requests(path); len(r) != 1 || r[0].Header.Get("Authorization") != "Bearer t0k" || r[0].Header.Get("Accept") != "application/gzip" {
		t.Errorf("asked %v", r)
	}

	again, body2 := w.Call(t, http.MethodPost, reports, w.manifest())
	if again.StatusCode != http.StatusCreated || body2 != body || len(w.blobs.Requests(path)) != 1 {
		t.Errorf("again: %d %s", again.StatusCode, body2)
	}
	if r, body := w.Call(t, http.MethodPost, reports, w.manifest(), "If-None-Match", tag); r.StatusCode != http.StatusPreconditionFailed || body != "" {
		t.Errorf("with the state: %d %s", r.StatusCode, body)
	}
	r, got := w.Call(t, http.MethodGet, reports+"/"+hash, "")
	if r.StatusCode != http.StatusOK || got != body || r.Header.Get("Etag") != tag || r.Header.Get("Content-Type") != "application/vnd.clair.index_report.v1+json" {
		t.Errorf("get: %d %v %s", r.StatusCode, r.Header, got)
	}
	for _, other := range []string{hash, strings.Replace(hash, "11", "22", 1)} {
		if r, body := w.Call(t, http.MethodGet, reports+"/"+other, "", "If-None-Match", tag); r.StatusCode != http.StatusNotModified || body != "" {
			t.Errorf("get %s with the state: %d %s", other, r.StatusCode, body)
		}
	}
	if r, _ := w.Call(t, http.MethodGet, "/indexer/api/v1/index_state", "", "If-None-Match", tag); r.StatusCode != http.StatusNotModified {
		t.Errorf("state with the state: %d", r.StatusCode)
	}
}

func TestDelete(t *testing.T) {
	w := newWorld(t, clairtest.Options{})
	w.index(t)
	unknown := strings.Replace(hash, "11", "22", 1)
	r, body := w.Call(t, http.MethodDelete, reports, fmt.Sprintf("[%q,%q]", unknown, hash))
	if r.StatusCode != http.StatusOK || strings.TrimSpace(body) != fmt.Sprintf("[%q]", hash) {
		t.Errorf("got %d %s", r.StatusCode, body)
	}
	for _, path := range []string{reports + "/" + hash, matcher + hash} {
		if r, body := w.Call(t, http.MethodGet, path, ""); r.StatusCode != http.StatusNotFound || !strings.Contains(body, `"code":"not-found"`) {
			t.Errorf("%s: got %d %s", path, r.StatusCode, body)
		}
	}
	if r, body := w.Call(t, http.MethodDelete, reports, fmt.Sprintf("[%q]", hash)); r.StatusCode != http.StatusOK || strings.TrimSpace(body) != "[]" {
		t.Errorf("again: %d %s", r.StatusCode, body)
	}
	w.index(t)
	for range 2 {
		if r, body := w.Call(t, http.MethodDelete, reports+"/"+hash, ""); r.StatusCode != http.StatusNoContent || body != "" {
			t.Errorf("one: %d %s", r.StatusCode, body)
		}
	}
}

func TestBadRequests(t *testing.T) {
	w := newWorld(t, clairtest.Options{Indexing: indexing.Options{Fetches: throttle.New(0.001, 30, nil)}})
	good := w.manifest()
	notFound := strings.ReplaceAll(good, "/blobs/", "/gone/")
	for _, test := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		want                     string
	}{
		{"no body", "POST", reports, "", nil, 400, "failed to deserialize manifest"},
		{"no JSON", "POST", reports, "{", nil, 400, "failed to deserialize manifest"},
		{"no layers", "POST", reports, `{"hash":"` + hash + `","layers":[]}`, nil, 400, "bogus manifest"},
		{"no hash", "POST", reports, `{"layers":[{}]}`, nil, 400, "bogus manifest"},
		{"hash is none", "POST", reports, strings.Replace(good, hash, "sha256:11", 1), nil, 400, `hash: \"sha256:11\" is no digest`},
		{"layer's hash is none", "POST", reports, strings.Replace(good, w.layers[1].Digest(), "md5:11", 1), nil, 400, "layers[1].hash"},
		{"a number for the layers", "POST", reports, `{"hash":"` + hash + `","layers":5}`, nil, 400, "a JSON number stands where layers is"},
		{"too many layers", "POST", reports, `{"hash":"` + hash + `","layers":[{}` + strings.Repeat(",{}", 500) + `]}`, nil, 400, "more than 500 layers"},
		{"too long", "POST", reports, `"` + strings.Repeat("a", 9<<20) + `"`, nil, 400, "longer than"},
		{"no such layer", "POST", reports, notFound, nil, 201, `"state":"IndexError"`},
		{"no such method", "PUT", reports, "", nil, 405, `"code":"method-not-allowed"`},
		{"path without a digest", "GET", reports + "/latest", "", nil, 400, `malformed path`},
		{"unknown manifest", "GET", strings.Replace(reports+"/"+hash, "11", "33", 1), "", nil, 404, `{"code":"not-found","message":"index report not found"}`},
		{"media type", "GET", reports + "/" + hash, "", []string{"Accept", "text/html"}, 415, `"code":"internal-error","message":"unable to negotiate common media type`},
		{"malformed media type", "GET", reports + "/" + hash, "", []string{"Accept", "a/b/c; ="}, 400, `malformed request`},
		{"report of the unknown", "GET", matcher + strings.Replace(hash, "11", "33", 1), "", nil, 404, "index report for manifest"},
		{"report of no digest", "GET", matcher + "x", "", nil, 400, "malformed path"},
		{"report of what failed", "GET", matcher + hash, "", nil, 404, "not found"},
		{"deleting no list", "DELETE", reports, `{}`, nil, 400, "failed to deserialize bulk delete"},
		{"deleting no digest", "DELETE", reports, `["x"]`, nil, 400, "[0]"},
		{"kind of update", "GET", "/matcher/api/v1/internal/update_operation?kind=x", "", nil, 400, "unknown kind"},
		{"no update", "DELETE", "/matcher/api/v1/internal/update_operation/x", "", nil, 400, ""},
		{"difference of nothing", "GET", "/matcher/api/v1/internal/update_diff", "", nil, 400, `query param is required`},
		{"difference to nothing", "GET", "/matcher/api/v1/internal/update_diff?cur=x", "", nil, 400, `uuid`},
		{"notification", "GET", "/notifier/api/v1/notification/x", "", nil, 400, "could not parse notification id"},
		{"page size", "GET", "/notifier/api/v1/notification/0a9c5f0e-7c4b-4b54-9d6f-7f4a5b3f2f10?page_size=x", "", nil, 400, "page_size"},
		{"next page", "GET", "/notifier/api/v1/notification/0a9c5f0e-7c4b-4b54-9d6f-7f4a5b3f2f10?next=x", "", nil, 400, "next"},
		{"unknown notification", "GET", "/notifier/api/v1/notification/0a9c5f0e-7c4b-4b54-9d6f-7f4a5b3f2f10", "", nil, 200, `{"page":{"size":500},"notifications":[]}`},
		{"unknown root", "GET", "/indexer/api/v2/x", "", nil, 404, "404 page not found"},
	} {
		t.Run(test.name, func(t *testing.T) {
			response, body := w.Call(t, test.method, test.path, test.body, test.header...)
			if response.StatusCode != test.status || !strings.Contains(body, test.want) {
				t.Errorf("got %d %s, want %d %s", response.StatusCode, body, test.status, test.want)
			}
			if kind := response.Header.Get("Content-Type"); test.status >= 400 && test.name != "unknown root" &&
				(kind != "application/json" || response.Header.Get("X-Content-Type-Options") != "nosniff") {
				t.Errorf("header is %v", response.Header)
			}
		})
	}
	// What failed is kept, told, and tried again when it is sent again.
	if _, body := w.Call(t, http.MethodGet, reports+"/"+hash, ""); !strings.Contains(body, `"success":false`) || !strings.Contains(body, "status 404") {
		t.Errorf("got %s", body)
	}
	w.index(t)
}

func TestLayerThatIsNoArchive(t *testing.T) {
	w := newWorld(t, clairtest.Options{})
	l := sample.Layer{Content: []byte(strings.Repeat("<p>please log in</p>", 100))}
	body := fmt.Sprintf(`{"hash":%q,"layers":[{"hash":%q,"uri":%q}]}`, hash, l.Digest(), w.blobs.Add(l))
	if r, body := w.Call(t, http.MethodPost, reports, body); r.StatusCode != http.StatusBadRequest || !strings.Contains(body, "failed to start scan") {
		t.Errorf("got %d %s", r.StatusCode, body)
	}
	other := w.layers[0]
	body = fmt.Sprintf(`{"hash":%q,"layers":[{"hash":%q,"uri":%q}]}`, hash, hash, w.blobs.Add(other))
	if r, body := w.Call(t, http.MethodPost, reports, body); r.StatusCode != http.StatusCreated || !strings.Contains(body, "another digest") {
		t.Errorf("bytes of another digest: got %d %s", r.StatusCode, body)
	}
}

func TestEncodings(t *testing.T) {
	w := newWorld(t, clairtest.Options{})
	plain := w.index(t)
	for accept, want := range map[string]string{
		"identity": "", "": "", "gzip": "gzip", "zstd": "zstd", "deflate": "deflate", "gzip, zstd": "zstd", "gzip;q=1.0, zstd;q=0.5": "gzip",
		"gzip;q=0": "", "identity;q=1, gzip;q=0.1": "", "br": "", "GZIP": "gzip",
	} {
		header := []string{"Accept-Encoding", accept}
		if accept == "" {
			header = []string{"Accept-Encoding", "identity"} // Go's client would ask for gzip
		}
		r, body := w.Call(t, http.MethodGet, reports+"/"+hash, "", header...)
		if got := r.Header.Get("Content-Encoding"); got != want {
			t.Errorf("%q: got %q", accept, got)
			continue
		}
		var content io.Reader = strings.NewReader(body)
		var err error
		switch want {
		case "gzip":
			content, err = gzip.NewReader(content)
		case "deflate":
			content, err = zlib.NewReader(content)
		case "zstd":
			content, err = zstd.NewReader(content)
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(content); err != nil || string(got) != plain {
			t.Errorf("%q: %v", accept, err)
		}
	}
}

func TestModes(t *testing.T) {
	paths := map[clairv4.Mode]string{
		clairv4.Indexer: "/indexer/api/v1/index_state", clairv4.Matcher: "/matcher/api/v1/internal/update_operation",
		clairv4.Notifier: "/notifier/api/v1/notification/0a9c5f0e-7c4b-4b54-9d6f-7f4a5b3f2f10",
	}
	for _, mode := range []clairv4.Mode{"", clairv4.Combo, clairv4.Indexer, clairv4.Matcher, clairv4.Notifier} {
		server := clairtest.Start(t, clairtest.Options{V4: clairv4.Options{Mode: mode}})
		for of, path := range paths {
			want := http.StatusNotFound
			if mode == of || mode == clairv4.Combo || mode == "" {
				want = http.StatusOK
			}
			if r, _ := server.Call(t, http.MethodGet, path, ""); r.StatusCode != want {
				t.Errorf("mode %q: %s: got %d, want %d", mode, path, r.StatusCode, want)
			}
		}
		if r, _ := server.Call(t, http.MethodGet, "/openapi/v1", ""); r.StatusCode != http.StatusOK {
			t.Errorf("mode %q: the document: %d", mode, r.StatusCode)
		}
	}
}

func TestConcurrency(t *testing.T) {
	w := newWorld(t, clairtest.Options{V4: clairv4.Options{Concurrency: 1}})
	arrived, open := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(open) })
	defer release()
	url := w.blobs.Handle("/slow", func(rw http.ResponseWriter, _ *http.Request) {
		close(arrived)
		<-open
		_, _ = rw.Write(w.layers[0].Content)
	})
	first := make(chan int)
	go func() {
		r, _ := w.Call(t, http.MethodPost, reports, fmt.Sprintf(`{"hash":%q,"layers":[{"hash":%q,"uri":%q}]}`, hash, w.layers[0].Digest(), url))
		first <- r.StatusCode
	}()
	<-arrived
	if r, body := w.Call(t, http.MethodPost, reports, w.manifest()); r.StatusCode != http.StatusTooManyRequests || !strings.Contains(body, `"code":"too-many-requests"`) {
		t.Errorf("got %d %s", r.StatusCode, body)
	}
	if r, _ := w.Call(t, http.MethodGet, reports+"/"+hash, ""); r.StatusCode != http.StatusNotFound {
		t.Errorf("reading: got %d", r.StatusCode)
	}
	release()
	if status := <-first; status != http.StatusCreated {
		t.Errorf("the first: %d", status)
	}
}

func TestDocument(t *testing.T) {
	w := newWorld(t, clairtest.Options{})
	r, body := w.Call(t, http.MethodGet, "/openapi/v1", "")
	if r.Header.Get("Content-Type") != "application/openapi+json" || !json.Valid([]byte(body)) || r.Header.Get("Etag") == "" {
		t.Errorf("got %v %.100s", r.Header, body)
	}
	if r, body := w.Call(t, http.MethodGet, "/openapi/v1", "", "Accept", "application/yaml"); !strings.HasPrefix(body, "openapi: 3") || r.Header.Get("Content-Type") != "application/yaml" {
		t.Errorf("got %v %.100s", r.Header, body)
	}
	if r, _ := w.Call(t, http.MethodGet, "/openapi/v1", "", "If-None-Match", r.Header.Get("Etag")); r.StatusCode != http.StatusNotModified {
		t.Errorf("got %d", r.StatusCode)
	}
	if r, body := w.Call(t, http.MethodGet, "/robots.txt", ""); r.StatusCode != http.StatusOK || !strings.HasPrefix(body, "User-agent") {
		t.Errorf("got %d %s", r.StatusCode, body)
	}
}

func FuzzIndexReport(f *testing.F) {
	w := newWorld(f, clairtest.Options{})
	good := strings.ReplaceAll(w.manifest(), w.blobs.URL, "file://")
	for _, seed := range []string{good, `{"hash":5}`, `[]`, `{"hash":"` + hash + `","layers":[null]}`, "\xff", `{"layers":[{"headers":{"A":[null]}}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		r, content := w.Call(t, http.MethodPost, reports, string(body))
		if r.StatusCode >= 500 {
			t.Errorf("%d: %s", r.StatusCode, content)
		}
		if r.StatusCode == http.StatusCreated && !bytes.Contains([]byte(content), []byte("IndexError")) && len(w.blobs.Requests("")) > 0 {
			t.Errorf("got %s", content)
		}
	})
}
