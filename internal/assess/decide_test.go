package assess_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

var (
	noon  = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	place = assess.Place{Registry: "main", Repository: "app", Digest: "sha256:aa"}
)

func finding(id int64, name string, severity advisory.Severity, pkg string) match.Finding {
	return match.Finding{
		VulnerabilityID: id, Vulnerability: name, Severity: severity,
		Package: inventory.Package{Name: pkg, Version: "1.0"}, FirstSeen: noon.Add(-time.Hour),
	}
}

func decision(id int64, kind assess.ScopeKind, value, typ string) assess.Decision {
	return assess.Decision{AssessmentID: id, VulnerabilityID: 1, Type: typ, Blocks: typ == "Block", Scope: assess.Scope{Kind: kind, Value: value}}
}

func TestNarrowestLiveAssessmentDecides(t *testing.T) {
	everywhere := decision(1, assess.Everywhere, "", "Ignore")
	pkg := decision(2, assess.Package, "musl", "Caution")
	registry := decision(3, assess.Registry, "main", "Block")
	repository := decision(4, assess.Repository, "main/app", "Ignore")
	image := decision(5, assess.Image, "sha256:aa", "Caution")
	expiring := func(d assess.Decision, at time.Time) assess.Decision { d.ExpiresAt = at; return d }
	for _, test := range []struct {
		name      string
		decisions []assess.Decision
		want      string
		id        int64
	}{
		{"none", nil, assess.Unassessed, 0},
		{"everywhere", []assess.Decision{everywhere}, "Ignore", 1},
		{"package beats everywhere", []assess.Decision{pkg, everywhere}, "Caution", 2},
		{"registry beats package", []assess.Decision{everywhere, registry, pkg}, "Block", 3},
		{"repository beats registry", []assess.Decision{repository, registry}, "Ignore", 4},
		{"image beats all", []assess.Decision{everywhere, pkg, registry, image, repository}, "Caution", 5},
		{"another package", []assess.Decision{decision(9, assess.Package, "musl-utils", "Block")}, assess.Unassessed, 0},
		{"another registry", []assess.Decision{decision(9, assess.Registry, "prod", "Block"), everywhere}, "Ignore", 1},
		{"another repository", []assess.Decision{decision(9, assess.Repository, "main/app/sub", "Block")}, assess.Unassessed, 0},
		{"another image", []assess.Decision{decision(9, assess.Image, "sha256:ab", "Block")}, assess.Unassessed, 0},
		{"another vulnerability", []assess.Decision{{AssessmentID: 9, VulnerabilityID: 2, Type: "Block", Scope: assess.Scope{Kind: assess.Everywhere}}}, assess.Unassessed, 0},
		{"an expired one is passed over", []assess.Decision{everywhere, expiring(image, noon.Add(-time.Second))}, "Ignore", 1},
		{"expiry is exclusive", []assess.Decision{everywhere, expiring(image, noon)}, "Ignore", 1},
		{"until the last microsecond", []assess.Decision{everywhere, expiring(image, noon.Add(time.Microsecond))}, "Caution", 5},
	} {
		t.Run(test.name, func(t *testing.T) {
			states, _ := assess.Decide([]match.Finding{finding(1, "CVE-1", advisory.High, "musl")}, place, test.decisions, assess.Policy{}, noon)
			if got := states[0]; got.Name != test.want || got.AssessmentID != test.id {
				t.Errorf("got %s by %d, want %s by %d", got.Name, got.AssessmentID, test.want, test.id)
			}
		})
	}
}

