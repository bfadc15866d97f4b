// Package storetest gives tests a fresh store on each engine. It starts a real
// PostgreSQL server from the system's packages.
package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/store"
)

// Each runs test as a subtest on SQLite and on PostgreSQL, each time with a
// fresh store. PostgreSQL is at $PRATIQUE_TEST_POSTGRES, else a server is
// started for this test process; where there is none, that part is skipped
// unless $CI is set.
func Each(t *testing.T, opts store.Options, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, open(t, SQLiteURL(t), opts)) })
	t.Run("postgres", func(t *testing.T) { test(t, open(t, PostgresURL(t), opts)) })
}

// SQLite returns a fresh store on SQLite, for tests that are not about the store.
func SQLite(t testing.TB, opts store.Options) *store.Store { return open(t, SQLiteURL(t), opts) }

// SQLiteURL names a database file that does not exist yet.
func SQLiteURL(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "pratique.db") }

// PostgresURL names a fresh, empty schema.
func PostgresURL(t testing.TB) string {
	t.Helper()
	base, err := server()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("PostgreSQL: %v", err)
		}
		t.Skipf("PostgreSQL: %v", err)
	}
	db, err := sql.Open("pgx", base)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	schema := "t_" + strings.ToLower(rand.Text()[:16])
	if _, err := db.Exec("create schema " + schema); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		db, err := sql.Open("pgx", base)
		if err != nil {
			t.Error(err)
			return
		}
		defer db.Close()
		if _, err := db.Exec("drop schema " + schema + " cascade"); err != nil {
			t.Error(err)
		}
	})
	separator := "?"
	if strings.Contains(base, "?") {
		separator = "&"
	}
	return base + separator + "search_path=" + schema
}

func open(t testing.TB, location string, opts store.Options) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), location, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

var server = sync.OnceValues(func() (location string, err error) {
	if location = os.Getenv("PRATIQUE_TEST_POSTGRES"); location != "" {
		return location, nil
	}
	started := make(chan struct{})
	go func() {
		// The kernel sends Pdeathsig when the thread ends that started the
		// server, so that thread is kept for the life of the process.
		runtime.LockOSThread()
		location, err = start()
		close(started)
		select {}
	}()
	<-started
	return location, err
})

// start runs a server that ends with this process: it is told to by the kernel,
// for a test binary has no moment at which it could stop it.
func start() (string, error) {
	bin, err := binaries()
	if err != nil {
		return "", err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "pratique-postgres-")
	if err != nil {
		return "", err
	}
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGQUIT}
	if os.Getuid() == 0 { // the server refuses to run as root
		owner, err := user.Lookup("postgres")
		if err != nil {
			return "", err
		}
		uid, _ := strconv.Atoi(owner.Uid)
		gid, _ := strconv.Atoi(owner.Gid)
		if err := os.Chown(dir, uid, gid); err != nil {
			return "", err
		}
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	run := func(name string, args ...string) *exec.Cmd {
		cmd := exec.Command(filepath.Join(bin, name), args...)
		cmd.Dir, cmd.SysProcAttr = dir, attributes
		return cmd
	}
	if out, err := run("initdb", "-D", dir+"/data", "-U", "pratique", "-A", "trust", "-E", "UTF8", "--locale=C", "-N").CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	serve := run("postgres", "-D", dir+"/data", "-p", strconv.Itoa(port), "-k", dir, "-c", "listen_addresses=127.0.0.1",
		"-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200")
	if err := serve.Start(); err != nil {
		return "", err
	}
	location := fmt.Sprintf("postgres://pratique@127.0.0.1:%d/postgres?sslmode=disable", port)
	db, err := sql.Open("pgx", location)
	if err != nil {
		return "", err
	}
	defer db.Close()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = db.Ping(); err == nil {
			return location, nil
		}
		if time.Now().After(deadline) {
			return "", fmt.Errorf("the server on port %d does not answer: %w", port, err)
		}
	}
}

func binaries() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", fmt.Errorf("no server is installed (Debian's package postgresql): %w", err)
	}
	return filepath.Dir(path), nil
}
