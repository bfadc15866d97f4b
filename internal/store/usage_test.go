package store_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/internal/usage"
)

// stored is a manifest of a random world, with what it refers to.
type stored struct {
	repository registry.Repository
	digest     string
	blobs      []int
	children   []string
	tags       []string
}

// world is what a database was filled with, and what sizes should come to.
type world struct {
	all   []stored
	sizes map[int]int64
}

func (w world) in(readable []string) (seen []stored) {
	for _, m := range w.all {
		if readable == nil || slices.Contains(readable, m.repository.Registry) {
			seen = append(seen, m)
		}
	}
	return seen
}

// blobsWhere are the blobs of the manifests for which a condition holds.
func blobsWhere(list []stored, holds func(stored) bool) map[int]bool {
	found := make(map[int]bool)
	for _, m := range list {
		if holds(m) {
			for _, b := range m.blobs {
				found[b] = true
			}
		}
	}
	return found
}

func (w world) sizesOf(blobs, elsewhere map[int]bool) (s usage.Sizes) {
	for b := range blobs {
		s.Total += w.sizes[b]
		if elsewhere[b] {
			s.Shared += w.sizes[b]
		}
	}
	return s
}

// below are the digests of an image or index and what it lists; without those for
// which a condition holds, nor what these list.
func below(list []stored, digest string, without func(string) bool) map[string]bool {
	found := map[string]bool{digest: true}
	for next := []string{digest}; len(next) > 0; next = next[1:] {
		for _, m := range list {
			if m.digest != next[0] {
				continue
			}
			for _, child := range m.children {
				if !found[child] && !without(child) {
					found[child] = true
					next = append(next, child)
				}
			}
		}
	}
	return found
}

func (w world) image(digest string, readable []string) usage.Sizes {
	seen := w.in(readable)
	tree := below(seen, digest, func(string) bool { return false })
	part := below(seen, digest, func(child string) bool {
		return slices.ContainsFunc(seen, func(m stored) bool {
			return m.digest == child && len(m.tags) > 0 || !tree[m.digest] && slices.Contains(m.children, child)
		})
	})
	return w.sizesOf(blobsWhere(seen, func(m stored) bool { return tree[m.digest] }), blobsWhere(seen, func(m stored) bool { return !part[m.digest] }))
}

// fillWorld pushes random images and indexes to some repositories.
func fillWorld(t *testing.T, s *store.Store, random *rand.Rand) (w world, repositories []registry.Repository) {
	t.Helper()
	w.sizes = make(map[int]int64)
	for b := range 30 {
		w.sizes[b] = 1 + random.Int64N(1000)
	}
	for _, name := range []string{"a", "b", "c"} {
		mustRegistry(t, s, name)
		for i := range 2 {
			repositories = append(repositories, mustRepository(t, s, name, fmt.Sprint("app", i)))
		}
	}
	for i := range 40 {
		r := repositories[random.IntN(len(repositories))]
		// The same content comes to several repositories.
		m := &registry.Manifest{Digest: sha(1000 + random.IntN(25)), MediaType: registry.MediaTypeImage, Content: []byte("{}")}
		at := stored{repository: r, digest: m.Digest}
		if slices.ContainsFunc(w.all, func(o stored) bool { return o.digest == m.Digest && o.repository == r }) {
			continue
		}
		if same := slices.IndexFunc(w.all, func(o stored) bool { return o.digest == m.Digest }); same >= 0 {
			at.blobs, at.children = w.all[same].blobs, w.all[same].children
		} else if random.IntN(3) == 0 {
			for _, o := range w.all {
				if o.repository == r && len(o.children) == 0 && random.IntN(2) == 0 {
					at.children = append(at.children, o.digest)
				}
			}
		}
		if len(at.children) == 0 && at.blobs == nil {
			for range 1 + random.IntN(4) {
				at.blobs = append(at.blobs, random.IntN(30))
			}
		}
		for _, b := range at.blobs {
			if err := s.LinkBlob(t.Context(), r.ID, sha(b), w.sizes[b]); err != nil {
				t.Fatal(err)
			}
			m.References = append(m.References, registry.Reference{Kind: registry.KindLayer, Digest: sha(b), Size: w.sizes[b]})
		}
		for _, child := range at.children {
			m.MediaType = registry.MediaTypeIndex
			m.References = append(m.References, registry.Reference{Kind: registry.KindManifest, Digest: child, Size: 2, Optional: true})
		}
		if random.IntN(2) == 0 {
			at.tags = []string{fmt.Sprint("t", i)}
		}
		if err := s.PutManifest(t.Context(), r.ID, m, at.tags); err != nil {
			t.Fatal(err)
		}
		w.all = append(w.all, at)
	}
	return w, repositories
}

