package inventory

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"
)

var update = flag.Bool("update", false, "write the golden parts of testdata anew")

// describe writes a file and its warnings, a line each.
func describe(f File, warnings []Warning) string {
	var b strings.Builder
	if f.Distribution != nil {
		fmt.Fprintf(&b, "distribution %s %q\n", f.Distribution, f.Distribution.PrettyName)
	}
	for _, r := range f.Packages {
		fmt.Fprintf(&b, "%d: %s %s %s %s, source %s %s", r.Line, r.Type, r.Name, r.Version, r.Architecture, r.SourceName, r.SourceVersion)
		if r.Module != "" {
			fmt.Fprintf(&b, ", module %s", r.Module)
		}
		b.WriteByte('\n')
	}
	if s := f.ContentSets; s != nil {
		fmt.Fprintf(&b, "content sets %s, hint %v\n", strings.Join(s.Repositories, " "), s.Hint)
	}
	for _, o := range f.Origins {
		fmt.Fprintf(&b, "of %s: %s\n", o.Repository, strings.Join(o.Packages, " "))
	}
	if f.Component != nil {
		fmt.Fprintf(&b, "component %+v\n", *f.Component)
	}
	for _, w := range warnings {
		fmt.Fprintf(&b, "%s: %s\n", w.Code, w.Message)
	}
	return b.String()
}

func contentOf(r io.Reader) *Content { return NewContent(r, 0) }

