package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// packageRow is a distinct package with its id.
type packageRow struct {
	id int64
	inventory.Package
}

func (p packageRow) key() advisory.Key {
	return advisory.Key{Ecosystem: p.Distribution, Package: p.SourceName}
}

// liveMatch is a match as it stands in the database.
type liveMatch struct {
	id                            int64
	feed, part, introduced, fixed string
	severity                      advisory.Severity
	note                          string
}

// matchBatch bounds rows per statement: SQLite takes 32766 parameters at most.
const matchBatch = 500

// lockMatching makes the transaction the only one that changes advisories,
// packages or matches until it ends, so that a package that is new and an
// advisory that is new cannot miss each other. SQLite has one writer anyway.
func (s *Store) lockMatching(ctx context.Context, tx *sql.Tx) error {
	if s.engine != Postgres {
		return nil
	}
	const lockNumber = 727_001
	if _, err := tx.ExecContext(ctx, `select pg_advisory_xact_lock($1)`, lockNumber); err != nil {
		return fmt.Errorf("lock matching: %w", err)
	}
	return nil
}

// rematchKeys brings the matches of all packages with these keys up to date.
func (s *Store) rematchKeys(ctx context.Context, tx *sql.Tx, keys []advisory.Key, decide match.Decide) error {
	for chunk := range slices.Chunk(keys, matchBatch) {
		packages, err := packagesByKey(ctx, tx, chunk)
		if err != nil {
			return err
		}
		if err := s.matchPackages(ctx, tx, packages, decide); err != nil {
			return err
		}
	}
	return nil
}

// matchPackages computes what affects the packages now and writes the
// difference to what is stored.
func (s *Store) matchPackages(ctx context.Context, tx *sql.Tx, packages []packageRow, decide match.Decide) error {
	for chunk := range slices.Chunk(packages, matchBatch) {
		if err := s.matchChunk(ctx, tx, chunk, decide); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) matchChunk(ctx context.Context, tx *sql.Tx, packages []packageRow, decide match.Decide) error {
	seen := make(map[advisory.Key]bool)
	var keys []advisory.Key
	for _, p := range packages {
		if p.Distribution != "" && !seen[p.key()] {
			seen[p.key()] = true
			keys = append(keys, p.key())
		}
	}
	statements, ids, err := statementsByKey(ctx, tx, keys)
	if err != nil {
		return err
	}
	live, err := liveMatches(ctx, tx, packages)
	if err != nil {
		return err
	}
	now := micros(s.now())
	var added []any
	for _, p := range packages {
		stored := live[p.id]
		for _, m := range decide(p.Package, statements[p.key()]) {
			vulnerability := ids[m.Vulnerability]
			old, known := stored[vulnerability]
			delete(stored, vulnerability)
			if !known {
				added = append(added, p.id, vulnerability, m.Feed, m.Part, m.Introduced, m.Fixed, int(m.Severity), m.Note, now)
				continue
			}
			fresh := liveMatch{old.id, m.Feed, m.Part, m.Introduced, m.Fixed, m.Severity, m.Note}
			if fresh == old {
				continue
			}
			if _, err := tx.ExecContext(ctx, `update matches set feed = $1, part = $2, introduced = $3, fixed = $4, severity = $5, note = $6 where id = $7`,
				fresh.feed, fresh.part, fresh.introduced, fresh.fixed, int(fresh.severity), fresh.note, fresh.id); err != nil {
				return fmt.Errorf("update match: %w", err)
			}
		}
		for _, gone := range stored {
			if _, err := tx.ExecContext(ctx, `update matches set gone_at = $1 where id = $2`, now, gone.id); err != nil {
				return fmt.Errorf("end match: %w", err)
			}
		}
	}
	if err := insertRows(ctx, tx, `insert into matches (package_id, vulnerability_id, feed, part, introduced, fixed, severity, note, first_seen) values `, 9, added); err != nil {
		return fmt.Errorf("insert matches: %w", err)
	}
	return nil
}

func packagesByKey(ctx context.Context, q querier, keys []advisory.Key) ([]packageRow, error) {
	args := make([]any, 0, 2*len(keys))
	for _, k := range keys {
		args = append(args, k.Ecosystem, k.Package)
	}
	return queryAll(ctx, q, scanPackage, `with k (ecosystem, package) as (values `+placeholders(len(keys), 2)+`)
		select p.id, p.type, p.distribution, p.name, p.version, p.architecture, p.source_name, p.source_version
		from k join packages p on p.distribution = k.ecosystem and p.source_name = k.package`, args...)
}

// statementsByKey also returns the ids of the vulnerabilities by name.
func statementsByKey(ctx context.Context, q querier, keys []advisory.Key) (map[advisory.Key][]match.Statement, map[string]int64, error) {
	statements := make(map[advisory.Key][]match.Statement)
	ids := make(map[string]int64)
	if len(keys) == 0 {
		return statements, ids, nil
	}
	args := make([]any, 0, 2*len(keys))
	for _, k := range keys {
		args = append(args, k.Ecosystem, k.Package)
	}
	type row struct {
		id int64
		match.Statement
	}
	found, err := queryAll(ctx, q, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.Vulnerability, &r.Ecosystem, &r.Package, &r.Status, &r.Introduced, &r.Fixed, &r.Severity, &r.Note, &r.Feed, &r.Part)
		return r, err
	}, `with k (ecosystem, package) as (values `+placeholders(len(keys), 2)+`)
		select v.id, v.name, a.ecosystem, a.package, a.status, a.introduced, a.fixed, a.severity, a.note, g.feed, g.part
		from k
		join advisories a on a.ecosystem = k.ecosystem and a.package = k.package
		join advisory_groups g on g.id = a.group_id
		join vulnerabilities v on v.id = a.vulnerability_id
		order by a.id`, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("read advisories: %w", err)
	}
	for _, r := range found {
		k := advisory.Key{Ecosystem: r.Ecosystem, Package: r.Package}
		statements[k] = append(statements[k], r.Statement)
		ids[r.Vulnerability] = r.id
	}
	return statements, ids, nil
}

// liveMatches returns package id -> vulnerability id -> match.
func liveMatches(ctx context.Context, q querier, packages []packageRow) (map[int64]map[int64]liveMatch, error) {
	args := make([]any, 0, len(packages))
	for _, p := range packages {
		args = append(args, p.id)
	}
	type row struct {
		pkg, vulnerability int64
		liveMatch
	}
	found, err := queryAll(ctx, q, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.pkg, &r.vulnerability, &r.id, &r.feed, &r.part, &r.introduced, &r.fixed, &r.severity, &r.note)
		return r, err
	}, `select package_id, vulnerability_id, id, feed, part, introduced, fixed, severity, note from matches
		where gone_at is null and package_id in (`+parameters(1, len(args))+`)`, args...)
	if err != nil {
		return nil, fmt.Errorf("read matches: %w", err)
	}
	live := make(map[int64]map[int64]liveMatch, len(packages))
	for _, r := range found {
		if live[r.pkg] == nil {
			live[r.pkg] = make(map[int64]liveMatch)
		}
		live[r.pkg][r.vulnerability] = r.liveMatch
	}
	return live, nil
}
