package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// manifest is one whose content says name only; the store does not read it.
func manifest(name string, references ...registry.Reference) *registry.Manifest {
	return &registry.Manifest{
		Digest: blob.SHA256.Of([]byte(name)), MediaType: registry.MediaTypeImage, ArtifactType: "x/config",
		Content: []byte(name), References: references, PushedBy: "ann",
	}
}

func mustManifest(t testing.TB, s *store.Store, repositoryID int64, name string, references []registry.Reference, tags ...string) *registry.Manifest {
	t.Helper()
	m := manifest(name, references...)
	if err := s.PutManifest(t.Context(), repositoryID, m, tags); err != nil {
		t.Fatal(err)
	}
	return m
}

func sha(i int) string { return fmt.Sprintf("sha256:%064x", i) }

func TestManifests(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r, other := mustRepository(t, s, "main", "app"), mustRepository(t, s, "main", "other")
		m := manifest("one")
		m.Subject, m.Annotations = sha(1), map[string]string{"a": "b"}
		if err := s.PutManifest(ctx, r.ID, m, []string{"latest", "1"}); err != nil {
			t.Fatal(err)
		}
		want := *m
		want.PushedAt = registryClock
		for _, load := range []func() (*registry.Manifest, error){
			func() (*registry.Manifest, error) { return s.Manifest(ctx, r.ID, m.Digest) },
			func() (*registry.Manifest, error) { return s.TaggedManifest(ctx, r.ID, "latest") },
			func() (*registry.Manifest, error) { return s.TaggedManifest(ctx, r.ID, "1") },
		} {
			got, err := load()
			if diff := cmp.Diff(&want, got); err != nil || diff != "" {
				t.Errorf("%v (-want +got) %s", err, diff)
			}
		}
		if got, err := s.Repository(ctx, "main", "app"); err != nil || !got.UpdatedAt.Equal(registryClock) {
			t.Errorf("got %+v, %v", got, err)
		}
		for _, id := range []int64{other.ID, 999} {
			_, err := s.Manifest(ctx, id, m.Digest)
			wantErr(t, err, registry.ErrManifestUnknown, store.ErrNotFound)
			_, err = s.TaggedManifest(ctx, id, "latest")
			wantErr(t, err, registry.ErrManifestUnknown)
			_, _, err = s.ResolveManifest(ctx, id, "latest")
			wantErr(t, err, registry.ErrManifestUnknown)
		}
		wantErr(t, s.PutManifest(ctx, 999, manifest("x"), nil), registry.ErrRepositoryUnknown)

		again := manifest("one")
		again.MediaType, again.PushedBy = registry.MediaTypeDockerImage, "bob"
		if err := s.PutManifest(ctx, r.ID, again, nil); err != nil || again.ID != m.ID || again.PushedBy != "ann" {
			t.Errorf("got %+v, %v", again, err)
		}
		if digest, mediaType, err := s.ResolveManifest(ctx, r.ID, "latest"); err != nil || digest != m.Digest || mediaType != registry.MediaTypeDockerImage {
			t.Errorf("got %s, %s, %v", digest, mediaType, err)
		}
		if digest, _, err := s.ResolveManifest(ctx, r.ID, m.Digest); err != nil || digest != m.Digest {
			t.Errorf("got %s, %v", digest, err)
		}

		two := mustManifest(t, s, r.ID, "two", nil, "latest")
		if got, err := s.TaggedManifest(ctx, r.ID, "latest"); err != nil || got.Digest != two.Digest {
			t.Errorf("got %+v, %v", got, err)
		}
		if err := s.DeleteTag(ctx, r.ID, "latest", registry.Deletion{}); err != nil {
			t.Error(err)
		}
		wantErr(t, s.DeleteTag(ctx, r.ID, "latest", registry.Deletion{}), registry.ErrManifestUnknown)
		if _, err := s.Manifest(ctx, r.ID, two.Digest); err != nil {
			t.Errorf("the manifest went with its tag: %v", err)
		}
		if tags, err := s.DeleteManifest(ctx, r.ID, m.Digest, registry.Deletion{}); err != nil || !cmp.Equal(tags, []string{"1"}) {
			t.Errorf("got %v, %v", tags, err)
		}
		_, err := s.DeleteManifest(ctx, r.ID, m.Digest, registry.Deletion{})
		wantErr(t, err, registry.ErrManifestUnknown)
		if tags, err := s.Tags(ctx, r.ID, "", 10); err != nil || len(tags) != 0 {
			t.Errorf("got %v, %v", tags, err)
		}
	})
}

