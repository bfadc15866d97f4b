package policy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/policy"
)

func TestPatterns(t *testing.T) {
	for _, test := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "anything/at/all", true},
		{"*", "anything/at/all", true},
		{"team/*", "team/app", true},
		{"team/*", "team/app/sub", true},
		{"team/*", "teams/app", false},
		{"*/app", "a/b/app", true},
		{"1.?", "1.2", true},
		{"1.?", "1.20", false},
		{"a?b", "a/b", true},
		{"app", "app", true},
		{"app", "apps", false},
		{"app", "", false},
	} {
		if got := policy.Matches(test.pattern, test.text); got != test.want {
			t.Errorf("%q matches %q: %t, want %t", test.pattern, test.text, got, test.want)
		}
	}
}

func TestExceptionsAreChecked(t *testing.T) {
	s := policy.New(nothing{}, policy.Options{Now: func() time.Time { return noon }})
	for _, test := range []struct {
		name  string
		with  func(*policy.Exception)
		field string
	}{
		{"good", func(*policy.Exception) {}, ""},
		{"as narrow as can be", func(e *policy.Exception) {
			e.Registry, e.Repository, e.Tag, e.User, e.Digest = "main", "team/app-?.*", "1.*_A-z", "jörg@example.com", digestA
		}, ""},
		{"capital repository", func(e *policy.Exception) { e.Repository = "Team/*" }, "repository"},
		{"a class of letters", func(e *policy.Exception) { e.Repository = "[a-z]*" }, "repository"},
		{"an absolute repository", func(e *policy.Exception) { e.Repository = "/app" }, "repository"},
		{"a long repository", func(e *policy.Exception) { e.Repository = strings.Repeat("a", 257) }, "repository"},
		{"a tag with a colon", func(e *policy.Exception) { e.Tag = ":1" }, "tag"},
		{"a tag with a slash", func(e *policy.Exception) { e.Tag = "a/b" }, "tag"},
		{"an open bracket", func(e *policy.Exception) { e.User = "[a" }, "user"},
		{"a backslash at the end", func(e *policy.Exception) { e.User = `a\` }, "user"},
		{"a line break", func(e *policy.Exception) { e.User = "a\nb" }, "user"},
		{"no digest", func(e *policy.Exception) { e.Digest = "sha256:abc" }, "digest"},
		{"a pattern as digest", func(e *policy.Exception) { e.Digest = "sha256:*" }, "digest"},
		{"an unknown registry", func(e *policy.Exception) { e.Registry = "none" }, "registry"},
		{"no comment", func(e *policy.Exception) { e.Comment = " \n" }, "comment"},
		{"a long comment", func(e *policy.Exception) { e.Comment = strings.Repeat("x", 10_001) }, "comment"},
		{"no end", func(e *policy.Exception) { e.ExpiresAt = time.Time{} }, "expires_at"},
		{"an end now", func(e *policy.Exception) { e.ExpiresAt = noon }, "expires_at"},
		{"an end in the past", func(e *policy.Exception) { e.ExpiresAt = noon.Add(-time.Hour) }, "expires_at"},
		{"an end beyond a life", func(e *policy.Exception) { e.ExpiresAt = noon.AddDate(11, 0, 0) }, "expires_at"},
	} {
		t.Run(test.name, func(t *testing.T) {
			e := policy.Exception{Comment: "why", Author: "ann", ExpiresAt: noon.Add(time.Hour)}
			test.with(&e)
			_, err := s.Except(t.Context(), e)
			wantField(t, err, test.field)
		})
	}
}

// nothing is a store that holds the registry main, and takes what it is given.
type nothing struct{ policy.Store }

func (nothing) CreateException(_ context.Context, e policy.Exception) (policy.Exception, error) {
	if e.Registry == "none" {
		return e, policy.ErrNotFound
	}
	return e, nil
}
