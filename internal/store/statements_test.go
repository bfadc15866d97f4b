package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// randomGroup states some things of few, so that much is stated again, and twice.
func randomGroup(r *rand.Rand, name string) feed.Entry {
	g := feed.Entry{Group: advisory.Group{Part: "all", Name: name, Details: make(map[string]advisory.Detail)}}
	for range r.IntN(6) {
		v := fmt.Sprintf("CVE-2024-%d", 1000+r.IntN(5))
		g.Advisories = append(g.Advisories, advisory.Advisory{
			Vulnerability: v, Ecosystem: "debian:12", Package: fmt.Sprintf("p%d", r.IntN(3)), Source: r.IntN(2) == 0, Status: advisory.Affected,
			Fixed: fmt.Sprintf("1.%d", r.IntN(3)), Severity: advisory.Severity(r.IntN(3)),
		})
		if r.IntN(2) == 0 {
			g.Details[v] = advisory.Detail{Description: fmt.Sprintf("words %d", r.IntN(3)), Aliases: []string{fmt.Sprintf("GHSA-%d", r.IntN(3))}}
		}
	}
	return g
}

// TestDifferencesComeToTheSame: after many changes the database says what one says
// that has seen the last state only.
func TestDifferencesComeToTheSame(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		fresh := storetest.SQLite(t, store.Options{})
		r := rand.New(rand.NewPCG(1, 2))
		var image inventory.Image
		for p := range 3 {
			for v := range 3 {
				image.Packages = append(image.Packages, inventory.Installed{Path: "status", Detector: "dpkg", Package: inventory.Package{
					Type: "deb", Distribution: "debian:12", Name: fmt.Sprintf("p%d", p), Version: fmt.Sprintf("1.%d~", v), SourceName: fmt.Sprintf("p%d", p), SourceVersion: fmt.Sprintf("1.%d~", v)}})
			}
		}
		saveImage(t, s, "sha256:image", image)
		last := make(map[string]feed.Entry)
		for range 25 {
			var changed []feed.Entry
			var removed []string
			for _, i := range r.Perm(6)[:1+r.IntN(4)] {
				name := fmt.Sprintf("g%d", i)
				if _, stored := last[name]; stored && r.IntN(4) == 0 {
					removed = append(removed, name)
					delete(last, name)
					continue
				}
				last[name] = randomGroup(r, name)
				changed = append(changed, last[name])
			}
			if err := s.ReplaceAdvisories(t.Context(), "debian", "all", changed, removed, match.Package); err != nil {
				t.Fatal(err)
			}
		}
		for _, g := range last {
			if err := fresh.ReplaceAdvisories(t.Context(), "debian", "all", []feed.Entry{g}, nil, match.Package); err != nil {
				t.Fatal(err)
			}
		}
		saveImage(t, fresh, "sha256:image", image)
		count := func(s *store.Store) (map[string]int, map[string]int) {
			stated, found := make(map[string]int), make(map[string]int)
			if err := s.Groups(t.Context(), "debian", "all", func(e feed.Entry) error {
				for _, a := range e.Advisories {
					stated[fmt.Sprintf("%s: %+v", e.Name, a)]++
				}
				for name, d := range e.Details {
					stated[fmt.Sprintf("%s: %s: %+v", e.Name, name, d)]++
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			findings, err := s.ImageFindings(t.Context(), "sha256:image")
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range findings {
				found[fmt.Sprintf("%s %s %s %s %s %s", f.Vulnerability, f.Description, f.Package.Name, f.Package.Version, f.Fixed, f.Severity)]++
			}
			return stated, found
		}
		gotStated, gotFound := count(s)
		wantStated, wantFound := count(fresh)
		if diff := cmp.Diff(wantStated, gotStated); diff != "" || len(wantStated) == 0 {
			t.Errorf("stated (-fresh +changed):\n%s", diff)
		}
		if diff := cmp.Diff(wantFound, gotFound); diff != "" || len(wantFound) == 0 {
			t.Errorf("found (-fresh +changed):\n%s", diff)
		}
	})
}
