package app

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/pratique/pratique/internal/audit"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/retention"
)

// applyRetention has registries keep to their retention rules. What goes is in the
// log of the job and in the audit log.
func (a *App) applyRetention(ctx context.Context, task *job.Task) error {
	a.pulls.Write(ctx) // what was pulled a moment ago
	deleted, held := 0, 0
	err := a.retention.Run(ctx, func(o retention.Outcome) error {
		if o.Held {
			held++
			task.Log(job.Warning, "registry %s: %d tags and manifests would go, which is more than half of it or every tag: nothing is deleted before an administrator confirms it", o.Registry, o.Planned)
			return nil
		}
		deleted += len(o.Deleted)
		task.SetProgress(fmt.Sprintf("%d tags and manifests deleted", deleted))
		a.changed()
		return a.noteRetention(ctx, task, o)
	})
	task.SetProgress(fmt.Sprintf("%d tags and manifests deleted; %d registries wait for a word", deleted, held))
	return err
}

// noteRetention remembers what went, by repositories.
func (a *App) noteRetention(ctx context.Context, task *job.Task, o retention.Outcome) error {
	const logged = 1000
	type gone struct {
		Tag    string `json:"tag,omitempty"`
		Digest string `json:"digest"`
		Reason string `json:"reason"`
	}
	var names []string
	of := make(map[string][]gone)
	for i, d := range o.Deleted {
		if i < logged {
			name := d.Tag
			if name == "" {
				name = d.Digest
			}
			task.Log(job.Info, "%s/%s: %s: %s", o.Registry, d.Repository, name, d.Reason)
		}
		if of[d.Repository] == nil {
			names = append(names, d.Repository)
		}
		of[d.Repository] = append(of[d.Repository], gone{d.Tag, d.Digest, d.Reason})
	}
	for _, name := range names {
		list := of[name]
		text, err := json.Marshal(map[string]any{"count": len(list), "deleted": list[:min(len(list), logged)]})
		if err != nil {
			return err
		}
		if err := a.store.AppendAudit(ctx, audit.Entry{Actor: "system", Action: "retention.delete", Object: "repository " + o.Registry + "/" + name, Detail: text}); err != nil {
			return err
		}
	}
	return nil
}
