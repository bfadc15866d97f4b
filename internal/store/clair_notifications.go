package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/pratique/pratique/internal/clairapi"
)

// Notices returns the notices of a notification that nobody has read yet, by id,
// after the one with that id where it is not "".
func (s *Store) Notices(ctx context.Context, notification, after string, limit int) ([]clairapi.Notice, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (n clairapi.Notice, err error) {
		var content string
		if err = rows.Scan(&n.ID, &content); err == nil {
			err = json.Unmarshal([]byte(content), &n)
		}
		return n, err
	}, `select id, content from clair_notices where notification_id = $1 and id > $2 order by id limit $3`, notification, after, limit)
	if err != nil {
		return nil, fmt.Errorf("notices of %s: %w", notification, err)
	}
	return list, nil
}

// DeleteNotification forgets a notification of the v4 API, known or not.
func (s *Store) DeleteNotification(ctx context.Context, notification string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `delete from clair_notifications where id = $1 and api = 'v4'`, notification)
		return err
	})
	if err != nil {
		return fmt.Errorf("delete notification %s: %w", notification, err)
	}
	return nil
}

// UntoldUpdates lists the readings of feeds that have ended and were not told of,
// the oldest first, with their ids.
func (s *Store) UntoldUpdates(ctx context.Context, limit int) (ids []int64, updates []clairapi.Update, err error) {
	type row struct {
		id int64
		u  clairapi.Update
	}
	rows, err := queryAll(ctx, s.read, func(rows *sql.Rows) (r row, err error) {
		var ended sql.NullInt64
		err = rows.Scan(&r.id, &r.u.Ref, &r.u.Feed, &r.u.Part, &ended)
		r.u.Date = at(ended)
		return r, err
	}, `select id, ref, feed, part, ended_at from clair_updates where not told and ended_at is not null order by id limit $1`, limit)
	if err != nil {
		return nil, nil, fmt.Errorf("list updates that are not told: %w", err)
	}
	for _, r := range rows {
		ids, updates = append(ids, r.id), append(updates, r.u)
	}
	return ids, updates, nil
}

// ChangesOf returns what a reading changed, by its id.
func (s *Store) ChangesOf(ctx context.Context, update int64) ([]clairapi.Change, error) {
	return s.changes(ctx, `u.id = $1`, update)
}

// Tell notes that a reading is told of, with the notifications that do: one of
// the v4 API where there are notices, and those of the v1 API.
func (s *Store) Tell(ctx context.Context, update int64, notices []clairapi.Notice, told []clairapi.Told) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `update clair_updates set told = true where id = $1 and not told`, update)
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return err // another replica was first
		}
		if len(notices) > 0 {
			if err := s.addNotices(ctx, tx, update, notices); err != nil {
				return err
			}
		}
		for _, t := range told {
			if err := s.addTold(ctx, tx, t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("tell of update %d: %w", update, err)
	}
	return nil
}

func (s *Store) addNotices(ctx context.Context, tx *sql.Tx, update int64, notices []clairapi.Notice) error {
	id, now := uuid.NewString(), micros(s.now())
	if _, err := tx.ExecContext(ctx, `insert into clair_notifications (id, api, update_id, created_at, next_at) values ($1, $2, $3, $4, $4)`,
		id, clairapi.APIv4, update, now); err != nil {
		return err
	}
	var rows []any
	for _, n := range notices {
		content, err := json.Marshal(n)
		if err != nil {
			return err
		}
		rows = append(rows, id, uuid.NewString(), string(content))
	}
	return s.insertRows(ctx, tx, `clair_notices (notification_id text, id text, content text)`, rows)
}

func (s *Store) addTold(ctx context.Context, tx *sql.Tx, t clairapi.Told) error {
	content, err := json.Marshal(t)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `insert into clair_notifications (id, api, content, created_at, next_at) values ($1, $2, $3, $4, $4)`,
		uuid.NewString(), clairapi.APIv1, string(content), micros(s.now()))
	return err
}

