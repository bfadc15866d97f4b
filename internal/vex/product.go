package vex

import (
	"slices"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/package-url/packageurl-go"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/sbom"
)

// Subject is an image as products name it.
type Subject struct {
	// Digests are the image's own and those of the indexes that hold it.
	Digests []string
	// Names are the last elements of the repositories that hold it.
	Names []string
}

// isImage reports whether a product's identifier is an image's.
func isImage(id string) bool {
	_, ok := imageOf(id)
	return ok
}

// imageID is an image in a product's identifier: by digest, else by name.
type imageID struct{ digest, name string }

// imageOf reads sha256:HEX, REPOSITORY@sha256:HEX, and purls of the types oci
// and docker. A purl with another version than a digest is a tag, which says
// nothing of an image for long.
func imageOf(id string) (imageID, bool) {
	if strings.HasPrefix(id, "pkg:") {
		p, err := packageurl.FromString(id)
		if err != nil || p.Type != packageurl.TypeOCI && p.Type != packageurl.TypeDocker {
			return imageID{}, false
		}
		if p.Version == "" && p.Type == packageurl.TypeOCI {
			return imageID{name: p.Name}, true
		}
		return imageID{digest: p.Version}, true
	}
	_, after, found := strings.Cut(id, "@")
	if !found {
		after = id
	}
	if digest.Digest(after).Validate() != nil {
		return imageID{}, false
	}
	return imageID{digest: after}, true
}

// is reports whether an identifier is the image's.
func (s Subject) is(id imageID) bool {
	if id.digest != "" {
		return slices.Contains(s.Digests, id.digest)
	}
	return slices.Contains(s.Names, id.name)
}

// Matcher says which packages of an image a product means.
type Matcher struct {
	subject  Subject
	packages []identity
}

// identity is a package as purls name it, with its source package.
type identity struct {
	packageurl.PackageURL
	source, sourceVersion string
}

// NewMatcher returns a matcher for packages of an image.
func NewMatcher(subject Subject, packages []inventory.Package) *Matcher {
	m := &Matcher{subject: subject, packages: make([]identity, len(packages))}
	for i, p := range packages {
		// One that cannot be written as a purl equals none.
		m.packages[i].PackageURL, _ = packageurl.FromString(sbom.PURL(p))
		m.packages[i].source, m.packages[i].sourceVersion = p.SourceName, p.SourceVersion
		if p.SourceName == "" {
			m.packages[i].source, m.packages[i].sourceVersion = m.packages[i].Name, m.packages[i].Version
		}
	}
	return m
}

// Covers calls yield with the index of each package that the products mean. It
// reports whether any product is the image, or one of these packages.
func (m *Matcher) Covers(products []Product, yield func(i int)) bool {
	concerned := false
	for _, product := range products {
		if id, ok := imageOf(product.ID); ok {
			if !m.subject.is(id) {
				continue
			}
			concerned = true
			if len(product.Subcomponents) == 0 {
				for i := range m.packages {
					yield(i)
				}
				continue
			}
			for _, sub := range product.Subcomponents {
				m.match(sub, yield)
			}
			continue
		}
		// A package in a package means the outer one's copy of the inner one,
		// which is not how inventories see packages.
		if len(product.Subcomponents) == 0 && m.match(product.ID, yield) {
			concerned = true
		}
	}
	return concerned
}

func (m *Matcher) match(purl string, yield func(i int)) bool {
	wanted, err := packageurl.FromString(purl)
	if err != nil {
		return false
	}
	arch := wanted.Qualifiers.Map()["arch"]
	source := arch == "source" || arch == "src"
	any := false
	for i, p := range m.packages {
		if p.Type == "" || p.Type != wanted.Type || p.Namespace != wanted.Namespace {
			continue
		}
		name, version := p.Name, p.Version
		if source {
			name, version = p.source, p.sourceVersion
			if version == "" {
				version = p.Version
			}
		}
		if name == wanted.Name && (wanted.Version == "" || wanted.Version == version) {
			any = true
			yield(i)
		}
	}
	return any
}

// ImageDigest returns the digest of an image that a product's identifier names,
// "" where it names it otherwise; ok reports whether it is an image's.
func ImageDigest(id string) (digest string, ok bool) {
	image, ok := imageOf(id)
	return image.digest, ok
}
