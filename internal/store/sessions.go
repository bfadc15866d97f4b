package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/auth"
)

// maxSessions bounds how many a user has at once; the oldest give way.
const maxSessions = 50

// CreateSession stores a session by the hash of its secret, or returns
// auth.ErrNotFound where the user is gone. It also removes sessions that have
// ended, and the user's oldest where there are too many.
func (s *Store) CreateSession(ctx context.Context, session auth.Session, hash []byte) (auth.Session, error) {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `delete from sessions where expires_at <= $1`, micros(session.CreatedAt)); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, `insert into sessions (user_id, hash, created_at, used_at, expires_at)
			values ($1, $2, $3, $4, $5) returning id`, session.UserID, hash, micros(session.CreatedAt), micros(session.UsedAt),
			micros(session.ExpiresAt)).Scan(&session.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from sessions where user_id = $1 and id not in (
			select id from sessions where user_id = $1 order by id desc limit $2)`, session.UserID, maxSessions)
		return err
	})
	if err != nil {
		return auth.Session{}, fmt.Errorf("create session: %w", dangling(err, auth.ErrNotFound))
	}
	return session, nil
}

// SessionByHash returns a session and its user, or auth.ErrNotFound.
func (s *Store) SessionByHash(ctx context.Context, hash []byte) (session auth.Session, u auth.User, err error) {
	var created, used, expires, since sql.NullInt64
	var passwordHash string
	err = s.read.QueryRowContext(ctx, `select s.id, s.user_id, s.created_at, s.used_at, s.expires_at, `+userColumns+`
		from sessions s join users u on u.id = s.user_id where s.hash = $1`, hash).Scan(
		&session.ID, &session.UserID, &created, &used, &expires, &u.ID, &u.Name, &u.Administrator, &since, &passwordHash, &u.Issuer)
	if errors.Is(err, sql.ErrNoRows) {
		err = auth.ErrNotFound
	}
	if err != nil {
		return auth.Session{}, auth.User{}, fmt.Errorf("session: %w", err)
	}
	session.CreatedAt, session.UsedAt, session.ExpiresAt, u.CreatedAt = at(created), at(used), at(expires), at(since)
	u.Tag = userTag(passwordHash, u.Administrator)
	return session, u, nil
}

// TouchSession notes that a session was used, or returns auth.ErrNotFound.
func (s *Store) TouchSession(ctx context.Context, id int64, when time.Time) error {
	if err := s.changeOne(ctx, `update sessions set used_at = $1 where id = $2`, micros(when), id); err != nil {
		return fmt.Errorf("session %d: %w", id, err)
	}
	return nil
}

// DeleteSession ends a session, or returns auth.ErrNotFound.
func (s *Store) DeleteSession(ctx context.Context, id int64) error {
	if err := s.changeOne(ctx, `delete from sessions where id = $1`, id); err != nil {
		return fmt.Errorf("session %d: %w", id, err)
	}
	return nil
}

// DeleteSessions ends all sessions of a user.
func (s *Store) DeleteSessions(ctx context.Context, userID int64) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `delete from sessions where user_id = $1`, userID)
		return err
	})
	if err != nil {
		return fmt.Errorf("sessions of user %d: %w", userID, err)
	}
	return nil
}
