package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// isCVE reports names that no two vulnerabilities share: they are never aliases
// of one another.
func isCVE(name string) bool { return strings.HasPrefix(name, "CVE-") }

// nameVulnerabilities returns the ids of the vulnerabilities that the groups
// speak of, by the names that they use, having stored those that are new and
// joined those of which an alias tells that they are the same.
func (r *replacement) nameVulnerabilities(ctx context.Context, changed []feed.Entry, old *statedBefore) (map[string]int64, error) {
	names := make(map[string]bool)
	for _, g := range changed {
		for i := range g.Advisories {
			names[g.Advisories[i].Vulnerability] = true
		}
		for name := range g.Details {
			names[name] = true
		}
	}
	ids := make(map[string]int64, len(names))
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(names)), relationRows) {
		stored, err := r.vulnerabilitiesByName(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for _, n := range stored {
			ids[n.name] = n.id
		}
		var fresh []any
		for _, name := range chunk {
			if ids[name] == 0 {
				fresh = append(fresh, name, r.now)
			}
		}
		if len(fresh) == 0 {
			continue
		}
		given := r.relation("name text, first_seen bigint", fresh)
		if stored, err = queryAll(ctx, r.tx, scanNamed, `insert into vulnerabilities (name, first_seen) `+given.query+` returning name, id`, given.args...); err != nil {
			return nil, fmt.Errorf("insert vulnerabilities: %w", err)
		}
		for _, n := range stored {
			ids[n.name] = n.id
		}
	}
	if err := r.join(ctx, changed, ids, old); err != nil {
		return nil, err
	}
	return ids, nil
}

func (r *replacement) vulnerabilitiesByName(ctx context.Context, names []string) ([]named, error) {
	given := r.relation("name text", anys(names))
	stored, err := queryAll(ctx, r.tx, scanNamed, `select name, id from vulnerabilities where name in (`+given.query+`)`, given.args...)
	if err != nil {
		return nil, fmt.Errorf("read vulnerabilities: %w", err)
	}
	return stored, nil
}

// aliasesOf lists the names, other than CVE ids, that a group gives to
// vulnerabilities, with the ids of these.
func aliasesOf(g feed.Entry, ids map[string]int64) []named {
	var list []named
	for _, name := range slices.Sorted(maps.Keys(g.Details)) {
		for _, alias := range append(g.Details[name].Aliases, name) {
			if !isCVE(alias) {
				list = append(list, named{alias, ids[name]})
			}
		}
	}
	slices.SortFunc(list, func(a, b named) int { return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.id, b.id)) })
	return slices.Compact(list)
}

// join makes vulnerabilities one that have an alias in common, unless it is that
// of several CVEs. It brings ids up to date.
func (r *replacement) join(ctx context.Context, changed []feed.Entry, ids map[string]int64, old *statedBefore) error {
	// shared are the vulnerabilities by alias; cves are those among them with a CVE id.
	shared := make(map[string]map[int64]bool)
	cves := make(map[int64]bool)
	add := func(alias string, id int64, cve bool) {
		if shared[alias] == nil {
			shared[alias] = make(map[int64]bool)
		}
		shared[alias][id] = true
		cves[id] = cves[id] || cve
	}
	for name, id := range ids {
		cves[id] = isCVE(name)
	}
	for _, g := range changed {
		for _, a := range aliasesOf(g, ids) {
			add(a.name, a.id, false)
		}
	}
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(shared)), relationRows) {
		given := r.relation("alias text", anys(chunk))
		type row struct {
			alias string
			named
		}
		known, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (o row, err error) {
			err = rows.Scan(&o.alias, &o.name, &o.id)
			return o, err
		}, `select distinct a.alias, v.name, v.id from vulnerability_aliases a join vulnerabilities v on v.id = a.vulnerability_id
			where a.alias in (`+given.query+`)`, given.args...)
		if err != nil {
			return fmt.Errorf("read aliases: %w", err)
		}
		for _, o := range known {
			add(o.alias, o.id, isCVE(o.name))
		}
		stored, err := r.vulnerabilitiesByName(ctx, chunk)
		if err != nil {
			return err
		}
		for _, n := range stored {
			add(n.name, n.id, false)
		}
	}
	merged := make(map[int64]int64)
	current := func(id int64) int64 {
		for merged[id] != 0 {
			id = merged[id]
		}
		return id
	}
	for _, alias := range slices.Sorted(maps.Keys(shared)) {
		same := make(map[int64]bool, len(shared[alias]))
		var to int64
		several := false
		for id := range shared[alias] {
			id = current(id)
			if same[id] {
				continue
			}
			same[id] = true
			several = several || to != 0 && cves[to] && cves[id]
			if to == 0 || cves[id] && !cves[to] || cves[id] == cves[to] && id < to {
				to = id
			}
		}
		if several {
			continue
		}
		for _, from := range slices.Sorted(maps.Keys(same)) {
			if from == to {
				continue
			}
			if err := r.merge(ctx, from, to); err != nil {
				return fmt.Errorf("join vulnerabilities %d and %d, both %q: %w", from, to, alias, err)
			}
			merged[from] = to
			old.moved(from, to)
		}
	}
	for name, id := range ids {
		ids[name] = current(id)
	}
	return nil
}

