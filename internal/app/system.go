package app

import (
	"context"
	"time"

	"github.com/pratique/pratique/internal/api"
)

// system answers how the server is.
type system struct {
	app     *App
	started time.Time
}

// Facts implements api.System.
func (s system) Facts(ctx context.Context) (api.Facts, error) {
	f := api.Facts{Engine: string(s.app.store.Engine()), Replica: s.app.replica.name, StartedAt: s.started, Alarms: s.app.watch.alarms()}
	var err error
	if f.DatabaseBytes, err = s.app.store.Size(ctx); err != nil {
		return api.Facts{}, err
	}
	disk, ok := s.app.blobs.(interface{ Available() (int64, bool, error) })
	if !ok {
		return f, nil
	}
	free, known, err := disk.Available()
	if err != nil {
		return api.Facts{}, err
	}
	if known {
		f.FreeBytes = &free
	}
	return f, nil
}
