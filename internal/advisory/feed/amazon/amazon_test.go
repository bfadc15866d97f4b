package amazon_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/xml"
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
	"github.com/pratique/pratique/internal/advisory/feed/amazon"
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/realdata"
)

func parse(name string, r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	return feedtest.Parse(amazon.New(), feed.Part{Name: name}, r)
}

func TestParse(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "updateinfo.xml"))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	groups, parsed, err := parse("2/extras/php8.1", &packed)
	if err != nil {
		t.Fatal(err)
	}
	plain, _, err := parse("2/extras/php8.1", bytes.NewReader(text))
	if diff := cmp.Diff(groups, plain); err != nil || diff != "" {
		t.Errorf("not compressed: %v (-compressed +plain):\n%s", err, diff)
	}
	var b strings.Builder
	for _, g := range groups {
		fmt.Fprintf(&b, "%s (%s)\n", g.Name, g.Part)
		for _, a := range g.Advisories {
			fmt.Fprintf(&b, "  %s %s %s %s %s [%q, %q) on %q, severity %s\n", a.ID, a.Vulnerability, a.Ecosystem, a.Status, a.Package, a.Introduced, a.Fixed, a.Architectures, a.Severity)
		}
		for _, name := range slices.Sorted(maps.Keys(g.Details)) {
			fmt.Fprintf(&b, "  %s: %q %q\n", name, g.Details[name].Description, g.Details[name].References)
		}
	}
	feedtest.Summary(&b, parsed)
	feedtest.Golden(t, "updateinfo.golden", b.String())
}

