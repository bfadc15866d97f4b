package version

import "strings"

// rpmKind is what a part of an rpm version is, in the order of what is earlier
// at one place of two versions.
type rpmKind int

const (
	rpmTilde  rpmKind = iota // ~, before the end
	rpmEnd                   // nothing left
	rpmCaret                 // ^, after the end and before all else
	rpmWord                  // letters
	rpmNumber                // digits
)

// compareRPM follows rpm's own order of versions (rpmverCmp, rpmvercmp).
func compareRPM(a, b string) (int, error) {
	va, errA := parseRPM(a)
	vb, errB := parseRPM(b)
	c := compareDigits(va.epoch, vb.epoch)
	if c == 0 {
		c = compareRPMPart(va.version, vb.version)
	}
	if c == 0 && va.released != vb.released {
		c = before(vb.released)
	}
	if c == 0 {
		c = compareRPMPart(va.release, vb.release)
	}
	if errA != nil {
		return c, errA
	}
	return c, errB
}

type rpmVersion struct {
	epoch, version, release string
	released                bool // has a release, and be it an empty one
}

// parseRPM splits [epoch:]version[-release]. rpm itself orders any bytes, leaving
// out those that it has no meaning for; what it could not build a package of is
// refused, for it is no version ("%{version}", "see note").
func parseRPM(text string) (v rpmVersion, err error) {
	fail := func(reason string) {
		if err == nil {
			err = invalid(RPM, text, reason)
		}
	}
	v.version = text
	if run, rest := digits(text); strings.HasPrefix(rest, ":") {
		v.epoch, v.version = run, rest[1:]
	}
	if i := strings.LastIndexByte(v.version, '-'); i >= 0 {
		v.version, v.release, v.released = v.version[:i], v.version[i+1:], true
		checkRPMPart(v.release, "release", fail)
	}
	checkRPMPart(v.version, "version", fail)
	return v, err
}

func checkRPMPart(s, name string, fail func(reason string)) {
	empty := true
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c) || isLetter(c):
			empty = false
		case strings.IndexByte("._+~^", c) < 0:
			fail("its " + name + " has a character that is not allowed")
			return
		}
	}
	if empty {
		fail("its " + name + " has neither digit nor letter")
	}
}

// compareRPMPart is rpmvercmp: the first parts that differ decide.
func compareRPMPart(a, b string) int {
	for {
		var va, vb string
		var ka, kb rpmKind
		ka, va, a = nextRPM(a)
		kb, vb, b = nextRPM(b)
		switch {
		case ka != kb:
			return sign(int(ka) - int(kb))
		case ka == rpmEnd:
			return 0
		case ka == rpmNumber:
			if c := compareDigits(va, vb); c != 0 {
				return c
			}
		case va != vb:
			return strings.Compare(va, vb)
		}
	}
}

func nextRPM(s string) (kind rpmKind, value, rest string) {
	for s != "" && !isDigit(s[0]) && !isLetter(s[0]) && s[0] != '~' && s[0] != '^' {
		s = s[1:]
	}
	switch {
	case s == "":
		return rpmEnd, "", ""
	case s[0] == '~':
		return rpmTilde, "", s[1:]
	case s[0] == '^':
		return rpmCaret, "", s[1:]
	case isDigit(s[0]):
		value, rest = digits(s)
		return rpmNumber, value, rest
	}
	value, rest = letters(s)
	return rpmWord, value, rest
}

func keyRPM(key []byte, text string) ([]byte, error) {
	v, err := parseRPM(text)
	if err != nil {
		return nil, err
	}
	key = appendNumber(key, v.epoch)
	key = appendRPMPart(key, v.version)
	if v.released {
		key = appendRPMPart(key, v.release)
	}
	// No release is the shorter key, and so the earlier version.
	return key, nil
}

func appendRPMPart(key []byte, s string) []byte {
	for {
		kind, value, rest := nextRPM(s)
		key = append(key, byte(kind))
		switch kind {
		case rpmEnd:
			return key
		case rpmWord:
			key = appendText(key, value)
		case rpmNumber:
			key = appendNumber(key, value)
		}
		s = rest
	}
}
