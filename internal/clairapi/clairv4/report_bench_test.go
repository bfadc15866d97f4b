package clairv4_test

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/test/clair/clairtest"
	"github.com/pratique/pratique/test/sample"
)

// BenchmarkReport reads the vulnerability report of an image of 1,000 packages with
// 2,500 findings.
func BenchmarkReport(b *testing.B) {
	server, blobs, must := clairtest.Start(b, clairtest.Options{}), clairtest.NewBlobs(b), clairtest.Must(b)
	var packages []sample.DebianPackage
	var advisories []advisory.Advisory
	for i := range 1000 {
		name := fmt.Sprintf("package-%d", i)
		packages = append(packages, sample.DebianPackage{Name: name, Version: "1.0-1"})
		for j := range 5 * (i % 2) {
			advisories = append(advisories, clairtest.Affected(fmt.Sprintf("CVE-2024-%d", 10_000+5*i+j), "debian:12", name, "1.1-1", advisory.High))
		}
	}
	server.Advise(b, advisories...)
	l := must(sample.DebianBase("12", "bookworm", packages...))
	body := fmt.Sprintf(`{"hash":%q,"layers":[{"hash":%q,"uri":%q}]}`, hash, l.Digest(), blobs.Add(l))
	if r, text := server.Call(b, http.MethodPost, reports, body); r.StatusCode != http.StatusCreated {
		b.Fatalf("%d %.300s", r.StatusCode, text)
	}
	for b.Loop() {
		r, err := http.Get(server.URL + matcher + hash)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil || r.StatusCode != http.StatusOK {
			b.Fatalf("%s, %v", r.Status, err)
		}
		r.Body.Close()
		b.SetBytes(n)
	}
}
