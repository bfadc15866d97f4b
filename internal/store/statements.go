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

// statementRow is an advisory as it stands in the database. It is comparable,
// keys of versions included: a newer program may order them otherwise.
type statementRow struct {
	group, vulnerability             int64
	advisory                         advisory.Advisory // without the vulnerability's name
	introducedKey, fixedKey, lastKey string
}

// described is where a feed describes a vulnerability.
type described struct{ group, vulnerability int64 }

// called is a name that a feed gives to a vulnerability.
type called struct {
	alias                string
	vulnerability, group int64
}

// statedBefore is what is stored of groups: what is not stated again is gone.
type statedBefore struct {
	statements map[statementRow][]int64 // ids
	details    map[described]string
	aliases    map[called]bool
}

// stored reads what is stored of groups.
func (r *replacement) stored(ctx context.Context, groups []int64) (*statedBefore, error) {
	old := &statedBefore{make(map[statementRow][]int64), make(map[described]string), make(map[called]bool)}
	for chunk := range slices.Chunk(groups, relationRows) {
		given := r.relation("id bigint", anys(chunk))
		in := ` in (` + given.query + `)`
		if _, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (none struct{}, err error) {
			var id int64
			var o statementRow
			var introduced, fixed, last []byte
			a := &o.advisory
			err = rows.Scan(&id, &o.group, &o.vulnerability, &a.ID, &a.Ecosystem, &a.Package, &a.Source, &a.Module, &a.Architectures, &a.Status,
				&a.Introduced, &a.Fixed, &a.LastAffected, &a.Fix, &a.Severity, &a.Note, &introduced, &fixed, &last)
			o.introducedKey, o.fixedKey, o.lastKey = string(introduced), string(fixed), string(last)
			old.statements[o] = append(old.statements[o], id)
			return none, err
		}, `select id, group_id, vulnerability_id, identifier, ecosystem, package, source, module, architectures, status,
				introduced, fixed, last_affected, fix_state, severity, note, introduced_key, fixed_key, last_key
			from advisories where group_id`+in, given.args...); err != nil {
			return nil, fmt.Errorf("read advisories: %w", err)
		}
		if _, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (none struct{}, err error) {
			var d described
			var text string
			err = rows.Scan(&d.group, &d.vulnerability, &text)
			old.details[d] = text
			return none, err
		}, `select group_id, vulnerability_id, detail from vulnerability_details where group_id`+in, given.args...); err != nil {
			return nil, fmt.Errorf("read details: %w", err)
		}
		if _, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (none struct{}, err error) {
			var c called
			err = rows.Scan(&c.alias, &c.vulnerability, &c.group)
			old.aliases[c] = true
			return none, err
		}, `select alias, vulnerability_id, group_id from vulnerability_aliases where group_id`+in, given.args...); err != nil {
			return nil, fmt.Errorf("read aliases: %w", err)
		}
	}
	return old, nil
}

// moved makes what is stored of one vulnerability another's.
func (old *statedBefore) moved(from, to int64) {
	for o, ids := range old.statements {
		if o.vulnerability == from {
			delete(old.statements, o)
			o.vulnerability = to
			old.statements[o] = append(old.statements[o], ids...)
		}
	}
	for d, text := range old.details {
		if d.vulnerability == from {
			delete(old.details, d)
			d.vulnerability = to
			if _, both := old.details[d]; !both {
				old.details[d] = text
			}
		}
	}
	for c := range old.aliases {
		if c.vulnerability == from {
			delete(old.aliases, c)
			c.vulnerability = to
			old.aliases[c] = true
		}
	}
}

