package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/policy"
)

const tokenColumns = `id, name, prefix, created_by, created_at, last_used_at`

func scanToken(row interface{ Scan(...any) error }) (t policy.Token, err error) {
	var created, used sql.NullInt64
	err = row.Scan(&t.ID, &t.Name, &t.Prefix, &t.CreatedBy, &created, &used)
	t.CreatedAt, t.LastUsedAt = at(created), at(used)
	return t, noRows(err, policy.ErrNotFound)
}

// CreateAdmissionToken stores a token, or returns policy.ErrExists.
func (s *Store) CreateAdmissionToken(ctx context.Context, t policy.Token, hash []byte) (policy.Token, error) {
	err := s.tx(ctx, func(tx *sql.Tx) (err error) {
		t, err = scanToken(tx.QueryRowContext(ctx, `insert into admission_tokens (name, hash, prefix, created_by, created_at)
			values ($1, $2, $3, $4, $5) returning `+tokenColumns, t.Name, hash, t.Prefix, t.CreatedBy, micros(t.CreatedAt)))
		return err
	})
	if conflicting(err) {
		err = policy.ErrExists
	}
	return t, err
}

// AdmissionTokens lists the tokens by name.
func (s *Store) AdmissionTokens(ctx context.Context) ([]policy.Token, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (policy.Token, error) { return scanToken(rows) },
		`select `+tokenColumns+` from admission_tokens order by name`)
	if err != nil {
		return nil, fmt.Errorf("list admission tokens: %w", err)
	}
	return list, nil
}

// AdmissionToken returns the one with that hash, or policy.ErrNotFound.
func (s *Store) AdmissionToken(ctx context.Context, hash []byte) (policy.Token, error) {
	return scanToken(s.read.QueryRowContext(ctx, `select `+tokenColumns+` from admission_tokens where hash = $1`, hash))
}

// TouchAdmissionToken notes that a token was used.
func (s *Store) TouchAdmissionToken(ctx context.Context, id int64, when time.Time) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `update admission_tokens set last_used_at = $1 where id = $2`, micros(when), id)
		return err
	})
}

// DeleteAdmissionToken removes a token, or returns policy.ErrNotFound.
func (s *Store) DeleteAdmissionToken(ctx context.Context, id int64) (t policy.Token, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) (err error) {
		t, err = scanToken(tx.QueryRowContext(ctx, `delete from admission_tokens where id = $1 returning `+tokenColumns, id))
		return err
	})
	return t, err
}

// ManifestDigest returns the digest of the manifest that a tag, or a digest,
// names in a repository, or policy.ErrNotFound.
func (s *Store) ManifestDigest(ctx context.Context, registry, repository, reference string) (digest string, err error) {
	query := `select t.digest from registries g
		join repositories r on r.registry_id = g.id and r.name = $2
		join tags t on t.repository_id = r.id and t.name = $3
		where g.name = $1`
	if strings.Contains(reference, ":") {
		query = `select m.digest from registries g
		join repositories r on r.registry_id = g.id and r.name = $2
		join manifests m on m.repository_id = r.id and m.digest = $3
		where g.name = $1`
	}
	if err := s.read.QueryRowContext(ctx, query, registry, repository, reference).Scan(&digest); err != nil {
		return "", fmt.Errorf("manifest %s/%s %s: %w", registry, repository, reference, noRows(err, policy.ErrNotFound))
	}
	return digest, nil
}
