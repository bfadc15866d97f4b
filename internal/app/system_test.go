package app

import (
	"context"
	"errors"
	"testing"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// disk is a store of blobs that knows, or does not know, how much is free.
type disk struct {
	blob.Store
	free  int64
	known bool
	err   error
}

func (d disk) Available() (int64, bool, error) { return d.free, d.known, d.err }

func TestFacts(t *testing.T) {
	full := errors.New("the disk does not answer")
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		tests := []struct {
			name  string
			blobs blob.Store
			want  *int64
			err   error
		}{
			{"a disk", disk{free: 5, known: true}, new(int64(5)), nil},
			{"one that is full", disk{known: true}, new(int64(0)), nil},
			{"one that does not tell", disk{}, nil, nil},
			{"objects elsewhere", struct{ blob.Store }{}, nil, nil},
			{"a failure", disk{err: full}, nil, full},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				a := &App{store: s, blobs: tt.blobs, replica: replica{name: "one"}, watch: new(feedWatch)}
				got, err := system{app: a, started: now}.Facts(t.Context())
				if !errors.Is(err, tt.err) {
					t.Fatal(err)
				}
				if err != nil {
					return
				}
				if got.Engine != string(s.Engine()) || got.Replica != "one" || !got.StartedAt.Equal(now) || got.DatabaseBytes < 64<<10 || len(got.Alarms) != 0 {
					t.Errorf("got %+v", got)
				}
				if (got.FreeBytes == nil) != (tt.want == nil) || tt.want != nil && *got.FreeBytes != *tt.want {
					t.Errorf("free: got %v, want %v", got.FreeBytes, tt.want)
				}
			})
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := (system{app: &App{store: s, blobs: disk{}, watch: new(feedWatch)}}).Facts(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("a database that does not answer: %v", err)
		}
	})
}
