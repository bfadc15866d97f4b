package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/assess"
)

// Exec runs statements that set a test up.
func (s *Store) Exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := s.write.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := s.countOld(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// EndAssessmentsUnder is what the deletion of a registry or a repository does.
func (s *Store) EndAssessmentsUnder(ctx context.Context, registry, repository, by string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		return s.endAssessmentsUnder(ctx, tx, registry, repository, s.now(), by)
	})
}

// Count is the number of rows of a table.
func (s *Store) Count(t testing.TB, table string) (n int) {
	t.Helper()
	if err := s.read.QueryRow("select count(*) from " + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// Strings are the answers of a query.
func (s *Store) Strings(t testing.TB, query string) []string {
	t.Helper()
	all, err := queryAll(context.Background(), s.read, scanString, query)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// VersionKeys lists all keys of versions, and how far their making is.
func (s *Store) VersionKeys(t testing.TB) string {
	t.Helper()
	var text strings.Builder
	for _, query := range []string{
		`select 'package', id, version_key, source_key from packages order by id`,
		`select 'fixed', id, introduced_key, fixed_key from advisories order by id`,
		`select 'progress', 0, null, null from rekeying`,
	} {
		if _, err := queryAll(t.Context(), s.read, func(rows *sql.Rows) (none struct{}, err error) {
			var kind string
			var id int64
			var a, b []byte
			err = rows.Scan(&kind, &id, &a, &b)
			if b == nil {
				kind += " null"
			}
			fmt.Fprintf(&text, "%s %d %x %x\n", kind, id, a, b)
			return none, err
		}, query); err != nil {
			t.Fatal(err)
		}
	}
	return text.String()
}

// CreateAssessment stores one assessment.
func (s *Store) CreateAssessment(ctx context.Context, a assess.Assessment) (assess.Assessment, error) {
	created, err := s.CreateAssessments(ctx, []assess.Assessment{a}, assess.Keep{})
	if err != nil {
		return a, err
	}
	return created[0], nil
}
