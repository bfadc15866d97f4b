package registry

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Rules are what a registry asks of what is pushed to it and deleted from it.
type Rules struct {
	// Quota bounds the blobs of the registry, each counted once, in bytes; 0 is no
	// bound. Manifests are not counted.
	Quota int64
	// ImmutableTags are patterns, such as v* or *-release, of tags that stay at the
	// manifest at which they first pointed.
	ImmutableTags []string
	// VersionTags has the tags latest, 3 and 3.4 follow the highest version that
	// they stand for, such as 3.4.1.
	VersionTags bool
}

const (
	maxPatterns = 50
	maxPattern  = maxTag
)

// RuleError says which rule cannot be one.
type RuleError struct{ Field, Reason string }

func (e *RuleError) Error() string { return e.Field + " " + e.Reason }

// Check returns a *RuleError where these cannot be rules.
func (r Rules) Check() error {
	if r.Quota < 0 {
		return &RuleError{"quota_bytes", "is below 0"}
	}
	if len(r.ImmutableTags) > maxPatterns {
		return &RuleError{"immutable_tags", fmt.Sprintf("has more than %d patterns", maxPatterns)}
	}
	for _, pattern := range r.ImmutableTags {
		const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-*?[]^"
		_, err := path.Match(pattern, "")
		switch {
		case pattern == "" || len(pattern) > maxPattern:
			return &RuleError{"immutable_tags", fmt.Sprintf("has a pattern that is empty or longer than %d bytes", maxPattern)}
		case strings.Trim(pattern, letters) != "" || err != nil:
			return &RuleError{"immutable_tags", fmt.Sprintf("has %q, which is no pattern of tags: want letters, digits, . _ - and the wildcards * and ?", pattern)}
		}
	}
	return nil
}

// Immutable reports whether a tag stays where it is.
func (r Rules) Immutable(tag string) bool {
	return slices.ContainsFunc(r.ImmutableTags, func(pattern string) bool { return MatchName(pattern, tag) })
}

// MatchName reports whether a name, or a tag, is of a pattern (path.Match), in which
// slashes are characters like others: * stands for any text.
func MatchName(pattern, name string) bool {
	ok, err := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), strings.ReplaceAll(name, "/", "\x00"))
	return ok && err == nil
}

// QuotaError says that a registry would hold more than it may.
type QuotaError struct {
	Registry           string
	Quota, Used, Asked int64 // bytes
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("the registry %s may hold %d bytes and holds %d; %d more do not fit: delete images, or ask an administrator for a larger quota",
		e.Registry, e.Quota, e.Used, e.Asked)
}

// ImmutableError says that a tag stays where it is.
type ImmutableError struct{ Tag, Digest string }

func (e *ImmutableError) Error() string {
	return fmt.Sprintf("the tag %s is immutable in this registry and names %s", e.Tag, e.Digest)
}

// FollowsError says that a tag is not set by people, for it follows a version.
type FollowsError struct{ Tag, Version string }

func (e *FollowsError) Error() string {
	return fmt.Sprintf("the tag %s follows versions in this registry, now %s: push a version such as %s, and it moves by itself", e.Tag, e.Version, e.Version)
}

// versionTag is a tag that names a release: 3.4.1 or v3.4.1 (semver.org 2.0.0,
// without pre-release and build).
type versionTag struct {
	tag, prefix         string
	major, minor, patch string
}

func parseVersionTag(tag string) (v versionTag, ok bool) {
	v.tag = tag
	rest, found := strings.CutPrefix(tag, "v")
	if found {
		v.prefix = "v"
	}
	parts := strings.Split(rest, ".")
	if len(parts) != 3 || slices.ContainsFunc(parts, func(p string) bool { return !isNumber(p) }) {
		return v, false
	}
	v.major, v.minor, v.patch = parts[0], parts[1], parts[2]
	return v, true
}

// isNumber reports whether s is a number without leading zeros, of any length.
func isNumber(s string) bool {
	return s != "" && (s == "0" || s[0] != '0') && strings.Trim(s, "0123456789") == ""
}

func compareNumbers(a, b string) int {
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// compare orders versions; of two spellings the one with a v comes first.
func (v versionTag) compare(o versionTag) int {
	return cmp.Or(compareNumbers(v.major, o.major), compareNumbers(v.minor, o.minor), compareNumbers(v.patch, o.patch), -strings.Compare(v.prefix, o.prefix))
}

// Following returns the tags that follow versions, each with the version that it
// follows: of 3.4.1 and 3.5.0 these are 3.4 (3.4.1), 3.5, 3 and latest (3.5.0).
// Versions that are spelled with a v have floating tags with a v; latest is one.
func Following(tags []string) map[string]string {
	highest := make(map[string]versionTag)
	for _, tag := range tags {
		v, ok := parseVersionTag(tag)
		if !ok {
			continue
		}
		for _, floating := range []string{"latest", v.prefix + v.major, v.prefix + v.major + "." + v.minor} {
			if old, seen := highest[floating]; !seen || v.compare(old) > 0 {
				highest[floating] = v
			}
		}
	}
	follows := make(map[string]string, len(highest))
	for floating, v := range highest {
		follows[floating] = v.tag
	}
	return follows
}
