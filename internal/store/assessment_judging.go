package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
)

// JudgeDue takes at most limit vulnerabilities that are due for a judgement by
// rules, reopens what is to be reopened of their assessments, and does what decide
// says of each, in one transaction.
func (s *Store) JudgeDue(ctx context.Context, limit int, decide assess.Decider) (judged int, changed bool, err error) {
	any, err := s.AnyDue(ctx) // most calls find nothing, and need not wait for a writer
	if err != nil || !any {
		return 0, false, err
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		judged, changed = 0, false
		if err := s.lockMatching(ctx, tx); err != nil {
			return err
		}
		due, err := queryAll(ctx, tx, scanID, `delete from assessment_due where vulnerability_id in
			(select vulnerability_id from assessment_due order by at, vulnerability_id limit $1) returning vulnerability_id`, limit)
		if err != nil {
			return err
		}
		slices.Sort(due)
		judged = len(due)
		for chunk := range slices.Chunk(due, assessmentBatch) {
			reopened, err := s.reopen(ctx, tx, chunk)
			if err != nil {
				return fmt.Errorf("reopen: %w", err)
			}
			ruled, err := s.rule(ctx, tx, chunk, decide)
			if err != nil {
				return fmt.Errorf("rules: %w", err)
			}
			changed = changed || reopened || ruled
		}
		return nil
	})
	if err != nil {
		return 0, false, fmt.Errorf("judge vulnerabilities: %w", err)
	}
	return judged, changed, nil
}

// rule does what decide says of the vulnerabilities.
func (s *Store) rule(ctx context.Context, tx *sql.Tx, ids []int64, decide assess.Decider) (changed bool, err error) {
	types, err := assessmentTypes(ctx, tx)
	if err != nil {
		return false, err
	}
	rules, paths := false, false
	kinds := make(map[string]int64, len(types))
	for _, t := range types {
		kinds[t.Name] = t.ID
		if t.Rule != nil && t.Enabled {
			rules, paths = true, paths || len(t.Rule.Paths) > 0
		}
	}
	subjects, any, err := s.subjects(ctx, tx, ids, rules, paths)
	if err != nil || !any && !rules {
		return false, err
	}
	var creates []assess.Assessment
	for _, subject := range subjects {
		plan := decide(*subject, types)
		for _, e := range plan.Ends {
			reason := assess.RuleEnded
			if e.Superseded {
				reason = assess.Superseded
			}
			if _, err := s.end(ctx, tx, ending{s.now(), e.By, reason, e.Note}, `id = $7`, e.ID); err != nil {
				return false, err
			}
		}
		creates = append(creates, plan.Creates...)
		changed = changed || len(plan.Ends)+len(plan.Creates) > 0
	}
	return changed, s.insertAssessments(ctx, tx, creates, kinds)
}

// subjects reads the vulnerabilities as rules see them, and whether any has a live
// assessment that a rule took.
func (s *Store) subjects(ctx context.Context, tx *sql.Tx, ids []int64, rules, paths bool) (list []*assess.Subject, automatic bool, err error) {
	in := `(` + parameters(1, len(ids)) + `)`
	args := anys(ids)
	byID := make(map[int64]*assess.Subject, len(ids))
	subject := func(id int64, name string) *assess.Subject {
		if byID[id] == nil {
			byID[id] = &assess.Subject{VulnerabilityID: id, Vulnerability: name}
			list = append(list, byID[id])
		}
		return byID[id]
	}
	const wide = ` and a.scope_kind in ('everywhere', 'package')`
	live, err := queryAll(ctx, tx, scanAssessment, selectAssessment+`where a.vulnerability_id in `+in+wide+` and a.ended_at is null order by a.id`, args...)
	if err != nil {
		return nil, false, fmt.Errorf("live assessments: %w", err)
	}
	now := s.now()
	for _, a := range live {
		v := subject(a.VulnerabilityID, a.Vulnerability)
		if a.Live(now) {
			v.Live, automatic = append(v.Live, a), automatic || a.Automatic
		} else { // as good as ended
			a.EndedBy, a.EndedReason = assess.System, assess.Expired
			v.Last = append(v.Last, a)
		}
	}
	if !rules {
		return list, automatic, nil
	}
	last, err := queryAll(ctx, tx, scanAssessment, selectAssessment+`where a.id in (select max(e.id) from assessments e
			where e.vulnerability_id in `+in+` and e.scope_kind in ('everywhere', 'package') and e.ended_at is not null
			group by e.vulnerability_id, e.scope_kind, e.scope_value) order by a.id`, args...)
	if err != nil {
		return nil, false, fmt.Errorf("ended assessments: %w", err)
	}
	for _, a := range last {
		v := subject(a.VulnerabilityID, a.Vulnerability)
		v.Last = append(v.Last, a)
	}
	if err := s.findingGroups(ctx, tx, in, args, subject); err != nil {
		return nil, false, err
	}
	if paths {
		if err := s.groupPaths(ctx, tx, in, args, byID); err != nil {
			return nil, false, err
		}
	}
	return list, automatic, nil
}

