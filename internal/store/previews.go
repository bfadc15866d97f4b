package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/policy"
)

// KnownImage returns an image; known is false where there is none.
func (s *Store) KnownImage(ctx context.Context, digest string) (img image.Image, known bool, err error) {
	img, err = s.ImageByDigest(ctx, digest)
	if errors.Is(err, ErrNotFound) {
		return image.Image{}, false, nil
	}
	return img, err == nil, err
}

// RegistryNames lists the registries by name.
func (s *Store) RegistryNames(ctx context.Context) ([]string, error) {
	names, err := queryAll(ctx, s.read, scanString, `select name from registries order by name`)
	if err != nil {
		return nil, fmt.Errorf("names of registries: %w", err)
	}
	return names, nil
}

// PlacesIn lists at most limit images of a registry by repository and digest,
// from the one after after on.
func (s *Store) PlacesIn(ctx context.Context, registry string, after assess.Place, limit int) ([]assess.Place, error) {
	places, err := queryAll(ctx, s.read, func(rows *sql.Rows) (p assess.Place, err error) {
		p.Registry = registry
		err = rows.Scan(&p.Repository, &p.Digest)
		return p, err
	}, `select r.name, m.digest
		from registries g
		join repositories r on r.registry_id = g.id
		join manifests m on m.repository_id = r.id
		join images i on i.digest = m.digest
		where g.name = $1 and r.name >= $2 and (r.name > $2 or m.digest > $3)
		order by r.name, m.digest limit $4`, registry, after.Repository, after.Digest, limit)
	if err != nil {
		return nil, fmt.Errorf("images of registry %q: %w", registry, err)
	}
	return places, nil
}

// FindingsOf returns the findings of images, as far as assess.Decide looks at
// them, by vulnerability, and the images without their layers.
func (s *Store) FindingsOf(ctx context.Context, digests []string) (map[string]policy.Known, error) {
	all := make(map[string]policy.Known, len(digests))
	for chunk := range slices.Chunk(digests, 500) {
		if err := s.findingsOf(ctx, chunk, all); err != nil {
			return nil, fmt.Errorf("findings of many images: %w", err)
		}
	}
	return all, nil
}

func (s *Store) findingsOf(ctx context.Context, digests []string, all map[string]policy.Known) error {
	args := make([]any, len(digests))
	for i, d := range digests {
		args[i] = d
	}
	in := `(` + parameters(1, len(args)) + `)`
	images, err := queryAll(ctx, s.read, func(rows *sql.Rows) (img image.Image, err error) {
		var created, analysed, inventory sql.NullInt64
		var warnings string
		if err := rows.Scan(&img.Digest, &img.State, &img.Error, &inventory, &created, &analysed, &img.Distribution, &warnings, &img.Packages); err != nil {
			return img, err
		}
		img.InventoryID, img.CreatedAt, img.AnalysedAt = inventory.Int64, at(created), at(analysed)
		return img, json.Unmarshal([]byte(warnings), &img.Warnings)
	}, `select i.digest, i.state, i.error, i.inventory_id, i.created_at, i.analysed_at, coalesce(v.distribution, ''), coalesce(v.warnings, '[]'),
			(select count(*) from inventory_packages p where p.inventory_id = i.inventory_id)
		from images i left join inventories v on v.id = i.inventory_id where i.digest in `+in, args...)
	if err != nil {
		return err
	}
	type count struct {
		digest, kind string
		n            int
	}
	counts, err := queryAll(ctx, s.read, func(rows *sql.Rows) (c count, err error) {
		err = rows.Scan(&c.digest, &c.kind, &c.n)
		return c, err
	}, `select i.digest, p.type, count(*)
		from images i
		join inventory_packages ip on ip.inventory_id = i.inventory_id and ip.owner = ''
		join packages p on p.id = ip.package_id
		where i.digest in `+in+` group by i.digest, p.type`, args...)
	if err != nil {
		return err
	}
	types := make(map[string]map[string]int, len(images))
	for _, c := range counts {
		if types[c.digest] == nil {
			types[c.digest] = make(map[string]int)
		}
		types[c.digest][c.kind] = c.n
	}
	for _, img := range images {
		img.Types = types[img.Digest]
		all[img.Digest] = policy.Known{Image: img}
	}
	found := make(map[string][]match.Finding, len(digests))
	if err := s.findingsByImage(ctx, digests, found); err != nil {
		return err
	}
	for digest, findings := range found {
		k := all[digest]
		k.Findings = findings
		all[digest] = k
	}
	return nil
}

