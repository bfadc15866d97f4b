package store

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
)

// Fingerprints returns those of a document's groups, by package.
func (s *Store) Fingerprints(ctx context.Context, feedName, part string) (map[string]feed.Fingerprint, error) {
	prints, _, err := s.fingerprints(ctx, feedName, part, `null`)
	return prints, err
}

// Origins is Fingerprints, and also returns the names of the groups by what they
// were read from.
func (s *Store) Origins(ctx context.Context, feedName, part string) (map[string]feed.Fingerprint, map[feed.Origin]string, error) {
	return s.fingerprints(ctx, feedName, part, `origin`)
}

func (s *Store) fingerprints(ctx context.Context, feedName, part, origin string) (map[string]feed.Fingerprint, map[feed.Origin]string, error) {
	prints, origins := make(map[string]feed.Fingerprint), make(map[feed.Origin]string)
	if _, err := queryAll(ctx, s.read, func(rows *sql.Rows) (none struct{}, err error) {
		var name string
		var print, from sql.RawBytes
		if err := rows.Scan(&name, &print, &from); err != nil {
			return none, err
		}
		var p feed.Fingerprint
		copy(p[:], print)
		prints[name] = p
		var o feed.Origin
		if copy(o[:], from) == len(o) {
			origins[o] = name
		}
		return none, nil
	}, `select name, fingerprint, `+origin+` from advisory_groups where feed = $1 and part = $2`, feedName, part); err != nil {
		return nil, nil, fmt.Errorf("groups of %s %s: %w", feedName, part, err)
	}
	return prints, origins, nil
}

// SaveOrigins stores from what groups were read.
func (s *Store) SaveOrigins(ctx context.Context, feedName, part string, origins map[string]feed.Origin) error {
	for names := range slices.Chunk(slices.Sorted(maps.Keys(origins)), relationRows) {
		var values []any
		for _, name := range names {
			values = append(values, name, bytesOf(origins[name]))
		}
		err := s.tx(ctx, func(tx *sql.Tx) error {
			given := s.relation("name text, origin bytes", values)
			_, err := tx.ExecContext(ctx, `with n (name, origin) as (`+given.query+`)
				update advisory_groups set origin = n.origin from n
				where advisory_groups.feed = `+given.after(1)+` and advisory_groups.part = `+given.after(2)+` and advisory_groups.name = n.name`,
				given.with(feedName, part)...)
			return err
		})
		if err != nil {
			return fmt.Errorf("store origins of %s %s: %w", feedName, part, err)
		}
	}
	return nil
}

// bytesOf is an origin as it is stored; nil is none.
func bytesOf(o feed.Origin) []byte {
	if o == (feed.Origin{}) {
		return nil
	}
	return o[:]
}

// SpeaksOf reports whether any advisory of a document is on an ecosystem.
func (s *Store) SpeaksOf(ctx context.Context, feedName, part, ecosystem string) (spoken bool, err error) {
	// Of an ecosystem one document states most, so that its first statements tell: a
	// join would be planned from all groups of the document.
	err = s.read.QueryRowContext(ctx, `select exists (select 1 from advisories a
		where a.ecosystem = $1 and (select g.feed = $2 and g.part = $3 from advisory_groups g where g.id = a.group_id))`, ecosystem, feedName, part).Scan(&spoken)
	if err != nil {
		return false, fmt.Errorf("whether %s %s is on %s: %w", feedName, part, ecosystem, err)
	}
	return spoken, nil
}

// ReplaceAdvisories stores changed groups of a document in place of what is
// there, takes away those of the removed packages, and brings the matches of
// all packages concerned up to date, in one transaction.
func (s *Store) ReplaceAdvisories(ctx context.Context, feedName, part string, changed []feed.Entry, removed []string, decide match.Decide) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.commitLater(ctx, tx); err != nil { // with the state of the feed, which is stored after its last batch
			return err
		}
		if err := s.lockMatching(ctx, tx); err != nil {
			return err
		}
		r := replacement{Store: s, tx: tx, feed: feedName, part: part, now: micros(s.now()), keys: make(restated), vulnerabilities: make(map[int64]bool)}
		if err := r.replace(ctx, changed, removed); err != nil {
			return err
		}
		if err := r.grade(ctx); err != nil {
			return err
		}
		update, j, err := s.openUpdate(ctx, tx, feedName, part)
		if err != nil {
			return err
		}
		if err := s.rematch(ctx, tx, r.keys, decide, j); err != nil {
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
	// keys are those of which something else is stated now, vulnerabilities the
	// ids of all that it, or a description, is of.
	keys            restated
	vulnerabilities map[int64]bool
	// prints are those of the changed groups, by name.
	prints map[string]feed.Prints
}

