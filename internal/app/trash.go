package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/oci/registry"
)

// trash has what comes back looked at as if it had been pushed.
type trash struct {
	watchedStore
	app *App
}

// Restore brings something back from the trash.
func (t trash) Restore(ctx context.Context, registryName string, id int64) (registry.Restored, error) {
	back, err := t.Store.Restore(ctx, registryName, id)
	if err != nil {
		return back, err
	}
	ctx = context.WithoutCancel(ctx)
	var failed error
	for _, m := range back.Manifests {
		t.look(ctx, m)
		failed = errors.Join(failed, askingObserver{t.app.analyser, t.app}.ManifestStored(ctx, m.Digest, m.MediaType, m.Content))
	}
	if failed != nil {
		t.log.ErrorContext(ctx, "what was restored was not looked at", "error", failed)
	}
	return back, nil
}

// DefaultTrashDays is for how long what is deleted stays in the trash where its
// registry does not say that.
func (t trash) DefaultTrashDays(ctx context.Context) int { return t.trashDays(ctx) }

// emptyTrash deletes for good what has been in the trash for long enough.
func (a *App) emptyTrash(ctx context.Context, task *job.Task) error {
	n, err := a.store.ExpireTrash(ctx, a.now())
	task.SetProgress(fmt.Sprintf("%d tags and images deleted for good", n))
	if n > 0 {
		task.Log(job.Info, "%d tags and images had been in the trash for long enough", n)
	}
	return err
}

// DeleteRepository also has images judged anew that are elsewhere, too, and of which
// the registry held bills.
func (r registries) DeleteRepository(ctx context.Context, registryName, name string, d registry.Deletion) error {
	images, err := r.Store.BilledIn(ctx, registryName)
	if err != nil {
		return err
	}
	if err := r.watchedStore.DeleteRepository(ctx, registryName, name, d); err != nil {
		return err
	}
	return r.app.analyser.Reconsider(ctx, images, "repository "+registryName+"/"+name)
}
