package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pratique/pratique/internal/assess"
)

// SeedAssessmentTypes stores the types where there are none at all.
func (s *Store) SeedAssessmentTypes(ctx context.Context, types []assess.Type) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		var known int
		if err := tx.QueryRowContext(ctx, `select count(*) from assessment_types`).Scan(&known); err != nil || known > 0 {
			return err
		}
		for _, t := range types {
			// Another replica may be starting too.
			if _, err := tx.ExecContext(ctx, `insert into assessment_types (name, color, description, blocks, expiry_days, position)
				values ($1, $2, $3, $4, $5, $6) on conflict (name) do nothing`,
				t.Name, t.Color, t.Description, t.Blocks, expiryDays(t), t.Position); err != nil {
				return fmt.Errorf("insert assessment type %s: %w", t.Name, err)
			}
		}
		return nil
	})
}

// AssessmentTypes lists the types by position, then name.
func (s *Store) AssessmentTypes(ctx context.Context) ([]assess.Type, error) {
	types, err := queryAll(ctx, s.read, func(rows *sql.Rows) (t assess.Type, err error) {
		var days sql.NullInt64
		err = rows.Scan(&t.ID, &t.Name, &t.Color, &t.Description, &t.Blocks, &days, &t.Position)
		t.ExpiryDays = int(days.Int64)
		return t, err
	}, `select id, name, color, description, blocks, expiry_days, position
		from assessment_types order by position, name`)
	if err != nil {
		return nil, fmt.Errorf("list assessment types: %w", err)
	}
	return types, nil
}

// CreateAssessmentType stores a type, or returns assess.ErrExists.
func (s *Store) CreateAssessmentType(ctx context.Context, t assess.Type) (assess.Type, error) {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `insert into assessment_types (name, color, description, blocks, expiry_days, position)
			values ($1, $2, $3, $4, $5, $6) returning id`,
			t.Name, t.Color, t.Description, t.Blocks, expiryDays(t), t.Position).Scan(&t.ID)
	})
	if conflicting(err) {
		return t, assess.ErrExists
	}
	return t, err
}

// UpdateAssessmentType replaces all but the name of the type, or returns
// assess.ErrNotFound.
func (s *Store) UpdateAssessmentType(ctx context.Context, t assess.Type) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `update assessment_types set color = $1, description = $2, blocks = $3, expiry_days = $4, position = $5
			where name = $6`, t.Color, t.Description, t.Blocks, expiryDays(t), t.Position, t.Name)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n == 0 {
			return orErr(err, assess.ErrNotFound)
		}
		return nil
	})
}

func expiryDays(t assess.Type) sql.NullInt64 {
	return sql.NullInt64{Int64: int64(t.ExpiryDays), Valid: t.ExpiryDays > 0}
}

// orErr is err, or otherwise where it is nil.
func orErr(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}
