package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// dock is a store with the registries main and other, and an enabled extension.
type dock struct {
	*store.Store
	t          *testing.T
	clock      *clock
	main, rest registry.Repository
}

func eachDock(t *testing.T, test func(t *testing.T, d dock)) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		mustRegistry(t, s, "main")
		mustRegistry(t, s, "other")
		if err := s.SetExtension(t.Context(), "clair-v4", true); err != nil {
			t.Fatal(err)
		}
		test(t, dock{s, t, clock, mustRepository(t, s, "main", "app"), mustRepository(t, s, "other", "app")})
	})
}

// image stores an image with packages in a repository and returns its digest.
func (d dock) image(t *testing.T, repository registry.Repository, name string, packages ...inventory.Installed) string {
	t.Helper()
	m := mustManifest(t, d.Store, repository.ID, name, nil)
	saveImage(t, d.Store, m.Digest, alpine(packages...))
	return m.Digest
}

func (d dock) source(t *testing.T, name string, registries ...string) source.Source {
	t.Helper()
	o, err := d.CreateSource(t.Context(), source.Source{Name: name, Extension: "clair-v4", URL: "http://clair:6060", Timeout: time.Minute, Concurrency: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range registries {
		if _, err := d.AttachSource(t.Context(), r, name); err != nil {
			t.Fatal(err)
		}
	}
	return o
}

func (d dock) claim(t *testing.T, o source.Source, owner string) []source.Scan {
	t.Helper()
	scans, err := d.ClaimScans(t.Context(), o.ID, owner, 10, 5, d.clock.Now(), d.clock.Now().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return scans
}

// answer has the source answer for the one image that is due.
func (d dock) answer(t *testing.T, o source.Source, findings ...source.Reported) {
	t.Helper()
	scans := d.claim(t, o, "me")
	if len(scans) != 1 {
		t.Fatalf("claimed %+v, want one", scans)
	}
	if err := d.AnswerScan(t.Context(), scans[0].ID, "me", source.Report{Findings: findings, Handle: "h"}); err != nil {
		t.Fatal(err)
	}
}

func (d dock) pending(t *testing.T, name, digest string, want ...string) {
	t.Helper()
	got, err := d.SourcesPending(t.Context(), name, digest)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("pending of %s in %s (-want +got):\n%s", digest, name, diff)
	}
}

func TestSourcesPending(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		app := d.image(t, d.main, "app", musl("musl", "1"))
		mustManifest(t, d.Store, d.rest.ID, "app", nil)
		d.pending(t, "main", app)
		clair := d.source(t, "clair", "main")
		d.source(t, "idle")
		d.pending(t, "main", app, "clair")
		d.pending(t, "other", app)
		d.pending(t, "nowhere", app)
		d.pending(t, "main", sha(9))
		// A failed try answers nothing; a good answer stands, whatever comes after it.
		scan := d.claim(t, clair, "me")[0]
		if err := d.FailScan(t.Context(), scan.ID, "me", "refused", d.clock.Now(), true); err != nil {
			t.Fatal(err)
		}
		d.pending(t, "main", app, "clair")
		d.answer(t, clair)
		d.pending(t, "main", app)
		if n, err := d.AskImage(t.Context(), app); err != nil || n != 1 {
			t.Fatalf("asked %d, %v", n, err)
		}
		scan = d.claim(t, clair, "me")[0]
		if err := d.FailScan(t.Context(), scan.ID, "me", "refused", time.Time{}, true); err != nil {
			t.Fatal(err)
		}
		d.pending(t, "main", app)
		d.Exec(t, `update images set state = 'pending'`)
		d.pending(t, "main", app, "built-in")
		// An analysis that failed is no answer, but there is none to wait for.
		d.Exec(t, `update images set state = 'failed'`)
		d.pending(t, "main", app)
		d.Exec(t, `update images set state = 'pending'`)
		if err := d.DetachSource(t.Context(), "main", source.BuiltIn); err != nil {
			t.Fatal(err)
		}
		d.pending(t, "main", app)
		d.pending(t, "other", app, "built-in")
	})
}

