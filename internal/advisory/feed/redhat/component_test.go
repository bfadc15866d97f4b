package redhat

import (
	"errors"
	"strings"
	"testing"
)

func TestParseComponent(t *testing.T) {
	tests := []struct {
		name, purl string
		want       component
		err        string // "none": no RPM package
	}{
		{"binary", "pkg:rpm/redhat/openssl-libs@3.0.7-27.el9?arch=x86_64&epoch=1", component{name: "openssl-libs", version: "1:3.0.7-27.el9", architecture: "x86_64"}, ""},
		{"epoch 0", "pkg:rpm/redhat/curl@7.76.1-26.el9?arch=noarch&epoch=0", component{name: "curl", version: "7.76.1-26.el9", architecture: "noarch"}, ""},
		{"source", "pkg:rpm/redhat/PyYAML@5.4.1-1.el9?arch=src", component{name: "PyYAML", version: "5.4.1-1.el9", source: true}, ""},
		{"source without source code", "pkg:rpm/redhat/java@1-1.el9?arch=nosrc", component{name: "java", version: "1-1.el9", source: true}, ""},
		{"every version", "pkg:rpm/redhat/kernel?arch=src", component{name: "kernel", source: true}, ""},
		{"every version and architecture", "pkg:rpm/redhat/libstdc%2B%2B", component{name: "libstdc++"}, ""},
		{"module", "pkg:rpm/redhat/nodejs@18.20.4-1.module%2Bel8.10.0%2B22180%2B28710bb6?arch=x86_64&epoch=1&rpmmod=nodejs:18:8100020240807161023:489197e6",
			component{name: "nodejs", version: "1:18.20.4-1.module+el8.10.0+22180+28710bb6", architecture: "x86_64", module: "nodejs:18"}, ""},
		{"stream", "pkg:rpm/redhat/nodejs?arch=src&rpmmod=nodejs:18", component{name: "nodejs", source: true, module: "nodejs:18"}, ""},
		{"repository", "pkg:rpm/redhat/emacs@27.2-9.el9?arch=x86_64&repository_id=rhel-9-for-x86_64-appstream-rpms", component{name: "emacs", version: "27.2-9.el9", architecture: "x86_64"}, ""},
		{"image", "pkg:oci/ubi@sha256:00?arch=amd64", component{}, "none"},
		{"library", "pkg:maven/org.yaml/snakeyaml@1.33", component{}, "none"},
		{"anything", "pkg:generic/redhat/rhcos@412.86?arch=x86_64", component{}, "none"},
		{"somebody else's", "pkg:rpm/fedora/curl@1-1", component{}, "none"},
		{"nothing", "", component{}, "none"},
		{"no stream", "pkg:rpm/redhat/nodejs?rpmmod=nodejs", component{}, "no module's stream"},
		{"no number", "pkg:rpm/redhat/nodejs@1-1?epoch=one", component{}, "the epoch is no number"},
		{"no package URL", "pkg:rpm/redhat/%zz", component{}, "%zz"},
		{"without end", "pkg:rpm/redhat/" + strings.Repeat("a", 2000), component{}, "2015 bytes"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseComponent(test.purl)
			switch {
			case test.err == "" && (err != nil || got != test.want):
				t.Errorf("got %+v, %v\nwant %+v", got, err, test.want)
			case test.err == "none" && !errors.Is(err, errNotRPM), test.err != "" && test.err != "none" && (err == nil || !strings.Contains(err.Error(), test.err)):
				t.Errorf("got %+v, %v, want an error with %q", got, err, test.err)
			}
		})
	}
}

func TestNamed(t *testing.T) {
	tests := []struct {
		id   string
		want component // no name: no RPM package
	}{
		{"samba", component{name: "samba", source: true}},
		{"libxml2.src", component{name: "libxml2", source: true}},
		{"nodejs:16/nodejs", component{name: "nodejs", source: true, module: "nodejs:16"}},
		{"PyYAML.src::python39-devel:3.9", component{name: "PyYAML", source: true, module: "python39-devel:3.9"}},
		{"openshift4/ose-console", component{}}, {"org.yaml:snakeyaml", component{}}, {"", component{}}, {".src", component{}}, {"a b", component{}}, {"a::b", component{}},
	}
	for _, test := range tests {
		if got, err := named(test.id); got != test.want || (err != nil) != (test.want.name == "") {
			t.Errorf("%q: got %+v, %v, want %+v", test.id, got, err, test.want)
		}
	}
}

func TestFirstOfABuild(t *testing.T) {
	tests := []struct {
		name     string
		versions []string
		want     string
	}{
		{"one", []string{"1-2.module+el8.10.0+23147+20b7d289"}, "1-2.module+el8.10.0+23147+20b7d289"},
		{"contexts", []string{"1-2.module+el8.10.0+23147+20b7d289", "1-2.module+el8.10.0+23147+63faba8d"}, "1-2.module+el8.10.0+23147"},
		{"numbers", []string{"1-2.module+el8.4.0+23229+35c4aba7.1", "1-2.module+el8.4.0+23209+63faba8d", "1-2.module+el8.4.0+100000+1"}, "1-2.module+el8.4.0+23209"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := buildOf(test.versions[0], "RHSA-2031:1")
			for _, version := range test.versions {
				if other := buildOf(version, "RHSA-2031:1"); other != b {
					t.Errorf("%s is %+v, %s is %+v", version, other, test.versions[0], b)
				}
			}
			if got := b.first(test.versions); got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
	for _, version := range []string{"1-2.el9", "1-3.module+el8.10.0+23147+20b7d289", "1-2.module+el8.6.0+23147+20b7d289", "1-2.module+el8.10.0+x+20b7d289", "1-2.module+el8"} {
		if buildOf(version, "RHSA-2031:1") == buildOf("1-2.module+el8.10.0+23147+20b7d289", "RHSA-2031:1") {
			t.Errorf("%s is the same build", version)
		}
	}
	if buildOf("1-2.module+el8.10.0+1+2", "RHSA-2031:1") == buildOf("1-2.module+el8.10.0+1+2", "RHSA-2031:2") {
		t.Error("builds of two errata are the same")
	}
}
