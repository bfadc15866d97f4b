package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/egress"
	"github.com/pratique/pratique/internal/job"
	"github.com/pratique/pratique/internal/notify"
	"github.com/pratique/pratique/internal/notify/smtp"
	"github.com/pratique/pratique/internal/secret"
)

// expiringAhead is how long before its expiry people are told of an assessment.
const expiringAhead = 7 * 24 * time.Hour

// deliveryTries is how often a receiver is told: over about three hours.
const deliveryTries = 15

// deliveryPayload says which delivery a job is about.
type deliveryPayload struct {
	Delivery int64 `json:"delivery"`
}

// buildNotify makes what tells people and programs.
func (a *App) buildNotify(box *secret.Box, baseURL func(context.Context) string, opts Options) error {
	c := a.config.Telling
	// What is answered is not read to its end, however large it is.
	client := egress.New(egress.Options{DialTimeout: 10 * time.Second, HeaderTimeout: 20 * time.Second, TotalTimeout: 30 * time.Second, MaxSize: 1 << 40})
	o := notify.Options{Now: opts.Now, Log: opts.Log, Poster: poster{client}, Sealer: box, BaseURL: baseURL}
	if c.SMTPServer != "" {
		mailer, err := smtp.New(c.SMTPServer, c.SMTPFrom, smtp.Options{})
		if err != nil {
			return fmt.Errorf("smtp-url and smtp-from: %w", err)
		}
		o.Mailer = mailer
	}
	a.notify = notify.New(a.store, deliveryQueue{a.queue}, o)
	return nil
}

// poster posts to addresses that administrators gave.
type poster struct{ client *egress.Client }

// maxAnswer is how much of a receiver's answer is kept for people to look at.
const maxAnswer = 1024

func (p poster) Post(ctx context.Context, url string, header http.Header, body []byte) (int, []byte, error) {
	res, err := p.client.Send(ctx, egress.Request{Method: http.MethodPost, URL: url, Header: header, Body: body})
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	start, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		// It has answered, and the rest is not needed.
		return res.Status, start, nil
	}
	return res.Status, start, nil
}

func (p poster) Check(url string) error { return p.client.Check(url) }

// deliveryQueue queues what package notify has to do.
type deliveryQueue struct{ queue *job.Queue }

func (q deliveryQueue) EnqueueDeliveries(ctx context.Context, ids []int64) error {
	requests := make([]job.Request, len(ids))
	for i, id := range ids {
		requests[i] = job.Request{Kind: deliver, Key: strconv.FormatInt(id, 10), Payload: deliveryPayload{id}, Opts: job.EnqueueOptions{MaxAttempts: deliveryTries}}
	}
	_, err := q.queue.EnqueueAll(ctx, requests)
	return err
}

func (q deliveryQueue) WakeDispatch(ctx context.Context) error {
	_, err := q.queue.Enqueue(ctx, tellNews, "", nil, job.EnqueueOptions{})
	return err
}

// tellNews is the handler of the jobs that look for news and decide who is told.
func (a *App) tellNews(ctx context.Context, task *job.Task) error {
	var errs []error
	soon := a.now().Add(expiringAhead)
	for _, look := range []func(context.Context) (int, bool, error){
		a.store.TellNewFindings, a.store.TellNewReports, a.store.TellExpired, a.store.TellRefusals,
		func(ctx context.Context) (int, bool, error) {
			return a.store.TellExpiring(ctx, soon)
		},
		func(ctx context.Context) (int, bool, error) { return a.store.TellFailedJobs(ctx, deliver) },
	} {
		for {
			_, more, err := look(ctx)
			if err != nil {
				errs = append(errs, err)
			}
			if err != nil || !more {
				break
			}
		}
	}
	errs = append(errs, a.tellOfFeeds(ctx))
	told, err := a.notify.Dispatch(ctx)
	task.SetProgress(fmt.Sprintf("%d deliveries", told))
	return errors.Join(append(errs, err)...)
}

