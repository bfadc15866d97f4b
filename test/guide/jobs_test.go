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
	for _, got := range steps(t, "../../docs/jobs.md") {
		texts := want[got.heading]
		if len(texts) == 0 {
			t.Fatalf("line %d: nothing is expected of this block of %q", got.line, got.heading)
		}
		want[got.heading] = texts[1:]
		out, status := sh.run(t, here.Replace(got.commands))
		const stopped = 124 // by timeout
		const finished = `"title":"Conflict","status":409,"detail":"job 1 is done: the job is finished"`
		if status != 0 && status != stopped || !strings.Contains(out, texts[0]) || strings.Contains(strings.ReplaceAll(out, finished, ""), `"title":`) {
			t.Errorf("line %d: status %d:\n%s", got.line, status, out)
		}
	}
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
	for heading, texts := range want {
		if len(texts) > 0 {
			t.Errorf("%q has too few blocks", heading)
		}
	}
}
