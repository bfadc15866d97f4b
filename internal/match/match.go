// Package match decides which advisories affect a package, and says what a
// finding is. It is pure: no SQL, no HTTP, no clock.
package match

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/version"
)

// Statement is an advisory with where it was published.
type Statement struct {
	advisory.Advisory
	// Feed and Part name the publisher and the document ("alpine", "v3.7/main").
	Feed string
	Part string
	// Fallback is set of what was read for one package, and is not stated of its own
	// products but of what they are derived from: RHEL 9, for an extended stream of
	// RHEL 9.2. It counts where nothing else is stated of the package and the
	// vulnerability.
	Fallback bool
}

// Match is a package affected by a vulnerability, with the statement that says so.
type Match struct {
	Statement
	// Compared is the version of the package that was compared with the
	// statement's range: the source's where the statement is on sources.
	Compared string
}

// Evidence says why a finding is one, down to the file and the comparison.
type Evidence struct {
	// Path is the file in the image that proves the package; Line its 1-based
	// line, 0 where lines mean nothing; Detector who read it.
	Path     string `json:"path"`
	Line     int    `json:"line,omitempty"`
	Detector string `json:"detector"`
	// Record is what in the file proves it, where that is not a line.
	Record string `json:"record,omitempty"`
	// Feed and Part name the document that states the advisory; Advisory is the
	// publisher's name for it, "" where it has none but the vulnerability's.
	Feed     string `json:"feed"`
	Part     string `json:"part"`
	Advisory string `json:"advisory,omitempty"`
	// Subject is the package name that the advisory speaks of, of a source
	// package where it speaks of these.
	Subject string `json:"subject"`
	// Comparison is the decisive comparison, "1.1.18-r3 < 1.1.18-r4 (apk)".
	Comparison string `json:"comparison"`
	// Note is the publisher's own word, verbatim.
	Note string `json:"note,omitempty"`
}

// Finding is a vulnerability of a package in an image.
type Finding struct {
	VulnerabilityID int64
	Vulnerability   string
	Description     string
	// Severity is the publisher's for the package, else the vulnerability's.
	Severity advisory.Severity
	// CVSS is the base score of the vulnerability, 0 where nobody gives one, and
	// Vector what it is computed from.
	CVSS   float64
	Vector string
	// EPSS is how probable it is, from 0 to 1, that the vulnerability is exploited
	// within thirty days, and Percentile the share of all vulnerabilities for which
	// it is no more probable; both 0 where it is not known.
	EPSS, Percentile float64
	// ExploitedSince is when it came on a list of exploited vulnerabilities; zero
	// where it is on none.
	ExploitedSince time.Time
	Package        inventory.Package
	// Fixed is the first version that is not affected, "" where there is none;
	// Fix says then what the publisher means to do.
	Fixed       string
	Fix         advisory.FixState
	LayerIndex  int
	LayerDigest string
	Evidence    Evidence
	// Sources names the vulnerability sources that report it ("built-in").
	Sources []string
	// Witnesses are what the external ones among them say, each in its own words.
	Witnesses []Witness
	// FirstSeen is when this image was first known to have it.
	FirstSeen time.Time
}

// Decide says which statements affect a package. The statements are those under
// any of the package's Keys that may, and, where one of these is a fallback, the
// others on its vulnerability. It is not asked where there is but one on the
// vulnerability, which is no fallback, on the package's module or any, and on all
// architectures: that affects the package.
type Decide func(p inventory.Package, statements []Statement) []Match

// Package is the Decide of the built-in analyser: a version is affected where
// it lies in a statement's range by the ordering of the package's type. Of
// several statements on one vulnerability the one with the highest fix counts:
// an advisory that names a second, later fix says that the first was incomplete.
//
// A version that its ordering cannot compare matches nothing; such packages are
// reported when their inventory is stored, see Comparable.
func Package(p inventory.Package, statements []Statement) []Match {
	scheme, ok := Scheme(p.Type)
	if !ok {
		return nil
	}
	found := make(map[string]int)
	own := overruled(p, statements)
	var matches []Match
	for i := range statements {
		s := &statements[i]
		if s.Status != advisory.Affected || !concerns(p, s.Advisory) || s.Fallback && own[s.Vulnerability] {
			continue
		}
		subject := Subject(p, s.Source)
		if !within(scheme, subject, s.Advisory) {
			continue
		}
		m := Match{Statement: *s, Compared: subject}
		i, seen := found[s.Vulnerability]
		switch {
		case !seen:
			found[s.Vulnerability] = len(matches)
			matches = append(matches, m)
		case outranks(scheme, &m, &matches[i]):
			matches[i] = m
		}
	}
	return matches
}

// schemes are the orderings of the package types that can be judged.
var schemes = map[string]version.Scheme{
	"deb": version.Deb, "apk": version.APK, "rpm": version.RPM,
	"cargo": version.Cargo, "composer": version.Composer, "gem": version.Gem, "golang": version.Golang, "hex": version.Hex, "maven": version.Maven,
	"npm": version.NPM, "nuget": version.NuGet, "pub": version.Pub, "pypi": version.PyPI,
}

// Scheme is the ordering of a package type's versions; ok is false for a type
// that the built-in analyser cannot judge.
func Scheme(packageType string) (scheme version.Scheme, ok bool) {
	scheme, ok = schemes[packageType]
	return scheme, ok
}

