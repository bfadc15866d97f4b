package sbom_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
	spdxjson "github.com/spdx/tools-golang/json"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/sbom"
)

func TestPURL(t *testing.T) {
	for _, test := range []struct {
		p    inventory.Package
		want string
	}{
		{inventory.Package{Type: "deb", Distribution: "debian:12", Name: "libssl3", Version: "3.0.11-1~deb12u1", Architecture: "amd64", SourceName: "openssl"},
			"pkg:deb/debian/libssl3@3.0.11-1~deb12u1?arch=amd64&distro=debian-12&upstream=openssl"},
		{inventory.Package{Type: "deb", Distribution: "debian:12", Name: "zlib1g", Version: "1:1.2.13", SourceName: "zlib1g"}, "pkg:deb/debian/zlib1g@1:1.2.13?distro=debian-12"},
		{inventory.Package{Type: "apk", Distribution: "alpine:v3.20", Name: "musl", Version: "1.2.5-r0", Architecture: "x86_64"}, "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20"},
		{inventory.Package{Type: "rpm", Distribution: "rhel:9", Name: "perl", Version: "4:5.32-1.el9", Architecture: "x86_64"}, "pkg:rpm/redhat/perl@5.32-1.el9?arch=x86_64&distro=rhel-9&epoch=4"},
		{inventory.Package{Type: "npm", Name: "@scope/part", Version: "1"}, "pkg:npm/%40scope/part@1"},
		{inventory.Package{Type: "golang", Name: "github.com/a/b", Version: "v1.2.3"}, "pkg:golang/github.com/a/b@v1.2.3"},
		{inventory.Package{Type: "golang", Name: "example.com/app", Version: "devel"}, "pkg:golang/example.com/app"},
		{inventory.Package{Type: "golang", Name: "stdlib", Version: "1.22"}, "pkg:golang/stdlib@1.22"},
		{inventory.Package{Type: "maven", Name: "org.a:b", Version: "1"}, "pkg:maven/org.a/b@1"},
		{inventory.Package{Type: "maven", Name: "b", Version: "1"}, "pkg:maven/b@1"},
		{inventory.Package{Type: "composer", Name: "psr/log", Version: "1"}, "pkg:composer/psr/log@1"},
		{inventory.Package{Type: "pypi", Name: "requests", Version: "2"}, "pkg:pypi/requests@2"},
	} {
		if got := sbom.PURL(test.p); got != test.want {
			t.Errorf("%s: got %s, want %s", test.p.Name, got, test.want)
		}
	}
}

func subject() sbom.Subject {
	return sbom.Subject{
		Digest: "sha256:" + strings.Repeat("a", 64), Name: "main/app", Distribution: "debian:12", Version: "1",
		Created: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
		Packages: []inventory.Installed{
			{Package: inventory.Package{Type: "deb", Distribution: "debian:12", Name: "a", Version: "1"}, Path: "var/lib/dpkg/status", Line: 7, LayerDigest: "sha256:l", Detector: "dpkg"},
			{Package: inventory.Package{Type: "pypi", Name: "requests", Version: "2"}, Path: "x/METADATA", Line: 1, LayerDigest: "sha256:l", Detector: "python", Owner: "deb:a"},
		},
	}
}

func TestCycloneDX(t *testing.T) {
	var out, again bytes.Buffer
	if err := sbom.CycloneDX(&out, subject()); err != nil {
		t.Fatal(err)
	}
	if err := sbom.CycloneDX(&again, subject()); err != nil || !bytes.Equal(out.Bytes(), again.Bytes()) {
		t.Errorf("the same bill is written in two ways, %v", err)
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(&out, cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		t.Fatal(err)
	}
	if bom.SpecVersion != cyclonedx.SpecVersion1_6 || len(*bom.Components) != 3 || (*bom.Components)[2].PackageURL != "pkg:pypi/requests@2" || bom.Metadata.Component.Version != subject().Digest {
		t.Errorf("got %+v", bom)
	}
	if want := "pkg:oci/app@sha256:" + strings.Repeat("a", 64); bom.Metadata.Component.PackageURL != want {
		t.Errorf("got %s, want %s", bom.Metadata.Component.PackageURL, want)
	}
	seen := (*(*bom.Components)[1].Evidence.Occurrences)[0]
	if seen.Location != "var/lib/dpkg/status" || *seen.Line != 7 || (*bom.Compositions)[0].Aggregate != cyclonedx.CompositionAggregateComplete {
		t.Errorf("got %+v, %+v", seen, *bom.Compositions)
	}
	var got []string
	for _, d := range *bom.Dependencies {
		got = append(got, fmt.Sprint(d.Ref, " ", *d.Dependencies))
	}
	want := []string{subject().Digest + " [os]", "os [package-1]", "package-1 [package-2]"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dependencies (-want +got):\n%s", diff)
	}
}

func TestSPDX(t *testing.T) {
	var out bytes.Buffer
	if err := sbom.SPDX(&out, subject()); err != nil {
		t.Fatal(err)
	}
	var plain map[string]any
	if err := json.Unmarshal(out.Bytes(), &plain); err != nil || plain["spdxVersion"] != "SPDX-2.3" || plain["SPDXID"] != "SPDXRef-DOCUMENT" || plain["documentNamespace"] == "" {
		t.Errorf("got %v, %v", plain, err)
	}
	document, err := spdxjson.Read(&out)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range document.Relationships {
		got = append(got, fmt.Sprint(r.RefA.ElementRefID, " ", r.Relationship, " ", r.RefB.ElementRefID))
	}
	want := []string{"DOCUMENT DESCRIBES Image", "Image CONTAINS OperatingSystem", "Image CONTAINS Package-1", "Package-1 CONTAINS Package-2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("relationships (-want +got):\n%s", diff)
	}
	purl := document.Packages[2].PackageExternalReferences[0]
	if len(document.Packages) != 4 || purl.Locator != "pkg:deb/debian/a@1?distro=debian-12" || purl.Category != "PACKAGE-MANAGER" ||
		document.Packages[2].PackageSourceInfo != "var/lib/dpkg/status, line 7, layer sha256:l" || document.DocumentComment != "The list of packages is complete." {
		t.Errorf("got %+v", document.Packages[2])
	}
}
