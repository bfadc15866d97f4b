package alpine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/alpine"
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/realdata"
)

func part(name string) feed.Part { return feed.Part{Name: name} }

func parse(name string, r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	return feedtest.Parse(alpine.New(), part(name), r)
}

func TestParse(t *testing.T) {
	file, err := os.Open(filepath.Join("testdata", "main.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	groups, parsed, err := parse("v3.7/main", file)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s (%s)\n", g.Name, g.Part)
		for _, a := range g.Advisories {
			fmt.Fprintf(&b, "  %s %s %s fixed %q severity %s note %q\n", a.Vulnerability, a.Ecosystem, a.Status, a.Fixed, a.Severity, a.Note)
		}
	}
	feedtest.Summary(&b, parsed)
	feedtest.Golden(t, "main.golden", b.String())
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, document, want string }{
		{"empty", "", "alpine v3.7/main: byte 0: unexpected EOF"},
		{"page", "<html>", "alpine v3.7/main: byte 0: invalid character '<'"},
		{"list", "[]", "want an object"},
		{"another branch", `{"packages": [], "distroversion": "v3.8", "reponame": "main"}`, `the document is that of "v3.8/main"`},
		{"another repository", `{"packages": [], "distroversion": "v3.7", "reponame": "community"}`, `the document is that of "v3.7/community"`},
		{"no packages", `{"distroversion": "v3.7", "reponame": "main"}`, "the document has no packages"},
		{"packages of another type", `{"packages": {}, "distroversion": "v3.7", "reponame": "main"}`, `"packages": unexpected type`},
		{"name of another type", `{"packages": [], "distroversion": 3.7, "reponame": "main"}`, `"distroversion": unexpected type`},
		{"truncated", `{"distroversion": "v3.7", "reponame": "main", "packages": [{"pkg": {"name": "a"`, "unexpected EOF"},
		{"not closed", `{"distroversion": "v3.7", "reponame": "main", "packages": []`, "unexpected EOF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := parse("v3.7/main", strings.NewReader(test.document)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestParseStops(t *testing.T) {
	document := `{"packages": [{"pkg": {"name": "a", "secfixes": {"1-r0": ["CVE-2000-0001"]}}}, {}]}`
	mine := errors.New("mine")
	if _, err := alpine.New().Parse(context.Background(), part("v3.7/main"), strings.NewReader(document), func(advisory.Group) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := alpine.New().Parse(ctx, part("v3.7/main"), strings.NewReader(document), func(advisory.Group) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
}

func TestParts(t *testing.T) {
	f := alpine.New()
	parts := f.Parts()
	if len(parts) != 46 {
		t.Errorf("%d parts", len(parts))
	}
	want := feed.Part{Name: "v3.7/community", URL: "https://secdb.alpinelinux.org/v3.7/community.json", Ecosystems: []string{"alpine:v3.7"}}
	found := false
	published := make(map[string]bool)
	for _, p := range parts {
		found = found || cmp.Equal(p, want)
		published[p.Name] = true
	}
	if !found {
		t.Errorf("no %+v in %+v", want, parts)
	}
	var asked []string
	for more := f.More(published); len(more) > 0; more = f.More(published) {
		for _, p := range more {
			asked = append(asked, p.Name)
			published[p.Name] = strings.HasPrefix(p.Name, "v3.25/")
		}
	}
	if diff := cmp.Diff([]string{"v3.25/main", "v3.25/community", "v3.26/main", "v3.26/community"}, asked); diff != "" {
		t.Errorf("further parts (-want +got):\n%s", diff)
	}
	if more := f.More(map[string]bool{"v3.24/main": false}); more != nil {
		t.Errorf("the newest branch is not published, but %v is asked for", more)
	}
}

// realDocuments are the published documents by part.
func realDocuments(t testing.TB) map[string][]byte {
	t.Helper()
	root := filepath.Join(realdata.Root(t), "feeds", "secdb.alpinelinux.org")
	files, err := filepath.Glob(filepath.Join(root, "*", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no published documents in %s", root)
	}
	documents := make(map[string][]byte)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		branch := filepath.Base(filepath.Dir(file))
		documents[branch+"/"+strings.TrimSuffix(filepath.Base(file), ".json")] = text
	}
	return documents
}

// TestRealDocuments finds every pair of version and text that plain
// unmarshalling finds, and nothing else.
func TestRealDocuments(t *testing.T) {
	total, mended := 0, 0
	for name, text := range realDocuments(t) {
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
		type key struct{ pkg, version, vulnerability string }
		want := make(map[key]bool)
		for _, p := range doc.Packages {
			for version, texts := range p.Pkg.Fixes {
				for _, text := range texts {
					for _, word := range strings.Fields(text) { // those that are written as they should be
						if len(word) > 12 && strings.HasPrefix(word, "CVE-") && strings.Trim(word[4:], "0123456789-") == "" && strings.Count(word, "-") == 2 {
							want[key{p.Pkg.Name, version, word}] = true
						}
					}
				}
			}
		}
		groups, parsed, err := parse(name, strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Skipped.Count > 0 {
			t.Errorf("%s: skipped %+v", name, parsed.Skipped)
		}
		got := make(map[key]bool)
		for _, g := range groups {
			for _, a := range g.Advisories {
				total++
				published := a.Fixed
				switch {
				case a.Status == advisory.NotAffected:
					published = "0"
				case strings.HasPrefix(a.Note, "published as "):
					mended++
					if _, err := fmt.Sscanf(a.Note, "published as %q", &published); err != nil {
						t.Errorf("note %q: %v", a.Note, err)
					}
				}
				got[key{g.Name, published, a.Vulnerability}] = true
			}
		}
		for k := range want {
			if !got[k] {
				t.Errorf("%s: %v is missing", name, k)
			}
		}
	}
	t.Logf("%d statements, %d with a version that was mended", total, mended)
}

func FuzzParse(f *testing.F) {
	seed, err := os.ReadFile(filepath.Join("testdata", "main.json"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	for _, text := range []string{`{}`, `{"packages": [null]}`, `{"distroversion": "v3.7", "reponame": "main", "packages": [{"pkg": {"name": "a", "secfixes": {"0": ["CVE-2000-0001 (x"]}}}]}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, _, err := parse("v3.7/main", strings.NewReader(string(text)))
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Errorf("no JSON, but no error: %q", text)
		}
		for _, g := range groups {
			if len(g.Advisories) == 0 || g.Name == "" {
				t.Errorf("%+v: nothing, or of nothing", g)
			}
			for _, a := range g.Advisories {
				if a.Package != g.Name || a.Vulnerability == "" || a.Ecosystem != "alpine:v3.7" {
					t.Errorf("%+v of %q", a, g.Name)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := realDocuments(b)["edge/community"]
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := alpine.New().Parse(context.Background(), part("edge/community"), strings.NewReader(string(text)), func(advisory.Group) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
}
