package exchange

import (
	"slices"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/vex"
)

// Decisions are assessments in the words of VEX. What is of the type that VEX
// statements become is not affected; all else is.
func Decisions(list []assess.Assessment, vexType, version string) vex.Decisions {
	d := vex.Decisions{Version: version}
	for _, a := range list {
		if !slices.Contains(d.Authors, a.Author) {
			d.Authors = append(d.Authors, a.Author)
		}
		if a.CreatedAt.After(d.Created) {
			d.Created = a.CreatedAt
		}
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
		d.Statements = append(d.Statements, s)
	}
	slices.Sort(d.Authors)
	return d
}
