package clairv4_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/egress"
	"github.com/pratique/pratique/test/clair/clairtest"
)

// TestClairsSchemas checks answers against the JSON schemas that Clair 4.9.0
// publishes, where its module is in Go's cache (scripts/clients.sh brings it).
//
// Clair's own answers break them in four places, and ours follow the answers: the
// kind of a package is in lower case, a CPE may be empty, a vulnerability of every
// architecture has no arch_op, and its repository no id.
func TestClairsSchemas(t *testing.T) {
	folder := filepath.Join(clairsModule(t), "httptransport", "types", "v1")
	files, err := filepath.Glob(filepath.Join(folder, "*.schema.json"))
	if err != nil || len(files) == 0 {
		t.Skipf("Clair's schemas are absent: %v", err)
	}
	compiler := jsonschema.NewCompiler()
	const base = "https://clairproject.org/api/http/v1/"
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		document, err := jsonschema.UnmarshalJSON(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if err := compiler.AddResource(base+filepath.Base(f), document); err != nil {
			t.Fatal(err)
		}
	}
	w := newWorld(t, clairtest.Options{})
	w.index(t)
	for _, name := range []string{"CVE-2024-0010", "CVE-2024-0011"} {
		w.Advise(t, clairtest.Affected(name, "wolfi", "curl", "99", advisory.High))
	}
	_, operations := w.Call(t, http.MethodGet, "/matcher/api/v1/internal/update_operation", "")
	var refs map[string][]struct{ Ref string }
	if err := json.Unmarshal([]byte(operations), &refs); err != nil || len(refs["wolfi/wolfi"]) < 2 {
		t.Fatalf("%v: %s", err, operations)
	}
	cur, prev := refs["wolfi/wolfi"][0].Ref, refs["wolfi/wolfi"][1].Ref
	for _, test := range []struct{ schema, method, path, body string }{
		{"index_report", http.MethodGet, reports + "/" + hash, ""},
		{"index_state", http.MethodGet, "/indexer/api/v1/index_state", ""},
		{"vulnerability_report", http.MethodGet, matcher + hash, ""},
		{"error", http.MethodGet, matcher + "x", ""},
		{"bulk_delete", http.MethodDelete, reports, fmt.Sprintf("[%q]", strings.Replace(hash, "11", "22", 1))},
		{"update_operations", http.MethodGet, "/matcher/api/v1/internal/update_operation", ""},
		{"update_diff", http.MethodGet, "/matcher/api/v1/internal/update_diff?cur=" + cur + "&prev=" + prev, ""},
		{"notification_page", http.MethodGet, "/notifier/api/v1/notification/0a9c5f0e-7c4b-4b54-9d6f-7f4a5b3f2f10", ""},
		{"affected_manifests", http.MethodPost, "/indexer/api/v1/internal/affected_manifest/",
			`{"vulnerabilities":[{"id":"8","name":"CVE-8","updater":"u","normalized_severity":"High","package":{"name":"curl","kind":"source"},"distribution":{"did":"debian","version_id":"12"}}]}`},
	} {
		t.Run(test.schema, func(t *testing.T) {
			schema, err := compiler.Compile(base + test.schema + ".schema.json")
			if err != nil {
				t.Fatal(err)
			}
			_, body := w.Call(t, test.method, test.path, test.body)
			document, err := jsonschema.UnmarshalJSON(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(likeClairs(document)); err != nil {
				t.Errorf("%v\n%s", err, body)
			}
		})
	}
}

// likeClairs turns what Clair's answers have otherwise than its schemas.
func likeClairs(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if _, ok := v["normalized_severity"]; ok && v["package"] != nil {
			v["arch_op"] = "equals"
			if r, ok := v["repository"].(map[string]any); ok && r["id"] == nil {
				r["id"] = ""
			}
		}
		for name, value := range v {
			text, isText := value.(string)
			switch {
			case name == "kind" && (text == "binary" || text == "source"):
				v[name] = strings.ToUpper(text)
			case name == "cpe" && isText && text == "":
				delete(v, name)
			default:
				likeClairs(value)
			}
		}
	case []any:
		for _, value := range v {
			likeClairs(value)
		}
	}
	return v
}

// TestClairsDocument asks for everything that Clair's own description of the API
// names, with its own examples where these are requests.
func TestClairsDocument(t *testing.T) {
	folder := filepath.Join(clairsModule(t), "httptransport", "api", "v1")
	content, err := os.ReadFile(filepath.Join(folder, "openapi.json"))
	if err != nil {
		t.Skipf("Clair's document is absent: %v", err)
	}
	var document struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal(content, &document); err != nil {
		t.Fatal(err)
	}
	example := func(name string) string {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(folder, "examples", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	w := newWorld(t, clairtest.Options{Egress: egress.Options{Networks: []netip.Prefix{}, Resolver: &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no names are known here")
	}}}})
	bodies := map[string]string{
		"POST /indexer/api/v1/index_report": example("manifest"), "DELETE /indexer/api/v1/index_report": example("bulk_delete"),
		"POST /indexer/api/v1/internal/affected_manifest/": `{"vulnerabilities":[` + example("vulnerability") + `]}`,
	}
	const id = "0a9c5f0e-7c4b-4b54-9d6f-7f4a5b3f2f10"
	routes := 0
	for path, methods := range document.Paths {
		for method := range methods {
			method := strings.ToUpper(method)
			if !slices.Contains([]string{"GET", "POST", "DELETE", "PUT", "HEAD", "PATCH"}, method) {
				continue
			}
			routes++
			if strings.HasSuffix(path, "affected_manifest") {
				path += "/" // the handler wants it
			}
			at := strings.NewReplacer("{id}", id, "update_operation/{digest}", "update_operation/"+id, "{digest}", hash).Replace(path)
			r, body := w.Call(t, method, at, bodies[method+" "+path])
			if r.StatusCode == http.StatusMethodNotAllowed || r.StatusCode >= 500 || strings.Contains(body, "page not found") {
				t.Errorf("%s %s: %d %s", method, at, r.StatusCode, body)
			}
			if text := bodies[method+" "+path]; text != "" && r.StatusCode/100 != 2 {
				t.Errorf("%s %s with Clair's example: %d %s", method, at, r.StatusCode, body)
			}
			if text := documentOf(t, w); !strings.Contains(text, `"`+strings.ReplaceAll(path, "update_operation/{digest}", "update_operation/{ref}")+`"`) {
				t.Errorf("our document does not name %s", path)
			}
		}
	}
	if routes < 12 {
		t.Errorf("%d routes", routes)
	}
}

func documentOf(t *testing.T, w world) string {
	t.Helper()
	_, body := w.Call(t, http.MethodGet, "/openapi/v1", "")
	return body
}

// clairsModule is the folder of Clair 4.9.0 in Go's cache.
func clairsModule(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Skipf("go env: %v", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "github.com", "quay", "clair", "v4@v4.9.0")
}
