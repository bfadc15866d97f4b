package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestPruneLayers(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		const hour, day = time.Hour, 24 * time.Hour
		left := func() (list []string) {
			t.Helper()
			var all []string
			for n := range 250 {
				all = append(all, fmt.Sprintf("sha256:%03d", n))
			}
			states, err := s.LayerStates(ctx, append(all, "sha256:aa", "sha256:clair", "sha256:failed"), "apk/1")
			if err != nil {
				t.Fatal(err)
			}
			for digest := range states {
				list = append(list, digest)
			}
			return list
		}
		save := func(digest string) {
			t.Helper()
			if err := s.SaveLayer(ctx, &inventory.Layer{Digest: digest}, "apk/1"); err != nil {
				t.Fatal(err)
			}
		}
		prune := func(step string, cache store.LayerCache, want int) {
			t.Helper()
			if n, err := s.PruneLayers(ctx, cache); err != nil || n != want {
				t.Errorf("%s: %d went, want %d, %v", step, n, want, err)
			}
		}
		// One of a stored image, one of a client of Clair's, and many of scans, an hour apart.
		saveImage(t, s, "sha256:image", alpine())
		save("sha256:aa")
		save("sha256:clair")
		s.Exec(t, `insert into clair_layers (name, digest, format, inventory_id, created_at) select 'x', 'sha256:clair', 'Docker', min(id), 1 from inventories`)
		if err := s.FailLayer(ctx, "sha256:failed", "apk/1", "truncated"); err != nil {
			t.Fatal(err)
		}
		for n := range 250 {
			clock.advance(hour)
			save(fmt.Sprintf("sha256:%03d", n))
		}
		roomy := store.LayerCache{Bytes: 1 << 30, Age: 30 * day, Grace: hour}
		prune("all fit", roomy, 0)
		prune("the oldest", store.LayerCache{Bytes: 1 << 30, Age: 10*day - 30*time.Minute, Grace: hour}, 11) // 240 of them, and the failed one
		if n := len(left()); n != 242 {
			t.Errorf("%d are left", n)
		}
		// What is used again stays.
		if err := s.TouchLayers(ctx, []string{"sha256:010", "sha256:011", "sha256:none"}); err != nil {
			t.Fatal(err)
		}
		clock.advance(2 * hour)
		prune("by their size", store.LayerCache{Bytes: 1000, Age: 30 * day, Grace: hour}, 237)
		got := make(map[string]bool)
		for _, digest := range left() {
			got[digest] = true
		}
		if diff := cmp.Diff(map[string]bool{"sha256:aa": true, "sha256:clair": true, "sha256:010": true, "sha256:011": true, "sha256:249": true}, got); diff != "" {
			t.Errorf("left (-want +got):\n%s", diff)
		}
		// What was just used stays, however little there may be.
		if err := s.TouchLayers(ctx, []string{"sha256:011"}); err != nil {
			t.Fatal(err)
		}
		prune("nothing fits", store.LayerCache{Grace: hour}, 2)
		if n := len(left()); n != 3 {
			t.Errorf("%d are left", n)
		}
		clock.advance(100 * day)
		prune("those of images stay", store.LayerCache{Grace: hour}, 1)
		if n := len(left()); n != 2 {
			t.Errorf("%d are left", n)
		}
	})
}
