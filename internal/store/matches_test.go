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
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// musl is a package of an Alpine image.
func musl(name, version string) inventory.Installed {
	return inventory.Installed{
		Package: inventory.Package{
			Type: "apk", Distribution: "alpine:v3.7", Name: name, Version: version, Architecture: "x86_64",
			SourceName: "musl", SourceVersion: version,
		},
		Path: "lib/apk/db/installed", Detector: "apk", Line: 3, LayerDigest: "sha256:aa",
	}
}

func alpine(packages ...inventory.Installed) inventory.Image {
	return inventory.Image{Distribution: inventory.Distribution{ID: "alpine", Version: "v3.7", PrettyName: "Alpine Linux v3.7"}, Packages: packages}
}

// muslAdvisory publishes one advisory on musl, in place of any before.
func muslAdvisory(t *testing.T, s *store.Store, fixed string) {
	t.Helper()
	publish(t, s, "alpine", advisory.Group{Part: "v3.7/main", Name: "musl", Advisories: []advisory.Advisory{{
		Vulnerability: "CVE-2019-14697", Ecosystem: "alpine:v3.7", Package: "musl", Source: true, Status: advisory.Affected, Fixed: fixed, Severity: advisory.High,
	}}, Details: map[string]advisory.Detail{"CVE-2019-14697": {Description: "x87 stack imbalance"}}})
}

func saveImage(t *testing.T, s *store.Store, digest string, inv inventory.Image) {
	t.Helper()
	ctx := context.Background()
	img := image.Image{Digest: digest, MediaType: "m", Layers: []image.Layer{{Digest: "sha256:aa", Size: 5, MediaType: "l", CreatedBy: "ADD x"}}}
	if err := s.SaveImage(ctx, img); err != nil {
		t.Fatal(err)
	}
	id, err := s.SaveInventory(ctx, "key of "+digest, inv, match.Package)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SettleImage(ctx, digest, image.Done, "", id); err != nil {
		t.Fatal(err)
	}
}

func summarise(findings []match.Finding) (lines []string) {
	for _, f := range findings {
		lines = append(lines, fmt.Sprintf("%s %s %s %s fixed %s at %d %s: %s:%d %s", f.Vulnerability, f.Severity, f.Package.Name, f.Package.Version,
			f.Fixed, f.LayerIndex, f.LayerDigest, f.Evidence.Path, f.Evidence.Line, f.Evidence.Comparison))
	}
	return lines
}

func TestFindingsFollowAdvisories(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		key := []advisory.Key{{Ecosystem: "alpine:v3.7", Package: "musl", Source: true}}
		muslAdvisory(t, s, "1.1.18-r4")
		saveImage(t, s, "sha256:old", alpine(musl("musl", "1.1.18-r3"), musl("musl-utils", "1.1.18-r3")))
		saveImage(t, s, "sha256:new", alpine(musl("musl", "1.1.18-r4")))
		check := func(step, digest string, want ...string) {
			t.Helper()
			findings, err := s.ImageFindings(ctx, digest)
			if err != nil {
				t.Fatalf("%s: %v", step, err)
			}
			if diff := cmp.Diff(want, summarise(findings)); diff != "" {
				t.Errorf("%s: findings of %s (-want +got):\n%s", step, digest, diff)
			}
		}
		const found = "CVE-2019-14697 high %[1]s 1.1.18-r3 fixed %[2]s at 0 sha256:aa: lib/apk/db/installed:3 1.1.18-r3 < %[2]s (apk)"
		check("first", "sha256:old", fmt.Sprintf(found, "musl", "1.1.18-r4"), fmt.Sprintf(found, "musl-utils", "1.1.18-r4"))
		check("first", "sha256:new")
		first, err := s.ImageFindings(ctx, "sha256:old")
		if err != nil {
			t.Fatal(err)
		}

		clock.advance(time.Hour)
		muslAdvisory(t, s, "1.1.18-r5")
		if err := s.RematchKeys(ctx, key, match.Package); err != nil {
			t.Fatal(err)
		}
		check("corrected", "sha256:old", fmt.Sprintf(found, "musl", "1.1.18-r5"), fmt.Sprintf(found, "musl-utils", "1.1.18-r5"))
		check("corrected", "sha256:new", strings.ReplaceAll(fmt.Sprintf(found, "musl", "1.1.18-r5"), "1.1.18-r3", "1.1.18-r4"))
		second, err := s.ImageFindings(ctx, "sha256:old")
		if err != nil {
			t.Fatal(err)
		}
		if !second[0].FirstSeen.Equal(first[0].FirstSeen) {
			t.Errorf("a correction moves first seen from %v to %v", first[0].FirstSeen, second[0].FirstSeen)
		}

		s.Exec(t, `delete from advisories`)
		if err := s.RematchKeys(ctx, key, match.Package); err != nil {
			t.Fatal(err)
		}
		check("withdrawn", "sha256:old")

		clock.advance(time.Hour)
		muslAdvisory(t, s, "1.1.18-r4")
		if err := s.RematchKeys(ctx, key, match.Package); err != nil {
			t.Fatal(err)
		}
		third, err := s.ImageFindings(ctx, "sha256:old")
		if err != nil {
			t.Fatal(err)
		}
		if len(third) != 2 || !third[0].FirstSeen.Equal(clock.Now()) {
			t.Errorf("a finding that came back was first seen at %v, want %v", third, clock.Now())
		}
	})
}

