package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"crypto/sha256"

	"github.com/klauspost/compress/zstd"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
)

// fleetOf is what a company has: at size 1, 2,000 applications of 50 tags each,
// on 300 bases of eight distributions, with 200,000 distinct packages.
type fleetOf struct {
	*database
	store *store.Store
	size  float64
	rows  [][]string

	bases []madeBase
	apps  []madeApp
	ids   map[inventory.Package]int64
}

// tagsOfApp is how many images an application has, one upon the other.
const tagsOfApp = 50

func (f *fleetOf) upstream() *upstream { return &upstream{size: f.size} }

// distributions are those that bases are of.
var distributions = []string{"debian:11", "debian:12", "debian:13", "ubuntu:20.04", "ubuntu:22.04", "ubuntu:24.04", "almalinux:8", "almalinux:9"}

// flavours are how many packages bases have.
var flavours = [...]int{70, 130, 300}

// days is how often a base was made anew in the life of the fleet.
const days = 12

type madeBase struct {
	distribution string
	packages     []inventory.Package
}

// osPackage is a package of a distribution; patch 0 is a version that the
// publishers speak of, too.
func osPackage(distribution string, source, step, patch int) inventory.Package {
	name, number, _ := strings.Cut(distribution, ":")
	p := inventory.Package{Type: "deb", Distribution: distribution, Architecture: "amd64"}
	switch name {
	case "debian":
		p.SourceName, p.Version = debianSource(source), fmt.Sprintf("1.%d.%d-1+deb%su1", step, patch, number)
		p.Name = p.SourceName + "-bin"
	case "ubuntu":
		p.SourceName, p.Version = ubuntuSource(source), fmt.Sprintf("1.%d.%d-0ubuntu1.%s", step, patch, number)
		p.Name = p.SourceName + "-bin"
	default:
		p.Type, p.Architecture = "rpm", "x86_64"
		p.SourceName, p.Version = almaBinary(source, 0), fmt.Sprintf("1.%d.%d-1.el%s", step, patch, number)
		p.Name = almaBinary(source, source%almaBinaries)
	}
	p.SourceVersion = p.Version
	return p
}

// makeBases makes each flavour of each distribution as it was on each day; every
// package gets new versions at a pace of its own.
func (f *fleetOf) makeBases() {
	u := f.upstream()
	for day := range max(1, u.of(days*25)/25) {
		for _, distribution := range distributions {
			sources := u.debianSources()
			switch {
			case strings.HasPrefix(distribution, "ubuntu"):
				sources = u.ubuntuSources()
			case strings.HasPrefix(distribution, "alma"):
				sources = u.almaSources()
			}
			for flavour, n := range flavours {
				r := chance(distribution, 0) // the same on every day
				b := madeBase{distribution: distribution}
				for seen := make(map[int]bool); len(seen) < min(n, sources/2); {
					// The headers of the kernel are where programs are built.
					source := 1 + skewed(r, sources-1)
					if flavour == len(flavours)-1 && len(seen) == 0 {
						source = 0
					}
					if seen[source] {
						continue
					}
					seen[source] = true
					b.packages = append(b.packages, osPackage(distribution, source, 84+day*(source%9)/8, 0))
				}
				f.bases = append(f.bases, b)
			}
		}
	}
}

// base is what a tag of an application is built on.
func (f *fleetOf) base(app, tag int) int {
	kinds := len(distributions) * len(flavours)
	return tag*(len(f.bases)/kinds)/tagsOfApp*kinds + app%kinds
}

// madeApp is an application: packages of a language, each in some tags.
type madeApp struct {
	kind  string
	slots int
	items []madeItem
}

type madeItem struct {
	slot, first, last int // the tags that have it
	inventory.Package
}

func languagePackage(kind, folder string, name, step, patch int) inventory.Package {
	return inventory.Package{Type: kind, Name: packageName(folder, name), Version: fmt.Sprintf("1.%d.%d", step, patch)}
}

