package report

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"

	"github.com/CycloneDX/cyclonedx-go"

	"github.com/pratique/pratique/internal/sbom"
)

// ErrSeveral is returned where a form holds one image and there are several.
var ErrSeveral = errors.New("a bill of materials is of one image: choose a platform")

// subject is what the bill of the report's only image is of.
func (r Report) subject() (sbom.Subject, Image, error) {
	if len(r.Images) != 1 {
		return sbom.Subject{}, Image{}, ErrSeveral
	}
	img := r.Images[0]
	digest := cmp.Or(img.Digest, img.ConfigDigest)
	if digest == "" && len(img.Layers) > 0 {
		digest = img.Layers[len(img.Layers)-1].Digest
	}
	return sbom.Subject{
		Digest: cmp.Or(digest, img.Name), Name: img.Name, Distribution: img.Distribution, Packages: img.installed,
		Created: r.ScannedAt, Version: r.Tool.Version,
	}, img, nil
}

// SPDX writes the packages of the report's only image, or returns ErrSeveral.
func SPDX(w io.Writer, r Report) error {
	subject, _, err := r.subject()
	if err != nil {
		return err
	}
	return sbom.SPDX(w, subject)
}

// CycloneDX writes the packages of the report's only image with what affects
// them, or returns ErrSeveral.
func CycloneDX(w io.Writer, r Report) error {
	subject, img, err := r.subject()
	if err != nil {
		return err
	}
	var packages bytes.Buffer
	if err := sbom.CycloneDX(&packages, subject); err != nil {
		return err
	}
	var bom cyclonedx.BOM
	if err := cyclonedx.NewBOMDecoder(&packages, cyclonedx.BOMFileFormatJSON).Decode(&bom); err != nil {
		return fmt.Errorf("add vulnerabilities to the bill: %w", err)
	}
	vulnerabilities := vulnerabilitiesOf(img, refsOf(bom))
	bom.Vulnerabilities = &vulnerabilities
	if bom.Metadata != nil {
		properties := []cyclonedx.Property{{Name: "pratique:coverage", Value: img.Coverage.Verdict}}
		for _, reason := range img.Coverage.Reasons {
			properties = append(properties, cyclonedx.Property{Name: "pratique:coverage:reason", Value: reason})
		}
		bom.Metadata.Properties = &properties
	}
	encoder := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON)
	encoder.SetPretty(true)
	if err := encoder.EncodeVersion(&bom, cyclonedx.SpecVersion1_6); err != nil {
		return fmt.Errorf("write CycloneDX: %w", err)
	}
	return nil
}

// installation is a package at a path.
type installation struct{ purl, path string }

// refsOf finds the components by what they are and where they lie.
func refsOf(bom cyclonedx.BOM) map[installation]string {
	refs := make(map[installation]string)
	if bom.Components == nil {
		return refs
	}
	for _, c := range *bom.Components {
		path := ""
		if c.Properties != nil {
			for _, p := range *c.Properties {
				if p.Name == "pratique:path" {
					path = p.Value
				}
			}
		}
		refs[installation{c.PackageURL, path}] = c.BOMRef
	}
	return refs
}

// vulnerabilitiesOf lists each vulnerability once, with the components that it affects.
func vulnerabilitiesOf(img Image, refs map[installation]string) []cyclonedx.Vulnerability {
	list, known := []cyclonedx.Vulnerability{}, make(map[string]int)
	for i, f := range img.Findings {
		n, seen := known[f.Vulnerability]
		if !seen {
			n = len(list)
			known[f.Vulnerability] = n
			severity := cyclonedx.Severity(f.Severity)
			if f.Severity == "negligible" {
				severity = cyclonedx.SeverityInfo
			}
			list = append(list, cyclonedx.Vulnerability{
				BOMRef: f.Vulnerability, ID: f.Vulnerability, Description: f.Description, Source: &cyclonedx.Source{Name: f.Evidence.Feed},
				Ratings: &[]cyclonedx.VulnerabilityRating{{Source: &cyclonedx.Source{Name: f.Evidence.Feed}, Severity: severity, Method: cyclonedx.ScoringMethodOther}},
			})
		}
		v := &list[n]
		ref := refs[installation{sbom.PURL(img.affected[i]), f.Evidence.Path}]
		if ref == "" {
			continue
		}
		if v.Affects == nil {
			v.Affects = new([]cyclonedx.Affects)
		}
		*v.Affects = append(*v.Affects, cyclonedx.Affects{
			Ref: ref, Range: &[]cyclonedx.AffectedVersions{{Version: f.Package.Version, Status: cyclonedx.VulnerabilityStatusAffected}},
		})
		if v.Recommendation == "" && f.FixedVersion != "" {
			v.Recommendation = fmt.Sprintf("Update %s to %s.", f.Evidence.Subject, f.FixedVersion)
		}
	}
	return list
}
