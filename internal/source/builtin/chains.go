package builtin

import (
	"context"
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
// distribution of the images that hold the layer, where these agree; otherwise
// the error is ErrNoDistribution.
func (a *Analyser) Inventory(ctx context.Context, digests []string) (int64, error) {
	c := chain{digests: digests}
	img, err := a.coalesce(ctx, c)
	if err != nil {
		return 0, err
	}
	inferred := ""
	if img.Distribution.ID == "" && img.OfSystem() {
		known, err := a.store.DistributionsOfLayer(ctx, digests[len(digests)-1])
		if err != nil {
			return 0, err
		}
		if len(known) != 1 {
			return 0, fmt.Errorf("layers %s: %w", strings.Join(digests, ", "), ErrNoDistribution)
		}
		inferred = known[0].String()
		img.SetDistribution(known[0])
	}
	return a.store.SaveInventory(ctx, a.key(c, inferred), img, match.Package)
}
