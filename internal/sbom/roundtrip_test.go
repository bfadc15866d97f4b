package sbom_test

import (
	"bytes"
	"io"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/sbom"
)

// kinds are the types of packages: those that detectors find, and others that
// bills of other programs have.
var kinds = []string{"deb", "apk", "rpm", "npm", "golang", "pypi", "maven", "gem", "composer", "nuget", "cargo", "generic", "conda", "hex", "pub", "github", "cocoapods"}

// hostileNames are names and versions that files may state.
var hostileNames = []string{
	"a b", "a/b/c", "//", "@", "@/", "a@b@c", "?x=1&y=2#z", "%41%zz%", "..", "./a/../b", "a:b:c", "'\"<>\\", "-", "é", "pkg:npm/a@1", "a,b;c", "+~^!",
}

// everyKind is a package of each kind, with all that can be said of it.
func everyKind() []inventory.Installed {
	layer := "sha256:" + strings.Repeat("b", 64)
	packages := []inventory.Package{
		{Type: "deb", Distribution: "debian:12", Name: "libssl3", Version: "3.0.11-1~deb12u1+b1", Architecture: "amd64", SourceName: "openssl", SourceVersion: "3.0.11-1~deb12u1"},
		{Type: "deb", Distribution: "debian:unstable", Name: "zlib1g", Version: "1:1.2.13", SourceName: "zlib", SourceVersion: "1:1.2.13"},
		{Type: "deb", Distribution: "ubuntu:22.04", Name: "bash", Version: "5.1-6", Architecture: "arm64", SourceName: "bash", SourceVersion: "5.1-6"},
		{Type: "apk", Distribution: "alpine:v3.20", Name: "musl-utils", Version: "1.2.5-r0", Architecture: "x86_64", SourceName: "musl", SourceVersion: "1.2.5-r0"},
		{Type: "apk", Distribution: "alpine:edge", Name: "musl", Version: "1.2.5-r0", SourceName: "musl", SourceVersion: "1.2.5-r0"},
		{Type: "apk", Distribution: "wolfi:20230201", Name: "musl", Version: "1.2.5-r0", SourceName: "musl", SourceVersion: "1.2.5-r0"},
		{Type: "rpm", Distribution: "rhel:9", Name: "perl-libs", Version: "4:5.32.1-480.el9", Architecture: "x86_64", SourceName: "perl", SourceVersion: "4:5.32.1-480.el9"},
		{Type: "rpm", Distribution: "rhel:8", Name: "npm", Version: "1:8.19.2-1.18.10.0.3", SourceName: "nodejs", SourceVersion: "1:18.10.0-3", Module: "nodejs:18:8070020221009220316:bd1311ed", Repositories: "rhel-8-for-x86_64-appstream-rpms"},
		{Type: "rpm", Distribution: "rhel:8", Name: "bash", Version: "4.4-1", SourceName: "bash", SourceVersion: "4.4-1", Repositories: "one two"},
		{Type: "rpm", Distribution: "opensuse-leap:15.5", Name: "bash", Version: "4.4-1", SourceName: "bash", SourceVersion: "4.4-1"},
		{Type: "rpm", Distribution: "sles:15.4", Name: "bash", Version: "4.4-1", SourceName: "bash", SourceVersion: "4.4-1"},
		{Type: "rpm", Distribution: "amzn:2", Name: "bash", Version: "4.4-1", SourceName: "bash", SourceVersion: "4.4-1"},
		{Type: "rpm", Distribution: "ol:8", Name: "bash", Version: "4.4-1", SourceName: "bash", SourceVersion: "4.4-1"},
		{Type: "rpm", Distribution: "azurelinux:3.0", Name: "bash", Version: "4.4-1", SourceName: "bash", SourceVersion: "4.4-1"},
		{Type: "npm", Name: "@babel/core", Version: "7.24.0"},
		{Type: "golang", Name: "github.com/Azure/go-autorest/autorest", Version: "v14.2.0+incompatible"},
		{Type: "golang", Name: "stdlib", Version: "1.22.1"}, {Type: "golang", Name: "example.com/App", Version: "devel"},
		{Type: "maven", Name: "org.apache.logging.log4j:log4j-core", Version: "2.14.1"}, {Type: "maven", Name: "unknown", Version: "1"},
		{Type: "gem", Name: "rails", Version: "7.0.0"}, {Type: "composer", Name: "symfony/http-kernel", Version: "v6.0.0"},
		{Type: "nuget", Name: "Newtonsoft.Json", Version: "13.0.1"}, {Type: "cargo", Name: "rand_core", Version: "0.6.4"},
		{Type: "pypi", Name: "zope-interface", Version: "5.4.0"}, {Type: "conda", Name: "numpy", Version: "1.26.0"},
		{Type: "hex", Name: "phoenix", Version: "1.7.0"}, {Type: "pub", Name: "http", Version: "1.2.0"}, {Type: "generic", Name: "openssl", Version: "1.1.10g"},
		{Type: "github", Name: "actions/checkout", Version: "4"}, {Type: "generic", Name: "no-version"},
		{Type: "swift", Name: "github.com/apple/swift-nio", Version: "2.0.0"},
	}
	installed := make([]inventory.Installed, len(packages))
	for i, p := range packages {
		installed[i] = inventory.Installed{
			Package: p, LayerDigest: layer, LayerIndex: 1, Path: "usr/lib/x " + strconv.Itoa(i), Detector: "python", Line: i, Evidence: "META-INF/" + p.Name, Owner: "deb:a",
		}
	}
	return installed
}

func TestRoundTrip(t *testing.T) {
	s := subject()
	s.Layers = []string{"sha256:l", "sha256:" + strings.Repeat("b", 64)}
	s.Packages = append(s.Packages, everyKind()...)
	for i, name := range hostileNames {
		for _, kind := range kinds {
			s.Packages = append(s.Packages, inventory.Installed{
				Package:     inventory.Package{Type: kind, Name: name, Version: name, SourceName: name + "s", SourceVersion: name, Architecture: name, Distribution: name, Module: name, Repositories: name},
				LayerDigest: "sha256:l", Path: name, Detector: name, Line: i, Evidence: name, Owner: name,
			})
		}
	}
	for name, write := range map[string]func(io.Writer, sbom.Subject) error{"CycloneDX 1.6": sbom.CycloneDX, "SPDX 2.3": sbom.SPDX} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := write(&out, s); err != nil {
				t.Fatal(err)
			}
			got, err := sbom.Read(&out, sbom.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			want := sbom.Document{Format: name, Image: inventory.Image{Distribution: inventory.Distribution{ID: "debian", Version: "12"}, Packages: s.Packages}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("written and read (-want +got):\n%s", diff)
			}
		})
	}
}