func TestPutManifestChecksReferences(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r, other := mustRepository(t, s, "main", "app"), mustRepository(t, s, "main", "other")
		for i := range 1200 {
			if i%2 == 0 || i > 1000 {
				continue
			}
			if err := s.LinkBlob(ctx, r.ID, sha(i), int64(i)); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.LinkBlob(ctx, other.ID, sha(2), 2); err != nil {
			t.Fatal(err)
		}
		child := mustManifest(t, s, r.ID, "child", nil)
		elsewhere := mustManifest(t, s, other.ID, "elsewhere", nil)
		ref := func(kind registry.Kind, digest string, size int64, optional bool) registry.Reference {
			return registry.Reference{Kind: kind, Digest: digest, Size: size, Optional: optional}
		}
		many := make([]registry.Reference, 1200)
		for i := range many {
			many[i] = ref(registry.KindLayer, sha(i), int64(i), false)
		}
		for _, tt := range []struct {
			name  string
			refs  []registry.Reference
			lack  int
			sizes []int64
		}{
			{"all there, twice", []registry.Reference{ref(registry.KindConfig, sha(1), 1, false), ref(registry.KindLayer, sha(3), 3, false), ref(registry.KindLayer, sha(3), 3, false)}, 0, nil},
			{"blob of another repository", []registry.Reference{ref(registry.KindLayer, sha(2), 2, false)}, 1, []int64{-1}},
			{"blob of another size", []registry.Reference{ref(registry.KindLayer, sha(1), 7, false)}, 1, []int64{1}},
			{"optional", []registry.Reference{ref(registry.KindLayer, sha(2), 2, true)}, 0, nil},
			{"optional of another size", []registry.Reference{ref(registry.KindLayer, sha(1), 7, true)}, 1, []int64{1}},
			{"manifest", []registry.Reference{ref(registry.KindManifest, child.Digest, 5, false)}, 0, nil},
			{"manifest of another repository", []registry.Reference{ref(registry.KindManifest, elsewhere.Digest, 9, false)}, 1, []int64{-1}},
			{"blob as manifest", []registry.Reference{ref(registry.KindManifest, sha(1), 1, false)}, 1, []int64{-1}},
			{"manifest as blob", []registry.Reference{ref(registry.KindLayer, child.Digest, 5, false)}, 1, []int64{-1}},
			{"many", many, 700, nil},
		} {
			t.Run(tt.name, func(t *testing.T) {
				m := manifest(tt.name, tt.refs...)
				err := s.PutManifest(ctx, r.ID, m, []string{"t"})
				if tt.lack == 0 {
					if err != nil {
						t.Error(err)
					}
					return
				}
				var lack *registry.MissingError
				if !errors.As(err, &lack) || len(lack.References) != tt.lack || tt.sizes != nil && !cmp.Equal(lack.Sizes, tt.sizes) {
					t.Fatalf("got %v", err)
				}
				if _, err := s.Manifest(ctx, r.ID, m.Digest); !errors.Is(err, registry.ErrManifestUnknown) {
					t.Errorf("it was stored: %v", err)
				}
			})
		}
	})
}

func TestReferrers(t *testing.T) {
	storetest.Each(t, registryOptions(), func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		for i := range 7 {
			m := manifest(fmt.Sprint(i))
			m.Digest, m.Subject, m.ArtifactType = sha(i), sha(100), fmt.Sprintf("x/%d", i%2)
			m.Annotations = map[string]string{"k": strings.Repeat("v", 92)} // 100 bytes as JSON
			if err := s.PutManifest(ctx, r.ID, m, nil); err != nil {
				t.Fatal(err)
			}
		}
		for _, tt := range []struct {
			name, artifactType, after string
			limit, bytes              int
			want                      []int
			more                      bool
		}{
			{"all", "", "", 10, 1000, []int{0, 1, 2, 3, 4, 5, 6}, false},
			{"as many as the limit", "", "", 7, 1000, []int{0, 1, 2, 3, 4, 5, 6}, false},
			{"limit", "", "", 6, 1000, []int{0, 1, 2, 3, 4, 5}, true},
			{"after", "", sha(4), 6, 1000, []int{5, 6}, false},
			{"bytes", "", "", 10, 250, []int{0, 1}, true},
			{"at least one", "", "", 10, 1, []int{0}, true},
			{"filter", "x/1", "", 10, 1000, []int{1, 3, 5}, false},
			{"filter and limit", "x/0", sha(0), 2, 1000, []int{2, 4}, true},
			{"filter without a match", "y", "", 10, 1000, nil, false},
		} {
			t.Run(tt.name, func(t *testing.T) {
				got, more, err := s.Referrers(ctx, r.ID, sha(100), tt.artifactType, tt.after, tt.limit, tt.bytes)
				if err != nil || more != tt.more || len(got) != len(tt.want) {
					t.Fatalf("got %d, %v, %v", len(got), more, err)
				}
				for i, n := range tt.want {
					want := registry.Referrer{
						Digest: sha(n), MediaType: registry.MediaTypeImage, ArtifactType: fmt.Sprintf("x/%d", n%2), Size: 1,
						Annotations: map[string]string{"k": strings.Repeat("v", 92)},
					}
					if diff := cmp.Diff(want, got[i]); diff != "" {
						t.Error(diff)
					}
				}
			})
		}
		if got, more, err := s.Referrers(ctx, r.ID, sha(0), "", "", 10, 1000); err != nil || more || len(got) != 0 {
			t.Errorf("got %v, %v, %v", got, more, err)
		}
	})
}

