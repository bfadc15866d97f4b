package version

import (
	"math"
	"strings"
	"unicode"
)

// nugetVersion is a version of NuGet.
type nugetVersion struct {
	core [4]string // digits, "" for 0
	pre  string    // labels between dots, "" for a release
}

// compareNuGet follows NuGet.Versioning's VersionComparer.Default: four numbers,
// then the labels of the pre-release; build metadata do not count.
func compareNuGet(a, b string) (int, error) {
	va, errA := parseNuGet(a)
	vb, errB := parseNuGet(b)
	c := 0
	for i := range va.core {
		if c == 0 {
			c = compareDigits(va.core[i], vb.core[i])
		}
	}
	if c == 0 {
		c = compareNuGetLabels(va.pre, vb.pre)
	}
	if errA != nil {
		return c, errA
	}
	return c, errB
}

func compareNuGetLabels(a, b string) int {
	if a == "" || b == "" {
		return sign(len(b) - len(a))
	}
	for moreA, moreB := true, true; moreA || moreB; {
		if moreA != moreB {
			return before(moreB)
		}
		var la, lb string
		la, a, moreA = strings.Cut(a, ".")
		lb, b, moreB = strings.Cut(b, ".")
		na, okA := nugetNumber(la)
		nb, okB := nugetNumber(lb)
		switch {
		case okA && okB && na != nb:
			return before(na < nb)
		case okA != okB:
			return before(okA)
		case !okA:
			if c := compareFold(la, lb); c != 0 {
				return c
			}
		}
	}
	return 0
}

// nugetNumber is int.TryParse of a label: 32 bits, a minus allowed. A time such
// as 20240131120000 has too many digits and is a text.
func nugetNumber(label string) (n int64, ok bool) {
	run, negative := strings.CutPrefix(label, "-")
	u, ok := parseUint(run, 10)
	switch {
	case !ok || u > math.MaxInt32+1 || u > math.MaxInt32 && !negative:
		return 0, false
	case negative:
		return -int64(u), true
	}
	return int64(u), true
}

// parseNuGet follows NuGetVersion.TryParse: one to four numbers, with white space
// around them for those who want it.
func parseNuGet(text string) (v nugetVersion, err error) {
	fail := func(reason string) {
		if err == nil {
			err = invalid(NuGet, text, reason)
		}
	}
	s, build, hasBuild := strings.Cut(strings.TrimSpace(text), "+")
	s, pre, hasPre := strings.Cut(s, "-")
	v.pre = pre
	for i := range v.core {
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		v.core[i], s = digits(s)
		s = strings.TrimLeftFunc(s, unicode.IsSpace)
		if v.core[i] == "" {
			fail("want N[.N[.N[.N]]][-PRERELEASE][+BUILD]")
			break
		}
		if compareDigits(v.core[i], "2147483647") > 0 {
			fail("a number is too high")
		}
		if !strings.HasPrefix(s, ".") || i == len(v.core)-1 {
			break
		}
		s = s[1:]
	}
	if s != "" {
		fail("want N[.N[.N[.N]]][-PRERELEASE][+BUILD]")
	}
	if hasPre && !validIdentifiers(pre, false) {
		fail("its pre-release is not made of labels")
	}
	if hasBuild && !validIdentifiers(build, true) {
		fail("its build metadata are not made of labels")
	}
	return v, err
}

func keyNuGet(key []byte, text string) ([]byte, error) {
	v, err := parseNuGet(text)
	if err != nil {
		return nil, err
	}
	for _, number := range v.core {
		key = appendNumber(key, number)
	}
	if v.pre == "" {
		return append(key, idKeyRelease), nil
	}
	for more := true; more; {
		var label string
		label, v.pre, more = strings.Cut(v.pre, ".")
		if n, ok := nugetNumber(label); ok {
			key = appendSigned(key, n)
		} else {
			key = appendFold(append(key, idKeyText), label)
		}
	}
	return append(key, idKeyEnd), nil
}
