package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"modernc.org/sqlite"
)

// The driver compiles a statement each time that it runs: for what a request asks of
// a large database, that is a tenth of the time. Each connection keeps the statements
// that it ran last, as those to PostgreSQL do. SQLite compiles a kept one anew where
// the schema changed (https://www.sqlite.org/c3ref/prepare.html).
const (
	compiledStatements = 50
	// compiledText bounds their text together, in bytes: an insert of many rows takes ten
	// times its text when compiled.
	compiledText = 128 << 10
)

// openSQLiteDB opens a pool of connections that keep what they compiled.
func openSQLiteDB(dsn string) (*sql.DB, error) {
	c, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(compilingConnector{c}), nil
}

type compilingConnector struct{ driver.Connector }

func (c compilingConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	full, ok := conn.(sqliteConn)
	if !ok {
		return nil, errors.Join(fmt.Errorf("connections of SQLite's driver, %T, lack a method", conn), conn.Close())
	}
	return &compilingConn{sqliteConn: full}, nil
}

// sqliteConn is what the driver's connections can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// compilingConn is used from one goroutine at a time, as database/sql promises.
type compilingConn struct {
	sqliteConn
	kept []*compiled // the one used last at the end
	text int         // bytes
}

type compiled struct {
	text    string
	stmt    sqliteStmt
	running bool // its rows are being read
}

type sqliteStmt interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

// Unwrap returns the driver's connection.
func (c *compilingConn) Unwrap() driver.Conn { return c.sqliteConn }

// compile returns the statement of a text; nil where it is not to be kept, or runs.
func (c *compilingConn) compile(ctx context.Context, text string) (*compiled, error) {
	for i, s := range slices.Backward(c.kept) {
		if s.text != text {
			continue
		}
		if s.running {
			return nil, nil
		}
		copy(c.kept[i:], c.kept[i+1:])
		c.kept[len(c.kept)-1] = s
		return s, nil
	}
	if len(text) > compiledText/2 {
		return nil, nil
	}
	stmt, err := c.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	s := &compiled{text: text}
	var ok bool
	if s.stmt, ok = stmt.(sqliteStmt); !ok {
		return nil, errors.Join(fmt.Errorf("statements of SQLite's driver, %T, lack a method", stmt), stmt.Close())
	}
	err = c.forget(compiledStatements-1, compiledText-len(text))
	c.kept, c.text = append(c.kept, s), c.text+len(text)
	return s, err
}

// forget lets go of the statements that were not used for longest until so many are
// left, and so much text; one that runs stays.
func (c *compilingConn) forget(most, text int) (err error) {
	for i := 0; i < len(c.kept) && (len(c.kept) > most || c.text > text); {
		s := c.kept[i]
		if s.running {
			i++
			continue
		}
		c.kept, c.text = slices.Delete(c.kept, i, i+1), c.text-len(s.text)
		err = errors.Join(err, s.stmt.Close())
	}
	return err
}

func (c *compilingConn) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.compile(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, text, args)
	}
	return s.stmt.ExecContext(ctx, args)
}

func (c *compilingConn) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.compile(ctx, text)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, text, args)
	}
	rows, err := s.stmt.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.running = true
	return &compiledRows{rows, s}, nil
}

// Close closes the statements and the connection.
func (c *compilingConn) Close() error {
	return errors.Join(c.forget(0, 0), c.sqliteConn.Close())
}

type compiledRows struct {
	driver.Rows
	of *compiled
}

func (r *compiledRows) Close() error {
	r.of.running = false
	return r.Rows.Close()
}
