// Package sample makes images and feeds from code, and pushes them over real
// HTTP, for the demonstration and the end-to-end tests.
package sample

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// File is one entry of a layer. A path that ends in "/" is a directory; what is in
// usr/bin is a program.
type File struct {
	Path    string
	Content string
}

// Layer is a gzipped layer with the instruction that made it.
type Layer struct {
	CreatedBy string
	Content   []byte
	DiffID    string
}

// NewLayer packs files into a layer.
func NewLayer(createdBy string, files ...File) (Layer, error) {
	var plain bytes.Buffer
	w := tar.NewWriter(&plain)
	for _, f := range files {
		h := &tar.Header{Name: f.Path, Mode: 0o644, Size: int64(len(f.Content)), Typeflag: tar.TypeReg, Format: tar.FormatPAX}
		if strings.HasPrefix(f.Path, "usr/bin/") {
			h.Mode = 0o755
		}
		if strings.HasSuffix(f.Path, "/") {
			h.Typeflag, h.Mode = tar.TypeDir, 0o755
		}
		if err := w.WriteHeader(h); err != nil {
			return Layer{}, fmt.Errorf("layer: %s: %w", f.Path, err)
		}
		if _, err := io.WriteString(w, f.Content); err != nil {
			return Layer{}, fmt.Errorf("layer: %s: %w", f.Path, err)
		}
	}
	if err := w.Close(); err != nil {
		return Layer{}, fmt.Errorf("layer: %w", err)
	}
	return Compress(createdBy, plain.Bytes())
}

// Compress makes a layer of a plain tar archive.
func Compress(createdBy string, plain []byte) (Layer, error) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain); err != nil {
		return Layer{}, fmt.Errorf("layer: %w", err)
	}
	if err := z.Close(); err != nil {
		return Layer{}, fmt.Errorf("layer: %w", err)
	}
	return Layer{CreatedBy: createdBy, Content: packed.Bytes(), DiffID: digest(plain)}, nil
}

// Digest is the layer's digest.
func (l Layer) Digest() string { return digest(l.Content) }

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Registry is where images are pushed to.
type Registry struct {
	// URL is http://HOST:PORT.
	URL string
	// User and Password are sent as Basic authentication where User is not "".
	User, Password string
	Client         *http.Client
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// Push pushes an OCI image of the layers, base first, to "main/app" with a tag,
// and returns the digest of its manifest.
func (r Registry) Push(ctx context.Context, repository, tag string, layers ...Layer) (string, error) {
	type history struct {
		CreatedBy string `json:"created_by"`
	}
	var (
		diffIDs []string
		made    []history
		parts   = []descriptor{}
	)
	for _, l := range layers {
		if err := r.upload(ctx, repository, l.Content); err != nil {
			return "", err
		}
		diffIDs = append(diffIDs, l.DiffID)
		made = append(made, history{l.CreatedBy})
		parts = append(parts, descriptor{"application/vnd.oci.image.layer.v1.tar+gzip", l.Digest(), len(l.Content)})
	}
	config, err := json.Marshal(map[string]any{
		"os": "linux", "architecture": "amd64", "history": made,
		"rootfs": map[string]any{"type": "layers", "diff_ids": diffIDs},
	})
	if err != nil {
		return "", err
	}
	if err := r.upload(ctx, repository, config); err != nil {
		return "", err
	}
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": mediaType, "layers": parts,
		"config": descriptor{"application/vnd.oci.image.config.v1+json", digest(config), len(config)},
	})
	if err != nil {
		return "", err
	}
	_, _, err = r.do(ctx, http.MethodPut, r.URL+"/v2/"+repository+"/manifests/"+tag, mediaType, manifest, http.StatusCreated)
	return digest(manifest), err
}

// Pull asks for a manifest as a client that pulls does. A refusal is an error
// with the registry's words.
func (r Registry) Pull(ctx context.Context, repository, reference string) ([]byte, error) {
	body, _, err := r.do(ctx, http.MethodGet, r.URL+"/v2/"+repository+"/manifests/"+reference, "", nil, http.StatusOK)
	return body, err
}

func (r Registry) upload(ctx context.Context, repository string, content []byte) error {
	_, header, err := r.do(ctx, http.MethodPost, r.URL+"/v2/"+repository+"/blobs/uploads/", "", nil, http.StatusAccepted)
	if err != nil {
		return err
	}
	base, err := url.Parse(r.URL)
	if err != nil {
		return err
	}
	location, err := base.Parse(header.Get("Location"))
	if err != nil {
		return fmt.Errorf("upload location: %w", err)
	}
	query := location.Query()
	query.Set("digest", digest(content))
	location.RawQuery = query.Encode()
	_, _, err = r.do(ctx, http.MethodPut, location.String(), "application/octet-stream", content, http.StatusCreated)
	return err
}

func (r Registry) do(ctx context.Context, method, target, contentType string, body []byte, want int) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, nil, err
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	if r.User != "" {
		req.SetBasicAuth(r.User, r.Password)
	}
	client := r.Client
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return nil, nil, err
	}
	if res.StatusCode != want {
		return nil, nil, fmt.Errorf("%s %s: %s: %s", method, target, res.Status, bytes.TrimSpace(answer))
	}
	return answer, res.Header, nil
}
