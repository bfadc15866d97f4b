package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// builtInSource is the vulnerability source that reports matches.
const builtInSource = "built-in"

// effective is the severity of a match m of a vulnerability v: the publisher's
// for the package, else the vulnerability's.
const effective = `(case when m.severity > 0 then m.severity else v.severity end)`

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
		join files f on f.id = ip.file_id
		left join image_layers il on il.image_id = i.id and il.position = ip.layer_position
		where i.digest = $1
		order by p.name, p.version, p.architecture, f.path`, digest)
	if err != nil {
		return nil, fmt.Errorf("packages of image %s: %w", digest, err)
	}
	return packages, nil
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
	// One more to see whether there are more, and that at which the list goes on.
	only, err := s.firstAffected(ctx, vulnerability, after, limit+2)
	if err != nil {
		return nil, nil, err
	}
	found, err := list(ctx, vulnerability, after, limit+1, only)
	if err != nil {
		return nil, nil, err
	}
	var next *match.AffectedCursor
	if len(found) > limit {
		found = found[:limit]
		last := found[limit-1]
		next = &match.AffectedCursor{Registry: last.Registry, Repository: last.Repository, Digest: last.Digest, PackageID: last.pkg}
	}
	var places []any
	for _, r := range found {
		places = append(places, r.repository, r.Digest)
	}
	tags, err := s.tagsAt(ctx, places)
	if err != nil {
		return nil, nil, err
	}
	shown := make([]match.Affected, len(found))
	for i, r := range found {
		r.Tags = tags[tagged{r.repository, r.Digest}]
		shown[i] = r.Affected
	}
	return shown, next, nil
}

// matchedImages is the query of AffectedImages where the built-in analyser alone reports.
func (s *Store) matchedImages(ctx context.Context, vulnerability int64, after *match.AffectedCursor, limit int, only []string) ([]affectedRow, error) {
	where, args := affectedAfter(vulnerability, after, limit, only)
	these, from := `with `, `matches m
			join inventory_packages ip on ip.package_id = m.package_id and ip.owner = ''
			join images i on i.inventory_id = ip.inventory_id`
	if len(only) > 0 {
		these, from = theseImages(len(args)-len(only)+1, len(only))+`, `, theseMatches
	}
	found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r affectedRow, err error) {
		err = rows.Scan(append([]any{&r.Digest, &r.Registry, &r.Repository, &r.repository, &r.pkg, &r.Severity, &r.Fixed}, packageFields(&r.Package)...)...)
		return r, err
	}, these+`h (registry, repository, digest, package_id, repository_id) as ( -- little is sorted, and the rest read of what is shown
			select distinct g.name, r.name, i.digest, m.package_id, r.id
			from `+from+`
			join manifests mf on mf.digest = i.digest
			join repositories r on r.id = mf.repository_id
			join registries g on g.id = r.registry_id
			where m.vulnerability_id = $1 and m.gone_at is null`+where+`
			order by 1, 2, 3, 4 limit $2
		)
		select h.digest, h.registry, h.repository, h.repository_id, h.package_id, `+effective+`, m.fixed, `+packageColumns+`
		from h
		join matches m on m.vulnerability_id = $1 and m.package_id = h.package_id and m.gone_at is null
		join vulnerabilities v on v.id = m.vulnerability_id
		join packages p on p.id = h.package_id
		order by h.registry, h.repository, h.digest, h.package_id`, args...)
	if err != nil {
		return nil, fmt.Errorf("images affected by vulnerability %d: %w", vulnerability, err)
	}
	return found, nil
}

// affectedAfter are the arguments of queries for affected images, and the conditions
// that go with them.
func affectedAfter(vulnerability int64, after *match.AffectedCursor, limit int, only []string) (where string, args []any) {
	args = []any{vulnerability, limit}
	if after != nil {
		where = ` and (g.name, r.name, i.digest, m.package_id) > ($3, $4, $5, $6)`
		args = append(args, after.Registry, after.Repository, after.Digest, after.PackageID)
	}
	if len(only) > 0 {
		where += ` and i.digest in (` + parameters(len(args)+1, len(only)) + `)`
		args = append(args, anys(only)...)
	}
	return where, args
}

// firstAffected returns the images with which the list of those that a vulnerability
// affects goes on, where there are so many that they should not all be sorted; else
// nil. They come in the order of the places, of which most hold such an image.
func (s *Store) firstAffected(ctx context.Context, vulnerability int64, after *match.AffectedCursor, limit int) ([]string, error) {
	var images int
	if err := s.read.QueryRowContext(ctx, `select coalesce(max(images), 0) from affected where vulnerability_id = $1`, vulnerability).Scan(&images); err != nil {
		return nil, fmt.Errorf("images affected by vulnerability %d: %w", vulnerability, err)
	}
	holds, due, err := s.holds(ctx, vulnerability)
	if err != nil {
		return nil, err
	}
	if due {
		if err := s.read.QueryRowContext(ctx, `select count(*) from (select 1 from matches m join inventory_packages ip on ip.package_id = m.package_id
				where m.vulnerability_id = $1 and m.gone_at is null limit $2) few`, vulnerability, s.fewImages).Scan(&images); err != nil {
			return nil, fmt.Errorf("images affected by vulnerability %d: %w", vulnerability, err)
		}
	}
	if images < s.fewImages {
		return nil, nil
	}
	from := match.AffectedCursor{}
	if after != nil {
		from = *after
	}
	type place struct {
		id                   int64
		registry, repository string
	}
	var digests []string
	next := place{registry: from.Registry, repository: from.Repository}
	for batch := 10; len(digests) < limit; batch = min(2*batch, relationRows) {
		places, err := queryAll(ctx, s.read, func(rows *sql.Rows) (p place, err error) {
			err = rows.Scan(&p.id, &p.registry, &p.repository)
			return p, err
		}, `select r.id, g.name, r.name from registries g join repositories r on r.registry_id = g.id
			where g.name >= $1 and (g.name > $1 or r.name > $2 or r.name = $2 and $3) order by g.name, r.name limit $4`,
			next.registry, next.repository, next.id == 0, batch)
		if err != nil {
			return nil, fmt.Errorf("images affected by vulnerability %d: %w", vulnerability, err)
		}
		if len(places) == 0 {
			break
		}
		next = places[len(places)-1]
		ids := make([]int64, len(places))
		for i, p := range places {
			ids[i] = p.id
		}
		some, err := queryAll(ctx, s.read, scanString, `select mf.digest
			from registries g join repositories r on r.registry_id = g.id join manifests mf on mf.repository_id = r.id
			join images i on i.digest = mf.digest
			where r.id in (`+literals(ids)+`) and `+holds+` and (g.name > $2 or r.name > $3 or mf.digest >= $4)
			order by g.name, r.name, mf.digest limit $5`, vulnerability, from.Registry, from.Repository, from.Digest, limit-len(digests))
		if err != nil {
			return nil, fmt.Errorf("images affected by vulnerability %d: %w", vulnerability, err)
		}
		digests = append(digests, some...)
	}
	if len(digests) == 0 {
		return []string{""}, nil // the list has ended: no image has this digest
	}
	slices.Sort(digests)
	return slices.Compact(digests), nil
}

// holds is the condition that the vulnerability $1 is found in an image i: by what
// was counted, and by all that is found where it is due to be.
func (s *Store) holds(ctx context.Context, vulnerability int64) (condition string, due bool, err error) {
	if err := s.read.QueryRowContext(ctx, `select exists (select 1 from found_due where vulnerability_id = $1 and not label)`, vulnerability).Scan(&due); err != nil {
		return "", false, fmt.Errorf("what is to be counted of vulnerability %d: %w", vulnerability, err)
	}
	if !due {
		return `exists (select 1 from found o where o.image_id = i.id and o.vulnerability_id = $1)`, false, nil
	}
	return `(exists (select 1 from matches m join inventory_packages ip on ip.package_id = m.package_id and ip.inventory_id = i.inventory_id and ip.owner = ''
				where m.vulnerability_id = $1 and m.gone_at is null)
			or exists (select 1 from source_findings x where x.image_id = i.id and x.vulnerability_id = $1 and x.gone_at is null))`, true, nil
}

// tagged is a manifest of a repository.
type tagged struct {
	repository int64
	digest     string
}

// tagsAt returns the tags of manifests, given as repository and digest in turn.
func (s *Store) tagsAt(ctx context.Context, places []any) (map[tagged][]string, error) {
	tags := make(map[tagged][]string)
	for chunk := range slices.Chunk(places, 2*relationRows) {
		given := s.relation("repository_id bigint, digest text", chunk)
		if _, err := queryAll(ctx, s.read, func(rows *sql.Rows) (none struct{}, err error) {
			var at tagged
			var name string
			err = rows.Scan(&at.repository, &at.digest, &name)
			tags[at] = append(tags[at], name)
			return none, err
		}, `with k (repository_id, digest) as (`+given.query+`)
			select distinct t.repository_id, t.digest, t.name from k join tags t on t.repository_id = k.repository_id and t.digest = k.digest
			order by t.name`, given.args...); err != nil {
			return nil, fmt.Errorf("tags of affected images: %w", err)
		}
	}
	return tags, nil
}
