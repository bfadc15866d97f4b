package guide_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/test/program"
)

// TestAdministrationPage runs the commands of docs/administration.md.
func TestAdministrationPage(t *testing.T) {
	needs(t, "bash", "curl")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	served := serve(t, new(program.Clock), "--feeds", "alpine")
	here := strings.NewReplacer("http://localhost:8624", served.URL, "PASSWORD", password)
	want := map[string][]string{
		"Administration":   {""},
		"Users and groups": {`"name":"developers"`},
		"Roles":            {`"role":"publish"`},
		"Robots":           {`"disabled":true`},
		"API keys":         {`"name":"laptop"`},
		"Single sign-on":   {`"client_id":"pratique"`, ""},
		"What happened":    {`"action":"api-key.create"`},
	}
	sh := bash(t, ctx, t.TempDir())
	guided{file: "administration.md", here: here, want: want, never: []string{`"status":`, "the secret"}}.run(t, sh)
	if out, _ := sh.run(t, "cut -d, -f4 audit.csv | sort -u"); !strings.Contains(out, "robot.create") || !strings.Contains(out, "user.create") {
		t.Errorf("audit.csv: %s", out)
	}
}
