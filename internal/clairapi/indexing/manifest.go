package indexing

import (
	"context"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/layer"
)

// ManifestRequest asks for all layers of an image to be indexed.
type ManifestRequest struct {
	// Hash is the client's name for the image, a digest.
	Hash string
	// Layers are base first.
	Layers []LayerRequest
	// Client is who asks, for the bound on downloads.
	Client string `json:"-"`
}

// LayerRequest is a layer of a manifest: Hash is the digest that its bytes must
// have, URL where it is, Header what is sent there.
type LayerRequest struct {
	Hash   string
	URL    string
	Header http.Header
}

// IndexManifest has the layers of an image indexed, unless that was done by the
// present detectors, and waits for it. A layer that cannot be had, or not be
// read for its size, makes a manifest with an Error, which is kept; one that is
// no archive gives layer.ErrCorrupt. Where ctx ends first the error is ErrPending
// and the indexing goes on.
func (s *Service) IndexManifest(ctx context.Context, r ManifestRequest) (clairapi.Manifest, error) {
	stored, err := s.store.ClairManifest(ctx, r.Hash)
	switch {
	case errors.Is(err, clairapi.ErrNotFound):
	case err != nil:
		return clairapi.Manifest{}, err
	case stored.Error == "" && stored.Detectors == s.indexer.State():
		return stored, nil
	case stored.Error == "" && stored.Detectors == "":
		// An image of our own registries: all that is new is that a client asks.
		stored.Detectors = s.indexer.State()
		return stored, s.store.SaveClairManifest(ctx, stored)
	}
	key, err := json.Marshal(r)
	if err != nil {
		return clairapi.Manifest{}, fmt.Errorf("manifest %s: %w", r.Hash, err)
	}
	err = s.await(ctx, "manifest "+string(key), r.Hash, func(ctx context.Context) error { return s.indexManifest(ctx, r) })
	if err != nil {
		return clairapi.Manifest{}, err
	}
	return s.store.ClairManifest(ctx, r.Hash)
}

func (s *Service) indexManifest(ctx context.Context, r ManifestRequest) error {
	m := clairapi.Manifest{Hash: r.Hash, Detectors: s.indexer.State(), Layers: make([]clairapi.ManifestLayer, len(r.Layers))}
	group, fetching := errgroup.WithContext(ctx)
	group.SetLimit(min(4, runtime.GOMAXPROCS(0)))
	for i, l := range r.Layers {
		group.Go(func() error {
			digest, err := s.layer(fetching, r.Client, l)
			m.Layers[i] = clairapi.ManifestLayer{Hash: l.Hash, Digest: digest}
			return err
		})
	}
	err := group.Wait()
	switch {
	case err == nil:
		digests := make([]string, len(m.Layers))
		for i, l := range m.Layers {
			digests[i] = l.Digest
		}
		if m.InventoryID, err = s.indexer.ManifestInventory(ctx, digests); err != nil {
			return fmt.Errorf("manifest %s: %w", r.Hash, err)
		}
	case ctx.Err() == nil && (errors.Is(err, ErrDownload) || errors.Is(err, ErrDigest) || errors.Is(err, layer.ErrLimit)):
		m.Error = err.Error()
		for i, l := range r.Layers {
			m.Layers[i].Hash = l.Hash
		}
	default:
		return fmt.Errorf("manifest %s: %w", r.Hash, err)
	}
	return s.store.SaveClairManifest(ctx, m)
}

// layer returns the digest of a layer's analysis, which is stored then. Several
// manifests that want it at the same time wait for one download.
func (s *Service) layer(ctx context.Context, client string, l LayerRequest) (string, error) {
	if strings.HasPrefix(l.Hash, "sha256:") {
		if known, err := s.indexer.Known(ctx, l.Hash); err != nil || known {
			return l.Hash, err
		}
	}
	shared := s.layers.DoChan(l.Hash, func() (any, error) { return s.download(s.ctx, client, l) })
	select {
	case result := <-shared:
		if result.Err != nil {
			return "", fmt.Errorf("layer %s: %w", l.Hash, result.Err)
		}
		return result.Val.(string), nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// download fetches and analyses a layer, and checks that it is the one.
func (s *Service) download(ctx context.Context, client string, l LayerRequest) (of string, err error) {
	defer func() {
		// It runs in a goroutine of its own, where a panic would end the program.
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v\n%s", ErrPanic, p, debug.Stack())
		}
	}()
	body, err := s.fetch(ctx, client, l.URL, l.Header)
	if err != nil {
		return "", err
	}
	defer body.Close()
	source := &source{inner: body}
	var reader io.Reader = source
	var other hash.Hash // of what the analysis does not compute
	if strings.HasPrefix(l.Hash, "sha512:") {
		other = sha512.New()
		reader = io.TeeReader(source, other)
	}
	digest, err := s.indexer.Index(ctx, reader)
	got := digest
	if other != nil {
		got = "sha512:" + hex.EncodeToString(other.Sum(nil))
	}
	switch {
	case source.failed != nil:
		return "", fmt.Errorf("%w: %w", ErrDownload, source.failed)
	case err != nil:
		return "", err
	case got != l.Hash:
		return "", fmt.Errorf("%w: %s", ErrDigest, got)
	}
	return digest, nil
}
