package guide_test

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

// TestRegistriesPage runs the commands of docs/registries.md.
func TestRegistriesPage(t *testing.T) {
	needs(t, "bash", "curl", "skopeo")
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(cancel)
	served := serve(t, new(program.Clock), "--feeds", "alpine")
	host := strings.TrimPrefix(served.URL, "http://")
	dir := t.TempDir()
	for _, name := range []string{"image", "other"} {
		layer, err := sample.NewLayer("COPY "+name, sample.File{Path: name, Content: name})
		if err != nil {
			t.Fatal(err)
		}
		write(t, ctx, served, filepath.Join(dir, name), layer)
	}
	here := strings.NewReplacer("localhost:8624", host, "PASSWORD", password)
	want := map[string][]string{
		"Registries":                {""},
		"Make one":                  {`"name":"releases"`},
		"Quota":                     {`"quota_bytes":20000000`},
		"Immutable tags":            {`"immutable_tags":["v*","*-release"]`, "the tag v1 is immutable in this registry"},
		"Tags that follow versions": {`"latest"`},
		"Usage":                     {`"pulls":1,"last_pull_at":"`, `"own_bytes":`},
	}
	sh := bash(t, ctx, dir)
	guided{file: "registries.md", here: here, want: want, never: []string{`"title":`}, fails: func(s step) bool { return strings.Contains(s.commands, "dir:other") }}.run(t, sh)
	// What is copied is pulled, and what is inspected.
	if out, status := sh.run(t, `for i in $(seq 100); do
  api $registries/releases/repositories/team/app/tags | grep -q '"name":"3.4.1","digest":"[^"]*","updated_at":"[^"]*","pulls":2,' && break; sleep 0.1; done; [ $i -lt 100 ]`); status != 0 {
		t.Errorf("3.4.1 was not pulled twice: %s", out)
	}
}

// write pushes an image of one layer elsewhere and has skopeo write it to a folder.
func write(t *testing.T, ctx context.Context, served *program.Program, folder string, layer sample.Layer) {
	t.Helper()
	name := "main/made/" + filepath.Base(folder)
	if _, err := (sample.Registry{URL: served.URL, User: "admin", Password: password}).Push(ctx, name, "1", layer); err != nil {
		t.Fatal(err)
	}
	from := "docker://" + strings.TrimPrefix(served.URL, "http://") + "/" + name + ":1"
	out, err := exec.CommandContext(ctx, "skopeo", "copy", "-q", "--src-creds", "admin:"+password, "--src-tls-verify=false", from, "dir:"+folder).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}
