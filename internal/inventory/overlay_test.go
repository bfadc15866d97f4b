package inventory

import (
	"archive/tar"
	"bytes"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/layer"
	lt "github.com/pratique/pratique/internal/layer/layertest"
)

func TestLinksAcrossLayers(t *testing.T) {
	const db = "usr/lib/apk/db/installed"
	alpine := lt.File("etc/os-release", alpineRelease320)
	pkg := func(path, name, version string) lt.Entry {
		return lt.File(path, `{"name": "`+name+`", "version": "`+version+`"}`)
	}
	mergedBase := []lt.Entry{alpine, lt.Symlink("lib", "usr/lib"), lt.File(db, apkDB("musl 1", "zlib 2"))}
	tests := []struct {
		name   string
		layers [][]lt.Entry
		want   []string
	}{
		{"a database through a link of the base", [][]lt.Entry{mergedBase, {lt.File("lib/apk/db/installed", apkDB("musl 1", "curl 3"))}},
			[]string{"alpine:v3.20 complete", "curl=3 1 " + db + ":7", "musl=1 0 " + db + ":1"}},
		{"a directory takes the place of the link", [][]lt.Entry{mergedBase, {lt.Dir("lib"), lt.File("lib/apk/db/installed", apkDB("curl 3"))}},
			[]string{"alpine:v3.20 complete", "curl=3 1 lib/apk/db/installed:1", "musl=1 0 " + db + ":1", "zlib=2 0 " + db + ":7"}},
		{"and a later layer writes into it", [][]lt.Entry{mergedBase, {lt.Dir("lib")}, {lt.File("lib/apk/db/installed", apkDB("curl 3"))}},
			[]string{"alpine:v3.20 complete", "curl=3 2 lib/apk/db/installed:1", "musl=1 0 " + db + ":1", "zlib=2 0 " + db + ":7"}},
		{"the link is removed", [][]lt.Entry{mergedBase, {lt.File(".wh.lib", "")}, {lt.File("lib/apk/db/installed", apkDB("curl 3"))}},
			[]string{"alpine:v3.20 complete", "curl=3 2 lib/apk/db/installed:1", "musl=1 0 " + db + ":1", "zlib=2 0 " + db + ":7"}},
		{"the root is opaque", [][]lt.Entry{mergedBase, {lt.File(".wh..wh..opq", ""), alpine}, {lt.File("lib/apk/db/installed", apkDB("curl 3"))}},
			[]string{"alpine:v3.20 complete", "curl=3 2 lib/apk/db/installed:1"}},
		{"a whiteout through the link", [][]lt.Entry{mergedBase, {lt.File("lib/apk/db/.wh.installed", "")}},
			[]string{"alpine:v3.20 unknown", "warning no-packages"}},
		{"an opaque directory through the link", [][]lt.Entry{mergedBase, {lt.File("lib/.wh..wh..opq", "")}},
			[]string{"alpine:v3.20 unknown", "warning no-packages"}},
		{"a file in the place of a directory, through the link", [][]lt.Entry{mergedBase, {lt.File("lib/apk", "")}},
			[]string{"alpine:v3.20 unknown", "warning no-packages"}},
		{"the database of RPM elsewhere", [][]lt.Entry{
			{alpine, lt.Symlink("var/lib/rpm", "../../usr/lib/sysimage/rpm"), lt.File("usr/lib/sysimage/rpm/Packages.db", "damaged")}, {lt.File("var/lib/rpm/Packages.db", "")}},
			[]string{"alpine:v3.20 unknown", "warning no-packages"}},
		{"two links, one through the other", [][]lt.Entry{{alpine, lt.Symlink("a", "b"), lt.Symlink("b", "/opt/app"), pkg("opt/app/node_modules/x/package.json", "x", "1")}, {pkg("a/node_modules/x/package.json", "x", "2")}},
			[]string{"alpine:v3.20 unknown", "x=2 1 opt/app/node_modules/x/package.json:1 of \"\""}},
		{"the link of a later layer", [][]lt.Entry{{alpine, pkg("opt/app/node_modules/x/package.json", "x", "1")}, {lt.Symlink("srv", "opt")}, {pkg("srv/app/node_modules/x/package.json", "x", "2"), lt.File("srv/app/node_modules/.wh.y", "")}},
			[]string{"alpine:v3.20 unknown", "x=2 2 opt/app/node_modules/x/package.json:1 of \"\""}},
		{"pnpm's links lead to packages", [][]lt.Entry{{alpine, lt.Symlink("node_modules/x", ".pnpm/x@1/node_modules/x"), pkg("node_modules/.pnpm/x@1/node_modules/x/package.json", "x", "1")},
			{pkg("node_modules/x/package.json", "x", "2")}},
			[]string{"alpine:v3.20 unknown", "x=2 1 node_modules/.pnpm/x@1/node_modules/x/package.json:1 of \"\""}},
		{"a link to a file is none to go through", [][]lt.Entry{mergedBase, {lt.Symlink("bin/sh", "/bin/busybox"), lt.File("bin/busybox", "")}},
			[]string{"alpine:v3.20 complete", "musl=1 0 " + db + ":1", "zlib=2 0 " + db + ":7"}},
		{"one file by two names in one layer: the last holds", [][]lt.Entry{mergedBase, {lt.File("lib/apk/db/installed", apkDB("a 1")), lt.File(db, apkDB("b 1"))}},
			[]string{"alpine:v3.20 complete", "b=1 1 " + db + ":1"}},
		{"the other way round", [][]lt.Entry{mergedBase, {lt.File(db, apkDB("b 1")), lt.File("lib/apk/db/installed", apkDB("a 1"))}},
			[]string{"alpine:v3.20 complete", "a=1 1 " + db + ":1"}},
		{"links in a circle are ones to nowhere", [][]lt.Entry{append([]lt.Entry{lt.Symlink("x", "y"), lt.Symlink("y", "x")}, mergedBase...), {lt.File("x/z", "")}},
			[]string{"alpine:v3.20 complete", "musl=1 0 " + db + ":1", "zlib=2 0 " + db + ":7"}},
		{"a database written through a link that its layer does not know", [][]lt.Entry{append([]lt.Entry{lt.Symlink("data", "usr/lib/apk")}, mergedBase...), {lt.File("data/db/installed", apkDB("curl 3"))}},
			[]string{"alpine:v3.20 unknown", "warning unsupported " + db + " 1", "warning no-packages"}},
		{"the release file behind a link", [][]lt.Entry{{lt.Symlink("etc", "private/etc"), lt.File(db, apkDB("a 1"))}, {alpine}},
			[]string{"alpine:v3.20 partial", "a=1 0 " + db + ":1", "warning unsupported etc 0"}},
		{"a warning goes with the file, through the link", [][]lt.Entry{{alpine, lt.Symlink("lib", "usr/lib"), lt.File(db, apkDB("a 1")+"P:b")}, {lt.File("lib/apk/db/installed", apkDB("a 1"))}},
			[]string{"alpine:v3.20 complete", "a=1 0 " + db + ":1"}},

		{"a hard link to a database of a lower layer", [][]lt.Entry{{alpine, lt.File("usr/lib/apk/db/installed", apkDB("a 1"))}, {lt.Hardlink("lib/apk/db/installed", "usr/lib/apk/db/installed")}},
			[]string{"alpine:v3.20 complete", "a=1 0 lib/apk/db/installed:1", "a=1 0 usr/lib/apk/db/installed:1"}},
		{"a hard link to what was not read there", [][]lt.Entry{{alpine, lt.File("tmp/db", apkDB("a 1"))}, {lt.Hardlink("lib/apk/db/installed", "tmp/db")}},
			[]string{"alpine:v3.20 unknown", "warning unsupported lib/apk/db/installed 1", "warning no-packages"}},
		{"a hard link to a package of a lower layer, which is removed then", [][]lt.Entry{{alpine, pkg("a/node_modules/x/package.json", "x", "1")},
			{lt.Hardlink("b/node_modules/x/package.json", "a/node_modules/x/package.json")}, {lt.File(".wh.a", "")}},
			[]string{"alpine:v3.20 unknown", "x=1 0 b/node_modules/x/package.json:1 of \"\""}},
		{"a hard link to another kind of file", [][]lt.Entry{{alpine, lt.File(db, apkDB("a 1"))}, {lt.Hardlink("usr/bin/x", db)}},
			[]string{"alpine:v3.20 complete", "a=1 0 " + db + ":1"}},
		{"a hard link that is replaced", [][]lt.Entry{{alpine, pkg("a/node_modules/x/package.json", "x", "1")},
			{lt.Hardlink("b/node_modules/x/package.json", "a/node_modules/x/package.json"), lt.File("b/node_modules/x/package.json", "{}")}},
			[]string{"alpine:v3.20 unknown", "x=1 0 a/node_modules/x/package.json:1 of \"\""}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, got := coalesce(t, test.layers...)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("image (-want +got):\n%s", diff)
			}
		})
	}
}

