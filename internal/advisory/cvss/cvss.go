// Package cvss reads vectors of the Common Vulnerability Scoring System, in each
// of its versions (https://www.first.org/cvss/), and computes their base scores:
// what publishers print beside a vector is not always what it says.
package cvss

import (
	"errors"
	"fmt"
	"strings"

	cvss20 "github.com/pandatix/go-cvss/20"
	cvss30 "github.com/pandatix/go-cvss/30"
	cvss31 "github.com/pandatix/go-cvss/31"
	cvss40 "github.com/pandatix/go-cvss/40"

	"github.com/pratique/pratique/internal/advisory"
)

// maxVector bounds a vector; one of version 4 with all its metrics has about 250 bytes.
const maxVector = 512

// Parse reads a vector that source made, such as
// "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"; one of version 2 has no head,
// and may stand in parentheses.
func Parse(vector, source string) (advisory.Score, error) {
	if len(vector) > maxVector {
		return advisory.Score{}, fmt.Errorf("a CVSS vector of %d bytes", len(vector))
	}
	vector = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(vector), "("), ")")
	score := advisory.Score{Vector: vector, Source: source}
	var err error
	switch head, _, _ := strings.Cut(vector, "/"); head {
	case "CVSS:4.0":
		var v *cvss40.CVSS40
		if _, err = cvss40.ParseVector(vector); err == nil {
			if v, err = cvss40.ParseVector(base40(vector)); err == nil {
				score.Version, score.Base = "4.0", v.Score()
			}
		}
	case "CVSS:3.1":
		var v *cvss31.CVSS31
		if v, err = cvss31.ParseVector(vector); err == nil {
			score.Version, score.Base = "3.1", v.BaseScore()
		}
	case "CVSS:3.0":
		var v *cvss30.CVSS30
		if v, err = cvss30.ParseVector(vector); err == nil {
			score.Version, score.Base = "3.0", v.BaseScore()
		}
	case "":
		err = errors.New("it is empty")
	default:
		var v *cvss20.CVSS20
		if v, err = cvss20.ParseVector(vector); err == nil {
			score.Version, score.Base = "2.0", v.BaseScore()
		}
	}
	if err != nil {
		return advisory.Score{}, fmt.Errorf("CVSS vector %q: %w", vector, err)
	}
	return score, nil
}

// base40 is a vector of version 4 with its base metrics alone: its score takes
// all metrics into account that are there (CVSS v4.0, section 1.3).
func base40(vector string) string {
	metrics := strings.Split(vector, "/")
	const base = 1 + 11 // they come first, in a fixed order
	return strings.Join(metrics[:min(base, len(metrics))], "/")
}
