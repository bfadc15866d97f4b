// Package enginetest_test compares the reader of databases with SQLite itself. It
// stands apart, for an engine among what a fuzz test watches makes that slow.
package enginetest_test

import (
	"bytes"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	_ "modernc.org/sqlite"

	"github.com/pratique/pratique/internal/inventory/sqlitefile"
)

var update = flag.Bool("update", false, "write the databases of testdata anew")

// database has SQLite itself run statements, and returns the file.
func database(t testing.TB, statements ...string) []byte {
	t.Helper()
	name := filepath.Join(t.TempDir(), "db")
	db, err := sql.Open("sqlite", name)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			t.Fatalf("%s: %v", s, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// lines are the rows of table t, by the names of their columns.
func lines(t testing.TB, content []byte) ([]string, []sqlitefile.Problem) {
	t.Helper()
	f, err := sqlitefile.Open(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	table := f.Table("T")
	if table == nil {
		return nil, f.Problems()
	}
	var out []string
	if err := table.Rows(func(r sqlitefile.Row) error {
		out = append(out, fmt.Sprintf("%d %d %q %d %x", r.ID, r.Value(table.Column("id")).Int(), clip(r.Value(table.Column("name")).Text()),
			r.Value(table.Column("number")).Int(), len(r.Value(table.Column("blob")).Bytes())))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out, f.Problems()
}

func clip(s string) string { return fmt.Sprintf("%.10s/%d", s, len(s)) }

const schema = `create table other (x);
	create table t (
		"id" integer primary key autoincrement, -- the row's id, so to say
		name text not null /* a name, (of course) */,
		number decimal(10, 5), [blob] blob,
		constraint c unique (name, number))`

// TestRows compares with what SQLite was told to write.
func TestRows(t *testing.T) {
	for _, size := range []int{512, 1024, 4096, 65536} {
		statements := []string{fmt.Sprintf("pragma page_size = %d", size), schema}
		var want []string
		for i, n := range []int64{0, 1, -1, 127, 128, -129, 1 << 20, -1 << 40, 1<<63 - 1, -1 << 63} {
			id := int64(i + 1)
			if i == 9 {
				id = 1 << 40
			}
			name := strings.Repeat(string(rune('a'+i)), i*i*i*200)
			statements = append(statements, fmt.Sprintf("insert into t values (%d, '%s', %d, zeroblob(%d))", id, name, n, i*5000))
			want = append(want, fmt.Sprintf("%d %d %q %d %x", id, id, clip(name), n, i*5000))
		}
		statements = append(statements, `insert into t values (5000, 'gone', 1, null)`, `delete from t where name = 'gone'`)
		got, problems := lines(t, database(t, statements...))
		if diff := cmp.Diff(want, got); diff != "" || len(problems) > 0 {
			t.Errorf("pages of %d bytes: problems %v (-want +got):\n%s", size, problems, diff)
		}
	}
}

// A table of several levels, in which the schema has changed meanwhile.
func TestManyRows(t *testing.T) {
	content := database(t, schema, `insert into t (name, number) with recursive n(i) as (select 1 union all select i+1 from n where i < 50000)
		select 'name' || i, i from n`, `alter table t add column more text default 'x'`)
	got, problems := lines(t, content)
	if len(got) != 50_000 || len(problems) > 0 {
		t.Fatalf("%d rows, %v", len(got), problems)
	}
	if want := `50000 50000 "name50000/9" 50000 0`; got[49_999] != want {
		t.Errorf("got %s, want %s", got[49_999], want)
	}
}

func TestColumns(t *testing.T) {
	f, err := sqlitefile.Open(bytes.NewReader(database(t, schema)), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"id": 0, "NAME": 1, "number": 2, "blob": 3, "constraint": -1, "c": -1} {
		if got := f.Table("t").Column(name); got != want {
			t.Errorf("column %s is at %d, want %d", name, got, want)
		}
	}
	if f.Table("u") != nil || f.Table("other").Column("x") != 0 {
		t.Error("the tables are mixed up")
	}
}

// TestTestdata makes the databases that other tests read, each from the statements
// beside it, and checks that they are what these make.
func TestTestdata(t *testing.T) {
	sources, err := filepath.Glob(filepath.Join("..", "..", "*", "testdata", "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join("..", "..", "testdata", "*", "*.sql"))
	if err != nil {
		t.Fatal(err)
	}
	if sources = append(sources, more...); len(sources) < 2 {
		t.Fatalf("only %q", sources)
	}
	for _, source := range sources {
		statements, err := os.ReadFile(source)
		if err != nil {
			t.Fatal(err)
		}
		want := database(t, string(statements))
		name := strings.TrimSuffix(source, ".sql") + ".sqlite"
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		got, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		// The header says which version of SQLite wrote it last.
		if len(got) != len(want) || !bytes.Equal(got[100:], want[100:]) {
			t.Errorf("%s is not what %s makes", name, source)
		}
	}
}
