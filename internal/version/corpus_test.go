package version_test

import (
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/version"
)

// schemes are all that there are.
var schemes = []version.Scheme{
	version.Deb, version.APK, version.RPM, version.NPM, version.Golang, version.Cargo, version.PyPI, version.Maven,
	version.Gem, version.NuGet, version.Composer, version.Hex, version.Pub,
}

// corpus makes versions out of pieces: a start, and parts that may follow. Some
// come out broken.
type corpus struct {
	starts, parts []string
}

var semverStarts = []string{"1.0.0", "1.2.3", "0.0.1", "0.10.0", "1.0.0-alpha", "1.0.0-rc.1", "1.2.3-0", "1.0.0-beta.2+b", "1.2.3-a.b.c"}

var semverParts = []string{
	"-alpha", "-0", "-rc.1", "-rc1", "-beta", "-1", "-a", "-A", "-SNAPSHOT", "-x-y", "-0a", "-20210101123456", "-01", ".0", ".1", ".2",
	".10", ".a", ".A", ".alpha", ".beta", ".rc", ".00", "0", "1", "9", "a", "Z", "-", "+build", "+1", "+b.01", ".", "-99999999999999999999",
	"-9007199254740993", "-9007199254740992",
}

var corpora = map[version.Scheme]corpus{
	version.Deb: {
		[]string{"0", "1", "1.0", "1.2.3", "2:1.0", "0:1.0", "10.1", "1.0~rc1", "2.36"},
		[]string{"0", "1", "2", "9", "10", "00", "a", "b", "A", "Z", "~", "~~", "+", ".", "-", "-1", "-0", ".0", ".1", ":", "rc", "+deb12u1", "+dfsg", "~bpo11+1", "99999999999999999999", "z"},
	},
	version.APK: {
		[]string{"0", "1", "1.0", "1.2.3", "2.05", "10", "0.01"},
		[]string{"0", "1", "9", "00", ".0", ".1", ".05", ".50", "a", "b", "_alpha", "_beta1", "_pre", "_rc2", "_p1", "_git20230801", "_cvs", "_svn", "_hg", "-r0", "-r1", "-r10", "-r", "~a1", "~ab", "~", "_"},
	},
	version.RPM: {
		[]string{"0", "1", "1.0", "1.2.3", "1:1.0", "0:1.0", "007", "a1", "1.0~rc1", "1.0^git1", "2_0", "3.10.0"},
		[]string{"0", "1", "2", "9", "10", "00", "a", "b", "A", "Z", "~", "^", "^git2", "~rc1", "+", "_", ".", "..", ".0", ".1", "-1", "-1.el9", "-2.fc40", "-0", "-1.el9_2", "~~", "^^", "z", "el", "99999999999999999999", "%", "α"},
	},
	version.NPM: {
		slices.Concat(semverStarts, []string{"v1.2.3", "=1.0.0", "= v1.0.0", " 1.0.0", "01.2.3", "1.0", "9007199254740991.0.0", "9007199254740992.0.0"}),
		slices.Concat(semverParts, []string{"beta", "rc1", " ", "\u00e9"}),
	},
	version.Golang: {
		slices.Concat(semverStarts, []string{"v1.2.3", "v0.0.0", "1.22", "v1", "1.22rc1", "1.22beta2", "go1.22.1", "go1.21rc2", "v0.0.0-20230801123456-0123456789ab"}),
		slices.Concat(semverParts, []string{"+incompatible", "rc1", "-0.20230801123456-abcdef012345", "beta1"}),
	},
	version.Cargo: {slices.Concat(semverStarts, []string{"18446744073709551615.0.0"}), semverParts},
	version.Hex:   {slices.Concat(semverStarts, []string{"1.0", "18446744073709551616.0.0"}), semverParts},
	version.Pub: {
		slices.Concat(semverStarts, []string{"01.2.3", "1.0", "9223372036854775808.0.0"}),
		slices.Concat(semverParts, []string{"--1", "-0x1f", "+0x1F", "-0xffffffffffffffff", "+2", "+10", "+-3", "-9223372036854775808", "--9223372036854775808"}),
	},
	version.PyPI: {
		[]string{"0", "1", "1.0", "1.2.3", "v1.0", "1!1.0", "0!1", "2024.1.2", "1.0.0", "01.0", " 1.0", "1.0a1", "1.0rc2", "1.0.post1", "1.0.dev1"},
		[]string{"0", "1", ".0", ".1", ".10", "a1", "b2", "rc1", "c1", ".alpha", "-beta-2", "_pre", ".preview1", "post1", ".post2", "-1", "-rev3", ".r4", ".dev0", "dev", "-dev2", "+local", "+1", "+1.2", "+1.a", "+ABC", ".", "-", "_", "a", ".A1", "RC", " ", "!", "99999999999999999999", "\u0660"},
	},
	version.Maven: {
		[]string{"0", "1", "1.0", "1.2.3", "1.0.0", "2.0-alpha", "r09", "Finchley", "1-1", "0.0", "1.0-SNAPSHOT", "1.0.Final", "9.4.0.v2016"},
		[]string{"0", "1", "2", "10", "a", "b", "m", "x", "alpha", "beta", "rc", "cr", "RC", "sp", "SP", "ga", "GA", "final", "Final", "release", "RELEASE", "SNAPSHOT", "snapshot", "milestone", "foo", "redhat", "jre", ".", "-", ".0", "-0", ".1", "-1", ".00", "-alpha", ".Final", "-sp", ".RC1", "-SNAPSHOT", "-foo", "_", "+", "99999999999999999999", "1000000000"},
	},
	version.Gem: {
		[]string{"0", "1", "1.0", "1.2.3", "1.0.0", "0.0.1", " 1.0", "1.0.a", "1.0.0.rc1", "2.0.pre"},
		[]string{"0", "1", "2", "10", ".0", ".00", ".1", ".2", ".10", ".a", ".b1", ".rc1", ".rc.1", ".pre", "-1", "-a", "-", "a", "B", "beta", ".A", ".", " ", ".99999999999999999999", ".0.0", ".0.a"},
	},
	version.NuGet: {
		[]string{"1", "1.0", "1.2.3", "1.0.0", "1.0.0.0", "1.2.3.4", "01.2", " 1.0", "1 . 0", "2147483647.0", "2147483648.0"},
		slices.Concat(semverParts, []string{"-Beta", "-BETA", "-20240131120000", "-2147483647", "-2147483648", "--5", "--2147483648", " ", "+AA", ".3.4"}),
	},
	version.Composer: {
		[]string{"1", "1.0", "1.2.3", "1.2.3.4", "v1.0", "V2.0", "0.0", "12345.1", "123456", "2010-01-02", "20100102", "2010.01.02", "201001", "dev-main", "1.x", "1.2.*", "master", "1.0 as 2.0", "2010-01-02-03-04-05", "20100102.101", "1.X.3"},
		[]string{"0", "1", ".0", ".1", ".2", ".10", "-alpha", "-beta", "-RC", "-rc1", "a1", "b2", "beta2", ".beta.3", "-b-4", "-patch", "pl1", "-p2", "_alpha", "-dev", ".dev", "dev", "-stable", "stable1", "@dev", "@stable", "@RC", "+build", "+1", "-", ".", "_", "x", ".x", ".x-dev", "-STABLE", "-Dev", ".99999", "-1", ":12", "-12", ".123", "#"},
	},
}

