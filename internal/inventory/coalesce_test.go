package inventory

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/layer"
	lt "github.com/pratique/pratique/internal/layer/layertest"
)

// coalesce analyses and coalesces layers, and describes the image in lines.
// Layers are numbered; the same entries give the same layer.
func coalesce(t *testing.T, layers ...[]lt.Entry) (Image, []string) {
	t.Helper()
	var analysed []*Layer
	number := make(map[string]int)
	for i, entries := range layers {
		l, err := Analyse(t.Context(), bytes.NewReader(lt.Tar(t, entries...)), "", Detectors(), layer.Options{})
		if err != nil {
			t.Fatal(err)
		}
		// As a stored analysis is: what JSON does not keep is not there.
		text, err := json.Marshal(l)
		if err != nil {
			t.Fatal(err)
		}
		stored := new(Layer)
		if err := json.Unmarshal(text, stored); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(l, stored); diff != "" {
			t.Errorf("layer %d as stored (-want +got):\n%s", i, diff)
		}
		analysed = append(analysed, stored)
		if _, known := number[l.Digest]; !known {
			number[l.Digest] = i
		}
	}
	img := Coalesce(analysed)
	out := []string{strings.TrimSpace(img.Distribution.String() + " " + string(img.Coverage()))}
	for _, p := range img.Packages {
		if p.LayerDigest != analysed[p.LayerIndex].Digest {
			t.Errorf("%s: layer %d is not %s", p.Name, p.LayerIndex, p.LayerDigest)
		}
		line := fmt.Sprintf("%s=%s %d %s:%d", p.Name, p.Version, p.LayerIndex, p.Path, p.Line)
		if p.Distribution != img.Distribution.String() {
			line += fmt.Sprintf(" of %q", p.Distribution)
		}
		out = append(out, line)
	}
	for _, w := range img.Warnings {
		line := strings.TrimSpace("warning " + w.Code + " " + w.Path)
		if w.Layer != "" {
			line += fmt.Sprintf(" %d", number[w.Layer])
		}
		out = append(out, line)
	}
	return img, out
}

