package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/oci/registry"
)

// maxRestored bounds how many manifests come back at a time.
const maxRestored = 10000

// Restore brings something back from the trash of a registry, with what it refers
// to and what refers to it, as far as that is in the trash, too. It returns
// registry.ErrRegistryUnknown, registry.ErrNotInTrash, registry.ErrIncomplete, registry.ErrTaken or
// *registry.QuotaError, and then nothing changes.
func (s *Store) Restore(ctx context.Context, registryName string, id int64) (r registry.Restored, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		r = registry.Restored{}
		if r.Repository, err = s.lockTrashed(ctx, tx, registryName, id); err != nil {
			return err
		}
		back := restoring{s: s, tx: tx, into: &r, seen: map[string]bool{}}
		return back.entry(ctx, id)
	})
	if err != nil {
		return registry.Restored{}, fmt.Errorf("restore %d in %s: %w", id, registryName, err)
	}
	return r, nil
}

// lockTrashed returns the repository of something in the trash, keeps other
// changes of it waiting, and takes the repository out of the trash.
func (s *Store) lockTrashed(ctx context.Context, tx *sql.Tx, registryName string, id int64) (r registry.Repository, err error) {
	if _, err := lockRegistry(ctx, tx, registryName); err != nil {
		return r, err
	}
	r, err = scanRepository(tx.QueryRowContext(ctx, `select `+repositoryColumns+` from trash t join repositories p on p.id = t.repository_id join registries r on r.id = p.registry_id
		where t.id = $1 and r.name = $2`, id, registryName))
	if err != nil {
		return r, noRows(err, missing{registry.ErrNotInTrash})
	}
	if err := s.touch(ctx, tx, r.ID); err != nil {
		return r, err
	}
	_, err = tx.ExecContext(ctx, `update repositories set trashed_at = null where id = $1 and trashed_at is not null`, r.ID)
	return r, err
}

// restoring is one act of it, in a transaction.
type restoring struct {
	s    *Store
	tx   *sql.Tx
	into *registry.Restored
	seen map[string]bool // digests that were looked at
}

// taken is a row that left the trash.
type taken struct {
	id                int64
	digest, tags      string
	whole             bool
	mediaType, author string
	content           []byte
	pushed            sql.NullInt64
}

// take returns rows of the trash that will leave it, the newest first. They are
// written, so that who empties it meanwhile waits, or has left none: with the row
// goes what says which blobs it had.
func (r *restoring) take(ctx context.Context, where string, arg any) ([]taken, error) {
	found, err := queryAll(ctx, r.tx, func(rows *sql.Rows) (t taken, err error) {
		err = rows.Scan(&t.id, &t.digest, &t.tags, &t.whole, &t.mediaType, &t.content, &t.author, &t.pushed)
		return t, err
	}, `update trash set digest = digest where repository_id = $1 and `+where+`
		returning id, digest, tags, whole, media_type, content, pushed_by, pushed_at`, r.into.Repository.ID, arg)
	slices.SortFunc(found, func(a, b taken) int { return cmp.Compare(b.id, a.id) })
	return found, err
}

func (r *restoring) drop(ctx context.Context, id int64) error {
	done, err := r.tx.ExecContext(ctx, `delete from trash where id = $1`, id)
	if err != nil {
		return err
	}
	return changedOne(done, missing{registry.ErrNotInTrash})
}

// entry restores one row.
func (r *restoring) entry(ctx context.Context, id int64) error {
	found, err := r.take(ctx, `id = $2`, id)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return missing{registry.ErrNotInTrash}
	}
	if found[0].whole {
		return r.manifest(ctx, found[0])
	}
	if err := r.digest(ctx, found[0].digest, true); err != nil {
		return err
	}
	if err := r.tags(ctx, found[0]); err != nil {
		return err
	}
	if len(r.into.Manifests)+len(r.into.Tags) == 0 && len(r.into.Taken) > 0 {
		return existing{fmt.Errorf("%w: %s", registry.ErrTaken, strings.Join(r.into.Taken, ", "))}
	}
	return r.drop(ctx, id)
}

// digest restores a manifest where the repository has none of that digest.
func (r *restoring) digest(ctx context.Context, digest string, needed bool) error {
	if r.seen[digest] {
		return nil
	}
	var there bool
	if err := r.tx.QueryRowContext(ctx, `select exists (select 1 from manifests where repository_id = $1 and digest = $2)`, r.into.Repository.ID, digest).Scan(&there); err != nil || there {
		return err
	}
	found, err := r.take(ctx, `whole and digest = $2`, digest)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		if needed {
			return existing{fmt.Errorf("%w: %s", registry.ErrIncomplete, digest)}
		}
		return nil
	}
	return r.manifest(ctx, found[0])
}

