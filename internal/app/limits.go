package app

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"time"

	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/layer"
	"github.com/pratique/pratique/internal/source/builtin"
	"github.com/pratique/pratique/internal/store"
)

// analyserOptions are what the settings say of the analysis of layers. With other
// limits than the usual ones layers are analysed again: what was cut off, or
// refused, may not be now.
func analyserOptions(c config.Layers) builtin.Options {
	o := builtin.Options{
		Detectors: inventory.DetectorsWith(inventory.DetectorOptions{ArchiveDepth: int64(c.ArchiveMaxDepth), ArchiveBytes: int64(c.ArchiveMaxSize)}),
		Limits: layer.Options{
			Bytes: int64(c.LayerMaxSize), Entries: int64(c.LayerMaxEntries), Ratio: int64(c.LayerMaxRatio),
			PathLength: int64(c.LayerMaxPath), FileSize: int64(c.LayerMaxFile),
		},
	}
	usual := config.Layers{
		LayerMaxSize: 32 << 30, LayerMaxEntries: 5_000_000, LayerMaxRatio: 200, LayerMaxPath: 4096, LayerMaxFile: 200_000_000,
		ArchiveMaxDepth: 5, ArchiveMaxSize: 512 << 20,
	}
	if c != usual {
		o.Variant = fmt.Sprintf("%x", sha256.Sum256([]byte(fmt.Sprint(c))))[:8]
	}
	return o
}

// pruneLayers bounds what is kept of layers that are in no stored image: what `pratique
// scan` learned of them saves it from reading them again. That it fails keeps nobody
// from anything.
func pruneLayers(ctx context.Context, s *store.Store, log *slog.Logger) {
	const day = 24 * time.Hour
	removed, err := s.PruneLayers(ctx, store.LayerCache{Bytes: 1 << 30, Age: 90 * day, Grace: day})
	switch {
	case err != nil && ctx.Err() == nil:
		log.WarnContext(ctx, "analyses of layers that are in no image stay behind", "error", err)
	case removed > 0:
		log.InfoContext(ctx, "analyses of layers that are in no image were removed", "layers", removed)
	}
}