// makeApps draws from the names that advisories speak of and twice as many more.
func (f *fleetOf) makeApps() {
	u := f.upstream()
	for i := range u.of(2_000) {
		r := chance("app", i)
		l := languages[i%len(languages)]
		app := madeApp{kind: l.kind, slots: 75}
		if l.kind == "npm" {
			app.slots = 200
		}
		names := 3 * u.of(l.names)
		for slot := range app.slots {
			name, step := skewed(r, names), 60+r.IntN(38)
			for first := 0; first < tagsOfApp; {
				last := min(first+10+r.IntN(80), tagsOfApp-1)
				app.items = append(app.items, madeItem{slot, first, last, languagePackage(l.kind, l.folder, name, min(step, steps-1), r.IntN(2))})
				first, step = last+1, step+1
			}
		}
		f.apps = append(f.apps, app)
	}
}

// path is where an item is; a program of Go has all its modules in one file.
func (a *madeApp) path(item madeItem) string {
	if a.kind == "golang" {
		return "usr/local/bin/app"
	}
	return fmt.Sprintf("opt/app/packages/%s/manifest.%s", item.Name, a.kind)
}

// intern stores all distinct packages, matched, as the analysis of images does.
func (f *fleetOf) intern(ctx context.Context) error {
	f.ids = make(map[inventory.Package]int64)
	var distinct []inventory.Installed
	add := func(p inventory.Package) {
		if _, seen := f.ids[p]; !seen {
			f.ids[p] = 0
			distinct = append(distinct, inventory.Installed{Package: p, Path: "bench", Detector: "bench"})
		}
	}
	for _, b := range f.bases {
		for _, p := range b.packages {
			add(p)
		}
	}
	for _, a := range f.apps {
		for _, item := range a.items {
			add(item.Package)
		}
	}
	const batch = 500
	for i := 0; i < len(distinct); i += batch {
		if _, err := f.store.SaveInventory(ctx, fmt.Sprintf("distinct packages from %d", i), inventory.Image{Packages: distinct[i:min(i+batch, len(distinct))]}, match.Package); err != nil {
			return err
		}
	}
	return nil
}

func (f *fleetOf) readIDs(ctx context.Context) error {
	rows, err := f.sql.QueryContext(ctx, `select id, type, distribution, name, version, architecture, source_name, source_version from packages`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var p inventory.Package
		var id int64
		if err := rows.Scan(&id, &p.Type, &p.Distribution, &p.Name, &p.Version, &p.Architecture, &p.SourceName, &p.SourceVersion); err != nil {
			return err
		}
		f.ids[p] = id
	}
	return rows.Err()
}

// firstID keeps what is made up apart from what the program stores later.
const firstID = 1_000_000_000

// fill stores the fleet: its packages through the store, the rest by statements
// that multiply a few rows, for millions of rows would take an hour one by one.
func (f *fleetOf) fill(ctx context.Context, add func(what, target, of string, c cost)) error {
	f.makeBases()
	f.makeApps()
	c, err := f.measured(func() error { return f.intern(ctx) })
	if err != nil {
		return err
	}
	add("all distinct packages stored and matched", "", fmt.Sprintf("%d packages, %.0f/s", len(f.ids), float64(len(f.ids))/c.wall.Seconds()), c)
	if err := f.readIDs(ctx); err != nil {
		return err
	}
	if err := f.images(ctx); err != nil {
		return err
	}
	if err := f.settle(ctx); err != nil {
		return err
	}
	size, err := f.database.size(ctx)
	if err != nil {
		return err
	}
	var images, installed, matches int
	if err := f.sql.QueryRowContext(ctx, `select (select count(*) from images), (select count(*) from inventory_packages),
		(select count(*) from matches where gone_at is null)`).Scan(&images, &installed, &matches); err != nil {
		return err
	}
	if err := f.count(ctx, "lists and figures of all of it counted anew, as at an upgrade", add); err != nil {
		return err
	}
	f.rows = append(f.rows, []string{f.engine, "database with all of it", megabytes(size), "", "5000 MB",
		fmt.Sprintf("%d images with %d packages, %d matches", images, installed, matches)})
	return nil
}

// count has everything counted that transactions left, as the server does.
func (f *fleetOf) count(ctx context.Context, what string, add func(what, target, of string, c cost)) error {
	parts := 0
	c, err := f.measured(func() (err error) {
		parts, err = countAll(ctx, f.store)
		return err
	})
	add(what, "", fmt.Sprintf("%d transactions", parts), c)
	return err
}

