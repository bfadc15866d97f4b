package main

import (
	"archive/zip"
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/flate"
)

// upstream makes up what publishers have, in their own formats and, where size
// is 1, as much of it: some 3 million statements on some 300,000 vulnerabilities.
// The same size and day always make the same bytes. On a later day 2,000
// advisories (times size) say something else than the day before.
type upstream struct {
	size float64
	day  int
	// again has the documents be other bytes that say the same.
	again bool
	// advisories and changed count the records, or in Debian's document the pairs
	// of a package and a vulnerability, and those that are not as on day 0.
	advisories, changed int
}

// publishers are the feeds that are made up, as `pratique feeds update` names them.
var publishers = []string{"debian", "ubuntu", "almalinux", "npm", "pypi", "maven", "go", "packagist", "rubygems", "crates-io", "nuget"}

// write makes a mirror of all publishers, as --feeds-mirror takes it.
func (u *upstream) write(dir string) error {
	u.advisories, u.changed = 0, 0
	err := create(filepath.Join(dir, "security-tracker.debian.org", "tracker", "data", "json"), u.debian)
	for _, a := range []struct {
		folder string
		write  func(*zip.Writer) error
	}{
		{"Ubuntu", u.ubuntu}, {"AlmaLinux", u.almalinux},
		// Of npm most is on packages that are malicious altogether.
		{"npm", func(z *zip.Writer) error { return errors.Join(u.language(z, "npm", 6_000), u.malicious(z, 209_000)) }},
		{"PyPI", func(z *zip.Writer) error { return u.language(z, "PyPI", 18_000) }},
		{"Maven", func(z *zip.Writer) error { return u.language(z, "Maven", 6_500) }},
		{"Go", func(z *zip.Writer) error { return u.language(z, "Go", 5_000) }},
		{"Packagist", func(z *zip.Writer) error { return u.language(z, "Packagist", 5_000) }},
		{"RubyGems", func(z *zip.Writer) error { return u.language(z, "RubyGems", 2_000) }},
		{"crates.io", func(z *zip.Writer) error { return u.language(z, "crates.io", 2_000) }},
		{"NuGet", func(z *zip.Writer) error { return u.language(z, "NuGet", 1_500) }},
	} {
		err = errors.Join(err, create(filepath.Join(dir, "osv-vulnerabilities.storage.googleapis.com", a.folder, "all.zip"), func(w io.Writer) error {
			z := zip.NewWriter(w)
			var shared *flate.Writer // a new one for each record would take most of the time
			z.RegisterCompressor(zip.Deflate, func(w io.Writer) (_ io.WriteCloser, err error) {
				if shared == nil {
					shared, err = flate.NewWriter(w, flate.BestSpeed)
					return shared, err
				}
				shared.Reset(w)
				return shared, nil
			})
			err := a.write(z)
			if u.again {
				err = errors.Join(err, z.SetComment("again"))
			}
			return errors.Join(err, z.Close())
		}))
	}
	return err
}

func create(name string, write func(io.Writer) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 1<<20)
	if err := write(w); err != nil {
		return err
	}
	return w.Flush()
}

// of is how many of n there are at this size.
func (u *upstream) of(n int) int { return max(10, int(float64(n)*u.size)) }

// says counts an advisory and reports whether it is one that says something else
// today: some of every publisher do.
func (u *upstream) says(index, total, changes int) bool {
	u.advisories++
	stride := max(1, total/u.of(changes))
	if u.day == 0 || index%stride != stride/2 {
		return false
	}
	u.changed++
	return true
}

// cves is how many CVE ids the distributions speak of.
func (u *upstream) cves() int { return u.of(60_000) }

func (u *upstream) cve(i int) string {
	i %= u.cves()
	return fmt.Sprintf("CVE-%d-%d", 2005+i*21/u.cves(), 1000+i)
}

// chance is different for each seed, and always the same.
func chance(publisher string, seed int) *rand.Rand {
	h := uint64(14695981039346656037)
	for _, c := range []byte(publisher) {
		h = (h ^ uint64(c)) * 1099511628211
	}
	return rand.New(rand.NewPCG(h, uint64(seed)))
}

// skewed is one of n of which the first are by far the most likely, as packages
// are that everybody uses and looks at.
func skewed(r *rand.Rand, n int) int {
	f := r.Float64()
	return int(f * f * f * float64(n))
}

