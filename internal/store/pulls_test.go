package store_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/internal/usage"
)

// figuresOf shows how what is named is pulled: "2 at 10:00", or "" for never.
type figuresOf struct {
	t *testing.T
	s *store.Store
}

func (f figuresOf) words(u usage.Figures) string {
	if u == (usage.Figures{}) {
		return ""
	}
	return fmt.Sprintf("%d at %s", u.Pulls, u.LastPull.Format("15:04"))
}

func (f figuresOf) tag(repositoryID int64, name string) string {
	f.t.Helper()
	found, err := f.s.TagPulls(f.t.Context(), repositoryID, []string{name, "none"})
	if err != nil || len(found) > 1 {
		f.t.Fatal(found, err)
	}
	return f.words(found[name])
}

func (f figuresOf) repository(id int64) string {
	f.t.Helper()
	found, err := f.s.RepositoryPulls(f.t.Context(), []int64{id, 999_999})
	if err != nil || len(found) > 1 {
		f.t.Fatal(found, err)
	}
	return f.words(found[id])
}

func (f figuresOf) image(digest string) string {
	f.t.Helper()
	u, _, err := f.s.ImageUsage(f.t.Context(), digest, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.words(u.Figures)
}

func (f figuresOf) registry(id int64) string {
	f.t.Helper()
	u, err := f.s.RegistryUsage(f.t.Context(), id, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	return f.words(u.Figures)
}

func TestPulls(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx, of := t.Context(), figuresOf{t, s}
		mustRegistry(t, s, "main")
		r, other := mustRepository(t, s, "main", "app"), mustRepository(t, s, "main", "other")
		index, image, signature := family(t, s, r.ID)
		family(t, s, other.ID)
		hour := func(h int) time.Time { return time.Date(2026, 3, 1, h, 0, 0, 0, time.UTC) }
		pull := func(m *registry.Manifest, tag string, n int64, h int) usage.Pulled {
			return usage.Pulled{Pull: usage.Pull{RepositoryID: r.ID, Digest: m.Digest, Tag: tag, Index: m.IsIndex()}, Figures: usage.Figures{Pulls: n, LastPull: hour(h)}}
		}
		add := func(pulls ...usage.Pulled) {
			t.Helper()
			if err := s.AddPulls(ctx, pulls); err != nil {
				t.Fatal(err)
			}
		}
		want := func(what string, want, got string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
		}
		add()
		want("never", "", of.repository(r.ID)+of.image(image.Digest)+of.tag(r.ID, "v1")+of.registry(r.RegistryID))
		add(pull(index, "v1", 3, 10), pull(index, "v1.0", 1, 11), pull(index, "", 1, 9), pull(image, "", 4, 12), pull(image, "amd64", 1, 8))
		add(pull(image, "amd64", 2, 7)) // a batch of another replica, which comes late
		want("a tag", "3 at 10:00", of.tag(r.ID, "v1"))
		want("another", "1 at 11:00", of.tag(r.ID, "v1.0"))
		want("the later one stays", "3 at 08:00", of.tag(r.ID, "amd64"))
		want("the index, by all its names", "5 at 11:00", of.image(index.Digest))
		want("its image", "7 at 12:00", of.image(image.Digest))
		want("the repository: not the index and its image both", "7 at 12:00", of.repository(r.ID))
		want("not the other repository", "", of.repository(other.ID))
		add(usage.Pulled{Pull: usage.Pull{RepositoryID: other.ID, Digest: image.Digest}, Figures: usage.Figures{Pulls: 1, LastPull: hour(13)}})
		want("the image at both places", "8 at 13:00", of.image(image.Digest))
		want("the registry", "8 at 13:00", of.registry(r.RegistryID))
		_, places, err := s.ImageUsage(ctx, image.Digest, nil)
		if diff := cmp.Diff([]usage.Place{{Registry: "main", Repository: "app", Figures: usage.Figures{Pulls: 7, LastPull: hour(12)}},
			{Registry: "main", Repository: "other", Figures: usage.Figures{Pulls: 1, LastPull: hour(13)}}}, places); diff != "" || err != nil {
			t.Errorf("%v (-want +got) %s", err, diff)
		}

		// What is not there is left out, and the rest counts.
		add(pull(image, "gone", 1, 14), pull(&registry.Manifest{Digest: sha(99)}, "", 1, 15),
			usage.Pulled{Pull: usage.Pull{RepositoryID: 12345, Digest: image.Digest}, Figures: usage.Figures{Pulls: 1, LastPull: hour(16)}})
		want("a deleted tag", "", of.tag(r.ID, "gone"))
		want("what it named", "8 at 14:00", of.repository(r.ID))

		held, err := s.Held(ctx, r.ID)
		if err != nil || !held.CountedSince.IsZero() {
			t.Fatalf("counted since %v, %v", held.CountedSince, err)
		}
		for _, m := range held.Manifests {
			switch m.Digest {
			case image.Digest:
				if !m.PulledAt.Equal(hour(14)) || len(m.Tags) != 1 || !m.Tags[0].PulledAt.Equal(hour(8)) {
					t.Errorf("for retention: %+v", m)
				}
			case signature.Digest:
				if !m.PulledAt.IsZero() {
					t.Errorf("for retention: %+v", m)
				}
			}
		}

		// A tag that is pushed again goes on; one that is deleted takes its figures along.
		if err := s.PutManifest(ctx, r.ID, image, []string{"v1"}); err != nil {
			t.Fatal(err)
		}
		want("a tag that moved", "3 at 10:00", of.tag(r.ID, "v1"))
		if err := s.DeleteTag(ctx, r.ID, "v1", thrown); err != nil {
			t.Fatal(err)
		}
		if err := s.PutManifest(ctx, r.ID, image, []string{"v1"}); err != nil {
			t.Fatal(err)
		}
		want("a new tag of the name", "", of.tag(r.ID, "v1"))
		for _, digest := range []string{index.Digest, image.Digest} {
			if _, err := s.DeleteManifest(ctx, r.ID, digest, thrown); err != nil {
				t.Fatal(err)
			}
		}
		if n := s.Count(t, "tag_pulls"); n != 0 {
			t.Errorf("%d tags that are deleted have pulls", n)
		}
		add(pull(image, "amd64", 1, 17)) // counted before, written after the deletion
		want("the repository goes on", "8 at 14:00", of.repository(r.ID))
		for _, entry := range trashOf(t, s) {
			if entry.Digest == index.Digest {
				if _, err := s.Restore(ctx, "main", entry.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
		want("what is restored begins anew", "", of.tag(r.ID, "amd64"))
		add(pull(image, "amd64", 1, 18))
		want("and counts", "1 at 18:00", of.tag(r.ID, "amd64"))
		if err := s.DeleteRepository(ctx, "main", "app", thrown); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteRepository(ctx, "main", "other", registry.Deletion{By: "bob"}); err != nil {
			t.Fatal(err)
		}
		for _, table := range []string{"tag_pulls", "manifest_pulls", "repository_pulls"} {
			if n := s.Count(t, table); n != 0 {
				t.Errorf("%s has %d rows of what is deleted", table, n)
			}
		}
	})
}

// TestPullsOfReplicas: whatever several replicas write at once, while tags come and
// go, no pull is lost or counts twice.
func TestPullsOfReplicas(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx, of := t.Context(), figuresOf{t, s}
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		var all []*registry.Manifest
		for i := range 10 {
			all = append(all, mustManifest(t, s, r.ID, fmt.Sprint(i), nil, fmt.Sprint("t", i), fmt.Sprint("moving", i)))
		}
		const workers, rounds = 6, 25
		last := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		var group sync.WaitGroup
		for worker := range workers {
			group.Go(func() {
				chance := rand.New(rand.NewPCG(5, uint64(worker)))
				for round := range rounds {
					var pulls []usage.Pulled
					for _, i := range chance.Perm(len(all)) {
						for _, tag := range []string{fmt.Sprint("t", i), fmt.Sprint("moving", i)} {
							pulls = append(pulls, usage.Pulled{Pull: usage.Pull{RepositoryID: r.ID, Digest: all[i].Digest, Tag: tag},
								Figures: usage.Figures{Pulls: 2, LastPull: last.Add(-time.Duration(worker*rounds+round) * time.Minute)}})
						}
					}
					if err := s.AddPulls(ctx, pulls); err != nil {
						t.Error(err)
					}
				}
			})
		}
		group.Go(func() {
			for round := range 30 {
				i := round % len(all)
				tag := fmt.Sprint("moving", i)
				if err := s.DeleteTag(ctx, r.ID, tag, registry.Deletion{}); err != nil {
					t.Error(err)
				}
				if err := s.PutManifest(ctx, r.ID, all[i], []string{tag}); err != nil {
					t.Error(err)
				}
			}
		})
		group.Wait()
		for i, m := range all {
			if got, want := of.tag(r.ID, fmt.Sprint("t", i)), fmt.Sprintf("%d at 12:00", 2*workers*rounds); got != want {
				t.Errorf("tag %d: %s, want %s", i, got, want)
			}
			if got, want := of.image(m.Digest), fmt.Sprintf("%d at 12:00", 4*workers*rounds); got != want {
				t.Errorf("image %d: %s, want %s", i, got, want)
			}
		}
		if got, want := of.repository(r.ID), fmt.Sprintf("%d at 12:00", 4*workers*rounds*len(all)); got != want {
			t.Errorf("repository: %s, want %s", got, want)
		}
	})
}

// TestPullsSinceAnUpdate: of what was there before pulls were counted, nobody knows
// when it was pulled.
func TestPullsSinceAnUpdate(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		now := time.Now().UTC().Truncate(time.Second)
		s.Exec(t, fmt.Sprintf(`update repositories set counted_since = %d`, now.UnixMicro()))
		held, err := s.Held(t.Context(), r.ID)
		if err != nil || !held.CountedSince.Equal(now) {
			t.Errorf("%v, %v", held.CountedSince, err)
		}
	})
}
