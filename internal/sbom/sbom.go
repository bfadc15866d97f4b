// Package sbom writes the inventory of an image as a software bill of materials:
// CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/) and SPDX 2.3
// (https://spdx.github.io/spdx-spec/v2.3/), both as JSON.
package sbom

import (
	"crypto/sha256"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/google/uuid"
	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"

	"github.com/pratique/pratique/internal/inventory"
)

// Subject is what the bill is of.
type Subject struct {
	// Digest is the manifest's; Name is the image's, for people.
	Digest, Name string
	Distribution string
	Packages     []inventory.Installed
	// Created is when the inventory was made, Version that of this program.
	Created time.Time
	Version string
}

const tool = "pratique"

// serial is the same for the same bill.
func (s Subject) serial() uuid.UUID {
	h := sha256.New()
	fmt.Fprintln(h, s.Digest, s.Created.UTC().Format(time.RFC3339))
	for _, p := range s.Packages {
		fmt.Fprintln(h, PURL(p.Package), p.Path, p.Line, p.Evidence)
	}
	id, _ := uuid.FromBytes(h.Sum(nil)[:16])
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80 // version 5, RFC 9562
	return id
}

// CycloneDX writes the bill as CycloneDX 1.6. Each component says which file of
// which layer proves it.
func CycloneDX(w io.Writer, s Subject) error {
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = s.serial().URN()
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: s.Created.UTC().Format(time.RFC3339),
		Tools: &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{
			Type: cyclonedx.ComponentTypeApplication, Name: tool, Version: s.Version,
		}}},
		Component: &cyclonedx.Component{BOMRef: s.Digest, Type: cyclonedx.ComponentTypeContainer, Name: s.Name, Version: s.Digest},
	}
	components := make([]cyclonedx.Component, 0, len(s.Packages)+1)
	if id, release, _ := strings.Cut(s.Distribution, ":"); id != "" {
		components = append(components, cyclonedx.Component{BOMRef: "os", Type: cyclonedx.ComponentTypeOS, Name: id, Version: release})
	}
	for i, p := range s.Packages {
		properties := []cyclonedx.Property{
			{Name: "pratique:path", Value: p.Path}, {Name: "pratique:layer", Value: p.LayerDigest}, {Name: "pratique:detector", Value: p.Detector},
		}
		for _, more := range []cyclonedx.Property{
			{Name: "pratique:evidence", Value: p.Evidence}, {Name: "pratique:owner", Value: p.Owner}, {Name: "pratique:line", Value: lineOf(p)},
		} {
			if more.Value != "" {
				properties = append(properties, more)
			}
		}
		components = append(components, cyclonedx.Component{
			BOMRef: "package-" + strconv.Itoa(i+1), Type: cyclonedx.ComponentTypeLibrary, Name: p.Name, Version: p.Version,
			PackageURL: PURL(p.Package), Properties: &properties,
		})
	}
	bom.Components = &components
	encoder := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON)
	if err := encoder.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return fmt.Errorf("write CycloneDX: %w", err)
	}
	return nil
}

func lineOf(p inventory.Installed) string {
	if p.Line == 0 {
		return ""
	}
	return strconv.Itoa(p.Line)
}

// SPDX writes the bill as SPDX 2.3.
func SPDX(w io.Writer, s Subject) error {
	const unsaid = "NOASSERTION"
	document := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: s.Name, DocumentNamespace: "https://pratique.invalid/spdx/" + s.serial().String(),
		CreationInfo: &spdx.CreationInfo{
			Created: s.Created.UTC().Format(time.RFC3339), Creators: []common.Creator{{CreatorType: "Tool", Creator: tool + "-" + s.Version}},
		},
	}
	element := func(id string) common.DocElementID { return common.MakeDocElementID("", id) }
	add := func(id string, p *spdx.Package, from, relationship string) {
		p.PackageSPDXIdentifier = common.ElementID(id)
		p.PackageDownloadLocation, p.PackageLicenseConcluded, p.PackageLicenseDeclared, p.PackageCopyrightText = unsaid, unsaid, unsaid, unsaid
		document.Packages = append(document.Packages, p)
		document.Relationships = append(document.Relationships, &spdx.Relationship{RefA: element(from), RefB: element(id), Relationship: relationship})
	}
	add("Image", &spdx.Package{PackageName: s.Name, PackageVersion: s.Digest, PrimaryPackagePurpose: "CONTAINER"}, "DOCUMENT", "DESCRIBES")
	for i, p := range s.Packages {
		source := fmt.Sprintf("%s, layer %s", p.Path, p.LayerDigest)
		for _, more := range []string{lineOf(p), p.Evidence, p.Owner} {
			if more != "" {
				source += ", " + more
			}
		}
		add("Package-"+strconv.Itoa(i+1), &spdx.Package{
			PackageName: p.Name, PackageVersion: p.Version, PackageSourceInfo: source,
			PackageExternalReferences: []*spdx.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: PURL(p.Package)}},
		}, "Image", "CONTAINS")
	}
	if err := spdxjson.Write(document, w); err != nil {
		return fmt.Errorf("write SPDX: %w", err)
	}
	return nil
}