// Whatever comes first, no manifest may be left that refers to a blob which is not there.
func TestDeletingABlobRacesAPush(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		for i := range 20 {
			if err := s.LinkBlob(t.Context(), r.ID, sha(i), 1); err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			var pushed, deleted error
			wg.Go(func() {
				pushed = s.PutManifest(context.Background(), r.ID, manifest(fmt.Sprint(i), registry.Reference{Kind: registry.KindLayer, Digest: sha(i), Size: 1}), nil)
			})
			wg.Go(func() { deleted = s.UnlinkBlob(context.Background(), r.ID, sha(i)) })
			wg.Wait()
			var lack *registry.MissingError
			var used *registry.InUseError
			switch {
			case pushed == nil && errors.As(deleted, &used):
			case deleted == nil && errors.As(pushed, &lack):
			default:
				t.Errorf("push: %v; delete: %v", pushed, deleted)
			}
		}
	})
}

func TestRacingPushesOfOneManifest(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for i := range 10 {
					if err := s.PutManifest(context.Background(), r.ID, manifest(fmt.Sprint(i)), []string{"latest"}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if tags, err := s.Tags(t.Context(), r.ID, "", 10); err != nil || len(tags) != 1 {
			t.Errorf("got %v, %v", tags, err)
		}
	})
}

func TestListsOfHundredThousand(t *testing.T) {
	const rows, page = 100_000, 1000
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		const numbers = `with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) `
		filled := func(format string, args ...any) string { return numbers + fmt.Sprintf(format, args...) }
		s.Exec(t,
			filled(`insert into tags (repository_id, name, digest, updated_at) select %d, 't' || i, 'd', 0 from n`, r.ID),
			filled(`insert into repositories (registry_id, name, created_at) select %d, 'r' || i, 0 from n`, r.RegistryID),
			filled(`insert into manifests (repository_id, digest, media_type, subject, size, content, pushed_at) select %d, 'sha256:' || i, 'm', 's', 1, '', 0 from n`, r.ID),
			filled(`insert into manifests (repository_id, digest, media_type, size, content, pushed_at)
				select id, 'd', 'm', 1, '', 0 from repositories where name <> 'app' and (select count(*) from n) > 0`),
			filled(`insert into uploads (id, repository_id, started_at) select 'u' || i, %d, 0 from n`, r.ID),
			filled(`insert into registries (name, created_at) select 'x' || i, 0 from n`),
			`analyze`,
		)
		for _, tt := range []struct {
			name string
			want int
			next func(after string) (names []string, err error)
		}{
			{"tags", rows, func(after string) (names []string, err error) {
				tags, err := s.Tags(ctx, r.ID, after, page)
				for _, tag := range tags {
					names = append(names, tag.Name)
				}
				return names, err
			}},
			{"repositories", rows + 1, func(after string) (names []string, err error) {
				all, err := s.Repositories(ctx, "main", after, page)
				for _, r := range all {
					names = append(names, r.Name)
				}
				return names, err
			}},
			{"catalog", rows + 1, func(after string) (names []string, err error) {
				all, err := s.Catalog(ctx, after, page)
				for _, r := range all {
					names = append(names, r.String())
				}
				return names, err
			}},
			{"registries", rows + 1, func(after string) (names []string, err error) {
				all, err := s.Registries(ctx, after, page)
				for _, r := range all {
					names = append(names, r.Name)
				}
				return names, err
			}},
			{"referrers", rows, func(after string) (names []string, err error) {
				all, _, err := s.Referrers(ctx, r.ID, "s", "", after, page, 1<<20)
				for _, r := range all {
					names = append(names, r.Digest)
				}
				return names, err
			}},
			{"uploads", rows, func(after string) (names []string, err error) {
				all, err := s.Uploads(ctx, time.Now(), after, page)
				for _, u := range all {
					names = append(names, u.ID)
				}
				return names, err
			}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				began, seen, last := time.Now(), 0, ""
				for {
					names, err := tt.next(last)
					if err != nil {
						t.Fatal(err)
					}
					for _, name := range names {
						if name <= last {
							t.Fatalf("%q comes after %q", name, last)
						}
						last = name
						seen++
					}
					if len(names) < page {
						break
					}
				}
				if seen != tt.want {
					t.Errorf("got %d, want %d", seen, tt.want)
				}
				t.Logf("%d in pages of %d: %v", seen, page, time.Since(began))
			})
		}
	})
}