var syllables = strings.Fields("ba ke li mo nu ra se ti vo zu qua pre tro gly ster mon da fi gor hex jul kan lum mir nor pex")

// packageName is the i-th name of a publisher's: all of one are different.
func packageName(publisher string, i int) string {
	var b strings.Builder
	for n := i + len(syllables); n > 0; n /= len(syllables) {
		b.WriteString(syllables[n%len(syllables)])
	}
	switch publisher {
	case "Maven":
		return "org." + syllables[i%len(syllables)] + ".project:" + b.String()
	case "Go":
		return "example.com/" + syllables[i%len(syllables)] + "/" + b.String()
	case "Packagist":
		return syllables[i%len(syllables)] + "/" + b.String()
	}
	return b.String()
}

var words = strings.Fields(`a an the was found in of and to with that this when could allow remote local attacker user crafted
	file packet request header memory buffer overflow read write heap stack integer pointer dereference denial service execute arbitrary
	code leak information disclosure race condition privilege escalation bypass authentication improper validation input parsing function
	component module library version before fixed issue vulnerability affects certain configurations may lead crash`)

// prose writes a description of about so many bytes.
func prose(r *rand.Rand, size int) string {
	var b strings.Builder
	for b.Len() < size {
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(words[r.IntN(len(words))])
	}
	return b.String()
}

// steps is how many versions a package has had.
const steps = 100

// fixStep is the version with a fix: of most it is an old one, so that what is
// installed, one of the newest, is affected by one in fifty or so.
func fixStep(r *rand.Rand, changed bool) int {
	step := int((1 - math.Sqrt(r.Float64())) * steps)
	if changed {
		step = (step + 1) % steps
	}
	return step
}

// debianReleases are those of the tracker, with what ends a version of each.
var debianReleases = []struct{ codename, number, suffix string }{
	{"buster", "10", "+deb10u1"}, {"bullseye", "11", "+deb11u1"}, {"bookworm", "12", "+deb12u1"}, {"trixie", "13", "+deb13u1"}, {"forky", "14", ""}, {"sid", "unstable", ""},
}

// debianSource is the i-th source package; the first has a tenth of all entries.
func debianSource(i int) string {
	if i == 0 {
		return "linux"
	}
	return packageName("debian", i)
}

func (u *upstream) debianSources() int { return u.of(4_000) }

// debian writes the tracker's document: packages, vulnerabilities, releases.
func (u *upstream) debian(w io.Writer) error {
	pairs := u.of(100_000)
	perSource := make([]int, u.debianSources())
	perSource[0] = pairs / 10
	r := chance("debian", -1)
	for range pairs - perSource[0] {
		perSource[skewed(r, len(perSource))]++
	}
	var b []byte
	pair := 0
	for i, n := range perSource {
		open := byte('{')
		if i > 0 {
			open = ','
		}
		b = fmt.Appendf(b[:0], "%c%q: {", open, debianSource(i))
		first := chance("debian", i).IntN(u.cves())
		for j := range n {
			if j > 0 {
				b = append(b, ", "...)
			}
			b = u.debianPair(b, u.cve(first+j*7), pair, u.says(pair, pairs, 600))
			pair++
		}
		b = append(b, '}')
		if _, err := w.Write(b); err != nil {
			return err
		}
	}
	end := "}"
	if u.again {
		end += "\n"
	}
	_, err := io.WriteString(w, end)
	return err
}

func (u *upstream) debianPair(b []byte, cve string, pair int, changed bool) []byte {
	r := chance("debian pair", pair)
	b = fmt.Appendf(b, `%q: {"description": %q, "debianbug": %d, "scope": "remote", "releases": {`, cve, prose(r, 200), 100_000+pair)
	step, open := fixStep(r, changed), r.IntN(50) == 0 && !changed
	for i, release := range debianReleases {
		if i > 0 {
			b = append(b, ", "...)
		}
		repository := fmt.Sprintf("1.%d.0-1%s", steps-1, release.suffix)
		b = fmt.Appendf(b, `%q: {"status": `, release.codename)
		if open {
			b = fmt.Appendf(b, `"open", "repositories": {%q: %q}, "urgency": "unimportant"`, release.codename, repository)
		} else {
			b = fmt.Appendf(b, `"resolved", "repositories": {%q: %q}, "fixed_version": "1.%d.0-1%s", "urgency": "not yet assigned"`, release.codename, repository, step, release.suffix)
		}
		b = append(b, '}')
	}
	return append(b, "}}"...)
}
