package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/internal/version"
)

// keyed fills a database of an engine with more than one batch of everything, and
// spoils all keys as those of an older format would be, one way or the other.
func keyed(t *testing.T, location string, clock *clock, spoil ...string) (s *store.Store, id int64) {
	t.Helper()
	s = opened(t, location, clock)
	const packages, statements = 1100, 1100
	// Each is compared with the others of its name only.
	named := func(n int) string { return fmt.Sprint("musl-", n%300) }
	var installed []inventory.Installed
	for n := range packages {
		p := musl(named(n), fmt.Sprintf("1.1.%d-r0", n))
		p.SourceName = p.Name
		installed = append(installed, p)
	}
	var err error
	if id, err = s.SaveInventory(t.Context(), "all", alpine(installed...), match.Package); err != nil {
		t.Fatal(err)
	}
	g := advisory.Group{Part: "all", Name: "musl"}
	for n := range statements {
		g.Advisories = append(g.Advisories, advisory.Advisory{
			Vulnerability: fmt.Sprintf("CVE-2024-%d", 10_000+n%7), Ecosystem: "alpine:v3.7", Package: named(n), Source: true, Status: advisory.Affected,
			Introduced: fmt.Sprintf("1.1.%d-r0", n), Fixed: fmt.Sprintf("1.1.%d-r1", n),
		})
	}
	publish(t, s, "alpine", g)
	s.Exec(t, append([]string{`update formats set value = 0`}, spoil...)...)
	return s, id
}

func opened(t *testing.T, location string, clock *clock) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), location, store.Options{Now: clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func eachLocation(t *testing.T, test func(t *testing.T, location string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, storetest.SQLiteURL(t)) })
	t.Run("postgres", func(t *testing.T) { test(t, storetest.PostgresURL(t)) })
}

// seen lists the findings with when they were first seen.
func seen(t *testing.T, s *store.Store, id int64) (list []string) {
	t.Helper()
	findings, err := s.InventoryFindings(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		list = append(list, fmt.Sprint(f.Vulnerability, f.Package.Version, f.Fixed, f.FirstSeen.Format(time.RFC3339)))
	}
	return list
}

