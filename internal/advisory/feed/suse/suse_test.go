package suse_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/advisory/feed/oval/ovaltest"
	"github.com/pratique/pratique/internal/advisory/feed/suse"
	"github.com/pratique/pratique/internal/realdata"
)

func parse(part feed.Part, r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	return feedtest.Parse(suse.New(), part, r)
}

// part is a known one, or one of all distributions.
func part(name string) feed.Part {
	for _, p := range suse.New().Parts() {
		if p.Name == name {
			return p
		}
	}
	return feed.Part{Name: name}
}

// documents are those of testdata, by the name of their part.
func documents(t testing.TB) map[string][]byte {
	t.Helper()
	archive, err := txtar.ParseFile(filepath.Join("testdata", "documents.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string][]byte)
	for _, f := range archive.Files {
		byName[strings.TrimSuffix(f.Name, ".xml")] = f.Data
	}
	return byName
}

func write(b *strings.Builder, groups []advisory.Group, parsed feed.Parsed) {
	for _, g := range groups {
		fmt.Fprintf(b, "%s (%s)\n", g.Name, g.Part)
		for _, a := range g.Advisories {
			fmt.Fprintf(b, "  %s%s %s %s", a.ID, a.Vulnerability, a.Ecosystem, a.Package)
			for _, field := range []struct{ name, value string }{
				{"module", a.Module}, {"on", a.Architectures}, {"from", a.Introduced}, {"fixed", a.Fixed}, {"last", a.LastAffected}, {"note", a.Note},
			} {
				if field.value != "" {
					fmt.Fprintf(b, " %s %q", field.name, field.value)
				}
			}
			fmt.Fprintf(b, " %s %s\n", a.Status, a.Severity)
		}
		for _, v := range slices.Sorted(maps.Keys(g.Details)) {
			d := g.Details[v]
			fmt.Fprintf(b, "  %s: %q %s %v %q %s to %s\n", v, d.Description, d.Severity, d.Scores, d.References, d.Published.Format("2006-01-02"), d.Modified.Format("2006-01-02"))
		}
	}
	fmt.Fprintf(b, "ecosystems %q\nskipped %d\n", parsed.Ecosystems, parsed.Skipped.Count)
	for _, name := range parsed.Skipped.Names {
		fmt.Fprintf(b, "  %s\n", name)
	}
}

func TestParse(t *testing.T) {
	all := documents(t)
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(all)) {
		p := part(name)
		if name == "opensuse.12.1" {
			p.Ecosystems = []string{"opensuse:12.1"}
		}
		groups, parsed, err := parse(p, bytes.NewReader(all[name]))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "-- %s --\n", name)
		write(&b, groups, parsed)
	}
	feedtest.Golden(t, "documents.golden", b.String())
}

