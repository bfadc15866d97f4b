package osv_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/advisory/feed/feedtest"
	"github.com/pratique/pratique/internal/advisory/feed/osv"
)

// of returns the feed of a name.
func of(t testing.TB, name string) feed.Feed {
	t.Helper()
	for _, f := range osv.Feeds() {
		if f.Name() == name {
			return f
		}
	}
	t.Fatalf("no feed %q", name)
	return nil
}

func parse(f feed.Feed, r io.Reader) (groups []advisory.Group, parsed feed.Parsed, err error) {
	return feedtest.Parse(f, f.Parts()[0], r)
}

// file is an entry of an archive.
type file struct{ name, content string }

// archive makes an archive.
func archive(t testing.TB, files ...file) *io.SectionReader {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		w, err := z.CreateHeader(&zip.FileHeader{Name: f.name}) // not compressed: fuzzing makes many
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return section(b.Bytes())
}

func section(content []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content)))
}

// records are those of a feed's test data.
func records(t testing.TB, name string) (files []file) {
	t.Helper()
	content, err := txtar.ParseFile(filepath.Join("testdata", name+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range content.Files {
		files = append(files, file{f.Name, string(f.Data)})
	}
	return files
}

func TestParse(t *testing.T) {
	for _, f := range osv.Feeds() {
		t.Run(f.Name(), func(t *testing.T) {
			groups, parsed, err := parse(f, archive(t, records(t, f.Name())...))
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, g := range groups {
				show(&b, g)
			}
			feedtest.Summary(&b, parsed)
			feedtest.Golden(t, f.Name()+".golden", b.String())
		})
	}
}

// show writes a group as people read it.
func show(b *strings.Builder, g advisory.Group) {
	fmt.Fprintf(b, "%s (%s)\n", g.Name, g.Part)
	for _, a := range g.Advisories {
		fmt.Fprintf(b, "  %s", a.Vulnerability)
		for _, field := range []struct{ name, value string }{{"by", a.ID}, {"in", a.Ecosystem}, {"package", a.Package}, {"module", a.Module}} {
			if field.value != "" {
				fmt.Fprintf(b, " %s %s", field.name, field.value)
			}
		}
		if a.Source {
			b.WriteString(" (source)")
		}
		fmt.Fprintf(b, ": %s", a.Status)
		for _, field := range []struct{ name, value string }{{"from", a.Introduced}, {"to", a.LastAffected}, {"fixed", a.Fixed}, {"fix", string(a.Fix)}} {
			if field.value != "" {
				fmt.Fprintf(b, " %s %s", field.name, field.value)
			}
		}
		fmt.Fprintf(b, ", %s", a.Severity)
		if a.Note != "" {
			fmt.Fprintf(b, ", note %q", a.Note)
		}
		b.WriteByte('\n')
	}
	for _, name := range slices.Sorted(maps.Keys(g.Details)) {
		d := g.Details[name]
		fmt.Fprintf(b, "  = %s %s %q\n", name, d.Severity, d.Description)
		for _, s := range d.Scores {
			fmt.Fprintf(b, "    %s %.1f %s\n", s.Version, s.Base, s.Vector)
		}
		for _, list := range []struct {
			name   string
			values []string
		}{{"aliases", d.Aliases}, {"weaknesses", d.Weaknesses}, {"references", d.References}} {
			if len(list.values) > 0 {
				fmt.Fprintf(b, "    %s %s\n", list.name, strings.Join(list.values, " "))
			}
		}
		for _, date := range []struct {
			name  string
			value interface {
				IsZero() bool
				Format(string) string
			}
		}{{"published", d.Published}, {"modified", d.Modified}, {"withdrawn", d.Withdrawn}} {
			if !date.value.IsZero() {
				fmt.Fprintf(b, "    %s %s\n", date.name, date.value.Format("2006-01-02T15:04:05.999999999Z07:00"))
			}
		}
	}
}

func TestFeeds(t *testing.T) {
	var got []string
	for _, f := range osv.Feeds() {
		parts := f.Parts()
		if len(parts) != 1 || f.More(map[string]bool{"all": true}) != nil || f.Revision() == 0 {
			t.Errorf("%s: parts %+v, revision %d", f.Name(), parts, f.Revision())
		}
		got = append(got, strings.TrimSpace(f.Name()+" "+parts[0].Name+" "+parts[0].URL+" "+strings.Join(parts[0].Ecosystems, " ")))
	}
	const base = " all https://osv-vulnerabilities.storage.googleapis.com/"
	want := []string{
		"pypi" + base + "PyPI/all.zip pypi", "npm" + base + "npm/all.zip npm", "maven" + base + "Maven/all.zip maven",
		"go" + base + "Go/all.zip golang", "crates-io" + base + "crates.io/all.zip cargo", "rubygems" + base + "RubyGems/all.zip gem",
		"nuget" + base + "NuGet/all.zip nuget", "packagist" + base + "Packagist/all.zip composer", "hex" + base + "Hex/all.zip hex",
		"pub" + base + "Pub/all.zip pub", "almalinux" + base + "AlmaLinux/all.zip", "rocky" + base + "Rocky%20Linux/all.zip",
		"ubuntu" + base + "Ubuntu/all.zip",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestMirrors fetches the archive whose address has a space from a mirror of
// either kind.
func TestMirrors(t *testing.T) {
	root := t.TempDir()
	folder := filepath.Join(root, "osv-vulnerabilities.storage.googleapis.com", "Rocky Linux")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(archive(t, records(t, "rocky")...))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "all.zip"), content, 0o644); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(root)))
	defer server.Close()
	for name, mirror := range map[string]string{"folder": root, "server": server.URL} {
		t.Run(name, func(t *testing.T) {
			fetcher, err := feed.NewFetcher(feed.FetcherOptions{Mirror: mirror, TempDir: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			defer fetcher.Close()
			f := of(t, "rocky")
			doc, err := fetcher.Fetch(context.Background(), f.Parts()[0].URL, feed.Validators{})
			if err != nil {
				t.Fatal(err)
			}
			defer doc.Close()
			groups, _, err := parse(f, doc.Reader())
			if err != nil || len(groups) != 2 {
				t.Errorf("%d groups, %v", len(groups), err)
			}
		})
	}
}

func TestParseStops(t *testing.T) {
	f := of(t, "npm")
	in := archive(t, records(t, "npm")...)
	mine := errors.New("mine")
	if _, err := f.Parse(context.Background(), f.Parts()[0], in, func(advisory.Group) error { return mine }); err != mine {
		t.Errorf("emit's error comes back as %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Parse(ctx, f.Parts()[0], in, func(advisory.Group) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled parse ends with %v", err)
	}
}

// TestLimits holds what is left out of records that state too much, and that
// the rest is kept.
func TestLimits(t *testing.T) {
	list := func(n int, element func(i int) string) string {
		var b strings.Builder
		for i := range n {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(element(i))
		}
		return b.String()
	}
	version := func(i int) string { return fmt.Sprintf(`"1.%d"`, i) }
	entry := func(i int) string {
		return fmt.Sprintf(`{"package": {"ecosystem": "npm", "name": "p%d"}, "versions": ["1"]}`, i)
	}
	tests := []struct {
		name, record string
		advisories   int
		want         string
	}{
		{"entries", `{"id": "A-1", "affected": [` + list(20_003, entry) + `]}`, 20_000, "A-1: /affected/20000: more than 20000 entries"},
		{"names", `{"id": "A-1", "aliases": [` + list(5_002, func(int) string { return `"a"` }) + `], "affected": [` + entry(1) + `]}`,
			1, "A-1: /aliases/5000: more than 5000 elements"},
		{"no versions", `{"id": "A-1", "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "versions": [1, "1"]}]}`, 1,
			"A-1 a: versions: /0: want a string, not a number"},
		{"versions", `{"id": "A-1", "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "versions": [` + list(10_007, version) + `]}]}`,
			10_000, "A-1 a: more than 10000 versions; the rest is left out"},
		{"statements", `{"id": "A-1", "aliases": [` + list(60, func(i int) string { return fmt.Sprintf(`"CVE-2099-%d"`, 1000+i) }) +
			`], "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "versions": [` + list(2_000, version) + `]}]}`,
			100_000, "A-1: it states more than 100000 things; the rest is left out"},
		{"events", `{"id": "A-1", "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "ranges": [{"type": "SEMVER", "events": [` +
			list(10_002, func(int) string { return `{"introduced": "0"}` }) + `]}]}, {"package": {"ecosystem": "npm", "name": "b"}, "versions": ["1"]}]}`,
			1, "A-1 a: /affected/0/ranges/0/events/10000: more than 10000 events"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			groups, parsed, err := parse(of(t, "npm"), archive(t, file{"A-1.json", test.record}))
			if err != nil {
				t.Fatal(err)
			}
			if len(groups) != 1 || len(groups[0].Advisories) != test.advisories {
				t.Errorf("%d groups, want one of %d statements", len(groups), test.advisories)
			}
			if diff := cmp.Diff([]string{test.want}, parsed.Skipped.Names); diff != "" {
				t.Errorf("skipped (-want +got):\n%s", diff)
			}
		})
	}
}
