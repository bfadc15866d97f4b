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

// The schemes.
const (
	// Deb is dpkg's ordering (deb-version(7)).
	Deb Scheme = "deb"
	// APK is that of apk-tools 3 (apk-package(5), "pkgver").
	APK Scheme = "apk"
)

// ErrInvalid is returned for a version that its scheme cannot order: what
// depends on the comparison is undetermined.
var ErrInvalid = errors.New("invalid version")

// Compare returns -1, 0 or 1 where a is before, equal to or after b. The error
// wraps ErrInvalid and names the version; the result is then the order that the
// scheme's own tool would give, good for sorting only.
func Compare(scheme Scheme, a, b string) (int, error) {
	switch scheme {
	case Deb:
		return compareDeb(a, b)
	case APK:
		return compareAPK(a, b)
	}
	return 0, fmt.Errorf("%w: unknown scheme %q", ErrInvalid, scheme)
}

func invalid(scheme Scheme, version, reason string) error {
	const shown = 80
	if len(version) > shown {
		version = version[:shown] + "…"
	}
	return fmt.Errorf("%w: %s version %q: %s", ErrInvalid, scheme, version, reason)
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

// digits splits s after its leading digits.
func digits(s string) (run, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return s[:i], s[i:]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}
