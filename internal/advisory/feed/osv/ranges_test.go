package osv

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// events reads "introduced 0, fixed 1.2".
func events(text string) (list []event) {
	for _, part := range strings.Split(text, ",") {
		if kind, version, ok := strings.Cut(strings.TrimSpace(part), " "); ok {
			list = append(list, event{kind, version})
		}
	}
	return list
}

func TestIntervals(t *testing.T) {
	tests := []struct {
		name, kind, events string
		want               []interval
		problem            string
	}{
		{"one pair", "ECOSYSTEM", "introduced 0, fixed 1.2", []interval{{fixed: "1.2"}}, ""},
		{"no end", "ECOSYSTEM", "introduced 2.0", []interval{{introduced: "2.0"}}, ""},
		{"last affected", "ECOSYSTEM", "introduced 0, last_affected 1.2", []interval{{last: "1.2"}}, ""},
		{"several pairs", "SEMVER", "introduced 0, fixed 1.2.0, introduced 2.0.0, last_affected 2.3.0, introduced 3.0.0",
			[]interval{{fixed: "1.2.0"}, {introduced: "2.0.0", last: "2.3.0"}, {introduced: "3.0.0"}}, ""},
		{"pairs downwards", "ECOSYSTEM", "introduced 2.11, fixed 2.11.7, introduced 0, fixed 2.11.6, introduced 2.12, fixed 2.12.4",
			[]interval{{introduced: "2.11", fixed: "2.11.7"}, {fixed: "2.11.6"}, {introduced: "2.12", fixed: "2.12.4"}}, ""},
		{"end first", "ECOSYSTEM", "fixed 1.2, introduced 0", []interval{{fixed: "1.2"}}, ""},
		{"ends first", "ECOSYSTEM", "fixed 1.2, introduced 0, fixed 2.3, introduced 2.0", []interval{{fixed: "1.2"}, {introduced: "2.0", fixed: "2.3"}}, ""},
		{"by kind", "ECOSYSTEM", "introduced 0, introduced 2.0, fixed 1.2, fixed 2.3", []interval{{fixed: "1.2"}, {introduced: "2.0", fixed: "2.3"}}, ""},
		{"by kind, ends first", "ECOSYSTEM", "last_affected 1.2, fixed 2.3, introduced 0, introduced 2.0", []interval{{last: "1.2"}, {introduced: "2.0", fixed: "2.3"}}, ""},
		{"a second end", "ECOSYSTEM", "introduced 0, fixed 1.2, fixed 1.3", []interval{{fixed: "1.2"}}, ""},
		{"a second end, then more", "ECOSYSTEM", "introduced 0, fixed 1.2, fixed 1.3, introduced 2.0", []interval{{fixed: "1.2"}, {introduced: "2.0"}}, ""},
		{"a second beginning", "ECOSYSTEM", "introduced 0, introduced 1.0, fixed 1.2", []interval{{fixed: "1.2"}, {introduced: "1.0", fixed: "1.2"}}, ""},
		{"beginnings alone", "ECOSYSTEM", "introduced 0, introduced 1.0", []interval{{}, {introduced: "1.0"}}, ""},
		{"limit", "ECOSYSTEM", "introduced 1.0, limit 2.0", []interval{{introduced: "1.0", fixed: "2.0"}}, ""},
		{"limit first", "ECOSYSTEM", "limit 2.0, introduced 1.0", []interval{{introduced: "1.0", fixed: "2.0"}}, ""},
		{"no limit", "ECOSYSTEM", "introduced 1.0, limit *, limit 2.0", []interval{{introduced: "1.0"}}, ""},
		{"limit and fix", "ECOSYSTEM", "introduced 0, fixed 1.2, introduced 2.0, limit 3.0", []interval{{fixed: "1.2"}, {introduced: "2.0", fixed: "3.0"}}, ""},
		{"semantic zero", "SEMVER", "introduced 0.0.0-0, fixed 1.0.0-0", []interval{{fixed: "1.0.0-0"}}, ""},
		{"not so in other orders", "ECOSYSTEM", "introduced 0.0.0-0", []interval{{introduced: "0.0.0-0"}}, ""},
		{"commits", "GIT", "introduced 0, fixed 0123456789abcdef", nil, ""},
		{"of no kind", "", "introduced 0", nil, ""},
		{"nothing", "ECOSYSTEM", "", nil, "nothing is introduced"},
		{"no beginning", "ECOSYSTEM", "fixed 1.2", nil, "nothing is introduced"},
		{"no pairs", "ECOSYSTEM", "fixed 1.2, fixed 2.3, fixed 4.5, introduced 0, introduced 2.0", nil, "which of 3 ends belong to which of 2 beginnings cannot be told"},
		{"several limits", "ECOSYSTEM", "introduced 0, limit 1.0, limit 2.0", nil, "several limits"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a := affected{ranges: []span{{kind: test.kind, events: events(test.events)}}}
			got, problem := a.intervals()
			if problem != test.problem {
				t.Errorf("problem %q, want %q", problem, test.problem)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(interval{})); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
