package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
)

// importBatch bounds rows per statement: see insertRows.
const importBatch = 100

// Fingerprints returns those of a document's groups, by package.
func (s *Store) Fingerprints(ctx context.Context, feedName, part string) (map[string]feed.Fingerprint, error) {
	type row struct {
		name  string
		print feed.Fingerprint
	}
	rows, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		var print []byte
		err = rows.Scan(&r.name, &print)
		copy(r.print[:], print)
		return r, err
	}, `select name, fingerprint from advisory_groups where feed = $1 and part = $2`, feedName, part)
	if err != nil {
		return nil, fmt.Errorf("groups of %s %s: %w", feedName, part, err)
	}
	prints := make(map[string]feed.Fingerprint, len(rows))
	for _, r := range rows {
		prints[r.name] = r.print
	}
	return prints, nil
}

// ReplaceAdvisories stores changed groups of a document in place of what is
// there, takes away those of the removed packages, and brings the matches of
// all packages concerned up to date, in one transaction.
func (s *Store) ReplaceAdvisories(ctx context.Context, feedName, part string, changed []feed.Entry, removed []string, decide match.Decide) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.lockMatching(ctx, tx); err != nil {
			return err
		}
		r := replacement{Store: s, tx: tx, feed: feedName, part: part, now: micros(s.now()), keys: make(map[advisory.Key]bool), vulnerabilities: make(map[int64]bool)}
		if err := r.clear(ctx, changed, removed); err != nil {
			return err
		}
		if err := r.insert(ctx, changed); err != nil {
			return err
		}
		if err := r.grade(ctx); err != nil {
			return err
		}
		update, j, err := s.openUpdate(ctx, tx, feedName, part)
		if err != nil {
			return err
		}
		if err := s.rematchKeys(ctx, tx, slices.SortedFunc(maps.Keys(r.keys), compareKeys), decide, j); err != nil {
			return err
		}
		return s.keep(ctx, tx, update, j)
	})
	if err != nil {
		return fmt.Errorf("store advisories of %s %s: %w", feedName, part, err)
	}
	return nil
}

// replacement is one batch of groups on its way into the database.
type replacement struct {
	*Store
	tx         *sql.Tx
	feed, part string
	now        int64
	// keys are those of which anything was or is stated, vulnerabilities the
	// ids of those that it is stated of.
	keys            map[advisory.Key]bool
	vulnerabilities map[int64]bool
}

// clear deletes what the groups state, and the groups that are removed.
func (r *replacement) clear(ctx context.Context, changed []feed.Entry, removed []string) error {
	names := slices.Clone(removed)
	for _, g := range changed {
		names = append(names, g.Name)
	}
	for chunk := range slices.Chunk(names, importBatch) {
		args := []any{r.feed, r.part}
		for _, name := range chunk {
			args = append(args, name)
		}
		groups := `(select id from advisory_groups where feed = $1 and part = $2 and name in (` + parameters(3, len(chunk)) + `))`
		type row struct {
			advisory.Key
			vulnerability int64
		}
		old, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (o row, err error) {
			err = rows.Scan(&o.Ecosystem, &o.Package, &o.Source, &o.vulnerability)
			return o, err
		}, `select distinct ecosystem, package, source, vulnerability_id from advisories where group_id in `+groups, args...)
		if err != nil {
			return fmt.Errorf("read advisories: %w", err)
		}
		for _, o := range old {
			r.keys[o.Key] = true
			r.vulnerabilities[o.vulnerability] = true
		}
		described, err := queryAll(ctx, r.tx, scanID, `select vulnerability_id from vulnerability_details where group_id in `+groups, args...)
		if err != nil {
			return fmt.Errorf("read details: %w", err)
		}
		for _, id := range described {
			r.vulnerabilities[id] = true
		}
		for _, table := range []string{"advisories", "vulnerability_details", "vulnerability_aliases"} {
			if _, err := r.tx.ExecContext(ctx, `delete from `+table+` where group_id in `+groups, args...); err != nil {
				return fmt.Errorf("delete from %s: %w", table, err)
			}
		}
	}
	for chunk := range slices.Chunk(removed, importBatch) {
		args := []any{r.feed, r.part}
		for _, name := range chunk {
			args = append(args, name)
		}
		if _, err := r.tx.ExecContext(ctx, `delete from advisory_groups where feed = $1 and part = $2 and name in (`+parameters(3, len(chunk))+`)`, args...); err != nil {
			return fmt.Errorf("delete groups: %w", err)
		}
	}
	return nil
}

