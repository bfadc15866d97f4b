package azure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/azure"
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/advisory/feed/oval/ovaltest"
	"github.com/pratique/pratique/internal/inventory/rpmdb"
	"github.com/pratique/pratique/internal/realdata"
)

func parse(name string, r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	return feedtest.Parse(azure.New(), feedtest.Part(azure.New(), name), r)
}

func testdata(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "azurelinux.xml"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParse(t *testing.T) {
	groups, parsed, err := parse("azurelinux-3.0", bytes.NewReader(testdata(t)))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s (%s)\n", g.Name, g.Part)
		for _, a := range g.Advisories {
			fmt.Fprintf(&b, "  %s %s %s %s source %v", a.ID, a.Vulnerability, a.Ecosystem, a.Package, a.Source)
			for _, field := range []struct{ name, value string }{{"from", a.Introduced}, {"fixed", a.Fixed}, {"last", a.LastAffected}, {"note", a.Note}} {
				if field.value != "" {
					fmt.Fprintf(&b, " %s %q", field.name, field.value)
				}
			}
			fmt.Fprintf(&b, " %s %s\n", a.Status, a.Severity)
		}
		for _, v := range slices.Sorted(maps.Keys(g.Details)) {
			d := g.Details[v]
			fmt.Fprintf(&b, "  %s: %q %s %q %s\n", v, d.Description, d.Severity, d.References, d.Published.Format("2006-01-02"))
		}
	}
	feedtest.Summary(&b, parsed)
	feedtest.Golden(t, "azurelinux.golden", b.String())
}

