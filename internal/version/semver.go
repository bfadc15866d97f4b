package version

import "strings"

// semver is a version of semver.org, cut up. The schemes that are made on it
// differ in what they let pass: npm.go, golang.go, cargo.go, hex.go and pub.go.
type semver struct {
	// core is major, minor and patch, in digits.
	core [3]string
	// pre has the identifiers of a pre-release between dots, "" for a release.
	pre string
	// preNumber is one more identifier, of Go's own pre-releases ("rc" and "1").
	preNumber string
	// build has the identifiers of build metadata.
	build string
}

// semverRules are what a scheme lets pass beyond the grammar.
type semverRules struct {
	// zeros are leading zeros of numbers.
	zeros bool
	// noDash is a pre-release straight after the patch.
	noDash bool
}

const wantSemver = "want MAJOR.MINOR.PATCH[-PRERELEASE][+BUILD]"

// parseSemver cuts a version up. Where it breaks a rule, the reason says which,
// and what could be read is there, to be sorted by.
func parseSemver(s string, rules semverRules) (v semver, reason string) {
	s, build, hasBuild := strings.Cut(s, "+")
	for i := range v.core {
		if i > 0 {
			if !strings.HasPrefix(s, ".") {
				reason = wantSemver
				break
			}
			s = s[1:]
		}
		v.core[i], s = digits(s)
		switch {
		case v.core[i] == "":
			reason = wantSemver
		case !rules.zeros && len(v.core[i]) > 1 && v.core[i][0] == '0':
			reason = "a number has a leading zero"
		}
	}
	switch {
	case s == "":
	case s[0] == '-' && (!rules.noDash || validIdentifiers(s[1:], rules.zeros)):
		v.pre = s[1:]
	case s[0] == '-' || rules.noDash && validIdentifiers(s, rules.zeros):
		v.pre = s // of npm's "1.0.0-" the dash is the identifier
	default:
		reason = wantSemver
		_, v.pre, _ = strings.Cut(s, "-")
	}
	v.build = build
	switch {
	case reason != "":
	case s != "" && !validIdentifiers(v.pre, rules.zeros):
		reason = "its pre-release is not made of identifiers"
	case hasBuild && !validIdentifiers(build, true):
		reason = "its build metadata are not made of identifiers"
	}
	return v, reason
}

// validIdentifiers reports whether s is identifiers with dots between them.
func validIdentifiers(s string, zeros bool) bool {
	for more := true; more; {
		var id string
		id, s, more = strings.Cut(s, ".")
		if id == "" || !zeros && len(id) > 1 && id[0] == '0' && isNumber(id) {
			return false
		}
		for i := range len(id) {
			if c := id[i]; !isDigit(c) && !isLetter(c) && c != '-' {
				return false
			}
		}
	}
	return true
}

// parseSemverOf reads a version as its scheme does. The error wraps ErrInvalid.
func parseSemverOf(scheme Scheme, text string) (v semver, err error) {
	var reason string
	switch scheme {
	case NPM:
		v, reason = parseNPM(text)
	case Golang:
		v, reason = parseGolang(text)
	case Cargo:
		v, reason = parseCargo(text)
	case Hex:
		v, reason = parseHex(text)
	}
	if reason != "" {
		return v, invalid(scheme, text, reason)
	}
	return v, nil
}

func compareSemver(scheme Scheme, a, b string) (int, error) {
	va, errA := parseSemverOf(scheme, a)
	vb, errB := parseSemverOf(scheme, b)
	c := compareCores(&va, &vb)
	if c == 0 {
		c = comparePrereleases(&va, &vb)
	}
	if errA != nil {
		return c, errA
	}
	return c, errB
}

func compareCores(a, b *semver) int {
	for i := range a.core {
		if c := compareDigits(a.core[i], b.core[i]); c != 0 {
			return c
		}
	}
	return 0
}

// comparePrereleases follows semver.org, point 11: a release is later, then the
// first identifiers that differ decide, then the number of identifiers.
func comparePrereleases(a, b *semver) int {
	if a.pre == "" || b.pre == "" {
		return sign(len(b.pre) - len(a.pre))
	}
	ra, rb := a.identifiers(), b.identifiers()
	for ra.next() {
		if !rb.next() {
			return 1
		}
		if c := compareIdentifiers(ra.id, rb.id); c != 0 {
			return c
		}
	}
	if rb.next() {
		return -1
	}
	return 0
}

func compareIdentifiers(a, b string) int {
	switch na, nb := isNumber(a), isNumber(b); {
	case na && nb:
		return compareDigits(a, b)
	case na:
		return -1
	case nb:
		return 1
	}
	return strings.Compare(a, b)
}

// identifiers walks over those of a pre-release or of build metadata.
type identifiers struct {
	id         string
	rest, last string
	more       bool
}

func (v *semver) identifiers() identifiers {
	return identifiers{rest: v.pre, last: v.preNumber, more: v.pre != ""}
}

func (r *identifiers) next() bool {
	switch {
	case r.more:
		r.id, r.rest, r.more = strings.Cut(r.rest, ".")
	case r.last != "":
		r.id, r.last = r.last, ""
	default:
		return false
	}
	return true
}

// The tags of what may stand at one place of a pre-release.
const (
	idKeyEnd      = 0
	idKeyNegative = 1 // Pub and NuGet read "-1" as a number
	idKeyNumber   = 2
	idKeyText     = 3
	idKeyRelease  = 4
)

func keySemver(key []byte, scheme Scheme, text string) ([]byte, error) {
	v, err := parseSemverOf(scheme, text)
	if err != nil {
		return nil, err
	}
	for _, number := range v.core {
		key = appendNumber(key, number)
	}
	if v.pre == "" {
		return append(key, idKeyRelease), nil
	}
	for r := v.identifiers(); r.next(); {
		if isNumber(r.id) {
			key = appendNumber(append(key, idKeyNumber), r.id)
		} else {
			key = appendText(append(key, idKeyText), r.id)
		}
	}
	return append(key, idKeyEnd), nil
}