func TestSources(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		ctx := t.Context()
		clair := d.source(t, "clair", "main")
		if _, err := d.CreateSource(ctx, source.Source{Name: "clair", Extension: "clair-v4"}); !errors.Is(err, source.ErrExists) {
			t.Errorf("the same name: %v", err)
		}
		if _, err := d.CreateSource(ctx, source.Source{Name: "x", Extension: "clair-v1"}); !errors.Is(err, source.ErrDisabled) {
			t.Errorf("of an extension that is off: %v", err)
		}
		var use *source.InUseError
		if err := d.SetExtension(ctx, "clair-v4", false); !errors.As(err, &use) || !cmp.Equal(use.Sources, []string{"clair"}) {
			t.Errorf("disable what is used: %v", err)
		}
		if states, err := d.Extensions(ctx); err != nil || !states["clair-v4"] || states["clair-v1"] {
			t.Errorf("extensions %v, %v", states, err)
		}
		changed := clair
		changed.URL, changed.Sealed = "https://clair", []byte{1}
		stored, err := d.ChangeSource(ctx, changed)
		if err != nil || stored.Version != clair.Version+1 || stored.URL != "https://clair" || len(stored.Sealed) != 1 {
			t.Errorf("got %+v, %v", stored, err)
		}
		if _, err := d.ChangeSource(ctx, changed); !errors.Is(err, source.ErrChanged) {
			t.Errorf("change an older one: %v", err)
		}
		if got, err := d.Source(ctx, "clair"); err != nil || !cmp.Equal(got, stored) {
			t.Errorf("got %+v, %v", got, err)
		}
		if err := d.DeleteSource(ctx, "clair", 1); !errors.Is(err, source.ErrChanged) {
			t.Errorf("delete an older one: %v", err)
		}
		if err := d.DeleteSource(ctx, "clair", stored.Version); err != nil {
			t.Error(err)
		}
		if err := d.DeleteSource(ctx, "clair", 0); !errors.Is(err, source.ErrNotFound) {
			t.Errorf("delete again: %v", err)
		}
		if err := d.SetExtension(ctx, "clair-v4", false); err != nil {
			t.Error(err)
		}
	})
}

func TestAttachments(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		ctx := t.Context()
		d.source(t, "clair", "main")
		want := func(names ...string) {
			t.Helper()
			list, err := d.Attachments(ctx, "main")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, a := range list {
				got = append(got, a.Source)
			}
			if diff := cmp.Diff(names, got); diff != "" {
				t.Errorf("sources of main (-want +got):\n%s", diff)
			}
		}
		want("built-in", "clair")
		if fresh, err := d.AttachSource(ctx, "main", "clair"); err != nil || fresh {
			t.Errorf("attach again: %v, %v", fresh, err)
		}
		for _, pair := range [][2]string{{"main", "none"}, {"none", "clair"}, {"none", "built-in"}} {
			if _, err := d.AttachSource(ctx, pair[0], pair[1]); !errors.Is(err, source.ErrNotFound) {
				t.Errorf("attach %v: %v", pair, err)
			}
			if err := d.DetachSource(ctx, pair[0], pair[1]); !errors.Is(err, source.ErrNotFound) {
				t.Errorf("detach %v: %v", pair, err)
			}
		}
		for _, name := range []string{"built-in", "clair"} {
			if err := d.DetachSource(ctx, "main", name); err != nil {
				t.Fatal(err)
			}
		}
		want()
		if fresh, err := d.AttachSource(ctx, "main", "built-in"); err != nil || !fresh {
			t.Errorf("attach the built-in analyser: %v, %v", fresh, err)
		}
		want("built-in")
	})
}

