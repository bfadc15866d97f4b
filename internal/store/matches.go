package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// packageRow is a distinct package with its id.
type packageRow struct {
	id int64
	inventory.Package
}

// packageColumns are those of a package p, for scanPackageInto.
const packageColumns = `p.type, p.distribution, p.name, p.version, p.architecture, p.source_name, p.source_version, p.module, p.repositories`

// packageFields are where packageColumns go.
func packageFields(p *inventory.Package) []any {
	return []any{&p.Type, &p.Distribution, &p.Name, &p.Version, &p.Architecture, &p.SourceName, &p.SourceVersion, &p.Module, &p.Repositories}
}

func scanPackage(rows *sql.Rows) (p packageRow, err error) {
	err = rows.Scan(append([]any{&p.id}, packageFields(&p.Package)...)...)
	return p, err
}

// statementColumns are those of an advisory a in a group g, for statementFields.
const statementColumns = `a.identifier, a.ecosystem, a.package, a.source, a.module, a.architectures, a.status,
			a.introduced, a.fixed, a.last_affected, a.fix_state, a.severity, a.note, g.feed, g.part`

// statementFields are where statementColumns go.
func statementFields(s *match.Statement) []any {
	return []any{&s.ID, &s.Ecosystem, &s.Package, &s.Source, &s.Module, &s.Architectures, &s.Status,
		&s.Introduced, &s.Fixed, &s.LastAffected, &s.Fix, &s.Severity, &s.Note, &s.Feed, &s.Part}
}

// liveMatch is a match as it stands in the database.
type liveMatch struct {
	id                                                         int64
	feed, part, identifier, introduced, fixed, last, fix, note string
	severity                                                   advisory.Severity
	source                                                     bool
}

// matchColumns are those of liveMatch, in its order.
const matchColumns = `feed, part, identifier, introduced, fixed, last_affected, fix_state, note, severity, source`

func (m *liveMatch) fields() []any {
	return []any{&m.feed, &m.part, &m.identifier, &m.introduced, &m.fixed, &m.last, &m.fix, &m.note, &m.severity, &m.source}
}

func (m *liveMatch) values() []any {
	return []any{m.feed, m.part, m.identifier, m.introduced, m.fixed, m.last, m.fix, m.note, int(m.severity), m.source}
}

func asStored(id int64, m match.Match) liveMatch {
	return liveMatch{id, m.Feed, m.Part, m.ID, m.Introduced, m.Fixed, m.LastAffected, string(m.Fix), m.Note, m.Severity, m.Source}
}

// matchBatch bounds the packages that are matched at once, whose statements are
// in memory then.
const matchBatch = 500

// lockMatching makes the transaction the only one that changes advisories,
// packages or matches until it ends, so that a package that is new and an
// advisory that is new cannot miss each other. It returns ErrKeyFormat where this
// program's keys cannot be compared with the stored ones.
func (s *Store) lockMatching(ctx context.Context, tx *sql.Tx) error {
	if err := s.lockAdvisories(ctx, tx); err != nil {
		return err
	}
	return checkKeys(ctx, tx)
}

// lockAdvisories is the lock.
func (s *Store) lockAdvisories(ctx context.Context, tx *sql.Tx) error {
	return s.lock(ctx, tx, 727_001)
}

// lock takes a lock until the transaction ends. SQLite has one writer anyway.
func (s *Store) lock(ctx context.Context, tx *sql.Tx, number int) error {
	if s.engine != Postgres {
		return nil
	}
	if _, err := tx.ExecContext(ctx, `select pg_advisory_xact_lock($1)`, number); err != nil {
		return fmt.Errorf("lock %d: %w", number, err)
	}
	return nil
}

// matchPackages computes what affects the packages now and writes the
// difference to what is stored, and to the journal.
func (s *Store) matchPackages(ctx context.Context, tx *sql.Tx, packages []packageRow, decide match.Decide, j *journal) error {
	for chunk := range slices.Chunk(packages, matchBatch) {
		if err := s.matchChunk(ctx, tx, chunk, nil, decide, j); err != nil {
			return err
		}
	}
	return nil
}

