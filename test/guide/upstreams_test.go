package guide_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

// TestUpstreamsPage runs the commands of docs/upstreams.md, with another server of
// ours as upstream.
func TestUpstreamsPage(t *testing.T) {
	needs(t, "bash", "curl", "skopeo")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	clock := new(program.Clock)
	upstream, served := serve(t, clock, "--feeds", "alpine"), serve(t, clock, "--feeds", "alpine")
	layer, err := sample.NewLayer("COPY app", sample.File{Path: "app", Content: "app"})
	if err != nil {
		t.Fatal(err)
	}
	origin := sample.Registry{URL: upstream.URL, User: "admin", Password: password}
	if _, err := origin.Push(ctx, "main/app", "1", layer); err != nil {
		t.Fatal(err)
	}
	here := strings.NewReplacer("https://upstream.example.com", upstream.URL, `"reader"`, `"admin"`, "SECRET", password,
		"http://localhost:8624", served.URL, "localhost:8624", strings.TrimPrefix(served.URL, "http://"), "PASSWORD", password)
	want := map[string][]string{
		"Upstream registries":      {""},
		"Make a connector":         {`{"ok":true`},
		"Attach it":                {`"has_password":true`},
		"Pull":                     {""},
		"Delete what nobody pulls": {`"kind":"clean-cached"`},
	}
	sh := bash(t, ctx, t.TempDir())
	guided{file: "upstreams.md", here: here, want: want, never: []string{`"title":"Un`}}.run(t, sh)
	registry := sample.Registry{URL: served.URL, User: "admin", Password: password}
	gone := func() bool {
		tags, _ := sh.run(t, "curl -s -u admin:"+password+" "+served.URL+"/v2/acme/main/app/tags/list")
		return !strings.Contains(tags, `"1"`)
	}
	if gone() {
		t.Error("what was pulled just now was deleted")
	}
	clock.Advance(31 * 24 * time.Hour)
	sh.run(t, "api -X POST $server/jobs/clean-cached/run")
	for deadline := time.Now().Add(20 * time.Second); !gone(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what nobody pulls was not deleted")
		}
	}
	if _, err := registry.Pull(ctx, "acme/main/app", "1"); err != nil {
		t.Errorf("it cannot be pulled again: %v", err)
	}
}