// What a layer remembers of links is what later ones may need.
func TestLayerLinks(t *testing.T) {
	content := lt.Tar(t, lt.Symlink("lib", "usr/lib"), lt.Symlink("bin/sh", "busybox"), lt.File("bin/busybox", ""), lt.Symlink("bin/ash", "/bin/sh"),
		lt.Dir("usr/lib/x"), lt.Symlink("x", "lib/x"), lt.Symlink("gone", "usr"), lt.Dir("gone"), lt.Symlink("usr/y", "../nowhere"),
		lt.Hardlink("usr/bin/in", "bin/busybox"), lt.Hardlink("usr/bin/out", "usr/bin/elsewhere"), lt.Hardlink("etc/out", "x"))
	l, err := Analyse(t.Context(), bytes.NewReader(content), "", Detectors(), layer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"lib": "usr/lib", "x": "lib/x", "usr/y": "../nowhere"}, l.Links); diff != "" {
		t.Errorf("links (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"usr/bin/out": "usr/bin/elsewhere"}, l.Hardlinks); diff != "" {
		t.Errorf("hard links (-want +got):\n%s", diff)
	}
	if want := "lib\nbin/sh\nbin/busybox\nbin/ash\nusr/lib/x/\nx\ngone\ngone/\nusr/y\nusr/bin/in\nusr/bin/out\netc/out\n"; l.Names != want {
		t.Errorf("names %q, want %q", l.Names, want)
	}
}

