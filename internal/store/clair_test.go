package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// saveInventory stores an Alpine inventory under a key and returns its id.
func saveInventory(t *testing.T, s *store.Store, key string, packages ...inventory.Installed) int64 {
	t.Helper()
	id, err := s.SaveInventory(t.Context(), key, alpine(packages...), match.Package)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func saveClair(t *testing.T, s *store.Store, name, parent string, id int64) {
	t.Helper()
	if err := s.SaveClairLayer(t.Context(), clairapi.Layer{Name: name, ParentName: parent, Digest: "sha256:" + name, Format: "Docker", InventoryID: id}); err != nil {
		t.Fatal(err)
	}
}

func chainNames(t *testing.T, s *store.Store, name string) []string {
	t.Helper()
	chain, err := s.ClairChain(t.Context(), name)
	if errors.Is(err, clairapi.ErrNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, len(chain))
	for i, l := range chain {
		names[i] = l.Name
	}
	return names
}

func TestClairChain(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		one, two := saveInventory(t, s, "one"), saveInventory(t, s, "two", musl("musl", "1.1.18-r3"))
		saveClair(t, s, "a", "", one)
		saveClair(t, s, "b", "a", two)
		saveClair(t, s, "c", "b", two)
		saveClair(t, s, "d", "a", one)

		want := []clairapi.Layer{
			{Name: "a", Digest: "sha256:a", Format: "Docker", InventoryID: one, Distribution: "alpine:v3.7"},
			{Name: "b", ParentName: "a", Digest: "sha256:b", Format: "Docker", InventoryID: two, Distribution: "alpine:v3.7"},
			{Name: "c", ParentName: "b", Digest: "sha256:c", Format: "Docker", InventoryID: two, Distribution: "alpine:v3.7"},
		}
		got, err := s.ClairChain(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("chain (-want +got):\n%s", diff)
		}

		if err := s.DeleteClairLayer(t.Context(), "b"); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string][]string{"a": {"a"}, "b": nil, "c": nil, "d": {"a", "d"}} {
			if got := chainNames(t, s, name); !slices.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", name, got, want)
			}
		}
		if err := s.DeleteClairLayer(t.Context(), "b"); !errors.Is(err, clairapi.ErrNotFound) {
			t.Errorf("delete again: got %v", err)
		}
	})
}

func TestSaveClairLayerKeepsItsParent(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		one, two := saveInventory(t, s, "one"), saveInventory(t, s, "two")
		saveClair(t, s, "a", "", one)
		saveClair(t, s, "b", "", one)
		saveClair(t, s, "c", "a", one)
		saveClair(t, s, "c", "b", two) // another parent: nothing changes
		chain, err := s.ClairChain(t.Context(), "c")
		if err != nil {
			t.Fatal(err)
		}
		if l := chain[len(chain)-1]; l.ParentName != "a" || l.InventoryID != one {
			t.Errorf("got %+v", l)
		}
		saveClair(t, s, "c", "a", two) // the same parent: a newer inventory
		if chain, err = s.ClairChain(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if l := chain[len(chain)-1]; l.InventoryID != two {
			t.Errorf("got %+v", l)
		}
	})
}

func TestSaveClairLayerRefuses(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		id := saveInventory(t, s, "one")
		saveClair(t, s, "a", "", id)
		for name, l := range map[string]clairapi.Layer{
			"unknown parent":              {Name: "b", ParentName: "nobody", InventoryID: id},
			"its own parent":              {Name: "b", ParentName: "b", InventoryID: id},
			"its own parent, where known": {Name: "a", ParentName: "a", InventoryID: id},
		} {
			if err := s.SaveClairLayer(t.Context(), l); !errors.Is(err, clairapi.ErrUnknownParent) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		if got := chainNames(t, s, "a"); !slices.Equal(got, []string{"a"}) {
			t.Errorf("got %v", got)
		}
	})
}

