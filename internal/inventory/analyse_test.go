package inventory

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/layer"
	lt "github.com/pratique/pratique/internal/layer/layertest"
)

const (
	alpineRelease320 = "ID=alpine\nVERSION_ID=3.20.3\nPRETTY_NAME=\"Alpine Linux v3.20\"\n"
	debianRelease12  = "ID=debian\nVERSION_ID=\"12\"\nPRETTY_NAME=\"Debian 12\"\n"
)

func apkDB(packages ...string) string {
	var b strings.Builder
	for _, p := range packages {
		name, version, _ := strings.Cut(p, " ")
		fmt.Fprintf(&b, "C:Q1=\nP:%s\nV:%s\nA:x86_64\no:%s\n\n", name, version, name)
	}
	return b.String()
}

func dpkgDB(packages ...string) string {
	var b strings.Builder
	for _, p := range packages {
		name, version, _ := strings.Cut(p, " ")
		fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nArchitecture: amd64\nVersion: %s\n\n", name, version)
	}
	return b.String()
}

// outline describes a layer in lines.
func outline(l *Layer) []string {
	var out []string
	for _, f := range l.Files {
		line := f.Detector + " " + f.Path
		if f.Distribution != nil {
			line += " " + f.Distribution.String()
		}
		for _, r := range f.Packages {
			line += " " + r.Name + "=" + r.Version
		}
		out = append(out, line)
	}
	for _, p := range l.Removed {
		out = append(out, "removed "+p)
	}
	for _, p := range l.Opaque {
		out = append(out, "opaque "+p)
	}
	for _, w := range l.Warnings {
		out = append(out, strings.TrimSpace("warning "+w.Code+" "+w.Path))
	}
	return out
}