func scanID(rows *sql.Rows) (id int64, err error) {
	err = rows.Scan(&id)
	return id, err
}

// named is a row with the name that it is known by.
type named struct {
	name string
	id   int64
}

func scanNamed(rows *sql.Rows) (n named, err error) {
	err = rows.Scan(&n.name, &n.id)
	return n, err
}

// insert writes what the groups state.
func (r *replacement) insert(ctx context.Context, changed []feed.Entry) error {
	vulnerabilities, err := r.nameVulnerabilities(ctx, changed)
	if err != nil {
		return err
	}
	groups := make(map[string]int64, len(changed))
	for chunk := range slices.Chunk(changed, importBatch) {
		var args []any
		for _, g := range chunk {
			args = append(args, r.feed, r.part, g.Name, g.Fingerprint[:])
		}
		rows, err := queryAll(ctx, r.tx, scanNamed, `insert into advisory_groups (feed, part, name, fingerprint) values `+placeholders(len(chunk), 4)+`
			on conflict (feed, part, name) do update set fingerprint = excluded.fingerprint returning name, id`, args...)
		if err != nil {
			return fmt.Errorf("insert groups: %w", err)
		}
		for _, n := range rows {
			groups[n.name] = n.id
		}
	}
	var advisories, details, aliases []any
	for _, g := range changed {
		id := groups[g.Name]
		for i := range g.Advisories {
			a := &g.Advisories[i]
			r.keys[a.Key()] = true
			bounds, err := match.BoundsOf(*a)
			if err != nil && a.Status == advisory.Affected {
				return fmt.Errorf("%s on %s of %s: %w", a.Vulnerability, a.Package, a.Ecosystem, err)
			}
			advisories = append(advisories, id, vulnerabilities[a.Vulnerability], a.ID, a.Ecosystem, a.Package, a.Source, a.Module, a.Architectures,
				string(a.Status), a.Introduced, a.Fixed, a.LastAffected, string(a.Fix), int(a.Severity), a.Note, bounds.Introduced, bounds.Fixed, bounds.LastAffected)
		}
		// Two names in a group may be of one vulnerability: the last detail counts.
		byID := make(map[int64]string, len(g.Details))
		for _, name := range slices.Sorted(maps.Keys(g.Details)) {
			text, err := json.Marshal(g.Details[name])
			if err != nil {
				return fmt.Errorf("details of %q: %w", name, err)
			}
			byID[vulnerabilities[name]] = string(text)
		}
		for _, vulnerability := range slices.Sorted(maps.Keys(byID)) {
			details = append(details, id, vulnerability, byID[vulnerability])
		}
		for _, a := range aliasesOf(g, vulnerabilities) {
			aliases = append(aliases, a.name, a.id, id)
		}
	}
	for _, rows := range []struct {
		into   string
		width  int
		values []any
	}{
		{`advisories (group_id, vulnerability_id, identifier, ecosystem, package, source, module, architectures,
			status, introduced, fixed, last_affected, fix_state, severity, note, introduced_key, fixed_key, last_key)`, 18, advisories},
		{`vulnerability_details (group_id, vulnerability_id, detail)`, 3, details},
		{`vulnerability_aliases (alias, vulnerability_id, group_id)`, 3, aliases},
	} {
		if err := r.insertRows(ctx, r.tx, `insert into `+rows.into+` values `, rows.width, rows.values); err != nil {
			return fmt.Errorf("insert into %.30s: %w", rows.into, err)
		}
	}
	return nil
}