func TestParseRefuses(t *testing.T) {
	const one = `<update type="security"><id>A</id><pkglist><collection><package name="a" version="1" release="1"/></collection></pkglist></update>`
	tests := []struct{ name, document, want string }{
		{"empty", "", "amazon 2: byte 0: unexpected EOF"},
		{"page", "<!DOCTYPE html><html></html>", `want updates, not an element "html"`},
		{"JSON", `{"updates": []}`, "amazon 2: byte 15: want updates, not text"},
		{"index", "<repomd></repomd>", `want updates, not an element "repomd"`},
		{"cut between updates", "<updates>" + one, "unexpected EOF"},
		{"cut in an update", "<updates>" + one[:60], "unexpected EOF"},
		{"two documents", "<updates></updates><updates></updates>", `want updates, not an element "updates"`},
		{"wrong end", "<updates><update></updates>", "element <update> closed by </updates>"},
		{"huge update", "<updates><update><id>" + strings.Repeat("x", 17<<20), "one update has more than 16777216 bytes"},
		{"huge comment", "<updates><!--" + strings.Repeat("x", 17<<20), "one update has more than 16777216 bytes"},
		{"broken gzip", "\x1f\x8b\x08", "amazon 2: gzip: unexpected EOF"},
		{"entity", `<!DOCTYPE u [<!ENTITY a "b">]><updates><update><id>&a;</id></update></updates>`, "invalid character entity &a;"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := parse("2", strings.NewReader(test.document)); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
	if groups, _, err := parse("2", strings.NewReader("<updates>\n"+one+"<!-- end -->\n</updates>\n")); err != nil || len(groups) != 1 {
		t.Errorf("a good document: %+v, %v", groups, err)
	}
	mine := errors.New("mine")
	if _, err := amazon.New().Parse(t.Context(), feed.Part{Name: "2"}, strings.NewReader("<updates>"+one+"</updates>"), func(advisory.Group) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := amazon.New().Parse(ctx, feed.Part{Name: "2"}, strings.NewReader("<updates>"+one+"</updates>"), func(advisory.Group) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
}

// TestParseBoundsStatements: thousands of CVEs times thousands of packages.
func TestParseBoundsStatements(t *testing.T) {
	var b strings.Builder
	b.WriteString(`<updates><update type="security"><id>A</id><references>`)
	for i := range 1000 {
		fmt.Fprintf(&b, `<reference id="CVE-2020-%d"/>`, 1000+i)
	}
	b.WriteString(`</references><pkglist><collection>`)
	for i := range 1000 {
		fmt.Fprintf(&b, `<package name="p%d" version="1" release="1" arch="x86_64"/>`, i)
	}
	b.WriteString(`</collection></pkglist></update></updates>`)
	groups, parsed, err := parse("2", strings.NewReader(b.String()))
	if err != nil || len(groups) != 0 || parsed.Skipped.Count != 1 || !strings.Contains(parsed.Skipped.Names[0], "1000000 statements") {
		t.Errorf("%d groups, %+v, %v", len(groups), parsed, err)
	}
}

// realDocuments are the published documents by part.
func realDocuments(t testing.TB) map[string][]byte {
	t.Helper()
	root := filepath.Join(realdata.Root(t), "feeds")
	documents := make(map[string][]byte)
	for part, file := range map[string]string{
		"2018.03": "packages.us-west-2.amazonaws.com/2018.03/updates/slice/x86_64/repodata/updateinfo.xml.gz",
		"2":       "cdn.amazonlinux.com/2/core/2.0/x86_64/slice/repodata/updateinfo.xml.gz",
		"2023":    "cdn.amazonlinux.com/al2023/core/guids/slice/x86_64/repodata/updateinfo.xml.gz",
	} {
		packed, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(file)))
		if err != nil {
			t.Skipf("no published document: %v", err)
		}
		documents[part] = packed
	}
	return documents
}

var (
	cveID      = regexp.MustCompile(`id="(CVE-[0-9]+-[0-9]+)"`)
	packageTag = regexp.MustCompile(`<package [^>]*>`)
	attribute  = regexp.MustCompile(`(\w+)="([^"]*)"`)
	updateID   = regexp.MustCompile(`<id>([^<]*)</id>`)
)

// TestRealDocuments compares every statement with what a search of the text by
// regular expressions finds.
func TestRealDocuments(t *testing.T) {
	for part, packed := range realDocuments(t) {
		z, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(z)
		if err != nil {
			t.Fatal(err)
		}
		want := make(map[string]bool)
		for _, u := range strings.Split(string(text), "</update>") {
			id := updateID.FindStringSubmatch(u)
			if id == nil {
				continue
			}
			for _, tag := range packageTag.FindAllString(u, -1) {
				k := make(map[string]string)
				for _, m := range attribute.FindAllStringSubmatch(tag, -1) {
					k[m[1]] = m[2]
				}
				if strings.Contains(k["name"], "-debuginfo") || strings.HasSuffix(k["name"], "-debugsource") {
					continue
				}
				fixed := k["version"] + "-" + k["release"]
				if k["epoch"] != "0" {
					fixed = k["epoch"] + ":" + fixed
				}
				for _, m := range cveID.FindAllStringSubmatch(u, -1) {
					want[strings.Join([]string{id[1], m[1], "amzn:" + part, k["name"], fixed}, " ")] = true
				}
			}
		}
		groups, parsed, err := parse(part, bytes.NewReader(packed))
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]bool)
		for _, g := range groups {
			for _, a := range g.Advisories {
				got[strings.Join([]string{a.ID, a.Vulnerability, a.Ecosystem, a.Package, a.Fixed}, " ")] = true
				if a.Severity == advisory.Unknown || a.Status != advisory.Affected || a.Introduced != "" || a.Architectures != "" || g.Details[a.Vulnerability].Description == "" {
					t.Errorf("%+v, %+v", a, g.Details[a.Vulnerability])
				}
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(want) == 0 || parsed.Skipped.Count != 0 {
			t.Errorf("%s: %d statements, skipped %+v (-want +got):\n%s", part, len(want), parsed.Skipped, diff)
		}
		t.Logf("amzn:%s: %d updates, %d statements", part, len(groups), len(got))
	}
}

func FuzzParse(f *testing.F) {
	seed, err := os.ReadFile(filepath.Join("testdata", "updateinfo.xml"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	for _, text := range []string{`<updates/>`, `<updates><update><id>A</id><pkglist><collection><package name="kernel" epoch="1" version="8.1.2" release="3"/></collection></pkglist></update></updates>`, "\x1f\x8b"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		groups, _, err := parse("2/extras/php8.1", bytes.NewReader(text))
		if err != nil {
			return
		}
		if !bytes.HasPrefix(text, []byte{0x1f, 0x8b}) {
			if err := xml.Unmarshal(text, new(struct{ XMLName xml.Name })); err != nil {
				t.Errorf("no XML (%v), but no error: %q", err, text)
			}
		}
		for _, g := range groups {
			if len(g.Advisories) == 0 || g.Name == "" {
				t.Errorf("%+v: nothing, or of nothing", g)
			}
			for _, a := range g.Advisories {
				if a.ID != g.Name || a.Vulnerability == "" || a.Package == "" || a.Fixed == "" || a.Ecosystem != "amzn:2" {
					t.Errorf("%+v of %q", a, g.Name)
				}
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	z, err := gzip.NewReader(bytes.NewReader(realDocuments(b)["2"]))
	if err != nil {
		b.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		b.Fatal(err)
	}
	body, found := bytes.CutSuffix(bytes.TrimSpace(text), []byte("</updates>"))
	if !found {
		b.Fatal("the document does not end")
	}
	body = body[bytes.Index(body, []byte("<updates>"))+len("<updates>"):]
	document := slices.Concat([]byte("<updates>"), bytes.Repeat(body, 100), []byte("</updates>"))
	b.SetBytes(int64(len(document)))
	b.ReportAllocs()
	rows := 0
	for b.Loop() {
		if _, err := amazon.New().Parse(context.Background(), feed.Part{Name: "2"}, bytes.NewReader(document), func(g advisory.Group) error {
			rows += len(g.Advisories)
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
