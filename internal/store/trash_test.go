package store_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/blob"
	analysed "github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/retention"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

var thrown = registry.Deletion{By: "bob", Reason: "deleted by a client", Days: 7}

// parsed is a manifest as it is pushed: the trash reads it again.
func parsed(t testing.TB, content string) *registry.Manifest {
	t.Helper()
	m, err := registry.Parse("", []byte(content))
	if err != nil {
		t.Fatal(err)
	}
	m.Digest, m.PushedBy = blob.SHA256.Of([]byte(content)), "ann"
	return m
}

func imageText(layer int, more string) string {
	return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":5},
		"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":5}]%s}`, registry.MediaTypeImage, sha(0), sha(layer), more)
}

func descriptor(m *registry.Manifest) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, m.MediaType, m.Digest, len(m.Content))
}

// family is an index of an image, which has a signature.
func family(t testing.TB, s *store.Store, repositoryID int64) (index, image, signature *registry.Manifest) {
	t.Helper()
	for n := range 3 {
		if err := s.LinkBlob(t.Context(), repositoryID, sha(n), 5); err != nil {
			t.Fatal(err)
		}
	}
	image = parsed(t, imageText(1, ""))
	index = parsed(t, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, registry.MediaTypeIndex, descriptor(image)))
	signature = parsed(t, imageText(2, `,"artifactType":"x/signature","subject":`+descriptor(image)))
	for m, tags := range map[*registry.Manifest][]string{image: {"amd64"}} {
		if err := s.PutManifest(t.Context(), repositoryID, m, tags); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.PutManifest(t.Context(), repositoryID, index, []string{"v1", "v1.0"}); err != nil {
		t.Fatal(err)
	}
	if err := s.PutManifest(t.Context(), repositoryID, signature, nil); err != nil {
		t.Fatal(err)
	}
	return index, image, signature
}

func trashOf(t testing.TB, s *store.Store) []registry.Trashed {
	t.Helper()
	list, err := s.Trash(t.Context(), "main", "", 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func tagNames(t testing.TB, s *store.Store, repositoryID int64) (names []string) {
	t.Helper()
	tags, err := s.Tags(t.Context(), repositoryID, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		names = append(names, tag.Name)
	}
	return names
}

func TestTrash(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		index, image, signature := family(t, s, r.ID)
		pushed := image.PushedAt
		for _, m := range []*registry.Manifest{signature, index, image} {
			clock.advance(time.Hour)
			if _, err := s.DeleteManifest(ctx, r.ID, m.Digest, thrown); err != nil {
				t.Fatal(err)
			}
			_, err := s.Manifest(ctx, r.ID, m.Digest)
			wantErr(t, err, registry.ErrManifestUnknown)
		}
		list := trashOf(t, s)
		if len(list) != 3 {
			t.Fatalf("got %+v", list)
		}
		want := registry.Trashed{ID: list[0].ID, Registry: "main", Repository: "app", Digest: image.Digest, Tags: []string{"amd64"}, Whole: true, MediaType: registry.MediaTypeImage,
			Size: int64(len(image.Content)) + 10, PushedBy: "ann", PushedAt: pushed, DeletedAt: clock.Now().UTC(), DeletedBy: "bob", Reason: thrown.Reason, ExpiresAt: clock.Now().Add(7 * 24 * time.Hour).UTC()}
		if diff := cmp.Diff(want, list[0]); diff != "" {
			t.Errorf("(-want +got) %s", diff)
		}

		// Everything that belongs to the index comes back with it, even where a client deleted the blobs.
		if err := s.UnlinkBlob(ctx, r.ID, sha(1)); err != nil {
			t.Fatal(err)
		}
		if linked, err := s.LinkedBlobs(ctx, []string{sha(1), sha(9)}); err != nil || !cmp.Equal(linked, map[string]bool{sha(1): true}) {
			t.Errorf("in use: %v, %v", linked, err)
		}
		mustManifest(t, s, r.ID, "another", nil, "v1") // took a tag meanwhile
		back, err := s.Restore(ctx, "main", list[1].ID)
		if err != nil || len(back.Manifests) != 3 || !cmp.Equal(back.Tags, []string{"amd64", "v1.0"}) || !cmp.Equal(back.Taken, []string{"v1"}) || back.Repository.Name != "app" {
			t.Errorf("got %+v, %v", back, err)
		}
		if got, err := s.Manifest(ctx, r.ID, image.Digest); err != nil || !got.PushedAt.Equal(pushed) || got.PushedBy != "ann" {
			t.Errorf("got %+v, %v", got, err)
		}
		if found, _, err := s.Referrers(ctx, r.ID, image.Digest, "", "", 10, 1<<20); err != nil || len(found) != 1 {
			t.Errorf("referrers: %v, %v", found, err)
		}
		if size, err := s.RepositoryBlob(ctx, r.ID, sha(1)); err != nil || size != 5 {
			t.Errorf("blob: %d, %v", size, err)
		}
		if left := trashOf(t, s); len(left) != 0 {
			t.Errorf("left: %+v", left)
		}
		_, err = s.Restore(ctx, "main", list[1].ID)
		wantErr(t, err, registry.ErrNotInTrash, store.ErrNotFound)

		// A tag alone, then what it named, too.
		if err := s.DeleteTag(ctx, r.ID, "v1.0", thrown); err != nil {
			t.Fatal(err)
		}
		if _, err := s.DeleteManifest(ctx, r.ID, index.Digest, thrown); err != nil {
			t.Fatal(err)
		}
		list = trashOf(t, s)
		if len(list) != 2 || list[1].Whole || !cmp.Equal(list[1].Tags, []string{"v1.0"}) || list[1].Digest != index.Digest {
			t.Fatalf("got %+v", list)
		}
		if back, err := s.Restore(ctx, "main", list[1].ID); err != nil || len(back.Manifests) != 1 || !slices.Contains(tagNames(t, s, r.ID), "v1.0") {
			t.Errorf("got %+v, %v", back, err)
		}

		// A tag that names something else by now stays in the trash, until it is free again.
		if err := s.DeleteTag(ctx, r.ID, "v1.0", thrown); err != nil {
			t.Fatal(err)
		}
		mustManifest(t, s, r.ID, "a third", nil, "v1.0")
		var id int64
		for _, thrown := range trashOf(t, s) {
			if !thrown.Whole {
				id = thrown.ID
			}
		}
		_, err = s.Restore(ctx, "main", id)
		wantErr(t, err, registry.ErrTaken, store.ErrConflict)
		if err := s.DeleteTag(ctx, r.ID, "v1.0", registry.Deletion{}); err != nil {
			t.Fatal(err)
		}
		if back, err := s.Restore(ctx, "main", id); err != nil || !cmp.Equal(back.Tags, []string{"v1.0"}) {
			t.Errorf("got %+v, %v", back, err)
		}

		// What is missing for good cannot come back, and nothing changes.
		if _, err := s.DeleteManifest(ctx, r.ID, index.Digest, thrown); err != nil {
			t.Fatal(err)
		}
		if _, err := s.DeleteManifest(ctx, r.ID, image.Digest, registry.Deletion{}); err != nil {
			t.Fatal(err)
		}
		list = trashOf(t, s)
		_, err = s.Restore(ctx, "main", list[0].ID)
		wantErr(t, err, registry.ErrIncomplete, store.ErrConflict)
		if again := trashOf(t, s); !cmp.Equal(again, list) {
			t.Errorf("(-before +after) %s", cmp.Diff(list, again))
		}

		_, err = s.EmptyTrash(ctx, "main", 12345, "bob")
		wantErr(t, err, registry.ErrNotInTrash)
		clock.advance(8 * 24 * time.Hour)
		if left := trashOf(t, s); len(left) != 0 {
			t.Errorf("expired: %+v", left)
		}
		if n, err := s.ExpireTrash(ctx, clock.Now()); err != nil || n != len(list) {
			t.Errorf("got %d, %v", n, err)
		}
		if n := s.Count(t, "trash_references"); n != 0 {
			t.Errorf("%d references are left", n)
		}
	})
}

// TestTrashRepository: a repository in the trash is gone for everybody, and comes
// back as it was; what people said of it ends only with it.
func TestTrashRepository(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		index, image, signature := family(t, s, r.ID)
		throw := func() {
			t.Helper()
			if err := s.DeleteRepository(ctx, "main", "app", thrown); err != nil {
				t.Fatal(err)
			}
			_, err := s.Repository(ctx, "main", "app")
			wantErr(t, err, registry.ErrRepositoryUnknown)
			if list, err := s.Repositories(ctx, "main", "", 10); err != nil || len(list) != 0 {
				t.Errorf("got %v, %v", list, err)
			}
			wantErr(t, s.DeleteRepository(ctx, "main", "app", thrown), registry.ErrRepositoryUnknown)
		}
		throw()
		list := trashOf(t, s)
		if len(list) != 3 {
			t.Fatalf("got %+v", list)
		}
		for _, entry := range list {
			if entry.Digest == index.Digest {
				if _, err := s.Restore(ctx, "main", entry.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, m := range []*registry.Manifest{index, image, signature} {
			if _, err := s.Manifest(ctx, r.ID, m.Digest); err != nil {
				t.Error(err)
			}
		}
		if got := tagNames(t, s, r.ID); !cmp.Equal(got, []string{"amd64", "v1", "v1.0"}) {
			t.Errorf("got %v", got)
		}
		throw()
		// A push brings the repository back, without what was in it.
		if again := mustRepository(t, s, "main", "app"); again.ID != r.ID || len(tagNames(t, s, r.ID)) != 0 {
			t.Errorf("got %+v", again)
		}
		throw()
		if n, err := s.EmptyTrash(ctx, "main", 0, "bob"); err != nil || n != 3 {
			t.Errorf("got %d, %v", n, err)
		}
		if n := s.Count(t, "repositories"); n != 0 {
			t.Errorf("%d repositories are left", n)
		}
	})
}

// TestTrashKeepsAnalyses: what is known of an image in the trash stays.
func TestTrashKeepsAnalyses(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		_, image, _ := family(t, s, r.ID)
		if err := s.SaveImage(ctx, analysed.Image{Digest: image.Digest, MediaType: image.MediaType}); err != nil {
			t.Fatal(err)
		}
		if _, err := s.DeleteManifest(ctx, r.ID, image.Digest, thrown); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			clean(t, s, clock.Now())
			clock.advance(garbageGrace + time.Hour)
		}
		if n := s.Count(t, "images"); n != 1 {
			t.Errorf("%d images", n)
		}
		if _, err := s.EmptyTrash(ctx, "main", 0, "bob"); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			clean(t, s, clock.Now())
			clock.advance(garbageGrace + time.Hour)
		}
		if n := s.Count(t, "images"); n != 0 {
			t.Errorf("%d images", n)
		}
	})
}

// TestRestoreWithinQuota: what did not count while it was in the trash must fit again.
func TestRestoreWithinQuota(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		index, image, signature := family(t, s, r.ID)
		for _, m := range []*registry.Manifest{signature, index, image} {
			if _, err := s.DeleteManifest(ctx, r.ID, m.Digest, thrown); err != nil {
				t.Fatal(err)
			}
		}
		entry := trashOf(t, s)[1] // the index, and with it all
		quota := func(n int64) {
			t.Helper()
			if _, err := s.UpdateRegistry(ctx, "main", registry.Change{Quota: &n}); err != nil {
				t.Fatal(err)
			}
		}
		refused := func(used, asked int64) {
			t.Helper()
			before := trashOf(t, s)
			_, err := s.Restore(ctx, "main", entry.ID)
			var full *registry.QuotaError
			if !errors.As(err, &full) || full.Used != used || full.Asked != asked || full.Registry != "main" {
				t.Errorf("got %v", err)
			}
			if diff := cmp.Diff(before, trashOf(t, s)); diff != "" || s.Count(t, "manifests") != 0 {
				t.Errorf("something came back (-before +after): %s", diff)
			}
		}

		// The clean-up takes the links away; another image takes the room.
		clock.advance(48 * time.Hour)
		if n, err := s.UnlinkUnreferenced(ctx, r.ID, clock.Now().Add(-time.Hour)); err != nil || n != 3 {
			t.Fatalf("unlinked %d, %v", n, err)
		}
		other := mustRepository(t, s, "main", "other")
		if err := s.LinkBlob(ctx, other.ID, sha(7), 5); err != nil {
			t.Fatal(err)
		}
		quota(12)
		refused(5, 10) // the configuration and the layer of the image
		quota(15)
		refused(15, 5) // then the signature
		// What another repository of the registry has needs no room.
		if err := s.LinkBlob(ctx, other.ID, sha(0), 5); err != nil {
			t.Fatal(err)
		}
		quota(14)
		refused(10, 5)
		quota(24)
		if back, err := s.Restore(ctx, "main", entry.ID); err != nil || len(back.Manifests) != 3 {
			t.Errorf("got %+v, %v", back, err)
		}

		// What still counts fits even where the registry is more than full.
		if _, err := s.DeleteManifest(ctx, r.ID, index.Digest, thrown); err != nil {
			t.Fatal(err)
		}
		quota(1)
		if _, err := s.Restore(ctx, "main", trashOf(t, s)[0].ID); err != nil {
			t.Error(err)
		}
	})
}

// TestRetentionOfWhatCameBack: what was restored stays for as long as what was pushed.
func TestRetentionOfWhatCameBack(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		m := parsed(t, fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[]}`, registry.MediaTypeIndex))
		if err := s.PutManifest(ctx, r.ID, m, nil); err != nil {
			t.Fatal(err)
		}
		pushed := m.PushedAt
		goes := func() int {
			t.Helper()
			held, err := s.Held(ctx, r.ID)
			if err != nil {
				t.Fatal(err)
			}
			return len(retention.Rules{Enabled: true, UntaggedDays: 7}.Plan(held, registry.Rules{}, nil, clock.Now()))
		}
		for range 2 {
			clock.advance(8 * 24 * time.Hour)
			if n := goes(); n != 1 {
				t.Errorf("%d go after eight days", n)
			}
			if _, err := s.DeleteManifest(ctx, r.ID, m.Digest, thrown); err != nil {
				t.Fatal(err)
			}
			clock.advance(6 * 24 * time.Hour)
			if _, err := s.Restore(ctx, "main", trashOf(t, s)[0].ID); err != nil {
				t.Fatal(err)
			}
			if n := goes(); n != 0 {
				t.Error("what came back goes at once")
			}
			clock.advance(6 * 24 * time.Hour)
			if n := goes(); n != 0 {
				t.Error("what came back goes too early")
			}
			if got, err := s.Manifest(ctx, r.ID, m.Digest); err != nil || !got.PushedAt.Equal(pushed) {
				t.Errorf("pushed at %v, %v, want %v", got.PushedAt, err, pushed)
			}
		}
	})
}

