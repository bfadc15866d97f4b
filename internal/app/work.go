package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/config"
	"github.com/pratique/pratique/internal/job"
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
	judgeFindings     = "judge-findings"
	cleanBlobs        = "clean-blobs"
	emptyTrash        = "empty-trash"
	cleanAnalyses     = "clean-analyses"
	retryAnalyses     = "retry-analyses"
	pruneHistory      = "prune-history"
	applyRetention    = "apply-retention"
	cleanCached       = "clean-cached"
	askSource         = "ask-source"
	askSources        = "ask-sources"
	scanImages        = "scan"
	tellNews          = "tell-news"
	deliver           = "deliver"
)

// layerTries is how often the analysis of a layer is tried.
const layerTries = 5

// feedsPayload says which feeds to update; none is all.
type feedsPayload struct {
	Feeds      []string `json:"feeds,omitempty"`
	AcceptLoss bool     `json:"accept_loss,omitempty"`
}

// layerQueue queues the analysis of layers and images.
type layerQueue struct{ queue *job.Queue }

func (q layerQueue) EnqueueLayer(ctx context.Context, digest string) error {
	// The try after the last one gives up, see App.analyseLayer.
	_, err := q.queue.Enqueue(ctx, analyseLayer, digest, nil, job.EnqueueOptions{MaxAttempts: layerTries + 1})
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

// work is a kind of jobs with what does them.
type work struct {
	job.Kind
	job.Handler
	// cron is when it is due until an administrator says otherwise, in UTC; ""
	// where only other work asks for it. Such a schedule has the name of the kind.
	cron    string
	payload any
}

// kinds are all kinds of jobs, by name.
func (a *App) kinds() []work {
	kinds := []work{
		{Kind: job.Kind{Name: analyseLayer, Description: "Reads a layer that was pushed and lists what is in it."}, Handler: job.Handler{
			Concurrency: runtime.GOMAXPROCS(0),
			Run:         a.analyseLayer,
		}},
		{Kind: job.Kind{Name: settleImage, Description: "Brings the packages of an image up to date with its layers and bills."}, Handler: job.Handler{
			Run: a.settleImage,
		}},
		{Kind: job.Kind{Name: attachSBOM, Description: "Keeps the bill of an image beside it, where its registry asks for that."}, Handler: job.Handler{
			Run: a.attachSBOM,
		}},
		{Kind: job.Kind{Name: attachSBOMs, Description: "Keeps the bills of all images of a registry beside them."}, Handler: job.Handler{
			Timeout: 4 * time.Hour, Run: a.attachSBOMs,
		}},
		{Kind: job.Kind{Name: updateFeeds, Description: "Reads the advisories of the feeds and matches what is stored with what is new."}, Handler: job.Handler{
			Timeout: 4 * time.Hour, Run: a.updateFeeds,
		}, cron: a.config.FeedsSchedule, payload: feedsPayload{Feeds: a.config.Feeds.Feeds}},
		{Kind: job.Kind{Name: expireAssessments, Description: "Ends the assessments that have expired."}, Handler: job.Handler{
			Run: a.expireAssessments,
		}, cron: "* * * * *"},
		{Kind: job.Kind{Name: applyVEX, Description: "Applies the statements of VEX documents to the images they are about."}, Handler: job.Handler{
			Timeout: time.Hour, Run: a.doVEX,
		}, cron: "23 * * * *"},
		{Kind: job.Kind{Name: notifyClair, Description: "Tells clients of the Clair API what has changed, and sends again what did not arrive."}, Handler: job.Handler{
			Run: a.notifyClair,
		}, cron: "* * * * *"},
		{Kind: job.Kind{Name: judgeFindings, Description: "Has the rules of assessment types judge what changed, and reopens what they say."}, Handler: job.Handler{
			Timeout: time.Hour, Run: a.judgeFindings,
		}, cron: "* * * * *"},
		{Kind: job.Kind{Name: cleanUploads, Description: "Gives up uploads that rest for too long."}, Handler: job.Handler{
			Run: a.cleanUploads,
		}, cron: "41 * * * *"},
		{Kind: job.Kind{Name: cleanBlobs, Description: "Deletes blobs that no manifest refers to. Pushes go on meanwhile."}, Handler: job.Handler{
			Timeout: 12 * time.Hour, Run: a.cleanBlobs,
		}, cron: "11 3 * * *"},
		{Kind: job.Kind{Name: applyRetention, Description: "Deletes the tags and manifests that the retention rules of registries let go."}, Handler: job.Handler{
			Timeout: 4 * time.Hour, Run: a.applyRetention,
		}, cron: "1 2 * * *"},
		{Kind: job.Kind{Name: emptyTrash, Description: "Deletes for good what has been in the trash for long enough."}, Handler: job.Handler{
			Timeout: time.Hour, Run: a.emptyTrash,
		}, cron: "37 * * * *"},
		{Kind: job.Kind{Name: cleanCached, Description: "Deletes images that came by connectors and that nobody has pulled for the days of the setting cached_days."}, Handler: job.Handler{
			Timeout: 4 * time.Hour, Run: a.cleanCached,
		}, cron: "51 2 * * *"},
		{Kind: job.Kind{Name: cleanAnalyses, Description: "Deletes what is known of images, layers and packages that are no longer stored anywhere."}, Handler: job.Handler{
			Timeout: 4 * time.Hour, Run: a.cleanAnalyses,
		}, cron: "31 3 * * *"},
		{Kind: job.Kind{Name: retryAnalyses, Description: "Analyses the layers anew that were given up."}, Handler: job.Handler{
			Run: a.retryAnalyses,
		}, cron: "0 5 * * SUN"},
		{Kind: job.Kind{Name: pruneHistory, Description: "Forgets jobs that finished long ago, with their logs, and what people were told of."}, Handler: job.Handler{
			Run: a.pruneHistory,
		}, cron: "53 * * * *"},
	}
	kinds = append(kinds, a.sourceKinds()...)
	kinds = append(kinds, a.tellingKinds()...)
	slices.SortFunc(kinds, func(a, b work) int { return strings.Compare(a.Name, b.Name) })
	return kinds
}

// handlers are what the jobs do.
func (a *App) handlers() map[string]job.Handler {
	handlers := map[string]job.Handler{}
	for _, w := range a.kinds() {
		handlers[w.Name] = w.Handler
	}
	return handlers
}

// plans are the schedules, until an administrator says otherwise.
func (a *App) plans() []job.Plan {
	var plans []job.Plan
	for _, w := range a.kinds() {
		if w.cron != "" && w.cron != config.Off {
			plans = append(plans, job.Plan{Name: w.Name, Cron: w.cron, Request: job.Request{Kind: w.Name, Payload: w.payload}})
		}
	}
	return plans
}

// described are the kinds as people are told of them.
func (a *App) described() []job.Kind {
	var kinds []job.Kind
	for _, w := range a.kinds() {
		kinds = append(kinds, w.Kind)
	}
	return kinds
}

// analyseLayer analyses a layer. Whatever the tries ended with, be it the death
// of the process, the one after the last does not touch the layer: it gives it up.
func (a *App) analyseLayer(ctx context.Context, task *job.Task) error {
	if task.Attempts > layerTries {
		err := fmt.Errorf("layer %s could not be analysed in %d tries, the last of which ended with: %s", task.Key, layerTries, task.Error)
		if failed := a.analyser.GiveUp(ctx, task.Key, err.Error()); failed != nil {
			return errors.Join(err, failed)
		}
		return job.Permanent(err)
	}
	err := a.analyser.AnalyseLayer(ctx, task.Key)
	if !errors.Is(err, blob.ErrUnknown) {
		return err
	}
	// A layer that no repository has any more needs no analysis.
	linked, failed := a.store.LinkedBlobs(ctx, []string{task.Key})
	if failed != nil || linked[task.Key] {
		return errors.Join(err, failed)
	}
	task.SetProgress("the layer is no longer stored")
	return nil
}

func (a *App) retryAnalyses(ctx context.Context, task *job.Task) error {
	n, err := a.analyser.TryGivenUp(ctx)
	task.SetProgress(fmt.Sprintf("%d layers queued", n))
	return err
}

func (a *App) settleImage(ctx context.Context, task *job.Task) error {
	var payload imagePayload
	if err := task.Decode(&payload); err != nil {
		return err
	}
	return a.analyser.SettleImage(ctx, payload.Image)
}

func (a *App) updateFeeds(ctx context.Context, task *job.Task) error {
	var payload feedsPayload
	if err := task.Decode(&payload); err != nil {
		return err
	}
	results, err := a.feeds.Update(ctx, feed.Request{Feeds: payload.Feeds, AcceptLoss: payload.AcceptLoss, Progress: task.SetProgress})
	changed, removed := 0, 0
	for _, r := range results {
		changed, removed = changed+r.Changed, removed+r.Removed
		if r.Changed+r.Removed > 0 {
			task.Log(job.Info, "%s: %d packages changed, %d removed", r.Feed, r.Changed, r.Removed)
		}
	}
	task.SetProgress(fmt.Sprintf("%d packages changed, %d removed", changed, removed))
	if _, e := a.queue.Enqueue(ctx, notifyClair, "", nil, job.EnqueueOptions{}); e != nil {
		err = errors.Join(err, e)
	}
	if _, e := a.queue.Enqueue(ctx, tellNews, "", nil, job.EnqueueOptions{}); e != nil {
		err = errors.Join(err, e)
	}
	if changed+removed > 0 {
		err = errors.Join(err, vexQueue{a.queue, a.now}.Later(ctx, vex.Work{}))
		a.judgeSoon(ctx)
	}
	return err
}

// judgeFindings has rules judge what is due.
func (a *App) judgeFindings(ctx context.Context, task *job.Task) error {
	say := func(n int) { task.SetProgress(fmt.Sprintf("%d vulnerabilities judged", n)) }
	judged, err := a.assessments.JudgeDue(ctx, say)
	say(judged)
	return err
}

// judgeSoon has rules judge what is due now. Where that fails, or a judgement has
// just ended, the schedule does it within a minute.
func (a *App) judgeSoon(ctx context.Context) {
	due, err := a.store.AnyDue(ctx)
	if err == nil && due {
		_, err = a.queue.Enqueue(ctx, judgeFindings, "", nil, job.EnqueueOptions{})
	}
	if err != nil {
		a.log.ErrorContext(ctx, "judgement by rules waits for its schedule", "error", err)
	}
}

func (a *App) expireAssessments(ctx context.Context, task *job.Task) error {
	ended, err := a.assessments.Expire(ctx)
	if err == nil {
		task.SetProgress(fmt.Sprintf("%d assessments expired", len(ended)))
	}
	return err
}

func (a *App) pruneHistory(ctx context.Context, task *job.Task) error {
	pruned, err := a.queue.Prune(ctx, a.now().Add(-a.config.JobHistory))
	told, e := a.notify.Prune(ctx)
	task.SetProgress(fmt.Sprintf("%d jobs and %d events forgotten", pruned, told))
	return errors.Join(err, e)
}