// tellOfFeeds tells of feeds that began to fail, or became too old.
func (a *App) tellOfFeeds(ctx context.Context) error {
	statuses, err := a.feeds.Status(ctx)
	if err != nil {
		return err
	}
	stale, err := a.watch.stale(ctx, statuses)
	if err != nil {
		return err
	}
	var events []notify.Event
	for _, s := range statuses {
		for _, fault := range []struct {
			what   notify.Type
			title  string
			reason string
		}{{notify.FeedFailing, "cannot be read", s.Error}, {notify.FeedStale, "is stale", stale[s.Name]}} {
			news, err := a.store.Turned(ctx, string(fault.what)+" "+s.Name, fault.reason != "")
			if err != nil {
				return err
			}
			if !news || fault.reason == "" {
				continue
			}
			data, err := json.Marshal(map[string]any{"feed": s.Name, "reason": fault.reason, "last_success": s.LastSuccess})
			if err != nil {
				return err
			}
			events = append(events, notify.Event{Type: fault.what, Path: "/administration/feeds/" + s.Name, Text: fault.reason, Data: data,
				Title: fmt.Sprintf("The feed %s %s", s.Name, fault.title)})
		}
	}
	return a.notify.Emit(ctx, events...)
}

func (a *App) deliver(ctx context.Context, task *job.Task) error {
	var payload deliveryPayload
	if err := task.Decode(&payload); err != nil {
		return err
	}
	return a.notify.Deliver(ctx, payload.Delivery, task.Attempts >= task.MaxAttempts)
}

// tellOfImage tells of an image that was pushed or analysed. What happened has
// happened: that nobody can be told is only logged.
func (a *App) tellOfImage(ctx context.Context, what notify.Type, digest, by string, tags []string) {
	if err := a.tellImage(ctx, what, digest, by, tags); err != nil {
		a.log.ErrorContext(ctx, "nobody is told of an image", "event", what, "image", digest, "error", err)
	}
}

func (a *App) tellImage(ctx context.Context, what notify.Type, digest, by string, tags []string) error {
	wanted, err := a.notify.Wanted(ctx, what)
	if err != nil || !wanted {
		return err
	}
	locations, err := a.store.ImageLocations(ctx, digest)
	if err != nil || len(locations) == 0 {
		return err
	}
	e := notify.Event{Type: what, Path: "/images/" + digest}
	type place struct {
		Registry   string   `json:"registry"`
		Repository string   `json:"repository"`
		Tags       []string `json:"tags"`
	}
	var places []place
	for _, l := range locations {
		e.Registries = append(e.Registries, l.Registry)
		places = append(places, place{l.Registry, l.Repository, l.Tags})
	}
	name := locations[0].Registry + "/" + locations[0].Repository
	if len(tags) == 0 {
		tags = locations[0].Tags
	}
	if len(tags) > 0 {
		name += ":" + tags[0]
	}
	data := map[string]any{"digest": digest, "places": places}
	if what == notify.ImagePushed {
		e.Title, data["by"] = name+" was pushed by "+by, by
	} else {
		findings, err := a.store.ImageFindings(ctx, digest)
		if err != nil {
			return err
		}
		counts, total := make(map[string]int), 0
		for _, f := range findings {
			counts[f.Severity.String()]++
			total++
		}
		data["findings"] = counts
		e.Title = fmt.Sprintf("%s was analysed: %d findings", name, total)
		for _, s := range []advisory.Severity{advisory.Critical, advisory.High} {
			if n := counts[s.String()]; n > 0 {
				e.Title += fmt.Sprintf(", %d %s", n, s)
			}
		}
	}
	if e.Data, err = json.Marshal(data); err != nil {
		return err
	}
	return a.notify.Emit(ctx, e)
}

// tellingKinds are the kinds of jobs that tell people.
func (a *App) tellingKinds() []work {
	return []work{
		{Kind: job.Kind{Name: tellNews, Description: "Looks for what people want to be told of, and decides who is told."}, Handler: job.Handler{
			Run: a.tellNews,
		}, cron: "* * * * *"},
		{Kind: job.Kind{Name: deliver, Description: "Tells a webhook, a channel or people of what happened."}, Handler: job.Handler{
			Concurrency: 4, Timeout: time.Minute, Run: a.deliver,
		}},
	}
}
