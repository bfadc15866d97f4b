// Package guide_test does what docs/guide.md says: it runs the commands of the
// page, in their order, and looks at what they print.
package guide_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/source/sourcetest"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

const (
	page     = "../../docs/guide.md"
	password = "change-me"
	secret   = "Bearer a-secret"
)

// step is a block of commands of the page.
type step struct {
	heading  string
	line     int
	commands string
}

// steps reads the blocks of a page that are marked as commands for a shell, in order.
// Others show what is typed elsewhere, or what is answered.
func steps(t *testing.T, page string) (all []step) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var heading string
	var open *step
	shown := false // a block of another kind
	for i, line := range strings.Split(string(text), "\n") {
		switch {
		case open != nil && line == "```":
			all, open = append(all, *open), nil
		case open != nil:
			open.commands += line + "\n"
		case shown:
			shown = line != "```"
		case line == "```sh":
			open = &step{heading: heading, line: i + 1}
		case strings.HasPrefix(line, "```"):
			shown = true
		case strings.HasPrefix(line, "#"):
			heading = strings.TrimLeft(line, "# ")
		}
	}
	return all
}

// shell is a running bash, which remembers what earlier steps set.
type shell struct {
	in  io.WriteCloser
	out *bufio.Reader
	n   int
}

// bash starts one in a folder. It ends with the context.
func bash(t *testing.T, ctx context.Context, dir string) *shell {
	t.Helper()
	cmd := exec.CommandContext(ctx, "bash")
	cmd.Dir = dir
	cmd.WaitDelay = 5 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("bash: %v", err)
		}
		r.Close()
	})
	return &shell{in: in, out: bufio.NewReader(r)}
}

// run runs commands, and returns what they print and the status of the last one.
func (s *shell) run(t *testing.T, commands string) (string, int) {
	t.Helper()
	s.n++
	mark := fmt.Sprintf("=== end of step %d: ", s.n)
	// Commands do not read those that follow as their input.
	if _, err := fmt.Fprintf(s.in, "{\n%s\n} </dev/null\nprintf '\\n%s%%d\\n' $?\n", commands, mark); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for {
		line, err := s.out.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %s", err, out.String())
		}
		if status, ended := strings.CutPrefix(line, mark); ended {
			code, err := strconv.Atoi(strings.TrimSpace(status))
			if err != nil {
				t.Fatal(err)
			}
			return strings.TrimSpace(out.String()), code
		}
		out.WriteString(line)
	}
}

// expected is what the blocks under a heading come to.
type expected struct {
	heading string
	before  func(t *testing.T)
	// blocks has for each block the texts that it prints, in this order.
	blocks [][]string
	status int // of the last block
}

// TestGuide runs the page on each engine, with an Alpine of our own making in
// place of Docker Hub's, and a stand-in for a Clair 2.
func TestGuide(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			follow(t, database(t))
		})
	}
}

