// Package store keeps everything that Pratique remembers in one SQL schema, on
// SQLite (embedded) or PostgreSQL. All SQL of the project is here.
//
// It implements the small interfaces that the services declare; it must not
// know HTTP nor decide anything.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver
	"modernc.org/sqlite"
)

// Engine is the kind of database.
type Engine string

// The engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// ErrNotFound is returned where a row that the caller names does not exist.
var ErrNotFound = errors.New("not found")

// ErrConflict is returned where a row that the caller wants to create exists.
var ErrConflict = errors.New("exists already")

// Store is a database. It is safe for use by several goroutines.
type Store struct {
	engine Engine
	// read and write are the same pool on PostgreSQL. SQLite has one writer.
	read, write *sql.DB
	now         func() time.Time
	// in is the transaction that all writes go to, where not nil: see within.
	in          *sql.Tx
	figures     *figures
	checkpoints *checkpoints // of SQLite
	// findingsAtOnce bounds what a transaction counts: see affected.go.
	findingsAtOnce int
	fewImages      int // as the constant, but in tests
}

// Options are the choices that Open leaves to its caller.
type Options struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// MaxConnections bounds the pool; 16 where zero.
	MaxConnections int
}

// Open opens the database at location, "sqlite:PATH" or "postgres://…", and
// brings its schema up to date.
func Open(ctx context.Context, location string, opts Options) (*Store, error) {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.MaxConnections == 0 {
		opts.MaxConnections = 16
	}
	s := &Store{now: opts.Now, figures: &figures{}, findingsAtOnce: findingsAtOnce, fewImages: fewImages}
	var err error
	switch {
	case strings.HasPrefix(location, "sqlite:"):
		err = s.openSQLite(strings.TrimPrefix(location, "sqlite:"), opts)
	case strings.HasPrefix(location, "postgres://"), strings.HasPrefix(location, "postgresql://"):
		err = s.openPostgres(location, opts)
	default:
		err = fmt.Errorf("database %q: want sqlite:PATH or postgres://…", redact(location))
	}
	if err != nil {
		return nil, err
	}
	if err = s.migrate(ctx); err == nil {
		err = s.adoptKeys(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", redact(location), err), s.Close())
	}
	if err := s.recordOld(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("database %s: %w", redact(location), err), s.Close())
	}
	return s, nil
}

func (s *Store) openSQLite(path string, opts Options) error {
	s.engine = SQLite
	dsn := func(more ...string) string {
		q := url.Values{"_pragma": append([]string{
			"busy_timeout(10000)", "foreign_keys(1)", "journal_mode(wal)", "synchronous(full)", "temp_store(memory)",
			// Every join has its index; one made for a single query costs more than it saves.
			"automatic_index(0)",
		}, more...)}
		return "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + q.Encode()
	}
	if errShared != nil {
		return fmt.Errorf("database sqlite:%s: %w", path, errShared)
	}
	var err error
	// As SQLite has it where it is built for Linux: a file's times need not be on the disk.
	if _, err := sqlite.Fdatasync(true); err != nil && !errors.Is(err, sqlite.ErrFdatasyncUnavailable) {
		return fmt.Errorf("database sqlite:%s: %w", path, err)
	}
	if s.write, err = openSQLiteDB(dsn("cache_size(-32768)", fmt.Sprintf("wal_autocheckpoint(%d)", longLog)) + "&_txlock=immediate"); err != nil {
		return fmt.Errorf("database sqlite:%s: %w", path, err)
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = openSQLiteDB(dsn("query_only(1)", "cache_size(-8192)")); err != nil {
		return errors.Join(fmt.Errorf("database sqlite:%s: %w", path, err), s.write.Close())
	}
	s.read.SetMaxOpenConns(opts.MaxConnections)
	s.read.SetMaxIdleConns(opts.MaxConnections)
	db, err := openSQLiteDB(dsn("cache_size(-64)"))
	if err != nil {
		return errors.Join(fmt.Errorf("database sqlite:%s: %w", path, err), s.Close())
	}
	s.checkpoints = startCheckpoints(db)
	return nil
}

func (s *Store) openPostgres(location string, opts Options) error {
	s.engine = Postgres
	config, err := pgx.ParseConfig(location)
	if err != nil {
		return fmt.Errorf("database %s: %w", redact(location), err)
	}
	// What is asked for is small: to start workers, or to compile a plan, takes longer.
	// Not as parameters of the connection, which poolers do not let through.
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, `set max_parallel_workers_per_gather = 0; set jit = off`)
		return err
	}))
	db.SetMaxOpenConns(opts.MaxConnections)
	db.SetMaxIdleConns(opts.MaxConnections)
	db.SetConnMaxIdleTime(5 * time.Minute)
	s.read, s.write = db, db
	return nil
}