func TestVerdict(t *testing.T) {
	critical, high := advisory.Critical, advisory.High
	grave := finding(1, "CVE-1", advisory.Critical, "musl")
	minor := finding(2, "CVE-2", advisory.Low, "zlib")
	block := decision(7, assess.Everywhere, "", "Block")
	caution := decision(8, assess.Everywhere, "", "Caution")
	warning := caution
	warning.Warns = true
	later := func(d assess.Decision) assess.Decision { d.ExpiresAt = noon.Add(time.Minute); return d }
	by := func(f match.Finding, sources ...string) match.Finding { f.Sources = sources; return f }
	reason := func(state string, id int64) []assess.Reason {
		return []assess.Reason{{Vulnerability: "CVE-1", Severity: critical, Package: "musl", Version: "1.0", State: state, AssessmentID: id}}
	}
	inGrace := reason(assess.Unassessed, 0)
	inGrace[0].From = noon.Add(time.Hour)
	for _, test := range []struct {
		name      string
		findings  []match.Finding
		decisions []assess.Decision
		policy    assess.Policy
		want      assess.Verdict
	}{
		{name: "nothing found"},
		{name: "unassessed passes by default", findings: []match.Finding{grave, minor}},
		{name: "Block blocks by default", findings: []match.Finding{minor, grave}, decisions: []assess.Decision{block},
			want: assess.Verdict{Blocked: true, Reasons: reason("Block", 7)}},
		{name: "Caution does not", findings: []match.Finding{grave}, decisions: []assess.Decision{caution}},
		{name: "a policy can name Caution", findings: []match.Finding{grave}, decisions: []assess.Decision{caution},
			policy: assess.Policy{Block: []string{"Block", "Caution"}},
			want:   assess.Verdict{Blocked: true, Reasons: reason("Caution", 8)}},
		{name: "a policy can name nothing", findings: []match.Finding{grave}, decisions: []assess.Decision{block},
			policy: assess.Policy{Block: []string{}}},
		{name: "valid until the deciding assessment expires", findings: []match.Finding{grave}, decisions: []assess.Decision{later(block)},
			want: assess.Verdict{Blocked: true, Reasons: reason("Block", 7), ValidUntil: noon.Add(time.Minute)}},
		{name: "an expiry that decides nothing does not matter", findings: []match.Finding{minor}, decisions: []assess.Decision{later(block)}},
		{name: "unassessed from a severity", findings: []match.Finding{minor, grave}, policy: assess.Policy{BlockUnassessedFrom: &high},
			want: assess.Verdict{Blocked: true, Reasons: reason(assess.Unassessed, 0)}},
		{name: "an assessed one is not unassessed", findings: []match.Finding{grave}, decisions: []assess.Decision{later(caution)},
			policy: assess.Policy{BlockUnassessedFrom: &critical}, want: assess.Verdict{ValidUntil: noon.Add(time.Minute)}},
		{name: "in its grace", findings: []match.Finding{grave}, policy: assess.Policy{BlockUnassessedFrom: &critical, GraceHours: 2},
			want: assess.Verdict{Warnings: inGrace, ValidUntil: noon.Add(time.Hour)}},
		{name: "at the end of its grace", findings: []match.Finding{grave}, policy: assess.Policy{BlockUnassessedFrom: &critical, GraceHours: 1},
			want: assess.Verdict{Blocked: true, Reasons: reason(assess.Unassessed, 0)}},
		{name: "of an attached source", findings: []match.Finding{by(grave, "clair", "scanner")}, policy: assess.Policy{BlockUnassessedFrom: &high, Sources: []string{"scanner"}},
			want: assess.Verdict{Blocked: true, Reasons: reason(assess.Unassessed, 0)}},
		{name: "of a source attached elsewhere", findings: []match.Finding{by(grave, "clair")}, decisions: []assess.Decision{block}, policy: assess.Policy{BlockUnassessedFrom: &high}},
		{name: "of no attached source", findings: []match.Finding{by(grave, "built-in")}, decisions: []assess.Decision{block},
			policy: assess.Policy{BlockUnassessedFrom: &high, Sources: []string{}}},
		{name: "a policy can name what warns", findings: []match.Finding{minor, grave}, decisions: []assess.Decision{caution},
			policy: assess.Policy{Warn: []string{"Caution", "Block"}}, want: assess.Verdict{Warnings: reason("Caution", 8)}},
		{name: "a type that says so warns", findings: []match.Finding{grave}, decisions: []assess.Decision{warning},
			want: assess.Verdict{Warnings: reason("Caution", 8)}},
		{name: "what blocks does not warn", findings: []match.Finding{grave}, decisions: []assess.Decision{block},
			policy: assess.Policy{Warn: []string{"Block"}}, want: assess.Verdict{Blocked: true, Reasons: reason("Block", 7)}},
		{name: "unassessed warns from a severity", findings: []match.Finding{minor, grave}, policy: assess.Policy{WarnUnassessedFrom: &high},
			want: assess.Verdict{Warnings: reason(assess.Unassessed, 0)}},
		{name: "in the grace of a warning", findings: []match.Finding{grave}, policy: assess.Policy{WarnUnassessedFrom: &high, GraceHours: 2},
			want: assess.Verdict{ValidUntil: noon.Add(time.Hour)}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, got := assess.Decide(test.findings, place, test.decisions, test.policy, noon)
			if diff := cmp.Diff(test.want, got, cmpopts.IgnoreFields(assess.Reason{}, "Since")); diff != "" {
				t.Errorf("verdict (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSince: a finding blocks from when it was assessed, or its grace ended, and
// not before the image had it.
func TestSince(t *testing.T) {
	critical := advisory.Critical
	f := finding(1, "CVE-1", advisory.Critical, "musl") // seen an hour ago
	block := decision(7, assess.Everywhere, "", "Block")
	at := func(when time.Time) []assess.Decision {
		d := block
		d.CreatedAt = when
		return []assess.Decision{d}
	}
	for _, test := range []struct {
		name      string
		decisions []assess.Decision
		grace     int
		want      time.Time
	}{
		{"assessed later", at(noon.Add(-time.Minute)), 0, noon.Add(-time.Minute)},
		{"assessed before", at(noon.AddDate(0, -1, 0)), 0, noon.Add(-time.Hour)},
		{"unassessed", nil, 0, noon.Add(-time.Hour)},
		{"unassessed, after its grace", nil, 1, noon},
	} {
		_, v := assess.Decide([]match.Finding{f}, place, test.decisions, assess.Policy{BlockUnassessedFrom: &critical, GraceHours: test.grace}, noon)
		if len(v.Reasons) != 1 || !v.Reasons[0].Since.Equal(test.want) {
			t.Errorf("%s: got %+v, want since %v", test.name, v.Reasons, test.want)
		}
	}
}

func TestReasonsAreGravestFirst(t *testing.T) {
	unknown := advisory.Unknown
	_, verdict := assess.Decide([]match.Finding{
		finding(3, "CVE-3", advisory.Low, "b"), finding(2, "CVE-2", advisory.Critical, "b"),
		finding(2, "CVE-2", advisory.Critical, "a"), finding(1, "CVE-1", advisory.Critical, "z"),
	}, place, nil, assess.Policy{BlockUnassessedFrom: &unknown}, noon)
	var got []string
	for _, r := range verdict.Reasons {
		got = append(got, r.String())
	}
	want := []string{
		"CVE-1 (critical, z 1.0, unassessed)", "CVE-2 (critical, a 1.0, unassessed)",
		"CVE-2 (critical, b 1.0, unassessed)", "CVE-3 (low, b 1.0, unassessed)",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("reasons (-want +got):\n%s", diff)
	}
}
