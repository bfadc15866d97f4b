package clairv4

import (
	"strings"

	"github.com/pratique/pratique/internal/clairapi"
)

// cvssItem is a score as NVD writes it (cvss-v2.0.json, cvss-v3.1.json), which Clair
// passes on; the members for metrics are those of its version.
type cvssItem struct {
	Version      string  `json:"version"`
	VectorString string  `json:"vectorString"`
	BaseScore    float64 `json:"baseScore"`
	BaseSeverity string  `json:"baseSeverity"`

	AttackVector       string `json:"attackVector,omitempty"`
	AttackComplexity   string `json:"attackComplexity,omitempty"`
	PrivilegesRequired string `json:"privilegesRequired,omitempty"`
	UserInteraction    string `json:"userInteraction,omitempty"`
	Scope              string `json:"scope,omitempty"`

	AccessVector     string `json:"accessVector,omitempty"`
	AccessComplexity string `json:"accessComplexity,omitempty"`
	Authentication   string `json:"authentication,omitempty"`

	Confidentiality string `json:"confidentialityImpact,omitempty"`
	Integrity       string `json:"integrityImpact,omitempty"`
	Availability    string `json:"availabilityImpact,omitempty"`
}

func score(t clairapi.Threat) (cvssItem, bool) {
	if t.Vector == "" {
		return cvssItem{}, false
	}
	item := cvssItem{Version: "2.0", VectorString: t.Vector, BaseScore: t.CVSS}
	if head, _, _ := strings.Cut(t.Vector, "/"); strings.HasPrefix(head, "CVSS:") {
		item.Version = strings.TrimPrefix(head, "CVSS:")
	}
	switch { // https://nvd.nist.gov/vuln-metrics/cvss
	case t.CVSS == 0:
		item.BaseSeverity = "NONE"
	case t.CVSS < 4:
		item.BaseSeverity = "LOW"
	case t.CVSS < 7:
		item.BaseSeverity = "MEDIUM"
	case t.CVSS < 9 || item.Version == "2.0":
		item.BaseSeverity = "HIGH"
	default:
		item.BaseSeverity = "CRITICAL"
	}
	item.metrics()
	return item, true
}

// metrics writes out what the vector abbreviates. What it does not know is left out.
func (c *cvssItem) metrics() {
	for metric := range strings.SplitSeq(c.VectorString, "/") {
		name, value, _ := strings.Cut(metric, ":")
		switch {
		case c.Version == "2.0":
			switch name {
			case "AV":
				c.AccessVector = word(value, "L", "LOCAL", "A", "ADJACENT_NETWORK", "N", "NETWORK")
			case "AC":
				c.AccessComplexity = word(value, "H", "HIGH", "M", "MEDIUM", "L", "LOW")
			case "Au":
				c.Authentication = word(value, "M", "MULTIPLE", "S", "SINGLE", "N", "NONE")
			}
			c.impact(name, value, "N", "NONE", "P", "PARTIAL", "C", "COMPLETE")
		case strings.HasPrefix(c.Version, "3"):
			switch name {
			case "AV":
				c.AttackVector = word(value, "N", "NETWORK", "A", "ADJACENT_NETWORK", "L", "LOCAL", "P", "PHYSICAL")
			case "AC":
				c.AttackComplexity = word(value, "L", "LOW", "H", "HIGH")
			case "PR":
				c.PrivilegesRequired = word(value, "N", "NONE", "L", "LOW", "H", "HIGH")
			case "UI":
				c.UserInteraction = word(value, "N", "NONE", "R", "REQUIRED")
			case "S":
				c.Scope = word(value, "U", "UNCHANGED", "C", "CHANGED")
			}
			c.impact(name, value, "N", "NONE", "L", "LOW", "H", "HIGH")
		}
	}
}

func (c *cvssItem) impact(name, value string, words ...string) {
	switch name {
	case "C":
		c.Confidentiality = word(value, words...)
	case "I":
		c.Integrity = word(value, words...)
	case "A":
		c.Availability = word(value, words...)
	}
}

// word is the one that follows the letter; "" where there is none.
func word(letter string, pairs ...string) string {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i] == letter {
			return pairs[i+1]
		}
	}
	return ""
}
