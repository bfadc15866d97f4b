package version

import "strings"

// compareGem follows Gem::Version#<=>: the first segments that differ decide, a
// word is before a number, and what is missing is 0.
func compareGem(a, b string) (int, error) {
	sa, sb := scanGem(a), scanGem(b)
	c := 0
	for c == 0 {
		ka, va := sa.next()
		kb, vb := sb.next()
		if ka == gemEnd && kb == gemEnd {
			break
		}
		if wa, wb := ka == gemWord, kb == gemWord; wa != wb {
			c = before(wa)
		} else if wa {
			c = strings.Compare(va, vb)
		} else {
			c = compareDigits(va, vb)
		}
	}
	if err := checkGem(a); err != nil {
		return c, err
	}
	return c, checkGem(b)
}

// checkGem refuses what RubyGems does, and the empty version, which it takes for 0.
func checkGem(text string) error {
	const want = "want N(.NAME)*[-NAME(.NAME)*]"
	s := trimGem(text)
	run, s := digits(s)
	if run == "" {
		return invalid(Gem, text, want)
	}
	dash := false
	for s != "" {
		if s[0] != '.' && (s[0] != '-' || dash) {
			return invalid(Gem, text, want)
		}
		dash = dash || s[0] == '-'
		i := 1
		for i < len(s) && (isDigit(s[i]) || isLetter(s[i]) || dash && s[i] == '-') {
			i++
		}
		if i == 1 {
			return invalid(Gem, text, want)
		}
		s = s[i:]
	}
	return nil
}

func trimGem(text string) string { return strings.Trim(text, " \t\n\r\f\v") }

// gemKind is what a segment is.
type gemKind int

const (
	gemEnd gemKind = iota
	gemWord
	gemNumber
)

// gemScanner reads the segments that count: no zeros before the first word, nor
// at the end.
type gemScanner struct {
	rest  string
	zeros int  // still to be given
	words bool // were given
}

func scanGem(text string) gemScanner { return gemScanner{rest: trimGem(text)} }

func (s *gemScanner) next() (kind gemKind, value string) {
	for {
		if s.zeros > 0 {
			s.zeros--
			return gemNumber, ""
		}
		for s.rest != "" && !isDigit(s.rest[0]) && !isLetter(s.rest[0]) && s.rest[0] != '-' {
			s.rest = s.rest[1:]
		}
		switch {
		case s.rest == "":
			return gemEnd, ""
		case s.rest[0] == '-':
			s.rest, s.words = s.rest[1:], true
			return gemWord, "pre"
		case isLetter(s.rest[0]):
			s.words = true
			value, s.rest = letters(s.rest)
			return gemWord, value
		}
		value, s.rest = digits(s.rest)
		if !isZero(value) {
			return gemNumber, value
		}
		s.countZeros()
	}
}

// countZeros reads on after a zero, and decides on it and those that follow it.
func (s *gemScanner) countZeros() {
	zeros := 1
	for s.rest != "" {
		c := s.rest[0]
		if isLetter(c) || c == '-' {
			if s.words {
				s.zeros = zeros
			}
			return
		}
		if !isDigit(c) {
			s.rest = s.rest[1:]
			continue
		}
		run, rest := digits(s.rest)
		if !isZero(run) {
			s.zeros = zeros
			return
		}
		zeros++
		s.rest = rest
	}
}

// The tags of a gem version's segments, in the order of what may stand at one
// place. The end stands for zeros without end: whether zeros are before or after
// it is decided by what follows them.
const (
	gemKeyWord      = 1
	gemKeyZerosWord = 2 // their number, fewer first
	gemKeyEnd       = 3
	gemKeyZeros     = 4 // their number, more first; then a number
	gemKeyNumber    = 5
)

func keyGem(key []byte, text string) ([]byte, error) {
	if err := checkGem(text); err != nil {
		return nil, err
	}
	for s := scanGem(text); ; {
		kind, value := s.next()
		zeros := uint64(0)
		for kind == gemNumber && value == "" {
			zeros++
			kind, value = s.next()
		}
		switch {
		case kind == gemEnd:
			return append(key, gemKeyEnd), nil
		case kind == gemWord && zeros == 0:
			key = append(key, gemKeyWord)
		case kind == gemWord:
			key = appendCount(append(key, gemKeyZerosWord), zeros)
		case zeros == 0:
			key = append(key, gemKeyNumber)
		default:
			key = appendDescending(append(key, gemKeyZeros), zeros)
		}
		if kind == gemWord {
			key = appendText(key, value)
		} else {
			key = appendNumber(key, value)
		}
	}
}
