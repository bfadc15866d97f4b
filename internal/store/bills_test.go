package store_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// mustPut stores a manifest of the name with bills.
func mustPut(t testing.TB, s *store.Store, repositoryID int64, name string, bills ...registry.Bill) string {
	t.Helper()
	m := manifest(name)
	m.Bills = bills
	if len(bills) == 1 && bills[0].Manifest == "" {
		m.Subject = bills[0].Subject
	}
	if err := s.PutManifest(t.Context(), repositoryID, m, nil); err != nil {
		t.Fatal(err)
	}
	return m.Digest
}

func mustImage(t testing.TB, s *store.Store, digest, key string) int64 {
	t.Helper()
	if err := s.SaveImage(t.Context(), image.Image{Digest: digest, MediaType: registry.MediaTypeImage}); err != nil {
		t.Fatal(err)
	}
	id, err := s.SaveInventory(t.Context(), key, inventory.Image{}, match.Package)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SettleImage(t.Context(), digest, image.Done, "", id); err != nil {
		t.Fatal(err)
	}
	return id
}

// listed compares a list, and a call of the store, with what is wanted.
func listed(t *testing.T, what string, want []string, list func() ([]string, error)) {
	t.Helper()
	got, err := list()
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%s: %v (-want +got):\n%s", what, err, diff)
	}
}

func TestBills(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		mustRegistry(t, s, "other")
		app, copied, elsewhere := mustRepository(t, s, "main", "app"), mustRepository(t, s, "main", "copy"), mustRepository(t, s, "other", "x")
		img := mustPut(t, s, app.ID, "image")
		bills := func(limit int) func() ([]string, error) {
			return func() ([]string, error) { return s.Bills(ctx, img, limit) }
		}
		listed(t, "none", nil, bills(10))
		first := mustPut(t, s, app.ID, "z", registry.Bill{Subject: img})
		second := mustPut(t, s, app.ID, "a", registry.Bill{Subject: img})
		mustPut(t, s, elsewhere.ID, "strange", registry.Bill{Subject: img})
		listed(t, "beside the image, the first first", []string{first, second}, bills(10))
		listed(t, "no more than are wanted", []string{first}, bills(1))
		mustPut(t, s, app.ID, "z", registry.Bill{Subject: img})
		listed(t, "pushed again", []string{first, second}, bills(10))

		attestation := mustPut(t, s, copied.ID, "attestation")
		listing := mustPut(t, s, copied.ID, "index", registry.Bill{Subject: img, Manifest: attestation}, registry.Bill{Subject: sha(9), Manifest: attestation})
		listed(t, "the word of an index where the image is not", []string{first, second}, bills(10))
		mustPut(t, s, copied.ID, "image")
		listed(t, "the word of an index", []string{first, second, attestation}, bills(10))
		listed(t, "subjects of an index", sorted(img, sha(9)), func() ([]string, error) { return s.BillSubjects(ctx, listing) })
		listed(t, "subjects of an image", nil, func() ([]string, error) { return s.BillSubjects(ctx, img) })

		listed(t, "no images yet", nil, func() ([]string, error) { return s.BilledImages(ctx, "", 10) })
		mustImage(t, s, img, "k")
		mustImage(t, s, sha(1), "k")
		listed(t, "images with bills", []string{img}, func() ([]string, error) { return s.BilledImages(ctx, "", 10) })
		listed(t, "and no more", nil, func() ([]string, error) { return s.BilledImages(ctx, img, 10) })
		listed(t, "known images", sorted(img, sha(1)), func() ([]string, error) { return s.KnownImages(ctx, []string{img, sha(1), sha(2)}) })
		listed(t, "known images of none", nil, func() ([]string, error) { return s.KnownImages(ctx, nil) })
		listed(t, "in a registry", []string{img}, func() ([]string, error) { return s.BilledIn(ctx, "other") })
		listed(t, "in another registry", sorted(img, sha(9)), func() ([]string, error) { return s.BilledIn(ctx, "main") })

		if _, err := s.DeleteManifest(ctx, copied.ID, listing, registry.Deletion{}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.DeleteManifest(ctx, app.ID, first, registry.Deletion{}); err != nil {
			t.Fatal(err)
		}
		listed(t, "what was deleted", []string{second}, bills(10))
		if _, err := s.DeleteManifest(ctx, app.ID, img, registry.Deletion{}); err != nil {
			t.Fatal(err)
		}
		listed(t, "the image is gone from the bill's repository", nil, bills(10))
	})
}

func sorted(a, b string) []string {
	if a < b {
		return []string{a, b}
	}
	return []string{b, a}
}

