package retention_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/retention"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/internal/usage"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

// everything is what a registry holds, as plans word it.
func everything(t *testing.T, s *store.Store, repositories []registry.Repository) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	for _, r := range repositories {
		held, err := s.Held(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range held.Manifests {
			all[r.Name+" "+m.Digest+" "] = true
			for _, tag := range m.Tags {
				all[r.Name+" "+m.Digest+" "+tag.Name] = true
			}
		}
	}
	return all
}

// TestPreviewIsWhatIsDeleted: on random registries, what is previewed is what is gone
// afterwards, to the last tag, and nothing else.
func TestPreviewIsWhatIsDeleted(t *testing.T) {
	clock := now
	storetest.Each(t, store.Options{Now: func() time.Time { return clock }}, func(t *testing.T, s *store.Store) {
		ctx, random := t.Context(), rand.New(rand.NewPCG(7, 8))
		service := retention.New(s, func() time.Time { return clock })
		for round := range 12 {
			name := fmt.Sprintf("r%d", round)
			rules := registry.Rules{VersionTags: round%3 == 0}
			if round%4 == 0 {
				rules.ImmutableTags = []string{"stable-*"}
			}
			if _, err := s.CreateRegistry(ctx, registry.Registry{Name: name, Rules: rules}); err != nil {
				t.Fatal(err)
			}
			clock = now.AddDate(0, 0, -60)
			var repositories []registry.Repository
			for i := range 1 + random.IntN(3) {
				r, err := s.EnsureRepository(ctx, name, fmt.Sprintf("app-%d", i))
				if err != nil {
					t.Fatal(err)
				}
				repositories = append(repositories, r)
				fillRepository(t, s, r, random, &clock)
			}
			clock = now
			wanted := retention.Rules{Enabled: true, KeepLast: 1 + random.IntN(3), KeepDays: random.IntN(2) * 20, UnpulledDays: random.IntN(2) * 10, UntaggedDays: random.IntN(2) * 10}
			if round%5 == 1 {
				wanted.KeepLast, wanted.KeepDays, wanted.UnpulledDays = 0, 0, 15 // only what is pulled stays
			}
			if err := service.Change(ctx, name, "", wanted); err != nil {
				t.Fatal(err)
			}
			preview, err := service.Preview(ctx, name, nil)
			if err != nil {
				t.Fatal(err)
			}
			before := everything(t, s, repositories)
			run := func() {
				if err := service.Run(ctx, func(retention.Outcome) error { return nil }); err != nil {
					t.Fatal(err)
				}
			}
			run()
			if preview.Held {
				if after := everything(t, s, repositories); !maps.Equal(before, after) {
					t.Fatalf("%d of %d would go, and it was done unasked", len(preview.Plan), len(before))
				}
				if err := service.Confirm(ctx, name, preview.Identity); err != nil {
					t.Fatal(err)
				}
				run()
			}
			want := maps.Clone(before)
			for _, d := range preview.Plan {
				delete(want, d.Repository+" "+d.Digest+" "+d.Tag)
			}
			// Tags that follow versions have gone where these went.
			follows := func(key string) bool {
				tag := key[strings.LastIndexByte(key, ' ')+1:]
				return rules.VersionTags && (tag == "latest" || strings.Count(tag, ".") < 2 && strings.HasPrefix(tag, "1"))
			}
			drop := func(m map[string]bool) map[string]bool {
				maps.DeleteFunc(m, func(key string, _ bool) bool { return follows(key) })
				return m
			}
			if after := everything(t, s, repositories); !maps.Equal(drop(want), drop(after)) {
				t.Fatalf("round %d, %+v: left %v, want %v", round, wanted, slices.Sorted(maps.Keys(after)), slices.Sorted(maps.Keys(want)))
			}
		}
	})
}

