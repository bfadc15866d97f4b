package main_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	lt "github.com/pratique/pratique/internal/layer/layertest"
	tt "github.com/pratique/pratique/internal/target/targettest"
	"github.com/pratique/pratique/test/sample"
)

// scanData makes a data folder whose feed knows of one flaw of musl.
func scanData(t *testing.T) string {
	t.Helper()
	data, mirror := t.TempDir(), t.TempDir()
	if err := sample.WriteAlpineFeed(mirror, "v3.20", "main", sample.Fixes{"musl": {"1.2.5-r1": {"CVE-2025-26519"}}}); err != nil {
		t.Fatal(err)
	}
	if said, status := call(t, nil, "feeds", "update", "--data", data, "--feeds", "alpine", "--feeds-mirror", mirror); status != 0 {
		t.Fatalf("feeds: %d\n%s", status, said)
	}
	return data
}

// muslLayer is the base of Alpine with a musl that has the flaw.
func muslLayer(t *testing.T) tt.Layer {
	return tt.NewLayer(t, "ADD rootfs", lt.Tar(t,
		lt.File("etc/os-release", "ID=alpine\nVERSION_ID=3.20.0\nPRETTY_NAME=\"Alpine Linux v3.20\"\n"),
		lt.File("lib/apk/db/installed", sample.Installed(sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"}))))
}

// scanned is what became of a scan.
type scanned struct {
	out, err string
	status   int
}

// runScan runs `pratique scan` with a standard input.
func runScan(t *testing.T, env []string, in string, args ...string) scanned {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, append([]string{"scan"}, args...)...)
	// Nobody's own credentials get into a test.
	cmd.Env = append(os.Environ(), append([]string{"DOCKER_CONFIG=" + t.TempDir(), "XDG_RUNTIME_DIR=", "REGISTRY_AUTH_FILE="}, env...)...)
	cmd.Stdin = strings.NewReader(in)
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		t.Fatalf("%v: %v\n%s", args, err, &said)
	}
	return scanned{out.String(), said.String(), cmd.ProcessState.ExitCode()}
}

func TestScanStatus(t *testing.T) {
	data := scanData(t)
	files := tt.Files{}
	whole := "oci-dir:" + files.Layout(t, files.Image(t, "linux/amd64", muslLayer(t)).Named("1")).Dir(t)
	files = tt.Files{}
	upper := tt.NewLayer(t, "RUN x", lt.Tar(t, lt.File("x", "x")))
	files.Layout(t, files.Image(t, "linux/amd64", muslLayer(t), upper))
	delete(files, tt.Path(upper.Digest()))
	broken := "oci-dir:" + files.Dir(t)
	const table = "CVE-2025-26519  musl"
	for _, test := range []struct {
		name     string
		args     []string
		env      []string
		status   int
		out, err string // parts; an empty out is nothing
	}{
		{"found", []string{whole}, nil, 0, table, ""},
		{"any", []string{whole, "--fail-on", "any"}, nil, 2, table, "unassessed vulnerabilities of any severity: CVE-2025-26519"},
		{"below", []string{whole, "--fail-on", "critical,negligible"}, nil, 0, table, ""},
		{"policy", []string{whole, "--fail-on", "policy"}, nil, 0, table, ""},
		{"known", []string{whole, "--fail-on", "unknown"}, nil, 0, table, ""},
		{"unknown", []string{whole, "--fail-on", "unknown", "--data", t.TempDir()}, nil, 2, "COVERAGE IS UNKNOWN", "coverage is unknown"},
		{"unknown, and not asked for", []string{whole, "--fail-on", "any", "--data", t.TempDir()}, nil, 0, "pratique feeds update --data", ""},
		{"from the environment", []string{whole}, []string{"PRATIQUE_SCAN_FAIL_ON=any,policy"}, 2, table, "--fail-on"},
		{"empty environment", []string{whole}, []string{"PRATIQUE_SCAN_FAIL_ON=", "PRATIQUE_SCAN_OUTPUT=", "PRATIQUE_SCAN_INSECURE=", "PRATIQUE_SCAN_UPDATE="}, 0, table, ""},
		{"fail on nonsense", []string{whole, "--fail-on", "bad"}, nil, 1, "", `got "bad"`},
		{"another form", []string{whole, "-o", "xml"}, nil, 1, "", `got "xml"`},
		{"no such platform", []string{whole, "--platform", "linux/s390x"}, nil, 1, "", "there are linux/amd64"},
		{"no such registry", []string{whole, "--registry", "none"}, nil, 1, "", `"none"`},
		{"bill of several", []string{whole, "-o", "spdx", "--platform", "all"}, nil, 1, "", "choose a platform"},
		{"a layer is missing", []string{broken, "--fail-on", "any"}, nil, 1, "COVERAGE IS UNKNOWN", upper.Digest()},
		{"JSON says it too", []string{broken, "-o", "json"}, nil, 1, `"verdict": "unknown"`, "coverage is unknown"},
		{"no such file", []string{"docker-archive:/none.tar"}, nil, 1, "", "/none.tar"},
		{"bill", []string{"sbom:" + program}, nil, 1, "", "sbom:"},
		{"user without a password", []string{"h.example/a", "--username", "me"}, nil, 1, "", "--password-stdin"},
		{"password without a user", []string{"h.example/a", "--password-stdin"}, nil, 1, "", "--username"},
		{"nothing to scan", nil, nil, 80, "", "<target>"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := runScan(t, append([]string{"PRATIQUE_DATA=" + data}, test.env...), "", test.args...)
			if got.status != test.status || !strings.Contains(got.out, test.out) || !strings.Contains(got.err, test.err) {
				t.Errorf("status %d, want %d\n%s\n%s", got.status, test.status, got.out, got.err)
			}
			if test.out == "" && got.out != "" || test.err == "" && got.err != "" {
				t.Errorf("it says more:\n%s\n%s", got.out, got.err)
			}
		})
	}
}

func TestScanForms(t *testing.T) {
	data := scanData(t)
	files := tt.Files{}
	path := "oci-dir:" + files.Layout(t, files.Image(t, "linux/amd64", muslLayer(t)).Named("1")).Dir(t)
	for form, key := range map[string]string{"json": "images", "sarif": "runs", "cyclonedx": "vulnerabilities", "spdx": "packages"} {
		got := runScan(t, nil, "", path, "--data", data, "-o", form)
		var document map[string]json.RawMessage
		if err := json.Unmarshal([]byte(got.out), &document); err != nil || got.status != 0 || got.err != "" {
			t.Errorf("%s: %v, status %d\n%s", form, err, got.status, got.err)
		}
		if list := string(document[key]); len(list) < 10 {
			t.Errorf("%s: %s is %s", form, key, list)
		}
	}
}

// A scan of an image in a registry, on the storage of the server that runs there.
func TestScanRegistry(t *testing.T) {
	data := scanData(t)
	server := serve(t, data, "--admin-password", password)
	reference := strings.TrimPrefix(server.url, "http://") + "/main/app:1"
	base, err := sample.AlpineBase("3.20.0", sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"})
	if err != nil {
		t.Fatal(err)
	}
	registry := sample.Registry{URL: server.url, User: "admin", Password: password}
	digest, err := registry.Push(t.Context(), "main/app", "1", base)
	if err != nil {
		t.Fatal(err)
	}
	docker := t.TempDir()
	config := tt.JSON(t, map[string]any{"auths": map[string]any{
		strings.TrimPrefix(server.url, "http://"): map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte("admin:" + password))},
	}})
	if err := os.WriteFile(filepath.Join(docker, "config.json"), config, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		env    []string
		in     string
		args   []string
		status int
		says   string
	}{
		{"nobody", nil, "", nil, 1, "docker login"},
		{"password on standard input", nil, password + "\n", []string{"--username", "admin", "--password-stdin"}, 0, ""},
		{"password in the environment", []string{"PRATIQUE_SCAN_USERNAME=admin", "PRATIQUE_SCAN_PASSWORD=" + password}, "", nil, 0, ""},
		{"wrong password", nil, "wrong", []string{"--username", "admin", "--password-stdin"}, 1, "not allowed"},
		{"docker's configuration", []string{"DOCKER_CONFIG=" + docker}, "", nil, 0, ""},
		{"storage of its own", []string{"DOCKER_CONFIG=" + docker}, "", []string{"--data", scanData(t)}, 0, ""},
		{"by digest", []string{"DOCKER_CONFIG=" + docker}, "", []string{"@" + digest}, 0, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"--data", data, "-o", "json", reference}, test.args...)
			if n := len(args) - 1; strings.HasPrefix(args[n], "@") {
				args = append(args[:n-1], strings.TrimSuffix(reference, ":1")+args[n])
			}
			got := runScan(t, test.env, test.in, args...)
			if got.status != test.status || !strings.Contains(got.err, test.says) {
				t.Fatalf("status %d\n%s\n%s", got.status, got.out, got.err)
			}
			if strings.Contains(got.err, password) {
				t.Errorf("the password is told:\n%s", got.err)
			}
			if test.status != 0 {
				return
			}
			var report struct {
				Images []struct {
					Digest   string
					Findings []struct{ Vulnerability string }
				}
			}
			if err := json.Unmarshal([]byte(got.out), &report); err != nil {
				t.Fatal(err)
			}
			if img := report.Images[0]; img.Digest != digest || len(img.Findings) != 1 || img.Findings[0].Vulnerability != "CVE-2025-26519" {
				t.Errorf("got %+v", report)
			}
		})
	}
}