func TestClaimScans(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		for i := range 2 {
			d.image(t, d.main, fmt.Sprint("app", i), musl("musl", "1"))
		}
		clair := d.source(t, "clair", "main")
		first := d.claim(t, clair, "a")
		d.image(t, d.main, "app2", musl("musl", "1"))
		if any, err := d.AskNew(t.Context(), ""); err != nil || !any {
			t.Fatalf("asked %v, %v", any, err)
		}
		if len(first) != 2 || len(d.claim(t, clair, "b")) != 0 {
			t.Fatalf("claimed %+v: the concurrency is 2", first)
		}
		d.Exec(t, `delete from source_scans where state = 'queued'`)
		// Who fell silent loses its scans, and may not answer any more.
		d.clock.advance(2 * time.Minute)
		second := d.claim(t, clair, "b")
		if len(second) != 2 {
			t.Fatalf("claimed %+v", second)
		}
		if err := d.AnswerScan(t.Context(), first[0].ID, "a", source.Report{}); !errors.Is(err, source.ErrTaken) {
			t.Errorf("a late answer: %v", err)
		}
		if err := d.HoldScan(t.Context(), first[0].ID, "a", "", d.clock.Now()); !errors.Is(err, source.ErrTaken) {
			t.Errorf("a late hold: %v", err)
		}
		// A replica that starts again need not wait for what it held.
		d.clock.advance(2 * time.Minute)
		if held := d.claim(t, clair, "one/x"); len(held) != 2 {
			t.Fatalf("claimed %+v", held)
		}
		for _, replica := range []string{"two", "on"} {
			if n, err := d.ReleaseScans(t.Context(), replica, d.clock.Now()); n != 0 || err != nil {
				t.Errorf("replica %s: %d, %v", replica, n, err)
			}
		}
		if n, err := d.ReleaseScans(t.Context(), "one", d.clock.Now()); n != 2 || err != nil {
			t.Errorf("released %d, %v", n, err)
		}
		if again := d.claim(t, clair, "one/y"); len(again) != 2 || again[0].Attempts != 4 {
			t.Errorf("claimed %+v", again)
		}
		// What is never finished is given up.
		for range 20 {
			d.clock.advance(2 * time.Minute)
			d.claim(t, clair, "c")
		}
		scans, err := d.Scans(t.Context(), "clair", source.Quarantined, 0, 10)
		if err != nil || len(scans) == 0 || scans[0].Attempts != 5 || scans[0].Error == "" {
			t.Errorf("got %+v, %v", scans, err)
		}
	})
}

func TestAnswersJoinFindings(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		muslAdvisory(t, d.Store, "1.1.18-r4")
		app := d.image(t, d.main, "app", musl("musl", "1.1.18-r3"), musl("musl-utils", "1.1.18-r3"))
		clair := d.source(t, "clair", "main")
		cve := source.Reported{Vulnerability: "CVE-2019-14697", Package: "musl", Version: "1.1.18-r3", Severity: advisory.Critical, Fixed: "1.1.18-r9"}
		only := source.Reported{Vulnerability: "X-1", Package: "Musl-Utils", Version: "1.1.18-r3", Severity: advisory.Low, Layer: "sha256:aa", Description: "only Clair knows"}
		foreign := source.Reported{Vulnerability: "X-1", Package: "ghost", Version: "7", Fixed: "8"}
		want := func(step string, lines ...string) {
			t.Helper()
			found, err := d.ImageFindings(t.Context(), app)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, fmt.Sprintf("%s %s %s %s fixed %q in %q by %v", f.Vulnerability, f.Severity, f.Package.Name, f.Package.Version, f.Fixed, f.Evidence.Path, f.Sources))
			}
			if diff := cmp.Diff(lines, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		const (
			builtIn = `CVE-2019-14697 high %s 1.1.18-r3 fixed "1.1.18-r4" in "lib/apk/db/installed" by [%s]`
			utils   = `X-1 low musl-utils 1.1.18-r3 fixed "" in "lib/apk/db/installed" by [clair]`
			ghost   = `X-1 low ghost 7 fixed "8" in "" by [clair]`
		)
		alone := []string{fmt.Sprintf(builtIn, "musl", "built-in"), fmt.Sprintf(builtIn, "musl-utils", "built-in")}
		want("before", alone...)
		d.answer(t, clair, cve, only, foreign)
		both := []string{fmt.Sprintf(builtIn, "musl", "built-in clair"), fmt.Sprintf(builtIn, "musl-utils", "built-in clair"), ghost, utils}
		want("answered", both...)
		first, err := d.ImageFindings(t.Context(), app)
		if err != nil {
			t.Fatal(err)
		}
		// A later answer replaces it, and what stays is not new.
		d.clock.advance(time.Hour)
		if _, err := d.AskAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		want("asked again", both...)
		d.answer(t, clair, only)
		want("answered again", alone[0], alone[1], utils)
		again, err := d.ImageFindings(t.Context(), app)
		if err != nil || !again[2].FirstSeen.Equal(first[3].FirstSeen) {
			t.Errorf("first seen %v, then %v (%v)", first[3].FirstSeen, again[2].FirstSeen, err)
		}
		then, err := d.ImageFindingsAt(t.Context(), app, d.clock.Now().Add(-time.Minute))
		if err != nil || len(then) != 4 {
			t.Errorf("an hour ago: %d findings, %v", len(then), err)
		}
		if err := d.DetachSource(t.Context(), "main", "clair"); err != nil {
			t.Fatal(err)
		}
		want("detached", alone...)
		if _, err := d.AttachSource(t.Context(), "main", "clair"); err != nil {
			t.Fatal(err)
		}
		want("attached again", alone[0], alone[1], utils)
		if err := d.DetachSource(t.Context(), "main", source.BuiltIn); err != nil {
			t.Fatal(err)
		}
		want("without the built-in analyser", utils)
		if err := d.DeleteSource(t.Context(), "clair", 0); err != nil {
			t.Fatal(err)
		}
		want("deleted")
	})
}

