package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/source"
)

// AnswerScan stores the good answer of a claimed scan in place of the one before,
// at once. Vulnerabilities that nobody has named yet are remembered, and packages
// that are not in the image's inventory. It returns source.ErrTaken.
func (s *Store) AnswerScan(ctx context.Context, id int64, owner string, r source.Report) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		// Feeds join vulnerabilities that turn out to be the same.
		if err := s.lockMatching(ctx, tx); err != nil {
			return err
		}
		a := answer{Store: s, tx: tx, now: micros(s.now())}
		var inv sql.NullInt64
		if err := tx.QueryRowContext(ctx, `select c.image_id, c.source_id, i.inventory_id from source_scans c join images i on i.id = c.image_id
			where c.id = $1 and c.owner = $2 and c.state = 'running'`, id, owner).Scan(&a.image, &a.source, &inv); err != nil {
			return noRows(err, source.ErrTaken)
		}
		if err := a.save(ctx, inv.Int64, r.Findings); err != nil {
			return err
		}
		done, err := tx.ExecContext(ctx, `update source_scans set state = 'answered', attempts = 0, error = '', handle = $1, owner = '',
				inventory_id = $2, answered_at = $3, first_answered_at = coalesce(first_answered_at, $3), next_try_at = null where id = $4 and owner = $5 and state = 'running'`,
			r.Handle, inv, a.now, id, owner)
		if err != nil {
			return err
		}
		return changedOne(done, source.ErrTaken)
	})
	if err != nil {
		return fmt.Errorf("answer of scan %d: %w", id, err)
	}
	return nil
}

// answer is an answer on its way into the database.
type answer struct {
	*Store
	tx            *sql.Tx
	image, source int64
	now           int64
}

// reported is a finding as it is stored.
type reported struct {
	name, fixed, link string
	severity          int
	layer             sql.NullInt64
}

type reportedKey struct{ vulnerability, pkg int64 }

func (a *answer) save(ctx context.Context, inventoryID int64, findings []source.Reported) error {
	names, err := a.nameVulnerabilities(ctx, findings)
	if err != nil {
		return err
	}
	packages, err := a.locate(ctx, inventoryID, findings)
	if err != nil {
		return err
	}
	layers, err := a.layers(ctx)
	if err != nil {
		return err
	}
	fresh := make(map[reportedKey]reported, len(findings))
	order := make([]reportedKey, 0, len(findings))
	for i, f := range findings {
		said := reported{name: f.Vulnerability, fixed: f.Fixed, link: f.Link, severity: int(f.Severity)}
		if position, known := layers[f.Layer]; known {
			said.layer = sql.NullInt64{Int64: position, Valid: true}
		}
		for _, pkg := range packages[i] {
			key := reportedKey{names[f.Vulnerability], pkg}
			if before, twice := fresh[key]; twice {
				// Of two words on one thing the graver counts.
				if before.severity >= said.severity {
					continue
				}
			} else {
				order = append(order, key)
			}
			fresh[key] = said
		}
	}
	return a.replace(ctx, fresh, order)
}

// replace writes the difference to what is stored.
func (a *answer) replace(ctx context.Context, fresh map[reportedKey]reported, order []reportedKey) error {
	type row struct {
		id  int64
		key reportedKey
		reported
	}
	stored, err := queryAll(ctx, a.tx, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.key.vulnerability, &r.key.pkg, &r.name, &r.severity, &r.fixed, &r.link, &r.layer)
		return r, err
	}, `select id, vulnerability_id, package_id, name, severity, fixed, link, layer_position from source_findings
		where image_id = $1 and source_id = $2 and gone_at is null`, a.image, a.source)
	if err != nil {
		return fmt.Errorf("read findings: %w", err)
	}
	known := make(map[reportedKey]bool, len(stored))
	var changed []int64
	var gone []any
	for _, r := range stored {
		now, still := fresh[r.key]
		known[r.key] = still
		switch {
		case !still:
			gone = append(gone, r.id)
			changed = append(changed, r.key.vulnerability)
		case now != r.reported:
			if _, err := a.tx.ExecContext(ctx, `update source_findings set name = $1, severity = $2, fixed = $3, link = $4, layer_position = $5,
					fixed_at = case when $3 = '' then null when fixed = '' then cast($7 as bigint) else fixed_at end,
					raised_at = case when $2 > severity and severity > 0 then cast($7 as bigint) else raised_at end
				where id = $6`, now.name, now.severity, now.fixed, now.link, now.layer, r.id, a.now); err != nil {
				return fmt.Errorf("update finding: %w", err)
			}
			changed = append(changed, r.key.vulnerability)
		}
	}
	for chunk := range slices.Chunk(gone, matchBatch) {
		if _, err := a.tx.ExecContext(ctx, `update source_findings set gone_at = $1 where id in (`+parameters(2, len(chunk))+`)`, append([]any{a.now}, chunk...)...); err != nil {
			return fmt.Errorf("end findings: %w", err)
		}
	}
	var added []any
	for _, key := range order {
		if f := fresh[key]; !known[key] {
			changed = append(changed, key.vulnerability)
			added = append(added, a.image, a.source, key.vulnerability, key.pkg, f.name, f.severity, f.fixed, f.link, f.layer, a.now)
		}
	}
	if err := a.insertRows(ctx, a.tx, `source_findings (image_id bigint, source_id bigint, vulnerability_id bigint, package_id bigint,
		name text, severity integer, fixed text, link text, layer_position integer, first_seen bigint)`, added); err != nil {
		return fmt.Errorf("insert findings: %w", err)
	}
	return a.due(ctx, a.tx, changed)
}

