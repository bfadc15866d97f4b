package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// publish stores groups as an update of a feed does.
func publish(t *testing.T, s *store.Store, name string, groups ...advisory.Group) {
	t.Helper()
	part := "all"
	for _, g := range groups {
		part = g.Part
	}
	if err := s.ReplaceAdvisories(t.Context(), name, part, entriesOf(groups...), nil, match.Package); err != nil {
		t.Fatal(err)
	}
}

func entriesOf(groups ...advisory.Group) (entries []feed.Entry) {
	for _, g := range groups {
		entries = append(entries, feed.Entry{Group: g, Fingerprint: sha256.Sum256([]byte(fmt.Sprint(g)))})
	}
	return entries
}

// onMusl is a statement that musl before a version is affected.
func onMusl(vulnerability, fixed string, detail advisory.Detail) advisory.Group {
	return advisory.Group{
		Part: "all", Name: "of " + vulnerability,
		Advisories: []advisory.Advisory{{Vulnerability: vulnerability, Ecosystem: "alpine:v3.7", Package: "musl", Source: true, Status: advisory.Affected, Fixed: fixed}},
		Details:    map[string]advisory.Detail{vulnerability: detail},
	}
}

func names(t *testing.T, s *store.Store, digest string) (list []string) {
	t.Helper()
	findings, err := s.ImageFindings(t.Context(), digest)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings {
		list = append(list, fmt.Sprintf("%s %s < %s", f.Vulnerability, f.Severity, f.Fixed))
	}
	return list
}

func TestAliasesAreOneVulnerability(t *testing.T) {
	ghsa := onMusl("GHSA-aaaa-bbbb-cccc", "1.1.18-r4", advisory.Detail{Description: "by GitHub", Severity: advisory.Medium})
	pysec := onMusl("PYSEC-2024-1", "1.1.18-r5", advisory.Detail{Aliases: []string{"GHSA-aaaa-bbbb-cccc"}})
	cve := onMusl("CVE-2024-1", "1.1.18-r6", advisory.Detail{Aliases: []string{"GHSA-aaaa-bbbb-cccc", "CVE-2024-2"}})
	for _, test := range []struct {
		name  string
		order []advisory.Group
	}{
		{"the CVE is told last", []advisory.Group{ghsa, pysec, cve}},
		{"the CVE is told first", []advisory.Group{cve, pysec, ghsa}},
		{"the link is told between", []advisory.Group{pysec, cve, ghsa}},
	} {
		t.Run(test.name, func(t *testing.T) {
			storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
				saveImage(t, s, "sha256:old", alpine(musl("musl", "1.1.18-r3")))
				for i, g := range test.order {
					publish(t, s, fmt.Sprintf("feed-%d", i), g)
				}
				if diff := cmp.Diff([]string{"CVE-2024-1 medium < 1.1.18-r6"}, names(t, s, "sha256:old")); diff != "" {
					t.Errorf("findings (-want +got):\n%s", diff)
				}
				for _, name := range []string{"CVE-2024-1", "GHSA-aaaa-bbbb-cccc", "PYSEC-2024-1"} {
					v, err := s.VulnerabilityByName(t.Context(), name)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						continue
					}
					if v.Name != "CVE-2024-1" || len(v.Statements) != 3 || v.Description != "by GitHub" {
						t.Errorf("%s: got %+v", name, v)
					}
					if diff := cmp.Diff([]string{"GHSA-aaaa-bbbb-cccc", "PYSEC-2024-1"}, v.Aliases); diff != "" {
						t.Errorf("aliases of %s (-want +got):\n%s", name, diff)
					}
				}
				if _, err := s.VulnerabilityByName(t.Context(), "CVE-2024-2"); !errors.Is(err, store.ErrNotFound) {
					t.Errorf("two CVEs became one: %v", err)
				}
			})
		})
	}
}

func TestAnAliasOfTwoIsNone(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		saveImage(t, s, "sha256:old", alpine(musl("musl", "1.1.18-r3")))
		detail := advisory.Detail{Aliases: []string{"GHSA-aaaa-bbbb-cccc"}}
		publish(t, s, "one", onMusl("GHSA-aaaa-bbbb-cccc", "1.1.18-r4", advisory.Detail{}))
		publish(t, s, "two", onMusl("CVE-2024-1", "1.1.18-r4", detail), onMusl("CVE-2024-2", "1.1.18-r4", detail))
		want := []string{"CVE-2024-1 unknown < 1.1.18-r4", "CVE-2024-2 unknown < 1.1.18-r4", "GHSA-aaaa-bbbb-cccc unknown < 1.1.18-r4"}
		if diff := cmp.Diff(want, names(t, s, "sha256:old")); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}

