package store_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

var registryClock = time.Date(2026, 11, 24, 4, 0, 0, 0, time.UTC)

func registryOptions() store.Options {
	return store.Options{Now: func() time.Time { return registryClock }}
}

func wantErr(t testing.TB, got error, wants ...error) {
	t.Helper()
	for _, want := range wants {
		if !errors.Is(got, want) {
			t.Errorf("got error %v, want %v", got, want)
		}
	}
}

func mustRegistry(t testing.TB, s *store.Store, name string) registry.Registry {
	t.Helper()
	r, err := s.CreateRegistry(t.Context(), registry.Registry{Name: name})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustRepository(t testing.TB, s *store.Store, registryName, name string) registry.Repository {
	t.Helper()
	r, err := s.EnsureRepository(t.Context(), registryName, name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRegistries(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		created, err := s.CreateRegistry(ctx, registry.Registry{Name: "main", Description: "first", AnonymousPull: true})
		want := registry.Registry{ID: created.ID, Name: "main", Description: "first", AnonymousPull: true, Policy: "{}", AttachSBOM: registry.NoBill, CreatedAt: registryClock, HonourVEX: true, Rules: registry.Rules{ImmutableTags: []string{}}}
		if diff := cmp.Diff(want, created); err != nil || diff != "" {
			t.Fatalf("%v (-want +got) %s", err, diff)
		}
		if got, err := s.Registry(ctx, "main"); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v", got, err)
		}
		_, err = s.CreateRegistry(ctx, registry.Registry{Name: "main"})
		wantErr(t, err, registry.ErrRegistryExists, store.ErrConflict)
		for _, name := range []string{"", "_auth", "_catalog", "Main", "a/b", "..", "a\x00", "a\nb"} {
			_, err := s.CreateRegistry(ctx, registry.Registry{Name: name})
			wantErr(t, err, registry.ErrNameInvalid)
		}
		_, err = s.Registry(ctx, "other")
		wantErr(t, err, registry.ErrRegistryUnknown, store.ErrNotFound)

		closed := false
		changed, err := s.UpdateRegistry(ctx, "main", registry.Change{AnonymousPull: &closed, HonourVEX: &closed})
		want.AnonymousPull, want.HonourVEX = false, false
		if err != nil || !reflect.DeepEqual(changed, want) {
			t.Errorf("got %+v, %v, want %+v", changed, err, want)
		}
		description := ""
		if changed, err = s.UpdateRegistry(ctx, "main", registry.Change{Description: &description}); err != nil || changed.Description != "" || changed.AnonymousPull {
			t.Errorf("got %+v, %v", changed, err)
		}
		_, err = s.UpdateRegistry(ctx, "main", registry.Change{Description: &description, Tag: created.Tag()})
		wantErr(t, err, registry.ErrChanged)
		if _, err = s.UpdateRegistry(ctx, "main", registry.Change{Description: &description, Tag: changed.Tag()}); err != nil {
			t.Error(err)
		}
		_, err = s.UpdateRegistry(ctx, "other", registry.Change{AnonymousPull: &closed})
		wantErr(t, err, registry.ErrRegistryUnknown)

		for i := range 5 {
			mustRegistry(t, s, fmt.Sprintf("r%d", i))
		}
		var names []string
		for after := ""; ; {
			page, err := s.Registries(ctx, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page {
				names = append(names, r.Name)
			}
			if len(page) < 2 {
				break
			}
			after = page[1].Name
		}
		if diff := cmp.Diff([]string{"main", "r0", "r1", "r2", "r3", "r4"}, names); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDeleteRegistry(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		mustRegistry(t, s, "empty")
		r := mustRepository(t, s, "main", "app")
		m := mustManifest(t, s, r.ID, "one", nil, "latest")
		wantErr(t, s.DeleteRegistry(ctx, "main", false, "ann"), registry.ErrNotEmpty, store.ErrConflict)
		if _, err := s.Manifest(ctx, r.ID, m.Digest); err != nil {
			t.Errorf("a refused deletion deleted: %v", err)
		}
		if err := s.DeleteRegistry(ctx, "empty", false, "ann"); err != nil {
			t.Error(err)
		}
		s.Exec(t, `insert into vulnerabilities (id, name, first_seen) values (1, 'CVE-2026-0001', 0)`,
			`insert into assessment_types (id, name, color, blocks, position) values (1, 'Ignore', '#000', false, 0)`,
			`insert into assessments (id, vulnerability_id, type_id, scope_kind, scope_value, author, created_at) values
				(1, 1, 1, 'repository', 'main/app', 'ann', 0), (2, 1, 1, 'registry', 'main', 'ann', 0), (3, 1, 1, 'registry', 'mainly', 'ann', 0)`)
		if err := s.DeleteRepository(ctx, "main", "app", registry.Deletion{By: "bob"}); err != nil {
			t.Error(err)
		}
		wantErr(t, s.DeleteRepository(ctx, "main", "app", registry.Deletion{By: "bob"}), registry.ErrRepositoryUnknown)
		wantErr(t, s.DeleteRepository(ctx, "empty", "app", registry.Deletion{By: "bob"}), registry.ErrRegistryUnknown)
		_, err := s.Manifest(ctx, r.ID, m.Digest)
		wantErr(t, err, registry.ErrManifestUnknown)
		mustRepository(t, s, "main", "app2")
		if err := s.DeleteRegistry(ctx, "main", true, "bob"); err != nil {
			t.Error(err)
		}
		wantErr(t, s.DeleteRegistry(ctx, "main", true, "bob"), registry.ErrRegistryUnknown)
		for id, ended := range map[int64]bool{1: true, 2: true, 3: false} {
			a, err := s.Assessment(ctx, id)
			if err != nil || (a.EndedReason == assess.ScopeDeleted) != ended || ended && a.EndedBy != "bob" {
				t.Errorf("assessment %d: got %+v, %v, want ended: %v", id, a, err, ended)
			}
		}
		_, err = s.EnsureRepository(ctx, "main", "app")
		wantErr(t, err, registry.ErrRegistryUnknown)
	})
}

func TestRepositories(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		_, err := s.Repository(ctx, "main", "app")
		wantErr(t, err, registry.ErrRegistryUnknown, store.ErrNotFound)
		one := mustRegistry(t, s, "main")
		_, err = s.Repository(ctx, "main", "app")
		wantErr(t, err, registry.ErrRepositoryUnknown, store.ErrNotFound)
		r := mustRepository(t, s, "main", "team/app")
		want := registry.Repository{ID: r.ID, RegistryID: one.ID, Registry: "main", Name: "team/app", CreatedAt: registryClock}
		if r != want || r.String() != "main/team/app" {
			t.Errorf("got %+v, want %+v", r, want)
		}
		if again := mustRepository(t, s, "main", "team/app"); again != r {
			t.Errorf("got %+v, want %+v", again, r)
		}
		for _, name := range []string{"", "..", "a/../b", "A", "a\x00b", "a b", "a//b", "/a", "a\n"} {
			_, err := s.EnsureRepository(ctx, "main", name)
			wantErr(t, err, registry.ErrNameInvalid)
		}
		_, err = s.Repositories(ctx, "other", "", 10)
		wantErr(t, err, registry.ErrRegistryUnknown)
	})
}

