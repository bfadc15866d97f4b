package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/source"
)

// askable are the images of a source's registries, as pairs (image, source):
// what follows are conditions.
const askable = ` from registry_sources rs
			join repositories p on p.registry_id = rs.registry_id
			join manifests m on m.repository_id = p.id
			join images i on i.digest = m.digest
			where `

// ask has sources asked of images. Who is being asked now is left alone.
func (s *Store) ask(ctx context.Context, tx *sql.Tx, where string, args ...any) (int, error) {
	done, err := tx.ExecContext(ctx, `insert into source_scans (image_id, source_id, state, next_try_at)
		select distinct i.id, rs.source_id, '`+string(source.Queued)+`', cast(`+fmt.Sprint(micros(s.now()))+` as bigint)`+askable+where+`
		on conflict (image_id, source_id) do update set state = excluded.state, attempts = 0, next_try_at = excluded.next_try_at
		where source_scans.state not in ('`+string(source.Running)+`', '`+string(source.Queued)+`')`, args...)
	if err != nil {
		return 0, fmt.Errorf("ask sources: %w", err)
	}
	n, err := done.RowsAffected()
	return int(n), err
}

// askRegistry has a source asked of all images of a registry.
func (s *Store) askRegistry(ctx context.Context, tx *sql.Tx, registry, name string) (int, error) {
	return s.ask(ctx, tx, `rs.registry_id = (select id from registries where name = $1) and rs.source_id = (select id from vulnerability_sources where name = $2)`, registry, name)
}

// AskAll has every source asked of every image of its registries, and returns
// how many questions these are.
func (s *Store) AskAll(ctx context.Context) (n int, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) (err error) {
		n, err = s.ask(ctx, tx, `true`)
		return err
	})
	return n, err
}

// AskImage has an image's sources asked again, and returns how many these are.
func (s *Store) AskImage(ctx context.Context, digest string) (n int, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) (err error) {
		n, err = s.ask(ctx, tx, `m.digest = $1`, digest)
		return err
	})
	return n, err
}

// AskNew has those sources asked of an image that were never asked, or gave up,
// or whose answer was read by an inventory that is not the image's any more.
// Without a digest it is every image. It reports whether there is any external source.
func (s *Store) AskNew(ctx context.Context, digest string) (there bool, err error) {
	if err := s.read.QueryRowContext(ctx, `select exists (select 1 from registry_sources)`).Scan(&there); err != nil || !there {
		return false, err
	}
	err = s.tx(ctx, func(tx *sql.Tx) (err error) {
		where, args := `not exists (select 1 from source_scans c where c.image_id = i.id and c.source_id = rs.source_id)`, []any(nil)
		if digest != "" {
			where, args = `m.digest = $1 and not exists (select 1 from source_scans c where c.image_id = i.id and c.source_id = rs.source_id
				and (c.state = 'waiting' or c.state = 'answered' and c.inventory_id is not null and c.inventory_id = i.inventory_id))`, []any{digest}
		}
		_, err = s.ask(ctx, tx, where, args...)
		return err
	})
	return true, err
}

// DueSources names the sources of which a scan is due at a time.
func (s *Store) DueSources(ctx context.Context, now time.Time) ([]string, error) {
	names, err := queryAll(ctx, s.read, scanString, `select s.name from vulnerability_sources s
		where exists (select 1 from source_scans c where c.source_id = s.id and c.next_try_at <= $1) order by s.name`, micros(now))
	if err != nil {
		return nil, fmt.Errorf("sources that are due: %w", err)
	}
	return names, nil
}

const scanColumns = `c.id, s.name, s.id, i.digest, c.state, c.attempts, c.error, c.handle, c.asked_at, c.answered_at, c.next_try_at`

const scanJoins = ` from source_scans c join vulnerability_sources s on s.id = c.source_id join images i on i.id = c.image_id `

func scanScan(rows *sql.Rows) (c source.Scan, err error) {
	var asked, answered, next sql.NullInt64
	err = rows.Scan(&c.ID, &c.Source, &c.SourceID, &c.Image, &c.State, &c.Attempts, &c.Error, &c.Handle, &asked, &answered, &next)
	c.AskedAt, c.AnsweredAt, c.NextTryAt = at(asked), at(answered), at(next)
	return c, err
}

