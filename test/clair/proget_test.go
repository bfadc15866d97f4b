package clair_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/alpine"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/realdata"
	"github.com/pratique/pratique/test/clair/clairtest"
	"github.com/pratique/pratique/test/sample"
)

// proget scans as ProGet's Clair extension does (Inedo/inedox-clair): each blob
// alone, without a parent, whatever it is; then its features; then each
// vulnerability, for its score. It sends what .NET sends.
type proget struct {
	*client
	authorization string
	mark          string // before the JSON
}

// record is what ProGet keeps: one for a package of a layer.
type record struct {
	ID, Layer, Title, Severity, FixedBy string
}

// outcome is the status of the POST of a blob.
type outcome struct {
	digest string
	status int
}

func (p proget) scan(layers []imageLayer) (records []record, outcomes []outcome) {
	p.t.Helper()
	quoted := func(l imageLayer) string {
		headers := "{}"
		if p.authorization != "" {
			headers = fmt.Sprintf(`{"Autorization":%q}`, p.authorization)
		}
		return fmt.Sprintf(`%s{"Layer":{"Name":%q,"Path":%q,"Headers":%s,"Format":"Docker"}}`, p.mark, l.digest, l.url, headers)
	}
	for _, l := range layers {
		start := time.Now()
		status, header, content := p.do(http.MethodPost, "/v1/layers", quoted(l))
		outcomes = append(outcomes, outcome{l.digest, status})
		if header.Get("Content-Encoding") != "" {
			p.t.Errorf("compressed without being asked")
		}
		if status != http.StatusOK && status != http.StatusCreated {
			continue // a warning, or with 422 an information
		}
		posted := read[struct {
			Layer struct {
				Name             string
				IndexedByVersion *int
			}
		}](p.t, content)
		if posted.Layer.Name != l.digest || posted.Layer.IndexedByVersion == nil {
			p.t.Errorf("the echo is %s", content)
		}
		status, _, content = p.do(http.MethodGet, "/v1/layers/"+posted.Layer.Name+"?features&vulnerabilities", nil)
		if status != http.StatusOK {
			p.t.Errorf("layer %s: %d %s", l.digest, status, content)
			continue
		}
		// A null among features or vulnerabilities would end the whole run.
		answer := read[struct {
			Layer struct {
				Features []*struct {
					feature
					Vulnerabilities []*vulnerability
				}
			}
		}](p.t, content)
		taken := make(map[string]bool)
		for _, f := range answer.Layer.Features {
			if f == nil {
				p.t.Fatalf("null among the features: %s", content)
			}
			for _, v := range f.Vulnerabilities {
				if v == nil {
					p.t.Fatalf("null among the vulnerabilities: %s", content)
				}
				id := f.Name + ":" + f.Version
				if taken[id] {
					continue
				}
				taken[id] = true
				status, _, content := p.do(http.MethodGet, "/v1/namespaces/"+v.NamespaceName+"/vulnerabilities/"+v.Name+"?fixedIn", nil)
				detail := read[struct{ Vulnerability struct{ Name string } }](p.t, content)
				if status != http.StatusOK || detail.Vulnerability.Name != v.Name {
					p.t.Errorf("%s of %s: %d %s", v.Name, v.NamespaceName, status, content)
				}
				records = append(records, record{id, l.digest, v.Name, v.Severity, v.FixedBy})
			}
		}
		if took := time.Since(start); took > 100*time.Second {
			p.t.Errorf("layer %s took %v", l.digest, took)
		}
	}
	slices.SortFunc(records, func(a, b record) int { return strings.Compare(a.ID+a.Layer, b.ID+b.Layer) })
	return records, outcomes
}

