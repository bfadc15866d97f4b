package store_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestScoresAreReplaced(t *testing.T) {
	many := func(n int, probability float64) []feed.Score {
		list := make([]feed.Score, n)
		for i := range list {
			list[i] = feed.Score{CVE: fmt.Sprintf("CVE-2024-%d", 10_000+i), Probability: probability, Percentile: 0.5}
		}
		return list
	}
	changedAt := func(list []feed.Score, i int) []feed.Score {
		list[i].Percentile = 0.25
		return list
	}
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		for _, step := range []struct {
			name             string
			scores           []feed.Score
			changed, removed int
		}{
			{"first", many(12_345, 0.00043), 12_345, 0},
			{"again", many(12_345, 0.00043), 0, 0},
			{"one", changedAt(many(12_345, 0.00043), 7000), 1, 0},
			{"and back", many(12_345, 0.00043), 1, 0},
			{"the next day", many(12_500, 0.00044), 12_500, 0},
			{"fewer", many(12_000, 0.00044), 0, 500},
			{"none", nil, 0, 12_000},
			{"few", many(3, 1), 3, 0},
		} {
			changed, removed, err := s.ReplaceScores(t.Context(), step.scores)
			if err != nil || changed != step.changed || removed != step.removed {
				t.Errorf("%s: %d changed, %d removed, %v; want %d and %d", step.name, changed, removed, err, step.changed, step.removed)
			}
		}
	})
}

// TestScoresAreShown: wherever a vulnerability is, by the name that it has there.
func TestScoresAreShown(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		saveImage(t, s, "sha256:old", alpine(musl("musl", "1.1.18-r3")))
		s.Exec(t,
			`insert into registries (id, name, created_at) values (71, 'main', 1)`,
			`insert into repositories (id, registry_id, name, created_at) values (72, 71, 'app', 1)`,
			`insert into manifests (repository_id, digest, media_type, size, content, pushed_at) values (72, 'sha256:old', 'm', 1, 'x', 1)`)
		publish(t, s, "a", onMusl("CVE-2024-1000", "1.1.18-r4", advisory.Detail{}))
		publish(t, s, "b", onMusl("GHSA-aaaa-bbbb-cccc", "1.1.18-r4", advisory.Detail{Aliases: []string{"CVE-2024-2000"}}))
		publish(t, s, "c", onMusl("CVE-2024-2000", "1.1.18-r4", advisory.Detail{Aliases: []string{"GHSA-aaaa-bbbb-cccc"}}))
		publish(t, s, "d", onMusl("CVE-2024-3000", "1.1.18-r4", advisory.Detail{}))
		if _, _, err := s.ReplaceScores(t.Context(), []feed.Score{
			{CVE: "CVE-2024-1000", Probability: 0.00043, Percentile: 0.1}, {CVE: "CVE-2024-2000", Probability: 0.97579, Percentile: 1}, {CVE: "CVE-2024-9000", Probability: 0.5, Percentile: 0.5},
		}); err != nil {
			t.Fatal(err)
		}
		type scored struct{ EPSS, Percentile float64 }
		want := map[string]scored{"CVE-2024-1000": {0.00043, 0.1}, "CVE-2024-2000": {0.97579, 1}, "CVE-2024-3000": {}}
		shown := map[string]map[string]scored{"findings": {}, "findings at a time": {}, "list": {}, "vulnerabilities": {}}
		for where, find := range map[string]func() ([]match.Finding, error){
			"findings":           func() ([]match.Finding, error) { return s.ImageFindings(t.Context(), "sha256:old") },
			"findings at a time": func() ([]match.Finding, error) { return s.ImageFindingsAt(t.Context(), "sha256:old", time.Now()) },
		} {
			findings, err := find()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range findings {
				shown[where][f.Vulnerability] = scored{f.EPSS, f.Percentile}
			}
		}
		list, err := s.Vulnerabilities(t.Context(), match.Filter{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range list {
			shown["list"][v.Name] = scored{v.EPSS, v.Percentile}
		}
		for name := range want {
			v, err := s.VulnerabilityByName(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			shown["vulnerabilities"][v.Name] = scored{v.EPSS, v.Percentile}
		}
		if v, err := s.VulnerabilityByName(t.Context(), "GHSA-aaaa-bbbb-cccc"); err != nil || v.EPSS != 0.97579 {
			t.Errorf("by its alias: %+v, %v", v, err)
		}
		for where, got := range shown {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", where, diff)
			}
		}
	})
}

// BenchmarkReplaceScores is a first load of 360,000 scores, one of the next day
// in which nearly all differ, and one in which none does.
func BenchmarkReplaceScores(b *testing.B) {
	day := func(probability float64) []feed.Score {
		list := make([]feed.Score, 360_000)
		for i := range list {
			list[i] = feed.Score{CVE: fmt.Sprintf("CVE-%d-%04d", 1999+i/13_000, i%13_000), Probability: probability, Percentile: float64(i%100_000) / 100_000}
		}
		return list
	}
	for _, engine := range []struct {
		name string
		url  func(testing.TB) string
	}{{"sqlite", storetest.SQLiteURL}, {"postgres", storetest.PostgresURL}} {
		b.Run(engine.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				s, err := store.Open(b.Context(), engine.url(b), store.Options{})
				if err != nil {
					b.Fatal(err)
				}
				first, second := day(0.00043), day(0.00044)
				b.StartTimer()
				for _, load := range []struct {
					name   string
					scores []feed.Score
				}{{"first", first}, {"next-day", second}, {"same", second}} {
					began := time.Now()
					if _, _, err := s.ReplaceScores(b.Context(), load.scores); err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(time.Since(began).Seconds(), load.name+"-s")
				}
				if err := s.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
