package app

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/source/builtin"
)

// notingObserver is told of manifests whose layers are still to come, too.
type notingObserver struct {
	askingObserver
	analyser *builtin.Analyser
}

func (o notingObserver) ManifestNoted(ctx context.Context, digest, mediaType string, content []byte) error {
	if err := o.analyser.ManifestNoted(ctx, digest, mediaType, content); err != nil {
		return err
	}
	return o.app.askNew(ctx, digest)
}

// checkDays says what is wrong with a number of days.
func checkDays(text string) error {
	if n, err := strconv.Atoi(text); err != nil || n < 0 || n > 36_500 {
		return errors.New("must be a number of days from 0 to 36500; 0 is for ever")
	}
	return nil
}

// cleanCached deletes manifests from upstream that nobody pulls. One that must
// stay, as its tag is immutable, counts as pushed from then on.
func (a *App) cleanCached(ctx context.Context, task *job.Task) error {
	days, err := strconv.Atoi(a.settings.Value(ctx, settingCachedDays))
	if err != nil || days == 0 {
		task.SetProgress("images from upstream are kept for ever")
		return nil //nolint:nilerr // nothing is set
	}
	deleted := 0
	for before := a.now().Add(-time.Duration(days) * 24 * time.Hour); ; {
		list, err := a.store.Unpulled(ctx, before, 200)
		if err != nil {
			return err
		}
		for _, m := range list {
			// Not by way of the trash: upstream has it.
			_, err := a.store.DeleteManifest(ctx, m.RepositoryID, m.Digest, registry.Deletion{By: "system", Reason: "nobody pulled it"})
			var immutable *registry.ImmutableError
			var follows *registry.FollowsError
			switch {
			case err == nil:
				deleted++
			case errors.As(err, &immutable), errors.As(err, &follows):
				task.Log(job.Info, "%s stays: %s", m.Digest, err)
			case !errors.Is(err, registry.ErrManifestUnknown):
				return err
			}
			if err := a.store.ForgetCached(ctx, m.RepositoryID, m.Digest); err != nil {
				return err
			}
		}
		if len(list) == 0 {
			break
		}
	}
	if deleted > 0 {
		a.watched.sweep(ctx)
		a.changed()
	}
	task.SetProgress(fmt.Sprintf("%d manifests deleted", deleted))
	return nil
}
