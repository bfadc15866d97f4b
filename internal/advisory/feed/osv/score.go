package osv

import (
	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/cvss"
)

// scores are the vectors among grades, with their base scores. What is no
// vector is left out.
func scores(grades []grade) (list []advisory.Score) {
	for _, g := range grades {
		if s, err := cvss.Parse(g.score, ""); err == nil {
			list = append(list, s)
		}
	}
	return list
}
