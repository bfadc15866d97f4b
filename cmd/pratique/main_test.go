package main_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pratique/pratique/test/sample"
)

// program is the built program.
var program string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "pratique-program-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		program = filepath.Join(dir, "pratique")
		if out, err := exec.Command("go", "build", "-race=false", "-o", program, ".").CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		return m.Run()
	}())
}

const password = "test-password"

// output keeps what a program says.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// running is a started server.
type running struct {
	t       *testing.T
	cmd     *exec.Cmd
	url     string
	said    *output
	ended   chan error
	started time.Duration // until it was ready
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// serve starts the server and waits until it is ready.
func serve(t *testing.T, data string, args ...string) *running {
	t.Helper()
	return serveAt(t, freePort(t), data, args...)
}

// serveAt is serve at an address.
func serveAt(t *testing.T, listen, data string, args ...string) *running {
	t.Helper()
	clair, health := freePort(t), freePort(t)
	r := &running{t: t, url: "http://" + listen, said: new(output), ended: make(chan error, 1)}
	r.cmd = exec.Command(program, append([]string{"serve", "--data", data, "--listen", listen, "--clair-listen", clair,
		"--health-listen", health, "--feeds-schedule", "off"}, args...)...)
	r.cmd.Env = append(os.Environ(), "PRATIQUE_ADMIN_PASSWORD=")
	r.cmd.Stdout, r.cmd.Stderr = r.said, r.said
	began := time.Now()
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { r.ended <- r.cmd.Wait() }()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill()
		<-r.ended
	})
	for {
		res, err := http.Get("http://" + health + "/readyz")
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				r.started = time.Since(began)
				return r
			}
		}
		select {
		case err := <-r.ended:
			r.ended <- err
			t.Fatalf("the server ended: %v\n%s", err, r.said)
		case <-t.Context().Done():
			t.Fatal("the server is not ready")
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// end waits for the end and returns the exit status.
func (r *running) end() int {
	r.t.Helper()
	select {
	case err := <-r.ended:
		r.ended <- err
		var exit *exec.ExitError
		switch {
		case err == nil:
			return 0
		case errors.As(err, &exit):
			return exit.ExitCode()
		}
		r.t.Fatal(err)
	case <-time.After(30 * time.Second):
		r.t.Fatalf("the server does not end:\n%s", r.said)
	}
	return -1
}

func (r *running) signal(s os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

// call runs a command that ends by itself.
func call(t *testing.T, env []string, args ...string) (said string, status int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%v: %v, %v\n%s", args, err, ctx.Err(), out)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

var printed = regexp.MustCompile(`(?m)password[^\n]*?([A-Za-z0-9_-]{12,})\s*$`)

func TestFirstStartMakesAnAdministrator(t *testing.T) {
	data := t.TempDir()
	first := serve(t, data)
	t.Logf("ready after %v on an empty folder", first.started)
	match := printed.FindStringSubmatch(first.said.String())
	if match == nil {
		t.Fatalf("no password was printed:\n%s", first.said)
	}
	registry := sample.Registry{URL: first.url, User: "admin", Password: match[1]}
	layer, err := sample.NewLayer("ADD x", sample.File{Path: "x", Content: "y"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Push(t.Context(), "main/app", "1", layer); err != nil {
		t.Fatal(err)
	}
	first.signal(syscall.SIGTERM)
	if status := first.end(); status != 0 {
		t.Errorf("status %d after SIGTERM:\n%s", status, first.said)
	}
	second := serve(t, data)
	if strings.Contains(second.said.String(), match[1]) || printed.MatchString(second.said.String()) {
		t.Errorf("a password is printed at the second start:\n%s", second.said)
	}
	registry.URL = second.url
	if _, err := registry.Pull(t.Context(), "main/app", "1"); err != nil {
		t.Errorf("pull after a restart: %v", err)
	}
}

// upload opens an upload of main/app and returns its URL.
func (r *running) upload() string {
	r.t.Helper()
	res := r.send(http.MethodPost, r.url+"/v2/main/app/blobs/uploads/", nil)
	if res.StatusCode != http.StatusAccepted {
		r.t.Fatal(res.Status)
	}
	return r.url + res.Header.Get("Location")
}

func (r *running) send(method, url string, body io.Reader) *http.Response {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, url, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	res.Body.Close()
	return res
}

func TestSIGTERMLetsAnUploadEnd(t *testing.T) {
	r := serve(t, t.TempDir(), "--admin-password", password)
	at := r.upload()
	content, feed := io.Pipe()
	// The server asks for the body when it has the request in hand.
	asked := make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(asked) }})
	req, err := http.NewRequestWithContext(ctx, http.MethodPatch, at, content)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	req.Header.Set("Expect", "100-continue")
	patient := &http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Minute}, Timeout: time.Minute}
	type answer struct {
		status int
		header http.Header
		err    error
	}
	answered := make(chan answer, 1)
	go func() {
		res, err := patient.Do(req)
		if err != nil {
			answered <- answer{err: err}
			return
		}
		res.Body.Close()
		answered <- answer{res.StatusCode, res.Header, nil}
	}()
	select {
	case <-asked:
	case a := <-answered:
		t.Fatalf("the upload did not begin: %+v", a)
	}
	if _, err := feed.Write([]byte("hello ")); err != nil {
		t.Fatal(err)
	}
	r.signal(syscall.SIGTERM)
	// It takes no new connections before the upload ends.
	for {
		c, err := net.Dial("tcp", strings.TrimPrefix(r.url, "http://"))
		if err != nil {
			break
		}
		c.Close()
		time.Sleep(5 * time.Millisecond)
	}
	if _, err := feed.Write([]byte("world")); err != nil {
		t.Fatal(err)
	}
	feed.Close()
	if a := <-answered; a.status != http.StatusAccepted || a.header.Get("Range") != "0-10" {
		t.Errorf("the upload: %+v", a)
	}
	if status := r.end(); status != 0 {
		t.Errorf("status %d:\n%s", status, r.said)
	}
}

