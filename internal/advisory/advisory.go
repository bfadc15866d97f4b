// Package advisory is the model of what feeds publish: advisories, the
// vulnerabilities that they speak of, and severities.
//
// It must not know SQL, HTTP or how a package was found.
package advisory

import (
	"fmt"
	"strings"
)

// Status is what an advisory says of a package's versions.
type Status string

const (
	// Affected: versions from Introduced up to, not including, Fixed are
	// affected; every later version too where Fixed is empty.
	Affected Status = "affected"
	// NotAffected: the publisher says that no version is affected.
	NotAffected Status = "not_affected"
	// Undetermined: the publisher has not judged yet. It is no finding.
	Undetermined Status = "undetermined"
)

// Advisory is one published statement of a feed: package and version range to
// vulnerability.
type Advisory struct {
	// Vulnerability is the identifier that the feed uses, the CVE id where
	// there is one.
	Vulnerability string `json:"vulnerability"`
	// Ecosystem is a distribution ("debian:12", "alpine:v3.20").
	Ecosystem string `json:"ecosystem"`
	// Package is the source package (Debian) or origin (Alpine).
	Package string `json:"package"`
	Status  Status `json:"status"`
	// Introduced is the first affected version, "" for every version.
	Introduced string `json:"introduced,omitempty"`
	// Fixed is the first version that is not affected any more, "" where
	// there is none (yet).
	Fixed    string   `json:"fixed,omitempty"`
	Severity Severity `json:"severity"`
	// Note is the publisher's own word for its judgement, verbatim: Debian's
	// urgency ("unimportant", "end-of-life") or nodsa reason.
	Note string `json:"note,omitempty"`
}

// Group is everything that one part of a feed says of one package: the unit in
// which changes are noticed, stored and matched again.
type Group struct {
	// Part is the document that it came from ("v3.7/main"); Package as in Advisory.
	Part       string
	Package    string
	Advisories []Advisory
	// Descriptions maps a vulnerability to its text, where the feed has one.
	Descriptions map[string]string
}

// Key is what packages and advisories are joined by.
type Key struct {
	Ecosystem string
	Package   string
}

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
