package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/garbage"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/oci/registry"
)

// cleanUploads gives up uploads that rest for too long, and forgets those that
// became blobs, or were given up, when their process was killed.
func (a *App) cleanUploads(ctx context.Context, task *job.Task) error {
	before := a.now().Add(-a.config.UploadExpiry)
	stale, err := a.blobs.Stale(ctx, before)
	if err != nil {
		return err
	}
	for _, id := range stale {
		if err := a.blobs.Abort(ctx, id); err != nil && !errors.Is(err, blob.ErrUploadUnknown) {
			return err
		}
		if err := a.forgetUpload(ctx, id); err != nil {
			return err
		}
	}
	forgotten := 0
	const page = 500
	for after := ""; ; {
		uploads, err := a.store.Uploads(ctx, before, after, page)
		if err != nil {
			return err
		}
		for _, u := range uploads {
			after = u.ID
			if _, err := a.blobs.Size(ctx, u.ID); !errors.Is(err, blob.ErrUploadUnknown) {
				if err != nil {
					return err
				}
				continue
			}
			if err := a.forgetUpload(ctx, u.ID); err != nil {
				return err
			}
			forgotten++
		}
		if len(uploads) < page {
			break
		}
	}
	task.SetProgress(fmt.Sprintf("%d uploads given up", len(stale)))
	if forgotten > 0 {
		task.Log(job.Info, "%d uploads that had ended without a word were forgotten", forgotten)
	}
	return nil
}

func (a *App) forgetUpload(ctx context.Context, id string) error {
	if err := a.store.DeleteUpload(ctx, id); err != nil && !errors.Is(err, registry.ErrUploadUnknown) {
		return err
	}
	return nil
}

// cleanBlobs deletes blobs that no manifest refers to.
func (a *App) cleanBlobs(ctx context.Context, task *job.Task) error {
	collector := garbage.New(a.store, a.blobs, garbage.Options{Grace: a.config.GarbageGrace, Now: a.now, Log: a.log})
	tell := func(r garbage.Result) {
		task.SetProgress(fmt.Sprintf("%d blobs looked at, %d deleted", r.Seen, r.Removed))
		task.SetCount(int64(r.Seen), 0)
	}
	result, err := collector.Collect(ctx, tell)
	tell(result)
	if result.Unlinked+result.Removed > 0 {
		task.Log(job.Info, "%d blobs that no manifest refers to were taken out of repositories; %d blobs of %d bytes were deleted",
			result.Unlinked, result.Removed, result.Bytes)
	}
	return err
}

// cleanAnalyses deletes what was derived from what is no longer there.
func (a *App) cleanAnalyses(ctx context.Context, task *job.Task) error {
	n, err := a.store.DeleteUnused(ctx, a.now().Add(-a.config.GarbageGrace))
	text := fmt.Sprintf("%d images, %d inventories, %d layers and %d packages forgotten", n.Images, n.Inventories, n.Layers, n.Packages)
	task.SetProgress(text)
	if n.Images+n.Inventories+n.Layers+n.Packages > 0 {
		task.Log(job.Info, "%s", text)
	}
	return err
}
