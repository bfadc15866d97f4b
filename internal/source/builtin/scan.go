package builtin

import (
	"context"
	"io"

	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// IndexAs is Index for a layer whose digest is known beforehand: bytes that have
// another are an error, and nothing is stored of them.
func (a *Analyser) IndexAs(ctx context.Context, digest string, r io.Reader) error {
	analysed, err := inventory.Analyse(ctx, r, digest, a.opts.Detectors, a.opts.Limits)
	if err != nil {
		return err
	}
	return a.store.SaveLayer(ctx, analysed, a.set)
}

// Unread says why the content of a layer is not known.
type Unread struct {
	Reason string
	// Foreign marks a layer that is kept elsewhere.
	Foreign bool
}

// Assemble coalesces the layers of an image that need not be stored, base first,
// stores their inventory with its matches, and returns it with its id. Of those
// in unread, by position, is not known what they hold; the others were indexed.
//
// Other than for a chain of Inventory, packages without a distribution are no
// error: the image has no other layers that could tell.
func (a *Analyser) Assemble(ctx context.Context, digests []string, unread map[int]Unread) (int64, inventory.Image, error) {
	c := chain{digests: digests, unread: make(map[int]string), foreign: make(map[int]bool), complete: true}
	for i, u := range unread {
		c.unread[i], c.foreign[i] = u.Reason, u.Foreign
	}
	img, err := a.coalesce(ctx, c)
	if err != nil {
		return 0, inventory.Image{}, err
	}
	id, err := a.store.SaveInventory(ctx, a.key(c, ""), img, match.Package)
	return id, img, err
}
