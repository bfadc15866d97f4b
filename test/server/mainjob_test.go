package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/pratique/pratique/test/sample"
)

// TestMainJob pushes an image, sees its findings, has a pull blocked, and sees
// the block end with the assessment's expiry.
func TestMainJob(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		s := start(t, t.TempDir(), "--database", database, "--feeds-mirror", muslFeed(t), "--feeds", "alpine")
		updateFeeds(t, s)
		layer := muslImage(t)
		digest, err := s.registry().Push(t.Context(), "main/app", "1", layer)
		if err != nil {
			t.Fatal(err)
		}
		check := func(step, state string, pulls bool) {
			t.Helper()
			got := findings(t, s, digest)
			want := "CVE-2025-26519 musl 1.2.5-r0 fixed 1.2.5-r1: " + state
			if len(got) != 1 || got[0].String() != want || got[0].Layer != layer.Digest() {
				t.Errorf("%s: got %v, want %s", step, got, want)
			}
			_, err := s.registry().Pull(context.Background(), "main/app", "1")
			if pulls != (err == nil) {
				t.Errorf("%s: pull: %v", step, err)
			}
			if !pulls && err != nil && (!strings.Contains(err.Error(), "CVE-2025-26519") || !strings.Contains(err.Error(), "DENIED")) {
				t.Errorf("%s: the refusal does not name the vulnerability: %v", step, err)
			}
		}
		check("pushed", "unassessed", true)
		bill := call[struct {
			SpecVersion string `json:"specVersion"`
			Components  []struct {
				PURL string `json:"purl"`
			} `json:"components"`
		}](t, s, http.MethodGet, "/images/"+digest+"/sbom", nil, http.StatusOK)
		if len(bill.Components) != 2 || bill.SpecVersion != "1.6" || !strings.HasPrefix(bill.Components[1].PURL, "pkg:apk/alpine/musl@1.2.5-r0") {
			t.Errorf("SBOM: %+v", bill)
		}
		spdx := call[struct {
			Version string `json:"spdxVersion"`
		}](t, s, http.MethodGet, "/images/"+digest+"/sbom?format=spdx", nil, http.StatusOK)
		if spdx.Version != "SPDX-2.3" {
			t.Errorf("SBOM: %+v", spdx)
		}
		assess := func(kind string, expires any) {
			t.Helper()
			call[struct{}](t, s, http.MethodPost, "/assessments", map[string]any{
				"vulnerability": "CVE-2025-26519", "type": kind, "scope": map[string]string{"kind": "registry", "value": "main"},
				"comment": "test", "expires_at": expires,
			}, http.StatusCreated)
		}
		assess("Block", s.clock.Now().Add(time.Hour))
		check("blocked", "Block", false)
		assess("Ignore", nil)
		check("assessed otherwise", "Ignore", true)
		assess("Block", s.clock.Now().Add(time.Hour))
		check("blocked again", "Block", false)
		s.clock.Advance(time.Hour + time.Second)
		check("expired", "unassessed", true)
		history := call[struct {
			Items []struct {
				Type string `json:"type"`
			} `json:"items"`
		}](t, s, http.MethodGet, "/assessments?vulnerability=CVE-2025-26519", nil, http.StatusOK)
		if len(history.Items) != 3 {
			t.Errorf("history: %+v", history)
		}
	})
}

func TestRestartKeepsEverything(t *testing.T) {
	data := t.TempDir()
	first := start(t, data, "--feeds-mirror", muslFeed(t), "--feeds", "alpine")
	updateFeeds(t, first)
	digest, err := first.registry().Push(t.Context(), "main/app", "1", muslImage(t))
	if err != nil {
		t.Fatal(err)
	}
	first.stop()
	second := start(t, data)
	if got := findings(t, second, digest); len(got) != 1 {
		t.Errorf("findings after a restart: %v", got)
	}
	if _, err := second.registry().Pull(t.Context(), "main/app", "1"); err != nil {
		t.Error(err)
	}
}

func TestUnreadableImageIsUnknown(t *testing.T) {
	s := start(t, t.TempDir(), "--feeds-mirror", muslFeed(t), "--feeds", "alpine")
	updateFeeds(t, s)
	whole := muslImage(t)
	for name, layer := range map[string]sample.Layer{
		"truncated": {Content: whole.Content[:len(whole.Content)/2], DiffID: whole.DiffID},
		"corrupt":   {Content: append(bytes.Clone(whole.Content[:60]), bytes.Repeat([]byte{0xff}, 200)...), DiffID: whole.DiffID},
	} {
		digest, err := s.registry().Push(t.Context(), "main/"+name, "1", layer)
		if err != nil {
			t.Fatal(err)
		}
		img := call[struct {
			Analysis string `json:"analysis"`
			Error    string `json:"error"`
			Coverage struct {
				Verdict string `json:"verdict"`
			} `json:"coverage"`
		}](t, s, http.MethodGet, "/images/"+digest, nil, http.StatusOK)
		if img.Analysis != "failed" || img.Coverage.Verdict != "unknown" || !strings.Contains(img.Error, layer.Digest()) {
			t.Errorf("%s: got %+v, want one that failed, is unknown and names %s", name, img, layer.Digest())
		}
	}
}

