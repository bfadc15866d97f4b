package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/oci/registry"
)

// Bounds of an index. The digests keep it from being a circle; nobody needs many
// levels.
const (
	maxLevels     = 4
	maxCandidates = 1000
)

// descriptor is a content descriptor (image-spec, descriptor.md).
type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
	Platform  *struct {
		OS           string `json:"os"`
		Architecture string `json:"architecture"`
		Variant      string `json:"variant"`
	} `json:"platform"`
	Annotations map[string]string `json:"annotations"`
}

func (d descriptor) platform() Platform {
	if d.Platform == nil {
		return Platform{}
	}
	return Platform{d.Platform.OS, d.Platform.Architecture, d.Platform.Variant}
}

// attests reports BuildKit's attestations: manifests in the form of an image's.
func (d descriptor) attests() bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest"
}

// store is where manifests, configurations and layers are kept.
type store interface {
	// manifest and config return content that has the digest.
	manifest(ctx context.Context, d descriptor) ([]byte, error)
	config(ctx context.Context, d descriptor) ([]byte, error)
	layer(ctx context.Context, l image.Layer) (io.ReadCloser, error)
}

// choice says which images are wanted of several platforms.
type choice struct {
	platform *Platform
	all      bool
	// distinct refuses to choose among several of one platform: nobody said that
	// they are the same image.
	distinct bool
}

// chooser finds the images that are wanted.
type chooser struct {
	choice
	from  store
	name  string
	found int // descriptors
}

// candidate is a manifest that may be wanted; image is nil until it was read.
type candidate struct {
	descriptor
	platform Platform
	image    *Image
}

// images reads the images that are wanted of those below the descriptors.
func (c choice) images(ctx context.Context, from store, name string, tops []descriptor) ([]*Image, error) {
	chooser := chooser{choice: c, from: from, name: name}
	candidates, err := chooser.below(ctx, tops, 1)
	if err != nil {
		return nil, err
	}
	if images := slices.DeleteFunc(slices.Clone(candidates), func(c candidate) bool {
		return c.attests() || c.platform.String() == "unknown/unknown"
	}); len(images) > 0 {
		candidates = images
	}
	if len(candidates) == 0 {
		return nil, fmt.Errorf("%w: it lists none", ErrNoImage)
	}
	if c.all || len(candidates) > 1 || c.platform != nil {
		if candidates, err = chooser.describe(ctx, candidates); err != nil {
			return nil, err
		}
	}
	if !c.all {
		one, err := chooser.choose(candidates)
		if err != nil {
			return nil, err
		}
		candidates = []candidate{one}
	}
	images := make([]*Image, 0, len(candidates))
	for _, one := range candidates {
		if one.image == nil {
			if one.image, err = chooser.read(ctx, one.descriptor); err != nil {
				return nil, err
			}
		}
		images = append(images, one.image)
	}
	return images, nil
}

// below lists the manifests of images that the descriptors lead to.
func (c *chooser) below(ctx context.Context, list []descriptor, level int) ([]candidate, error) {
	if level > maxLevels {
		return nil, fmt.Errorf("an index is nested deeper than %d", maxLevels)
	}
	var all []candidate
	for _, d := range list {
		if c.found++; c.found > maxCandidates {
			return nil, fmt.Errorf("it lists more than %d manifests", maxCandidates)
		}
		switch d.MediaType {
		case registry.MediaTypeImage, registry.MediaTypeDockerImage:
			all = append(all, candidate{descriptor: d, platform: d.platform()})
		case registry.MediaTypeIndex, registry.MediaTypeDockerList:
			text, err := c.from.manifest(ctx, d)
			if err != nil {
				return nil, fmt.Errorf("index %s: %w", d.Digest, err)
			}
			list, err := readIndex(d.MediaType, text)
			if err != nil {
				return nil, fmt.Errorf("index %s: %w", d.Digest, err)
			}
			more, err := c.below(ctx, list, level+1)
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
	}
	return all, nil
}

// readIndex lists what an index lists.
func readIndex(mediaType string, text []byte) ([]descriptor, error) {
	if _, err := registry.Parse(mediaType, text); err != nil {
		return nil, err
	}
	var index struct {
		Manifests []descriptor `json:"manifests"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return nil, err
	}
	return index.Manifests, nil
}

// describe reads those candidates whose platform the index does not say, and
// leaves out what is no image after all.
func (c *chooser) describe(ctx context.Context, candidates []candidate) ([]candidate, error) {
	var images []candidate
	var not error
	for _, one := range candidates {
		if c.all || !one.platform.known() {
			img, err := c.read(ctx, one.descriptor)
			if errors.Is(err, ErrNoImage) {
				not = err
				continue
			}
			if err != nil {
				return nil, err
			}
			one.image, one.platform = img, img.Platform()
		}
		images = append(images, one)
	}
	if len(images) == 0 {
		return nil, not
	}
	return images, nil
}

// choose picks the image that fits best.
func (c *chooser) choose(candidates []candidate) (candidate, error) {
	if c.platform == nil && len(candidates) == 1 {
		return candidates[0], nil
	}
	want := Host()
	if c.platform != nil {
		want = *c.platform
	}
	best, least, as := -1, 0, 0
	for i, one := range candidates {
		rank, ok := want.fit(one.platform)
		switch {
		case !ok:
		case best < 0 || rank < least:
			best, least, as = i, rank, 1
		case rank == least:
			as++
		}
	}
	switch {
	case as > 1 && c.distinct:
		return candidate{}, fmt.Errorf("%w: there are %d for %s, add @0 to @%d", ErrNoImage, as, want, len(candidates)-1)
	case best >= 0:
		return candidates[best], nil
	}
	var there []string
	for _, one := range candidates {
		if p := printable(one.platform.String()); p != "" && !slices.Contains(there, p) {
			there = append(there, p)
		}
	}
	if len(there) == 0 {
		return candidate{}, fmt.Errorf("%w: none says that it is for %s", ErrNoImage, want)
	}
	return candidate{}, fmt.Errorf("%w: none is for %s; there are %s", ErrNoImage, want, strings.Join(there, ", "))
}

// read reads the manifest of an image, and its configuration.
func (c *chooser) read(ctx context.Context, d descriptor) (*Image, error) {
	img, err := c.parse(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	if p := d.platform(); !img.Platform().known() && p.known() {
		img.OS, img.Architecture, img.Variant = p.OS, p.Architecture, p.Variant
	}
	return img, nil
}

func (c *chooser) parse(ctx context.Context, d descriptor) (*Image, error) {
	text, err := c.from.manifest(ctx, d)
	if err != nil {
		return nil, err
	}
	m, err := registry.Parse(d.MediaType, text)
	if err != nil {
		return nil, err
	}
	img, ok, err := image.Parse(d.Digest, m.MediaType, text)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("%w: it is an artifact of type %q", ErrNoImage, m.ArtifactType)
	}
	config := m.References[0] // Parse sees to it that there is one
	text, err = c.from.config(ctx, descriptor{Digest: config.Digest, Size: config.Size, MediaType: config.MediaType})
	if err != nil {
		return nil, fmt.Errorf("configuration %s: %w", config.Digest, err)
	}
	if err := img.Describe(text); err != nil {
		return nil, err
	}
	opened := &Image{Image: img, Name: c.name}
	for _, l := range img.Layers {
		path, err := blobPath(l.Digest)
		if err != nil {
			return nil, err
		}
		opened.paths = append(opened.paths, path)
	}
	opened.open = func(ctx context.Context, n int) (io.ReadCloser, error) { return c.from.layer(ctx, img.Layers[n]) }
	return opened, nil
}
