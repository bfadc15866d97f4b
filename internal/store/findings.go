package store

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// builtInSource is the vulnerability source that reports matches.
const builtInSource = "built-in"

// effective is the severity of a match m of a vulnerability v: the publisher's
// for the package, else the vulnerability's.
const effective = `(case when m.severity > 0 then m.severity else v.severity end)`

// findingColumns are those of a match m of a vulnerability v with a package p
// that file f of an inventory proves, as ip states it, for scanFinding. What
// follows them are the layer's digest and when the finding was first seen.
const findingColumns = `v.id, v.name, v.description, ` + effective + `, v.cvss, v.cvss_vector, v.exploited_at,
			coalesce(e.score, 0), coalesce(e.percentile, 0), ` + packageColumns + `,
			m.introduced, m.fixed, m.last_affected, m.fix_state, m.source, m.feed, m.part, m.identifier, m.note,
			ip.layer_position, ip.line, ip.evidence, f.path, f.detector`

// findingOrder is the most severe first, then by vulnerability, package and path.
const findingOrder = ` order by ` + effective + ` desc, v.name, p.name, p.version, p.architecture, f.path`

// findingJoins go from an inventory_packages row ip to all that findingColumns name.
const findingJoins = `
		join packages p on p.id = ip.package_id
		join vulnerabilities v on v.id = m.vulnerability_id
		join inventory_files f on f.inventory_id = ip.inventory_id and f.position = ip.file_position
		left join epss e on e.name = v.name`

// matchedFindings are those of ImageFindings that the built-in analyser reports.
func (s *Store) matchedFindings(ctx context.Context, digest string) ([]match.Finding, error) {
	findings, err := queryAll(ctx, s.read, scanFinding, `select `+findingColumns+`, coalesce(il.digest, ''),
			case when m.first_seen > i.analysed_at then m.first_seen else i.analysed_at end
		from images i
		join inventory_packages ip on ip.inventory_id = i.inventory_id
		join matches m on m.package_id = ip.package_id and m.gone_at is null and ip.owner = '' `+findingJoins+`
		left join image_layers il on il.image_id = i.id and il.position = ip.layer_position
		where i.digest = $1`+findingOrder, digest)
	if err != nil {
		return nil, fmt.Errorf("findings of image %s: %w", digest, err)
	}
	return findings, nil
}

// matchedFindingsAt are those of ImageFindingsAt that the built-in analyser reports.
func (s *Store) matchedFindingsAt(ctx context.Context, digest string, when time.Time) ([]match.Finding, error) {
	findings, err := queryAll(ctx, s.read, scanFinding, `select `+findingColumns+`, coalesce(il.digest, ''),
			case when m.first_seen > i.analysed_at then m.first_seen else i.analysed_at end
		from images i
		join inventory_packages ip on ip.inventory_id = i.inventory_id
		join matches m on m.package_id = ip.package_id and ip.owner = '' and m.first_seen <= $2 and (m.gone_at is null or m.gone_at > $2)`+findingJoins+`
		left join image_layers il on il.image_id = i.id and il.position = ip.layer_position
		where i.digest = $1 and i.analysed_at <= $2`+findingOrder, digest, micros(when))
	if err != nil {
		return nil, fmt.Errorf("findings of image %s at %s: %w", digest, when, err)
	}
	return findings, nil
}

func scanFinding(rows *sql.Rows) (f match.Finding, err error) {
	var a advisory.Advisory
	var exploited, firstSeen sql.NullInt64
	into := append([]any{&f.VulnerabilityID, &f.Vulnerability, &f.Description, &f.Severity, &f.CVSS, &f.Vector, &exploited,
		&f.EPSS, &f.Percentile}, packageFields(&f.Package)...)
	err = rows.Scan(append(into, &a.Introduced, &a.Fixed, &a.LastAffected, &f.Fix, &a.Source, &f.Evidence.Feed, &f.Evidence.Part, &f.Evidence.Advisory, &f.Evidence.Note,
		&f.LayerIndex, &f.Evidence.Line, &f.Evidence.Record, &f.Evidence.Path, &f.Evidence.Detector, &f.LayerDigest, &firstSeen)...)
	f.Fixed, f.ExploitedSince, f.FirstSeen = a.Fixed, at(exploited), at(firstSeen)
	f.Evidence.Subject = f.Package.Name
	if a.Source {
		f.Evidence.Subject = f.Package.SourceName
	}
	f.Evidence.Comparison = match.Comparison(f.Package, a)
	f.Sources = []string{builtInSource}
	return f, err
}

