// Package attach keeps the bills of images beside them in their repositories, as
// artifacts that refer to the image (OCI image-spec, "Guidelines for Artifact
// Usage"), where the registry asks for that.
//
// It works from what ought to be and what is: it can be asked for any image at
// any time, by several replicas.
package attach

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/sbom"
)

// Store remembers images and what is attached to them.
type Store interface {
	ImageByDigest(ctx context.Context, digest string) (image.Image, error)
	ImagePackages(ctx context.Context, digest string) ([]inventory.Installed, error)
	// Unattached lists the places at which an image lacks the bill that is asked
	// for, or has one that is not.
	Unattached(ctx context.Context, image string) ([]registry.Attachment, error)
	UnattachedImages(ctx context.Context, registry, after string, limit int) ([]string, error)
	// Attach stores a manifest, whose blobs are stored, in place of what was
	// attached before. It returns registry.ErrStale where the place asks for something else by now.
	Attach(ctx context.Context, a registry.Attachment, m *registry.Manifest) error
}

// Blobs stores content.
type Blobs interface {
	Stat(ctx context.Context, digest string) (int64, error)
	Start(ctx context.Context, algorithm blob.Algorithm) (id string, err error)
	Append(ctx context.Context, id string, offset int64, content io.Reader) (size int64, err error)
	Commit(ctx context.Context, id, digest string) (size int64, err error)
	// Hold keeps a blob from being taken for garbage.
	Hold(ctx context.Context, digest string) (release func(), err error)
	Abort(ctx context.Context, id string) error
}

// Options are the choices of an Attacher. The zero value is usable.
type Options struct {
	// Host is what images are pulled from, HOST[:PORT], for their package URLs;
	// nil or "" where it is not known.
	Host func(context.Context) string
	// Version is the program's.
	Version string
}

// Attacher attaches bills.
type Attacher struct {
	store Store
	blobs Blobs
	opts  Options
}

// New returns an attacher.
func New(store Store, blobs Blobs, opts Options) *Attacher {
	if opts.Host == nil {
		opts.Host = func(context.Context) string { return "" }
	}
	return &Attacher{store: store, blobs: blobs, opts: opts}
}

// Image attaches to an image, in each repository, the bill that the registry
// asks for, in place of any other that was attached here.
func (a *Attacher) Image(ctx context.Context, digest string) error {
	// What is asked for may change meanwhile.
	const tries = 5
	for range tries {
		places, err := a.store.Unattached(ctx, digest)
		if err != nil || len(places) == 0 {
			return err
		}
		for _, place := range places {
			if err := a.place(ctx, place); err != nil && !errors.Is(err, registry.ErrStale) {
				return err
			}
		}
	}
	return fmt.Errorf("bill of image %s: %w, time after time", digest, registry.ErrStale)
}

// All does what Image does for all images of a registry, of every registry where
// its name is "". It returns how many there were.
func (a *Attacher) All(ctx context.Context, registryName string, progress func(done int)) (int, error) {
	const page = 200
	done := 0
	for after := ""; ; {
		images, err := a.store.UnattachedImages(ctx, registryName, after, page)
		if err != nil {
			return done, err
		}
		for _, digest := range images {
			if err := a.Image(ctx, digest); err != nil {
				return done, err
			}
			done++
			progress(done)
		}
		if len(images) < page {
			return done, nil
		}
		after = images[len(images)-1]
	}
}

func (a *Attacher) place(ctx context.Context, place registry.Attachment) error {
	if place.Format == registry.NoBill {
		return a.store.Attach(ctx, place, nil)
	}
	content, created, err := a.bill(ctx, place)
	if err != nil {
		return err
	}
	manifest, err := manifestOf(place, content, created)
	if err != nil {
		return err
	}
	for _, part := range [][]byte{ocispec.DescriptorEmptyJSON.Data, content} {
		// Until the manifest is stored, too: nothing else may refer to it.
		release, err := a.blobs.Hold(ctx, blob.SHA256.Of(part))
		if err != nil {
			return err
		}
		defer release()
		if err := a.keep(ctx, part); err != nil {
			return err
		}
	}
	return a.store.Attach(ctx, place, manifest)
}

// bill writes the bill of an image as it is known in one repository.
func (a *Attacher) bill(ctx context.Context, place registry.Attachment) (content []byte, created time.Time, err error) {
	img, err := a.store.ImageByDigest(ctx, place.Subject)
	if err != nil {
		return nil, created, err
	}
	if img.InventoryID != place.InventoryID {
		return nil, created, registry.ErrStale
	}
	packages, err := a.store.ImagePackages(ctx, place.Subject)
	if err != nil {
		return nil, created, err
	}
	subject := sbom.Subject{
		Digest: img.Digest, Name: place.Repository.String(), Architecture: img.Architecture, Layers: img.LayerDigests(),
		Distribution: img.Distribution, Packages: packages, Warnings: img.Warnings, Created: img.AnalysedAt, Version: a.opts.Version,
	}
	if host := a.opts.Host(ctx); host != "" {
		subject.Repository = host + "/" + subject.Name
	}
	write := sbom.CycloneDX
	if place.Format == registry.SPDX {
		write = sbom.SPDX
	}
	var out bytes.Buffer
	if err := write(&out, subject); err != nil {
		return nil, created, fmt.Errorf("bill of image %s: %w", place.Subject, err)
	}
	return out.Bytes(), img.AnalysedAt, nil
}

// manifestOf returns the manifest of a bill.
func manifestOf(place registry.Attachment, bill []byte, created time.Time) (*registry.Manifest, error) {
	kind, format, file := sbom.CycloneDXType, "CycloneDX 1.6", "bill.cdx.json"
	if place.Format == registry.SPDX {
		kind, format, file = sbom.SPDXType, "SPDX 2.3", "bill.spdx.json"
	}
	text, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": ocispec.MediaTypeImageManifest, "artifactType": kind,
		"config":  ocispec.DescriptorEmptyJSON,
		"layers":  []any{descriptor{kind, blob.SHA256.Of(bill), int64(len(bill)), map[string]string{ocispec.AnnotationTitle: file}}},
		"subject": descriptor{place.MediaType, place.Subject, place.Size, nil},
		"annotations": map[string]string{
			registry.AnnotationAttached: format, ocispec.AnnotationCreated: created.UTC().Format(time.RFC3339),
		},
	})
	if err != nil {
		return nil, err
	}
	m, err := registry.Parse(ocispec.MediaTypeImageManifest, text)
	if err != nil {
		return nil, err
	}
	m.Digest = blob.SHA256.Of(text)
	return m, nil
}

type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

// keep stores content.
func (a *Attacher) keep(ctx context.Context, content []byte) error {
	digest := blob.SHA256.Of(content)
	if _, err := a.blobs.Stat(ctx, digest); !errors.Is(err, blob.ErrUnknown) {
		return err
	}
	id, err := a.blobs.Start(ctx, blob.SHA256)
	if err != nil {
		return err
	}
	if _, err = a.blobs.Append(ctx, id, 0, bytes.NewReader(content)); err == nil {
		_, err = a.blobs.Commit(ctx, id, digest)
	}
	if err != nil {
		return errors.Join(err, a.blobs.Abort(context.WithoutCancel(ctx), id))
	}
	return nil
}
