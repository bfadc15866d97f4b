package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/pratique/pratique/internal/assess"
)

// Assessments takes and shows decisions; *assess.Service is one.
type Assessments interface {
	Types(ctx context.Context) ([]assess.Type, error)
	Type(ctx context.Context, name string) (assess.Type, error)
	CreateType(ctx context.Context, t assess.Type) (assess.Type, error)
	ChangeType(ctx context.Context, name string, change assess.TypeChange, version int64) (assess.Type, error)
	OrderTypes(ctx context.Context, names []string) ([]assess.Type, error)
	DeleteType(ctx context.Context, name, replacement, by string, version int64) error

	Assess(ctx context.Context, r assess.Request) (assess.Assessment, error)
	AssessAll(ctx context.Context, requests []assess.Request, at assess.Locate) ([]assess.Assessment, error)
	Edit(ctx context.Context, id int64, e assess.Edit) (assess.Assessment, error)
	Withdraw(ctx context.Context, id int64, by string, version int64) (assess.Assessment, error)
	Assessment(ctx context.Context, id int64) (assess.Assessment, error)
	Assessments(ctx context.Context, filter assess.Filter, live bool) ([]assess.Assessment, error)
	Preview(ctx context.Context, requests []assess.Request, at assess.Locate, patience time.Duration) (assess.Preview, error)

	Events(ctx context.Context, filter assess.EventFilter) ([]assess.Event, error)
	Verify(ctx context.Context, anchor assess.Anchor) (assess.Verification, error)

	Import(ctx context.Context, lines []assess.ImportLine, opts assess.ImportOptions) (assess.ImportResult, error)
}

// Assessment is a decision on a vulnerability in a scope.
type Assessment struct {
	ID            int64      `json:"id"`
	Vulnerability string     `json:"vulnerability"`
	Type          string     `json:"type"`
	Scope         Scope      `json:"scope"`
	Comment       string     `json:"comment"`
	Justification string     `json:"justification,omitempty" doc:"Why it does not matter, in the words of VEX."`
	Author        string     `json:"author" doc:"A user, the author of a VEX document, or rule: and the name of the type whose rule took it."`
	Automatic     bool       `json:"automatic" doc:"Whether a rule took it. What people decide comes before."`
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     *time.Time `json:"expires_at" doc:"The first instant at which it does not hold; null for never."`
	Live          bool       `json:"live" doc:"Whether it holds now."`
	EndedAt       *time.Time `json:"ended_at"`
	EndedBy       string     `json:"ended_by,omitempty"`
	EndedReason   string     `json:"ended_reason,omitempty" enum:"expired,superseded,withdrawn,scope deleted,rule ended,fix available,severity raised,exploited"`
	EndedNote     string     `json:"ended_note,omitempty" doc:"What made it end."`
}

// Scope is where an assessment holds.
type Scope struct {
	Kind  string `json:"kind" enum:"everywhere,registry,repository,image,package" doc:"The narrowest live assessment decides: image, repository, registry, package, everywhere; what people decide comes before what rules do."`
	Value string `json:"value,omitempty" maxLength:"512" doc:"Empty for everywhere; main for a registry; main/app for a repository; the digest of an image; the name of a package, or NAME@VERSION for one version of it."`
}

func (s Scope) scope() assess.Scope {
	return assess.Scope{Kind: assess.ScopeKind(s.Kind), Value: s.Value}
}

func showScope(s assess.Scope) Scope { return Scope{Kind: string(s.Kind), Value: s.Value} }

func showAssessment(a assess.Assessment) Assessment {
	return Assessment{
		ID: a.ID, Vulnerability: a.Vulnerability, Type: a.Type, Scope: showScope(a.Scope),
		Comment: a.Comment, Justification: a.Justification, Author: a.Author, Automatic: a.Automatic, CreatedAt: a.CreatedAt.UTC(), ExpiresAt: orNil(a.ExpiresAt),
		Live: a.EndedAt.IsZero(), EndedAt: orNil(a.EndedAt), EndedBy: a.EndedBy, EndedReason: string(a.EndedReason), EndedNote: a.EndedNote,
	}
}

