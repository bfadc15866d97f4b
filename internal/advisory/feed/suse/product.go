package suse

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/advisory/feed/oval"
)

var number = regexp.MustCompile(`^[0-9]{1,3}(\.[0-9]{1,2})?$`)

// product is the distribution that is asked for when the package NAME-release
// is looked for, as os-release names it. known is false for products that are no
// distribution: they lie on top of one and have numbers of their own (SUSE
// Manager, Enterprise Storage).
//
// A service pack has the same packages whether it is sold for servers, desktops
// or machines that run SAP, and whatever modules a package comes from: all of
// that is "sles". extended is set where only some paid extension is asked for. Of
// some that is seen from the comment alone: "SUSE Linux Enterprise Server 12
// SP4-LTSS is installed" looks for the same package as that without "-LTSS".
func product(name string, s oval.State, comment string) (ecosystem string, extended, known bool) {
	name = strings.ToLower(name)
	if !s.EVR.IsZero() { // Tumbleweed's number is a date
		return tumbleweed, false, name == "opensuse-release"
	}
	v := s.Version.Value
	if s.Version.Operation != "equals" || !number.MatchString(v) {
		return "", false, false
	}
	switch name {
	case "opensuse-release", "leap-release":
		return openSUSE(v), false, true
	case "leap-micro-release":
		return "opensuse-leap-micro:" + v, false, true
	case "sle-micro-release", "suse-microos-release":
		return "sle-micro:" + v, false, true
	case "sl-micro-release":
		return "sl-micro:" + v, false, true
	}
	if !strings.HasPrefix(name, "sle") {
		return "", false, false
	}
	switch {
	case name == "sles-release", name == "sled-release", strings.HasPrefix(name, "sle-module-"):
		extended = slices.ContainsFunc(extensions, func(name string) bool { return strings.Contains(comment, name) })
	default:
		extended = true
	}
	return "sles:" + v, extended, true
}

var extensions = []string{"LTSS", "ESPOS", "BCL", "TERADATA", "SAP"}

// openSUSE has one package for all that it ever released: numbers below 15 were
// no Leap, or one that called itself openSUSE (42), and Leap Micro began with 5.
func openSUSE(version string) string {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	switch {
	case err == nil && (n == 5 || n == 6):
		return "opensuse-leap-micro:" + version
	case err == nil && n >= 15 && n < 42:
		return "opensuse-leap:" + version
	}
	return "opensuse:" + version
}
