package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// ReplaceScores makes the scores, sorted by CVE and no two of one, all that is
// stored, and returns how many of them differed and how many were taken away.
// One read of what is stored tells which these are; reading costs a quarter of
// what writing does. It writes in many short transactions, so that others can
// write, too; where one fails, the next call does the rest.
func (s *Store) ReplaceScores(ctx context.Context, scores []feed.Score) (changed, removed int, err error) {
	same := make([]bool, len(scores))
	var gone []any
	if err := s.Scores(ctx, func(n feed.Score) error {
		i, found := slices.BinarySearchFunc(scores, n.CVE, func(s feed.Score, name string) int { return strings.Compare(s.CVE, name) })
		if found {
			same[i] = scores[i] == n
		} else {
			gone = append(gone, n.CVE)
		}
		return nil
	}); err != nil {
		return 0, 0, err
	}
	const batch = 5000
	some := make([]feed.Score, 0, batch)
	for i, n := range scores {
		if !same[i] {
			some = append(some, n)
		}
		if len(some) < batch && i < len(scores)-1 || len(some) == 0 {
			continue
		}
		if err := s.tx(ctx, func(tx *sql.Tx) error { return s.upsertScores(ctx, tx, some) }); err != nil {
			return changed, 0, fmt.Errorf("store scores: %w", err)
		}
		changed += len(some)
		some = some[:0]
	}
	for names := range slices.Chunk(gone, relationRows) {
		if err := s.tx(ctx, func(tx *sql.Tx) error {
			list := s.relation("name text", names)
			_, err := tx.ExecContext(ctx, `delete from epss where name in (`+list.query+`)`, list.args...)
			return err
		}); err != nil {
			return changed, removed, fmt.Errorf("delete scores: %w", err)
		}
		removed += len(names)
	}
	return changed, removed, nil
}

// Scores calls each with all that is stored, in no order.
func (s *Store) Scores(ctx context.Context, each func(feed.Score) error) (err error) {
	rows, err := s.read.QueryContext(ctx, `select name, score, percentile from epss`)
	if err != nil {
		return fmt.Errorf("read scores: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n feed.Score
		if err := rows.Scan(&n.CVE, &n.Probability, &n.Percentile); err != nil {
			return fmt.Errorf("read scores: %w", err)
		}
		if err := each(n); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read scores: %w", err)
	}
	return nil
}

// upsertScores writes scores.
func (s *Store) upsertScores(ctx context.Context, tx *sql.Tx, scores []feed.Score) error {
	values := make([]any, 0, 3*len(scores))
	for _, n := range scores {
		values = append(values, n.CVE, n.Probability, n.Percentile)
	}
	return s.insertRows(ctx, tx, `epss (name text, score double precision, percentile double precision)
		on conflict (name) do update set score = excluded.score, percentile = excluded.percentile`, values)
}
