package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/pratique/pratique/internal/audit"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/retention"
)

// retentions is the rules of registries with what follows from them.
type retentions struct {
	*retention.Service
	app *App
}

// Confirm has the list go at once.
func (r retentions) Confirm(ctx context.Context, registryName, digest, by string) (retention.Settings, error) {
	settings, err := r.Service.Confirm(ctx, registryName, digest, by)
	if err != nil {
		return settings, err
	}
	_, err = r.app.queue.Enqueue(ctx, retain, registryName, registryPayload{registryName}, job.EnqueueOptions{})
	return settings, err
}

// retain runs the rules of one registry, or of all.
func (a *App) retain(ctx context.Context, task *job.Task) error {
	var payload registryPayload
	if err := task.Decode(&payload); err != nil {
		return err
	}
	names := []string{payload.Registry}
	if payload.Registry == "" {
		var err error
		if names, err = a.retention.Registries(ctx); err != nil {
			return err
		}
	}
	gone, held := 0, 0
	var failed error
	for _, name := range names {
		outcome, err := a.retention.Run(ctx, name)
		failed = errors.Join(failed, err)
		if outcome.Held != "" {
			held++
			task.Log(job.Warning, "registry %s: nothing went, for %s; confirm the list, or change the rules", name, outcome.Held)
		}
		if len(outcome.Gone) == 0 {
			continue
		}
		gone += len(outcome.Gone)
		failed = errors.Join(failed, a.retained(ctx, task, outcome))
	}
	task.SetProgress(fmt.Sprintf("%d tags and images went to the trash, %d registries wait for somebody to confirm", gone, held))
	return failed
}

// retained does what follows when tags and images have gone.
func (a *App) retained(ctx context.Context, task *job.Task, o retention.Outcome) error {
	const most = 200
	var images []string
	for i, e := range o.Gone {
		if e.Tag == "" {
			images = append(images, e.Digest)
		}
		if i < most {
			task.Log(job.Info, "%s/%s@%s %s%v: %s", o.Registry, e.Repository, e.Digest, e.Tag, e.Tags, e.Reason)
		}
	}
	a.served()
	detail, err := json.Marshal(map[string]any{"gone": len(o.Gone), "list": o.Digest})
	if err != nil {
		return err
	}
	return errors.Join(
		a.vex.Sweep(ctx),
		a.analyser.Reconsider(ctx, images, "retention of "+o.Registry),
		a.store.AppendAudit(ctx, audit.Entry{Actor: "retention", Action: "retention.run", Object: "registry " + o.Registry, Detail: detail}))
}
