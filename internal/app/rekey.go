package app

import (
	"context"
	"log/slog"

	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
)

// rekey has the stored versions made comparable by this program, where another one
// stored them. Nothing can be matched before.
func rekey(ctx context.Context, s *store.Store, log *slog.Logger) error {
	const told = 50 // one batch in so many
	batches := 0
	return s.Rekey(ctx, match.Package, func(stage string, after int64) {
		if batches%told == 0 {
			log.InfoContext(ctx, "stored versions are made comparable by this program; the start goes on afterwards", "stage", stage, "after", after)
		}
		batches++
	})
}
