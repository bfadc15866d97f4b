package builtin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// Index analyses the layer read from r, which need not be stored, and returns
// the digest of its bytes.
func (a *Analyser) Index(ctx context.Context, r io.Reader) (string, error) {
	analysed, err := inventory.Analyse(ctx, r, "", a.opts.Detectors, a.opts.Limits)
	if err != nil {
		return "", err
	}
	if err := a.store.SaveLayer(ctx, analysed, a.set); err != nil {
		return "", err
	}
	return analysed.Digest, nil
}

// Known reports whether the layer was analysed by the present detectors.
func (a *Analyser) Known(ctx context.Context, digest string) (bool, error) {
	states, err := a.store.LayerStates(ctx, []string{digest}, a.set)
	if err != nil {
		return false, err
	}
	state, known := states[digest]
	return known && state.Failed == "", nil
}

// Inventory coalesces a chain of analysed layers, base first, stores it with
// its matches and returns its id.
//
// Clients of Clair's v1 API may send an upper layer alone. Its packages take the
// distribution of the images that hold the layer, where these agree; else that
// of layers from the same origin, a repository's URL, where these do; else what
// the packages themselves tell. Where nothing does the error is ErrNoDistribution.
func (a *Analyser) Inventory(ctx context.Context, digests []string, origin string) (int64, error) {
	c := chain{digests: digests}
	img, err := a.coalesce(ctx, c)
	if err != nil {
		return 0, err
	}
	inferred := ""
	if img.Distribution.ID == "" && img.OfSystem() {
		d, reason, err := a.infer(ctx, img, digests[len(digests)-1], origin)
		if err != nil {
			return 0, err
		}
		if d.ID == "" {
			return 0, fmt.Errorf("layers %s: %w", strings.Join(digests, ", "), ErrNoDistribution)
		}
		inferred = d.String()
		img.SetDistribution(d)
		img.Warnings = append(img.Warnings, inventory.Warning{Code: inventory.Inferred, Message: fmt.Sprintf("the distribution %s was inferred from %s", d, reason)})
	}
	return a.store.SaveInventory(ctx, a.key(c, inferred), img, match.Package)
}

// infer tells the distribution of a layer without one, and what says so; the
// zero value where nothing does, or where what there is disagrees.
func (a *Analyser) infer(ctx context.Context, img inventory.Image, digest, origin string) (inventory.Distribution, string, error) {
	known, err := a.store.DistributionsOfLayer(ctx, digest)
	if err != nil {
		return inventory.Distribution{}, "", err
	}
	if len(known) == 1 && img.MadeBy(known[0]) {
		return known[0], "images that have the layer", nil
	}
	if origin != "" && len(known) == 0 {
		if known, err = a.store.DistributionsOfOrigin(ctx, origin); err != nil {
			return inventory.Distribution{}, "", err
		}
		if len(known) == 1 && img.MadeBy(known[0]) {
			return known[0], "other layers of the repository", nil
		}
	}
	if d, ok := img.InferDistribution(); ok {
		return d, "its packages", nil
	}
	return inventory.Distribution{}, "", nil
}

// ManifestInventory is Inventory for all layers of an image, which need no
// distribution: packages of none are kept, and affected by nothing.
func (a *Analyser) ManifestInventory(ctx context.Context, digests []string) (int64, error) {
	c := chain{digests: digests}
	img, err := a.coalesce(ctx, c)
	if err != nil {
		return 0, err
	}
	inferred := ""
	if img.Distribution.ID == "" && img.OfSystem() {
		if d, ok := img.InferDistribution(); ok {
			inferred = d.String()
			img.SetDistribution(d)
			img.Warnings = append(img.Warnings, inventory.Warning{Code: inventory.Inferred, Message: fmt.Sprintf("the distribution %s was inferred from its packages", d)})
		}
	}
	return a.store.SaveInventory(ctx, a.key(c, inferred), img, match.Package)
}

// State names the set of detectors, in 32 hexadecimal digits: it changes when a
// layer that is analysed again may have another inventory.
func (a *Analyser) State() string {
	sum := sha256.Sum256([]byte(a.set))
	return hex.EncodeToString(sum[:16])
}
