package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

const (
	stream    = "cpe:/o:redhat:rhel_eus:9.2"
	openshift = "cpe:/a:redhat:openshift:4.16::el9"
)

// redHat is what the mapping of Red Hat's comes to for some repositories.
func redHat() match.Products {
	return match.Products{
		"baseos":     {Own: []string{"rhel:9"}},
		"baseos-eus": {Own: []string{stream}, Fallback: []string{"rhel:9"}},
		"rhocp":      {Own: []string{openshift}},
	}
}

// rpm is a package of RHEL 9 with version 1-N.el9.
func rpm(name string, n int, repositories string) inventory.Installed {
	version := fmt.Sprintf("1-%d.el9", n)
	return inventory.Installed{
		Package: inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: name, Version: version, Architecture: "x86_64",
			SourceName: name + "-src", SourceVersion: version, Repositories: repositories},
		Path: "var/lib/rpm/rpmdb.sqlite", Detector: "rpm",
	}
}

func rhel(packages ...inventory.Installed) inventory.Image {
	return inventory.Image{Distribution: inventory.Distribution{ID: "rhel", Version: "9"}, Packages: packages}
}

// on is a group with one statement on packages of a name that are older than 1-N.el9.
func on(name, ecosystem string, n int, change func(*advisory.Advisory)) advisory.Group {
	a := advisory.Advisory{Vulnerability: "CVE-2024-1", Ecosystem: ecosystem, Package: name, Status: advisory.Affected, Fixed: fmt.Sprintf("1-%d.el9", n)}
	if change != nil {
		change(&a)
	}
	return advisory.Group{Part: "vex", Name: fmt.Sprint(a.Vulnerability, ecosystem, name, a.Source), Advisories: []advisory.Advisory{a}}
}

