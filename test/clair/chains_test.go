package clair_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/test/clair/clairtest"
)

// post is what the clients written in Go send: Clair's own type of a layer.
type post struct {
	Name       string
	Path       string
	Headers    map[string]string `json:",omitempty"`
	ParentName string            `json:",omitempty"`
	Format     string
}

func envelopeOf(p any) map[string]any { return map[string]any{"Layer": p} }

func wantStatus(t *testing.T, what string, got, want int, content []byte) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %d, want %d: %s", what, got, want, content)
	}
}

// optiopay/klar names a layer by configuration and digest, and sends Features
// as null and ParentName as "".
func TestKlar(t *testing.T) {
	for name, authorization := range map[string]string{"anonymous": "", "with a token": "Bearer t0k"} {
		t.Run(name, func(t *testing.T) {
			server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
			advise(t, server)
			img, c := debianImage(t, blobs, authorization), newClient(t, server.URL, "Accept-Encoding", "gzip")
			parent := ""
			for _, l := range img.layers {
				name := strings.TrimPrefix(img.config, "sha256:") + strings.TrimPrefix(l.digest, "sha256:")
				status, _, content := c.do(http.MethodPost, "/v1/layers", envelopeOf(struct {
					Name, Path, ParentName, Format string
					Features                       []feature
					Headers                        map[string]string
				}{name, l.url, parent, "Docker", nil, map[string]string{"Authorization": authorization}}))
				wantStatus(t, "post", status, http.StatusCreated, unzip(t, content))
				parent = name
			}
			status, header, content := c.do(http.MethodGet, "/v1/layers/"+parent+"?vulnerabilities", nil)
			wantStatus(t, "get", status, http.StatusOK, content)
			if header.Get("Content-Encoding") != "gzip" {
				t.Error("not compressed")
			}
			if diff := cmp.Diff(wantImage, read[envelope](t, unzip(t, content)).Layer.findings()); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func unzip(t *testing.T, content []byte) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatalf("%v: %q", err, content)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// arminc/clair-scanner, up to version 12, serves the layers of "docker save"
// itself, uncompressed, under names of its own.
func TestClairScanner12(t *testing.T) {
	server, blobs, own := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t), clairtest.NewBlobs(t)
	advise(t, server)
	c, parent := newClient(t, server.URL), ""
	for _, l := range debianImage(t, blobs, "").layers {
		response, err := http.Get(l.url)
		if err != nil {
			t.Fatal(err)
		}
		packed, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		id := strings.TrimPrefix(l.digest, "sha256:")
		url := own.Serve("/"+id+"/layer.tar", unzip(t, packed))
		status, _, content := c.do(http.MethodPost, "/v1/layers", envelopeOf(post{Name: id, Path: url, ParentName: parent, Format: "Docker"}))
		wantStatus(t, "post", status, http.StatusCreated, content)
		parent = id
	}
	status, _, content := c.do(http.MethodGet, "/v1/layers/"+parent+"?vulnerabilities", nil)
	wantStatus(t, "get", status, http.StatusOK, content)
	if diff := cmp.Diff(wantImage, read[envelope](t, content).Layer.findings()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// goharbor/harbor-scanner-clair names a layer by the chain of digests up to it.
func TestHarborScannerClair(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	advise(t, server)
	const authorization = "Bearer harbor"
	c := newClient(t, server.URL)
	chain := sha256.New()
	parent := ""
	img := debianImage(t, blobs, authorization)
	for _, l := range img.layers {
		fmt.Fprintf(chain, "%s-", l.digest)
		name := hex.EncodeToString(chain.Sum(nil))
		status, _, content := c.do(http.MethodPost, "/v1/layers", envelopeOf(post{
			Name: name, Path: l.url, ParentName: parent, Format: "Docker",
			Headers: map[string]string{"Connection": "close", "Authorization": authorization},
		}))
		wantStatus(t, "post", status, http.StatusCreated, content)
		parent = name
		if r := blobs.Requests(l.path); len(r) != 1 || !r[0].Close {
			t.Errorf("%s: the registry got %d requests, or one without Connection: close", l.path, len(r))
		}
	}
	status, _, content := c.do(http.MethodGet, "/v1/layers/"+parent+"?features&vulnerabilities", nil)
	wantStatus(t, "get", status, http.StatusOK, content)
	got := read[envelope](t, content).Layer
	if diff := cmp.Diff(wantImage, got.findings()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	for _, f := range got.Features {
		for _, v := range f.Vulnerabilities {
			switch strings.ToLower(v.Severity) {
			case "negligible", "low", "medium", "high", "critical", "unknown":
			default:
				t.Errorf("severity %q", v.Severity)
			}
		}
	}
}

// genuinetools/reg names layers by their digests, so the first chain that names
// one wins; where an image has Docker's empty layers it sends one without a name.
func TestReg(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	advise(t, server)
	c, parent := newClient(t, server.URL), ""
	for _, l := range debianImage(t, blobs, "").layers {
		status, _, content := c.do(http.MethodPost, "/v1/layers", envelopeOf(post{Name: l.digest, Path: l.url, ParentName: parent, Format: "Docker"}))
		wantStatus(t, "post", status, http.StatusCreated, content)
		parent = l.digest
	}
	status, _, content := c.do(http.MethodPost, "/v1/layers", envelopeOf(post{ParentName: parent, Format: "Docker"}))
	wantStatus(t, "the hole", status, http.StatusBadRequest, content)
	if e := read[envelope](t, content).Error; e == nil || e.Message != "could not process a layer which does not have a name" {
		t.Errorf("the hole: %s", content)
	}
	status, _, content = c.do(http.MethodGet, "/v1/layers/"+parent+"?features=true&vulnerabilities=true", nil)
	wantStatus(t, "get", status, http.StatusOK, content)
	if diff := cmp.Diff(wantImage, read[envelope](t, content).Layer.findings()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	status, _, content = c.do(http.MethodDelete, "/v1/layers/"+parent, nil)
	wantStatus(t, "delete", status, http.StatusOK, content)
}

// quay/quay before 2021 (util/secscan/api.py) names a layer by image and
// storage, closes each connection, and sends ancestors again where it is told
// that they are unknown.
func TestOldQuay(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	advise(t, server)
	const target, authorization = 3, "Bearer valid-for-60-s"
	c := newClient(t, server.URL, "Connection", "close")
	status, _, content := c.do(http.MethodGet, "/v1/metrics", nil)
	wantStatus(t, "ping", status, http.StatusOK, content)

	layers := debianImage(t, blobs, authorization).layers
	name := func(i int) string {
		return strings.TrimPrefix(layers[i].digest, "sha256:") + fmt.Sprintf(".0e2b6f0a-0000-4000-8000-00000000000%d", i)
	}
	send := func(i int) (int, []byte) {
		p := post{Name: name(i), Path: layers[i].url, Format: "Docker", Headers: map[string]string{"Authorization": authorization}}
		if i > 0 {
			p.ParentName = name(i - 1)
		}
		status, _, content := c.do(http.MethodPost, "/v1/layers", envelopeOf(p))
		return status, content
	}
	var analyse func(i int)
	analyse = func(i int) {
		t.Helper()
		status, content := send(i)
		answer := read[envelope](t, content)
		if status == http.StatusBadRequest && answer.Error.Message == "worker: parent layer is unknown, it must be processed first" && i > 0 {
			analyse(i - 1)
			status, content = send(i)
			answer = read[envelope](t, content)
		}
		wantStatus(t, "post", status, http.StatusCreated, content)
		if answer.Layer.IndexedByVersion < target {
			t.Errorf("indexed by version %d", answer.Layer.IndexedByVersion)
		}
	}
	top := len(layers) - 1
	analyse(top)
	status, _, content = c.do(http.MethodGet, "/v1/layers/"+name(top)+"?features=True&vulnerabilities=True", nil)
	wantStatus(t, "get", status, http.StatusOK, content)
	got := read[envelope](t, content).Layer
	if diff := cmp.Diff(wantImage, got.findings()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
	added := []string{got.Features[0].AddedBy, got.Features[1].AddedBy}
	if !slices.Equal(added, []string{name(1), name(0)}) {
		t.Errorf("added by %v", added)
	}
	status, _, content = c.do(http.MethodGet, "/v1/layers/nobody?features=True", nil)
	wantStatus(t, "get an unknown layer", status, http.StatusNotFound, content)
	status, _, content = c.do(http.MethodDelete, "/v1/layers/"+name(0), nil)
	wantStatus(t, "delete", status, http.StatusOK, content)
	status, _, content = c.do(http.MethodGet, "/v1/layers/"+name(top), nil)
	wantStatus(t, "get a descendant", status, http.StatusNotFound, content)
}