// ClaimScans takes at most limit scans of a source that are due, and no more than
// its concurrency lets be under way in all processes together. Images that are not yet
// analysed wait. A scan that was never finished in tries tries is given up.
func (s *Store) ClaimScans(ctx context.Context, sourceID int64, owner string, limit, tries int, now, until time.Time) (claimed []source.Scan, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		claimed = nil
		var free int // of the places; the row is locked by it
		if err := tx.QueryRowContext(ctx, `update vulnerability_sources set version = version where id = $1 returning concurrency
			- (select count(*) from source_scans c where c.source_id = $1 and c.state = 'running' and c.next_try_at > $2)`,
			sourceID, micros(now)).Scan(&free); err != nil {
			return noRows(err, source.ErrNotFound)
		}
		if _, err := tx.ExecContext(ctx, `update source_scans set state = 'quarantined', next_try_at = null, owner = '',
				error = case when error = '' then $4 else error end
			where source_id = $1 and state = 'running' and next_try_at <= $2 and attempts >= $3`,
			sourceID, micros(now), tries, "the server ended each time that it asked"); err != nil {
			return err
		}
		if free <= 0 {
			return nil
		}
		ids, err := queryAll(ctx, tx, scanAny, `update source_scans set state = 'running', owner = $3, attempts = attempts + 1, asked_at = $2, next_try_at = $4
			where id in (select c.id from source_scans c join images i on i.id = c.image_id
				where c.source_id = $1 and c.next_try_at <= $2 and i.state <> $5 order by c.next_try_at, c.id limit $6) returning id`,
			sourceID, micros(now), owner, micros(until), image.Pending, min(free, limit))
		if err != nil || len(ids) == 0 {
			return err
		}
		claimed, err = queryAll(ctx, tx, scanScan, `select `+scanColumns+scanJoins+`where c.id in (`+parameters(1, len(ids))+`) order by c.id`, ids...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("claim scans of source %d: %w", sourceID, err)
	}
	return claimed, nil
}

func scanAny(rows *sql.Rows) (v any, err error) {
	err = rows.Scan(&v)
	return v, err
}

// HoldScan keeps a claimed scan from others until then, with the source's word
// where it is not "". It returns source.ErrTaken.
func (s *Store) HoldScan(ctx context.Context, id int64, owner, handle string, until time.Time) error {
	return s.changeScan(ctx, `update source_scans set next_try_at = $3, handle = case when $4 = '' then handle else $4 end
		where id = $1 and owner = $2 and state = 'running'`, id, owner, micros(until), handle)
}

// FailScan notes that a try failed, and when the next one is due; a zero time
// is never. A try that was nobody's fault does not count. It returns source.ErrTaken.
func (s *Store) FailScan(ctx context.Context, id int64, owner, reason string, next time.Time, counts bool) error {
	state, back := source.Waiting, 0
	if next.IsZero() {
		state = source.Quarantined
	}
	if !counts {
		back = 1
	}
	return s.changeScan(ctx, `update source_scans set state = $3, error = $4, next_try_at = $5, owner = '', handle = '', attempts = attempts - $6
		where id = $1 and owner = $2 and state = 'running'`, id, owner, state, reason, nullMicros(next), back)
}

