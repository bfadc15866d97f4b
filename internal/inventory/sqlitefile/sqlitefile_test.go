package sqlitefile_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/inventory/sqlitefile"
)

// small is a database of SQLite's own making; see enginetest.
func small(t testing.TB) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/small.sqlite")
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

// Whatever is cut off or overwritten, no row is invented, and what is missing is told.
func TestDamage(t *testing.T) {
	content := small(t)
	whole, _ := lines(t, content)
	if len(whole) != 54 {
		t.Fatalf("%q", whole)
	}
	for cut := 100; cut < len(content); cut += 100 {
		f, err := sqlitefile.Open(bytes.NewReader(content[:cut]), int64(cut))
		if err != nil {
			t.Fatal(err)
		}
		if f.Table("t") == nil {
			if len(f.Problems()) == 0 {
				t.Errorf("cut at %d: no table, and no problem", cut)
			}
			continue
		}
		got, problems := lines(t, content[:cut])
		for _, row := range got {
			if !strings.Contains(strings.Join(whole, "\n"), row) {
				t.Errorf("cut at %d: %s", cut, row)
			}
		}
		if len(got) < len(whole) && len(problems) == 0 {
			t.Errorf("cut at %d: %d rows, and no problem", cut, len(got))
		}
	}
	for _, other := range []string{"", "x", strings.Repeat("\x00", 200), "SQLite format 2"} {
		if _, err := sqlitefile.Open(strings.NewReader(other), int64(len(other))); !errors.Is(err, sqlitefile.ErrFormat) {
			t.Errorf("%.20q: %v", other, err)
		}
	}
	broken := errors.New("broken")
	if _, err := sqlitefile.Open(failing{bytes.NewReader(content), broken}, int64(len(content))); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
}

// failing fails beyond its first 300 bytes.
type failing struct {
	io.ReaderAt
	err error
}

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > 300 {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(b, at)
}

func FuzzRows(f *testing.F) {
	f.Add(small(f))
	f.Fuzz(func(t *testing.T, content []byte) {
		db, err := sqlitefile.Open(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			if !errors.Is(err, sqlitefile.ErrFormat) {
				t.Error(err)
			}
			return
		}
		if table := db.Table("t"); table != nil {
			bytes := 0
			if err := table.Rows(func(r sqlitefile.Row) error {
				for i := range 6 {
					bytes += len(r.Value(i).Text())
				}
				_ = r.Value(table.Column("id")).Int()
				return nil
			}); err != nil {
				t.Error(err)
			}
			if bytes > 100*len(content)+1<<20 {
				t.Errorf("%d bytes of %d", bytes, len(content))
			}
		}
		if len(db.Problems()) > 20 {
			t.Errorf("%d problems", len(db.Problems()))
		}
	})
}