// version makes one version.
func (c corpus) version(random *rand.Rand) string {
	v := c.starts[random.IntN(len(c.starts))]
	for range random.IntN(5) {
		v += c.parts[random.IntN(len(c.parts))]
	}
	return v
}

// pair makes two: of near misses, which tell most, three out of four.
func (c corpus) pair(random *rand.Rand) (a, b string) {
	a = c.version(random)
	if random.IntN(4) == 0 {
		return a, c.version(random)
	}
	b = a
	for range 1 + random.IntN(2) {
		b = c.mutate(random, b)
	}
	if random.IntN(2) == 0 {
		return b, a
	}
	return a, b
}

// mutate puts a part in or at the end, or takes some bytes out.
func (c corpus) mutate(random *rand.Rand, v string) string {
	part := c.parts[random.IntN(len(c.parts))]
	at := random.IntN(len(v) + 1)
	switch random.IntN(4) {
	case 0:
		return v[:at] + part + v[at:]
	case 1:
		end := min(len(v), at+1+random.IntN(3))
		return v[:at] + v[end:]
	case 2:
		end := min(len(v), at+1)
		return v[:at] + part + v[end:]
	}
	return v + part
}

// pairs makes n pairs that the reference programs can read: in UTF-8, without
// the characters that part them.
func (c corpus) pairs(random *rand.Rand, n int) (pairs [][2]string) {
	for len(pairs) < n {
		a, b := c.pair(random)
		if text := a + b; text == strings.ToValidUTF8(text, "") && !strings.ContainsAny(text, "\t\r\n\x00") {
			pairs = append(pairs, [2]string{a, b})
		}
	}
	return pairs
}