func TestLongestClairChain(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		id := saveInventory(t, s, "one")
		parent := ""
		for i := range clairapi.MaxChain {
			name := fmt.Sprintf("layer%03d", i)
			saveClair(t, s, name, parent, id)
			parent = name
		}
		if got := chainNames(t, s, parent); len(got) != clairapi.MaxChain || got[0] != "layer000" {
			t.Errorf("got %d layers from %v", len(got), got[:1])
		}
		err := s.SaveClairLayer(t.Context(), clairapi.Layer{Name: "one more", ParentName: parent, InventoryID: id})
		if !errors.Is(err, clairapi.ErrChainTooLong) {
			t.Errorf("got %v", err)
		}
		if err := s.DeleteClairLayer(t.Context(), "layer000"); err != nil {
			t.Fatal(err)
		}
		if got := chainNames(t, s, parent); got != nil {
			t.Errorf("%d layers are left", len(got))
		}
	})
}

// A parent that is deleted while its child is saved takes the child along, or
// is unknown to it.
func TestClairLayersRace(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		id := saveInventory(t, s, "one")
		for range 20 {
			saveClair(t, s, "a", "", id)
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					err := s.SaveClairLayer(t.Context(), clairapi.Layer{Name: fmt.Sprint("child", i), ParentName: "a", InventoryID: id})
					if err != nil && !errors.Is(err, clairapi.ErrUnknownParent) {
						t.Errorf("save: %v", err)
					}
				})
			}
			wg.Go(func() {
				if err := s.DeleteClairLayer(t.Context(), "a"); err != nil {
					t.Errorf("delete: %v", err)
				}
			})
			wg.Wait()
			for i := range 4 {
				if got := chainNames(t, s, fmt.Sprint("child", i)); got != nil {
					t.Errorf("an orphan: %v", got)
				}
			}
		}
	})
}

