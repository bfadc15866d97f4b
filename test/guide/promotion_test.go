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
	for _, got := range steps(t, "../../docs/promotion.md") {
		if strings.Contains(got.commands, "pratique promote") {
			continue
		}
		texts := want[got.heading]
		if len(texts) == 0 {
			t.Fatalf("line %d: nothing is expected of this block of %q", got.line, got.heading)
		}
		want[got.heading] = texts[1:]
		if out, status := sh.run(t, here.Replace(got.commands)); status != 0 || !strings.Contains(out, texts[0]) {
			t.Errorf("line %d: status %d:\n%s", got.line, status, out)
		}
	}
	for heading, texts := range want {
		if len(texts) > 0 {
			t.Errorf("%q has too few blocks", heading)
		}
	}
}
