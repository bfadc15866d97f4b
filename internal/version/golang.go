package version

import "strings"

// parseGolang follows golang.org/x/mod/semver. The v may be missing, as it is in
// the Go vulnerability database; so may minor and patch. Pseudo-versions and
// +incompatible are nothing special.
//
// Go's own releases are written another way, in programs and in tags. They are
// read as that database writes them: 1.22rc1 is 1.22.0-rc.1.
func parseGolang(text string) (v semver, reason string) {
	s, goTag := strings.CutPrefix(text, "go")
	hasV := false
	if !goTag {
		s, hasV = strings.CutPrefix(s, "v")
	}
	core := strings.TrimLeft(s, "0123456789.")
	switch word, number := letters(core); {
	case goTag && core == "":
	case !hasV && (word == "rc" || word == "beta") && isNumber(number):
		if len(number) > 1 && number[0] == '0' {
			reason = "a number has a leading zero"
		}
		v.pre, v.preNumber = word, number
		s = s[:len(s)-len(core)]
	case goTag:
		reason = "want goMAJOR.MINOR[.PATCH][rc|beta NUMBER]"
	}
	rest, why := parseSemver(s, semverRules{})
	v.core = rest.core
	if v.pre == "" {
		v.pre, v.build = rest.pre, rest.build
	}
	if why == wantSemver && shortened(s) {
		why = ""
	}
	if reason == "" {
		reason = why
	}
	return v, reason
}

// shortened reports whether s is a major version, or major and minor.
func shortened(s string) bool {
	major, minor, two := strings.Cut(s, ".")
	return plainNumber(major) && (!two || plainNumber(minor))
}

// plainNumber reports whether s is a number without a leading zero.
func plainNumber(s string) bool { return isNumber(s) && (len(s) == 1 || s[0] != '0') }
