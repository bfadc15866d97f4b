package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/image"
)

// ImageSummaries returns what lists show of images and indexes, by digest. Other
// manifests, and what is not stored, are not among them.
func (s *Store) ImageSummaries(ctx context.Context, digests []string) (map[string]image.Summary, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	type child struct{ index, digest string }
	children, err := queryAll(ctx, s.read, func(rows *sql.Rows) (c child, err error) {
		err = rows.Scan(&c.index, &c.digest)
		return c, err
	}, `select distinct m.digest, r.digest from manifests m join manifest_references r on r.manifest_id = m.id and r.kind = 'manifest'
		where m.digest in (`+parameters(1, len(digests))+`) order by 1, 2`, anys(digests)...)
	if err != nil {
		return nil, fmt.Errorf("images of indexes: %w", err)
	}
	all := slices.Clone(digests)
	for _, c := range children {
		all = append(all, c.digest)
	}
	slices.Sort(all)
	images, err := s.summaries(ctx, slices.Compact(all))
	if err != nil {
		return nil, err
	}
	found := make(map[string]image.Summary, len(digests))
	for _, d := range digests {
		if one, ok := images[d]; ok {
			found[d] = one
		}
	}
	for _, c := range children {
		one, stored := images[c.digest]
		whole, begun := found[c.index]
		if !begun {
			whole = image.Summary{Digest: c.index, Index: true, State: image.Done, Findings: map[advisory.Severity]int{}}
		}
		if stored {
			whole.Platforms = append(whole.Platforms, one.Platforms...)
			whole.Size += one.Size
			for severity, n := range one.Findings {
				whole.Findings[severity] += n
			}
			if one.State == image.Failed || one.State == image.Pending && whole.State == image.Done {
				whole.State = one.State
			}
		}
		sort.Strings(whole.Platforms)
		found[c.index] = whole
	}
	return found, nil
}

func (s *Store) summaries(ctx context.Context, digests []string) (map[string]image.Summary, error) {
	found := make(map[string]image.Summary)
	for some := range slices.Chunk(digests, 500) {
		in, args := parameters(1, len(some)), anys(some)
		images, err := queryAll(ctx, s.read, func(rows *sql.Rows) (v image.Summary, err error) {
			var os, architecture, variant string
			v.Findings = make(map[advisory.Severity]int)
			err = rows.Scan(&v.Digest, &os, &architecture, &variant, &v.State, &v.Size)
			platform := strings.TrimRight(os+"/"+architecture+"/"+variant, "/")
			if platform != "" {
				v.Platforms = []string{platform}
			}
			return v, err
		}, `select i.digest, i.os, i.architecture, i.variant, i.state,
				(select coalesce(sum(l.size), 0) from image_layers l where l.image_id = i.id)
			from images i where i.digest in (`+in+`)`, args...)
		if err != nil {
			return nil, fmt.Errorf("summaries of images: %w", err)
		}
		for _, v := range images {
			found[v.Digest] = v
		}
		type row struct {
			digest   string
			severity advisory.Severity
			n        int
		}
		counts, err := queryAll(ctx, s.read, func(rows *sql.Rows) (c row, err error) {
			err = rows.Scan(&c.digest, &c.severity, &c.n)
			return c, err
		}, `select i.digest, case when `+effective+` > 0 then `+effective+` else coalesce((select max(x.severity) from source_findings x
				where x.image_id = i.id and x.vulnerability_id = m.vulnerability_id and x.package_id = m.package_id and x.gone_at is null
					and `+strings.Replace(attachedAt, "m.source_id", "x.source_id", 1)+`), 0) end, count(*)
			from images i
			join inventory_packages ip on ip.inventory_id = i.inventory_id and ip.owner = ''
			join matches m on m.package_id = ip.package_id and m.gone_at is null
			join vulnerabilities v on v.id = m.vulnerability_id
			where i.digest in (`+in+`) and `+builtInAt+` group by 1, 2
			union all
			select x.digest, x.severity, count(*) from (
				select i.digest, m.vulnerability_id, m.package_id, max(`+effective+`) as severity
				from images i
				join source_findings m on m.image_id = i.id and m.gone_at is null
				join vulnerabilities v on v.id = m.vulnerability_id
				where i.digest in (`+in+`) and `+attachedAt+` and not exists (
					select 1 from matches o join inventory_packages ip on ip.package_id = o.package_id and ip.inventory_id = i.inventory_id and ip.owner = ''
					where o.package_id = m.package_id and o.vulnerability_id = m.vulnerability_id and o.gone_at is null and `+builtInAt+`)
				group by i.digest, m.vulnerability_id, m.package_id
			) x group by x.digest, x.severity`, args...)
		if err != nil {
			return nil, fmt.Errorf("findings of images: %w", err)
		}
		for _, c := range counts {
			found[c.digest].Findings[c.severity] += c.n
		}
	}
	return found, nil
}