func TestCoalesce(t *testing.T) {
	const db, status = "lib/apk/db/installed", "var/lib/dpkg/status"
	alpine, debian := lt.File("etc/os-release", alpineRelease320), lt.File("etc/os-release", debianRelease12)
	base := []lt.Entry{alpine, lt.File(db, apkDB("musl 1", "zlib 2"))}
	upgrade := []lt.Entry{lt.File(db, apkDB("curl 9", "musl 1", "zlib 3"))}
	distroless := []lt.Entry{debian, lt.File(status+".d/base", "Package: base\nVersion: 1\n"), lt.File(status+".d/tzdata", "Package: tzdata\nVersion: 2\n")}
	tests := []struct {
		name   string
		layers [][]lt.Entry
		want   []string
	}{
		{"nothing", nil, []string{"unknown", "warning no-packages"}},
		{"an empty layer", [][]lt.Entry{nil}, []string{"unknown", "warning no-packages"}},
		{"one layer", [][]lt.Entry{base}, []string{"alpine:v3.20 complete", "musl=1 0 lib/apk/db/installed:1", "zlib=2 0 lib/apk/db/installed:7"}},
		{"unchanged packages keep their layer", [][]lt.Entry{base, {lt.File("app", "")}, upgrade},
			[]string{"alpine:v3.20 complete", "curl=9 2 lib/apk/db/installed:1", "musl=1 0 lib/apk/db/installed:7", "zlib=3 2 lib/apk/db/installed:13"}},
		{"and through several databases", [][]lt.Entry{base, upgrade, {lt.File(db, apkDB("musl 1", "curl 9"))}},
			[]string{"alpine:v3.20 complete", "curl=9 1 lib/apk/db/installed:7", "musl=1 0 lib/apk/db/installed:1"}},
		{"a package that went and came back is new", [][]lt.Entry{base, {lt.File(db, apkDB("zlib 2"))}, base},
			[]string{"alpine:v3.20 complete", "musl=1 2 lib/apk/db/installed:1", "zlib=2 0 lib/apk/db/installed:7"}},
		{"the same layer twice", [][]lt.Entry{base, base},
			[]string{"alpine:v3.20 complete", "musl=1 0 lib/apk/db/installed:1", "zlib=2 0 lib/apk/db/installed:7"}},
		{"an emptied database", [][]lt.Entry{base, {lt.File(db, "")}}, []string{"alpine:v3.20 unknown", "warning no-packages"}},
		{"a removed database", [][]lt.Entry{base, {lt.File("lib/apk/db/.wh.installed", "")}}, []string{"alpine:v3.20 unknown", "warning no-packages"}},
		{"a removed directory", [][]lt.Entry{base, {lt.File(".wh.lib", "")}}, []string{"alpine:v3.20 unknown", "warning no-packages"}},
		{"a removed directory of a like name", [][]lt.Entry{base, {lt.File(".wh.li", ""), lt.File("lib/.wh.apk2", "")}},
			[]string{"alpine:v3.20 complete", "musl=1 0 lib/apk/db/installed:1", "zlib=2 0 lib/apk/db/installed:7"}},
		{"an opaque directory", [][]lt.Entry{base, {lt.File("lib/.wh..wh..opq", "")}}, []string{"alpine:v3.20 unknown", "warning no-packages"}},
		{"an opaque root", [][]lt.Entry{base, {lt.File(".wh..wh..opq", ""), debian}}, []string{"debian:12 unknown", "warning no-packages"}},
		{"an opaque directory shows its own layer", [][]lt.Entry{base, {lt.File("lib/apk/db/.wh..wh..opq", ""), lt.File(db, apkDB("zlib 2"))}},
			[]string{"alpine:v3.20 complete", "zlib=2 0 lib/apk/db/installed:1"}},
		{"a directory replaced by a file", [][]lt.Entry{base, {lt.File("lib", "x")}}, []string{"alpine:v3.20 unknown", "warning no-packages"}},
		{"a database replaced by a directory", [][]lt.Entry{base, {lt.Dir(db)}}, []string{"alpine:v3.20 unknown", "warning no-packages"}},
		{"removed, then added again", [][]lt.Entry{base, {lt.File("lib/.wh.apk", "")}, {lt.File(db, apkDB("musl 1"))}},
			[]string{"alpine:v3.20 complete", "musl=1 2 lib/apk/db/installed:1"}},
		{"removed and added in one layer keeps what it replaces", [][]lt.Entry{base, {lt.File(".wh.lib", ""), lt.File(db, apkDB("musl 1", "new 1"))}},
			[]string{"alpine:v3.20 complete", "musl=1 0 lib/apk/db/installed:1", "new=1 1 lib/apk/db/installed:7"}},
		{"/usr is merged on top: the database moves",
			[][]lt.Entry{base, {lt.Symlink("lib", "usr/lib"), lt.File("usr/lib/apk/db/installed", apkDB("musl 1"))}},
			[]string{"alpine:v3.20 complete", "musl=1 1 usr/lib/apk/db/installed:1"}},
		{"distroless, one package less", [][]lt.Entry{distroless, {lt.File(status+".d/.wh.base", ""), lt.File(status+".d/ssl", "Package: ssl\nVersion: 3\n")}},
			[]string{"debian:12 complete", "ssl=3 1 var/lib/dpkg/status.d/ssl:1", "tzdata=2 0 var/lib/dpkg/status.d/tzdata:1"}},
		{"duplicates in a database count once", [][]lt.Entry{{debian, lt.File(status, dpkgDB("a 1", "a 1", "a 2"))}},
			[]string{"debian:12 complete", "a=1 0 var/lib/dpkg/status:1", "a=2 0 var/lib/dpkg/status:11"}},

		{"etc/os-release before usr/lib/os-release before others",
			[][]lt.Entry{{lt.File("etc/debian_version", "11.1\n"), lt.File("usr/lib/os-release", "ID=ubuntu\nVERSION_ID=22.04\n"), lt.File(status, dpkgDB("a 1"))}, {debian}, {lt.File("etc/.wh.os-release", "")}},
			[]string{"ubuntu:22.04 complete", "a=1 0 var/lib/dpkg/status:1"}},
		{"a link hides the file below, not its target",
			[][]lt.Entry{{debian, lt.File("usr/lib/os-release", "ID=ubuntu\nVERSION_ID=22.04\n"), lt.File(status, dpkgDB("a 1"))}, {lt.Symlink("etc/os-release", "../usr/lib/os-release")}},
			[]string{"ubuntu:22.04 complete", "a=1 0 var/lib/dpkg/status:1"}},
		{"a fallback where the others are gone", [][]lt.Entry{{debian, lt.File("etc/debian_version", "11.1\n"), lt.File(status, dpkgDB("a 1"))}, {lt.File("etc/.wh.os-release", "")}},
			[]string{"debian:11 complete", "a=1 0 var/lib/dpkg/status:1"}},
		{"an upper layer names another distribution", [][]lt.Entry{{debian, lt.File(status, dpkgDB("a 1"))}, {lt.File("etc/os-release", "ID=debian\nVERSION_ID=13\n")}},
			[]string{"debian:13 complete", "a=1 0 var/lib/dpkg/status:1"}},
		{"no distribution", [][]lt.Entry{{lt.File(status, dpkgDB("a 1"))}},
			[]string{"unknown", "a=1 0 var/lib/dpkg/status:1", "warning no-distribution"}},
		{"packages that are not the distribution's", [][]lt.Entry{{debian, lt.File(status, dpkgDB("a 1")), lt.File(db, apkDB("musl 1"))}},
			[]string{"debian:12 partial", `musl=1 0 lib/apk/db/installed:1 of ""`, "a=1 0 var/lib/dpkg/status:1", "warning mixed-packages lib/apk/db/installed"}},

		{"a warning names its layer", [][]lt.Entry{{debian}, {lt.File(status, dpkgDB("a 1")+"Pack")}},
			[]string{"debian:12 partial", "a=1 1 var/lib/dpkg/status:1", "warning truncated var/lib/dpkg/status 1"}},
		{"a warning goes with its file", [][]lt.Entry{{debian, lt.File("../x", ""), lt.File(status, "Pack")}, {lt.File(status, dpkgDB("a 1"))}},
			[]string{"debian:12 partial", "a=1 1 var/lib/dpkg/status:1", "warning unsafe-path ../x 0"}},
		{"a warning goes with its directory", [][]lt.Entry{{debian, lt.Symlink("var", "/mnt")}, {lt.File(".wh.var", "")}, {lt.File(status, dpkgDB("a 1"))}},
			[]string{"debian:12 complete", "a=1 2 var/lib/dpkg/status:1"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			img, got := coalesce(t, test.layers...)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("image (-want +got):\n%s", diff)
			}
			if img.Packages == nil {
				t.Error("the list of packages is null in JSON")
			}
		})
	}
}