func TestCatalog(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		var want []string
		for _, name := range []string{"a", "a-b", "b"} {
			mustRegistry(t, s, name)
			for _, repository := range []string{"app", "empty", "team/app", "zoo"} {
				r := mustRepository(t, s, name, repository)
				if repository != "empty" {
					mustManifest(t, s, r.ID, repository, nil)
					want = append(want, r.String())
				}
			}
		}
		mustRegistry(t, s, "nothing")
		for limit := 1; limit <= len(want)+1; limit++ {
			var got []string
			for after := ""; ; {
				page, err := s.Catalog(ctx, after, limit)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range page {
					got = append(got, r.String())
					after = r.String()
				}
				if len(page) < limit {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("limit %d: %s", limit, diff)
			}
		}
	})
}

func TestConcurrentEnsureAndDelete(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		for range 10 {
			mustRegistry(t, s, "main")
			done := make(chan error)
			for range 4 {
				go func() {
					_, err := s.EnsureRepository(context.Background(), "main", "app")
					done <- err
				}()
			}
			go func() { done <- s.DeleteRegistry(context.Background(), "main", false, "ann") }()
			deleted, made := false, false
			for range 5 {
				switch err := <-done; {
				case err == nil, errors.Is(err, registry.ErrRegistryUnknown), errors.Is(err, registry.ErrNotEmpty):
				default:
					t.Error(err)
				}
			}
			_, err := s.Registry(t.Context(), "main")
			deleted = errors.Is(err, registry.ErrRegistryUnknown)
			_, err = s.Repository(t.Context(), "main", "app")
			made = err == nil
			if deleted == made {
				t.Errorf("registry deleted: %v, repository there: %v", deleted, made)
			}
			if !deleted {
				if err := s.DeleteRegistry(t.Context(), "main", true, "ann"); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}
