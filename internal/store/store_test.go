package store_test

import (
	"context"
	"testing"

	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestOpenTwiceKeepsSchema(t *testing.T) {
	for name, location := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		t.Run(name, func(t *testing.T) {
			url := location(t)
			for range 2 {
				s, err := store.Open(context.Background(), url, store.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Ping(context.Background()); err != nil {
					t.Error(err)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestOpenRefusesUnknownLocation(t *testing.T) {
	if _, err := store.Open(context.Background(), "mysql://root:secret@db/x", store.Options{}); err == nil {
		t.Fatal("want an error")
	} else if got, want := err.Error(), `database "mysql://root:xxxxx@db/x": want sqlite:PATH or postgres://…`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
