package target

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"oras.land/oras-go/v2"
)

// PushArtifact stores content of a size in bytes in a registry, as the one layer
// of an artifact of its media type (OCI image-spec 1.1, "Guidelines for Artifact
// Usage"), under a reference with a tag. It returns the artifact's digest.
func PushArtifact(ctx context.Context, ref, mediaType string, content io.ReadSeeker, size int64, opts Remote) (string, error) {
	named, err := tagged(ref)
	if err != nil {
		return "", err
	}
	r, err := newRepository(ctx, named, opts)
	if err != nil {
		return "", err
	}
	sum, err := digest.FromReader(content)
	if err != nil {
		return "", fmt.Errorf("%s: %w", ref, err)
	}
	if _, err := content.Seek(0, io.SeekStart); err != nil {
		return "", fmt.Errorf("%s: %w", ref, err)
	}
	layer := ocispec.Descriptor{MediaType: mediaType, Digest: sum, Size: size}
	if err := r.Blobs().Push(ctx, layer, content); err != nil {
		return "", fmt.Errorf("push to %s: %w", ref, explain(err))
	}
	manifest, err := oras.PackManifest(ctx, r, oras.PackManifestVersion1_1, mediaType, oras.PackManifestOptions{Layers: []ocispec.Descriptor{layer}})
	if err != nil {
		return "", fmt.Errorf("push to %s: %w", ref, explain(err))
	}
	if err := r.Tag(ctx, manifest, named.Tag()); err != nil {
		return "", fmt.Errorf("tag %s: %w", ref, explain(err))
	}
	return manifest.Digest.String(), nil
}

// PullArtifact writes the one layer of an artifact of a media type, of at most
// limit bytes, whose digest it checks.
func PullArtifact(ctx context.Context, ref, mediaType string, w io.Writer, limit int64, opts Remote) error {
	named, err := tagged(ref)
	if err != nil {
		return err
	}
	if opts.Idle == 0 {
		opts.Idle = time.Minute
	}
	if opts.Pause == 0 {
		opts.Pause = 200 * time.Millisecond
	}
	r, err := newRepository(ctx, named, opts)
	if err != nil {
		return err
	}
	if err := r.resolve(ctx, named); err != nil {
		return err
	}
	var m ocispec.Manifest
	if err := json.Unmarshal(r.topRaw, &m); err != nil {
		return fmt.Errorf("%s: manifest: %w", ref, err)
	}
	if len(m.Layers) != 1 || m.Layers[0].MediaType != mediaType {
		return fmt.Errorf("%s: it is no artifact of type %s", ref, mediaType)
	}
	d := m.Layers[0]
	if d.Size > limit {
		return fmt.Errorf("%s: %d bytes are more than %d", ref, d.Size, limit)
	}
	content, err := newDownload(ctx, r.Blobs(), d, r.opts)
	if err != nil {
		return fmt.Errorf("pull %s: %w", ref, explain(err))
	}
	verifier := d.Digest.Verifier()
	_, err = io.Copy(io.MultiWriter(w, verifier), content)
	if err = errors.Join(err, content.Close()); err != nil {
		return fmt.Errorf("pull %s: %w", ref, err)
	}
	if !verifier.Verified() {
		return fmt.Errorf("pull %s: the content is not of digest %s", ref, d.Digest)
	}
	return nil
}

// tagged reads HOST/REPOSITORY:TAG.
func tagged(ref string) (reference.NamedTagged, error) {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", ref, err)
	}
	with, ok := reference.TagNameOnly(named).(reference.NamedTagged)
	if !ok {
		return nil, fmt.Errorf("%q: want HOST/REPOSITORY:TAG", ref)
	}
	return with, nil
}