func TestInventoryOfClairLayer(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		muslAdvisory(t, s, "1.1.18-r4")
		upper := musl("busybox", "1.27.2-r11")
		upper.SourceName, upper.SourceVersion, upper.LayerIndex = "busybox", "1.27.2-r11", 1
		id := saveInventory(t, s, "one", musl("musl-utils", "1.1.18-r3"), musl("musl", "1.1.18-r3"), upper)

		packages, err := s.InventoryPackages(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range packages {
			got = append(got, fmt.Sprintf("%s %s %s layer %d %s:%d", p.Distribution, p.Name, p.Version, p.LayerIndex, p.Path, p.Line))
		}
		want := []string{
			"alpine:v3.7 busybox 1.27.2-r11 layer 1 lib/apk/db/installed:3",
			"alpine:v3.7 musl 1.1.18-r3 layer 0 lib/apk/db/installed:3",
			"alpine:v3.7 musl-utils 1.1.18-r3 layer 0 lib/apk/db/installed:3",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("packages (-want +got):\n%s", diff)
		}

		findings, err := s.InventoryFindings(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		got = nil
		for _, f := range findings {
			got = append(got, fmt.Sprintf("%s %s %s %s -> %s", f.Vulnerability, f.Severity, f.Package.Name, f.Package.Version, f.Fixed))
		}
		want = []string{
			"CVE-2019-14697 high musl 1.1.18-r3 -> 1.1.18-r4",
			"CVE-2019-14697 high musl-utils 1.1.18-r3 -> 1.1.18-r4",
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}

		if err := s.ReplaceAdvisories(t.Context(), advisory.NVD, "all", []feed.Entry{
			{Group: advisory.Group{Part: "all", Name: "CVE-2019-14697", Details: map[string]advisory.Detail{"CVE-2019-14697": {Scores: []advisory.Score{{Version: "2.0", Vector: "AV:N", Base: 7.5}}}}}},
			{Group: advisory.Group{Part: "all", Name: "CVE-2019-1", Details: map[string]advisory.Detail{"CVE-2019-1": {Scores: []advisory.Score{{Version: "2.0", Vector: "AV:L", Base: 1}}}}}},
		}, nil, match.Package); err != nil {
			t.Fatal(err)
		}
		scores, err := s.InventoryScores(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(scores) != 1 || len(scores["CVE-2019-14697"]) != 1 || scores["CVE-2019-14697"][0].Scores[0].Base != 7.5 || scores["CVE-2019-14697"][0].Feed != advisory.NVD {
			t.Errorf("scores are %+v", scores)
		}

		// The feed takes it back: no new inventory is needed.
		s.Exec(t, `delete from advisories`)
		if err := s.RematchKeys(t.Context(), []advisory.Key{{Ecosystem: "alpine:v3.7", Package: "musl", Source: true}}, match.Package); err != nil {
			t.Fatal(err)
		}
		if findings, err = s.InventoryFindings(t.Context(), id); err != nil || len(findings) != 0 {
			t.Errorf("after the change: got %v, %v", findings, err)
		}
	})
}

// twoFeeds puts vulnerabilities of two distributions into the database.
func twoFeeds(t *testing.T, s *store.Store) {
	t.Helper()
	s.Exec(t,
		`insert into vulnerabilities (id, name, description, severity, first_seen) values
			(1, 'CVE-2024-0001', 'one', 0, 1000000), (2, 'CVE-2024-0002', 'two', 4, 1000000), (3, 'CVE-2024-0003', '', 0, 1000000), (4, 'CVE-2024-0004', '', 0, 1000000)`,
		`insert into advisory_groups (id, feed, part, name, fingerprint) values
			(1, 'debian', 'tracker', 'zlib', 'x'), (2, 'debian', 'tracker', 'curl', 'x'), (3, 'alpine', 'v3.7/main', 'zlib', 'x')`,
		`insert into advisories (group_id, vulnerability_id, ecosystem, package, source, status, introduced, fixed, severity, note) values
			(1, 1, 'debian:12', 'zlib', true, 'affected', '', '1:1.3-1', 3, 'medium'),
			(2, 1, 'debian:12', 'curl', true, 'affected', '', '', 5, ''),
			(1, 1, 'debian:11', 'zlib', true, 'affected', '', '1:1.2-1', 1, ''),
			(1, 2, 'debian:12', 'zlib', true, 'not_affected', '', '', 0, ''),
			(1, 3, 'debian:12', 'zlib', true, 'affected', '', '1:1.3-2', 0, ''),
			(3, 3, 'alpine:v3.7', 'zlib', true, 'affected', '', '1.2.11-r2', 4, ''),
			(1, 4, 'debian:12', 'zlib', true, 'undetermined', '', '', 0, '')`)
}

func TestNamespaces(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		if got, err := s.Namespaces(t.Context()); err != nil || len(got) != 0 {
			t.Errorf("without feeds: got %v, %v", got, err)
		}
		twoFeeds(t, s)
		got, err := s.Namespaces(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"alpine:v3.7", "debian:11", "debian:12"}, got); diff != "" {
			t.Errorf("namespaces (-want +got):\n%s", diff)
		}
	})
}

func TestNamespaceVulnerabilities(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		twoFeeds(t, s)
		for _, test := range []struct {
			name, namespace, after string
			limit                  int
			want                   []string
		}{
			{"all", "debian:12", "", 10, []string{"CVE-2024-0001 critical one", "CVE-2024-0003 unknown "}},
			{"of another release", "debian:11", "", 10, []string{"CVE-2024-0001 negligible one"}},
			{"first", "debian:12", "", 1, []string{"CVE-2024-0001 critical one"}},
			{"second", "debian:12", "CVE-2024-0001", 1, []string{"CVE-2024-0003 unknown "}},
			{"beyond the end", "debian:12", "CVE-2024-0003", 1, nil},
			{"none", "debian:12", "", 0, nil},
		} {
			list, err := s.NamespaceVulnerabilities(t.Context(), test.namespace, test.after, test.limit)
			if err != nil {
				t.Errorf("%s: %v", test.name, err)
			}
			var got []string
			for _, v := range list {
				got = append(got, fmt.Sprintf("%s %s %s", v.Name, v.Severity, v.Description))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.name, diff)
			}
		}
		if _, err := s.NamespaceVulnerabilities(t.Context(), "debian:99", "", 10); !errors.Is(err, clairapi.ErrNotFound) {
			t.Errorf("unknown namespace: got %v", err)
		}
	})
}

