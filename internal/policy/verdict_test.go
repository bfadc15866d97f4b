package policy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/policy"
)

func TestJudgeLooksAtTheImage(t *testing.T) {
	done := image.Image{State: image.Done, Distribution: "alpine:v3.20", Packages: 3, Types: map[string]int{"apk": 3},
		CreatedAt: noon.Add(-3 * time.Hour), AnalysedAt: noon.Add(-2 * time.Hour)}
	with := func(change func(*image.Image)) image.Image {
		img := done
		change(&img)
		return img
	}
	data := func(age time.Duration) map[string]image.Data {
		return map[string]image.Data{"alpine:v3.20": {Updated: noon.Add(-age), StaleAfter: 7 * 24 * time.Hour}}
	}
	analysis := policy.Policy{RequireAnalysis: true}
	known, partial := policy.Policy{RequireCoverage: policy.KnownCoverage}, policy.Policy{RequireCoverage: policy.PartialCoverage}
	fresh := policy.Policy{MaxFeedAgeHours: 24}
	incomplete := with(func(i *image.Image) { i.Warnings = slices.Clip(append(i.Warnings, warning("a file is damaged"))) })
	for _, test := range []struct {
		name    string
		policy  policy.Policy
		subject policy.Subject
		kinds   []policy.Kind
		says    string
		until   time.Time
	}{
		{"pending, and nobody asks", policy.Policy{}, policy.Subject{Image: image.Image{State: image.Pending}}, nil, "", time.Time{}},
		{"pending", analysis, policy.Subject{Image: image.Image{State: image.Pending}}, []policy.Kind{policy.AboutAnalysis}, "not done yet", time.Time{}},
		{"pending, and it is awaited", analysis, policy.Subject{Image: image.Image{State: image.Pending}, Awaited: []string{"built-in"}}, []policy.Kind{policy.AboutAnalysis}, "not done yet", time.Time{}},
		{"pending, and so is another", analysis, policy.Subject{Image: image.Image{State: image.Pending}, Awaited: []string{"built-in", "Clair"}}, []policy.Kind{policy.AboutAnalysis, policy.AboutSources}, "not done yet", time.Time{}},
		{"failed", analysis, policy.Subject{Image: with(func(i *image.Image) { i.State, i.Error = image.Failed, "layer x: corrupt" })}, []policy.Kind{policy.AboutAnalysis}, "layer x: corrupt", time.Time{}},
		{"done", analysis, policy.Subject{Image: done}, nil, "", time.Time{}},
		{"a source has not answered", analysis, policy.Subject{Image: done, Awaited: []string{"Clair", "Trivy"}}, []policy.Kind{policy.AboutSources}, "Clair, Trivy", time.Time{}},
		{"known", known, policy.Subject{Image: done, Data: data(time.Hour)}, nil, "", noon.Add(7*24*time.Hour - time.Hour)},
		{"partial is not known", known, policy.Subject{Image: incomplete, Data: data(time.Hour)}, []policy.Kind{policy.AboutCoverage}, "coverage is partial: a file is damaged", noon.Add(7*24*time.Hour - time.Hour)},
		{"partial is enough", partial, policy.Subject{Image: incomplete, Data: data(time.Hour)}, nil, "", noon.Add(7*24*time.Hour - time.Hour)},
		{"nothing is known", partial, policy.Subject{Image: done}, []policy.Kind{policy.AboutCoverage}, "coverage is unknown: no feed has data on alpine:v3.20", time.Time{}},
		{"not looked at yet", partial, policy.Subject{Image: image.Image{State: image.Pending}}, []policy.Kind{policy.AboutCoverage}, "not done yet", time.Time{}},
		{"stale is partial", known, policy.Subject{Image: done, Data: data(8 * 24 * time.Hour)}, []policy.Kind{policy.AboutCoverage}, "last confirmed", time.Time{}},
		{"a current feed", fresh, policy.Subject{Image: done, Data: data(23 * time.Hour)}, nil, "", noon.Add(time.Hour)},
		{"an old feed", fresh, policy.Subject{Image: done, Data: data(24 * time.Hour)}, []policy.Kind{policy.AboutFeeds}, "more than 24 hours ago", time.Time{}},
		{"no feed", fresh, policy.Subject{Image: done}, nil, "", time.Time{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, v := policy.Judge(test.subject, pull("x").Place, nil, test.policy, noon)
			var kinds []policy.Kind
			var said []string
			for _, r := range v.Reasons {
				kinds, said = append(kinds, r.Kind), append(said, r.Message)
			}
			if v.Blocked != (len(test.kinds) > 0) || !slices.Equal(kinds, test.kinds) || !strings.Contains(strings.Join(said, "; "), test.says) || !v.ValidUntil.Equal(test.until) {
				t.Errorf("got %t, %v, %q, until %v", v.Blocked, kinds, said, v.ValidUntil)
			}
		})
	}
}

