package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/opencontainers/go-digest"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/store"
)

// Images answers what is known of stored images.
type Images interface {
	// ImageByDigest and ManifestByDigest return store.ErrNotFound where there is none.
	ImageByDigest(ctx context.Context, digest string) (image.Image, error)
	ManifestByDigest(ctx context.Context, digest string) (mediaType string, content []byte, err error)
	ImagePackages(ctx context.Context, digest string) ([]inventory.Installed, error)
	// ImageFindingsAt returns the findings that were known at a time.
	ImageFindingsAt(ctx context.Context, digest string, when time.Time) ([]match.Finding, error)
	// PackagesSpokenOf returns the packages of an inventory that statements on a
	// vulnerability speak of.
	PackagesSpokenOf(ctx context.Context, inventory, vulnerability int64) ([]inventory.Installed, error)
	// BaseOf returns the stored image that an image is built on, or store.ErrNotFound.
	BaseOf(ctx context.Context, img image.Image) (image.Image, error)
	// Siblings lists the images of a platform that tags of a repository stand
	// for, the last pushed first.
	Siblings(ctx context.Context, registry, repository, os, architecture, variant string, limit int) ([]image.Tagged, error)
	ImageFindings(ctx context.Context, digest string) ([]match.Finding, error)
	StatementsOn(ctx context.Context, keys []advisory.Key) (map[advisory.Key][]match.Statement, error)
	// Products returns what is known of the repositories that the packages are from.
	Products(ctx context.Context, packages []inventory.Package) (match.Products, error)
	ImageLocations(ctx context.Context, digest string) ([]assess.Location, error)
	// FeedData says what the feeds have on ecosystems ("debian:12", "npm").
	FeedData(ctx context.Context, ecosystems []string) (map[string]image.Data, error)
}

// Judge says what is decided on an image's findings at each of the places.
type Judge interface {
	Judge(ctx context.Context, digest string, places []assess.Place) ([]match.Finding, []policy.Judgement, error)
	// Verdict says how a pull would be answered.
	Verdict(ctx context.Context, pull policy.Pull) (policy.Verdict, error)
	// Awaited names the vulnerability sources of a registry that have not
	// answered on an image yet.
	Awaited(ctx context.Context, registry, digest string) ([]string, error)
}

// Image is one image, or an index of images.
type Image struct {
	Kind      string `json:"kind" enum:"image,index"`
	Digest    string `json:"digest" example:"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
	MediaType string `json:"media_type"`
	// Images are an index's.
	Images       []Child    `json:"images,omitempty" nullable:"false" doc:"The images of an index; no more than the first 256 with their analysis and findings."`
	OS           string     `json:"os,omitempty"`
	Architecture string     `json:"architecture,omitempty"`
	Variant      string     `json:"variant,omitempty"`
	ConfigDigest string     `json:"config_digest,omitempty"`
	Size         int64      `json:"size" doc:"The sum of the compressed layers in bytes; of an index, of its images."`
	LayerCount   int        `json:"layer_count"`
	PackageCount int        `json:"package_count"`
	Analysis     string     `json:"analysis" enum:"pending,done,failed" doc:"Of an index: failed where any image's failed, else pending where any is."`
	Error        string     `json:"error,omitempty" doc:"Why the analysis failed."`
	Warnings     []Warning  `json:"warnings" nullable:"false"`
	Coverage     *Coverage  `json:"coverage,omitempty" doc:"How much the findings can be relied on; absent for an index."`
	DataUpdated  *time.Time `json:"data_updated_at,omitempty" doc:"When the feeds' data on its packages was last confirmed, the oldest of it; absent where there is none."`
	Distribution string     `json:"distribution,omitempty" example:"alpine:v3.20"`
	DistroName   string     `json:"distribution_name,omitempty" example:"Alpine Linux v3.20"`
	Findings     Severities `json:"finding_counts"`
	// Sources are an image's.
	Sources    []ImageSource `json:"sources,omitempty" nullable:"false" doc:"The vulnerability sources that are attached to any registry which holds the image, and how far each of them is; absent for an index."`
	Places     []Location    `json:"places" nullable:"false" doc:"Where the manifest is stored."`
	Policy     Policies      `json:"policy" doc:"Whether it may be pulled."`
	CreatedAt  *time.Time    `json:"created_at,omitempty" doc:"When it was first pushed."`
	AnalysedAt *time.Time    `json:"analysed_at,omitempty"`
}

// Child is an image of an index.
type Child struct {
	Digest       string `json:"digest"`
	MediaType    string `json:"media_type"`
	OS           string `json:"os,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	Variant      string `json:"variant,omitempty"`
	Analysis     string `json:"analysis,omitempty" enum:"pending,done,failed" doc:"Absent where it is not an image that is stored here."`
}

