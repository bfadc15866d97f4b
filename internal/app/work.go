package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/vex"
)

// The kinds of jobs; schedules have the names of their kinds.
const (
	analyseLayer      = "analyse-layer"
	settleImage       = "settle-image"
	attachSBOM        = "attach-sbom"
	attachSBOMs       = "attach-sboms"
	updateFeeds       = "update-feeds"
	expireAssessments = "expire-assessments"
	cleanUploads      = "clean-uploads"
	applyVEX          = "apply-vex"
	notifyClair       = "notify-clair"
)

// feedsPayload says which feeds to update; none is all.
type feedsPayload struct {
	Feeds      []string `json:"feeds,omitempty"`
	AcceptLoss bool     `json:"accept_loss,omitempty"`
}

// layerQueue queues the analysis of layers and images.
type layerQueue struct{ queue *job.Queue }

func (q layerQueue) EnqueueLayer(ctx context.Context, digest string) error {
	_, err := q.queue.Enqueue(ctx, analyseLayer, digest, nil, job.EnqueueOptions{})
	return err
}

func (q layerQueue) EnqueueImage(ctx context.Context, digest, cause string) error {
	_, err := q.queue.Enqueue(ctx, settleImage, digest+" "+cause, imagePayload{digest}, job.EnqueueOptions{})
	return err
}

// layerBlobs is the blob store as the analyser sees it.
type layerBlobs struct{ blobs blob.Store }

func (b layerBlobs) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	content, _, err := b.blobs.Open(ctx, digest)
	return content, err
}

func (b layerBlobs) Exists(ctx context.Context, digest string) (bool, error) {
	_, err := b.blobs.Stat(ctx, digest)
	if errors.Is(err, blob.ErrUnknown) {
		return false, nil
	}
	return err == nil, err
}

// handlers are what the jobs do.
func (a *App) handlers() map[string]job.Handler {
	return map[string]job.Handler{
		analyseLayer: {
			Concurrency: runtime.GOMAXPROCS(0),
			Run: func(ctx context.Context, task *job.Task) error {
				return a.analyser.AnalyseLayer(ctx, task.Key)
			},
		},
		settleImage: {
			Run: func(ctx context.Context, task *job.Task) error {
				var payload imagePayload
				if err := task.Decode(&payload); err != nil {
					return err
				}
				return a.analyser.SettleImage(ctx, payload.Image)
			},
		},
		attachSBOM:  {Run: a.attachSBOM},
		attachSBOMs: {Timeout: 4 * time.Hour, Run: a.attachSBOMs},
		updateFeeds: {
			Timeout: 4 * time.Hour,
			Run: func(ctx context.Context, task *job.Task) error {
				var payload feedsPayload
				if err := task.Decode(&payload); err != nil {
					return err
				}
				results, err := a.feeds.Update(ctx, feed.Request{Feeds: payload.Feeds, AcceptLoss: payload.AcceptLoss, Progress: task.SetProgress})
				changed, removed := 0, 0
				for _, r := range results {
					changed, removed = changed+r.Changed, removed+r.Removed
				}
				task.SetProgress(fmt.Sprintf("%d packages changed, %d removed", changed, removed))
				if _, e := a.queue.Enqueue(ctx, notifyClair, "", nil, job.EnqueueOptions{}); e != nil {
					err = errors.Join(err, e)
				}
				if changed+removed > 0 {
					err = errors.Join(err, vexQueue{a.queue, a.now}.Later(ctx, vex.Work{}))
				}
				return err
			},
		},
		expireAssessments: {
			Run: func(ctx context.Context, task *job.Task) error {
				ended, err := a.assessments.Expire(ctx)
				if err == nil {
					task.SetProgress(fmt.Sprintf("%d assessments expired", len(ended)))
				}
				return err
			},
		},
		cleanUploads: {Run: a.cleanUploads},
		notifyClair: {
			Run: func(ctx context.Context, _ *job.Task) error {
				if a.notifying == nil {
					return nil
				}
				// What does not arrive is in the log, and is tried again by itself.
				if err := a.notifying.Work(ctx); err != nil && ctx.Err() == nil {
					a.log.WarnContext(ctx, "not all notifications of the Clair API were sent", "error", err)
				}
				return ctx.Err()
			},
		},
		applyVEX: {Timeout: time.Hour, Run: a.doVEX},
	}
}

// cleanUploads gives up uploads that rest for too long.
func (a *App) cleanUploads(ctx context.Context, task *job.Task) error {
	stale, err := a.blobs.Stale(ctx, a.now().Add(-a.config.UploadExpiry))
	if err != nil {
		return err
	}
	for _, id := range stale {
		if err := a.blobs.Abort(ctx, id); err != nil && !errors.Is(err, blob.ErrUploadUnknown) {
			return err
		}
		if err := a.store.DeleteUpload(ctx, id); err != nil && !errors.Is(err, registry.ErrUploadUnknown) {
			return err
		}
	}
	task.SetProgress(fmt.Sprintf("%d uploads given up", len(stale)))
	return nil
}

// plans are the schedules, until an administrator says otherwise.
func (a *App) plans() []job.Plan {
	plans := []job.Plan{
		{Name: expireAssessments, Cron: "* * * * *", Request: job.Request{Kind: expireAssessments}},
		{Name: cleanUploads, Cron: "41 * * * *", Request: job.Request{Kind: cleanUploads}},
		{Name: notifyClair, Cron: "* * * * *", Request: job.Request{Kind: notifyClair}},
		{Name: applyVEX, Cron: "23 * * * *", Request: job.Request{Kind: applyVEX}},
	}
	if a.config.FeedsSchedule != config.Off {
		plans = append(plans, job.Plan{Name: updateFeeds, Cron: a.config.FeedsSchedule, Request: job.Request{Kind: updateFeeds, Payload: feedsPayload{Feeds: a.config.Feeds.Feeds}}})
	}
	return plans
}
