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
	limits, err := s.scoreLimits(ctx)
	if err != nil {
		return 0, 0, err
	}
	same, before := make([]bool, len(scores)), make([]float64, len(scores))
	var gone []any
	var judged []string
	if err := s.Scores(ctx, func(n feed.Score) error {
		i, found := slices.BinarySearchFunc(scores, n.CVE, func(s feed.Score, name string) int { return strings.Compare(s.CVE, name) })
		if found {
			same[i], before[i] = scores[i] == n, n.Probability
		} else {
			gone = append(gone, n.CVE)
			if crosses(limits, n.Probability, 0) {
				judged = append(judged, n.CVE)
			}
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
			if crosses(limits, before[i], n.Probability) {
				judged = append(judged, n.CVE)
			}
		}
		if len(some) < batch && i < len(scores)-1 || len(some) == 0 {
			continue
		}
		if err := s.tx(ctx, func(tx *sql.Tx) error {
			// Who is about to put a vulnerability among the affected has read its score.
			if err := s.lockCounting(ctx, tx); err != nil {
				return err
			}
			return s.upsertScores(ctx, tx, some)
		}); err != nil {
			return changed, 0, fmt.Errorf("store scores: %w", err)
		}
		changed += len(some)
		some = some[:0]
	}
	for names := range slices.Chunk(gone, relationRows) {
		if err := s.tx(ctx, func(tx *sql.Tx) error {
			if err := s.lockCounting(ctx, tx); err != nil {
				return err
			}
			list := s.relation("name text", names)
			_, err := tx.ExecContext(ctx, `delete from epss where name in (`+list.query+`)`, list.args...)
			return err
		}); err != nil {
			return changed, removed, fmt.Errorf("delete scores: %w", err)
		}
		removed += len(names)
	}
	for names := range slices.Chunk(judged, matchBatch) {
		if err := s.tx(ctx, func(tx *sql.Tx) error {
			ids, err := queryAll(ctx, tx, scanID, `select id from vulnerabilities where name in (`+parameters(1, len(names))+`)`, anys(names)...)
			if err != nil {
				return err
			}
			return s.foundDue(ctx, tx, ids)
		}); err != nil {
			return changed, removed, fmt.Errorf("judge scores: %w", err)
		}
	}
	return changed, removed, nil
}

// scoreLimits are the scores from which rules assess.
func (s *Store) scoreLimits(ctx context.Context) (limits []float64, err error) {
	types, err := s.AssessmentTypes(ctx)
	for _, t := range types {
		if t.Rule != nil && t.Rule.EPSSFrom != nil && t.Enabled {
			limits = append(limits, *t.Rule.EPSSFrom)
		}
	}
	return limits, err
}

// crosses reports whether a limit lies between two scores.
func crosses(limits []float64, before, after float64) bool {
	return slices.ContainsFunc(limits, func(limit float64) bool { return before >= limit != (after >= limit) })
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
