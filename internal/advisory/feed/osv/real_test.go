package osv_test

import (
	"archive/zip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed/osv"
	"github.com/pratique/pratique/internal/realdata"
)

// realArchive opens an ecosystem's archive of the real data.
func realArchive(t testing.TB, folder string) *io.SectionReader {
	t.Helper()
	root := realdata.Root(t)
	in, err := os.Open(filepath.Join(root, "feeds", "osv-vulnerabilities.storage.googleapis.com", folder, "all.zip"))
	if err != nil {
		t.Skipf("no published archive: %v", err)
	}
	t.Cleanup(func() { in.Close() })
	info, err := in.Stat()
	if err != nil {
		t.Fatal(err)
	}
	return io.NewSectionReader(in, 0, info.Size())
}

// published is a record as encoding/json reads it.
type published struct {
	ID                         string
	Summary, Withdrawn         string
	Aliases, Upstream, Related []string
	Affected                   []publishedEntry
}

type publishedEntry struct {
	Package struct{ Ecosystem, Name string }
	Ranges  []struct {
		Type   string
		Events []map[string]string
	}
	Versions json.RawMessage
}

var plainCVE = regexp.MustCompile(`^CVE-[0-9]{4}-[0-9]{4,}$`)

// statement is what an advisory comes to, but for grades and prose.
type statement struct {
	id, vulnerability, ecosystem, pkg, module, introduced, fixed, last string
	source, withdrawn                                                  bool
}

