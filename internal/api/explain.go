package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
)

// ImageExplanation is why an image is, or is not, affected by a vulnerability.
type ImageExplanation struct {
	Vulnerability string             `json:"vulnerability"`
	Aliases       []string           `json:"aliases" nullable:"false"`
	Verdict       string             `json:"verdict" enum:"affected,not_affected,undetermined"`
	Reason        string             `json:"reason"`
	Packages      []ExplainedPackage `json:"packages" nullable:"false" doc:"Those that statements speak of, the decisive first."`
	Advisories    int                `json:"advisory_count" doc:"All statements on the vulnerability, on whatever package."`
	Coverage      Coverage           `json:"coverage" doc:"How much can be relied on what is not found."`
}

// ExplainedPackage is a package with what statements come to for it.
type ExplainedPackage struct {
	Package     Package              `json:"package"`
	Outcome     string               `json:"outcome" enum:"affected,fixed,before,not_affected,undetermined,withdrawn,elsewhere"`
	Reason      string               `json:"reason"`
	Path        string               `json:"path" doc:"The file that proves the package."`
	Line        int                  `json:"line,omitempty"`
	Record      string               `json:"record,omitempty" doc:"What in the file proves it, where that is not a line."`
	Detector    string               `json:"detector"`
	Owner       string               `json:"owner,omitempty"`
	LayerIndex  int                  `json:"layer_index"`
	LayerDigest string               `json:"layer_digest"`
	CreatedBy   string               `json:"created_by" doc:"The instruction that made the layer."`
	States      []PlaceState         `json:"places" nullable:"false" doc:"What is decided, at each place."`
	Statements  []ExplainedStatement `json:"statements" nullable:"false" doc:"The decisive first."`
}

// ExplainedStatement is a statement with what it comes to for a package.
type ExplainedStatement struct {
	Advisory
	Outcome   string     `json:"outcome" enum:"affected,fixed,before,not_affected,undetermined,withdrawn,elsewhere"`
	Reason    string     `json:"reason" example:"1.1.18-r3 < 1.1.18-r4 (apk)"`
	URL       string     `json:"url,omitempty" doc:"Where the document was read."`
	CheckedAt *time.Time `json:"checked_at" doc:"When the publisher last confirmed it."`
}

func (a *API) explain(ctx context.Context, in *struct {
	ImagePath
	VulnerabilityPath
}) (*one[ImageExplanation], error) {
	img, err := a.anImage(ctx, string(in.Digest))
	if err != nil {
		return nil, err
	}
	if img.State == image.Pending {
		return nil, huma.Error409Conflict("the image is not analysed yet")
	}
	data, err := a.Images.FeedData(ctx, img.Ecosystems())
	if err != nil {
		return nil, err
	}
	coverage := img.Coverage(data, a.now())
	v, err := a.Vulnerabilities.VulnerabilityByName(ctx, in.Name)
	if errors.Is(err, store.ErrNotFound) {
		return &one[ImageExplanation]{ShowUnknown(in.Name, coverage)}, nil
	}
	if err != nil {
		return nil, err
	}
	packages, err := a.Images.PackagesSpokenOf(ctx, img.InventoryID, v.ID)
	if err != nil {
		return nil, err
	}
	products, err := a.Images.Products(ctx, match.PackagesOf(packages))
	if err != nil {
		return nil, err
	}
	feeds, err := a.Feeds.Status(ctx)
	if err != nil {
		return nil, err
	}
	states, err := a.statesOf(ctx, img.Digest, v.ID)
	if err != nil {
		return nil, err
	}
	body := ShowExplanation(v, match.ExplainImage(packages, v.Statements, products), img.Layers, coverage, feeds)
	for i, p := range body.Packages {
		if of := states[fmt.Sprint(p.Package, p.Path)]; of != nil {
			body.Packages[i].States = of
		}
	}
	return &one[ImageExplanation]{body}, nil
}

// ShowUnknown shows that nobody speaks of a vulnerability.
func ShowUnknown(name string, coverage image.Coverage) ImageExplanation {
	return ImageExplanation{
		Vulnerability: name, Aliases: []string{}, Packages: []ExplainedPackage{}, Verdict: string(match.OutcomeUndetermined), Reason: "no feed speaks of " + name,
		Coverage: Coverage{Verdict: string(coverage.Verdict), Reasons: orEmpty(coverage.Reasons)},
	}
}

// ShowExplanation shows why an image of layers is, or is not, affected; nothing
// is decided on it.
func ShowExplanation(v match.Vulnerability, explained match.ImageExplanation, layers []image.Layer, coverage image.Coverage, feeds []feed.Status) ImageExplanation {
	body := ImageExplanation{
		Vulnerability: v.Name, Aliases: orEmpty(v.Aliases), Packages: []ExplainedPackage{}, Advisories: len(v.Statements),
		Verdict: string(explained.Outcome), Reason: explained.Reason,
		Coverage: Coverage{Verdict: string(coverage.Verdict), Reasons: orEmpty(coverage.Reasons)},
	}
	if explained.Outcome == match.OutcomeNotAffected && coverage.Verdict == image.Unjudged {
		body.Verdict = string(match.OutcomeUndetermined)
		body.Reason += "; but the image cannot be judged: " + coverage.Reasons[0]
	}
	documents := documentsOf(feeds)
	for _, e := range explained.Packages {
		shown := ExplainedPackage{
			Package: showPackage(e.Package.Package), Outcome: string(e.Outcome), Reason: e.Reason, States: []PlaceState{},
			Path: e.Package.Path, Line: e.Package.Line, Record: e.Package.Evidence, Detector: e.Package.Detector, Owner: e.Package.Owner,
			LayerIndex: e.Package.LayerIndex,
		}
		if i := e.Package.LayerIndex; i < len(layers) {
			shown.LayerDigest, shown.CreatedBy = layers[i].Digest, layers[i].CreatedBy
		}
		for _, s := range e.Statements {
			d := documents[document{s.Feed, s.Part}]
			shown.Statements = append(shown.Statements, ExplainedStatement{
				Advisory: showAdvisory(s.Statement), Outcome: string(s.Outcome), Reason: s.Reason, URL: d.url, CheckedAt: orNil(d.checked),
			})
		}
		body.Packages = append(body.Packages, shown)
	}
	return body
}

// document is one of a feed's; reading is where and when it was read.
type (
	document struct{ feed, part string }
	reading  struct {
		url     string
		checked time.Time
	}
)

func documentsOf(feeds []feed.Status) map[document]reading {
	documents := make(map[document]reading)
	for _, s := range feeds {
		for _, p := range s.Parts {
			documents[document{s.Name, p.Part}] = reading{p.URL, p.Checked}
		}
	}
	return documents
}

// statesOf returns what is decided on the findings of a vulnerability in an
// image, by package and path.
func (a *API) statesOf(ctx context.Context, digest string, vulnerability int64) (map[string][]PlaceState, error) {
	locations, err := a.locations(ctx, digest)
	if err != nil {
		return nil, err
	}
	findings, judgements, err := a.Judge.Judge(ctx, digest, placesOf(digest, locations))
	if err != nil {
		return nil, err
	}
	states := make(map[string][]PlaceState)
	for i, f := range findings {
		if f.VulnerabilityID == vulnerability {
			states[fmt.Sprint(showPackage(f.Package), f.Evidence.Path)] = showFinding(f, i, judgements).Places
		}
	}
	return states, nil
}