func (f *fleetOf) images(ctx context.Context) error {
	tx, err := f.sql.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after a commit it says ErrTxDone
	for _, table := range []string{
		`fill_bases (base integer, distribution text)`,
		`fill_os (base integer, package_id bigint, line integer)`,
		`fill_layers (base integer, position integer, digest text)`,
		`fill_apps (app integer, analysis ` + map[bool]string{true: "blob", false: "bytea"}[f.server == nil] + `)`,
		`fill_items (app integer, first integer, last integer, path text, package_id bigint)`,
		`fill_images (n integer, app integer, tag integer, base integer, digest text, config text, layer text, content text)`,
	} {
		if _, err := tx.ExecContext(ctx, `create temp table `+table); err != nil {
			return err
		}
	}
	if err := f.templates(ctx, tx); err != nil {
		return err
	}
	for _, index := range []string{`fill_os (base)`, `fill_layers (base)`, `fill_items (app)`, `fill_bases (base)`, `fill_apps (app)`} {
		if _, err := tx.ExecContext(ctx, `create index fill_`+strings.NewReplacer("fill_", "", " ", "", "(", "_", ")", "").Replace(index)+`_i on `+index); err != nil {
			return err
		}
	}
	now := time.Now().Add(-24 * time.Hour).UnixMicro()
	id := fmt.Sprintf("%d + f.n", firstID)
	for _, statement := range []string{
		`insert into registries (id, name, created_at) values (1000000, 'fleet', NOW)`,
		`insert into repositories (id, registry_id, name, created_at, updated_at) select 1000000 + app, 1000000, 'team/app-' || app, NOW, NOW from fill_apps`,
		`insert into layers (digest, state, detectors, analysis, updated_at) select f.layer, 'done', 'bench', a.analysis, NOW from fill_images f join fill_apps a on a.app = f.app`,
		`insert into inventories (id, key, distribution, distribution_name, created_at) select ID, 'bench ' || f.layer, b.distribution, b.distribution, NOW
			from fill_images f join fill_bases b on b.base = f.base`,
		`insert into files (path, detector) select distinct path, 'language' from fill_items`,
		`insert into files (path, detector) values ('var/lib/dpkg/status', 'fleet')`,
		`create temp table fill_paths as select id, path from files where detector = 'language'`,
		`create unique index fill_paths_i on fill_paths (path)`,
		`insert into inventory_packages (inventory_id, package_id, file_id, layer_position, line)
			select ID, o.package_id, n.id, 0, o.line from fill_images f join fill_os o on o.base = f.base join files n on n.detector = 'fleet'
			union all
			select distinct ID, i.package_id, n.id, 3, 0 from fill_images f join fill_items i on i.app = f.app and f.tag between i.first and i.last
				join fill_paths n on n.path = i.path
			order by 1, 2`,
		`insert into images (id, digest, media_type, config_digest, os, architecture, state, inventory_id, created_at, analysed_at, chain, base_layers)
			select ID, f.digest, 'application/vnd.oci.image.manifest.v1+json', f.config, 'linux', 'amd64', 'done', ID, NOW, NOW, f.layer, 3 from fill_images f`,
		`insert into image_layers (image_id, position, digest, size, media_type, created_by)
			select ID, l.position, l.digest, 40000000, 'application/vnd.oci.image.layer.v1.tar+gzip', '' from fill_images f join fill_layers l on l.base = f.base`,
		`insert into image_layers (image_id, position, digest, size, media_type, created_by)
			select ID, 3, f.layer, 20000000, 'application/vnd.oci.image.layer.v1.tar+gzip', 'RUN install' from fill_images f`,
		`insert into manifests (id, repository_id, digest, media_type, size, content, pushed_by, pushed_at)
			select ID, 1000000 + f.app, f.digest, 'application/vnd.oci.image.manifest.v1+json', length(f.content), CONTENT, 'admin', NOW from fill_images f`,
		`insert into manifest_references (manifest_id, kind, position, digest) select ID, 'config', 0, f.config from fill_images f`,
		`insert into manifest_references (manifest_id, kind, position, digest) select image_id, 'layer', position, digest from image_layers`,
		`insert into repository_blobs (repository_id, digest, size, linked_at)
			select distinct 1000000 + f.app, l.digest, l.size, NOW from fill_images f join image_layers l on l.image_id = ID`,
		`insert into repository_blobs (repository_id, digest, size, linked_at) select 1000000 + f.app, f.config, 5000, NOW from fill_images f`,
		`insert into tags (repository_id, name, digest, updated_at) select 1000000 + f.app, 't' || f.tag, f.digest, NOW from fill_images f`,
	} {
		content := "cast(f.content as blob)"
		if f.server != nil {
			content = "convert_to(f.content, 'UTF8')"
		}
		statement = strings.NewReplacer("ID", id, "NOW", fmt.Sprintf("cast(%d as bigint)", now), "CONTENT", content).Replace(statement)
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%.60s…: %w", statement, err)
		}
	}
	return tx.Commit()
}

