package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/match"
)

// Kind says what a reason is about.
type Kind string

// The kinds.
const (
	AboutFinding  Kind = "vulnerability"
	AboutAnalysis Kind = "analysis"
	AboutSources  Kind = "sources"
	AboutCoverage Kind = "coverage"
	AboutFeeds    Kind = "feeds"
	// AboutException is a warning that an exception, or the rule on pulls by
	// digest, lets through what would be blocked.
	AboutException Kind = "exception"
)

// Reason is why a pull is refused, or what is warned of.
type Reason struct {
	Kind Kind
	// Message says it for people.
	Message string
	// Finding is the one that it is about, nil where it is about none.
	Finding *assess.Reason
	// Since is when it began to hold.
	Since time.Time
}

// Verdict is whether an image may be pulled.
type Verdict struct {
	Blocked bool
	// Reasons are what blocks, or would where an exception lets it through;
	// Warnings what does not block. Those about findings are the gravest first.
	Reasons, Warnings []Reason
	// Exception is what lets it through although there are Reasons, nil where
	// nothing does.
	Exception *Exception
	// ValidUntil is the first instant at which time alone may change the
	// verdict; zero for never.
	ValidUntil time.Time
	// Refusal is how a refused pull is answered.
	Refusal Refusal
}

// until moves ValidUntil forward to t.
func (v *Verdict) until(t time.Time) {
	if !t.IsZero() && (v.ValidUntil.IsZero() || t.Before(v.ValidUntil)) {
		v.ValidUntil = t
	}
}

// since is when the image became blocked: when the first of the reasons did
// that hold now. Zero where nothing blocks.
func (v Verdict) since() (since time.Time) {
	for i, r := range v.Reasons {
		if i == 0 || r.Since.Before(since) {
			since = r.Since
		}
	}
	return since
}

// Subject is what a policy looks at: an image with what is known of it.
type Subject struct {
	Findings []match.Finding
	// Image and Data are what Policy.looksAtImage wants; Image is zero where it
	// does not.
	Image image.Image
	// Data is what the feeds have on the image's ecosystems.
	Data map[string]image.Data
	// Awaited names the vulnerability sources that have not answered yet.
	Awaited []string
}

// Judge says the state of each finding of a subject at a place, and whether the
// policy lets it be pulled at a time. Exceptions are not considered.
func Judge(s Subject, at assess.Place, decisions []assess.Decision, p Policy, t time.Time) ([]assess.State, Verdict) {
	states, found := assess.Decide(s.Findings, at, decisions, p.Policy, t)
	v := Verdict{ValidUntil: found.ValidUntil, Refusal: p.Refusal}
	block := func(kind Kind, field Field, since time.Time, format string, args ...any) {
		v.Reasons = append(v.Reasons, Reason{Kind: kind, Message: fmt.Sprintf(format, args...), Since: latest(since, p.since[field])})
	}
	if p.looksAtImage() && s.Image.State != "" {
		p.judgeImage(s, t, &v, block)
	}
	for _, r := range found.Reasons {
		field := Block
		if r.AssessmentID == 0 {
			field = BlockUnassessedFrom
		}
		v.Reasons = append(v.Reasons, Reason{Kind: AboutFinding, Message: r.String(), Finding: &r, Since: latest(r.Since, p.since[field])})
	}
	for _, r := range found.Warnings {
		v.Warnings = append(v.Warnings, Reason{Kind: AboutFinding, Message: r.String(), Finding: &r, Since: r.Since})
	}
	v.Blocked = len(v.Reasons) > 0
	return states, v
}

