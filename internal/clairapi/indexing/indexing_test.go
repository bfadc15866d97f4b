package indexing_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/egress"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/layer"
	"github.com/pratique/pratique/internal/source/builtin"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/test/clair/clairtest"
	"github.com/pratique/pratique/test/sample"
)

var musl = sample.AlpinePackage{Name: "musl", Version: "1.1.18-r3", Origin: "musl"}

func alpine(t *testing.T) sample.Layer {
	return clairtest.Must(t)(sample.AlpineBase("3.7.3", musl))
}

// upperLayer is an upper layer: it replaces the package database, and no more.
func upperLayer(t *testing.T, packages ...sample.AlpinePackage) sample.Layer {
	return clairtest.Must(t)(sample.NewLayer("RUN apk add", sample.File{Path: "lib/apk/db/installed", Content: sample.Installed(packages...)}))
}

func names(t *testing.T, s *store.Store, layer string) []string {
	t.Helper()
	chain, err := s.ClairChain(t.Context(), layer)
	if err != nil {
		t.Fatal(err)
	}
	packages, err := s.InventoryPackages(t.Context(), chain[len(chain)-1].InventoryID)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, p := range packages {
		list = append(list, fmt.Sprintf("%s %s/%s in %d", p.Distribution, p.Name, p.Version, p.LayerIndex))
	}
	return list
}

