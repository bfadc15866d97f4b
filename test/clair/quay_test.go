package clair_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/test/clair/clairtest"
)

// hash is what the image is called: the digest of a manifest that nobody reads.
const imageHash = "sha256:1111111111111111111111111111111111111111111111111111111111111111"

// indexV4 sends the image as Quay 3 does, with tokens that are good for a minute.
func (img image) indexV4(t *testing.T, server *clairtest.Server) (hash string) {
	t.Helper()
	type layer struct {
		Hash    string              `json:"hash"`
		URI     string              `json:"uri"`
		Headers map[string][]string `json:"headers"`
	}
	body := struct {
		Hash   string  `json:"hash"`
		Layers []layer `json:"layers"`
	}{Hash: imageHash}
	for _, l := range img.layers {
		body.Layers = append(body.Layers, layer{l.digest, l.url, map[string][]string{"Accept": {"application/gzip"}, "Authorization": {"Bearer t0k"}}})
	}
	status, header, content := newClient(t, server.URL).do(http.MethodPost, "/indexer/api/v1/index_report", body)
	wantStatus(t, "index", status, http.StatusCreated, content)
	if header.Get("Etag") == "" {
		t.Error("Quay asserts that there is an etag")
	}
	return imageHash
}

// required are the members that Quay's copy of the schema asks for.
var required = map[string][]string{
	"IndexReport":         {"manifest_hash", "state", "packages", "distributions", "environments", "success", "err"},
	"VulnerabilityReport": {"manifest_hash", "packages", "distributions", "environments", "vulnerabilities", "package_vulnerabilities"},
	"Vulnerability":       {"id", "updater", "name", "description", "links", "severity", "normalized_severity", "fixed_in_version"},
	"Package":             {"id", "name", "version"},
	"Distribution":        {"id", "did", "name", "version", "version_code_name", "version_id", "arch", "cpe", "pretty_name"},
	"Environment":         {"package_db", "introduced_in", "distribution_id"},
}

// conforms checks an object as Quay's stricter schema does.
func conforms(t *testing.T, kind string, raw json.RawMessage) map[string]json.RawMessage {
	t.Helper()
	object := read[map[string]json.RawMessage](t, raw)
	for _, name := range required[kind] {
		if v, ok := object[name]; !ok || string(v) == "null" {
			t.Errorf("%s has no %s: %s", kind, name, raw)
		}
	}
	return object
}

func members(t *testing.T, raw json.RawMessage) map[string]json.RawMessage {
	return read[map[string]json.RawMessage](t, raw)
}

func text(t *testing.T, raw json.RawMessage) string { return read[string](t, raw) }

func checkInventory(t *testing.T, report map[string]json.RawMessage) (packages map[string]json.RawMessage) {
	t.Helper()
	packages = members(t, report["packages"])
	environments := members(t, report["environments"])
	for id, raw := range packages {
		p := conforms(t, "Package", raw)
		if text(t, p["id"]) != id {
			t.Errorf("package %s is called %s", id, p["id"])
		}
		if source, ok := p["source"]; ok {
			if _, nested := conforms(t, "Package", source)["source"]; nested {
				t.Errorf("a source of a source: %s", raw)
			}
		}
		places := read[[]json.RawMessage](t, environments[id])
		if len(places) == 0 {
			t.Fatalf("package %s is nowhere", id)
		}
		for _, place := range places {
			if e := conforms(t, "Environment", place); !strings.HasPrefix(text(t, e["introduced_in"]), "sha256:") {
				t.Errorf("introduced in %s", e["introduced_in"])
			}
		}
	}
	for _, raw := range members(t, report["distributions"]) {
		for name, v := range conforms(t, "Distribution", raw) {
			if len(v) == 0 || v[0] != '"' {
				t.Errorf("distribution: %s is %s", name, v)
			}
		}
	}
	return packages
}