// TestLayersAsUnpacked makes layers at random and compares with what is there when
// they are unpacked one upon the other.
func TestLayersAsUnpacked(t *testing.T) {
	for seed := range uint64(400) {
		random := rand.New(rand.NewPCG(seed, 7))
		var layers []*Layer
		var told []string
		root := &inode{kind: tar.TypeDir}
		for i := range 2 + random.IntN(3) {
			entries := randomLayer(random, i)
			unpack(root, entries, i)
			for _, e := range entries {
				told = append(told, fmt.Sprintf("%d: %c %s -> %s", i, e.Header.Typeflag, e.Header.Name, e.Header.Linkname))
			}
			l, err := Analyse(t.Context(), bytes.NewReader(lt.Tar(t, entries...)), "", Detectors(), layer.Options{})
			if err != nil {
				t.Fatal(err)
			}
			layers = append(layers, l)
		}
		var want, got []string
		root.list("", &want)
		for _, p := range Coalesce(layers).Packages {
			got = append(got, p.Path+" "+p.Version)
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("seed %d (-unpacked +got):\n%s\nlayers:\n%s", seed, diff, strings.Join(told, "\n"))
		}
	}
}

// randomLayer makes a layer as tools do: in the order of paths, whiteouts first.
// No link leads to a link, for then the order of unrelated entries would matter.
func randomLayer(random *rand.Rand, index int) []lt.Entry {
	dirs := []string{"a", "b", "c", "a/d", "b/d", "c/d"}
	entries := make(map[string]lt.Entry)
	for range 1 + random.IntN(6) {
		dir := dirs[random.IntN(len(dirs))]
		switch random.IntN(10) {
		case 0:
			entries[dir] = lt.Dir(dir)
		case 1:
			if dir == "c" || dir == "b/d" { // the only ones that are links
				entries[dir] = lt.Symlink(dir, []string{"/a", "/a/d"}[random.IntN(2)])
			}
		case 2:
			name := path.Join(path.Dir(dir), ".wh."+path.Base(dir))
			entries[name] = lt.File(name, "")
		case 3:
			name := dir + "/.wh..wh..opq"
			entries[name] = lt.File(name, "")
		case 4:
			// Nothing can lie below a link to a file; nor is c/d one, which may be
			// another name of what the same layer has.
			if dir == "b" || dir == "c" || dir == "b/d" {
				entries[dir] = lt.File(dir, "")
			}
		default:
			name := dir + "/node_modules/x/package.json"
			entries[name] = lt.File(name, fmt.Sprintf(`{"name": "x", "version": "%d.%d"}`, index, random.IntN(1000)))
		}
	}
	var list []lt.Entry
	for _, e := range entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b lt.Entry) int { return strings.Compare(a.Header.Name, b.Header.Name) })
	return list
}

