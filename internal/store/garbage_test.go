package store_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

const garbageGrace = 24 * time.Hour

func clean(t testing.TB, s *store.Store, now time.Time) store.GarbageCount {
	t.Helper()
	n, err := s.DeleteUnused(t.Context(), now.Add(-garbageGrace))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestUnlinkUnreferenced(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r, other := mustRepository(t, s, "main", "app"), mustRepository(t, s, "main", "other")
		link := func(id int64, n int) {
			t.Helper()
			if err := s.LinkBlob(ctx, id, sha(n), 5); err != nil {
				t.Fatal(err)
			}
		}
		for n := range 6 {
			link(r.ID, n)
		}
		link(other.ID, 1)
		mustManifest(t, s, r.ID, "one", []registry.Reference{{Kind: registry.KindConfig, Digest: sha(0), Size: 5}, {Kind: registry.KindLayer, Digest: sha(1), Size: 5}})
		clock.advance(20 * time.Hour)
		link(r.ID, 2) // pushed again
		if size, err := s.PromiseBlob(ctx, r.ID, sha(3), garbageGrace/2); err != nil || size != 5 {
			t.Errorf("got %d, %v", size, err)
		}
		if _, err := s.MountBlob(ctx, r.ID, r.ID, sha(4)); err != nil { // mounted again
			t.Error(err)
		}
		clock.advance(5 * time.Hour)
		if _, err := s.PromiseBlob(ctx, r.ID, sha(3), garbageGrace/2); err != nil { // 5 hours old: nothing is written
			t.Error(err)
		}
		before := clock.Now().Add(-garbageGrace)
		if n, err := s.UnlinkUnreferenced(ctx, r.ID, before); err != nil || n != 1 { // 5
			t.Errorf("unlinked %d, %v; want 1", n, err)
		}
		if n, err := s.UnlinkUnreferenced(ctx, other.ID, before); err != nil || n != 1 { // 1, of which a manifest elsewhere is no reason
			t.Errorf("unlinked %d, %v; want 1", n, err)
		}
		clock.advance(20 * time.Hour)
		if n, err := s.UnlinkUnreferenced(ctx, r.ID, clock.Now().Add(-garbageGrace)); err != nil || n != 3 {
			t.Errorf("a day later: unlinked %d, %v; want 3", n, err)
		}
		linked, err := s.LinkedBlobs(ctx, []string{sha(0), sha(1), sha(2), sha(3), sha(4), sha(5)})
		if err != nil || len(linked) != 2 || !linked[sha(0)] || !linked[sha(1)] {
			t.Errorf("linked: got %v, %v", linked, err)
		}
		if _, err := s.PromiseBlob(ctx, r.ID, sha(5), garbageGrace/2); err == nil {
			t.Error("a blob that is gone is promised")
		}
	})
}

