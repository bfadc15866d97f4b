package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"strings"
	"unicode"

	"github.com/pratique/pratique/internal/blob"
)

// The media types of manifests (image-spec, "media-types.md"; Docker's "Image
// Manifest Version 2, Schema 2").
const (
	MediaTypeImage       = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeIndex       = "application/vnd.oci.image.index.v1+json"
	MediaTypeDockerImage = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"
)

// MaxManifest bounds a manifest, in bytes.
const MaxManifest = 4 << 20

// maxReferences bounds what one manifest refers to.
const maxReferences = 10_000

// ErrManifestInvalid is returned for what is no manifest.
var ErrManifestInvalid = errors.New("invalid manifest")

func isIndex(mediaType string) bool {
	return mediaType == MediaTypeIndex || mediaType == MediaTypeDockerList
}

func isImage(mediaType string) bool {
	return mediaType == MediaTypeImage || mediaType == MediaTypeDockerImage
}

// Parse reads a manifest that was pushed with a Content-Type, which may be
// empty where the manifest says itself what it is. It accepts what every
// client reads alike and refuses what could be taken for something else
// (GHSA-qq97-vm5h-rrhg). Digest, PushedBy and PushedAt are left to the caller.
func Parse(contentType string, content []byte) (*Manifest, error) {
	m, err := parse(contentType, content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrManifestInvalid, err)
	}
	return m, nil
}

func parse(contentType string, content []byte) (*Manifest, error) {
	if len(content) > MaxManifest {
		return nil, fmt.Errorf("it has more than %d bytes", MaxManifest)
	}
	if err := checkJSON(content); err != nil {
		return nil, err
	}
	f, err := object(content, "schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations", "fsLayers")
	if err != nil {
		return nil, err
	}
	m := &Manifest{Content: content}
	if m.MediaType, err = mediaType(contentType, f); err != nil {
		return nil, err
	}
	if version, ok, err := field[int](f, "schemaVersion", "2"); err != nil {
		return nil, err
	} else if !ok || version != 2 {
		return nil, errors.New("schemaVersion: want 2")
	}
	if err := m.only(f); err != nil {
		return nil, err
	}
	if m.ArtifactType, _, err = field[string](f, "artifactType", "a string"); err != nil {
		return nil, err
	} else if strings.ContainsFunc(m.ArtifactType, unicode.IsControl) {
		return nil, fmt.Errorf("artifactType: %q is no media type", clip(m.ArtifactType))
	}
	if m.Annotations, _, err = field[map[string]string](f, "annotations", "an object of strings"); err != nil {
		return nil, err
	}
	if raw, ok := f["subject"]; ok && strings.HasPrefix(m.MediaType, "application/vnd.oci.") {
		subject, err := descriptor(raw)
		if err != nil {
			return nil, fmt.Errorf("subject: %w", err)
		}
		m.Subject = subject.Digest
	}
	if m.IsIndex() {
		return m, m.readIndex(f)
	}
	return m, m.readImage(f)
}

// mediaType decides what a manifest is.
func mediaType(contentType string, f fields) (string, error) {
	stated, ok, err := field[string](f, "mediaType", "a string")
	if err != nil {
		return "", err
	}
	is := stated
	if contentType != "" {
		if is, _, err = mime.ParseMediaType(contentType); err != nil {
			return "", fmt.Errorf("Content-Type %q: %w", clip(contentType), err)
		}
		if ok && is != stated {
			return "", fmt.Errorf("the Content-Type is %q, but mediaType is %q", clip(is), clip(stated))
		}
	}
	switch {
	case is == "":
		return "", errors.New("neither the Content-Type nor mediaType says what it is")
	case !isImage(is) && !isIndex(is):
		return "", fmt.Errorf("media type %q is none of %s", clip(is),
			strings.Join([]string{MediaTypeImage, MediaTypeIndex, MediaTypeDockerImage, MediaTypeDockerList}, ", "))
	case !ok && strings.HasPrefix(is, "application/vnd.docker."):
		return "", fmt.Errorf("mediaType: want %q", is)
	}
	return is, nil
}

