package guide_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

// TestTrashPage runs the commands of docs/trash.md.
func TestTrashPage(t *testing.T) {
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
	push("main/team/app", "v1")
	sh := bash(t, ctx, t.TempDir())
	here := strings.NewReplacer("http://localhost:8624", served.URL, "localhost:8624", strings.TrimPrefix(served.URL, "http://"), "PASSWORD", password)
	want := map[string][]string{
		"Trash":               {""},
		"Delete, and restore": {`"deleted_by":"admin","reason":"deleted by a client"`, `"tags":["v1"],"taken_tags":[]`},
		"A repository":        {""},
		"Empty it":            {`"deleted":1`},
		"For how long":        {`"days":30,"default_days":7`},
	}
	guided{file: "trash.md", here: here, want: want}.run(t, sh)
}
