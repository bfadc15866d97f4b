package version

import "strings"

// composerItem is what PHP's version_compare compares at one place: a number, a
// word, or the end.
type composerItem struct {
	number string // digits
	rank   composerRank
	end    bool
}

func compareComposerItems(va, vb *composerVersion) int {
	for {
		a, b := va.next(), vb.next()
		switch {
		case a.end && b.end:
			return 0
		case a.number != "" && b.number != "":
			if c := compareDigits(a.number, b.number); c != 0 {
				return c
			}
		case a.rank != b.rank:
			return sign(int(a.rank) - int(b.rank))
		case a.end && b.number != "", b.end && a.number != "":
			return before(a.end)
		}
	}
}

func (v *composerVersion) next() composerItem {
	if v.raw != "" {
		return v.nextRaw()
	}
	if v.left > 0 || v.left < 0 && v.numbers != "" {
		v.left--
		run, rest := digits(v.numbers)
		switch {
		case v.numbers == "":
			run = v.fill
		case run == "":
			run, rest = composerBranch, rest[1:] // an x
		}
		if rest != "" {
			rest = rest[1:]
		}
		v.numbers = rest
		return composerItem{number: run, rank: composerNone}
	}
	if v.hasWord {
		v.hasWord = false
		return composerItem{rank: v.word}
	}
	if v.wordNumbers != "" {
		run := ""
		for run == "" {
			run, v.wordNumbers = digits(v.wordNumbers)
			if run == "" {
				v.wordNumbers = v.wordNumbers[1:]
			}
		}
		return composerItem{number: run, rank: composerNone}
	}
	if v.dev {
		v.dev = false
		return composerItem{rank: composerDev}
	}
	return composerItem{rank: composerNone, end: true}
}

// nextRaw takes a version apart as version_compare does.
func (v *composerVersion) nextRaw() (item composerItem) {
	for v.raw != "" {
		switch c := v.raw[0]; {
		case isDigit(c):
			item.rank = composerNone
			item.number, v.raw = digits(v.raw)
			return item
		case isLetter(c):
			var word string
			word, v.raw = letters(v.raw)
			item.rank = composerWord(word)
			return item
		case c == '#':
			v.raw = v.raw[1:]
			return composerItem{rank: composerNone}
		}
		v.raw = v.raw[1:]
	}
	return composerItem{rank: composerNone, end: true}
}

// composerWord is the rank of a word: of the known one that it begins with.
func composerWord(word string) composerRank {
	switch {
	case strings.HasPrefix(word, "dev"):
		return composerDev
	case strings.HasPrefix(word, "a"):
		return composerAlpha
	case strings.HasPrefix(word, "b"):
		return composerBeta
	case strings.HasPrefix(word, "rc"), strings.HasPrefix(word, "RC"):
		return composerRC
	case strings.HasPrefix(word, "p"):
		return composerPatch
	}
	return composerUnknown
}

// The tags of a normalised version's items, in the order of what may stand at
// one place. Words have their rank.
const (
	composerKeyWord   = 1 // plus the rank, below composerNone
	composerKeyEnd    = 7
	composerKeyNumber = 8
	composerKeyPatch  = 9
)

func keyComposer(key []byte, text string) ([]byte, error) {
	v, err := parseComposer(text)
	if err != nil {
		return nil, err
	}
	for {
		switch item := v.next(); {
		case item.end:
			return append(key, composerKeyEnd), nil
		case item.number != "":
			key = appendNumber(append(key, composerKeyNumber), item.number)
		case item.rank == composerPatch:
			key = append(key, composerKeyPatch)
		default:
			key = append(key, byte(composerKeyWord+item.rank))
		}
	}
}