// judged lists the findings of an inventory, and fails where the explanation of one
// package says something else.
func judged(t *testing.T, s *store.Store, id int64, vulnerabilities ...string) (list []string) {
	t.Helper()
	findings, err := s.InventoryFindings(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, f := range findings {
		found[f.Vulnerability+f.Package.Name+f.Package.Version+f.Package.Repositories] = true
		list = append(list, fmt.Sprintf("%s %s %s %q < %s", f.Vulnerability, f.Package.Name, f.Package.Version, f.Package.Repositories, f.Fixed))
	}
	slices.Sort(list)
	for _, name := range vulnerabilities {
		v, err := s.VulnerabilityByName(t.Context(), name)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		packages, err := s.PackagesSpokenOf(t.Context(), id, v.ID)
		if err != nil {
			t.Fatal(err)
		}
		products, err := s.Products(t.Context(), match.PackagesOf(packages))
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range match.ExplainImage(packages, v.Statements, products).Packages {
			if p := e.Package; found[name+p.Name+p.Version+p.Repositories] != (e.Outcome == match.OutcomeAffected) {
				t.Errorf("%s of %s %s from %q: found %v, but explained as %s: %s", name, p.Name, p.Version, p.Repositories,
					found[name+p.Name+p.Version+p.Repositories], e.Outcome, e.Reason)
			}
		}
	}
	return list
}

func TestProductsOfRepositories(t *testing.T) {
	status := func(status advisory.Status) func(*advisory.Advisory) {
		return func(a *advisory.Advisory) { a.Status, a.Fixed = status, "" }
	}
	source := func(a *advisory.Advisory) { a.Package, a.Source = a.Package+"-src", true }
	tests := []struct {
		name         string
		repositories string
		stated       []advisory.Group
		want         string // the fixed version, "" where it is not affected
	}{
		{"the mainstream", "baseos", []advisory.Group{on("p", "rhel:9", 7, nil), on("p", stream, 9, nil)}, "1-7.el9"},
		{"no repository is known", "", []advisory.Group{on("p", "rhel:9", 7, nil), on("p", stream, 9, nil)}, "1-7.el9"},
		{"not this one", "epel", []advisory.Group{on("p", "rhel:9", 7, nil), on("p", openshift, 9, nil)}, "1-7.el9"},
		{"a stream with its own fix", "baseos-eus", []advisory.Group{on("p", "rhel:9", 7, nil), on("p", stream, 3, nil)}, ""},
		{"a stream with a later fix", "baseos-eus", []advisory.Group{on("p", "rhel:9", 3, nil), on("p", stream, 7, nil)}, "1-7.el9"},
		{"a stream's own word on the source", "baseos-eus", []advisory.Group{on("p", "rhel:9", 7, nil), on("p", stream, 3, source)}, ""},
		{"a stream of which nothing is said", "baseos-eus", []advisory.Group{on("p", "rhel:9", 7, nil)}, "1-7.el9"},
		{"nor of this package", "baseos-eus", []advisory.Group{on("p", "rhel:9", 7, nil), on("q", stream, 3, nil)}, "1-7.el9"},
		{"nor of this module", "baseos-eus", []advisory.Group{on("p", "rhel:9", 7, nil), on("p", stream, 3, func(a *advisory.Advisory) { a.Module = "m:1" })}, "1-7.el9"},
		{"nor for this architecture", "baseos-eus", []advisory.Group{on("p", "rhel:9", 7, nil), on("p", stream, 3, func(a *advisory.Advisory) { a.Architectures = "s390x" })}, "1-7.el9"},
		{"a stream that is not affected", "baseos-eus", []advisory.Group{on("p", "rhel:9", 7, nil), on("p", stream, 0, status(advisory.NotAffected))}, ""},
		{"a stream that is not judged yet", "baseos-eus", []advisory.Group{on("p", "rhel:9", 7, nil), on("p", stream, 0, status(advisory.Undetermined))}, ""},
		{"what was taken back is not said", "baseos-eus", []advisory.Group{on("p", "rhel:9", 7, nil), on("p", stream, 0, status(advisory.Withdrawn))}, "1-7.el9"},
		{"a product of its own", "rhocp", []advisory.Group{on("p", "rhel:9", 9, nil), on("p", openshift, 7, nil)}, "1-7.el9"},
		{"has what it is fixed in", "rhocp", []advisory.Group{on("p", "rhel:9", 9, nil), on("p", openshift, 3, nil)}, ""},
		{"it may be of either", "baseos rhocp", []advisory.Group{on("p", "rhel:9", 9, nil), on("p", openshift, 3, nil)}, "1-9.el9"},
		{"it may be of either stream", "baseos baseos-eus", []advisory.Group{on("p", "rhel:9", 9, nil), on("p", stream, 3, nil)}, "1-9.el9"},
	}
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		for i, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				// Whatever comes last, it is the same.
				for j, order := range [][]string{{"mapping", "package", "statements"}, {"statements", "mapping", "package"}, {"package", "statements", "mapping"}, {"package", "mapping", "statements"}} {
					name := fmt.Sprintf("p%d-%d", i, j)
					vulnerability := "CVE-2024-" + name
					var id int64
					for _, step := range order {
						var err error
						switch step {
						case "mapping":
							_, err = s.ReplaceProducts(t.Context(), redHat(), match.Package)
						case "package":
							id, err = s.SaveInventory(t.Context(), name, rhel(rpm(name, 5, test.repositories)), match.Package)
						case "statements":
							for _, g := range test.stated {
								a := g.Advisories[0]
								a.Vulnerability = vulnerability
								a.Package = strings.NewReplacer("p", name, "q", name+"q").Replace(a.Package[:1]) + a.Package[1:]
								publish(t, s, "redhat", advisory.Group{Part: "vex", Name: name + g.Name, Advisories: []advisory.Advisory{a}})
							}
						}
						if err != nil {
							t.Fatal(err)
						}
					}
					var want []string
					if test.want != "" {
						want = []string{fmt.Sprintf("%s %s 1-5.el9 %q < %s", vulnerability, name, test.repositories, test.want)}
					}
					if diff := cmp.Diff(want, judged(t, s, id, vulnerability)); diff != "" {
						t.Errorf("%v (-want +got):\n%s", order, diff)
					}
					if _, err := s.ReplaceProducts(t.Context(), nil, match.Package); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	})
}

// oracle says by hand what affects a package: of the groups by name.
func oracle(p inventory.Package, groups map[string]advisory.Group, products match.Products) (list []string) {
	own, fallback := map[string]bool{}, map[string]bool{}
	for _, id := range strings.Fields(p.Repositories) {
		for _, e := range products[id].Own {
			own[e] = true
		}
		for _, e := range products[id].Fallback {
			fallback[e] = true
		}
	}
	if len(own) == 0 {
		own, fallback = map[string]bool{"rhel:9": true}, nil
	}
	said, affected, otherwise := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, g := range groups {
		a := g.Advisories[0]
		if a.Package != p.Name && (a.Package != p.SourceName || !a.Source) || a.Module != p.Module || a.Status == advisory.Withdrawn {
			continue
		}
		var version, fixed int
		_, _ = fmt.Sscanf(p.Version, "1-%d.el9", &version)
		_, _ = fmt.Sscanf(a.Fixed, "1-%d.el9", &fixed)
		is := a.Status == advisory.Affected && (a.Fixed == "" || version < fixed)
		switch {
		case own[a.Ecosystem]:
			said[a.Vulnerability] = true
			affected[a.Vulnerability] = affected[a.Vulnerability] || is
		case fallback[a.Ecosystem]:
			otherwise[a.Vulnerability] = otherwise[a.Vulnerability] || is
		}
	}
	for _, name := range []string{"CVE-2024-1", "CVE-2024-2", "CVE-2024-3"} {
		if affected[name] || !said[name] && otherwise[name] {
			list = append(list, fmt.Sprintf("%s %s %s %q", name, p.Name, p.Version, p.Repositories))
		}
	}
	return list
}