// insert writes what the groups state and is not stored; it takes what is stated
// again out of old.
func (r *replacement) insert(ctx context.Context, changed []feed.Entry, groups, vulnerabilities map[string]int64, old *statedBefore) error {
	const into = `advisories (group_id bigint, vulnerability_id bigint, identifier text, ecosystem text, package text, source boolean, module text, architectures text,
			status text, introduced text, fixed text, last_affected text, fix_state text, severity integer, note text,
			introduced_key bytes, fixed_key bytes, last_key bytes)`
	var advisories, details, aliases []any
	for _, g := range changed {
		id := groups[g.Name]
		for i := range g.Advisories {
			a := &g.Advisories[i]
			bounds, err := match.BoundsOf(*a)
			if err != nil && a.Status == advisory.Affected {
				return fmt.Errorf("%s on %s of %s: %w", a.Vulnerability, a.Package, a.Ecosystem, err)
			}
			row := statementRow{id, vulnerabilities[a.Vulnerability], *a, string(bounds.Introduced), string(bounds.Fixed), string(bounds.LastAffected)}
			row.advisory.Vulnerability = ""
			if ids := old.statements[row]; len(ids) > 0 {
				if old.statements[row] = ids[1:]; len(ids) == 1 {
					delete(old.statements, row)
				}
				continue
			}
			r.keys.add(a.Key(), row.vulnerability)
			r.vulnerabilities[row.vulnerability] = true
			advisories = append(advisories, id, row.vulnerability, a.ID, a.Ecosystem, a.Package, a.Source, a.Module, a.Architectures,
				string(a.Status), a.Introduced, a.Fixed, a.LastAffected, string(a.Fix), int(a.Severity), a.Note, bounds.Introduced, bounds.Fixed, bounds.LastAffected)
			if len(advisories) >= 36_000 { // a kernel has 60,000, of which not all are to be in memory as rows
				if err := r.insertRows(ctx, r.tx, into, advisories); err != nil {
					return fmt.Errorf("insert advisories: %w", err)
				}
				advisories = advisories[:0]
			}
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
			at := described{id, vulnerability}
			if text, known := old.details[at]; known && text == byID[vulnerability] {
				delete(old.details, at)
				continue
			}
			r.vulnerabilities[vulnerability] = true
			details = append(details, id, vulnerability, byID[vulnerability])
		}
		for _, a := range aliasesOf(g, vulnerabilities) {
			c := called{a.name, a.id, id}
			if old.aliases[c] {
				delete(old.aliases, c)
				continue
			}
			aliases = append(aliases, a.name, a.id, id)
		}
	}
	if err := r.delete(ctx, old); err != nil {
		return err
	}
	for _, rows := range []struct {
		into   string
		values []any
	}{
		{into, advisories},
		{`vulnerability_details (group_id bigint, vulnerability_id bigint, detail text)`, details},
		{`vulnerability_aliases (alias text, vulnerability_id bigint, group_id bigint)`, aliases},
	} {
		if err := r.insertRows(ctx, r.tx, rows.into, rows.values); err != nil {
			return fmt.Errorf("insert into %.30s: %w", rows.into, err)
		}
	}
	return nil
}

// delete takes away what was stored and is not stated any more.
func (r *replacement) delete(ctx context.Context, old *statedBefore) error {
	var statements, details, aliases []any
	for o, ids := range old.statements {
		r.keys.add(o.advisory.Key(), o.vulnerability)
		r.vulnerabilities[o.vulnerability] = true
		statements = append(statements, anys(ids)...)
	}
	for d := range old.details {
		r.vulnerabilities[d.vulnerability] = true
		details = append(details, d.group, d.vulnerability)
	}
	for c := range old.aliases {
		aliases = append(aliases, c.alias, c.vulnerability, c.group)
	}
	for _, rows := range []struct {
		from, columns, where string
		values               []any
	}{
		{`advisories`, `id bigint`, `id`, statements},
		{`vulnerability_details`, `group_id bigint, vulnerability_id bigint`, `(group_id, vulnerability_id)`, details},
		{`vulnerability_aliases`, `alias text, vulnerability_id bigint, group_id bigint`, `(alias, vulnerability_id, group_id)`, aliases},
	} {
		width := len(kindsOf(rows.columns))
		for chunk := range slices.Chunk(rows.values, relationRows*width) {
			given := r.relation(rows.columns, chunk)
			if _, err := r.tx.ExecContext(ctx, `delete from `+rows.from+` where `+rows.where+` in (`+given.query+`)`, given.args...); err != nil {
				return fmt.Errorf("delete from %s: %w", rows.from, err)
			}
		}
	}
	return nil
}
