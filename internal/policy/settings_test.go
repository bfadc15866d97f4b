package policy_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/policy"
)

func ptr[T any](v T) *T { return &v }

func TestSettingsAreReadAsTheyAreWritten(t *testing.T) {
	for _, test := range []struct {
		name string
		text string
		want policy.Settings
	}{
		{"a new registry's", `{}`, policy.Settings{}},
		{"no text", ``, policy.Settings{}},
		{"of the first release", `{"block":null,"block_unassessed_from":null,"grace_hours":0}`, policy.Settings{GraceHours: ptr(0)}},
		{"the design's", `{"block": ["Block"], "block_unassessed_from": "critical", "grace_hours": 4}`,
			policy.Settings{Block: &[]string{"Block"}, BlockUnassessedFrom: ptr(policy.Threshold("critical")), GraceHours: ptr(4)}},
		{"nothing blocks", `{"block": []}`, policy.Settings{Block: &[]string{}}},
		{"all", `{"warn": ["Caution"], "warn_unassessed_from": "low", "require_analysis": true, "require_coverage": "known", "max_feed_age_hours": 48,
			"refusal": "unknown", "allow_digest_pulls": "recent", "digest_pull_hours": 5, "since": {"warn": "2026-11-24T12:00:00Z"}}`,
			policy.Settings{Warn: &[]string{"Caution"}, WarnUnassessedFrom: ptr(policy.Threshold("low")), RequireAnalysis: ptr(true),
				RequireCoverage: ptr(policy.KnownCoverage), MaxFeedAgeHours: ptr(48), Refusal: ptr(policy.Unknown),
				AllowDigestPulls: ptr(policy.RecentByDigest), DigestPullHours: ptr(5), Since: map[policy.Field]time.Time{policy.Warn: noon}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := policy.ParseSettings(test.text)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
			again, err := policy.ParseSettings(got.String())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, again); diff != "" {
				t.Errorf("read again (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDamagedSettingsAreAnError(t *testing.T) {
	for _, text := range []string{`{`, `[]`, `{"block": "Block"}`, `{"grace_hours": "4"}`, `{"blocks": []}`} {
		if s, err := policy.ParseSettings(text); err == nil {
			t.Errorf("%s: got %v, want an error", text, s)
		}
	}
}

func TestSettingsCheck(t *testing.T) {
	types := assess.DefaultTypes()
	for _, test := range []struct {
		name     string
		settings policy.Settings
		field    string
	}{
		{"default", policy.Settings{}, ""},
		{"none", policy.Settings{Block: &[]string{}}, ""},
		{"known types", policy.Settings{Block: &[]string{"Block", "Caution"}, Warn: &[]string{"Ignore"}}, ""},
		{"unknown type", policy.Settings{Block: &[]string{"Block", "block"}}, "block[1]"},
		{"unknown type to warn of", policy.Settings{Warn: &[]string{"Later"}}, "warn[0]"},
		{"too many types", policy.Settings{Warn: ptr(make([]string, 101))}, "warn"},
		{"no severity", policy.Settings{BlockUnassessedFrom: ptr(policy.Threshold("grave"))}, "block_unassessed_from"},
		{"never", policy.Settings{WarnUnassessedFrom: ptr(policy.Never)}, ""},
		{"empty threshold", policy.Settings{WarnUnassessedFrom: ptr(policy.Threshold(""))}, "warn_unassessed_from"},
		{"negative grace", policy.Settings{GraceHours: ptr(-1)}, "grace_hours"},
		{"endless grace", policy.Settings{GraceHours: ptr(policy.MaxHours + 1)}, "grace_hours"},
		{"negative age", policy.Settings{MaxFeedAgeHours: ptr(-1)}, "max_feed_age_hours"},
		{"no time by digest", policy.Settings{DigestPullHours: ptr(0)}, "digest_pull_hours"},
		{"half known", policy.Settings{RequireCoverage: ptr(policy.Coverage("half"))}, "require_coverage"},
		{"rude", policy.Settings{Refusal: ptr(policy.Refusal("teapot"))}, "refusal"},
		{"sometimes", policy.Settings{AllowDigestPulls: ptr(policy.DigestPulls("sometimes"))}, "allow_digest_pulls"},
	} {
		t.Run(test.name, func(t *testing.T) { wantField(t, test.settings.Check(types), test.field) })
	}
}

// wantField checks that an error is about a field; about none where it is "".
func wantField(t *testing.T, err error, want string) {
	t.Helper()
	var field *assess.FieldError
	switch {
	case want == "" && err != nil:
		t.Errorf("got %v, want nil", err)
	case want != "" && (!errors.As(err, &field) || field.Field != want || field.Reason == ""):
		t.Errorf("got %v, want an error of %s", err, want)
	}
}

func TestResolve(t *testing.T) {
	high, low := advisory.High, advisory.Low
	global := policy.Settings{Block: &[]string{"Caution"}, BlockUnassessedFrom: ptr(policy.Threshold("high")), GraceHours: ptr(24), RequireAnalysis: ptr(true)}
	own := policy.Settings{BlockUnassessedFrom: ptr(policy.Never), WarnUnassessedFrom: ptr(policy.Threshold("low")), GraceHours: ptr(0), RequireAnalysis: ptr(false)}
	for _, test := range []struct {
		name        string
		global, own policy.Settings
		want        policy.Policy
		from        map[policy.Field]policy.Origin
	}{
		{"nothing is said", policy.Settings{}, policy.Settings{}, policy.Policy{}, map[policy.Field]policy.Origin{policy.Block: policy.FromDefault}},
		{"all is inherited", global, policy.Settings{},
			policy.Policy{Policy: assess.Policy{Block: []string{"Caution"}, BlockUnassessedFrom: &high, GraceHours: 24}, RequireAnalysis: true},
			map[policy.Field]policy.Origin{policy.Block: policy.FromGlobal, policy.Warn: policy.FromDefault, policy.GraceHours: policy.FromGlobal}},
		{"some is", global, own, policy.Policy{Policy: assess.Policy{Block: []string{"Caution"}, WarnUnassessedFrom: &low}},
			map[policy.Field]policy.Origin{policy.Block: policy.FromGlobal, policy.BlockUnassessedFrom: policy.FromRegistry, policy.GraceHours: policy.FromRegistry, policy.RequireAnalysis: policy.FromRegistry}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := policy.Resolve(test.global, test.own)
			want := test.want
			want.RequireCoverage, want.Refusal, want.AllowDigestPulls, want.DigestPullHours = policy.AnyCoverage, policy.Denied, policy.NeverByDigest, 72
			if diff := cmp.Diff(want, got.Policy, policy.IgnoreSince); diff != "" {
				t.Errorf("policy (-want +got):\n%s", diff)
			}
			if len(got.From) != 11 {
				t.Errorf("%d settings have an origin", len(got.From))
			}
			for field, origin := range test.from {
				if got.From[field] != origin {
					t.Errorf("%s comes from %s, want %s", field, got.From[field], origin)
				}
			}
		})
	}
}

func TestThereIsAnOrderInBlockingAndWarning(t *testing.T) {
	types := assess.DefaultTypes()
	for _, test := range []struct {
		name           string
		settings       policy.Settings
		blocking, warn []string
	}{
		{"default", policy.Settings{}, []string{"Block"}, []string{"Caution"}},
		{"none", policy.Settings{Block: &[]string{}, Warn: &[]string{}}, []string{}, []string{}},
		{"named", policy.Settings{Block: &[]string{"Caution"}, Warn: &[]string{"Block", "Ignore"}}, []string{"Caution"}, []string{"Ignore", "Block"}},
		{"what blocks does not warn", policy.Settings{Warn: &[]string{"Block", "Caution"}}, []string{"Block"}, []string{"Caution"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := policy.Resolve(policy.Settings{}, test.settings)
			if diff := cmp.Diff(test.blocking, p.Blocking(types)); diff != "" {
				t.Errorf("blocking (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.warn, p.Warning(types)); diff != "" {
				t.Errorf("warning (-want +got):\n%s", diff)
			}
		})
	}
}
