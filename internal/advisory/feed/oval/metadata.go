package oval

import (
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/cvss"
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
	score, err := cvss.Parse(vector, "")
	return score, err == nil
}
