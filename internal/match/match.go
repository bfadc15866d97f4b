// Package match decides which advisories affect a package, and says what a
// finding is. It is pure: no SQL, no HTTP, no clock.
package match

import (
	"fmt"
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
}

// Match is a package affected by a vulnerability, with the statement that says so.
type Match struct {
	Statement
	// Compared is the version of the package that was compared with the
	// statement's range: the source version where the ecosystem judges sources.
	Compared string
}

// Evidence says why a finding is one, down to the file and the comparison.
type Evidence struct {
	// Path is the file in the image that proves the package; Line its 1-based
	// line, 0 where lines mean nothing; Detector who read it.
	Path     string `json:"path"`
	Line     int    `json:"line,omitempty"`
	Detector string `json:"detector"`
	// Feed and Part name the document that states the advisory.
	Feed string `json:"feed"`
	Part string `json:"part"`
	// Subject is the package name that the advisory speaks of (the source package).
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
	Severity        advisory.Severity
	Package         inventory.Package
	// Fixed is the first version that is not affected, "" where there is none.
	Fixed       string
	LayerIndex  int
	LayerDigest string
	Evidence    Evidence
	// Sources names the vulnerability sources that report it ("built-in").
	Sources []string
	// FirstSeen is when this image was first known to have it.
	FirstSeen time.Time
}

// Decide says which statements affect a package. The statements are those of
// the package's distribution on its source package.
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
	subject := subjectVersion(p)
	found := make(map[string]int)
	var matches []Match
	for _, s := range statements {
		if s.Status != advisory.Affected || !affects(scheme, subject, s.Advisory) {
			continue
		}
		m := Match{Statement: s, Compared: subject}
		i, seen := found[s.Vulnerability]
		switch {
		case !seen:
			found[s.Vulnerability] = len(matches)
			matches = append(matches, m)
		case later(scheme, s.Fixed, matches[i].Fixed):
			matches[i] = m
		}
	}
	return matches
}

// Scheme is the ordering of a package type's versions; ok is false for a type
// that the built-in analyser cannot judge.
func Scheme(packageType string) (scheme version.Scheme, ok bool) {
	switch packageType {
	case "deb":
		return version.Deb, true
	case "apk":
		return version.APK, true
	}
	return "", false
}

// Comparable returns why a package's version cannot be judged, nil where it can.
func Comparable(p inventory.Package) error {
	scheme, ok := Scheme(p.Type)
	if !ok {
		return fmt.Errorf("packages of type %q are not judged", p.Type)
	}
	v := subjectVersion(p)
	_, err := version.Compare(scheme, v, v)
	return err
}

// subjectVersion is the version that advisories speak of: the source's.
func subjectVersion(p inventory.Package) string {
	if p.SourceVersion != "" {
		return p.SourceVersion
	}
	return p.Version
}

// Comparison words the decisive comparison of a finding, "1.1.18-r3 < 1.1.18-r4 (apk)".
func Comparison(p inventory.Package, introduced, fixed string) string {
	compared := subjectVersion(p)
	switch {
	case fixed != "":
		return fmt.Sprintf("%s < %s (%s)", compared, fixed, p.Type)
	case introduced != "":
		return fmt.Sprintf("%s >= %s (%s), no fix", compared, introduced, p.Type)
	}
	return compared + ": every version is affected, no fix"
}

func affects(scheme version.Scheme, v string, a advisory.Advisory) bool {
	if a.Introduced != "" {
		if c, err := version.Compare(scheme, v, a.Introduced); err != nil || c < 0 {
			return false
		}
	}
	if a.Fixed == "" {
		_, err := version.Compare(scheme, v, v)
		return err == nil
	}
	c, err := version.Compare(scheme, v, a.Fixed)
	return err == nil && c < 0
}

// later reports whether fix a tells more than fix b: it comes after b, or b is none.
func later(scheme version.Scheme, a, b string) bool {
	if a == "" || b == "" {
		return a != ""
	}
	c, err := version.Compare(scheme, a, b)
	return err == nil && c > 0
}
