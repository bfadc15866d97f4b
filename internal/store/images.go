package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/image"
)

// SaveImage remembers an image, pending, with its layers. It changes nothing
// where the image is known.
func (s *Store) SaveImage(ctx context.Context, img image.Image) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		var id int64
		chain := ""
		if chains := img.Chains(); len(chains) > 0 {
			chain = chains[len(chains)-1]
		}
		err := tx.QueryRowContext(ctx, `insert into images (digest, media_type, config_digest, os, architecture, variant, state, created_at, changed_at, chain, base_layers)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $8, $9, $10) on conflict (digest) do nothing returning id`,
			img.Digest, img.MediaType, img.ConfigDigest, img.OS, img.Architecture, img.Variant, image.Pending, micros(s.now()), chain, img.BaseLayers).Scan(&id)
		if errors.Is(err, sql.ErrNoRows) {
			_, err := tx.ExecContext(ctx, `update images set unused_since = null where digest = $1 and unused_since is not null`, img.Digest)
			return err
		}
		if err != nil {
			return err
		}
		var rows []any
		for position, l := range img.Layers {
			rows = append(rows, id, position, l.Digest, l.Size, l.MediaType, l.CreatedBy, l.Foreign)
		}
		return s.insertRows(ctx, tx, `image_layers (image_id bigint, position integer, digest text, size bigint, media_type text, created_by text, foreign_layer boolean)`, rows)
	})
	if err != nil {
		return fmt.Errorf("save image %s: %w", img.Digest, err)
	}
	return nil
}

// SettleImage stores the outcome of an image's analysis: Done, or Failed with a
// reason and the inventory of what could be read.
func (s *Store) SettleImage(ctx context.Context, digest string, state image.State, reason string, inventory int64) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `update images set state = $1, error = $2, inventory_id = $3, analysed_at = coalesce(analysed_at, $4), changed_at = $4
			where digest = $5`,
			state, reason, inventory, micros(s.now()), digest); err != nil {
			return fmt.Errorf("settle image %s: %w", digest, err)
		}
		return nil
	})
}

// ImagesOfLayer lists the digests of the images that hold the layer.
func (s *Store) ImagesOfLayer(ctx context.Context, layer string) ([]string, error) {
	digests, err := queryAll(ctx, s.read, scanString, `select distinct i.digest from image_layers il join images i on i.id = il.image_id
		where il.digest = $1 order by i.digest`, layer)
	if err != nil {
		return nil, fmt.Errorf("images of layer %s: %w", layer, err)
	}
	return digests, nil
}

// UnfinishedImages lists images whose analysis is pending, after the given
// digest, in order of digest.
func (s *Store) UnfinishedImages(ctx context.Context, after string, limit int) ([]string, error) {
	digests, err := queryAll(ctx, s.read, scanString, `select digest from images where state = $1 and digest > $2 order by digest limit $3`,
		image.Pending, after, limit)
	if err != nil {
		return nil, fmt.Errorf("unfinished images: %w", err)
	}
	return digests, nil
}

