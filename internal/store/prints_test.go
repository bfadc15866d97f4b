package store_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// TestPartOfAGroup: what is stored of groups with many vulnerabilities is what they
// state, whatever changes of them, and in whatever company.
func TestPartOfAGroup(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
				r := rand.New(rand.NewPCG(seed, 2))
				saveImage(t, s, "sha256:1", rhel(rpm("kernel", 3, ""), rpm("p0", 3, "")))
				groups := map[string]advisory.Group{}
				partly := 0
				for step := range 60 {
					name := []string{"kernel", "p0"}[r.IntN(2)]
					g, known := groups[name]
					if !known || r.IntN(6) == 0 {
						g = manyStatements(r, name)
					} else {
						g = someOther(r, g)
					}
					groups[name] = g
					if r.IntN(2) == 0 { // which may join vulnerabilities of the groups
						publish(t, s, "other", anyStatements(r, []advisory.Key{{Ecosystem: "rhel:9", Package: name}}))
					}
					before := s.Strings(t, `select name from advisory_groups where prints is not null order by 1`)
					publish(t, s, "one", g)
					if len(before) > 0 {
						partly++
					}
					stored := stating(t, s)
					// Without prints, all that a group states is compared with all that is stored of it.
					s.Exec(t, `update advisory_groups set prints = null`)
					for _, g := range groups {
						publish(t, s, "one", g)
					}
					if diff := cmp.Diff(stating(t, s), stored); diff != "" {
						t.Fatalf("step %d (-of all +as stored):\n%s", step, diff)
					}
				}
				if partly == 0 {
					t.Error("no group ever had prints")
				}
			})
		})
	}
}

func manyStatements(r *rand.Rand, name string) advisory.Group {
	g := advisory.Group{Part: "vex", Name: name, Details: make(map[string]advisory.Detail)}
	for i := range 16 + r.IntN(4) {
		g = stateAnew(r, g, fmt.Sprintf("CVE-2024-%d", i))
	}
	return g
}

// stateAnew states anything of a vulnerability, in place of what was stated of it.
func stateAnew(r *rand.Rand, g advisory.Group, vulnerability string) advisory.Group {
	next := advisory.Group{Part: g.Part, Name: g.Name, Details: make(map[string]advisory.Detail)}
	for _, a := range g.Advisories {
		if a.Vulnerability != vulnerability {
			next.Advisories = append(next.Advisories, a)
		}
	}
	for name, d := range g.Details {
		if name != vulnerability {
			next.Details[name] = d
		}
	}
	for range r.IntN(3) {
		next.Advisories = append(next.Advisories, advisory.Advisory{Vulnerability: vulnerability, Ecosystem: []string{"rhel:9", "rhel:8"}[r.IntN(2)], Package: g.Name,
			Status: advisory.Affected, Fixed: fmt.Sprintf("1-%d.el9", r.IntN(9)), Severity: advisory.Severity(r.IntN(5))})
	}
	if r.IntN(2) == 0 {
		next.Details[vulnerability] = advisory.Detail{Description: fmt.Sprint("text ", r.IntN(3))}
	}
	return next
}

// someOther changes a few vulnerabilities of a group, of which some may go by
// another kind of name.
func someOther(r *rand.Rand, g advisory.Group) advisory.Group {
	for range 1 + r.IntN(3) {
		name := fmt.Sprintf("CVE-2024-%d", r.IntN(24))
		if r.IntN(4) == 0 {
			name = fmt.Sprintf("GHSA-%d", r.IntN(6))
		}
		g = stateAnew(r, g, name)
	}
	return g
}

// stating is what is stored of all groups, in words.
func stating(t *testing.T, s *store.Store) []string {
	t.Helper()
	list := s.Strings(t, `select g.feed || ' ' || g.name || ' ' || v.name || ' ' || a.ecosystem || ' ' || a.fixed || ' ' || cast(a.severity as text)
		from advisories a join advisory_groups g on g.id = a.group_id join vulnerabilities v on v.id = a.vulnerability_id order by 1`)
	list = append(list, s.Strings(t, `select g.feed || ' ' || g.name || ' ' || v.name || ' ' || d.detail
		from vulnerability_details d join advisory_groups g on g.id = d.group_id join vulnerabilities v on v.id = d.vulnerability_id order by 1`)...)
	list = append(list, s.Strings(t, `select g.feed || ' ' || g.name || ' ' || v.name || ' ' || a.alias
		from vulnerability_aliases a join advisory_groups g on g.id = a.group_id join vulnerabilities v on v.id = a.vulnerability_id order by 1`)...)
	list = append(list, s.Strings(t, `select name || ' ' || description || ' ' || cast(severity as text) from vulnerabilities order by 1`)...)
	return append(list, liveMatches(t, s)...)
}