func TestJudgeSaysAllReasons(t *testing.T) {
	high := advisory.High
	p := policy.Policy{Policy: assess.Policy{BlockUnassessedFrom: &high, Warn: []string{"Caution"}}, RequireAnalysis: true}
	states, v := policy.Judge(policy.Subject{
		Findings: []match.Finding{finding(1, "CVE-1", advisory.Low, "musl"), finding(2, "CVE-2", advisory.Critical, "zlib")},
		Image:    image.Image{State: image.Failed, Error: "layer x: corrupt"},
	}, pull("x").Place, []assess.Decision{decision(3, assess.Everywhere, "", "Caution")}, p, noon)
	var got []string
	for _, r := range append(v.Reasons, v.Warnings...) {
		got = append(got, string(r.Kind)+" "+r.Message)
	}
	want := []string{"analysis the analysis failed: layer x: corrupt", "vulnerability CVE-2 (critical, zlib 1.0, unassessed)", "vulnerability CVE-1 (low, musl 1.0, Caution)"}
	if diff := cmp.Diff(want, got); diff != "" || len(states) != 2 || !states[0].Warns || !states[1].Blocks {
		t.Errorf("states %v, reasons (-want +got):\n%s", states, diff)
	}
}

// TestGateForWhomAndHow: exceptions, and the rule on pulls by digest.
func TestGateForWhomAndHow(t *testing.T) {
	block := decision(1, assess.Everywhere, "", "Block")
	block.CreatedAt = noon.Add(-time.Hour)
	exception := func(change func(*policy.Exception)) []policy.Exception {
		e := policy.Exception{ID: 7, Comment: "why", Author: "ann", ExpiresAt: noon.Add(time.Hour)}
		change(&e)
		return []policy.Exception{e}
	}
	for _, test := range []struct {
		name       string
		own        policy.Settings
		exceptions []policy.Exception
		pull       func(*policy.Pull)
		blocked    bool
		says       string
	}{
		{name: "blocked", blocked: true},
		{name: "excepted", exceptions: exception(func(*policy.Exception) {}), says: "exception 7 until 2026-11-24T13:00:00Z"},
		{name: "in another registry", exceptions: exception(func(e *policy.Exception) { e.Registry = "prod" }), blocked: true},
		{name: "in this registry", exceptions: exception(func(e *policy.Exception) { e.Registry = "main" }), says: "exception 7"},
		{name: "in this repository", exceptions: exception(func(e *policy.Exception) { e.Repository = "a*" }), says: "exception 7"},
		{name: "in another repository", exceptions: exception(func(e *policy.Exception) { e.Repository = "team/*" }), blocked: true},
		{name: "of the tag", exceptions: exception(func(e *policy.Exception) { e.Tag = "1.*" }), says: "exception 7"},
		{name: "of the tag, by digest", exceptions: exception(func(e *policy.Exception) { e.Tag = "1.*" }), pull: func(p *policy.Pull) { p.ByDigest, p.Tag = true, "" }, says: "exception 7"},
		{name: "of another tag", exceptions: exception(func(e *policy.Exception) { e.Tag = "2.*" }), blocked: true},
		{name: "of the digest", exceptions: exception(func(e *policy.Exception) { e.Digest = digestA }), says: "exception 7"},
		{name: "of the index's digest", exceptions: exception(func(e *policy.Exception) { e.Digest = indexDigest }), says: "exception 7"},
		{name: "of another digest", exceptions: exception(func(e *policy.Exception) { e.Digest = digestB }), blocked: true},
		{name: "of the digest, and another tag", exceptions: exception(func(e *policy.Exception) { e.Digest, e.Tag = digestA, "2.*" }), blocked: true},
		{name: "for a robot", exceptions: exception(func(e *policy.Exception) { e.User = "robot-*" }), pull: func(p *policy.Pull) { p.User = "robot-7" }, says: "exception 7"},
		{name: "for another robot", exceptions: exception(func(e *policy.Exception) { e.User = "robot-*" }), pull: func(p *policy.Pull) { p.User = "ann" }, blocked: true},
		{name: "for nobody who signed in", exceptions: exception(func(e *policy.Exception) { e.User = "*" }), blocked: true},
		{name: "expired", exceptions: exception(func(e *policy.Exception) { e.ExpiresAt = noon }), blocked: true},

		{name: "never by digest", pull: func(p *policy.Pull) { p.ByDigest = true }, blocked: true},
		{name: "always by digest", own: policy.Settings{AllowDigestPulls: ptr(policy.AlwaysByDigest)}, pull: func(p *policy.Pull) { p.ByDigest = true }, says: "pulled by digest"},
		{name: "not by tag", own: policy.Settings{AllowDigestPulls: ptr(policy.AlwaysByDigest)}, blocked: true},
		{name: "recently, by digest", own: policy.Settings{AllowDigestPulls: ptr(policy.RecentByDigest), DigestPullHours: ptr(2)}, pull: func(p *policy.Pull) { p.ByDigest = true }, says: "by digest until 2026-11-24T13:00:00Z"},
		{name: "recently, by tag", own: policy.Settings{AllowDigestPulls: ptr(policy.RecentByDigest), DigestPullHours: ptr(2)}, blocked: true},
		{name: "too long ago", own: policy.Settings{AllowDigestPulls: ptr(policy.RecentByDigest), DigestPullHours: ptr(1)}, pull: func(p *policy.Pull) { p.ByDigest = true }, blocked: true},
		{name: "since a stricter policy", own: policy.Settings{Block: &[]string{"Block"}, AllowDigestPulls: ptr(policy.RecentByDigest), DigestPullHours: ptr(1),
			Since: map[policy.Field]time.Time{policy.Block: noon.Add(-time.Minute)}}, pull: func(p *policy.Pull) { p.ByDigest = true }, says: "by digest until 2026-11-24T12:59:00Z"},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, _, gate := newGate(t)
			m.decide(block)
			m.own["main"], m.exceptions = test.own, test.exceptions
			m.images[digestA] = []string{"sha256:aa"}
			p := pull(digestA)
			if test.pull != nil {
				test.pull(&p)
			}
			for range 2 { // the second is from memory
				v, err := gate.Check(t.Context(), p)
				if got := blocked(t, err); got != test.blocked {
					t.Fatalf("blocked: %t: %+v", got, v)
				}
				if !test.blocked && (len(v.Warnings) != 1 || v.Warnings[0].Kind != policy.AboutException || !strings.Contains(v.Warnings[0].Message, test.says)) {
					t.Errorf("warnings: %+v", v.Warnings)
				}
			}
		})
	}
}