// merge makes everything of one vulnerability the other's. Where both are live
// in one place, the other's stays.
func (r *replacement) merge(ctx context.Context, from, to int64) error {
	keys, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (k advisory.Key, err error) {
		err = rows.Scan(&k.Ecosystem, &k.Package, &k.Source)
		return k, err
	}, `select distinct ecosystem, package, source from advisories where vulnerability_id = $1`, from)
	if err != nil {
		return err
	}
	for _, k := range keys {
		r.keys.add(k, to)
	}
	for _, step := range []string{
		`update advisories set vulnerability_id = $2 where vulnerability_id = $1`,
		`delete from vulnerability_details where vulnerability_id = $1 and group_id in (select group_id from vulnerability_details where vulnerability_id = $2)`,
		`update vulnerability_details set vulnerability_id = $2 where vulnerability_id = $1`,
		`delete from vulnerability_aliases where vulnerability_id = $1 and exists (select 1 from vulnerability_aliases o
			where o.vulnerability_id = $2 and o.alias = vulnerability_aliases.alias and o.group_id = vulnerability_aliases.group_id)`,
		`update vulnerability_aliases set vulnerability_id = $2 where vulnerability_id = $1`,
		`update matches set gone_at = ` + fmt.Sprint(r.now) + ` where vulnerability_id = $1 and gone_at is null
			and package_id in (select package_id from matches where vulnerability_id = $2 and gone_at is null)`,
		`update matches set vulnerability_id = $2 where vulnerability_id = $1`,
		`update source_findings set gone_at = ` + fmt.Sprint(r.now) + ` where vulnerability_id = $1 and gone_at is null
			and exists (select 1 from source_findings o where o.vulnerability_id = $2 and o.gone_at is null
				and o.image_id = source_findings.image_id and o.source_id = source_findings.source_id and o.package_id = source_findings.package_id)`,
		`update source_findings set vulnerability_id = $2 where vulnerability_id = $1`,
	} {
		if _, err := r.tx.ExecContext(ctx, step, from, to); err != nil {
			return fmt.Errorf("%.40s…: %w", step, err)
		}
	}
	if err := r.joinAssessments(ctx, r.tx, from, to); err != nil {
		return fmt.Errorf("assessments: %w", err)
	}
	if _, err := r.tx.ExecContext(ctx, `delete from vulnerabilities where id = $1`, from); err != nil {
		return err
	}
	delete(r.vulnerabilities, from)
	r.vulnerabilities[to] = true
	return nil
}

