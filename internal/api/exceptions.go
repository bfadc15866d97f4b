package api

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/policy"
)

// PolicyException lets pulls through that policy would refuse.
type PolicyException struct {
	ID         int64      `json:"id"`
	Registry   string     `json:"registry" doc:"Empty, here and in the next members: any."`
	Repository string     `json:"repository"`
	Tag        string     `json:"tag"`
	User       string     `json:"user"`
	Digest     string     `json:"digest"`
	Comment    string     `json:"comment"`
	Author     string     `json:"author"`
	CreatedAt  time.Time  `json:"created_at"`
	ExpiresAt  time.Time  `json:"expires_at" doc:"The first instant at which it does not hold."`
	Live       bool       `json:"live" doc:"Whether it holds now."`
	EndedAt    *time.Time `json:"ended_at"`
	EndedBy    string     `json:"ended_by,omitempty" doc:"The name system where it expired."`
}

func showException(e policy.Exception) PolicyException {
	return PolicyException{ID: e.ID, Registry: e.Registry, Repository: e.Repository, Tag: e.Tag, User: e.User, Digest: e.Digest,
		Comment: e.Comment, Author: e.Author, CreatedAt: e.CreatedAt.UTC(), ExpiresAt: e.ExpiresAt.UTC(),
		Live: e.EndedAt.IsZero(), EndedAt: orNil(e.EndedAt), EndedBy: e.EndedBy}
}

func (a *API) exceptions() {
	const tag = "policies"
	register(a, operation{id: "create-policy-exception", method: http.MethodPost, path: "/policy-exceptions", tag: tag, status: http.StatusCreated,
		summary: "Grant an exception from policy", doc: "It lets pulls through that policy would refuse, until it expires. What is left out does not restrict it.", administrators: true}, a.createException)
	register(a, operation{id: "list-policy-exceptions", access: access{place: signedIn}, method: http.MethodGet, path: "/policy-exceptions", tag: tag,
		summary: "List exceptions from policy", doc: "The newest first, with those that have ended."}, a.listExceptions)
	register(a, operation{id: "get-policy-exception", access: access{place: signedIn}, method: http.MethodGet, path: "/policy-exceptions/{id}", tag: tag,
		summary: "Show an exception from policy"}, a.exception)
	register(a, operation{id: "end-policy-exception", method: http.MethodDelete, path: "/policy-exceptions/{id}", tag: tag, status: http.StatusNoContent,
		summary: "End an exception from policy", doc: "It ends now and is kept as history.", administrators: true}, a.endException)
}

type ExceptionPath struct {
	ID int64 `path:"id" minimum:"1"`
}

func (a *API) createException(ctx context.Context, in *struct {
	Body struct {
		Registry   string    `json:"registry,omitempty" maxLength:"64" doc:"The name of a registry." example:"main"`
		Repository string    `json:"repository,omitempty" maxLength:"256" doc:"A pattern of names without the registry's: * stands for any text, ? for one character." example:"team/*"`
		Tag        string    `json:"tag,omitempty" maxLength:"256" doc:"A pattern of tags of the image, or of an index that holds it." example:"1.*"`
		User       string    `json:"user,omitempty" maxLength:"256" doc:"A pattern of names of users and robots."`
		Digest     string    `json:"digest,omitempty" maxLength:"256" doc:"The digest of an image, or of an index that holds it."`
		Comment    string    `json:"comment" minLength:"1" maxLength:"10000" doc:"Why."`
		ExpiresAt  time.Time `json:"expires_at" doc:"When it ends, within ten years."`
	}
}) (*one[PolicyException], error) {
	b := in.Body
	created, err := a.Policies.Except(ctx, policy.Exception{Registry: b.Registry, Repository: b.Repository, Tag: b.Tag, User: b.User,
		Digest: b.Digest, Comment: b.Comment, ExpiresAt: b.ExpiresAt, Author: principal(ctx).Name})
	if err != nil {
		return nil, err
	}
	shown := showException(created)
	return &one[PolicyException]{shown}, a.audit(ctx, "policy-exception.create", "policy exception "+strconv.FormatInt(created.ID, 10), shown)
}

func (a *API) listExceptions(ctx context.Context, in *struct {
	Registry string `query:"registry" maxLength:"64" doc:"Those that hold in it, with those of all registries."`
	Live     bool   `query:"live" doc:"Only those that hold now."`
	Paging
}) (*listed[PolicyException], error) {
	const list = "policy-exceptions"
	before, err := after[int64](in.Paging, list)
	if err != nil {
		return nil, err
	}
	found, err := a.Policies.Exceptions(ctx, policy.ExceptionFilter{Registry: in.Registry, Before: orZero(before), Limit: in.PageSize + 1}, in.Live)
	if err != nil {
		return nil, err
	}
	shown := page(in.Paging, list, found, func(e policy.Exception) int64 { return e.ID }, showException)
	p := principal(ctx)
	// A page can be short for who may not see all; the list goes on all the same.
	shown.Body.Items = slices.DeleteFunc(shown.Body.Items, func(e PolicyException) bool { return e.Registry != "" && !p.May(auth.Read, e.Registry) })
	return shown, nil
}

func (a *API) exception(ctx context.Context, in *ExceptionPath) (*one[PolicyException], error) {
	found, err := a.Policies.Exception(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if found.Registry != "" && !principal(ctx).May(auth.Read, found.Registry) {
		return nil, policy.ErrNotFound
	}
	return &one[PolicyException]{showException(found)}, nil
}

func (a *API) endException(ctx context.Context, in *ExceptionPath) (*struct{}, error) {
	ended, err := a.Policies.EndException(ctx, in.ID, principal(ctx).Name)
	if err != nil {
		return nil, err
	}
	return nil, a.audit(ctx, "policy-exception.end", "policy exception "+strconv.FormatInt(ended.ID, 10), showException(ended))
}
