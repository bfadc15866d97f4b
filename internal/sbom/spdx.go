package sbom

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx"
	"github.com/spdx/tools-golang/spdx/v2/common"

	"github.com/pratique/pratique/internal/inventory"
)

// SPDX writes the bill as SPDX 2.3. Each package says in words which file of
// which layer proves it, and in an annotation of this tool, as JSON, all that
// the format has no place for.
func SPDX(w io.Writer, s Subject) error {
	const unsaid = "NOASSERTION"
	created, author := s.Created.UTC().Format(time.RFC3339), common.Creator{CreatorType: "Tool", Creator: tool + "-" + s.Version}
	document := &spdx.Document{
		SPDXVersion: spdx.Version, DataLicense: spdx.DataLicense, SPDXIdentifier: "DOCUMENT",
		DocumentName: s.Name, DocumentNamespace: "https://pratique.invalid/spdx/" + s.serial().String(),
		DocumentComment: s.comment(),
		CreationInfo:    &spdx.CreationInfo{Created: created, Creators: []common.Creator{author}},
	}
	element := func(id string) common.DocElementID { return common.MakeDocElementID("", id) }
	add := func(id string, p *spdx.Package, from, relationship, purl string, own any) error {
		p.PackageSPDXIdentifier = common.ElementID(id)
		p.PackageDownloadLocation, p.PackageLicenseConcluded, p.PackageLicenseDeclared, p.PackageCopyrightText = unsaid, unsaid, unsaid, unsaid
		if purl != "" {
			p.PackageExternalReferences = []*spdx.PackageExternalReference{{Category: "PACKAGE-MANAGER", RefType: "purl", Locator: purl}}
		}
		if own != nil {
			text, err := json.Marshal(own)
			if err != nil {
				return fmt.Errorf("write SPDX: %s: %w", id, err)
			}
			p.Annotations = []spdx.Annotation{{
				Annotator:      common.Annotator{AnnotatorType: author.CreatorType, Annotator: author.Creator},
				AnnotationDate: created, AnnotationType: "OTHER", AnnotationComment: string(text),
			}}
		}
		document.Packages = append(document.Packages, p)
		document.Relationships = append(document.Relationships, &spdx.Relationship{RefA: element(from), RefB: element(id), Relationship: relationship})
		return nil
	}
	image := map[string]any{spdxLayers: s.Layers, spdxDistribution: s.Distribution}
	if err := add("Image", &spdx.Package{PackageName: s.Name, PackageVersion: s.Digest, PrimaryPackagePurpose: "CONTAINER"},
		"DOCUMENT", "DESCRIBES", s.purl(), image); err != nil {
		return err
	}
	if id, release, _ := strings.Cut(s.Distribution, ":"); id != "" {
		if err := add("OperatingSystem", &spdx.Package{PackageName: id, PackageVersion: release, PrimaryPackagePurpose: "OPERATING_SYSTEM"},
			"Image", "CONTAINS", "", nil); err != nil {
			return err
		}
	}
	owners := s.owned()
	for i, p := range s.Packages {
		from := "Image"
		if owner, known := owners[p.Owner]; known {
			from = packageID(owner)
		}
		own := make(map[string]string)
		for _, more := range properties(p) {
			own[more.name] = more.value
		}
		if err := add(packageID(i), &spdx.Package{PackageName: p.Name, PackageVersion: p.Version, PackageSourceInfo: proof(p)},
			from, "CONTAINS", PURL(p.Package), own); err != nil {
			return err
		}
	}
	if err := spdxjson.Write(document, w); err != nil {
		return fmt.Errorf("write SPDX: %w", err)
	}
	return nil
}

// The members of the image's annotation.
const (
	spdxLayers       = prefix + "layers"
	spdxDistribution = distributionProperty
)

func packageID(i int) string { return "Package-" + strconv.Itoa(i+1) }

func proof(p inventory.Installed) string {
	text := p.Path
	for _, more := range []property{{"line ", lineOf(p)}, {"", p.Evidence}, {"layer ", p.LayerDigest}, {"brought by ", p.Owner}} {
		if more.value != "" {
			text += ", " + more.name + more.value
		}
	}
	return strings.TrimPrefix(text, ", ")
}

// comment says how complete the bill is.
func (s Subject) comment() string {
	text := "The list of packages is " + string(s.coverage()) + "."
	for _, warning := range s.told() {
		text += "\n" + warning
	}
	return text
}
