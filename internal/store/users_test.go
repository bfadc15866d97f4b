package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestUsersAndKeys(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		admin, err := s.CreateUser(ctx, auth.User{Name: "admin", Administrator: true}, "hash")
		if err != nil || admin.ID == 0 || !admin.CreatedAt.Equal(clock.Now()) {
			t.Fatalf("got %+v, %v", admin, err)
		}
		if _, err := s.CreateUser(ctx, auth.User{Name: "admin"}, "x"); !errors.Is(err, auth.ErrExists) {
			t.Errorf("a second admin: %v", err)
		}
		if u, hash, err := s.UserByName(ctx, "admin"); err != nil || u != admin || hash != "hash" {
			t.Errorf("got %+v, %q, %v", u, hash, err)
		}
		if _, _, err := s.UserByName(ctx, "nobody"); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("nobody: %v", err)
		}
		key, err := s.CreateKey(ctx, auth.Key{UserID: admin.ID, Name: "ci", Prefix: "prq_abc", ExpiresAt: clock.Now().Add(time.Hour)}, []byte{1, 2})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.CreateKey(ctx, auth.Key{UserID: 999, Name: "x"}, []byte{3}); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("a key of nobody: %v", err)
		}
		if err := s.TouchKey(ctx, key.ID, clock.Now()); err != nil {
			t.Fatal(err)
		}
		key.LastUsedAt = clock.Now()
		if k, u, err := s.KeyByHash(ctx, []byte{1, 2}); err != nil || !reflect.DeepEqual(k, key) || u != admin {
			t.Errorf("got %+v, %+v, %v", k, u, err)
		}
		if keys, err := s.Keys(ctx, 0); err != nil || len(keys) != 1 {
			t.Errorf("got %v, %v", keys, err)
		}
		if err := s.DeleteUser(ctx, admin.ID); !errors.Is(err, auth.ErrLastAdministrator) {
			t.Errorf("the last administrator: %v", err)
		}
		if _, err := s.CreateUser(ctx, auth.User{Name: "second", Administrator: true}, "x"); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteUser(ctx, admin.ID); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.KeyByHash(ctx, []byte{1, 2}); !errors.Is(err, auth.ErrNotFound) {
			t.Errorf("a deleted user's key: %v", err)
		}
		for range 2 {
			if secret, err := s.Secret(ctx, "k", []byte{7}); err != nil || !bytes.Equal(secret, []byte{7}) {
				t.Errorf("got %v, %v", secret, err)
			}
		}
		if secret, err := s.Secret(ctx, "k", []byte{8}); err != nil || !bytes.Equal(secret, []byte{7}) {
			t.Errorf("the secret was replaced: %v, %v", secret, err)
		}
	})
}

func TestAdministratorsWhoDeleteEachOtherLeaveOne(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		for round := range 5 {
			var ids []int64
			for i := range 4 {
				u, err := s.CreateUser(ctx, auth.User{Name: fmt.Sprintf("admin-%d-%d", round, i), Administrator: true}, "x")
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, u.ID)
			}
			if round > 0 { // who was left the round before
				users, err := s.Users(ctx)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.DeleteUser(ctx, users[0].ID); err != nil {
					t.Fatal(err)
				}
			}
			refused := make(chan error, len(ids))
			for _, id := range ids {
				go func() { refused <- s.DeleteUser(ctx, id) }()
			}
			last := 0
			for range ids {
				if err := <-refused; errors.Is(err, auth.ErrLastAdministrator) {
					last++
				} else if err != nil {
					t.Error(err)
				}
			}
			if users, err := s.Users(ctx); err != nil || len(users) != 1 || last != 1 {
				t.Fatalf("round %d: %d users are left, %d were refused: %v", round, len(users), last, err)
			}
		}
	})
}