// TestMatchesFollowProducts changes the mapping, the statements and the packages in
// any order, and asks the oracle after each change.
func TestMatchesFollowProducts(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		random := rand.New(rand.NewPCG(4, 10))
		pick := func(list ...string) string { return list[random.IntN(len(list))] }
		products, groups := match.Products{}, map[string]advisory.Group{}
		var inventories []int64
		var packages []inventory.Installed
		for step := range 60 {
			switch random.IntN(4) {
			case 0:
				var p []inventory.Installed
				for range 3 {
					p = append(p, rpm(pick("a", "b"), random.IntN(5), pick("", "baseos", "baseos-eus", "rhocp", "epel", "baseos-eus rhocp", "baseos baseos-eus")))
				}
				id, err := s.SaveInventory(t.Context(), fmt.Sprint("step ", step), rhel(p...), match.Package)
				if err != nil {
					t.Fatal(err)
				}
				inventories, packages = append(inventories, id), append(packages, p...)
			case 1:
				products = redHat()
				for id := range products {
					if random.IntN(3) == 0 {
						delete(products, id)
					}
				}
				if random.IntN(3) == 0 {
					products["epel"] = match.Ecosystems{Own: []string{stream, openshift}, Fallback: []string{"rhel:9"}}
				}
				if _, err := s.ReplaceProducts(t.Context(), products, match.Package); err != nil {
					t.Fatal(err)
				}
			default:
				g := on(pick("a", "b"), pick("rhel:9", stream, openshift), random.IntN(6), func(a *advisory.Advisory) {
					a.Vulnerability = pick("CVE-2024-1", "CVE-2024-2", "CVE-2024-3")
					a.Status = advisory.Status(pick("affected", "affected", "not_affected", "withdrawn", "undetermined"))
					a.Source = random.IntN(2) == 0
					a.Module = pick("", "", "", "m:1")
					if a.Source {
						a.Package += "-src"
					}
					if a.Status != advisory.Affected {
						a.Fixed = ""
					}
				})
				groups[g.Name] = g
				publish(t, s, "redhat", g)
			}
			var want, got []string
			for _, p := range packages {
				want = append(want, oracle(p.Package, groups, products)...)
			}
			for _, id := range inventories {
				for _, line := range judged(t, s, id, "CVE-2024-1", "CVE-2024-2", "CVE-2024-3") {
					line, _, _ = strings.Cut(line, " <")
					got = append(got, line)
				}
			}
			for _, list := range []*[]string{&want, &got} {
				slices.Sort(*list)
				*list = slices.Compact(*list)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("step %d (-want +got):\n%s", step, diff)
			}
		}
	})
}

// TestProductsAfterAKill: what a change of the mapping left undone, the next one does.
func TestProductsAfterAKill(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		const many = 1200 // more than two batches
		var packages []inventory.Installed
		for n := range many {
			packages = append(packages, rpm("p", n, "baseos-eus"))
		}
		id, err := s.SaveInventory(t.Context(), "many", rhel(packages...), match.Package)
		if err != nil {
			t.Fatal(err)
		}
		publish(t, s, "redhat", on("p", "rhel:9", many, nil), on("p", stream, 100, nil))
		count := func() int { return len(judged(t, s, id)) }
		if n := count(); n != many {
			t.Fatalf("%d findings", n)
		}
		ctx, kill := context.WithCancel(t.Context())
		defer kill()
		matched := 0
		if _, err := s.ReplaceProducts(ctx, redHat(), func(p inventory.Package, statements []match.Statement) []match.Match {
			if matched++; matched > 700 {
				kill()
			}
			return match.Package(p, statements)
		}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		if n := count(); n == many || n == 100 {
			t.Errorf("%d findings in between", n)
		}
		matched = 0
		counted := func(p inventory.Package, statements []match.Statement) []match.Match {
			matched++
			return match.Package(p, statements)
		}
		if changed, err := s.ReplaceProducts(t.Context(), redHat(), counted); err != nil || changed != 0 || matched != many {
			t.Errorf("%d repositories changed, %d packages matched, %v", changed, matched, err)
		}
		if n := count(); n != 100 {
			t.Errorf("%d findings in the end", n)
		}
		matched = 0
		other := redHat()
		other["rhocp"] = match.Ecosystems{Own: []string{"cpe:/a:redhat:openshift:4"}}
		if changed, err := s.ReplaceProducts(t.Context(), other, counted); err != nil || changed != 1 || matched != 0 {
			t.Errorf("of another repository: %d changed, %d packages matched, %v", changed, matched, err)
		}
		known, err := s.AllProducts(t.Context())
		if diff := cmp.Diff(other, known, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("known (-want +got):\n%s, %v", diff, err)
		}
	})
}
