package advisory

import (
	"cmp"
	"slices"
	"time"
)

// Summary is what is shown of a vulnerability: the word of those who are to be
// believed first, of all that is said.
type Summary struct {
	Description string
	// Severity is by CVSS where anybody scored it, else the highest that is stated.
	Severity Severity
	// CVSS is the base score, 0 where there is none; Vector is what it is
	// computed from.
	CVSS   float64
	Vector string
	// Published, Modified, Withdrawn and Exploited are zero where nothing is
	// said. Withdrawn is set only where everybody who speaks of it withdrew.
	Published, Modified, Withdrawn, Exploited time.Time
}

// NVD is the feed whose scores and words come first: it scores all the same way.
const NVD = "nvd"

// Summarise sums up what feeds say, given by feed, of one vulnerability, and the
// highest severity that any advisory states.
func Summarise(details map[string][]Detail, stated Severity) Summary {
	var s Summary
	var best Score
	var graded Severity
	said, withdrawn := 0, 0
	feeds := make([]string, 0, len(details))
	for feed := range details {
		feeds = append(feeds, feed)
	}
	slices.SortFunc(feeds, func(a, b string) int {
		return cmp.Or(-compareBool(a == NVD, b == NVD), cmp.Compare(a, b))
	})
	for _, feed := range feeds {
		for _, d := range details[feed] {
			if best == (Score{}) {
				best = newest(d.Scores)
			}
			graded = max(graded, d.Severity)
			if len(d.Description) > len(s.Description) {
				s.Description = d.Description
			}
			if !d.Published.IsZero() && (s.Published.IsZero() || d.Published.Before(s.Published)) {
				s.Published = d.Published
			}
			if d.Modified.After(s.Modified) {
				s.Modified = d.Modified
			}
			if d.Exploited != nil && s.Exploited.IsZero() {
				s.Exploited = d.Exploited.Added
				continue // such a list says nothing else
			}
			said++
			if !d.Withdrawn.IsZero() {
				withdrawn++
				s.Withdrawn = d.Withdrawn
			}
		}
	}
	if said == 0 || withdrawn < said {
		s.Withdrawn = time.Time{}
	}
	s.CVSS, s.Vector = best.Base, best.Vector
	s.Severity = cmp.Or(best.Severity(), graded, stated)
	return s
}

// newest is the score of the newest version of CVSS, the first of these.
func newest(scores []Score) (best Score) {
	for _, s := range scores {
		if s.Version > best.Version {
			best = s
		}
	}
	return best
}

// Severity is the qualitative rating of the base score
// (https://www.first.org/cvss/v3.1/specification-document, section 5; CVSS 2 has
// no critical, https://nvd.nist.gov/vuln-metrics/cvss).
func (s Score) Severity() Severity {
	switch {
	case s.Version == "":
		return Unknown
	case s.Base >= 9 && s.Version != "2.0":
		return Critical
	case s.Base >= 7:
		return High
	case s.Base >= 4:
		return Medium
	case s.Base > 0 || s.Version == "2.0":
		return Low
	}
	return Negligible
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
