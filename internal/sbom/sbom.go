// Package sbom writes the inventory of an image as a software bill of materials,
// and reads such bills: CycloneDX (https://cyclonedx.org/docs/1.6/json/), SPDX
// (https://spdx.github.io/spdx-spec/v2.3/) and, to read, Syft's own format
// (https://github.com/anchore/syft/tree/main/schema/json), all as JSON.
//
// What it writes it reads back as it was. It must not know where bills are kept.
package sbom

import (
	"crypto/sha256"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/package-url/packageurl-go"

	"github.com/pratique/pratique/internal/inventory"
)

// The media types of bills; the last is Syft's.
const (
	CycloneDXType = "application/vnd.cyclonedx+json"
	SPDXType      = "application/spdx+json"
	SyftType      = "application/vnd.syft+json"
)

// Subject is what the bill is of.
type Subject struct {
	// Digest is the manifest's; Name is the image's, for people.
	Digest, Name string
	// Repository is HOST/REGISTRY/REPOSITORY, "" where the host is not known.
	Repository   string
	Architecture string
	// Layers are the digests of the image's layers, base first.
	Layers       []string
	Distribution string
	Packages     []inventory.Installed
	// Warnings tell what could not be read, and so is missing.
	Warnings []inventory.Warning
	// Created is when the inventory was made, Version that of this program.
	Created time.Time
	Version string
}

const tool = "pratique"

// maxTold bounds the warnings that a bill repeats.
const maxTold = 100

// serial is the same for the same bill.
func (s Subject) serial() uuid.UUID {
	h := sha256.New()
	fmt.Fprintln(h, s.Digest, s.Name, s.Repository, s.Version, s.Created.UTC().Format(time.RFC3339))
	for _, p := range s.Packages {
		fmt.Fprintln(h, PURL(p.Package), p.Path, p.Line, p.Evidence)
	}
	for _, w := range s.Warnings {
		fmt.Fprintln(h, w.Code, w.Path, w.Message)
	}
	id, _ := uuid.FromBytes(h.Sum(nil)[:16])
	id[6], id[8] = id[6]&0x0f|0x50, id[8]&0x3f|0x80 // version 5, RFC 9562
	return id
}

// purl is the package URL of the image
// (https://github.com/package-url/purl-spec/blob/main/types-doc/oci-definition.md).
func (s Subject) purl() string {
	name := path.Base(s.Name)
	if strings.Contains(name, ":") { // a digest
		name = "image"
	}
	qualifiers := map[string]string{}
	if s.Architecture != "" {
		qualifiers["arch"] = s.Architecture
	}
	if s.Repository != "" {
		qualifiers["repository_url"] = s.Repository
	}
	return packageurl.NewPackageURL("oci", "", name, s.Digest, packageurl.QualifiersFromMap(qualifiers), "").ToString()
}

// coverage is how much of the image the bill answers for.
func (s Subject) coverage() inventory.Coverage {
	id, release, _ := strings.Cut(s.Distribution, ":")
	return inventory.Image{Distribution: inventory.Distribution{ID: id, Version: release}, Packages: s.Packages, Warnings: s.Warnings}.Coverage()
}

// told are the warnings as text, no more than maxTold of them.
func (s Subject) told() []string {
	list := make([]string, 0, min(len(s.Warnings), maxTold+1))
	for i, w := range s.Warnings {
		if i == maxTold {
			return append(list, fmt.Sprintf("%d more", len(s.Warnings)-maxTold))
		}
		text := w.Code + ": "
		if w.Path != "" {
			text += w.Path + ": "
		}
		list = append(list, text+w.Message)
	}
	return list
}

// owned finds the package of the operating system that brought another's file,
// by type and name; the position of the first one of that name.
func (s Subject) owned() map[string]int {
	positions := make(map[string]int)
	for i, p := range s.Packages {
		if key := p.Type + ":" + p.Name; p.Owner == "" && p.Distribution != "" {
			if _, known := positions[key]; !known {
				positions[key] = i
			}
		}
	}
	return positions
}
