package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// InventoryID returns the id of the inventory with this key, if it is known.
func (s *Store) InventoryID(ctx context.Context, key string) (id int64, known bool, err error) {
	return s.inventoryID(ctx, s.read, key)
}

// inventoryID also takes away the mark of an inventory that is about to be
// deleted: the caller will refer to it.
func (s *Store) inventoryID(ctx context.Context, q querier, key string) (id int64, known bool, err error) {
	var unused bool
	err = q.QueryRowContext(ctx, `select id, unused_since is not null from inventories where key = $1`, key).Scan(&id, &unused)
	if err == nil && unused {
		unmark := func(q querier) error {
			return q.QueryRowContext(ctx, `update inventories set unused_since = null where key = $1 returning id`, key).Scan(&id)
		}
		if tx, within := q.(*sql.Tx); within {
			err = unmark(tx)
		} else {
			err = s.tx(ctx, func(tx *sql.Tx) error { return unmark(tx) })
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, fmt.Errorf("inventory %s: %w", key, err)
	}
	return id, true, nil
}

// SaveInventory stores a coalesced inventory under its key, once: its packages
// that are new everywhere are matched in the same transaction. It returns the
// inventory's id.
func (s *Store) SaveInventory(ctx context.Context, key string, img inventory.Image, decide match.Decide) (int64, error) {
	warnings, err := json.Marshal(img.Warnings)
	if err != nil {
		return 0, fmt.Errorf("inventory %s: %w", key, err)
	}
	var id int64
	err = s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.commitLater(ctx, tx); err != nil { // with the image, which is settled after this
			return err
		}
		if err := s.lockMatching(ctx, tx); err != nil {
			return err
		}
		var known bool
		if id, known, err = s.inventoryID(ctx, tx, key); err != nil || known {
			return err
		}
		if err := tx.QueryRowContext(ctx, `insert into inventories (key, distribution, distribution_name, warnings, created_at)
			values ($1, $2, $3, $4, $5) returning id`,
			key, img.Distribution.String(), img.Distribution.PrettyName, string(warnings), micros(s.now())).Scan(&id); err != nil {
			return fmt.Errorf("insert inventory: %w", err)
		}
		packages, err := s.internPackages(ctx, tx, img.Packages, decide)
		if err != nil {
			return err
		}
		if err := s.insertInstalled(ctx, tx, id, img.Packages, packages); err != nil {
			return err
		}
		return s.pathsDue(ctx, tx, id)
	})
	if err != nil {
		return 0, fmt.Errorf("save inventory %s: %w", key, err)
	}
	return id, nil
}

// internPackages returns the ids of the packages, having inserted and matched
// those that were never seen before.
func (s *Store) internPackages(ctx context.Context, tx *sql.Tx, installed []inventory.Installed, decide match.Decide) (map[inventory.Package]int64, error) {
	ids := make(map[inventory.Package]int64, len(installed))
	var distinct []inventory.Package
	for _, p := range installed {
		if _, seen := ids[p.Package]; !seen {
			ids[p.Package] = 0
			distinct = append(distinct, p.Package)
		}
	}
	const width = 9
	const columns = `type text, distribution text, name text, version text, architecture text, source_name text, source_version text, module text, repositories text`
	values := func(p inventory.Package) []any {
		return []any{p.Type, p.Distribution, p.Name, p.Version, p.Architecture, p.SourceName, p.SourceVersion, p.Module, p.Repositories}
	}
	var added []packageRow
	for chunk := range slices.Chunk(distinct, relationRows) {
		args := make([]any, 0, width*len(chunk))
		for _, p := range chunk {
			args = append(args, values(p)...)
		}
		known, err := queryRelation(ctx, s, tx, scanPackage, columns, args, func(given relation) string {
			return `with k (` + namesOf(columns) + `) as (` + given.query + `)
				select p.id, ` + packageColumns + `
				from k join packages p on p.name = k.name and p.version = k.version and p.distribution = k.distribution
					and p.architecture = k.architecture and p.source_name = k.source_name and p.source_version = k.source_version
					and p.type = k.type and p.module = k.module and p.repositories = k.repositories`
		})
		if err != nil {
			return nil, fmt.Errorf("read packages: %w", err)
		}
		for _, row := range known {
			ids[row.Package] = row.id
		}
		args = nil
		for _, p := range chunk {
			if ids[p] == 0 {
				binary, source := match.VersionKeys(p)
				args = append(append(args, values(p)...), binary, source)
			}
		}
		fresh, err := queryRelation(ctx, s, tx, scanPackage, columns+`, version_key bytes, source_key bytes`, args, func(given relation) string {
			return `insert into packages (` + namesOf(columns) + `, version_key, source_key) ` + given.query + ` returning id, ` + namesOf(columns)
		})
		if err != nil {
			return nil, fmt.Errorf("insert packages: %w", err)
		}
		for _, row := range fresh {
			ids[row.Package] = row.id
		}
		added = append(added, fresh...)
	}
	if err := s.joinPackages(ctx, tx, added); err != nil {
		return nil, err
	}
	return ids, s.matchFresh(ctx, tx, added, decide)
}

