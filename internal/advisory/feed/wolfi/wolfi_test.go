package wolfi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/advisory/feed/wolfi"
	"github.com/pratique/pratique/internal/realdata"
)

func parse(f wolfi.Feed, r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	return feedtest.Parse(f, f.Parts()[0], r)
}

func TestParse(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "security.json"))
	if err != nil {
		t.Fatal(err)
	}
	groups, parsed, err := parse(wolfi.New(), strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s (%s)\n", g.Name, g.Part)
		for _, a := range g.Advisories {
			fmt.Fprintf(&b, "  %s %s source %t %s fixed %q note %q\n", a.Vulnerability, a.Ecosystem, a.Source, a.Status, a.Fixed, a.Note)
		}
	}
	feedtest.Summary(&b, parsed)
	feedtest.Golden(t, "security.golden", b.String())
}

func TestParseKnowsWhoseDocumentItIs(t *testing.T) {
	document := func(prefix, repository string) string {
		return fmt.Sprintf(`{"packages": [{"pkg": {"name": "a", "secfixes": {"1-r0": ["CVE-2000-0001"]}}}], "urlprefix": %q, "reponame": %q}`, prefix, repository)
	}
	tests := []struct {
		name     string
		feed     wolfi.Feed
		document string
		want     string // of the error; "" for none
	}{
		{"wolfi", wolfi.New(), document("https://packages.wolfi.dev", "os"), ""},
		{"a slash", wolfi.New(), document("https://packages.wolfi.dev/", "os"), ""},
		{"chainguard", wolfi.NewChainguard(), document("https://packages.cgr.dev", "chainguard"), ""},
		{"chainguard for wolfi", wolfi.New(), document("https://packages.cgr.dev", "chainguard"), `wolfi security: byte 146: the document is that of "https://packages.cgr.dev/chainguard"`},
		{"wolfi for chainguard", wolfi.NewChainguard(), document("https://packages.wolfi.dev", "os"), `chainguard security: byte 140: the document is that of "https://packages.wolfi.dev/os"`},
		{"alpine for wolfi", wolfi.New(), document("https://dl-cdn.alpinelinux.org/alpine", "main"), "the document is that of"},
		{"nobody's", wolfi.New(), `{"packages": []}`, `the document is that of "/"`},
		{"a page", wolfi.New(), "<html>", "wolfi security: byte 0: invalid character '<'"},
		{"cut", wolfi.New(), document("https://packages.wolfi.dev", "os")[:60], "unexpected EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			groups, parsed, err := parse(test.feed, strings.NewReader(test.document))
			switch {
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want one with %q", err, test.want)
			case test.want == "" && (err != nil || len(groups) != 1 || groups[0].Advisories[0].Ecosystem != test.feed.Name() || parsed.Ecosystems[0] != test.feed.Name()):
				t.Errorf("%+v, %+v, %v", groups, parsed, err)
			}
		})
	}
}

// realDocument is the published database of Wolfi.
func realDocument(t testing.TB) []byte {
	t.Helper()
	return realdata.Read(t, "feeds", "packages.wolfi.dev", "os", "security.json")
}

// TestRealDocument finds every triple of package, version and identifier that
// plain unmarshalling finds, and nothing else.
func TestRealDocument(t *testing.T) {
	text := realDocument(t)
	type key struct{ pkg, version, vulnerability string }
	want := make(map[key]int)
	var doc struct {
		Packages []struct {
			Pkg struct {
				Name  string              `json:"name"`
				Fixes map[string][]string `json:"secfixes"`
			} `json:"pkg"`
		} `json:"packages"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	unaffected := 0
	for _, p := range doc.Packages {
		for version, names := range p.Pkg.Fixes {
			for _, name := range names {
				want[key{p.Pkg.Name, version, name}]++
				if version == "0" {
					unaffected++
				}
			}
		}
	}
	groups, parsed, err := parse(wolfi.New(), strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[key]int)
	gotUnaffected := 0
	kinds := make(map[string]int)
	for _, g := range groups {
		for _, a := range g.Advisories {
			version := a.Fixed
			if a.Status == advisory.NotAffected {
				version = "0"
				gotUnaffected++
			}
			got[key{a.Package, version, a.Vulnerability}]++
			kind, _, _ := strings.Cut(a.Vulnerability, "-")
			kinds[kind]++
		}
	}
	if len(groups) != len(doc.Packages) || parsed.Skipped.Count != 0 || gotUnaffected != unaffected {
		t.Errorf("%d packages, want %d; %d not affected, want %d; skipped %+v", len(groups), len(doc.Packages), gotUnaffected, unaffected, parsed.Skipped)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	t.Logf("%d packages, %d statements by kind of name: %v, %d not affected", len(groups), len(got), kinds, unaffected)
}

func FuzzParse(f *testing.F) {
	seed, err := os.ReadFile(filepath.Join("testdata", "security.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add([]byte(`{"urlprefix": "https://packages.wolfi.dev", "reponame": "os", "packages": [{"pkg": {"name": "a", "secfixes": {"0": ["CGA-2222-3333-4444"]}}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, _, err := parse(wolfi.New(), strings.NewReader(string(text)))
		if err != nil {
			return
		}
		for _, g := range groups {
			for _, a := range g.Advisories {
				if a.Package != g.Name || a.Vulnerability == "" || a.Ecosystem != "wolfi" || !a.Source {
					t.Errorf("%+v of %q", a, g.Name)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := realDocument(b)
	b.SetBytes(int64(len(text)))
	rows := 0
	for b.Loop() {
		groups, _, err := parse(wolfi.New(), strings.NewReader(string(text)))
		if err != nil {
			b.Fatal(err)
		}
		for _, g := range groups {
			rows += len(g.Advisories)
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