// Close closes the database.
func (s *Store) Close() error {
	if s.read == s.write {
		return s.write.Close()
	}
	return errors.Join(s.checkpoints.close(), s.read.Close(), s.write.Close())
}

// Ping reports whether the database answers.
func (s *Store) Ping(ctx context.Context) error { return s.read.PingContext(ctx) }

// Engine says which engine this is, for the system page; callers do not branch on it.
func (s *Store) Engine() Engine { return s.engine }

// querier is what a query needs: a pool or a transaction.
type querier interface {
	asker
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// asker is what rows are read from.
type asker interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// tx runs fn in one write transaction and runs it again, a few times, where
// the engine says that only its timing was bad.
func (s *Store) tx(ctx context.Context, fn func(*sql.Tx) error) error {
	if s.in != nil {
		return fn(s.in)
	}
	const tries = 6
	for try := 1; ; try++ {
		err := s.once(ctx, fn)
		if err == nil || try == tries || !transient(err) {
			return err
		}
		slog.DebugContext(ctx, "transaction is tried again", "try", try, "error", err)
		pause := time.Duration(1<<try)*5*time.Millisecond + time.Duration(rand.Int64N(int64(10*time.Millisecond)))
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(pause):
		}
	}
}

func (s *Store) once(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says ErrTxDone; else the first error matters
	if err := fn(tx); err != nil {
		return err
	}
	if err := s.count(ctx, tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	s.checkpoints.wrote()
	return nil
}

// commitLater has PostgreSQL commit without waiting for the disk, where another
// transaction follows before anybody is told: that waits for both.
func (s *Store) commitLater(ctx context.Context, tx *sql.Tx) error {
	if s.engine != Postgres || s.in != nil {
		return nil
	}
	_, err := tx.ExecContext(ctx, `set local synchronous_commit = off`)
	return err
}

// inOrder runs fn with what reads tables in the order in which a query joins them:
// PostgreSQL would think longer about it than the query takes. SQLite does so where
// they are joined crosswise.
func (s *Store) inOrder(ctx context.Context, fn func(querier) error) error {
	if s.engine != Postgres || s.in != nil {
		return fn(s.read)
	}
	tx, err := s.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // nothing was written
	if _, err := tx.ExecContext(ctx, `set local join_collapse_limit = 1`); err != nil {
		return err
	}
	return fn(tx)
}

// within runs fn with a store whose writes are all of one transaction.
func (s *Store) within(ctx context.Context, fn func(*Store) error) error {
	return s.once(ctx, func(tx *sql.Tx) error {
		inside := *s
		inside.in = tx
		return fn(&inside)
	})
}

// transient reports errors that a second try mends: serialization failures,
// deadlocks, a busy SQLite.
func transient(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01"
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code()&0xff == 5 || lite.Code()&0xff == 6 // SQLITE_BUSY, SQLITE_LOCKED
	}
	return false
}

// conflicting reports a violated unique constraint.
func conflicting(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "23505"
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return lite.Code() == 2067 || lite.Code() == 1555 // SQLITE_CONSTRAINT_UNIQUE, _PRIMARYKEY
	}
	return false
}

// micros is a time as it is stored.
func micros(t time.Time) int64 { return t.UnixMicro() }

// nullMicros stores the zero time as null.
func nullMicros(t time.Time) sql.NullInt64 {
	return sql.NullInt64{Int64: t.UnixMicro(), Valid: !t.IsZero()}
}

// at is a stored time; null is the zero time.
func at(n sql.NullInt64) time.Time {
	if !n.Valid {
		return time.Time{}
	}
	return time.UnixMicro(n.Int64).UTC()
}

// placeholders writes "($1,$2),($3,$4)" for rows of width columns.
func placeholders(rows, width int) string {
	var b strings.Builder
	for r := range rows {
		if r > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('(')
		b.WriteString(parameters(r*width+1, width))
		b.WriteByte(')')
	}
	return b.String()
}

// parameters writes "$2,$3,$4" for n parameters that start at first.
func parameters(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

// queryAll runs a query and scans each row.
func queryAll[T any](ctx context.Context, q asker, scan func(*sql.Rows) (T, error), query string, args ...any) ([]T, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// redact hides the password of a database URL.
func redact(location string) string {
	if u, err := url.Parse(location); err == nil && u.User != nil {
		return u.Redacted()
	}
	return location
}