func fillRepository(t *testing.T, s *store.Store, r registry.Repository, random *rand.Rand, clock *time.Time) {
	t.Helper()
	var digests []string
	for i := range 3 + random.IntN(12) {
		*clock = clock.Add(time.Duration(1+random.IntN(72)) * time.Hour)
		content := fmt.Sprintf("%s %d", r, i)
		m := &registry.Manifest{Digest: blob.SHA256.Of([]byte(content)), MediaType: registry.MediaTypeImage, Content: []byte(content)}
		if i > 0 && random.IntN(3) == 0 {
			m.MediaType = registry.MediaTypeIndex
			child := digests[random.IntN(len(digests))]
			m.References = []registry.Reference{{Kind: registry.KindManifest, MediaType: registry.MediaTypeImage, Digest: child, Optional: true}}
			held, err := s.Manifest(t.Context(), r.ID, child)
			if err != nil {
				t.Fatal(err)
			}
			m.References[0].Size = int64(len(held.Content))
		}
		if i > 0 && random.IntN(4) == 0 {
			m.Subject = digests[random.IntN(len(digests))]
		}
		var tags []string
		switch random.IntN(4) {
		case 0:
			tags = []string{fmt.Sprintf("1.%d.0", i)}
		case 1:
			tags = []string{fmt.Sprintf("build-%d", i), fmt.Sprintf("stable-%d", i)}
		case 2:
			tags = []string{"edge"}
		}
		if err := s.PutManifest(t.Context(), r.ID, m, tags); err != nil {
			t.Fatal(err)
		}
		digests = append(digests, m.Digest)
		if random.IntN(2) == 0 {
			pull := usage.Pull{RepositoryID: r.ID, Digest: digests[random.IntN(len(digests))]}
			if len(tags) > 0 && random.IntN(2) == 0 {
				pull.Digest, pull.Tag = m.Digest, tags[0]
			}
			at := now.Add(-time.Duration(random.IntN(40*24)) * time.Hour)
			if err := s.AddPulls(t.Context(), []usage.Pulled{{Pull: pull, Figures: usage.Figures{Pulls: 1, LastPull: at}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestAPullWhileItRuns: a tag that is pulled after the plan was made stays.
func TestAPullWhileItRuns(t *testing.T) {
	clock := now
	storetest.Each(t, store.Options{Now: func() time.Time { return clock }}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		if _, err := s.CreateRegistry(ctx, registry.Registry{Name: "main"}); err != nil {
			t.Fatal(err)
		}
		r, err := s.EnsureRepository(ctx, "main", "app")
		if err != nil {
			t.Fatal(err)
		}
		clock = now.AddDate(0, 0, -100)
		var digests []string
		for _, tag := range []string{"unused", "used", "pulled", "by-digest"} {
			m := &registry.Manifest{Digest: blob.SHA256.Of([]byte(tag)), MediaType: registry.MediaTypeImage, Content: []byte(tag)}
			if err := s.PutManifest(ctx, r.ID, m, []string{tag}); err != nil {
				t.Fatal(err)
			}
			digests = append(digests, m.Digest)
		}
		pull := func(i int, tag string, days int) {
			t.Helper()
			if err := s.AddPulls(ctx, []usage.Pulled{{Pull: usage.Pull{RepositoryID: r.ID, Digest: digests[i], Tag: tag}, Figures: usage.Figures{Pulls: 1, LastPull: ago(days)}}}); err != nil {
				t.Fatal(err)
			}
		}
		pull(0, "unused", 50)
		pull(1, "used", 10)
		clock = now
		service := retention.New(s, func() time.Time { return clock })
		if err := service.Change(ctx, "main", "", retention.Rules{Enabled: true, UnpulledDays: 30}); err != nil {
			t.Fatal(err)
		}
		preview, err := service.Preview(ctx, "main", nil)
		if err != nil || words(preview.Plan) != fmt.Sprintf("by-digest pulled unused [%s] [%s] [%s]", digests[0], digests[2], digests[3]) || preview.Plan[0].Reason != "it was not pulled for more than 30 days" {
			t.Fatalf("%+v, %v", preview.Plan, err)
		}
		approved := make(map[retention.Deletion]bool)
		for _, d := range preview.Plan {
			approved[retention.Deletion{Repository: d.Repository, Digest: d.Digest, Tag: d.Tag}] = true
		}
		pull(2, "pulled", 0)
		pull(3, "", 0)
		rules := retention.Rules{UnpulledDays: 30}
		done, err := s.Retain(ctx, r.ID, func(held retention.Repository) []retention.Deletion {
			return rules.Plan(held, registry.Rules{}, nil, clock)
		}, approved, registry.Deletion{By: "retention"})
		if err != nil || words(done) != "unused ["+digests[0]+"]" {
			t.Errorf("%+v, %v", done, err)
		}
	})
}

// TestAPushWhileItRuns: a tag that was set again after the plan was made stays.
func TestAPushWhileItRuns(t *testing.T) {
	clock := now
	storetest.Each(t, store.Options{Now: func() time.Time { return clock }}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		if _, err := s.CreateRegistry(ctx, registry.Registry{Name: "main"}); err != nil {
			t.Fatal(err)
		}
		r, err := s.EnsureRepository(ctx, "main", "app")
		if err != nil {
			t.Fatal(err)
		}
		put := func(content string, tags ...string) string {
			m := &registry.Manifest{Digest: blob.SHA256.Of([]byte(content)), MediaType: registry.MediaTypeImage, Content: []byte(content)}
			if err := s.PutManifest(ctx, r.ID, m, tags); err != nil {
				t.Fatal(err)
			}
			return m.Digest
		}
		clock = now.AddDate(0, 0, -40)
		old, older := put("old", "a"), put("older", "b")
		clock = now
		rules := retention.Rules{KeepDays: 30}
		plan := func(held retention.Repository) []retention.Deletion {
			return rules.Plan(held, registry.Rules{}, nil, clock)
		}
		held, err := s.Held(ctx, r.ID)
		if err != nil {
			t.Fatal(err)
		}
		approved := make(map[retention.Deletion]bool)
		for _, d := range plan(held) {
			approved[retention.Deletion{Repository: d.Repository, Digest: d.Digest, Tag: d.Tag}] = true
		}
		if len(approved) != 4 {
			t.Fatalf("approved %v", approved)
		}
		put("new", "a")
		done, err := s.Retain(ctx, r.ID, plan, approved, registry.Deletion{By: "retention", Days: 7})
		if err != nil || len(done) != 2 || done[0].Tag != "b" || done[1].Digest != older {
			t.Errorf("%+v, %v", done, err)
		}
		if m, err := s.TaggedManifest(ctx, r.ID, "a"); err != nil || m.Digest == old {
			t.Errorf("%+v, %v", m, err)
		}
		// What went is in the trash, the tag with what it named, and comes back.
		list, err := s.Trash(ctx, "main", "", 0, 10)
		if err != nil || len(list) != 1 || list[0].Digest != older || len(list[0].Tags) != 1 || list[0].Tags[0] != "b" || list[0].DeletedBy != "retention" || !strings.HasPrefix(list[0].Reason, "retention: ") {
			t.Errorf("in the trash: %+v, %v", list, err)
		}
	})
}
