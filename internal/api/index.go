package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/store"
)

// maxChildren bounds how many images of an index are looked at.
const maxChildren = 256

// index answers for a digest that is not an image's.
func (a *API) index(ctx context.Context, digest string) (*one[Image], error) {
	mediaType, children, err := a.children(ctx, digest)
	if err != nil {
		return nil, err
	}
	locations, err := a.locations(ctx, digest)
	if err != nil {
		return nil, err
	}
	body := Image{
		Kind: "index", Digest: digest, MediaType: mediaType, Images: []Child{}, Analysis: string(image.Done),
		Warnings: []Warning{}, Places: showLocations(locations), Policy: Policies{Verdicts: []Verdict{}},
	}
	// An index is blocked where each of its images is (see policy.Gate).
	blocked := make([]Verdict, len(locations))
	for i, at := range locations {
		blocked[i] = Verdict{Registry: at.Registry, Repository: at.Repository, Blocked: true, Reasons: []Reason{}}
	}
	images := 0
	for n, child := range children {
		if n >= maxChildren {
			body.Images = append(body.Images, child)
			blocked = nil // not all are known
			continue
		}
		img, err := a.Images.ImageByDigest(ctx, child.Digest)
		switch {
		case errors.Is(err, store.ErrNotFound):
			body.Images = append(body.Images, child)
			continue
		case err != nil:
			return nil, err
		}
		child.Analysis = string(img.State)
		child.OS, child.Architecture, child.Variant = cmp.Or(child.OS, img.OS), cmp.Or(child.Architecture, img.Architecture), cmp.Or(child.Variant, img.Variant)
		body.Images = append(body.Images, child)
		body.Size += img.Size()
		body.LayerCount += len(img.Layers)
		body.PackageCount += img.Packages
		body.Analysis = worse(body.Analysis, child.Analysis)
		images++
		findings, judgements, err := a.Judge.Judge(ctx, child.Digest, placesOf(child.Digest, locations))
		if err != nil {
			return nil, err
		}
		body.Findings.add(countSeverities(findings))
		for i := range blocked {
			var one Policies
			one.add(judgements[i])
			blocked[i].Blocked = blocked[i].Blocked && one.Blocked
			blocked[i].Reasons = append(blocked[i].Reasons, one.Verdicts[0].Reasons...)
		}
	}
	for _, v := range blocked {
		if v.Blocked = v.Blocked && images > 0; !v.Blocked {
			v.Reasons = []Reason{}
		}
		body.Policy.Verdicts = append(body.Policy.Verdicts, v)
		body.Policy.Blocked = body.Policy.Blocked || v.Blocked
	}
	return &one[Image]{body}, nil
}

func (n *Severities) add(m Severities) {
	n.Critical += m.Critical
	n.High += m.High
	n.Medium += m.Medium
	n.Low += m.Low
	n.Negligible += m.Negligible
	n.Unknown += m.Unknown
}

// worse is the state of a whole with parts in these states.
func worse(a, b string) string {
	for _, state := range []image.State{image.Failed, image.Pending} {
		if a == string(state) || b == string(state) {
			return string(state)
		}
	}
	return string(image.Done)
}

// children reads the manifests of an index.
func (a *API) children(ctx context.Context, digest string) (mediaType string, children []Child, err error) {
	mediaType, content, err := a.Images.ManifestByDigest(ctx, digest)
	if err != nil {
		return "", nil, err
	}
	var index ocispec.Index
	if err := json.Unmarshal(content, &index); err != nil {
		return "", nil, fmt.Errorf("stored manifest %s: %w", digest, err)
	}
	switch mediaType {
	case ocispec.MediaTypeImageIndex, "application/vnd.docker.distribution.manifest.list.v2+json":
	default:
		return "", nil, huma.Error404NotFound("manifest " + digest + " is of type " + mediaType + ": neither an image nor an index")
	}
	for _, d := range index.Manifests {
		child := Child{Digest: d.Digest.String(), MediaType: d.MediaType}
		if d.Platform != nil {
			child.OS, child.Architecture, child.Variant = d.Platform.OS, d.Platform.Architecture, d.Platform.Variant
		}
		children = append(children, child)
	}
	return mediaType, children, nil
}

// anImage returns an image; the answer for an index names its images.
func (a *API) anImage(ctx context.Context, digest string) (image.Image, error) {
	img, err := a.Images.ImageByDigest(ctx, digest)
	if !errors.Is(err, store.ErrNotFound) {
		return img, err
	}
	_, children, err := a.children(ctx, digest)
	if err != nil {
		return image.Image{}, err
	}
	digests := make([]string, len(children))
	for i, child := range children {
		digests[i] = child.Digest
	}
	return image.Image{}, huma.Error404NotFound(digest + " is an index; ask for one of its images: " + strings.Join(digests, ", "))
}
