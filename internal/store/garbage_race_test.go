package store_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

const unlinkingRaces = 150

// TestMountRacesTheUnlinking: once a blob has no link, nobody makes one of it:
// its bytes may be gone.
func TestMountRacesTheUnlinking(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		from, to := mustRepository(t, s, "main", "from"), mustRepository(t, s, "main", "to")
		mounted, refused := 0, 0
		for i := range unlinkingRaces {
			digest := sha(i)
			if err := s.LinkBlob(ctx, from.ID, digest, 1); err != nil {
				t.Fatal(err)
			}
			clock.advance(2 * garbageGrace)
			var both sync.WaitGroup
			var mount error
			free := false
			both.Go(func() { _, mount = s.MountBlob(ctx, from.ID, to.ID, digest) })
			both.Go(func() {
				if _, err := s.UnlinkUnreferenced(ctx, from.ID, clock.Now().Add(-garbageGrace)); err != nil {
					t.Error(err)
				}
				linked, err := s.LinkedBlobs(ctx, []string{digest})
				if err != nil {
					t.Error(err)
				}
				free = !linked[digest]
			})
			both.Wait()
			switch {
			case mount == nil && free:
				t.Fatalf("%s was mounted after it had no link", digest)
			case mount == nil:
				mounted++
			case errors.Is(mount, registry.ErrBlobUnknown):
				refused++
			default:
				t.Error(mount)
			}
		}
		t.Logf("%d mounted, %d refused", mounted, refused)
	})
}

// TestPushRacesTheUnlinking: a manifest that was taken has its blobs, also where
// its client did not look for them.
func TestPushRacesTheUnlinking(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		taken, refused := 0, 0
		for i := range unlinkingRaces {
			digest := sha(i)
			if err := s.LinkBlob(ctx, r.ID, digest, 1); err != nil {
				t.Fatal(err)
			}
			clock.advance(2 * garbageGrace)
			var both sync.WaitGroup
			var push error
			both.Go(func() {
				push = s.PutManifest(ctx, r.ID, manifest(digest, registry.Reference{Kind: registry.KindLayer, Digest: digest, Size: 1}), nil)
			})
			both.Go(func() {
				if _, err := s.UnlinkUnreferenced(ctx, r.ID, clock.Now().Add(-garbageGrace)); err != nil {
					t.Error(err)
				}
			})
			both.Wait()
			linked, err := s.LinkedBlobs(ctx, []string{digest})
			if err != nil {
				t.Fatal(err)
			}
			var lack *registry.MissingError
			switch {
			case push == nil && !linked[digest]:
				t.Fatalf("a manifest was taken, and its blob %s unlinked", digest)
			case push == nil:
				taken++
			case errors.As(push, &lack):
				refused++
			default:
				t.Error(push)
			}
		}
		t.Logf("%d taken, %d refused", taken, refused)
	})
}
