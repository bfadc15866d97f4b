package api

import (
	"context"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/match"
)

// Stats counts what is stored at a time.
type Stats interface {
	Stats(ctx context.Context, at time.Time) (match.Stats, error)
	// StatsIn counts what is stored in some registries.
	StatsIn(ctx context.Context, registries []string, at time.Time) (match.Stats, error)
}

// Counts are what is stored.
type Counts struct {
	CountedAt       time.Time   `json:"counted_at" doc:"When all but vulnerabilities and assessments were counted: where much is stored, up to a minute ago."`
	Registries      int         `json:"registries"`
	Repositories    int         `json:"repositories"`
	Tags            int         `json:"tags"`
	Images          ImageCounts `json:"images"`
	BlobBytes       int64       `json:"blob_bytes" doc:"The size of all blobs that some repository holds."`
	Packages        int         `json:"packages" doc:"Distinct packages."`
	Vulnerabilities Severities  `json:"vulnerabilities" doc:"Those that affect any of the packages."`
	Assessments     int         `json:"assessments" doc:"Those that hold now."`
	Uncounted       int         `json:"uncounted" doc:"Of so many images and vulnerabilities the lists do not show yet what has just changed; it takes seconds. The findings and the verdict of an image are always those of now."`
}

// ImageCounts are images by the state of their analysis.
type ImageCounts struct {
	Pending int `json:"pending"`
	Done    int `json:"done"`
	Failed  int `json:"failed"`
}

func (a *API) stats() {
	register(a, operation{id: "get-stats", access: access{place: signedIn}, method: http.MethodGet, path: "/stats", tag: "stats",
		summary: "Count what is stored", doc: "In the registries that one may read."}, a.counts)
}

func (a *API) counts(ctx context.Context, _ *struct{}) (*one[Counts], error) {
	count := a.Stats.Stats
	if names := readable(ctx); names != nil {
		count = func(ctx context.Context, at time.Time) (match.Stats, error) { return a.Stats.StatsIn(ctx, names, at) }
	}
	s, err := count(ctx, a.now())
	if err != nil {
		return nil, err
	}
	return &one[Counts]{Counts{
		CountedAt: s.CountedAt.UTC(), Registries: s.Registries, Repositories: s.Repositories, Tags: s.Tags, BlobBytes: s.BlobBytes,
		Packages: s.Packages, Assessments: s.Assessments, Uncounted: s.Uncounted,
		Images: ImageCounts{Pending: s.Images[image.Pending], Done: s.Images[image.Done], Failed: s.Images[image.Failed]},
		Vulnerabilities: Severities{
			Critical: s.Vulnerabilities[advisory.Critical], High: s.Vulnerabilities[advisory.High],
			Medium: s.Vulnerabilities[advisory.Medium], Low: s.Vulnerabilities[advisory.Low],
			Negligible: s.Vulnerabilities[advisory.Negligible], Unknown: s.Vulnerabilities[advisory.Unknown],
		},
	}}, nil
}
