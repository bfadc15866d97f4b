package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/image"
)

// legacyLayer is the part of DIR/json in an archive of docker before 1.10 that
// matters here (moby, image/spec/v1.md): one folder a layer, which names its
// parent. There are no digests.
type legacyLayer struct {
	Parent          string `json:"parent"`
	OS              string `json:"os"`
	Architecture    string `json:"architecture"`
	ContainerConfig struct {
		Cmd []string `json:"Cmd"`
	} `json:"container_config"`
}

// legacy reads the image that is selected, or the only one, of an archive that
// has no manifest.json.
func (d dockerArchive) legacy(ctx context.Context, selection string, choice choice) ([]*Image, error) {
	text, err := readAll(ctx, d, "repositories", maxIndexFile)
	if err != nil {
		return nil, err
	}
	var repositories map[string]map[string]string // name, tag, layer
	if err := json.Unmarshal(text, &repositories); err != nil {
		return nil, fmt.Errorf("repositories: %w", err)
	}
	tops := make(map[string]string)
	for name, tags := range repositories {
		for tag, top := range tags {
			tops[name+":"+tag] = top
		}
	}
	names, different := slices.Sorted(maps.Keys(tops)), make(map[string]bool)
	for _, top := range tops {
		different[top] = true
	}
	chosen := ""
	switch {
	case selection != "":
		n := slices.IndexFunc(names, func(name string) bool { return sameName(name, selection) })
		if n < 0 {
			return nil, fmt.Errorf("%w: %q%s", ErrNoImage, selection, thereAre(names))
		}
		chosen = names[n]
	case len(different) != 1:
		return nil, fmt.Errorf("%w: there are %d, add the name of one%s", ErrNoImage, len(names), thereAre(names))
	default:
		chosen = names[0]
	}
	img, err := d.chain(ctx, tops[chosen])
	if err != nil {
		return nil, err
	}
	img.Name = chosen
	return suits(img, choice)
}

// chain reads the layers from the top to the base.
func (d dockerArchive) chain(ctx context.Context, top string) (*Image, error) {
	img := &Image{Image: image.Image{State: image.Pending}}
	var paths []string
	seen := make(map[string]bool)
	for id := top; id != ""; {
		switch {
		case strings.ContainsAny(id, "/\\"):
			return nil, fmt.Errorf("layer %q: not the name of a folder", id)
		case seen[id]:
			return nil, fmt.Errorf("layer %q is its own ancestor", id)
		case len(seen) == maxChain:
			return nil, fmt.Errorf("an image has more than %d layers", maxChain)
		}
		seen[id] = true
		text, err := readAll(ctx, d, id+"/json", maxConfig)
		if err != nil {
			return nil, fmt.Errorf("layer %q: %w", id, err)
		}
		var l legacyLayer
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, fmt.Errorf("layer %q: %w", id, err)
		}
		if id == top {
			img.OS, img.Architecture = l.OS, l.Architecture
		}
		path := id + "/layer.tar"
		paths = append(paths, path)
		img.Layers = append(img.Layers, image.Layer{Size: d.sizeOf(path), CreatedBy: strings.Join(l.ContainerConfig.Cmd, " ")})
		id = l.Parent
	}
	if len(paths) == 0 {
		return nil, errors.New("repositories: an image has no layer")
	}
	slices.Reverse(paths)
	slices.Reverse(img.Layers)
	img.open = func(ctx context.Context, n int) (io.ReadCloser, error) {
		content, _, err := d.open(ctx, paths[n])
		return content, err
	}
	img.paths = paths
	return img, nil
}
