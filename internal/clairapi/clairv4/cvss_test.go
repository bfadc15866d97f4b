package clairv4

import (
	"encoding/json"
	"testing"

	"github.com/pratique/pratique/internal/clairapi"
)

func TestScore(t *testing.T) {
	for _, test := range []struct {
		vector string
		base   float64
		want   string
	}{
		{"", 5, ""},
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:L/A:N", 7.1, `{"version":"3.1","vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:L/A:N","baseScore":7.1,"baseSeverity":"HIGH",` +
			`"attackVector":"NETWORK","attackComplexity":"LOW","privilegesRequired":"NONE","userInteraction":"REQUIRED","scope":"UNCHANGED","confidentialityImpact":"HIGH","integrityImpact":"LOW","availabilityImpact":"NONE"}`},
		{"AV:L/AC:M/Au:S/C:N/I:P/A:C", 9.9, `{"version":"2.0","vectorString":"AV:L/AC:M/Au:S/C:N/I:P/A:C","baseScore":9.9,"baseSeverity":"HIGH",` +
			`"accessVector":"LOCAL","accessComplexity":"MEDIUM","authentication":"SINGLE","confidentialityImpact":"NONE","integrityImpact":"PARTIAL","availabilityImpact":"COMPLETE"}`},
		{"CVSS:4.0/AV:N/VC:H", 9.3, `{"version":"4.0","vectorString":"CVSS:4.0/AV:N/VC:H","baseScore":9.3,"baseSeverity":"CRITICAL"}`},
		{"CVSS:3.0/AV:?/:/S", 0, `{"version":"3.0","vectorString":"CVSS:3.0/AV:?/:/S","baseScore":0,"baseSeverity":"NONE"}`},
	} {
		item, ok := score(clairapi.Threat{Vector: test.vector, CVSS: test.base})
		if ok != (test.want != "") {
			t.Errorf("%q: %t", test.vector, ok)
		}
		if got, err := json.Marshal(item); ok && (err != nil || string(got) != test.want) {
			t.Errorf("%q: got %s, %v", test.vector, got, err)
		}
	}
}
