package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/pratique/pratique/internal/match"
)

// alone reports whether all that is found is what the built-in analyser finds,
// everywhere. Then the lists need not look at who is attached where.
func (s *Store) alone(ctx context.Context) (alone bool, err error) {
	err = s.read.QueryRowContext(ctx, `select not exists (select 1 from source_findings where gone_at is null)
		and not exists (select 1 from registries where not built_in)`).Scan(&alone)
	if err != nil {
		return false, fmt.Errorf("who reports: %w", err)
	}
	return alone, nil
}

// everyFinding are the findings of attached sources, once for each package,
// source and repository, of the vulnerabilities that a condition lets through:
// vulnerability_id, package_id, image_id, repository_id, severity, fixed, first_seen.
func everyFinding(vulnerability string) string {
	return everyFindingOf(`matches m
			join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
			join images i on i.inventory_id = ip.inventory_id`, `source_findings x
			join images i on i.id = x.image_id`, vulnerability)
}

// theseImages is the start of a query for the findings of images whose digests are
// parameters from first on: the engines would start with all findings of a
// vulnerability.
func theseImages(first, n int) string {
	return `with these as materialized (select id, digest, inventory_id from images where digest in (` + parameters(first, n) + `))`
}

// everyFindingOfThese are those of theseImages.
func everyFindingOfThese(vulnerability string) string {
	return everyFindingOf(theseMatches, `these i
			cross join source_findings x`, vulnerability) + ` and x.image_id = i.id`
}

// theseMatches joins theseImages as i with matches m. SQLite joins crosswise in the
// order that is written.
const theseMatches = `these i
			cross join matches m
			join inventory_packages ip on ip.inventory_id = i.inventory_id and ip.package_id = m.package_id and ip.owner = ''`

func everyFindingOf(matches, reports, vulnerability string) string {
	return `select m.vulnerability_id, m.package_id, i.id as image_id, p.id as repository_id, m.severity, m.fixed, m.first_seen
			from ` + matches + `
			join manifests mf on mf.digest = i.digest
			join repositories p on p.id = mf.repository_id
			join registries g on g.id = p.registry_id and g.built_in
			where m.gone_at is null and m.vulnerability_id ` + vulnerability + `
		union all
		select x.vulnerability_id, x.package_id, x.image_id, p.id, x.severity, x.fixed, x.first_seen
			from ` + reports + `
			join manifests mf on mf.digest = i.digest
			join repositories p on p.id = mf.repository_id
			join registry_sources rs on rs.registry_id = p.registry_id and rs.source_id = x.source_id
			where x.gone_at is null and x.vulnerability_id ` + vulnerability
}

// effectiveOf is the severity of a finding m of everyFinding.
const effectiveOf = `(case when m.severity > 0 then m.severity else v.severity end)`

// affectedRow is an affected image with what continues the list after it.
type affectedRow struct {
	match.Affected
	repository, pkg int64
}

// affectedOfAll is the query of AffectedImages where others than the built-in
// analyser report. Of several that report the gravest counts.
func (s *Store) affectedOfAll(ctx context.Context, vulnerability int64, after *match.AffectedCursor, limit int, only []string) ([]affectedRow, error) {
	where, args := affectedAfter(vulnerability, after, limit, only)
	every := `with every as (` + everyFinding(`= $1`) + `)`
	if len(only) > 0 {
		every = theseImages(len(args)-len(only)+1, len(only)) + `, every as (` + everyFindingOfThese(`= $1`) + `)`
	}
	found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r affectedRow, err error) {
		err = rows.Scan(append([]any{&r.Digest, &r.Registry, &r.Repository, &r.repository, &r.pkg, &r.Severity, &r.Fixed}, packageFields(&r.Package)...)...)
		return r, err
	}, every+`
		select i.digest, g.name, r.name, r.id, m.package_id, max(`+effectiveOf+`), max(m.fixed), `+packageColumns+`
		from every m
		join vulnerabilities v on v.id = m.vulnerability_id
		join packages p on p.id = m.package_id
		join images i on i.id = m.image_id
		join repositories r on r.id = m.repository_id
		join registries g on g.id = r.registry_id
		where true`+where+`
		group by i.digest, g.name, r.name, r.id, m.package_id, `+packageColumns+`
		order by g.name, r.name, i.digest, m.package_id limit $2`, args...)
	if err != nil {
		return nil, fmt.Errorf("images affected by vulnerability %d: %w", vulnerability, err)
	}
	return found, nil
}

// stateQuery asks for the states of the findings of vulnerabilities $3, $4 …
// at time $1; $2 is the state of those that nobody assessed.
func stateQuery(alone bool, n int) string {
	from := `from matches m
			join packages p on p.id = m.package_id
			join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
			join images i on i.inventory_id = ip.inventory_id
			join manifests mf on mf.digest = i.digest
			join repositories r on r.id = mf.repository_id
			join registries g on g.id = r.registry_id
			where m.gone_at is null and m.vulnerability_id in (` + parameters(3, n) + `)`
	if !alone {
		from = `from (` + everyFinding(`in (`+parameters(3, n)+`)`) + `) m
			join packages p on p.id = m.package_id
			join images i on i.id = m.image_id
			join repositories r on r.id = m.repository_id
			join registries g on g.id = r.registry_id`
	}
	return `select distinct m.vulnerability_id, ` + stateOf("$1", "$2") + ` ` + from
}

// stateOf is the state at a time of a finding m of a package p in an image i of a
// repository r of a registry g; unassessed is what nobody assessed.
func stateOf(when, unassessed string) string {
	return `coalesce((
				select t.name from assessments a join assessment_types t on t.id = a.type_id
				where a.vulnerability_id = m.vulnerability_id and a.ended_at is null and (a.expires_at is null or a.expires_at > ` + when + `)
					and (a.scope_kind = 'everywhere'
						or a.scope_kind = 'package' and a.scope_value in (p.name, p.name || '@' || p.version)
						or a.scope_kind = 'registry' and a.scope_value = g.name
						or a.scope_kind = 'repository' and a.scope_value = g.name || '/' || r.name
						or a.scope_kind = 'image' and a.scope_value = i.digest)
				order by case when a.automatic then 1 else 0 end,
					case a.scope_kind when 'image' then 5 when 'repository' then 4 when 'registry' then 3
						when 'package' then case when a.scope_value = p.name then 1 else 2 end else 0 end desc, a.id desc
				limit 1), ` + unassessed + `)`
}

// reportedTo is the end of a query for the images in which sources report
// vulnerabilities v, the names or aliases of which VEX statements use.
const reportedTo = ` join source_findings x on x.vulnerability_id = v.id and x.gone_at is null
			join images i on i.id = x.image_id
			where n.image = '' and exists (select 1 from manifests mf where mf.digest = i.digest)`
