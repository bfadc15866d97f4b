package builtin

import (
	"context"
	"fmt"
)

// GiveUp ends the tries to analyse a layer: its images are judged without it,
// and say why. It is not tried again by itself, for it may be what brought down
// the process that read it.
func (a *Analyser) GiveUp(ctx context.Context, digest, reason string) error {
	states, err := a.store.LayerStates(ctx, []string{digest}, a.set)
	if err != nil {
		return err
	}
	if _, known := states[digest]; !known {
		if err := a.store.GiveUpLayer(ctx, digest, a.set, reason); err != nil {
			return err
		}
		a.announce()
	}
	images, err := a.store.ImagesOfLayer(ctx, digest)
	if err != nil {
		return err
	}
	for _, img := range images {
		if _, err := a.settle(ctx, img); err != nil {
			return err
		}
	}
	return nil
}

// TryGivenUp queues the layers that were given up, and returns how many they are.
func (a *Analyser) TryGivenUp(ctx context.Context) (int, error) {
	const page = 200
	for n := 0; ; {
		digests, err := a.store.TakeGivenUp(ctx, page)
		if err != nil {
			return n, err
		}
		for _, d := range digests {
			// Those that this misses are queued when the program starts next.
			if err := a.queue.EnqueueLayer(ctx, d); err != nil {
				return n, fmt.Errorf("queue layer %s: %w", d, err)
			}
			n++
		}
		if len(digests) < page {
			return n, nil
		}
	}
}
