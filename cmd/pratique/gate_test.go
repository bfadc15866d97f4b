package main_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pratique/pratique/test/sample"
)

// rest makes a REST request as the administrator.
func (r *running) rest(t *testing.T, method, path, body string, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, r.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 != 2 {
		t.Fatalf("%s %s: %s", method, path, res.Status)
	}
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGate is what a pipeline sees of an image that is allowed, and then not.
func TestGate(t *testing.T) {
	server := serve(t, scanData(t), "--admin-password", password)
	host := strings.TrimPrefix(server.url, "http://")
	base, err := sample.AlpineBase("3.20.0", sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"})
	if err != nil {
		t.Fatal(err)
	}
	digest, err := sample.Registry{URL: server.url, User: "admin", Password: password}.Push(t.Context(), "main/app", "1", base)
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ Key string }
	server.rest(t, "POST", "/api-keys", `{"name": "ci"}`, &made)
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(made.Key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	key := []string{"PRATIQUE_GATE_API_KEY=" + made.Key}
	image := host + "/main/app:1"
	type test struct {
		name     string
		args     []string
		env      []string
		in       string
		status   int
		out, err string // parts; an empty out is nothing
	}
	run := func(test test) {
		t.Run(test.name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), program, append([]string{"gate"}, test.args...)...)
			cmd.Env = append(os.Environ(), test.env...)
			cmd.Stdin = strings.NewReader(test.in)
			var out, said bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &said
			_ = cmd.Run() // its status is looked at
			if got := cmd.ProcessState.ExitCode(); got != test.status || !strings.Contains(out.String(), test.out) || !strings.Contains(said.String(), test.err) || test.out == "" && out.Len() > 0 {
				t.Errorf("status %d, want %d\n%s\n%s", got, test.status, &out, &said)
			}
			if strings.Contains(out.String()+said.String(), made.Key) {
				t.Error("the key is said")
			}
		})
	}
	for _, test := range []test{
		{"allowed", []string{image}, key, "", 0, "CVE-2025-26519  musl", "policy allows it"},
		{"the key in a file", []string{image, "--api-key-file", file}, nil, "", 0, "Allowed by the policy of registry main", ""},
		{"the key on standard input", []string{image, "--api-key-file", "-"}, nil, made.Key, 0, "musl", ""},
		{"by digest", []string{host + "/main/app@" + digest}, key, "", 0, digest, ""},
		{"with the server beside it", []string{"main/app:1", "--server", server.url}, key, "", 0, "musl", ""},
		{"from the environment", []string{"main/app:1"}, append([]string{"PRATIQUE_GATE_SERVER=" + server.url, "PRATIQUE_GATE_WAIT=", "PRATIQUE_GATE_INSECURE="}, key...), "", 0, "musl", ""},
		{"JSON", []string{image, "-o", "json"}, key, "", 0, `"blocked": false`, ""},
		{"nobody", []string{image}, nil, "", 1, "", "--api-key-file"},
		{"a wrong key", []string{image}, []string{"PRATIQUE_GATE_API_KEY=prq_wrong"}, "", 1, "", "not right"},
		{"no such tag", []string{host + "/main/app:2"}, key, "", 1, "", "not found"},
		{"an image of another server's", []string{"docker.io/main/app:1", "--server", server.url}, key, "", 1, "", "not on this server"},
		{"no server", []string{"main/app:1"}, key, "", 1, "", "--server"},
		{"a server that is none", []string{"main/app:1", "--server", "localhost"}, key, "", 1, "", "https://HOST"},
		{"nobody answers", []string{"main/app:1", "--server", "http://127.0.0.1:1"}, key, "", 1, "", "refused"},
		{"no image", []string{host + "/Main:1"}, key, "", 1, "", "Main"},
		{"no repository", []string{host + "/main:1"}, key, "", 1, "", "REGISTRY/REPOSITORY"},
		{"another form", []string{image, "-o", "xml"}, key, "", 1, "", `got "xml"`},
		{"an empty key file", []string{image, "--api-key-file", "/dev/null"}, nil, "", 1, "", "is empty"},
		{"a negative time", []string{image, "--wait=-1s"}, key, "", 1, "", "negative"},
	} {
		run(test)
	}
	broken := sample.Registry{URL: server.url, User: "admin", Password: password}
	if _, err := broken.Push(t.Context(), "main/broken", "1", sample.Layer{Content: []byte("no archive")}); err != nil {
		t.Fatal(err)
	}
	run(test{"not analysed", []string{host + "/main/broken:1"}, key, "", 0, "unknown", "warning: its analysis failed: what is in it is not known"})
	server.rest(t, "POST", "/assessments", `{"vulnerability": "CVE-2025-26519", "type": "Caution", "comment": "soon", "scope": {"kind": "everywhere"}}`, nil)
	run(test{"warned of", []string{image}, key, "", 0, "Allowed by the policy of registry main", "warning: CVE-2025-26519"})
	server.rest(t, "DELETE", "/assessments/1", "", nil)
	server.rest(t, "PATCH", "/policy", `{"block_unassessed_from": "unknown"}`, nil)
	for _, test := range []test{
		{"blocked", []string{image}, key, "", 2, "BLOCKED by the policy of registry main: CVE-2025-26519", "policy blocks it: CVE-2025-26519"},
		{"blocked, as JSON", []string{image, "-o", "json"}, key, "", 2, `"blocked": true`, ""},
		{"blocked, as SARIF", []string{image, "-o", "sarif", "--wait", "0"}, key, "", 2, `"ruleId": "CVE-2025-26519"`, ""},
	} {
		run(test)
	}
	server.rest(t, "POST", "/policy-exceptions", `{"user": "robot", "comment": "c", "expires_at": "2035-01-01T00:00:00Z"}`, nil)
	run(test{"blocked for oneself", []string{image}, key, "", 2, "BLOCKED", ""})
	run(test{"excepted", []string{image, "--user", "robot"}, key, "", 0, "Allowed", "warning: blocked by policy, and let through by exception 1"})
}
