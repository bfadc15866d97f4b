package guide_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

// TestPoliciesPage runs the commands of docs/policies.md.
func TestPoliciesPage(t *testing.T) {
	needs(t, "bash", "curl", "jq", "skopeo", "grep", "tee")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	clock := new(program.Clock)
	served, _, _ := debian(t, clock)
	layer, err := sample.NewLayer("COPY app", sample.File{Path: "app", Content: "app"})
	if err != nil {
		t.Fatal(err)
	}
	layer.Content = layer.Content[:len(layer.Content)-20]
	if _, err := (sample.Registry{URL: served.URL, User: "admin", Password: password}).Push(ctx, "main/broken", "1", layer); err != nil {
		t.Fatal(err)
	}
	sh := bash(t, ctx, t.TempDir())
	sh.pratique(t)
	host := strings.TrimPrefix(served.URL, "http://")
	here := strings.NewReplacer("localhost:8624", host, "PASSWORD", password)
	blocks := map[string]int{}
	before := func(s step) bool {
		n := blocks[s.heading]
		blocks[s.heading]++
		switch {
		case s.heading == "What a policy can ask for":
			sh.run(t, updateFeeds)
		case s.heading == "A grace, and its end" && n == 1:
			clock.Advance(49 * time.Hour)
		}
		return true
	}
	fails := func(s step) bool {
		n := blocks[s.heading]
		return s.heading == "A grace, and its end" && n == 2 || s.heading == "Exceptions" && n == 2 || s.heading == "In a pipeline"
	}
	const refused = "is blocked by policy: CVE-2024-0001 (high, libssl3 3.0.11-1, unassessed)"
	guided{file: "policies.md", here: here, before: before, fails: fails, want: map[string][]string{
		"Policies":                  {"pulled"},
		"What a policy can ask for": {`"medium"` + "\n24\n" + `"global"`},
		"Try it first":              {`["main",1,0]`},
		"A grace, and its end":      {`["CVE-2024-0001","unassessed","20`, "denied: image main/app@sha256:"},
		"What a client sees":        {`{"code":"MANIFEST_UNKNOWN","message":"image main/app@sha256:`, refused[len("is blocked by policy: "):]},
		"Quarantine":                {`"failed"` + "\n" + `["analysis","the analysis failed: layer sha256:`},
		"Images that run already":   {"blocked by policy, and let through by digest until 20"},
		"Exceptions":                {"\npulled", refused},
		"In a pipeline":             {"policy blocks it: CVE-2024-0001"},
		"In Kubernetes":             {`"path":"/admission/v1/review/pqa_`, `"unknown_images":"warn"`, refused},
	}}.run(t, sh)
}
