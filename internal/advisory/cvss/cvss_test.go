package cvss_test

import (
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/cvss"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, vector string
		want         advisory.Score // no Version: an error
	}{
		// The base scores are those that NVD publishes with these vectors.
		{"version 2", "AV:N/AC:M/Au:N/C:C/I:C/A:C", advisory.Score{Version: "2.0", Base: 9.3}},
		{"version 2 in parentheses", "(AV:N/AC:M/Au:N/C:C/I:C/A:C)", advisory.Score{Version: "2.0", Base: 9.3, Vector: "AV:N/AC:M/Au:N/C:C/I:C/A:C"}},
		{"version 3.0", "CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", advisory.Score{Version: "3.0", Base: 6.1}},
		{"version 3.1", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H", advisory.Score{Version: "3.1", Base: 10}},
		{"no impact", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N", advisory.Score{Version: "3.1", Base: 0}},
		{"temporal metrics change no base score", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H/E:U/RL:O", advisory.Score{Version: "3.1", Base: 10}},
		{"version 4", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", advisory.Score{Version: "4.0", Base: 9.3}},
		{"empty", "", advisory.Score{}},
		{"a version that there is not", "CVSS:5.0/AV:N", advisory.Score{}},
		{"metrics missing", "CVSS:3.1/AV:N/AC:L", advisory.Score{}},
		{"no metric", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N/XX:Y", advisory.Score{}},
		{"no vector", "high", advisory.Score{}},
		{"without end", "CVSS:3.1/" + strings.Repeat("AV:N/", 1000), advisory.Score{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := cvss.Parse(test.vector, "me")
			if test.want.Version == "" {
				if err == nil {
					t.Errorf("got %+v, want an error", got)
				}
				return
			}
			if test.want.Source = "me"; test.want.Vector == "" {
				test.want.Vector = test.vector
			}
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"AV:N/AC:M/Au:N/C:C/I:C/A:C", "CVSS:3.0/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H",
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", "(", "CVSS:3.1/", "/",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, vector string) {
		score, err := cvss.Parse(vector, "")
		if err == nil && !(score.Base >= 0 && score.Base <= 10) {
			t.Errorf("%q has %v", vector, score.Base)
		}
	})
}
