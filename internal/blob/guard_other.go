//go:build !linux

package blob

import (
	"context"
	"sync"
	"time"
)

// guard lets blobs be held and taken. Elsewhere than on Linux one process owns
// the directory.
type guard struct {
	path   string
	places [256]sync.RWMutex
}

func (g *guard) share(ctx context.Context, place int64) (func(), error) {
	lock := &g.places[place%int64(len(g.places))]
	for !lock.TryRLock() {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
	return lock.RUnlock, nil
}

func (g *guard) take(place int64) (release func(), alone bool, err error) {
	lock := &g.places[place%int64(len(g.places))]
	if !lock.TryLock() {
		return nil, false, nil
	}
	return lock.Unlock, true, nil
}