// oracle states by hand what a record says of one ecosystem: the rules of the
// format and of this package, written without regard to speed or to odd records.
func oracle(folder string, r published) (all []statement) {
	var names, found []string
	switch folder {
	case "AlmaLinux", "Rocky Linux":
		names = slices.Concat(r.Aliases, r.Upstream, r.Related)
	case "Ubuntu":
		names = []string{strings.TrimPrefix(r.ID, "UBUNTU-")}
		for _, name := range r.Upstream {
			names = append(names, strings.TrimPrefix(name, "UBUNTU-"))
		}
	default:
		names = append(slices.Clone(r.Aliases), r.ID)
	}
	for _, name := range names {
		if plainCVE.MatchString(name) && !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	if len(found) == 0 {
		if strings.HasPrefix(r.ID, "ALBA-") || strings.HasPrefix(r.ID, "ALEA-") {
			return nil
		}
		found = []string{r.ID}
	}
	for _, a := range r.Affected {
		eco, release, _ := strings.Cut(a.Package.Ecosystem, ":")
		if eco != folder {
			continue
		}
		s := statement{pkg: a.Package.Name, withdrawn: r.Withdrawn != ""}
		pro := false
		switch folder {
		case "AlmaLinux":
			s.ecosystem = "almalinux:" + release
		case "Rocky Linux":
			s.ecosystem, s.source = "rocky:"+release, true
		case "Ubuntu":
			pro = strings.HasPrefix(release, "Pro:")
			s.ecosystem, s.source = "ubuntu:"+strings.Split(strings.TrimPrefix(release, "Pro:"), ":")[0], true
		case "PyPI":
			s.ecosystem = "pypi"
			s.pkg = strings.ToLower(strings.Join(strings.FieldsFunc(s.pkg, func(r rune) bool { return strings.ContainsRune("-_.", r) }), "-"))
		case "Packagist":
			s.ecosystem, s.pkg = "composer", strings.ToLower(s.pkg)
		default:
			s.ecosystem = map[string]string{"npm": "npm", "Maven": "maven", "Go": "golang", "crates.io": "cargo", "RubyGems": "gem", "NuGet": "nuget"}[folder]
		}
		var spans [][3]string
		for _, rng := range a.Ranges {
			if rng.Type == "GIT" {
				continue
			}
			for i, e := range rng.Events {
				if start, ok := e["introduced"]; ok {
					if start == "0" || start == "0.0.0-0" {
						start = ""
					}
					span := [3]string{start}
					if i+1 < len(rng.Events) {
						span[1], span[2] = rng.Events[i+1]["fixed"], rng.Events[i+1]["last_affected"]
					}
					spans = append(spans, span)
				}
			}
		}
		if len(spans) == 0 && a.Versions != nil {
			var versions []string
			if err := json.Unmarshal(a.Versions, &versions); err != nil {
				panic(err)
			}
			for _, v := range versions {
				spans = append(spans, [3]string{v, "", v})
			}
		}
		for _, span := range spans {
			s.introduced, s.fixed, s.last = span[0], span[1], span[2]
			modules := []string{""}
			if strings.Contains(s.fixed, ".module") {
				modules = nil
				for _, word := range strings.Fields(r.Summary) {
					word, _, _ = strings.Cut(word, "/")
					name, stream, ok := strings.Cut(word, ":")
					if ok && stream != "" && !strings.HasPrefix(name, "AL") {
						modules = append(modules, word)
					}
				}
				if modules == nil {
					modules = []string{"*"}
				}
			}
			if pro && s.fixed != "" {
				s.fixed, s.last = "", s.fixed+"~"
			}
			for _, s.module = range modules {
				for _, s.vulnerability = range found {
					s.id = r.ID
					if s.id == s.vulnerability {
						s.id = ""
					}
					all = append(all, s)
				}
			}
		}
	}
	return all
}

// TestRealArchives compares what each archive states, statement by statement,
// with what the oracle makes of it.
func TestRealArchives(t *testing.T) {
	for _, f := range osv.Feeds() {
		t.Run(f.Name(), func(t *testing.T) {
			address := f.Parts()[0].URL
			folder := strings.ReplaceAll(strings.Split(address, "/")[3], "%20", " ")
			in := realArchive(t, folder)
			want := make(map[statement]int)
			entries, stating := 0, 0
			z, err := zip.NewReader(in, in.Size())
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range z.File {
				entries++
				content, err := e.Open()
				if err != nil {
					t.Fatal(err)
				}
				text, err := io.ReadAll(content)
				if err != nil {
					t.Fatal(err)
				}
				var r published
				if err := json.Unmarshal(text, &r); err != nil {
					t.Fatalf("%s: %v", e.Name, err)
				}
				all := oracle(folder, r)
				if len(all) > 0 {
					stating++
				}
				for _, s := range all {
					want[s]++
				}
			}
			began := time.Now()
			groups, parsed, err := parse(f, in)
			if err != nil {
				t.Fatal(err)
			}
			took := time.Since(began)
			got := make(map[statement]int)
			total, details := 0, 0
			for _, g := range groups {
				total += len(g.Advisories)
				details += len(g.Details)
				for _, a := range g.Advisories {
					got[statement{a.ID, a.Vulnerability, a.Ecosystem, a.Package, a.Module, a.Introduced, a.Fixed, a.LastAffected, a.Source, a.Status == advisory.Withdrawn}]++
				}
			}
			if len(groups) != stating {
				t.Errorf("%d groups, want %d", len(groups), stating)
			}
			if len(got) != len(want) {
				t.Errorf("%d distinct statements, want %d", len(got), len(want))
			}
			shown := 0
			for s, n := range want {
				if got[s] != n && shown < 10 {
					shown++
					t.Errorf("%+v is there %d times, want %d", s, got[s], n)
				}
			}
			for s := range got {
				if want[s] == 0 && shown < 20 {
					shown++
					t.Errorf("%+v is not published", s)
				}
			}
			if parsed.Skipped.Count > 0 {
				t.Errorf("left out: %+v", parsed.Skipped)
			}
			t.Logf("%d entries, %d groups, %d statements, %d details in %v; ecosystems %q",
				entries, len(groups), total, details, took.Round(time.Millisecond), parsed.Ecosystems)
		})
	}
}

// TestRealVerdicts holds some known ones.
func TestRealVerdicts(t *testing.T) {
	tests := []struct {
		feed, folder, id string
		want             []string
	}{
		{"maven", "Maven", "GHSA-jfh8-c2jp-5v3q", []string{
			"CVE-2021-44228 org.apache.logging.log4j:log4j-core from 2.13.0 fixed 2.15.0 critical",
			"CVE-2021-44228 org.apache.logging.log4j:log4j-core from 2.4 fixed 2.12.2 critical",
		}},
		{"go", "Go", "GO-2021-0068", []string{
			"CVE-2021-3115 toolchain from  fixed 1.14.14 unknown",
			"CVE-2021-3115 toolchain from 1.15.0-0 fixed 1.15.7 unknown",
		}},
		{"npm", "npm", "GHSA-35jh-r3h4-6jhm", []string{
			"CVE-2021-23337 lodash from  fixed 4.17.21 high",
			"CVE-2021-23337 lodash-es from  fixed 4.17.21 high",
		}},
		{"crates-io", "crates.io", "RUSTSEC-2016-0005", []string{"RUSTSEC-2016-0005 rust-crypto from  fixed 0.2.37-0 negligible"}},
		{"rocky", "Rocky Linux", "RLSA-2021:3891", []string{"CVE-2021-35550 java-11-openjdk from  fixed 1:11.0.13.0.8-1.el8_4 high"}},
		{"almalinux", "AlmaLinux", "ALSA-2023:0954", []string{"CVE-2022-4415 systemd from  fixed 250-12.el9_1.3 medium"}},
	}
	for _, test := range tests {
		t.Run(test.id, func(t *testing.T) {
			groups, _, err := parse(of(t, test.feed), realArchive(t, test.folder))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, g := range groups {
				if g.Name != test.id {
					continue
				}
				for _, a := range g.Advisories {
					got = append(got, fmt.Sprintf("%s %s from %s fixed %s %s", a.Vulnerability, a.Package, a.Introduced, a.Fixed, a.Severity))
				}
			}
			for _, want := range test.want {
				if !slices.Contains(got, want) {
					t.Errorf("no %q in %s", want, cmp.Diff(nil, got))
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, f := range osv.Feeds() {
		b.Run(f.Name(), func(b *testing.B) {
			in := realArchive(b, strings.ReplaceAll(strings.Split(f.Parts()[0].URL, "/")[3], "%20", " "))
			b.SetBytes(in.Size())
			benchmark(b, f.Name(), in)
		})
	}
}

// benchmark measures records and statements per second.
func benchmark(b *testing.B, name string, in *io.SectionReader) {
	b.Helper()
	b.ReportAllocs()
	f := of(b, name)
	groups, statements := 0, 0
	for b.Loop() {
		if _, err := f.Parse(context.Background(), f.Parts()[0], in, func(g advisory.Group) error {
			groups++
			statements += len(g.Advisories)
			return nil
		}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(groups)/b.Elapsed().Seconds(), "groups/s")
	b.ReportMetric(float64(statements)/b.Elapsed().Seconds(), "statements/s")
}
