package registry_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/oci/registry"
)

// The specification's own expressions, which the hand-written matchers must agree with.
var (
	nameExpression = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tagExpression  = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$`)
)

func TestCheckName(t *testing.T) {
	for _, tt := range []struct {
		name string
		ok   bool
	}{
		{"main/app", true}, {"main", true}, {"a/b/c/d", true}, {"a-b/c--d/e__f/g_h/i.j", true}, {"0/1", true},
		{"a---b", true}, {strings.Repeat("a", 255), true},
		{"", false}, {"/", false}, {"a/", false}, {"/a", false}, {"a//b", false}, {"A/b", false}, {"a/B", false},
		{"a..b", false}, {"a._b", false}, {"a_-b", false}, {"a___b", false}, {"-a", false}, {"a-", false}, {"a.-b", false}, {"a-.b", false},
		{"..", false}, {"a/../b", false}, {"a/./b", false}, {"a\x00b", false}, {"a\nb", false}, {"a b", false}, {"é", false},
		{"a%2fb", false}, {"a\\b", false}, {strings.Repeat("a", 256), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := registry.CheckName(tt.name)
			if (err == nil) != tt.ok || err != nil && !errors.Is(err, registry.ErrNameInvalid) {
				t.Errorf("got %v, want ok %v", err, tt.ok)
			}
		})
	}
}

func TestCheckRegistryName(t *testing.T) {
	for name, ok := range map[string]bool{
		"main": true, "a-b_c.d": true, strings.Repeat("a", 64): true,
		"": false, "a/b": false, "_auth": false, "_catalog": false, "Main": false, "..": false, strings.Repeat("a", 65): false, "a\n": false,
	} {
		if err := registry.CheckRegistryName(name); (err == nil) != ok {
			t.Errorf("%q: got %v, want ok %v", name, err, ok)
		}
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"main/app", "a__b", "a--b/c", "a_-b", "v1.0_RC-1", ".x", "-x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, want := registry.CheckName(s) == nil, nameExpression.MatchString(s) && len(s) <= 255; got != want {
			t.Errorf("name %q: got %v, want %v", s, got, want)
		}
		if got, want := registry.IsTag(s), tagExpression.MatchString(s); got != want {
			t.Errorf("tag %q: got %v, want %v", s, got, want)
		}
	})
}