// Quay 3 indexes an image and reads its report (util/secscan/v4/api.py,
// data/secscan_model/secscan_v4_model.py).
func TestQuay(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	advise(t, server)
	scores := feed.Entry{Group: advisory.Group{Part: "all", Name: "CVE-2024-0003", Details: map[string]advisory.Detail{
		"CVE-2024-0003": {Description: "From NVD.", Scores: []advisory.Score{{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", Base: 7.5}}},
	}}}
	if err := server.Store.ReplaceAdvisories(t.Context(), advisory.NVD, "all", []feed.Entry{scores}, nil, match.Package); err != nil {
		t.Fatal(err)
	}
	if _, _, err := server.Store.ReplaceScores(t.Context(), []feed.Score{{CVE: "CVE-2024-0003", Probability: 0.5, Percentile: 0.9}}); err != nil {
		t.Fatal(err)
	}
	img := debianImage(t, blobs, "Bearer t0k")
	client := newClient(t, server.URL)
	status, _, content := client.do(http.MethodGet, "/indexer/api/v1/index_state", nil)
	wantStatus(t, "state", status, http.StatusOK, content)
	hash := img.indexV4(t, server)

	status, _, content = client.do(http.MethodGet, "/indexer/api/v1/index_report/"+hash, nil)
	wantStatus(t, "index report", status, http.StatusOK, content)
	report := conforms(t, "IndexReport", content)
	if text(t, report["state"]) != "IndexFinished" || len(checkInventory(t, report)) != 3 {
		t.Errorf("got %s", content)
	}

	status, _, content = client.do(http.MethodGet, "/matcher/api/v1/vulnerability_report/"+hash, nil)
	wantStatus(t, "report", status, http.StatusOK, content)
	report = conforms(t, "VulnerabilityReport", content)
	packages := checkInventory(t, report)
	vulnerabilities := members(t, report["vulnerabilities"])
	for id, raw := range vulnerabilities {
		v := conforms(t, "Vulnerability", raw)
		if _, there := v["range"]; there || text(t, v["id"]) != id {
			t.Errorf("got %s", raw)
		}
		for _, name := range []string{"package", "distribution", "repository"} {
			if o, there := v[name]; there && (len(o) == 0 || o[0] != '{') {
				t.Errorf("%s is %s", name, o)
			}
		}
		if !strings.Contains(text(t, v["links"]), text(t, v["name"])) {
			t.Errorf("no CVE in the links %s", v["links"])
		}
	}
	var got []string
	for id, raw := range members(t, report["package_vulnerabilities"]) {
		p := conforms(t, "Package", packages[id])
		for _, vid := range read[[]string](t, raw) {
			v := members(t, vulnerabilities[vid])
			got = append(got, fmt.Sprintf("%s %s %s %s", text(t, p["name"]), text(t, v["name"]), text(t, v["normalized_severity"]), text(t, v["fixed_in_version"])))
		}
	}
	slices.Sort(got)
	want := []string{"curl CVE-2024-0005 Critical 7.88.1-10+deb12u5"}
	for _, name := range []string{"zlib1g", "zlib1g-dev"} {
		want = append(want, name+" CVE-2024-0001 Medium 1:1.3.dfsg-2", name+" CVE-2024-0002 High ", name+" CVE-2024-0003 High 1:1.3.dfsg-3")
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(vulnerabilities) != 4 {
		t.Errorf("%d vulnerabilities: those of a source are one", len(vulnerabilities))
	}
	// Quay takes the first enrichment for CVSS, whatever its type.
	enrichments := string(report["enrichments"])
	first := strings.Index(enrichments, "clair.cvss")
	if second := strings.Index(enrichments, "clair.epss"); first < 0 || second < first {
		t.Errorf("enrichments are %s", enrichments)
	}
	for kind, raw := range members(t, report["enrichments"]) {
		list := read[[]map[string][]map[string]any](t, raw)
		if strings.Contains(kind, "clair.cvss") {
			for _, items := range list[0] {
				if items[0]["baseScore"] != 7.5 || items[0]["vectorString"] == "" || items[0]["baseSeverity"] != "HIGH" || items[0]["version"] != "3.1" {
					t.Errorf("got %v", items)
				}
			}
		}
	}
}

// clair-scanner 14 sends no headers, polls, and reads the vulnerabilities alone.
func TestClairScanner14(t *testing.T) {
	server, blobs := clairtest.Start(t, clairtest.Options{}), clairtest.NewBlobs(t)
	advise(t, server)
	img := debianImage(t, blobs, "")
	var layers []string
	for _, l := range img.layers {
		layers = append(layers, fmt.Sprintf(`{"hash":%q,"uri":%q}`, l.digest, l.url))
	}
	client := newClient(t, server.URL)
	_, _, content := client.do(http.MethodPost, "/indexer/api/v1/index_report", fmt.Sprintf(`{"hash":%q,"layers":[%s]}`, imageHash, strings.Join(layers, ",")))
	if got := read[struct {
		Hash string `json:"manifest_hash"`
	}](t, content).Hash; got != imageHash {
		t.Errorf("got %s", content)
	}
	status, _, content := client.do(http.MethodGet, "/indexer/api/v1/index_report/"+imageHash, nil)
	wantStatus(t, "poll", status, http.StatusOK, content)
	status, _, content = client.do(http.MethodGet, "/matcher/api/v1/vulnerability_report/"+imageHash, nil)
	wantStatus(t, "report", status, http.StatusOK, content)
	for _, v := range read[struct {
		Vulnerabilities map[string]struct {
			Package      struct{ Name, Version string }
			Distribution struct{ DID string }
			Severity     string `json:"normalized_severity"`
		}
	}](t, content).Vulnerabilities {
		if v.Package.Name == "" || v.Package.Version == "" || v.Distribution.DID != "debian" || v.Severity == "" {
			t.Errorf("got %+v", v)
		}
	}
}
