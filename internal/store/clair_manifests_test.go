package store_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

func TestClairManifests(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		id := saveInventory(t, s, "one", musl("musl", "1.1.18-r3"))
		m := clairapi.Manifest{Hash: "sha256:a", Detectors: "d", InventoryID: id, Layers: []clairapi.ManifestLayer{{Hash: "sha512:1", Digest: "sha256:1"}, {Hash: "sha256:2", Digest: "sha256:2"}}}
		failed := clairapi.Manifest{Hash: "sha256:b", Detectors: "d", Error: "gone", Layers: []clairapi.ManifestLayer{{Hash: "sha256:3"}}}
		for range 2 { // the second time in place of the first
			for _, m := range []clairapi.Manifest{m, failed} {
				if err := s.SaveClairManifest(t.Context(), m); err != nil {
					t.Fatal(err)
				}
			}
		}
		m.Distribution.ID, m.Distribution.Version = "alpine", "v3.7"
		for _, want := range []clairapi.Manifest{m, failed} {
			got, err := s.ClairManifest(t.Context(), want.Hash)
			if err != nil {
				t.Fatal(err)
			}
			got.Distribution.PrettyName = ""
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		}
		packages, err := s.IndexedPackages(t.Context(), id)
		if err != nil || len(packages) != 1 || packages[0].Name != "musl" || packages[0].Path == "" || packages[0].ID == 0 {
			t.Fatalf("got %+v, %v", packages, err)
		}
		with, err := s.ManifestsWith(t.Context(), []int64{packages[0].ID})
		if err != nil || !slices.Equal(with[packages[0].ID], []string{"sha256:a"}) {
			t.Errorf("got %v, %v", with, err)
		}
		deleted, err := s.DeleteClairManifests(t.Context(), []string{"sha256:a", "sha256:c"})
		if err != nil || !slices.Equal(deleted, []string{"sha256:a"}) {
			t.Errorf("got %v, %v", deleted, err)
		}
		if _, err := s.ClairManifest(t.Context(), "sha256:a"); !errors.Is(err, clairapi.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

// advised has a document say what affects musl.
func advised(t *testing.T, s *store.Store, advisories ...advisory.Advisory) {
	t.Helper()
	entry := feed.Entry{Group: advisory.Group{Part: "v3.7/main", Name: "musl"}}
	var removed []string
	for _, a := range advisories {
		a.Ecosystem, a.Package, a.Source, a.Status = "alpine:v3.7", "musl", true, advisory.Affected
		entry.Advisories = append(entry.Advisories, a)
	}
	entries := []feed.Entry{entry}
	if len(advisories) == 0 {
		entries, removed = nil, []string{"musl"}
	}
	if err := s.ReplaceAdvisories(t.Context(), "alpine", "v3.7/main", entries, removed, match.Package); err != nil {
		t.Fatal(err)
	}
	if err := s.SaveFeedPart(t.Context(), "alpine", feed.PartState{Part: "v3.7/main", Changed: time.Now()}); err != nil {
		t.Fatal(err)
	}
}

func TestUpdates(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		saveInventory(t, s, "one", musl("musl", "1.1.18-r3"))
		advised(t, s, advisory.Advisory{Vulnerability: "CVE-1", Fixed: "1.1.19", Severity: advisory.Low})
		advised(t, s, advisory.Advisory{Vulnerability: "CVE-1", Fixed: "1.1.20", Severity: advisory.High}, advisory.Advisory{Vulnerability: "CVE-2"})
		advised(t, s, advisory.Advisory{Vulnerability: "CVE-2"})
		advised(t, s)
		updates, err := s.Updates(t.Context(), 10)
		if err != nil || len(updates) != 4 {
			t.Fatalf("got %v, %v", updates, err)
		}
		say := func(changes []clairapi.Change) (list []string) {
			for _, c := range changes {
				before, after := "-", "-"
				if c.Before != nil {
					before = c.Before.Severity.String() + " " + c.Before.Fixed
				}
				if c.After != nil {
					after = c.After.Severity.String() + " " + c.After.Fixed
				}
				list = append(list, string(c.Reason)+" "+c.Threat.Vulnerability+" of "+c.Package.Name+": "+before+" to "+after)
			}
			slices.Sort(list)
			return list
		}
		first := []string{}
		second := []string{"added CVE-2 of musl: - to unknown ", "changed CVE-1 of musl: low 1.1.19 to high 1.1.20"}
		third := []string{"removed CVE-1 of musl: high 1.1.20 to -"}
		fourth := []string{"removed CVE-2 of musl: unknown  to -"}
		ids, untold, err := s.UntoldUpdates(t.Context(), 10)
		if err != nil || len(ids) != 4 || untold[0].Ref != updates[3].Ref {
			t.Fatalf("got %v, %v, %v", ids, untold, err)
		}
		for i, want := range [][]string{first, second, third, fourth} {
			changes, err := s.ChangesOf(t.Context(), ids[i])
			if err != nil || !slices.Equal(say(changes), want) {
				t.Errorf("reading %d: got %q, %v, want %q", i, say(changes), err, want)
			}
		}
		all, err := s.UpdateChanges(t.Context(), updates[3].Ref, updates[0].Ref)
		if want := len(second) + len(third) + len(fourth); err != nil || len(all) != want {
			t.Errorf("from the first to the last: got %q, %v", say(all), err)
		}
		for _, refs := range [][2]string{{"x", updates[0].Ref}, {updates[0].Ref, "x"}} {
			if _, err := s.UpdateChanges(t.Context(), refs[0], refs[1]); !errors.Is(err, clairapi.ErrNotFound) {
				t.Errorf("%v: got %v", refs, err)
			}
		}
		// What is told is told once.
		for range 2 {
			if err := s.Tell(t.Context(), ids[1], []clairapi.Notice{{Manifest: "sha256:a", Reason: clairapi.Added}}, []clairapi.Told{{Namespace: "alpine:v3.7", Name: "CVE-2"}}); err != nil {
				t.Fatal(err)
			}
		}
		for _, api := range []string{clairapi.APIv1, clairapi.APIv4} {
			if out, err := s.Outgoing(t.Context(), api, 10); err != nil || len(out) != 1 {
				t.Errorf("%s: got %v, %v", api, out, err)
			}
		}
		// Old readings are forgotten.
		for range 12 {
			advised(t, s, advisory.Advisory{Vulnerability: "CVE-3"})
			advised(t, s)
		}
		ids, _, err = s.UntoldUpdates(t.Context(), 100)
		for _, id := range ids {
			err = errors.Join(err, s.Tell(t.Context(), id, nil, nil))
		}
		advised(t, s, advisory.Advisory{Vulnerability: "CVE-3"})
		if updates, e := s.Updates(t.Context(), 100); err != nil || e != nil || len(updates) > 11 {
			t.Errorf("%d readings are remembered, %v, %v", len(updates), err, e)
		}
	})
}