func TestIndexChain(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	base, upper := alpine(t), upperLayer(t, musl, sample.AlpinePackage{Name: "curl", Version: "7.61.1-r3", Origin: "curl"})
	index := func(r indexing.Request) {
		t.Helper()
		if err := server.Indexing.Index(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	index(indexing.Request{Name: "base", URL: blobs.Add(base), Format: "Docker"})
	index(indexing.Request{Name: "upper", URL: blobs.Add(upper), ParentName: "base", Format: "Docker"})
	if got, want := names(t, server.Store, "base"), []string{"alpine:v3.7 musl/1.1.18-r3 in 0"}; !slices.Equal(got, want) {
		t.Errorf("base: got %v, want %v", got, want)
	}
	want := []string{"alpine:v3.7 curl/7.61.1-r3 in 1", "alpine:v3.7 musl/1.1.18-r3 in 0"}
	if got := names(t, server.Store, "upper"); !slices.Equal(got, want) {
		t.Errorf("upper: got %v, want %v", got, want)
	}
}

func TestIndexDownloadsOnce(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	base := alpine(t)
	path := "/v2/feed/app/blobs/" + base.Digest()
	r := indexing.Request{Name: base.Digest(), URL: blobs.Add(base), Format: "Docker"}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if err := server.Indexing.Index(t.Context(), r); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(blobs.Requests(path)); n != 1 {
		t.Errorf("%d downloads", n)
	}
	// A name is known whatever else the request says.
	r.URL, r.ParentName = "file:///etc/passwd", "nobody"
	if err := server.Indexing.Index(t.Context(), r); err != nil {
		t.Error(err)
	}
	// A name that is a digest is known from elsewhere, too.
	if err := server.Store.DeleteClairLayer(t.Context(), base.Digest()); err != nil {
		t.Fatal(err)
	}
	r.ParentName = ""
	if err := server.Indexing.Index(t.Context(), r); err != nil {
		t.Error(err)
	}
	if n := len(blobs.Requests(path)); n != 1 {
		t.Errorf("%d downloads in the end", n)
	}
}

func TestIndexRefuses(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	base, other := alpine(t), upperLayer(t)
	blobs.Add(base)
	half := base.Content[:len(base.Content)/2]
	good := blobs.Add(base)
	for _, test := range []struct {
		name    string
		request indexing.Request
		want    []error
	}{
		{"no name", indexing.Request{URL: good}, []error{clairapi.ErrName}},
		{"long name", indexing.Request{Name: strings.Repeat("a", 1001), URL: good}, []error{clairapi.ErrName}},
		{"zero byte in name", indexing.Request{Name: "a\x00", URL: good}, []error{clairapi.ErrName}},
		{"unknown parent", indexing.Request{Name: "a", URL: good, ParentName: "nobody"}, []error{clairapi.ErrUnknownParent}},
		{"its own parent", indexing.Request{Name: "a", URL: good, ParentName: "a"}, []error{clairapi.ErrUnknownParent}},
		{"impossible parent", indexing.Request{Name: "a", URL: good, ParentName: "\x00"}, []error{clairapi.ErrUnknownParent}},
		{"file", indexing.Request{Name: "a", URL: "/etc/passwd"}, []error{indexing.ErrDownload, egress.ErrForbiddenURL}},
		{"file URL", indexing.Request{Name: "a", URL: "file:///etc/passwd"}, []error{indexing.ErrDownload, egress.ErrForbiddenURL}},
		{"metadata", indexing.Request{Name: "a", URL: "http://169.254.169.254/"}, []error{indexing.ErrDownload, egress.ErrForbiddenAddress}},
		{"header injection", indexing.Request{Name: "a", URL: good, Header: map[string]string{"X-A": "b\r\nX-B: c"}}, []error{indexing.ErrDownload, egress.ErrForbiddenHeader}},
		{"not found", indexing.Request{Name: "a", URL: blobs.URL + "/nothing"}, []error{indexing.ErrDownload, egress.ErrStatus}},
		{"cut in the download", indexing.Request{Name: "a", URL: blobs.Handle("/cut", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(base.Content)))
			_, _ = w.Write(half)
		})}, []error{indexing.ErrDownload, egress.ErrUnreachable}},
		{"cut gzip", indexing.Request{Name: "a", URL: blobs.Serve("/half", half)}, []error{layer.ErrCorrupt}},
		{"no archive", indexing.Request{Name: "a", URL: blobs.Serve("/html", []byte(strings.Repeat("<p>please log in</p>", 100)))}, []error{layer.ErrCorrupt}},
		{"packages of no distribution", indexing.Request{Name: "a", URL: blobs.Add(other), Header: nil}, nil},
		{"other digest", indexing.Request{Name: "sha256:" + strings.Repeat("ab", 32), URL: good}, []error{indexing.ErrDigest}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.request.Format = "Docker"
			err := server.Indexing.Index(t.Context(), test.request)
			for _, want := range test.want {
				if !errors.Is(err, want) {
					t.Errorf("got %v, want %v", err, want)
				}
			}
			if test.want == nil && err != nil {
				t.Errorf("got %v", err)
			}
		})
	}
}

// ProGet sends layers without parents, upper ones first if it likes.
func TestLayerAloneWithoutDistribution(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	upper := upperLayer(t, musl)
	r := indexing.Request{Name: upper.Digest(), URL: blobs.Add(upper), Format: "Docker"}
	if err := server.Indexing.Index(t.Context(), r); !errors.Is(err, builtin.ErrNoDistribution) {
		t.Fatalf("got %v", err)
	}
	if _, err := server.Store.ClairChain(t.Context(), r.Name); !errors.Is(err, clairapi.ErrNotFound) {
		t.Errorf("it was kept all the same: %v", err)
	}
}

