package server_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/vex"
	"github.com/pratique/pratique/test/sample"
)

// request makes a registry request that is answered with the status.
func (s *server) request(t *testing.T, method, target, contentType string, body []byte, want int) http.Header {
	t.Helper()
	if strings.HasPrefix(target, "/") {
		target = s.url + target
	}
	req, err := http.NewRequestWithContext(t.Context(), method, target, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	req.Header.Set("Content-Type", contentType)
	return decode(t, req, want, nil)
}

func digestOf(content []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(content)) }

// attach pushes a document as a referrer of an image and returns the digest of
// the manifest.
func (s *server) attach(t *testing.T, repository, subject string, subjectSize int, mediaType, document string) string {
	t.Helper()
	for _, content := range []string{document, "{}"} {
		header := s.request(t, http.MethodPost, "/v2/"+repository+"/blobs/uploads/", "", nil, http.StatusAccepted)
		location, err := url.Parse(header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		query := location.Query()
		query.Set("digest", digestOf([]byte(content)))
		location.RawQuery = query.Encode()
		s.request(t, http.MethodPut, location.String(), "application/octet-stream", []byte(content), http.StatusCreated)
	}
	type descriptor struct {
		MediaType string `json:"mediaType"`
		Digest    string `json:"digest"`
		Size      int    `json:"size"`
	}
	const kind = "application/vnd.oci.image.manifest.v1+json"
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": kind, "artifactType": mediaType,
		"config":  descriptor{"application/vnd.oci.empty.v1+json", digestOf([]byte("{}")), 2},
		"layers":  []descriptor{{mediaType, digestOf([]byte(document)), len(document)}},
		"subject": descriptor{kind, subject, subjectSize},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.request(t, http.MethodPut, "/v2/"+repository+"/manifests/"+digestOf(manifest), kind, manifest, http.StatusCreated)
	return digestOf(manifest)
}

// settled waits until no work is queued, running or waiting for another try.
func (s *server) settled(t *testing.T) {
	t.Helper()
	type job struct{ State, Error string }
	for deadline := time.Now().Add(time.Minute); ; {
		open := 0
		for _, j := range call[list[job]](t, s, http.MethodGet, "/jobs?kind=apply-vex&page_size=1000", nil, http.StatusOK).Items {
			if j.Error != "" {
				t.Fatalf("work on VEX: %s", j.Error)
			}
			if j.State != "done" {
				open++
			}
		}
		if open == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("work on VEX does not end")
		}
	}
}

type followed struct {
	ID                       int64
	Author, Origin           string
	BroughtBy                string `json:"brought_by"`
	Statements               []struct{ Vulnerability, State, Reason string }
	Error, Repository, Image string
}

func (f followed) lines() []string {
	lines := []string{f.Origin + " of " + f.Author + " by " + f.BroughtBy}
	for _, s := range f.Statements {
		lines = append(lines, strings.TrimSuffix(s.Vulnerability+" "+s.State+": "+s.Reason, ": "))
	}
	return lines
}

func (s *server) vexDocuments(t *testing.T) (lines [][]string) {
	t.Helper()
	for _, d := range call[list[followed]](t, s, http.MethodGet, "/vex-documents", nil, http.StatusOK).Items {
		lines = append(lines, call[followed](t, s, http.MethodGet, fmt.Sprintf("/vex-documents/%d", d.ID), nil, http.StatusOK).lines())
	}
	return lines
}

const openVEX = `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/vex/7", "author": "Acme", "timestamp": "2026-03-01T12:00:00Z", "version": 1,
	"statements": [{"vulnerability": {"name": %q}, "products": [{"@id": %q}], "status": %q, "justification": "vulnerable_code_not_in_execute_path"}]}`