// findingsByImage adds the findings of images to all, by vulnerability.
func (s *Store) findingsByImage(ctx context.Context, digests []string, all map[string][]match.Finding) error {
	args := anys(digests)
	in := `(` + parameters(1, len(args)) + `)`
	type row struct {
		digest string
		pkg    int64
		match.Finding
	}
	found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		var seen sql.NullInt64
		err = rows.Scan(&r.digest, &r.pkg, &r.VulnerabilityID, &r.Vulnerability, &r.Severity, &r.Package.Name, &r.Package.Version, &seen)
		r.FirstSeen, r.Sources = at(seen), []string{builtInSource}
		return r, err
	}, `select i.digest, p.id, v.id, v.name, `+effective+`, p.name, p.version,
			case when m.first_seen > i.analysed_at then m.first_seen else i.analysed_at end
		from images i
		join inventory_packages ip on ip.inventory_id = i.inventory_id and ip.owner = ''
		join matches m on m.package_id = ip.package_id and m.gone_at is null
		join packages p on p.id = ip.package_id
		join vulnerabilities v on v.id = m.vulnerability_id
		where i.digest in `+in+` order by i.digest, v.id`, args...)
	if err != nil {
		return err
	}
	packages := make(map[string][]int64, len(digests))
	for _, r := range found {
		all[r.digest] = append(all[r.digest], r.Finding)
		packages[r.digest] = append(packages[r.digest], r.pkg)
	}
	return s.reportsByImage(ctx, digests, packages, all)
}

// reportsByImage adds to the findings of images, with the ids of their packages, what
// external sources report, and takes away those of the built-in analyser where it is
// attached to no registry that holds the image.
func (s *Store) reportsByImage(ctx context.Context, digests []string, packages map[string][]int64, all map[string][]match.Finding) error {
	alone, err := s.alone(ctx)
	if err != nil || alone {
		return err
	}
	args := anys(digests)
	in := `(` + parameters(1, len(args)) + `)`
	without, err := queryAll(ctx, s.read, scanString, `select i.digest from images i where i.digest in `+in+` and not `+builtInAt+`
		and exists (select 1 from manifests mf where mf.digest = i.digest)`, args...)
	if err != nil {
		return err
	}
	for _, digest := range without {
		delete(all, digest)
	}
	type key struct {
		digest             string
		vulnerability, pkg int64
	}
	known, ungraded := make(map[key]int), make(map[key]bool)
	for digest, findings := range all {
		for i, f := range findings {
			k := key{digest, f.VulnerabilityID, packages[digest][i]}
			known[k], ungraded[k] = i, f.Severity == advisory.Unknown
		}
	}
	type row struct {
		key
		match.Finding
		source string
	}
	reported, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		var seen sql.NullInt64
		err = rows.Scan(&r.digest, &r.vulnerability, &r.pkg, &r.Vulnerability, &r.Severity, &r.Package.Name, &r.Package.Version, &r.Fixed, &seen, &r.source)
		r.VulnerabilityID, r.FirstSeen = r.vulnerability, at(seen)
		return r, err
	}, `select i.digest, v.id, p.id, v.name, `+effective+`, p.name, p.version, m.fixed, m.first_seen, s.name
		from images i
		join source_findings m on m.image_id = i.id and m.gone_at is null
		join vulnerability_sources s on s.id = m.source_id
		join vulnerabilities v on v.id = m.vulnerability_id
		join packages p on p.id = m.package_id
		where i.digest in `+in+` and `+attachedAt+`
		order by i.digest, v.id, p.id, s.name`, args...)
	if err != nil {
		return err
	}
	for _, r := range reported {
		i, is := known[r.key]
		if !is {
			r.Finding.Sources = []string{r.source}
			known[r.key] = len(all[r.digest])
			all[r.digest] = append(all[r.digest], r.Finding)
			continue
		}
		f := &all[r.digest][i]
		if f.Sources[0] != builtInSource || ungraded[r.key] { // else it proves what it says
			f.Severity = max(f.Severity, r.Severity)
		}
		f.Sources = append(f.Sources, r.source)
		if r.FirstSeen.Before(f.FirstSeen) {
			f.FirstSeen = r.FirstSeen
		}
	}
	for digest := range all {
		slices.SortStableFunc(all[digest], func(a, b match.Finding) int { return cmp.Compare(a.VulnerabilityID, b.VulnerabilityID) })
	}
	return nil
}