func TestDecisionsFollowAliases(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		ctx := context.Background()
		if err := s.SeedAssessmentTypes(ctx, []assess.Type{{Name: "Ignore", Color: "#888888"}}); err != nil {
			t.Fatal(err)
		}
		saveImage(t, s, "sha256:old", alpine(musl("musl", "1.1.18-r3")))
		publish(t, s, "one", onMusl("GHSA-aaaa-bbbb-cccc", "1.1.18-r4", advisory.Detail{}))
		before, err := s.ImageFindings(ctx, "sha256:old")
		if err != nil || len(before) != 1 {
			t.Fatalf("got %v, %v", before, err)
		}
		if _, err := s.CreateAssessment(ctx, assess.Assessment{Vulnerability: "GHSA-aaaa-bbbb-cccc", Type: "Ignore", Scope: assess.Scope{Kind: assess.Everywhere}, Author: "admin", CreatedAt: clock.Now()}); err != nil {
			t.Fatal(err)
		}
		clock.advance(time.Hour)
		publish(t, s, "two", onMusl("CVE-2024-1", "1.1.18-r4", advisory.Detail{Aliases: []string{"GHSA-aaaa-bbbb-cccc"}}))
		after, err := s.ImageFindings(ctx, "sha256:old")
		if err != nil || len(after) != 1 || after[0].Vulnerability != "CVE-2024-1" {
			t.Fatalf("got %v, %v", after, err)
		}
		if !after[0].FirstSeen.Equal(before[0].FirstSeen) {
			t.Errorf("first seen moved from %v to %v", before[0].FirstSeen, after[0].FirstSeen)
		}
		decisions, err := s.LiveDecisions(ctx, []int64{after[0].VulnerabilityID}, nil, clock.Now())
		if err != nil || len(decisions) != 1 || decisions[0].Type != "Ignore" {
			t.Errorf("the decision is lost: %v, %v", decisions, err)
		}
	})
}

func TestSeverityOfFindings(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		saveImage(t, s, "sha256:old", alpine(musl("musl", "1.1.18-r3")))
		publish(t, s, "alpine", onMusl("CVE-2024-1", "1.1.18-r4", advisory.Detail{}))
		check := func(step string, want ...string) {
			t.Helper()
			if diff := cmp.Diff(want, names(t, s, "sha256:old")); diff != "" {
				t.Errorf("%s (-want +got):\n%s", step, diff)
			}
		}
		check("nobody grades it", "CVE-2024-1 unknown < 1.1.18-r4")
		publish(t, s, "github", advisory.Group{Part: "all", Name: "CVE-2024-1", Details: map[string]advisory.Detail{"CVE-2024-1": {
			Description: "A longer text than that of others.", Severity: advisory.Critical, Scores: []advisory.Score{{Version: "3.1", Vector: "CVSS:3.1/…", Base: 9.8}},
		}}})
		check("one feed does", "CVE-2024-1 critical < 1.1.18-r4")
		exploited := time.Date(2024, 5, 6, 0, 0, 0, 0, time.UTC)
		publish(t, s, advisory.NVD, advisory.Group{Part: "all", Name: "CVE-2024-1", Details: map[string]advisory.Detail{"CVE-2024-1": {
			Description: "short", Scores: []advisory.Score{{Version: "3.1", Vector: "CVSS:3.1/AV:L", Base: 5.5}}, Exploited: &advisory.Exploitation{Added: exploited},
		}}})
		check("NVD comes first", "CVE-2024-1 medium < 1.1.18-r4")
		findings, err := s.ImageFindings(t.Context(), "sha256:old")
		if err != nil || findings[0].CVSS != 5.5 || findings[0].Vector != "CVSS:3.1/AV:L" || !findings[0].ExploitedSince.Equal(exploited) {
			t.Errorf("got %+v, %v", findings, err)
		}
		if err := s.ReplaceAdvisories(t.Context(), advisory.NVD, "all", nil, []string{"CVE-2024-1"}, match.Package); err != nil {
			t.Fatal(err)
		}
		check("NVD took it back", "CVE-2024-1 critical < 1.1.18-r4")
		severe := onMusl("CVE-2024-1", "1.1.18-r4", advisory.Detail{})
		severe.Advisories[0].Severity = advisory.Low
		publish(t, s, "alpine", severe)
		check("the publisher's own grade counts", "CVE-2024-1 low < 1.1.18-r4")
	})
}

func TestWhatWasKnownOnADay(t *testing.T) {
	clock := newClock()
	storetest.Each(t, store.Options{Now: clock.Now}, func(t *testing.T, s *store.Store) {
		start := clock.Now()
		saveImage(t, s, "sha256:old", alpine(musl("musl", "1.1.18-r3")))
		clock.advance(24 * time.Hour)
		publish(t, s, "alpine", onMusl("CVE-2024-1", "1.1.18-r4", advisory.Detail{}))
		clock.advance(24 * time.Hour)
		if err := s.ReplaceAdvisories(t.Context(), "alpine", "all", nil, []string{"of CVE-2024-1"}, match.Package); err != nil {
			t.Fatal(err)
		}
		clock.advance(24 * time.Hour)
		for day, want := range []int{0, 1, 0, 0} {
			findings, err := s.ImageFindingsAt(t.Context(), "sha256:old", start.Add(time.Duration(day)*24*time.Hour+time.Hour))
			if err != nil || len(findings) != want {
				t.Errorf("day %d: got %v, %v; want %d", day, findings, err, want)
			}
		}
		if findings, err := s.ImageFindingsAt(t.Context(), "sha256:old", start.Add(-time.Hour)); err != nil || len(findings) != 0 {
			t.Errorf("before the image was known: got %v, %v", findings, err)
		}
	})
}
