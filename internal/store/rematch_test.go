package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// TestMatchesFollowAnyChange: after any changes of feeds, and with packages that
// come at any time, matches are those that all packages and all statements come to.
func TestMatchesFollowAnyChange(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
				r := rand.New(rand.NewPCG(seed, 1))
				if _, err := s.ReplaceProducts(t.Context(), redHat(), match.Package); err != nil {
					t.Fatal(err)
				}
				var keys []advisory.Key
				ecosystems := []string{"rhel:9", stream, openshift}
				for _, ecosystem := range ecosystems {
					for name := range 3 {
						keys = append(keys, advisory.Key{Ecosystem: ecosystem, Package: fmt.Sprint("p", name)},
							advisory.Key{Ecosystem: ecosystem, Package: fmt.Sprint("p", name, "-src"), Source: true})
					}
				}
				changes := 0
				for step := range 25 {
					if r.IntN(3) == 0 {
						p := rpm(fmt.Sprint("p", r.IntN(3)), r.IntN(9), []string{"", "baseos", "baseos-eus", "rhocp", "baseos rhocp"}[r.IntN(5)])
						p.Module, p.Architecture = []string{"", "", "m"}[r.IntN(3)], []string{"x86_64", "noarch", "s390x"}[r.IntN(3)]
						saveImage(t, s, fmt.Sprintf("sha256:%d", step), rhel(p))
					} else {
						publish(t, s, []string{"one", "two"}[r.IntN(2)], anyStatements(r, keys))
					}
					before := liveMatches(t, s)
					if err := s.RematchKeys(t.Context(), keys, match.Package); err != nil {
						t.Fatal(err)
					}
					if diff := cmp.Diff(liveMatches(t, s), before); diff != "" {
						t.Fatalf("step %d (-of all +as stored):\n%s", step, diff)
					}
					changes += len(before)
				}
				if changes == 0 {
					t.Error("nothing was ever found")
				}
			})
		})
	}
}

// anyStatements states anything on a few vulnerabilities, of which some turn out to be
// the same.
func anyStatements(r *rand.Rand, keys []advisory.Key) advisory.Group {
	g := advisory.Group{Part: "vex", Name: fmt.Sprint("group ", r.IntN(4)), Details: make(map[string]advisory.Detail)}
	for range 1 + r.IntN(5) {
		k := keys[r.IntN(len(keys))]
		n := r.IntN(6)
		a := advisory.Advisory{Vulnerability: fmt.Sprintf("CVE-2024-%d", n), Ecosystem: k.Ecosystem, Package: k.Package, Source: k.Source, Status: advisory.Affected,
			Module: []string{"", "", "m", advisory.AnyModule}[r.IntN(4)], Architectures: []string{"", "", "x86_64", "arm64 s390x"}[r.IntN(4)],
			Severity: advisory.Severity(r.IntN(5))}
		if r.IntN(4) == 0 {
			a.Vulnerability = fmt.Sprintf("GHSA-%d", n)
			if r.IntN(2) == 0 {
				g.Details[a.Vulnerability] = advisory.Detail{Aliases: []string{fmt.Sprintf("CVE-2024-%d", n)}}
			}
		}
		version := func() string { return fmt.Sprintf("1-%d.el9", r.IntN(9)) }
		switch r.IntN(6) {
		case 0:
			a.Status = []advisory.Status{advisory.NotAffected, advisory.Undetermined, advisory.Withdrawn}[r.IntN(3)]
		case 1:
			a.LastAffected = version()
		case 2:
			a.Introduced = version()
		case 3:
			a.Introduced, a.Fixed = version(), version()
		default:
			a.Fixed = version()
		}
		g.Advisories = append(g.Advisories, a)
	}
	return g
}

// liveMatches are all, in words.
func liveMatches(t *testing.T, s *store.Store) []string {
	t.Helper()
	return s.Strings(t, `select cast(m.package_id as text) || ' ' || v.name || ' ' || m.feed || ' ' || m.identifier || ' ' || m.introduced || ' ' || m.fixed
			|| ' ' || m.last_affected || ' ' || cast(m.severity as text) || ' ' || cast(m.first_seen as text)
		from matches m join vulnerabilities v on v.id = m.vulnerability_id where m.gone_at is null order by 1`)
}
