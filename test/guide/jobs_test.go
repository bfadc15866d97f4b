package guide_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/test/program"
)

// TestJobsPage runs the commands of docs/jobs.md.
func TestJobsPage(t *testing.T) {
	needs(t, "bash", "curl", "jq", "timeout")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	served := serve(t, new(program.Clock), "--feeds", "alpine")
	here := strings.NewReplacer("http://localhost:8624", served.URL, "PASSWORD", password,
		"jobs/7", "jobs/1", // which is the one that has just run
		"curl -sSN", "timeout 2 curl -sSN") // which never ends
	want := map[string][]string{
		"Jobs":               {""},
		"What there is":      {`"kind":"clean-blobs"`},
		"When a job is due":  {`"time_zone":"Europe/Berlin"`, `"enabled":true`},
		"Run, watch, cancel": {`"kind":"clean-blobs"`},
		"Live":               {`"type":"ready"`},
	}
	sh := bash(t, ctx, t.TempDir())
	guided{
		file: "jobs.md", here: here, want: want,
		fails: func(s step) bool { return s.heading == "Live" }, // it is stopped by timeout
		// A job that is done already cannot be cancelled.
		never: []string{`"title":"Bad`, `"title":"Un`, `"title":"Forbidden`, `"title":"Not Found`, `"title":"Internal`},
	}.run(t, sh)
	page, err := os.ReadFile("../../docs/jobs.md")
	if err != nil {
		t.Fatal(err)
	}
	kinds, _ := sh.run(t, `api $jobs/job-kinds | jq -r '.items[].name'`)
	if len(strings.Fields(kinds)) < 10 {
		t.Errorf("kinds: %s", kinds)
	}
	for _, kind := range strings.Fields(kinds) {
		if !strings.Contains(string(page), "`"+kind+"`") {
			t.Errorf("the page does not speak of the kind %s", kind)
		}
	}
}
