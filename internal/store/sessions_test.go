package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestSessions(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx, now := t.Context(), clock.Now()
		user, err := s.CreateUser(ctx, auth.User{Name: "ada"}, "hash")
		if err != nil {
			t.Fatal(err)
		}
		create := func(n byte, at time.Time) auth.Session {
			t.Helper()
			session, err := s.CreateSession(ctx, auth.Session{UserID: user.ID, CreatedAt: at, UsedAt: at, ExpiresAt: at.Add(time.Hour)}, []byte{n})
			if err != nil {
				t.Fatal(err)
			}
			return session
		}
		gone := func(n byte) bool {
			t.Helper()
			_, _, err := s.SessionByHash(ctx, []byte{n})
			if err != nil && !errors.Is(err, auth.ErrNotFound) {
				t.Fatal(err)
			}
			return err != nil
		}

		first := create(1, now)
		if err := s.TouchSession(ctx, first.ID, now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		first.UsedAt = now.Add(time.Minute)
		if got, u, err := s.SessionByHash(ctx, []byte{1}); err != nil || got != first || u != user {
			t.Errorf("got %+v, %+v, %v; want %+v, %+v", got, u, err, first, user)
		}
		if _, err := s.CreateSession(ctx, auth.Session{UserID: 999, CreatedAt: now, UsedAt: now, ExpiresAt: now}, []byte{9}); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("a session of nobody: %v", err)
		}
		if create(2, now.Add(time.Hour)); !gone(1) {
			t.Error("a session that has ended stays after the next one began")
		}
		for n := byte(3); n < 60; n++ {
			create(n, now.Add(time.Hour))
		}
		if !gone(9) || gone(10) || gone(59) {
			t.Errorf("of 58 sessions the last 50 should stay: 9 gone %v, 10 gone %v, 59 gone %v", gone(9), gone(10), gone(59))
		}
		last, _, err := s.SessionByHash(ctx, []byte{59})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteSession(ctx, last.ID); err != nil || !gone(59) {
			t.Errorf("delete: %v, gone %v", err, gone(59))
		}
		if err := s.DeleteSession(ctx, last.ID); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("delete again: %v", err)
		}
		if err := s.DeleteSessions(ctx, user.ID); err != nil || !gone(58) {
			t.Errorf("delete all: %v, gone %v", err, gone(58))
		}
		create(70, now)
		if _, err := s.CreateUser(ctx, auth.User{Name: "root", Administrator: true}, "hash"); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteUser(ctx, user.ID); err != nil || !gone(70) {
			t.Errorf("delete the user: %v, gone %v", err, gone(70))
		}
	})
}