// ImageByDigest returns an image with its layers, ErrNotFound where there is none.
func (s *Store) ImageByDigest(ctx context.Context, digest string) (image.Image, error) {
	var (
		img       image.Image
		id        int64
		inventory sql.NullInt64
		created   int64
		analysed  sql.NullInt64
		warnings  string
	)
	err := s.read.QueryRowContext(ctx, `select i.id, i.digest, i.media_type, i.config_digest, i.os, i.architecture, i.variant, i.state, i.error,
			i.base_layers, i.inventory_id, i.created_at, i.analysed_at, coalesce(v.distribution, ''), coalesce(v.distribution_name, ''), coalesce(v.warnings, '[]'),
			(select count(*) from inventory_packages p where p.inventory_id = i.inventory_id)
		from images i left join inventories v on v.id = i.inventory_id where i.digest = $1`, digest).Scan(
		&id, &img.Digest, &img.MediaType, &img.ConfigDigest, &img.OS, &img.Architecture, &img.Variant, &img.State, &img.Error,
		&img.BaseLayers, &inventory, &created, &analysed, &img.Distribution, &img.DistributionName, &warnings, &img.Packages)
	if errors.Is(err, sql.ErrNoRows) {
		return image.Image{}, fmt.Errorf("image %s: %w", digest, ErrNotFound)
	}
	if err != nil {
		return image.Image{}, fmt.Errorf("image %s: %w", digest, err)
	}
	if err := json.Unmarshal([]byte(warnings), &img.Warnings); err != nil {
		return image.Image{}, fmt.Errorf("image %s: stored warnings: %w", digest, err)
	}
	img.InventoryID = inventory.Int64
	if img.Types, err = s.packageTypes(ctx, img.InventoryID); err != nil {
		return image.Image{}, fmt.Errorf("image %s: %w", digest, err)
	}
	img.CreatedAt = at(sql.NullInt64{Int64: created, Valid: true})
	img.AnalysedAt = at(analysed)
	img.Layers, err = queryAll(ctx, s.read, func(rows *sql.Rows) (l image.Layer, err error) {
		err = rows.Scan(&l.Digest, &l.Size, &l.MediaType, &l.CreatedBy, &l.Foreign)
		return l, err
	}, `select digest, size, media_type, created_by, foreign_layer from image_layers where image_id = $1 order by position`, id)
	if err != nil {
		return image.Image{}, fmt.Errorf("layers of image %s: %w", digest, err)
	}
	return img, nil
}

// packageTypes counts the packages of an inventory by type, without those that a
// package of the operating system owns.
func (s *Store) packageTypes(ctx context.Context, inventory int64) (map[string]int, error) {
	type row struct {
		kind  string
		count int
	}
	rows, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.kind, &r.count)
		return r, err
	}, `select p.type, count(*) from inventory_packages ip join packages p on p.id = ip.package_id
		where ip.inventory_id = $1 and ip.owner = '' group by p.type`, inventory)
	if err != nil {
		return nil, fmt.Errorf("types of packages: %w", err)
	}
	types := make(map[string]int, len(rows))
	for _, r := range rows {
		types[r.kind] = r.count
	}
	return types, nil
}

// BaseOf returns the stored image with the most layers on which an image is
// built: its layers are the first of the image's. ErrNotFound where none is.
func (s *Store) BaseOf(ctx context.Context, img image.Image) (image.Image, error) {
	chains := img.Chains()
	for n := len(chains) - 2; n >= 0; n-- {
		var digest string
		err := s.read.QueryRowContext(ctx, `select i.digest from images i
			where i.chain = $1 and i.digest <> $2 and exists (select 1 from manifests m where m.digest = i.digest)
			order by i.created_at, i.digest limit 1`, chains[n], img.Digest).Scan(&digest)
		if errors.Is(err, sql.ErrNoRows) {
			continue
		}
		if err != nil {
			return image.Image{}, fmt.Errorf("base of image %s: %w", img.Digest, err)
		}
		return s.ImageByDigest(ctx, digest)
	}
	return image.Image{}, fmt.Errorf("base of image %s: %w", img.Digest, ErrNotFound)
}

// Siblings lists the images of a platform that tags of a repository stand for,
// by themselves or in an index, the last pushed first.
func (s *Store) Siblings(ctx context.Context, registry, repository, os, architecture, variant string, limit int) ([]image.Tagged, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (o image.Tagged, err error) {
		var pushed int64
		err = rows.Scan(&o.Tag, &o.Digest, &pushed)
		o.PushedAt = time.UnixMicro(pushed).UTC()
		return o, err
	}, `with tagged (name, digest, pushed) as (
			select t.name, coalesce(f.digest, t.digest), m.pushed_at
			from registries g
			join repositories r on r.registry_id = g.id and r.name = $2
			join tags t on t.repository_id = r.id
			join manifests m on m.repository_id = r.id and m.digest = t.digest
			left join manifest_references f on f.manifest_id = m.id and f.kind = 'manifest'
			where g.name = $1)
		select t.name, i.digest, t.pushed from tagged t join images i on i.digest = t.digest
		where i.state = 'done' and i.os = $3 and i.architecture = $4 and i.variant = $5
		order by t.pushed desc, t.name desc limit $6`, registry, repository, os, architecture, variant, limit)
	if err != nil {
		return nil, fmt.Errorf("tags of %s/%s: %w", registry, repository, err)
	}
	return list, nil
}
