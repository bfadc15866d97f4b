package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// clairChain is the chain that ends with layer $1, of at most $2 layers; depth
// counts from that layer towards the base.
const clairChain = `with recursive chain (name, parent_name, digest, format, inventory_id, origin, detectors, depth) as (
		select name, parent_name, digest, format, inventory_id, origin, detectors, 1 from clair_layers where name = $1
		union all
		select l.name, l.parent_name, l.digest, l.format, l.inventory_id, l.origin, l.detectors, c.depth + 1
		from chain c join clair_layers l on l.name = c.parent_name where c.depth < $2
	)`

// ClairChain returns the layers that lead to the named one, base first, or
// clairapi.ErrNotFound.
func (s *Store) ClairChain(ctx context.Context, name string) ([]clairapi.Layer, error) {
	chain, err := queryAll(ctx, s.read, func(rows *sql.Rows) (l clairapi.Layer, err error) {
		err = rows.Scan(&l.Name, &l.ParentName, &l.Digest, &l.Format, &l.InventoryID, &l.Origin, &l.Detectors, &l.Distribution, &l.Inferred)
		return l, err
	}, clairChain+`
		select c.name, coalesce(c.parent_name, ''), c.digest, c.format, c.inventory_id, c.origin, c.detectors,
			v.distribution, v.warnings like '%"code":"inferred"%'
		from chain c join inventories v on v.id = c.inventory_id order by c.depth desc`, name, clairapi.MaxChain)
	if err != nil {
		return nil, fmt.Errorf("clair layer %q: %w", name, err)
	}
	if len(chain) == 0 {
		return nil, fmt.Errorf("clair layer %q: %w", name, clairapi.ErrNotFound)
	}
	return chain, nil
}

// SaveClairLayer keeps a layer. One that is known keeps its first parent, and
// keeps all else where l has another parent. It returns
// clairapi.ErrUnknownParent or clairapi.ErrChainTooLong.
//
// A chain cannot be a circle: a parent must exist before its child, and stays.
func (s *Store) SaveClairLayer(ctx context.Context, l clairapi.Layer) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if l.ParentName != "" {
			var length int
			if err := tx.QueryRowContext(ctx, clairChain+` select count(*) from chain`, l.ParentName, clairapi.MaxChain).Scan(&length); err != nil {
				return err
			}
			if length == 0 || l.ParentName == l.Name {
				return fmt.Errorf("%w: %s", clairapi.ErrUnknownParent, l.ParentName)
			}
			if length >= clairapi.MaxChain {
				return fmt.Errorf("%w: more than %d", clairapi.ErrChainTooLong, clairapi.MaxChain)
			}
		}
		_, err := tx.ExecContext(ctx, `insert into clair_layers (name, parent_name, digest, format, inventory_id, origin, detectors, created_at) values ($1, $2, $3, $4, $5, $6, $7, $8)
			on conflict (name) do update set digest = excluded.digest, inventory_id = excluded.inventory_id, detectors = excluded.detectors
				where coalesce(clair_layers.parent_name, '') = coalesce(excluded.parent_name, '')`,
			l.Name, sql.NullString{String: l.ParentName, Valid: l.ParentName != ""}, l.Digest, l.Format, l.InventoryID, l.Origin, l.Detectors, micros(s.now()))
		return err
	})
	if parentIsGone(err) {
		err = fmt.Errorf("%w: %s", clairapi.ErrUnknownParent, l.ParentName)
	}
	if err != nil {
		return fmt.Errorf("save clair layer %q: %w", l.Name, err)
	}
	return nil
}

// parentIsGone reports that another connection deleted the parent meanwhile;
// SQLite has one writer, so it cannot happen there.
func parentIsGone(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "23503" && strings.Contains(pg.ConstraintName, "parent_name")
}