// TestSeverityOfAnother: where the built-in analyser knows no severity, the gravest
// that another source knows is the finding's, wherever it is counted or judged.
func TestSeverityOfAnother(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		ctx := t.Context()
		publish(t, d.Store, "alpine", advisory.Group{Part: "v3.7/main", Name: "all", Advisories: []advisory.Advisory{
			{Vulnerability: "CVE-1", Ecosystem: "alpine:v3.7", Package: "musl", Status: advisory.Affected},
			{Vulnerability: "CVE-2", Ecosystem: "alpine:v3.7", Package: "musl", Status: advisory.Affected, Severity: advisory.Low},
			{Vulnerability: "CVE-3", Ecosystem: "alpine:v3.7", Package: "musl", Status: advisory.Affected}}})
		app := d.image(t, d.main, "app", musl("musl", "1"))
		says := func(name string, severity advisory.Severity) source.Reported {
			return source.Reported{Vulnerability: name, Package: "musl", Version: "1", Severity: severity}
		}
		d.answer(t, d.source(t, "one", "main"), says("CVE-1", advisory.Critical), says("CVE-2", advisory.Critical), says("CVE-3", advisory.Unknown))
		d.answer(t, d.source(t, "two", "main"), says("CVE-1", advisory.Medium))
		want := []string{"CVE-1 critical", "CVE-2 low", "CVE-3 unknown"}
		found, err := d.ImageFindings(ctx, app)
		if err != nil {
			t.Fatal(err)
		}
		judged, err := d.FindingsOf(ctx, []string{app})
		if err != nil {
			t.Fatal(err)
		}
		for name, findings := range map[string][]match.Finding{"image": found, "preview": judged[app].Findings} {
			var got []string
			for _, f := range findings {
				got = append(got, fmt.Sprint(f.Vulnerability, " ", f.Severity))
			}
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		summaries, err := d.ImageSummaries(ctx, []string{app})
		counts := map[advisory.Severity]int{advisory.Critical: 1, advisory.Low: 1, advisory.Unknown: 1}
		if diff := cmp.Diff(counts, summaries[app].Findings); err != nil || diff != "" {
			t.Errorf("summary (-want +got):\n%s%v", diff, err)
		}
	})
}

