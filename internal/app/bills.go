package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/oci/registry"
)

// imagePayload says which image a job is about.
type imagePayload struct {
	Image string `json:"image"`
}

// registryPayload says which registry a job is about; "" is every one.
type registryPayload struct {
	Registry string `json:"registry,omitempty"`
}

// registries is the store with what follows from changes of registries.
type registries struct {
	watchedStore
	app *App
}

// UpdateRegistry also has the bills of the registry's images made or removed,
// where it asks for others than before.
func (r registries) UpdateRegistry(ctx context.Context, name string, c registry.Change) (registry.Registry, error) {
	changed, err := r.watchedStore.UpdateRegistry(ctx, name, c)
	if err != nil || c.AttachSBOM == nil {
		return changed, err
	}
	_, err = r.app.queue.Enqueue(ctx, attachSBOMs, name+" "+string(changed.AttachSBOM), registryPayload{name}, job.EnqueueOptions{})
	return changed, err
}

// DeleteRegistry also has images judged anew that are elsewhere, too, and of
// which the registry held bills.
func (r registries) DeleteRegistry(ctx context.Context, name string, force bool, by string) error {
	images, err := r.Store.BilledIn(ctx, name)
	if err != nil {
		return err
	}
	if err := r.watchedStore.DeleteRegistry(ctx, name, force, by); err != nil {
		return err
	}
	return r.app.analyser.Reconsider(ctx, images, "registry "+name)
}

// imageSettled has external sources asked, and queues the making of an image's bills where a registry asks for
// other ones than there are. What is asked for is part of the key: a job that
// runs may have read what was asked before.
func (a *App) imageSettled(ctx context.Context, digest string) error {
	if err := a.askNew(ctx, digest); err != nil {
		return err
	}
	places, err := a.store.Unattached(ctx, digest)
	if err != nil || len(places) == 0 {
		return err
	}
	h := sha256.New()
	for _, p := range places {
		fmt.Fprintln(h, p.Repository.ID, p.Format, p.InventoryID)
	}
	_, err = a.queue.Enqueue(ctx, attachSBOM, digest+" "+hex.EncodeToString(h.Sum(nil)[:8]), imagePayload{digest}, job.EnqueueOptions{})
	return err
}

func (a *App) attachSBOM(ctx context.Context, task *job.Task) error {
	var payload imagePayload
	if err := task.Decode(&payload); err != nil {
		return err
	}
	return a.attacher.Image(ctx, payload.Image)
}

func (a *App) attachSBOMs(ctx context.Context, task *job.Task) error {
	var payload registryPayload
	if err := task.Decode(&payload); err != nil {
		return err
	}
	_, err := a.attacher.All(ctx, payload.Registry, func(done int) {
		task.SetProgress(fmt.Sprintf("the bills of %d images", done))
	})
	return err
}

// host is what images are pulled from, "" where only requests tell.
func host(baseURL string) string {
	u, err := url.Parse(baseURL)
	if err != nil {
		return ""
	}
	return u.Host
}