func TestDeleteUnused(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		muslAdvisory(t, s, "1.1.18-r4")
		const set = inventory.DetectorSet("set")
		save := func(name, layer string, packages ...inventory.Installed) string {
			t.Helper()
			m := mustManifest(t, s, r.ID, name, nil)
			if err := s.SaveLayer(ctx, &inventory.Layer{Digest: layer}, set); err != nil {
				t.Fatal(err)
			}
			if err := s.SaveImage(ctx, image.Image{Digest: m.Digest, MediaType: "m", Layers: []image.Layer{{Digest: layer, MediaType: "l"}}}); err != nil {
				t.Fatal(err)
			}
			if err := s.SettleImage(ctx, m.Digest, image.Done, "", saveInventory(t, s, "key of "+name, packages...)); err != nil {
				t.Fatal(err)
			}
			return m.Digest
		}
		old, shared := musl("musl", "1.1.18-r3"), musl("musl-utils", "1.1.18-r3")
		gone, stays := save("gone", "sha256:1", old, shared), save("stays", "sha256:2", shared)
		clair := saveInventory(t, s, "clair", musl("musl-dev", "1.1.18-r3"))
		if err := s.SaveLayer(ctx, &inventory.Layer{Digest: "sha256:clair"}, set); err != nil {
			t.Fatal(err)
		}
		saveClair(t, s, "clair", "", clair)
		if err := s.SaveLayer(ctx, &inventory.Layer{Digest: sha(9)}, set); err != nil { // pushed, of no image yet
			t.Fatal(err)
		}
		if err := s.LinkBlob(ctx, r.ID, sha(9), 1); err != nil {
			t.Fatal(err)
		}
		all := []string{"sha256:1", "sha256:2", "sha256:clair", sha(9)}
		want := func(step string, got, want store.GarbageCount, layers int) {
			t.Helper()
			if got != want {
				t.Errorf("%s: deleted %+v, want %+v", step, got, want)
			}
			// Read as nobody does who wants to refer to them.
			if n := s.Count(t, "layers"); n != layers {
				t.Errorf("%s: %d layers, want %d", step, n, layers)
			}
		}
		none := store.GarbageCount{}
		want("all is used", clean(t, s, clock.Now()), none, 4)
		if _, err := s.DeleteManifest(ctx, r.ID, gone, registry.Deletion{}); err != nil {
			t.Fatal(err)
		}
		want("marked", clean(t, s, clock.Now()), none, 4)
		clock.advance(garbageGrace - time.Hour)
		want("within the grace", clean(t, s, clock.Now()), none, 4)
		clock.advance(2 * time.Hour)
		want("the image", clean(t, s, clock.Now()), store.GarbageCount{Images: 1}, 4)
		clock.advance(garbageGrace + time.Hour)
		want("what it had", clean(t, s, clock.Now()), store.GarbageCount{Inventories: 1, Layers: 1, Packages: 1}, 3)
		clock.advance(garbageGrace + time.Hour)
		want("nothing more", clean(t, s, clock.Now()), none, 3)
		if n := s.Count(t, "matches"); n != 2 { // of musl-utils and musl-dev
			t.Errorf("%d matches, want 2", n)
		}
		if findings, err := s.ImageFindings(ctx, stays); err != nil || len(findings) != 1 {
			t.Errorf("the other image: got %d findings, %v", len(findings), err)
		}
		if findings, err := s.InventoryFindings(ctx, clair); err != nil || len(findings) != 1 {
			t.Errorf("the layer of Clair's API: got %d findings, %v", len(findings), err)
		}
		if states, err := s.LayerStates(ctx, all, set); err != nil || len(states) != 3 {
			t.Errorf("got %v, %v", states, err)
		}

		// Who is about to use what is marked keeps it.
		if _, err := s.DeleteManifest(ctx, r.ID, stays, registry.Deletion{}); err != nil {
			t.Fatal(err)
		}
		clean(t, s, clock.Now()) // the image is marked
		clock.advance(garbageGrace + time.Hour)
		mustManifest(t, s, r.ID, "stays", nil)
		if err := s.SaveImage(ctx, image.Image{Digest: stays, MediaType: "m"}); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteClairLayer(ctx, "clair"); err != nil {
			t.Fatal(err)
		}
		want("the image came back", clean(t, s, clock.Now()), none, 3) // and Clair's are marked
		clock.advance(garbageGrace + time.Hour)
		if id, known, err := s.InventoryID(ctx, "clair"); err != nil || !known || id != clair {
			t.Errorf("got %d, %v, %v", id, known, err)
		}
		if states, err := s.LayerStates(ctx, []string{"sha256:clair"}, set); err != nil || len(states) != 1 {
			t.Errorf("got %v, %v", states, err)
		}
		want("asked for", clean(t, s, clock.Now()), none, 3)
		if again := saveInventory(t, s, "clair"); again != clair {
			t.Errorf("got inventory %d, want %d", again, clair)
		}
		clock.advance(garbageGrace + time.Hour)
		want("nobody came to the layer", clean(t, s, clock.Now()), store.GarbageCount{Layers: 1}, 2)
		clock.advance(garbageGrace + time.Hour)
		want("nor to the inventory", clean(t, s, clock.Now()), store.GarbageCount{Inventories: 1, Packages: 1}, 2)
	})
}

