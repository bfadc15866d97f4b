package version

import "strings"

// compareMaven follows Maven's ComparableVersion, as it is since Maven 3.8.7.
//
// There a version is a list of numbers and words, whose last item may be a list
// again: a dash begins one, and so does the change between digits and letters.
// The lists are not built here, but walked along.
func compareMaven(a, b string) (int, error) {
	sa, sb := scanMaven(a), scanMaven(b)
	ia, ib := sa.next(), sb.next()
	order := 0
	for order == 0 && (ia.kind != mavenEnd || ib.kind != mavenEnd) {
		switch {
		case ia.kind == mavenEnd && ib.kind == mavenList:
			order = -sb.sign()
		case ib.kind == mavenEnd && ia.kind == mavenList:
			order = sa.sign()
		case ia.kind == mavenEnd:
			order = -ib.sign()
		case ib.kind == mavenEnd:
			order = ia.sign()
		case ia.kind != ib.kind:
			order = sign(int(ia.kind) - int(ib.kind))
		case ia.kind == mavenWord:
			order = compareMavenWords(ia, ib)
		case ia.kind == mavenNumber:
			order = compareDigits(ia.value, ib.value)
		}
		// What has ended stays there: to the other's items it is nothing.
		if ia.kind != mavenEnd {
			ia = sa.next()
		}
		if ib.kind != mavenEnd {
			ib = sb.next()
		}
	}
	if err := checkMaven(a); err != nil {
		return order, err
	}
	return order, checkMaven(b)
}

// checkMaven refuses what Maven takes for no version of a project, although it
// orders any text: an empty one, "${revision}", a range, a path.
func checkMaven(text string) error {
	if text == "" {
		return invalid(Maven, text, "it is empty")
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`\/:"<>|?*[](){},`, c) >= 0 {
			return invalid(Maven, text, "it has a character that is not allowed")
		}
	}
	return nil
}

// mavenKind is what an item is: at one place of two versions a word is before a
// list, and a list before a number.
type mavenKind int

const (
	mavenEnd mavenKind = iota
	mavenWord
	mavenList // those that follow are the items of a list
	mavenNumber
)

// The ranks of words. Those that Maven does not know come last, in their own order.
const (
	mavenAlpha = iota
	mavenBeta
	mavenMilestone
	mavenRC
	mavenSnapshot
	mavenRelease // "ga", "final", "release": as if nothing stood there
	mavenSP
	mavenUnknown
)

type mavenItem struct {
	kind  mavenKind
	value string // of a number; of a word that is not known
	rank  int    // of a word
}

// sign is the item's order against nothing.
func (i mavenItem) sign() int {
	switch {
	case i.kind == mavenWord:
		return sign(i.rank - mavenRelease)
	case i.null():
		return 0
	}
	return 1
}

// null reports an item that counts for nothing where nothing comes after it.
func (i mavenItem) null() bool {
	return i.kind == mavenWord && i.rank == mavenRelease || i.kind == mavenNumber && isZero(i.value)
}

func compareMavenWords(a, b mavenItem) int {
	if c := sign(a.rank - b.rank); c != 0 {
		return c
	}
	return compareFold(a.value, b.value)
}

// mavenScanner reads the items that count: at the end of each list no zeros and
// no words that mean a release, and no list without an item.
type mavenScanner struct {
	rest string
	// list is set where a list begins at the rest; filled where the present
	// list has an item.
	list, filled bool
	// end and kept are lengths of rests: behind the last item that counts, and
	// behind the next one in the present list, where nulls are kept up to it.
	end, kept int
}

func scanMaven(text string) mavenScanner {
	s := mavenScanner{rest: text, kept: -1}
	all := s
	s.end = len(text) + 1
	for item := all.read(); item.kind != mavenEnd; item = all.read() {
		if item.kind != mavenList && !item.null() {
			s.end = len(all.rest)
		}
	}
	return s
}

func (s *mavenScanner) next() mavenItem {
	for {
		item := s.read()
		switch {
		case item.kind == mavenList && len(s.rest) <= s.end:
			return mavenItem{}
		case !item.null() || s.kept >= 0 && len(s.rest) > s.kept:
			return item
		}
		// Nulls stay where an item that counts follows in the same list.
		ahead := *s
		for {
			before := ahead
			following := ahead.read()
			if following.kind == mavenEnd || following.kind == mavenList {
				*s = before
				break
			}
			if !following.null() {
				s.kept = len(ahead.rest)
				return item
			}
		}
	}
}

// sign is the order of the list that has just begun against nothing: that of
// its first item that is not nothing.
func (s *mavenScanner) sign() int {
	for {
		item := s.next()
		if item.kind == mavenEnd {
			return 0
		}
		if item.kind != mavenList && item.sign() != 0 {
			return item.sign()
		}
	}
}

