package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// matchedFindings are those of ImageFindings that the built-in analyser reports.
func (s *Store) matchedFindings(ctx context.Context, digest string) ([]match.Finding, error) {
	return s.imageMatches(ctx, digest, time.Time{})
}

// matchedFindingsAt are those of ImageFindingsAt that the built-in analyser reports.
func (s *Store) matchedFindingsAt(ctx context.Context, digest string, when time.Time) ([]match.Finding, error) {
	return s.imageMatches(ctx, digest, when)
}

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
	findings, err := s.matched(ctx, id.Int64, live, args...)
	if err != nil {
		return nil, fmt.Errorf("findings of image %s: %w", digest, err)
	}
	layers := make(map[int]string)
	if _, err := queryAll(ctx, s.read, func(rows *sql.Rows) (none struct{}, err error) {
		var position int
		var layer string
		err = rows.Scan(&position, &layer)
		layers[position] = layer
		return none, err
	}, `select position, digest from image_layers where image_id = $1`, image); err != nil {
		return nil, fmt.Errorf("layers of image %s: %w", digest, err)
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
	var even, odd []match.Finding
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
	return sorted(append(even, odd...)), nil
}

// matchedOf are those of matched of the packages with even or odd ids. What the
// findings of a package have in common is read once.
func (s *Store) matchedOf(ctx context.Context, inventoryID, odd int64, condition string, args []any) ([]match.Finding, error) {
	half := []any{inventoryID, odd}
	rows, err := queryAll(ctx, s.read, scanMatched, `select m.package_id, v.id, v.name, v.description, `+effective+`, v.cvss, v.cvss_vector, v.exploited_at,
			coalesce(e.score, 0), coalesce(e.percentile, 0),
			m.introduced, m.fixed, m.last_affected, m.fix_state, m.source, m.feed, m.part, m.identifier, m.note, m.first_seen
		from (select distinct package_id from inventory_packages where inventory_id = $1 and package_id % 2 = $2 and owner = '') ip
		join matches m on m.package_id = ip.package_id and `+condition+`
		join vulnerabilities v on v.id = m.vulnerability_id
		left join epss e on e.name = v.name`, append(slices.Clone(half), args...)...)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	places := make(map[int64][]inventory.Installed)
	if _, err := queryAll(ctx, s.read, func(rows *sql.Rows) (none struct{}, err error) {
		var id int64
		var p inventory.Installed
		err = rows.Scan(append(append([]any{&id}, packageFields(&p.Package)...), &p.LayerIndex, &p.Line, &p.Evidence, &p.Path, &p.Detector)...)
		places[id] = append(places[id], p)
		return none, err
	}, `select p.id, `+packageColumns+`, ip.layer_position, ip.line, ip.evidence, f.path, f.detector
		from inventory_packages ip
		join packages p on p.id = ip.package_id
		join files f on f.id = ip.file_id
		where ip.inventory_id = $1 and ip.package_id % 2 = $2 and ip.owner = ''`, half...); err != nil {
		return nil, err
	}
	findings := make([]match.Finding, 0, len(rows))
	for _, r := range rows {
		for _, p := range places[r.pkg] {
			findings = append(findings, r.in(p))
		}
	}
	return findings, nil
}

// matchedRow is a match of a package, wherever that is.
type matchedRow struct {
	pkg int64
	match.Finding
	advisory.Advisory
}

func scanMatched(rows *sql.Rows) (*matchedRow, error) {
	r := new(matchedRow) // large: a list of them would be copied as it grows
	var exploited, firstSeen sql.NullInt64
	f, a := &r.Finding, &r.Advisory
	err := rows.Scan(&r.pkg, &f.VulnerabilityID, &f.Vulnerability, &f.Description, &f.Severity, &f.CVSS, &f.Vector, &exploited, &f.EPSS, &f.Percentile,
		&a.Introduced, &a.Fixed, &a.LastAffected, &f.Fix, &a.Source, &f.Evidence.Feed, &f.Evidence.Part, &f.Evidence.Advisory, &f.Evidence.Note, &firstSeen)
	f.Fixed, f.ExploitedSince, f.FirstSeen = a.Fixed, at(exploited), at(firstSeen)
	return r, err
}

// in is the finding that the match is at one place.
func (r *matchedRow) in(p inventory.Installed) match.Finding {
	f := r.Finding
	f.Package, f.LayerIndex = p.Package, p.LayerIndex
	f.Evidence.Line, f.Evidence.Record, f.Evidence.Path, f.Evidence.Detector = p.Line, p.Evidence, p.Path, p.Detector
	f.Evidence.Subject = p.Name
	if r.Advisory.Source {
		f.Evidence.Subject = p.SourceName
	}
	f.Evidence.Comparison = match.Comparison(p.Package, r.Advisory)
	f.Sources = []string{builtInSource}
	return f
}
