// Package clair_test replays what the clients of Clair's v1 API send, and reads
// the answers as they do. The clients themselves cannot be had everywhere; what
// they send and read is taken from their public sources.
package clair_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/test/clair/clairtest"
	"github.com/pratique/pratique/test/sample"
)

// image is an image in a registry, base layer first.
type image struct {
	config string // digest
	layers []imageLayer
}

type imageLayer struct {
	digest string
	url    string
	path   string
}

// debianImage is an image whose second layer adds a package, and whose third
// holds files only; its registry wants a token where authorization is not "".
func debianImage(t *testing.T, blobs *clairtest.Blobs, authorization string) image {
	t.Helper()
	must := clairtest.Must(t)
	zlib := []sample.DebianPackage{
		{Name: "zlib1g", Version: "1:1.3.dfsg-1+b1", Source: "zlib (1:1.3.dfsg-1)"},
		{Name: "zlib1g-dev", Version: "1:1.3.dfsg-1+b1", Source: "zlib (1:1.3.dfsg-1)"},
	}
	img := image{config: "sha256:" + strings.Repeat("c0", 32)}
	for _, l := range []sample.Layer{
		must(sample.DebianBase("12", "bookworm", zlib...)),
		must(sample.NewLayer("RUN apt-get install curl", sample.File{
			Path: "var/lib/dpkg/status", Content: sample.Status(append(zlib, sample.DebianPackage{Name: "curl", Version: "7.88.1-10+deb12u4"})...),
		})),
		must(sample.NewLayer("COPY . /app", sample.File{Path: "app/main.js", Content: "1"})),
	} {
		path := "/v2/feed/app/blobs/" + l.Digest()
		url := blobs.Handle(path, func(w http.ResponseWriter, r *http.Request) {
			if authorization != "" && r.Header.Get("Authorization") != authorization {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			_, _ = w.Write(l.Content)
		})
		img.layers = append(img.layers, imageLayer{l.Digest(), url, path})
	}
	return img
}

func advise(t *testing.T, server *clairtest.Server) {
	t.Helper()
	server.Advise(t,
		clairtest.Affected("CVE-2024-0001", "debian:12", "zlib", "1:1.3.dfsg-2", advisory.Medium),
		clairtest.Affected("CVE-2024-0002", "debian:12", "zlib", "", advisory.High),
		clairtest.Affected("CVE-2024-0003", "debian:12", "zlib", "1:1.3.dfsg-3", advisory.High),
		clairtest.Affected("CVE-2024-0005", "debian:12", "curl", "7.88.1-10+deb12u5", advisory.Critical))
}

// client is an HTTP client that asks for compression only where it says so.
type client struct {
	t      *testing.T
	base   string
	header http.Header
}

func newClient(t *testing.T, base string, header ...string) *client {
	c := &client{t: t, base: strings.TrimSuffix(base, "/"), header: make(http.Header)}
	for i := 0; i < len(header); i += 2 {
		c.header.Set(header[i], header[i+1])
	}
	return c
}

// do sends body, as JSON unless it is nil or a string, and returns the answer.
func (c *client) do(method, path string, body any) (status int, header http.Header, content []byte) {
	c.t.Helper()
	var text string
	switch b := body.(type) {
	case nil:
	case string:
		text = b
	default:
		encoded, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		text = string(encoded)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, strings.NewReader(text))
	if err != nil {
		c.t.Fatal(err)
	}
	request.Header = c.header.Clone()
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Close = strings.EqualFold(c.header.Get("Connection"), "close")
	transport := &http.Transport{DisableCompression: true}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		c.t.Fatalf("%s %s: no answer: %v", method, path, err)
	}
	defer response.Body.Close()
	if content, err = io.ReadAll(response.Body); err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return response.StatusCode, response.Header, content
}

// read decodes a body into what a client knows of it.
func read[T any](t *testing.T, content []byte) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(content, &v); err != nil {
		t.Fatalf("%v: %s", err, content)
	}
	return v
}

// envelope is what Go clients decode, most of them with Clair's own types.
type envelope struct {
	Layer *layerAnswer
	Error *struct{ Message string }
}

type layerAnswer struct {
	Name, NamespaceName, ParentName string
	IndexedByVersion                int
	Features                        []feature
}

type feature struct {
	Name, NamespaceName, VersionFormat, Version, AddedBy string
	Vulnerabilities                                      []vulnerability
}

type vulnerability struct {
	Name, NamespaceName, Description, Link, Severity, FixedBy string
}

// findings is "package version: CVE severity fixed, …" for each feature.
func (l *layerAnswer) findings() []string {
	var list []string
	for _, f := range l.Features {
		var found []string
		for _, v := range f.Vulnerabilities {
			found = append(found, strings.TrimSpace(v.Name+" "+v.Severity+" "+v.FixedBy))
		}
		list = append(list, f.Name+" "+f.Version+": "+strings.Join(found, ", "))
	}
	return list
}

// wantImage is what findings gives for debianImage.
var wantImage = []string{
	"curl 7.88.1-10+deb12u4: CVE-2024-0005 Critical 7.88.1-10+deb12u5",
	"zlib 1:1.3.dfsg-1: CVE-2024-0003 High 1:1.3.dfsg-3, CVE-2024-0002 High, CVE-2024-0001 Medium 1:1.3.dfsg-2",
}
