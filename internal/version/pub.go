package version

import (
	"math"
	"strings"
)

// parsePub follows pub_semver: numbers may have leading zeros and are of 64
// bits, and so are those identifiers that Dart can read as a number.
func parsePub(text string) (semver, error) {
	v, reason := parseSemver(text, semverRules{zeros: true})
	for _, number := range v.core {
		if reason == "" && compareDigits(number, "9223372036854775807") > 0 {
			reason = "a number is too high"
		}
	}
	for r := v.identifiers(); reason == "" && r.next(); {
		reason = checkPubHex(r.id)
	}
	for r := v.buildIdentifiers(); reason == "" && r.next(); {
		reason = checkPubHex(r.id)
	}
	if reason = leadingV(text, &v, reason); reason != "" {
		return v, invalid(Pub, text, reason)
	}
	return v, nil
}

func (v *semver) buildIdentifiers() identifiers {
	return identifiers{rest: v.build, more: v.build != ""}
}

// comparePub has build metadata after their release, and ordered as pre-releases are.
func comparePub(a, b string) (int, error) {
	va, errA := parsePub(a)
	vb, errB := parsePub(b)
	c := compareCores(&va, &vb)
	if c == 0 && (va.pre == "" || vb.pre == "") {
		c = sign(len(vb.pre) - len(va.pre))
	}
	if c == 0 {
		c = comparePubLists(va.identifiers(), vb.identifiers())
	}
	if c == 0 {
		c = comparePubLists(va.buildIdentifiers(), vb.buildIdentifiers())
	}
	if errA != nil {
		return c, errA
	}
	return c, errB
}

func comparePubLists(ra, rb identifiers) int {
	for ra.next() {
		if !rb.next() {
			return 1
		}
		if c := comparePubIdentifiers(ra.id, rb.id); c != 0 {
			return c
		}
	}
	if rb.next() {
		return -1
	}
	return 0
}

func comparePubIdentifiers(a, b string) int {
	na, okA := pubNumber(a)
	nb, okB := pubNumber(b)
	switch {
	case !okA && !okB:
		return strings.Compare(a, b)
	case !okA:
		return 1
	case !okB || na < nb:
		return -1
	case na > nb:
		return 1
	}
	return 0
}

// pubNumber is Dart's int.tryParse of an identifier: digits, or 0x and hex
// digits, after an optional minus.
func pubNumber(id string) (n int64, ok bool) {
	digits, negative := id, false
	if digits != "" && digits[0] == '-' {
		digits, negative = digits[1:], true
	}
	base := uint64(10)
	if len(digits) > 2 && digits[0] == '0' && lower(digits[1]) == 'x' {
		base, digits = 16, digits[2:]
	}
	u, ok := parseUint(digits, base)
	switch {
	case !ok:
		return 0, false
	case negative && u <= math.MaxInt64+1:
		return -int64(u), true
	case negative || u > math.MaxInt64:
		return 0, false
	}
	return int64(u), true
}

// checkPubHex refuses hexadecimal numbers of 64 bits and more: Dart reads the
// former as negative, and on the web as another number.
func checkPubHex(id string) string {
	if len(id) > 0 && id[0] == '-' {
		id = id[1:]
	}
	if len(id) < 3 || id[0] != '0' || lower(id[1]) != 'x' {
		return ""
	}
	for i := 2; i < len(id); i++ {
		if _, ok := hexDigit(id[i]); !ok {
			return ""
		}
	}
	if u, ok := parseUint(id[2:], 16); !ok || u > math.MaxInt64 {
		return "an identifier is a hexadecimal number that is too high"
	}
	return ""
}

// parseUint is strconv.ParseUint without an error to allocate.
func parseUint(s string, base uint64) (n uint64, ok bool) {
	for i := range len(s) {
		digit, ok := hexDigit(s[i])
		if !ok || digit >= base || n > (math.MaxUint64-digit)/base {
			return 0, false
		}
		n = n*base + digit
	}
	return n, s != ""
}

func hexDigit(c byte) (digit uint64, ok bool) {
	switch c = lower(c); {
	case isDigit(c):
		return uint64(c - '0'), true
	case 'a' <= c && c <= 'f':
		return uint64(c-'a') + 10, true
	}
	return 0, false
}

func keyPub(key []byte, text string) ([]byte, error) {
	v, err := parsePub(text)
	if err != nil {
		return nil, err
	}
	for _, number := range v.core {
		key = appendNumber(key, number)
	}
	if v.pre == "" {
		key = append(key, idKeyRelease)
	} else {
		key = appendPubList(key, v.identifiers())
	}
	return appendPubList(key, v.buildIdentifiers()), nil
}

func appendPubList(key []byte, r identifiers) []byte {
	for r.next() {
		if n, ok := pubNumber(r.id); ok {
			key = appendSigned(key, n)
		} else {
			key = appendText(append(key, idKeyText), r.id)
		}
	}
	return append(key, idKeyEnd)
}

// appendSigned appends an identifier that is a number, with its tag.
func appendSigned(key []byte, n int64) []byte {
	if n < 0 {
		return appendDescending(append(key, idKeyNegative), -uint64(n))
	}
	return appendCount(append(key, idKeyNumber), uint64(n))
}