// matchChunk is matchPackages of a batch. Where only is not nil it holds, by
// package, the vulnerabilities that are looked at.
func (s *Store) matchChunk(ctx context.Context, tx *sql.Tx, packages []packageRow, only map[int64][]int64, decide match.Decide, j *journal) error {
	statements, ids, err := s.affecting(ctx, tx, packages, only)
	if err != nil {
		return err
	}
	live, err := s.liveMatches(ctx, tx, packages, only)
	if err != nil {
		return err
	}
	now := micros(s.now())
	var added, restated, gone, past []any
	ended := make(map[int64][]change) // by vulnerability
	var changed []int64               // vulnerabilities
	for _, p := range packages {
		stored := live[p.id]
		for _, m := range decide(p.Package, statements[p.id]) {
			vulnerability := ids[m.Vulnerability]
			old, known := stored[vulnerability]
			delete(stored, vulnerability)
			fresh := asStored(old.id, m)
			switch {
			case !known:
				added = append(append(append(added, p.id, vulnerability), fresh.values()...), now)
				changed = append(changed, vulnerability)
				j.note(change{p.id, m.Vulnerability, clairapi.Added, nil, fresh.statement(m.Vulnerability)})
			case fresh != old:
				j.note(change{p.id, m.Vulnerability, clairapi.Changed, old.statement(m.Vulnerability), fresh.statement(m.Vulnerability)})
				restated = append(append(restated, fresh.id), fresh.values()...)
				changed = append(changed, vulnerability)
			}
		}
		for vulnerability, m := range stored {
			gone = append(gone, m.id)
			changed = append(changed, vulnerability)
			if ended[vulnerability] == nil {
				past = append(past, vulnerability)
			}
			ended[vulnerability] = append(ended[vulnerability], change{p.id, "", clairapi.Removed, m.statement(""), nil})
		}
	}
	if j != nil {
		names, err := vulnerabilityNames(ctx, tx, past)
		if err != nil {
			return err
		}
		for vulnerability, list := range ended {
			for _, c := range list {
				c.vulnerability, c.before.Vulnerability = names[vulnerability], names[vulnerability]
				j.note(c)
			}
		}
	}
	if err := s.updateMatches(ctx, tx, restated, now); err != nil {
		return err
	}
	for chunk := range slices.Chunk(gone, relationRows) {
		list := s.relation("id bigint", chunk)
		if _, err := tx.ExecContext(ctx, `with gone (id) as (`+list.query+`)
			update matches set gone_at = `+list.after(1)+` where id in (select id from gone)`, list.with(now)...); err != nil {
			return fmt.Errorf("end matches: %w", err)
		}
	}
	if err := s.insertMatches(ctx, tx, added); err != nil {
		return err
	}
	return s.due(ctx, tx, changed)
}

// insertMatches inserts rows of a package, a vulnerability, the values of a
// liveMatch and the time.
func (s *Store) insertMatches(ctx context.Context, tx *sql.Tx, rows []any) error {
	if err := s.insertRows(ctx, tx, `matches (package_id bigint, vulnerability_id bigint, feed text, part text, identifier text, introduced text, fixed text,
		last_affected text, fix_state text, note text, severity integer, source boolean, first_seen bigint)`, rows); err != nil {
		return fmt.Errorf("insert matches: %w", err)
	}
	return nil
}

func idsOf(packages []packageRow) []any {
	ids := make([]any, len(packages))
	for i, p := range packages {
		ids[i] = p.id
	}
	return ids
}

// updateMatches takes rows of a match's id and the values of a liveMatch. It remembers
// when a fix was first stated, and when the severity rose.
func (s *Store) updateMatches(ctx context.Context, tx *sql.Tx, rows []any, now int64) error {
	const columns = `id bigint, feed text, part text, identifier text, introduced text, fixed text, last_affected text, fix_state text, note text,
		severity integer, source boolean`
	at := "cast(" + fmt.Sprint(now) + " as bigint)"
	if _, err := queryRelation(ctx, s, tx, scanID, columns, rows, func(given relation) string {
		return `with k (` + namesOf(columns) + `) as (` + given.query + `)
			update matches set feed = k.feed, part = k.part, identifier = k.identifier, introduced = k.introduced, fixed = k.fixed,
				last_affected = k.last_affected, fix_state = k.fix_state, note = k.note, severity = k.severity, source = k.source,
				fixed_at = case when k.fixed = '' then null when matches.fixed = '' then ` + at + ` else matches.fixed_at end,
				raised_at = case when
						case when k.severity > 0 then k.severity else (select v.severity from vulnerabilities v where v.id = matches.vulnerability_id) end >
						case when matches.severity > 0 then matches.severity else (select v.severity from vulnerabilities v where v.id = matches.vulnerability_id) end
					then ` + at + ` else matches.raised_at end
			from k where matches.id = k.id`
	}); err != nil {
		return fmt.Errorf("update matches: %w", err)
	}
	return nil
}

// stated is a statement as it was read for a package.
type stated struct {
	pkg, vulnerability, id int64
	match.Statement
}

func scanStated(rows *sql.Rows) (*stated, error) {
	r := new(stated) // large: a list of them would be copied as it grows
	err := rows.Scan(append(append([]any{&r.pkg, &r.vulnerability, &r.Vulnerability, &r.Fallback}, statementFields(&r.Statement)...), &r.id)...)
	return r, err
}

