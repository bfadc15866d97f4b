// Package retention says which tags and images a registry need not keep: the
// same computation tells people what would go, and what goes.
//
// It must not know SQL, HTTP or the trash.
package retention

import (
	"fmt"
	"path"
	"strings"
)

// Rules are what a registry keeps. The zero value keeps everything.
type Rules struct {
	Rules []Rule `json:"rules,omitempty"`
	// Always are patterns of tags that are always kept.
	Always []string `json:"always,omitempty"`
	// UntaggedDays is after how many days what has no tag goes; 0 is never.
	UntaggedDays int `json:"untagged_days,omitempty"`
}

// Rule is about some tags of some repositories. Of these it keeps what any of its
// conditions keeps. The first rule that is about a tag decides.
type Rule struct {
	// Repositories and Tags are patterns; none is all.
	Repositories []string `json:"repositories,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	// Last is how many tags are kept in each repository, the newest.
	Last int `json:"last,omitempty"`
	// Days is for how long after its push a tag is kept.
	Days int `json:"days,omitempty"`
}

// Bounds of what rules may say.
const (
	MaxRules    = 20
	MaxPatterns = 50
	maxPattern  = 256
	maxNumber   = 100000
)

// FieldError says which rule cannot be one.
type FieldError struct{ Field, Reason string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

// Check returns a *FieldError where these cannot be rules.
func (r Rules) Check() error {
	const (
		inTags  = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*?"
		inNames = "abcdefghijklmnopqrstuvwxyz0123456789._-/*?"
	)
	if r.UntaggedDays < 0 || r.UntaggedDays > maxNumber {
		return &FieldError{"untagged_days", fmt.Sprintf("want 0 to %d", maxNumber)}
	}
	if len(r.Rules) > MaxRules {
		return &FieldError{"rules", fmt.Sprintf("are more than %d", MaxRules)}
	}
	if err := checkPatterns("always", r.Always, inTags); err != nil {
		return err
	}
	for i, rule := range r.Rules {
		at := fmt.Sprintf("rules[%d].", i)
		if rule.Last < 0 || rule.Last > maxNumber {
			return &FieldError{at + "last", fmt.Sprintf("want 0 to %d", maxNumber)}
		}
		if rule.Days < 0 || rule.Days > maxNumber {
			return &FieldError{at + "days", fmt.Sprintf("want 0 to %d", maxNumber)}
		}
		if err := checkPatterns(at+"repositories", rule.Repositories, inNames); err != nil {
			return err
		}
		if err := checkPatterns(at+"tags", rule.Tags, inTags); err != nil {
			return err
		}
	}
	return nil
}

func checkPatterns(field string, patterns []string, letters string) error {
	if len(patterns) > MaxPatterns {
		return &FieldError{field, fmt.Sprintf("has more than %d patterns", MaxPatterns)}
	}
	for _, p := range patterns {
		if p == "" || len(p) > maxPattern {
			return &FieldError{field, fmt.Sprintf("has a pattern that is empty or longer than %d bytes", maxPattern)}
		}
		if strings.Trim(p, letters) != "" {
			return &FieldError{field, fmt.Sprintf("has %q, which can match no name: * stands for any text, ? for one character", p)}
		}
	}
	return nil
}

// matchesAny reports whether one of the patterns is one of a text. Slashes are characters like
// others. No patterns are what otherwise says.
func matchesAny(patterns []string, text string, otherwise bool) bool {
	if len(patterns) == 0 {
		return otherwise
	}
	text = strings.ReplaceAll(text, "/", "\x00")
	for _, p := range patterns {
		if ok, err := path.Match(strings.ReplaceAll(p, "/", "\x00"), text); ok && err == nil {
			return true
		}
	}
	return false
}
