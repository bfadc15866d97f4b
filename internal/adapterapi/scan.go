package adapterapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/image"
)

// maxManifest bounds a manifest, in bytes, as registries do.
const maxManifest = 4 << 20

func isRegistry(base string) bool {
	u, err := url.Parse(base)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && len(base) < 2000
}

func isIndex(mediaType string) bool {
	return mediaType == "application/vnd.oci.image.index.v1+json" || mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

// scan reads an image's manifest from its registry, has its layers indexed, and
// notes how that ended. The credentials are kept nowhere.
func (a *API) scan(ctx context.Context, scan clairapi.Scan, base, authorization, client string) {
	err := a.indexOnce(ctx, scan.Artifact, base, authorization, client)
	scan.State, scan.Error = clairapi.ScanDone, ""
	if err != nil {
		scan.State, scan.Error = clairapi.ScanFailed, err.Error()
		if errors.Is(err, indexing.ErrPanic) {
			scan.Error = "the image broke the analysis down; the server's log says more"
		}
		a.opts.Logger.InfoContext(ctx, "scan failed", "repository", scan.Artifact.Repository, "digest", scan.Artifact.Digest, "error", err)
	}
	// How it ended is noted even where it ended because it was told to.
	noting, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	if err := a.store.SaveScan(noting, scan, a.opts.Now().Add(-scanKept)); err != nil {
		a.opts.Logger.ErrorContext(ctx, "the end of a scan was not noted", "id", scan.ID, "error", err)
	}
}

func (a *API) indexOnce(ctx context.Context, artifact clairapi.Artifact, base, authorization, client string) (err error) {
	defer func() {
		// The bytes are foreign: what they bring down is this scan only.
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", indexing.ErrPanic, p, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	header := make(http.Header)
	if authorization != "" {
		header.Set("Authorization", authorization)
	}
	img, err := a.manifest(ctx, artifact, base, header)
	if err != nil {
		return fmt.Errorf("%s@%s: %w", artifact.Repository, artifact.Digest, err)
	}
	request := indexing.ManifestRequest{Hash: artifact.Digest, Client: client}
	for _, l := range img.Layers {
		if l.Foreign {
			continue // the registry does not have it
		}
		request.Layers = append(request.Layers, indexing.LayerRequest{Hash: l.Digest, URL: base + "/v2/" + artifact.Repository + "/blobs/" + l.Digest, Header: header})
	}
	if len(request.Layers) == 0 {
		return errors.New("the image has no layer that can be read")
	}
	m, err := a.indexing.IndexManifest(ctx, request)
	if err != nil {
		return err
	}
	if m.Error != "" {
		return errors.New(m.Error)
	}
	return nil
}

// manifest reads and checks the manifest of an image.
func (a *API) manifest(ctx context.Context, artifact clairapi.Artifact, base string, header http.Header) (image.Image, error) {
	header = header.Clone()
	header.Set("Accept", strings.Join(consumed, ", "))
	response, err := a.fetcher.Get(ctx, base+"/v2/"+artifact.Repository+"/manifests/"+artifact.Digest, header)
	if err != nil {
		return image.Image{}, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxManifest+1))
	if err != nil {
		return image.Image{}, err
	}
	if len(content) > maxManifest {
		return image.Image{}, fmt.Errorf("the manifest is longer than %d bytes", maxManifest)
	}
	want, err := digest.Parse(artifact.Digest)
	if err != nil {
		return image.Image{}, err
	}
	if got := want.Algorithm().FromBytes(content); got != want {
		return image.Image{}, fmt.Errorf("the manifest has the digest %s", got)
	}
	kind, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	img, ok, err := image.Parse(artifact.Digest, strings.TrimSpace(kind), content)
	if err != nil {
		return image.Image{}, err
	}
	if !ok {
		return image.Image{}, errors.New("it is no image: an index is scanned image by image, other artifacts are not")
	}
	return img, nil
}