// TestNeverAllowedIsNotRecent: an image that was blocked from its first day is
// not one that anybody runs.
func TestNeverAllowedIsNotRecent(t *testing.T) {
	m, _, gate := newGate(t)
	block := decision(1, assess.Everywhere, "", "Block")
	block.CreatedAt = noon.AddDate(0, -1, 0)
	m.decide(block)
	m.own["main"] = policy.Settings{AllowDigestPulls: ptr(policy.RecentByDigest)}
	img := m.known["sha256:aa"]
	img.AnalysedAt = noon.Add(-time.Hour) // as the finding is
	m.known["sha256:aa"] = img
	p := pull("sha256:aa")
	p.ByDigest = true
	if _, err := gate.Check(t.Context(), p); !blocked(t, err) {
		t.Error("it is served by digest")
	}
}

func TestExceptionEndsInTheGate(t *testing.T) {
	m, c, gate := newGate(t)
	m.decide(decision(1, assess.Everywhere, "", "Block"))
	m.exceptions = []policy.Exception{{ID: 1, ExpiresAt: noon.Add(300 * time.Millisecond)}}
	if blocked(t, check(t.Context(), gate, "sha256:aa")) {
		t.Error("the exception does not hold")
	}
	c.advance(300 * time.Millisecond) // well within the age of an answer
	if !blocked(t, check(t.Context(), gate, "sha256:aa")) {
		t.Error("the exception outlives its expiry")
	}
}

