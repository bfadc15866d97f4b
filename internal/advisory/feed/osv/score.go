package osv

import (
	"strings"

	gocvss20 "github.com/pandatix/go-cvss/20"
	gocvss30 "github.com/pandatix/go-cvss/30"
	gocvss31 "github.com/pandatix/go-cvss/31"
	gocvss40 "github.com/pandatix/go-cvss/40"

	"github.com/pratique/pratique/internal/advisory"
)

// scores are the vectors among grades, with their base scores. What is no
// vector is left out.
func scores(grades []grade) (list []advisory.Score) {
	for _, g := range grades {
		if s, ok := score(g.score); ok {
			list = append(list, s)
		}
	}
	return list
}

// maxVector is the length of the longest vector that has all metrics, and more.
const maxVector = 250

// score reads a CVSS vector, which says itself of which version it is
// (https://www.first.org/cvss/); those of version 2 do by not saying it.
func score(vector string) (s advisory.Score, ok bool) {
	vector = strings.Trim(strings.TrimSpace(vector), "()")
	if len(vector) > maxVector {
		return s, false
	}
	s.Vector = vector
	switch version, _, _ := strings.Cut(strings.TrimPrefix(vector, "CVSS:"), "/"); {
	case !strings.HasPrefix(vector, "CVSS:"):
		s.Version = "2.0"
		v, err := gocvss20.ParseVector(vector)
		if err != nil {
			return s, false
		}
		s.Base = v.BaseScore()
	case version == "3.0":
		s.Version = version
		v, err := gocvss30.ParseVector(vector)
		if err != nil {
			return s, false
		}
		s.Base = v.BaseScore()
	case version == "3.1":
		s.Version = version
		v, err := gocvss31.ParseVector(vector)
		if err != nil {
			return s, false
		}
		s.Base = v.BaseScore()
	case version == "4.0":
		s.Version = version
		if _, err := gocvss40.ParseVector(vector); err != nil {
			return s, false
		}
		v, err := gocvss40.ParseVector(base40(vector))
		if err != nil {
			return s, false
		}
		s.Base = v.Score()
	default:
		return s, false
	}
	return s, true
}

// base40 is a vector of version 4 with its base metrics alone: its score takes
// all metrics into account that are there (CVSS v4.0, section 1.3).
func base40(vector string) string {
	metrics := strings.Split(vector, "/")
	const base = 1 + 11 // they come first, in a fixed order
	return strings.Join(metrics[:min(base, len(metrics))], "/")
}
