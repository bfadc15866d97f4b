// Package registry holds the nouns of a registry of images: registries,
// repositories, manifests and what they refer to; and the grammar of their
// names and contents.
//
// It must not know HTTP, SQL or files.
package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Registry is a named container feed; images are HOST/REGISTRY/REPOSITORY:TAG.
type Registry struct {
	ID          int64
	Name        string
	Description string
	// AnonymousPull lets anyone pull.
	AnonymousPull bool
	// Policy is what the registry itself asks of the pull gate, as JSON (see
	// policy.Settings). It changes by way of package policy.
	Policy string
	// AttachSBOM is the format of the bills that are kept beside the images.
	AttachSBOM BillFormat
	// HonourVEX lets VEX documents that are attached to images assess them; a
	// new registry does.
	HonourVEX bool
	Rules
	CreatedAt time.Time
}

// Tag is another one whenever what Change changes is.
func (r Registry) Tag() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %q %t %s %t %d %q %t", r.ID, r.Description, r.AnonymousPull, r.AttachSBOM, r.HonourVEX, r.Quota, r.ImmutableTags, r.VersionTags))
	return hex.EncodeToString(sum[:12])
}

// BillFormat is a format of software bills of materials.
type BillFormat string

// The formats. None is that nothing is attached.
const (
	NoBill    BillFormat = "none"
	CycloneDX BillFormat = "cyclonedx"
	SPDX      BillFormat = "spdx"
)

// Change is what to change of a registry; nil leaves a field as it is.
type Change struct {
	Description   *string
	AnonymousPull *bool
	AttachSBOM    *BillFormat
	HonourVEX     *bool
	Quota         *int64
	ImmutableTags *[]string
	VersionTags   *bool
	// Tag is the one of the registry that was seen; "" where any will do.
	Tag string
}

// Repository is a scope for manifests, tags and blobs.
type Repository struct {
	ID         int64
	RegistryID int64
	// Registry and Name are the two parts of the full name.
	Registry string
	Name     string
	// UpdatedAt is when a manifest or tag last changed; zero where none was
	// ever pushed.
	CreatedAt time.Time
	UpdatedAt time.Time
}

// String is the full name, REGISTRY/REPOSITORY.
func (r Repository) String() string { return r.Registry + "/" + r.Name }

// Tag is a name for a manifest.
type Tag struct {
	Name      string
	Digest    string
	UpdatedAt time.Time
}

// Kind says as what a manifest refers to something.
type Kind string

// The kinds. Blob is what an index lists that is no manifest, as BuildKit's
// caches do.
const (
	KindConfig   Kind = "config"
	KindLayer    Kind = "layer"
	KindManifest Kind = "manifest"
	KindBlob     Kind = "blob"
)

// Reference is one thing that a manifest refers to.
type Reference struct {
	Kind      Kind
	MediaType string
	Digest    string
	Size      int64 // bytes
	// Optional references need not be stored here: layers that may not be
	// distributed, and those with URLs.
	Optional bool
}

// Manifest is a manifest as it was pushed.
type Manifest struct {
	// ID is the manifest's in its repository, 0 before it is stored.
	ID        int64
	Digest    string
	MediaType string
	// ArtifactType is the manifest's own, else its configuration's media type
	// where it is no index (distribution-spec, "Listing Referrers").
	ArtifactType string
	// Subject is the digest of the manifest that this one is about, or "".
	Subject     string
	Annotations map[string]string
	Content     []byte
	// References and Bills are what Parse found; they are not read back.
	References []Reference
	Bills      []Bill
	PushedBy   string
	PushedAt   time.Time
}

// IsIndex reports whether the manifest lists manifests.
func (m *Manifest) IsIndex() bool { return isIndex(m.MediaType) }

// Referrer is a manifest as the list of a subject's referrers shows it.
type Referrer struct {
	Digest       string
	MediaType    string
	ArtifactType string
	Size         int64
	Annotations  map[string]string
}

// Upload is an upload session; its bytes are in the blob storage.
type Upload struct {
	ID           string
	RepositoryID int64
	StartedAt    time.Time
}

// What a store answers where something is not as the caller thinks.
var (
	ErrRegistryUnknown   = errors.New("unknown registry")
	ErrRepositoryUnknown = errors.New("unknown repository")
	ErrManifestUnknown   = errors.New("unknown manifest")
	ErrBlobUnknown       = errors.New("unknown blob")
	ErrUploadUnknown     = errors.New("unknown upload")
	// ErrRegistryExists says that a registry of the name exists.
	ErrRegistryExists = errors.New("the registry exists already")
	// ErrChanged says that a registry is not as the caller saw it.
	ErrChanged = errors.New("someone else has changed the registry meanwhile")
	// ErrNotEmpty says that a registry holds repositories.
	ErrNotEmpty = errors.New("the registry is not empty")
)

// InUseError says that a blob is referred to by a manifest of its repository.
type InUseError struct {
	Digest, Manifest string
}

func (e *InUseError) Error() string {
	return fmt.Sprintf("blob %s is used by manifest %s", e.Digest, e.Manifest)
}

// MissingError lists what a manifest refers to that its repository lacks, or
// holds in another size than the manifest says.
type MissingError struct {
	References []Reference
	// Sizes are what the repository holds, in bytes; -1 for nothing.
	Sizes []int64
}

func (e *MissingError) Error() string {
	const shown = 10
	var b strings.Builder
	for i, r := range e.References {
		if i == shown {
			fmt.Fprintf(&b, "; and %d more", len(e.References)-shown)
			break
		}
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(describe(r, e.Sizes[i]))
	}
	return b.String()
}

func describe(r Reference, size int64) string {
	if size < 0 {
		return fmt.Sprintf("%s %s is not in the repository", r.Kind, r.Digest)
	}
	return fmt.Sprintf("%s %s has %d bytes, the manifest says %d", r.Kind, r.Digest, size, r.Size)
}
