package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// builtInSource is the vulnerability source that reports matches.
const builtInSource = "built-in"

// ImageFindings returns the findings of an image, the most severe first, then
// by vulnerability, package and path. An image that is unknown or not analysed
// has none; ask ImageByDigest which it is.
func (s *Store) ImageFindings(ctx context.Context, digest string) ([]match.Finding, error) {
	findings, err := queryAll(ctx, s.read, scanFinding, `select v.id, v.name, v.description, m.severity,
			p.type, p.distribution, p.name, p.version, p.architecture, p.source_name, p.source_version,
			m.introduced, m.fixed, m.feed, m.part, m.note, ip.layer_position, coalesce(il.digest, ''), ip.line, f.path, f.detector,
			case when m.first_seen > i.analysed_at then m.first_seen else i.analysed_at end
		from images i
		join inventory_packages ip on ip.inventory_id = i.inventory_id
		join matches m on m.package_id = ip.package_id and m.gone_at is null and ip.owner = ''
		join packages p on p.id = ip.package_id
		join vulnerabilities v on v.id = m.vulnerability_id
		join inventory_files f on f.inventory_id = ip.inventory_id and f.position = ip.file_position
		left join image_layers il on il.image_id = i.id and il.position = ip.layer_position
		where i.digest = $1
		order by m.severity desc, v.name, p.name, p.version, p.architecture, f.path`, digest)
	if err != nil {
		return nil, fmt.Errorf("findings of image %s: %w", digest, err)
	}
	return findings, nil
}

func scanFinding(rows *sql.Rows) (f match.Finding, err error) {
	var introduced string
	var firstSeen int64
	err = rows.Scan(&f.VulnerabilityID, &f.Vulnerability, &f.Description, &f.Severity,
		&f.Package.Type, &f.Package.Distribution, &f.Package.Name, &f.Package.Version, &f.Package.Architecture, &f.Package.SourceName, &f.Package.SourceVersion,
		&introduced, &f.Fixed, &f.Evidence.Feed, &f.Evidence.Part, &f.Evidence.Note, &f.LayerIndex, &f.LayerDigest, &f.Evidence.Line, &f.Evidence.Path, &f.Evidence.Detector,
		&firstSeen)
	f.FirstSeen = at(sql.NullInt64{Int64: firstSeen, Valid: true})
	f.Evidence.Subject = f.Package.SourceName
	f.Evidence.Comparison = match.Comparison(f.Package, introduced, f.Fixed)
	f.Sources = []string{builtInSource}
	return f, err
}

// ImagePackages returns the packages of an image with their proof, by name,
// version, architecture and path.
func (s *Store) ImagePackages(ctx context.Context, digest string) ([]inventory.Installed, error) {
	packages, err := queryAll(ctx, s.read, func(rows *sql.Rows) (p inventory.Installed, err error) {
		err = rows.Scan(&p.Type, &p.Distribution, &p.Name, &p.Version, &p.Architecture, &p.SourceName, &p.SourceVersion,
			&p.LayerIndex, &p.LayerDigest, &p.Line, &p.Evidence, &p.Owner, &p.Path, &p.Detector)
		return p, err
	}, `select p.type, p.distribution, p.name, p.version, p.architecture, p.source_name, p.source_version,
			ip.layer_position, coalesce(il.digest, ''), ip.line, ip.evidence, ip.owner, f.path, f.detector
		from images i
		join inventory_packages ip on ip.inventory_id = i.inventory_id
		join packages p on p.id = ip.package_id
		join inventory_files f on f.inventory_id = ip.inventory_id and f.position = ip.file_position
		left join image_layers il on il.image_id = i.id and il.position = ip.layer_position
		where i.digest = $1
		order by p.name, p.version, p.architecture, f.path`, digest)
	if err != nil {
		return nil, fmt.Errorf("packages of image %s: %w", digest, err)
	}
	return packages, nil
}

// Vulnerabilities lists the vulnerabilities that affect stored images, the most
// severe first, then by name.
func (s *Store) Vulnerabilities(ctx context.Context, f match.Filter) ([]match.Summary, error) {
	args := []any{int(f.AtLeast), "%" + escapeLike(f.Text) + "%"}
	after := ""
	if f.After != nil {
		args = append(args, int(f.After.Severity), f.After.Name)
		after = ` and (a.severity < $3 or (a.severity = $3 and a.name > $4))`
	}
	args = append(args, f.Limit)
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (v match.Summary, err error) {
		err = rows.Scan(&v.ID, &v.Name, &v.Description, &v.Severity, &v.Images, &v.Packages, &v.Fixable)
		return v, err
	}, `with a as (
			select v.id, v.name, max(m.severity) as severity, count(distinct i.id) as images, count(distinct m.package_id) as packages,
				max(case when m.fixed <> '' then 1 else 0 end) = 1 as fixable
			from matches m
			join vulnerabilities v on v.id = m.vulnerability_id
			join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
			join images i on i.inventory_id = ip.inventory_id
			where m.gone_at is null and exists (select 1 from manifests mf where mf.digest = i.digest)
				and lower(v.name) like lower($2) escape '\'
			group by v.id, v.name
		)
		select a.id, a.name, v.description, a.severity, a.images, a.packages, a.fixable
		from a join vulnerabilities v on v.id = a.id
		where a.severity >= $1`+after+`
		order by a.severity desc, a.name limit $`+strconv.Itoa(len(args)), args...)
	if err != nil {
		return nil, fmt.Errorf("list vulnerabilities: %w", err)
	}
	return list, nil
}

