package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// ReplaceScores makes the scores, no two of one CVE, all that is stored, and
// returns how many of them differed and how many were taken away. One read of
// what is stored tells which these are; reading costs a quarter of what writing
// does. It writes in many short transactions, so that others
// can write, too; where one fails, the next call does the rest.
func (s *Store) ReplaceScores(ctx context.Context, scores []feed.Score) (changed, removed int, err error) {
	stored, err := s.scores(ctx)
	if err != nil {
		return 0, 0, fmt.Errorf("read scores: %w", err)
	}
	var differ []feed.Score
	for _, n := range scores {
		if old, known := stored[n.CVE]; !known || old != n {
			differ = append(differ, n)
		}
		delete(stored, n.CVE)
	}
	const batch = 5000
	for some := range slices.Chunk(differ, batch) {
		if err := s.tx(ctx, func(tx *sql.Tx) error { return s.upsertScores(ctx, tx, some) }); err != nil {
			return changed, 0, fmt.Errorf("store scores: %w", err)
		}
		changed += len(some)
	}
	for names := range slices.Chunk(slices.Sorted(maps.Keys(stored)), importBatch) {
		args := make([]any, len(names))
		for i, name := range names {
			args[i] = name
		}
		if err := s.tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `delete from epss where name in (`+parameters(1, len(args))+`)`, args...)
			return err
		}); err != nil {
			return changed, removed, fmt.Errorf("delete scores: %w", err)
		}
		removed += len(names)
	}
	return changed, removed, nil
}

// scores returns all that is stored by CVE.
func (s *Store) scores(ctx context.Context) (map[string]feed.Score, error) {
	rows, err := s.read.QueryContext(ctx, `select name, score, percentile from epss`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	all := make(map[string]feed.Score)
	for rows.Next() {
		var n feed.Score
		if err := rows.Scan(&n.CVE, &n.Probability, &n.Percentile); err != nil {
			return nil, err
		}
		all[n.CVE] = n
	}
	return all, rows.Err()
}

// upsertScores writes scores. As insertRows tells, SQLite wants short statements
// and PostgreSQL long ones.
func (s *Store) upsertScores(ctx context.Context, tx *sql.Tx, scores []feed.Score) (err error) {
	const width = 3
	rows := 64
	if s.engine == Postgres {
		rows = 2500
	}
	statement := func(rows int) string {
		return `insert into epss (name, score, percentile) values ` + placeholders(rows, width) + `
			on conflict (name) do update set score = excluded.score, percentile = excluded.percentile`
	}
	prepared, err := tx.PrepareContext(ctx, statement(rows))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, prepared.Close()) }()
	args := make([]any, 0, width*rows)
	for chunk := range slices.Chunk(scores, rows) {
		args = args[:0]
		for _, n := range chunk {
			args = append(args, n.CVE, n.Probability, n.Percentile)
		}
		if len(chunk) == rows {
			_, err = prepared.ExecContext(ctx, args...)
		} else {
			_, err = tx.ExecContext(ctx, statement(len(chunk)), args...)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