// TestListsSeeWhatSourcesReport: each list counts what attached sources report,
// where they are attached.
func TestListsSeeWhatSourcesReport(t *testing.T) {
	eachDock(t, func(t *testing.T, d dock) {
		ctx := t.Context()
		muslAdvisory(t, d.Store, "1.1.18-r4")
		app := d.image(t, d.main, "app", musl("musl", "1.1.18-r3"))
		mustManifest(t, d.Store, d.rest.ID, "app", nil)
		clair := d.source(t, "clair", "main")
		d.answer(t, clair, source.Reported{Vulnerability: "CVE-2019-14697", Package: "musl", Version: "1.1.18-r3", Severity: advisory.Critical},
			source.Reported{Vulnerability: "X-1", Package: "musl", Version: "1.1.18-r3", Severity: advisory.Low, Fixed: "2"})
		want := func(step string, lines ...string) {
			t.Helper()
			list, err := d.Vulnerabilities(ctx, match.Filter{Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, v := range list {
				affected, _, err := d.AffectedImages(ctx, v.ID, nil, 10)
				if err != nil {
					t.Fatal(err)
				}
				var at []string
				for _, a := range affected {
					at = append(at, a.Registry+" "+a.Severity.String())
				}
				got = append(got, fmt.Sprintf("%s %s %d images %d packages fixable %v at %v", v.Name, v.Severity, v.Images, v.Packages, v.Fixable, at))
			}
			stats, err := d.Stats(ctx, d.clock.Now())
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(stats.Vulnerabilities))
			if diff := cmp.Diff(lines, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		summaries, err := d.ImageSummaries(ctx, []string{app})
		if diff := cmp.Diff(map[advisory.Severity]int{advisory.High: 1, advisory.Low: 1}, summaries[app].Findings); diff != "" || err != nil {
			t.Errorf("what the list of images counts (-want +got):\n%s (%v)", diff, err)
		}
		const x = "X-1 low 1 images 1 packages fixable true at [main low]"
		want("both", "CVE-2019-14697 critical 1 images 1 packages fixable true at [main critical other high]", x, "map[low:1 critical:1]")
		if err := d.DetachSource(ctx, "other", source.BuiltIn); err != nil {
			t.Fatal(err)
		}
		want("detached from one", "CVE-2019-14697 critical 1 images 1 packages fixable true at [main critical]", x, "map[low:1 critical:1]")
		// What is assessed at one place only is unassessed at no other: there is none.
		service := assess.New(d.Store, assess.Options{Now: d.clock.Now})
		if err := service.Seed(ctx); err != nil {
			t.Fatal(err)
		}
		if _, err := service.Assess(ctx, assess.Request{Vulnerability: "X-1", Type: "Ignore", Author: "me", Comment: "c", Scope: assess.Scope{Kind: assess.Registry, Value: "main"}}); err != nil {
			t.Fatal(err)
		}
		v, err := d.VulnerabilityByName(ctx, "X-1")
		if err != nil {
			t.Fatal(err)
		}
		if states, err := d.VulnerabilityStates(ctx, []int64{v.ID}, d.clock.Now()); err != nil || !cmp.Equal(states[v.ID], []string{"Ignore"}) {
			t.Errorf("states %v, %v", states, err)
		}
		if names, err := d.RegistrySources(ctx, "main"); err != nil || !cmp.Equal(names, []string{"built-in", "clair"}) {
			t.Errorf("sources of main %q, %v", names, err)
		}
		if names, err := d.RegistrySources(ctx, "other"); err != nil || !cmp.Equal(names, []string{}) {
			t.Errorf("sources of other %q, %v", names, err)
		}
		// A feed finds out that both are one: then they are one finding.
		publish(t, d.Store, "alpine", advisory.Group{Part: "v3.7/main", Name: "musl", Advisories: []advisory.Advisory{{
			Vulnerability: "CVE-2019-14697", Ecosystem: "alpine:v3.7", Package: "musl", Source: true, Status: advisory.Affected, Fixed: "1.1.18-r4", Severity: advisory.High,
		}}, Details: map[string]advisory.Detail{"CVE-2019-14697": {Aliases: []string{"X-1"}}}})
		found, err := d.ImageFindings(ctx, app)
		if err != nil || len(found) != 1 || len(found[0].Sources) != 2 {
			t.Errorf("got %+v, %v", found, err)
		}
	})
}
