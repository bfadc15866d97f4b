package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// keptUpdates is how many readings of each document are remembered, as Clair's
// matcher does by default.
const keptUpdates = 10

// change is a row of clair_changes on its way into the database.
type change struct {
	pkg           int64
	vulnerability string
	reason        clairapi.Reason
	before, after *match.Statement
}

// journal collects what a reading of a document changes in the matches of
// packages; nil collects nothing.
type journal struct{ changes []change }

func (j *journal) note(c change) {
	if j != nil {
		j.changes = append(j.changes, c)
	}
}

// statement is what a match keeps of what was stated.
func (m *liveMatch) statement(vulnerability string) *match.Statement {
	return &match.Statement{Feed: m.feed, Part: m.part, Advisory: advisory.Advisory{
		ID: m.identifier, Vulnerability: vulnerability, Introduced: m.introduced, Fixed: m.fixed, LastAffected: m.last,
		Fix: advisory.FixState(m.fix), Note: m.note, Severity: m.severity, Source: m.source,
	}}
}

// openUpdate returns the update that a reading of a document belongs to, and the
// journal of what it changes: none where nothing of the document was read before,
// for then everything is new, and nobody wants to be told of it.
func (s *Store) openUpdate(ctx context.Context, tx *sql.Tx, feed, part string) (id int64, j *journal, err error) {
	err = tx.QueryRowContext(ctx, `select id from clair_updates where feed = $1 and part = $2 and ended_at is null order by id desc limit 1`, feed, part).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		err = tx.QueryRowContext(ctx, `insert into clair_updates (ref, feed, part, created_at) values ($1, $2, $3, $4) returning id`,
			uuid.NewString(), feed, part, micros(s.now())).Scan(&id)
	}
	if err != nil {
		return 0, nil, fmt.Errorf("note update: %w", err)
	}
	var known bool
	if err := tx.QueryRowContext(ctx, `select exists (select 1 from feed_parts where feed = $1 and part = $2 and changed_at is not null)`, feed, part).Scan(&known); err != nil {
		return 0, nil, fmt.Errorf("note update: %w", err)
	}
	if known || feed == clairapi.WrittenFeed {
		j = &journal{}
	}
	return id, j, nil
}

// keep writes the journal. What is taken away in one batch and comes back in a
// later one of the same reading, as under another name, is no change.
func (s *Store) keep(ctx context.Context, tx *sql.Tx, update int64, j *journal) error {
	if j == nil || len(j.changes) == 0 {
		return nil
	}
	text := func(st *match.Statement) (string, error) {
		if st == nil {
			return "", nil
		}
		b, err := json.Marshal(st)
		return string(b), err
	}
	var rows []any
	for _, c := range j.changes {
		before, err := text(c.before)
		if err != nil {
			return fmt.Errorf("note change: %w", err)
		}
		after, err := text(c.after)
		if err != nil {
			return fmt.Errorf("note change: %w", err)
		}
		rows = append(rows, update, c.pkg, c.vulnerability, string(c.reason), before, after)
	}
	if err := s.insertRows(ctx, tx, `clair_changes (update_id bigint, package_id bigint, vulnerability text, reason text, before text, after text)`, rows); err != nil {
		return fmt.Errorf("note changes: %w", err)
	}
	return nil
}

// vulnerabilityNames returns the names of vulnerabilities by id.
func vulnerabilityNames(ctx context.Context, q querier, ids []any) (map[int64]string, error) {
	names := make(map[int64]string, len(ids))
	for chunk := range slices.Chunk(ids, matchBatch) {
		rows, err := queryAll(ctx, q, scanNamed, `select name, id from vulnerabilities where id in (`+parameters(1, len(chunk))+`)`, chunk...)
		if err != nil {
			return nil, fmt.Errorf("names of vulnerabilities: %w", err)
		}
		for _, n := range rows {
			names[n.id] = n.name
		}
	}
	return names, nil
}