// A killed server has what it answered for, and an upload can go on.
func TestKillLosesNothing(t *testing.T) {
	data := t.TempDir()
	r := serve(t, data, "--admin-password", password)
	registry := sample.Registry{URL: r.url, User: "admin", Password: password}
	layer, err := sample.NewLayer("ADD x", sample.File{Path: "x", Content: "y"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Push(t.Context(), "main/app", "1", layer); err != nil {
		t.Fatal(err)
	}
	at := r.upload()
	if res := r.send(http.MethodPatch, at, strings.NewReader("hello ")); res.StatusCode != http.StatusAccepted {
		t.Fatal(res.Status)
	}
	r.signal(syscall.SIGKILL)
	r.end()
	again := serve(t, data)
	registry.URL = again.url
	if _, err := registry.Pull(t.Context(), "main/app", "1"); err != nil {
		t.Errorf("pull: %v", err)
	}
	at = again.url + strings.TrimPrefix(at, r.url)
	const digest = "?digest=sha256:b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9" // of "hello world"
	if res := again.send(http.MethodPut, at+digest, strings.NewReader("world")); res.StatusCode != http.StatusCreated {
		t.Errorf("the upload cannot go on: %s", res.Status)
	}
}

func TestMistakesAreNamed(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "pratique.yaml")
	if err := os.WriteFile(config, []byte("data: "+dir+"\nlistne: :1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	taken, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		args []string
		says []string
	}{
		{"an unknown key", []string{"serve", "--config", config}, []string{config, "2", `"listne"`, "listen"}},
		{"a file that is not there", []string{"serve", "--config", config + "x"}, []string{config + "x"}},
		{"an unknown flag", []string{"serve", "--listne", ":1"}, []string{"--listne"}},
		{"a port in use", []string{"serve", "--data", dir, "--listen", taken.Addr().String(), "--clair-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"}, []string{taken.Addr().String(), "in use"}},
		{"a database of no kind", []string{"serve", "--data", dir, "--database", "mysql://u:secret@h/d"}, []string{"database", "sqlite:PATH or postgres://"}},
		{"a data folder that is a file", []string{"serve", "--data", file}, []string{file}},
		{"a mirror that is not there", []string{"feeds", "update", "--data", dir, "--feeds-mirror", filepath.Join(dir, "none")}, []string{"none"}},
		{"a feed of no publisher", []string{"feeds", "update", "--data", dir, "--feeds-mirror", dir, "nosuch"}, []string{`"nosuch"`, "debian", "alpine"}},
		{"no command", nil, []string{"serve"}},
	} {
		said, status := call(t, nil, test.args...)
		if status == 0 {
			t.Errorf("%s: status 0", test.name)
		}
		for _, want := range test.says {
			if !strings.Contains(said, want) {
				t.Errorf("%s: %q is not said:\n%s", test.name, want, said)
			}
		}
		if strings.Contains(said, "secret") || strings.Contains(said, "goroutine") {
			t.Errorf("%s: says too much:\n%s", test.name, said)
		}
	}
}

func TestFeedsCommands(t *testing.T) {
	dir, mirror := t.TempDir(), t.TempDir()
	name := filepath.Join(mirror, "secdb.alpinelinux.org", "v3.20", "main.json")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	document, err := json.Marshal(map[string]any{"distroversion": "v3.20", "reponame": "main", "packages": []any{
		map[string]any{"pkg": map[string]any{"name": "musl", "secfixes": map[string]any{"1.2.5-r1": []string{"CVE-2025-26519"}}}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, document, 0o644); err != nil {
		t.Fatal(err)
	}
	env := []string{"PRATIQUE_DATA=" + dir, "PRATIQUE_FEEDS_MIRROR=" + mirror, "PRATIQUE_FEEDS=alpine"}
	if said, status := call(t, env, "feeds", "update"); status != 0 || !regexp.MustCompile(`(?m)^alpine\s.*done$`).MatchString(said) {
		t.Errorf("update: %d\n%s", status, said)
	}
	if said, status := call(t, env, "feeds", "list"); status != 0 || !regexp.MustCompile(`(?m)^alpine\s+1\s+1\s+20`).MatchString(said) {
		t.Errorf("list: %d\n%s", status, said)
	}
	if said, status := call(t, env, "--version"); status != 0 || strings.TrimSpace(said) == "" {
		t.Errorf("version: %d %q", status, said)
	}
}
