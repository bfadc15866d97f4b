package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
)

// day is one in the trash, in microseconds.
const day = int64(24 * time.Hour / time.Microsecond)

// trashDays is for how long a repository's registry keeps what is deleted.
func trashDays(ctx context.Context, tx *sql.Tx, repositoryID int64, d registry.Deletion) (days int64, err error) {
	err = tx.QueryRowContext(ctx, `select coalesce(g.trash_days, $1) from repositories p join registries g on g.id = p.registry_id
		where p.id = $2`, d.Days, repositoryID).Scan(&days)
	return days, noRows(err, missing{registry.ErrRepositoryUnknown})
}

// TrashDays is for how long a registry keeps what is deleted, nil where it does not
// say that. It returns registry.ErrRegistryUnknown.
func (s *Store) TrashDays(ctx context.Context, registryName string) (days *int, err error) {
	if err := s.read.QueryRowContext(ctx, `select trash_days from registries where name = $1`, registryName).Scan(&days); err != nil {
		return nil, fmt.Errorf("trash of registry %q: %w", registryName, noRows(err, missing{registry.ErrRegistryUnknown}))
	}
	return days, nil
}

// SetTrashDays changes for how long a registry keeps what is deleted from now on.
func (s *Store) SetTrashDays(ctx context.Context, registryName string, days *int) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `update registries set trash_days = $1 where name = $2`, days, registryName)
		if err != nil {
			return err
		}
		return changedOne(done, missing{registry.ErrRegistryUnknown})
	})
	if err != nil {
		return fmt.Errorf("trash of registry %q: %w", registryName, err)
	}
	return nil
}

// trashTags puts tags that were deleted into the trash.
func (s *Store) trashTags(ctx context.Context, tx *sql.Tx, repositoryID int64, digest string, tags []string, d registry.Deletion) error {
	days, err := trashDays(ctx, tx, repositoryID, d)
	if err != nil || days == 0 {
		return err
	}
	text, err := json.Marshal(tags)
	if err != nil {
		return err
	}
	now := micros(s.now())
	_, err = tx.ExecContext(ctx, `insert into trash (repository_id, digest, tags, whole, deleted_at, deleted_by, reason, expires_at)
		values ($1, $2, $3, false, $4, $5, $6, $7)`, repositoryID, digest, string(text), now, d.By, d.Reason, now+days*day)
	return err
}

// trashManifest puts a manifest that is about to be deleted into the trash, with
// tags that pointed at it.
func (s *Store) trashManifest(ctx context.Context, tx *sql.Tx, repositoryID int64, digest string, tags []string, d registry.Deletion) error {
	days, err := trashDays(ctx, tx, repositoryID, d)
	if err != nil || days == 0 {
		return err
	}
	if tags == nil {
		tags = []string{}
	}
	text, err := json.Marshal(tags)
	if err != nil {
		return err
	}
	now := micros(s.now())
	id, err := queryAll(ctx, tx, scanID, `insert into trash (repository_id, digest, tags, whole, media_type, subject, content, pushed_by, pushed_at, size, deleted_at, deleted_by, reason, expires_at)
		select repository_id, digest, $1, true, media_type, coalesce(subject, ''), content, pushed_by, pushed_at, size, $2, $3, $4, $5
		from manifests where repository_id = $6 and digest = $7 returning id`, string(text), now, d.By, d.Reason, now+days*day, repositoryID, digest)
	if err != nil || len(id) == 0 {
		return err
	}
	if _, err := tx.ExecContext(ctx, `insert into trash_references (trash_id, digest, size)
		select $1, f.digest, max(b.size) from manifests m join manifest_references f on f.manifest_id = m.id
			join repository_blobs b on b.repository_id = m.repository_id and b.digest = f.digest
		where m.repository_id = $2 and m.digest = $3 and f.kind <> 'manifest' group by f.digest`, id[0], repositoryID, digest); err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `update trash set size = size + (select coalesce(sum(size), 0) from trash_references where trash_id = $1) where id = $1`, id[0])
	return err
}

// trashRepository puts all that is in a repository into the trash. It reports
// false, and nothing changes, where the registry has none.
func (s *Store) trashRepository(ctx context.Context, tx *sql.Tx, repositoryID int64, d registry.Deletion) (bool, error) {
	days, err := trashDays(ctx, tx, repositoryID, d)
	if err != nil || days == 0 {
		return false, err
	}
	if err := s.touch(ctx, tx, repositoryID); err != nil {
		return false, err
	}
	// What the program attached itself is made anew.
	if _, err := tx.ExecContext(ctx, `delete from manifests where repository_id = $1 and id in (select manifest_id from attachments)`, repositoryID); err != nil {
		return false, err
	}
	digests, err := queryAll(ctx, tx, scanString, `select digest from manifests where repository_id = $1 order by id`, repositoryID)
	if err != nil {
		return false, err
	}
	for _, digest := range digests {
		tags, err := queryAll(ctx, tx, scanString, `delete from tags where repository_id = $1 and digest = $2 returning name`, repositoryID, digest)
		if err != nil {
			return false, err
		}
		if err := s.trashManifest(ctx, tx, repositoryID, digest, tags, d); err != nil {
			return false, err
		}
	}
	for _, statement := range []string{`delete from tags where repository_id = $1`, `delete from manifests where repository_id = $1`, `delete from repository_pulls where repository_id = $1`} {
		if _, err := tx.ExecContext(ctx, statement, repositoryID); err != nil {
			return false, err
		}
	}
	// Without anything in the trash nothing would bring it back.
	if len(digests) == 0 {
		var some bool
		if err := tx.QueryRowContext(ctx, `select exists (select 1 from trash where repository_id = $1)`, repositoryID).Scan(&some); err != nil || !some {
			return false, err
		}
	}
	_, err = tx.ExecContext(ctx, `update repositories set trashed_at = $1 where id = $2`, micros(s.now()), repositoryID)
	return true, err
}

