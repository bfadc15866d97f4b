package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// imageMatches are the matches of the packages of an image at a time, or now where
// it is zero.
func (s *Store) imageMatches(ctx context.Context, digest string, when time.Time) ([]match.Finding, error) {
	var id, image, analysed sql.NullInt64
	err := s.read.QueryRowContext(ctx, `select id, inventory_id, analysed_at from images where digest = $1`, digest).Scan(&image, &id, &analysed)
	past := !when.IsZero()
	if errors.Is(err, sql.ErrNoRows) || err == nil && (!id.Valid || past && !(analysed.Int64 <= micros(when))) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("findings of image %s: %w", digest, err)
	}
	live, args := liveNow, []any(nil)
	if past {
		live, args = `m.first_seen <= $3 and (m.gone_at is null or m.gone_at > $3)`, []any{micros(when)}
	}
	var findings []match.Finding
	layers := make(map[int]string)
	group, running := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		findings, err = s.matched(running, id.Int64, live, args...)
		return err
	})
	group.Go(func() error {
		_, err := queryAll(running, s.read, func(rows *sql.Rows) (none struct{}, err error) {
			var position int
			var layer string
			err = rows.Scan(&position, &layer)
			layers[position] = layer
			return none, err
		}, `select position, digest from image_layers where image_id = $1`, image)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, fmt.Errorf("findings of image %s: %w", digest, err)
	}
	for i := range findings {
		f := &findings[i]
		f.LayerDigest = layers[f.LayerIndex]
		if known := at(analysed); known.After(f.FirstSeen) {
			f.FirstSeen = known
		}
	}
	return findings, nil
}

// liveNow is the condition of matched that a match m stands.
const liveNow = `m.gone_at is null`

// matched returns the matches m of the packages of an inventory for which a
// condition holds that may use the arguments from $3 on, sorted. Layers are given by
// index only; FirstSeen is when the package was first known to be affected. Half of
// the packages are read beside the others.
func (s *Store) matched(ctx context.Context, inventoryID int64, condition string, args ...any) ([]match.Finding, error) {
	var even, odd []located
	group, running := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		even, err = s.matchedOf(running, inventoryID, 0, condition, args)
		return err
	})
	group.Go(func() (err error) {
		odd, err = s.matchedOf(running, inventoryID, 1, condition, args)
		return err
	})
	if err := group.Wait(); err != nil {
		return nil, err
	}
	all := append(even, odd...)
	// A finding is large. The engines would carry all that is read through their sorting.
	slices.SortFunc(all, func(a, b located) int {
		return cmp.Or(cmp.Compare(b.severity, a.severity), strings.Compare(a.name, b.name),
			strings.Compare(a.place.Name, b.place.Name), strings.Compare(a.place.Version, b.place.Version),
			strings.Compare(a.place.Architecture, b.place.Architecture), strings.Compare(a.place.Path, b.place.Path))
	})
	findings := make([]match.Finding, len(all))
	for i := range all {
		all[i].into(&findings[i])
	}
	return findings, nil
}

// matchedOf are those of matched of the packages with even or odd ids. What the
// findings of a package have in common is read once.
func (s *Store) matchedOf(ctx context.Context, inventoryID, odd int64, condition string, args []any) ([]located, error) {
	half := []any{inventoryID, odd}
	var some []matchedRow // many at once
	rows, err := queryAll(ctx, s.read, func(rows *sql.Rows) (*matchedRow, error) {
		if len(some) == 0 {
			some = make([]matchedRow, 64)
		}
		r := &some[0]
		some = some[1:]
		return r, rows.Scan(&r.pkg, &r.vulnerability, &r.name, &r.description, &r.severity, &r.cvss, &r.vector, &r.exploited, &r.epss, &r.percentile,
			&r.introduced, &r.fixed, &r.lastAffected, &r.fix, &r.source, &r.feed, &r.part, &r.advisory, &r.note, &r.firstSeen)
	}, `select m.package_id, v.id, v.name, v.description, `+effective+`, v.cvss, v.cvss_vector, coalesce(v.exploited_at, 0),
			coalesce(e.score, 0), coalesce(e.percentile, 0),
			m.introduced, m.fixed, m.last_affected, m.fix_state, m.source, m.feed, m.part, m.identifier, m.note, m.first_seen
		from (select distinct package_id from inventory_packages where inventory_id = $1 and package_id % 2 = $2 and owner = '') ip
		join matches m on m.package_id = ip.package_id and `+condition+`
		join vulnerabilities v on v.id = m.vulnerability_id
		left join epss e on e.name = v.name`, append(slices.Clone(half), args...)...)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	places := make(map[int64][]*inventory.Installed)
	if _, err := queryAll(ctx, s.read, func(rows *sql.Rows) (none struct{}, err error) {
		var id int64
		p := new(inventory.Installed)
		err = rows.Scan(append(append([]any{&id}, packageFields(&p.Package)...), &p.LayerIndex, &p.Line, &p.Evidence, &p.Path, &p.Detector)...)
		places[id] = append(places[id], p)
		return none, err
	}, `select p.id, `+packageColumns+`, ip.layer_position, ip.line, ip.evidence, f.path, f.detector
		from inventory_packages ip
		join packages p on p.id = ip.package_id
		join files f on f.id = ip.file_id
		where ip.inventory_id = $1 and ip.package_id % 2 = $2 and ip.owner = ''
			and exists (select 1 from matches m where m.package_id = ip.package_id and `+condition+`)`, append(slices.Clone(half), args...)...); err != nil {
		return nil, err
	}
	all := make([]located, 0, len(rows))
	for _, r := range rows {
		for _, p := range places[r.pkg] {
			all = append(all, located{r, p})
		}
	}
	return all, nil
}

// matchedRow is a match of a package, wherever that is. Its fields are of the types
// that a driver gives: others are taken by reflection, one by one.
type matchedRow struct {
	pkg, vulnerability, severity         int64
	exploited, firstSeen                 int64
	name, description, vector            string
	cvss, epss, percentile               float64
	introduced, fixed, lastAffected, fix string
	source                               bool
	feed, part, advisory, note           string
}

// located is a match at one place.
type located struct {
	*matchedRow
	place *inventory.Installed
}

// into fills in the finding that it is.
func (l located) into(f *match.Finding) {
	r, p := l.matchedRow, l.place
	f.VulnerabilityID, f.Vulnerability, f.Description, f.Severity = r.vulnerability, r.name, r.description, advisory.Severity(r.severity)
	f.CVSS, f.Vector, f.EPSS, f.Percentile = r.cvss, r.vector, r.epss, r.percentile
	f.FirstSeen = time.UnixMicro(r.firstSeen).UTC()
	if r.exploited != 0 {
		f.ExploitedSince = time.UnixMicro(r.exploited).UTC()
	}
	f.Fixed, f.Fix, f.Package, f.LayerIndex = r.fixed, advisory.FixState(r.fix), p.Package, p.LayerIndex
	f.Evidence = match.Evidence{Path: p.Path, Line: p.Line, Detector: p.Detector, Record: p.Evidence,
		Feed: r.feed, Part: r.part, Advisory: r.advisory, Note: r.note, Subject: p.Name,
		Comparison: match.Comparison(p.Package, advisory.Advisory{Introduced: r.introduced, Fixed: r.fixed, LastAffected: r.lastAffected, Source: r.source})}
	if r.source {
		f.Evidence.Subject = p.SourceName
	}
	f.Sources = []string{builtInSource}
}