// What people decide in the server counts in a scan.
func TestScanHeedsAssessments(t *testing.T) {
	data := scanData(t)
	server := serve(t, data, "--admin-password", password)
	reference := strings.TrimPrefix(server.url, "http://") + "/main/app:1"
	base, err := sample.AlpineBase("3.20.0", sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (sample.Registry{URL: server.url, User: "admin", Password: password}).Push(t.Context(), "main/app", "1", base); err != nil {
		t.Fatal(err)
	}
	assess := func(kind, scope, value string) {
		t.Helper()
		body := tt.JSON(t, map[string]any{"vulnerability": "CVE-2025-26519", "type": kind, "scope": map[string]string{"kind": scope, "value": value}})
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.url+"/api/v1/assessments", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.SetBasicAuth("admin", password)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusCreated {
			t.Fatal(res.Status)
		}
	}
	files := tt.Files{}
	path := "oci-dir:" + files.Layout(t, files.Image(t, "linux/amd64", muslLayer(t)).Named("1")).Dir(t)
	assess("Block", "everywhere", "")
	if got := runScan(t, nil, "", path, "--data", data, "--fail-on", "any,policy"); got.status != 2 || !strings.Contains(got.out, "BLOCKED by what is assessed everywhere: CVE-2025-26519 (Block)") || strings.Contains(got.err, "unassessed") {
		t.Errorf("blocked everywhere: status %d\n%s\n%s", got.status, got.out, got.err)
	}
	// The server does not even serve it.
	if got := runScan(t, nil, "", reference, "--data", data, "--username", "admin", "--password-stdin"); got.status != 1 {
		t.Errorf("no password: status %d\n%s", got.status, got.err)
	}
	if got := runScan(t, []string{"PRATIQUE_SCAN_PASSWORD=" + password}, "", reference, "--data", data, "--username", "admin"); got.status != 1 || !strings.Contains(got.err, "blocked by policy: CVE-2025-26519") {
		t.Errorf("a blocked pull: status %d\n%s", got.status, got.err)
	}
	assess("Ignore", "registry", "main")
	if got := runScan(t, nil, "", path, "--data", data, "--fail-on", "any,policy", "--registry", "main/app"); got.status != 0 || !strings.Contains(got.out, "Allowed by the policy of registry main") || !strings.Contains(got.out, "Ignore") {
		t.Errorf("ignored in main: status %d\n%s\n%s", got.status, got.out, got.err)
	}
}

// What skopeo writes, from a layout of ours.
func TestScanSkopeo(t *testing.T) {
	skopeo, err := exec.LookPath("skopeo")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	data, dir := scanData(t), t.TempDir()
	files := tt.Files{}
	upper := tt.NewLayer(t, "COPY x", lt.Tar(t, lt.File("x", "x")))
	from := "oci:" + files.Layout(t, files.Image(t, "linux/amd64", muslLayer(t), upper).Named("app:1")).Dir(t) + ":app:1"
	for to, scan := range map[string]string{
		"docker-archive:" + dir + "/docker.tar:app:1": "docker-archive:" + dir + "/docker.tar",
		"oci-archive:" + dir + "/oci.tar:app:1":       "oci-archive:" + dir + "/oci.tar:app:1",
		"oci:" + dir + "/oci:app:1":                   "oci-dir:" + dir + "/oci",
	} {
		cmd := exec.CommandContext(t.Context(), skopeo, "copy", "--insecure-policy", from, to)
		cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "TMPDIR="+dir)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("skopeo: %v\n%s", err, out)
		}
		got := runScan(t, nil, "", scan, "--data", data)
		if got.status != 0 || !strings.Contains(got.out, "CVE-2025-26519  musl") || !strings.Contains(got.out, "2 layers") || !strings.Contains(got.out, "Coverage is known") {
			t.Errorf("%s: status %d\n%s\n%s", scan, got.status, got.out, got.err)
		}
	}
}

