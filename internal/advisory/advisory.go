// Package advisory is the model of what feeds publish: advisories, the
// vulnerabilities that they speak of, and severities.
//
// It must not know SQL, HTTP or how a package was found.
package advisory

import (
	"fmt"
	"strings"
	"time"
)

// Status is what an advisory says of a package's versions.
type Status string

const (
	// Affected: versions from Introduced up to, not including, Fixed (up to and
	// including LastAffected) are affected; every later version too where both
	// are empty.
	Affected Status = "affected"
	// NotAffected: the publisher says that no version is affected.
	NotAffected Status = "not_affected"
	// Undetermined: the publisher has not judged yet. It is no finding.
	Undetermined Status = "undetermined"
	// Withdrawn: the publisher took the statement back. It is no finding.
	Withdrawn Status = "withdrawn"
)

// FixState is what the publisher means to do about affected versions that have
// no fix.
type FixState string

const (
	// FixUnknown: nothing is said; a fix may come.
	FixUnknown FixState = ""
	// WillNotFix: the publisher has decided against a fix.
	WillNotFix FixState = "will_not_fix"
	// Deferred: a fix will come some day (Debian's no-dsa, "fix deferred").
	Deferred FixState = "deferred"
	// EndOfLife: the package, or the release, gets no fixes any more.
	EndOfLife FixState = "end_of_life"
)

// Advisory is one published statement of a feed: package and version range to
// vulnerability.
type Advisory struct {
	// ID is the publisher's name for the statement ("GHSA-jfh8-c2jp-5v3q",
	// "RHSA-2024:1"), "" where it has none but the vulnerability's.
	ID string `json:"id,omitempty"`
	// Vulnerability is the CVE id where there is one, else the identifier that
	// the feed uses.
	Vulnerability string `json:"vulnerability"`
	// Ecosystem says what the version means: a distribution ("debian:12",
	// "alpine:v3.20"), a product of Red Hat's ("cpe:/a:redhat:openshift:4.12::el8"),
	// or the purl type of a language's packages ("npm", "pypi", "golang").
	Ecosystem string `json:"ecosystem"`
	// Package is the package's name: that of the source package where Source is set.
	Package string `json:"package"`
	// Source is set where Package and versions are those of source packages
	// (Debian, Ubuntu) or origins (Alpine).
	Source bool `json:"source,omitempty"`
	// Module limits the statement to packages of a module's stream
	// ("nodejs:18"), AnyModule to those of any; "" is for packages of none.
	Module string `json:"module,omitempty"`
	// Architectures limits the statement, "aarch64 x86_64"; "" is every one.
	Architectures string `json:"architectures,omitempty"`
	Status        Status `json:"status"`
	// Introduced is the first affected version, "" for every version.
	Introduced string `json:"introduced,omitempty"`
	// Fixed is the first version that is not affected any more, "" where
	// there is none (yet).
	Fixed string `json:"fixed,omitempty"`
	// LastAffected is the last affected version, where that is known instead of
	// Fixed.
	LastAffected string `json:"last_affected,omitempty"`
	// Fix is meant where there is no Fixed.
	Fix      FixState `json:"fix,omitempty"`
	Severity Severity `json:"severity"`
	// Note is the publisher's own word for its judgement, verbatim: Debian's
	// urgency ("unimportant", "end-of-life") or nodsa reason.
	Note string `json:"note,omitempty"`
}

// AnyModule is the Module of a statement whose stream is not known.
const AnyModule = "*"

// Score is how severe somebody judges a vulnerability by CVSS.
type Score struct {
	// Version is "2.0", "3.0", "3.1" or "4.0".
	Version string `json:"version"`
	Vector  string `json:"vector"`
	// Base is the base score, 0 to 10.
	Base float64 `json:"base"`
	// Source names who judged, where that is not the feed ("nvd@nist.gov").
	Source string `json:"source,omitempty"`
}

// Exploitation is an entry of a list of vulnerabilities that are exploited
// (https://www.cisa.gov/known-exploited-vulnerabilities-catalog).
type Exploitation struct {
	// Added and Due are dates.
	Added time.Time `json:"added,omitzero"`
	Due   time.Time `json:"due,omitzero"`
	// Ransomware is set where ransomware is known to use it.
	Ransomware bool   `json:"ransomware,omitempty"`
	Action     string `json:"action,omitempty"`
}

// Detail is what a feed says of a vulnerability as such.
type Detail struct {
	Description string `json:"description,omitempty"`
	// Aliases are other names of the same vulnerability. Two CVE ids are never
	// the same: such an alias is ignored.
	Aliases []string `json:"aliases,omitempty"`
	// Severity is the publisher's grade, Unknown where it gives none.
	Severity   Severity `json:"severity,omitempty"`
	Scores     []Score  `json:"scores,omitempty"`
	References []string `json:"references,omitempty"` // http(s) URLs
	Weaknesses []string `json:"weaknesses,omitempty"` // "CWE-79"
	// Published, Modified and Withdrawn are zero where nothing is said.
	Published time.Time     `json:"published,omitzero"`
	Modified  time.Time     `json:"modified,omitzero"`
	Withdrawn time.Time     `json:"withdrawn,omitzero"`
	Exploited *Exploitation `json:"exploited,omitempty"`
}

// Group is the unit in which changes are noticed, stored and matched again: what
// one part of a feed says under one name.
type Group struct {
	// Part is the document that it came from ("v3.7/main").
	Part string
	// Name is unique in the part: the package in documents that are lists of
	// packages, else the advisory ("GHSA-…") or the vulnerability.
	Name       string
	Advisories []Advisory
	// Details are by vulnerability, as Advisories spell it; of others only in a
	// group without advisories.
	Details map[string]Detail
}

// PackageName is the one spelling of a package's name by which it is joined: NuGet
// does not tell cases apart (https://learn.microsoft.com/nuget/reference/nuspec#id).
func PackageName(ecosystem, name string) string {
	if ecosystem == "nuget" {
		return strings.ToLower(name)
	}
	return name
}

// Key is what packages and advisories are joined by; its fields are as in Advisory.
type Key struct {
	Ecosystem string
	Package   string
	Source    bool
}

// Key is the advisory's.
func (a Advisory) Key() Key { return Key{Ecosystem: a.Ecosystem, Package: a.Package, Source: a.Source} }

// Severity orders from Unknown (nothing is known) to Critical.
type Severity int

// The severities, low to high. The numbers are stored; do not reorder.
const (
	Unknown Severity = iota
	Negligible
	Low
	Medium
	High
	Critical
)

var severityNames = [...]string{"unknown", "negligible", "low", "medium", "high", "critical"}

// String returns the lower-case name.
func (s Severity) String() string {
	if s < 0 || int(s) >= len(severityNames) {
		return fmt.Sprintf("severity(%d)", int(s))
	}
	return severityNames[s]
}

// MarshalText writes the lower-case name.
func (s Severity) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a name in any case.
func (s *Severity) UnmarshalText(b []byte) error {
	v, err := ParseSeverity(string(b))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// ParseSeverity reads a name in any case.
func ParseSeverity(name string) (Severity, error) {
	for i, n := range severityNames {
		if strings.EqualFold(n, name) {
			return Severity(i), nil
		}
	}
	return Unknown, fmt.Errorf("severity %q is not one of %s", name, strings.Join(severityNames[:], ", "))
}
