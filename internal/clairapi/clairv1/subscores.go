package clairv1

import (
	"math"
	"strings"
)

// subscores are the two parts of a base score of CVSS 3, rounded as NVD shows them
// (https://www.first.org/cvss/v3.1/specification-document, section 7.1).
func subscores(metrics string) (exploitability, impact float64) {
	value := make(map[string]string)
	for metric := range strings.SplitSeq(metrics, "/") {
		name, v, _ := strings.Cut(metric, ":")
		value[name] = v
	}
	changed := value["S"] == "C"
	weights := func(name string, of map[string]float64) float64 { return of[value[name]] }
	privileges := map[string]float64{"N": 0.85, "L": 0.62, "H": 0.27}
	if changed {
		privileges["L"], privileges["H"] = 0.68, 0.5
	}
	exploitability = 8.22 * weights("AV", map[string]float64{"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}) *
		weights("AC", map[string]float64{"L": 0.77, "H": 0.44}) * weights("PR", privileges) * weights("UI", map[string]float64{"N": 0.85, "R": 0.62})
	loss := map[string]float64{"H": 0.56, "L": 0.22}
	base := 1 - (1-weights("C", loss))*(1-weights("I", loss))*(1-weights("A", loss))
	impact = 6.42 * base
	if changed {
		impact = 7.52*(base-0.029) - 3.25*math.Pow(base-0.02, 15)
	}
	round := func(x float64) float64 { return math.Round(max(x, 0)*10) / 10 }
	return round(exploitability), round(impact)
}