// Layers of one repository that were sent one after the other belong together, as
// long as all that is known of the repository is of one distribution.
func TestLayerAloneTakesTheDistributionOfItsRepository(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	at := func(repository string, l sample.Layer) indexing.Request {
		return indexing.Request{Name: l.Digest(), URL: blobs.Serve("/v2/feed/"+repository+"/blobs/"+l.Digest(), l.Content), Format: "Docker"}
	}
	index := func(r indexing.Request) error { t.Helper(); return server.Indexing.Index(t.Context(), r) }
	upper := func(version string) sample.Layer {
		return upperLayer(t, musl, sample.AlpinePackage{Name: "curl", Version: version, Origin: "curl"})
	}
	if err := index(at("app", alpine(t))); err != nil {
		t.Fatal(err)
	}
	first := at("app", upper("1-r0"))
	if err := index(first); err != nil {
		t.Fatal(err)
	}
	chain, err := server.Store.ClairChain(t.Context(), first.Name)
	if err != nil || !chain[0].Inferred || chain[0].Distribution != "alpine:v3.7" {
		t.Errorf("got %+v, %v", chain, err)
	}
	if err := index(at("other", upper("2-r0"))); !errors.Is(err, builtin.ErrNoDistribution) {
		t.Errorf("of another repository: got %v", err)
	}
	// A second distribution makes it ambiguous; what was inferred is no proof.
	if err := index(at("app", clairtest.Must(t)(sample.AlpineBase("3.20.0", musl)))); err != nil {
		t.Fatal(err)
	}
	if err := index(at("app", upper("3-r0"))); !errors.Is(err, builtin.ErrNoDistribution) {
		t.Errorf("of two distributions: got %v", err)
	}
	// Its own list of repositories tells it.
	listed := clairtest.Must(t)(sample.NewLayer("RUN apk add", sample.File{Path: "lib/apk/db/installed", Content: sample.Installed(musl)},
		sample.File{Path: "etc/apk/repositories", Content: "https://dl-cdn.alpinelinux.org/alpine/v3.19/main\n"}))
	if err := index(at("app", listed)); err != nil {
		t.Fatal(err)
	}
	if chain, err = server.Store.ClairChain(t.Context(), listed.Digest()); err != nil || !chain[0].Inferred || chain[0].Distribution != "alpine:v3.19" {
		t.Errorf("got %+v, %v", chain, err)
	}
}

func TestFilesOnly(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	files := clairtest.Must(t)(sample.NewLayer("COPY . /app", sample.File{Path: "app/main.js", Content: "1"}))
	if err := server.Indexing.Index(t.Context(), indexing.Request{Name: "files", URL: blobs.Add(files), Format: "Docker"}); err != nil {
		t.Fatal(err)
	}
	if got := names(t, server.Store, "files"); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestDownloadHeader(t *testing.T) {
	for _, test := range []struct {
		name   string
		header map[string]string
		want   string
	}{
		{"none", nil, "absent"},
		{"usual", map[string]string{"Authorization": "Bearer t"}, "Bearer t"},
		{"lower case", map[string]string{"authorization": "Bearer t"}, "Bearer t"},
		{"misspelt by ProGet's extension", map[string]string{"Autorization": "x"}, "x"},
		{"misspelt in another case", map[string]string{"AUTORIZATION": "x"}, "x"},
		{"both", map[string]string{"Autorization": "x", "Authorization": "Bearer t"}, "Bearer t"},
		{"empty, as klar sends it", map[string]string{"Authorization": ""}, "absent"},
		{"with connection, as Harbor sends it", map[string]string{"Connection": "close", "Authorization": "Bearer t"}, "Bearer t"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
			url := blobs.Serve("/layer", alpine(t).Content)
			if err := server.Indexing.Index(t.Context(), indexing.Request{Name: "a", URL: url, Header: test.header, Format: "Docker"}); err != nil {
				t.Fatal(err)
			}
			requests := blobs.Requests("/layer")
			if len(requests) != 1 {
				t.Fatalf("%d requests", len(requests))
			}
			got := "absent"
			if v, ok := requests[0].Header["Authorization"]; ok {
				got = v[0]
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if v := requests[0].Header.Get("Autorization"); v != "" {
				t.Errorf("the misspelt field was sent, %q", v)
			}
			if closing := test.header["Connection"] == "close"; requests[0].Close != closing {
				t.Errorf("closing is %v", requests[0].Close)
			}
		})
	}
}

// gate holds a download back until it is opened.
type gate struct {
	arrived chan struct{}
	open    chan struct{}
}

func newGate() gate { return gate{make(chan struct{}, 100), make(chan struct{})} }

func (g gate) hold(content []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g.arrived <- struct{}{}
		select {
		case <-g.open:
			_, _ = w.Write(content)
		case <-r.Context().Done():
		}
	}
}

