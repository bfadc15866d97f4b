package clair_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/app"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/test/clair/clairtest"
	"github.com/pratique/pratique/test/sample"
)

const password = "test-password"

// program is the whole server, with an image in its registry and a feed that
// speaks of it.
type program struct {
	registry, clair string
	layers          []imageLayer
}

// startProgram runs the program with an image and a feed, and with more arguments,
// until the test ends.
func startProgram(t *testing.T, arguments ...string) program {
	t.Helper()
	mirror := t.TempDir()
	if err := sample.WriteAlpineFeed(mirror, "v3.20", "main", sample.Fixes{
		"musl":    {"1.2.5-r1": {"CVE-2025-26519"}},
		"busybox": {"1.36.1-r29": {"CVE-2023-42363", "CVE-2023-42364"}},
	}); err != nil {
		t.Fatal(err)
	}
	p := startEmptyProgram(t, append([]string{"--feeds", "alpine", "--feeds-mirror", mirror}, arguments...)...)
	p.updateFeeds(t)

	must := clairtest.Must(t)
	musl := sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"}
	image := []sample.Layer{
		must(sample.AlpineBase("3.20.0", musl)),
		must(sample.NewLayer("RUN apk add busybox", sample.File{
			Path: "lib/apk/db/installed", Content: sample.Installed(musl, sample.AlpinePackage{Name: "busybox", Version: "1.36.1-r28", Origin: "busybox"}),
		})),
	}
	registry := sample.Registry{URL: p.registry, User: "admin", Password: password}
	if _, err := registry.Push(t.Context(), "main/app", "1", image...); err != nil {
		t.Fatal(err)
	}
	for _, l := range image {
		p.layers = append(p.layers, imageLayer{digest: l.Digest(), url: p.registry + "/v2/main/app/blobs/" + l.Digest()})
	}
	return p
}

// startEmptyProgram runs the program without anything in it.
func startEmptyProgram(t *testing.T, arguments ...string) program {
	t.Helper()
	var settings config.Serve
	parser, err := kong.New(&settings)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(append([]string{
		"--data", t.TempDir(), "--listen", "127.0.0.1:0", "--clair-listen", "127.0.0.1:0", "--health-listen", "off",
		"--admin-password", password, "--feeds-schedule", "off",
	}, arguments...)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	a, err := app.Open(ctx, settings, app.Options{Version: "test", Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the server ended: %v", err)
		}
	}))
	return program{registry: "http://" + a.Address("listen"), clair: "http://" + a.Address("clair-listen")}
}

func authorization() string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("admin:"+password))
}

// updateFeeds starts the update and waits for its end.
func (p program) updateFeeds(t *testing.T) {
	t.Helper()
	c := newClient(t, p.registry, "Authorization", authorization())
	status, _, content := c.do(http.MethodPost, "/api/v1/feeds/update", nil)
	if status != http.StatusAccepted {
		t.Fatalf("update feeds: %d %s", status, content)
	}
	id := read[struct{ ID json.Number }](t, content).ID
	for deadline := time.Now().Add(30 * time.Second); ; {
		_, _, content = c.do(http.MethodGet, "/api/v1/jobs/"+id.String(), nil)
		switch job := read[struct{ State, Error string }](t, content); {
		case job.State == "done":
			return
		case job.State == "failed", time.Now().After(deadline):
			t.Fatalf("update feeds: %s", content)
		}
	}
}

var wantProgram = []string{
	"busybox 1.36.1-r28: CVE-2023-42363 Unknown 1.36.1-r29, CVE-2023-42364 Unknown 1.36.1-r29",
	"musl 1.2.5-r0: CVE-2025-26519 Unknown 1.2.5-r1",
}

// Beside ProGet the same layers may be in our own registry. Then they need not
// be downloaded, and the upper one's distribution is known.
func TestProGetOnTheProgram(t *testing.T) {
	p := startProgram(t)
	base, upper := p.layers[0].digest, p.layers[1].digest
	records, outcomes := proget{client: newClient(t, p.clair)}.scan([]imageLayer{
		{digest: upper, url: "http://127.0.0.1:1/unreachable"}, {digest: base, url: "http://127.0.0.1:1/unreachable"},
	})
	want := []record{
		{"busybox:1.36.1-r28", upper, "CVE-2023-42363", "Unknown", "1.36.1-r29"},
		{"musl:1.2.5-r0", base, "CVE-2025-26519", "Unknown", "1.2.5-r1"},
		{"musl:1.2.5-r0", upper, "CVE-2025-26519", "Unknown", "1.2.5-r1"},
	}
	byKey := cmp.Transformer("keyed", func(list []record) map[record]bool {
		set := make(map[record]bool)
		for _, r := range list {
			set[r] = true
		}
		return set
	})
	if diff := cmp.Diff(want, records, byKey); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
	for _, o := range outcomes {
		if o.status != http.StatusCreated {
			t.Errorf("layer %s: %d", o.digest, o.status)
		}
	}
}

