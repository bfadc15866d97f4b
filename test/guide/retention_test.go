package guide_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

// TestRetentionPage runs the commands of docs/retention.md.
func TestRetentionPage(t *testing.T) {
	needs(t, "bash", "curl", "skopeo")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	clock := new(program.Clock)
	served := serve(t, clock, "--feeds", "alpine")
	push := func(repository, tag string) {
		t.Helper()
		layer, err := sample.NewLayer("COPY app", sample.File{Path: "app", Content: repository + tag})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := (sample.Registry{URL: served.URL, User: "admin", Password: password}).Push(ctx, repository, tag, layer); err != nil {
			t.Fatal(err)
		}
		clock.Advance(time.Second)
	}
	push("main/team/old", "1")
	for _, tag := range []string{"ci-1", "ci-2", "ci-3", "ci-4", "v1"} {
		push("main/team/app", tag)
	}
	sh := bash(t, ctx, t.TempDir())
	here := strings.NewReplacer("http://localhost:8624", served.URL, "localhost:8624", strings.TrimPrefix(served.URL, "http://"), "PASSWORD", password)
	want := map[string][]string{
		"Trash and retention":     {`"name":"ci-1"`},
		"The trash":               {`"deleted_by":"admin","reason":"deleted by a client"`, `"tags":["v1"],"taken_tags":[]`, "", `"deleted":1`},
		"Rules":                   {`"trash_days":14`},
		"See first what would go": {`"tags":["ci-1"],"image_stays":false`},
		"When it runs":            {`"kind":"retain"`, `"held":"all 5 images would go"`, `"confirmed_list":"sha256:`},
	}
	for _, got := range steps(t, "../../docs/retention.md") {
		texts := want[got.heading]
		if len(texts) == 0 {
			t.Fatalf("line %d: nothing is expected of this block of %q", got.line, got.heading)
		}
		want[got.heading] = texts[1:]
		out, status := sh.run(t, here.Replace(got.commands))
		if texts[0] == `"held":"all 5 images would go"` { // the first run may have come before or after the list
			texts[0] = "images would go"
		}
		if status != 0 || !strings.Contains(out, texts[0]) {
			t.Errorf("line %d: status %d:\n%s", got.line, status, out)
		}
		if strings.Contains(got.commands, "confirm") && !strings.Contains(out, "another list would go by now") {
			t.Errorf("line %d: %s", got.line, out)
		}
	}
	for heading, texts := range want {
		if len(texts) > 0 {
			t.Errorf("%q has too few blocks", heading)
		}
	}
}
