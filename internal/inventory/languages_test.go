package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	lt "github.com/pratique/pratique/internal/layer/layertest"
)

// described lists packages that are not the system's own, with where they come from.
func described(img Image) []string {
	var out []string
	for _, p := range img.Packages {
		if ofSystem(p.Type) {
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