// Layers under other names are fetched from where they are, with credentials.
func TestDownloadFromTheProgram(t *testing.T) {
	p := startProgram(t)
	c, parent := newClient(t, p.clair), ""
	for i, l := range p.layers {
		anonymous := post{Name: fmt.Sprint("denied", i), Path: l.url, Format: "Docker"}
		status, _, content := c.do(http.MethodPost, "/v1/layers", envelopeOf(anonymous))
		if status != http.StatusBadRequest || read[envelope](t, content).Error.Message != "could not find layer" {
			t.Errorf("without credentials: %d %s", status, content)
		}
		named := post{Name: fmt.Sprint("layer", i), Path: l.url, ParentName: parent, Format: "Docker", Headers: map[string]string{"Autorization": authorization()}}
		status, _, content = c.do(http.MethodPost, "/v1/layers", envelopeOf(named))
		wantStatus(t, "post", status, http.StatusCreated, content)
		parent = named.Name
	}
	status, _, content := c.do(http.MethodGet, "/v1/layers/"+parent+"?vulnerabilities", nil)
	wantStatus(t, "get", status, http.StatusOK, content)
	if diff := cmp.Diff(wantProgram, read[envelope](t, content).Layer.findings()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}

// klar reads the manifest of Docker's type with an empty Authorization first. It
// wants that type to the letter, a challenge in a fixed order, and the token as
// "token".
func TestKlarAtTheRegistry(t *testing.T) {
	p := startProgram(t)
	const docker = "application/vnd.docker.distribution.manifest.v2+json"
	owner := newClient(t, p.registry, "Authorization", authorization(), "Accept", "application/vnd.oci.image.manifest.v1+json")
	status, _, content := owner.do(http.MethodGet, "/v2/main/app/manifests/1", nil)
	wantStatus(t, "manifest", status, http.StatusOK, content)
	converted := strings.NewReplacer("application/vnd.oci.image.manifest.v1+json", docker,
		"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json",
		"application/vnd.oci.image.layer.v1.tar+gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip").Replace(string(content))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, p.registry+"/v2/main/app/manifests/docker", strings.NewReader(converted))
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Authorization": {authorization()}, "Content-Type": {docker}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	wantStatus(t, "put", response.StatusCode, http.StatusCreated, nil)

	accept := docker + ", application/vnd.docker.distribution.manifest.v1+prettyjws, application/vnd.docker.distribution.manifest.list.v2+json"
	status, header, _ := newClient(t, p.registry, "Accept", accept, "Authorization", "").do(http.MethodGet, "/v2/main/app/manifests/docker", nil)
	wantStatus(t, "first try", status, http.StatusUnauthorized, nil)
	challenge := regexp.MustCompile(`^Bearer realm="(.*?)",service="(.*?)",scope="(.*?)"`).FindStringSubmatch(header.Get("WWW-Authenticate"))
	if challenge == nil {
		t.Fatalf("the challenge is %q", header.Get("WWW-Authenticate"))
	}
	realm := strings.TrimPrefix(challenge[1], p.registry)
	status, _, content = newClient(t, p.registry, "Authorization", authorization()).do(http.MethodGet, realm+"?service="+challenge[2]+"&scope="+challenge[3], nil)
	wantStatus(t, "token", status, http.StatusOK, content)
	token := read[struct{ Token string }](t, content).Token
	status, header, content = newClient(t, p.registry, "Accept", accept, "Authorization", "Bearer "+token).do(http.MethodGet, "/v2/main/app/manifests/docker", nil)
	wantStatus(t, "manifest", status, http.StatusOK, content)
	if header.Get("Content-Type") != docker {
		t.Errorf("the type is %q", header.Get("Content-Type"))
	}
	image := read[struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}](t, content)
	c, parent := newClient(t, p.clair), ""
	for _, l := range image.Layers {
		name := strings.TrimPrefix(image.Config.Digest, "sha256:") + strings.TrimPrefix(l.Digest, "sha256:")
		status, _, content := c.do(http.MethodPost, "/v1/layers", envelopeOf(post{
			Name: name, Path: p.registry + "/v2/main/app/blobs/" + l.Digest, ParentName: parent, Format: "Docker", Headers: map[string]string{"Authorization": "Bearer " + token},
		}))
		wantStatus(t, "post", status, http.StatusCreated, content)
		parent = name
	}
	status, _, content = c.do(http.MethodGet, "/v1/layers/"+parent+"?vulnerabilities", nil)
	wantStatus(t, "get", status, http.StatusOK, content)
	if diff := cmp.Diff(wantProgram, read[envelope](t, content).Layer.findings()); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
