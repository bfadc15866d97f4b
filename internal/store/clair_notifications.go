package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

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
