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

// stored reads what is stored of groups: of those that changed partly, what is of the
// vulnerabilities that their entries have.
func (r *replacement) stored(ctx context.Context, changed []feed.Entry, groups map[string]int64, partly map[string]bool) (*statedBefore, error) {
	old := &statedBefore{make(map[statementRow][]int64), make(map[described]string), make(map[called]bool)}
	var whole []any
	for name, id := range groups {
		if !partly[name] {
			whole = append(whole, id)
		}
	}
	for chunk := range slices.Chunk(whole, relationRows) {
		given := r.relation("id bigint", chunk)
		with := `with k (id) as (` + given.query + `) `
		if err := old.read(ctx, r.tx, with, `a.group_id = k.id`, given.args); err != nil {
			return nil, err
		}
		if _, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (none struct{}, err error) {
			var c called
			err = rows.Scan(&c.alias, &c.vulnerability, &c.group)
			old.aliases[c] = true
			return none, err
		}, with+`select a.alias, a.vulnerability_id, a.group_id from k cross join vulnerability_aliases a where a.group_id = k.id`, given.args...); err != nil {
			return nil, fmt.Errorf("read aliases: %w", err)
		}
	}
	pairs, err := r.pairsOf(ctx, changed, groups, partly)
	if err != nil {
		return nil, err
	}
	const columns = `id bigint, vulnerability_id bigint`
	for chunk := range slices.Chunk(pairs, relationRows*len(kindsOf(columns))) {
		given := r.relation(columns, chunk)
		// A group may have thousands of statements for each that a vulnerability has.
		if err := old.read(ctx, r.tx, `with k (`+namesOf(columns)+`) as (`+given.query+`) `, `a.vulnerability_id = k.vulnerability_id and +a.group_id = k.id`, given.args); err != nil {
			return nil, err
		}
	}
	return old, nil
}

// read reads statements and details of the relation k, which with makes of args. It is
// joined crosswise: SQLite then looks up its rows, however little it knows of the tables.
func (old *statedBefore) read(ctx context.Context, tx *sql.Tx, with, on string, args []any) error {
	if _, err := queryAll(ctx, tx, func(rows *sql.Rows) (none struct{}, err error) {
		var id int64
		var o statementRow
		var introduced, fixed, last []byte
		a := &o.advisory
		err = rows.Scan(&id, &o.group, &o.vulnerability, &a.ID, &a.Ecosystem, &a.Package, &a.Source, &a.Module, &a.Architectures, &a.Status,
			&a.Introduced, &a.Fixed, &a.LastAffected, &a.Fix, &a.Severity, &a.Note, &introduced, &fixed, &last)
		o.introducedKey, o.fixedKey, o.lastKey = string(introduced), string(fixed), string(last)
		old.statements[o] = append(old.statements[o], id)
		return none, err
	}, with+`select a.id, a.group_id, a.vulnerability_id, a.identifier, a.ecosystem, a.package, a.source, a.module, a.architectures, a.status,
			a.introduced, a.fixed, a.last_affected, a.fix_state, a.severity, a.note, a.introduced_key, a.fixed_key, a.last_key
		from k cross join advisories a where `+on, args...); err != nil {
		return fmt.Errorf("read advisories: %w", err)
	}
	if _, err := queryAll(ctx, tx, func(rows *sql.Rows) (none struct{}, err error) {
		var d described
		var text string
		err = rows.Scan(&d.group, &d.vulnerability, &text)
		old.details[d] = text
		return none, err
	}, with+`select a.group_id, a.vulnerability_id, a.detail from k cross join vulnerability_details a where `+on, args...); err != nil {
		return fmt.Errorf("read details: %w", err)
	}
	return nil
}

// pairsOf are the ids of the groups that changed partly, each with those of the
// vulnerabilities that its entry has, as far as they are known.
func (r *replacement) pairsOf(ctx context.Context, changed []feed.Entry, groups map[string]int64, partly map[string]bool) (pairs []any, err error) {
	of := make(map[string]map[int64]bool) // the groups of a name
	note := func(name string, group int64) {
		if of[name] == nil {
			of[name] = make(map[int64]bool)
		}
		of[name][group] = true
	}
	for _, g := range changed {
		if !partly[g.Name] {
			continue
		}
		for i := range g.Advisories {
			note(g.Advisories[i].Vulnerability, groups[g.Name])
		}
		for name := range g.Details {
			note(name, groups[g.Name])
		}
	}
	for names := range slices.Chunk(slices.Sorted(maps.Keys(of)), relationRows) {
		known, err := r.vulnerabilitiesByName(ctx, names)
		if err != nil {
			return nil, err
		}
		for _, n := range known {
			for _, group := range slices.Sorted(maps.Keys(of[n.name])) {
				pairs = append(pairs, group, n.id)
			}
		}
	}
	return pairs, nil
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