func TestCoalesceTakesLayersThatWereNotRead(t *testing.T) {
	base := &Layer{Digest: "sha256:a", Files: []File{
		{Path: "etc/os-release", Detector: "release", Distribution: &Distribution{ID: "debian", Version: "12"}},
		{Path: dpkgStatus, Detector: "dpkg", Packages: []Record{{Package: Package{Type: "deb", Name: "a", Version: "1"}, Line: 1}}},
	}}
	unread := &Layer{Digest: "sha256:b", Warnings: []Warning{{Code: "unreadable", Message: "corrupt"}}}
	img := Coalesce([]*Layer{base, unread})
	want := []Warning{{Code: "unreadable", Message: "corrupt", Layer: "sha256:b"}}
	if diff := cmp.Diff(want, img.Warnings); diff != "" || img.Coverage() != Partial || len(img.Packages) != 1 {
		t.Errorf("coverage %s, warnings (-want +got):\n%s", img.Coverage(), diff)
	}
	if unread.Warnings[0].Layer != "" {
		t.Error("the layer's own warning was changed")
	}
}

func TestSetDistribution(t *testing.T) {
	img, _ := coalesce(t, []lt.Entry{lt.File(dpkgStatus, dpkgDB("a 1"))})
	img.SetDistribution(Distribution{ID: "debian", Version: "12"})
	if img.Packages[0].Distribution != "debian:12" || len(img.Warnings) != 0 || img.Coverage() != Complete {
		t.Errorf("got %v", img)
	}
}
