package version

import (
	"strings"
	"unicode"
)

// pypiVersion is a version of PEP 440. Numbers are digits, or "" for 0.
type pypiVersion struct {
	epoch   string
	release string // numbers between dots
	phase   pypiPhase
	pre     string
	post    string
	hasPost bool
	dev     string
	hasDev  bool
	local   string // "" where there is none
}

// pypiPhase is the place of a version among those of its release.
type pypiPhase int

const (
	pypiDev   pypiPhase = iota // 1.0.dev1, before all pre-releases
	pypiAlpha                  // 1.0a1
	pypiBeta                   // 1.0b1
	pypiRC                     // 1.0rc1
	pypiFinal                  // 1.0, 1.0.post1
)

// comparePyPI follows PEP 440, "Summary of permitted suffixes and relative
// ordering". What it does not permit comes before all that it does, as it did
// in the days when Python's tools took it.
func comparePyPI(a, b string) (int, error) {
	va, errA := parsePyPI(a)
	vb, errB := parsePyPI(b)
	switch {
	case errA != nil && errB != nil:
		return comparePyPILegacy(a, b), errA
	case errA != nil:
		return -1, errA
	case errB != nil:
		return 1, errB
	}
	return comparePyPIValid(&va, &vb), nil
}

func comparePyPIValid(a, b *pypiVersion) int {
	if c := compareDigits(a.epoch, b.epoch); c != 0 {
		return c
	}
	for ra, rb := a.release, b.release; ra != "" || rb != ""; {
		var na, nb string
		na, ra, _ = strings.Cut(ra, ".")
		nb, rb, _ = strings.Cut(rb, ".")
		if c := compareDigits(na, nb); c != 0 {
			return c
		}
	}
	if c := sign(int(a.phase) - int(b.phase)); c != 0 {
		return c
	}
	if c := compareDigits(a.pre, b.pre); c != 0 {
		return c
	}
	if a.hasPost != b.hasPost {
		return before(b.hasPost)
	}
	if c := compareDigits(a.post, b.post); c != 0 {
		return c
	}
	if a.hasDev != b.hasDev {
		return before(a.hasDev)
	}
	if c := compareDigits(a.dev, b.dev); c != 0 {
		return c
	}
	return comparePyPILocal(a.local, b.local)
}

// comparePyPILocal orders local versions: none first, numbers after words, the
// shorter of two with one beginning first.
func comparePyPILocal(a, b string) int {
	for a != "" && b != "" {
		var pa, pb string
		pa, a = cutPyPILocal(a)
		pb, b = cutPyPILocal(b)
		na, nb := isNumber(pa), isNumber(pb)
		c := 0
		switch {
		case na && nb:
			c = compareDigits(pa, pb)
		case na != nb:
			c = before(nb)
		default:
			c = compareFold(pa, pb)
		}
		if c != 0 {
			return c
		}
	}
	return sign(len(a) - len(b))
}

func cutPyPILocal(s string) (part, rest string) {
	if i := strings.IndexAny(s, ".-_"); i >= 0 {
		return s[:i], s[i+1:]
	}
	return s, ""
}

// comparePyPILegacy orders what is no version of PEP 440: numbers as numbers,
// the rest as text.
func comparePyPILegacy(a, b string) int {
	for a != "" && b != "" {
		if isDigit(a[0]) && isDigit(b[0]) {
			var na, nb string
			na, a = digits(a)
			nb, b = digits(b)
			if c := compareDigits(na, nb); c != 0 {
				return c
			}
			continue
		}
		if c := sign(int(lower(a[0])) - int(lower(b[0]))); c != 0 {
			return c
		}
		a, b = a[1:], b[1:]
	}
	return sign(len(a) - len(b))
}

