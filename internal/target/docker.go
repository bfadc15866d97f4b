package target

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/layer"
	"github.com/pratique/pratique/internal/oci/registry"
)

// Bounds of an archive of docker.
const (
	maxIndexFile = 16 << 20 // bytes of manifest.json
	maxChain     = 1000     // layers of one image
)

// dockerArchive is what `docker save` and `podman save` write: manifest.json and
// what it names (moby, image/spec/v1.2.md, "Combined Image JSON + Filesystem
// Changeset Format").
type dockerArchive struct {
	*archive
	path string
}

// dockerImage is an image in manifest.json.
type dockerImage struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// openArchive opens "FILE" or "FILE:IMAGE".
func openArchive(ctx context.Context, kind Kind, rest string, choice choice, opts Options) (*Source, error) {
	path, selection, err := split(rest)
	if err != nil {
		return nil, err
	}
	a, err := newArchive(ctx, path, opts)
	if err != nil {
		return nil, err
	}
	images, err := archived(ctx, a, kind, path, selection, choice)
	if err != nil {
		return nil, errors.Join(err, a.Close())
	}
	for _, img := range images {
		if a.compressed {
			img.order = a.order(img.paths)
		}
	}
	return &Source{Images: images, close: a.Close}, nil
}

// archived reads what an archive holds. Newer ones of docker are a layout as well.
func archived(ctx context.Context, a *archive, kind Kind, path, selection string, choice choice) ([]*Image, error) {
	has := func(name string) bool { return a.members[name] != nil }
	d := dockerArchive{archive: a, path: path}
	switch {
	case kind == OCIArchive && !has("index.json") && (has("manifest.json") || has("repositories")):
		return nil, fmt.Errorf("it is no OCI layout, but an archive of docker's; try %s:%s", DockerArchive, path)
	case kind == OCIArchive:
		return layout{a}.images(ctx, path, selection, choice)
	case has("manifest.json"):
		images, err := d.images(ctx, selection, choice)
		if err == nil && has("index.json") {
			err = d.agrees(ctx, images[0])
		}
		return images, err
	case has("index.json"):
		return layout{a}.images(ctx, path, selection, choice)
	case has("repositories"):
		return d.legacy(ctx, selection, choice)
	}
	return nil, fmt.Errorf("%w: the archive has neither manifest.json nor index.json", ErrNoImage)
}

// order lists the files as they lie in the archive.
func (a *archive) order(paths []string) []int {
	order, offsets := make([]int, len(paths)), make([]int64, len(paths))
	for n, path := range paths {
		order[n] = n
		if m, err := a.find(path); err == nil {
			offsets[n] = m.offset
		}
	}
	slices.SortStableFunc(order, func(x, y int) int { return cmp.Compare(offsets[x], offsets[y]) })
	return order
}

// images reads the image that is selected, or the only one.
func (d dockerArchive) images(ctx context.Context, selection string, choice choice) ([]*Image, error) {
	text, err := readAll(ctx, d, "manifest.json", maxIndexFile)
	if err != nil {
		return nil, err
	}
	var list []dockerImage
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("manifest.json: %w", err)
	}
	one, name, err := d.choose(list, selection)
	if err != nil {
		return nil, err
	}
	img, err := d.read(ctx, one)
	if err != nil {
		return nil, err
	}
	img.Name = name
	return suits(img, choice)
}

// agrees checks that the image is one of those of the layout that the archive is
// as well: docker loads the one or the other, depending on how it keeps images.
func (d dockerArchive) agrees(ctx context.Context, img *Image) error {
	text, err := readAll(ctx, d, "index.json", maxManifest)
	if err != nil {
		return err
	}
	list, err := readIndex(registry.MediaTypeIndex, text)
	if err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	chooser := chooser{from: layout{d}}
	candidates, err := chooser.below(ctx, list, 1)
	if err != nil {
		return fmt.Errorf("index.json: %w", err)
	}
	for _, one := range candidates {
		// Those of platforms that were not saved are not there.
		if other, err := chooser.parse(ctx, one.descriptor); err == nil && other.ConfigDigest == img.ConfigDigest {
			return nil
		}
	}
	return fmt.Errorf("manifest.json and index.json are of different images; %s: reads index.json alone", OCIArchive)
}

// suits checks the platform of an image that was chosen by its name.
func suits(img *Image, choice choice) ([]*Image, error) {
	if choice.platform != nil {
		if _, ok := choice.platform.fit(img.Platform()); !ok {
			return nil, fmt.Errorf("%w: %s is for %s, not for %s", ErrNoImage, printable(img.Name), printable(img.Platform().String()), choice.platform)
		}
	}
	return []*Image{img}, nil
}

