package inventory

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rhelLayer makes a layer of RHEL with packages, content sets and what DNF says.
func rhelLayer(digest string, packages []string, sets *ContentSets, origins ...Origin) *Layer {
	l := &Layer{Digest: digest}
	if packages != nil {
		db := File{Path: "var/lib/rpm/rpmdb.sqlite", Detector: "rpm"}
		for _, name := range packages {
			db.Packages = append(db.Packages, Record{Package: Package{Type: "rpm", Name: name, Version: "1-1.el9", Architecture: "x86_64"}, Evidence: "header"})
		}
		l.Files = append(l.Files, db)
		l.Files = append(l.Files, File{Path: "etc/os-release", Detector: "release", Distribution: &Distribution{ID: "rhel", Version: "9"}})
	}
	if sets != nil {
		l.Files = append(l.Files, File{Path: "usr/share/buildinfo/content-sets.json", Detector: "redhat", ContentSets: sets})
	}
	if origins != nil {
		l.Files = append(l.Files, File{Path: "var/lib/dnf/history.sqlite", Detector: "dnf", Origins: origins})
	}
	return l
}

// minor has a layer of RHEL 9 say which minor release it is of.
func minor(version string, l *Layer) *Layer {
	for _, f := range l.Files {
		if f.Distribution != nil {
			f.Distribution.PrettyName = "Red Hat Enterprise Linux " + version + " (Plow)"
		}
	}
	return l
}

func TestRepositories(t *testing.T) {
	const base, ocp = "rhel-9-for-x86_64-baseos-rpms", "rhocp-4.14-for-rhel-9-x86_64-rpms"
	sets := func(hint bool, ids ...string) *ContentSets { return &ContentSets{Repositories: ids, Hint: hint} }
	of := func(repository string, names ...string) Origin {
		o := Origin{Repository: repository}
		for _, n := range names {
			o.Packages = append(o.Packages, n+"-1-1.el9.x86_64")
		}
		return o
	}
	tests := []struct {
		name   string
		layers []*Layer
		want   map[string]string
	}{
		{"nothing is said", []*Layer{rhelLayer("a", []string{"bash"}, nil)}, map[string]string{"bash": ""}},
		{"a universal base image", []*Layer{rhelLayer("a", []string{"bash"}, sets(true, base, "rhel-9-for-x86_64-appstream-source-rpms", "rhel-9-for-s390x-baseos-rpms", "ubi-9-codeready-builder-rpms"))},
			map[string]string{"bash": ""}},
		{"a product on top of it", []*Layer{rhelLayer("a", []string{"bash"}, sets(false, base)), rhelLayer("b", []string{"bash", "oc"}, sets(false, ocp, base, "fast-datapath-for-rhel-9-x86_64-rpms", ocp))},
			map[string]string{"bash": "", "oc": "fast-datapath-for-rhel-9-x86_64-rpms " + base + " " + ocp}},
		{"a build of several layers says it in the last", []*Layer{rhelLayer("a", []string{"bash"}, nil), rhelLayer("b", nil, sets(false, base)), rhelLayer("c", []string{"bash", "oc"}, nil), rhelLayer("d", nil, sets(false, ocp))},
			map[string]string{"bash": "", "oc": ocp}},
		{"what others add is taken for the last build's", []*Layer{rhelLayer("a", []string{"oc"}, sets(false, ocp)), rhelLayer("b", []string{"oc", "vim"}, nil)},
			map[string]string{"oc": ocp, "vim": ocp}},
		{"but DNF knows better", []*Layer{rhelLayer("a", []string{"oc"}, sets(false, ocp)), rhelLayer("b", []string{"oc", "vim", "jq"}, nil, of(base, "vim"), of("epel", "jq"))},
			map[string]string{"oc": ocp, "vim": "", "jq": "epel"}},
		{"a history that is gone in the end", []*Layer{rhelLayer("a", []string{"jq"}, nil, of("epel", "jq")), {Digest: "b", Removed: []string{"var/lib/dnf"}}}, map[string]string{"jq": "epel"}},
		{"OSBS installed from its own", []*Layer{rhelLayer("a", []string{"oc"}, sets(false, ocp), of("composed-1234", "oc"))}, map[string]string{"oc": ocp}},
		{"Konflux did not", []*Layer{rhelLayer("a", []string{"oc", "bash", "gone"}, sets(true, base, ocp), of(ocp, "oc"), of(base, "bash"))},
			map[string]string{"oc": ocp, "bash": "", "gone": base + " " + ocp}},
		{"the last that DNF says holds", []*Layer{rhelLayer("a", []string{"oc"}, nil, of("epel", "oc")), rhelLayer("b", nil, nil, of(ocp, "oc"))}, map[string]string{"oc": ocp}},
		{"extended support of the image's minor release", []*Layer{minor("8.4", rhelLayer("a", []string{"bash", "jq", "vim"}, nil, of("rhel-9-for-x86_64-baseos-eus-rpms", "bash"), of("rhel-9-for-x86_64-baseos-aus-rpms__9_DOT_2", "jq")))},
			map[string]string{"bash": "rhel-9-for-x86_64-baseos-eus-rpms", "jq": "rhel-9-for-x86_64-baseos-aus-rpms__9_DOT_2", "vim": ""}},
		{"which is known", []*Layer{minor("9.4", rhelLayer("a", []string{"bash", "jq", "vim", "oc"}, nil, of("rhel-9-for-x86_64-baseos-eus-rpms", "bash"), of("rhel-9-for-x86_64-baseos-aus-rpms__9_DOT_2", "jq"), of("advanced-virt-for-rhel-8-x86_64-eus-rpms", "oc")))},
			map[string]string{"bash": "rhel-9-for-x86_64-baseos-eus-rpms__9_DOT_4", "jq": "rhel-9-for-x86_64-baseos-aus-rpms__9_DOT_2", "vim": "", "oc": "advanced-virt-for-rhel-8-x86_64-eus-rpms"}},
		{"other architectures", []*Layer{rhelLayer("a", []string{"oc"}, sets(true, ocp, "rhocp-4.14-for-rhel-9-ppc64le-rpms", "rhocp-4.14-for-rhel-9-x86_64-source-rpms"))}, map[string]string{"oc": ocp}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			img := Coalesce(test.layers)
			got := make(map[string]string)
			for _, p := range img.Packages {
				got[p.Name] = p.Repositories
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("repositories (-want +got):\n%s", diff)
			}
			img.SetDistribution(Distribution{ID: "rocky", Version: "9"})
			for _, p := range img.Packages {
				if p.Repositories != "" {
					t.Errorf("%s of Rocky is of %q", p.Name, p.Repositories)
				}
			}
		})
	}
}

