package guide_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

// TestPromotionPage runs the commands of docs/promotion.md, but those of the program
// itself, which are cmd/pratique's to test.
func TestPromotionPage(t *testing.T) {
	needs(t, "bash", "curl")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	served := serve(t, new(program.Clock), "--feeds", "alpine")
	layer, err := sample.NewLayer("COPY app", sample.File{Path: "app", Content: "app"})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := (sample.Registry{URL: served.URL, User: "admin", Password: password}).Push(ctx, "main/team/app", "1.0", layer)
	if err != nil {
		t.Fatal(err)
	}
	sh := bash(t, ctx, t.TempDir())
	here := strings.NewReplacer("http://localhost:8624", served.URL, "PASSWORD", password)
	want := map[string][]string{
		"Promotion":            {`"name":"releases"`},
		"See what it comes to": {`"digest":"` + digest + `","manifests":1,"verdict":{"registry":"releases"`},
		"Promote":              {`"comment":"passed the tests of release 1"`},
		"History":              {`"to":{"registry":"releases","repository":"team/app","tag":"1.0"}`},
	}
	guided{file: "promotion.md", here: here, want: want, before: func(s step) bool { return !strings.Contains(s.commands, "pratique promote") }}.run(t, sh)
}
