package oracle_test

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
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/advisory/feed/oracle"
	"github.com/pratique/pratique/internal/advisory/feed/oval/ovaltest"
	"github.com/pratique/pratique/internal/realdata"
)

func parse(r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	f := oracle.New()
	return feedtest.Parse(f, f.Parts()[0], r)
}

func testdata(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "elsa.xml"))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestParse(t *testing.T) {
	groups, parsed, err := parse(bytes.NewReader(testdata(t)))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s (%s)\n", g.Name, g.Part)
		for _, a := range g.Advisories {
			fmt.Fprintf(&b, "  %s %s %s %s", a.ID, a.Vulnerability, a.Ecosystem, a.Package)
			for _, field := range []struct{ name, value string }{
				{"module", a.Module}, {"on", a.Architectures}, {"from", a.Introduced}, {"fixed", a.Fixed}, {"last", a.LastAffected}, {"note", a.Note},
			} {
				if field.value != "" {
					fmt.Fprintf(&b, " %s %q", field.name, field.value)
				}
			}
			fmt.Fprintf(&b, " %s %s\n", a.Status, a.Severity)
		}
		for _, v := range slices.Sorted(maps.Keys(g.Details)) {
			d := g.Details[v]
			fmt.Fprintf(&b, "  %s: %q %s %v %q %s\n", v, d.Description, d.Severity, d.Scores, d.References, d.Published.Format("2006-01-02"))
		}
	}
	feedtest.Summary(&b, parsed)
	feedtest.Golden(t, "elsa.golden", b.String())
}

