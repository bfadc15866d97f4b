package assess_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
)

func ptr[T any](v T) *T { return &v }

// judged writes what a plan does, one line each.
func judged(p assess.Plan) []string {
	var lines []string
	for _, e := range p.Ends {
		how := "ends"
		if e.Superseded {
			how = "gives way"
		}
		lines = append(lines, fmt.Sprintf("%d %s: %s", e.ID, how, e.Note))
	}
	for _, a := range p.Creates {
		lines = append(lines, fmt.Sprintf("%s %s by %s until %s", a.Type, a.Scope, a.Author, a.ExpiresAt.Format(time.DateOnly)))
	}
	slices.Sort(lines)
	return lines
}

func TestJudge(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	ignore := assess.Type{ID: 1, Name: "Ignore", Enabled: true, ExpiryDays: 10, Rule: &assess.Rule{SeverityTo: ptr(advisory.Low)}}
	block := assess.Type{ID: 2, Name: "Block", Enabled: true, ExpiryDays: 10, Rule: &assess.Rule{SeverityFrom: ptr(advisory.High), FixAvailable: ptr(true)}}
	low := assess.Group{Package: "musl", Severity: advisory.Low, Unfixed: 1}
	high := assess.Group{Package: "openssl", Severity: advisory.High, Fixed: 2}
	open := assess.Group{Package: "zlib", Severity: advisory.High, Fixed: 1, Unfixed: 1}
	everywhere := assess.Scope{Kind: assess.Everywhere}
	musl := assess.Scope{Kind: assess.Package, Value: "musl"}
	auto := func(id int64, typ string, scope assess.Scope) assess.Assessment {
		return assess.Assessment{ID: id, Type: typ, Scope: scope, Automatic: true, Author: assess.RuleAuthor(typ)}
	}
	person := func(typ string, scope assess.Scope, reason assess.EndReason) assess.Assessment {
		return assess.Assessment{ID: 9, Type: typ, Scope: scope, Author: "ann", EndedReason: reason, EndedBy: "ann"}
	}
	disabled := ignore
	disabled.Enabled = false
	ruleless := ignore
	ruleless.Rule = nil
	for _, test := range []struct {
		name    string
		types   []assess.Type
		subject assess.Subject
		want    []string
	}{
		{"no rule matches", []assess.Type{ignore}, assess.Subject{Groups: []assess.Group{high}}, nil},
		{"all groups alike", []assess.Type{ignore}, assess.Subject{Groups: []assess.Group{low}},
			[]string{"Ignore everywhere by rule: Ignore until 2026-12-04"}},
		{"groups differ", []assess.Type{ignore, block}, assess.Subject{Groups: []assess.Group{low, high, open}},
			[]string{"Block package openssl by rule: Block until 2026-12-04", "Ignore package musl by rule: Ignore until 2026-12-04"}},
		{"the first in order", []assess.Type{{ID: 3, Name: "First", Enabled: true, Rule: &assess.Rule{Packages: []string{"mu*"}}}, ignore},
			assess.Subject{Groups: []assess.Group{low}}, []string{"First everywhere by rule: First until 0001-01-01"}},
		{"disabled", []assess.Type{disabled}, assess.Subject{Groups: []assess.Group{low}, Live: []assess.Assessment{auto(1, "Ignore", everywhere)}},
			[]string{"1 ends: Ignore is disabled"}},
		{"it stays", []assess.Type{ignore}, assess.Subject{Groups: []assess.Group{low}, Live: []assess.Assessment{auto(1, "Ignore", everywhere)}}, nil},
		{"another type", []assess.Type{block, ignore}, assess.Subject{Groups: []assess.Group{high}, Live: []assess.Assessment{auto(1, "Ignore", everywhere)}},
			[]string{"1 gives way: the rule of Block comes first", "Block everywhere by rule: Block until 2026-12-04"}},
		{"a group that differs comes", []assess.Type{ignore}, assess.Subject{Groups: []assess.Group{low, open}, Live: []assess.Assessment{auto(1, "Ignore", everywhere)}},
			[]string{"1 ends: rules do not judge all of its packages alike any more", "Ignore package musl by rule: Ignore until 2026-12-04"}},
		{"it does not match any more", []assess.Type{ignore}, assess.Subject{Groups: []assess.Group{high}, Live: []assess.Assessment{auto(1, "Ignore", everywhere)}},
			[]string{"1 ends: the rule of Ignore does not match any more"}},
		{"the rule is gone", []assess.Type{ruleless}, assess.Subject{Groups: []assess.Group{low}, Live: []assess.Assessment{auto(1, "Ignore", everywhere)}},
			[]string{"1 ends: Ignore has no rule any more"}},
		{"the findings are gone", []assess.Type{ignore}, assess.Subject{Live: []assess.Assessment{auto(1, "Ignore", everywhere)}},
			[]string{"1 ends: nothing that is stored has the vulnerability any more"}},
		{"a person decided", []assess.Type{ignore}, assess.Subject{Groups: []assess.Group{low}, Live: []assess.Assessment{person("Caution", everywhere, "")}}, nil},
		{"a person decided on all, and the rule is on a package", []assess.Type{ignore},
			assess.Subject{Groups: []assess.Group{low, high}, Live: []assess.Assessment{person("Caution", everywhere, "")}}, nil},
		{"a person decided on another package", []assess.Type{ignore},
			assess.Subject{Groups: []assess.Group{low}, Live: []assess.Assessment{person("Caution", assess.Scope{Kind: assess.Package, Value: "zlib"}, "")}},
			[]string{"Ignore everywhere by rule: Ignore until 2026-12-04"}},
		{"it expired", []assess.Type{ignore}, assess.Subject{Groups: []assess.Group{low}, Last: []assess.Assessment{person("Ignore", everywhere, assess.Expired)}}, nil},
		{"a person withdrew it", []assess.Type{ignore}, assess.Subject{Groups: []assess.Group{low}, Last: []assess.Assessment{person("Ignore", everywhere, assess.Withdrawn)}}, nil},
		{"it was reopened", []assess.Type{ignore}, assess.Subject{Groups: []assess.Group{low}, Last: []assess.Assessment{person("Ignore", everywhere, assess.FixAvailable)}}, nil},
		{"a rule ended it", []assess.Type{ignore}, assess.Subject{Groups: []assess.Group{low}, Last: []assess.Assessment{person("Ignore", everywhere, assess.RuleEnded)}},
			[]string{"Ignore everywhere by rule: Ignore until 2026-12-04"}},
		{"what expired on the package", []assess.Type{ignore}, assess.Subject{Groups: []assess.Group{low, high}, Last: []assess.Assessment{person("Ignore", musl, assess.Expired)}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, judged(assess.Judge(test.subject, test.types, now))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestRuleConditions(t *testing.T) {
	group := assess.Group{Package: "org.apache/log4j", Severity: advisory.High, CVSS: 7.5, EPSS: 0.4, Fixed: 1,
		Feeds: []string{"osv-maven"}, Types: []string{"maven"}, Paths: []string{"app/lib/log4j.jar", "opt/x/lib/log4j.jar"}}
	unscored := group
	unscored.CVSS = 0
	for _, test := range []struct {
		name  string
		rule  assess.Rule
		group assess.Group
		want  bool
	}{
		{"severity at", assess.Rule{SeverityFrom: ptr(advisory.High)}, group, true},
		{"severity above", assess.Rule{SeverityFrom: ptr(advisory.Critical)}, group, false},
		{"severity below", assess.Rule{SeverityTo: ptr(advisory.Medium)}, group, false},
		{"CVSS within", assess.Rule{CVSSFrom: ptr(7.5), CVSSTo: ptr(8.0)}, group, true},
		{"CVSS outside", assess.Rule{CVSSTo: ptr(7.4)}, group, false},
		{"no CVSS", assess.Rule{CVSSTo: ptr(7.4)}, unscored, false},
		{"EPSS at", assess.Rule{EPSSFrom: ptr(0.4)}, group, true},
		{"EPSS above", assess.Rule{EPSSFrom: ptr(0.41)}, group, false},
		{"exploited", assess.Rule{Exploited: ptr(true)}, group, false},
		{"not exploited", assess.Rule{Exploited: ptr(false)}, group, true},
		{"fixed", assess.Rule{FixAvailable: ptr(true)}, group, true},
		{"not fixed", assess.Rule{FixAvailable: ptr(false)}, group, false},
		{"package", assess.Rule{Packages: []string{"zlib", "org.apache/*"}}, group, true},
		{"another package", assess.Rule{Packages: []string{"*"}}, group, false},
		{"all paths", assess.Rule{Paths: []string{"**/lib/*.jar"}}, group, true},
		{"some paths", assess.Rule{Paths: []string{"/app/**"}}, group, false},
		{"feed", assess.Rule{Feeds: []string{"osv-maven"}}, group, true},
		{"another feed", assess.Rule{Feeds: []string{"debian"}}, group, false},
		{"type", assess.Rule{PackageTypes: []string{"maven", "npm"}}, group, true},
		{"all must hold", assess.Rule{PackageTypes: []string{"maven"}, SeverityFrom: ptr(advisory.Critical)}, group, false},
	} {
		typ := assess.Type{ID: 1, Name: "T", Enabled: true, Rule: &test.rule}
		plan := assess.Judge(assess.Subject{Groups: []assess.Group{test.group}}, []assess.Type{typ}, time.Now())
		if got := len(plan.Creates) == 1; got != test.want {
			t.Errorf("%s: got %t, want %t", test.name, got, test.want)
		}
	}
}

func TestMatchPath(t *testing.T) {
	for _, test := range []struct {
		pattern, name string
		want          bool
	}{
		{"musl", "musl", true},
		{"mus*", "musl", true},
		{"*", "a/b", false},
		{"**", "a/b", true},
		{"a/**", "a", true},
		{"a/**/d", "a/b/c/d", true},
		{"a/**/d", "a/d", true},
		{"a/**/d", "a/d/e", false},
		{"**/b/**/b", "b/a/b", true},
		{"/usr/share/**", "usr/share/doc/x", true},
		{"[", "[", false},
		{"", "", true},
	} {
		if got := assess.MatchPath(test.pattern, test.name); got != test.want {
			t.Errorf("%q on %q: got %t", test.pattern, test.name, got)
		}
	}
}

// FuzzMatchPath compares with a matcher that is slow and plain.
func FuzzMatchPath(f *testing.F) {
	f.Add("a/**/b*", "a/x/y/bc")
	f.Add("**/**/x", "x")
	f.Add("[a-", "a")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 60 || len(name) > 60 || strings.Count(pattern, "**") > 4 {
			return
		}
		got := assess.MatchPath(pattern, name)
		if want := plainMatch(elements(pattern), elements(name)); got != want {
			t.Errorf("%q on %q: got %t, want %t", pattern, name, got, want)
		}
	})
}

func elements(s string) []string { return strings.Split(strings.Trim(s, "/"), "/") }

func plainMatch(pattern, name []string) bool {
	switch {
	case len(pattern) == 0:
		return len(name) == 0
	case pattern[0] == "**":
		return plainMatch(pattern[1:], name) || len(name) > 0 && plainMatch(pattern, name[1:])
	case len(name) == 0:
		return false
	}
	return assess.MatchPath(pattern[0], name[0]) && plainMatch(pattern[1:], name[1:])
}