// TestRestoreWhileTheTrashIsEmptied: one of the two is faster, and the other one says so.
func TestRestoreWhileTheTrashIsEmptied(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		var restored int
		for round := range 60 {
			index, image, signature := family(t, s, r.ID)
			for _, m := range []*registry.Manifest{signature, index, image} {
				if _, err := s.DeleteManifest(ctx, r.ID, m.Digest, thrown); err != nil {
					t.Fatal(err)
				}
			}
			// The blobs are kept for the trash alone.
			clock.advance(48 * time.Hour)
			if _, err := s.UnlinkUnreferenced(ctx, r.ID, clock.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
			id := trashOf(t, s)[0].ID // the image, and with it its signature
			var back, gone error
			var both sync.WaitGroup
			both.Go(func() { _, back = s.Restore(ctx, "main", id) })
			both.Go(func() { _, gone = s.EmptyTrash(ctx, "main", id, "bob") })
			both.Wait()
			for _, err := range []error{back, gone} {
				if err != nil && !errors.Is(err, registry.ErrNotInTrash) {
					t.Errorf("round %d: %v", round, err)
				}
			}
			if (back == nil) == (gone == nil) {
				t.Errorf("round %d: restored %v, emptied %v", round, back, gone)
			}
			_, err := s.Manifest(ctx, r.ID, image.Digest)
			if (err == nil) != (back == nil) {
				t.Errorf("round %d: restored %v, and then %v", round, back, err)
			}
			if back == nil {
				restored++
				for n := range 2 {
					if _, err := s.RepositoryBlob(ctx, r.ID, sha(n)); err != nil {
						t.Errorf("round %d: blob %d: %v", round, n, err)
					}
				}
			}
			if _, err := s.EmptyTrash(ctx, "main", 0, "bob"); err != nil {
				t.Fatal(err)
			}
			for _, m := range []*registry.Manifest{signature, image} {
				if _, err := s.DeleteManifest(ctx, r.ID, m.Digest, registry.Deletion{}); err != nil && !errors.Is(err, registry.ErrManifestUnknown) {
					t.Fatal(err)
				}
			}
		}
		t.Logf("%d of 60 were faster than who emptied the trash", restored)
	})
}

// TestTrashNumbers: the number of what left the trash is never another thing's.
func TestTrashNumbers(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		var former int64
		for _, name := range []string{"one", "two"} {
			m := mustManifest(t, s, r.ID, name, nil)
			if _, err := s.DeleteManifest(ctx, r.ID, m.Digest, thrown); err != nil {
				t.Fatal(err)
			}
			list := trashOf(t, s)
			if len(list) != 1 || list[0].ID <= former {
				t.Fatalf("got %+v after number %d", list, former)
			}
			if former != 0 {
				_, err := s.Restore(ctx, "main", former)
				wantErr(t, err, registry.ErrNotInTrash)
				_, err = s.EmptyTrash(ctx, "main", former, "bob")
				wantErr(t, err, registry.ErrNotInTrash)
			}
			former = list[0].ID
			if _, err := s.EmptyTrash(ctx, "main", 0, "bob"); err != nil {
				t.Fatal(err)
			}
		}
	})
}