// endUpdates ends the readings of a document, or of a whole feed where part is
// "", and forgets old ones.
func (s *Store) endUpdates(ctx context.Context, tx *sql.Tx, feed, part string) error {
	if _, err := tx.ExecContext(ctx, `update clair_updates set ended_at = $3 where feed = $1 and ($2 = '' or part = $2) and ended_at is null`,
		feed, part, micros(s.now())); err != nil {
		return fmt.Errorf("end updates: %w", err)
	}
	// Those that wait to be told stay longer, but not for ever: perhaps nobody tells.
	const newer = `(select count(*) from clair_updates l where l.feed = clair_updates.feed and l.part = clair_updates.part and l.id > clair_updates.id)`
	if _, err := tx.ExecContext(ctx, `delete from clair_updates where feed = $1 and ($2 = '' or part = $2)
		and `+newer+` >= (case when told then `+fmt.Sprint(keptUpdates)+` else 100 * `+fmt.Sprint(keptUpdates)+` end)`, feed, part); err != nil {
		return fmt.Errorf("forget updates: %w", err)
	}
	return nil
}

// Updates lists the readings of feeds that changed something and have ended, the
// latest first, at most so many of each document.
func (s *Store) Updates(ctx context.Context, perPart int) ([]clairapi.Update, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (u clairapi.Update, err error) {
		var ended sql.NullInt64
		err = rows.Scan(&u.Ref, &u.Feed, &u.Part, &ended)
		u.Date = at(ended)
		return u, err
	}, `select ref, feed, part, ended_at from (
			select u.*, row_number() over (partition by feed, part order by id desc) as place from clair_updates u where ended_at is not null
		) ranked where place <= $1 order by id desc`, perPart)
	if err != nil {
		return nil, fmt.Errorf("list updates: %w", err)
	}
	return list, nil
}

// DeleteUpdate forgets a reading, known or not. It does not change what is stored.
func (s *Store) DeleteUpdate(ctx context.Context, ref string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `delete from clair_updates where ref = $1 and ended_at is not null`, ref)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete update %s: %w", ref, err)
	}
	return nil
}

// UpdateChanges returns what changed between two readings of a document, by
// their refs. Where prev is "" it is what the document states now of packages
// that are stored. clairapi.ErrNotFound says that a ref is unknown, or that they
// are of different documents.
func (s *Store) UpdateChanges(ctx context.Context, prev, cur string) ([]clairapi.Change, error) {
	var to, from int64
	var feed, part string
	err := s.read.QueryRowContext(ctx, `select id, feed, part from clair_updates where ref = $1`, cur).Scan(&to, &feed, &part)
	if err == nil && prev != "" {
		err = s.read.QueryRowContext(ctx, `select id from clair_updates where ref = $1 and feed = $2 and part = $3`, prev, feed, part).Scan(&from)
	}
	if err != nil {
		return nil, fmt.Errorf("update %s: %w", cur, noRows(err, clairapi.ErrNotFound))
	}
	if prev == "" {
		return s.statedNow(ctx, feed, part)
	}
	return s.changes(ctx, `u.feed = $1 and u.part = $2 and u.id > $3 and u.id <= $4`, feed, part, from, to)
}

func (s *Store) changes(ctx context.Context, where string, args ...any) ([]clairapi.Change, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (c clairapi.Change, err error) {
		var before, after, vulnerability string
		var published, exploited sql.NullInt64
		t := &c.Threat
		if err := rows.Scan(append([]any{&c.PackageID, &c.Reason, &before, &after, &vulnerability, &t.Description, &t.Severity, &published,
			&t.CVSS, &t.Vector, &exploited}, packageFields(&c.Package)...)...); err != nil {
			return c, err
		}
		t.PackageID, t.Vulnerability, t.Published, t.ExploitedSince = c.PackageID, vulnerability, at(published), at(exploited)
		for _, side := range []struct {
			text string
			into **match.Statement
		}{{before, &c.Before}, {after, &c.After}} {
			if side.text == "" {
				continue
			}
			*side.into = new(match.Statement)
			if err := json.Unmarshal([]byte(side.text), *side.into); err != nil {
				return c, err
			}
			t.Statement = **side.into
		}
		if t.Statement.Severity > 0 {
			t.Severity = t.Statement.Severity
		}
		t.Statement.Package = subject(c.Package, t.Statement)
		return c, nil
	}, `select c.package_id, c.reason, c.before, c.after, c.vulnerability, coalesce(v.description, ''), coalesce(v.severity, 0), v.published_at,
			coalesce(v.cvss, 0), coalesce(v.cvss_vector, ''), v.exploited_at, `+packageColumns+`
		from clair_updates u
		join clair_changes c on c.update_id = u.id
		join packages p on p.id = c.package_id
		left join vulnerabilities v on v.name = c.vulnerability
		where `+where+` order by c.id`, args...)
	if err != nil {
		return nil, fmt.Errorf("read changes: %w", err)
	}
	return list, nil
}