func TestAnalyse(t *testing.T) {
	tests := []struct {
		name    string
		entries []lt.Entry
		want    []string
	}{
		{"nothing", nil, nil},
		{"alpine", []lt.Entry{lt.Dir("./"), lt.File("./etc/os-release", alpineRelease320), lt.File("./lib/apk/db/installed", apkDB("musl 1", "zlib 2")), lt.File("bin/sh", "x")},
			[]string{"release etc/os-release alpine:v3.20", "apk lib/apk/db/installed musl=1 zlib=2"}},
		{"debian, merged /usr", []lt.Entry{lt.Symlink("lib", "usr/lib"), lt.Symlink("etc/os-release", "../usr/lib/os-release"), lt.File("usr/lib/os-release", debianRelease12), lt.File("var/lib/dpkg/status", dpkgDB("dpkg 1"))},
			[]string{"release usr/lib/os-release debian:12", "dpkg var/lib/dpkg/status dpkg=1", "removed etc/os-release", "removed lib"}},
		{"distroless", []lt.Entry{lt.File("./var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12\n"), lt.File("./var/lib/dpkg/status.d/base.md5sums", "x"), lt.File("./var/lib/dpkg/status.d/tzdata", "Package: tzdata\nVersion: 1\n")},
			[]string{"dpkg var/lib/dpkg/status.d/base base-files=12", "dpkg var/lib/dpkg/status.d/base.md5sums", "dpkg var/lib/dpkg/status.d/tzdata tzdata=1"}},
		{"a database without packages counts", []lt.Entry{lt.File("var/lib/dpkg/status", "")}, []string{"dpkg var/lib/dpkg/status"}},
		{"whiteouts are kept",
			[]lt.Entry{lt.File("etc/.wh.passwd", ""), lt.File("etc/.wh.os-release", ""), lt.File("var/.wh.lib", ""), lt.File("opt/.wh..wh..opq", ""), lt.File("var/lib/dpkg/.wh..wh..opq", ""), lt.File(".wh..wh..opq", ""), lt.File("var/lib/dpkg/status.d/.wh.tzdata", "")},
			[]string{"removed etc/os-release", "removed etc/passwd", "removed var/lib", "removed var/lib/dpkg/status.d/tzdata", "opaque .", "opaque opt", "opaque var/lib/dpkg"}},
		{"whiteout and file of one path in one layer", []lt.Entry{lt.File("etc/os-release", debianRelease12), lt.File("etc/.wh.os-release", "")},
			[]string{"release etc/os-release debian:12", "removed etc/os-release"}},
		{"what stands where a directory may be hides it",
			[]lt.Entry{lt.File("etc", "x"), lt.Device("usr/lib"), lt.Symlink("var/lib/dpkg", "/nowhere"), lt.File("opt", "x")},
			[]string{"removed etc", "removed usr/lib", "removed var/lib/dpkg", "warning unsupported var/lib/dpkg"}},
		{"what is no file at a wanted path hides it",
			[]lt.Entry{lt.Device("etc/os-release"), lt.Dir("var/lib/dpkg/status/")},
			[]string{"removed etc/os-release", "removed var/lib/dpkg/status"}},
		{"the last of several entries at a path holds",
			[]lt.Entry{lt.File("etc/os-release", debianRelease12), lt.File("etc/os-release", alpineRelease320), lt.File("var/lib/dpkg/status", dpkgDB("a 1")), lt.File("var/lib/dpkg", "x")},
			[]string{"release etc/os-release alpine:v3.20", "removed var/lib/dpkg"}},
		{"a file replaced by a link to nowhere", []lt.Entry{lt.File("var/lib/dpkg/status", dpkgDB("a 1")), lt.Symlink("var/lib/dpkg/status", "/tmp/status")},
			[]string{"removed var/lib/dpkg/status", "warning unsupported var/lib/dpkg/status"}},
		{"a link to nowhere replaced by a file", []lt.Entry{lt.Symlink("var/lib/dpkg/status", "/tmp/status"), lt.File("var/lib/dpkg/status", dpkgDB("a 1"))},
			[]string{"dpkg var/lib/dpkg/status a=1", "removed var/lib/dpkg/status"}},
		{"a symbolic link to what is read", []lt.Entry{lt.Symlink("lib/apk/db/installed", "/usr/lib/apk/db/installed"), lt.File("usr/lib/apk/db/installed", apkDB("a 1"))},
			[]string{"apk usr/lib/apk/db/installed a=1", "removed lib/apk/db/installed"}},
		{"a hard link to what was read", []lt.Entry{lt.File("usr/lib/apk/db/installed", apkDB("a 1")+"P:b"), lt.Hardlink("lib/apk/db/installed", "./usr/lib/apk/db/installed")},
			[]string{"apk lib/apk/db/installed a=1", "apk usr/lib/apk/db/installed a=1", "warning truncated lib/apk/db/installed", "warning truncated usr/lib/apk/db/installed"}},
		{"a hard link to what was not read", []lt.Entry{lt.File("tmp/db", apkDB("a 1")), lt.Hardlink("lib/apk/db/installed", "tmp/db"), lt.Hardlink("bin/x", "tmp/db")},
			[]string{"removed lib/apk/db/installed", "warning unsupported lib/apk/db/installed"}},
		{"a hard link to the database of another kind", []lt.Entry{lt.File("etc/os-release", debianRelease12), lt.Hardlink("var/lib/dpkg/status", "etc/os-release")},
			[]string{"release etc/os-release debian:12", "removed var/lib/dpkg/status", "warning unsupported var/lib/dpkg/status"}},
		{"hard links in a circle", []lt.Entry{lt.Hardlink("lib/apk/db/installed", "usr/lib/apk/db/installed"), lt.Hardlink("usr/lib/apk/db/installed", "lib/apk/db/installed"), lt.Hardlink("etc/os-release", "etc/os-release")},
			[]string{"removed etc/os-release", "removed lib/apk/db/installed", "removed usr/lib/apk/db/installed",
				"warning unsupported etc/os-release", "warning unsupported lib/apk/db/installed", "warning unsupported usr/lib/apk/db/installed"}},
		{"entries through a symbolic link of this layer",
			[]lt.Entry{lt.Symlink("lib", "usr/lib"), lt.File("lib/apk/db/installed", apkDB("a 1")), lt.Symlink("x", "/var"), lt.Symlink("y", "x/lib/dpkg"), lt.File("y/status", dpkgDB("b 1")), lt.File("x/lib/dpkg/.wh.status.d", "")},
			[]string{"apk usr/lib/apk/db/installed a=1", "dpkg var/lib/dpkg/status b=1", "removed lib", "removed var/lib/dpkg/status.d"}},
		{"a symbolic link replaced by a directory", []lt.Entry{lt.Symlink("x", "etc"), lt.Dir("x"), lt.File("x/os-release", debianRelease12)}, nil},
		{"symbolic links in a circle", []lt.Entry{lt.Symlink("a", "b"), lt.Symlink("b", "a"), lt.Symlink("etc", "etc"), lt.Symlink("usr", "./usr/lib"), lt.File("a/b", ""), lt.File("etc/os-release", debianRelease12)},
			[]string{"release etc/os-release debian:12", "removed etc", "removed usr", "warning unsupported usr"}},
		{"a directory of databases elsewhere", []lt.Entry{lt.Symlink("etc", "private/etc"), lt.Symlink("var", "/mnt/var")},
			[]string{"removed etc", "removed var", "warning unsupported etc", "warning unsupported var"}},
		{"names that climb out", []lt.Entry{lt.File("../../lib/apk/db/installed", apkDB("evil 1")), lt.File("lib/apk/../../../etc/os-release", debianRelease12), lt.File("lib/apk/db/.wh...", "")},
			[]string{"warning unsafe-path ../../lib/apk/db/installed", "warning unsafe-path lib/apk/../../../etc/os-release", "warning unsafe-path lib/apk/db/.wh..."}},
		{"an absolute name", []lt.Entry{lt.File("/lib/apk/db/installed", apkDB("a 1"))}, []string{"apk lib/apk/db/installed a=1"}},
		{"a database that is cut", []lt.Entry{lt.File("var/lib/dpkg/status", dpkgDB("a 1", "b 2")[:100])},
			[]string{"dpkg var/lib/dpkg/status a=1", "warning truncated var/lib/dpkg/status"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			content := lt.Gzip(t, lt.Tar(t, test.entries...))
			l, err := Analyse(t.Context(), bytes.NewReader(content), "", Detectors(), layer.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, outline(l)); diff != "" {
				t.Errorf("layer (-want +got):\n%s", diff)
			}
			if l.Compression != "gzip" || l.Size != int64(len(content)) || l.Entries != len(test.entries) || !strings.HasPrefix(l.Digest, "sha256:") {
				t.Errorf("got %s of %d bytes and %d entries, %s", l.Compression, l.Size, l.Entries, l.Digest)
			}
		})
	}
}

