package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// Feeds shows the feeds and has them updated.
type Feeds interface {
	Status(ctx context.Context) ([]feed.Status, error)
	// Stale says, by name, why feeds are too old; of those that are not, nothing.
	Stale(ctx context.Context, statuses []feed.Status) (map[string]string, error)
	// Enqueue has feeds updated, all where none is named, and returns the id
	// of the job. acceptLoss believes documents that take away most of what is
	// stored. It returns feed.ErrUnknown.
	Enqueue(ctx context.Context, names []string, acceptLoss bool) (int64, error)
}

// Feed is a publisher of advisories.
type Feed struct {
	Name        string     `json:"name" example:"debian"`
	LastAttempt *time.Time `json:"last_attempt"`
	LastSuccess *time.Time `json:"last_success" doc:"When every document was last confirmed."`
	LastChange  *time.Time `json:"last_change"`
	NextUpdate  *time.Time `json:"next_update" doc:"When the schedule asks for it next; null where it is switched off."`
	Error       string     `json:"error" doc:"Why the last attempt failed; empty where it did not."`
	AgeSeconds  *int64     `json:"age_seconds" doc:"How long ago last_success was; null where it never was."`
	Stale       bool       `json:"stale" doc:"It is older than twice the interval at which it is to be read, or than a week where no schedule reads it."`
	StaleReason string     `json:"stale_reason" doc:"Why it is; empty where it is not."`
	Packages    int        `json:"packages"`
	Advisories  int        `json:"advisories"`
	Skipped     int        `json:"skipped" doc:"Records that could not be read."`
	Parts       []FeedPart `json:"parts" nullable:"false"`
}

// FeedPart is one document of a feed.
type FeedPart struct {
	Name       string     `json:"name" example:"v3.20/main"`
	URL        string     `json:"url"`
	Ecosystems []string   `json:"ecosystems" nullable:"false"`
	Packages   int        `json:"packages"`
	Advisories int        `json:"advisories"`
	Skipped    int        `json:"skipped"`
	Problems   []string   `json:"skipped_records" nullable:"false" doc:"Which records could not be read, and why; the first twenty."`
	Error      string     `json:"error"`
	CheckedAt  *time.Time `json:"checked_at"`
	ChangedAt  *time.Time `json:"changed_at"`
}

// acceptLoss is a confirmation.
type acceptLoss struct {
	AcceptLoss bool `query:"accept_loss" doc:"Believe documents that take away over half of what is stored; else they are held back."`
}

// feedSchedule is the name of the schedule by which feeds are updated.
const feedSchedule = "update-feeds"

func (a *API) feeds() {
	const tag = "feeds"
	register(a, operation{id: "list-feeds", access: access{place: signedIn}, method: http.MethodGet, path: "/feeds", tag: tag,
		summary: "List feeds", doc: "How current each one is; always one page."}, a.listFeeds)
	register(a, operation{id: "update-feeds", method: http.MethodPost, path: "/feeds/update", tag: tag, status: http.StatusAccepted,
		summary: "Update all feeds", doc: "Answers with the job.", administrators: true},
		func(ctx context.Context, in *acceptLoss) (*one[Job], error) {
			return a.updateFeeds(ctx, nil, in.AcceptLoss)
		})
	register(a, operation{id: "update-feed", method: http.MethodPost, path: "/feeds/{name}/update", tag: tag, status: http.StatusAccepted,
		summary: "Update a feed", doc: "Answers with the job.", administrators: true},
		func(ctx context.Context, in *struct {
			Name string `path:"name"`
			acceptLoss
		}) (*one[Job], error) {
			return a.updateFeeds(ctx, []string{in.Name}, in.AcceptLoss)
		})
}

func (a *API) listFeeds(ctx context.Context, _ *struct{}) (*listed[Feed], error) {
	statuses, err := a.Feeds.Status(ctx)
	if err != nil {
		return nil, err
	}
	schedules, err := a.Schedules.List(ctx)
	if err != nil {
		return nil, err
	}
	stale, err := a.Feeds.Stale(ctx, statuses)
	if err != nil {
		return nil, err
	}
	var next *time.Time
	for _, s := range schedules {
		if s.Name == feedSchedule && s.Enabled {
			next = orNil(s.NextRunAt)
		}
	}
	out := &listed[Feed]{List[Feed]{Items: make([]Feed, len(statuses))}}
	for i, s := range statuses {
		f := Feed{
			Name: s.Name, LastAttempt: orNil(s.LastAttempt), LastSuccess: orNil(s.LastSuccess), LastChange: orNil(s.LastChange), NextUpdate: next, Error: s.Error,
			Packages: s.Packages(), Advisories: s.Advisories(), Skipped: s.Skipped(), Parts: make([]FeedPart, len(s.Parts)),
		}
		if !s.LastSuccess.IsZero() {
			age := int64(a.now().Sub(s.LastSuccess) / time.Second)
			f.AgeSeconds = &age
		}
		f.StaleReason = stale[s.Name]
		f.Stale = f.StaleReason != ""
		for j, p := range s.Parts {
			f.Parts[j] = FeedPart{
				Name: p.Part, URL: p.URL, Ecosystems: orEmpty(p.Ecosystems), Packages: p.Packages, Advisories: p.Advisories,
				Skipped: p.Skipped.Count, Problems: orEmpty(p.Skipped.Names), Error: p.Error, CheckedAt: orNil(p.Checked), ChangedAt: orNil(p.Changed),
			}
		}
		out.Body.Items[i] = f
	}
	return out, nil
}

func (a *API) updateFeeds(ctx context.Context, names []string, acceptLoss bool) (*one[Job], error) {
	id, err := a.Feeds.Enqueue(ctx, names, acceptLoss)
	if errors.Is(err, feed.ErrUnknown) {
		return nil, notFound("feed %q", names[0])
	}
	if err != nil {
		return nil, err
	}
	object := "feeds"
	if len(names) > 0 {
		object = "feed " + names[0]
	}
	return a.accepted(ctx, "feed.update", object, id)
}
