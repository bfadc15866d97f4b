package feed

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
)

// kernel is a group of n vulnerabilities, in two distributions each.
func kernel(n int) Entry {
	e := Entry{Group: advisory.Group{Name: "linux", Details: make(map[string]advisory.Detail)}}
	for i := range n {
		name := fmt.Sprintf("CVE-2024-%d", i)
		for _, ecosystem := range []string{"debian:11", "debian:12"} {
			e.Advisories = append(e.Advisories, advisory.Advisory{Vulnerability: name, Ecosystem: ecosystem, Package: "linux", Source: true, Status: advisory.Affected, Fixed: "6.1"})
		}
		e.Details[name] = advisory.Detail{Description: "what " + name + " is"}
	}
	return e
}

func prints(t *testing.T, e Entry) Prints {
	t.Helper()
	p, err := e.Prints()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPrints(t *testing.T) {
	const n = 20
	before := prints(t, kernel(n))
	for _, test := range []struct {
		name   string
		change func(*Entry)
		want   []string // vulnerabilities; nil where prints do not tell
	}{
		{"nothing", func(*Entry) {}, []string{}},
		{"a version", func(e *Entry) { e.Advisories[7].Fixed = "6.2" }, []string{"CVE-2024-3"}},
		{"a severity", func(e *Entry) { e.Advisories[0].Severity = advisory.High }, []string{"CVE-2024-0"}},
		{"a statement more", func(e *Entry) { e.Advisories = append(e.Advisories, e.Advisories[2]) }, []string{"CVE-2024-1"}},
		{"a statement less", func(e *Entry) { e.Advisories = e.Advisories[1:] }, []string{"CVE-2024-0"}},
		{"a description", func(e *Entry) { e.Details["CVE-2024-5"] = advisory.Detail{Description: "more"} }, []string{"CVE-2024-5"}},
		{"a description less", func(e *Entry) { delete(e.Details, "CVE-2024-5") }, []string{"CVE-2024-5"}},
		{"a vulnerability more", func(e *Entry) {
			e.Advisories = append(e.Advisories, advisory.Advisory{Vulnerability: "CVE-2024-100", Package: "linux"})
		}, []string{"CVE-2024-100"}},
		{"one that is only described", func(e *Entry) { e.Details["CVE-2024-101"] = advisory.Detail{} }, []string{"CVE-2024-101"}},
		{"a vulnerability less", func(e *Entry) { *e = kernel(n - 1) }, nil},
		{"another for one", func(e *Entry) {
			for i := range 2 {
				e.Advisories[i].Vulnerability = "CVE-2024-102"
			}
			delete(e.Details, "CVE-2024-0")
		}, nil},
		{"a name that is no CVE", func(e *Entry) { e.Advisories[3].Vulnerability = "TEMP-1" }, nil},
		{"an alias", func(e *Entry) { e.Details["CVE-2024-1"] = advisory.Detail{Aliases: []string{"GHSA-1"}} }, nil},
		{"few", func(e *Entry) { *e = kernel(manyVulnerabilities - 1) }, nil},
		{"none", func(e *Entry) { e.Advisories, e.Details = nil, nil }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := kernel(n)
			test.change(&e)
			some, ok := e.Changed(before, prints(t, e))
			if ok != (test.want != nil) {
				t.Fatalf("prints tell: %t", ok)
			}
			if !ok {
				return
			}
			names, want := make(map[string]bool), 0
			for _, a := range some.Advisories {
				names[a.Vulnerability] = true
			}
			for name := range some.Details {
				names[name] = true
			}
			if got := slices.Sorted(maps.Keys(names)); !slices.Equal(got, test.want) {
				t.Errorf("changed are %s, want %s", strings.Join(got, ", "), strings.Join(test.want, ", "))
			}
			for _, a := range e.Advisories {
				if names[a.Vulnerability] {
					want++
				}
			}
			if len(some.Advisories) != want {
				t.Errorf("%d statements, want %d", len(some.Advisories), want)
			}
		})
	}
	e := kernel(n)
	for name, before := range map[string]Prints{"no prints": nil, "prints that are cut off": before[:len(before)-3]} {
		if _, ok := e.Changed(before, prints(t, e)); ok {
			t.Errorf("%s tell", name)
		}
	}
}