// read returns the next item, null ones and empty lists too.
func (s *mavenScanner) read() mavenItem {
	if s.list {
		s.list, s.filled = false, false
		return mavenItem{kind: mavenList}
	}
	if s.rest == "" {
		return mavenItem{}
	}
	if c := s.rest[0]; c == '.' || c == '-' || isDigit(c) {
		run, rest := digits(s.rest)
		s.filled = true
		s.separate(rest)
		return mavenItem{kind: mavenNumber, value: run}
	}
	i := 0
	for i < len(s.rest) && !isDigit(s.rest[i]) && s.rest[i] != '.' && s.rest[i] != '-' {
		i++
	}
	word, rest := s.rest[:i], s.rest[i:]
	number := rest != "" && isDigit(rest[0])
	if (number || rest == "") && s.filled {
		// 1.0.X is read as 1.0-X.
		s.filled = false
		return mavenItem{kind: mavenList}
	}
	s.filled = true
	s.separate(rest)
	rank := mavenRank(word, number)
	if rank < mavenUnknown {
		word = ""
	}
	return mavenItem{kind: mavenWord, value: word, rank: rank}
}

// separate takes what is between two items from the rest.
func (s *mavenScanner) separate(rest string) {
	s.rest = rest
	if rest == "" {
		return
	}
	s.list = rest[0] != '.'
	if rest[0] == '.' || rest[0] == '-' {
		s.rest = rest[1:]
	}
}

func mavenRank(word string, number bool) int {
	if len(word) == 1 && number {
		switch lower(word[0]) {
		case 'a':
			return mavenAlpha
		case 'b':
			return mavenBeta
		case 'm':
			return mavenMilestone
		}
	}
	for _, known := range [...]struct {
		word string
		rank int
	}{
		{"alpha", mavenAlpha}, {"beta", mavenBeta}, {"milestone", mavenMilestone}, {"rc", mavenRC}, {"cr", mavenRC},
		{"snapshot", mavenSnapshot}, {"ga", mavenRelease}, {"final", mavenRelease}, {"release", mavenRelease}, {"sp", mavenSP},
	} {
		if compareFold(word, known.word) == 0 {
			return known.rank
		}
	}
	return mavenUnknown
}

// The tags of what may stand at one place of a list, in their order. Words have
// their rank.
const (
	mavenKeyWord   = 1 // plus the rank, below that of a release
	mavenKeyEmpty  = 6 // an empty list
	mavenKeyAfter  = 7 // plus the rank from mavenSP on
	mavenKeyList   = 9
	mavenKeyZeros  = 10 // their number, more first; then a number
	mavenKeyNumber = 11
)

// keyMaven has no key for versions on which Maven's order runs in circles. Items
// are compared by their kinds first (word, list, number), but against nothing by
// what they are: "1-sp" is after "1", which is after "1--alpha", whose second
// item, as a list, is after the word. Three rules break the circles:
//
//   - a word within a list that means no pre-release has no key ("1.foo.2"), nor
//     one that means a release and is followed by more ("1.ga.2");
//   - nor has a word after zeros ("1.0.beta-1", but for "1.0.beta1", which is a list);
//   - nor a pre-release without anything before it in its list ("0-rc", "1--rc").
//
// For the others the end of a list is the same as an empty list at its end, and
// an empty list is after all that begin with a pre-release.
func keyMaven(key []byte, text string) ([]byte, error) {
	if err := checkMaven(text); err != nil {
		return nil, err
	}
	none := func(what string) ([]byte, error) {
		return nil, refuse(ErrNoKey, Maven, text, "Maven's order runs in circles on "+what)
	}
	s := scanMaven(text)
	// first is set at the beginning of a list; late where that list is known to be
	// after nothing.
	for first, late := true, false; ; {
		item := s.next()
		zeros := uint64(0)
		for item.kind == mavenNumber && isZero(item.value) {
			zeros++
			item = s.next()
		}
		switch item.kind {
		case mavenWord:
			switch {
			case zeros > 0:
				return none("words after zeros")
			case item.rank < mavenRelease:
				key = append(key, byte(mavenKeyWord+item.rank))
			case !first || item.rank == mavenRelease:
				return none("words within a list")
			default:
				key = append(key, byte(mavenKeyAfter+item.rank-mavenSP))
				if item.rank == mavenUnknown {
					key = appendFold(key, item.value)
				}
			}
		case mavenNumber:
			if zeros > 0 {
				key = appendDescending(append(key, mavenKeyZeros), zeros)
			} else {
				key = append(key, mavenKeyNumber)
			}
			key = appendNumber(key, item.value)
		case mavenList:
			if ahead := s; first && !late && ahead.sign() < 0 {
				return none("a pre-release of nothing")
			}
			late = first
			key = append(key, mavenKeyList)
		case mavenEnd:
			if !first {
				key = append(key, mavenKeyList)
			}
			return append(key, mavenKeyEmpty), nil
		}
		first = item.kind == mavenList
		late = late && first
	}
}