func TestAttach(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		mustRegistry(t, s, "other")
		r, other := mustRepository(t, s, "main", "app"), mustRepository(t, s, "other", "app")
		img := mustPut(t, s, r.ID, "image")
		mustPut(t, s, other.ID, "image")
		id := mustImage(t, s, img, "first")
		wanted := func() []registry.Attachment {
			t.Helper()
			list, err := s.Unattached(ctx, img)
			if err != nil {
				t.Fatal(err)
			}
			return list
		}
		set := func(format registry.BillFormat) {
			t.Helper()
			if got, err := s.UpdateRegistry(ctx, "main", registry.Change{AttachSBOM: &format}); err != nil || got.AttachSBOM != format {
				t.Fatalf("got %+v, %v", got, err)
			}
		}
		if got := wanted(); got != nil {
			t.Errorf("nothing is asked for: %+v", got)
		}
		set(registry.SPDX)
		want := []registry.Attachment{{
			Subject: img, MediaType: registry.MediaTypeImage, Size: int64(len("image")), Format: registry.SPDX, InventoryID: id,
			Repository: registry.Repository{ID: r.ID, RegistryID: r.RegistryID, Registry: "main", Name: "app"},
		}}
		if diff := cmp.Diff(want, wanted()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		listed(t, "images", []string{img}, func() ([]string, error) { return s.UnattachedImages(ctx, "", "", 10) })
		listed(t, "images of the registry", []string{img}, func() ([]string, error) { return s.UnattachedImages(ctx, "main", "", 10) })
		listed(t, "images of another", nil, func() ([]string, error) { return s.UnattachedImages(ctx, "other", "", 10) })

		bill := func(n int) *registry.Manifest {
			m := manifest(fmt.Sprint("bill ", n), registry.Reference{Kind: registry.KindLayer, Digest: sha(n), Size: int64(n)})
			m.Subject = img
			return m
		}
		referrers := func() (digests []string) {
			t.Helper()
			list, _, err := s.Referrers(ctx, r.ID, img, "", "", 10, 1000)
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range list {
				digests = append(digests, f.Digest)
			}
			return digests
		}
		place := want[0]
		for range 2 { // twice: another replica did the same
			if err := s.Attach(ctx, place, bill(1)); err != nil {
				t.Fatal(err)
			}
		}
		pushed := mustPut(t, s, r.ID, "pushed", registry.Bill{Subject: img})
		if got := wanted(); got != nil {
			t.Errorf("all is there: %+v", got)
		}
		if got := referrers(); len(got) != 2 {
			t.Errorf("got %v", got)
		}

		// Of a newer inventory.
		place.InventoryID = mustImage(t, s, img, "second")
		stale := want[0]
		wantErr(t, s.Attach(ctx, stale, bill(2)), registry.ErrStale)
		if got := wanted(); len(got) != 1 || got[0].InventoryID != place.InventoryID {
			t.Errorf("got %+v", got)
		}
		if size, err := s.RepositoryBlob(ctx, r.ID, sha(1)); size != 1 || err != nil {
			t.Errorf("the blob: %d bytes, %v", size, err)
		}
		if err := s.PutManifest(ctx, r.ID, bill(1), []string{"tagged"}); err != nil {
			t.Fatal(err)
		}
		if err := s.Attach(ctx, place, bill(2)); err != nil {
			t.Fatal(err)
		}
		if got := referrers(); len(got) != 2 || got[0] != bill(2).Digest && got[1] != bill(2).Digest {
			t.Errorf("got %v", got)
		}
		if _, err := s.TaggedManifest(ctx, r.ID, "tagged"); err == nil {
			t.Error("the tag of what was replaced is there")
		}

		// In another format, then in none.
		set(registry.CycloneDX)
		wantErr(t, s.Attach(ctx, place, bill(3)), registry.ErrStale)
		place.Format = registry.CycloneDX
		if err := s.Attach(ctx, place, bill(3)); err != nil {
			t.Fatal(err)
		}
		_, err := s.RepositoryBlob(ctx, r.ID, sha(2))
		wantErr(t, err, registry.ErrBlobUnknown)
		set(registry.NoBill)
		if got := wanted(); len(got) != 1 || got[0].Format != registry.NoBill {
			t.Errorf("got %+v", got)
		}
		place.Format = registry.NoBill
		if err := s.Attach(ctx, place, nil); err != nil {
			t.Fatal(err)
		}
		if got := referrers(); !cmp.Equal(got, []string{pushed}) || wanted() != nil {
			t.Errorf("got %v, want only what was pushed", got)
		}

		// With its image.
		set(registry.SPDX)
		place.Format = registry.SPDX
		if err := s.Attach(ctx, place, bill(4)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.DeleteManifest(ctx, r.ID, img, registry.Deletion{}); err != nil {
			t.Fatal(err)
		}
		if got := referrers(); !cmp.Equal(got, []string{pushed}) {
			t.Errorf("got %v", got)
		}
		wantErr(t, s.Attach(ctx, place, bill(4)), registry.ErrStale)
		wantErr(t, s.Attach(context.Background(), registry.Attachment{Subject: img}, nil), registry.ErrRepositoryUnknown)
	})
}