// TestVEX has a pull that policy blocks allowed by what is attached to the
// image, and blocked again when that is gone.
func TestVEX(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		feeds := muslFeed(t)
		s := start(t, t.TempDir(), "--database", database, "--feeds-mirror", feeds, "--feeds", "alpine")
		updateFeeds(t, s)
		image, err := s.registry().Push(t.Context(), "main/app", "1", muslImage(t))
		if err != nil {
			t.Fatal(err)
		}
		call[any](t, s, http.MethodPatch, "/registries/main", map[string]any{"policy": map[string]any{"block_unassessed_from": "unknown"}}, http.StatusOK)
		manifest, err := s.registry().Pull(t.Context(), "main/app", "1")
		blocked := func(t *testing.T, want bool) {
			t.Helper()
			if _, err := s.registry().Pull(t.Context(), "main/app", "1"); (err != nil) != want {
				t.Errorf("pull: got %v, want blocked %v", err, want)
			}
		}
		if err == nil {
			t.Fatal("the pull is not blocked")
		}
		size := len(manifest)
		if size == 0 {
			size = 1 // clients state what they know; the subject need not be here
		}
		document := fmt.Sprintf(openVEX, "CVE-2025-26519", "pkg:oci/app@"+url.QueryEscape(image), "not_affected")
		referrer := s.attach(t, "main/app", image, size, "application/vnd.openvex+json", document)
		s.settled(t)
		want := [][]string{{"referrer of Acme by admin", "CVE-2025-26519 applied"}}
		if diff := cmp.Diff(want, s.vexDocuments(t)); diff != "" {
			t.Errorf("documents (-want +got):\n%s", diff)
		}
		blocked(t, false)
		if got, want := findings(t, s, image)[0].State, "Ignore"; got != want {
			t.Errorf("state: got %s, want %s", got, want)
		}
		for _, format := range []string{"openvex", "cyclonedx"} {
			exported := s.export(t, image, format)
			d, err := vex.Read(strings.NewReader(exported), vex.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if len(d.Statements) != 1 || d.Statements[0].Status != vex.NotAffected || d.Author != "vex: Acme (https://acme.example/vex/7)" ||
				!strings.Contains(d.Statements[0].Impact, "attached in main/app by admin") {
				t.Errorf("%s: got %+v", format, d)
			}
		}

		// Registries can be told not to listen.
		call[any](t, s, http.MethodPatch, "/registries/main", map[string]any{"honour_vex": false}, http.StatusOK)
		s.settled(t)
		blocked(t, true)
		want = [][]string{{"referrer of Acme by admin", "CVE-2025-26519 ignored: registry main honours no VEX of referrers"}}
		if diff := cmp.Diff(want, s.vexDocuments(t)); diff != "" {
			t.Errorf("documents of a registry that does not listen (-want +got):\n%s", diff)
		}
		call[any](t, s, http.MethodPatch, "/registries/main", map[string]any{"honour_vex": true}, http.StatusOK)
		s.settled(t)
		blocked(t, false)

		s.request(t, http.MethodDelete, "/v2/main/app/manifests/"+referrer, "", nil, http.StatusAccepted)
		blocked(t, true)
		if got := s.vexDocuments(t); len(got) != 0 {
			t.Errorf("documents after the referrer went: got %v", got)
		}
		assessments := call[list[struct {
			Author, Comment string
			Reason          string `json:"ended_reason"`
			Live            bool
		}]](t, s, http.MethodGet, "/assessments?vulnerability=CVE-2025-26519", nil, http.StatusOK).Items
		for _, a := range assessments {
			if a.Live || a.Reason != "withdrawn" || a.Author != "vex: Acme (https://acme.example/vex/7)" {
				t.Errorf("assessment: got %+v", a)
			}
		}
		if len(assessments) != 2 {
			t.Errorf("got %d assessments, want 2", len(assessments))
		}
	})
}