func TestNamespaceVulnerability(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		twoFeeds(t, s)
		got, err := s.NamespaceVulnerability(t.Context(), "debian:12", "CVE-2024-0001")
		if err != nil {
			t.Fatal(err)
		}
		statement := func(name, fixed, note string, severity advisory.Severity) match.Statement {
			return match.Statement{Feed: "debian", Part: "tracker", Advisory: advisory.Advisory{
				Vulnerability: "CVE-2024-0001", Ecosystem: "debian:12", Package: name, Source: true, Status: advisory.Affected, Fixed: fixed, Severity: severity, Note: note,
			}}
		}
		want := match.Vulnerability{
			ID: 1, Name: "CVE-2024-0001", Summary: advisory.Summary{Description: "one", Severity: advisory.Critical}, FirstSeen: time.Unix(1, 0).UTC(),
			Statements: []match.Statement{statement("curl", "", "", advisory.Critical), statement("zlib", "1:1.3-1", "medium", advisory.Medium)},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("vulnerability (-want +got):\n%s", diff)
		}
		for _, name := range []string{"CVE-2024-0002", "CVE-2024-0004", "CVE-2024-9999"} {
			if _, err := s.NamespaceVulnerability(t.Context(), "debian:12", name); !errors.Is(err, clairapi.ErrNotFound) {
				t.Errorf("%s: got %v", name, err)
			}
		}
	})
}

func TestNamespacesAtScale(t *testing.T) {
	if testing.Short() {
		t.Skip("100,000 advisories")
	}
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		// Each vulnerability is of five releases of Debian, a hundredth of Alpine.
		s.Exec(t,
			`insert into vulnerabilities (id, name, first_seen)
				with recursive n (i) as (select 1 union all select i + 1 from n where i < 20000) select i, 'CVE-' || (1000000 + i), 1 from n`,
			`insert into advisory_groups (id, feed, part, name, fingerprint) values (1, 'debian', 'tracker', 'zlib', 'x')`,
			`insert into advisories (group_id, vulnerability_id, ecosystem, package, source, status, severity)
				with recursive n (i) as (select 1 union all select i + 1 from n where i < 5)
				select 1, v.id, 'debian:' || n.i, 'zlib', true, 'affected', 3 from vulnerabilities v, n`,
			`insert into advisories (group_id, vulnerability_id, ecosystem, package, source, status, severity)
				select 1, v.id, 'alpine:v3.7', 'zlib', true, 'affected', 3 from vulnerabilities v where v.id % 100 = 0`,
			`analyze`)
		check := func(what string, do func(ctx context.Context) (int, error), want int) {
			t.Helper()
			if got, err := do(t.Context()); err != nil || got != want {
				t.Errorf("%s: got %d, %v; want %d", what, got, err, want)
			}
		}
		check("namespaces", func(ctx context.Context) (int, error) {
			list, err := s.Namespaces(ctx)
			return len(list), err
		}, 6)
		for namespace, want := range map[string]int{"debian:3": 100, "alpine:v3.7": 100} {
			for _, after := range []string{"", "CVE-1005000"} {
				check("page of "+namespace+" after "+after, func(ctx context.Context) (int, error) {
					list, err := s.NamespaceVulnerabilities(ctx, namespace, after, 100)
					return len(list), err
				}, want)
			}
		}
		check("one vulnerability", func(ctx context.Context) (int, error) {
			v, err := s.NamespaceVulnerability(ctx, "debian:3", "CVE-1010000")
			return len(v.Statements), err
		}, 1)
	})
}
