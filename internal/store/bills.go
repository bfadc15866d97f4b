package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pratique/pratique/internal/oci/registry"
)

func (s *Store) insertBills(ctx context.Context, tx *sql.Tx, m *registry.Manifest) error {
	values := make([]any, 0, 3*len(m.Bills))
	for _, b := range m.Bills {
		holder := b.Manifest
		if holder == "" {
			holder = m.Digest
		}
		values = append(values, m.ID, b.Subject, holder)
	}
	return s.insertRows(ctx, tx, `bills (manifest_id bigint, subject text, digest text)`, values)
}

// Bills lists at most limit manifests that hold software bills of materials of
// an image, in a repository that holds the image, too: those that were pushed
// first come first.
func (s *Store) Bills(ctx context.Context, image string, limit int) ([]string, error) {
	digests, err := queryAll(ctx, s.read, scanString, `select h.digest from bills b
		join manifests m on m.id = b.manifest_id
		join manifests i on i.repository_id = m.repository_id and i.digest = b.subject
		join manifests h on h.repository_id = m.repository_id and h.digest = b.digest
		where b.subject = $1 group by h.digest order by min(h.id) limit $2`, image, limit)
	if err != nil {
		return nil, fmt.Errorf("bills of image %s: %w", image, err)
	}
	return digests, nil
}

// BillSubjects lists the manifests of which a manifest holds bills, or says
// which one does.
func (s *Store) BillSubjects(ctx context.Context, manifest string) ([]string, error) {
	digests, err := queryAll(ctx, s.read, scanString, `select distinct b.subject from manifests m join bills b on b.manifest_id = m.id
		where m.digest = $1 order by b.subject`, manifest)
	if err != nil {
		return nil, fmt.Errorf("subjects of manifest %s: %w", manifest, err)
	}
	return digests, nil
}

