package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/oci"
	"github.com/pratique/pratique/internal/secret"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/adapter"
	"github.com/pratique/pratique/internal/source/clairv1"
	"github.com/pratique/pratique/internal/source/clairv4"
)

// sourcePayload says which vulnerability source a job is about.
type sourcePayload struct {
	Source string `json:"source"`
}

// buildSources makes what asks vulnerability sources.
func (a *App) buildSources(box *secret.Box, gatekeeper *auth.Gatekeeper, baseURL func(context.Context) string, changed func(), opts Options) {
	a.sources = source.New(a.store, []source.Extension{clairv1.Extension(), clairv4.Extension(), adapter.Extension()}, box, source.Options{
		BaseURL: baseURL, Later: a.askLater, Changed: changed, Pause: opts.Pause,
	})
	a.asker = source.NewWorker(a.store, a.sources, source.WorkerOptions{
		Now: opts.Now, Log: opts.Log, Wake: a.askAt, Replica: a.replica.name,
		Token: func(name, repository string, digests []string, lifetime time.Duration) (string, error) {
			return gatekeeper.PullToken(auth.Pull{Source: name, Repository: repository, Digests: digests}, lifetime)
		},
	})
}

// resumeScans takes back the scans that a killed process was about. Where that fails
// they are done when their leases end.
func (a *App) resumeScans(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := a.asker.Resume(ctx); err != nil {
		a.log.ErrorContext(ctx, "scans of the process before wait for their leases", "error", err)
	}
}

// askLater has a source asked what is due. It never joins work that runs already:
// that may have looked before the change.
func (a *App) askLater(ctx context.Context, name string) error {
	_, err := a.queue.Enqueue(ctx, askSource, fmt.Sprintf("%s, %d", name, a.now().UnixMicro()), sourcePayload{name}, job.EnqueueOptions{})
	return err
}

// askAt is askLater at a time.
func (a *App) askAt(ctx context.Context, name string, at time.Time) error {
	at = at.Truncate(time.Second).Add(time.Second)
	_, err := a.queue.Enqueue(ctx, askSource, fmt.Sprintf("%s at %d", name, at.Unix()), sourcePayload{name}, job.EnqueueOptions{RunAt: at})
	return err
}

// askNew has the external sources of an image asked that were not yet.
func (a *App) askNew(ctx context.Context, digest string) error {
	if any, err := a.store.AskNew(ctx, digest); err != nil || !any {
		return err
	}
	scans, err := a.store.ScansOf(ctx, digest)
	if err != nil {
		return err
	}
	for _, c := range scans {
		if c.State != source.Queued {
			continue
		}
		if err := a.askLater(ctx, c.Source); err != nil {
			return err
		}
	}
	return nil
}

// askingObserver has the sources asked of what is pushed, too.
type askingObserver struct {
	oci.Observer
	app *App
}

func (o askingObserver) ManifestStored(ctx context.Context, digest, mediaType string, content []byte) error {
	if err := o.Observer.ManifestStored(ctx, digest, mediaType, content); err != nil {
		return err
	}
	return o.app.askNew(ctx, digest)
}

// ask is the handler of the jobs that ask a source what is due.
func (a *App) ask(ctx context.Context, task *job.Task) error {
	var payload sourcePayload
	if err := task.Decode(&payload); err != nil {
		return err
	}
	done, err := a.asker.Work(ctx, payload.Source)
	task.SetProgress(fmt.Sprintf("%s was asked of %d images", payload.Source, done))
	if done > 0 {
		_, e := a.queue.Enqueue(ctx, tellNews, "", nil, job.EnqueueOptions{})
		err = errors.Join(err, e)
	}
	return err
}

// askDue sees to it that nothing that is due is forgotten, whoever was to do it.
func (a *App) askDue(ctx context.Context, task *job.Task) error {
	names, err := a.store.DueSources(ctx, a.now())
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := a.askAt(ctx, name, a.now()); err != nil {
			return err
		}
	}
	task.SetProgress(fmt.Sprintf("%d sources are due", len(names)))
	return nil
}

// scanAll has all sources asked of all images of their registries.
func (a *App) scanAll(ctx context.Context, task *job.Task) error {
	n, err := a.store.AskAll(ctx)
	if err != nil {
		return err
	}
	task.SetProgress(fmt.Sprintf("%d questions to vulnerability sources", n))
	return a.askDue(ctx, task)
}

// sourceKinds are the kinds of jobs of sources.
func (a *App) sourceKinds() []work {
	return []work{
		{Kind: job.Kind{Name: askSource, Description: "Asks a vulnerability source what is due."}, Handler: job.Handler{
			Concurrency: 4, Timeout: 4 * time.Hour, Run: a.ask,
		}},
		{Kind: job.Kind{Name: askSources, Description: "Sees to it that vulnerability sources are asked what is due."}, Handler: job.Handler{
			Run: a.askDue,
		}, cron: "* * * * *"},
		{Kind: job.Kind{Name: scanImages, Description: "Has external vulnerability sources look at all images of their registries."}, Handler: job.Handler{
			Run: a.scanAll,
		}, cron: "0 2 * * *"},
	}
}