func TestEverywhere(t *testing.T) {
	for id, want := range map[string]bool{
		"rhel-9-for-x86_64-baseos-rpms": true, "rhel-8-for-aarch64-appstream-debug-rpms": true, "rhel-10-for-s390x-appstream-source-rpms": true,
		"ubi-8-baseos": true, "ubi-8-appstream-source": true, "ubi-9-baseos-rpms": true, "ubi-9-for-x86_64-appstream-rpms": true, "ubi-9-codeready-builder-rpms": true,
		"codeready-builder-for-rhel-9-x86_64-rpms": true, "codeready-builder-for-ubi-10-x86_64-rpms": true, "rhui-rhel-9-for-x86_64-baseos-rhui-rpms": true, "rhel-9-baseos-rhui-rpms": true,
		"rhel-7-server-rpms": true, "rhel-7-server-optional-rpms": true, "ubi-7": true,
		"rhel-9-for-x86_64-baseos-eus-rpms": false, "rhel-8-for-x86_64-appstream-e4s-rpms": false, "rhel-8-for-x86_64-highavailability-rpms": false,
		"rhocp-4.14-for-rhel-9-x86_64-rpms": false, "rhel-7-server-extras-rpms": false, "rhel-server-rhscl-7-rpms": false, "epel": false, "baseos": false, "": false,
	} {
		if got := everywhere.MatchString(id); got != want {
			t.Errorf("%q: %v", id, got)
		}
	}
}

func TestComponents(t *testing.T) {
	ubi := Component{ID: "ubi9-container", Version: "9.7-1"}
	file := func(c Component) File {
		return File{Path: "root/buildinfo/labels.json", Detector: "redhat", Component: &c}
	}
	img := Coalesce([]*Layer{{Digest: "a", Files: []File{file(ubi), file(ubi)}}, {Digest: "b", Files: []File{file(Component{Name: "x", CPE: "cpe:/a:x"})}}})
	if diff := cmp.Diff([]Component{ubi, {Name: "x", CPE: "cpe:/a:x"}}, img.Components); diff != "" {
		t.Errorf("components (-want +got):\n%s", diff)
	}
}

// TestDnfHistory reads a database that SQLite made; see sqlitefile/enginetest.
func TestDnfHistory(t *testing.T) {
	content, err := os.ReadFile("testdata/dnf/history.sqlite")
	if err != nil {
		t.Fatal(err)
	}
	f, warnings, err := NewDnf().Detect("var/lib/dnf/history.sqlite", contentOf(bytes.NewReader(content)))
	if err != nil {
		t.Fatal(err)
	}
	want := "of rhel-9-for-x86_64-baseos-rpms: bash-5.1.8-6.el9.x86_64 bash-5.1.8-9.el9.x86_64\n" +
		"of rhocp-4.14-for-rhel-9-x86_64-rpms: openshift-clients-4.14.0-2.el9.x86_64 shadow-utils-2:4.9-6.el9.x86_64\n"
	if diff := cmp.Diff(want, describe(f, warnings)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for cut := 0; cut < len(content); cut += 100 {
		f, _, err := NewDnf().Detect("var/lib/dnf/history.sqlite", contentOf(bytes.NewReader(content[:cut])))
		if err != nil || len(f.Packages) > 0 {
			t.Errorf("cut at %d: %v, %v", cut, f, err)
		}
	}
	if _, warnings, err := NewDnf().Detect("var/lib/dnf/history.sqlite", contentOf(bytes.NewReader([]byte("no database")))); err != nil || len(warnings) != 1 {
		t.Errorf("%v, %v", warnings, err)
	}
}