func taggedAssessment(a assess.Assessment) *tagged[Assessment] {
	return &tagged[Assessment]{ETag: etag(a.Version), Body: showAssessment(a)}
}

type AssessmentPath struct {
	ID int64 `path:"id" minimum:"1"`
}

// Decision is what is decided, and for how long.
type Decision struct {
	Type          string              `json:"type" maxLength:"200" example:"Block"`
	Comment       string              `json:"comment,omitempty" maxLength:"10000"`
	Justification string              `json:"justification,omitempty" enum:"component_not_present,vulnerable_code_not_present,vulnerable_code_not_in_execute_path,vulnerable_code_cannot_be_controlled_by_adversary,inline_mitigations_already_exist" doc:"Why it does not matter, in the words of VEX."`
	ExpiresAt     Optional[time.Time] `json:"expires_at,omitempty" doc:"Absent: after the type's days; null: never."`
}

func (d Decision) request(ctx context.Context, vulnerability string, scope Scope) assess.Request {
	return assess.Request{
		Vulnerability: vulnerability, Type: d.Type, Scope: scope.scope(), Comment: d.Comment, Justification: d.Justification,
		Author: principal(ctx).Name, Expiry: expiry(d.ExpiresAt),
	}
}

func (a *API) assessments() {
	const tag = "assessments"
	register(a, operation{id: "create-assessment", access: access{place: signedIn}, method: http.MethodPost, path: "/assessments", tag: tag, status: http.StatusCreated,
		summary: "Assess a vulnerability",
		doc:     "It supersedes the live assessment of the same vulnerability and scope, which is kept as history."}, a.createAssessment)
	register(a, operation{id: "list-assessments", access: access{place: signedIn}, method: http.MethodGet, path: "/assessments", tag: tag,
		summary: "List assessments", doc: "With those that have ended."}, a.listAssessments)
	register(a, operation{id: "get-assessment", access: access{place: signedIn}, method: http.MethodGet, path: "/assessments/{id}", tag: tag,
		summary: "Show an assessment"}, a.assessment)
	register(a, operation{id: "change-assessment", access: access{place: signedIn}, method: http.MethodPatch, path: "/assessments/{id}", tag: tag,
		summary: "Edit a live assessment", doc: "Its comment, justification or expiry; what is absent stays. Another decision is another assessment."}, a.changeAssessment)
	register(a, operation{id: "withdraw-assessment", access: access{place: signedIn}, method: http.MethodDelete, path: "/assessments/{id}", tag: tag, status: http.StatusNoContent,
		summary: "Withdraw an assessment", doc: "It ends now and is kept as history."}, a.withdrawAssessment)
	a.assessmentBulk()
	a.assessmentHistory()
	a.assessmentImport()
	a.assessmentExport()
}

func (a *API) createAssessment(ctx context.Context, in *struct {
	Body struct {
		Vulnerability string `json:"vulnerability" maxLength:"200" example:"CVE-2019-14697"`
		Scope         Scope  `json:"scope"`
		Decision
	}
}) (*tagged[Assessment], error) {
	if err := a.mayAssess(ctx, in.Body.Scope.scope()); err != nil {
		return nil, err
	}
	created, err := a.Assessments.Assess(ctx, in.Body.request(ctx, in.Body.Vulnerability, in.Body.Scope))
	if err != nil {
		return nil, err
	}
	return taggedAssessment(created), a.audit(ctx, "assessment.create", "assessment "+strconv.FormatInt(created.ID, 10), showAssessment(created))
}