// findingGroups reads the findings of vulnerabilities, summed up by the name of the
// package. The feed of what an external source reports is that source.
func (s *Store) findingGroups(ctx context.Context, tx *sql.Tx, in string, args []any, subject func(int64, string) *assess.Subject) error {
	type row struct {
		id              int64
		name, typ, feed string
		assess.Group
	}
	rows, err := queryAll(ctx, tx, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.name, &r.Package, &r.typ, &r.feed, &r.Severity, &r.CVSS, &r.EPSS, &r.Exploited, &r.Fixed, &r.Unfixed)
		return r, err
	}, `with m as (
			select package_id, vulnerability_id, feed, severity, fixed from matches where vulnerability_id in `+in+` and gone_at is null
			union all
			select m.package_id, m.vulnerability_id, s.name, m.severity, m.fixed from source_findings m
			join vulnerability_sources s on s.id = m.source_id join images i on i.id = m.image_id
			where m.vulnerability_id in `+in+` and m.gone_at is null and `+attachedAt+`
		)
		select v.id, v.name, p.name, p.type, m.feed, max(`+effective+`), v.cvss, coalesce(e.score, 0), v.exploited_at is not null,
			sum(case when m.fixed <> '' then 1 else 0 end), sum(case when m.fixed = '' then 1 else 0 end)
		from m
		join vulnerabilities v on v.id = m.vulnerability_id
		join packages p on p.id = m.package_id
		left join epss e on e.name = v.name
		group by v.id, v.name, p.name, p.type, m.feed, v.cvss, e.score, v.exploited_at
		order by v.id, p.name, p.type, m.feed`, args...)
	if err != nil {
		return fmt.Errorf("findings: %w", err)
	}
	for _, r := range rows {
		v := subject(r.id, r.name)
		n := len(v.Groups) - 1
		if n < 0 || v.Groups[n].Package != r.Package {
			v.Groups = append(v.Groups, assess.Group{Package: r.Package, CVSS: r.CVSS, EPSS: r.EPSS, Exploited: r.Exploited})
			n++
		}
		g := &v.Groups[n]
		g.Severity = max(g.Severity, r.Severity)
		g.Fixed, g.Unfixed = g.Fixed+r.Fixed, g.Unfixed+r.Unfixed
		if !slices.Contains(g.Types, r.typ) {
			g.Types = append(g.Types, r.typ)
		}
		if !slices.Contains(g.Feeds, r.feed) {
			g.Feeds = append(g.Feeds, r.feed)
		}
	}
	return nil
}

// groupPaths reads where the packages of the groups are; "" is nowhere that is known.
func (s *Store) groupPaths(ctx context.Context, tx *sql.Tx, in string, args []any, byID map[int64]*assess.Subject) error {
	type row struct {
		id         int64
		name, path string
	}
	rows, err := queryAll(ctx, tx, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.name, &r.path)
		return r, err
	}, `select distinct m.vulnerability_id, p.name, f.path
		from matches m
		join packages p on p.id = m.package_id
		join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
		join files f on f.id = ip.file_id
		where m.vulnerability_id in `+in+` and m.gone_at is null
		union
		select m.vulnerability_id, p.name, coalesce(f.path, '')
		from source_findings m
		join packages p on p.id = m.package_id
		join images i on i.id = m.image_id
		left join inventory_packages ip on ip.inventory_id = i.inventory_id and ip.package_id = m.package_id
		left join files f on f.id = ip.file_id
		where m.vulnerability_id in `+in+` and m.gone_at is null and `+attachedAt, args...)
	if err != nil {
		return fmt.Errorf("paths: %w", err)
	}
	for _, r := range rows {
		v := byID[r.id]
		if v == nil {
			continue
		}
		if i, ok := slices.BinarySearchFunc(v.Groups, r.name, func(g assess.Group, name string) int { return strings.Compare(g.Package, name) }); ok {
			v.Groups[i].Paths = append(v.Groups[i].Paths, r.path)
		} else if i := slices.IndexFunc(v.Groups, func(g assess.Group) bool { return g.Package == r.name }); i >= 0 {
			v.Groups[i].Paths = append(v.Groups[i].Paths, r.path) // the database sorts in another way
		}
	}
	return nil
}

// inScope holds where a match m of a package p, and what the live assessment a
// covers, have a finding in common.
const inScope = `(a.scope_kind = 'everywhere'
		or a.scope_kind = 'package' and a.scope_value in (p.name, p.name || '@' || p.version)
		or a.scope_kind in ('image', 'repository', 'registry') and exists (
			select 1 from inventory_packages ip
			join images i on i.inventory_id = ip.inventory_id
			join manifests mf on mf.digest = i.digest
			join repositories r on r.id = mf.repository_id
			join registries g on g.id = r.registry_id
			where ip.package_id = p.id and ip.owner = ''
				and (a.scope_kind = 'image' and i.digest = a.scope_value
					or a.scope_kind = 'registry' and g.name = a.scope_value
					or a.scope_kind = 'repository' and g.name || '/' || r.name = a.scope_value)))`