func TestInventoryIsStoredOnce(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		const pushes = 8
		ids := make([]int64, pushes)
		var wait sync.WaitGroup
		for i := range ids {
			wait.Go(func() {
				var err error
				// The same packages under two keys: packages are shared, inventories are not.
				if ids[i], err = s.SaveInventory(ctx, fmt.Sprint("key", i%2), alpine(musl("musl", "1.1.18-r3"), musl("musl", "1.1.18-r3")), match.Package); err != nil {
					t.Error(err)
				}
			})
		}
		wait.Wait()
		for i, id := range ids {
			if id != ids[i%2] || id == 0 {
				t.Errorf("push %d got inventory %d, the first such push %d", i, id, ids[i%2])
			}
		}
		if ids[0] == ids[1] {
			t.Errorf("two keys share inventory %d", ids[0])
		}
	})
}

func TestImageByDigest(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		if _, err := s.ImageByDigest(ctx, "sha256:none"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("unknown image: %v", err)
		}
		inv := alpine(musl("musl", "1.1.18-r3"))
		inv.Warnings = []inventory.Warning{{Code: "truncated", Path: "p", Message: "m", Layer: "sha256:aa"}}
		saveImage(t, s, "sha256:00", inv)
		got, err := s.ImageByDigest(ctx, "sha256:00")
		if err != nil {
			t.Fatal(err)
		}
		want := image.Image{
			Digest: "sha256:00", MediaType: "m", State: image.Done, InventoryID: got.InventoryID,
			Distribution: "alpine:v3.7", DistributionName: "Alpine Linux v3.7", Packages: 1, Types: map[string]int{"apk": 1}, Warnings: inv.Warnings,
			Layers:    []image.Layer{{Digest: "sha256:aa", Size: 5, MediaType: "l", CreatedBy: "ADD x"}},
			CreatedAt: clock.Now(), AnalysedAt: clock.Now(),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		packages, err := s.ImagePackages(ctx, "sha256:00")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(inv.Packages, packages); diff != "" {
			t.Errorf("packages (-want +got):\n%s", diff)
		}
		for _, list := range []func() ([]string, error){
			func() ([]string, error) { return s.ImagesOfLayer(ctx, "sha256:aa") },
		} {
			if got, err := list(); err != nil || !cmp.Equal(got, []string{"sha256:00"}) {
				t.Errorf("got %v, %v", got, err)
			}
		}
		if distributions, err := s.DistributionsOfLayer(ctx, "sha256:aa"); err != nil || len(distributions) != 1 || distributions[0].String() != "alpine:v3.7" {
			t.Errorf("distributions of the layer: %v, %v", distributions, err)
		}
	})
}

