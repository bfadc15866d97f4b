package main_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/pratique/pratique/test/sample"
)

// TestPromote is what a pipeline sees of an image that another registry takes, and
// then does not.
func TestPromote(t *testing.T) {
	server := serve(t, scanData(t), "--admin-password", password)
	base, err := sample.AlpineBase("3.20.0", sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"})
	if err != nil {
		t.Fatal(err)
	}
	registry := sample.Registry{URL: server.url, User: "admin", Password: password}
	digest, err := registry.Push(t.Context(), "main/app", "1", base)
	if err != nil {
		t.Fatal(err)
	}
	server.rest(t, "POST", "/registries", `{"name": "release"}`, nil)
	var made struct{ Key string }
	server.rest(t, "POST", "/api-keys", `{"name": "ci"}`, &made)
	image := strings.TrimPrefix(server.url, "http://") + "/main/app"
	run := func(what string, status int, want string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append([]string{"promote"}, args...)...)
		cmd.Env = append(os.Environ(), "PRATIQUE_PROMOTE_API_KEY="+made.Key)
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		_ = cmd.Run() // its status is looked at
		if got := cmd.ProcessState.ExitCode(); got != status || !strings.Contains(said.String(), want) {
			t.Errorf("%s: status %d, want %d\n%s", what, got, status, &said)
		}
	}
	run("dry run", 0, digest+" would come to release/app:1: 1 manifests", "--dry-run", image+":1", "release")
	if _, err := registry.Pull(t.Context(), "release/app", "1"); err == nil {
		t.Error("a dry run promotes")
	}
	run("to the same name", 0, "release/app:1 is "+digest, image+":1", "release", "-m", "tested")
	run("to another name", 0, "release/team/app:stable is "+digest, "--server", server.url, "main/app:1", "release/team/app:stable")
	run("by digest", 0, "release/app is "+digest, image+"@"+digest, "release/app")
	for _, reference := range []string{"1", digest} {
		if _, err := registry.Pull(t.Context(), "release/app", reference); err != nil {
			t.Error(err)
		}
	}
	run("no such tag", 1, "manifest", image+":none", "release")
	run("no such registry", 1, "registry", image+":1", "none")
	run("a digest to go to", 1, "want REGISTRY/REPOSITORY:TAG", image+":1", "release/app@"+digest)
	run("where it is", 1, "where it is", image+":1", "main")
	server.rest(t, "PATCH", "/registries/release", `{"policy": {"block_unassessed_from": "unknown"}}`, nil)
	run("kept out", 2, "release/app:2: policy keeps it out: CVE-2025-26519", image+":1", "release/app:2")
	var list struct {
		Items []struct{ Comment, By string }
	}
	server.rest(t, "GET", "/promotions?digest="+digest, "", &list)
	if n := len(list.Items); n != 3 || list.Items[2].Comment != "tested" || list.Items[2].By != "admin" {
		t.Errorf("history %+v", list.Items)
	}
}
