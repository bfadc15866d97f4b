package match

import "github.com/pratique/pratique/internal/advisory"

// Scores are the CVSS scores of a vulnerability, by the major version, "2" to "4":
// NVD's where it gives one, else the first.
func (v Vulnerability) Scores() map[string]advisory.Score {
	scores, nvd := make(map[string]advisory.Score), make(map[string]bool)
	for _, d := range v.Details {
		for _, s := range d.Scores {
			major := s.Version[:min(1, len(s.Version))]
			if _, known := scores[major]; !known || d.Feed == advisory.NVD && !nvd[major] {
				scores[major], nvd[major] = s, d.Feed == advisory.NVD
			}
		}
	}
	return scores
}

// CVSS2 is the score of version 2, which is all that clients of Clair 2 know. Where
// nobody gives one it is derived: the base score of version 3, else 4, as it is, for
// both go from 0 to 10 and mean the same; the vector is that which it is derived
// from. ok is false where there is none of any version.
func CVSS2(scores map[string]advisory.Score) (score advisory.Score, derived, ok bool) {
	if s, ok := scores["2"]; ok {
		return s, false, true
	}
	for _, major := range []string{"3", "4"} {
		if s, ok := scores[major]; ok {
			return s, true, true
		}
	}
	return advisory.Score{}, false, false
}
