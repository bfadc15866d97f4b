package oval_test

import (
	"slices"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed/oval"
)

func TestScore(t *testing.T) {
	tests := []struct {
		text string
		want advisory.Score
	}{
		{"7.8/CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", advisory.Score{Version: "3.1", Vector: "CVSS:3.1/AV:L/AC:L/PR:L/UI:N/S:U/C:H/I:H/A:H", Base: 7.8}},
		{"6.5/CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:C/C:N/I:N/A:H", advisory.Score{Version: "3.0", Vector: "CVSS:3.0/AV:L/AC:L/PR:L/UI:N/S:C/C:N/I:N/A:H", Base: 6.5}},
		{"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", advisory.Score{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Base: 9.8}},
		{"4.3/AV:N/AC:M/Au:N/C:N/I:N/A:P", advisory.Score{Version: "2.0", Vector: "AV:N/AC:M/Au:N/C:N/I:N/A:P", Base: 4.3}},
		{"9.3/CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", advisory.Score{Version: "4.0", Vector: "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N", Base: 9.3}},
		{"", advisory.Score{}},
		{"7.8", advisory.Score{}},
		{"7.8/CVSS:3.1/AV:L", advisory.Score{}},
	}
	for _, test := range tests {
		got, ok := oval.Score(test.text)
		if ok != (test.want != advisory.Score{}) || ok && got != test.want {
			t.Errorf("%q: %+v, %v", test.text, got, ok)
		}
	}
}

func TestWords(t *testing.T) {
	for word, want := range map[string]advisory.Severity{
		"CRITICAL": advisory.Critical, "Important": advisory.High, "moderate": advisory.Medium, "LOW": advisory.Low, "N/A": advisory.Unknown, "": advisory.Unknown, "High": advisory.High, "Medium": advisory.Medium,
	} {
		if got := oval.Severity(word); got != want {
			t.Errorf("severity %q: %v", word, got)
		}
	}
	for text, want := range map[string]string{"2021-04-01": "2021-04-01", "20210401": "2021-04-01", "2025-03-27T21:13:02.9466667Z": "2025-03-27", "": "0001-01-01", "soon": "0001-01-01"} {
		if got := oval.Date(text).Format("2006-01-02"); got != want {
			t.Errorf("date %q: %s", text, got)
		}
	}
	for _, f := range []oval.Field{{Operation: "equals", Value: "x86_64"}, {Operation: "pattern match", Value: "^x86_64$"}, {Operation: "pattern match", Value: "(x86_64)"}} {
		if names, err := f.Architectures(); err != nil || !slices.Equal(names, []string{"x86_64"}) {
			t.Errorf("%+v: %q, %v", f, names, err)
		}
	}
	for _, f := range []oval.Field{{Operation: "not equal", Value: "x86_64"}, {Operation: "pattern match", Value: "x86.*"}, {Operation: "pattern match", Value: ""}} {
		if names, err := f.Architectures(); err == nil {
			t.Errorf("%+v: %q", f, names)
		}
	}
}