// TestDetect reads testdata/DETECTOR/*.txtar: files to be read, each followed by
// "want", what is to be found in it.
func TestDetect(t *testing.T) {
	for _, d := range Detectors() {
		if slices.Contains([]string{"binary", "java", "rpm"}, d.Name()) {
			continue // their files are no text
		}
		names, err := filepath.Glob(filepath.Join("testdata", d.Name(), "*.txtar"))
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: no testdata, %v", d.Name(), err)
		}
		for _, name := range names {
			t.Run(filepath.ToSlash(name), func(t *testing.T) {
				archive, err := txtar.ParseFile(name)
				if err != nil {
					t.Fatal(err)
				}
				for i := 0; i+1 < len(archive.Files); i += 2 {
					in, want := archive.Files[i], &archive.Files[i+1]
					if want.Name != "want" || !d.Wants(in.Name) {
						t.Fatalf("%s is not wanted, or %q is not %q", in.Name, want.Name, "want")
					}
					// A text file cannot say that its last line has no end.
					content := bytes.TrimSuffix(in.Data, []byte("<no end>\n"))
					f, warnings, err := d.Detect(in.Name, contentOf(bytes.NewReader(content)))
					if err != nil {
						t.Fatal(err)
					}
					if f.Path != in.Name || f.Detector != d.Name() {
						t.Errorf("file %q of %q", f.Path, f.Detector)
					}
					got := describe(f, warnings)
					if *update {
						want.Data = []byte(got)
					} else if diff := cmp.Diff(string(want.Data), got); diff != "" {
						t.Errorf("%s, part %d (-want +got):\n%s\nof:\n%s", in.Name, i/2+1, diff, content)
					}
				}
				if *update {
					if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

func TestWants(t *testing.T) {
	wanted := map[string]string{
		"var/lib/dpkg/status":                                  "dpkg",
		"var/lib/dpkg/status.d/libc6":                          "dpkg",
		"lib/apk/db/installed":                                 "apk",
		"usr/lib/apk/db/installed":                             "apk",
		"etc/os-release":                                       "release",
		"usr/lib/os-release":                                   "release",
		"etc/debian_version":                                   "release",
		"var/lib/dpkg/status-old":                              "",
		"var/lib/dpkg/status.d":                                "",
		"var/lib/dpkg/status.d/a/b":                            "",
		"var/lib/dpkg/status.d/x.md5sums":                      "dpkg",
		"var/lib/dpkg/info/x:amd64.list":                       "dpkg",
		"var/lib/dpkg/info/x.postinst":                         "",
		"lib/apk/db/installed/x":                               "binary",
		"home/lib/apk/db/installed":                            "binary",
		"os-release":                                           "binary",
		"usr/bin/app":                                          "binary",
		"usr/lib/libx.so.1":                                    "binary",
		"usr/bin/app.py":                                       "",
		"usr/share/app":                                        "",
		"usr/lib/python3/dist-packages/x-1.dist-info/METADATA": "python",
		"usr/lib/python3/dist-packages/x-1.egg-info/PKG-INFO":  "python",
		"usr/lib/python3/dist-packages/x-1.egg-info":           "python",
		"app/node_modules/a/package.json":                      "node",
		"node_modules/@s/a/package.json":                       "node",
		"node_modules/.pnpm/a@1/node_modules/a/package.json":   "node",
		"usr/share/rubygems-integration/all/specifications/rake-13.0.6.gemspec": "ruby",
		"usr/lib/ruby/gems/3.1.0/gems/rake-13.0.6/rake.gemspec":                 "binary",
		"app/vendor/composer/installed.json":                                    "php",
		"app/app.deps.json":                                                     "dotnet",
		"node_modules/a/test/package.json":                                      "",
		"node_modules/@s/a/examples/package.json":                               "",
		"package.json": "",
		"root/buildinfo/content_manifests/ubi9-container-9.5-1.json": "redhat",
		"root/buildinfo/Dockerfile-ubi9-9.5-1":                       "redhat",
		"usr/share/buildinfo/content-sets.json":                      "redhat",
		"usr/share/buildinfo/a/b.json":                               "",
		"var/lib/dnf/history.sqlite":                                 "dnf",
		"opt/conda/conda-meta/numpy-1.26.0-py311_0.json":             "conda",
		"opt/conda/conda-meta/history":                               "binary",
		"opt/conda/pkgs/x/info/index.json":                           "",
		"app/.yarn/cache/left-pad-npm-1.3.0-67f93b.zip":              "node",
		"root/.yarn/berry/cache/left-pad-npm-1.3.0-67f93b.zip":       "node",
		"app/cache/left-pad.zip":                                     "",
		"usr/lib/python3/dist-packages/x-1-py3.11.egg":               "python",
		"app/lib/cowboy-2.10.0/ebin/cowboy.app":                      "erlang",
		"app/lib/kernel-9.1/ebin/kernel.app":                         "binary",
		"app/deps/cowboy/ebin/cowboy.app":                            "erlang",
		"app/pubspec.lock":                                           "dart",
		"usr/lib/sysimage/libdnf5/nevras.toml":                       "dnf",
		"etc/passwd":                                                 "",
	}
	for path, want := range wanted {
		got := ""
		for _, d := range Detectors() {
			if d.Wants(path) && got == "" { // the first has it
				got = d.Name()
				if len(d.Directories()) > 0 && !slices.ContainsFunc(d.Directories(), func(dir string) bool { return filepath.Dir(path) == dir }) {
					t.Errorf("%s is wanted by %s, but not its directory", path, got)
				}
			}
		}
		if got != want {
			t.Errorf("%s is wanted by %q, want %q", path, got, want)
		}
	}
}

func TestSetOf(t *testing.T) {
	if got := SetOf(Detectors()); got != "apk/4 binary/2 conda/1 dart/1 dnf/1 dotnet/1 dpkg/3 erlang/1 java/3 node/2 php/1 python/2 redhat/2 release/2 rpm/3 ruby/1" {
		t.Errorf("got %q", got)
	}
}

// TestDetectCutAnywhere cuts a database at each byte: what is found is always a
// part of the truth, and the cut is always told, but where a record has just ended.
func TestDetectCutAnywhere(t *testing.T) {
	contents := map[string]string{
		dpkgStatus: "Package: libc6\nStatus: install ok installed\nArchitecture: amd64\nMulti-Arch: same\n" +
			"Source: glibc (2.36-9)\nVersion: 2.36-9+deb12u9\nDescription: C library\n text\n\n" +
			"Package: tzdata\nStatus: install ok installed\nArchitecture: all\nVersion: 2024b-0+deb12u1\n\n",
		apkInstalled: "C:Q1abc=\nP:musl\nV:1.1.18-r3\nA:x86_64\no:musl\nF:lib\n\n" +
			"C:Q1abd=\nP:musl-utils\nV:1.1.18-r3\nA:x86_64\no:musl\nF:sbin\n\n",
	}
	for _, d := range Detectors() {
		for path, content := range contents {
			if anywhere(d) || !d.Wants(path) {
				continue
			}
			whole, warnings, err := d.Detect(path, contentOf(strings.NewReader(content)))
			if err != nil || len(warnings) > 0 || len(whole.Packages) != 2 {
				t.Fatalf("%s: %d packages, %v, %v", path, len(whole.Packages), warnings, err)
			}
			for cut := range len(content) {
				f, warnings, err := d.Detect(path, contentOf(strings.NewReader(content[:cut])))
				if err != nil {
					t.Fatal(err)
				}
				complete := cut == 0 || strings.HasSuffix(content[:cut], "\n\n")
				told := len(warnings) > 0 && warnings[len(warnings)-1].Code == Truncated && warnings[len(warnings)-1].Path == path
				if told == complete {
					t.Errorf("%s cut at %d: warnings %v", path, cut, warnings)
				}
				for _, r := range f.Packages {
					if !slices.Contains(whole.Packages, r) {
						t.Errorf("%s cut at %d: invented %v", path, cut, r)
					}
				}
				if ended := strings.Count(content[:cut], "\n\n"); len(f.Packages) < ended {
					t.Errorf("%s cut at %d: %d packages, want %d or more", path, cut, len(f.Packages), ended)
				}
			}
		}
	}
}

func TestDetectPassesReadErrorsOn(t *testing.T) {
	broken := errors.New("broken")
	for _, path := range []string{dpkgStatus, apkInstalled, "etc/os-release"} {
		for _, d := range Detectors() {
			if anywhere(d) || !d.Wants(path) {
				continue
			}
			r := io.MultiReader(strings.NewReader("Package: a\nVersion: 1\n\nPackage: b"), iotest.ErrReader(broken))
			if _, _, err := d.Detect(path, contentOf(r)); !errors.Is(err, broken) {
				t.Errorf("%s: got %v", path, err)
			}
		}
	}
}

func TestDetectIsBounded(t *testing.T) {
	long := strings.Repeat("libc6 (>= 2.36), ", 1<<16)
	t.Run("long lines", func(t *testing.T) {
		f, warnings, err := NewDpkg().Detect(dpkgStatus, contentOf(strings.NewReader(
			"Package: a\nDepends: "+long+"\nVersion: 1\n\nPackage: "+long+"\nVersion: 1\n\nPackage: b\nVersion: "+long+"\n\nPackage: c\nVersion: 2\n\n")))
		if err != nil || len(f.Packages) != 2 || f.Packages[1].Name != "c" || len(warnings) != 2 {
			t.Fatalf("got %v, %v, %v", f.Packages, warnings, err)
		}
		for _, w := range warnings {
			if w.Code != Malformed || len(w.Message) > 1000 {
				t.Errorf("warning %q of %d bytes", w.Code, len(w.Message))
			}
		}
	})
	t.Run("packages", func(t *testing.T) {
		for path, record := range map[string]string{dpkgStatus: "Package: a\nVersion: 1\n\n", apkInstalled: "P:a\nV:1\n\n"} {
			for _, d := range Detectors() {
				if anywhere(d) || !d.Wants(path) {
					continue
				}
				f, warnings, err := d.Detect(path, contentOf(strings.NewReader(strings.Repeat(record, maxRecords+5))))
				if err != nil || len(f.Packages) != maxRecords || len(warnings) != 1 || warnings[0].Code != Limit {
					t.Errorf("%s: %d packages, %v, %v", path, len(f.Packages), warnings, err)
				}
			}
		}
	})
	t.Run("warnings", func(t *testing.T) {
		_, warnings, err := NewApk().Detect(apkInstalled, contentOf(strings.NewReader(strings.Repeat("V:1\n\n", 5000))))
		if err != nil || len(warnings) != maxWarnings+1 {
			t.Errorf("%d warnings, %v", len(warnings), err)
		}
	})
}
