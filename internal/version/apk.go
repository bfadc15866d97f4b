package version

import "strings"

// apkKind is what a part of an apk version is. The order is that in which the
// parts may stand; of two versions that are equal up to here, the one whose
// next part has the lower kind is the later, but for suffixes of pre-releases.
type apkKind int

const (
	apkFirst    apkKind = iota // 1
	apkNumber                  // .2
	apkLetter                  // a
	apkSuffix                  // _rc
	apkSuffixNo                // 3
	apkHash                    // ~0f3e
	apkRevision                // -r4
	apkEnd
	apkInvalid
)

// apkNoSuffix parts the suffixes that come before the plain version from those
// that come after it.
const apkNoSuffix = 4

func apkSuffixRank(name string) (rank int, known bool) {
	switch name {
	case "alpha":
		return 0, true
	case "beta":
		return 1, true
	case "pre":
		return 2, true
	case "rc":
		return 3, true
	case "cvs":
		return 5, true
	case "svn":
		return 6, true
	case "git":
		return 7, true
	case "hg":
		return 8, true
	case "p":
		return 9, true
	}
	return 0, false
}

// apkScanner reads digit{.digit}{letter{digit}}{_suffix{digit}}{~hash}{-rdigit}.
type apkScanner struct {
	rest  string
	kind  apkKind
	value string
	rank  int // of a suffix
	// badRevision is set where the version is invalid because of what follows a dash.
	badRevision bool
}

func scanAPK(version string) apkScanner {
	s := apkScanner{rest: version, kind: apkFirst}
	s.number()
	return s
}

func (s *apkScanner) next() {
	if s.rest == "" {
		s.kind = apkEnd
		return
	}
	before, c := s.kind, s.rest[0]
	s.kind = apkInvalid
	switch {
	case 'a' <= c && c <= 'z' && before <= apkNumber:
		s.kind, s.value, s.rest = apkLetter, s.rest[:1], s.rest[1:]
	case c == '.' && before <= apkNumber:
		s.rest = s.rest[1:]
		s.kind = apkNumber
		s.number()
	case isDigit(c) && before == apkLetter:
		// apk-tools 3 refuses "6.0p1"; apk-tools 2 took it, and Alpine has many.
		s.kind = apkNumber
		s.number()
	case isDigit(c) && before == apkSuffix:
		s.kind = apkSuffixNo
		s.number()
	case c == '_' && before <= apkSuffixNo:
		i := 1
		for i < len(s.rest) && 'a' <= s.rest[i] && s.rest[i] <= 'z' {
			i++
		}
		rank, known := apkSuffixRank(s.rest[1:i])
		if known {
			s.kind, s.rank, s.value, s.rest = apkSuffix, rank, s.rest[1:i], s.rest[i:]
		}
	case c == '~' && before < apkHash:
		i := 1
		for i < len(s.rest) && (isDigit(s.rest[i]) || 'a' <= s.rest[i] && s.rest[i] <= 'f') {
			i++
		}
		if i > 1 {
			s.kind, s.value, s.rest = apkHash, s.rest[1:i], s.rest[i:]
		}
	case before < apkRevision && strings.HasPrefix(s.rest, "-r"):
		s.rest = s.rest[2:]
		s.kind = apkRevision
		s.number()
		if s.kind == apkInvalid && (s.rest == "" || s.rest[0] == '-') {
			// apk-tools 2 read a bare "-r" as "-r0", and packages were built with it.
			s.kind, s.value = apkRevision, ""
		}
	}
	s.badRevision = s.kind == apkInvalid && c == '-'
}

// number reads the digits of the present part.
func (s *apkScanner) number() {
	s.value, s.rest = digits(s.rest)
	if s.value == "" {
		s.kind = apkInvalid
	}
}

// prerelease reports a suffix that makes the version earlier.
func (s *apkScanner) prerelease() bool { return s.kind == apkSuffix && s.rank < apkNoSuffix }

func compareAPK(a, b string) (int, error) {
	sa, sb := scanAPK(a), scanAPK(b)
	order := 0
	for sa.kind == sb.kind && sa.kind < apkEnd && order == 0 {
		order = compareAPKPart(&sa, &sb)
		sa.next()
		sb.next()
	}
	if order == 0 {
		switch {
		case sa.kind == apkInvalid && sb.kind == apkInvalid:
			if !sa.badRevision || !sb.badRevision {
				order = strings.Compare(sa.rest, sb.rest)
			}
		case sa.prerelease():
			order = -1
		case sb.prerelease():
			order = 1
		default:
			order = sign(int(sb.kind) - int(sa.kind))
		}
	}
	if err := sa.finish(a); err != nil {
		return order, err
	}
	return order, sb.finish(b)
}

// finish reads the rest, so that a version is judged whole wherever it differs.
func (s *apkScanner) finish(version string) error {
	for s.kind < apkEnd {
		s.next()
	}
	if s.kind == apkInvalid {
		return invalid(APK, version, "want digit{.digit}{letter{digit}}{_suffix{digit}}{~hash}{-rdigit}")
	}
	return nil
}

func compareAPKPart(a, b *apkScanner) int {
	switch a.kind {
	case apkNumber:
		// A leading zero makes the numbers fractions: 1.05 is before 1.5.
		if a.value[0] == '0' || b.value[0] == '0' {
			return strings.Compare(a.value, b.value)
		}
		return compareDigits(a.value, b.value)
	case apkSuffix:
		return sign(a.rank - b.rank)
	case apkLetter, apkHash:
		return strings.Compare(a.value, b.value)
	}
	return compareDigits(a.value, b.value)
}

// The tags of an apk version's parts, in the order of what may stand at one
// place: suffixes of pre-releases, the end, and the later, the earlier the kind.
const (
	apkKeySuffix    = 1 // plus the rank, up to that of rc
	apkKeyEnd       = 5
	apkKeyRevision  = 6
	apkKeyHash      = 7
	apkKeySuffixNo  = 8
	apkKeyLateFirst = 9 // plus the rank above apkNoSuffix
	apkKeyLetter    = 14
	apkKeyFraction  = 15 // a number with a leading zero
	apkKeyNumber    = 16
)

func keyAPK(key []byte, text string) ([]byte, error) {
	s := scanAPK(text)
	if s.kind == apkFirst {
		key = appendNumber(key, s.value)
		s.next()
	}
	for s.kind < apkEnd {
		switch {
		case s.kind == apkNumber && s.value[0] == '0':
			key = appendText(append(key, apkKeyFraction), s.value)
		case s.kind == apkNumber:
			key = appendNumber(append(key, apkKeyNumber), s.value)
		case s.kind == apkLetter:
			key = append(key, apkKeyLetter, s.value[0])
		case s.prerelease():
			key = append(key, byte(apkKeySuffix+s.rank))
		case s.kind == apkSuffix:
			key = append(key, byte(apkKeyLateFirst+s.rank-apkNoSuffix-1))
		case s.kind == apkSuffixNo:
			key = appendNumber(append(key, apkKeySuffixNo), s.value)
		case s.kind == apkHash:
			key = appendText(append(key, apkKeyHash), s.value)
		case s.kind == apkRevision:
			key = appendNumber(append(key, apkKeyRevision), s.value)
		}
		s.next()
	}
	if err := s.finish(text); err != nil {
		return nil, err
	}
	return append(key, apkKeyEnd), nil
}
