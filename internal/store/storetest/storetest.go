// Package storetest gives tests a fresh store on each engine. It starts a real
// PostgreSQL server from the system's packages.
package storetest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pratique/pratique/internal/store"
)

// Each runs test as a subtest on SQLite and on PostgreSQL, each time with a
// fresh store. PostgreSQL is at $PRATIQUE_TEST_POSTGRES, else a server is
// started for this test process; where there is none, that part is skipped
// unless $CI is set.
func Each(t *testing.T, opts store.Options, test func(t *testing.T, s *store.Store)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, open(t, migrated(t, SQLiteURL, (*pool).sqlite), opts)) })
	t.Run("postgres", func(t *testing.T) { test(t, open(t, migrated(t, PostgresURL, (*pool).postgres), opts)) })
}

// SQLite returns a fresh store on SQLite, for tests that are not about the store.
func SQLite(t testing.TB, opts store.Options) *store.Store {
	t.Helper()
	return open(t, migrated(t, SQLiteURL, (*pool).sqlite), opts)
}

// SQLiteURL names a database file that does not exist yet.
func SQLiteURL(t testing.TB) string { return "sqlite:" + filepath.Join(t.TempDir(), "pratique.db") }

// PostgresURL names a fresh, empty schema.
func PostgresURL(t testing.TB) string {
	t.Helper()
	name, url := newSchema(t)
	t.Cleanup(func() {
		if err := dropSchema(name); err != nil {
			t.Error(err)
		}
	})
	return url
}

func newSchema(t testing.TB) (name, url string) {
	t.Helper()
	base, err := server()
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("PostgreSQL: %v", err)
		}
		t.Skipf("PostgreSQL: %v", err)
	}
	name = "t_" + strings.ToLower(rand.Text()[:16])
	if err := onServer(func(db *sql.DB) error {
		_, err := db.Exec("create schema " + name)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	separator := "?"
	if strings.Contains(base, "?") {
		separator = "&"
	}
	return name, base + separator + "search_path=" + name
}

func dropSchema(name string) error {
	return onServer(func(db *sql.DB) error {
		_, err := db.Exec("drop schema " + name + " cascade")
		return err
	})
}

// onServer lends a connection to the server that there is.
func onServer(f func(db *sql.DB) error) error {
	base, err := server()
	if err != nil {
		return err
	}
	db, err := sql.Open("pgx", base)
	if err != nil {
		return err
	}
	return errors.Join(f(db), db.Close())
}

// migrated is the place of a store that may have been migrated before.
func migrated(t testing.TB, fresh func(testing.TB) string, again func(*pool, testing.TB) string) string {
	t.Helper()
	if used == nil {
		return fresh(t)
	}
	return again(used, t)
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

// server is that of this test process.
var server = sync.OnceValues(func() (string, error) {
	if location := os.Getenv("PRATIQUE_TEST_POSTGRES"); location != "" {
		return location, nil
	}
	s, err := StartServer("fsync=off", "synchronous_commit=off", "full_page_writes=off")
	if err != nil {
		return "", err
	}
	return s.URL, nil
})
