package app

import (
	"context"
	"fmt"
	"os"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/store"
)

// Decisions are the assessments of an installation, beside its server or without
// one.
type Decisions struct {
	*assess.Service
	store *store.Store
}

// OpenDecisions opens what `pratique admin` needs of them.
func OpenDecisions(ctx context.Context, storage config.Storage, opts Options) (*Decisions, error) {
	if err := os.MkdirAll(storage.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	s, err := store.Open(ctx, storage.DatabaseURL(), store.Options{Now: opts.Now})
	if err != nil {
		return nil, err
	}
	d := &Decisions{Service: assess.New(s, assess.Options{Now: opts.Now}), store: s}
	return d, d.Seed(ctx)
}

// Close closes the database.
func (d *Decisions) Close() error { return d.store.Close() }
