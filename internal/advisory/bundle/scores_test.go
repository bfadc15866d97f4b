package bundle_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory/bundle"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// TestScoresAreCarried: a state that says that scores were read comes with them.
func TestScoresAreCarried(t *testing.T) {
	private, public := newKey(t)
	scored := func(t *testing.T, s *store.Store, n int, probability float64) {
		t.Helper()
		list := make([]feed.Score, n)
		for i := range list {
			list[i] = feed.Score{CVE: fmt.Sprintf("CVE-2024-%d", 10_000+i), Probability: probability, Percentile: 0.5}
		}
		if _, _, err := s.ReplaceScores(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(
			s.SaveFeedPart(t.Context(), "epss", feed.PartState{Part: "current", URL: "https://example.com/s", Digest: "sha256:s", Revision: 1, Advisories: n, Checked: noon, Changed: noon}),
			s.BeginFeedUpdate(t.Context(), "epss", noon), s.EndFeedUpdate(t.Context(), "epss", noon, true, "")); err != nil {
			t.Fatal(err)
		}
	}
	stored := func(t *testing.T, s *store.Store) map[string]feed.Score {
		t.Helper()
		all := make(map[string]feed.Score)
		if err := s.Scores(t.Context(), func(n feed.Score) error {
			all[n.CVE] = n
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return all
	}
	storetest.Each(t, store.Options{}, func(t *testing.T, to *store.Store) {
		from := storetest.SQLite(t, store.Options{})
		publish(t, from, "one", map[string]string{"curl": "2"})
		scored(t, from, 2500, 0.25)
		publish(t, from, "two", map[string]string{"musl": "4"})
		scored(t, to, 2600, 0.75)
		result, err := open(t, export(t, from, private, noon, "one", "epss", "two"), public).Import(t.Context(), to, match.Package, bundle.Options{})
		if err != nil || result.Changed != 2502 || result.Removed != 100 {
			t.Errorf("%+v, %v", result, err)
		}
		if diff := cmp.Diff(stored(t, from), stored(t, to)); diff != "" {
			t.Errorf("scores (-sent +stored):\n%s", diff)
		}
		if diff := cmp.Diff(known(t, from, "one", "epss", "two"), known(t, to, "one", "epss", "two")); diff != "" {
			t.Errorf("groups and states (-sent +stored):\n%s", diff)
		}
	})
}

// TestProductsAreCarried: of repositories, which products they are of.
func TestProductsAreCarried(t *testing.T) {
	private, public := newKey(t)
	storetest.Each(t, store.Options{}, func(t *testing.T, to *store.Store) {
		from := storetest.SQLite(t, store.Options{})
		products := make(match.Products)
		for n := range 1200 {
			products[fmt.Sprint("repository-", n)] = match.Ecosystems{Own: []string{fmt.Sprintf("cpe:/o:redhat:rhel_eus:9.%d", n)}, Fallback: []string{"rhel:9"}}
		}
		if _, err := from.ReplaceProducts(t.Context(), products, match.Package); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(
			from.SaveFeedPart(t.Context(), "redhat-repositories", feed.PartState{Part: "repository-to-cpe", URL: "https://example.com/r", Revision: 1, Cursor: "{}", Checked: noon, Changed: noon}),
			from.BeginFeedUpdate(t.Context(), "redhat-repositories", noon), from.EndFeedUpdate(t.Context(), "redhat-repositories", noon, true, "")); err != nil {
			t.Fatal(err)
		}
		publish(t, from, "two", map[string]string{"musl": "4"})
		if _, err := to.ReplaceProducts(t.Context(), match.Products{"gone": {Own: []string{"rhel:9"}}, "repository-1": products["repository-1"]}, match.Package); err != nil {
			t.Fatal(err)
		}
		content := export(t, from, private, noon, "redhat-repositories", "two")
		result, err := open(t, content, public).Import(t.Context(), to, match.Package, bundle.Options{})
		if err != nil || result.Changed != 1201 {
			t.Errorf("%+v, %v", result, err)
		}
		got, err := to.AllProducts(t.Context())
		if diff := cmp.Diff(products, got); err != nil || diff != "" {
			t.Errorf("products (-sent +stored):\n%s, %v", diff, err)
		}
		if diff := cmp.Diff(known(t, from, "redhat-repositories", "two"), known(t, to, "redhat-repositories", "two")); diff != "" {
			t.Errorf("states (-sent +stored):\n%s", diff)
		}
	})
}
