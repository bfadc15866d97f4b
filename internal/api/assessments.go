package api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/pratique/pratique/internal/assess"
)

// Assessments takes and shows decisions; *assess.Service is one.
type Assessments interface {
	Types(ctx context.Context) ([]assess.Type, error)
	CreateType(ctx context.Context, t assess.Type) (assess.Type, error)
	ChangeType(ctx context.Context, name string, change assess.TypeChange) (assess.Type, error)
	Assess(ctx context.Context, r assess.Request) (assess.Assessment, error)
	Withdraw(ctx context.Context, id int64, by string) (assess.Assessment, error)
	Assessment(ctx context.Context, id int64) (assess.Assessment, error)
	Assessments(ctx context.Context, filter assess.Filter, live bool) ([]assess.Assessment, error)
}

// Assessment is a decision on a vulnerability in a scope.
type Assessment struct {
	ID            int64      `json:"id"`
	Vulnerability string     `json:"vulnerability"`
	Type          string     `json:"type"`
	Scope         Scope      `json:"scope"`
	Comment       string     `json:"comment"`
	Author        string     `json:"author"`
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     *time.Time `json:"expires_at" doc:"The first instant at which it does not hold; null for never."`
	Live          bool       `json:"live" doc:"Whether it holds now."`
	EndedAt       *time.Time `json:"ended_at"`
	EndedBy       string     `json:"ended_by,omitempty"`
	EndedReason   string     `json:"ended_reason,omitempty" enum:"expired,superseded,withdrawn,scope deleted"`
}

// Scope is where an assessment holds.
type Scope struct {
	Kind  string `json:"kind" enum:"everywhere,registry,repository,image,package" doc:"The narrowest live assessment decides: image, repository, registry, package, everywhere."`
	Value string `json:"value,omitempty" maxLength:"512" doc:"Empty for everywhere; main for a registry; main/app for a repository; the digest of an image; the name of a package."`
}

func showAssessment(a assess.Assessment) Assessment {
	return Assessment{
		ID: a.ID, Vulnerability: a.Vulnerability, Type: a.Type, Scope: Scope{Kind: string(a.Scope.Kind), Value: a.Scope.Value},
		Comment: a.Comment, Author: a.Author, CreatedAt: a.CreatedAt.UTC(), ExpiresAt: orNil(a.ExpiresAt),
		Live: a.EndedAt.IsZero(), EndedAt: orNil(a.EndedAt), EndedBy: a.EndedBy, EndedReason: string(a.EndedReason),
	}
}

type AssessmentPath struct {
	ID int64 `path:"id" minimum:"1"`
}

func (a *API) assessments() {
	const tag = "assessments"
	register(a, operation{id: "create-assessment", method: http.MethodPost, path: "/assessments", tag: tag, status: http.StatusCreated,
		summary: "Assess a vulnerability",
		doc:     "It supersedes the live assessment of the same vulnerability and scope, which is kept as history."}, a.createAssessment)
	register(a, operation{id: "list-assessments", method: http.MethodGet, path: "/assessments", tag: tag,
		summary: "List assessments", doc: "The newest first, with those that have ended."}, a.listAssessments)
	register(a, operation{id: "get-assessment", method: http.MethodGet, path: "/assessments/{id}", tag: tag,
		summary: "Show an assessment"}, a.assessment)
	register(a, operation{id: "withdraw-assessment", method: http.MethodDelete, path: "/assessments/{id}", tag: tag, status: http.StatusNoContent,
		summary: "Withdraw an assessment", doc: "It ends now and is kept as history."}, a.withdrawAssessment)
}

func (a *API) createAssessment(ctx context.Context, in *struct {
	Body struct {
		Vulnerability string              `json:"vulnerability" maxLength:"200" example:"CVE-2019-14697"`
		Type          string              `json:"type" maxLength:"200" example:"Block"`
		Scope         Scope               `json:"scope"`
		Comment       string              `json:"comment,omitempty" maxLength:"10000"`
		ExpiresAt     Optional[time.Time] `json:"expires_at,omitempty" doc:"Absent: after the type's days; null: never."`
	}
}) (*one[Assessment], error) {
	b := in.Body
	created, err := a.Assessments.Assess(ctx, assess.Request{
		Vulnerability: b.Vulnerability, Type: b.Type, Scope: assess.Scope{Kind: assess.ScopeKind(b.Scope.Kind), Value: b.Scope.Value},
		Comment: b.Comment, Author: principal(ctx).Name, Expiry: assess.Expiry{At: b.ExpiresAt.Value, Never: b.ExpiresAt.Null},
	})
	if err != nil {
		return nil, err
	}
	shown := showAssessment(created)
	return &one[Assessment]{shown}, a.audit(ctx, "assessment.create", "assessment "+strconv.FormatInt(created.ID, 10), shown)
}

func (a *API) listAssessments(ctx context.Context, in *struct {
	Vulnerability string `query:"vulnerability" maxLength:"200"`
	Type          string `query:"type" maxLength:"200" doc:"The name of an assessment type."`
	ScopeKind     string `query:"scope_kind" enum:"everywhere,registry,repository,image,package"`
	ScopeValue    string `query:"scope_value" maxLength:"512"`
	Live          bool   `query:"live" doc:"Only those that hold now."`
	Paging
}) (*listed[Assessment], error) {
	const list = "assessments"
	before, err := after[int64](in.Paging, list)
	if err != nil {
		return nil, err
	}
	filter := assess.Filter{
		Vulnerability: in.Vulnerability, Type: in.Type,
		Scope: assess.Scope{Kind: assess.ScopeKind(in.ScopeKind), Value: in.ScopeValue}, Limit: in.PageSize + 1,
	}
	if before != nil {
		filter.Before = *before
	}
	found, err := a.Assessments.Assessments(ctx, filter, in.Live)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(v assess.Assessment) int64 { return v.ID }, showAssessment), nil
}

func (a *API) assessment(ctx context.Context, in *AssessmentPath) (*one[Assessment], error) {
	found, err := a.Assessments.Assessment(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &one[Assessment]{showAssessment(found)}, nil
}

func (a *API) withdrawAssessment(ctx context.Context, in *AssessmentPath) (*struct{}, error) {
	ended, err := a.Assessments.Withdraw(ctx, in.ID, principal(ctx).Name)
	if err != nil {
		return nil, err
	}
	return nil, a.audit(ctx, "assessment.withdraw", "assessment "+strconv.FormatInt(ended.ID, 10), showAssessment(ended))
}
