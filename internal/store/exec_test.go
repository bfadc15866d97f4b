package store

import (
	"context"
	"database/sql"
	"testing"
)

// Exec runs statements that set a test up.
func (s *Store) Exec(t testing.TB, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := s.write.Exec(statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// EndAssessmentsUnder is what the deletion of a registry or a repository does.
func (s *Store) EndAssessmentsUnder(ctx context.Context, registry, repository, by string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		return endAssessmentsUnder(ctx, tx, registry, repository, s.now(), by)
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
