package clairv1

import (
	"errors"
	"testing"

	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/remote"
)

// FuzzRead: whatever is answered, there is a report or a failure that says why.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"Layer":{"Name":"c","Features":[{"Name":"musl","Version":"1","AddedBy":"c","Vulnerabilities":[{"Name":"CVE-1","Severity":"Defcon1","Metadata":{"NVD":{"CVSSv3":{"Score":9.8,"Vectors":"CVSS:3.1/AV:N"}}}}]}]}}`,
		`{"Layer":{"Name":"c","Features":[null,{"Vulnerabilities":[null]}]}}`, `{"Layer":null}`, `null`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		report, err := read(&remote.Answer{Status: 200, Body: body}, source.Job{Layers: []source.Layer{{Digest: "sha256:d", Chain: "c"}}})
		var failure *source.Failure
		if err != nil && (!errors.As(err, &failure) || len(report.Findings) > 0) {
			t.Errorf("got %d findings and %v", len(report.Findings), err)
		}
	})
}
