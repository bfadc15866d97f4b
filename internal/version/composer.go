package version

import "strings"

// compareComposer follows composer/semver: both versions are normalised, and
// what comes of it is ordered by PHP's version_compare. Where one of them cannot
// be normalised, they are ordered by the latter as they stand.
//
// PHP takes all numbers of 64 bits and more for one; they are kept apart here.
func compareComposer(a, b string) (int, error) {
	va, errA := parseComposer(a)
	vb, errB := parseComposer(b)
	if errA != nil || errB != nil {
		va, vb = rawComposer(a), rawComposer(b)
	}
	c := compareComposerItems(&va, &vb)
	if errA != nil {
		return c, errA
	}
	return c, errB
}

// composerVersion is a normalised version: numbers, then a word of stability
// with numbers of its own, then "dev". A version that cannot be normalised is raw.
type composerVersion struct {
	raw     string
	numbers string
	// missing numbers up to the fourth are filled in with fill; left is how many
	// are still to be read, below 0 where there may be any number of them.
	fill string
	left int
	word composerRank
	// hasWord is set where there is a word, or its numbers.
	hasWord     bool
	wordNumbers string
	dev         bool
}

// composerRank is the place of a word among those that version_compare knows.
type composerRank int

const (
	composerUnknown composerRank = iota
	composerDev
	composerAlpha
	composerBeta
	composerRC
	composerNone // the end, and as against words all numbers
	composerPatch
)

// composerBranch is what Composer puts for the x of the branch 1.x.
const composerBranch = "9999999"

// composerSpace is what PHP's trim takes away.
const composerSpace = " \t\n\r\x00\v"

// rawComposer is a version as it stands, without its v.
func rawComposer(text string) composerVersion {
	s := strings.Trim(text, composerSpace)
	if len(s) > 1 && isDigit(s[1]) {
		s = trimComposerV(s)
	}
	return composerVersion{raw: s}
}

// parseComposer follows VersionParser::normalize. The name of a branch (dev-main)
// is in an order with nothing but itself, and so is refused.
func parseComposer(text string) (v composerVersion, err error) {
	s := strings.Trim(text, composerSpace)
	if version, alias, ok := cutComposerAlias(s); ok && alias != "" {
		s = version
	}
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		switch flag := s[i+1:]; {
		case hasPrefixFold(flag, "stable") && len(flag) == 6, hasPrefixFold(flag, "rc") && len(flag) == 2,
			hasPrefixFold(flag, "beta") && len(flag) == 4, hasPrefixFold(flag, "alpha") && len(flag) == 5,
			hasPrefixFold(flag, "dev") && len(flag) == 3:
			s = s[:i]
		}
	}
	if s == "master" || s == "trunk" || s == "default" || hasPrefixFold(s, "dev-") {
		return v, invalid(Composer, text, "a branch has no place among versions")
	}
	if version, build, ok := strings.Cut(s, "+"); ok && version != "" && build != "" &&
		!strings.ContainsAny(version, ", \t\n\r\f\v") && !strings.ContainsAny(build, " \t\n\r\f\v") {
		s = version
	}
	if v.classical(s) || v.date(s) || v.branch(s) {
		return v, nil
	}
	return v, invalid(Composer, text, "it is no version, and no numbered branch")
}

// cutComposerAlias splits "VERSION as ALIAS".
func cutComposerAlias(s string) (version, alias string, ok bool) {
	i := strings.IndexByte(s, ' ')
	if i <= 0 {
		return "", "", false
	}
	version, rest := s[:i], strings.TrimLeft(s[i:], " ")
	alias, ok = strings.CutPrefix(rest, "as ")
	alias = strings.TrimLeft(alias, " ")
	return version, alias, ok && !strings.ContainsAny(version, ",\t\n\r\f\v") && !strings.ContainsAny(alias, ", \t\n\r\f\v")
}

// classical reads one to four numbers, the first of up to five digits.
func (v *composerVersion) classical(s string) bool {
	s = trimComposerV(s)
	first, rest := digits(s)
	if first == "" || len(first) > 5 {
		return false
	}
	for range 3 {
		if !strings.HasPrefix(rest, ".") {
			break
		}
		run, after := digits(rest[1:])
		if run == "" {
			break
		}
		rest = after
	}
	v.numbers, v.fill, v.left = s[:len(s)-len(rest)], "0", 4
	return v.modifiers(rest)
}

// date reads a date, or a date and time.
func (v *composerVersion) date(s string) bool {
	s = trimComposerV(s)
	rest := strings.TrimLeft(s, "0123456789.:-")
	date := strings.TrimRight(s[:len(s)-len(rest)], ".:-")
	if !isComposerDate(date) {
		return false
	}
	v.numbers, v.left = date, -1
	return v.modifiers(s[len(date):])
}