// TestSizes: on random registries, sizes are what a look at all manifests says, for
// who may read all and for who may not.
func TestSizes(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx, random := t.Context(), rand.New(rand.NewPCG(3, 4))
		for round := range 8 {
			if round > 0 {
				for _, name := range []string{"a", "b", "c"} {
					if err := s.DeleteRegistry(ctx, name, true, "ann"); err != nil {
						t.Fatal(err)
					}
				}
			}
			w, repositories := fillWorld(t, s, random)
			check := func(what string, got usage.Usage, err error, want usage.Sizes) {
				t.Helper()
				if err != nil || got.Sizes != want || got.Own()+got.Shared != got.Total {
					t.Errorf("round %d: %s: %+v, %v, want %+v", round, what, got.Sizes, err, want)
				}
			}
			indexes := 0
			for _, readable := range [][]string{nil, {"a"}, {"a", "c"}} {
				seen := w.in(readable)
				for _, m := range seen {
					if len(m.children) > 0 {
						indexes++
					}
					u, places, err := s.ImageUsage(ctx, m.digest, readable)
					check(fmt.Sprint("image ", m, " for ", readable), u, err, w.image(m.digest, readable))
					at := 0
					for _, o := range seen {
						if o.digest == m.digest {
							at++
						}
					}
					if len(places) != at {
						t.Errorf("%s is at %d places for %v: %+v", m.digest, at, readable, places)
					}
				}
				for _, r := range repositories {
					if readable != nil && !slices.Contains(readable, r.Registry) {
						continue
					}
					here := func(m stored) bool { return m.repository == r }
					u, err := s.RepositoryUsage(ctx, r.ID, readable)
					check(r.String(), u, err, w.sizesOf(blobsWhere(seen, here), blobsWhere(seen, func(m stored) bool { return !here(m) })))
					inside := func(m stored) bool { return m.repository.RegistryID == r.RegistryID }
					u, err = s.RegistryUsage(ctx, r.RegistryID, readable)
					check(r.Registry, u, err, w.sizesOf(blobsWhere(seen, inside), blobsWhere(seen, func(m stored) bool { return !inside(m) })))
				}
			}
			if indexes == 0 {
				t.Error("there is no index")
			}
		}
		if u, places, err := s.ImageUsage(ctx, sha(7), nil); err != nil || len(places) > 0 || u != (usage.Usage{}) {
			t.Errorf("what is not there: %+v, %v, %v", u, places, err)
		}
	})
}

// TestSizesOfHundredThousand: among 100,000 images of one base, each answer is one
// of the thing that is asked for, or, of a registry, a look at each of its links.
func TestSizesOfHundredThousand(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		mustRegistry(t, s, "small")
		main, small := mustRepository(t, s, "main", "app"), mustRepository(t, s, "small", "app")
		const numbers = `with recursive n(i) as (select 1 union all select i + 1 from n where i < 100000) `
		digest := func(kind string) string { return `'sha256:` + kind + `' || i` }
		s.Exec(t,
			// A thousand repositories of a hundred images, each of which has a layer of its own and two of the base.
			`with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000) insert into repositories (id, registry_id, name, created_at) select 10000 + i, `+fmt.Sprint(main.RegistryID)+`, 'r' || i, 0 from n`,
			numbers+`insert into manifests (id, repository_id, digest, media_type, size, content, pushed_at) select 1000000 + i, 10001 + i % 1000, `+digest("m")+`, 'm', 1, '', 0 from n`,
			numbers+`insert into manifest_references (manifest_id, kind, position, digest) select 1000000 + i, 'layer', 0, `+digest("own")+` from n`,
			numbers+`insert into repository_blobs (repository_id, digest, size, linked_at) select 10001 + i % 1000, `+digest("own")+`, 10, 0 from n`,
			numbers+`insert into manifest_references (manifest_id, kind, position, digest) select 1000000 + i, 'layer', p.p, 'sha256:base' || p.p from n, (select 1 as p union select 2) p`,
			`insert into repository_blobs (repository_id, digest, size, linked_at) select r.id, 'sha256:base' || p.p, 1000, 0 from repositories r, (select 1 as p union select 2) p where r.id > 10000`,
			`insert into repository_blobs (repository_id, digest, size, linked_at) values (`+fmt.Sprint(small.ID)+`, 'sha256:base1', 1000, 0)`,
			`analyze`,
		)
		for _, tt := range []struct {
			what string
			ask  func(context.Context) (usage.Usage, error)
			want usage.Sizes
			most time.Duration
		}{
			{"image", func(ctx context.Context) (usage.Usage, error) {
				u, _, err := s.ImageUsage(ctx, "sha256:m500", nil)
				return u, err
			}, usage.Sizes{Total: 2010, Shared: 2000}, 250 * time.Millisecond},
			{"image for some", func(ctx context.Context) (usage.Usage, error) {
				u, _, err := s.ImageUsage(ctx, "sha256:m500", []string{"main"})
				return u, err
			}, usage.Sizes{Total: 2010, Shared: 2000}, 250 * time.Millisecond},
			{"repository", func(ctx context.Context) (usage.Usage, error) { return s.RepositoryUsage(ctx, 10001, nil) }, usage.Sizes{Total: 3000, Shared: 2000}, 250 * time.Millisecond},
			{"small registry", func(ctx context.Context) (usage.Usage, error) { return s.RegistryUsage(ctx, small.RegistryID, nil) }, usage.Sizes{Total: 1000, Shared: 1000}, 250 * time.Millisecond},
			{"registry", func(ctx context.Context) (usage.Usage, error) { return s.RegistryUsage(ctx, main.RegistryID, nil) }, usage.Sizes{Total: 1_002_000, Shared: 1000}, 10 * time.Second},
		} {
			began := time.Now()
			got, err := tt.ask(ctx)
			took := time.Since(began)
			t.Logf("%s: %v", tt.what, took)
			if err != nil || got.Sizes != tt.want {
				t.Errorf("%s: %+v, %v, want %+v", tt.what, got.Sizes, err, tt.want)
			}
			if took > tt.most {
				t.Errorf("%s took %v", tt.what, took)
			}
		}
	})
}