// SchemeOf is the ordering of the versions in an ecosystem's advisories; ok is
// false for an ecosystem that the built-in analyser cannot judge.
func SchemeOf(ecosystem string) (scheme version.Scheme, ok bool) {
	if strings.HasPrefix(ecosystem, "cpe:") {
		return version.RPM, true
	}
	id, _, release := strings.Cut(ecosystem, ":")
	if kind := inventory.PackageType(id); kind != "" {
		return Scheme(kind)
	}
	if release {
		return "", false
	}
	return Scheme(ecosystem)
}

// VersionKeys are what orders a package's version and its source's; nil where
// nothing does.
func VersionKeys(p inventory.Package) (binary, source []byte) {
	scheme, ok := Scheme(p.Type)
	if !ok {
		return nil, nil
	}
	return keyOf(scheme, Subject(p, false)), keyOf(scheme, Subject(p, true))
}

// Bounds are what orders the bounds of an advisory's range; nil where there is no bound.
type Bounds struct {
	Introduced, Fixed, LastAffected []byte
}

// BoundsOf returns an error that names the bound which cannot be ordered: nothing
// can be compared with such a range.
func BoundsOf(a advisory.Advisory) (b Bounds, err error) {
	scheme, ok := SchemeOf(a.Ecosystem)
	if !ok {
		return b, fmt.Errorf("the order of versions of %q is not known", a.Ecosystem)
	}
	for _, bound := range []struct {
		version string
		key     *[]byte
	}{{a.Introduced, &b.Introduced}, {a.Fixed, &b.Fixed}, {a.LastAffected, &b.LastAffected}} {
		if bound.version == "" {
			continue
		}
		if *bound.key, err = version.Key(scheme, bound.version); err != nil {
			return Bounds{}, err
		}
	}
	return b, nil
}

func keyOf(scheme version.Scheme, v string) []byte {
	key, err := version.Key(scheme, v)
	if err != nil {
		return nil
	}
	return key
}

// errNoGroup is of a jar that says its artifact only: no advisory speaks of that.
var errNoGroup = errors.New("its group is not known, and advisories are on GROUP:ARTIFACT")

// Comparable returns why a package cannot be judged, nil where it can.
func Comparable(p inventory.Package) error {
	scheme, ok := Scheme(p.Type)
	if !ok {
		return fmt.Errorf("packages of type %q are not judged", p.Type)
	}
	if group, artifact, found := strings.Cut(p.Name, ":"); p.Type == "maven" && (!found || group == "" || artifact == "") {
		return errNoGroup
	}
	for _, v := range []string{Subject(p, false), Subject(p, true)} {
		if _, err := version.Key(scheme, v); err != nil {
			return err
		}
	}
	return nil
}

// Subject is the version that is compared with a statement, on sources or not.
func Subject(p inventory.Package, source bool) string {
	if source && p.SourceVersion != "" {
		return p.SourceVersion
	}
	return p.Version
}

// Comparison words the decisive comparison of a finding, "1.1.18-r3 < 1.1.18-r4 (apk)".
func Comparison(p inventory.Package, a advisory.Advisory) string {
	compared := Subject(p, a.Source)
	switch {
	case a.Fixed != "":
		return fmt.Sprintf("%s < %s (%s)", compared, a.Fixed, p.Type)
	case a.LastAffected != "":
		return fmt.Sprintf("%s <= %s (%s), the last affected version", compared, a.LastAffected, p.Type)
	case a.Introduced != "":
		return fmt.Sprintf("%s >= %s (%s), no fix", compared, a.Introduced, p.Type)
	}
	return compared + ": every version is affected, no fix"
}

// concerns reports whether a statement is on packages like this one.
func concerns(p inventory.Package, a advisory.Advisory) bool {
	if a.Module != p.Module && a.Module != advisory.AnyModule {
		return false
	}
	if a.Architectures == "" || p.Architecture == "" || p.Architecture == "noarch" {
		return true
	}
	for architecture := range strings.FieldsSeq(a.Architectures) {
		if architecture == p.Architecture {
			return true
		}
	}
	return false
}

// within reports whether a version lies in a statement's range.
func within(scheme version.Scheme, v string, a advisory.Advisory) bool {
	if a.Introduced != "" {
		if c, err := version.Compare(scheme, v, a.Introduced); err != nil || c < 0 {
			return false
		}
	}
	switch {
	case a.Fixed != "":
		c, err := version.Compare(scheme, v, a.Fixed)
		return err == nil && c < 0
	case a.LastAffected != "":
		c, err := version.Compare(scheme, v, a.LastAffected)
		return err == nil && c <= 0
	}
	_, err := version.Compare(scheme, v, v)
	return err == nil
}

// outranks reports whether a tells more than b: it has a fix and b has none, or
// a later one. Of equals the more severe counts.
func outranks(scheme version.Scheme, a, b *Match) bool {
	switch {
	case a.Fixed == b.Fixed:
		return a.Severity > b.Severity
	case a.Fixed == "" || b.Fixed == "":
		return a.Fixed != ""
	}
	c, err := version.Compare(scheme, a.Fixed, b.Fixed)
	return err == nil && c > 0
}