// BilledImages lists images of which a stored manifest has a bill, after the
// given digest, in order of digest.
func (s *Store) BilledImages(ctx context.Context, after string, limit int) ([]string, error) {
	digests, err := queryAll(ctx, s.read, scanString, `select i.digest from images i
		where i.digest > $1 and exists (select 1 from bills b where b.subject = i.digest)
		order by i.digest limit $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("images with bills: %w", err)
	}
	return digests, nil
}

// BilledIn lists the images of which a manifest of the registry has a bill.
func (s *Store) BilledIn(ctx context.Context, registryName string) ([]string, error) {
	digests, err := queryAll(ctx, s.read, scanString, `select distinct b.subject from registries g
		join repositories p on p.registry_id = g.id
		join manifests m on m.repository_id = p.id
		join bills b on b.manifest_id = m.id
		where g.name = $1 order by b.subject`, registryName)
	if err != nil {
		return nil, fmt.Errorf("images with bills in registry %q: %w", registryName, err)
	}
	return digests, nil
}

// KnownImages returns those of the digests that are images.
func (s *Store) KnownImages(ctx context.Context, digests []string) ([]string, error) {
	if len(digests) == 0 {
		return nil, nil
	}
	args := make([]any, len(digests))
	for i, d := range digests {
		args[i] = d
	}
	known, err := queryAll(ctx, s.read, scanString, `select digest from images where digest in (`+parameters(1, len(args))+`) order by digest`, args...)
	if err != nil {
		return nil, fmt.Errorf("known images: %w", err)
	}
	return known, nil
}

// unattached are the places of images ($1: a digest) at which the bill that is
// attached is not the one that the registry asks for, of the image's present
// inventory.
const unattached = ` from manifests m
	join images i on i.digest = m.digest and i.inventory_id is not null
	join repositories p on p.id = m.repository_id
	join registries g on g.id = p.registry_id
	where (g.attach_sbom <> 'none' and not exists (select 1 from manifests b join attachments a on a.manifest_id = b.id
			where b.repository_id = m.repository_id and b.subject = m.digest and a.format = g.attach_sbom and a.inventory_id = i.inventory_id)
		or exists (select 1 from manifests b join attachments a on a.manifest_id = b.id
			where b.repository_id = m.repository_id and b.subject = m.digest and (a.format <> g.attach_sbom or a.inventory_id <> i.inventory_id)))`

// Unattached lists the places at which an image lacks the bill that the registry
// asks for, or has one that it does not ask for.
func (s *Store) Unattached(ctx context.Context, image string) ([]registry.Attachment, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (a registry.Attachment, err error) {
		r := &a.Repository
		err = rows.Scan(&a.Subject, &a.MediaType, &a.Size, &r.ID, &r.RegistryID, &r.Registry, &r.Name, &a.Format, &a.InventoryID)
		return a, err
	}, `select m.digest, m.media_type, m.size, p.id, p.registry_id, g.name, p.name, g.attach_sbom, i.inventory_id`+unattached+` and m.digest = $1 order by g.name, p.name`, image)
	if err != nil {
		return nil, fmt.Errorf("places without the bill of image %s: %w", image, err)
	}
	return list, nil
}

// UnattachedImages lists the images that Unattached has places of, in one
// registry or, for "", in all, after the given digest, in order of digest.
func (s *Store) UnattachedImages(ctx context.Context, registryName, after string, limit int) ([]string, error) {
	digests, err := queryAll(ctx, s.read, scanString, `select distinct m.digest`+unattached+`
		and m.digest > $1 and ($2 = '' or g.name = $2) order by m.digest limit $3`, after, registryName, limit)
	if err != nil {
		return nil, fmt.Errorf("images without their bills: %w", err)
	}
	return digests, nil
}

// Attach stores a manifest that holds the bill of an image in place of what was
// attached before; nil only removes that. The blobs that it refers to are stored,
// and become readable in the repository. It returns registry.ErrStale, and
// nothing changes, where the registry asks for another format by now, or the
// image has another inventory or is gone.
func (s *Store) Attach(ctx context.Context, a registry.Attachment, m *registry.Manifest) error {
	annotations, keep := "{}", ""
	if m != nil {
		keep = m.Digest
		var err error
		if annotations, err = annotationsText(m); err != nil {
			return err
		}
	}
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := s.touch(ctx, tx, a.Repository.ID); err != nil {
			return err
		}
		var format registry.BillFormat
		var inventory int64
		err := tx.QueryRowContext(ctx, `select g.attach_sbom, i.inventory_id from manifests m
			join images i on i.digest = m.digest and i.inventory_id is not null
			join repositories p on p.id = m.repository_id join registries g on g.id = p.registry_id
			where m.repository_id = $1 and m.digest = $2`, a.Repository.ID, a.Subject).Scan(&format, &inventory)
		if errors.Is(err, sql.ErrNoRows) || err == nil && (format != a.Format || inventory != a.InventoryID) {
			return registry.ErrStale
		}
		if err != nil {
			return err
		}
		if err := removeAttachments(ctx, tx, a.Repository.ID, a.Subject, keep); err != nil || m == nil {
			return err
		}
		for _, r := range m.References {
			if _, err := tx.ExecContext(ctx, linkBlob, a.Repository.ID, r.Digest, r.Size, micros(s.now())); err != nil {
				return err
			}
		}
		if err := s.insertManifest(ctx, tx, a.Repository.ID, m, annotations); err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `insert into attachments (manifest_id, inventory_id, format) values ($1, $2, $3)
			on conflict (manifest_id) do update set inventory_id = excluded.inventory_id, format = excluded.format`, m.ID, inventory, format)
		return err
	})
	if err != nil {
		return fmt.Errorf("attach a bill to image %s in %s: %w", a.Subject, a.Repository, err)
	}
	return nil
}

// removeAttachments deletes the bills that are attached to an image, except one,
// with their tags and the links of their blobs.
func removeAttachments(ctx context.Context, tx *sql.Tx, repositoryID int64, subject, except string) error {
	type row struct {
		id     int64
		digest string
	}
	stale, err := queryAll(ctx, tx, func(rows *sql.Rows) (r row, err error) {
		err = rows.Scan(&r.id, &r.digest)
		return r, err
	}, `select m.id, m.digest from manifests m join attachments a on a.manifest_id = m.id
		where m.repository_id = $1 and m.subject = $2 and m.digest <> $3`, repositoryID, subject, except)
	if err != nil {
		return err
	}
	for _, r := range stale {
		blobs, err := queryAll(ctx, tx, scanString, `select digest from manifest_references where manifest_id = $1 and kind = 'layer'`, r.id)
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `delete from tags where repository_id = $1 and digest = $2`, repositoryID, r.digest); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `delete from manifests where id = $1`, r.id); err != nil {
			return err
		}
		for _, digest := range blobs {
			if _, err := tx.ExecContext(ctx, `delete from repository_blobs where repository_id = $1 and digest = $2 and not exists (
				select 1 from manifest_references f join manifests m on m.id = f.manifest_id where f.digest = $2 and m.repository_id = $1)`,
				repositoryID, digest); err != nil {
				return err
			}
		}
	}
	return nil
}
