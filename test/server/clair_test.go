package server_test

import (
	"crypto/rand"
	"database/sql"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/test/sample"
)

// secdb serves Alpine's security database as Clair's updater reads it: musl of
// v3.20 was mended in 1.2.5-r1.
func secdb(t *testing.T) string {
	const last = 20
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var minor int
		switch n, _ := fmt.Sscanf(r.URL.Path, "/v3.%d/", &minor); {
		case r.URL.Path == "/last-update":
			_, _ = w.Write([]byte(`{"ts":"2026-01-01T00:00:00Z"}`))
		case n == 1 && minor == last && strings.HasSuffix(r.URL.Path, "/main.json"):
			_, _ = w.Write([]byte(`{"apkurl":"{{urlprefix}}/{{distroversion}}/{{reponame}}/{{arch}}/{{pkg.name}}-{{pkg.ver}}.apk","archs":["x86_64"],
				"reponame":"main","urlprefix":"https://dl-cdn.alpinelinux.org/alpine","distroversion":"v3.20","packages":[
				{"pkg":{"name":"musl","secfixes":{"1.2.5-r1":["CVE-2025-26519"]}}}]}`))
		case n == 1 && minor <= last && strings.HasSuffix(r.URL.Path, "/"):
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL + "/"
}

// clairDatabase makes a database for Clair, and returns its URL.
func clairDatabase(t *testing.T) string {
	u, err := url.Parse(storetest.PostgresURL(t))
	if err != nil {
		t.Fatal(err)
	}
	query := u.Query()
	query.Del("search_path")
	u.RawQuery = query.Encode()
	db, err := sql.Open("pgx", u.String())
	if err != nil {
		t.Fatal(err)
	}
	name := "clair_" + strings.ToLower(rand.Text()[:12])
	if _, err := db.ExecContext(t.Context(), "create database "+name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := db.Exec("drop database " + name + " with (force)"); err != nil {
			t.Error(err)
		}
		db.Close()
	})
	u.Path = "/" + name
	return u.String()
}

func freePort(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startClair runs a real Clair, indexer and matcher, offline, and returns its URL.
func startClair(t *testing.T) string {
	path := os.Getenv("PRATIQUE_CLAIR")
	if path == "" {
		path = filepath.Join("..", "..", "bin", "tools", "clair")
	}
	clair := installed(t, "Clair (make clair builds it, PRATIQUE_CLAIR names it)", path)
	dir, database, address := t.TempDir(), clairDatabase(t), freePort(t)
	write := func(name, content string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	empty := write("empty.json", `{"data":{}}`)
	config := write("config.yaml", fmt.Sprintf(`
http_listen_addr: %q
introspection_addr: %q
log_level: warn
indexer:
  connstring: %q
  migrations: true
  scanner:
    package: {rhel_containerscanner: {name2repos_mapping_file: %[4]q}}
    repo:
      rhel-repository-scanner: {repo2cpe_mapping_file: %[4]q}
      rhel_containerscanner: {name2repos_mapping_file: %[4]q}
matcher:
  connstring: %[3]q
  migrations: true
  disable_enrichment: true
matchers: {names: [alpine-matcher]}
updaters:
  sets: [alpine]
  config: {alpine: {url: %[5]q}}
notifier: {connstring: %[3]q, migrations: true}
`, address, freePort(t), database, empty, secdb(t)))
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(clair, "-conf", config, "-mode", "combo")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("Clair's log:\n%s", text)
		}
	})
	return "http://" + address
}

// apkImage is a base layer whose database is in apk's own order of lines: Clair
// does not read the last line of an entry, which the sample's origin is on.
func apkImage(t *testing.T) sample.Layer {
	l, err := sample.NewLayer("ADD rootfs /",
		sample.File{Path: "etc/os-release", Content: "NAME=\"Alpine Linux\"\nID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=\"Alpine Linux v3.20\"\n"},
		sample.File{Path: "lib/apk/db/installed", Content: "C:Q1AAAAAAAAAAAAAAAAAAAAAAAAAAA=\nP:musl\nV:1.2.5-r0\nA:x86_64\nS:1\nI:1\nT:sample\nU:https://example.org\nL:MIT\no:musl\nt:1\nF:lib\n\n"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestRealClair asks a real Clair 4.9: it indexes our layers, which it fetches
// with the tokens that it was given, and matches them with Alpine's data.
func TestRealClair(t *testing.T) {
	clair := startClair(t)
	s := start(t, t.TempDir(), "--feeds-mirror", muslFeed(t), "--feeds", "alpine")
	updateFeeds(t, s)
	makeSource(t, s, "clair", "clair-v4", clair, "")
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		c := call[connection](t, s, http.MethodPost, "/vulnerability-sources/clair/test", nil, http.StatusOK)
		if c.OK && !strings.Contains(c.Message, "not ready") {
			t.Log(c.Message)
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("Clair is not ready: %+v", c)
		}
	}
	call[any](t, s, http.MethodPatch, "/settings", map[string]string{"base_url": s.url}, http.StatusOK)
	call[any](t, s, http.MethodPut, "/registries/main/vulnerability-sources/clair", nil, http.StatusOK)
	digest, err := s.registry().Push(t.Context(), "main/app", "1", apkImage(t))
	if err != nil {
		t.Fatal(err)
	}
	settled(t, s, digest, "clair", "answered")
	type witnessed struct {
		Vulnerability string   `json:"vulnerability"`
		Fixed         string   `json:"fixed_version"`
		Sources       []string `json:"sources"`
	}
	check := func(step string) {
		t.Helper()
		want := []witnessed{{"CVE-2025-26519", "1.2.5-r1", []string{"built-in", "clair"}}}
		if diff := cmp.Diff(want, call[list[witnessed]](t, s, http.MethodGet, "/images/"+digest+"/findings", nil, http.StatusOK).Items); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step, diff)
		}
	}
	check("first")
	// Asked again, its index is current still.
	call[any](t, s, http.MethodPost, "/images/"+digest+"/scan", nil, http.StatusAccepted)
	settled(t, s, digest, "clair", "answered")
	check("again")
	// The same layer twice, and an image that Clair knows nothing of.
	twice, err := s.registry().Push(t.Context(), "main/app", "2", apkImage(t), apkImage(t))
	if err != nil {
		t.Fatal(err)
	}
	settled(t, s, twice, "clair", "answered")
}