// subject is the name of the package that a statement speaks of.
func subject(p inventory.Package, s match.Statement) string {
	if s.Source {
		return p.SourceName
	}
	return p.Name
}

// statedNow returns the live matches that a document states, as if all were new.
func (s *Store) statedNow(ctx context.Context, feed, part string) ([]clairapi.Change, error) {
	threats, err := queryAll(ctx, s.read, scanThreat, `select `+threatColumns+` from matches m`+threatJoins+`
		where m.gone_at is null and m.feed = $1 and m.part = $2 order by m.id limit 100000`, feed, part)
	if err != nil {
		return nil, fmt.Errorf("matches of %s %s: %w", feed, part, err)
	}
	ids := make([]any, 0, len(threats))
	for _, t := range threats {
		ids = append(ids, t.PackageID)
	}
	packages, err := packagesByID(ctx, s.read, ids)
	if err != nil {
		return nil, err
	}
	list := make([]clairapi.Change, len(threats))
	for i := range threats {
		t := threats[i]
		list[i] = clairapi.Change{PackageID: t.PackageID, Package: packages[t.PackageID], Reason: clairapi.Added, After: &threats[i].Statement, Threat: t}
	}
	return list, nil
}

func packagesByID(ctx context.Context, q querier, ids []any) (map[int64]inventory.Package, error) {
	found := make(map[int64]inventory.Package)
	for chunk := range slices.Chunk(ids, matchBatch) {
		rows, err := queryAll(ctx, q, scanPackage, `select p.id, `+packageColumns+` from packages p where p.id in (`+parameters(1, len(chunk))+`)`, chunk...)
		if err != nil {
			return nil, fmt.Errorf("read packages: %w", err)
		}
		for _, p := range rows {
			found[p.id] = p.Package
		}
	}
	return found, nil
}

// PackagesByKey returns the packages that answer to one of the keys, by id.
func (s *Store) PackagesByKey(ctx context.Context, keys []advisory.Key) (map[int64]inventory.Package, error) {
	found := make(map[int64]inventory.Package)
	for chunk := range slices.Chunk(keys, matchBatch) {
		rows, err := s.packagesByKey(ctx, s.read, chunk)
		if err != nil {
			return nil, err
		}
		for _, p := range rows {
			found[p.id] = p.packageRow.Package
		}
	}
	return found, nil
}

// ManifestsWith returns, by package, the manifests of clients that have it, in order.
func (s *Store) ManifestsWith(ctx context.Context, packages []int64) (map[int64][]string, error) {
	type row struct {
		pkg  int64
		hash string
	}
	manifests := make(map[int64][]string)
	for chunk := range slices.Chunk(packages, matchBatch) {
		args := make([]any, len(chunk))
		for i, id := range chunk {
			args[i] = id
		}
		rows, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
			err = rows.Scan(&r.pkg, &r.hash)
			return r, err
		}, `select ip.package_id, m.hash from inventory_packages ip
			join clair_manifests m on m.inventory_id = ip.inventory_id
			where ip.package_id in (`+parameters(1, len(args))+`) and ip.owner = '' and not exists (select 1 from images i where i.digest = m.hash and i.state = 'done')
			union
			select ip.package_id, m.hash from inventory_packages ip
			join images i on i.inventory_id = ip.inventory_id and i.state = 'done'
			join clair_manifests m on m.hash = i.digest
			where ip.package_id in (`+parameters(1, len(args))+`) and ip.owner = '' order by 2`, args...)
		if err != nil {
			return nil, fmt.Errorf("manifests with packages: %w", err)
		}
		for _, r := range rows {
			manifests[r.pkg] = append(manifests[r.pkg], r.hash)
		}
	}
	return manifests, nil
}