func TestGateOfUnseenImages(t *testing.T) {
	const manifest = `{"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:cc"},"layers":[]}`
	for _, test := range []struct {
		name    string
		own     policy.Settings
		content string
		want    bool
	}{
		{"an image of which nothing is known yet", policy.Settings{RequireAnalysis: ptr(true)}, manifest, true},
		{"one whose coverage is asked for", policy.Settings{RequireCoverage: ptr(policy.KnownCoverage)}, manifest, true},
		{"an image, and nobody asks", policy.Settings{}, manifest, false},
		{"an artifact", policy.Settings{RequireAnalysis: ptr(true)}, `{"config":{"mediaType":"application/vnd.cncf.helm.config.v1+json"}}`, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			m, _, gate := newGate(t)
			m.own["main"], m.content = test.own, map[string]string{"sha256:artifact": test.content}
			if got := blocked(t, check(t.Context(), gate, "sha256:artifact")); got != test.want {
				t.Errorf("blocked: %t, want %t", got, test.want)
			}
		})
	}
}

// TestIndexOfWhichSomeAreBlocked: who pulls the index learns of it.
func TestIndexOfWhichSomeAreBlocked(t *testing.T) {
	m, _, gate := newGate(t)
	m.decide(decision(1, assess.Everywhere, "", "Block"))
	v, err := gate.Check(t.Context(), pull("sha256:index"))
	if err != nil || len(v.Reasons) != 0 || len(v.Warnings) != 1 || !strings.Contains(v.Warnings[0].Message, "CVE-1") {
		t.Errorf("got %+v, %v", v, err)
	}
}

// witness remembers what it is told.
type witness []policy.Pull

func (w *witness) Refused(p policy.Pull, _ policy.Verdict) { *w = append(*w, p) }

func TestOnlyPullsHaveWitnesses(t *testing.T) {
	m, c, _ := newGate(t)
	var told witness
	gate := policy.NewGate(m, policy.GateOptions{Now: c.now, Witness: &told})
	m.decide(decision(1, assess.Everywhere, "", "Block"))
	p := pull("sha256:aa")
	p.User = "ann"
	if v, err := gate.Verdict(t.Context(), p); err != nil || !v.Blocked {
		t.Fatal(v, err)
	}
	if len(told) != 0 {
		t.Errorf("a question is told as a pull: %v", told)
	}
	blocked(t, check(t.Context(), gate, "sha256:bb"))
	_, err := gate.Check(t.Context(), p)
	if !blocked(t, err) || len(told) != 1 || told[0] != p {
		t.Errorf("told of %v", told)
	}
}

// sources awaits a source on one image.
type sources struct{ digest string }

func (s sources) SourcesPending(_ context.Context, _, digest string) ([]string, error) {
	if digest == s.digest {
		return []string{"Clair"}, nil
	}
	return nil, nil
}

func TestGateAwaitsSources(t *testing.T) {
	m, c, _ := newGate(t)
	gate := policy.NewGate(m, policy.GateOptions{Now: c.now, Sources: sources{"sha256:aa"}})
	pulled := func(digest string) bool { t.Helper(); return blocked(t, check(t.Context(), gate, digest)) }
	if pulled("sha256:aa") {
		t.Error("a source is awaited that nobody asks for")
	}
	m.own["main"] = policy.Settings{RequireAnalysis: ptr(true)}
	gate.Invalidate()
	if !pulled("sha256:aa") || pulled("sha256:bb") || pulled("sha256:index") {
		t.Error("not the image that a source is awaited on is blocked, or not it alone")
	}
	_, judgements, err := gate.Judge(t.Context(), "sha256:aa", []assess.Place{pull("sha256:aa").Place, {Digest: "sha256:aa"}})
	if err != nil || !judgements[0].Verdict.Blocked || judgements[1].Verdict.Blocked {
		t.Errorf("got %+v, %v", judgements, err)
	}
}

func warning(message string) inventory.Warning { return inventory.Warning{Message: message} }
