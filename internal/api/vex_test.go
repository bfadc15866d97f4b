package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const vexStatements = `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://acme.example/7", "author": "Acme", "timestamp": "2026-03-01T12:00:00Z", "version": 2,
	"statements": [
		{"vulnerability": {"name": "CVE-1", "aliases": ["GHSA-1"]}, "products": [{"@id": "pkg:oci/app", "subcomponents": [{"@id": "pkg:apk/alpine/musl"}]}],
			"status": "not_affected", "justification": "component_not_present"},
		{"vulnerability": {"name": "CVE-2"}, "status": "odd"},
		{"vulnerability": {"name": "CVE-3"}, "status": "affected", "action_statement": "Upgrade."}]}`

func TestVEXDocuments(t *testing.T) {
	h := newHarbour(t)
	image := "sha256:" + strings.Repeat("a", 64)
	if r := h.send(t, http.MethodPost, "/vex-documents", vexStatements, user); r.status != http.StatusForbidden {
		t.Errorf("upload by a user: %d %s", r.status, r.body)
	}
	for name, body := range map[string]string{"an SBOM": `{"bomFormat": "CycloneDX"}`, "another digest": vexStatements} {
		path := "/vex-documents"
		if name == "another digest" {
			path += "?image=latest"
		}
		if r := h.send(t, http.MethodPost, path, body, admin); r.status != http.StatusUnprocessableEntity || !strings.Contains(string(r.body), "not a") {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	for _, path := range []string{"/vex-documents", "/vex-documents?image=" + image, "/vex-documents"} {
		if r := h.send(t, http.MethodPost, path, vexStatements, admin); r.status != http.StatusCreated {
			t.Fatalf("%s: %d %s", path, r.status, r.body)
		}
	}
	var documents struct {
		Items []struct {
			ID                         int64
			Identifier, Author, Origin string
			Image                      string
			Skipped                    []string
			Statements                 int `json:"statement_count"`
		}
	}
	get := func(path string, into any) {
		t.Helper()
		r := h.send(t, http.MethodGet, path, nil, user)
		if r.status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, r.status, r.body)
		}
		if err := json.Unmarshal(r.body, into); err != nil {
			t.Fatal(err)
		}
	}
	get("/vex-documents", &documents)
	if len(documents.Items) != 2 {
		t.Fatalf("documents: %+v", documents.Items)
	}
	d := documents.Items[0]
	if d.Identifier != "https://acme.example/7" || d.Author != "Acme" || d.Origin != "upload" || d.Image != image || d.Statements != 2 ||
		len(d.Skipped) != 1 || !strings.Contains(d.Skipped[0], `statement 2 on "CVE-2"`) {
		t.Errorf("document: %+v", d)
	}
	type page struct {
		Statements []struct {
			Vulnerability, Status, State, Reason string
			Products                             []string
		}
		Next string `json:"next_page_token"`
	}
	var got []string
	for token := ""; ; {
		var p page
		get(fmt.Sprintf("/vex-documents/%d?page_size=1&page_token=%s", d.ID, token), &p)
		for _, s := range p.Statements {
			got = append(got, fmt.Sprintf("%s %s of %v: %s, %s", s.Vulnerability, s.Status, s.Products, s.State, s.Reason))
		}
		if token = p.Next; token == "" {
			break
		}
	}
	want := []string{
		"CVE-1 not_affected of [pkg:oci/app (pkg:apk/alpine/musl)]: waiting, no feed speaks of the vulnerability yet",
		"CVE-3 affected of [" + image + "]: waiting, no feed speaks of the vulnerability yet",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	h.publish(t, "CVE-1", "2")
	var p page
	get(fmt.Sprintf("/vex-documents/%d", d.ID), &p)
	if got, want := p.Statements[0].Reason, "the image "+image+" is not here"; got != want {
		t.Errorf("reason: got %q, want %q", got, want)
	}
	path := fmt.Sprintf("/vex-documents/%d", d.ID)
	for _, want := range []int{http.StatusNoContent, http.StatusNotFound} {
		if r := h.send(t, http.MethodDelete, path, nil, admin); r.status != want {
			t.Errorf("delete: %d, want %d: %s", r.status, want, r.body)
		}
	}
	if r := h.send(t, http.MethodGet, "/images/"+image+"/vex", nil, user); r.status != http.StatusNotFound {
		t.Errorf("VEX of an unknown image: %d %s", r.status, r.body)
	}
	var log struct {
		Items []struct{ Actor, Action, Object string }
	}
	r := h.send(t, http.MethodGet, "/audit-log?page_size=1", nil, admin)
	if err := json.Unmarshal(r.body, &log); err != nil {
		t.Fatal(err)
	}
	if e := log.Items[0]; e.Actor != admin || e.Action != "vex-document.delete" || e.Object != fmt.Sprintf("vex-document %d", d.ID) {
		t.Errorf("audit log: %+v", e)
	}
}
