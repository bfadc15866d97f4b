package version

import "strings"

// The bounds of node-semver: no longer versions, no higher number than a number
// of JavaScript holds exactly.
const (
	npmMaxLength = 256
	npmMaxNumber = "9007199254740991"
)

// parseNPM follows node-semver with its option "loose", as npm reads the
// versions of what is installed. Strict versions mean the same with it.
//
// Numbers in pre-releases may be higher than JavaScript can tell apart: node
// takes 1.0.0-9007199254740993 and 1.0.0-9007199254740992 for equal. They are
// kept apart here, as semver.org says.
func parseNPM(text string) (semver, string) {
	s := strings.TrimLeft(strings.TrimSpace(text), "v= \t\n\r\f\v")
	v, reason := parseSemver(s, semverRules{zeros: true, noDash: true})
	if len(text) > npmMaxLength && reason == "" {
		reason = "it is too long"
	}
	for _, number := range v.core {
		if reason == "" && compareDigits(number, npmMaxNumber) > 0 {
			reason = "a number is too high"
		}
	}
	return v, reason
}
