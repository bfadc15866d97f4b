package photon_test

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
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/advisory/feed/photon"
	"github.com/pratique/pratique/internal/realdata"
)

func parse(name string, r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	return feedtest.Parse(photon.New(), feed.Part{Name: name}, r)
}

func testdata(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "photon.json"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestParse(t *testing.T) {
	groups, parsed, err := parse("4.0", strings.NewReader(testdata(t)))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s (%s)\n", g.Name, g.Part)
		for _, a := range g.Advisories {
			fmt.Fprintf(&b, "  %s %s %s source %v %s fixed %q note %q\n", a.Vulnerability, a.Ecosystem, a.Package, a.Source, a.Status, a.Fixed, a.Note)
		}
	}
	feedtest.Summary(&b, parsed)
	feedtest.Golden(t, "photon.golden", b.String())
}

func TestParseRefuses(t *testing.T) {
	tests := []struct{ name, document, want string }{
		{"empty", "", "photon 4.0: byte 0: unexpected EOF"},
		{"page", "<html>", "photon 4.0: byte 0: invalid character '<'"},
		{"object", "{}", "photon 4.0: unexpected type at byte 2: want an array"},
		{"no records", "[]", "photon 4.0: byte 2: the document has no records"},
		{"cut", testdata(t)[:500], "unexpected EOF"},
		{"two documents", "[{}] []", "follows the document"},
		{"huge value", `[{"cve_id": "` + strings.Repeat("x", 17<<20), "one value is larger than"},
		{"too many", "[" + strings.Repeat("0,", 300_001) + "0]", "more than 300000 records"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := parse("4.0", strings.NewReader(test.document)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestParseStops(t *testing.T) {
	mine := errors.New("mine")
	if _, err := photon.New().Parse(context.Background(), feed.Part{Name: "4.0"}, strings.NewReader(testdata(t)), func(advisory.Group) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := photon.New().Parse(ctx, feed.Part{Name: "4.0"}, strings.NewReader(testdata(t)), func(advisory.Group) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
}

func TestParts(t *testing.T) {
	f := photon.New()
	published := make(map[string]bool)
	var names []string
	for _, p := range f.Parts() {
		names = append(names, p.Name)
		published[p.Name] = true
		if want := "https://packages.vmware.com/photon/photon_cve_metadata/cve_data_photon" + p.Name + ".json"; p.URL != want || p.Ecosystems[0] != "photon:"+p.Name {
			t.Errorf("%+v, want %s", p, want)
		}
	}
	for more := f.More(published); len(more) > 0; more = f.More(published) {
		names = append(names, more[0].Name)
		published[more[0].Name] = more[0].Name == "6.0"
	}
	if diff := cmp.Diff([]string{"5.0", "4.0", "3.0", "2.0", "1.0", "6.0", "7.0"}, names); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// realDocuments are the published documents by branch.
func realDocuments(t testing.TB) map[string][]byte {
	t.Helper()
	root := filepath.Join(realdata.Root(t), "feeds", "packages.vmware.com", "photon", "photon_cve_metadata")
	documents := make(map[string][]byte)
	for _, p := range photon.New().Parts() {
		if text, err := os.ReadFile(filepath.Join(root, "cve_data_photon"+p.Name+".json")); err == nil {
			documents[p.Name] = text
		}
	}
	if len(documents) == 0 {
		t.Skipf("no published documents in %s", root)
	}
	return documents
}

// TestRealDocuments compares with what plain unmarshalling finds.
func TestRealDocuments(t *testing.T) {
	for branch, text := range realDocuments(t) {
		var records []map[string]any
		if err := json.Unmarshal(text, &records); err != nil {
			t.Fatal(err)
		}
		want, skipped := make(map[string]int), 0
		for _, r := range records {
			id, pkg, fixed := strings.ToUpper(r["cve_id"].(string)), r["pkg"].(string), r["res_ver"].(string)
			if !strings.HasPrefix(id, "CVE-") && !strings.HasPrefix(id, "BDSA-") {
				skipped++
				continue
			}
			status := "affected"
			switch {
			case r["status"] == "Not Affected":
				status, fixed = "not_affected", ""
			case fixed == "NA":
				status, fixed = "undetermined", ""
			}
			want[id+" "+pkg+" "+status+" "+fixed]++
		}
		groups, parsed, err := parse(branch, strings.NewReader(string(text)))
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]int)
		for _, g := range groups {
			for _, a := range g.Advisories {
				if a.Ecosystem != "photon:"+branch || a.Vulnerability != g.Name {
					t.Errorf("%+v in %q", a, g.Name)
				}
				if a.Source {
					got[a.Vulnerability+" "+a.Package+" "+string(a.Status)+" "+a.Fixed]++
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || parsed.Skipped.Count != skipped {
			t.Errorf("%s: skipped %+v, want %d; statements (-want +got):\n%s", branch, parsed.Skipped, skipped, diff)
		}
		t.Logf("%s: %d records, %d statements", branch, len(records), len(got))
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(testdata(f)))
	f.Add([]byte(`[]`))
	f.Add([]byte(`[{"cve_id": "CVE-2024-1234", "pkg": "a"}]`))
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, parsed, err := parse("4.0", strings.NewReader(string(text)))
		if err != nil {
			return
		}
		if !json.Valid(text) {
			t.Errorf("no JSON, but no error: %q", text)
		}
		if (len(groups) > 0) != (len(parsed.Ecosystems) > 0) {
			t.Errorf("%d groups, ecosystems %q", len(groups), parsed.Ecosystems)
		}
		for _, g := range groups {
			for _, a := range g.Advisories {
				if a.Package == "" || a.Vulnerability != g.Name || a.Status == "" {
					t.Errorf("%+v in %q", a, g.Name)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	text.WriteString("[")
	for i := range 20_000 {
		if i > 0 {
			text.WriteString(",\n")
		}
		fmt.Fprintf(&text, `{"cve_id": "CVE-2024-%d", "pkg": "package-%d", "cve_score": 7.5, "aff_ver": "all versions before 1.2.8-5.ph4 are vulnerable", "res_ver": "1.2.8-5.ph4", "status": "Fixed"}`, 1000+i/3, i%400)
	}
	text.WriteString("]")
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := parse("4.0", strings.NewReader(text.String())); err != nil {
			b.Fatal(err)
		}
	}
}
