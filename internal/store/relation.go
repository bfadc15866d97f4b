package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// relation is a table of values that a statement reads, with as few parameters
// as the engine likes best. This is the one place that knows.
//
// SQLite takes a list of parameters without numbers: it looks a numbered one up
// among all those before it, so that a statement costs the square of its length.
// PostgreSQL takes an array a column: it reads, plans and binds a statement anew
// for each number of parameters.
//
// The relation comes first in a statement, further parameters are numbered by after.
type relation struct {
	query string
	args  []any
}

// relation makes one of values row by row. The columns are "name type, …"; types
// are text, bigint, integer, boolean, double precision and bytes. Where a column
// is bigint, sql.NullInt64 is taken too.
func (s *Store) relation(columns string, values []any) relation {
	kinds := kindsOf(columns)
	if s.engine == Postgres {
		return arrays(kinds, values)
	}
	return relation{query: "values " + marks(len(values)/len(kinds), len(kinds)), args: values}
}

// after is the n-th parameter after the relation's own.
func (r relation) after(n int) string { return "$" + strconv.Itoa(len(r.args)+n) }

// with adds the arguments of further parameters.
func (r relation) with(more ...any) []any { return append(r.args[:len(r.args):len(r.args)], more...) }

// marks writes "(?,?),(?,?)".
func marks(rows, width int) string {
	row := "(?" + strings.Repeat(",?", width-1) + ")"
	var b strings.Builder
	b.Grow(rows * (len(row) + 1))
	for i := range rows {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(row)
	}
	return b.String()
}

// kindsOf are the types of "name type, …".
func kindsOf(columns string) []string {
	list := strings.Split(columns, ",")
	for i, column := range list {
		_, list[i], _ = strings.Cut(strings.TrimSpace(column), " ")
	}
	return list
}

// namesOf are the names of "name type, …".
func namesOf(columns string) string {
	list := strings.Split(columns, ",")
	for i, column := range list {
		list[i], _, _ = strings.Cut(strings.TrimSpace(column), " ")
	}
	return strings.Join(list, ", ")
}

// arrays makes a relation of PostgreSQL's arrays.
func arrays(kinds []string, values []any) relation {
	var r relation
	var b strings.Builder
	b.WriteString("select * from unnest(")
	rows := len(values) / len(kinds)
	for c, kind := range kinds {
		if c > 0 {
			b.WriteByte(',')
		}
		column := func(i int) any { return values[i*len(kinds)+c] }
		fmt.Fprintf(&b, "$%d::%s[]", c+1, dialect[Postgres].Replace(map[bool]string{true: "{{bytes}}", false: kind}[kind == "bytes"]))
		switch kind {
		case "text":
			r.args = append(r.args, arrayOf(rows, func(i int) string { return column(i).(string) }))
		case "bytes":
			r.args = append(r.args, arrayOf(rows, func(i int) []byte { return column(i).([]byte) }))
		case "boolean":
			r.args = append(r.args, arrayOf(rows, func(i int) bool { return column(i).(bool) }))
		case "double precision":
			r.args = append(r.args, arrayOf(rows, func(i int) float64 { return column(i).(float64) }))
		default:
			r.args = append(r.args, arrayOf(rows, func(i int) *int64 { return integer(column(i)) }))
		}
	}
	b.WriteByte(')')
	r.query = b.String()
	return r
}

func arrayOf[T any](rows int, value func(i int) T) []T {
	list := make([]T, rows)
	for i := range list {
		list[i] = value(i)
	}
	return list
}

// integer is a number as a column of an array takes it; nil is null.
func integer(v any) *int64 {
	switch v := v.(type) {
	case int64:
		return &v
	case int:
		n := int64(v)
		return &n
	case sql.NullInt64:
		if !v.Valid {
			return nil
		}
		return &v.Int64
	}
	panic(fmt.Sprintf("store: a %T is no number", v)) // a mistake in this package
}

// insertRows inserts values row by row into "table (name type, …)", which "on
// conflict …" may follow. Connections keep the statement of batches that are full.
func (s *Store) insertRows(ctx context.Context, tx *sql.Tx, into string, values []any) error {
	table, columns, _ := strings.Cut(into, "(")
	columns, more, _ := strings.Cut(columns, ")")
	width := len(kindsOf(columns))
	parameters := 1024
	if s.engine == Postgres {
		parameters = 32768
	}
	batch := max(1, parameters/width) * width
	insert := "insert into " + table + "(" + namesOf(columns) + ") "
	for len(values) > 0 {
		rows := values[:min(batch, len(values))]
		values = values[len(rows):]
		r := s.relation(columns, rows)
		if _, err := tx.ExecContext(ctx, insert+r.query+more, r.args...); err != nil {
			return err
		}
	}
	return nil
}

// relationRows bounds the rows of a relation that a query looks up.
const relationRows = 1000

// queryRelation runs a query that starts with a relation for all values, some rows
// at a time. A connection to SQLite keeps the statement of some rows, which takes less
// than to read one of all rows.
func queryRelation[T any](ctx context.Context, s *Store, tx *sql.Tx, scan func(*sql.Rows) (T, error), columns string, values []any, query func(relation) string) ([]T, error) {
	if len(values) == 0 {
		return nil, nil
	}
	width := len(kindsOf(columns))
	var all []T
	rows := relationRows
	if s.engine == SQLite {
		rows = 64
	}
	batch := rows * width
	for some := range slices.Chunk(values, batch) {
		given := s.relation(columns, some)
		list, err := queryAll(ctx, tx, scan, query(given), given.args...)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}
