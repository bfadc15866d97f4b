package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/image"
)

// Summaries answers what lists and timelines show of images.
type Summaries interface {
	// ImageSummaries leaves out what is no image and no index.
	ImageSummaries(ctx context.Context, digests []string) (map[string]image.Summary, error)
	// ImagesAtRisk looks at some registries, at all where they are nil.
	ImagesAtRisk(ctx context.Context, registries []string, limit int) ([]image.Summary, error)
	ImageHistory(ctx context.Context, digest string) ([]image.At, error)
	ImagePushes(ctx context.Context, digest string) ([]image.Push, error)
	ImageReferrers(ctx context.Context, digest string) ([]image.Referrer, error)
}

// ImageSummary is what a list shows of an image or an index.
type ImageSummary struct {
	Kind      string     `json:"kind" enum:"image,index"`
	Digest    string     `json:"digest"`
	Platforms []string   `json:"platforms" nullable:"false" example:"[\"linux/amd64\"]"`
	Size      int64      `json:"size" doc:"Of the compressed layers, in bytes; of an index, of its images."`
	Analysis  string     `json:"analysis" enum:"pending,done,failed" doc:"Of an index: of the image that is furthest behind."`
	Findings  Severities `json:"finding_counts"`
}

func showSummary(s image.Summary) ImageSummary {
	shown := ImageSummary{Kind: "image", Digest: s.Digest, Platforms: orEmpty(s.Platforms), Size: s.Size, Analysis: string(s.State),
		Findings: severitiesOf(s.Findings)}
	if s.Index {
		shown.Kind = "index"
	}
	return shown
}

func severitiesOf(n map[advisory.Severity]int) Severities {
	return Severities{Critical: n[advisory.Critical], High: n[advisory.High], Medium: n[advisory.Medium],
		Low: n[advisory.Low], Negligible: n[advisory.Negligible], Unknown: n[advisory.Unknown]}
}

// ImageAtRisk is an image with grave findings.
type ImageAtRisk struct {
	ImageSummary
	Places []Location `json:"places" nullable:"false"`
}

// ImageEvents is the life of an image.
type ImageEvents struct {
	Findings []FindingsOn `json:"findings" nullable:"false" doc:"The days on which findings came or went, in the order of time."`
	Pushes   []Push       `json:"pushes" nullable:"false" doc:"The newest first."`
}

// FindingsOn is a day on which findings came or went.
type FindingsOn struct {
	Day    time.Time  `json:"day"`
	Counts Severities `json:"finding_counts" doc:"From that day on."`
	Came   []string   `json:"came" nullable:"false" doc:"Vulnerabilities."`
	Went   []string   `json:"went" nullable:"false" doc:"Vulnerabilities of findings that a feed took back, or changed."`
}

// Push is the arrival of a manifest in a repository.
type Push struct {
	Registry   string    `json:"registry"`
	Repository string    `json:"repository"`
	PushedBy   string    `json:"pushed_by"`
	PushedAt   time.Time `json:"pushed_at"`
	Tags       []string  `json:"tags" nullable:"false" doc:"That stand for it now."`
}

// Referrer is a manifest that speaks of an image: a signature, a bill, a VEX document.
type Referrer struct {
	Registry     string            `json:"registry"`
	Repository   string            `json:"repository"`
	Digest       string            `json:"digest"`
	MediaType    string            `json:"media_type"`
	ArtifactType string            `json:"artifact_type"`
	Size         int64             `json:"size" doc:"Of the manifest, in bytes."`
	Annotations  map[string]string `json:"annotations"`
	PushedBy     string            `json:"pushed_by"`
	PushedAt     time.Time         `json:"pushed_at"`
}

func (a *API) moreOfImages() {
	const tag = "images"
	register(a, operation{id: "get-image-history", method: http.MethodGet, path: "/images/{digest}/history", tag: tag,
		summary: "Show how an image's findings changed, and when it was pushed"}, a.imageHistory)
	register(a, operation{id: "list-image-referrers", method: http.MethodGet, path: "/images/{digest}/referrers", tag: tag,
		summary: "List what refers to an image", doc: "Signatures, bills of materials, VEX documents and whatever else has it as its subject, in all repositories that hold it, the newest first; always one page."}, a.imageReferrers)
	register(a, operation{id: "list-images-at-risk", access: access{place: signedIn}, method: http.MethodGet, path: "/stats/images-at-risk", tag: "stats",
		summary: "List the images with the most grave findings", doc: "The most critical findings first, then the most high ones; always one page."}, a.imagesAtRisk)
}

func (a *API) imageHistory(ctx context.Context, in *ImagePath) (*one[ImageEvents], error) {
	digest := string(in.Digest)
	if _, _, err := a.Images.ManifestByDigest(ctx, digest); err != nil {
		return nil, err
	}
	changes, err := a.Summaries.ImageHistory(ctx, digest)
	if err != nil {
		return nil, err
	}
	pushes, err := a.Summaries.ImagePushes(ctx, digest)
	if err != nil {
		return nil, err
	}
	may := principal(ctx)
	pushes = slices.DeleteFunc(pushes, func(p image.Push) bool { return !may.May(auth.Read, p.Registry) })
	body := ImageEvents{Findings: make([]FindingsOn, len(changes)), Pushes: make([]Push, len(pushes))}
	for i, c := range changes {
		body.Findings[i] = FindingsOn{Day: c.Time, Counts: severitiesOf(c.Findings), Came: orEmpty(c.Came), Went: orEmpty(c.Went)}
	}
	for i, p := range pushes {
		body.Pushes[i] = Push{Registry: p.Registry, Repository: p.Repository, PushedBy: p.By, PushedAt: p.Time.UTC(), Tags: orEmpty(p.Tags)}
	}
	return &one[ImageEvents]{body}, nil
}

func (a *API) imageReferrers(ctx context.Context, in *ImagePath) (*listed[Referrer], error) {
	digest := string(in.Digest)
	if _, _, err := a.Images.ManifestByDigest(ctx, digest); err != nil {
		return nil, err
	}
	found, err := a.Summaries.ImageReferrers(ctx, digest)
	if err != nil {
		return nil, err
	}
	may := principal(ctx)
	found = slices.DeleteFunc(found, func(r image.Referrer) bool { return !may.May(auth.Read, r.Registry) })
	out := &listed[Referrer]{List[Referrer]{Items: make([]Referrer, len(found))}}
	for i, r := range found {
		out.Body.Items[i] = Referrer{Registry: r.Registry, Repository: r.Repository, Digest: r.Digest, MediaType: r.MediaType,
			ArtifactType: r.ArtifactType, Size: r.Size, Annotations: r.Annotations, PushedBy: r.By, PushedAt: r.Time.UTC()}
		if r.Annotations == nil {
			out.Body.Items[i].Annotations = map[string]string{}
		}
	}
	return out, nil
}

func (a *API) imagesAtRisk(ctx context.Context, in *struct {
	Limit int `query:"limit" default:"10" minimum:"1" maximum:"100"`
}) (*listed[ImageAtRisk], error) {
	found, err := a.Summaries.ImagesAtRisk(ctx, readable(ctx), in.Limit)
	if err != nil {
		return nil, err
	}
	out := &listed[ImageAtRisk]{List[ImageAtRisk]{Items: make([]ImageAtRisk, len(found))}}
	for i, s := range found {
		locations, err := a.locations(ctx, s.Digest)
		if err != nil {
			return nil, err
		}
		out.Body.Items[i] = ImageAtRisk{showSummary(s), showLocations(locations)}
	}
	return out, nil
}