// Warning is something in an image that could not be read.
type Warning struct {
	Code        string `json:"code" example:"malformed"`
	Path        string `json:"path,omitempty"`
	Message     string `json:"message"`
	LayerDigest string `json:"layer_digest,omitempty"`
}

// Coverage is how much findings can be relied on.
type Coverage struct {
	Verdict string   `json:"verdict" enum:"known,partial,unknown" doc:"No finding means clean only where it is known."`
	Reasons []string `json:"reasons" nullable:"false"`
}

// Severities counts findings.
type Severities struct {
	Critical   int `json:"critical"`
	High       int `json:"high"`
	Medium     int `json:"medium"`
	Low        int `json:"low"`
	Negligible int `json:"negligible"`
	Unknown    int `json:"unknown"`
}

func countSeverities(findings []match.Finding) (n Severities) {
	of := map[advisory.Severity]*int{
		advisory.Critical: &n.Critical, advisory.High: &n.High, advisory.Medium: &n.Medium,
		advisory.Low: &n.Low, advisory.Negligible: &n.Negligible, advisory.Unknown: &n.Unknown,
	}
	for _, f := range findings {
		if count, ok := of[f.Severity]; ok {
			*count++
		}
	}
	return n
}

// Location is where a manifest is stored.
type Location struct {
	Registry   string   `json:"registry"`
	Repository string   `json:"repository"`
	Tags       []string `json:"tags" nullable:"false"`
}

// Policies are the verdicts on an image.
type Policies struct {
	Blocked  bool      `json:"blocked" doc:"Whether it is blocked at any place."`
	Warns    bool      `json:"warns" doc:"Whether there are warnings at any place."`
	Verdicts []Verdict `json:"verdicts" nullable:"false" doc:"One for each place."`
}

type ImagePath struct {
	Digest digestParam `path:"digest" doc:"The digest of an image, algorithm:hex." example:"sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"`
}

// digestParam is a digest in a path.
type digestParam string

// Resolve refuses what is no digest.
func (d *digestParam) Resolve(huma.Context) []error {
	if err := digest.Digest(*d).Validate(); err != nil {
		return []error{&huma.ErrorDetail{Location: "path.digest", Message: "is not a digest: " + err.Error()}}
	}
	return nil
}

func (a *API) images() {
	const tag = "images"
	register(a, operation{id: "get-image", method: http.MethodGet, path: "/images/{digest}", tag: tag,
		summary: "Show an image or an index",
		doc:     "How far its analysis is, where it is stored, and whether policy lets it be pulled."}, a.image)
	register(a, operation{id: "list-image-layers", method: http.MethodGet, path: "/images/{digest}/layers", tag: tag,
		summary: "List an image's layers", doc: "In order, base first; always one page."}, a.imageLayers)
	register(a, operation{id: "list-image-packages", method: http.MethodGet, path: "/images/{digest}/packages", tag: tag,
		summary: "List an image's packages", doc: "By name, version, architecture and path."}, a.imagePackages)
	register(a, operation{id: "get-image-sbom", method: http.MethodGet, path: "/images/{digest}/sbom", tag: tag,
		summary: "Download an image's software bill of materials", doc: "With purls, and the file and layer that prove each package."}, a.imageSBOM)
	a.describeSBOM()
	register(a, operation{id: "list-image-findings", method: http.MethodGet, path: "/images/{digest}/findings", tag: tag,
		summary: "List an image's findings", doc: "The most severe first, then by vulnerability, package and path."}, a.imageFindings)
	register(a, operation{id: "get-image-remedy", method: http.MethodGet, path: "/images/{digest}/remedy", tag: tag,
		summary: "Show what would clear an image's findings",
		doc:     "Upgrades, the one that clears the most severe findings first, and newer tags of the image that it is built on."}, a.remedy)
	register(a, operation{id: "explain-vulnerability", method: http.MethodGet, path: "/images/{digest}/explain/{name}", tag: tag,
		summary: "Explain why an image is, or is not, affected by a vulnerability",
		doc:     "Down to the file that proves each package, the statement of each feed, and the versions compared."}, a.explain)
}