// DeleteClairLayer deletes a layer and all that were built on it, or returns
// clairapi.ErrNotFound.
func (s *Store) DeleteClairLayer(ctx context.Context, name string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `delete from clair_layers where name = $1`, name)
		if err != nil {
			return fmt.Errorf("delete clair layer %q: %w", name, err)
		}
		if n, err := result.RowsAffected(); err != nil {
			return fmt.Errorf("delete clair layer %q: %w", name, err)
		} else if n == 0 {
			return fmt.Errorf("clair layer %q: %w", name, clairapi.ErrNotFound)
		}
		return nil
	})
}

// InventoryPackages returns the packages of an inventory, by name, version,
// architecture and path. Layers are given by index only.
func (s *Store) InventoryPackages(ctx context.Context, id int64) ([]inventory.Installed, error) {
	packages, err := queryAll(ctx, s.read, scanInstalled, `select `+installedColumns+`
		from inventory_packages ip
		join packages p on p.id = ip.package_id
		join files f on f.id = ip.file_id
		where ip.inventory_id = $1
		order by p.name, p.version, p.architecture, f.path`, id)
	if err != nil {
		return nil, fmt.Errorf("packages of inventory %d: %w", id, err)
	}
	return packages, nil
}

// installedColumns are those of a package p that file f of an inventory proves,
// as ip states it, for scanInstalled.
const installedColumns = packageColumns + `, ip.layer_position, ip.line, ip.evidence, ip.owner, f.path, f.detector`

func scanInstalled(rows *sql.Rows) (p inventory.Installed, err error) {
	err = rows.Scan(append(packageFields(&p.Package), &p.LayerIndex, &p.Line, &p.Evidence, &p.Owner, &p.Path, &p.Detector)...)
	return p, err
}

// InventoryFindings returns what affects the packages of an inventory now, the
// most severe first, then by vulnerability, package and path. Layers are given
// by index only; FirstSeen is when the package was first known to be affected.
func (s *Store) InventoryFindings(ctx context.Context, id int64) ([]match.Finding, error) {
	findings, err := s.matched(ctx, id, liveNow)
	if err != nil {
		return nil, fmt.Errorf("findings of inventory %d: %w", id, err)
	}
	return findings, nil
}

// InventoryScores returns what each feed says of the vulnerabilities of these
// packages, by name: of those details that give scores.
func (s *Store) InventoryScores(ctx context.Context, id int64) (map[string][]match.Stated, error) {
	type row struct {
		name, text string
		match.Stated
	}
	rows, err := queryAll(ctx, s.read, func(rows *sql.Rows) (o row, err error) {
		if err = rows.Scan(&o.name, &o.Feed, &o.Part, &o.text); err == nil {
			err = json.Unmarshal([]byte(o.text), &o.Detail)
		}
		return o, err
	}, `select v.name, g.feed, g.part, d.detail
		from vulnerability_details d
		join advisory_groups g on g.id = d.group_id
		join vulnerabilities v on v.id = d.vulnerability_id
		where d.detail like '%"scores"%' and d.vulnerability_id in (
			select m.vulnerability_id from inventory_packages ip
			join matches m on m.package_id = ip.package_id and m.gone_at is null
			where ip.inventory_id = $1 and ip.owner = '')
		order by g.feed, g.part, g.name`, id)
	if err != nil {
		return nil, fmt.Errorf("scores of inventory %d: %w", id, err)
	}
	stated := make(map[string][]match.Stated)
	for _, o := range rows {
		stated[o.name] = append(stated[o.name], o.Stated)
	}
	return stated, nil
}

// Namespaces lists the distributions that some feed speaks of, in order.
func (s *Store) Namespaces(ctx context.Context) ([]string, error) {
	// One look into the index per name; "select distinct" would read it all.
	names, err := queryAll(ctx, s.read, scanString, `with recursive n (name) as (
			select min(ecosystem) from advisories
			union all
			select (select min(a.ecosystem) from advisories a where a.ecosystem > n.name) from n where n.name is not null
		)
		select name from n where name is not null union select distinct namespace from clair_written order by name`)
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	return names, nil
}