// comparedKey is the key of the version of a package p that is compared with what is
// stated of its subject s.
const comparedKey = `(case when s.source then p.source_key else p.version_key end)`

// notOutside is the condition that the version lies in the range of a statement a
// as far as its fixed version does not say otherwise. Keys of versions are compared in
// the database: most statements on a package are on older versions, and reading
// them all costs more than anything else.
const notOutside = `a.status = 'affected' and ` + comparedKey + ` is not null
			and (a.introduced_key is null or ` + comparedKey + ` >= a.introduced_key)
			and (a.last_key is null or ` + comparedKey + ` <= a.last_key)`

// inRange selects from the statements a in whose range the version lies of one of
// the given packages p, whose subject s they are on.
func inRange(given relation, columns, joins string) string {
	arm := func(fixed string) string {
		return `select ` + columns + `
		from k join packages p on p.id = k.id
		join package_subjects s on s.package_id = p.id
		join advisories a on a.ecosystem = s.ecosystem and a.package = s.package and a.source = s.source and ` + fixed + `
		` + joins + `
		where ` + notOutside
	}
	return `with k (id) as (` + given.query + `) ` + arm(`a.fixed_key > `+comparedKey) + ` union all ` + arm(`a.fixed_key is null`)
}

// inRangeOn is inRange for given packages and vulnerabilities. The concatenation
// keeps the engines from the index by names of packages, under which a kernel has
// thousands of statements.
func inRangeOn(given relation, columns, joins string) string {
	return `with k (` + namesOf(pairColumns) + `) as (` + given.query + `)
		select ` + columns + `
		from k join packages p on p.id = k.package_id
		join package_subjects s on s.package_id = p.id
		join advisories a on a.vulnerability_id = k.vulnerability_id and a.ecosystem = s.ecosystem and a.package || '' = s.package and a.source = s.source
		` + joins + `
		where (a.fixed_key is null or a.fixed_key > ` + comparedKey + `) and ` + notOutside
}

// pairColumns are those of a relation of pairsOf.
const pairColumns = `package_id bigint, vulnerability_id bigint`

func pairsOf(packages []packageRow, only map[int64][]int64) []any {
	var pairs []any
	for _, p := range packages {
		for _, vulnerability := range only[p.id] {
			pairs = append(pairs, p.id, vulnerability)
		}
	}
	return pairs
}

// affecting returns, by package, the statements in whose range its version lies,
// and the ids of their vulnerabilities by name; where one of them is a fallback, the
// others on its vulnerability, too.
func (s *Store) affecting(ctx context.Context, tx *sql.Tx, packages []packageRow, only map[int64][]int64) (map[int64][]match.Statement, map[string]int64, error) {
	const columns = `p.id, v.id, v.name, s.fallback, ` + statementColumns + `, a.id as stated`
	const joins = `join advisory_groups g on g.id = a.group_id join vulnerabilities v on v.id = a.vulnerability_id`
	var found []*stated
	var err error
	if only == nil {
		found, err = queryRelation(ctx, s, tx, scanStated, "id bigint", idsOf(packages), func(given relation) string {
			return inRange(given, columns, joins)
		})
	} else {
		found, err = queryRelation(ctx, s, tx, scanStated, pairColumns, pairsOf(packages, only), func(given relation) string {
			return inRangeOn(given, columns, joins)
		})
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read advisories: %w", err)
	}
	return withOwn(ctx, tx, found)
}

// withOwn sorts statements by package, and adds what is stated otherwise than as a
// fallback where some is one.
func withOwn(ctx context.Context, q querier, found []*stated) (map[int64][]match.Statement, map[string]int64, error) {
	// The engine would carry all that is read through its sorting.
	slices.SortFunc(found, func(a, b *stated) int { return cmp.Compare(a.id, b.id) })
	statements := make(map[int64][]match.Statement)
	ids := make(map[string]int64)
	contested := make(map[int64]map[int64]bool) // packages to vulnerabilities
	for _, r := range found {
		statements[r.pkg] = append(statements[r.pkg], r.Statement)
		ids[r.Vulnerability] = r.vulnerability
		if r.Fallback {
			if contested[r.pkg] == nil {
				contested[r.pkg] = make(map[int64]bool)
			}
			contested[r.pkg][r.vulnerability] = true
		}
	}
	return statements, ids, addOwn(ctx, q, contested, statements)
}

