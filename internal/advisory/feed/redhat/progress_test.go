package redhat

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

func TestProgress(t *testing.T) {
	day := func(d, hour int) time.Time { return time.Date(2031, 3, d, hour, 0, 0, 0, time.UTC) }
	paths := func(list []entry) (paths []string) {
		for _, e := range list {
			paths = append(paths, e.path)
		}
		return paths
	}
	var p progress
	read := func(changes []entry, want ...string) {
		t.Helper()
		newer := p.newer(changes)
		if !slices.Equal(paths(newer), want) {
			t.Errorf("got %q, want %q", paths(newer), want)
		}
		done := p.Recent.set()
		for _, e := range newer {
			done[mark(e)] = true
		}
		p.advance(changes, done)
	}
	changes := []entry{{"a", day(1, 0)}, {"b", day(5, 0)}, {"c", day(5, 12)}}
	read(changes, "a", "b", "c")
	read(changes)
	// One is listed late, one changed again, one is as old as the oldest.
	changes = []entry{{"a", day(1, 0)}, {"late", day(4, 13)}, {"c", day(5, 12)}, {"b", day(5, 13)}}
	read(changes, "late", "b")
	read(changes)
	if want := day(4, 13); !p.Since.Equal(want) {
		t.Errorf("since %s, want %s", p.Since, want)
	}
	read([]entry{{"a", day(1, 0)}, {"too late", day(4, 12)}, {"late", day(4, 13)}, {"c", day(5, 12)}, {"b", day(5, 13)}})
	// What is read in part is gone on with.
	changes = append(changes, entry{"d", day(6, 0)}, entry{"e", day(6, 0)}, entry{"f", day(6, 0)})
	done := p.Recent.set()
	done[mark(entry{"e", day(6, 0)})] = true
	p.advance(changes, done)
	read(changes, "d", "f")
}

func TestProgressIsBounded(t *testing.T) {
	var changes []entry
	began := time.Date(2031, 3, 1, 0, 0, 0, 0, time.UTC)
	done := make(map[uint64]bool)
	for n := range maxRecent + 5000 {
		e := entry{fmt.Sprint(n), began.Add(time.Duration(n) * time.Second)}
		changes = append(changes, e)
		done[mark(e)] = true
	}
	var p progress
	p.advance(changes, done)
	if len(p.Recent) != 8*maxRecent || len(p.newer(changes)) != 0 {
		t.Errorf("%d bytes, %d are newer", len(p.Recent), len(p.newer(changes)))
	}
	same := slices.Clone(changes)
	for n := range same {
		same[n].at = began
		done[mark(same[n])] = true
	}
	p = progress{}
	p.advance(same, done)
	if len(p.newer(same)) != 0 || !p.Since.Equal(began) {
		t.Errorf("since %s, %d are newer", p.Since, len(p.newer(same)))
	}
}