// TestPushesRaceTheCleaning: while clients push and delete the same images, an
// image whose push was answered has its layers and its packages.
func TestPushesRaceTheCleaning(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		const set = inventory.DetectorSet("set")
		const names, rounds = 12, 40
		var session sync.RWMutex // a push is shorter than the grace
		var pins [names]sync.Mutex
		var analysed, deleted atomic.Int64
		push := func(n int) {
			session.RLock()
			defer session.RUnlock()
			pins[n].Lock()
			defer pins[n].Unlock()
			name, layer := fmt.Sprintf("image %d", n), sha(n)
			m := manifest(name)
			if err := s.PutManifest(ctx, r.ID, m, nil); err != nil {
				t.Error(err)
				return
			}
			if err := s.SaveImage(ctx, image.Image{Digest: m.Digest, MediaType: "m", Layers: []image.Layer{{Digest: layer, MediaType: "l"}}}); err != nil {
				t.Error(err)
				return
			}
			states, err := s.LayerStates(ctx, []string{layer}, set)
			if err != nil {
				t.Error(err)
				return
			}
			if _, known := states[layer]; !known {
				analysed.Add(1)
				if err := s.SaveLayer(ctx, &inventory.Layer{Digest: layer}, set); err != nil {
					t.Error(err)
					return
				}
			}
			if _, err := s.Layer(ctx, layer, set); err != nil {
				t.Errorf("LOST: %v", err)
			}
			key := "key of " + layer
			id, known, err := s.InventoryID(ctx, key)
			if err == nil && !known {
				id, err = s.SaveInventory(ctx, key, alpine(musl("musl", "1.1.18-r3"), musl(fmt.Sprint("musl-", n), "1")), match.Package)
			}
			// Some are slow.
			time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
			if err == nil {
				err = s.SettleImage(ctx, m.Digest, image.Done, "", id)
			}
			if err != nil {
				t.Errorf("LOST: %v", err)
				return
			}
			img, err := s.ImageByDigest(ctx, m.Digest)
			if err != nil || img.State != image.Done || img.Packages != 2 {
				t.Errorf("LOST: got %+v, %v", img, err)
			}
			if rand.IntN(4) > 0 {
				if _, err := s.DeleteManifest(ctx, r.ID, m.Digest, registry.Deletion{}); err != nil {
					t.Error(err)
				}
			}
		}
		done := make(chan struct{})
		var cleaners, clients sync.WaitGroup
		for i := range 2 {
			cleaners.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if i == 0 {
						session.Lock()
						clock.advance(garbageGrace + time.Second)
						session.Unlock()
					}
					now := clock.Now()
					if i == 1 { // is another replica, which is slow, too
						time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
					}
					n, err := s.DeleteUnused(ctx, now.Add(-garbageGrace))
					if err != nil {
						t.Error(err)
					}
					deleted.Add(int64(n.Images + n.Inventories + n.Layers + n.Packages))
				}
			})
		}
		for range 4 {
			clients.Go(func() {
				for range rounds {
					push(rand.IntN(names))
				}
			})
		}
		clients.Wait()
		close(done)
		cleaners.Wait()
		t.Logf("%d rows deleted, layers analysed %d times", deleted.Load(), analysed.Load())
		if analysed.Load() <= names {
			t.Error("no layer was deleted meanwhile")
		}
		for n := range names {
			if _, err := s.DeleteManifest(ctx, r.ID, manifest(fmt.Sprintf("image %d", n)).Digest, registry.Deletion{}); err != nil {
				t.Logf("image %d: %v", n, err) // it was deleted before
			}
		}
		for range 4 {
			clean(t, s, clock.Now())
			clock.advance(garbageGrace + time.Second)
		}
		for _, table := range []string{"images", "image_layers", "inventories", "inventory_packages", "layers", "packages", "package_subjects", "matches"} {
			if n := s.Count(t, table); n != 0 {
				t.Errorf("%d rows are left in %s", n, table)
			}
		}
	})
}

// TestReferencesAreKnown: what is derived is kept by foreign keys, which are
// asked for, and by digests, which are written down in garbage.go. A new table
// with a digest needs a look whether it keeps layers or images; its line here
// says that somebody had one.
func TestReferencesAreKnown(t *testing.T) {
	s := storetest.SQLite(t, store.Options{})
	looked := map[string]string{
		"repository_blobs.digest":      "keeps layers",
		"image_layers.digest":          "keeps layers",
		"clair_layers.digest":          "keeps layers",
		"clair_manifest_layers.digest": "keeps layers",
		"files.digest":                 "of a path and a detector",
		"manifests.digest":             "keeps images",
		"layers.digest":                "the key",
		"images.digest":                "the key",
		"images.config_digest":         "of a blob, which its manifest keeps",
		"manifest_references.digest":   "of blobs and manifests of the same repository",
		"tags.digest":                  "of manifests",
		"manifest_pulls.digest":        "of manifests",
		"bills.digest":                 "of manifests",
		"vex_documents.digest":         "of a document",
		"policy_exceptions.digest":     "keeps nothing: an exception may outlive its image",
		"feed_parts.content_digest":    "of a document",
		"promotions.digest":            "keeps nothing: history outlives its image",
		"trash.digest":                 "keeps images",
		"trash_references.digest":      "keeps blobs; layers are its images'",
		"cached_tags.digest":           "of manifests",
		"cached_manifests.digest":      "of manifests",
	}
	for _, column := range s.Strings(t, `select m.name || '.' || c.name from sqlite_master m join pragma_table_info(m.name) c
		where m.type = 'table' and c.name like '%digest%'`) {
		if looked[column] == "" {
			t.Errorf("%s: does it refer to layers or images? Say so in garbage.go, and here", column)
		}
	}
}