const trashColumns = `t.id, g.name, p.name, t.digest, t.tags, t.whole, t.media_type, t.subject, t.size, t.pushed_by, t.pushed_at, t.deleted_at, t.deleted_by, t.reason, t.expires_at`

func scanTrashed(rows *sql.Rows) (t registry.Trashed, err error) {
	var pushed, deleted, expires sql.NullInt64
	var tags string
	if err := rows.Scan(&t.ID, &t.Registry, &t.Repository, &t.Digest, &tags, &t.Whole, &t.MediaType, &t.Subject, &t.Size, &t.PushedBy, &pushed, &deleted, &t.DeletedBy, &t.Reason, &expires); err != nil {
		return t, err
	}
	t.PushedAt, t.DeletedAt, t.ExpiresAt = at(pushed), at(deleted), at(expires)
	return t, json.Unmarshal([]byte(tags), &t.Tags)
}

// Trash lists at most limit things in the trash of a registry that have not
// expired, the newest first, from the one before the id before on where that is
// not 0; of one repository where that is not "". It returns
// registry.ErrRegistryUnknown.
func (s *Store) Trash(ctx context.Context, registryName, repository string, before int64, limit int) ([]registry.Trashed, error) {
	r, err := s.Registry(ctx, registryName)
	if err != nil {
		return nil, err
	}
	var where conditions
	where.add(`p.registry_id = ?`, r.ID)
	where.add(`t.expires_at > ?`, micros(s.now()))
	if repository != "" {
		where.add(`p.name = ?`, repository)
	}
	if before > 0 {
		where.add(`t.id < ?`, before)
	}
	list, err := queryAll(ctx, s.read, scanTrashed, `select `+trashColumns+` from trash t join repositories p on p.id = t.repository_id join registries g on g.id = p.registry_id `+
		where.String()+` order by t.id desc limit `+fmt.Sprint(limit), where.args...)
	if err != nil {
		return nil, fmt.Errorf("list the trash of %s: %w", registryName, err)
	}
	return list, nil
}

// trashPage is how much of the trash is emptied in one transaction.
const trashPage = 200

// EmptyTrash deletes for good what is in the trash of a registry: one thing where
// id is not 0, else all. It returns how many things these were, or
// registry.ErrRegistryUnknown or registry.ErrNotInTrash.
func (s *Store) EmptyTrash(ctx context.Context, registryName string, id int64, by string) (int, error) {
	r, err := s.Registry(ctx, registryName)
	if err != nil {
		return 0, err
	}
	where, args := `repository_id in (select id from repositories where registry_id = $1)`, []any{r.ID}
	if id != 0 {
		where, args = where+` and id = $2`, append(args, id)
	}
	n, err := s.purge(ctx, where, args, by)
	if err == nil && id != 0 && n == 0 {
		err = missing{registry.ErrNotInTrash}
	}
	if err != nil {
		return n, fmt.Errorf("empty the trash of %s: %w", registryName, err)
	}
	return n, nil
}

// ExpireTrash deletes for good what has been in the trash for long enough, and
// repositories of which nothing is left.
func (s *Store) ExpireTrash(ctx context.Context, now time.Time) (int, error) {
	n, err := s.purge(ctx, `expires_at <= $1`, []any{micros(now)}, "")
	if err != nil {
		return n, fmt.Errorf("expire the trash: %w", err)
	}
	return n, nil
}

func (s *Store) purge(ctx context.Context, where string, args []any, by string) (total int, err error) {
	for n := trashPage; n == trashPage; {
		err := s.tx(ctx, func(tx *sql.Tx) error {
			done, err := tx.ExecContext(ctx, `delete from trash where id in (select id from trash where `+where+fmt.Sprintf(` order by id limit %d)`, trashPage), args...)
			if err != nil {
				return err
			}
			gone, err := done.RowsAffected()
			n = int(gone)
			return err
		})
		if err != nil {
			return total, err
		}
		total += n
	}
	return total, s.forgetRepositories(ctx, by)
}

// forgetRepositories deletes repositories that are in the trash with nothing left
// to restore, and ends the assessments that hold in them only.
func (s *Store) forgetRepositories(ctx context.Context, by string) error {
	const empty = ` where p.trashed_at is not null and not exists (select 1 from trash t where t.repository_id = p.id) and not exists (select 1 from manifests m where m.repository_id = p.id)`
	ids, err := queryAll(ctx, s.read, scanID, `select p.id from repositories p`+empty)
	if err != nil {
		return err
	}
	for _, id := range ids {
		err := s.tx(ctx, func(tx *sql.Tx) error {
			// A push that brings it back waits, or came before.
			if _, err := tx.ExecContext(ctx, `update repositories set updated_at = updated_at where id = $1`, id); err != nil {
				return err
			}
			gone, err := queryAll(ctx, tx, scanGone, `select g.name, p.name from repositories p join registries g on g.id = p.registry_id`+empty+` and p.id = $1`, id)
			if err != nil || len(gone) == 0 {
				return err
			}
			if _, err := tx.ExecContext(ctx, `delete from repositories where id = $1`, id); err != nil {
				return err
			}
			return s.endAssessmentsUnder(ctx, tx, gone[0].Registry, gone[0].Name, s.now(), by)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func scanGone(rows *sql.Rows) (r registry.Repository, err error) {
	err = rows.Scan(&r.Registry, &r.Name)
	return r, err
}
