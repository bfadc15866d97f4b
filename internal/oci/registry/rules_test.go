package registry_test

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/oci/registry"
)

func TestFollowing(t *testing.T) {
	for _, tt := range []struct{ tags, want string }{
		{"", ""},
		{"main 1.2 1 latest 1.2.3-rc.1 1.2.3+build 01.2.3 1.2.3.4 v1.2 1..3 -1.2.3", ""},
		{"3.4.1", "latest=3.4.1 3=3.4.1 3.4=3.4.1"},
		{"3.4.1 3.4.10 3.4.9 3.5.0 2.9.9 4.0.0-rc.1", "latest=3.5.0 3=3.5.0 3.4=3.4.10 3.5=3.5.0 2=2.9.9 2.9=2.9.9"},
		{"v1.0.0 v1.10.0 v1.9.0", "latest=v1.10.0 v1=v1.10.0 v1.0=v1.0.0 v1.10=v1.10.0 v1.9=v1.9.0"},
		{"v1.2.3 1.2.3 1.2.2", "latest=1.2.3 1=1.2.3 1.2=1.2.3 v1=v1.2.3 v1.2=v1.2.3"},
		{"0.0.0", "latest=0.0.0 0=0.0.0 0.0=0.0.0"},
		{"99999999999999999999999.0.0 100000000000000000000000.0.0", "latest=100000000000000000000000.0.0" +
			" 99999999999999999999999=99999999999999999999999.0.0 99999999999999999999999.0=99999999999999999999999.0.0" +
			" 100000000000000000000000=100000000000000000000000.0.0 100000000000000000000000.0=100000000000000000000000.0.0"},
	} {
		want := make(map[string]string)
		for _, pair := range strings.Fields(tt.want) {
			floating, version, _ := strings.Cut(pair, "=")
			want[floating] = version
		}
		if got := registry.Following(strings.Fields(tt.tags)); !maps.Equal(got, want) {
			t.Errorf("Following(%s) = %v, want %v", tt.tags, got, want)
		}
	}
}

func TestImmutable(t *testing.T) {
	r := registry.Rules{ImmutableTags: []string{"v*", "*-release", "1.?"}}
	for tag, want := range map[string]bool{"v1": true, "v": true, "1.2": true, "1.23": false, "2024-release": true, "latest": false, "xv": false} {
		if got := r.Immutable(tag); got != want {
			t.Errorf("Immutable(%s) = %t, want %t", tag, got, want)
		}
	}
}

func TestRulesThatCannotBe(t *testing.T) {
	for _, tt := range []struct {
		rules registry.Rules
		field string
	}{
		{registry.Rules{}, ""},
		{registry.Rules{Quota: 1 << 40, ImmutableTags: []string{"v*", "[0-9]*", "*"}, VersionTags: true}, ""},
		{registry.Rules{Quota: -1}, "quota_bytes"},
		{registry.Rules{ImmutableTags: []string{""}}, "immutable_tags"},
		{registry.Rules{ImmutableTags: []string{"[a"}}, "immutable_tags"},
		{registry.Rules{ImmutableTags: []string{"a/b"}}, "immutable_tags"},
		{registry.Rules{ImmutableTags: []string{"a\nb"}}, "immutable_tags"},
		{registry.Rules{ImmutableTags: []string{"<b>"}}, "immutable_tags"},
		{registry.Rules{ImmutableTags: []string{strings.Repeat("a", 129)}}, "immutable_tags"},
		{registry.Rules{ImmutableTags: strings.Split(strings.Repeat("a ", 51), " ")[:51]}, "immutable_tags"},
	} {
		err := tt.rules.Check()
		var rule *registry.RuleError
		if field := ""; errors.As(err, &rule) {
			if field = rule.Field; field != tt.field {
				t.Errorf("%+v: %v, want one of %q", tt.rules, err, tt.field)
			}
		} else if tt.field != "" {
			t.Errorf("%+v is accepted", tt.rules)
		}
	}
}
