package match_test

import (
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
)

func TestCVSS2(t *testing.T) {
	score := func(version, vector string, base float64) advisory.Score {
		return advisory.Score{Version: version, Vector: vector, Base: base}
	}
	two, three := score("2.0", "AV:N/AC:L/Au:N/C:P/I:P/A:P", 7.5), score("3.1", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", 9.8)
	other, four := score("2.0", "AV:L/AC:L/Au:N/C:P/I:P/A:P", 4.6), score("4.0", "CVSS:4.0/AV:N", 9.3)
	for _, test := range []struct {
		name    string
		details []match.Stated
		want    advisory.Score
		derived bool
		ok      bool
	}{
		{"none", nil, advisory.Score{}, false, false},
		{"given", []match.Stated{{Feed: "a", Detail: advisory.Detail{Scores: []advisory.Score{three, two}}}}, two, false, true},
		{"NVD's counts", []match.Stated{{Feed: "a", Detail: advisory.Detail{Scores: []advisory.Score{other}}}, {Feed: advisory.NVD, Detail: advisory.Detail{Scores: []advisory.Score{two}}}}, two, false, true},
		{"of version 3", []match.Stated{{Feed: "a", Detail: advisory.Detail{Scores: []advisory.Score{four, three}}}}, three, true, true},
		{"of version 4", []match.Stated{{Feed: "a", Detail: advisory.Detail{Scores: []advisory.Score{four}}}}, four, true, true},
		{"no version", []match.Stated{{Feed: "a", Detail: advisory.Detail{Scores: []advisory.Score{{}}}}}, advisory.Score{}, false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, derived, ok := match.CVSS2(match.Vulnerability{Details: test.details}.Scores())
			if got != test.want || derived != test.derived || ok != test.ok {
				t.Errorf("got %+v, %t, %t", got, derived, ok)
			}
		})
	}
}