func TestLayerAnalyses(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		layer := &inventory.Layer{Digest: "sha256:aa", Entries: 2, Removed: []string{"etc/x"},
			Files: []inventory.File{{Path: "lib/apk/db/installed", Detector: "apk", Packages: []inventory.Record{{Package: musl("musl", "1").Package, Line: 1}}}}}
		if err := s.SaveLayer(ctx, layer, "apk/1"); err != nil {
			t.Fatal(err)
		}
		if err := s.FailLayer(ctx, "sha256:bb", "apk/1", "truncated"); err != nil {
			t.Fatal(err)
		}
		got, err := s.Layer(ctx, "sha256:aa", "apk/1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(layer, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		if _, err := s.Layer(ctx, "sha256:aa", "apk/2"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("analysis by other detectors: %v", err)
		}
		states, err := s.LayerStates(ctx, []string{"sha256:aa", "sha256:bb", "sha256:cc"}, "apk/1")
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(map[string]inventory.State{"sha256:aa": {}, "sha256:bb": {Failed: "truncated"}}, states); diff != "" {
			t.Errorf("states (-want +got):\n%s", diff)
		}
		saveImage(t, s, "sha256:00", alpine())
		for detectors, want := range map[inventory.DetectorSet][]string{"apk/1": nil, "apk/2": {"sha256:aa"}} {
			stale, err := s.StaleLayers(ctx, detectors, "", 10)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, stale); diff != "" {
				t.Errorf("stale for %s (-want +got):\n%s", detectors, diff)
			}
		}
	})
}

func TestVulnerabilityLists(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		muslAdvisory(t, s, "1.1.18-r4")
		saveImage(t, s, "sha256:00", alpine(musl("musl", "1.1.18-r3"), musl("musl-utils", "1.1.18-r3")))
		list := func(f match.Filter) []match.Summary {
			t.Helper()
			f.Limit = 10
			got, err := s.Vulnerabilities(ctx, f)
			if err != nil {
				t.Fatal(err)
			}
			return got
		}
		if got := list(match.Filter{}); len(got) != 0 {
			t.Errorf("an image without a manifest counts: %+v", got)
		}
		s.Exec(t,
			`insert into registries (id, name, created_at) values (71, 'main', 1)`,
			`insert into repositories (id, registry_id, name, created_at) values (72, 71, 'app', 1)`,
			`insert into manifests (repository_id, digest, media_type, size, content, pushed_at) values (72, 'sha256:00', 'm', 1, 'x', 1)`,
			`insert into tags (repository_id, name, digest, updated_at) values (72, '1', 'sha256:00', 1)`)
		got := list(match.Filter{Text: "cve-2019"})
		if len(got) != 1 || got[0].Name != "CVE-2019-14697" || got[0].Images != 1 || got[0].Packages != 2 || got[0].Severity != advisory.High || !got[0].Fixable {
			t.Fatalf("got %+v", got)
		}
		for name, f := range map[string]match.Filter{
			"above":        {Severities: []advisory.Severity{advisory.Critical}},
			"other text":   {Text: "CVE_2019"},
			"after itself": {After: &match.Cursor{Value: float64(advisory.High), Name: "CVE-2019-14697"}},
		} {
			if got := list(f); len(got) != 0 {
				t.Errorf("%s: got %+v", name, got)
			}
		}
		v, err := s.VulnerabilityByName(ctx, "CVE-2019-14697")
		if err != nil || len(v.Statements) != 1 || v.Statements[0].Fixed != "1.1.18-r4" || v.Statements[0].Part != "v3.7/main" {
			t.Errorf("got %+v, %v", v, err)
		}
		if _, err := s.VulnerabilityByName(ctx, "CVE-0"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("unknown vulnerability: %v", err)
		}
		var names []string
		var after *match.AffectedCursor
		for range 2 {
			page, next, err := s.AffectedImages(ctx, got[0].ID, after, 1)
			if err != nil || len(page) != 1 {
				t.Fatalf("got %+v, %v", page, err)
			}
			a := page[0]
			names = append(names, fmt.Sprintf("%s/%s:%s@%s %s", a.Registry, a.Repository, strings.Join(a.Tags, ","), a.Digest, a.Package.Name))
			after = next
		}
		if diff := cmp.Diff([]string{"main/app:1@sha256:00 musl", "main/app:1@sha256:00 musl-utils"}, names); diff != "" || after != nil {
			t.Errorf("affected (-want +got):\n%s, next %v", diff, after)
		}
	})
}