func follow(t *testing.T, database string) {
	needs(t, "bash", "curl", "jq", "skopeo")
	// Not the test's own, which ends before what it leaves is cleaned up.
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	dir := t.TempDir()
	if err := sample.WriteAlpineFeed(filepath.Join(dir, "feeds"), "v3.20", "main", sample.Fixes{"musl": {"1.2.5-r1": {"CVE-2025-26519"}}}); err != nil {
		t.Fatal(err)
	}
	clock := new(program.Clock)
	clair := sourcetest.NewClairV1(t, sourcetest.Feature{Name: "musl", NamespaceName: "alpine:v3.20", VersionFormat: "dpkg", Version: "1.2.5-r0",
		Vulnerabilities: []sourcetest.Vulnerability{
			{Name: "CVE-2025-26519", NamespaceName: "alpine:v3.20", Severity: "High", FixedBy: "1.2.5-r9"},
			{Name: "CVE-2099-0001", NamespaceName: "alpine:v3.20", Severity: "Low"},
		}})
	clair.Authorization = secret
	served := serve(t, clock, "--database", database, "--feeds", "alpine", "--feeds-mirror", filepath.Join(dir, "feeds"))
	alpine := hub(t, clock, dir)
	here := strings.NewReplacer(
		"http://localhost:8624", served.URL, "localhost:8624", strings.TrimPrefix(served.URL, "http://"),
		"http://localhost:6061", served.Health, "http://clair.example.com:6060/", clair.URL,
		"docker://docker.io/library/alpine:3.20.3", alpine)

	refused := []string{"is blocked by policy: CVE-2025-26519 (high, musl 1.2.5-r0, Block); see " + served.URL + "/"}
	want := []expected{
		{heading: "Guide: from an empty machine to a refused pull", blocks: [][]string{{}}},
		{heading: "As a program", blocks: [][]string{{"ok"}}},
		{heading: "What is vulnerable", blocks: [][]string{{`["alpine","2`, `",1]`}}},
		{heading: "Install the Clair extension", blocks: [][]string{{`["built-in"`, `,true]`, `["clair-v1","Clair (v1 API)",false]`, `"enabled":true`}}},
		{heading: "Configure Clair", blocks: [][]string{
			{`"has_authorization_header":true`, `{"ok":true,`, "Clair with the v1 API"},
			{`"` + served.URL + `"`},
			{`["built-in","clair"]`},
			{},
			{`"known"`, `["built-in","answered"]`, `["clair","answered"]`},
			{`["CVE-2025-26519","high","unassessed",["built-in","clair"]]`, `["CVE-2099-0001","low","unassessed",["clair"]]`},
		}},
		{heading: "Vulnerability scanning", blocks: [][]string{{`"answered"]`}, {`["CVE-2025-26519",["fixed_version"]]`}}},
		{heading: "Assess vulnerabilities", blocks: [][]string{
			{`["CVE-2025-26519"`, `"CVE-2025-26519"`, "lib/apk/db/installed", "1.2.5-r1"},
			{`"become_blocked":1`, `"type":"Block"`, `"expires_at":"20`, `["CVE-2025-26519","Block",1]`},
		}},
		{heading: "Blocked", blocks: [][]string{refused}, status: 1},
		{heading: "Expired", before: func(t *testing.T) {
			clock.Advance(31 * 24 * time.Hour)
		}, blocks: [][]string{{`["CVE-2025-26519","unassessed"]`, `"system","ended",`, `"expired"`, `"admin","created",`}}},
	}
	sh := bash(t, ctx, dir)
	for i, got := range steps(t, page) {
		if len(want) == 0 || got.heading != want[0].heading {
			t.Fatalf("%s:%d: nothing is expected of this block of %q", page, got.line, got.heading)
		}
		w := &want[0]
		if w.before != nil {
			w.before(t)
			w.before = nil
		}
		out, status := sh.run(t, here.Replace(got.commands))
		wantStatus := 0
		if len(w.blocks) == 1 {
			wantStatus = w.status
		}
		if status != wantStatus {
			t.Fatalf("%s:%d: status %d, want %d:\n%s", page, got.line, status, wantStatus, out)
		}
		if strings.Contains(out, secret) && i > 0 {
			t.Errorf("%s:%d shows the secret of the source:\n%s", page, got.line, out)
		}
		for rest := out; len(w.blocks[0]) > 0; w.blocks[0] = w.blocks[0][1:] {
			_, after, found := strings.Cut(rest, w.blocks[0][0])
			if !found {
				t.Fatalf("%s:%d does not print %q at its place:\n%s", page, got.line, w.blocks[0][0], out)
			}
			rest = after
		}
		if w.blocks = w.blocks[1:]; len(w.blocks) == 0 {
			want = want[1:]
		}
	}
	for _, w := range want {
		t.Errorf("%s has no block under %q", page, w.heading)
	}
}

// needs skips the test where a program is lacking.
func needs(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
}

// serve runs a server until the test ends.
func serve(t *testing.T, clock *program.Clock, args ...string) *program.Program {
	t.Helper()
	return serveIn(t, clock, t.TempDir(), args...)
}

// serveIn runs a server on a data folder until the test ends.
func serveIn(t *testing.T, clock *program.Clock, data string, args ...string) *program.Program {
	t.Helper()
	p, err := program.Start(clock, slog.New(slog.NewTextHandler(io.Discard, nil)), data, password, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// programs is the folder of what pages call that has to be built; it goes in the end.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if programs, err = os.MkdirTemp("", "pratique-guide-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(programs)
		return m.Run()
	}())
}

var build = sync.OnceValue(func() error {
	if out, err := exec.Command("go", "build", "-race=false", "-o", programs, "../../cmd/pratique").CombinedOutput(); err != nil {
		return fmt.Errorf("build: %w\n%s", err, out)
	}
	return nil
})

// pratique builds the program, and has a shell find it.
func (s *shell) pratique(t *testing.T) {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
	s.run(t, "export PATH='"+programs+"':$PATH")
}

// hub is where skopeo finds the image that stands for Docker Hub's Alpine: a
// folder, filled from a registry that is not the one of the guide.
func hub(t *testing.T, clock *program.Clock, dir string) string {
	t.Helper()
	other := serve(t, clock, "--feeds", "alpine")
	base, err := sample.AlpineBase("3.20.3", sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := (sample.Registry{URL: other.URL, User: "admin", Password: password}).Push(t.Context(), "main/alpine", "3.20.3", base); err != nil {
		t.Fatal(err)
	}
	folder := "oci:" + filepath.Join(dir, "alpine") + ":3.20.3"
	out, err := exec.CommandContext(t.Context(), "skopeo", "copy", "-q", "--src-tls-verify=false", "--src-creds", "admin:"+password,
		"docker://"+strings.TrimPrefix(other.URL, "http://")+"/main/alpine:3.20.3", folder).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return folder
}