func TestAnalyseErrorsNameTheLayer(t *testing.T) {
	content := lt.Gzip(t, lt.Tar(t, lt.File("etc/os-release", debianRelease12), lt.File("var/lib/dpkg/status", dpkgDB("a 1"))))
	whole, err := Analyse(t.Context(), bytes.NewReader(content), "", Detectors(), layer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	other := "sha256:" + strings.Repeat("0", 64)
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name    string
		ctx     context.Context
		content []byte
		digest  string
		opts    layer.Options
		want    error
	}{
		{"another digest", t.Context(), content, other, layer.Options{}, layer.ErrDigest},
		{"cut, digest known", t.Context(), content[:len(content)-20], whole.Digest, layer.Options{}, layer.ErrDigest},
		{"cut, digest unknown", t.Context(), content[:len(content)-20], "", layer.Options{}, layer.ErrCorrupt},
		{"limit", t.Context(), content, whole.Digest, layer.Options{Entries: 1}, layer.ErrLimit},
		{"cancelled", cancelled, content, whole.Digest, layer.Options{}, context.Canceled},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			l, err := Analyse(test.ctx, bytes.NewReader(test.content), test.digest, Detectors(), test.opts)
			if l != nil || !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.digest) || !strings.HasPrefix(err.Error(), "layer ") {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestAnalyseCutInsideADatabase(t *testing.T) {
	plain := lt.Tar(t, lt.File("var/lib/dpkg/status", strings.Repeat(dpkgDB("a 1"), 1000)))
	_, err := Analyse(t.Context(), bytes.NewReader(plain[:20_000]), "", Detectors(), layer.Options{})
	if !errors.Is(err, layer.ErrCorrupt) || !strings.Contains(err.Error(), "var/lib/dpkg/status") {
		t.Errorf("got %v", err)
	}
}

func TestAnalyseBounds(t *testing.T) {
	t.Run("file size", func(t *testing.T) {
		content := lt.Tar(t, lt.File("var/lib/dpkg/status", dpkgDB("a 1", "b 2")), lt.File("etc/os-release", debianRelease12))
		l, err := Analyse(t.Context(), bytes.NewReader(content), "", Detectors(), layer.Options{FileSize: 100})
		if err != nil {
			t.Fatal(err)
		}
		want := []string{"release etc/os-release debian:12", "dpkg var/lib/dpkg/status", "warning limit var/lib/dpkg/status"}
		if diff := cmp.Diff(want, outline(l)); diff != "" {
			t.Errorf("layer (-want +got):\n%s", diff)
		}
	})
	var entries []lt.Entry
	for i := range 50 {
		entries = append(entries, lt.File(fmt.Sprintf("var/lib/dpkg/status.d/p%02d", i), dpkgDB(fmt.Sprintf("p%d 1", i), fmt.Sprintf("q%d 1", i))))
	}
	for i := range 50 {
		entries = append(entries, lt.File(fmt.Sprintf("../evil%d", i), ""), lt.Symlink(fmt.Sprintf("l%d", i), "etc"), lt.File(fmt.Sprintf("var/lib/dpkg/status.d/.wh.w%d", i), ""))
	}
	content := lt.Tar(t, entries...)
	l, err := AnalyseWith(t.Context(), bytes.NewReader(content), "", Detectors(), Options{Files: 10, Packages: 15, Warnings: 7, Links: 5, Hidden: 30, Names: 500})
	if err != nil {
		t.Fatal(err)
	}
	packages := 0
	for _, f := range l.Files {
		packages += len(f.Packages)
	}
	if len(l.Files) != 10 || packages != 15 || len(l.Removed) != 30 {
		t.Errorf("%d files, %d packages, %d removed", len(l.Files), packages, len(l.Removed))
	}
	var limits int
	for _, w := range l.Warnings {
		if w.Code == Limit {
			limits++
		}
	}
	// One for each bound, and one for the warnings left out.
	if limits != 6 || len(l.Warnings) > 7+6 {
		t.Errorf("%d warnings, %d of limits: %v", len(l.Warnings), limits, l.Warnings)
	}
}

func TestBelow(t *testing.T) {
	for _, test := range []struct {
		path, dir string
		want      bool
	}{{"a", "a", true}, {"a/b", "a", true}, {"ab", "a", false}, {"a", "a/b", false}, {"a/b", ".", true}, {".", ".", true}} {
		if got := below(test.path, test.dir); got != test.want {
			t.Errorf("below(%q, %q) = %v", test.path, test.dir, got)
		}
	}
}

// FuzzDetect: no bytes make a detector panic, or report what cannot be stored.
func FuzzDetect(f *testing.F) {
	seeds := []struct{ path, content string }{
		{dpkgStatus, dpkgDB("a 1", "b 2") + "Package: c\nSource: d (3)\nVersion: 4\n x"},
		{"var/lib/dpkg/status.d/a", "Package: a\nVersion: 1"},
		{apkInstalled, apkDB("a 1") + "\n\nP:b\nV:1\nxx"},
		{"etc/os-release", debianRelease12},
		{"etc/os-release", "ID='alpine'\nVERSION_ID=\"3.\\\"20\""},
		{"etc/lsb-release", "DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=20.04"},
		{"etc/alpine-release", "3.20.3"},
		{"etc/redhat-release", "Rocky Linux release 9.3 (Blue Onyx)"},
		{"etc/debian_version", "trixie/sid"},
		{"var/lib/dpkg/info/a:amd64.list", "/.\n/usr\n/usr/bin/a\n"},
		{"var/lib/dpkg/status.d/a.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/bin/a\n"},
		{"a.dist-info/METADATA", "Name: a\nVersion: 1\n\n"},
		{"node_modules/a/package.json", `{"name": "a", "version": "1"}`},
		{"bin/a", "\x7fELF"},
		{"specifications/a.gemspec", "# stub: a 1 ruby lib\n"},
		{"specifications/b.gemspec", "s.name = 'a'\n s.version = '1'"},
		{"composer/installed.json", `[{"name": "a/b", "version": "v1"}]`},
		{"a.deps.json", `{"libraries": {"A/1": {"type": "package"}}}`},
		{"var/lib/rpm/Packages.db", "RpmP"},
		{"conda-meta/a.json", `{"name": "a", "version": "1", "files": ["bin/a"]}`},
		{"a/ebin/a.app", `{application, a, [{vsn, "1"}]}.`},
		{"pubspec.lock", "packages:\n  a:\n    source: hosted\n    version: \"1\"\n"},
		{"a.egg", jar(f, "EGG-INFO/PKG-INFO", "Name: a\nVersion: 1\n")},
		{".yarn/cache/a.zip", jar(f, "node_modules/a/package.json", `{"name": "a", "version": "1"}`)},
		{"usr/bin/redis-server", programOf("7.2.4", "7.2.4build-1234567890123")},
		{"jvm/release", "JAVA_VERSION=\"17\"\nOS_ARCH=\"x\"\n"},
		{"root/buildinfo/Dockerfile-a-1-1", "LABEL com.redhat.component=\"a\" \\\n cpe='b c'\n"},
		{"usr/share/buildinfo/content-sets.json", `{"content_sets": ["a"]}`},
		{"usr/lib/sysimage/libdnf5/nevras.toml", "\"a-1-1.x\" = {from_repo = \"r\"}\n"},
		{"var/lib/dnf/history.sqlite", "SQLite format 3\x00"},
	}
	for _, s := range seeds {
		f.Add(s.path, []byte(s.content))
	}
	f.Fuzz(func(t *testing.T, p string, content []byte) {
		if p != path.Clean(p) {
			t.Skip("paths are cleaned")
		}
		for _, d := range Detectors() {
			if !d.Wants(p) {
				continue
			}
			if !anywhere(d) && !slices.Contains(d.Directories(), path.Dir(p)) {
				t.Errorf("%q is wanted", p)
			}
			file, warnings, err := d.Detect(p, contentOf(bytes.NewReader(content)))
			if err != nil {
				t.Fatal(err)
			}
			lineCount := bytes.Count(content, []byte("\n")) + 1
			for _, r := range file.Packages {
				texts := []string{r.Name, r.Version}
				if OfSystem(r.Type) {
					texts = append(texts, r.SourceName, r.SourceVersion)
				}
				for _, text := range texts {
					if !isToken(text) {
						t.Errorf("%q in %v", text, r)
					}
				}
				if r.Evidence == "" && (r.Line < 1 || r.Line > lineCount) {
					t.Errorf("line %d of %d", r.Line, lineCount)
				}
			}
			if dist := file.Distribution; dist != nil && (!isKey(dist.ID) || strings.ContainsRune(dist.PrettyName, 0)) {
				t.Errorf("distribution %v", dist)
			}
			if len(warnings) > maxWarnings+1 {
				t.Errorf("%d warnings", len(warnings))
			}
		}
	})
}

// FuzzAnalyse: no layer makes the analysis panic or fail in an undocumented way.
func FuzzAnalyse(f *testing.F) {
	f.Add(lt.Tar(f, lt.File("./etc/os-release", debianRelease12), lt.File("var/lib/dpkg/status", dpkgDB("a 1")), lt.Symlink("lib", "usr/lib"),
		lt.File("lib/apk/db/installed", apkDB("a 1")), lt.Hardlink("lib/apk/db/installed", "var/lib/dpkg/status"), lt.File("etc/.wh.os-release", "")))
	f.Add(lt.Gzip(f, lt.Tar(f, lt.Symlink("etc", "."), lt.Symlink("usr", "etc/usr"), lt.File("usr/lib/os-release", "ID=a"), lt.File(".wh..wh..opq", ""))))
	f.Fuzz(func(t *testing.T, content []byte) {
		l, err := Analyse(context.Background(), io.LimitReader(bytes.NewReader(content), 1<<20), "", Detectors(),
			layer.Options{Bytes: 4 << 20, Entries: 1000, Window: 8 << 20})
		if err != nil {
			if !layer.Permanent(err) {
				t.Errorf("undocumented error %v", err)
			}
			return
		}
		img := Coalesce([]*Layer{l, l})
		for _, p := range img.Packages {
			if p.LayerIndex > 1 || p.LayerDigest != l.Digest {
				t.Errorf("layer %d %s", p.LayerIndex, p.LayerDigest)
			}
		}
	})
}