// parsePyPI follows PEP 440, appendix B, in its many spellings.
func parsePyPI(text string) (v pypiVersion, err error) {
	s := strings.TrimFunc(text, pypiSpace)
	if hasPrefixFold(s, "v") {
		s = s[1:]
	}
	run, rest := digits(s)
	if strings.HasPrefix(rest, "!") && run != "" {
		v.epoch = run
		s = rest[1:]
	}
	v.release, s = cutPyPIRelease(s)
	if v.release == "" {
		return v, invalid(PyPI, text, "it does not begin with a number")
	}
	v.phase = pypiFinal
	for _, spelling := range [...]struct {
		word  string
		phase pypiPhase
	}{
		// Of two words with one beginning, the longer first.
		{"alpha", pypiAlpha}, {"a", pypiAlpha}, {"beta", pypiBeta}, {"b", pypiBeta},
		{"preview", pypiRC}, {"pre", pypiRC}, {"rc", pypiRC}, {"c", pypiRC},
	} {
		if number, rest, ok := cutPyPISuffix(s, spelling.word); ok {
			v.phase, v.pre, s = spelling.phase, number, rest
			break
		}
	}
	if len(s) > 1 && s[0] == '-' && isDigit(s[1]) {
		v.hasPost = true
		v.post, s = digits(s[1:])
	} else {
		for _, word := range [...]string{"post", "rev", "r"} {
			if v.post, rest, v.hasPost = cutPyPISuffix(s, word); v.hasPost {
				s = rest
				break
			}
		}
	}
	if v.dev, rest, v.hasDev = cutPyPISuffix(s, "dev"); v.hasDev {
		s = rest
		if v.phase == pypiFinal && !v.hasPost {
			v.phase = pypiDev
		}
	}
	if strings.HasPrefix(s, "+") && validPyPILocal(s[1:]) {
		v.local, s = s[1:], ""
	}
	if s != "" {
		return v, invalid(PyPI, text, "want [EPOCH!]N(.N)*[{a|b|rc}N][.postN][.devN][+LOCAL]")
	}
	return v, nil
}

// cutPyPIRelease splits off numbers with dots between them, without the zeros at
// their end, which count as little as if they were not there.
func cutPyPIRelease(s string) (release, rest string) {
	end, significant := 0, 0
	for end < len(s) {
		start := end
		if end > 0 {
			if s[end] != '.' {
				break
			}
			start++
		}
		run, _ := digits(s[start:])
		if run == "" {
			break
		}
		end = start + len(run)
		if !isZero(run) || significant == 0 {
			significant = end
		}
	}
	return s[:significant], s[end:]
}

// cutPyPISuffix splits off [separator]word[separator][number].
func cutPyPISuffix(s, word string) (number, rest string, ok bool) {
	after := trimPyPISeparator(s)
	if !hasPrefixFold(after, word) {
		return "", s, false
	}
	number, rest = digits(trimPyPISeparator(after[len(word):]))
	return number, rest, true
}

func trimPyPISeparator(s string) string {
	if s != "" && (s[0] == '.' || s[0] == '-' || s[0] == '_') {
		return s[1:]
	}
	return s
}

func validPyPILocal(s string) bool {
	separator := true
	for i := range len(s) {
		switch c := s[i]; {
		case isDigit(c) || isLetter(c):
			separator = false
		case separator || c != '.' && c != '-' && c != '_':
			return false
		default:
			separator = true
		}
	}
	return !separator
}

// pypiSpace is what Python takes for white space.
func pypiSpace(r rune) bool { return unicode.IsSpace(r) || '\x1c' <= r && r <= '\x1f' }

// The tags of a local version's parts.
const (
	pypiKeyEnd    = 0
	pypiKeyWord   = 1
	pypiKeyNumber = 2
)

func keyPyPI(key []byte, text string) ([]byte, error) {
	v, err := parsePyPI(text)
	if err != nil {
		return nil, err
	}
	key = appendNumber(key, v.epoch)
	for release := v.release; release != ""; {
		var number string
		number, release, _ = strings.Cut(release, ".")
		key = appendPart(key, number)
	}
	// Where a part may be missing, 0 and up are its number, and its lack is
	// above or below all of them.
	key = append(key, pypiKeyEnd, byte(v.phase))
	if v.phase != pypiFinal && v.phase != pypiDev {
		key = appendNumber(key, v.pre)
	}
	if v.hasPost {
		key = appendPart(key, v.post)
	} else {
		key = append(key, 0)
	}
	if v.hasDev {
		key = appendNumber(key, v.dev)
	} else {
		key = append(key, 0xff)
	}
	for local := v.local; local != ""; {
		var part string
		part, local = cutPyPILocal(local)
		if isNumber(part) {
			key = appendNumber(append(key, pypiKeyNumber), part)
		} else {
			key = appendFold(append(key, pypiKeyWord), part)
		}
	}
	return append(key, pypiKeyEnd), nil
}