// replace writes the difference between what the groups state and what is
// stored of them: a group may be all flaws of the kernel, of which one changed.
func (r *replacement) replace(ctx context.Context, changed []feed.Entry, removed []string) error {
	names := slices.Clone(removed)
	for _, g := range changed {
		names = append(names, g.Name)
	}
	groups, prints, err := r.groups(ctx, names)
	if err != nil {
		return err
	}
	changed, partly, err := r.changedOf(changed, prints)
	if err != nil {
		return err
	}
	old, err := r.stored(ctx, changed, groups, partly)
	if err != nil {
		return err
	}
	vulnerabilities, err := r.nameVulnerabilities(ctx, changed, old)
	if err != nil {
		return err
	}
	if err := r.insertGroups(ctx, changed, groups); err != nil {
		return err
	}
	if err := r.insert(ctx, changed, groups, vulnerabilities, old); err != nil {
		return err
	}
	var gone []any
	for _, name := range removed {
		if id, known := groups[name]; known {
			gone = append(gone, id)
		}
	}
	for chunk := range slices.Chunk(gone, relationRows) {
		list := r.relation("id bigint", chunk)
		if _, err := r.tx.ExecContext(ctx, `delete from advisory_groups where id in (`+list.query+`)`, list.args...); err != nil {
			return fmt.Errorf("delete groups: %w", err)
		}
	}
	return nil
}

// groups returns the ids of those of the groups that are stored, and their prints.
func (r *replacement) groups(ctx context.Context, names []string) (map[string]int64, map[string]feed.Prints, error) {
	groups, prints := make(map[string]int64, len(names)), make(map[string]feed.Prints)
	for chunk := range slices.Chunk(names, relationRows) {
		given := r.relation("name text", anys(chunk))
		if _, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (none struct{}, err error) {
			var n named
			var before []byte
			err = rows.Scan(&n.name, &n.id, &before)
			groups[n.name], prints[n.name] = n.id, before
			return none, err
		}, `with k (name) as (`+given.query+`)
			select g.name, g.id, g.prints from k cross join advisory_groups g
			where g.feed = `+given.after(1)+` and g.part = `+given.after(2)+` and g.name = k.name`,
			given.with(r.feed, r.part)...); err != nil {
			return nil, nil, fmt.Errorf("read groups: %w", err)
		}
	}
	return groups, prints, nil
}

// changedOf leaves of the groups what their prints do not tell to be as it was;
// partly names the groups of which something is left out. It keeps the prints.
func (r *replacement) changedOf(changed []feed.Entry, before map[string]feed.Prints) (some []feed.Entry, partly map[string]bool, err error) {
	r.prints, partly = make(map[string]feed.Prints), make(map[string]bool)
	some = make([]feed.Entry, len(changed))
	for i, g := range changed {
		now, err := g.Prints()
		if err != nil {
			return nil, nil, err
		}
		r.prints[g.Name] = now
		if some[i], partly[g.Name] = g.Changed(before[g.Name], now); !partly[g.Name] {
			some[i] = g
		}
	}
	return some, partly, nil
}

// insertGroups stores the fingerprints, and adds the ids of new groups.
func (r *replacement) insertGroups(ctx context.Context, changed []feed.Entry, groups map[string]int64) error {
	for chunk := range slices.Chunk(changed, relationRows) {
		var values []any
		for _, g := range chunk {
			values = append(values, r.feed, r.part, g.Name, g.Fingerprint[:], bytesOf(g.Origin), []byte(r.prints[g.Name]))
		}
		given := r.relation("feed text, part text, name text, fingerprint bytes, origin bytes, prints bytes", values)
		rows, err := queryAll(ctx, r.tx, scanNamed, `insert into advisory_groups (feed, part, name, fingerprint, origin, prints) `+given.query+`
			on conflict (feed, part, name) do update set fingerprint = excluded.fingerprint, origin = excluded.origin, prints = excluded.prints
			returning name, id`, given.args...)
		if err != nil {
			return fmt.Errorf("insert groups: %w", err)
		}
		for _, n := range rows {
			groups[n.name] = n.id
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