// ImagesAtRisk lists the stored images with the most vulnerabilities that are
// critical, then that are high, in some registries, in all where they are nil.
func (s *Store) ImagesAtRisk(ctx context.Context, registries []string, limit int) ([]image.Summary, error) {
	var where conditions
	where.add(`r.critical + r.high > 0`)
	if registries != nil {
		where.add(`exists (select 1 from manifests mf join repositories p on p.id = mf.repository_id join registries g on g.id = p.registry_id
			where mf.digest = i.digest and g.name `+oneOf(registries)+`)`, anys(registries)...)
	}
	where.args = append(where.args, limit)
	digests, err := queryAll(ctx, s.read, scanString, `select i.digest from image_risks r join images i on i.id = r.image_id
		`+where.String()+fmt.Sprintf(` order by r.critical desc, r.high desc, r.image_id limit $%d`, len(where.args)), where.args...)
	if err != nil {
		return nil, fmt.Errorf("images at risk: %w", err)
	}
	found, err := s.summaries(ctx, digests)
	if err != nil {
		return nil, err
	}
	list := make([]image.Summary, len(digests))
	for i, d := range digests {
		list[i] = found[d]
	}
	return list, nil
}

// ImageHistory returns how the findings of an image changed, day by day, in the
// order of time, by the inventory that it has now.
func (s *Store) ImageHistory(ctx context.Context, digest string) ([]image.At, error) {
	type span struct {
		name     string
		severity advisory.Severity
		from     time.Time
		until    time.Time
	}
	spans, err := queryAll(ctx, s.read, func(rows *sql.Rows) (f span, err error) {
		var from, until sql.NullInt64
		err = rows.Scan(&f.name, &f.severity, &from, &until)
		f.from, f.until = at(from), at(until)
		return f, err
	}, `select v.name, `+effective+`, case when m.first_seen > i.analysed_at then m.first_seen else i.analysed_at end, m.gone_at
		from images i
		join inventory_packages ip on ip.inventory_id = i.inventory_id and ip.owner = ''
		join matches m on m.package_id = ip.package_id and (m.gone_at is null or m.gone_at > i.analysed_at)
		join vulnerabilities v on v.id = m.vulnerability_id
		where i.digest = $1`, digest)
	if err != nil {
		return nil, fmt.Errorf("history of image %s: %w", digest, err)
	}
	type change struct {
		came, went map[string]bool
		counts     map[advisory.Severity]int
	}
	days := make(map[time.Time]*change)
	on := func(t time.Time) *change {
		d := t.Truncate(24 * time.Hour)
		if days[d] == nil {
			days[d] = &change{came: map[string]bool{}, went: map[string]bool{}, counts: map[advisory.Severity]int{}}
		}
		return days[d]
	}
	for _, f := range spans {
		c := on(f.from)
		c.came[f.name] = true
		c.counts[f.severity]++
		if !f.until.IsZero() {
			c := on(f.until)
			c.went[f.name] = true
			c.counts[f.severity]--
		}
	}
	history := make([]image.At, 0, len(days))
	for day, c := range days {
		history = append(history, image.At{Time: day, Findings: c.counts, Came: sortedKeys(c.came), Went: sortedKeys(c.went)})
	}
	slices.SortFunc(history, func(a, b image.At) int { return a.Time.Compare(b.Time) })
	for i := 1; i < len(history); i++ {
		for severity, n := range history[i-1].Findings {
			history[i].Findings[severity] += n
		}
	}
	return history, nil
}

func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// ImagePushes lists when a manifest came to each of its repositories, the newest first.
func (s *Store) ImagePushes(ctx context.Context, digest string) ([]image.Push, error) {
	pushes, err := queryAll(ctx, s.read, func(rows *sql.Rows) (p image.Push, err error) {
		var when sql.NullInt64
		err = rows.Scan(&p.Registry, &p.Repository, &p.By, &when)
		p.Time = at(when)
		return p, err
	}, `select g.name, r.name, m.pushed_by, m.pushed_at from manifests m
		join repositories r on r.id = m.repository_id join registries g on g.id = r.registry_id
		where m.digest = $1 order by m.pushed_at desc, g.name, r.name limit 1000`, digest)
	if err != nil {
		return nil, fmt.Errorf("pushes of %s: %w", digest, err)
	}
	locations, err := s.ImageLocations(ctx, digest)
	if err != nil {
		return nil, err
	}
	for i, p := range pushes {
		for _, l := range locations {
			if l.Registry == p.Registry && l.Repository == p.Repository {
				pushes[i].Tags = l.Tags
			}
		}
	}
	return pushes, nil
}

// ImageReferrers lists the manifests whose subject is a digest, in all
// repositories that hold it, the newest first; at most a thousand.
func (s *Store) ImageReferrers(ctx context.Context, digest string) ([]image.Referrer, error) {
	referrers, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r image.Referrer, err error) {
		var when sql.NullInt64
		var annotations string
		if err = rows.Scan(&r.Registry, &r.Repository, &r.Digest, &r.MediaType, &r.ArtifactType, &r.Size, &annotations, &r.By, &when); err != nil {
			return r, err
		}
		r.Time = at(when)
		return r, json.Unmarshal([]byte(annotations), &r.Annotations)
	}, `select g.name, r.name, m.digest, m.media_type, m.artifact_type, m.size, m.annotations, m.pushed_by, m.pushed_at
		from manifests i
		join manifests m on m.repository_id = i.repository_id and m.subject = i.digest
		join repositories r on r.id = m.repository_id join registries g on g.id = r.registry_id
		where i.digest = $1 order by m.pushed_at desc, m.id desc limit 1000`, digest)
	if err != nil {
		return nil, fmt.Errorf("referrers of %s: %w", digest, err)
	}
	return referrers, nil
}