// madeDigest is like one of content.
func madeDigest(of string, n ...int) string {
	return fmt.Sprintf("sha256:%x", sha256.Sum256(fmt.Append([]byte(of), n)))
}

// templates stores the few rows of which the many are made.
func (f *fleetOf) templates(ctx context.Context, tx *sql.Tx) error {
	rows := make(map[string][]any)
	for b, base := range f.bases {
		rows["fill_bases (base, distribution)"] = append(rows["fill_bases (base, distribution)"], b, base.distribution)
		for i, p := range base.packages {
			rows["fill_os (base, package_id, line)"] = append(rows["fill_os (base, package_id, line)"], b, f.ids[p], 1+i*12)
		}
		for position := range 3 {
			rows["fill_layers (base, position, digest)"] = append(rows["fill_layers (base, position, digest)"], b, position, madeDigest("layer of a base", b, position))
		}
	}
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	defer encoder.Close()
	for a, app := range f.apps {
		layer := inventory.Layer{Digest: madeDigest("layer of an app", a)}
		for _, item := range app.items {
			const items = "fill_items (app, first, last, path, package_id)"
			rows[items] = append(rows[items], a, item.first, item.last, app.path(item), f.ids[item.Package])
			if item.first == 0 {
				layer.Files = append(layer.Files, inventory.File{Path: app.path(item), Detector: "language", Packages: []inventory.Record{{Package: item.Package}}})
			}
		}
		text, err := json.Marshal(layer)
		if err != nil {
			return err
		}
		rows["fill_apps (app, analysis)"] = append(rows["fill_apps (app, analysis)"], a, encoder.EncodeAll(text, nil))
		for tag := range tagsOfApp {
			base, config, top := f.base(a, tag), madeDigest("config", a, tag), madeDigest("layer", a, tag)
			const layer = `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":%q,"size":40000000}`
			content := fmt.Sprintf(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":5000},"layers":[`+layer+`,`+layer+`,`+layer+`,`+layer+`]}`,
				config, madeDigest("layer of a base", base, 0), madeDigest("layer of a base", base, 1), madeDigest("layer of a base", base, 2), top)
			const images = "fill_images (n, app, tag, base, digest, config, layer, content)"
			rows[images] = append(rows[images], a*tagsOfApp+tag, a, tag, base, f.imageDigest(a, tag), config, top, content)
		}
	}
	for into, values := range rows {
		width := strings.Count(into, ",") + 1
		if err := insertAll(ctx, tx, into, width, values); err != nil {
			return fmt.Errorf("%s: %w", into, err)
		}
	}
	return nil
}

func (f *fleetOf) imageDigest(app, tag int) string { return madeDigest("image", app, tag) }

// insertAll inserts rows of values.
func insertAll(ctx context.Context, tx *sql.Tx, into string, width int, values []any) error {
	statement := func(rows int) string {
		var b strings.Builder
		b.WriteString("insert into " + into + " values ")
		for i := range rows * width {
			switch {
			case i > 0 && i%width == 0:
				b.WriteString("),(")
			case i == 0:
				b.WriteByte('(')
			default:
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, "$%d", i+1)
		}
		return b.String() + ")"
	}
	batch := max(1, 200/width)
	prepared, err := tx.PrepareContext(ctx, statement(batch))
	if err != nil {
		return err
	}
	defer prepared.Close()
	for ; len(values) >= batch*width; values = values[batch*width:] {
		if _, err := prepared.ExecContext(ctx, values[:batch*width]...); err != nil {
			return err
		}
	}
	if len(values) > 0 {
		_, err = tx.ExecContext(ctx, statement(len(values)/width), values...)
	}
	return err
}
