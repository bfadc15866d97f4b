package adapter

import (
	"errors"
	"testing"

	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/remote"
)

// FuzzRead: whatever is answered, there is a report or a failure that says why.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"artifact":{"digest":"sha256:d"},"vulnerabilities":[{"id":"CVE-1","package":"musl","version":"1","severity":"High","links":["x"],"preferred_cvss":{"score_v3":7.5}},null]}`,
		`{"artifact":{"digest":"sha256:d"},"vulnerabilities":null}`, `{"artifact":null}`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		report, err := read(&remote.Answer{Status: 200, Body: body}, "sha256:d")
		var failure *source.Failure
		if err != nil && (!errors.As(err, &failure) || len(report.Findings) > 0) {
			t.Errorf("got %d findings and %v", len(report.Findings), err)
		}
	})
}
