package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/promote"
)

// Promotions copies images between registries.
type Promotions interface {
	Plan(ctx context.Context, r promote.Request) (*promote.Plan, error)
	Promote(ctx context.Context, r promote.Request) (promote.Promotion, error)
	// Promotions lists the newest first, from the one before an id on where that is not 0.
	Promotions(ctx context.Context, f promote.Filter, before int64, limit int) ([]promote.Promotion, error)
}

// Promotion is an image that was copied from one registry to another.
type Promotion struct {
	ID        int64     `json:"id"`
	At        time.Time `json:"at"`
	By        string    `json:"by"`
	From      ImageName `json:"from"`
	To        ImageName `json:"to"`
	Digest    string    `json:"digest"`
	Manifests int       `json:"manifests" doc:"How many were copied: the images of an index, signatures and bills are among them."`
	Comment   string    `json:"comment"`
}

// ImageName is where an image is.
type ImageName struct {
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	Tag        string `json:"tag" doc:"Empty where it has none."`
}

// PromotionPlan is what a promotion comes to.
type PromotionPlan struct {
	From      ImageName `json:"from"`
	To        ImageName `json:"to"`
	Digest    string    `json:"digest"`
	Manifests int       `json:"manifests"`
	Replaces  string    `json:"replaces,omitempty" doc:"The digest at which the tag points now."`
	Verdict   Verdict   `json:"verdict" doc:"Of the registry to which it goes. What waits for vulnerability sources is among the warnings: it goes, and is served when they have answered."`
}

// PromotionRequest asks for a promotion.
type PromotionRequest struct {
	From struct {
		Registry   string `json:"registry" minLength:"1" maxLength:"64"`
		Repository string `json:"repository" minLength:"1" maxLength:"256"`
		Tag        string `json:"tag,omitempty" maxLength:"128"`
		Digest     string `json:"digest,omitempty" maxLength:"256" doc:"Where it has no tag, or none is to be copied."`
	} `json:"from"`
	To struct {
		Registry   string `json:"registry" minLength:"1" maxLength:"64"`
		Repository string `json:"repository,omitempty" maxLength:"256" doc:"Without: of the same name."`
		Tag        string `json:"tag,omitempty" maxLength:"128" doc:"Without: that of from."`
	} `json:"to"`
	Comment string `json:"comment,omitempty" maxLength:"10000"`
}

func (a *API) promotions() {
	const tag = "promotions"
	register(a, operation{id: "create-promotion", access: access{place: signedIn}, method: http.MethodPost, path: "/promotions", tag: tag, status: http.StatusCreated,
		summary: "Promote an image", doc: "Copies it to another registry, with the images of an index and all that is attached to it, if the policy of that registry lets it in. No bytes are copied. For who may read the one registry and push to the other."}, a.promote)
	register(a, operation{id: "preview-promotion", access: access{place: signedIn}, method: http.MethodPost, path: "/promotions/preview", tag: tag,
		summary: "Say what a promotion comes to", doc: "Nothing changes. For who may promote it."}, a.previewPromotion)
	register(a, operation{id: "list-promotions", access: access{place: signedIn}, method: http.MethodGet, path: "/promotions", tag: tag,
		summary: "List promotions", doc: "The newest first, between registries that one may read."}, a.listPromotions)
}

// request is what is asked for, by somebody who may.
func (r PromotionRequest) request(ctx context.Context) (promote.Request, error) {
	p := principal(ctx)
	if err := mayIn(p, auth.Read, r.From.Registry); err != nil {
		return promote.Request{}, err
	}
	if err := mayIn(p, auth.Push, r.To.Registry); err != nil {
		return promote.Request{}, err
	}
	if (r.From.Tag == "") == (r.From.Digest == "") {
		return promote.Request{}, invalid("body.from", "want a tag or a digest")
	}
	return promote.Request{
		From: promote.Place{Registry: r.From.Registry, Repository: r.From.Repository, Tag: r.From.Tag}, Digest: r.From.Digest,
		To: promote.Place{Registry: r.To.Registry, Repository: r.To.Repository, Tag: r.To.Tag}, Comment: r.Comment, By: p.Name,
	}, nil
}

// inTo says that a name is wrong that the body gives.
func inTo(err error) error {
	if errors.Is(err, registry.ErrNameInvalid) {
		return invalid("body.to", err.Error())
	}
	return err
}

func (a *API) promote(ctx context.Context, in *struct{ Body PromotionRequest }) (*one[Promotion], error) {
	asked, err := in.Body.request(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.Promotion.Promote(ctx, asked)
	if err != nil {
		return nil, inTo(err)
	}
	a.changed()
	shown := showPromotion(p)
	return &one[Promotion]{shown}, a.audit(ctx, "image.promote", "image "+p.To.String(), shown)
}

func (a *API) previewPromotion(ctx context.Context, in *struct{ Body PromotionRequest }) (*one[PromotionPlan], error) {
	asked, err := in.Body.request(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.Promotion.Plan(ctx, asked)
	if err != nil {
		return nil, inTo(err)
	}
	return &one[PromotionPlan]{PromotionPlan{From: showPlace(p.From), To: showPlace(p.To), Digest: p.Digest, Manifests: p.Manifests, Replaces: p.Replaces,
		Verdict: ShowVerdict(p.To.Registry, p.To.Repository, p.Verdict)}}, nil
}

func (a *API) listPromotions(ctx context.Context, in *struct {
	Digest   string `query:"digest" maxLength:"256" doc:"Of an image."`
	Registry string `query:"registry" maxLength:"64" doc:"Those to it and from it."`
	Paging
}) (*listed[Promotion], error) {
	list := "promotions " + in.Digest + " " + in.Registry
	before, err := after[int64](in.Paging, list)
	if err != nil {
		return nil, err
	}
	found, err := a.Promotion.Promotions(ctx, promote.Filter{Digest: in.Digest, Registry: in.Registry, Readable: readable(ctx)}, orZero(before), in.PageSize+1)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(p promote.Promotion) int64 { return p.ID }, showPromotion), nil
}

func showPromotion(p promote.Promotion) Promotion {
	return Promotion{ID: p.ID, At: p.At.UTC(), By: p.By, From: showPlace(p.From), To: showPlace(p.To), Digest: p.Digest, Manifests: p.Manifests, Comment: p.Comment}
}

func showPlace(p promote.Place) ImageName { return ImageName{p.Registry, p.Repository, p.Tag} }
