package retention_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/retention"
)

var now = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

func ago(days int) time.Time { return now.Add(-time.Duration(days) * 24 * time.Hour) }

func digest(name string) string { return "sha256:" + strings.Repeat(name, 64) }

func TestRulesOf(t *testing.T) {
	// An index a of b and c, d is attached to b; e is alone without tag, f attached to e.
	family := retention.Repository{Name: "team/app",
		Tags: []retention.Tag{{Name: "v1", Digest: digest("a"), UpdatedAt: ago(9)}},
		Manifests: []retention.Manifest{
			{Digest: digest("a"), Children: []string{digest("b"), digest("c")}, PushedAt: ago(9)}, {Digest: digest("b"), PushedAt: ago(9)}, {Digest: digest("c"), PushedAt: ago(9)},
			{Digest: digest("d"), Subject: digest("b"), PushedAt: ago(9)}, {Digest: digest("e"), PushedAt: ago(5)}, {Digest: digest("f"), Subject: digest("e"), PushedAt: ago(9)},
		}}
	versions := retention.Repository{Name: "app"}
	for i := range 5 {
		d := digest(fmt.Sprint(i))
		versions.Manifests = append(versions.Manifests, retention.Manifest{Digest: d, PushedAt: ago(i)})
		versions.Tags = append(versions.Tags, retention.Tag{Name: fmt.Sprintf("v%d", i), Digest: d, UpdatedAt: ago(i)})
	}
	with := func(r retention.Repository, change func(*retention.Repository)) retention.Repository {
		r.Tags, r.Manifests = append([]retention.Tag(nil), r.Tags...), append([]retention.Manifest(nil), r.Manifests...)
		change(&r)
		return r
	}
	last := func(n int) retention.Rules { return retention.Rules{Rules: []retention.Rule{{Last: n}}} }
	for _, tt := range []struct {
		name       string
		rules      retention.Rules
		repository retention.Repository
		want       string // the first letters of what goes
	}{
		{"no rules", retention.Rules{}, family, ""},
		{"the last", last(2), versions, "2 3 4"},
		{"the last or the young", retention.Rules{Rules: []retention.Rule{{Last: 1, Days: 3}}}, versions, "3 4"},
		{"always", retention.Rules{Rules: []retention.Rule{{Last: 1}}, Always: []string{"v3"}}, versions, "1 2 4"},
		{"the first rule decides", retention.Rules{Rules: []retention.Rule{{Tags: []string{"v4"}, Last: 1}, {Last: 2}}}, versions, "2 3"},
		{"other repositories", retention.Rules{Rules: []retention.Rule{{Repositories: []string{"team/*"}, Last: 1}}}, versions, ""},
		{"immutable", last(1), with(versions, func(r *retention.Repository) { r.Tags[4].Fixed = "it is immutable" }), "1 2 3"},
		{"excepted", last(1), with(versions, func(r *retention.Repository) { r.Manifests[2].Excepted = true }), "1 3 4"},
		{"another tag keeps it", last(2), with(versions, func(r *retention.Repository) {
			r.Tags = append(r.Tags, retention.Tag{Name: "x", Digest: digest("4"), UpdatedAt: now})
		}), "1 2 3 4:v4"},
		{"an index with all that belongs to it", retention.Rules{Rules: []retention.Rule{{Days: 1}}}, family, "a b c d"},
		{"a part that is excepted", retention.Rules{Rules: []retention.Rule{{Days: 1}}}, with(family, func(r *retention.Repository) { r.Manifests[1].Excepted = true }), "a c"},
		{"untagged", retention.Rules{UntaggedDays: 5}, family, "e f"},
		{"untagged, but young", retention.Rules{UntaggedDays: 6}, family, ""},
		{"a signature of the older kind", last(1), with(versions, func(r *retention.Repository) {
			r.Manifests = append(r.Manifests, retention.Manifest{Digest: digest("8"), PushedAt: ago(9)}, retention.Manifest{Digest: digest("9"), PushedAt: ago(9)})
			r.Tags = append(r.Tags, retention.Tag{Name: "sha256-" + strings.Repeat("0", 64) + ".sig", Digest: digest("8"), UpdatedAt: ago(9)},
				retention.Tag{Name: "sha256-" + strings.Repeat("1", 64), Digest: digest("9"), UpdatedAt: now})
		}), "1 2 3 4 9"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			plan := tt.rules.Of(tt.repository, now)
			var got []string
			for _, e := range plan.Entries {
				text := e.Digest[7:8]
				if e.Tag != "" {
					text += ":" + e.Tag
				}
				got = append(got, text)
				if e.Reason == "" || e.Repository != tt.repository.Name {
					t.Errorf("got %+v", e)
				}
			}
			if diff := cmp.Diff(tt.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("(-want +got) %s", diff)
			}
		})
	}
}

func TestDrastic(t *testing.T) {
	for _, tt := range []struct {
		plan retention.Plan
		want string
	}{
		{retention.Plan{}, ""},
		{retention.Plan{Images: 4, GoneImages: 2, Tags: 4, GoneTags: 2}, ""},
		{retention.Plan{Images: 4, GoneImages: 3}, "3 of 4 images would go, which is over half"},
		{retention.Plan{Images: 1, GoneImages: 1}, "all 1 images would go"},
		{retention.Plan{Images: 4, GoneImages: 0, Tags: 4, GoneTags: 3}, "3 of 4 tags would go, which is over half"},
	} {
		if got := tt.plan.Drastic(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.plan, got, tt.want)
		}
	}
}

func TestCheck(t *testing.T) {
	for _, tt := range []struct {
		rules retention.Rules
		field string
	}{
		{retention.Rules{}, ""},
		{retention.Rules{Always: []string{"v*", "latest"}, Rules: []retention.Rule{{Repositories: []string{"team/*"}, Last: 1}}}, ""},
		{retention.Rules{UntaggedDays: -1}, "untagged_days"},
		{retention.Rules{Always: []string{""}}, "always"},
		{retention.Rules{Rules: []retention.Rule{{}, {Tags: []string{"<b>"}}}}, "rules[1].tags"},
		{retention.Rules{Rules: []retention.Rule{{Repositories: []string{"../x\x00"}}}}, "rules[0].repositories"},
		{retention.Rules{Rules: []retention.Rule{{Last: -1}}}, "rules[0].last"},
		{retention.Rules{Rules: []retention.Rule{{Days: 1 << 40}}}, "rules[0].days"},
		{retention.Rules{Rules: make([]retention.Rule, 21)}, "rules"},
	} {
		err := tt.rules.Check()
		var field *retention.FieldError
		if (tt.field == "") != (err == nil) || err != nil && (!errors.As(err, &field) || field.Field != tt.field) {
			t.Errorf("%+v: got %v, want %q", tt.rules, err, tt.field)
		}
	}
}
