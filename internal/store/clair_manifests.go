package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/inventory"
)

// SaveClairManifest keeps a manifest in place of what was known of it.
func (s *Store) SaveClairManifest(ctx context.Context, m clairapi.Manifest) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `insert into clair_manifests (hash, inventory_id, error, detectors, created_at) values ($1, $2, $3, $4, $5)
			on conflict (hash) do update set inventory_id = excluded.inventory_id, error = excluded.error, detectors = excluded.detectors`,
			m.Hash, sql.NullInt64{Int64: m.InventoryID, Valid: m.InventoryID != 0}, m.Error, m.Detectors, micros(s.now())); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `delete from clair_manifest_layers where hash = $1`, m.Hash); err != nil {
			return err
		}
		var rows []any
		for i, l := range m.Layers {
			rows = append(rows, m.Hash, i, l.Hash, l.Digest)
		}
		return s.insertRows(ctx, tx, `clair_manifest_layers (hash text, position integer, layer text, digest text)`, rows)
	})
	if err != nil {
		return fmt.Errorf("save clair manifest %s: %w", m.Hash, err)
	}
	return nil
}

// ClairManifest returns a manifest that a client had indexed, or an image of our
// own registries that is analysed; clairapi.ErrNotFound where it is neither.
func (s *Store) ClairManifest(ctx context.Context, hash string) (clairapi.Manifest, error) {
	type row struct {
		m                  clairapi.Manifest
		distribution, name string
	}
	found, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.m.InventoryID, &r.m.Error, &r.m.Detectors, &r.distribution, &r.name)
		return r, err
	}, `select coalesce(i.inventory_id, m.inventory_id, 0), case when i.id is null then m.error else '' end,
			m.detectors, coalesce(v.distribution, ''), coalesce(v.distribution_name, '')
		from clair_manifests m left join images i on i.digest = m.hash and i.state = 'done'
		left join inventories v on v.id = coalesce(i.inventory_id, m.inventory_id) where m.hash = $1`, hash)
	layers := `select layer, digest from clair_manifest_layers where hash = $1 order by position`
	if err == nil && len(found) == 0 {
		found, err = queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
			err = rows.Scan(&r.m.InventoryID, &r.m.Error, &r.distribution, &r.name)
			return r, err
		}, `select i.inventory_id, i.error, v.distribution, v.distribution_name
			from images i join inventories v on v.id = i.inventory_id where i.digest = $1 and i.state = 'done'`, hash)
		layers = `select l.digest, l.digest from image_layers l join images i on i.id = l.image_id where i.digest = $1 order by l.position`
	}
	if err != nil {
		return clairapi.Manifest{}, fmt.Errorf("clair manifest %s: %w", hash, err)
	}
	if len(found) == 0 {
		return clairapi.Manifest{}, fmt.Errorf("clair manifest %s: %w", hash, clairapi.ErrNotFound)
	}
	m := found[0].m
	m.Hash = hash
	id, version, _ := strings.Cut(found[0].distribution, ":")
	m.Distribution = inventory.Distribution{ID: id, Version: version, PrettyName: found[0].name}
	m.Layers, err = queryAll(ctx, s.read, func(rows *sql.Rows) (l clairapi.ManifestLayer, err error) {
		err = rows.Scan(&l.Hash, &l.Digest)
		return l, err
	}, layers, hash)
	if err != nil {
		return clairapi.Manifest{}, fmt.Errorf("layers of clair manifest %s: %w", hash, err)
	}
	return m, nil
}

// DeleteClairManifests forgets manifests that clients had indexed, and returns
// those that there were. Images of our own registries stay.
func (s *Store) DeleteClairManifests(ctx context.Context, hashes []string) (deleted []string, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		deleted = nil
		for chunk := range slices.Chunk(hashes, matchBatch) {
			gone, err := queryAll(ctx, tx, scanString, `delete from clair_manifests where hash in (`+parameters(1, len(chunk))+`) returning hash`, anys(chunk)...)
			if err != nil {
				return err
			}
			deleted = append(deleted, gone...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("delete clair manifests: %w", err)
	}
	return deleted, nil
}

// IndexedPackages returns the packages of an inventory with their ids, by id,
// and by path. Layers are given by index only.
func (s *Store) IndexedPackages(ctx context.Context, inventoryID int64) ([]clairapi.IndexedPackage, error) {
	packages, err := queryAll(ctx, s.read, func(rows *sql.Rows) (p clairapi.IndexedPackage, err error) {
		err = rows.Scan(append(append([]any{&p.ID}, packageFields(&p.Package)...), &p.LayerIndex, &p.Line, &p.Evidence, &p.Owner, &p.Path, &p.Detector)...)
		return p, err
	}, `select p.id, `+installedColumns+`
		from inventory_packages ip
		join packages p on p.id = ip.package_id
		join files f on f.id = ip.file_id
		where ip.inventory_id = $1
		order by p.id, f.path`, inventoryID)
	if err != nil {
		return nil, fmt.Errorf("packages of inventory %d: %w", inventoryID, err)
	}
	return packages, nil
}

// InventoryThreats returns what affects the packages of an inventory now, each
// once, by package, the most severe first.
func (s *Store) InventoryThreats(ctx context.Context, inventoryID int64) ([]clairapi.Threat, error) {
	threats, err := queryAll(ctx, s.read, scanThreat, `select `+threatColumns+`
		from (select distinct package_id from inventory_packages where inventory_id = $1 and owner = '') ip
		join matches m on m.package_id = ip.package_id and m.gone_at is null`+threatJoins+`
		order by m.package_id, `+effective+` desc, v.name`, inventoryID)
	if err != nil {
		return nil, fmt.Errorf("threats of inventory %d: %w", inventoryID, err)
	}
	return threats, nil
}

// threatColumns are those of a match m of a vulnerability v with a package p,
// for scanThreat.
const threatColumns = `m.package_id, v.name, v.description, ` + effective + `, v.published_at, v.cvss, v.cvss_vector, v.exploited_at,
			coalesce(e.score, 0), coalesce(e.percentile, 0), p.name, p.source_name,
			m.identifier, m.introduced, m.fixed, m.last_affected, m.fix_state, m.note, m.source, m.feed, m.part`

// threatJoins go from a match m to all that threatColumns name.
const threatJoins = `
		join packages p on p.id = m.package_id
		join vulnerabilities v on v.id = m.vulnerability_id
		left join epss e on e.name = v.name`

func scanThreat(rows *sql.Rows) (t clairapi.Threat, err error) {
	var published, exploited sql.NullInt64
	var name, source string
	st := &t.Statement
	err = rows.Scan(&t.PackageID, &t.Vulnerability, &t.Description, &t.Severity, &published, &t.CVSS, &t.Vector, &exploited,
		&t.EPSS, &t.Percentile, &name, &source,
		&st.ID, &st.Introduced, &st.Fixed, &st.LastAffected, &st.Fix, &st.Note, &st.Source, &st.Feed, &st.Part)
	t.Published, t.ExploitedSince = at(published), at(exploited)
	st.Vulnerability, st.Severity, st.Package = t.Vulnerability, t.Severity, name
	if st.Source {
		st.Package = source
	}
	return t, err
}
