// Package realclair runs the real Clair 4 beside tests and benchmarks that
// compare with it: one program on PostgreSQL, fed by a static server.
//
// The program is built from the module github.com/quay/clair/v4; see
// docs/clients.md. It is found as $PRATIQUE_CLAIR, else as bin/tools/clair of the
// project, else as clair on the path.
package realclair

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// ErrAbsent is returned where the program is not installed.
var ErrAbsent = errors.New("the program is not installed")

// Find returns the path of a program that is built for comparisons.
func Find(name string) (string, error) {
	if path := os.Getenv("PRATIQUE_" + strings.ToUpper(name)); path != "" {
		return exec.LookPath(path)
	}
	_, here, _, _ := runtime.Caller(0)
	if path, err := exec.LookPath(filepath.Join(filepath.Dir(here), "..", "..", "..", "bin", "tools", name)); err == nil {
		return path, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s: %w", name, ErrAbsent)
	}
	return path, nil
}

// Options say what Clair runs on.
type Options struct {
	// Program is the path of clair.
	Program string
	// Database is an empty PostgreSQL database, "postgres://…".
	Database string
	// Dir takes the configuration and the log.
	Dir string
	// Feeds is a folder of mirrored feeds, HOST/PATH below it; "" leaves the
	// updaters off.
	Feeds string
	// Ecosystems of OSV that are read.
	Ecosystems []string
	// Extra is more YAML of the configuration.
	Extra string
}

// Clair is a running Clair.
type Clair struct {
	// URL is where its API is.
	URL string
	// PID is its process.
	PID int

	cmd     *exec.Cmd
	ended   chan struct{}
	mirrors []*httptest.Server
	log     *os.File
}

// Start runs Clair until Stop, and returns when its API answers.
func Start(ctx context.Context, o Options) (c *Clair, err error) {
	c = &Clair{ended: make(chan struct{})}
	defer func() {
		if err != nil {
			c.Stop()
		}
	}()
	api, err := freePort(ctx)
	if err != nil {
		return c, err
	}
	introspection, err := freePort(ctx)
	if err != nil {
		return c, err
	}
	// Clair must not ask Red Hat which products packages are of.
	empty := map[string]string{"repo2cpe.json": `{"data":{}}`, "name2repos.json": `{"data":{}}`}
	for name, content := range empty {
		if err := os.WriteFile(filepath.Join(o.Dir, name), []byte(content), 0o600); err != nil {
			return c, err
		}
	}
	updaters := "updaters: {sets: []}\n"
	if o.Feeds != "" {
		alpine := c.mirror(filepath.Join(o.Feeds, "secdb.alpinelinux.org"))
		osv := c.mirror(filepath.Join(o.Feeds, "osv-vulnerabilities.storage.googleapis.com"))
		allowed, err := json.Marshal(o.Ecosystems)
		if err != nil {
			return c, err
		}
		updaters = fmt.Sprintf("updaters:\n  sets: [alpine, osv]\n  config:\n    alpine: {url: %q}\n    osv: {url: %q, allowlist: %s}\n", alpine+"/", osv+"/", allowed)
	}
	text := fmt.Sprintf(`http_listen_addr: %q
introspection_addr: %q
log_level: warn
indexer:
  connstring: %q
  migrations: true
  scanner:
    repo:
      rhel-repository-scanner: {repo2cpe_mapping_file: %q, disable_api: true}
      rhel_containerscanner: {name2repos_mapping_file: %q}
    package:
      rhel_containerscanner: {name2repos_mapping_file: %q}
      java: {disable_api: true}
matcher:
  connstring: %q
  migrations: true
  disable_updaters: %t
notifier: {connstring: %q, migrations: true}
%s%s`, api, introspection, o.Database, filepath.Join(o.Dir, "repo2cpe.json"), filepath.Join(o.Dir, "name2repos.json"), filepath.Join(o.Dir, "name2repos.json"),
		o.Database, o.Feeds == "", o.Database, updaters, o.Extra)
	config := filepath.Join(o.Dir, "clair.yaml")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return c, err
	}
	if c.log, err = os.Create(filepath.Join(o.Dir, "clair.log")); err != nil {
		return c, err
	}
	c.cmd = exec.Command(o.Program, "-mode", "combo", "-conf", config)
	c.cmd.Stdout, c.cmd.Stderr = c.log, c.log
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error, 1)
	go func() {
		// The kernel sends the signal when the thread ends that started the process,
		// so that thread is kept as long as it runs.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(c.ended)
		err := c.cmd.Start()
		started <- err
		if err == nil {
			_ = c.cmd.Wait() // what it says is in the log
		}
	}()
	if err := <-started; err != nil {
		return c, err
	}
	c.URL, c.PID = "http://"+api, c.cmd.Process.Pid
	return c, c.await(ctx, "its API", func() bool { return c.status(ctx, "/indexer/api/v1/index_state") == http.StatusOK })
}

// mirror serves a folder.
func (c *Clair) mirror(folder string) string {
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	c.mirrors = append(c.mirrors, server)
	return server.URL
}

func freePort(ctx context.Context) (string, error) {
	socket, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return socket.Addr().String(), socket.Close()
}

// Updates returns the names of updaters whose data is there.
func (c *Clair) Updates(ctx context.Context) (map[string][]struct{ Ref string }, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+"/matcher/api/v1/internal/update_operation?latest=true", nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	updates := make(map[string][]struct{ Ref string })
	return updates, json.NewDecoder(response.Body).Decode(&updates)
}

// AwaitUpdates waits until these updaters have brought data.
func (c *Clair) AwaitUpdates(ctx context.Context, names ...string) error {
	return c.await(ctx, "data of "+strings.Join(names, ", "), func() bool {
		updates, err := c.Updates(ctx)
		if err != nil {
			return false
		}
		for _, name := range names {
			if len(updates[name]) == 0 {
				return false
			}
		}
		return true
	})
}

func (c *Clair) status(ctx context.Context, path string) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+path, nil)
	if err != nil {
		return 0
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	return response.StatusCode
}

func (c *Clair) await(ctx context.Context, what string, there func() bool) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for !there() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("clair: waiting for %s: %w; its log is %s", what, ctx.Err(), c.log.Name())
		case <-c.ended:
			said, _ := os.ReadFile(c.log.Name()) // to say why
			return fmt.Errorf("clair ended: %.2000s", said)
		}
	}
	return nil
}

// Dump ends Clair and returns the end of what it said, with what its goroutines did.
func (c *Clair) Dump() string {
	_ = c.cmd.Process.Signal(syscall.SIGQUIT) // it may have ended
	select {
	case <-c.ended:
	case <-time.After(10 * time.Second):
	}
	said, err := os.ReadFile(c.log.Name())
	if err != nil {
		return err.Error()
	}
	return string(said[max(0, len(said)-50_000):])
}

// Stop ends Clair.
func (c *Clair) Stop() {
	if c.cmd != nil && c.cmd.Process != nil {
		_ = c.cmd.Process.Kill() // it may have ended
		<-c.ended
	}
	for _, m := range c.mirrors {
		m.Close()
	}
	if c.log != nil {
		_ = c.log.Close()
	}
}
