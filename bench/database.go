package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// database is an empty database of one of the engines.
type database struct {
	engine, url string
	sql         *sql.DB // for what no user does: filling it, and asking for its size
	file        string  // SQLite's
	server      *storetest.Server
}

// engines opens a database of each kind, or of the one that was asked for.
func (o options) engines() []func(o options) (*database, error) {
	switch o.engine {
	case "sqlite":
		return []func(o options) (*database, error){openSQLite}
	case "postgres":
		return []func(o options) (*database, error){openPostgres}
	}
	return []func(o options) (*database, error){openSQLite, openPostgres}
}

func openSQLite(o options) (*database, error) {
	d := &database{engine: "SQLite", file: filepath.Join(o.dir, "scale.db")}
	d.url = "sqlite:" + d.file
	var err error
	d.sql, err = sql.Open("sqlite", "file:"+d.file+"?_pragma=busy_timeout(10000)&_pragma=temp_store(memory)&_pragma=synchronous(off)&_pragma=cache_size(-200000)")
	if err == nil {
		d.sql.SetMaxOpenConns(1)
	}
	return d, err
}

// openPostgres starts a server as its packager has set it up, but for memory and
// the room of its log, which are the first that anybody sets.
func openPostgres(options) (*database, error) {
	server, err := storetest.StartServer("shared_buffers=512MB", "max_wal_size=4GB")
	if err != nil {
		return nil, err
	}
	d := &database{engine: "PostgreSQL", url: server.URL, server: server}
	if d.sql, err = sql.Open("pgx", server.URL); err != nil {
		return nil, errors.Join(err, server.Stop())
	}
	d.sql.SetMaxOpenConns(1)
	return d, nil
}

func (d *database) close() error {
	err := d.sql.Close()
	if d.server != nil {
		return errors.Join(err, d.server.Stop())
	}
	for _, more := range []string{"", "-wal", "-shm"} {
		if e := os.Remove(d.file + more); e != nil && !errors.Is(e, os.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// size is what it takes on the disk, in bytes.
func (d *database) size(ctx context.Context) (n int64, err error) {
	if d.server != nil {
		err = d.sql.QueryRowContext(ctx, `select pg_database_size(current_database())`).Scan(&n)
		return n, err
	}
	if _, err := d.sql.ExecContext(ctx, `pragma wal_checkpoint(truncate)`); err != nil {
		return 0, err
	}
	info, err := os.Stat(d.file)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// settle has the engine know its tables, as it does by and by in a server that runs.
func (d *database) settle(ctx context.Context) error {
	_, err := d.sql.ExecContext(ctx, `analyze`)
	return err
}

// countAll counts what was left to be counted, as a server does in the background,
// and tells in how many transactions.
func countAll(ctx context.Context, s *store.Store) (parts int, err error) {
	for left := 1; left > 0; parts++ {
		if left, err = s.CountFindings(ctx); err != nil {
			return parts, err
		}
	}
	return parts, nil
}

// processor is the processor time that the engine has used in processes of its
// own; SQLite has none.
func (d *database) processor() (time.Duration, error) {
	if d.server == nil {
		return 0, nil
	}
	// Of its children, those that ended are in the first process's account.
	sum, err := processorOf(d.server.PID, 4)
	if err != nil {
		return 0, err
	}
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", d.server.PID, d.server.PID))
	if err != nil {
		return 0, err
	}
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			return 0, err
		}
		if took, err := processorOf(pid, 2); err == nil { // else it has just ended
			sum += took
		}
	}
	return sum, nil
}

// processorOf sums the first fields of times in a process's account (proc(5),
// /proc/PID/stat): utime, stime, cutime, cstime, in hundredths of a second.
func processorOf(pid, fields int) (sum time.Duration, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	_, after, ok := strings.Cut(string(text), ") ")
	list := strings.Fields(after)
	if !ok || len(list) < 15 {
		return 0, fmt.Errorf("/proc/%d/stat: %q", pid, text)
	}
	for _, field := range list[11 : 11+fields] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum, nil
}
