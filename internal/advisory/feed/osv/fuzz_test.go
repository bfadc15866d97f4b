package osv_test

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/osv"
)

// FuzzRecord reads a record as one of each kind of publisher's.
func FuzzRecord(f *testing.F) {
	for _, one := range osv.Feeds() {
		for _, r := range records(f, one.Name()) {
			f.Add([]byte(r.content))
		}
	}
	var kinds []feed.Feed
	for _, name := range []string{"pypi", "almalinux", "rocky", "ubuntu"} {
		kinds = append(kinds, of(f, name))
	}
	f.Add([]byte(`{"id": "A", "affected": [{"package": {"ecosystem": "npm", "name": "\ud800"}, "versions": [null, 1, "", "1"]}]}`))
	f.Add([]byte(`{"id": "MAL-1", "affected": [{"package": {"ecosystem": "npm"}, "versions": {"a": [1]}, "ranges": null}, null]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, one := range kinds {
			folder := strings.ReplaceAll(strings.Split(one.Parts()[0].URL, "/")[3], "%20", " ")
			// One that is sound, so that the archive is one of this ecosystem.
			good := fmt.Sprintf(`{"id": "good", "affected": [{"package": {"ecosystem": "%s:9", "name": "a"}}]}`, folder)
			groups, parsed, err := parse(one, archive(t, file{"good.json", good}, file{"fuzz.json", string(text)}))
			if err != nil {
				t.Fatalf("%s: %v", one.Name(), err)
			}
			if len(groups) > 1 {
				t.Errorf("%s: %d groups of one record", one.Name(), len(groups))
			}
			for _, g := range groups {
				sane(t, g, parsed)
			}
		}
	})
}

// sane holds what is true of every group.
func sane(t *testing.T, g advisory.Group, parsed feed.Parsed) {
	t.Helper()
	if g.Name == "" || g.Part != "all" || len(g.Advisories) == 0 || len(g.Advisories) > 100_000 {
		t.Errorf("group %q of %q: %d statements", g.Name, g.Part, len(g.Advisories))
	}
	stated := make(map[string]bool)
	for _, a := range g.Advisories {
		stated[a.Vulnerability] = true
		if a.Vulnerability == "" || a.Ecosystem == "" || !slices.Contains(parsed.Ecosystems, a.Ecosystem) || a.ID == a.Vulnerability ||
			a.ID != "" && a.ID != g.Name || a.Status == "" || a.Fixed != "" && (a.LastAffected != "" || a.Fix != "") {
			t.Errorf("%+v of %q, ecosystems %q", a, g.Name, parsed.Ecosystems)
		}
	}
	for vulnerability, d := range g.Details {
		if !stated[vulnerability] || slices.Contains(d.Aliases, vulnerability) {
			t.Errorf("a detail of %q: %+v", vulnerability, d)
		}
	}
}

// large makes an archive of many records.
func large(b *testing.B, n int, record func(i int, w io.Writer)) *io.SectionReader {
	b.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for i := range n {
		w, err := z.Create(fmt.Sprintf("R-%d.json", i))
		if err != nil {
			b.Fatal(err)
		}
		record(i, w)
	}
	if err := z.Close(); err != nil {
		b.Fatal(err)
	}
	return section(out.Bytes())
}

// BenchmarkMalicious is on an archive as large as npm's real one, which is
// mostly of malicious packages.
func BenchmarkMalicious(b *testing.B) {
	const n = 220_000
	random := rand.New(rand.NewPCG(1, 2))
	benchmark(b, "npm", large(b, n, func(i int, w io.Writer) {
		fmt.Fprintf(w, `{"modified":"2025-09-12T01:13:34Z","published":"2025-09-08T17:11:19Z","schema_version":"1.5.0","id":"MAL-2025-%d","aliases":["GHSA-%08x"],`+
			`"summary":"Malicious code in package-%d (npm)","details":"Any computer that has this package is lost (%x).\n\n%s","affected":[{"package":{"ecosystem":"npm","name":"package-%d"},`+
			`"versions":["5.6.1"],"database_specific":{"cwes":[{"cweId":"CWE-506","description":"The product contains code that is malicious.","name":"Embedded Malicious Code"}]}}],`+
			`"references":[{"type":"ADVISORY","url":"https://advisories.example/%d"}],"credits":[{"name":"Somebody","type":"FINDER","contact":["somebody@example.com"]}],"database_specific":{"malicious-packages-origins":[`,
			i, random.Uint32(), i, random.Uint64(), strings.Repeat("Keys should be replaced from another computer. ", 10), i, i)
		for k := range 4 {
			if k > 0 {
				io.WriteString(w, ",")
			}
			fmt.Fprintf(w, `{"source":"somewhere","sha256":"%016x%016x%016x%016x","import_time":"2025-09-09T00:35:48.404674353Z","id":"GHSA-%08x","modified_time":"2025-09-08T18:23:16Z","versions":["5.6.1"]}`,
				random.Uint64(), random.Uint64(), random.Uint64(), random.Uint64(), i)
		}
		io.WriteString(w, `]}}`)
	}))
}

// BenchmarkKernel is on records such as those on Ubuntu's kernels, which list
// every version of every kernel.
func BenchmarkKernel(b *testing.B) {
	const n = 200
	benchmark(b, "ubuntu", large(b, n, func(i int, w io.Writer) {
		fmt.Fprintf(w, `{"schema_version":"1.7.0","id":"UBUNTU-CVE-2024-%d","details":"%s","upstream":["CVE-2024-%d"],"severity":[{"type":"Ubuntu","score":"medium"}],"published":"2024-04-25T06:15:00Z","affected":[`,
			10_000+i, strings.Repeat("In the Linux kernel ", 60), 10_000+i)
		for p := range 80 {
			if p > 0 {
				io.WriteString(w, ",")
			}
			fmt.Fprintf(w, `{"package":{"ecosystem":"Ubuntu:22.04:LTS","name":"linux-%d","purl":"pkg:deb/ubuntu/linux-%d@5.15.0-%d?arch=source&distro=jammy"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"5.15.0-%d.%d"}]}],"versions":[""`, p, p, i, i, p)
			for v := range 130 {
				fmt.Fprintf(w, `,"5.15.0-%d.%d~16.04.1"`, v, v+p)
			}
			io.WriteString(w, `],"ecosystem_specific":{"binaries":[{}`)
			for v := range 12 {
				fmt.Fprintf(w, `,{"binary_name":"linux-image-unsigned-5.15.0-%d","binary_version":"5.15.0-%d.%d"}`, v, i, p)
			}
			io.WriteString(w, `],"availability":"No subscription required"}}`)
		}
		io.WriteString(w, `]}`)
	}))
}

// BenchmarkDirectory is on the directory alone: its entries are no records, but one.
func BenchmarkDirectory(b *testing.B) {
	in := large(b, 220_000, func(i int, w io.Writer) {
		if i == 0 {
			io.WriteString(w, `{"id": "A-1", "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "versions": ["1"]}]}`)
		}
	})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := of(b, "npm").Parse(context.Background(), of(b, "npm").Parts()[0], in, func(advisory.Group) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