func TestRekey(t *testing.T) {
	// By these, nothing is affected; by none, everything may be.
	spoilt := []string{`update packages set version_key = source_key, source_key = version_key`, `update advisories set introduced_key = fixed_key, fixed_key = introduced_key`}
	eachLocation(t, func(t *testing.T, location string) {
		clock := newClock()
		s, id := keyed(t, location, clock, spoilt...)
		want := seen(t, s, id)
		if len(want) != 1100 {
			t.Fatalf("%d findings", len(want))
		}
		before := s.VersionKeys(t)
		clock.advance(time.Hour)

		// Nothing is matched by keys that mean nothing, and what is known stays.
		muslToo := advisory.Group{Part: "all", Name: "other", Advisories: []advisory.Advisory{{Vulnerability: "CVE-1", Ecosystem: "alpine:v3.7", Package: "musl", Source: true, Status: advisory.Affected}}}
		if err := s.ReplaceAdvisories(t.Context(), "alpine", "all", entriesOf(muslToo), nil, match.Package); !errors.Is(err, store.ErrKeyFormat) {
			t.Errorf("an import: %v", err)
		}
		if _, err := s.SaveInventory(t.Context(), "new", alpine(musl("musl", "9")), match.Package); !errors.Is(err, store.ErrKeyFormat) {
			t.Errorf("an inventory: %v", err)
		}

		// It is killed in each stage, and goes on where it was.
		told := make(map[string]int)
		for _, stage := range []string{"packages", "advisories", "matches"} {
			ctx, kill := context.WithCancel(t.Context())
			if err := s.Rekey(ctx, match.Package, func(at string, _ int64) {
				told[at]++
				if at == stage {
					kill()
				}
			}); !errors.Is(err, context.Canceled) {
				t.Errorf("killed in %s: %v", stage, err)
			}
			kill()
		}
		replica := opened(t, location, clock)
		var wait sync.WaitGroup
		var mu sync.Mutex
		for _, one := range []*store.Store{s, replica, s} {
			wait.Go(func() {
				if err := one.Rekey(t.Context(), match.Package, func(at string, _ int64) {
					mu.Lock()
					defer mu.Unlock()
					told[at]++
				}); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		if diff := cmp.Diff(map[string]int{"packages": 2, "advisories": 2, "matches": 3}, told); diff != "" {
			t.Errorf("batches (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, seen(t, s, id)); diff != "" {
			t.Errorf("findings (-before +after):\n%s", diff)
		}
		after := s.VersionKeys(t)
		if before == after || strings.Contains(after, "progress") {
			t.Errorf("the keys were left alone, or the progress: %.200s", after)
		}
		if _, err := s.SaveInventory(t.Context(), "new", alpine(musl("musl", "1.1.9-r0")), match.Package); err != nil {
			t.Errorf("an inventory afterwards: %v", err)
		}
		after = s.VersionKeys(t)
		// A second time there is nothing to do.
		if err := s.Rekey(t.Context(), match.Package, func(stage string, _ int64) { t.Errorf("%s are made once more", stage) }); err != nil {
			t.Error(err)
		}
		if again := s.VersionKeys(t); again != after {
			t.Errorf("the keys changed once more")
		}
	})
}

// TestRekeyRematches: what the older order had judged otherwise is put right.
func TestRekeyRematches(t *testing.T) {
	eachLocation(t, func(t *testing.T, location string) {
		clock := newClock()
		s, id := keyed(t, location, clock)
		want := len(seen(t, s, id))
		s.Exec(t, `update matches set gone_at = 1 where id % 2 = 0`, `update matches set fixed = '7' where id % 3 = 0`)
		if err := s.Rekey(t.Context(), match.Package, nil); err != nil {
			t.Fatal(err)
		}
		for _, line := range seen(t, s, id) {
			if strings.Contains(line, "r07") {
				t.Errorf("found still: %s", line)
			}
			want--
		}
		if want != 0 {
			t.Errorf("%d findings are missing", want)
		}
	})
}

func TestKeysOfAnotherProgram(t *testing.T) {
	eachLocation(t, func(t *testing.T, location string) {
		clock := newClock()
		s := opened(t, location, clock)
		muslAdvisory(t, s, "1.1.18-r4")
		for name, statement := range map[string]string{
			"newer":         fmt.Sprintf(`update formats set value = %d`, version.KeyFormat+1),
			"being made":    fmt.Sprintf(`insert into rekeying (stage, target, after) values ('packages', %d, 5)`, version.KeyFormat+1),
			"of no program": `update formats set value = -1`,
		} {
			s.Exec(t, `update formats set value = 0`, `delete from rekeying`, statement)
			err := s.Rekey(t.Context(), match.Package, nil)
			if name == "of no program" {
				if err != nil {
					t.Errorf("%s: %v", name, err)
				}
				continue
			}
			if !errors.Is(err, store.ErrKeyFormat) || !strings.Contains(err.Error(), "a newer program") {
				t.Errorf("%s: %v", name, err)
			}
			if _, err := s.SaveInventory(t.Context(), name, alpine(musl("musl", "9")), match.Package); !errors.Is(err, store.ErrKeyFormat) {
				t.Errorf("%s: an inventory: %v", name, err)
			}
		}
		// What an older program had begun is begun anew.
		s.Exec(t, `update formats set value = -1`, `delete from rekeying`, `insert into rekeying (stage, target, after) values ('advisories', 0, 1000000)`, `update advisories set fixed_key = null`)
		if err := s.Rekey(t.Context(), match.Package, nil); err != nil {
			t.Error(err)
		}
		if strings.Contains(s.VersionKeys(t), "fixed null") {
			t.Error("the keys of the older program's advisories are left")
		}
		// A database without any keys is this program's.
		empty := opened(t, emptied(t, s, location), clock)
		if _, err := empty.SaveInventory(t.Context(), "first", alpine(musl("musl", "9")), match.Package); err != nil {
			t.Error(err)
		}
	})
}

// emptied takes away what has keys.
func emptied(t *testing.T, s *store.Store, location string) string {
	t.Helper()
	s.Exec(t, `delete from matches`, `delete from advisories`, `delete from packages`, `update formats set value = 0`)
	return location
}
