// Package version orders version strings as the ecosystems that made them do.
//
// It is pure: it knows neither packages nor advisories.
package version

import (
	"errors"
	"fmt"
	"strings"
)

// Scheme is an ecosystem's ordering.
type Scheme string

// The schemes, with the program whose order each of them is.
const (
	// Deb is dpkg's ordering (deb-version(7)).
	Deb Scheme = "deb"
	// APK is that of apk-tools 3 (apk-package(5), "pkgver").
	APK Scheme = "apk"
	// RPM is that of rpm (rpm-version(7)), of [epoch:]version[-release]. A
	// version without a release comes before every release of it. Dependencies
	// of packages have a second rule, for which that release is equal to all of
	// them: whoever reads a bound "<= 1.2" that way compares it with what comes
	// before the last dash.
	RPM Scheme = "rpm"
	// NPM is that of node-semver, which also takes what its option "loose" takes.
	NPM Scheme = "npm"
	// Golang is that of golang.org/x/mod/semver, with or without the leading v,
	// and of Go's own releases (1.22.1, 1.22rc1, go1.22.1).
	Golang Scheme = "golang"
	// Cargo is that of semver.org, as the crate semver reads it.
	Cargo Scheme = "cargo"
	// PyPI is that of PEP 440, as the Python package packaging has it.
	PyPI Scheme = "pypi"
	// Maven is that of Maven 3.8.7 and later, 3.9 included (ComparableVersion).
	Maven Scheme = "maven"
	// Gem is that of RubyGems (Gem::Version).
	Gem Scheme = "gem"
	// NuGet is that of NuGet.Versioning (NuGetVersion).
	NuGet Scheme = "nuget"
	// Composer is that of composer/semver 3: normalised, then PHP's version_compare.
	Composer Scheme = "composer"
	// Hex is that of Elixir's Version.
	Hex Scheme = "hex"
	// Pub is that of Dart's pub_semver, to which build metadata count.
	Pub Scheme = "pub"
)

// ErrInvalid is returned for a version that its scheme cannot order: what
// depends on the comparison is undetermined.
var ErrInvalid = errors.New("invalid version")

// Compare returns -1, 0 or 1 where a is before, equal to or after b. The error
// wraps ErrInvalid and names the version; the result is then the order that the
// scheme's own tool would give, or one near to it, good for sorting only.
func Compare(scheme Scheme, a, b string) (int, error) {
	switch scheme {
	case Deb:
		return compareDeb(a, b)
	case APK:
		return compareAPK(a, b)
	case RPM:
		return compareRPM(a, b)
	case NPM, Golang, Cargo, Hex:
		return compareSemver(scheme, a, b)
	case PyPI:
		return comparePyPI(a, b)
	case Maven:
		return compareMaven(a, b)
	case Gem:
		return compareGem(a, b)
	case NuGet:
		return compareNuGet(a, b)
	case Composer:
		return compareComposer(a, b)
	case Pub:
		return comparePub(a, b)
	}
	return 0, fmt.Errorf("%w: unknown scheme %q", ErrInvalid, scheme)
}

func invalid(scheme Scheme, version, reason string) error {
	return refuse(ErrInvalid, scheme, version, reason)
}

func refuse(sentinel error, scheme Scheme, version, reason string) error {
	const shown = 80
	if len(version) > shown {
		version = version[:shown] + "…"
	}
	return fmt.Errorf("%w: %s version %q: %s", sentinel, scheme, version, reason)
}

// compareDigits orders two runs of digits as the numbers that they write,
// however long.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return sign(len(a) - len(b))
	}
	return strings.Compare(a, b)
}

// compareFold is strings.Compare without regard to the case of ASCII letters.
func compareFold(a, b string) int {
	for i := range min(len(a), len(b)) {
		if c := sign(int(lower(a[i])) - int(lower(b[i]))); c != 0 {
			return c
		}
	}
	return sign(len(a) - len(b))
}

// hasPrefixFold reports whether s begins with the prefix, which is in lower case.
func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && compareFold(s[:len(prefix)], prefix) == 0
}

// digits splits s after its leading digits.
func digits(s string) (run, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// letters splits s after its leading letters.
func letters(s string) (run, rest string) {
	i := 0
	for i < len(s) && isLetter(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

// isNumber reports whether s is digits and nothing else.
func isNumber(s string) bool {
	run, rest := digits(s)
	return run != "" && rest == ""
}

// isZero reports whether a run of digits writes 0.
func isZero(run string) bool { return strings.TrimLeft(run, "0") == "" }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// before is the order of two things of which one is known to come first: whether a does.
func before(a bool) int {
	if a {
		return -1
	}
	return 1
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