// grade sums up what is said of the vulnerabilities.
func (r *replacement) grade(ctx context.Context) error {
	for chunk := range slices.Chunk(slices.Sorted(maps.Keys(r.vulnerabilities)), relationRows) {
		details, err := r.detailsOf(ctx, r.tx, chunk)
		if err != nil {
			return err
		}
		type row struct {
			id, published, modified, withdrawn, exploited int64
			stated                                        advisory.Severity
			now                                           advisory.Summary
		}
		given := r.relation("id bigint", anys(chunk))
		rows, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (o row, err error) {
			err = rows.Scan(&o.id, &o.now.Description, &o.now.Severity, &o.now.CVSS, &o.now.Vector, &o.published, &o.modified, &o.withdrawn, &o.exploited, &o.stated)
			return o, err
		}, `select v.id, v.description, v.severity, v.cvss, v.cvss_vector, coalesce(v.published_at, 0), coalesce(v.modified_at, 0),
				coalesce(v.withdrawn_at, 0), coalesce(v.exploited_at, 0),
				(select coalesce(max(a.severity), 0) from advisories a where a.vulnerability_id = v.id)
			from vulnerabilities v where v.id in (`+given.query+`)`, given.args...)
		if err != nil {
			return fmt.Errorf("read vulnerabilities: %w", err)
		}
		var changed, raised, listed []any
		var judged []int64
		for _, o := range rows {
			byFeed := make(map[string][]advisory.Detail)
			for _, d := range details[o.id] {
				byFeed[d.Feed] = append(byFeed[d.Feed], d.Detail)
			}
			s := advisory.Summarise(byFeed, o.stated)
			times := [4]sql.NullInt64{nullMicros(s.Published), nullMicros(s.Modified), nullMicros(s.Withdrawn), nullMicros(s.Exploited)}
			same := o.now.Description == s.Description && o.now.Severity == s.Severity && o.now.CVSS == s.CVSS && o.now.Vector == s.Vector
			for i, stored := range [4]int64{o.published, o.modified, o.withdrawn, o.exploited} {
				same = same && stored == ifValid(times[i])
			}
			if !same {
				changed = append(changed, o.id, s.Description, int(s.Severity), s.CVSS, s.Vector, times[0], times[1], times[2], times[3])
			}
			if s.Severity > o.now.Severity {
				raised = append(raised, o.id)
			}
			if o.exploited == 0 && times[3].Valid {
				listed = append(listed, o.id)
			}
			if o.now.Severity != s.Severity || o.now.CVSS != s.CVSS || (o.exploited != 0) != times[3].Valid {
				judged = append(judged, o.id)
			}
		}
		const columns = "id bigint, description text, severity integer, cvss double precision, vector text, published bigint, modified bigint, withdrawn bigint, exploited bigint"
		for rows := range slices.Chunk(changed, 200*len(kindsOf(columns))) {
			given := r.relation(columns, rows)
			if _, err := r.tx.ExecContext(ctx, `with n (`+namesOf(columns)+`) as (`+given.query+`)
				update vulnerabilities set description = n.description, severity = n.severity, cvss = n.cvss, cvss_vector = n.vector,
					published_at = n.published, modified_at = n.modified, withdrawn_at = n.withdrawn, exploited_at = n.exploited
				from n where vulnerabilities.id = n.id`, given.args...); err != nil {
				return fmt.Errorf("grade vulnerabilities: %w", err)
			}
		}
		if err := r.remember(ctx, raised, listed); err != nil {
			return err
		}
		if err := r.foundDue(ctx, r.tx, judged); err != nil {
			return err
		}
	}
	return nil
}

// remember notes when the severity rose of findings that have no other than their
// vulnerability's, and when vulnerabilities were listed as exploited: what was
// decided before may have to be decided anew.
func (r *replacement) remember(ctx context.Context, raised, listed []any) error {
	if len(raised) > 0 {
		if _, err := r.tx.ExecContext(ctx, `update matches set raised_at = $1 where gone_at is null and severity = 0
				and vulnerability_id in (`+parameters(2, len(raised))+`)`, append([]any{r.now}, raised...)...); err != nil {
			return fmt.Errorf("note raised severities: %w", err)
		}
	}
	if len(listed) > 0 {
		if _, err := r.tx.ExecContext(ctx, `update vulnerabilities set listed_at = $1 where id in (`+parameters(2, len(listed))+`)`, append([]any{r.now}, listed...)...); err != nil {
			return fmt.Errorf("note exploited vulnerabilities: %w", err)
		}
	}
	return nil
}

// ifValid is the number, 0 for null.
func ifValid(n sql.NullInt64) int64 {
	if !n.Valid {
		return 0
	}
	return n.Int64
}

// detailsOf returns what feeds say of vulnerabilities as such, by id.
func (s *Store) detailsOf(ctx context.Context, q querier, ids []int64) (map[int64][]match.Stated, error) {
	type row struct {
		id   int64
		text string
		match.Stated
	}
	given := s.relation("id bigint", anys(ids))
	rows, err := queryAll(ctx, q, func(rows *sql.Rows) (o row, err error) {
		if err = rows.Scan(&o.id, &o.Feed, &o.Part, &o.text); err == nil {
			err = json.Unmarshal([]byte(o.text), &o.Detail)
		}
		return o, err
	}, `select d.vulnerability_id, g.feed, g.part, d.detail
		from vulnerability_details d join advisory_groups g on g.id = d.group_id
		where d.vulnerability_id in (`+given.query+`) order by g.feed, g.part, g.name`, given.args...)
	if err != nil {
		return nil, fmt.Errorf("read details: %w", err)
	}
	details := make(map[int64][]match.Stated)
	for _, o := range rows {
		details[o.id] = append(details[o.id], o.Stated)
	}
	return details, nil
}