func TestProGet(t *testing.T) {
	for _, test := range []struct {
		name, authorization, mark, expected string
	}{
		{"anonymous", "", "", ""},
		{"with a header value", "Bearer t0k", "", "Bearer t0k"}, // sent as Autorization
		{"with a byte order mark", "", "\xef\xbb\xbf", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
			advise(t, server)
			img := debianImage(t, blobs, test.expected)
			p := proget{newClient(t, server.URL+"/", "Expect", "100-continue"), test.authorization, test.mark}
			base, upper := img.layers[0].digest, img.layers[1].digest
			// The upper layer alone names no distribution; its packages tell it.
			want := []record{
				{"curl:7.88.1-10+deb12u4", upper, "CVE-2024-0005", "Critical", "7.88.1-10+deb12u5"},
				{"zlib:1:1.3.dfsg-1", base, "CVE-2024-0003", "High", "1:1.3.dfsg-3"},
				{"zlib:1:1.3.dfsg-1", upper, "CVE-2024-0003", "High", "1:1.3.dfsg-3"},
			}
			sorted := cmpopts.SortSlices(func(a, b record) bool { return a.ID+a.Layer < b.ID+b.Layer })
			for range 3 { // every night, in any order
				order := slices.Clone(img.layers)
				rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
				records, outcomes := p.scan(order)
				if diff := cmp.Diff(want, records, sorted); diff != "" {
					t.Errorf("records (-want +got):\n%s", diff)
				}
				for _, o := range outcomes {
					if o.status != http.StatusCreated {
						t.Errorf("layer %s: got %d", o.digest, o.status)
					}
				}
			}
			if n := len(blobs.Requests(img.layers[0].path)); n != 1 {
				t.Errorf("the base layer was downloaded %d times", n)
			}
		})
	}
}

// ProGet hands over every blob whose media type does not end in "json".
func TestProGetSendsOtherBlobs(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	var layers []imageLayer
	for i, content := range []string{"{\"predicate\":{}}", strings.Repeat("a chart ", 1000), ""} {
		l := sample.Layer{Content: []byte(content)}
		layers = append(layers, imageLayer{digest: l.Digest(), url: blobs.Serve(fmt.Sprint("/", i), l.Content)})
	}
	layers = append(layers, imageLayer{digest: "sha256:" + strings.Repeat("dd", 32), url: blobs.URL + "/gone"})
	records, outcomes := proget{client: newClient(t, server.URL)}.scan(layers)
	if len(records) != 0 || len(outcomes) != len(layers) {
		t.Errorf("got %v, %v", records, outcomes)
	}
	for _, o := range outcomes {
		if o.status >= http.StatusInternalServerError {
			t.Errorf("%s: %d", o.digest, o.status)
		}
	}
}

// The real thing: Alpine 3.7.3 has one known vulnerability, 3.10.9 none.
func TestProGetOnAlpine(t *testing.T) {
	data := realdata.Root(t)
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	var layers []imageLayer
	for _, release := range []string{"3.7.3", "3.10.9"} {
		content, err := os.ReadFile(filepath.Join(data, "images", "alpine-minirootfs-"+release+"-x86_64.tar.gz"))
		if os.IsNotExist(err) {
			t.Skipf("real data is absent: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		l := sample.Layer{Content: content}
		layers = append(layers, imageLayer{digest: l.Digest(), url: blobs.Add(l)})
	}
	mirror := t.TempDir() // of these two releases only
	for _, branch := range []string{"v3.7", "v3.10"} {
		for _, name := range []string{"main.json", "community.json"} {
			path := filepath.Join("secdb.alpinelinux.org", branch, name)
			content, err := os.ReadFile(filepath.Join(data, "feeds", path))
			if err != nil {
				t.Skipf("real data is absent: %v", err)
			}
			if err := os.MkdirAll(filepath.Join(mirror, filepath.Dir(path)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(mirror, path), content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	fetcher, err := feed.NewFetcher(feed.FetcherOptions{Mirror: mirror})
	if err != nil {
		t.Fatal(err)
	}
	defer fetcher.Close()
	updater := feed.New(server.Store, fetcher, []feed.Feed{alpine.New()}, match.Package, feed.Options{})
	if _, err := updater.Update(t.Context(), feed.Request{}); err != nil {
		t.Fatal(err)
	}
	records, _ := proget{client: newClient(t, server.URL)}.scan(layers)
	want := []record{
		{"musl-utils:1.1.18-r3", layers[0].digest, "CVE-2019-14697", "Unknown", "1.1.18-r4"},
		{"musl:1.1.18-r3", layers[0].digest, "CVE-2019-14697", "Unknown", "1.1.18-r4"},
	}
	if diff := cmp.Diff(want, records); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}
