package builtin

import (
	"context"
	"fmt"
)

// Resume queues what an earlier run left: layers that the present detectors
// have not read, images that are still pending, and bills that do not count yet.
// The last inventory of an image serves until its new one is there.
func (a *Analyser) Resume(ctx context.Context) error {
	const page = 500
	for after := ""; ; {
		digests, err := a.store.StaleLayers(ctx, a.set, after, page)
		if err != nil {
			return err
		}
		for _, d := range digests {
			exists, err := a.blobs.Exists(ctx, d)
			if err != nil {
				return fmt.Errorf("layer %s: %w", d, err)
			}
			if exists {
				if err := a.queue.EnqueueLayer(ctx, d); err != nil {
					return fmt.Errorf("queue layer %s: %w", d, err)
				}
			}
		}
		if len(digests) < page {
			break
		}
		after = digests[len(digests)-1]
	}
	for _, list := range []func(ctx context.Context, after string, limit int) ([]string, error){a.store.UnfinishedImages, a.store.BilledImages} {
		for after := ""; ; {
			images, err := list(ctx, after, page)
			if err != nil {
				return err
			}
			for _, d := range images {
				if _, err := a.settle(ctx, d); err != nil {
					return err
				}
			}
			if len(images) < page {
				break
			}
			after = images[len(images)-1]
		}
	}
	return nil
}