// isComposerDate matches \d{4}([.:-]?\d{2}){1,6}([.:-]?\d{1,3}){0,2}.
func isComposerDate(s string) bool {
	const year, longest = 4, 4 + 6*3 + 2*4
	if run, _ := digits(s); len(run) < year || len(s) > longest {
		return false
	}
	return matchComposerDate(s[year:], 0, 0)
}

// matchComposerDate matches what is left after some pairs of digits, and after
// some of the groups of up to three that may follow them.
func matchComposerDate(s string, pairs, groups int) bool {
	if s == "" {
		return pairs > 0
	}
	if strings.IndexByte(".:-", s[0]) >= 0 {
		s = s[1:]
	}
	run, _ := digits(s)
	if groups == 0 && pairs < 6 && len(run) >= 2 && matchComposerDate(s[2:], pairs+1, 0) {
		return true
	}
	for n := min(3, len(run)); n > 0; n-- {
		if pairs > 0 && groups < 2 && matchComposerDate(s[n:], pairs, groups+1) {
			return true
		}
	}
	return false
}

// branch reads a numbered branch, "1.x-dev".
func (v *composerVersion) branch(s string) bool {
	if len(s) < 3 || !hasPrefixFold(s[len(s)-3:], "dev") {
		return false
	}
	s = s[:len(s)-3]
	if strings.HasSuffix(s, ".") || strings.HasSuffix(s, "-") {
		s = s[:len(s)-1]
	}
	s = trimComposerV(strings.Trim(s, composerSpace))
	v.numbers, v.fill, v.left = s, composerBranch, 4
	v.hasWord, v.dev = false, true
	first, rest := digits(s)
	if first == "" {
		return false
	}
	for range 3 {
		if rest == "" {
			break
		}
		run, after := digits(rest[1:])
		if rest[0] != '.' || run == "" && (after == "" || strings.IndexByte("xX*", after[0]) < 0) {
			return false
		}
		if run == "" {
			after = after[1:]
		}
		rest = after
	}
	return rest == ""
}

func trimComposerV(s string) string {
	if hasPrefixFold(s, "v") {
		return s[1:]
	}
	return s
}

// modifiers reads [._-] word numbers [.-] dev, none of which has to be there.
func (v *composerVersion) modifiers(s string) bool {
	v.hasWord, v.wordNumbers, v.dev = false, "", false
	if composerEnds(s) {
		v.dev = s != ""
		return true
	}
	if strings.IndexByte("._-", s[0]) >= 0 {
		s = s[1:]
	}
	name, _ := letters(s)
	// Two words may stand together ("betadev"); the first is then the longest.
	for _, known := range [...]struct {
		name string
		rank composerRank
	}{
		{"stable", composerNone}, {"beta", composerBeta}, {"b", composerBeta}, {"rc", composerRC}, {"alpha", composerAlpha},
		{"a", composerAlpha}, {"patch", composerPatch}, {"pl", composerPatch}, {"p", composerPatch},
	} {
		if !hasPrefixFold(name, known.name) {
			continue
		}
		v.wordNumbers, _ = cutComposerNumbers(s[len(known.name):])
		v.hasWord, v.word = true, known.rank
		rest := s[len(known.name)+len(v.wordNumbers):]
		if !composerEnds(rest) {
			continue
		}
		v.dev = rest != ""
		if known.rank == composerNone {
			if name[:6] == "stable" {
				// What follows it does not count.
				v.hasWord, v.wordNumbers, v.dev = false, "", false
			} else {
				// Composer leaves "STABLE" in place, and PHP knows no such word.
				v.word = composerUnknown
			}
		}
		return true
	}
	v.hasWord, v.wordNumbers = false, ""
	v.dev = s != ""
	return composerEnds(s)
}

// composerEnds reports whether s is nothing, or [.-]dev.
func composerEnds(s string) bool {
	if s == "" {
		return true
	}
	if s[0] == '.' || s[0] == '-' {
		s = s[1:]
	}
	return len(s) == 3 && hasPrefixFold(s, "dev")
}

// cutComposerNumbers splits off numbers, each with a dot or a dash before it or not.
func cutComposerNumbers(s string) (numbers, rest string) {
	i := 0
	for i < len(s) {
		start := i
		if s[i] == '.' || s[i] == '-' {
			start++
		}
		run, _ := digits(s[start:])
		if run == "" {
			break
		}
		i = start + len(run)
	}
	return s[:i], s[i:]
}