// manifest restores a row that holds a manifest, and what belongs to it.
func (r *restoring) manifest(ctx context.Context, t taken) error {
	r.seen[t.digest] = true
	if len(r.seen) > maxRestored {
		return existing{fmt.Errorf("%w: more than %d manifests belong together", registry.ErrIncomplete, maxRestored)}
	}
	m, err := registry.Parse(t.mediaType, t.content)
	if err != nil {
		return fmt.Errorf("manifest %s in the trash: %w", t.digest, err)
	}
	m.Digest, m.PushedBy = t.digest, t.author
	for _, reference := range m.References {
		if reference.Kind == registry.KindManifest {
			if err := r.digest(ctx, reference.Digest, !reference.Optional); err != nil {
				return err
			}
		}
	}
	if err := r.claim(ctx, t.id); err != nil {
		return err
	}
	// A blob that nobody else has linked is kept for the trash alone.
	if _, err := r.tx.ExecContext(ctx, `insert into repository_blobs (repository_id, digest, size, linked_at)
		select $1, digest, size, $2 from trash_references where trash_id = $3 on conflict (repository_id, digest) do nothing`,
		r.into.Repository.ID, micros(r.s.now()), t.id); err != nil {
		return err
	}
	if err := checkReferences(ctx, r.tx, r.into.Repository.ID, m.References); err != nil {
		var lacks *registry.MissingError
		if errors.As(err, &lacks) {
			return existing{fmt.Errorf("%w: %w", registry.ErrIncomplete, err)}
		}
		return err
	}
	annotations, err := annotationsText(m)
	if err != nil {
		return err
	}
	if err := r.s.insertManifest(ctx, r.tx, r.into.Repository.ID, m, annotations); err != nil {
		return err
	}
	if _, err := r.tx.ExecContext(ctx, `update manifests set pushed_at = $1, restored_at = $2 where id = $3`, t.pushed, micros(r.s.now()), m.ID); err != nil {
		return err
	}
	m.PushedAt = at(t.pushed)
	r.into.Manifests = append(r.into.Manifests, m)
	if err := r.tags(ctx, t); err != nil {
		return err
	}
	if err := r.drop(ctx, t.id); err != nil {
		return err
	}
	referrers, err := r.take(ctx, `whole and subject = $2`, t.digest)
	if err != nil {
		return err
	}
	for _, referrer := range referrers {
		if err := r.digest(ctx, referrer.digest, false); err != nil {
			return err
		}
	}
	return nil
}

// claim has the quota hold for the blobs that are kept for the trash alone: they
// did not count meanwhile, and others may have taken their room.
func (r *restoring) claim(ctx context.Context, id int64) error {
	var size int64
	err := r.tx.QueryRowContext(ctx, `select coalesce(sum(t.size), 0) from trash_references t where t.trash_id = $1 and not exists
		(select 1 from repositories a join repositories o on o.registry_id = a.registry_id join repository_blobs b on b.repository_id = o.id
		where a.id = $2 and b.digest = t.digest)`, id, r.into.Repository.ID).Scan(&size)
	if err != nil || size == 0 {
		return err
	}
	return r.s.claim(ctx, r.tx, r.into.Repository.ID, "", size)
}

// tags points the tags of a row at its manifest, except those that name something
// else by now. They count as pushed now, or retention would take them at once.
func (r *restoring) tags(ctx context.Context, t taken) error {
	var names []string
	if err := json.Unmarshal([]byte(t.tags), &names); err != nil {
		return err
	}
	now, err := r.s.tagDigests(ctx, r.tx, r.into.Repository.ID)
	if err != nil {
		return err
	}
	rules, err := rules(ctx, r.tx, r.into.Repository.ID)
	if err != nil {
		return err
	}
	follows := map[string]string{}
	if rules.VersionTags {
		follows = registry.Following(append(slices.Collect(maps.Keys(now)), names...))
	}
	var free []string
	for _, name := range names {
		digest, exists := now[name]
		switch {
		case follows[name] != "": // it comes with its version
		case exists && digest != t.digest:
			r.into.Taken = append(r.into.Taken, name)
		case !exists:
			free = append(free, name)
		}
	}
	if err := r.s.setTags(ctx, r.tx, r.into.Repository.ID, t.digest, free); err != nil {
		return err
	}
	r.into.Tags = append(r.into.Tags, free...)
	slices.Sort(r.into.Tags)
	return nil
}
