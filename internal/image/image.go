// Package image is what is known of one image: its platform, its layers with
// the instructions that made them, and how far its analysis is.
//
// It reads manifests and configurations; it must not know where they are kept.
package image

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/inventory"
)

// State is how far an image's analysis is.
type State string

// The states. A failed image has an Error; its packages are unknown.
const (
	Pending State = "pending"
	Done    State = "done"
	Failed  State = "failed"
)

// Image is one image manifest: one platform.
type Image struct {
	Digest       string
	MediaType    string
	ConfigDigest string
	OS           string
	Architecture string
	Variant      string
	Layers       []Layer
	// BaseLayers is how many layers the history takes for those of the image that
	// this one is built on; 0 where it does not tell.
	BaseLayers int

	State State
	Error string
	// InventoryID is 0 until the analysis is done.
	InventoryID int64
	// Distribution is the key ("debian:12"), DistributionName for people.
	Distribution     string
	DistributionName string
	Packages         int
	// Types counts the packages by type, without those that belong to a package
	// of the operating system and are judged as part of it.
	Types     map[string]int
	Warnings  []inventory.Warning
	CreatedAt time.Time
	// AnalysedAt is zero until the analysis is done.
	AnalysedAt time.Time
}

// Layer is one layer of an image, base first.
type Layer struct {
	Digest    string
	Size      int64 // compressed, bytes
	MediaType string
	// CreatedBy is the instruction of the image's history that made the layer.
	CreatedBy string
	// Foreign layers are not stored here, only referred to by URL.
	Foreign bool
}

// Tagged is a tag with the image of some platform that it stands for.
type Tagged struct {
	Tag, Digest string
	PushedAt    time.Time
}

// Size is the sum of the layers' sizes in bytes.
func (i Image) Size() int64 {
	var n int64
	for _, l := range i.Layers {
		n += l.Size
	}
	return n
}

// LayerDigests lists the layers that hold files, base first.
func (i Image) LayerDigests() []string {
	digests := make([]string, 0, len(i.Layers))
	for _, l := range i.Layers {
		digests = append(digests, l.Digest)
	}
	return digests
}

// Chains identifies the chains of the first layer, the first two, and so on to
// all: images of the same chain have the same files.
func (i Image) Chains() []string {
	h := sha256.New()
	chains := make([]string, len(i.Layers))
	for n, l := range i.Layers {
		fmt.Fprintln(h, l.Digest)
		chains[n] = hex.EncodeToString(h.Sum(nil))
	}
	return chains
}

// manifest is the part of an OCI image manifest (image-spec, manifest.md) and
// of a Docker schema 2 manifest that matters here.
type manifest struct {
	MediaType string       `json:"mediaType"`
	Config    descriptor   `json:"config"`
	Layers    []descriptor `json:"layers"`
}

type descriptor struct {
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	URLs      []string `json:"urls"`
}

// config is the part of an image configuration (image-spec, config.md) that
// matters here.
type config struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	History      []struct {
		CreatedBy  string `json:"created_by"`
		EmptyLayer bool   `json:"empty_layer"`
	} `json:"history"`
}

// Parse reads a manifest. ok is false where it is none of an image that a
// container could run: an index, an artifact, an attestation.
func Parse(digest, mediaType string, content []byte) (img Image, ok bool, err error) {
	var m manifest
	if err := json.Unmarshal(content, &m); err != nil {
		return Image{}, false, fmt.Errorf("manifest %s: %w", digest, err)
	}
	switch m.Config.MediaType {
	case "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json":
	default:
		return Image{}, false, nil
	}
	img = Image{Digest: digest, MediaType: mediaType, ConfigDigest: m.Config.Digest, State: Pending}
	for _, d := range m.Layers {
		// Attestations are image manifests whose layers are statements, not file systems.
		if !isFileSystem(d.MediaType) && strings.HasSuffix(d.MediaType, "json") {
			continue
		}
		img.Layers = append(img.Layers, Layer{
			Digest: d.Digest, Size: d.Size, MediaType: d.MediaType,
			Foreign: isForeign(d.MediaType) || len(d.URLs) > 0,
		})
	}
	return img, len(img.Layers) > 0 || len(m.Layers) == 0, nil
}

// Describe adds what the image's configuration says: platform and, per layer,
// the instruction that made it.
func (i *Image) Describe(content []byte) error {
	var c config
	if err := json.Unmarshal(content, &c); err != nil {
		return fmt.Errorf("configuration %s: %w", i.ConfigDigest, err)
	}
	i.OS, i.Architecture, i.Variant = c.OS, c.Architecture, c.Variant
	at, command := 0, 0
	for _, h := range c.History {
		if h.EmptyLayer {
			// An image ends with its command. One that layers follow was the base's.
			if instruction := strings.TrimPrefix(h.CreatedBy, "/bin/sh -c #(nop) "); strings.HasPrefix(strings.TrimSpace(instruction), "CMD ") {
				command = at
			}
			continue
		}
		if i.BaseLayers = command; at == len(i.Layers) {
			break
		}
		i.Layers[at].CreatedBy = h.CreatedBy
		at++
	}
	return nil
}

// isFileSystem reports layer media types of OCI and Docker, with any compression.
func isFileSystem(mediaType string) bool {
	return strings.HasPrefix(mediaType, "application/vnd.oci.image.layer.") ||
		strings.HasPrefix(mediaType, "application/vnd.docker.image.rootfs.")
}

// isForeign reports layers that registries need not hold
// (image-spec, layer.md, "Non-Distributable Layers"; Docker's foreign layers).
func isForeign(mediaType string) bool {
	return strings.Contains(mediaType, ".nondistributable.") || strings.Contains(mediaType, ".foreign.")
}