// Outgoing lists the notifications of an API that are to be sent now, the oldest first.
func (s *Store) Outgoing(ctx context.Context, api string, limit int) ([]clairapi.Outgoing, error) {
	list, err := queryAll(ctx, s.read, func(rows *sql.Rows) (o clairapi.Outgoing, err error) {
		err = rows.Scan(&o.ID, &o.API, &o.Attempts)
		return o, err
	}, `select id, api, attempts from clair_notifications where api = $1 and next_at <= $2 order by next_at, id limit $3`, api, micros(s.now()), limit)
	if err != nil {
		return nil, fmt.Errorf("list outgoing notifications: %w", err)
	}
	return list, nil
}

// Sent notes that a notification was sent, whether it arrived, and after how long
// it is sent again; 0 is never.
func (s *Store) Sent(ctx context.Context, id string, arrived bool, again time.Duration) error {
	now := s.now()
	var next, notified sql.NullInt64
	if again > 0 {
		next = nullMicros(now.Add(again))
	}
	attempts := `attempts + 1`
	if arrived {
		notified = nullMicros(now)
		attempts = `0`
	}
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `update clair_notifications set next_at = case when deleted_at is null then cast($2 as bigint) end,
			notified_at = coalesce(cast($3 as bigint), notified_at), attempts = `+attempts+` where id = $1`, id, next, notified)
		return err
	})
	if err != nil {
		return fmt.Errorf("note that notification %s was sent: %w", id, err)
	}
	return nil
}

// ForgetNotifications deletes notifications that were made before a time.
func (s *Store) ForgetNotifications(ctx context.Context, before time.Time) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `delete from clair_notifications where created_at < $1`, micros(before))
		return err
	})
	if err != nil {
		return fmt.Errorf("forget notifications: %w", err)
	}
	return nil
}

// V1Notification returns a notification of the v1 API, or clairapi.ErrNotFound.
func (s *Store) V1Notification(ctx context.Context, name string) (clairapi.V1Notification, error) {
	n := clairapi.V1Notification{Name: name}
	var content string
	var created, notified, deleted sql.NullInt64
	err := s.read.QueryRowContext(ctx, `select content, created_at, notified_at, deleted_at from clair_notifications where id = $1 and api = $2`,
		name, clairapi.APIv1).Scan(&content, &created, &notified, &deleted)
	if err == nil {
		err = json.Unmarshal([]byte(content), &n.Told)
	}
	n.Created, n.Notified, n.Deleted = at(created), at(notified), at(deleted)
	if err != nil {
		return n, fmt.Errorf("notification %q: %w", name, noRows(err, clairapi.ErrNotFound))
	}
	return n, nil
}

// MarkV1Notification marks a notification of the v1 API as read, or returns
// clairapi.ErrNotFound where it is unknown or marked.
func (s *Store) MarkV1Notification(ctx context.Context, name string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(ctx, `update clair_notifications set deleted_at = $3, next_at = null where id = $1 and api = $2 and deleted_at is null`,
			name, clairapi.APIv1, micros(s.now()))
		if err != nil {
			return err
		}
		if n, err := result.RowsAffected(); err != nil || n > 0 {
			return err
		}
		return clairapi.ErrNotFound
	})
	if err != nil {
		return fmt.Errorf("notification %q: %w", name, err)
	}
	return nil
}

// LayersIntroducing lists layers of the v1 API that bring one of the packages,
// which their parents do not have, by name.
func (s *Store) LayersIntroducing(ctx context.Context, packages []int64, offset, limit int) ([]string, error) {
	if len(packages) == 0 {
		return nil, nil
	}
	packages = packages[:min(len(packages), 10*matchBatch)]
	args := []any{limit, offset}
	for _, id := range packages {
		args = append(args, id)
	}
	names, err := queryAll(ctx, s.read, scanString, `select distinct l.name from inventory_packages ip
		join clair_layers l on l.inventory_id = ip.inventory_id
		where ip.package_id in (`+parameters(3, len(packages))+`) and not exists (
			select 1 from clair_layers parent join inventory_packages before on before.inventory_id = parent.inventory_id
			where parent.name = l.parent_name and before.package_id = ip.package_id)
		order by l.name limit $1 offset $2`, args...)
	if err != nil {
		return nil, fmt.Errorf("layers that introduce packages: %w", err)
	}
	return names, nil
}
