// Package target opens what a person names to have it looked at, an image in a
// registry, a layout, an archive or a folder, as one thing: manifest,
// configuration, and layers as streams.
//
// What it reads is foreign: sizes and counts are bounded, manifests and
// configurations have the digests that they are referred to by. It must not know
// what is looked for in an image, nor where results are kept.
package target

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/layer"
)

// Sentinels for which callers branch.
var (
	// ErrMissing is returned for a manifest, a configuration or a layer that the
	// target refers to and does not have.
	ErrMissing = errors.New("missing")
	// ErrNoImage is returned where there is no image of that name or platform,
	// or several and none was named.
	ErrNoImage = errors.New("no such image")
	// ErrUnauthorized is returned where a registry wants other credentials, or any.
	ErrUnauthorized = errors.New("not allowed")
)

// Options are the choices that Open leaves to its caller. The zero value is usable.
type Options struct {
	// Platform is "os/arch", "os/arch/variant" or AllPlatforms. Where it is "",
	// the host's is taken, else the only one there is.
	Platform string
	// Limits bound an archive as they bound a layer.
	Limits layer.Options
	// Wants reports the files of a folder whose content is to be read, by path
	// as in a layer; all where nil.
	Wants func(path string) bool
	// Remote says how registries are talked to.
	Remote Remote
	// Progress is told of a compressed archive that is read for its table of
	// contents, where not nil.
	Progress Progress
}

// Progress is told what begins to be read, of how many bytes, 0 where nobody
// knows. The reader that it returns takes the place of content; done is called
// at the end.
type Progress func(name string, size int64, content io.Reader) (_ io.Reader, done func(error))

// Source is an opened target.
type Source struct {
	// Images are the images that were asked for, at least one.
	Images []*Image
	close  func() error
}

// Close releases what Open opened; no layer is read after it.
func (s *Source) Close() error {
	if s.close == nil {
		return nil
	}
	return s.close()
}

// Image is one image, of one platform.
type Image struct {
	// Image has what manifest and configuration say. A layer without a digest
	// has that of its bytes; an image without one is in no registry.
	image.Image
	// Name is what people call it: its reference, its name in the archive, or
	// the path.
	Name string

	order   []int    // nil where any is as good
	paths   []string // of the layers in an archive
	open    func(ctx context.Context, n int) (io.ReadCloser, error)
	leftOut func() []inventory.Warning
}

// Platform is what the image is made for.
func (i *Image) Platform() Platform { return Platform{i.OS, i.Architecture, i.Variant} }

// Layer opens layer n. Its bytes have still to be checked against the digest.
// The error wraps ErrMissing where the target does not have the layer.
func (i *Image) Layer(ctx context.Context, n int) (io.ReadCloser, error) {
	content, err := i.open(ctx, n)
	if err != nil {
		return nil, fmt.Errorf("layer %s: %w", i.LayerName(n), err)
	}
	return content, nil
}

// LayerName is the digest of layer n, or its number from 1 where it has none yet.
func (i *Image) LayerName(n int) string {
	if d := i.Layers[n].Digest; d != "" {
		return d
	}
	return fmt.Sprintf("%d of %s", n+1, i.Name)
}

// Order lists the layers in the order in which they are best read.
func (i *Image) Order() []int {
	if i.order != nil {
		return i.order
	}
	all := make([]int, len(i.Layers))
	for n := range all {
		all[n] = n
	}
	return all
}

// OneByOne reports that layers are to be read one after the other, in the order
// of Order: they are all in one compressed stream.
func (i *Image) OneByOne() bool { return i.order != nil }

// LeftOut tells what of a folder could not be handed out; it is known once the
// layer was read.
func (i *Image) LeftOut() []inventory.Warning {
	if i.leftOut == nil {
		return nil
	}
	return i.leftOut()
}

// Open opens a target.
func Open(ctx context.Context, name Name, opts Options) (*Source, error) {
	var wanted *Platform
	if opts.Platform != "" && opts.Platform != AllPlatforms {
		p, err := ParsePlatform(opts.Platform)
		if err != nil {
			return nil, err
		}
		wanted = &p
	}
	choice := choice{platform: wanted, all: opts.Platform == AllPlatforms}
	var (
		s   *Source
		err error
	)
	switch name.Kind {
	case OCIDir:
		s, err = openDir(ctx, name.Rest, choice)
	case OCIArchive, DockerArchive:
		s, err = openArchive(ctx, name.Kind, name.Rest, choice, opts)
	case Rootfs:
		s, err = openRootfs(name.Rest, opts)
	case Registry:
		s, err = openRemote(ctx, name.Reference, choice, opts.Remote)
	default:
		return nil, fmt.Errorf("%w: of kind %q", ErrName, name.Kind)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return s, nil
}

// String is the TARGET.
func (n Name) String() string {
	if n.Kind == Registry {
		return n.Reference.String()
	}
	return string(n.Kind) + ":" + n.Rest
}
