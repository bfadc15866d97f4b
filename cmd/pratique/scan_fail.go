package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/report"
)

// The words of --fail-on besides the severities.
const (
	failAny     = "any"
	failPolicy  = "policy"
	failUnknown = "unknown"
)

// conditions are what --fail-on lists.
type conditions struct {
	// from is the lowest severity that fails; nil for none.
	from            *advisory.Severity
	policy, unknown bool
}

func readConditions(words []string) (c conditions, err error) {
	for _, word := range words {
		switch word = strings.ToLower(strings.TrimSpace(word)); word {
		case failPolicy:
			c.policy = true
		case failUnknown:
			c.unknown = true
		case "":
		default:
			severity := advisory.Unknown
			if word != failAny {
				if severity, err = advisory.ParseSeverity(word); err != nil {
					return c, fmt.Errorf("--fail-on: want critical, high, medium, low, negligible, any, policy or unknown, got %q", word)
				}
			}
			if c.from == nil || severity < *c.from {
				c.from = &severity
			}
		}
	}
	return c, nil
}

// failed says which of the conditions the images meet, and why.
func (c conditions) failed(r report.Report) (reasons []string) {
	for _, img := range r.Images {
		about := img.Name
		if len(r.Images) > 1 {
			about += " (" + img.Platform + ")"
		}
		for _, reason := range c.of(img) {
			reasons = append(reasons, printable(about+": "+reason))
		}
	}
	return reasons
}

func (c conditions) of(img report.Image) (reasons []string) {
	if c.from != nil {
		var met []string
		for _, f := range img.Findings {
			severity, err := advisory.ParseSeverity(f.Severity)
			if err == nil && severity >= *c.from && f.State == assess.Unassessed && !slices.Contains(met, f.Vulnerability) {
				met = append(met, f.Vulnerability)
			}
		}
		if len(met) > 0 {
			severity := "of any severity"
			if *c.from != advisory.Unknown {
				severity = c.from.String() + " or above"
			}
			reasons = append(reasons, fmt.Sprintf("unassessed vulnerabilities %s: %s", severity, some(met)))
		}
	}
	if c.policy && img.Policy.Blocked {
		var met []string
		for _, r := range img.Policy.Reasons {
			about := cmp.Or(r.Vulnerability, r.Message)
			if !slices.Contains(met, about) {
				met = append(met, about)
			}
		}
		reasons = append(reasons, "policy blocks "+some(met))
	}
	if c.unknown && img.Coverage.Verdict == string(image.Unjudged) {
		reasons = append(reasons, "coverage is unknown")
	}
	return reasons
}

// some names the first few.
func some(names []string) string {
	const shown = 5
	if len(names) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return strings.Join(names, ", ")
}
