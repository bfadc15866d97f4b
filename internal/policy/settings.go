package policy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/advisory"
)

// Field names a setting, as it is named over REST.
type Field string

// The settings.
const (
	Block               Field = "block"
	Warn                Field = "warn"
	BlockUnassessedFrom Field = "block_unassessed_from"
	WarnUnassessedFrom  Field = "warn_unassessed_from"
	GraceHours          Field = "grace_hours"
	RequireAnalysis     Field = "require_analysis"
	RequireCoverage     Field = "require_coverage"
	MaxFeedAgeHours     Field = "max_feed_age_hours"
	RefusalAnswer       Field = "refusal"
	AllowDigestPulls    Field = "allow_digest_pulls"
	DigestPullHours     Field = "digest_pull_hours"
)

// Threshold is the name of a severity, or Never.
type Threshold string

// Never is the threshold that nothing reaches.
const Never Threshold = "never"

// severity is nil for Never. The threshold was checked.
func (t Threshold) severity() *advisory.Severity {
	severity, err := advisory.ParseSeverity(string(t))
	if err != nil {
		return nil
	}
	return &severity
}

// Settings are what a registry, or the global policy, says itself. Nil members
// are inherited: by a registry from the global policy, by that from Defaults.
type Settings struct {
	Block               *[]string    `json:"block,omitempty"`
	Warn                *[]string    `json:"warn,omitempty"`
	BlockUnassessedFrom *Threshold   `json:"block_unassessed_from,omitempty"`
	WarnUnassessedFrom  *Threshold   `json:"warn_unassessed_from,omitempty"`
	GraceHours          *int         `json:"grace_hours,omitempty"`
	RequireAnalysis     *bool        `json:"require_analysis,omitempty"`
	RequireCoverage     *Coverage    `json:"require_coverage,omitempty"`
	MaxFeedAgeHours     *int         `json:"max_feed_age_hours,omitempty"`
	Refusal             *Refusal     `json:"refusal,omitempty"`
	AllowDigestPulls    *DigestPulls `json:"allow_digest_pulls,omitempty"`
	DigestPullHours     *int         `json:"digest_pull_hours,omitempty"`
	// Since says when a member last changed: an image that a stricter policy
	// blocks was not blocked before that. Change keeps it.
	Since map[Field]time.Time `json:"since,omitempty"`
}

// defaultDigestPullHours is three days: long enough for a week-end.
const defaultDigestPullHours = 72

// ParseSettings reads settings as String writes them; "" is the zero value.
func ParseSettings(text string) (Settings, error) {
	var s Settings
	if text == "" {
		return s, nil
	}
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return Settings{}, fmt.Errorf("policy %q: %w", text, err)
	}
	return s, nil
}

// String is the JSON that is stored.
func (s Settings) String() string {
	text, err := json.Marshal(s)
	if err != nil { // strings, numbers and times always marshal
		panic(err)
	}
	return string(text)
}

// values are the members that are set, as JSON.
func (s Settings) values() map[Field]string {
	s.Since = nil
	var values map[Field]json.RawMessage
	if err := json.Unmarshal([]byte(s.String()), &values); err != nil { // it was marshalled just now
		panic(err)
	}
	texts := make(map[Field]string, len(values))
	for field, value := range values {
		texts[field] = string(value)
	}
	return texts
}

// changed lists the fields that differ, in order.
func changed(before, after Settings) []Field {
	a, b := before.values(), after.values()
	var fields []Field
	for field, value := range a {
		if b[field] != value {
			fields = append(fields, field)
		}
	}
	for field := range b {
		if _, both := a[field]; !both {
			fields = append(fields, field)
		}
	}
	slices.Sort(fields)
	return fields
}

// stamped is after with the times at which its members changed.
func stamped(before, after Settings, now time.Time) Settings {
	since := maps.Clone(before.Since)
	for _, field := range changed(before, after) {
		if since == nil {
			since = make(map[Field]time.Time)
		}
		since[field] = now
	}
	after.Since = since
	return after
}

// Origin says whose word counts.
type Origin string

// The origins.
const (
	FromDefault  Origin = "default"
	FromGlobal   Origin = "global"
	FromRegistry Origin = "registry"
)

// Effective is the policy that holds in a registry.
type Effective struct {
	Policy
	// From says where each setting comes from.
	From map[Field]Origin
}

// Resolve returns the policy that holds with the settings of the global policy
// and of a registry; the zero Settings for own give the global policy.
func Resolve(global, own Settings) Effective {
	r := resolver{global: global.Since, own: own.Since, from: make(map[Field]Origin), since: make(map[Field]time.Time)}
	var p Policy
	// Nil lists stand for the types' own words.
	p.Block = pick(&r, Block, nil, global.Block, own.Block)
	p.Warn = pick(&r, Warn, nil, global.Warn, own.Warn)
	p.BlockUnassessedFrom = pick(&r, BlockUnassessedFrom, Never, global.BlockUnassessedFrom, own.BlockUnassessedFrom).severity()
	p.WarnUnassessedFrom = pick(&r, WarnUnassessedFrom, Never, global.WarnUnassessedFrom, own.WarnUnassessedFrom).severity()
	p.GraceHours = pick(&r, GraceHours, 0, global.GraceHours, own.GraceHours)
	p.RequireAnalysis = pick(&r, RequireAnalysis, false, global.RequireAnalysis, own.RequireAnalysis)
	p.RequireCoverage = pick(&r, RequireCoverage, AnyCoverage, global.RequireCoverage, own.RequireCoverage)
	p.MaxFeedAgeHours = pick(&r, MaxFeedAgeHours, 0, global.MaxFeedAgeHours, own.MaxFeedAgeHours)
	p.Refusal = pick(&r, RefusalAnswer, Denied, global.Refusal, own.Refusal)
	p.AllowDigestPulls = pick(&r, AllowDigestPulls, NeverByDigest, global.AllowDigestPulls, own.AllowDigestPulls)
	p.DigestPullHours = pick(&r, DigestPullHours, defaultDigestPullHours, global.DigestPullHours, own.DigestPullHours)
	p.since = r.since
	return Effective{Policy: p, From: r.from}
}

// resolver notes where values come from.
type resolver struct {
	global, own map[Field]time.Time
	from        map[Field]Origin
	since       map[Field]time.Time
}

// pick returns the value that counts.
func pick[T any](r *resolver, field Field, otherwise T, global, own *T) T {
	since := r.own[field]
	if own != nil {
		r.from[field], r.since[field] = FromRegistry, since
		return *own
	}
	if r.global[field].After(since) {
		since = r.global[field]
	}
	r.since[field] = since
	if global != nil {
		r.from[field] = FromGlobal
		return *global
	}
	r.from[field] = FromDefault
	return otherwise
}