func TestParseRefuses(t *testing.T) {
	text := string(testdata(t))
	tests := []struct{ name, part, document, want string }{
		{"empty", "azurelinux-3.0", "", "azurelinux azurelinux-3.0: byte 0: unexpected EOF"},
		{"page", "azurelinux-3.0", "404: Not Found", `it has "404: Not Found" where an element`},
		{"cut", "azurelinux-3.0", text[:len(text)-30], "unexpected EOF"},
		{"another distribution's", "cbl-mariner-2.0", text, `definition "oval:com.microsoft.azurelinux:def:1" is of another distribution`},
		{"nothing that can be used", "azurelinux-3.0", "<oval_definitions><definitions><definition/></definitions></oval_definitions>", "none of 1 definitions can be used"},
		{"a part of nothing", "other", text, "a part is of one distribution"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := parse(test.part, strings.NewReader(test.document)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestParseStops(t *testing.T) {
	f := azure.New()
	mine := errors.New("mine")
	if _, err := f.Parse(context.Background(), feedtest.Part(azure.New(), "azurelinux-3.0"), bytes.NewReader(testdata(t)), func(advisory.Group) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Parse(ctx, feedtest.Part(azure.New(), "azurelinux-3.0"), bytes.NewReader(testdata(t)), func(advisory.Group) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
}

func TestParts(t *testing.T) {
	f := azure.New()
	want := []feed.Part{
		{Name: "azurelinux-3.0", URL: "https://raw.githubusercontent.com/microsoft/AzureLinuxVulnerabilityData/main/azurelinux-3.0-oval.xml", Ecosystems: []string{"azurelinux:3.0"}},
		{Name: "cbl-mariner-2.0", URL: "https://raw.githubusercontent.com/microsoft/AzureLinuxVulnerabilityData/main/cbl-mariner-2.0-oval.xml", Ecosystems: []string{"mariner:2.0"}},
		{Name: "cbl-mariner-1.0", URL: "https://raw.githubusercontent.com/microsoft/AzureLinuxVulnerabilityData/main/cbl-mariner-1.0-oval.xml", Ecosystems: []string{"mariner:1.0"}},
	}
	if diff := cmp.Diff(want, f.Parts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	published := map[string]bool{"azurelinux-3.0": true, "cbl-mariner-2.0": true, "cbl-mariner-1.0": true}
	more := f.More(published)
	if len(more) != 1 || more[0].Name != "azurelinux-4.0" || more[0].Ecosystems[0] != "azurelinux:4.0" {
		t.Errorf("further parts %+v", more)
	}
	published["azurelinux-4.0"] = false
	if more := f.More(published); more != nil {
		t.Errorf("4.0 is not published, but %v is asked for", more)
	}
}

func realData(t testing.TB, path ...string) []byte {
	t.Helper()
	return realdata.Read(t, path...)
}

func realDocument(t testing.TB, name string) []byte {
	t.Helper()
	return realData(t, "feeds", "raw.githubusercontent.com", "microsoft", "AzureLinuxVulnerabilityData", "main", name+"-oval.xml")
}

var element = regexp.MustCompile(`<(patchable|advisory_id|severity)>([^<]*)<`)

// TestRealDocuments compares every definition with what plain unmarshalling and
// following of the references finds.
func TestRealDocuments(t *testing.T) {
	for _, p := range azure.New().Parts() {
		content := realDocument(t, p.Name)
		groups, parsed, err := parse(p.Name, bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		if parsed.Skipped.Count > 0 || !slices.Equal(parsed.Ecosystems, p.Ecosystems) {
			t.Errorf("%s: %+v", p.Name, parsed)
		}
		got := make(map[string]int)
		for _, g := range groups {
			for _, a := range g.Advisories {
				got[fmt.Sprint(g.Name, " ", a.ID, " ", a.Vulnerability, " ", a.Package, " ", a.Status, " ", a.Fixed, " ", a.LastAffected, " ", a.Severity)]++
			}
		}
		want := make(map[string]int)
		d := ovaltest.Parse(t, content)
		for i := range d.Definitions {
			def := &d.Definitions[i]
			said := make(map[string]string)
			for _, e := range element.FindAllStringSubmatch(def.Metadata.Inner, -1) {
				said[e[1]] = e[2]
			}
			pkg, evr := d.Only(t, def)
			status, fixed, last := "affected", "", ""
			switch {
			case said["patchable"] == "Not Applicable":
				status = "not_affected"
			case evr.Operation == "less than":
				fixed = plain(evr.Value)
			case evr.Operation == "less than or equal":
				last = plain(evr.Value)
			}
			cve := regexp.MustCompile(`ref_id="(CVE-[0-9-]+)"`).FindStringSubmatch(def.Metadata.Inner)[1]
			want[fmt.Sprint(def.ID, " ", said["advisory_id"], " ", cve, " ", pkg, " ", status, " ", fixed, " ", last, " ", strings.ToLower(said["severity"]))]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: statements (-want +got):\n%s", p.Name, diff)
		}
		t.Logf("%s: %d definitions, %d statements", p.Name, len(d.Definitions), len(got))
	}
}

// plain is a version without an epoch of 0.
func plain(evr string) string { return strings.TrimPrefix(strings.ReplaceAll(evr, " ", ""), "0:") }

// TestKnownAnswer judges the packages of a real image. By the letter of the
// document, where a definition is about the binary package that it names, 265
// pairs of package and vulnerability are true, on 31 packages. Six of them are
// of definitions that are not applicable; and what is built of the same source
// is affected too.
func TestKnownAnswer(t *testing.T) {
	document := realDocument(t, "cbl-mariner-2.0")
	database := realData(t, "rpmdb", "cbl-mariner-2.0", "rpmdb.sqlite")
	type installed struct{ name, source, version string }
	var packages []installed
	source := regexp.MustCompile(`-[^-]+-[^-]+\.src\.rpm$`)
	_, problems, err := rpmdb.Read(bytes.NewReader(database), int64(len(database)), func(r *rpmdb.Package) error {
		packages = append(packages, installed{r.Name, source.ReplaceAllString(r.SourceRPM, ""), fmt.Sprintf("%d:%s-%s", max(r.Epoch, 0), r.Version, r.Release)})
		return nil
	})
	if err != nil || len(problems) > 0 || len(packages) != 129 {
		t.Fatalf("%d packages, %v, %v", len(packages), problems, err)
	}

	// By the letter: as OVAL is evaluated.
	d := ovaltest.Parse(t, document)
	letter := make(map[[2]string]bool)
	var system ovaltest.System
	for _, p := range packages {
		system.Packages = append(system.Packages, ovaltest.Package{Name: p.name, Version: p.version})
	}
	inapplicable := 0
	for i := range d.Definitions {
		def := &d.Definitions[i]
		if !d.True(t, def, system) {
			continue
		}
		pkg, _ := d.Only(t, def)
		letter[[2]string{pkg, def.Metadata.Title[:strings.Index(def.Metadata.Title, " ")]}] = true
		if strings.Contains(def.Metadata.Inner, "<patchable>Not Applicable<") {
			inapplicable++
		}
	}

	groups, _, err := parse("cbl-mariner-2.0", bytes.NewReader(document))
	if err != nil {
		t.Fatal(err)
	}
	// As the advisories say, by binary package, then by source.
	judge := func(bySource bool) map[[2]string]bool {
		found := make(map[[2]string]bool)
		for _, g := range groups {
			for _, a := range g.Advisories {
				for _, p := range packages {
					name := p.name
					if bySource {
						name = p.source
					}
					if a.Status == advisory.Affected && a.Package == name && a.Source &&
						(a.Fixed == "" || ovaltest.Compare(p.version, a.Fixed) < 0) && (a.LastAffected == "" || ovaltest.Compare(p.version, a.LastAffected) <= 0) {
						found[[2]string{p.name, a.Vulnerability}] = true
					}
				}
			}
		}
		return found
	}
	names := func(pairs map[[2]string]bool) int {
		distinct := make(map[string]bool)
		for pair := range pairs {
			distinct[pair[0]] = true
		}
		return len(distinct)
	}
	byName, bySource := judge(false), judge(true)
	for _, check := range []struct {
		name                    string
		pairs                   map[[2]string]bool
		wantPairs, wantPackages int
	}{
		{"by the letter", letter, 265, 31},
		{"by name, of what is applicable", byName, 259, 31},
		{"by source", bySource, 372, 53},
	} {
		if len(check.pairs) != check.wantPairs || names(check.pairs) != check.wantPackages {
			t.Errorf("%s: %d pairs on %d packages, want %d on %d", check.name, len(check.pairs), names(check.pairs), check.wantPairs, check.wantPackages)
		}
	}
	for pair := range byName {
		if !letter[pair] || !bySource[pair] {
			t.Errorf("%v is not found by the letter, or not by source", pair)
		}
	}
	if len(letter)-len(byName) != inapplicable {
		t.Errorf("%d pairs are not found, and %d are not applicable", len(letter)-len(byName), inapplicable)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(testdata(f))
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, parsed, err := parse("azurelinux-3.0", bytes.NewReader(text))
		if err != nil {
			return
		}
		for _, g := range groups {
			if len(g.Advisories) == 0 {
				t.Errorf("%q: a group of nothing", g.Name)
			}
			for _, a := range g.Advisories {
				if a.Package == "" || a.Vulnerability == "" || !slices.Contains(parsed.Ecosystems, a.Ecosystem) {
					t.Errorf("%+v, ecosystems %q", a, parsed.Ecosystems)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	text := realDocument(b, "cbl-mariner-2.0")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := parse("cbl-mariner-2.0", bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