// layers are the positions of the image's layers.
func (a *answer) layers(ctx context.Context) (map[string]int64, error) {
	type row struct {
		digest   string
		position int64
	}
	rows, err := queryAll(ctx, a.tx, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.digest, &r.position)
		return r, err
	}, `select digest, position from image_layers where image_id = $1 order by position desc`, a.image)
	if err != nil {
		return nil, fmt.Errorf("read layers: %w", err)
	}
	layers := make(map[string]int64, len(rows))
	for _, r := range rows { // of two that are the same the lower one
		layers[r.digest] = r.position
	}
	return layers, nil
}

// nameVulnerabilities returns the ids of the vulnerabilities by the source's names:
// those of that name, or that alone have it for an alias, or new ones.
func (a *answer) nameVulnerabilities(ctx context.Context, findings []source.Reported) (map[string]int64, error) {
	said := make(map[string]source.Reported, len(findings))
	var names []string
	for _, f := range findings {
		before, known := said[f.Vulnerability]
		if !known {
			names = append(names, f.Vulnerability)
		}
		if !known || before.Severity < f.Severity {
			said[f.Vulnerability] = f
		}
	}
	slices.Sort(names)
	ids := make(map[string]int64, len(names))
	for chunk := range slices.Chunk(names, 500) {
		args := make([]any, len(chunk))
		for i, name := range chunk {
			args[i] = name
		}
		for _, query := range []string{
			`select alias, min(vulnerability_id) from vulnerability_aliases where alias in (` + parameters(1, len(args)) + `)
				group by alias having count(distinct vulnerability_id) = 1`,
			`select name, id from vulnerabilities where name in (` + parameters(1, len(args)) + `)`, // counts before an alias
		} {
			stored, err := queryAll(ctx, a.tx, scanNamed, query, args...)
			if err != nil {
				return nil, fmt.Errorf("read vulnerabilities: %w", err)
			}
			for _, n := range stored {
				ids[n.name] = n.id
			}
		}
		for _, name := range chunk {
			if ids[name] != 0 {
				continue
			}
			f := said[name]
			var id int64
			if err := a.tx.QueryRowContext(ctx, `insert into vulnerabilities (name, description, severity, cvss, cvss_vector, first_seen)
				values ($1, $2, $3, $4, $5, $6) returning id`, name, f.Description, int(f.Severity), f.CVSS, f.Vector, a.now).Scan(&id); err != nil {
				return nil, fmt.Errorf("insert vulnerability %q: %w", name, err)
			}
			ids[name] = id
		}
	}
	return ids, nil
}

// locate returns the ids of the packages that each finding is on.
func (a *answer) locate(ctx context.Context, inventoryID int64, findings []source.Reported) ([][]int64, error) {
	installed, err := queryAll(ctx, a.tx, scanPackage, `select p.id, `+packageColumns+` from packages p
		where p.id in (select ip.package_id from inventory_packages ip where ip.inventory_id = $1) order by p.id`, inventoryID)
	if err != nil {
		return nil, fmt.Errorf("read packages: %w", err)
	}
	packages := make([]inventory.Package, len(installed))
	for i, p := range installed {
		packages[i] = p.Package
	}
	located := source.Locate(packages)
	foreign := make(map[inventory.Package]int64)
	all := make([][]int64, len(findings))
	for i, f := range findings {
		for _, at := range located.Of(packages, f) {
			all[i] = append(all[i], installed[at].id)
		}
		if len(all[i]) > 0 {
			continue
		}
		// No detector finds packages without a type, so that this one is never
		// taken for one of theirs, which advisories speak of.
		p := inventory.Package{Name: f.Package, Version: f.Version, Architecture: f.Architecture, Distribution: f.Distribution}
		if foreign[p] == 0 {
			if foreign[p], err = a.foreignPackage(ctx, p); err != nil {
				return nil, err
			}
		}
		all[i] = []int64{foreign[p]}
	}
	return all, nil
}

// foreignPackage is the id of a package that no inventory holds.
func (a *answer) foreignPackage(ctx context.Context, p inventory.Package) (id int64, err error) {
	const columns = `type, distribution, name, version, architecture, source_name, source_version, module, repositories`
	values := []any{p.Type, p.Distribution, p.Name, p.Version, p.Architecture, p.SourceName, p.SourceVersion, p.Module, p.Repositories}
	if _, err := a.tx.ExecContext(ctx, `insert into packages (`+columns+`) values (`+parameters(1, 9)+`) on conflict do nothing`, values...); err != nil {
		return 0, fmt.Errorf("insert package %s: %w", p.Name, err)
	}
	where := strings.Split(columns, ", ")
	for i := range where {
		where[i] += fmt.Sprintf(" = $%d", i+1)
	}
	if err := a.tx.QueryRowContext(ctx, `select id from packages where `+strings.Join(where, " and "), values...).Scan(&id); err != nil {
		return 0, fmt.Errorf("package %s: %w", p.Name, err)
	}
	return id, nil
}