// inode is a file, directory or link of a file system in memory.
type inode struct {
	kind     byte
	link     string
	version  string
	layer    int
	children map[string]*inode
}

func (n *inode) child(name string, c *inode) {
	if n.children == nil {
		n.children = make(map[string]*inode)
	}
	n.children[name] = c
}

// unpack does to the file system what containerd does to one without an overlay
// (applyNaive of its package archive), but for errors.
func unpack(root *inode, entries []lt.Entry, index int) {
	// parent finds or makes the directory, through links; they are of depth one.
	var directory func(p string) *inode
	directory = func(p string) *inode {
		at := root
		for i, name := range strings.Split(p, "/") {
			if p == "." || name == "" {
				continue
			}
			next := at.children[name]
			if next != nil && next.kind == tar.TypeSymlink {
				rest := strings.Split(p, "/")[i+1:]
				return directory(strings.TrimPrefix(path.Join(next.link, path.Join(rest...)), "/"))
			}
			if next == nil || next.kind != tar.TypeDir {
				next = &inode{kind: tar.TypeDir, layer: index}
				at.child(name, next)
			}
			at = next
		}
		return at
	}
	for _, e := range entries {
		dir, base := path.Split(e.Header.Name)
		at := directory(path.Clean(dir))
		switch name, whiteout := strings.CutPrefix(base, ".wh."); {
		case base == ".wh..wh..opq":
			at.children = at.lower(index)
			continue
		case whiteout:
			if c := at.children[name]; c != nil {
				if c.children = c.lower(index); c.layer < index && len(c.children) == 0 {
					delete(at.children, name)
				}
			}
			continue
		}
		there := at.children[base]
		if there != nil && there.kind == tar.TypeDir && e.Header.Typeflag == tar.TypeDir {
			there.layer = index
			continue
		}
		n := &inode{kind: e.Header.Typeflag, link: e.Header.Linkname, layer: index}
		if base == "package.json" {
			_, n.version, _ = strings.Cut(strings.TrimSuffix(e.Content, `"}`), `version": "`)
		}
		at.child(base, n)
	}
}

// lower takes away what lower layers have below n.
func (n *inode) lower(index int) map[string]*inode {
	kept := make(map[string]*inode)
	for name, c := range n.children {
		if c.children = c.lower(index); c.layer == index || len(c.children) > 0 {
			kept[name] = c
		}
	}
	return kept
}

// list lists the packages below n.
func (n *inode) list(p string, out *[]string) {
	if n.version != "" {
		*out = append(*out, p+" "+n.version)
	}
	for name, c := range n.children {
		c.list(path.Join(p, name), out)
	}
}
