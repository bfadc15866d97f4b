package cvss_test

import (
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory/cvss"
)

func TestVectors(t *testing.T) {
	tests := []struct {
		vector, version string
		base            float64
	}{
		{"AV:N/AC:L/Au:N/C:P/I:P/A:P", "2.0", 7.5},
		{"(AV:L/AC:H/Au:S/C:N/I:N/A:C)", "2.0", 3.8},
		{"CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", "3.0", 6.1},
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", "3.1", 9.8},
		{" CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H/E:U/RL:O ", "3.1", 9.8},
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "4.0", 9.3},
		{"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N/E:U", "4.0", 9.3},
		{"", "", 0},
		{"7.5", "", 0},
		{"CVSS:3.1/", "", 0},
		{"CVSS:5.0/AV:N", "", 0},
		{"CVSS:4.0/AV:N/AC:L", "", 0},
		{"CVSS:3.1/" + strings.Repeat("AV:N/", 10_000), "", 0},
	}
	for _, test := range tests {
		s, err := cvss.Parse(test.vector, "")
		ok := err == nil
		if ok != (test.version != "") || ok && (s.Version != test.version || s.Base != test.base || s.Vector != strings.Trim(test.vector, " ()")) {
			t.Errorf("%.60q: %+v, %t", test.vector, s, ok)
		}
	}
}
