package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/usage"
)

// Usage says how registries are used. Those that are given are who else counts where
// blobs are shared; nil is all.
type Usage interface {
	RegistryUsage(ctx context.Context, registryID int64, readable []string) (usage.Usage, error)
	RepositoryUsage(ctx context.Context, repositoryID int64, readable []string) (usage.Usage, error)
	ImageUsage(ctx context.Context, digest string, readable []string) (usage.Usage, []usage.Place, error)
	// TagPulls and RepositoryPulls leave out what was never pulled.
	TagPulls(ctx context.Context, repositoryID int64, names []string) (map[string]usage.Figures, error)
	RepositoryPulls(ctx context.Context, ids []int64) (map[int64]usage.Figures, error)
}

// PullFigures are how often something was pulled.
type PullFigures struct {
	Pulls    int64      `json:"pulls" doc:"How often it was pulled. What was pulled in the last few seconds may not be counted yet."`
	LastPull *time.Time `json:"last_pull_at" doc:"Null where it never was."`
}

// Sizes are bytes of blobs.
type Sizes struct {
	Bytes       int64 `json:"bytes" doc:"The size of all its blobs, each counted once."`
	SharedBytes int64 `json:"shared_bytes" doc:"Those of them that others have, too, of what you may read."`
	OwnBytes    int64 `json:"own_bytes" doc:"The others: what its deletion would set free."`
}

// RegistryUsage is how much a registry holds, and how it is pulled from.
type RegistryUsage struct {
	Sizes
	QuotaBytes int64 `json:"quota_bytes" doc:"What it may hold; 0 is no bound."`
	PullFigures
}

// RepositoryUsage is how much a repository holds, and how it is pulled from.
type RepositoryUsage struct {
	Sizes
	PullFigures
}

// ImageUsage is how much an image holds, and how it is pulled.
type ImageUsage struct {
	Sizes
	PullFigures
	Places []PlacePulls `json:"places" nullable:"false" doc:"How it is pulled from each repository."`
}

// PlacePulls is how an image is pulled from a repository.
type PlacePulls struct {
	Registry   string `json:"registry"`
	Repository string `json:"repository"`
	PullFigures
}

func (a *API) usage() {
	register(a, operation{id: "get-registry-usage", method: http.MethodGet, path: "/registries/{registry}/usage", tag: "registries",
		summary: "Say how much a registry holds, and how it is pulled from",
		doc:     "Shared is what other registries hold, too. An index and the image of it that a client pulls are one pull."}, a.registryUsage)
	register(a, operation{id: "get-repository-usage", method: http.MethodGet, path: "/registries/{registry}/repositories/{repository}/usage", tag: "registries",
		summary: "Say how much a repository holds, and how it is pulled from",
		doc:     "Shared is what other repositories hold, too, be they in its registry or in others. Slashes in the repository's name are written %2F, or as they are."}, a.repositoryUsage)
	register(a, operation{id: "get-image-usage", method: http.MethodGet, path: "/images/{digest}/usage", tag: "images",
		summary: "Say how much an image holds, and how it is pulled",
		doc:     "Wherever it is stored. Shared is what other images hold, too. The images of an index are a part of it, unless they have a tag or another index lists them."}, a.imageUsage)
}

func showSizes(s usage.Sizes) Sizes { return Sizes{s.Total, s.Shared, s.Own()} }

func showPulls(f usage.Figures) PullFigures { return PullFigures{f.Pulls, orNil(f.LastPull)} }

func (a *API) registryUsage(ctx context.Context, in *RegistryPath) (*one[RegistryUsage], error) {
	r, err := a.Registries.Registry(ctx, in.Registry)
	if err != nil {
		return nil, err
	}
	u, err := a.Usage.RegistryUsage(ctx, r.ID, readable(ctx))
	return &one[RegistryUsage]{RegistryUsage{showSizes(u.Sizes), r.Quota, showPulls(u.Figures)}}, err
}

func (a *API) repositoryUsage(ctx context.Context, in *struct {
	RegistryPath
	Repository string `path:"repository" doc:"The name without the registry's." example:"team/app"`
}) (*one[RepositoryUsage], error) {
	r, err := a.Registries.Repository(ctx, in.Registry, in.Repository)
	if err != nil {
		return nil, err
	}
	u, err := a.Usage.RepositoryUsage(ctx, r.ID, readable(ctx))
	return &one[RepositoryUsage]{RepositoryUsage{showSizes(u.Sizes), showPulls(u.Figures)}}, err
}

func (a *API) imageUsage(ctx context.Context, in *ImagePath) (*one[ImageUsage], error) {
	digest := string(in.Digest)
	u, places, err := a.Usage.ImageUsage(ctx, digest, readable(ctx))
	if err != nil {
		return nil, err
	}
	if len(places) == 0 {
		return nil, fmt.Errorf("image %s: %w", digest, store.ErrNotFound)
	}
	shown := ImageUsage{showSizes(u.Sizes), showPulls(u.Figures), make([]PlacePulls, len(places))}
	for i, p := range places {
		shown.Places[i] = PlacePulls{p.Registry, p.Repository, showPulls(p.Figures)}
	}
	return &one[ImageUsage]{shown}, nil
}
