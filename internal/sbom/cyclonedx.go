package sbom

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"

	"github.com/pratique/pratique/internal/inventory"
)

// osRef is the reference of the component that is the operating system.
const osRef = "os"

func packageRef(i int) string { return "package-" + strconv.Itoa(i+1) }

// CycloneDX writes the bill as CycloneDX 1.6. Each component says which file of
// which layer proves it. The image depends on its operating system, that on its
// packages, and those on what they brought.
func CycloneDX(w io.Writer, s Subject) error {
	bom := cyclonedx.NewBOM()
	bom.SerialNumber = s.serial().URN()
	bom.Metadata = &cyclonedx.Metadata{
		Timestamp: s.Created.UTC().Format(time.RFC3339),
		Tools: &cyclonedx.ToolsChoice{Components: &[]cyclonedx.Component{{
			Type: cyclonedx.ComponentTypeApplication, Name: tool, Version: s.Version,
		}}},
		Component: &cyclonedx.Component{
			BOMRef: s.Digest, Type: cyclonedx.ComponentTypeContainer, Name: s.Name, Version: s.Digest, PackageURL: s.purl(),
			Properties: s.imageProperties(),
		},
	}
	components := make([]cyclonedx.Component, 0, len(s.Packages)+1)
	if id, release, _ := strings.Cut(s.Distribution, ":"); id != "" {
		components = append(components, cyclonedx.Component{BOMRef: osRef, Type: cyclonedx.ComponentTypeOS, Name: id, Version: release})
	}
	for i, p := range s.Packages {
		components = append(components, asComponent(i, p))
	}
	bom.Components = &components
	bom.Dependencies = s.dependencies()
	bom.Compositions = &[]cyclonedx.Composition{{
		Aggregate: map[inventory.Coverage]cyclonedx.CompositionAggregate{
			inventory.Complete: cyclonedx.CompositionAggregateComplete, inventory.Partial: cyclonedx.CompositionAggregateIncomplete,
			inventory.Unknown: cyclonedx.CompositionAggregateUnknown,
		}[s.coverage()],
		Assemblies: &[]cyclonedx.BOMReference{cyclonedx.BOMReference(s.Digest)},
	}}
	encoder := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON)
	if err := encoder.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return fmt.Errorf("write CycloneDX: %w", err)
	}
	return nil
}

func (s Subject) imageProperties() *[]cyclonedx.Property {
	var list []cyclonedx.Property
	for _, digest := range s.Layers {
		list = append(list, cyclonedx.Property{Name: layerProperty, Value: digest})
	}
	if s.Distribution != "" {
		list = append(list, cyclonedx.Property{Name: distributionProperty, Value: s.Distribution})
	}
	for _, text := range s.told() {
		list = append(list, cyclonedx.Property{Name: warningProperty, Value: text})
	}
	if list == nil {
		return nil
	}
	return &list
}

func asComponent(i int, p inventory.Installed) cyclonedx.Component {
	own := []cyclonedx.Property{}
	for _, more := range properties(p) {
		own = append(own, cyclonedx.Property{Name: more.name, Value: more.value})
	}
	return cyclonedx.Component{
		BOMRef: packageRef(i), Type: cyclonedx.ComponentTypeLibrary, Name: p.Name, Version: p.Version,
		PackageURL: PURL(p.Package), Properties: &own, Evidence: evidence(p),
	}
}

// evidence says how sure a package is and where it is seen.
func evidence(p inventory.Installed) *cyclonedx.Evidence {
	if p.Path == "" {
		return nil
	}
	sure := float32(1)
	method := cyclonedx.EvidenceIdentityMethod{Technique: cyclonedx.EvidenceIdentityTechniqueManifestAnalysis, Confidence: &sure, Value: p.Path}
	switch p.Detector {
	case "binary":
		method.Technique = cyclonedx.EvidenceIdentityTechniqueBinaryAnalysis
	case detector:
		// Somebody's word.
		method.Technique = cyclonedx.EvidenceIdentityTechniqueAttestation
	}
	seen := cyclonedx.EvidenceOccurrence{Location: p.Path, AdditionalContext: p.Evidence}
	if p.Line > 0 {
		seen.Line = &p.Line
	}
	return &cyclonedx.Evidence{
		Identity: &cyclonedx.EvidenceIdentityChoice{Identities: &[]cyclonedx.EvidenceIdentity{{
			Field: cyclonedx.EvidenceIdentityFieldTypePURL, Confidence: &sure, Methods: &[]cyclonedx.EvidenceIdentityMethod{method},
		}}},
		Occurrences: &[]cyclonedx.EvidenceOccurrence{seen},
	}
}

func (s Subject) dependencies() *[]cyclonedx.Dependency {
	owners := s.owned()
	image, system := []string{}, []string{}
	brought := make(map[int][]string)
	if s.Distribution != "" {
		image = append(image, osRef)
	}
	for i, p := range s.Packages {
		owner, known := owners[p.Owner]
		switch {
		case known:
			brought[owner] = append(brought[owner], packageRef(i))
		case p.Distribution != "" && p.Distribution == s.Distribution:
			system = append(system, packageRef(i))
		default:
			image = append(image, packageRef(i))
		}
	}
	list := []cyclonedx.Dependency{{Ref: s.Digest, Dependencies: &image}}
	if s.Distribution != "" {
		list = append(list, cyclonedx.Dependency{Ref: osRef, Dependencies: &system})
	}
	for i := range s.Packages {
		if parts := brought[i]; parts != nil {
			list = append(list, cyclonedx.Dependency{Ref: packageRef(i), Dependencies: &parts})
		}
	}
	return &list
}
