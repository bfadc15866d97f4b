package version

// cargoMaxNumber is the highest major, minor or patch: 64 bits.
const cargoMaxNumber = "18446744073709551615"

// parseCargo follows the crate semver. Versions are ordered by precedence, as
// semver.org says: build metadata do not count.
func parseCargo(text string) (semver, string) {
	v, reason := parseSemver(text, semverRules{})
	for _, number := range v.core {
		if reason == "" && compareDigits(number, cargoMaxNumber) > 0 {
			reason = "a number is too high"
		}
	}
	return v, leadingV(text, &v, reason)
}

// leadingV reads a version that is refused for its leading v once more without
// it, to sort it where it belongs.
func leadingV(text string, v *semver, reason string) string {
	if reason != "" && len(text) > 1 && text[0] == 'v' {
		*v, _ = parseSemver(text[1:], semverRules{})
	}
	return reason
}
