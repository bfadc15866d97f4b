package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/source/sourcetest"
)

// imageSource is how far a source is with an image.
type imageSource struct {
	Name     string     `json:"name"`
	State    string     `json:"state"`
	Error    string     `json:"error"`
	Answered *time.Time `json:"answered_at"`
}

type scanned struct {
	Analysis string `json:"analysis"`
	Coverage struct {
		Verdict string   `json:"verdict"`
		Reasons []string `json:"reasons"`
	} `json:"coverage"`
	Sources []imageSource `json:"sources"`
}

type connection struct {
	OK      bool   `json:"ok"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

type attached struct {
	Warnings []string `json:"warnings"`
}

// makeSource enables an extension and makes a source of it.
func makeSource(t *testing.T, s *server, name, extension, url, header string) {
	t.Helper()
	call[any](t, s, http.MethodPatch, "/extensions/"+extension, map[string]any{"enabled": true}, http.StatusOK)
	call[any](t, s, http.MethodPost, "/vulnerability-sources", map[string]any{"name": name, "extension": extension, "url": url, "authorization_header": header}, http.StatusCreated)
}

// settled waits until a source of an image is in a state.
func settled(t *testing.T, s *server, digest, name, state string) scanned {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		img := call[scanned](t, s, http.MethodGet, "/images/"+digest, nil, http.StatusOK)
		for _, o := range img.Sources {
			if o.Name == name && o.State == state {
				return img
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not %s: %+v", name, state, img)
		}
	}
}

// TestSources follows the three steps with stand-ins: a source is told of the
// layers of what is pushed, fetches them from here with what it was given, and
// what it reports is assessed and blocks like any other finding.
func TestSources(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		data := t.TempDir()
		s := start(t, data, "--database", database, "--feeds-mirror", muslFeed(t), "--feeds", "alpine")
		updateFeeds(t, s)
		const secret = "c2VjcmV0LWFwaS1rZXk"
		clair := sourcetest.NewClairV1(t, sourcetest.Feature{Name: "musl", NamespaceName: "alpine:v3.20", VersionFormat: "dpkg", Version: "1.2.5-r0",
			Vulnerabilities: []sourcetest.Vulnerability{
				{Name: "CVE-2025-26519", NamespaceName: "alpine:v3.20", Severity: "High", FixedBy: "1.2.5-r9"},
				{Name: "CLAIR-ONLY-1", NamespaceName: "alpine:v3.20", Severity: "Critical", Description: "known to Clair alone", Link: "https://example.com/1"},
			}})
		clair.Authorization = "Bearer " + secret
		scanner := sourcetest.NewAdapter(t, sourcetest.Item{ID: "CVE-2025-26519", Package: "musl", Version: "1.2.5-r0", FixVersion: "1.2.5-r1", Severity: "High"})
		makeSource(t, s, "clair", "clair-v1", clair.URL, clair.Authorization)
		makeSource(t, s, "scanner", "scanner-adapter", scanner.URL, "")
		if c := call[connection](t, s, http.MethodPost, "/vulnerability-sources/clair/test", nil, http.StatusOK); !c.OK || c.Message != "Clair with the v1 API" {
			t.Errorf("test: %+v", c)
		}

		// Without a base URL attaching warns, and the scan says why it cannot be.
		first, err := s.registry().Push(t.Context(), "main/app", "1", muslImage(t))
		if err != nil {
			t.Fatal(err)
		}
		if got := call[attached](t, s, http.MethodPut, "/registries/main/vulnerability-sources/clair", nil, http.StatusOK); len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "base URL") {
			t.Errorf("attach: %+v", got)
		}
		if img := settled(t, s, first, "clair", "waiting"); !strings.Contains(img.Sources[1].Error, "base URL") || img.Coverage.Verdict != "partial" || img.Sources[0].State != "answered" {
			t.Errorf("without a base URL: %+v", img)
		}
		call[any](t, s, http.MethodPatch, "/settings", map[string]string{"base_url": s.url}, http.StatusOK)
		if got := call[attached](t, s, http.MethodPut, "/registries/main/vulnerability-sources/scanner", nil, http.StatusOK); len(got.Warnings) != 0 {
			t.Errorf("attach: %+v", got)
		}
		s.clock.Advance(2 * time.Minute)
		settled(t, s, first, "clair", "answered")
		img := settled(t, s, first, "scanner", "answered")
		if diff := cmp.Diff("known", img.Coverage.Verdict); diff != "" {
			t.Errorf("coverage %+v", img.Coverage)
		}

		// One finding with three witnesses, and one of Clair's alone.
		type witnessed struct {
			Vulnerability string   `json:"vulnerability"`
			Severity      string   `json:"severity"`
			State         string   `json:"state"`
			Sources       []string `json:"sources"`
		}
		want := []witnessed{{"CLAIR-ONLY-1", "critical", "unassessed", []string{"clair"}}, {"CVE-2025-26519", "high", "unassessed", []string{"built-in", "clair", "scanner"}}}
		if diff := cmp.Diff(want, call[list[witnessed]](t, s, http.MethodGet, "/images/"+first+"/findings", nil, http.StatusOK).Items); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		type disagreement struct {
			Vulnerability string   `json:"vulnerability"`
			On            []string `json:"on"`
		}
		differ := []disagreement{{"CLAIR-ONLY-1", []string{"reported"}}, {"CVE-2025-26519", []string{"fixed_version"}}}
		if diff := cmp.Diff(differ, call[list[disagreement]](t, s, http.MethodGet, "/images/"+first+"/disagreements", nil, http.StatusOK).Items); diff != "" {
			t.Errorf("disagreements (-want +got):\n%s", diff)
		}

		// It is assessed as any other is, and blocks; sources still get at it.
		call[any](t, s, http.MethodPost, "/assessments", map[string]any{"vulnerability": "CLAIR-ONLY-1", "type": "Block", "scope": map[string]string{"kind": "registry", "value": "main"}}, http.StatusCreated)
		pull := func(digest string) int {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/v2/main/app/manifests/"+digest, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.SetBasicAuth("admin", password)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			return res.StatusCode
		}
		if status := pull(first); status != http.StatusForbidden {
			t.Errorf("what is blocked is pulled: %d", status)
		}
		scanner.Forget()
		call[any](t, s, http.MethodPost, "/images/"+first+"/scan", nil, http.StatusAccepted)
		settled(t, s, first, "scanner", "answered")

		// What is pushed is asked about at once, and by the nightly job.
		second, err := s.registry().Push(t.Context(), "main/app", "2", muslImage(t), muslImage(t))
		if err != nil {
			t.Fatal(err)
		}
		settled(t, s, second, "clair", "answered")
		settled(t, s, second, "scanner", "answered")
		clair.Features = nil
		call[any](t, s, http.MethodPost, "/jobs/scan/run", nil, http.StatusAccepted)
		for deadline := time.Now().Add(time.Minute); pull(first) != http.StatusOK; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("what is reported no more still blocks")
			}
		}

		// The secret is nowhere to be seen, nor is it kept in the clear.
		for _, path := range []string{"/vulnerability-sources", "/vulnerability-sources/clair", "/vulnerability-sources/clair/scans", "/audit-log?page_size=1000", "/jobs?page_size=1000", "/settings"} {
			text := call[any](t, s, http.MethodGet, path, nil, http.StatusOK)
			if shown, err := json.Marshal(text); err != nil || bytes.Contains(shown, []byte(secret)) {
				t.Errorf("GET %s shows the secret (%v)", path, err)
			}
		}
		if strings.HasPrefix(database, "sqlite:") {
			s.stop()
			noSecret(t, strings.TrimPrefix(database, "sqlite:"), secret)
			noSecret(t, data, secret)
		}
	})
}

// noSecret looks for a secret in a file, or in the files of a folder.
func noSecret(t *testing.T, root, secret string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if bytes.Contains(content, []byte(secret)) {
			t.Errorf("%s holds the secret in the clear", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSourceRestart: a server that ends while a source is being asked goes on
// with it when it starts again.
func TestSourceRestart(t *testing.T) {
	data := t.TempDir()
	scanner := sourcetest.NewAdapter(t, sourcetest.Item{ID: "CVE-2025-26519", Package: "musl", Version: "1.2.5-r0", Severity: "High"})
	scanner.Fail(sourcetest.Fault{At: "/report", Hang: true})
	database := "sqlite:" + filepath.Join(data, "pratique.db")
	s := start(t, data, "--database", database, "--feeds", "alpine", "--shutdown-grace", "100ms")
	makeSource(t, s, "scanner", "scanner-adapter", scanner.URL, "")
	call[any](t, s, http.MethodPatch, "/settings", map[string]string{"base_url": s.url}, http.StatusOK)
	call[any](t, s, http.MethodPut, "/registries/main/vulnerability-sources/scanner", nil, http.StatusOK)
	digest, err := s.registry().Push(t.Context(), "main/app", "1", muslImage(t))
	if err != nil {
		t.Fatal(err)
	}
	settled(t, s, digest, "scanner", "running")
	s.stop()
	again := start(t, data, "--database", database, "--feeds", "alpine")
	again.clock.Advance(2 * time.Minute)
	call[any](t, again, http.MethodPatch, "/settings", map[string]string{"base_url": again.url}, http.StatusOK)
	settled(t, again, digest, "scanner", "answered")
}