func (d dockerArchive) choose(list []dockerImage, selection string) (one dockerImage, name string, err error) {
	n, numbered, err := position(selection)
	var names []string
	for _, one := range list {
		names = append(names, one.RepoTags...)
	}
	switch {
	case err != nil:
		return one, "", err
	case numbered && n >= len(list):
		return one, "", fmt.Errorf("%w: @%d of %d", ErrNoImage, n, len(list))
	case numbered:
		one = list[n]
	case selection != "":
		n := slices.IndexFunc(list, func(one dockerImage) bool {
			return slices.ContainsFunc(one.RepoTags, func(tag string) bool { return sameName(tag, selection) })
		})
		if n < 0 {
			return one, "", fmt.Errorf("%w: %q%s", ErrNoImage, selection, thereAre(names))
		}
		return list[n], selection, nil
	case len(list) == 0:
		return one, "", fmt.Errorf("%w: manifest.json lists none", ErrNoImage)
	case len(list) > 1:
		return one, "", fmt.Errorf("%w: there are %d, add the name of one, or @0 to @%d%s", ErrNoImage, len(list), len(list)-1, thereAre(names))
	default:
		one = list[0]
	}
	name = strings.TrimSuffix(d.path+":"+selection, ":")
	if len(one.RepoTags) > 0 {
		name = one.RepoTags[0]
	}
	return one, name, nil
}

// read reads an image's configuration, which has the digests of its layers.
func (d dockerArchive) read(ctx context.Context, one dockerImage) (*Image, error) {
	if len(one.Layers) > maxChain {
		return nil, fmt.Errorf("manifest.json: an image has more than %d layers", maxChain)
	}
	text, err := readAll(ctx, d, one.Config, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	img := image.Image{ConfigDigest: blob.SHA256.Of(text), State: image.Pending}
	// The file has the name of its digest, unless some other tool made it.
	if stated := "sha256:" + strings.TrimPrefix(strings.TrimSuffix(path.Base(one.Config), ".json"), "sha256:"); stated != img.ConfigDigest {
		if _, _, err := blob.ParseDigest(stated); err == nil {
			return nil, fmt.Errorf("configuration %q: digest mismatch: want %s, got %s", one.Config, stated, img.ConfigDigest)
		}
	}
	var config struct {
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	if err := json.Unmarshal(text, &config); err != nil {
		return nil, fmt.Errorf("configuration %q: %w", one.Config, err)
	}
	ids := config.RootFS.DiffIDs
	if len(ids) != len(one.Layers) {
		return nil, fmt.Errorf("configuration %q: it has %d layers, and manifest.json %d", one.Config, len(ids), len(one.Layers))
	}
	img.Layers = make([]image.Layer, len(ids))
	for n, name := range one.Layers {
		digest := ids[n]
		if _, _, err := blob.ParseDigest(digest); err != nil {
			return nil, fmt.Errorf("configuration %q: %w", one.Config, err)
		}
		if stated, ok := blobName(name); ok {
			digest = stated
		}
		img.Layers[n] = image.Layer{Digest: digest, Size: d.sizeOf(name)}
	}
	if err := img.Describe(text); err != nil {
		return nil, err
	}
	return &Image{
		Image: img, paths: one.Layers,
		open: func(ctx context.Context, n int) (io.ReadCloser, error) {
			_, asItIs := blobName(one.Layers[n])
			return d.layer(ctx, one.Layers[n], asItIs)
		},
	}, nil
}

// blobName is the digest of a file that lies where a layout keeps its blobs.
func blobName(name string) (digest string, ok bool) {
	rest, ok := strings.CutPrefix(clean(name), "blobs/")
	if !ok {
		return "", false
	}
	digest = strings.Replace(rest, "/", ":", 1)
	_, _, err := blob.ParseDigest(digest)
	return digest, err == nil
}

func (a *archive) sizeOf(name string) int64 {
	m, err := a.find(name)
	if err != nil {
		return 0
	}
	return m.size
}

// layer opens a layer. The digest that a configuration has for it is that of the
// archive in it, so that one which some tool compressed is given decompressed,
// unless it is to be had as it is.
func (d dockerArchive) layer(ctx context.Context, name string, asItIs bool) (io.ReadCloser, error) {
	content, _, err := d.open(ctx, name)
	if err != nil || asItIs {
		return content, err
	}
	head := bufio.NewReaderSize(content, layer.SniffLength)
	start, err := head.Peek(layer.SniffLength)
	if err != nil && err != io.EOF {
		return nil, errors.Join(err, content.Close())
	}
	if !layer.Compressed(start) {
		return &opened{head, func() { content.Close() }}, nil
	}
	plain, err := layer.Decompress(ctx, head, d.limits)
	if err != nil {
		return nil, errors.Join(err, content.Close())
	}
	return &opened{plain, func() {
		plain.Close()
		content.Close()
	}}, nil
}