// DropScan ends a claimed scan of an image that is in no registry of the source
// any more. What the source answered before stays.
func (s *Store) DropScan(ctx context.Context, id int64, owner string) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `update source_scans set state = 'answered', error = '', owner = '', next_try_at = null
			where id = $1 and owner = $2 and state = 'running' and answered_at is not null`, id, owner); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from source_scans where id = $1 and owner = $2 and state = 'running'`, id, owner)
		return err
	})
}

// PostponeScans has the scans of a source that are due wait until then, for a
// reason that is not theirs.
func (s *Store) PostponeScans(ctx context.Context, sourceID int64, reason string, now, until time.Time) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `update source_scans set state = 'waiting', error = $2, next_try_at = $4, owner = ''
			where source_id = $1 and next_try_at <= $3`, sourceID, reason, micros(now), micros(until))
		return err
	})
}

// ReleaseScans has what workers of a replica are doing be due, and returns how many
// scans that is. Their tries count.
func (s *Store) ReleaseScans(ctx context.Context, replica string, now time.Time) (n int, err error) {
	err = s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, `update source_scans set next_try_at = $2, owner = '' where state = 'running' and owner like $1`, replica+"/%", micros(now))
		if err != nil {
			return err
		}
		released, err := done.RowsAffected()
		n = int(released)
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("release scans: %w", err)
	}
	return n, nil
}

// RetryScans has those scans of a source done at once that failed or were given up.
func (s *Store) RetryScans(ctx context.Context, sourceID int64) error {
	return s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `update source_scans set state = 'queued', attempts = 0, next_try_at = $2
			where source_id = $1 and state in ('waiting', 'quarantined')`, sourceID, micros(s.now()))
		return err
	})
}

// NextScan is when the next scan of a source will be due that is not yet; zero
// where none will.
func (s *Store) NextScan(ctx context.Context, sourceID int64) (time.Time, error) {
	var next sql.NullInt64
	err := s.read.QueryRowContext(ctx, `select min(next_try_at) from source_scans where source_id = $1 and next_try_at > $2`, sourceID, micros(s.now())).Scan(&next)
	return at(next), err
}

func (s *Store) changeScan(ctx context.Context, statement string, args ...any) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		done, err := tx.ExecContext(ctx, statement, args...)
		if err != nil {
			return err
		}
		return changedOne(done, source.ErrTaken)
	})
	if err != nil {
		return fmt.Errorf("scan %v: %w", args[0], err)
	}
	return nil
}

// ScansOf lists how far the sources are that are attached to any registry which
// holds the image, by source. One that was never asked is queued.
func (s *Store) ScansOf(ctx context.Context, digest string) ([]source.Scan, error) {
	scans, err := queryAll(ctx, s.read, scanScan, `select coalesce(c.id, 0), s.name, s.id, i.digest, coalesce(c.state, 'queued'), coalesce(c.attempts, 0),
			coalesce(c.error, ''), coalesce(c.handle, ''), c.asked_at, c.answered_at, c.next_try_at
		from vulnerability_sources s join images i on i.digest = $1
		left join source_scans c on c.source_id = s.id and c.image_id = i.id
		where s.id in (select rs.source_id from manifests m join repositories p on p.id = m.repository_id
			join registry_sources rs on rs.registry_id = p.registry_id where m.digest = $1)
		order by s.name`, digest)
	if err != nil {
		return nil, fmt.Errorf("sources of image %s: %w", digest, err)
	}
	return scans, nil
}

// Scans lists at most limit scans of a source with a larger id, in any state
// where that is "".
func (s *Store) Scans(ctx context.Context, name string, state source.State, after int64, limit int) ([]source.Scan, error) {
	scans, err := queryAll(ctx, s.read, scanScan, `select `+scanColumns+scanJoins+`
		where s.name = $1 and c.id > $2 and ($3 = '' or c.state = $3) order by c.id limit $4`, name, after, state, limit)
	if err != nil {
		return nil, fmt.Errorf("scans of source %q: %w", name, err)
	}
	return scans, nil
}

// ScanPlace returns a repository of a registry that a source is attached to, in
// which an image is, and which of its layers are stored there.
func (s *Store) ScanPlace(ctx context.Context, sourceID int64, digest string) (repository string, layers map[string]bool, err error) {
	var id int64
	if err := s.read.QueryRowContext(ctx, `select p.id, g.name || '/' || p.name from manifests m
		join repositories p on p.id = m.repository_id
		join registries g on g.id = p.registry_id
		join registry_sources rs on rs.registry_id = g.id and rs.source_id = $1
		where m.digest = $2 order by m.id limit 1`, sourceID, digest).Scan(&id, &repository); err != nil {
		return "", nil, fmt.Errorf("place of image %s: %w", digest, noRows(err, source.ErrNotFound))
	}
	stored, err := queryAll(ctx, s.read, scanString, `select il.digest from images i join image_layers il on il.image_id = i.id
		join repository_blobs b on b.repository_id = $1 and b.digest = il.digest where i.digest = $2`, id, digest)
	if err != nil {
		return "", nil, fmt.Errorf("layers of image %s: %w", digest, err)
	}
	layers = make(map[string]bool, len(stored))
	for _, d := range stored {
		layers[d] = true
	}
	return repository, layers, nil
}
