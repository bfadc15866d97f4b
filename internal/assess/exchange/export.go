package exchange

import (
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/vex"
)

// Decisions are assessments in the words of VEX. What is of the type that VEX
// statements become is not affected; all else is.
func Decisions(list []assess.Assessment, vexType string) []vex.Decision {
	decisions := make([]vex.Decision, len(list))
	for i, a := range list {
		text := a.Comment
		if text == "" {
			text = "Assessed as " + a.Type + " by " + a.Author + "."
		}
		s := vex.Statement{Vulnerability: a.Vulnerability, Timestamp: a.CreatedAt}
		if a.Type == vexType {
			s.Status, s.Justification, s.Impact = vex.NotAffected, a.Justification, text
		} else {
			s.Status, s.Action = vex.Affected, text
		}
		if product := Product(a.Scope); product != "" {
			s.Products = []vex.Product{{ID: product}}
		}
		decisions[i] = vex.Decision{Statement: s, Author: a.Author}
	}
	return decisions
}