// NamespaceVulnerabilities lists the vulnerabilities that affect some version of
// some package of a distribution, by name, after the given one. They come
// without statements; the severity is the highest that is stated for the
// distribution. A distribution that no feed speaks of is clairapi.ErrNotFound.
func (s *Store) NamespaceVulnerabilities(ctx context.Context, namespace, after string, limit int) ([]match.Vulnerability, error) {
	var known bool
	if err := s.read.QueryRowContext(ctx, `select exists (select 1 from advisories where ecosystem = $1)
		or exists (select 1 from clair_written where namespace = $1)`, namespace).Scan(&known); err != nil {
		return nil, fmt.Errorf("namespace %q: %w", namespace, err)
	}
	if !known {
		return nil, fmt.Errorf("namespace %q: %w", namespace, clairapi.ErrNotFound)
	}
	list, err := queryAll(ctx, s.read, scanVulnerability, `select v.id, v.name, v.description, v.first_seen,
			coalesce((select max(a.severity) from advisories a where a.vulnerability_id = v.id and a.ecosystem = $1 and a.status = 'affected'), 0)
		from vulnerabilities v
		where v.name > $2 and (exists (
			select 1 from advisories a where a.vulnerability_id = v.id and a.ecosystem = $1 and a.status = 'affected')
			or exists (select 1 from clair_written w where w.namespace = $1 and w.name = v.name))
		order by v.name limit $3`, namespace, after, limit)
	if err != nil {
		return nil, fmt.Errorf("vulnerabilities of %q: %w", namespace, err)
	}
	return list, nil
}

// NamespaceVulnerability returns a vulnerability with what is stated on affected
// packages of a distribution, or clairapi.ErrNotFound where nothing is.
func (s *Store) NamespaceVulnerability(ctx context.Context, namespace, name string) (match.Vulnerability, error) {
	v, err := namespaceVulnerability(ctx, s.read, namespace, name)
	if err != nil {
		return v, err
	}
	details, err := s.detailsOf(ctx, s.read, []int64{v.ID})
	v.Details = details[v.ID]
	return v, err
}

func namespaceVulnerability(ctx context.Context, q querier, namespace, name string) (match.Vulnerability, error) {
	type row struct {
		v match.Vulnerability
		s match.Statement
	}
	found, err := queryAll(ctx, q, func(rows *sql.Rows) (r row, err error) {
		var firstSeen int64
		err = rows.Scan(append([]any{&r.v.ID, &r.v.Name, &r.v.Description, &r.v.CVSS, &r.v.Vector, &firstSeen}, statementFields(&r.s)...)...)
		r.v.FirstSeen = at(sql.NullInt64{Int64: firstSeen, Valid: true})
		r.s.Vulnerability = r.v.Name
		return r, err
	}, `select v.id, v.name, v.description, v.cvss, v.cvss_vector, v.first_seen,
			`+statementColumns+`
		from vulnerabilities v
		join advisories a on a.vulnerability_id = v.id and a.ecosystem = $1 and a.status = 'affected'
		join advisory_groups g on g.id = a.group_id
		where v.name = $2
		order by a.package, a.fixed, g.feed, g.part, a.id`, namespace, name)
	if err != nil {
		return match.Vulnerability{}, fmt.Errorf("vulnerability %q of %q: %w", name, namespace, err)
	}
	if len(found) == 0 {
		return match.Vulnerability{}, fmt.Errorf("vulnerability %q of %q: %w", name, namespace, clairapi.ErrNotFound)
	}
	v := found[0].v
	for _, r := range found {
		v.Statements = append(v.Statements, r.s)
		v.Severity = max(v.Severity, r.s.Severity)
	}
	return v, nil
}

func scanVulnerability(rows *sql.Rows) (v match.Vulnerability, err error) {
	var firstSeen int64
	err = rows.Scan(&v.ID, &v.Name, &v.Description, &firstSeen, &v.Severity)
	v.FirstSeen = at(sql.NullInt64{Int64: firstSeen, Valid: true})
	return v, err
}
