package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
)

// candidate is a statement in whose range the version of a package lies.
type candidate struct {
	pkg, vulnerability, stated int64
	fallback                   bool
	// certain is one that affects the package unless something else is stated of it
	// and the vulnerability: see match.Decide.
	certain bool
}

// matchFresh is matchPackages for packages that have no match yet. What is certain
// is copied from statement to match within the database: to read thousands of
// statements and to write them back takes longer than all else that a new image needs.
func (s *Store) matchFresh(ctx context.Context, tx *sql.Tx, packages []packageRow, decide match.Decide) error {
	for chunk := range slices.Chunk(packages, matchBatch) {
		if err := s.matchFreshChunk(ctx, tx, chunk, decide); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) matchFreshChunk(ctx context.Context, tx *sql.Tx, packages []packageRow, decide match.Decide) error {
	candidates, err := s.candidates(ctx, tx, packages)
	if err != nil {
		return fmt.Errorf("read advisories: %w", err)
	}
	type pair struct{ pkg, vulnerability int64 }
	times := make(map[pair]int, len(candidates))
	for _, c := range candidates {
		times[pair{c.pkg, c.vulnerability}]++
	}
	// Pages of indexes by vulnerability are visited one after the other then.
	slices.SortFunc(candidates, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.vulnerability, b.vulnerability), cmp.Compare(a.pkg, b.pkg))
	})
	var certain []any
	var contested []candidate
	changed := make([]int64, 0, len(candidates))
	for _, c := range candidates {
		if c.certain && times[pair{c.pkg, c.vulnerability}] == 1 {
			certain = append(certain, c.pkg, c.stated)
			changed = append(changed, c.vulnerability)
		} else {
			contested = append(contested, c)
		}
	}
	now := micros(s.now())
	const columns = `package_id bigint, stated bigint`
	if _, err := queryRelation(ctx, s, tx, scanID, columns, certain, func(given relation) string {
		return `with k (` + namesOf(columns) + `) as (` + given.query + `)
			insert into matches (package_id, vulnerability_id, ` + matchColumns + `, first_seen)
			select k.package_id, a.vulnerability_id, g.feed, g.part, a.identifier, a.introduced, a.fixed, a.last_affected, a.fix_state, a.note,
				a.severity, a.source, cast(` + fmt.Sprint(now) + ` as bigint)
			from k join advisories a on a.id = k.stated join advisory_groups g on g.id = a.group_id`
	}); err != nil {
		return fmt.Errorf("insert matches: %w", err)
	}
	statements, ids, err := s.statements(ctx, tx, contested)
	if err != nil {
		return err
	}
	var added []any
	for _, p := range packages {
		for _, m := range decide(p.Package, statements[p.id]) {
			fresh := asStored(0, m)
			added = append(append(append(added, p.id, ids[m.Vulnerability]), fresh.values()...), now)
			changed = append(changed, ids[m.Vulnerability])
		}
	}
	if err := s.insertMatches(ctx, tx, added); err != nil {
		return err
	}
	return s.ruledDue(ctx, tx, changed)
}

func (s *Store) candidates(ctx context.Context, tx *sql.Tx, packages []packageRow) ([]candidate, error) {
	return queryRelation(ctx, s, tx, func(rows *sql.Rows) (c candidate, err error) {
		err = rows.Scan(&c.pkg, &c.vulnerability, &c.stated, &c.fallback, &c.certain)
		return c, err
	}, "id bigint", idsOf(packages), func(given relation) string {
		return inRange(given, `p.id, a.vulnerability_id, a.id, s.fallback,
			not s.fallback and a.architectures = '' and (a.module = p.module or a.module = '`+advisory.AnyModule+`')`, ``)
	})
}

// statements are those of candidates, as affecting returns them.
func (s *Store) statements(ctx context.Context, tx *sql.Tx, candidates []candidate) (map[int64][]match.Statement, map[string]int64, error) {
	var given []any
	for _, c := range candidates {
		given = append(given, c.pkg, c.stated, c.fallback)
	}
	const columns = `package_id bigint, stated bigint, fallback boolean`
	found, err := queryRelation(ctx, s, tx, scanStated, columns, given, func(given relation) string {
		return `with k (` + namesOf(columns) + `) as (` + given.query + `)
			select k.package_id, v.id, v.name, k.fallback, ` + statementColumns + `, a.id
			from k join advisories a on a.id = k.stated
			join advisory_groups g on g.id = a.group_id
			join vulnerabilities v on v.id = a.vulnerability_id`
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read advisories: %w", err)
	}
	return withOwn(ctx, tx, found)
}
