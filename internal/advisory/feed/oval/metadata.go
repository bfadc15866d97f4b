package oval

import (
	"strings"
	"time"

	cvss20 "github.com/pandatix/go-cvss/20"
	cvss30 "github.com/pandatix/go-cvss/30"
	cvss31 "github.com/pandatix/go-cvss/31"
	cvss40 "github.com/pandatix/go-cvss/40"

	"github.com/pratique/pratique/internal/advisory"
)

// Severity reads the word of a publisher: those of Red Hat, Oracle and SUSE, and
// those of CVSS.
func Severity(word string) advisory.Severity {
	switch strings.ToLower(word) {
	case "critical":
		return advisory.Critical
	case "important", "high":
		return advisory.High
	case "moderate", "medium":
		return advisory.Medium
	case "low":
		return advisory.Low
	}
	return advisory.Unknown
}

// Date reads a date, or a time, as they stand in metadata; zero for others.
func Date(text string) time.Time {
	for _, layout := range []string{time.DateOnly, "20060102", time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return t
		}
	}
	return time.Time{}
}

// Score reads a score as the attributes of cve elements have it: a number, and
// the vector, "7.8/CVSS:3.1/AV:L/…" or "7.8/AV:N/…". The number is computed anew.
// ok is false where the vector is none.
func Score(text string) (score advisory.Score, ok bool) {
	_, vector, found := strings.Cut(text, "/")
	if !found || strings.HasPrefix(text, "CVSS:") || strings.HasPrefix(text, "AV:") {
		vector = text
	}
	score.Vector = vector
	head, _, _ := strings.Cut(vector, "/")
	switch head {
	case "CVSS:4.0":
		if v, err := cvss40.ParseVector(vector); err == nil {
			score.Version, score.Base = "4.0", v.Score()
		}
	case "CVSS:3.1":
		if v, err := cvss31.ParseVector(vector); err == nil {
			score.Version, score.Base = "3.1", v.BaseScore()
		}
	case "CVSS:3.0":
		if v, err := cvss30.ParseVector(vector); err == nil {
			score.Version, score.Base = "3.0", v.BaseScore()
		}
	default:
		if v, err := cvss20.ParseVector(vector); err == nil {
			score.Version, score.Base = "2.0", v.BaseScore()
		}
	}
	return score, score.Version != ""
}
