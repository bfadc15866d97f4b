// Package clients_test runs clients that people have, as they are published,
// against the whole program. scripts/clients.sh builds them; docs/clients.md lists
// what they are run with. A client that is not there is passed over.
package clients_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/test/clair/realclair"
	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

const password = "test-password"

// Found in the image: musl, of which the feed knows this.
const known = "CVE-2025-26519"

// world is a running server with an image main/app:1, and a home folder for clients.
type world struct {
	t *testing.T
	// host is of the registry, clair the URL of the Clair API.
	host, clair, home string
	// digest is that of the image's manifest.
	digest string
}

// newWorld starts the server, unless one of the clients is absent: then the test is skipped.
func newWorld(t *testing.T, clients []string, arguments ...string) *world {
	t.Helper()
	for _, name := range clients {
		if _, err := realclair.Find(name); errors.Is(err, realclair.ErrAbsent) {
			t.Skip(err)
		}
	}
	mirror := t.TempDir()
	if err := sample.WriteAlpineFeed(mirror, "v3.20", "main", sample.Fixes{"musl": {"1.2.5-r1": {known}}}); err != nil {
		t.Fatal(err)
	}
	p, err := program.Start(new(program.Clock), slog.New(slog.DiscardHandler), t.TempDir(), password,
		append([]string{"--feeds", "alpine", "--feeds-mirror", mirror}, arguments...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("the server ended: %v", err)
		}
	})
	w := &world{t: t, host: strings.TrimPrefix(p.URL, "http://"), clair: p.Clair, home: t.TempDir()}
	login := fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, w.host, base64.StdEncoding.EncodeToString([]byte("admin:"+password)))
	if err := errors.Join(os.Mkdir(filepath.Join(w.home, ".docker"), 0o700), os.WriteFile(filepath.Join(w.home, ".docker", "config.json"), []byte(login), 0o600)); err != nil {
		t.Fatal(err)
	}
	job := struct{ ID json.Number }{}
	w.rest(http.MethodPost, "/feeds/update", nil, &job)
	for state := struct{ State, Error string }{}; state.State != "done"; {
		w.rest(http.MethodGet, "/jobs/"+job.ID.String(), nil, &state)
		if state.State == "failed" || t.Context().Err() != nil {
			t.Fatalf("update of the feed: %+v", state)
		}
	}
	base, err := sample.AlpineBase("3.20.3", sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"})
	if err != nil {
		t.Fatal(err)
	}
	upper, err := sample.NewLayer("COPY app /app", sample.File{Path: "app/index.js", Content: "1"})
	if err != nil {
		t.Fatal(err)
	}
	registry := sample.Registry{URL: p.URL, User: "admin", Password: password}
	if w.digest, err = registry.Push(t.Context(), "main/app", "1", base, upper); err != nil {
		t.Fatal(err)
	}
	return w
}

// rest asks the REST interface.
func (w *world) rest(method, path string, body, into any) {
	w.t.Helper()
	content, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(w.t.Context(), method, "http://"+w.host+"/api/v1"+path, bytes.NewReader(content))
	if err != nil {
		w.t.Fatal(err)
	}
	request.SetBasicAuth("admin", password)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if response.StatusCode/100 != 2 {
		w.t.Fatalf("%s %s: %s: %s", method, path, response.Status, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			w.t.Fatalf("%s %s: %v: %s", method, path, err, answer)
		}
	}
}

// block has the image refused.
func (w *world) block() {
	w.rest(http.MethodPost, "/assessments", map[string]any{"vulnerability": known, "type": "Block", "scope": map[string]string{"kind": "everywhere"}}, nil)
}

// tool is a client.
type tool struct {
	*world
	name, path string
}

func (w *world) tool(name string) tool {
	w.t.Helper()
	path, err := realclair.Find(name)
	if err != nil {
		w.t.Fatal(err)
	}
	return tool{w, name, path}
}

// try runs it in the home folder, with an input.
func (c tool) try(input []byte, arguments ...string) (out, said string, err error) {
	cmd := exec.CommandContext(c.t.Context(), c.path, arguments...)
	cmd.Dir, cmd.WaitDelay = c.home, time.Second
	cmd.Env = append(os.Environ(), "HOME="+c.home, "DOCKER_CONFIG="+filepath.Join(c.home, ".docker"), "XDG_RUNTIME_DIR="+c.home, "TMPDIR="+c.home)
	cmd.Stdin = bytes.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// run does the same, with what it prints to standard output.
func (c tool) run(arguments ...string) string {
	c.t.Helper()
	out, said, err := c.try(nil, arguments...)
	if err != nil {
		c.t.Fatalf("%s %s: %v\n%s%s", c.name, strings.Join(arguments, " "), err, out, said)
	}
	return out
}

// refused runs it, and wants it to fail with these words.
func (c tool) refused(words string, arguments ...string) {
	c.t.Helper()
	if out, said, err := c.try(nil, arguments...); err == nil || !strings.Contains(out+said, words) {
		c.t.Errorf("%s %s: %v, want %q\n%s%s", c.name, strings.Join(arguments, " "), err, words, out, said)
	}
}

func (w *world) file(name, content string) string {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.home, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
	return name
}

func (w *world) has(text string, want ...string) {
	w.t.Helper()
	for _, part := range want {
		if !strings.Contains(text, part) {
			w.t.Errorf("%q is not in %q", part, text)
		}
	}
}
