package store_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// affected stores an image in a repository, with a package that is affected by
// CVE-2019-14697 until a version.
func affected(t *testing.T, s *store.Store, repositoryID int64, name string) string {
	t.Helper()
	digest := mustManifest(t, s, repositoryID, name, nil, name).Digest
	saveImage(t, s, digest, alpine(musl("musl", "1.1.18-r3")))
	return digest
}

func TestSummaries(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := t.Context()
		mustRegistry(t, s, "main")
		r := mustRepository(t, s, "main", "app")
		muslAdvisory(t, s, "1.1.18-r4")
		bad := affected(t, s, r.ID, "bad")
		good := mustManifest(t, s, r.ID, "good", nil, "good").Digest
		saveImage(t, s, good, alpine(musl("musl", "1.1.18-r4")))
		index := mustManifest(t, s, r.ID, "index", []registry.Reference{
			{Kind: "manifest", Digest: bad, Size: 3}, {Kind: "manifest", Digest: good, Size: 4},
		}).Digest
		other := mustManifest(t, s, r.ID, "artifact", nil).Digest

		got, err := s.ImageSummaries(ctx, []string{bad, good, index, other, "sha256:none"})
		if err != nil {
			t.Fatal(err)
		}
		found := map[advisory.Severity]int{advisory.High: 1}
		want := map[string]image.Summary{
			bad:   {Digest: bad, Size: 5, State: image.Done, Findings: found},
			good:  {Digest: good, Size: 5, State: image.Done, Findings: map[advisory.Severity]int{}},
			index: {Digest: index, Index: true, Size: 10, State: image.Done, Findings: found},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("summaries (-want +got):\n%s", diff)
		}
		risky, err := s.ImagesAtRisk(ctx, nil, 10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]image.Summary{want[bad]}, risky); diff != "" {
			t.Errorf("at risk (-want +got):\n%s", diff)
		}
		pushes, err := s.ImagePushes(ctx, bad)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]image.Push{{Registry: "main", Repository: "app", By: "ann", Time: clock.Now(), Tags: []string{"bad"}}}, pushes); diff != "" {
			t.Errorf("pushes (-want +got):\n%s", diff)
		}
	})
}

func TestImageReferrers(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		mustRegistry(t, s, "main")
		here, there, apart := mustRepository(t, s, "main", "here"), mustRepository(t, s, "main", "there"), mustRepository(t, s, "main", "apart")
		subject := mustManifest(t, s, here.ID, "image", nil).Digest
		mustManifest(t, s, there.ID, "image", nil)
		for _, at := range []struct {
			repository registry.Repository
			name       string
		}{{here, "signature"}, {there, "bill"}, {apart, "of what is not there"}} {
			m := manifest(at.name)
			m.Subject, m.ArtifactType, m.Annotations = subject, "application/"+at.name, map[string]string{"a": "b"}
			if err := s.PutManifest(t.Context(), at.repository.ID, m, nil); err != nil {
				t.Fatal(err)
			}
			clock.advance(time.Second)
		}
		found, err := s.ImageReferrers(t.Context(), subject)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range found {
			got = append(got, r.Registry+"/"+r.Repository+" "+r.ArtifactType+" "+r.Annotations["a"])
		}
		if diff := cmp.Diff([]string{"main/there application/bill b", "main/here application/signature b"}, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	})
}

func TestHistoryAndTrend(t *testing.T) {
	clock := newClock()
	start := clock.Now()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		clock.advance(start.Sub(clock.Now()))
		ctx := t.Context()
		service := assess.New(s, assess.Options{Now: clock.Now})
		if err := service.Seed(ctx); err != nil {
			t.Fatal(err)
		}
		mustRegistry(t, s, "main")
		bad := affected(t, s, mustRepository(t, s, "main", "app").ID, "bad")
		day := func(n int) time.Time { return start.Truncate(24*time.Hour).AddDate(0, 0, n) }
		clock.advance(24 * time.Hour) // day 1
		muslAdvisory(t, s, "1.1.18-r4")
		clock.advance(24 * time.Hour) // day 2
		r := everywhere("Caution")
		r.Vulnerability = "CVE-2019-14697"
		r.Expiry = assess.Expiry{At: clock.Now().Add(24 * time.Hour)}
		mustAssess(t, service, r)
		clock.advance(48 * time.Hour) // day 4
		muslAdvisory(t, s, "1.1.18-r1")

		history, err := s.ImageHistory(ctx, bad)
		if err != nil {
			t.Fatal(err)
		}
		one := []string{"CVE-2019-14697"}
		if diff := cmp.Diff([]image.At{
			{Time: day(1), Findings: map[advisory.Severity]int{advisory.High: 1}, Came: one, Went: []string{}},
			{Time: day(4), Findings: map[advisory.Severity]int{advisory.High: 0}, Came: []string{}, Went: one},
		}, history); diff != "" {
			t.Errorf("history (-want +got):\n%s", diff)
		}
		var times []time.Time
		for n := range 5 {
			times = append(times, day(n).Add(13*time.Hour))
		}
		trend, err := s.Trend(ctx, times)
		if err != nil {
			t.Fatal(err)
		}
		high := map[advisory.Severity]int{advisory.High: 1}
		if diff := cmp.Diff([]match.TrendPoint{
			{Time: times[0], Vulnerabilities: map[advisory.Severity]int{}},
			{Time: times[1], Vulnerabilities: high, Unassessed: 1},
			{Time: times[2], Vulnerabilities: high},
			{Time: times[3], Vulnerabilities: high, Unassessed: 1}, // it has expired
			{Time: times[4], Vulnerabilities: map[advisory.Severity]int{}},
		}, trend); diff != "" {
			t.Errorf("trend (-want +got):\n%s", diff)
		}
	})
}
