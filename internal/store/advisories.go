package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
)

// importBatch bounds rows per statement. SQLite looks parameters up by name, so
// a statement's cost grows with the square of their number.
const importBatch = 100

// insertMany runs an insert that ends in "values " for rows of width values, as
// few statements that are prepared once.
func insertMany(ctx context.Context, tx *sql.Tx, insert string, width int, values []any) error {
	const rows = 40
	full := len(values) / (rows * width)
	if full > 0 {
		statement, err := tx.PrepareContext(ctx, insert+placeholders(rows, width))
		if err != nil {
			return err
		}
		defer statement.Close()
		for n := range full {
			if _, err := statement.ExecContext(ctx, values[n*rows*width:(n+1)*rows*width]...); err != nil {
				return err
			}
		}
	}
	if rest := values[full*rows*width:]; len(rest) > 0 {
		_, err := tx.ExecContext(ctx, insert+placeholders(len(rest)/width, width), rest...)
		return err
	}
	return nil
}

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
	}, `select package, fingerprint from advisory_groups where feed = $1 and part = $2`, feedName, part)
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
		r := replacement{tx: tx, feed: feedName, part: part, now: micros(s.now()), keys: make(map[advisory.Key]bool), vulnerabilities: make(map[int64]bool)}
		if err := r.clear(ctx, changed, removed); err != nil {
			return err
		}
		if err := r.insert(ctx, changed); err != nil {
			return err
		}
		if err := r.grade(ctx); err != nil {
			return err
		}
		keys := slices.SortedFunc(maps.Keys(r.keys), func(a, b advisory.Key) int {
			return strings.Compare(a.Ecosystem+"\x00"+a.Package, b.Ecosystem+"\x00"+b.Package)
		})
		return s.rematchKeys(ctx, tx, keys, decide)
	})
	if err != nil {
		return fmt.Errorf("store advisories of %s %s: %w", feedName, part, err)
	}
	return nil
}

// replacement is one batch of groups on its way into the database.
type replacement struct {
	tx         *sql.Tx
	feed, part string
	now        int64
	// keys are those of which anything was or is stated, vulnerabilities the
	// ids of those that it is stated of.
	keys            map[advisory.Key]bool
	vulnerabilities map[int64]bool
}

// clear deletes the advisories of the groups, and the groups that are removed.
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
		groups := `(select id from advisory_groups where feed = $1 and part = $2 and package in (` + parameters(3, len(chunk)) + `))`
		type row struct {
			advisory.Key
			vulnerability int64
		}
		old, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (o row, err error) {
			err = rows.Scan(&o.Ecosystem, &o.Package, &o.vulnerability)
			return o, err
		}, `select distinct ecosystem, package, vulnerability_id from advisories where group_id in `+groups, args...)
		if err != nil {
			return fmt.Errorf("read advisories: %w", err)
		}
		for _, o := range old {
			r.keys[o.Key] = true
			r.vulnerabilities[o.vulnerability] = true
		}
		if _, err := r.tx.ExecContext(ctx, `delete from advisories where group_id in `+groups, args...); err != nil {
			return fmt.Errorf("delete advisories: %w", err)
		}
	}
	for chunk := range slices.Chunk(removed, importBatch) {
		args := []any{r.feed, r.part}
		for _, name := range chunk {
			args = append(args, name)
		}
		if _, err := r.tx.ExecContext(ctx, `delete from advisory_groups where feed = $1 and part = $2 and package in (`+parameters(3, len(chunk))+`)`, args...); err != nil {
			return fmt.Errorf("delete groups: %w", err)
		}
	}
	return nil
}

// insert writes the groups with their advisories.
func (r *replacement) insert(ctx context.Context, changed []feed.Entry) error {
	vulnerabilities, err := r.nameVulnerabilities(ctx, changed)
	if err != nil {
		return err
	}
	type named struct {
		name string
		id   int64
	}
	groups := make(map[string]int64, len(changed))
	for chunk := range slices.Chunk(changed, importBatch) {
		var args []any
		for _, g := range chunk {
			args = append(args, r.feed, r.part, g.Name, g.Fingerprint[:])
		}
		rows, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (n named, err error) {
			err = rows.Scan(&n.name, &n.id)
			return n, err
		}, `insert into advisory_groups (feed, part, package, fingerprint) values `+placeholders(len(chunk), 4)+`
			on conflict (feed, part, package) do update set fingerprint = excluded.fingerprint returning package, id`, args...)
		if err != nil {
			return fmt.Errorf("insert groups: %w", err)
		}
		for _, n := range rows {
			groups[n.name] = n.id
		}
	}
	var values []any
	for _, g := range changed {
		for _, a := range g.Advisories {
			r.keys[advisory.Key{Ecosystem: a.Ecosystem, Package: a.Package}] = true
			values = append(values, groups[g.Name], vulnerabilities[a.Vulnerability], a.Ecosystem, a.Package, string(a.Status),
				a.Introduced, a.Fixed, int(a.Severity), a.Note)
		}
	}
	if err := insertMany(ctx, r.tx, `insert into advisories (group_id, vulnerability_id, ecosystem, package, status, introduced, fixed, severity, note) values `, 9, values); err != nil {
		return fmt.Errorf("insert advisories: %w", err)
	}
	return nil
}

// nameVulnerabilities returns the ids of the vulnerabilities that the groups
// speak of, having stored those that are new and the descriptions that changed.
func (r *replacement) nameVulnerabilities(ctx context.Context, changed []feed.Entry) (map[string]int64, error) {
	descriptions := make(map[string]string)
	for _, g := range changed {
		for _, a := range g.Advisories {
			if text := g.Details[a.Vulnerability].Description; text != "" || descriptions[a.Vulnerability] == "" {
				descriptions[a.Vulnerability] = text
			}
		}
	}
	type named struct {
		name string
		id   int64
	}
	ids := make(map[string]int64, len(descriptions))
	for names := range slices.Chunk(slices.Sorted(maps.Keys(descriptions)), importBatch) {
		var values, args []any
		for _, name := range names {
			values = append(values, name, descriptions[name], r.now)
			args = append(args, name)
		}
		if _, err := r.tx.ExecContext(ctx, `insert into vulnerabilities (name, description, first_seen) values `+placeholders(len(names), 3)+`
			on conflict (name) do update set description = excluded.description
			where excluded.description <> '' and excluded.description <> vulnerabilities.description`, values...); err != nil {
			return nil, fmt.Errorf("insert vulnerabilities: %w", err)
		}
		rows, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (n named, err error) {
			err = rows.Scan(&n.name, &n.id)
			return n, err
		}, `select name, id from vulnerabilities where name in (`+parameters(1, len(args))+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("read vulnerabilities: %w", err)
		}
		for _, n := range rows {
			ids[n.name] = n.id
			r.vulnerabilities[n.id] = true
		}
	}
	return ids, nil
}

// grade gives the vulnerabilities the highest severity that is stated of them.
func (r *replacement) grade(ctx context.Context) error {
	const highest = `(select coalesce(max(a.severity), 0) from advisories a where a.vulnerability_id = vulnerabilities.id)`
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(r.vulnerabilities)), importBatch) {
		args := make([]any, 0, len(chunk))
		for _, id := range chunk {
			args = append(args, id)
		}
		if _, err := r.tx.ExecContext(ctx, `update vulnerabilities set severity = `+highest+`
			where id in (`+parameters(1, len(args))+`) and severity <> `+highest, args...); err != nil {
			return fmt.Errorf("grade vulnerabilities: %w", err)
		}
	}
	return nil
}