// slowRegistry serves an image whose layer stops half way until it is told to go
// on; half is closed when that is so.
func slowRegistry(t *testing.T) (reference string, half, on chan struct{}) {
	t.Helper()
	half, on = make(chan struct{}), make(chan struct{})
	noise := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	base := tt.PlainLayer("ADD rootfs", append(lt.Tar(t, lt.File("noise", string(noise)))[:1<<20+512], muslLayer(t).Plain...))
	files := tt.Files{}
	manifest := files.Image(t, "linux/amd64", base)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		switch {
		case strings.HasSuffix(r.URL.Path, "/manifests/1"):
			w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
			_, _ = w.Write(files[tt.Path(manifest.Digest())])
		case name == base.Digest():
			w.Header().Set("Content-Length", fmt.Sprint(len(base.Content)))
			_, _ = w.Write(base.Content[:len(base.Content)/2])
			_ = http.NewResponseController(w).Flush()
			close(half)
			select {
			case <-on:
			case <-r.Context().Done():
			}
			_, _ = w.Write(base.Content[len(base.Content)/2:])
		case strings.Contains(r.URL.Path, "/blobs/"):
			_, _ = w.Write(files[tt.Path(name)])
		}
	}))
	t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://") + "/app:1", half, on
}

func TestScanShowsBarsOnATerminal(t *testing.T) {
	reference, half, on := slowRegistry(t)
	terminal, tty, err := pty.Open()
	if err != nil {
		t.Skip(err)
	}
	defer terminal.Close()
	if err := pty.Setsize(tty, &pty.Winsize{Rows: 25, Cols: 100}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, "scan", "--data", scanData(t), reference)
	cmd.Env = append(os.Environ(), "TERM=xterm", "DOCKER_CONFIG="+t.TempDir())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, tty
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	shown := new(output)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(shown, terminal) // it ends with an error where the other side is closed
	}()
	<-half
	for !strings.Contains(shown.String(), "sha256:") || !strings.Contains(shown.String(), "MiB") {
		select {
		case <-ended:
			t.Fatalf("no bar:\n%q", shown)
		case <-time.After(5 * time.Millisecond):
		}
	}
	close(on)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, shown)
	}
	<-ended
	if !strings.Contains(out.String(), "CVE-2025-26519  musl") || strings.Contains(out.String(), "\x1b") {
		t.Errorf("report:\n%q", &out)
	}
}

func TestScanEndsAtOnce(t *testing.T) {
	reference, half, _ := slowRegistry(t)
	data, temporary := scanData(t), t.TempDir()
	cmd := exec.CommandContext(t.Context(), program, "scan", "--data", data, reference)
	cmd.Env = append(os.Environ(), "TMPDIR="+temporary, "DOCKER_CONFIG="+t.TempDir())
	said := new(output)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-half
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 || said.String() != "pratique: interrupted\n" {
		t.Errorf("%v\n%s", err, said)
	}
	for _, dir := range []string{temporary, filepath.Join(data, "tmp")} {
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%s: %v, %v", dir, left, err)
		}
	}
}
