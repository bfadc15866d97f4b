// Package policy decides whether an image may be pulled: what each registry asks
// of its images, who is excepted, and the gate that every pull goes through.
//
// It must not know SQL, HTTP or how a finding came about. What is decided on
// findings is package assess's; here it is one of several reasons.
package policy

import (
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
)

// Policy is what a registry asks of the images that are pulled from it. The
// zero value, completed by the types' own words, is that of a new registry.
type Policy struct {
	// Policy is what it makes of findings.
	assess.Policy
	// RequireAnalysis refuses an image until its analysis is done and all
	// vulnerability sources of the registry have answered.
	RequireAnalysis bool
	// RequireCoverage refuses images of whose content less is known.
	RequireCoverage Coverage
	// MaxFeedAgeHours is how long ago the data of the feeds that judge an image
	// may have been confirmed; 0 for any time.
	MaxFeedAgeHours int
	// Refusal is how a refused pull is answered.
	Refusal Refusal
	// AllowDigestPulls is what becomes of blocked images that are pulled by
	// digest, as nodes do that run them already.
	AllowDigestPulls DigestPulls
	// DigestPullHours is for how long after it became blocked an image can be
	// pulled by digest where AllowDigestPulls is Recent.
	DigestPullHours int

	// since says when a setting came to be what it is; see Settings.Since.
	since map[Field]time.Time
}

// Coverage is how much has to be known of an image.
type Coverage string

// The degrees, each asking for more than the one before.
const (
	AnyCoverage     Coverage = "none"
	PartialCoverage Coverage = "partial"
	KnownCoverage   Coverage = "known"
)

// met reports whether a verdict is enough.
func (c Coverage) met(v image.Verdict) bool {
	switch c {
	case KnownCoverage:
		return v == image.Known
	case PartialCoverage:
		return v == image.Known || v == image.Partial
	}
	return true
}

// Refusal is how a refused pull is answered.
type Refusal string

// The answers. Denied is 403 DENIED with the reasons. Unknown is 404
// MANIFEST_UNKNOWN, as if there were no such image, which is what ProGet says;
// the reasons are still in the message.
const (
	Denied  Refusal = "denied"
	Unknown Refusal = "unknown"
)

// DigestPulls is what becomes of pulls of blocked images by digest.
type DigestPulls string

// The choices. NeverByDigest judges them as any pull; RecentByDigest lets them
// through for hours after an image that could be pulled became blocked.
const (
	NeverByDigest  DigestPulls = "never"
	RecentByDigest DigestPulls = "recent"
	AlwaysByDigest DigestPulls = "always"
)

// looksAtImage reports whether more of the image than its findings matters.
func (p Policy) looksAtImage() bool {
	return p.RequireAnalysis || p.RequireCoverage.asks() || p.MaxFeedAgeHours > 0 || p.AllowDigestPulls == RecentByDigest
}

func (c Coverage) asks() bool { return c == PartialCoverage || c == KnownCoverage }

// idle reports that nothing can be blocked or warned of.
func (p Policy) idle() bool {
	return p.Policy.Idle() && !p.RequireAnalysis && !p.RequireCoverage.asks() && p.MaxFeedAgeHours == 0
}
