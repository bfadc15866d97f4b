package store

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
)

// TestConnectionsAreUnshared: mutexes of connections are none, all others are
// SQLite's; connections that work side by side do not disturb each other.
func TestConnectionsAreUnshared(t *testing.T) {
	if errShared != nil {
		t.Fatal(errShared)
	}
	tls := libc.NewTLS()
	defer tls.Close()
	for kind := range int32(sqlite3.SQLITE_MUTEX_STATIC_VFS3 + 1) {
		m := sqlite3.Xsqlite3_mutex_alloc(tls, kind)
		if of := kind == sqlite3.SQLITE_MUTEX_RECURSIVE; m == 0 || (m == unshared) != of {
			t.Errorf("mutex of kind %d: %#x, that of connections is %#x", kind, m, unshared)
		}
		sqlite3.Xsqlite3_mutex_enter(tls, m)
		sqlite3.Xsqlite3_mutex_leave(tls, m)
		if kind <= sqlite3.SQLITE_MUTEX_RECURSIVE { // the others are static
			sqlite3.Xsqlite3_mutex_free(tls, m)
		}
	}
	s, err := Open(t.Context(), "sqlite:"+filepath.Join(t.TempDir(), "test.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.write.Exec(`create table numbers (n integer primary key, text text)`); err != nil {
		t.Fatal(err)
	}
	const each = 200
	var working sync.WaitGroup
	for worker := range 4 {
		working.Go(func() {
			for i := range each {
				n := worker*each + i
				if _, err := s.write.Exec(`insert into numbers values (?, ?)`, n, fmt.Sprint(n)); err != nil {
					t.Error(err)
				}
				var text string
				if err := s.read.QueryRow(`select text from numbers where n = ?`, n).Scan(&text); err != nil || text != fmt.Sprint(n) {
					t.Errorf("%d is %q, %v", n, text, err)
				}
			}
		})
	}
	working.Wait()
	var count int
	var sound string
	if err := s.read.QueryRow(`select count(*) from numbers`).Scan(&count); err != nil || count != 4*each {
		t.Errorf("%d rows, %v", count, err)
	}
	if err := s.read.QueryRow(`pragma integrity_check`).Scan(&sound); err != nil || sound != "ok" {
		t.Errorf("the database is %q, %v", sound, err)
	}
}