// VulnerabilityByName returns a vulnerability, by its name or an alias that is
// that of no other, with every statement on it; ErrNotFound where no feed speaks
// of it.
func (s *Store) VulnerabilityByName(ctx context.Context, name string) (match.Vulnerability, error) {
	v, err := s.vulnerability(ctx, `v.name = $1`, name)
	if errors.Is(err, sql.ErrNoRows) {
		v, err = s.vulnerability(ctx, `v.id = (select min(a.vulnerability_id) from vulnerability_aliases a where a.alias = $1
			having count(distinct a.vulnerability_id) = 1)`, name)
	}
	if err != nil {
		return match.Vulnerability{}, fmt.Errorf("vulnerability %q: %w", name, noRows(err, ErrNotFound))
	}
	if v.Aliases, err = queryAll(ctx, s.read, scanString, `select distinct alias from vulnerability_aliases
		where vulnerability_id = $1 and alias <> $2 order by alias`, v.ID, v.Name); err != nil {
		return match.Vulnerability{}, fmt.Errorf("aliases of %q: %w", name, err)
	}
	details, err := s.detailsOf(ctx, s.read, []int64{v.ID})
	if err != nil {
		return match.Vulnerability{}, err
	}
	v.Details = details[v.ID]
	v.Statements, err = queryAll(ctx, s.read, func(rows *sql.Rows) (st match.Statement, err error) {
		st.Vulnerability = v.Name
		err = rows.Scan(statementFields(&st)...)
		return st, err
	}, `select `+statementColumns+`
		from advisories a join advisory_groups g on g.id = a.group_id
		where a.vulnerability_id = $1 order by a.ecosystem, a.package, g.feed, g.part, a.id`, v.ID)
	if err != nil {
		return match.Vulnerability{}, fmt.Errorf("statements on %q: %w", name, err)
	}
	return v, nil
}

func (s *Store) vulnerability(ctx context.Context, where string, args ...any) (v match.Vulnerability, err error) {
	var seen, published, modified, withdrawn, exploited sql.NullInt64
	err = s.read.QueryRowContext(ctx, `select v.id, v.name, v.description, v.severity, v.cvss, v.cvss_vector, v.first_seen,
			v.published_at, v.modified_at, v.withdrawn_at, v.exploited_at, coalesce(e.score, 0), coalesce(e.percentile, 0)
		from vulnerabilities v left join epss e on e.name = v.name where `+where, args...).Scan(&v.ID, &v.Name, &v.Description, &v.Severity, &v.CVSS, &v.Vector, &seen,
		&published, &modified, &withdrawn, &exploited, &v.EPSS, &v.Percentile)
	v.FirstSeen, v.Published, v.Modified, v.Withdrawn, v.Exploited = at(seen), at(published), at(modified), at(withdrawn), at(exploited)
	return v, err
}

// PackagesSpokenOf returns the packages of an inventory that any statement on a
// vulnerability speaks of, by name, version, architecture and path. Layers are
// given by index only.
func (s *Store) PackagesSpokenOf(ctx context.Context, inventoryID, vulnerability int64) ([]inventory.Installed, error) {
	packages, err := queryAll(ctx, s.read, scanInstalled, `select `+installedColumns+`
		from inventory_packages ip
		join packages p on p.id = ip.package_id
		join files f on f.id = ip.file_id
		where ip.inventory_id = $1 and exists (
			select 1 from package_subjects s join advisories a on a.ecosystem = s.ecosystem and a.package = s.package and a.source = s.source
			where s.package_id = ip.package_id and a.vulnerability_id = $2)
		order by p.name, p.version, p.architecture, f.path`, inventoryID, vulnerability)
	if err != nil {
		return nil, fmt.Errorf("packages of inventory %d that vulnerability %d speaks of: %w", inventoryID, vulnerability, err)
	}
	return packages, nil
}