func TestIndexingOutlivesItsRequest(t *testing.T) {
	server, blobs, g := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t), newGate()
	r := indexing.Request{Name: "a", URL: blobs.Handle("/slow", g.hold(alpine(t).Content)), Format: "Docker"}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-g.arrived
		cancel()
	}()
	if err := server.Indexing.Index(ctx, r); !errors.Is(err, indexing.ErrPending) {
		t.Fatalf("got %v", err)
	}
	done := make(chan error)
	go func() { done <- server.Indexing.Index(t.Context(), r) }() // joins, or finds it done
	close(g.open)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := len(blobs.Requests("/slow")); n != 1 {
		t.Errorf("%d downloads", n)
	}
}

func TestBusy(t *testing.T) {
	server := clairtest.Start(t, clairtest.Options{Indexing: indexing.Options{Downloads: 1, Queue: 1}})
	blobs, g := clairtest.NewBlobs(t), newGate()
	url := blobs.Handle("/slow", g.hold(alpine(t).Content))
	request := func(name string) indexing.Request { return indexing.Request{Name: name, URL: url, Format: "Docker"} }
	first := make(chan error)
	go func() { first <- server.Indexing.Index(t.Context(), request("a")) }()
	<-g.arrived
	// The second waits for the one slot, and goes on waiting when its client has gone.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := server.Indexing.Index(ctx, request("b")); !errors.Is(err, indexing.ErrPending) {
		t.Errorf("the second: got %v", err)
	}
	if err := server.Indexing.Index(t.Context(), request("c")); !errors.Is(err, indexing.ErrBusy) {
		t.Errorf("the third: got %v", err)
	}
	if n := len(blobs.Requests("/slow")); n != 1 {
		t.Errorf("%d downloads at a time", n)
	}
	close(g.open)
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := server.Indexing.Index(t.Context(), request("b")); err != nil {
		t.Errorf("the second, again: %v", err)
	}
}

func TestClose(t *testing.T) {
	server, blobs, g := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t), newGate()
	r := indexing.Request{Name: "a", URL: blobs.Handle("/slow", g.hold(nil)), Format: "Docker"}
	done := make(chan error)
	go func() { done <- server.Indexing.Index(t.Context(), r) }()
	<-g.arrived
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server.Indexing.Close(ctx) // returns although nothing comes any more
	if err := <-done; !errors.Is(err, indexing.ErrClosed) {
		t.Errorf("the one under way: got %v", err)
	}
	r.Name = "b"
	if err := server.Indexing.Index(t.Context(), r); !errors.Is(err, indexing.ErrClosed) {
		t.Errorf("a new one: got %v", err)
	}
}

// newer is a detector in a later version.
type newer struct{ inventory.Detector }

func (n newer) Version() int { return n.Detector.Version() + 1 }

