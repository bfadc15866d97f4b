package version

import "strings"

// compareDeb follows deb-version(7), "Sorting algorithm".
func compareDeb(a, b string) (int, error) {
	va, errA := parseDeb(a)
	vb, errB := parseDeb(b)
	c := compareDigits(va.epoch, vb.epoch)
	if c == 0 {
		c = compareDebPart(va.upstream, vb.upstream)
	}
	if c == 0 {
		c = compareDebPart(va.revision, vb.revision)
	}
	if errA != nil {
		return c, errA
	}
	return c, errB
}

type debVersion struct{ epoch, upstream, revision string }

// parseDeb splits [epoch:]upstream[-revision]. It refuses what dpkg refuses,
// and lets pass what dpkg only warns of (an upstream version that does not
// start with a digit).
func parseDeb(text string) (v debVersion, err error) {
	const maxEpoch = "2147483647"
	v.upstream = strings.Trim(text, " \t\n\r\f\v")
	fail := func(reason string) {
		if err == nil {
			err = invalid(Deb, text, reason)
		}
	}
	if v.upstream == "" {
		fail("it is empty")
	}
	if epoch, rest, found := strings.Cut(v.upstream, ":"); found {
		v.epoch, v.upstream = epoch, rest
		switch run, after := digits(epoch); {
		case epoch == "":
			fail("its epoch is empty")
		case after != "":
			fail("its epoch is not a number")
		case compareDigits(run, maxEpoch) > 0:
			fail("its epoch is too large")
		case rest == "":
			fail("nothing follows its epoch")
		}
		if err != nil {
			v.epoch = ""
		}
	}
	if i := strings.LastIndexByte(v.upstream, '-'); i >= 0 {
		v.upstream, v.revision = v.upstream[:i], v.upstream[i+1:]
		switch {
		case v.revision == "":
			fail("its revision is empty")
		case v.upstream == "":
			fail("its upstream part is empty")
		}
	}
	for i := range len(v.upstream) {
		if c := v.upstream[i]; !isDigit(c) && !isLetter(c) && strings.IndexByte(".-+~:", c) < 0 {
			fail("its upstream part has a character that is not allowed")
			break
		}
	}
	for i := range len(v.revision) {
		if c := v.revision[i]; !isDigit(c) && !isLetter(c) && strings.IndexByte(".+~", c) < 0 {
			fail("its revision has a character that is not allowed")
			break
		}
	}
	return v, err
}

// compareDebPart compares alternating runs of other characters and of digits.
func compareDebPart(a, b string) int {
	for a != "" || b != "" {
		for a != "" && !isDigit(a[0]) || b != "" && !isDigit(b[0]) {
			if c := sign(debOrder(a) - debOrder(b)); c != 0 {
				return c
			}
			a, b = a[1:], b[1:]
		}
		var na, nb string
		na, a = digits(a)
		nb, b = digits(b)
		if c := compareDigits(na, nb); c != 0 {
			return c
		}
	}
	return 0
}

// debOrder weighs the first character: a tilde comes before the end, letters
// before all else. A digit weighs as the end: it ends the run.
func debOrder(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case isLetter(s[0]):
		return int(s[0])
	}
	return int(s[0]) + 256
}

// The tags of Debian's characters: a tilde is before the end of the run, letters
// are before the rest.
const (
	debKeyTilde  = 1
	debKeyRunEnd = 2
	debKeyOther  = 0x80 // or'd with the character
)

func keyDeb(key []byte, text string) ([]byte, error) {
	v, err := parseDeb(text)
	if err != nil {
		return nil, err
	}
	key = appendNumber(key, v.epoch)
	key = appendDebPart(key, v.upstream)
	return appendDebPart(key, v.revision), nil
}

// appendDebPart appends pairs of a run of other characters and a number. What is
// missing of the last pair is "" and 0, as it is in the comparison; after it, the
// end of a further run is below all that could stand there, but a tilde.
func appendDebPart(key []byte, s string) []byte {
	for {
		for s != "" && !isDigit(s[0]) {
			switch c := s[0]; {
			case c == '~':
				key = append(key, debKeyTilde)
			case isLetter(c):
				key = append(key, c)
			default:
				key = append(key, debKeyOther|c)
			}
			s = s[1:]
		}
		var run string
		run, s = digits(s)
		key = appendNumber(append(key, debKeyRunEnd), run)
		if s == "" {
			return append(key, debKeyRunEnd)
		}
	}
}
