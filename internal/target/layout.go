package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/oci/registry"
)

// layout is an OCI image layout (image-spec, image-layout.md).
type layout struct{ files files }

// openDir opens "DIR" or "DIR:IMAGE".
func openDir(ctx context.Context, rest string, choice choice) (*Source, error) {
	path, selection, err := split(rest)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(path); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder; did you mean %s:%s?", path, OCIArchive, path)
	}
	l := layout{folder(path)}
	images, err := l.images(ctx, path, selection, choice)
	if err != nil {
		return nil, err
	}
	return &Source{Images: images}, nil
}

// The annotations that name an image of a layout: the specification's
// (annotations.md), which holds a tag or a whole name, and containerd's.
const (
	refName       = "org.opencontainers.image.ref.name"
	containerName = "io.containerd.image.name"
)

func (d descriptor) names() (names []string) {
	for _, key := range []string{containerName, refName} {
		if name := d.Annotations[key]; name != "" {
			names = append(names, name)
		}
	}
	return names
}

// images reads the image that is selected, or the only one.
func (l layout) images(ctx context.Context, path, selection string, choice choice) ([]*Image, error) {
	text, err := readAll(ctx, l.files, "index.json", maxManifest)
	if errors.Is(err, ErrMissing) {
		return nil, fmt.Errorf("there is no OCI layout: %w", err)
	}
	if err != nil {
		return nil, err
	}
	list, err := readIndex(registry.MediaTypeIndex, text)
	if err != nil {
		return nil, fmt.Errorf("index.json: %w", err)
	}
	list, name, err := selectNamed(list, selection)
	if err != nil {
		return nil, err
	}
	if name == "" || !strings.ContainsAny(name, "/:") {
		name = strings.TrimSuffix(path+":"+name, ":")
	}
	choice.distinct = selection == ""
	return choice.images(ctx, l, name, list)
}

// selectNamed picks the descriptors of the image that is selected, by a name or
// as "@N". Several images without a name are one for several platforms.
func selectNamed(list []descriptor, selection string) (chosen []descriptor, name string, err error) {
	n, numbered, err := position(selection)
	switch {
	case err != nil:
		return nil, "", err
	case numbered && n >= len(list):
		return nil, "", fmt.Errorf("%w: @%d of %d", ErrNoImage, n, len(list))
	case numbered:
		if names := list[n].names(); len(names) > 0 {
			selection = names[0]
		}
		return list[n : n+1], selection, nil
	case selection != "":
		chosen = slices.DeleteFunc(slices.Clone(list), func(d descriptor) bool {
			return !slices.ContainsFunc(d.names(), func(name string) bool { return sameName(name, selection) })
		})
		if len(chosen) == 0 {
			return nil, "", fmt.Errorf("%w: %q%s", ErrNoImage, selection, thereAre(namesOf(list)))
		}
		return chosen, selection, nil
	}
	names := namesOf(list)
	if len(names) > 1 {
		return nil, "", fmt.Errorf("%w: there are %d, add the name of one%s", ErrNoImage, len(names), thereAre(names))
	}
	if len(names) == 1 {
		name = names[0]
	}
	return list, name, nil
}

// namesOf lists how the images are called, each once.
func namesOf(list []descriptor) (names []string) {
	for _, d := range list {
		if of := d.names(); len(of) > 0 && !slices.Contains(names, of[0]) {
			names = append(names, of[0])
		}
	}
	return names
}

// thereAre says which images there are, at the end of a message.
func thereAre(names []string) string {
	const shown = 20
	names = slices.Clone(names)
	for i, name := range names {
		names[i] = printable(name)
	}
	switch {
	case len(names) == 0:
		return "; none has a name"
	case len(names) > shown:
		return fmt.Sprintf("; there are %s and %d more", strings.Join(names[:shown], ", "), len(names)-shown)
	case len(names) == 1:
		return "; there is " + names[0]
	}
	return "; there are " + strings.Join(names, ", ")
}

func (l layout) manifest(ctx context.Context, d descriptor) ([]byte, error) {
	return readBlob(ctx, l.files, d.Digest, maxManifest)
}

func (l layout) config(ctx context.Context, d descriptor) ([]byte, error) {
	return readBlob(ctx, l.files, d.Digest, maxConfig)
}

func (l layout) layer(ctx context.Context, layer image.Layer) (io.ReadCloser, error) {
	path, err := blobPath(layer.Digest)
	if err != nil {
		return nil, err
	}
	content, _, err := l.files.open(ctx, path)
	return content, err
}