// addOwn adds, to the statements by package, what is stated of it and contested
// vulnerabilities otherwise than as a fallback.
func addOwn(ctx context.Context, q querier, contested map[int64]map[int64]bool, statements map[int64][]match.Statement) error {
	vulnerabilities := make(map[int64]bool)
	for _, of := range contested {
		maps.Copy(vulnerabilities, of)
	}
	packages := anys(slices.Sorted(maps.Keys(contested))) // of one batch
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(vulnerabilities)), matchBatch) {
		if _, err := queryAll(ctx, q, func(rows *sql.Rows) (none struct{}, err error) {
			var pkg, vulnerability int64
			var st match.Statement
			err = rows.Scan(append([]any{&pkg, &vulnerability, &st.Vulnerability}, statementFields(&st)...)...)
			if err == nil && contested[pkg][vulnerability] {
				statements[pkg] = append(statements[pkg], st)
			}
			return none, err
		}, `select s.package_id, v.id, v.name, `+statementColumns+`
			from package_subjects s
			join advisories a on a.ecosystem = s.ecosystem and a.package = s.package and a.source = s.source
			join advisory_groups g on g.id = a.group_id
			join vulnerabilities v on v.id = a.vulnerability_id
			where s.package_id in (`+parameters(1, len(packages))+`) and not s.fallback
				and a.vulnerability_id in (`+parameters(len(packages)+1, len(chunk))+`)
			order by a.id`, append(slices.Clone(packages), anys(chunk)...)...); err != nil {
			return fmt.Errorf("read advisories: %w", err)
		}
	}
	return nil
}

// keyArguments are the values of keys for a statement that starts with keyed.
func keyArguments(keys []advisory.Key) []any {
	args := make([]any, 0, 2*len(keys))
	for _, k := range keys {
		args = append(args, k.Ecosystem, k.Package)
	}
	return args
}

// statementsByKey also returns the ids of the vulnerabilities by name.
func (s *Store) statementsByKey(ctx context.Context, q querier, keys []advisory.Key) (map[advisory.Key][]match.Statement, map[string]int64, error) {
	statements := make(map[advisory.Key][]match.Statement)
	ids := make(map[string]int64)
	type row struct {
		id int64
		match.Statement
	}
	names := make([]advisory.Key, 0, len(keys))
	for _, k := range keys {
		names = append(names, advisory.Key{Ecosystem: k.Ecosystem, Package: k.Package}) // of source and binary packages alike
	}
	slices.SortFunc(names, compareKeys)
	for chunk := range slices.Chunk(slices.Compact(names), matchBatch) {
		given := s.relation("ecosystem text, package text", keyArguments(chunk))
		found, err := queryAll(ctx, q, func(rows *sql.Rows) (r row, err error) {
			err = rows.Scan(append([]any{&r.id, &r.Vulnerability}, statementFields(&r.Statement)...)...)
			return r, err
		}, `with k (ecosystem, package) as (`+given.query+`)
			select v.id, v.name, `+statementColumns+`
			from k
			join advisories a on a.ecosystem = k.ecosystem and a.package = k.package
			join advisory_groups g on g.id = a.group_id
			join vulnerabilities v on v.id = a.vulnerability_id
			order by a.id`, given.args...)
		if err != nil {
			return nil, nil, fmt.Errorf("read advisories: %w", err)
		}
		for _, r := range found {
			statements[r.Key()] = append(statements[r.Key()], r.Statement)
			ids[r.Vulnerability] = r.id
		}
	}
	return statements, ids, nil
}

func compareKeys(a, b advisory.Key) int {
	return cmp.Or(strings.Compare(a.Ecosystem, b.Ecosystem), strings.Compare(a.Package, b.Package), compareBool(a.Source, b.Source))
}

// liveMatches returns package id -> vulnerability id -> match.
func (s *Store) liveMatches(ctx context.Context, tx *sql.Tx, packages []packageRow, only map[int64][]int64) (map[int64]map[int64]liveMatch, error) {
	type row struct {
		pkg, vulnerability int64
		liveMatch
	}
	columns, values, on := "package_id bigint", idsOf(packages), `m.package_id = k.package_id`
	if only != nil {
		columns, values, on = pairColumns, pairsOf(packages, only), on+` and m.vulnerability_id = k.vulnerability_id`
	}
	found, err := queryRelation(ctx, s, tx, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(append([]any{&r.pkg, &r.vulnerability, &r.id}, r.fields()...)...)
		return r, err
	}, columns, values, func(given relation) string {
		return `with k (` + namesOf(columns) + `) as (` + given.query + `)
			select m.package_id, m.vulnerability_id, m.id, ` + matchColumns + ` from k join matches m on ` + on + ` and m.gone_at is null`
	})
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

// StatementsOn returns what is stated under keys.
func (s *Store) StatementsOn(ctx context.Context, keys []advisory.Key) (map[advisory.Key][]match.Statement, error) {
	statements, _, err := s.statementsByKey(ctx, s.read, keys)
	return statements, err
}
