package feed

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
)

// madeEntry is a group with a number of statements and something in every field.
func madeEntry(n, statements int) Entry {
	name := fmt.Sprintf("source-%d", n)
	e := Entry{Group: advisory.Group{Part: "tracker", Name: name}, Fingerprint: Fingerprint{byte(n)}, Origin: Origin{1, byte(n)}}
	for i := range statements {
		e.Advisories = append(e.Advisories, advisory.Advisory{
			ID: "DSA-1-1", Vulnerability: fmt.Sprintf("CVE-2026-%d", i), Ecosystem: "debian:12", Package: name, Source: true, Module: "nodejs:18",
			Architectures: "x86_64", Status: advisory.Affected, Introduced: "1", Fixed: "2", LastAffected: "1.9", Fix: advisory.WillNotFix,
			Severity: advisory.High, Note: "unimportant",
		})
	}
	day := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	e.Details = map[string]advisory.Detail{"CVE-2026-0": {
		Description: "overflow", Aliases: []string{"GHSA-1"}, Severity: advisory.Low, Scores: []advisory.Score{{Version: "3.1", Base: 7.5}},
		References: []string{"https://example.org"}, Published: day, Exploited: &advisory.Exploitation{Added: day, Ransomware: true},
	}}
	return e
}

func TestChangedGroupsAreKept(t *testing.T) {
	long := strings.Repeat("x", maxProse)
	for _, test := range []struct {
		name           string
		groups, within int // groups of 1,000 statements each, and those that memory has room for
		note           string
		again          bool
	}{
		{name: "in memory", groups: 3, within: 3},
		{name: "the rest on the disk", groups: 60, within: 49},
		{name: "too many", groups: 90, note: long, again: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			room := new(atomic.Int64)
			s := &survey{room: room, dir: t.TempDir()}
			var want, got []Entry
			for n := range test.groups {
				e := madeEntry(n, 1000)
				for i := range e.Advisories {
					e.Advisories[i].Note += test.note
				}
				want = append(want, e)
				if err := s.keep(e); err != nil {
					t.Fatal(err)
				}
			}
			if s.again != test.again {
				t.Fatalf("the document is read again: %v, want %v", s.again, test.again)
			}
			if !test.again {
				if len(s.kept) != test.within {
					t.Errorf("%d groups are in memory, want %d", len(s.kept), test.within)
				}
				got = append(got, s.kept...)
				if s.spill != nil {
					if err := s.spill.each(func(e Entry) error { got = append(got, e); return nil }); err != nil {
						t.Fatal(err)
					}
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("what was kept differs (-want +got):\n%.2000s", diff)
				}
			}
			if err := s.drop(); err != nil {
				t.Error(err)
			}
			if room.Load() != 0 || s.kept != nil || s.spill != nil {
				t.Errorf("%d statements are kept after all", room.Load())
			}
		})
	}
}

// TestKeptWithoutADisk: what cannot be kept is read again.
func TestKeptWithoutADisk(t *testing.T) {
	s := &survey{room: new(atomic.Int64), dir: filepath.Join(t.TempDir(), "gone")}
	for n := range 60 {
		if err := s.keep(madeEntry(n, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	if !s.again || s.kept != nil || s.room.Load() != 0 {
		t.Errorf("again %v, %d groups and %d statements are kept", s.again, len(s.kept), s.room.Load())
	}
}