// only refuses members of another kind of manifest.
func (m *Manifest) only(f fields) error {
	others := []string{"manifests", "fsLayers"}
	if m.IsIndex() {
		others = []string{"config", "layers", "fsLayers"}
	}
	for _, other := range others {
		if _, ok := f[other]; ok {
			return fmt.Errorf("%s has no place in %s", other, m.MediaType)
		}
	}
	return nil
}

func (m *Manifest) readImage(f fields) error {
	raw, ok := f["config"]
	if !ok {
		return errors.New("config: it is missing")
	}
	config, err := descriptor(raw)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	config.Kind, config.Optional = KindConfig, false
	m.References = append(m.References, config)
	if m.ArtifactType == "" {
		m.ArtifactType = config.MediaType
	}
	if err := m.readLayers(f); err != nil {
		return err
	}
	return m.readBills(f)
}

func (m *Manifest) readLayers(f fields) error {
	return m.list(f, "layers", func(r Reference) Reference {
		r.Kind = KindLayer
		return r
	})
}

func (m *Manifest) readIndex(f fields) error {
	if err := m.readManifests(f); err != nil {
		return err
	}
	return m.readAttestations(f)
}

func (m *Manifest) readManifests(f fields) error {
	return m.list(f, "manifests", func(r Reference) Reference {
		r.Kind, r.Optional = KindBlob, false
		if isImage(r.MediaType) || isIndex(r.MediaType) {
			r.Kind = KindManifest
		}
		return r
	})
}

func (m *Manifest) list(f fields, name string, as func(Reference) Reference) error {
	list, _, err := field[[]json.RawMessage](f, name, "a list of descriptors")
	if err != nil {
		return err
	}
	if len(list) > maxReferences {
		return fmt.Errorf("%s: more than %d", name, maxReferences)
	}
	for i, raw := range list {
		r, err := descriptor(raw)
		if err != nil {
			return fmt.Errorf("%s[%d]: %w", name, i, err)
		}
		m.References = append(m.References, as(r))
	}
	return nil
}

// descriptor reads a content descriptor (image-spec, "descriptor.md").
func descriptor(raw json.RawMessage) (Reference, error) {
	var r Reference
	f, err := object(raw, "mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform")
	if err != nil {
		return r, err
	}
	var ok bool
	if r.MediaType, ok, err = field[string](f, "mediaType", "a string"); err != nil {
		return r, err
	} else if !ok || r.MediaType == "" {
		return r, errors.New("mediaType: it is missing")
	} else if strings.ContainsFunc(r.MediaType, unicode.IsControl) {
		return r, fmt.Errorf("mediaType: %q is no media type", clip(r.MediaType))
	}
	if r.Digest, _, err = field[string](f, "digest", "a string"); err != nil {
		return r, err
	}
	algorithm, _, err := blob.ParseDigest(r.Digest)
	if err != nil {
		return r, fmt.Errorf("digest: %w", err)
	}
	if r.Size, ok, err = field[int64](f, "size", "a whole number"); err != nil {
		return r, err
	} else if !ok || r.Size < 0 {
		return r, errors.New("size: want a whole number of bytes")
	}
	urls, _, err := field[[]string](f, "urls", "a list of strings")
	if err != nil {
		return r, err
	}
	r.Optional = len(urls) > 0 || strings.Contains(r.MediaType, ".nondistributable.") || strings.Contains(r.MediaType, ".foreign.")
	if _, _, err = field[map[string]string](f, "annotations", "an object of strings"); err != nil {
		return r, err
	}
	data, ok, err := field[[]byte](f, "data", "base64")
	if err != nil {
		return r, err
	}
	if ok && (int64(len(data)) != r.Size || algorithm.Of(data) != r.Digest) {
		return r, errors.New("data: it is not what digest and size say")
	}
	return r, nil
}