func (a *API) listAssessments(ctx context.Context, in *struct {
	Vulnerability string `query:"vulnerability" maxLength:"200"`
	Type          string `query:"type" maxLength:"200" doc:"The name of an assessment type."`
	ScopeKind     string `query:"scope_kind" enum:"everywhere,registry,repository,image,package"`
	ScopeValue    string `query:"scope_value" maxLength:"512"`
	Author        string `query:"author" maxLength:"200"`
	Automatic     string `query:"automatic" enum:"true,false" doc:"Only those that rules took, or only others."`
	Live          bool   `query:"live" doc:"Only those that hold now."`
	Sort          string `query:"sort" enum:"created_at,expires_at,vulnerability" default:"created_at" doc:"What the list is ordered by. What never expires comes after all that does."`
	Order         string `query:"order" enum:"asc,desc" doc:"Which end comes first; by default the newest, what expires next, and names from A to Z."`
	Paging
}) (*listed[Assessment], error) {
	ascending := in.Order == "asc" || in.Order == "" && in.Sort != string(assess.ByCreation)
	list := "assessments " + in.Sort
	if ascending {
		list += " asc"
	}
	from, err := after[assess.Cursor](in.Paging, list)
	if err != nil {
		return nil, err
	}
	filter := assess.Filter{
		Vulnerability: in.Vulnerability, Type: in.Type, Author: in.Author,
		Scope: assess.Scope{Kind: assess.ScopeKind(in.ScopeKind), Value: in.ScopeValue}, In: readable(ctx), Limit: in.PageSize + 1,
	}
	if in.Automatic != "" {
		automatic := in.Automatic == "true"
		filter.Automatic = &automatic
	}
	filter.Sort, filter.Ascending, filter.After = assess.Sort(in.Sort), ascending, from
	found, err := a.Assessments.Assessments(ctx, filter, in.Live)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, assess.Assessment.Cursor, showAssessment), nil
}

func (a *API) assessment(ctx context.Context, in *AssessmentPath) (*tagged[Assessment], error) {
	found, err := a.seenAssessment(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return taggedAssessment(found), nil
}

// seenAssessment is one that the principal may know of.
func (a *API) seenAssessment(ctx context.Context, id int64) (assess.Assessment, error) {
	found, err := a.Assessments.Assessment(ctx, id)
	if err != nil {
		return found, err
	}
	if sees, err := a.sees(ctx, found.Scope); err != nil || sees {
		return found, err
	}
	return assess.Assessment{}, fmt.Errorf("assessment %d: %w", id, assess.ErrNotFound)
}

// mayChange refuses who may not decide where an assessment holds.
func (a *API) mayChange(ctx context.Context, id int64) error {
	found, err := a.seenAssessment(ctx, id)
	if err != nil {
		return err
	}
	return a.mayAssess(ctx, found.Scope)
}

func (a *API) changeAssessment(ctx context.Context, in *struct {
	AssessmentPath
	IfMatch
	Body struct {
		Comment       *string             `json:"comment,omitempty" maxLength:"10000"`
		Justification *string             `json:"justification,omitempty" enum:",component_not_present,vulnerable_code_not_present,vulnerable_code_not_in_execute_path,vulnerable_code_cannot_be_controlled_by_adversary,inline_mitigations_already_exist" doc:"Empty for none."`
		ExpiresAt     Optional[time.Time] `json:"expires_at,omitempty" doc:"Null: never."`
	}
}) (*tagged[Assessment], error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	if err := a.mayChange(ctx, in.ID); err != nil {
		return nil, err
	}
	edit := assess.Edit{Comment: in.Body.Comment, Justification: in.Body.Justification, By: principal(ctx).Name, Version: version}
	if e := in.Body.ExpiresAt; e.Sent {
		edit.Expiry = &assess.Expiry{At: e.Value, Never: e.Null}
	}
	edited, err := a.Assessments.Edit(ctx, in.ID, edit)
	if err != nil {
		return nil, err
	}
	return taggedAssessment(edited), a.audit(ctx, "assessment.change", "assessment "+strconv.FormatInt(edited.ID, 10), showAssessment(edited))
}

func (a *API) withdrawAssessment(ctx context.Context, in *struct {
	AssessmentPath
	IfMatch
}) (*struct{}, error) {
	version, err := in.version()
	if err != nil {
		return nil, err
	}
	if err := a.mayChange(ctx, in.ID); err != nil {
		return nil, err
	}
	ended, err := a.Assessments.Withdraw(ctx, in.ID, principal(ctx).Name, version)
	if err != nil {
		return nil, err
	}
	return nil, a.audit(ctx, "assessment.withdraw", "assessment "+strconv.FormatInt(ended.ID, 10), showAssessment(ended))
}
