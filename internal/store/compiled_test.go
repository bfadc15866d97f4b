package store

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// keeping is a pool of one connection, and what that connection keeps.
func keeping(t *testing.T) (q querier, kept func() (statements, text int)) {
	t.Helper()
	db, err := openSQLiteDB("file:" + filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	conn, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, text := range []string{`create table numbers (n integer)`, `insert into numbers values (1), (2), (3)`} {
		if _, err := conn.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	return conn, func() (statements, text int) {
		err := conn.Raw(func(c any) error {
			kept := c.(*compilingConn)
			for _, s := range kept.kept {
				text += len(s.text)
			}
			if statements = len(kept.kept); text != kept.text {
				t.Errorf("%d bytes are kept, counted as %d", text, kept.text)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
		return statements, text
	}
}

func one(t *testing.T, q querier, text string, args ...any) (n int) {
	t.Helper()
	if err := q.QueryRowContext(t.Context(), text, args...).Scan(&n); err != nil {
		t.Fatalf("%.80s: %v", text, err)
	}
	return n
}

// TestStatementsWithinThemselves has a statement run while its own rows are read.
func TestStatementsWithinThemselves(t *testing.T) {
	q, _ := keeping(t)
	const above = `select n from numbers where n > ? order by n`
	var pairs []string
	outer, err := q.QueryContext(t.Context(), above, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer outer.Close()
	for outer.Next() {
		var a, b int
		if err := outer.Scan(&a); err != nil {
			t.Fatal(err)
		}
		inner, err := q.QueryContext(t.Context(), above, a)
		if err != nil {
			t.Fatal(err)
		}
		for inner.Next() {
			if err := inner.Scan(&b); err != nil {
				t.Fatal(err)
			}
			pairs = append(pairs, fmt.Sprint(a, b))
		}
		if err := errors.Join(inner.Err(), inner.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if err := outer.Err(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(pairs, ", "); got != "1 2, 1 3, 2 3" {
		t.Errorf("pairs are %s", got)
	}
}

func TestStatementsSeeTheSchema(t *testing.T) {
	q, kept := keeping(t)
	columns := func() int {
		rows, err := q.QueryContext(t.Context(), `select * from numbers`)
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close() // before its last row: the table is free nevertheless
		rows.Next()
		list, err := rows.Columns()
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	if n := columns(); n != 1 {
		t.Fatalf("%d columns", n)
	}
	before, _ := kept()
	if _, err := q.ExecContext(t.Context(), `alter table numbers add column m integer`); err != nil {
		t.Fatal(err)
	}
	if n := columns(); n != 2 {
		t.Errorf("%d columns after one was added", n)
	}
	if after, _ := kept(); after != before+1 {
		t.Errorf("%d statements were kept and then %d", before, after)
	}
	if _, err := q.ExecContext(t.Context(), `drop table numbers`); err != nil {
		t.Error(err)
	}
	if rows, err := q.QueryContext(t.Context(), `select * from numbers`); err == nil {
		_ = rows.Close()
		t.Error("the table that was dropped is read")
	}
}

func TestStatementsAreBounded(t *testing.T) {
	q, kept := keeping(t)
	for i := range 3 * compiledStatements {
		if n := one(t, q, fmt.Sprintf(`select count(*) + %d from numbers`, i)); n != i+3 {
			t.Errorf("statement %d says %d", i, n)
		}
	}
	if statements, _ := kept(); statements != compiledStatements {
		t.Errorf("%d statements are kept", statements)
	}
	for _, length := range []int{compiledText / 3, compiledText / 3, compiledText / 3, compiledText/2 + 1} {
		one(t, q, `select count(*) from numbers -- `+strings.Repeat("x", length))
	}
	if statements, text := kept(); text > compiledText || statements < 2 {
		t.Errorf("%d statements of %d bytes are kept", statements, text)
	}
	rows, err := q.QueryContext(t.Context(), `select n from numbers`)
	if err != nil {
		t.Fatal(err)
	}
	rows.Next()
	for i := range 2 * compiledStatements {
		one(t, q, fmt.Sprintf(`select count(*) - %d from numbers`, i))
	}
	for n := 1; ; n++ {
		var got int
		if err := rows.Scan(&got); err != nil || got != n {
			t.Errorf("row %d is %d: %v", n, got, err)
		}
		if !rows.Next() {
			break
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		t.Error(err)
	}
}

// TestStatementsEnd has a kept statement cut off, and run again.
func TestStatementsEnd(t *testing.T) {
	q, _ := keeping(t)
	const long = `with recursive c (n) as (select 1 union all select n + 1 from c where n < ?) select count(*) from c`
	if n := one(t, q, long, 10); n != 10 {
		t.Fatalf("it counts %d", n)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	var n int
	if err := q.QueryRowContext(ctx, long, 1_000_000_000).Scan(&n); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it is not cut off: %v", err)
	}
	if n := one(t, q, long, 20); n != 20 {
		t.Errorf("it counts %d afterwards", n)
	}
}
