package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/source"
	"golang.org/x/sync/errgroup"
)

// ImageFindings returns the findings of an image, the most severe first, then
// by vulnerability, package and path: those of all sources that are attached to
// any registry which holds it, each once, whoever reports it. An image that is
// unknown or not analysed has none; ask ImageByDigest which it is.
func (s *Store) ImageFindings(ctx context.Context, digest string) ([]match.Finding, error) {
	return s.foundIn(ctx, digest, time.Time{}, `x.gone_at is null`)
}

// ImageFindingsAt returns the findings that were known of an image at a time, by
// the inventory and the sources that it has now. What the statements said is as
// it was when the finding ended, or is now.
func (s *Store) ImageFindingsAt(ctx context.Context, digest string, when time.Time) ([]match.Finding, error) {
	return s.foundIn(ctx, digest, when, `x.first_seen <= $2 and (x.gone_at is null or x.gone_at > $2)`, micros(when))
}

// foundIn are what the built-in analyser finds in an image at a time, or now where
// it is zero, unless it is detached from all its registries, and what the attached
// sources report for which a condition holds.
func (s *Store) foundIn(ctx context.Context, digest string, when time.Time, where string, args ...any) ([]match.Finding, error) {
	var found []match.Finding
	var reported []external
	counts := true
	group, running := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		found, err = s.imageMatches(running, digest, when)
		return err
	})
	group.Go(func() error {
		// Most servers have neither, and are spared the questions about the image.
		var detached, attached bool
		err := s.read.QueryRowContext(running, `select exists (select 1 from registries where not built_in), exists (select 1 from registry_sources)`).Scan(&detached, &attached)
		if err == nil && detached {
			counts, err = s.countsWhereHeld(running, digest)
		}
		if err == nil && attached {
			reported, err = s.reported(running, digest, where, args)
		}
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	if !counts {
		found = nil
	}
	if len(reported) == 0 {
		return found, nil
	}
	return join(found, reported), nil
}

// attachedTo are the sources attached to a registry that holds an image $1.
const attachedTo = `(select rs.source_id from manifests m
		join repositories p on p.id = m.repository_id
		join registry_sources rs on rs.registry_id = p.registry_id where m.digest = $1)`

// external is a finding of an external source at one place in the image, which
// has no path where the inventory does not hold the package.
type external struct {
	match.Finding
	source string
}

// reported are the findings x of the attached sources in an image for which a
// condition holds that may use the arguments from $2 on.
func (s *Store) reported(ctx context.Context, digest, where string, args []any) ([]external, error) {
	var list []external
	err := s.inOrder(ctx, func(q querier) (err error) {
		list, err = queryAll(ctx, q, scanExternal, `select s.name, x.name, x.severity, x.fixed, x.link, x.first_seen,
			v.id, v.name, v.description, v.severity, v.cvss, v.cvss_vector, v.exploited_at, coalesce(e.score, 0), coalesce(e.percentile, 0), `+packageColumns+`,
			coalesce(ip.layer_position, x.layer_position, 0), coalesce(il.digest, ''), coalesce(ip.line, 0), coalesce(ip.evidence, ''), coalesce(f.path, ''), coalesce(f.detector, '')
		from images i
		join source_findings x on x.image_id = i.id and `+where+`
		join vulnerability_sources s on s.id = x.source_id
		join vulnerabilities v on v.id = x.vulnerability_id
		join packages p on p.id = x.package_id
		left join inventory_packages ip on ip.inventory_id = i.inventory_id and ip.package_id = x.package_id
		left join files f on f.id = ip.file_id
		left join image_layers il on il.image_id = i.id and il.position = coalesce(ip.layer_position, x.layer_position)
		left join epss e on e.name = v.name
		where i.digest = $1 and x.source_id in `+attachedTo+`
		order by s.name, x.id`, append([]any{digest}, args...)...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("findings of the sources of image %s: %w", digest, err)
	}
	return list, nil
}

// BuiltInCounts reports whether the built-in analyser is attached to any registry
// that holds the image. One that is stored nowhere has no registry to ask.
func (s *Store) BuiltInCounts(ctx context.Context, digest string) (counts bool, err error) {
	var detached bool
	if err := s.read.QueryRowContext(ctx, `select exists (select 1 from registries where not built_in)`).Scan(&detached); err != nil || !detached {
		return true, err
	}
	return s.countsWhereHeld(ctx, digest)
}

// countsWhereHeld is BuiltInCounts where some registry has it detached.
func (s *Store) countsWhereHeld(ctx context.Context, digest string) (counts bool, err error) {
	const places = ` from manifests m join repositories p on p.id = m.repository_id join registries g on g.id = p.registry_id where m.digest = $1`
	err = s.read.QueryRowContext(ctx, `select exists (select 1`+places+` and g.built_in) or not exists (select 1`+places+`)`, digest).Scan(&counts)
	return counts, err
}

func scanExternal(rows *sql.Rows) (x external, err error) {
	f := &x.Finding
	var exploited, first sql.NullInt64
	var w match.Witness
	into := append([]any{&x.source, &w.Vulnerability, &w.Severity, &w.Fixed, &w.Link, &first,
		&f.VulnerabilityID, &f.Vulnerability, &f.Description, &f.Severity, &f.CVSS, &f.Vector, &exploited, &f.EPSS, &f.Percentile}, packageFields(&f.Package)...)
	err = rows.Scan(append(into, &f.LayerIndex, &f.LayerDigest, &f.Evidence.Line, &f.Evidence.Record, &f.Evidence.Path, &f.Evidence.Detector)...)
	if w.Severity > 0 {
		f.Severity = w.Severity
	}
	w.Source = x.source
	f.Fixed, f.ExploitedSince, f.FirstSeen = w.Fixed, at(exploited), at(first)
	f.Sources, f.Witnesses = []string{x.source}, []match.Witness{w}
	f.Evidence.Feed, f.Evidence.Subject, f.Evidence.Advisory = x.source, f.Package.Name, w.Vulnerability
	f.Evidence.Comparison = match.Reported(f.Package, w)
	return x, err
}

// join makes one finding of what several report of one package: the built-in
// analyser's where it is one of them, since it proves what it says. Where it knows no
// severity the others' counts.
func join(found []match.Finding, reported []external) []match.Finding {
	type subject struct {
		vulnerability int64
		pkg           inventory.Package
	}
	type spot struct {
		subject
		path string
		line int
	}
	own := make(map[subject][]int, len(found))
	ungraded := make([]bool, len(found))
	for i, f := range found {
		ungraded[i] = f.Severity == advisory.Unknown
		at := subject{f.VulnerabilityID, f.Package}
		own[at] = append(own[at], i)
	}
	others := make(map[spot]int)
	testify := func(i int, x external) {
		f := &found[i]
		if !slices.Contains(f.Sources, x.source) {
			f.Sources = append(f.Sources, x.source)
			f.Witnesses = append(f.Witnesses, x.Witnesses...)
		}
		if x.FirstSeen.Before(f.FirstSeen) {
			f.FirstSeen = x.FirstSeen
		}
	}
	for _, x := range reported {
		about := subject{x.VulnerabilityID, x.Package}
		if mine := own[about]; len(mine) > 0 {
			for _, i := range mine {
				testify(i, x)
				if ungraded[i] {
					found[i].Severity = max(found[i].Severity, x.Severity)
				}
			}
			continue
		}
		at := spot{about, x.Evidence.Path, x.Evidence.Line}
		i, known := others[at]
		if !known {
			others[at] = len(found)
			found = append(found, x.Finding)
			continue
		}
		testify(i, x)
		f := &found[i]
		f.Severity = max(f.Severity, x.Severity)
		if f.Fixed == "" {
			f.Fixed = x.Fixed
		}
	}
	slices.SortStableFunc(found, func(a, b match.Finding) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), strings.Compare(a.Vulnerability, b.Vulnerability), strings.Compare(a.Package.Name, b.Package.Name),
			strings.Compare(a.Package.Version, b.Package.Version), strings.Compare(a.Package.Architecture, b.Package.Architecture), strings.Compare(a.Evidence.Path, b.Evidence.Path))
	})
	return found
}

// RegistrySources names the sources whose findings count in a registry; nil where
// it is the built-in analyser's alone, as it is everywhere at first.
func (s *Store) RegistrySources(ctx context.Context, registry string) ([]string, error) {
	names, err := queryAll(ctx, s.read, scanString, `select cast($2 as text) from registries where name = $1 and built_in
		union all select s.name from registries r join registry_sources rs on rs.registry_id = r.id
			join vulnerability_sources s on s.id = rs.source_id where r.name = $1
		order by 1`, registry, source.BuiltIn)
	switch {
	case err != nil:
		return nil, err
	case len(names) == 1 && names[0] == source.BuiltIn:
		return nil, nil
	case names == nil:
		names = []string{}
	}
	return names, nil
}