func TestParseRefuses(t *testing.T) {
	text := string(testdata(t))
	tests := []struct{ name, document, want string }{
		{"empty", "", "oracle elsa-all: byte 0: unexpected EOF"},
		{"page", "<html></html>", "oracle elsa-all: byte 6: it is no OVAL document"},
		{"cut", text[:len(text)/2], "unexpected EOF"},
		{"no errata", "<oval_definitions/>", "it has no definitions"},
		{"nothing that can be used", "<oval_definitions><definitions><definition/></definitions></oval_definitions>", "none of 1 definitions can be used"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := parse(strings.NewReader(test.document)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestParseStops(t *testing.T) {
	f := oracle.New()
	mine := errors.New("mine")
	if _, err := f.Parse(context.Background(), f.Parts()[0], bytes.NewReader(testdata(t)), func(advisory.Group) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Parse(ctx, f.Parts()[0], bytes.NewReader(testdata(t)), func(advisory.Group) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
}

// affects reports whether a package is in an advisory's range.
func affects(a advisory.Advisory, p ovaltest.Package, module string) bool {
	return a.Status == advisory.Affected && a.Package == p.Name && a.Module == module &&
		(a.Architectures == "" || slices.Contains(strings.Fields(a.Architectures), p.Arch)) &&
		(a.Introduced == "" || ovaltest.Compare(p.Version, a.Introduced) >= 0) &&
		(a.Fixed == "" || ovaltest.Compare(p.Version, a.Fixed) < 0) &&
		(a.LastAffected == "" || ovaltest.Compare(p.Version, a.LastAffected) <= 0)
}

var (
	moduleComment = regexp.MustCompile(`^Module (.*):(.*) is enabled$`)
	build         = regexp.MustCompile(`ksplice|fips`)
)

// against evaluates every erratum as OVAL says, on systems of each release and
// architecture that have one package, of versions around those that the document
// names, and compares the result with what the advisories say.
func against(t *testing.T, content []byte) (compared int) {
	d := ovaltest.Parse(t, content)
	groups, _, err := parse(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]advisory.Group)
	for _, g := range groups {
		byName[g.Name] = g
	}
	versions := d.EVRs()
	for i := range d.Definitions {
		def := &d.Definitions[i]
		g, known := byName[def.ID]
		if !known {
			continue
		}
		modules := append(modulesOf(def.Criteria), "")
		for name, list := range versions {
			if !slices.ContainsFunc(g.Advisories, func(a advisory.Advisory) bool { return a.Package == name }) && i%7 != 0 {
				continue // of those that it does not name some are enough
			}
			for _, evr := range slices.Compact(slices.Sorted(slices.Values(list))) {
				for _, version := range ovaltest.Around(evr) {
					if !exists(version, list) {
						continue
					}
					for _, release := range []string{"5", "6", "7", "8", "9"} {
						for _, arch := range []string{"x86_64", "aarch64"} {
							for _, module := range modules {
								compared++
								compare(t, d, def, g, ovaltest.Package{Name: name, Version: version, Arch: arch}, release, module)
							}
						}
					}
				}
			}
		}
	}
	return compared
}

func modulesOf(c ovaltest.Criteria) (modules []string) {
	for _, leaf := range c.Criterions {
		if m := moduleComment.FindStringSubmatch(leaf.Comment); m != nil {
			modules = append(modules, m[1]+":"+m[2])
		}
	}
	for _, child := range c.Criterias {
		modules = append(modules, modulesOf(child)...)
	}
	return slices.Compact(modules)
}

// exists reports whether there can be a version: of the flavours that the
// document names of a package, each has its epoch.
func exists(version string, list []string) bool {
	for _, evr := range list {
		if epochOf(evr) == epochOf(version) && build.FindString(evr) != build.FindString(version) {
			return false
		}
	}
	return build.FindString(version) == "" || slices.ContainsFunc(list, func(evr string) bool { return epochOf(evr) == epochOf(version) })
}

func epochOf(version string) string {
	if before, _, found := strings.Cut(version, ":"); found {
		return before
	}
	return "0"
}

func compare(t *testing.T, d *ovaltest.Document, def *ovaltest.Definition, g advisory.Group, p ovaltest.Package, release, module string) {
	t.Helper()
	system := ovaltest.System{Packages: []ovaltest.Package{{Name: "oraclelinux-release", Version: release + ".9-1", Arch: p.Arch}, p}}
	if name, stream, found := strings.Cut(module, ":"); found {
		system.Files = map[string]string{"/etc/dnf/modules.d/" + name + ".module": "[" + name + "]\nname=" + name + "\nstream=" + stream + "\nprofiles=\nstate=enabled\n"}
	}
	says := func(module string) bool {
		return slices.ContainsFunc(g.Advisories, func(a advisory.Advisory) bool { return a.Ecosystem == "ol:"+release && affects(a, p, module) })
	}
	got, want := says(module), d.True(t, def, system)
	if module != "" && !got {
		got = says("") // an enabled module makes no ordinary package one of its own
	}
	for _, a := range g.Advisories { // what OVAL does not tell apart
		fixed := a.Fixed + a.Note
		series, release, _ := strings.Cut(fixed, "-")
		if a.Package == p.Name && (build.FindString(fixed) != build.FindString(p.Version) ||
			strings.Contains(release, "uek") && ovaltest.Compare(p.Version, series+"-0") < 0) {
			want = false
		}
	}
	if got != want {
		t.Fatalf("%s on %s module %q: advisories say %v, OVAL %v\n%+v", def.Metadata.Title, system, module, got, want, g.Advisories)
	}
}

func TestAgainstEvaluation(t *testing.T) {
	t.Logf("%d verdicts compared", against(t, testdata(t)))
}

func realDocument(t testing.TB) []byte {
	t.Helper()
	return realdata.Read(t, "feeds", "linux.oracle.com", "security", "oval", "com.oracle.elsa-all.xml.bz2")
}

// TestRealDocument counts what is to be found in it, and evaluates it.
func TestRealDocument(t *testing.T) {
	content := realDocument(t)
	groups, parsed, err := parse(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Skipped.Count > 0 {
		t.Errorf("skipped %+v", parsed.Skipped)
	}
	plain := ovaltest.Decompress(t, content)
	// Every pair of package and version of each erratum, for each of its CVEs.
	earlier := regexp.MustCompile(`comment="(\S+) is earlier than (?:0:)?(\S+)"`)
	want, got := make(map[string]bool), make(map[string]bool)
	for _, def := range bytes.Split(plain, []byte("<definition "))[1:] {
		def, _, _ = bytes.Cut(def, []byte("</definition>"))
		for _, cve := range regexp.MustCompile(`>(CVE-[0-9-]+)</cve>`).FindAllSubmatch(def, -1) {
			for _, pkg := range earlier.FindAllSubmatch(def, -1) {
				want[fmt.Sprintf("%s %s %s", cve[1], pkg[1], pkg[2])] = true
			}
		}
	}
	for _, g := range groups {
		for _, a := range g.Advisories {
			got[fmt.Sprintf("%s %s %s", a.Vulnerability, a.Package, a.Fixed)] = true
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("statements (-want +got):\n%s", diff)
	}
	if len(groups) != bytes.Count(plain, []byte("<definition ")) || !slices.Equal(parsed.Ecosystems, []string{"ol:5", "ol:6", "ol:7", "ol:8"}) {
		t.Errorf("%d errata of %q", len(groups), parsed.Ecosystems)
	}
	t.Logf("%d errata, %d statements, %d verdicts compared", len(groups), len(got), against(t, plain))
}

// TestFlavours has the false positive that Oracle is known for: an ordinary
// package is up to date, and errata for Ksplice and FIPS name higher versions.
func TestFlavours(t *testing.T) {
	groups, _, err := parse(bytes.NewReader(testdata(t)))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		pkg, version string
		want         []string
	}{
		{"openssl-libs", "1:1.1.1k-12.el8_9", nil},
		{"openssl-libs", "1:1.1.1k-9.el8_7", []string{"ELSA-2024-0006"}},
		{"openssl-libs", "2:1.1.1k-12.ksplice1.el8_9", nil},
		{"openssl-libs", "2:1.1.1k-9.ksplice1.el8_7", []string{"ELSA-2024-9151"}},
		{"openssl-libs", "10:1.1.1k-12.el8_9_fips", nil},
		{"openssl-libs", "10:1.1.1k-9.el8_7_fips", []string{"ELSA-2024-9528"}},
		{"bpftool", "4.18.0-553.158.1.el8_10", nil},
		{"bpftool", "5.15.0-100.el8uek", []string{"ELSA-2024-12008"}},
		{"kernel-uek", "5.4.17-2136.330.7.el8uek", nil},
	}
	for _, test := range tests {
		var got []string
		for _, g := range groups {
			for _, a := range g.Advisories {
				if a.Ecosystem == "ol:8" && affects(a, ovaltest.Package{Name: test.pkg, Version: test.version, Arch: "x86_64"}, "") {
					got = append(got, a.ID)
				}
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s %s: %q, want %q", test.pkg, test.version, got, test.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(testdata(f))
	f.Add([]byte(`<oval_definitions><definitions><definition id="d"><metadata><title>ELSA-2024-1: x (LOW)</title></metadata><criteria><criterion test_ref="a:1"/></criteria></definition></definitions><tests><rpminfo_test id="a:1"><object object_ref="b:1"/><state state_ref="c:1"/></rpminfo_test></tests><objects><rpminfo_object id="b:1"><name>n</name></rpminfo_object></objects><states><rpminfo_state id="c:1"><evr operation="less than">1</evr></rpminfo_state></states></oval_definitions>`))
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, parsed, err := parse(bytes.NewReader(text))
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
	text := testdata(b)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := parse(bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