func TestNewDetectors(t *testing.T) {
	database := storetest.SQLiteURL(t)
	blobs := clairtest.NewBlobs(t)
	base, upper := alpine(t), upperLayer(t, musl, sample.AlpinePackage{Name: "curl", Version: "7.61.1-r3", Origin: "curl"})
	first := indexing.Request{Name: "base", URL: blobs.Add(base), Format: "Docker"}
	second := indexing.Request{Name: "upper", URL: blobs.Add(upper), ParentName: "base", Format: "Docker"}
	third := indexing.Request{Name: "third", URL: blobs.Add(upper), ParentName: "base", Format: "Docker"}

	old := clairtest.Start(t, clairtest.Options{Database: database, Detectors: []inventory.Detector{inventory.NewRelease(), inventory.NewDpkg()}})
	for _, r := range []indexing.Request{first, second} {
		if err := old.Indexing.Index(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	if got := names(t, old.Store, "upper"); len(got) != 0 {
		t.Errorf("without a detector for apk: got %v", got)
	}

	server := clairtest.Start(t, clairtest.Options{Database: database, Detectors: []inventory.Detector{newer{inventory.NewRelease()}, inventory.NewDpkg(), inventory.NewApk()}})
	if err := server.Indexing.Index(t.Context(), third); !errors.Is(err, clairapi.ErrUnknownParent) {
		t.Errorf("above a layer that other detectors read: got %v", err)
	}
	second.ParentName = "" // the first parent counts
	for _, r := range []indexing.Request{first, second, third} {
		if err := server.Indexing.Index(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"alpine:v3.7 curl/7.61.1-r3 in 1", "alpine:v3.7 musl/1.1.18-r3 in 0"}
	for _, name := range []string{"upper", "third"} {
		if got := names(t, server.Store, name); !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
	}
}

type breaking struct{ inventory.Detector }

func (breaking) Detect(string, *inventory.Content) (inventory.File, []inventory.Warning, error) {
	panic("what no detector should do")
}

// A layer that breaks a detector down is that layer's fault: the server goes on.
func TestDetectorThatPanics(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{Detectors: []inventory.Detector{breaking{inventory.NewRelease()}}}), clairtest.NewBlobs(t)
	l := alpine(t)
	if err := server.Indexing.Index(t.Context(), indexing.Request{Name: "a", URL: blobs.Add(l), Format: "Docker"}); !errors.Is(err, indexing.ErrPanic) {
		t.Errorf("v1: got %v", err)
	}
	_, err := server.Indexing.IndexManifest(t.Context(), indexing.ManifestRequest{Hash: l.Digest(), Layers: []indexing.LayerRequest{{Hash: l.Digest(), URL: blobs.Add(l)}}})
	if !errors.Is(err, indexing.ErrPanic) {
		t.Errorf("v4: got %v", err)
	}
	for _, request := range []struct{ path, body string }{
		{"/v1/layers", fmt.Sprintf(`{"Layer":{"Name":"a","Path":%q,"Format":"Docker"}}`, blobs.Add(l))},
		{"/indexer/api/v1/index_report", fmt.Sprintf(`{"hash":%q,"layers":[{"hash":%[1]q,"uri":%q}]}`, l.Digest(), blobs.Add(l))},
	} {
		if r, body := server.Call(t, http.MethodPost, request.path, request.body); r.StatusCode != http.StatusInternalServerError || strings.Contains(body, "goroutine") {
			t.Errorf("%s: %d %s", request.path, r.StatusCode, body)
		}
	}
}

func TestChainTooLong(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	base := alpine(t)
	url := blobs.Add(base)
	if err := server.Indexing.Index(t.Context(), indexing.Request{Name: "0", URL: url, Format: "Docker"}); err != nil {
		t.Fatal(err)
	}
	chain, err := server.Store.ClairChain(t.Context(), "0")
	if err != nil {
		t.Fatal(err)
	}
	for i := 1; i < clairapi.MaxChain; i++ {
		l := chain[0]
		l.Name, l.ParentName = fmt.Sprint(i), fmt.Sprint(i-1)
		if err := server.Store.SaveClairLayer(t.Context(), l); err != nil {
			t.Fatal(err)
		}
	}
	err = server.Indexing.Index(t.Context(), indexing.Request{Name: "top", URL: url, ParentName: fmt.Sprint(clairapi.MaxChain - 1), Format: "Docker"})
	if !errors.Is(err, clairapi.ErrChainTooLong) {
		t.Errorf("got %v", err)
	}
	if n := len(blobs.Requests("/v2/feed/app/blobs/" + base.Digest())); n != 1 {
		t.Errorf("%d downloads", n)
	}
}
