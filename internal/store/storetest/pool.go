package storetest

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/pratique/pratique/internal/store"
)

// Main runs the tests of a package, for its TestMain: their stores are then made
// from what another test has done with, which takes a tenth of the time.
//
//	func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }
func Main(m *testing.M) int {
	used = &pool{}
	defer used.close()
	return m.Run()
}

// used is nil where the package has no Main.
var used *pool

// pool keeps what was migrated once.
type pool struct {
	mu      sync.Mutex
	file    string   // a database of SQLite, to be copied
	schemas []schema // of PostgreSQL, empty but for what migrations put there
	all     []string // the names of all that were made
}

// schema is one of PostgreSQL's with its tables as they are after the migrations.
type schema struct {
	name, url string
	tables    []string
	rows      map[string]string // as JSON, of the tables that are not empty
	columns   map[string]string // those that can be written to, of the same
	sequences string            // a query that sets them
}

// sqlite puts a migrated database into a new file and names it.
func (p *pool) sqlite(t testing.TB) string {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.file == "" {
		dir, err := os.MkdirTemp("", "pratique-store-")
		if err != nil {
			t.Fatal(err)
		}
		p.file = filepath.Join(dir, "migrated.db")
		migrate(t, "sqlite:"+p.file)
	}
	content, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "pratique.db")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return "sqlite:" + file
}

func migrate(t testing.TB, url string) {
	t.Helper()
	s, err := store.Open(context.Background(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// postgres names a migrated schema that is empty. To be called before the store is
// opened, so that it is closed when the schema is emptied.
func (p *pool) postgres(t testing.TB) string {
	t.Helper()
	s := p.take(t)
	t.Cleanup(func() {
		if t.Failed() {
			return // perhaps it cannot be emptied; what is in it does no harm
		}
		if err := s.empty(); err != nil {
			t.Errorf("empty schema %s: %v", s.name, err)
			return
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.schemas = append(p.schemas, s)
	})
	return s.url
}

func (p *pool) take(t testing.TB) schema {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.schemas); n > 0 {
		s := p.schemas[n-1]
		p.schemas = p.schemas[:n-1]
		return s
	}
	name, url := newSchema(t)
	p.all = append(p.all, name)
	migrate(t, url)
	s := schema{name: name, url: url}
	if err := s.look(); err != nil {
		t.Fatalf("look at schema %s: %v", name, err)
	}
	return s
}

// look notes what the migrations made.
func (s *schema) look() error {
	return onServer(func(db *sql.DB) error {
		var tables string
		if err := db.QueryRow(`select json_agg(relname order by relname) from pg_class
			where relkind = 'r' and relnamespace = to_regnamespace($1)`, s.name).Scan(&tables); err != nil {
			return err
		}
		if err := json.Unmarshal([]byte(tables), &s.tables); err != nil {
			return err
		}
		s.rows, s.columns = make(map[string]string), make(map[string]string)
		for _, table := range s.tables {
			var rows sql.NullString
			if err := db.QueryRow(`select json_agg(r) from ` + s.name + `.` + table + ` r`).Scan(&rows); err != nil {
				return err
			}
			if !rows.Valid {
				continue
			}
			var columns string
			if err := db.QueryRow(`select string_agg(quote_ident(attname), ', ') from pg_attribute
				where attrelid = to_regclass($1) and attnum > 0 and not attisdropped and attgenerated = ''`, s.name+"."+table).Scan(&columns); err != nil {
				return err
			}
			s.rows[table], s.columns[table] = rows.String, columns
		}
		return db.QueryRow(`select coalesce('select ' || string_agg(format('setval(%L, %s, %L)', schemaname || '.' || sequencename,
			coalesce(last_value, start_value), last_value is not null), ', '), '') from pg_sequences where schemaname = $1`, s.name).Scan(&s.sequences)
	})
}

// empty makes the schema what it was after the migrations. Triggers and foreign
// keys rest meanwhile.
func (s *schema) empty() error {
	const large = 1 << 20 // bytes, from which on a new file is faster than deleting rows
	var b strings.Builder
	fmt.Fprintf(&b, "set local search_path = %s;\nset local session_replication_role = replica;\ndo $$ begin\n", s.name)
	for _, table := range s.tables {
		fmt.Fprintf(&b, "if pg_relation_size('%[1]s') > %[2]d then truncate %[1]s cascade; elsif pg_relation_size('%[1]s') > 0 then delete from %[1]s; end if;\n", table, large)
	}
	b.WriteString("end $$;\n")
	for table, rows := range s.rows {
		fmt.Fprintf(&b, "insert into %[1]s (%[2]s) overriding system value select %[2]s from json_populate_recordset(null::%[1]s, $rows$%[3]s$rows$);\n", table, s.columns[table], rows)
	}
	b.WriteString(s.sequences)
	return onServer(func(db *sql.DB) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // does nothing after a commit
		if _, err := tx.Exec(b.String()); err != nil {
			return err
		}
		return tx.Commit()
	})
}

func (p *pool) close() {
	if p.file != "" {
		if err := os.RemoveAll(filepath.Dir(p.file)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	for _, name := range p.all {
		if err := dropSchema(name); err != nil {
			fmt.Fprintf(os.Stderr, "drop schema %s: %v\n", name, err)
		}
	}
}
