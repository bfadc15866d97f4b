package clairv4

import (
	"errors"
	"testing"

	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/remote"
)

// FuzzRead: whatever is answered, there is a report or a failure that says why.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"manifest_hash":"sha256:d","packages":{"1":{"name":"musl","version":"1"}},"distributions":{"1":{"did":"alpine","version":"3.20"}},"environments":{"1":[{"introduced_in":"sha256:l","distribution_id":"1"}]},"vulnerabilities":{"2":{"name":"CVE-1","links":"a b","normalized_severity":"High","fixed_in_version":"fixed=2&introduced=0"}},"package_vulnerabilities":{"1":["2"]},"enrichments":{"enricher=clair.cvss":[{"2":[{"baseScore":7.5}]},7]}}`,
		`{"manifest_hash":"sha256:d","packages":{"1":null},"package_vulnerabilities":{"1":["2"]}}`, `{"manifest_hash":"sha256:d","environments":{"1":[]},"packages":{"1":{}},"package_vulnerabilities":{"1":[]}}`, `null`, ``,
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
