package api

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/store"
)

// Finder finds the images that references name; *policy.Finder is one.
type Finder interface {
	Find(ctx context.Context, text string, hosts []string, bare bool) (policy.Pull, error)
}

// Verdict is whether an image may be pulled from a place.
type Verdict struct {
	Registry   string     `json:"registry"`
	Repository string     `json:"repository"`
	Blocked    bool       `json:"blocked"`
	Warns      bool       `json:"warns" doc:"Whether there are warnings."`
	Reasons    []Reason   `json:"reasons" nullable:"false" doc:"What blocks, or would where an exception lets it through; the gravest findings first."`
	Warnings   []Reason   `json:"warnings" nullable:"false" doc:"What does not block."`
	Exception  *int64     `json:"exception_id,omitempty" doc:"The exception that lets it through although there are reasons."`
	ValidUntil *time.Time `json:"valid_until,omitempty" doc:"When time alone may change the verdict."`
}

// Reason is why an image is blocked, or what is warned of.
type Reason struct {
	Kind          string     `json:"kind" enum:"vulnerability,analysis,sources,coverage,feeds,exception"`
	Message       string     `json:"message" doc:"For people."`
	Since         *time.Time `json:"since,omitempty" doc:"When it began to hold."`
	Vulnerability string     `json:"vulnerability,omitempty" doc:"This and what follows: of the finding that it is about."`
	Severity      string     `json:"severity,omitempty" enum:"critical,high,medium,low,negligible,unknown"`
	Package       string     `json:"package,omitempty"`
	Version       string     `json:"version,omitempty"`
	State         string     `json:"state,omitempty"`
	AssessmentID  int64      `json:"assessment_id,omitempty"`
	BlocksFrom    *time.Time `json:"blocks_from,omitempty" doc:"When it will block: it is in its grace."`
}

// ShowVerdict shows the verdict of a place, as `pratique scan` prints it, too.
func ShowVerdict(registry, repository string, v policy.Verdict) Verdict {
	shown := Verdict{
		Registry: registry, Repository: repository, Blocked: v.Blocked, Warns: len(v.Warnings) > 0,
		Reasons: showReasons(v.Reasons), Warnings: showReasons(v.Warnings), ValidUntil: orNil(v.ValidUntil),
	}
	if v.Exception != nil {
		shown.Exception = &v.Exception.ID
	}
	return shown
}

func showReasons(reasons []policy.Reason) []Reason {
	shown := make([]Reason, len(reasons))
	for i, r := range reasons {
		shown[i] = Reason{Kind: string(r.Kind), Message: r.Message, Since: orNil(r.Since)}
		if f := r.Finding; f != nil {
			shown[i].Vulnerability, shown[i].Severity, shown[i].Package, shown[i].Version = f.Vulnerability, f.Severity.String(), f.Package, f.Version
			shown[i].State, shown[i].AssessmentID, shown[i].BlocksFrom = f.State, f.AssessmentID, orNil(f.From)
		}
	}
	return shown
}

// PullVerdict is how a pull of an image would be answered.
type PullVerdict struct {
	Image    string  `json:"image" doc:"The reference that was asked for."`
	Tag      string  `json:"tag,omitempty"`
	Digest   string  `json:"digest" doc:"Of the manifest that the reference names: an image, an index or another artifact."`
	Analysis string  `json:"analysis" enum:"pending,done,failed,none" doc:"Of an index: failed where any image's failed, else pending where any is. None where there is nothing to analyse."`
	Awaited  bool    `json:"sources_pending" doc:"Whether a vulnerability source has not answered yet."`
	Images   []Child `json:"images,omitempty" nullable:"false" doc:"The images of an index."`
	Verdict  Verdict `json:"verdict"`
}

func (a *API) verdict(ctx context.Context, in *struct {
	Image string `query:"image" required:"true" minLength:"1" maxLength:"1024" doc:"REGISTRY/REPOSITORY:TAG or REGISTRY/REPOSITORY@DIGEST, with or without the server's host." example:"main/app:1"`
	User  string `query:"user" maxLength:"256" doc:"Who would pull; without, who asks."`
}) (*one[PullVerdict], error) {
	admission, _, err := a.Clusters.Admission(ctx)
	if err != nil {
		return nil, err
	}
	pull, err := a.Finder.Find(ctx, in.Image, admission.Hosts, true)
	switch {
	case errors.Is(err, policy.ErrReference), errors.Is(err, policy.ErrElsewhere):
		return nil, invalid("query.image", err.Error())
	case errors.Is(err, policy.ErrAbsent):
		return nil, notFound("image %s", in.Image)
	case err != nil:
		return nil, err
	case !principal(ctx).May(auth.Read, pull.Registry):
		return nil, notFound("image %s", in.Image)
	}
	if pull.User = in.User; pull.User == "" {
		pull.User = principal(ctx).Name
	}
	v, err := a.Judge.Verdict(ctx, pull)
	if err != nil {
		return nil, err
	}
	body := PullVerdict{Image: in.Image, Tag: pull.Tag, Digest: pull.Digest, Verdict: ShowVerdict(pull.Registry, pull.Repository, v)}
	if err := a.analysisOf(ctx, &body, pull); err != nil {
		return nil, err
	}
	return &one[PullVerdict]{body}, nil
}

// analysisOf fills in how far the analysis of a manifest's images is.
func (a *API) analysisOf(ctx context.Context, body *PullVerdict, pull policy.Pull) error {
	digests := []string{pull.Digest}
	mediaType, content, err := a.Images.ManifestByDigest(ctx, pull.Digest)
	if err != nil {
		return err
	}
	_, isImage, err := image.Parse(pull.Digest, mediaType, content)
	if err != nil {
		return err
	}
	if !isImage {
		_, children, err := a.children(ctx, pull.Digest)
		if err != nil { // neither an image nor an index
			body.Analysis = "none"
			return nil //nolint:nilerr // that it is none is the answer
		}
		body.Images, digests = children[:min(len(children), maxChildren)], nil
		for _, c := range body.Images {
			digests = append(digests, c.Digest)
		}
	}
	states := make([]string, 0, len(digests))
	for i, digest := range digests {
		img, err := a.Images.ImageByDigest(ctx, digest)
		if errors.Is(err, store.ErrNotFound) {
			if isImage { // it was pushed a moment ago
				states = append(states, string(image.Pending))
			}
			continue
		}
		if err != nil {
			return err
		}
		states = append(states, string(img.State))
		if !isImage {
			body.Images[i].Analysis = string(img.State)
		}
		pending, err := a.Judge.Awaited(ctx, pull.Registry, digest)
		if err != nil {
			return err
		}
		body.Awaited = body.Awaited || len(pending) > 0
	}
	body.Analysis = "none"
	if len(states) > 0 {
		body.Analysis = slices.MaxFunc(states, func(a, b string) int { return gravityOf(a) - gravityOf(b) })
	}
	return nil
}

// gravityOf orders the states of analyses: of a whole, the gravest counts.
func gravityOf(state string) int {
	return slices.Index([]string{string(image.Done), string(image.Pending), string(image.Failed)}, state)
}