// TestVEXBeforeAll uploads what is said of an image, of a name, and of a package
// before there is anything that it could be about.
func TestVEXBeforeAll(t *testing.T) {
	eachDatabase(t, func(t *testing.T, database string) {
		feeds := t.TempDir()
		if err := sample.WriteAlpineFeed(feeds, "v3.20", "main", sample.Fixes{"musl": {"1.2.5-r1": {"CVE-2025-26519"}}}); err != nil {
			t.Fatal(err)
		}
		s := start(t, t.TempDir(), "--database", database, "--feeds-mirror", feeds, "--feeds", "alpine")
		call[any](t, s, http.MethodPost, "/vex-documents", json.RawMessage(fmt.Sprintf(openVEX, "CVE-2025-26519", "pkg:apk/alpine/musl@1.2.5-r0", "fixed")), http.StatusCreated)
		s.settled(t)
		want := [][]string{{"upload of Acme by admin", "CVE-2025-26519 waiting: no feed speaks of the vulnerability yet"}}
		if diff := cmp.Diff(want, s.vexDocuments(t)); diff != "" {
			t.Errorf("before all (-want +got):\n%s", diff)
		}
		updateFeeds(t, s)
		s.settled(t)
		want = [][]string{{"upload of Acme by admin", "CVE-2025-26519 idle: no stored image has it in such a package"}}
		if diff := cmp.Diff(want, s.vexDocuments(t)); diff != "" {
			t.Errorf("after the feeds (-want +got):\n%s", diff)
		}
		image, err := s.registry().Push(t.Context(), "main/app", "1", muslImage(t))
		if err != nil {
			t.Fatal(err)
		}
		s.settled(t)
		want = [][]string{{"upload of Acme by admin", "CVE-2025-26519 applied"}}
		if diff := cmp.Diff(want, s.vexDocuments(t)); diff != "" {
			t.Errorf("after the image (-want +got):\n%s", diff)
		}
		// A person has the last word.
		call[any](t, s, http.MethodPost, "/assessments", map[string]any{"vulnerability": "CVE-2025-26519", "type": "Block",
			"scope": map[string]string{"kind": "image", "value": image}}, http.StatusCreated)
		call[any](t, s, http.MethodPost, "/jobs/apply-vex/run", nil, http.StatusAccepted)
		s.settled(t)
		want = [][]string{{"upload of Acme by admin", "CVE-2025-26519 overruled: the assessment of admin stands"}}
		if diff := cmp.Diff(want, s.vexDocuments(t)); diff != "" {
			t.Errorf("after a person (-want +got):\n%s", diff)
		}
		if got, want := findings(t, s, image)[0].State, "Block"; got != want {
			t.Errorf("state: got %s, want %s", got, want)
		}
	})
}

// TestVEXBeforeItsImage attaches what is said of an image before that is there,
// as an attestation: it is in a statement of in-toto in an envelope of DSSE.
func TestVEXBeforeItsImage(t *testing.T) {
	feeds := muslFeed(t)
	elsewhere := start(t, t.TempDir(), "--feeds", "alpine")
	image, err := elsewhere.registry().Push(t.Context(), "main/app", "1", muslImage(t))
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.stop()
	statement := fmt.Sprintf(`{"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://openvex.dev/ns/v0.2.0", "subject": [{"digest": {"sha256": %q}}],
		"predicate": {"@context": "https://openvex.dev/ns/v0.2.0", "@id": "urn:7", "author": "Acme", "version": 1, "statements": [{"vulnerability": {"name": "CVE-2025-26519"}, "status": "fixed"}]}}`,
		strings.TrimPrefix(image, "sha256:"))
	envelope, err := json.Marshal(map[string]any{"payloadType": "application/vnd.in-toto+json", "payload": []byte(statement), "signatures": []any{}})
	if err != nil {
		t.Fatal(err)
	}
	eachDatabase(t, func(t *testing.T, database string) {
		s := start(t, t.TempDir(), "--database", database, "--feeds-mirror", feeds, "--feeds", "alpine")
		updateFeeds(t, s)
		s.attach(t, "main/app", image, 1, "application/vnd.dsse.envelope.v1+json", string(envelope))
		s.attach(t, "main/app", image, 1, "application/vnd.openvex+json", `{"@context": "https://openvex.dev/ns", "statements": 7}`)
		s.attach(t, "main/app", image, 1, "application/vnd.cyclonedx+json", `{"bomFormat": "CycloneDX", "components": []}`)
		s.settled(t)
		want := [][]string{{"referrer of  by admin"}, {"referrer of Acme by admin", "CVE-2025-26519 waiting: the image " + image + " is not here"}}
		if diff := cmp.Diff(want, s.vexDocuments(t)); diff != "" {
			t.Errorf("before the image (-want +got):\n%s", diff)
		}
		if got, err := s.registry().Push(t.Context(), "main/app", "1", muslImage(t)); err != nil || got != image {
			t.Fatalf("push: got %s, %v, want %s", got, err, image)
		}
		s.settled(t)
		want[1][1] = "CVE-2025-26519 applied"
		if diff := cmp.Diff(want, s.vexDocuments(t)); diff != "" {
			t.Errorf("after the image (-want +got):\n%s", diff)
		}
		if got, want := findings(t, s, image)[0].State, "Ignore"; got != want {
			t.Errorf("state: got %s, want %s", got, want)
		}
	})
}

func (s *server) export(t *testing.T, image, format string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/api/v1/images/"+image+"/vex?format="+format, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("export: %s, %v: %s", res.Status, err, text)
	}
	return string(text)
}