// reportedInScope is the same of a report m on a package p in an image i.
const reportedInScope = `(a.scope_kind = 'everywhere'
		or a.scope_kind = 'package' and a.scope_value in (p.name, p.name || '@' || p.version)
		or a.scope_kind = 'image' and i.digest = a.scope_value
		or exists (select 1 from manifests mf join repositories r on r.id = mf.repository_id join registries g on g.id = r.registry_id
			where mf.digest = i.digest and (a.scope_kind = 'registry' and g.name = a.scope_value
				or a.scope_kind = 'repository' and g.name || '/' || r.name = a.scope_value)))`

// reopen ends the live assessments that people took of the vulnerabilities where
// something happened since that their types reopen for.
func (s *Store) reopen(ctx context.Context, tx *sql.Tx, ids []int64) (bool, error) {
	in := `(` + parameters(3, len(ids)) + `)`
	const open = ` from assessments a
		join assessment_types t on t.id = a.type_id
		join vulnerabilities v on v.id = a.vulnerability_id `
	where := ` where a.vulnerability_id in ` + in + ` and a.ended_at is null and (a.expires_at is null or a.expires_at > $1) and not a.automatic
			and ',' || t.reopen || ',' like $2
			and not exists (select 1 from vex_assessments x where x.assessment_id = a.id)`
	const matches = ` join matches m on m.vulnerability_id = a.vulnerability_id and m.gone_at is null and m.first_seen <= a.created_at
		join packages p on p.id = m.package_id `
	const reports = ` join source_findings m on m.vulnerability_id = a.vulnerability_id and m.gone_at is null and m.first_seen <= a.created_at
			and (m.fixed_at is not null or m.raised_at is not null)
		join packages p on p.id = m.package_id
		join images i on i.id = m.image_id `
	type cause struct {
		id     int64
		reason assess.EndReason
		note   string
	}
	rose := func(name, severity string) string {
		return "the severity in " + name + " rose to " + severityText(severity)
	}
	isFixed := func(name, fixed string) string { return name + ": fixed in " + fixed }
	found := make(map[int64]cause)
	for _, look := range []struct {
		when  assess.Reopening
		query string
		note  func(name, what string) string
	}{
		{assess.ReopenExploited, `select a.id, v.name, ''` + open + where + ` and v.listed_at > a.created_at and v.exploited_at is not null`,
			func(name, _ string) string { return name + " came on a list of exploited vulnerabilities" }},
		{assess.ReopenSeverity, `select a.id, p.name, max(` + effective + `)` + open + matches + where + ` and m.raised_at > a.created_at and ` + inScope + ` group by a.id, p.name`, rose},
		{assess.ReopenSeverity, `select a.id, p.name, max(` + effective + `)` + open + reports + where + ` and m.raised_at > a.created_at and ` + reportedInScope + ` and ` + attachedAt + ` group by a.id, p.name`, rose},
		{assess.ReopenFix, `select a.id, p.name || ' ' || p.version, min(m.fixed)` + open + matches + where + ` and m.fixed_at > a.created_at and m.fixed <> '' and ` + inScope + ` group by a.id, p.name, p.version`, isFixed},
		{assess.ReopenFix, `select a.id, p.name || ' ' || p.version, min(m.fixed)` + open + reports + where + ` and m.fixed_at > a.created_at and m.fixed <> '' and ` + reportedInScope + ` and ` + attachedAt + ` group by a.id, p.name, p.version`, isFixed},
	} {
		rows, err := queryAll(ctx, tx, func(rows *sql.Rows) (c cause, err error) {
			var name, what string
			err = rows.Scan(&c.id, &name, &what)
			c.reason, c.note = look.when.Reason(), look.note(name, what)
			return c, err
		}, look.query+` order by 1, 2`, append([]any{micros(s.now()), "%," + string(look.when) + ",%"}, anys(ids)...)...)
		if err != nil {
			return false, fmt.Errorf("%s: %w", look.when, err)
		}
		for _, c := range rows {
			if _, known := found[c.id]; !known {
				found[c.id] = c
			}
		}
	}
	for _, c := range found {
		if _, err := s.end(ctx, tx, ending{s.now(), assess.System, c.reason, c.note}, `id = $7`, c.id); err != nil {
			return false, err
		}
	}
	return len(found) > 0, nil
}

// severityText is the name of a severity that was read as a text.
func severityText(number string) string {
	n, _ := strconv.Atoi(number)
	return advisory.Severity(n).String()
}