// TestKnownAnswers compares with what was computed apart from this program,
// from the package database of real images and the real feed.
func TestKnownAnswers(t *testing.T) {
	root := realData(t)
	s := start(t, t.TempDir(), "--feeds-mirror", filepath.Join(root, "feeds"), "--feeds", "debian,alpine,azurelinux")
	updateFeeds(t, s)
	push := func(t *testing.T, version string) (digest, layer string) {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(root, "images", "alpine-minirootfs-"+version+"-x86_64.tar.gz"))
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		plain, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		l, err := sample.Compress("ADD minirootfs", plain)
		if err != nil {
			t.Fatal(err)
		}
		l.Content = content
		digest, err = s.registry().Push(t.Context(), "main/alpine", version, l)
		if err != nil {
			t.Fatal(err)
		}
		return digest, l.Digest()
	}
	for _, test := range []struct {
		version         string
		findings, names int
	}{{"3.7.3", 2, 1}, {"3.10.3", 21, 11}, {"20210212", 222, 114}, {"3.10.9", 0, 0}, {"3.18.9", 0, 0}, {"3.20.3", 0, 0}} {
		t.Run(test.version, func(t *testing.T) {
			digest, _ := push(t, test.version)
			names := make(map[string]bool)
			got := findings(t, s, digest)
			for _, f := range got {
				names[f.Vulnerability] = true
			}
			if len(got) != test.findings || len(names) != test.names {
				t.Errorf("got %d findings of %d vulnerabilities, want %d of %d", len(got), len(names), test.findings, test.names)
			}
		})
	}
	t.Run("by REST and by Clair v1", func(t *testing.T) {
		digest, layer := push(t, "3.7.3")
		var rest []string
		for _, f := range findings(t, s, digest) {
			rest = append(rest, fmt.Sprintf("%s %s %s %s", f.Vulnerability, f.Package.Name, f.Package.Version, f.Fixed))
		}
		want := []string{"CVE-2019-14697 musl 1.1.18-r3 1.1.18-r4", "CVE-2019-14697 musl-utils 1.1.18-r3 1.1.18-r4"}
		if diff := cmp.Diff(want, rest); diff != "" {
			t.Errorf("REST (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, asProGet(t, s, layer)); diff != "" {
			t.Errorf("Clair v1 (-want +got):\n%s", diff)
		}
	})
}

// asProGet asks the Clair API in the sequence of ProGet's extension.
func asProGet(t *testing.T, s *server, layer string) (found []string) {
	t.Helper()
	post, err := json.Marshal(map[string]any{"Layer": map[string]any{
		"Name": layer, "Path": s.url + "/v2/main/alpine/blobs/" + layer, "Headers": map[string]string{"Autorization": "x"}, "Format": "Docker",
	}})
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.Post(s.clair+"/v1/layers", "application/json", bytes.NewReader(post))
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusCreated {
		t.Fatalf("POST: %s", res.Status)
	}
	var answer struct {
		Layer struct {
			Features []struct {
				Name, Version   string
				Vulnerabilities []struct{ Name, NamespaceName, FixedBy string }
			}
		}
	}
	get := func(path string, into any) {
		t.Helper()
		res, err := http.Get(s.clair + path)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatalf("GET %s: %s", path, res.Status)
		}
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatalf("GET %s: %v", path, err)
		}
	}
	get("/v1/layers/"+layer+"?features&vulnerabilities", &answer)
	for _, f := range answer.Layer.Features {
		for _, v := range f.Vulnerabilities {
			var detail struct{ Vulnerability struct{ Name string } }
			get("/v1/namespaces/"+v.NamespaceName+"/vulnerabilities/"+v.Name+"?fixedIn", &detail)
			if detail.Vulnerability.Name != v.Name {
				t.Errorf("detail of %s: %+v", v.Name, detail)
			}
			found = append(found, fmt.Sprintf("%s %s %s %s", v.Name, f.Name, f.Version, v.FixedBy))
		}
	}
	return found
}

func TestHealth(t *testing.T) {
	s := start(t, t.TempDir())
	for _, path := range []string{"/health", "/healthz", "/readyz", "/metrics"} {
		res, err := http.Get(s.health + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", path, res.Status)
		}
	}
}
