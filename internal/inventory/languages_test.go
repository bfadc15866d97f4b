package inventory

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	lt "github.com/pratique/pratique/internal/layer/layertest"
)

// described lists packages that are not the system's own, with where they come from.
func described(img Image) []string {
	var out []string
	for _, p := range img.Packages {
		if OfSystem(p.Type) {
			continue
		}
		line := p.Type + " " + p.Name + "=" + p.Version + " " + p.Path
		if p.Owner != "" {
			line += " of " + p.Owner
		}
		out = append(out, line)
	}
	return out
}

func TestLanguagesInLayers(t *testing.T) {
	pkg := func(path, name, version string) lt.Entry {
		return lt.File(path, `{"name": "`+name+`", "version": "`+version+`"}`)
	}
	wheel := func(path, name, version string) lt.Entry {
		return lt.File(path, "Name: "+name+"\nVersion: "+version+"\n\n")
	}
	const dist = "usr/lib/python3/dist-packages/"
	debian := []lt.Entry{lt.File("etc/os-release", debianRelease12), lt.File("var/lib/dpkg/status", dpkgDB("python3-requests 2.28.1"))}
	tests := []struct {
		name   string
		layers [][]lt.Entry
		want   []string
	}{
		{"packages of the operating system's packages", [][]lt.Entry{append(debian,
			lt.File("var/lib/dpkg/info/python3-requests.list", "/.\n/usr\n/"+dist+"requests-2.28.1.egg-info\n/"+dist+"requests-2.28.1.egg-info/PKG-INFO\n"),
			wheel(dist+"requests-2.28.1.egg-info/PKG-INFO", "requests", "2.28.1"), wheel("usr/local/lib/python3.11/dist-packages/requests-2.31.0.dist-info/METADATA", "requests", "2.31.0"))},
			[]string{"pypi requests=2.28.1 " + dist + "requests-2.28.1.egg-info/PKG-INFO of deb:python3-requests", "pypi requests=2.31.0 usr/local/lib/python3.11/dist-packages/requests-2.31.0.dist-info/METADATA"}},
		{"the owner is in another layer, and /usr is merged", [][]lt.Entry{
			{lt.File("lib/node_modules/x/index.js", ""), pkg("usr/lib/node_modules/x/package.json", "x", "1")},
			append(debian, lt.File("var/lib/dpkg/info/node-x:all.list", "/lib/node_modules/x/package.json\n"))},
			[]string{"npm x=1 usr/lib/node_modules/x/package.json of deb:node-x"}},
		{"Alpine's", [][]lt.Entry{{lt.File("etc/os-release", alpineRelease320),
			lt.File("lib/apk/db/installed", "P:npm\nV:1-r0\nA:x\no:npm\nF:usr/lib/node_modules/npm\nR:package.json\nR:index.js\n\n"), pkg("usr/lib/node_modules/npm/package.json", "npm", "1")}},
			[]string{"npm npm=1 usr/lib/node_modules/npm/package.json of apk:npm"}},
		{"distroless", [][]lt.Entry{{lt.File("var/lib/dpkg/status.d/x", "Package: x\nVersion: 1\n"), lt.File("var/lib/dpkg/status.d/x.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/lib/node_modules/x/package.json\n"),
			pkg("usr/lib/node_modules/x/package.json", "x", "1")}},
			[]string{"npm x=1 usr/lib/node_modules/x/package.json of deb:x"}},
		{"upgraded", [][]lt.Entry{{pkg("app/node_modules/a/package.json", "a", "1"), pkg("app/node_modules/b/package.json", "b", "1")}, {pkg("app/node_modules/a/package.json", "a", "2")}},
			[]string{"npm a=2 app/node_modules/a/package.json", "npm b=1 app/node_modules/b/package.json"}},
		{"removed", [][]lt.Entry{{pkg("app/node_modules/a/package.json", "a", "1")}, {lt.File("app/.wh.node_modules", "")}}, nil},
		{"opaque", [][]lt.Entry{{pkg("app/node_modules/a/package.json", "a", "1")}, {lt.File("app/.wh..wh..opq", "")}}, nil},
		{"replaced by a file without a package", [][]lt.Entry{{pkg("app/node_modules/a/package.json", "a", "1")}, {lt.File("app/node_modules/a/package.json", `{}`)}}, nil},
		{"a directory above replaced by a file", [][]lt.Entry{{pkg("app/node_modules/a/package.json", "a", "1")}, {lt.File("app", "x")}}, nil},
		{"a directory above replaced by a link", [][]lt.Entry{{pkg("app/node_modules/a/package.json", "a", "1")}, {lt.Symlink("app/node_modules", "/opt")}}, nil},
		{"replaced by a directory", [][]lt.Entry{{wheel("x.egg-info", "x", "1")}, {lt.Dir("x.egg-info"), lt.File("x.egg-info/y", "")}}, nil},
		{"something beside it changes nothing", [][]lt.Entry{{pkg("app/node_modules/a/package.json", "a", "1")}, {lt.File("app/node_modules/a/x", ""), lt.File("app/node_modules/ab", "")}},
			[]string{"npm a=1 app/node_modules/a/package.json"}},
		{"directories beside and above it change nothing", [][]lt.Entry{{pkg("app/node_modules/a/package.json", "a", "1")}, {lt.Dir("app"), lt.Dir("app/node_modules"), lt.Dir("app/node_modules/a"), lt.File("app/node_modules/a/x", "")}},
			[]string{"npm a=1 app/node_modules/a/package.json"}},
		{"a hard link", [][]lt.Entry{{pkg("app/node_modules/a/package.json", "a", "1"), lt.Hardlink("b/node_modules/a/package.json", "app/node_modules/a/package.json")}},
			[]string{"npm a=1 app/node_modules/a/package.json", "npm a=1 b/node_modules/a/package.json"}},
		{"conda's", [][]lt.Entry{{
			lt.File("opt/conda/conda-meta/requests-2.31.0-0.json", `{"name": "requests", "version": "2.31.0", "build": "0", "files": ["lib/python3.11/site-packages/requests-2.31.0.dist-info/METADATA"]}`),
			lt.File("opt/conda/conda-meta/python-3.11.5-0.json", `{"name": "python", "version": "3.11.5", "build": "0", "files": ["bin/python3.11"]}`),
			lt.File("opt/conda/bin/python3.11", programOf("3.11.5")),
			wheel("opt/conda/lib/python3.11/site-packages/requests-2.31.0.dist-info/METADATA", "requests", "2.31.0"),
			wheel("opt/conda/lib/python3.11/site-packages/flask-3.0.0.dist-info/METADATA", "flask", "3.0.0")}},
			[]string{"conda python=3.11.5 opt/conda/conda-meta/python-3.11.5-0.json", "conda requests=2.31.0 opt/conda/conda-meta/requests-2.31.0-0.json",
				"pypi flask=3.0.0 opt/conda/lib/python3.11/site-packages/flask-3.0.0.dist-info/METADATA",
				"pypi requests=2.31.0 opt/conda/lib/python3.11/site-packages/requests-2.31.0.dist-info/METADATA"}},
		{"a project that is installed as a link, in both ways", [][]lt.Entry{{
			wheel("usr/lib/python3.11/site-packages/mine-1.0.dist-info/METADATA", "mine", "1.0"), lt.File("usr/lib/python3.11/site-packages/__editable__.mine-1.0.pth", "/src/mine\n"),
			lt.File("usr/lib/python3.11/site-packages/old.egg-link", "/src/old\n."), wheel("src/old/old.egg-info/PKG-INFO", "old", "2.0")}},
			[]string{"pypi mine=1.0 usr/lib/python3.11/site-packages/mine-1.0.dist-info/METADATA", "pypi old=2.0 src/old/old.egg-info/PKG-INFO"}},
		{"a zipped egg", [][]lt.Entry{{lt.File("x/a-1-py3.egg", jar(t, "a/__init__.py", "", "EGG-INFO/PKG-INFO", "Name: a\nVersion: 1\n")), lt.Dir("x/b-1-py3.egg"), wheel("x/b-1-py3.egg/EGG-INFO/PKG-INFO", "b", "1")}},
			[]string{"pypi a=1 x/a-1-py3.egg", "pypi b=1 x/b-1-py3.egg/EGG-INFO/PKG-INFO"}},
		{"yarn's cache", [][]lt.Entry{{lt.File("app/.yarn/cache/@babel-core-npm-7.23.0-0a1b.zip", jar(t, "node_modules/@babel/core/package.json", `{"name": "@babel/core", "version": "7.23.0"}`,
			"node_modules/@babel/core/test/package.json", `{"name": "no", "version": "1"}`, "node_modules/@babel/core/node_modules/bundled/package.json", `{"name": "bundled", "version": "2"}`)), lt.File("app/x.zip", "PK")}},
			[]string{"npm @babel/core=7.23.0 app/.yarn/cache/@babel-core-npm-7.23.0-0a1b.zip", "npm bundled=2 app/.yarn/cache/@babel-core-npm-7.23.0-0a1b.zip"}},
		{"an empty upper layer", [][]lt.Entry{{pkg("app/node_modules/a/package.json", "a", "1")}, nil}, []string{"npm a=1 app/node_modules/a/package.json"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			img, _ := coalesce(t, test.layers...)
			if diff := cmp.Diff(test.want, described(img)); diff != "" {
				t.Errorf("packages (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDamagedZips(t *testing.T) {
	for path, content := range map[string]string{"a.egg": "no zip", ".yarn/cache/a.zip": "PK\x03\x04", "b.egg": jar(t, "EGG-INFO/PKG-INFO", "Name: b\n")} {
		img, _ := coalesce(t, []lt.Entry{lt.File(path, content)})
		if len(img.Packages) > 0 || len(img.Warnings) != 2 || img.Warnings[0].Code != Malformed { // and that there are no packages
			t.Errorf("%s: %v, %v", path, img.Packages, img.Warnings)
		}
	}
	img, _ := coalesce(t, []lt.Entry{lt.File("a.egg", jar(t, "EGG-INFO/PKG-INFO", strings.Repeat("\x00", 2<<20)))})
	if len(img.Warnings) != 2 || img.Warnings[0].Code != Limit {
		t.Errorf("a large description: %v", img.Warnings)
	}
}

// A package keeps the layer that introduced it, and an image without an
// operating system needs none.
func TestLanguagesAlone(t *testing.T) {
	img, _ := coalesce(t, []lt.Entry{lt.File("node_modules/a/package.json", `{"name": "a", "version": "1"}`)},
		[]lt.Entry{lt.File("node_modules/a/package.json", `{"name": "a", "version": "1", "touched": true}`)})
	if len(img.Packages) != 1 || img.Packages[0].LayerIndex != 0 || img.Packages[0].Distribution != "" || len(img.Warnings) != 0 || img.Coverage() != Complete {
		t.Errorf("got %+v, %s", img, img.Coverage())
	}
	img, _ = coalesce(t, []lt.Entry{lt.File("etc/os-release", debianRelease12), lt.File("node_modules/a/package.json", `{"name": "a", "version": "1"}`)})
	if img.Coverage() != Unknown {
		t.Errorf("an operating system without its packages is %s", img.Coverage())
	}
}
