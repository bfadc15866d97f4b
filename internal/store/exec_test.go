package store

import (
	"context"
	"database/sql"
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
}

// EndAssessmentsUnder is what the deletion of a registry or a repository does.
func (s *Store) EndAssessmentsUnder(ctx context.Context, registry, repository, by string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		return s.endAssessmentsUnder(ctx, tx, registry, repository, s.now(), by)
	})
}

// CreateAssessment stores one assessment.
func (s *Store) CreateAssessment(ctx context.Context, a assess.Assessment) (assess.Assessment, error) {
	created, err := s.CreateAssessments(ctx, []assess.Assessment{a}, assess.Keep{})
	if err != nil {
		return a, err
	}
	return created[0], nil
}