func (a *API) image(ctx context.Context, in *ImagePath) (*one[Image], error) {
	img, err := a.Images.ImageByDigest(ctx, string(in.Digest))
	if errors.Is(err, store.ErrNotFound) {
		return a.index(ctx, string(in.Digest))
	}
	if err != nil {
		return nil, err
	}
	locations, err := a.locations(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	findings, judgements, err := a.Judge.Judge(ctx, img.Digest, placesOf(img.Digest, locations))
	if err != nil {
		return nil, err
	}
	data, err := a.Images.FeedData(ctx, img.Ecosystems())
	if err != nil {
		return nil, err
	}
	scans, builtIn, err := a.Sources.ScansOf(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	coverage := source.Cover(img.Coverage(data, a.now()), builtIn, scans)
	body := Image{
		Kind: "image", Digest: img.Digest, MediaType: img.MediaType,
		OS: img.OS, Architecture: img.Architecture, Variant: img.Variant,
		ConfigDigest: img.ConfigDigest, Size: img.Size(), LayerCount: len(img.Layers), PackageCount: img.Packages,
		Analysis: string(img.State), Error: img.Error, Warnings: make([]Warning, len(img.Warnings)),
		Coverage:     &Coverage{Verdict: string(coverage.Verdict), Reasons: orEmpty(coverage.Reasons)},
		DataUpdated:  orNil(image.Oldest(data)),
		Distribution: img.Distribution, DistroName: img.DistributionName,
		Findings: countSeverities(findings), Places: showLocations(locations), Sources: showSources(img, scans, builtIn),
		CreatedAt: orNil(img.CreatedAt), AnalysedAt: orNil(img.AnalysedAt),
	}
	for i, w := range img.Warnings {
		body.Warnings[i] = Warning{Code: w.Code, Path: w.Path, Message: w.Message, LayerDigest: w.Layer}
	}
	body.Policy.Verdicts = []Verdict{}
	for _, j := range judgements {
		if j.Registry != "" {
			body.Policy.add(j)
		}
	}
	return &one[Image]{body}, nil
}

// add appends the verdict of a place.
func (p *Policies) add(j policy.Judgement) {
	v := ShowVerdict(j.Registry, j.Repository, j.Verdict)
	p.Verdicts = append(p.Verdicts, v)
	p.Blocked, p.Warns = p.Blocked || v.Blocked, p.Warns || v.Warns
}

// placesOf lists the places to judge an image at. One that is stored nowhere
// is judged by what holds for it wherever it is.
func placesOf(digest string, locations []assess.Location) []assess.Place {
	if len(locations) == 0 {
		return []assess.Place{{Digest: digest}}
	}
	places := make([]assess.Place, len(locations))
	for i, l := range locations {
		places[i] = assess.Place{Registry: l.Registry, Repository: l.Repository, Digest: digest}
	}
	return places
}

func showLocations(locations []assess.Location) []Location {
	shown := make([]Location, len(locations))
	for i, l := range locations {
		shown[i] = Location{Registry: l.Registry, Repository: l.Repository, Tags: orEmpty(l.Tags)}
	}
	return shown
}
