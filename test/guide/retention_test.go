package guide_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

// TestRetentionPage runs the commands of docs/retention.md, and looks at what can be
// pulled after each.
func TestRetentionPage(t *testing.T) {
	needs(t, "bash", "curl", "sed")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	clock := new(program.Clock)
	served := serve(t, clock, "--feeds", "alpine")
	registry := sample.Registry{URL: served.URL, User: "admin", Password: password}
	for _, tag := range []string{"pr-1", "pr-2", "pr-3", "1.0", "1.1"} {
		layer, err := sample.NewLayer("COPY app", sample.File{Path: "app", Content: tag})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Push(ctx, "main/team/app", tag, layer); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Minute)
	}
	left := func(what string, want ...string) {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for {
			var got []string
			for _, tag := range []string{"pr-1", "pr-2", "pr-3", "1.0", "1.1"} {
				if _, err := registry.Pull(ctx, "main/team/app", tag); err == nil {
					got = append(got, tag)
				}
			}
			if fmt.Sprint(got) == fmt.Sprint(want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: %v is left, want %v", what, got, want)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	here := strings.NewReplacer("http://localhost:8624", served.URL, "PASSWORD", password)
	want := map[string][]string{
		"Retention":                {""},
		"See what goes":            {`{"deletions":[],"gone_tags":0,"gone_manifests":0,"tags":5,"manifests":5,"held":false`},
		"Not pulled for some time": {`{"deletions":[],"gone_tags":0,"gone_manifests":0,"tags":5,"manifests":5,"held":false`},
		"Have it done":             {`"kind":"apply-retention"`},
		"When very much would go":  {""},
	}
	sh := bash(t, ctx, t.TempDir())
	before := func(s step) bool {
		if s.heading == "When very much would go" {
			left("after the first run", "pr-3", "1.0", "1.1")
			clock.Advance(48 * time.Hour)
			if out, _ := sh.run(t, `api -X PUT -d '{"enabled": true, "keep_days": 1}' $server/registries/main/retention; api -X POST $server/jobs/apply-retention/run`); !strings.Contains(out, "apply-retention") {
				t.Fatal(out)
			}
			waitForLog(t, sh, "registry main: 6 tags and manifests would go")
			left("while it is held", "pr-3", "1.0", "1.1")
		}
		return true
	}
	guided{file: "retention.md", here: here, want: want, before: before, never: []string{`"title":`}}.run(t, sh)
	if out, _ := sh.run(t, `api -X POST $server/jobs/apply-retention/run`); !strings.Contains(out, "apply-retention") {
		t.Fatal(out)
	}
	left("once it is confirmed")
	if out, _ := sh.run(t, `api "$server/audit-log?action=retention.delete"`); strings.Count(out, `"action":"retention.delete"`) != 2 || !strings.Contains(out, `"object":"repository main/team/app"`) || !strings.Contains(out, "there are 2 newer ones") {
		t.Errorf("audit log: %s", out)
	}
}

// waitForLog waits until a newer job says something in its log.
func waitForLog(t *testing.T, sh *shell, pattern string) {
	t.Helper()
	out, status := sh.run(t, `for i in $(seq 100); do
  for id in $(api "$server/jobs?kind=apply-retention" | grep -o '"id":[0-9]*' | cut -d: -f2); do
    api $server/jobs/$id/log | grep -q '`+pattern+`' && break 2
  done; sleep 0.1; done; [ $i -lt 100 ]`)
	if status != 0 {
		t.Fatalf("no job says %s: %s", pattern, out)
	}
}