// ImagePackages returns the packages of an image with their proof, by name,
// version, architecture and path.
func (s *Store) ImagePackages(ctx context.Context, digest string) ([]inventory.Installed, error) {
	packages, err := queryAll(ctx, s.read, func(rows *sql.Rows) (p inventory.Installed, err error) {
		err = rows.Scan(append(packageFields(&p.Package), &p.LayerIndex, &p.LayerDigest, &p.Line, &p.Evidence, &p.Owner, &p.Path, &p.Detector)...)
		return p, err
	}, `select `+packageColumns+`,
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
	if alone, err := s.alone(ctx); err != nil {
		return nil, err
	} else if !alone {
		return s.vulnerabilitiesOfAll(ctx, f)
	}
	args := []any{int(f.AtLeast), "%" + escapeLike(f.Text) + "%"}
	after := ""
	if f.After != nil {
		args = append(args, int(f.After.Severity), f.After.Name)
		after = ` and (a.severity < $3 or (a.severity = $3 and a.name > $4))`
	}
	args = append(args, f.Limit)
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (v match.Summary, err error) {
		err = rows.Scan(&v.ID, &v.Name, &v.Description, &v.Severity, &v.EPSS, &v.Percentile, &v.Images, &v.Packages, &v.Fixable)
		return v, err
	}, `with a as (
			select v.id, v.name, max(`+effective+`) as severity, count(distinct i.id) as images, count(distinct m.package_id) as packages,
				max(case when m.fixed <> '' then 1 else 0 end) = 1 as fixable
			from matches m
			join vulnerabilities v on v.id = m.vulnerability_id
			join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
			join images i on i.inventory_id = ip.inventory_id
			where m.gone_at is null and exists (select 1 from manifests mf where mf.digest = i.digest)
				and lower(v.name) like lower($2) escape '\'
			group by v.id, v.name
		)
		select a.id, a.name, v.description, a.severity, coalesce(e.score, 0), coalesce(e.percentile, 0), a.images, a.packages, a.fixable
		from a join vulnerabilities v on v.id = a.id left join epss e on e.name = a.name
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

// AffectedImages lists the stored images that a vulnerability affects, by
// registry, repository, digest and package, after the cursor where it is not nil.
// The second result continues the list; it is nil at the end.
func (s *Store) AffectedImages(ctx context.Context, vulnerability int64, after *match.AffectedCursor, limit int) ([]match.Affected, *match.AffectedCursor, error) {
	alone, err := s.alone(ctx)
	if err != nil {
		return nil, nil, err
	}
	list := s.affectedOfAll
	if alone {
		list = s.matchedImages
	}
	found, err := list(ctx, vulnerability, after, limit+1)
	if err != nil {
		return nil, nil, err
	}
	var next *match.AffectedCursor
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		next = &match.AffectedCursor{Registry: last.Registry, Repository: last.Repository, Digest: last.Digest, PackageID: last.pkg}
	}
	shown := make([]match.Affected, len(found))
	for i, r := range found {
		if r.Tags, err = queryAll(ctx, s.read, scanString, `select name from tags where repository_id = $1 and digest = $2 order by name`, r.repository, r.Digest); err != nil {
			return nil, nil, fmt.Errorf("tags of %s: %w", r.Digest, err)
		}
		shown[i] = r.Affected
	}
	return shown, next, nil
}

// matchedImages is the query of AffectedImages where the built-in analyser alone reports.
func (s *Store) matchedImages(ctx context.Context, vulnerability int64, after *match.AffectedCursor, limit int) ([]affectedRow, error) {
	args := []any{vulnerability, limit}
	where := ""
	if after != nil {
		where = ` and (g.name, r.name, i.digest, m.package_id) > ($3, $4, $5, $6)`
		args = append(args, after.Registry, after.Repository, after.Digest, after.PackageID)
	}
	found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r affectedRow, err error) {
		err = rows.Scan(append([]any{&r.Digest, &r.Registry, &r.Repository, &r.repository, &r.pkg, &r.Severity, &r.Fixed}, packageFields(&r.Package)...)...)
		return r, err
	}, `select distinct i.digest, g.name, r.name, r.id, m.package_id, `+effective+`, m.fixed, `+packageColumns+`
		from matches m
		join vulnerabilities v on v.id = m.vulnerability_id
		join packages p on p.id = m.package_id
		join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
		join images i on i.inventory_id = ip.inventory_id
		join manifests mf on mf.digest = i.digest
		join repositories r on r.id = mf.repository_id
		join registries g on g.id = r.registry_id
		where m.vulnerability_id = $1 and m.gone_at is null`+where+`
		order by g.name, r.name, i.digest, m.package_id limit $2`, args...)
	if err != nil {
		return nil, fmt.Errorf("images affected by vulnerability %d: %w", vulnerability, err)
	}
	return found, nil
}
