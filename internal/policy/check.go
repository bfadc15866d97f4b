package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
)

// MaxHours bounds every number of hours: ten years.
const MaxHours = 10 * 365 * 24

// maxTypes bounds the types that a list may name.
const maxTypes = 100

func invalid(field, format string, args ...any) error {
	return &assess.FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// Check returns an *assess.FieldError where a setting cannot be one: it names
// an unknown type, or a number is out of bounds.
func (s Settings) Check(types []assess.Type) error {
	for _, list := range []struct {
		field Field
		names *[]string
	}{{Block, s.Block}, {Warn, s.Warn}} {
		if list.names == nil {
			continue
		}
		if len(*list.names) > maxTypes {
			return invalid(string(list.field), "has more than %d types", maxTypes)
		}
		for i, name := range *list.names {
			if !slices.ContainsFunc(types, func(t assess.Type) bool { return t.Name == name }) {
				return invalid(fmt.Sprintf("%s[%d]", list.field, i), "%q is not one of %s", name, namesOf(types))
			}
		}
	}
	for _, threshold := range []struct {
		field Field
		value *Threshold
	}{{BlockUnassessedFrom, s.BlockUnassessedFrom}, {WarnUnassessedFrom, s.WarnUnassessedFrom}} {
		if threshold.value == nil || *threshold.value == Never {
			continue
		}
		if _, err := advisory.ParseSeverity(string(*threshold.value)); err != nil {
			return invalid(string(threshold.field), "%q is neither a severity nor %s", *threshold.value, Never)
		}
	}
	for _, hours := range []struct {
		field Field
		value *int
		least int
	}{{GraceHours, s.GraceHours, 0}, {MaxFeedAgeHours, s.MaxFeedAgeHours, 0}, {DigestPullHours, s.DigestPullHours, 1}} {
		if hours.value != nil && (*hours.value < hours.least || *hours.value > MaxHours) {
			return invalid(string(hours.field), "%d is not between %d and %d", *hours.value, hours.least, MaxHours)
		}
	}
	if err := oneOf(RequireCoverage, s.RequireCoverage, AnyCoverage, PartialCoverage, KnownCoverage); err != nil {
		return err
	}
	if err := oneOf(RefusalAnswer, s.Refusal, Denied, Unknown); err != nil {
		return err
	}
	return oneOf(AllowDigestPulls, s.AllowDigestPulls, NeverByDigest, RecentByDigest, AlwaysByDigest)
}

func oneOf[T ~string](field Field, value *T, choices ...T) error {
	if value == nil || slices.Contains(choices, *value) {
		return nil
	}
	names := make([]string, len(choices))
	for i, choice := range choices {
		names[i] = string(choice)
	}
	return invalid(string(field), "%q is not one of %s", *value, strings.Join(names, ", "))
}

func namesOf(types []assess.Type) string {
	names := make([]string, len(types))
	for i, t := range types {
		names[i] = t.Name
	}
	return strings.Join(names, ", ")
}
