package source

import (
	"fmt"
	"slices"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// Word is what one source says of a vulnerability of a package.
type Word struct {
	match.Witness
	// Reports is false for a source that has answered, and does not report it.
	Reports bool
}

// Disagreement is a vulnerability of a package of which sources say different things.
type Disagreement struct {
	VulnerabilityID int64
	Vulnerability   string
	Severity        advisory.Severity
	Package         inventory.Package
	// On is what they disagree on: "reported", "severity", "fixed_version".
	On    []string
	Words []Word
}

// Disagreements compares what sources say that have answered for an image, in
// the order of its findings. A source that gives no severity does not disagree
// on it.
func Disagreements(found []match.Finding, answered []string) []Disagreement {
	if len(answered) < 2 {
		return nil
	}
	type subject struct {
		vulnerability int64
		pkg           inventory.Package
	}
	seen := make(map[subject]bool)
	var list []Disagreement
	for _, f := range found {
		about := subject{f.VulnerabilityID, f.Package}
		if seen[about] { // at another path
			continue
		}
		seen[about] = true
		d := Disagreement{VulnerabilityID: f.VulnerabilityID, Vulnerability: f.Vulnerability, Severity: f.Severity, Package: f.Package}
		for _, name := range answered {
			d.Words = append(d.Words, word(f, name))
		}
		if d.On = differences(d.Words); len(d.On) > 0 {
			list = append(list, d)
		}
	}
	return list
}

// word is what a source says of a finding.
func word(f match.Finding, name string) Word {
	w := Word{Witness: match.Witness{Source: name}, Reports: slices.Contains(f.Sources, name)}
	if !w.Reports {
		return w
	}
	if i := slices.IndexFunc(f.Witnesses, func(w match.Witness) bool { return w.Source == name }); i >= 0 {
		w.Witness = f.Witnesses[i]
		return w
	}
	w.Vulnerability, w.Severity, w.Fixed = f.Vulnerability, f.Severity, f.Fixed
	return w
}

func differences(words []Word) (on []string) {
	severities, fixes := make(map[advisory.Severity]bool), make(map[string]bool)
	reports := 0
	for _, w := range words {
		if !w.Reports {
			continue
		}
		reports++
		if w.Severity > advisory.Unknown {
			severities[w.Severity] = true
		}
		fixes[w.Fixed] = true
	}
	if reports < len(words) {
		on = append(on, "reported")
	}
	if len(severities) > 1 {
		on = append(on, "severity")
	}
	if len(fixes) > 1 {
		on = append(on, "fixed_version")
	}
	return on
}

// Cover says how much an image's findings can be relied on, given how far its
// sources are. Where the built-in analyser is attached nowhere, only the others count.
func Cover(c image.Coverage, builtIn bool, scans []Scan) image.Coverage {
	if !builtIn {
		c = image.Coverage{Verdict: image.Known}
		if len(scans) == 0 {
			return image.Coverage{Verdict: image.Unjudged, Reasons: []string{"no vulnerability source is attached"}}
		}
	}
	answers := builtIn
	for _, s := range scans {
		answers = answers || !s.AnsweredAt.IsZero()
		reason := ""
		switch {
		case s.AnsweredAt.IsZero():
			reason = fmt.Sprintf("%s has not answered yet", s.Source)
		case s.State == Quarantined || s.State == Waiting:
			reason = fmt.Sprintf("%s last answered at %s", s.Source, s.AnsweredAt.Format("2006-01-02T15:04:05Z07:00"))
		default:
			continue
		}
		if s.Error != "" {
			reason += ": " + s.Error
		}
		c.Reasons = append(c.Reasons, reason)
		if c.Verdict == image.Known {
			c.Verdict = image.Partial
		}
	}
	if !answers {
		c.Verdict = image.Unjudged
	}
	return c
}
