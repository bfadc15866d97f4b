package api_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// description is the served OpenAPI document.
func description(t *testing.T) []byte {
	t.Helper()
	h := newHarbour(t)
	response := h.send(t, http.MethodGet, "/openapi.json", nil, nobody)
	if response.status != http.StatusOK || response.header.Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("got %d, %s", response.status, response.header.Get("Content-Type"))
	}
	return response.body
}

// The description is what clients are generated from: a change must be seen.
func TestDescriptionIsGolden(t *testing.T) {
	got := append(description(t), '\n')
	golden := filepath.Join("testdata", "openapi.json")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(want, got) {
		t.Errorf("%s (-want +got; -update writes it):\n%s", golden, cmp.Diff(string(want), string(got)))
	}
}

func TestDescriptionPromisesListsNotNull(t *testing.T) {
	var document any
	if err := json.Unmarshal(description(t), &document); err != nil {
		t.Fatal(err)
	}
	// Null inherits, and an empty list is none.
	allowed := map[string]bool{}
	for _, schema := range []string{"PolicyChange", "PolicySettings"} {
		for _, list := range []string{"block", "warn"} {
			allowed[".components.schemas."+schema+".properties."+list] = true
		}
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if kinds, ok := v["type"].([]any); ok && !allowed[path] {
				if fmt.Sprint(kinds) == "[array null]" {
					t.Errorf("%s is a list or null", path)
				}
			}
			for name, item := range v {
				walk(path+"."+name, item)
			}
		case []any:
			for i, item := range v {
				walk(fmt.Sprintf("%s[%d]", path, i), item)
			}
		}
	}
	walk("", document)
}