func TestParseRefuses(t *testing.T) {
	all := documents(t)
	tests := []struct{ name, part, document, want string }{
		{"empty", "opensuse.tumbleweed", "", "suse opensuse.tumbleweed: byte 0: unexpected EOF"},
		{"page", "opensuse.tumbleweed", "<html><body/></html>", "suse opensuse.tumbleweed: byte 6: it is no OVAL document"},
		{"cut", "opensuse.tumbleweed", string(all["opensuse.tumbleweed"][:2000]), "unexpected EOF"},
		{"another product's", "opensuse.leap.15.5", string(all["opensuse.tumbleweed"]), "none of 1 definitions speaks of opensuse-leap:15.5"},
		{"another service pack's", "suse.linux.enterprise.15-sp6-affected", string(all["suse.linux.enterprise.15-sp5-affected"]), "none of 13 definitions speaks of sles:15.6"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := parse(part(test.part), strings.NewReader(test.document)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestParseStops(t *testing.T) {
	document := documents(t)["opensuse.tumbleweed"]
	mine := errors.New("mine")
	if _, err := suse.New().Parse(context.Background(), part("opensuse.tumbleweed"), bytes.NewReader(document), func(advisory.Group) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := suse.New().Parse(ctx, part("opensuse.tumbleweed"), bytes.NewReader(document), func(advisory.Group) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
}

func TestParts(t *testing.T) {
	f := suse.New()
	parts := f.Parts()
	published := make(map[string]bool)
	for _, p := range parts {
		if published[p.Name] {
			t.Errorf("%s is there twice", p.Name)
		}
		published[p.Name] = true
	}
	for _, want := range []feed.Part{
		{Name: "suse.linux.enterprise.15-sp5-affected", URL: "https://ftp.suse.com/pub/projects/security/oval/suse.linux.enterprise.15-sp5-affected.xml.gz", Ecosystems: []string{"sles:15.5"}},
		{Name: "opensuse.leap.15.6", URL: "https://ftp.suse.com/pub/projects/security/oval/opensuse.leap.15.6.xml.gz", Ecosystems: []string{"opensuse-leap:15.6"}},
		{Name: "opensuse.tumbleweed", URL: "https://ftp.suse.com/pub/projects/security/oval/opensuse.tumbleweed.xml.gz", Ecosystems: []string{"opensuse-tumbleweed"}},
	} {
		if !slices.ContainsFunc(parts, func(p feed.Part) bool { return cmp.Equal(p, want) }) {
			t.Errorf("no %+v", want)
		}
	}
	var asked []string
	for more := f.More(published); len(more) > 0; more = f.More(published) {
		for _, p := range more {
			asked = append(asked, p.Name)
			published[p.Name] = p.Name == "opensuse.leap.16.1"
		}
	}
	want := []string{"suse.linux.enterprise.16.1-affected", "suse.linux.micro.6.3-affected", "opensuse.leap.16.1", "opensuse.leap.16.2"}
	if diff := cmp.Diff(want, asked); diff != "" {
		t.Errorf("further parts (-want +got):\n%s", diff)
	}
	if more := f.More(map[string]bool{}); more != nil {
		t.Errorf("nothing is published, but %v is asked for", more)
	}
}

// affects reports whether a package is in an advisory's range.
func affects(a advisory.Advisory, p ovaltest.Package) bool {
	return a.Status == advisory.Affected && a.Package == p.Name &&
		(a.Architectures == "" || slices.Contains(strings.Fields(a.Architectures), p.Arch)) &&
		(a.Introduced == "" || ovaltest.Compare(p.Version, a.Introduced) >= 0) &&
		(a.Fixed == "" || ovaltest.Compare(p.Version, a.Fixed) < 0) &&
		(a.LastAffected == "" || ovaltest.Compare(p.Version, a.LastAffected) <= 0)
}

// system is a distribution by its release packages: as such, and with every
// paid extension too.
type system struct{ plain, extended []ovaltest.Package }

func systems(ecosystem string) system {
	release := func(version string, names ...string) (packages []ovaltest.Package) {
		for _, name := range names {
			packages = append(packages, ovaltest.Package{Name: name + "-release", Version: version + "-1", Arch: "x86_64"})
		}
		return packages
	}
	id, version, _ := strings.Cut(ecosystem, ":")
	switch id {
	case "sles":
		plain := release(version, "sles", "sle-module-basesystem")
		return system{plain, append(slices.Clone(plain), release(version, "SLES_SAP", "sle-we", "sles-ltss", "SLE_HPC")...)}
	case "opensuse-tumbleweed":
		return system{plain: release("20240601", "openSUSE")}
	}
	return system{plain: release(version, "openSUSE")}
}

// against evaluates every definition as OVAL says, on systems of the part's
// distribution that have one package, of versions around those that the document
// names, and compares the result with what the advisories say.
func against(t *testing.T, p feed.Part, content []byte, leave string) (compared int) {
	t.Helper()
	d := ovaltest.Parse(t, content)
	groups, _, err := parse(p, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	byName := make(map[string]advisory.Group)
	for _, g := range groups {
		byName[g.Name] = g
	}
	versions, architectures := d.EVRs(), d.Architectures()
	on := systems(p.Ecosystems[0])
	for i := range d.Definitions {
		def := &d.Definitions[i]
		title := strings.TrimSpace(def.Metadata.Title)
		if title == leave || !strings.HasPrefix(title, "CVE-") {
			continue
		}
		for name, list := range versions {
			arches := architectures[name]
			if len(arches) == 0 {
				arches = []string{"x86_64", "aarch64", "noarch"}
			}
			var packages []ovaltest.Package
			for _, evr := range list {
				if evr == "0:0-0" {
					evr = "1-1" // any
				}
				for _, version := range ovaltest.Around(evr) {
					for _, arch := range arches {
						packages = append(packages, ovaltest.Package{Name: name, Version: version, Arch: arch})
					}
				}
			}
			evaluate := func(base []ovaltest.Package, pkg ovaltest.Package) bool {
				return d.True(t, def, ovaltest.System{Packages: append(slices.Clone(base), pkg)})
			}
			base := on.plain
			if !slices.ContainsFunc(packages, func(pkg ovaltest.Package) bool { return evaluate(base, pkg) }) && len(on.extended) > 0 {
				base = on.extended // it says nothing of the distribution as such
			}
			for _, pkg := range packages {
				compared++
				got := slices.ContainsFunc(byName[def.ID].Advisories, func(a advisory.Advisory) bool { return affects(a, pkg) })
				if want := evaluate(base, pkg); got != want {
					t.Fatalf("%s on %v: advisories say %v, OVAL %v\n%+v", def.Metadata.Title, pkg, got, want, byName[def.ID].Advisories)
				}
			}
		}
	}
	return compared
}

func TestAgainstEvaluation(t *testing.T) {
	all := documents(t)
	for _, name := range []string{"suse.linux.enterprise.15-sp5-affected", "opensuse.leap.15.5", "opensuse.tumbleweed"} {
		// Of CVE-2024-0004 OVAL takes the fix of LTSS for everybody's.
		t.Logf("%s: %d verdicts compared", name, against(t, part(name), all[name], "CVE-2024-0004"))
	}
}

func realDocument(t testing.TB, name string) []byte {
	t.Helper()
	return realdata.Read(t, "feeds", "ftp.suse.com", "pub", "projects", "security", "oval", name)
}

func TestRealDocument(t *testing.T) {
	content := realDocument(t, "opensuse.42.1.xml.gz")
	p := feed.Part{Name: "opensuse.42.1", Ecosystems: []string{"opensuse:42.1"}}
	groups, parsed, err := parse(p, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if parsed.Skipped.Count > 0 {
		t.Errorf("skipped %+v", parsed.Skipped)
	}
	var got []string
	for _, g := range groups {
		for _, a := range g.Advisories {
			got = append(got, a.Vulnerability+" "+a.Ecosystem+" "+a.Package+" "+a.Fixed)
		}
	}
	want := []string{"CVE-2012-2150 opensuse:42.1 xfsprogs 3.2.1-5.1", "CVE-2012-2150 opensuse:42.1 xfsprogs-devel 3.2.1-5.1"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	t.Logf("%d verdicts compared", against(t, p, ovaltest.Decompress(t, content), ""))
}

// TestRealDocumentWithoutStates has a document whose states are cut away: each
// of its definitions is told, and none is guessed.
func TestRealDocumentWithoutStates(t *testing.T) {
	content := realDocument(t, "suse.linux.enterprise.15-truncated.xml")
	groups, parsed, err := parse(feed.Part{Name: "suse.linux.enterprise.15"}, bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if len(groups) != 0 || parsed.Skipped.Count != bytes.Count(content, []byte("<definition ")) || len(parsed.Ecosystems) != 0 {
		t.Errorf("%d groups, %+v", len(groups), parsed)
	}
	for _, name := range parsed.Skipped.Names {
		if !strings.HasPrefix(name, "CVE-") || !strings.Contains(name, "is missing") {
			t.Errorf("told %q", name)
		}
	}
	t.Logf("%q", parsed.Skipped.Names)
}

func FuzzParse(f *testing.F) {
	for _, name := range slices.Sorted(maps.Keys(documents(f))) {
		f.Add(documents(f)[name])
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, parsed, err := parse(feed.Part{Name: "every"}, bytes.NewReader(text))
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
	text := documents(b)["suse.linux.enterprise.15-sp5-affected"]
	p := part("suse.linux.enterprise.15-sp5-affected")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := parse(p, bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
	}
}
