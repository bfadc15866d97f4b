package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestBlobLinks(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		one, two := mustRepository(t, s, "main", "one"), mustRepository(t, s, "main", "two")
		for range 2 {
			if err := s.LinkBlob(ctx, one.ID, sha(1), 10); err != nil {
				t.Fatal(err)
			}
		}
		if size, err := s.RepositoryBlob(ctx, one.ID, sha(1)); err != nil || size != 10 {
			t.Errorf("got %d, %v", size, err)
		}
		_, err := s.RepositoryBlob(ctx, two.ID, sha(1))
		wantErr(t, err, registry.ErrBlobUnknown, store.ErrNotFound)
		_, err = s.MountBlob(ctx, two.ID, one.ID, sha(1))
		wantErr(t, err, registry.ErrBlobUnknown)
		for range 2 {
			if size, err := s.MountBlob(ctx, one.ID, two.ID, sha(1)); err != nil || size != 10 {
				t.Errorf("got %d, %v", size, err)
			}
		}
		where, err := s.BlobRepositories(ctx, sha(1), 10)
		if err != nil || len(where) != 2 {
			t.Errorf("got %v, %v", where, err)
		}
		if where, err = s.BlobRepositories(ctx, sha(1), 1); err != nil || len(where) != 1 {
			t.Errorf("got %v, %v", where, err)
		}
		wantErr(t, s.LinkBlob(ctx, 999, sha(1), 10), registry.ErrRepositoryUnknown)
		_, err = s.MountBlob(ctx, one.ID, 999, sha(1))
		wantErr(t, err, registry.ErrRepositoryUnknown)
		wantErr(t, s.UnlinkBlob(ctx, 999, sha(1)), registry.ErrRepositoryUnknown)

		m := mustManifest(t, s, one.ID, "m", []registry.Reference{{Kind: registry.KindLayer, Digest: sha(1), Size: 10}})
		err = s.UnlinkBlob(ctx, one.ID, sha(1))
		if diff := cmp.Diff("unlink blob "+sha(1)+": blob "+sha(1)+" is used by manifest "+m.Digest, err.Error()); diff != "" {
			t.Error(diff)
		}
		if err := s.UnlinkBlob(ctx, two.ID, sha(1)); err != nil {
			t.Error(err)
		}
		wantErr(t, s.UnlinkBlob(ctx, two.ID, sha(1)), registry.ErrBlobUnknown)
		if _, err := s.DeleteManifest(ctx, one.ID, m.Digest, registry.Deletion{}); err != nil {
			t.Error(err)
		}
		if err := s.UnlinkBlob(ctx, one.ID, sha(1)); err != nil {
			t.Error(err)
		}
	})
}

func TestUploads(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		want := registry.Upload{ID: "a", RepositoryID: r.ID, StartedAt: registryClock}
		for _, id := range []string{"a", "b", "c"} {
			if err := s.CreateUpload(ctx, id, r.ID); err != nil {
				t.Fatal(err)
			}
		}
		wantErr(t, s.CreateUpload(ctx, "d", 999), registry.ErrRepositoryUnknown)
		if got, err := s.Upload(ctx, "a"); err != nil || got != want {
			t.Errorf("got %+v, %v", got, err)
		}
		_, err := s.Upload(ctx, "z")
		wantErr(t, err, registry.ErrUploadUnknown, store.ErrNotFound)
		if got, err := s.Uploads(ctx, registryClock, "", 10); err != nil || len(got) != 0 {
			t.Errorf("got %v, %v", got, err)
		}
		got, err := s.Uploads(ctx, registryClock.Add(time.Second), "a", 10)
		if err != nil || len(got) != 2 || got[0].ID != "b" || got[1].ID != "c" {
			t.Errorf("got %v, %v", got, err)
		}
		if err := s.FinishUpload(ctx, want, sha(1), 5); err != nil {
			t.Error(err)
		}
		_, err = s.Upload(ctx, "a")
		wantErr(t, err, registry.ErrUploadUnknown)
		if size, err := s.RepositoryBlob(ctx, r.ID, sha(1)); err != nil || size != 5 {
			t.Errorf("got %d, %v", size, err)
		}
		if err := s.DeleteUpload(ctx, "b"); err != nil {
			t.Error(err)
		}
		wantErr(t, s.DeleteUpload(ctx, "b"), registry.ErrUploadUnknown)
		if err := s.DeleteRepository(ctx, "main", "app", registry.Deletion{By: "ann"}); err != nil {
			t.Error(err)
		}
		_, err = s.Upload(ctx, "c")
		wantErr(t, err, registry.ErrUploadUnknown)
		wantErr(t, s.FinishUpload(ctx, registry.Upload{ID: "c", RepositoryID: r.ID}, sha(1), 5), registry.ErrRepositoryUnknown)
	})
}
