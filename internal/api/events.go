package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/danielgtaylor/huma/v2/sse"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/event"
)

// Events lets one listen to what changes; *event.Broker is one.
type Events interface {
	// Listen returns event.ErrFull or event.ErrClosed.
	Listen(topics ...event.Topic) (*event.Listener, error)
	// Point is the id of events from now on.
	Point() int64
}

// Event is one message of the stream: the present state of what changed. Which
// member is set is told by its type.
type Event struct {
	Type  string      `json:"type" enum:"ready,job,feed,image,decisions,reload" doc:"ready: what changes from now on is told. job, feed, image: the member of that name is how it stands now. decisions: assessments, their types or policies have changed, so that states and verdicts may have. reload: more changed than is told, so read what you show again."`
	Job   *Job        `json:"job,omitempty"`
	Feed  *FeedEvent  `json:"feed,omitempty"`
	Image *ImageEvent `json:"image,omitempty"`
}

// FeedEvent is how a feed stands.
type FeedEvent struct {
	Name        string     `json:"name" example:"debian"`
	LastAttempt *time.Time `json:"last_attempt"`
	LastSuccess *time.Time `json:"last_success"`
	LastChange  *time.Time `json:"last_change"`
	Error       string     `json:"error" doc:"Why the last attempt failed; empty where it did not."`
}

// ImageEvent is how the analysis of an image stands.
type ImageEvent struct {
	Digest   string `json:"digest"`
	Analysis string `json:"analysis" enum:"pending,done,failed"`
	Error    string `json:"error"`
}

func showEvent(e event.Event) Event {
	switch {
	case e.Job != nil:
		shown := showJob(*e.Job)
		return Event{Type: "job", Job: &shown}
	case e.Feed != nil:
		f := e.Feed
		return Event{Type: "feed", Feed: &FeedEvent{Name: f.Name, LastAttempt: orNil(f.LastAttempt), LastSuccess: orNil(f.LastSuccess),
			LastChange: orNil(f.LastChange), Error: f.Error}}
	case e.Image != nil:
		return Event{Type: "image", Image: &ImageEvent{Digest: e.Image.Digest, Analysis: string(e.Image.State), Error: e.Image.Error}}
	}
	if e.Decisions != nil {
		return Event{Type: "decisions"}
	}
	return Event{Type: "reload"}
}

const eventsDoc = `A stream of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) for live progress. Each has
an id and, as data, one JSON object ` + "`{\"type\": …}`" + `; none has an event name, so that onmessage gets them all.

An event says how something stands, not what happened to it: one can stand for several changes within a second, and the same can come twice.
The first one is ready. A client that connects again with Last-Event-ID, as EventSource does by itself, is told what changed while it was
away; where that is too much, it gets reload. A comment comes every fifteen seconds when nothing else does. A client that does not read is
cut off. All replicas' changes are told.`

type eventsInput struct {
	Topics      []string `query:"topics" nullable:"false" enum:"jobs,feeds,images,decisions" doc:"What to be told of, separated by commas; everything where absent."`
	LastEventID int64    `header:"Last-Event-ID" minimum:"0" doc:"The id of the last event that was received."`
}

// heartbeat is how long a stream may be silent.
const heartbeat = 15 * time.Second

type listenerKey struct{}

// listen gives the request a listener, or refuses it while that still can be
// said by a status.
func (a *API) listen(ctx huma.Context, next func(huma.Context)) {
	r, w := humago.Unwrap(ctx)
	// The input is checked after this, by the same words.
	var topics []event.Topic
	if in := ctx.Query("topics"); in != "" {
		for topic := range strings.SplitSeq(in, ",") {
			topics = append(topics, event.Topic(topic))
		}
	}
	listener, err := a.Events.Listen(topics...)
	if err != nil {
		w.Header().Set("Retry-After", strconv.Itoa(int(heartbeat/time.Second)))
		a.writeProblem(w, r, http.StatusServiceUnavailable, err.Error())
		return
	}
	defer listener.Close()
	next(huma.WithValue(ctx, listenerKey{}, listener))
}

func (a *API) events() {
	sse.Register(a.huma, huma.Operation{
		OperationID: "listen", Summary: "Listen to what changes", Description: eventsDoc,
		Method: http.MethodGet, Path: "/events", Tags: []string{"events"},
		Middlewares: append(a.middlewares(access{place: signedIn}), a.listen),
	}, map[string]any{"message": Event{}}, func(ctx context.Context, in *eventsInput, send sse.Sender) {
		listener, _ := ctx.Value(listenerKey{}).(*event.Listener)
		// That the client has gone is no error.
		_ = a.stream(ctx, listener, in.LastEventID, send)
	})
}

// tells reports whether the principal may learn of an event. A stream goes on for
// long: the rights are those of its beginning.
func (a *API) tells(ctx context.Context, e event.Event) (bool, error) {
	switch {
	case principal(ctx).MayEverywhere(auth.Read):
		return true, nil
	case e.Job != nil:
		return false, nil
	case e.Image != nil:
		places, err := a.locations(ctx, e.Image.Digest)
		return len(places) > 0, err
	}
	return true, nil
}

func (a *API) stream(ctx context.Context, listener *event.Listener, last int64, send sse.Sender) error {
	// In this order: what changes between the two is told by the listener.
	missed := []event.Event(nil)
	point := a.Events.Point()
	if last > 0 {
		var err error
		if missed, err = listener.Since(ctx, last); err != nil {
			a.log.ErrorContext(ctx, "what a listener missed is not told", "error", err)
			missed = []event.Event{{ID: last, Lost: true}}
		}
		// It must come back to the same place if it is cut off before the rest.
		point = last
	}
	if err := send(sse.Message{ID: int(point), Data: Event{Type: "ready"}}); err != nil {
		return err
	}
	for _, e := range missed {
		if tells, err := a.tells(ctx, e); err != nil {
			return err
		} else if !tells {
			continue
		}
		if err := send(sse.Message{ID: int(e.ID), Data: showEvent(e)}); err != nil {
			return err
		}
	}
	silent := time.NewTicker(heartbeat)
	defer silent.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-silent.C:
			if err := send.Comment("still here"); err != nil {
				return err
			}
		case e, open := <-listener.Events:
			if !open {
				return nil
			}
			if tells, err := a.tells(ctx, e); err != nil {
				return err
			} else if !tells {
				continue
			}
			if err := send(sse.Message{ID: int(e.ID), Data: showEvent(e)}); err != nil {
				return err
			}
			silent.Reset(heartbeat)
		}
	}
}