func TestWrittenVulnerabilities(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		saveInventory(t, s, "one", musl("musl", "1.1.18-r3"))
		w := clairapi.Written{Description: "Ours.", Severity: advisory.High, Fixes: []clairapi.Fix{{Package: "musl", Version: "9"}}}
		write := func() {
			t.Helper()
			if err := s.WriteVulnerability(t.Context(), "alpine:v3.7", "CVE-9", w, match.Package); err != nil {
				t.Fatal(err)
			}
		}
		write()
		write() // no change, and no notification
		out, err := s.Outgoing(t.Context(), clairapi.APIv1, 10)
		if err != nil || len(out) != 1 {
			t.Fatalf("got %v, %v", out, err)
		}
		n, err := s.V1Notification(t.Context(), out[0].ID)
		if err != nil || n.Told.Old != nil || n.Told.New == nil || len(n.Told.New.Packages) != 1 {
			t.Fatalf("got %+v, %v", n, err)
		}
		v, err := s.NamespaceVulnerability(t.Context(), "alpine:v3.7", "CVE-9")
		if err != nil || v.Severity != advisory.High || len(v.Statements) == 0 {
			t.Errorf("got %+v, %v", v, err)
		}
		if err := s.DeleteWritten(t.Context(), "alpine:v3.7", "CVE-9", match.Package); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteWritten(t.Context(), "alpine:v3.7", "CVE-9", match.Package); !errors.Is(err, clairapi.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		if out, err := s.Outgoing(t.Context(), clairapi.APIv1, 10); err != nil || len(out) != 2 {
			t.Errorf("got %v, %v", out, err)
		}
		if err := s.MarkV1Notification(t.Context(), out[0].ID); err != nil {
			t.Error(err)
		}
		if out, err := s.Outgoing(t.Context(), clairapi.APIv1, 10); err != nil || len(out) != 1 {
			t.Errorf("after it was read: got %v, %v", out, err)
		}
	})
}

func TestAdapterScans(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		now := time.Now().UTC().Truncate(time.Microsecond)
		scan := clairapi.Scan{ID: "a", Artifact: clairapi.Artifact{Repository: "r", Digest: "sha256:a"}, State: clairapi.ScanPending, Created: now}
		for _, state := range []clairapi.ScanState{clairapi.ScanPending, clairapi.ScanFailed} {
			scan.State, scan.Error = state, "why"
			if err := s.SaveScan(t.Context(), scan, now.Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Scan(t.Context(), "a"); err != nil || cmp.Diff(scan, got) != "" {
			t.Errorf("got %+v, %v", got, err)
		}
		other := scan
		other.ID = "b"
		if err := s.SaveScan(t.Context(), other, now.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Scan(t.Context(), "a"); !errors.Is(err, clairapi.ErrNotFound) {
			t.Errorf("it is kept for ever: %v", err)
		}
	})
}