// escapeLike makes text a literal part of a pattern with escape character '\'.
func escapeLike(text string) string {
	return strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(text)
}

// VulnerabilityByName returns a vulnerability with every statement on it,
// ErrNotFound where no feed speaks of it.
func (s *Store) VulnerabilityByName(ctx context.Context, name string) (match.Vulnerability, error) {
	var v match.Vulnerability
	var firstSeen int64
	err := s.read.QueryRowContext(ctx, `select id, name, description, severity, first_seen from vulnerabilities where name = $1`, name).Scan(
		&v.ID, &v.Name, &v.Description, &v.Severity, &firstSeen)
	if errors.Is(err, sql.ErrNoRows) {
		return match.Vulnerability{}, fmt.Errorf("vulnerability %q: %w", name, ErrNotFound)
	}
	if err != nil {
		return match.Vulnerability{}, fmt.Errorf("vulnerability %q: %w", name, err)
	}
	v.FirstSeen = at(sql.NullInt64{Int64: firstSeen, Valid: true})
	v.Statements, err = queryAll(ctx, s.read, func(rows *sql.Rows) (st match.Statement, err error) {
		st.Vulnerability = v.Name
		err = rows.Scan(&st.Ecosystem, &st.Package, &st.Status, &st.Introduced, &st.Fixed, &st.Severity, &st.Note, &st.Feed, &st.Part)
		return st, err
	}, `select a.ecosystem, a.package, a.status, a.introduced, a.fixed, a.severity, a.note, g.feed, g.part
		from advisories a join advisory_groups g on g.id = a.group_id
		where a.vulnerability_id = $1 order by a.ecosystem, a.package, g.feed, g.part, a.id`, v.ID)
	if err != nil {
		return match.Vulnerability{}, fmt.Errorf("statements on %q: %w", name, err)
	}
	return v, nil
}

// AffectedImages lists the stored images that a vulnerability affects, by
// registry, repository, digest and package, after the cursor where it is not nil.
// The second result continues the list; it is nil at the end.
func (s *Store) AffectedImages(ctx context.Context, vulnerability int64, after *match.AffectedCursor, limit int) ([]match.Affected, *match.AffectedCursor, error) {
	args := []any{vulnerability, limit + 1}
	where := ""
	if after != nil {
		where = ` and (g.name, r.name, i.digest, m.package_id) > ($3, $4, $5, $6)`
		args = append(args, after.Registry, after.Repository, after.Digest, after.PackageID)
	}
	type row struct {
		match.Affected
		repository, pkg int64
	}
	found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		p := &r.Package
		err = rows.Scan(&r.Digest, &r.Registry, &r.Repository, &r.repository, &r.pkg, &r.Severity, &r.Fixed,
			&p.Type, &p.Distribution, &p.Name, &p.Version, &p.Architecture, &p.SourceName, &p.SourceVersion)
		return r, err
	}, `select distinct i.digest, g.name, r.name, r.id, m.package_id, m.severity, m.fixed,
			p.type, p.distribution, p.name, p.version, p.architecture, p.source_name, p.source_version
		from matches m
		join packages p on p.id = m.package_id
		join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
		join images i on i.inventory_id = ip.inventory_id
		join manifests mf on mf.digest = i.digest
		join repositories r on r.id = mf.repository_id
		join registries g on g.id = r.registry_id
		where m.vulnerability_id = $1 and m.gone_at is null`+where+`
		order by g.name, r.name, i.digest, m.package_id limit $2`, args...)
	if err != nil {
		return nil, nil, fmt.Errorf("images affected by vulnerability %d: %w", vulnerability, err)
	}
	var next *match.AffectedCursor
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		next = &match.AffectedCursor{Registry: last.Registry, Repository: last.Repository, Digest: last.Digest, PackageID: last.pkg}
	}
	list := make([]match.Affected, len(found))
	for i, r := range found {
		if r.Tags, err = queryAll(ctx, s.read, scanString, `select name from tags where repository_id = $1 and digest = $2 order by name`, r.repository, r.Digest); err != nil {
			return nil, nil, fmt.Errorf("tags of %s: %w", r.Digest, err)
		}
		list[i] = r.Affected
	}
	return list, next, nil
}
