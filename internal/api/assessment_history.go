package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/auth"
)

// AssessmentEvent is what happened to an assessment.
type AssessmentEvent struct {
	ID           int64           `json:"id" doc:"From 1, without gaps, over all assessments."`
	AssessmentID int64           `json:"assessment_id"`
	At           time.Time       `json:"at"`
	Actor        string          `json:"actor"`
	Action       string          `json:"action" enum:"created,edited,ended,retyped,joined"`
	Assessment   json.RawMessage `json:"assessment" doc:"As it was then; note says where it is from, or why it happened."`
	Hash         string          `json:"hash" doc:"SHA-256, in hexadecimal, of the hash before and this event."`
}

// AssessmentHistoryCheck is what came of checking the history.
type AssessmentHistoryCheck struct {
	Intact      bool     `json:"intact"`
	Events      int64    `json:"events" doc:"How many there are."`
	Head        string   `json:"head" doc:"The hash of the last. Note both somewhere else: given later as known_events and known_head, they show that nothing before was rewritten."`
	Assessments int64    `json:"assessments" doc:"How many were compared with what their history says."`
	Faults      []string `json:"faults" nullable:"false" doc:"What is wrong, the first hundred."`
}

func showAssessmentEvent(e assess.Event) AssessmentEvent {
	return AssessmentEvent{ID: e.ID, AssessmentID: e.AssessmentID, At: e.At.UTC(), Actor: e.Actor, Action: string(e.Action),
		Assessment: json.RawMessage(e.Detail), Hash: hex.EncodeToString(e.Hash)}
}

func (a *API) assessmentHistory() {
	register(a, operation{id: "list-assessment-events", access: access{place: signedIn}, method: http.MethodGet, path: "/assessments/{id}/history", tag: "assessments",
		summary: "Show the history of an assessment", doc: "The newest first."}, a.assessmentEvents)
	register(a, operation{id: "list-vulnerability-events", access: access{place: signedIn}, method: http.MethodGet, path: "/vulnerabilities/{name}/history", tag: "vulnerabilities",
		summary: "Show the history of all assessments of a vulnerability", doc: "The newest first."}, a.vulnerabilityEvents)
	register(a, operation{id: "verify-assessment-history", method: http.MethodGet, path: "/assessment-history/verify", tag: "assessments",
		summary: "Check the history of assessments",
		doc:     "Its events are a chain of hashes; where one was changed or taken away, or an assessment is not as its history says, that is named.", administrators: true}, a.verifyHistory)
}

func (a *API) assessmentEvents(ctx context.Context, in *struct {
	AssessmentPath
	Paging
}) (*listed[AssessmentEvent], error) {
	if _, err := a.seenAssessment(ctx, in.ID); err != nil {
		return nil, err
	}
	return a.eventsOf(ctx, "history "+strconv.FormatInt(in.ID, 10), in.Paging, assess.EventFilter{AssessmentID: in.ID})
}

func (a *API) vulnerabilityEvents(ctx context.Context, in *struct {
	VulnerabilityPath
	Paging
}) (*listed[AssessmentEvent], error) {
	id, err := a.Vulnerabilities.VulnerabilityID(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return a.eventsOf(ctx, "history of "+strconv.FormatInt(id, 10), in.Paging, assess.EventFilter{VulnerabilityID: id})
}

func (a *API) eventsOf(ctx context.Context, list string, p Paging, filter assess.EventFilter) (*listed[AssessmentEvent], error) {
	before, err := after[int64](p, list)
	if err != nil {
		return nil, err
	}
	filter.Before, filter.Limit = orZero(before), p.PageSize+1
	found, err := a.Assessments.Events(ctx, filter)
	if err != nil {
		return nil, err
	}
	shown := page(p, list, found, func(e assess.Event) int64 { return e.ID }, showAssessmentEvent)
	// A page can be short for who may not see all; the list goes on all the same.
	return shown, a.hideEvents(ctx, found[:len(shown.Body.Items)], &shown.Body)
}

// hideEvents leaves out of a page what the principal may not know of.
func (a *API) hideEvents(ctx context.Context, events []assess.Event, shown *List[AssessmentEvent]) error {
	if principal(ctx).MayEverywhere(auth.Read) {
		return nil
	}
	kept := shown.Items[:0]
	for i, e := range events {
		var was assess.Snapshot
		if err := json.Unmarshal([]byte(e.Detail), &was); err != nil {
			return fmt.Errorf("event %d: %w", e.ID, err)
		}
		sees, err := a.sees(ctx, assess.Scope{Kind: was.ScopeKind, Value: was.ScopeValue})
		if err != nil {
			return err
		}
		if sees {
			kept = append(kept, shown.Items[i])
		}
	}
	shown.Items = kept
	return nil
}

func (a *API) verifyHistory(ctx context.Context, in *struct {
	KnownEvents int64  `query:"known_events" minimum:"0" doc:"A number of events that was noted earlier."`
	KnownHead   string `query:"known_head" maxLength:"64" doc:"The head that was noted with it."`
}) (*one[AssessmentHistoryCheck], error) {
	head, err := hex.DecodeString(in.KnownHead)
	if err != nil || in.KnownEvents > 0 && len(head) != 32 || in.KnownEvents == 0 && len(head) > 0 {
		return nil, invalid("query.known_head", "is not the hash that goes with known_events: 64 hexadecimal digits")
	}
	v, err := a.Assessments.Verify(ctx, assess.Anchor{Events: in.KnownEvents, Head: head})
	if err != nil {
		return nil, err
	}
	return &one[AssessmentHistoryCheck]{AssessmentHistoryCheck{
		Intact: len(v.Faults) == 0, Events: v.Events, Head: hex.EncodeToString(v.Head), Assessments: v.Assessments, Faults: orEmpty(v.Faults),
	}}, nil
}