// file is what proves packages.
type file struct{ path, detector string }

// digest tells files apart.
func (f file) digest() [16]byte {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %s %s", len(f.path), f.path, f.detector))
	return [16]byte(sum[:])
}

// internFiles returns the ids of the files, having inserted those that are new.
func (s *Store) internFiles(ctx context.Context, tx *sql.Tx, installed []inventory.Installed) (map[file]int64, error) {
	wanted := make(map[[16]byte]file)
	for _, p := range installed {
		f := file{p.Path, p.Detector}
		wanted[f.digest()] = f
	}
	digests := slices.SortedFunc(maps.Keys(wanted), func(a, b [16]byte) int { return bytes.Compare(a[:], b[:]) })
	ids := make(map[file]int64, len(wanted))
	read := func(columns string, values []any, query func(relation) string) error {
		_, err := queryRelation(ctx, s, tx, func(rows *sql.Rows) (none struct{}, err error) {
			var digest []byte
			var id int64
			if err = rows.Scan(&digest, &id); err == nil {
				ids[wanted[[16]byte(digest)]] = id
			}
			return none, err
		}, columns, values, query)
		return err
	}
	for chunk := range slices.Chunk(digests, relationRows) {
		var values []any
		for _, d := range chunk {
			values = append(values, d[:])
		}
		if err := read("digest bytes", values, func(given relation) string {
			return `select digest, id from files where digest in (` + given.query + `)`
		}); err != nil {
			return nil, fmt.Errorf("read files: %w", err)
		}
		values = nil
		for _, d := range chunk {
			if f := wanted[d]; ids[f] == 0 {
				values = append(values, f.path, f.detector, d[:])
			}
		}
		if err := read("path text, detector text, digest bytes", values, func(given relation) string {
			return `insert into files (path, detector, digest) ` + given.query + ` returning digest, id`
		}); err != nil {
			return nil, fmt.Errorf("insert files: %w", err)
		}
	}
	return ids, nil
}

func (s *Store) insertInstalled(ctx context.Context, tx *sql.Tx, id int64, installed []inventory.Installed, packages map[inventory.Package]int64) error {
	files, err := s.internFiles(ctx, tx, installed)
	if err != nil {
		return err
	}
	type place struct{ pkg, file int64 }
	placed := make(map[place]bool, len(installed))
	var rows []any
	for _, p := range installed {
		at := place{packages[p.Package], files[file{p.Path, p.Detector}]}
		if placed[at] { // one database may state a package twice
			continue
		}
		placed[at] = true
		rows = append(rows, id, at.pkg, at.file, p.LayerIndex, p.Line, p.Evidence, p.Owner)
	}
	if err := s.insertRows(ctx, tx, `inventory_packages (inventory_id bigint, package_id bigint, file_id integer, layer_position integer, line integer, evidence text, owner text)`, rows); err != nil {
		return fmt.Errorf("insert installed packages: %w", err)
	}
	return nil
}

// DistributionsOfLayer lists the distributions of the inventories, of images
// and of layer chains, that hold the layer.
func (s *Store) DistributionsOfLayer(ctx context.Context, digest string) ([]inventory.Distribution, error) {
	distributions, err := queryAll(ctx, s.read, scanDistribution, `select distinct v.distribution, v.distribution_name from image_layers il
		join images i on i.id = il.image_id join inventories v on v.id = i.inventory_id
		where il.digest = $1 and v.distribution <> ''
		order by v.distribution limit 10`, digest)
	if err != nil {
		return nil, fmt.Errorf("distributions of layer %s: %w", digest, err)
	}
	return distributions, nil
}

// DistributionsOfOrigin lists the distributions that layers of the v1 API name
// which were fetched from a repository.
func (s *Store) DistributionsOfOrigin(ctx context.Context, origin string) ([]inventory.Distribution, error) {
	distributions, err := queryAll(ctx, s.read, scanDistribution, `select distinct v.distribution, v.distribution_name from clair_layers l
		join inventories v on v.id = l.inventory_id
		where l.origin = $1 and v.distribution <> '' and v.warnings not like '%"code":"inferred"%'
		order by v.distribution limit 10`, origin)
	if err != nil {
		return nil, fmt.Errorf("distributions of layers from %s: %w", origin, err)
	}
	return distributions, nil
}

func scanDistribution(rows *sql.Rows) (d inventory.Distribution, err error) {
	var key string
	err = rows.Scan(&key, &d.PrettyName)
	d.ID, d.Version, _ = strings.Cut(key, ":")
	return d, err
}