// judgeImage adds the reasons that are not about single findings.
func (p Policy) judgeImage(s Subject, t time.Time, v *Verdict, block func(Kind, Field, time.Time, string, ...any)) {
	img := s.Image
	if p.RequireAnalysis {
		switch img.State {
		case image.Done:
		case image.Failed:
			block(AboutAnalysis, RequireAnalysis, img.AnalysedAt, "the analysis failed: %s", img.Error)
		default:
			block(AboutAnalysis, RequireAnalysis, img.CreatedAt, "the analysis is not done yet")
		}
		// That the built-in analyser has not answered is told by what the analysis is.
		if awaited := slices.DeleteFunc(slices.Clone(s.Awaited), func(source string) bool { return source == assess.BuiltIn }); len(awaited) > 0 {
			block(AboutSources, RequireAnalysis, img.CreatedAt, "these vulnerability sources have not answered yet: %s", strings.Join(awaited, ", "))
		}
	}
	if p.RequireCoverage.asks() {
		coverage := img.Coverage(s.Data, t)
		if !p.RequireCoverage.met(coverage.Verdict) {
			block(AboutCoverage, RequireCoverage, img.AnalysedAt, "coverage is %s: %s", coverage.Verdict, some(coverage.Reasons))
		}
		for _, d := range s.Data {
			if stale := d.Updated.Add(d.StaleAfter); !d.Updated.IsZero() && d.StaleAfter > 0 && stale.After(t) {
				v.until(stale)
			}
		}
	}
	if p.MaxFeedAgeHours > 0 {
		most := time.Duration(p.MaxFeedAgeHours) * time.Hour
		for _, ecosystem := range img.Ecosystems() {
			updated := s.Data[ecosystem].Updated
			if updated.IsZero() {
				continue // that no feed judges it is a matter of coverage
			}
			if end := updated.Add(most); end.After(t) {
				v.until(end)
			} else {
				block(AboutFeeds, MaxFeedAgeHours, end, "the data on %s was last confirmed at %s, more than %d hours ago", ecosystem, updated.UTC().Format(time.RFC3339), p.MaxFeedAgeHours)
			}
		}
	}
}

// some lists the first few of many texts.
func some(texts []string) string {
	const shown = 3
	if more := len(texts) - shown; more > 0 {
		return fmt.Sprintf("%s, and %d more reasons", strings.Join(texts[:shown], "; "), more)
	}
	return strings.Join(texts, "; ")
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// settling is how long after its analysis findings of an image may still come
// that were known when it was pushed.
const settling = time.Minute

// excepted is the verdict with what lets it through for who pulls.
func (v Verdict) excepted(p Policy, exceptions []Exception, pull Pull, analysed, t time.Time) Verdict {
	if !v.Blocked {
		return v
	}
	// The warnings are shared with what is remembered.
	warn := func(message string) {
		v.Blocked = false
		v.Warnings = append(slices.Clip(v.Warnings), Reason{Kind: AboutException, Message: message, Since: v.since()})
	}
	var longest *Exception
	for i, e := range exceptions {
		if e.Live(t) && e.forUser(pull.User) && (longest == nil || e.ExpiresAt.After(longest.ExpiresAt)) {
			longest = &exceptions[i]
		}
	}
	if longest != nil {
		v.Exception = longest
		v.until(longest.ExpiresAt)
		warn("blocked by policy, and let through by " + longest.String())
		return v
	}
	if !pull.ByDigest {
		return v
	}
	switch p.AllowDigestPulls {
	case AlwaysByDigest:
		warn("blocked by policy, and let through because it is pulled by digest")
	case RecentByDigest:
		// An image that was blocked from its first day was never anyone's to run.
		since := v.since()
		end := since.Add(time.Duration(p.DigestPullHours) * time.Hour)
		if !analysed.IsZero() && since.After(analysed.Add(settling)) && end.After(t) {
			v.until(end)
			warn("blocked by policy, and let through by digest until " + end.UTC().Format(time.RFC3339))
		}
	}
	return v
}

// whole is the verdict on a manifest that stands for several images: it is
// blocked where each of them is, for a client chooses one.
func whole(verdicts []Verdict) Verdict {
	switch len(verdicts) {
	case 0:
		return Verdict{}
	case 1:
		return verdicts[0]
	}
	all := Verdict{Blocked: true, Refusal: verdicts[0].Refusal}
	for _, v := range verdicts {
		all.until(v.ValidUntil)
		all.Blocked = all.Blocked && v.Blocked
		if v.Exception != nil {
			all.Exception = v.Exception
		}
		all.Reasons = append(all.Reasons, v.Reasons...)
		all.Warnings = append(all.Warnings, v.Warnings...)
	}
	all.Warnings = distinct(all.Warnings)
	all.Reasons = distinct(all.Reasons)
	if all.Blocked {
		return all
	}
	// What blocks only some is a warning to those who pull the index.
	if all.Exception == nil {
		all.Warnings, all.Reasons = distinct(append(all.Reasons, all.Warnings...)), nil
	}
	return all
}

// distinct keeps each message once: images of several platforms are much alike.
func distinct(reasons []Reason) []Reason {
	seen := make(map[string]bool, len(reasons))
	var kept []Reason
	for _, r := range reasons {
		if !seen[r.Message] {
			seen[r.Message] = true
			kept = append(kept, r)
		}
	}
	return kept
}
