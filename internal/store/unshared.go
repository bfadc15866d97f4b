package store

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"modernc.org/libc"
	"modernc.org/libc/sys/types"
	sqlite3 "modernc.org/sqlite/lib"
)

// The driver opens each connection so that SQLite takes the connection's mutex for
// every value that is read of a row: that was a fifth of the time of reading
// findings. database/sql never uses a connection from two goroutines at once, and the
// driver must not be used otherwise, so that the mutexes of connections need not
// be there. SQLite lets a program bring mutexes of its own
// (https://www.sqlite.org/c3ref/mutex_methods.html): these are SQLite's, but for those.

// mutexMethods has the layout of sqlite3_mutex_methods: functions.
type mutexMethods struct {
	init, end, alloc, free, enter, try, leave, held, notHeld uintptr
}

var (
	// shared are SQLite's own, which ours call.
	shared, ours mutexMethods
	// connecting is set once SQLite is initialised: from then on, recursive mutexes
	// are those of connections.
	connecting atomic.Bool
	// unshared is the address that stands for the mutex of any connection.
	unshared uintptr
)

// errShared is why SQLite could not be set up. That is done before main, for no
// connection may be open.
var errShared = unshareConnections()

func unshareConnections() error {
	tls := libc.NewTLS()
	defer tls.Close()
	list := libc.Xcalloc(tls, 1, types.Size_t(unsafe.Sizeof(uintptr(0))))
	unshared = libc.Xcalloc(tls, 1, 1)
	if list == 0 || unshared == 0 {
		return errors.New("no memory for SQLite's mutexes")
	}
	defer libc.Xfree(tls, list)
	for _, step := range []struct {
		what string
		do   func() int32
	}{
		{"initialise", func() int32 { return sqlite3.Xsqlite3_initialize(tls) }},
		{"shut down", func() int32 { return sqlite3.Xsqlite3_shutdown(tls) }}, // for it takes no settings before
		{"tell its mutexes", func() int32 {
			return sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_GETMUTEX, libc.VaList(list, uintptr(unsafe.Pointer(&shared))))
		}},
		{"take mutexes", func() int32 {
			ours = shared
			ours.alloc, ours.free = function(allocMutex), function(freeMutex)
			ours.enter, ours.try, ours.leave = function(enterMutex), function(tryMutex), function(leaveMutex)
			return sqlite3.Xsqlite3_config(tls, sqlite3.SQLITE_CONFIG_MUTEX, libc.VaList(list, uintptr(unsafe.Pointer(&ours))))
		}},
		{"initialise again", func() int32 { return sqlite3.Xsqlite3_initialize(tls) }},
	} {
		if code := step.do(); code != sqlite3.SQLITE_OK {
			return fmt.Errorf("have SQLite %s: code %d", step.what, code)
		}
	}
	connecting.Store(true)
	return nil
}

// function is the address of a function as code that was translated from C takes it.
// It must be no closure.
func function[T any](f T) uintptr {
	return *(*uintptr)(unsafe.Pointer(&struct{ f T }{f}))
}

// asFunction is what an address made by function is.
func asFunction[T any](address uintptr) T {
	return *(*T)(unsafe.Pointer(&struct{ uintptr }{address}))
}

func allocMutex(tls *libc.TLS, kind int32) uintptr {
	if kind == sqlite3.SQLITE_MUTEX_RECURSIVE && connecting.Load() {
		return unshared
	}
	return asFunction[func(*libc.TLS, int32) uintptr](shared.alloc)(tls, kind)
}

func freeMutex(tls *libc.TLS, m uintptr) {
	if m != unshared {
		asFunction[func(*libc.TLS, uintptr)](shared.free)(tls, m)
	}
}

func enterMutex(tls *libc.TLS, m uintptr) {
	if m != unshared {
		asFunction[func(*libc.TLS, uintptr)](shared.enter)(tls, m)
	}
}

func tryMutex(tls *libc.TLS, m uintptr) int32 {
	if m == unshared {
		return sqlite3.SQLITE_OK
	}
	return asFunction[func(*libc.TLS, uintptr) int32](shared.try)(tls, m)
}

func leaveMutex(tls *libc.TLS, m uintptr) {
	if m != unshared {
		asFunction[func(*libc.TLS, uintptr)](shared.leave)(tls, m)
	}
}
