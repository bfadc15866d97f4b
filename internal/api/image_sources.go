package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/source"
)

// ImageSource is how far a vulnerability source is with an image.
type ImageSource struct {
	Name       string     `json:"name"`
	State      string     `json:"state" enum:"queued,running,answered,waiting,quarantined" doc:"Waiting: a try failed, and there is another one at next_try_at. Quarantined: it was given up, for the reason in error, until someone asks again."`
	AskedAt    *time.Time `json:"asked_at,omitempty" doc:"The start of the last try."`
	AnsweredAt *time.Time `json:"answered_at,omitempty" doc:"The last good answer, which stands until there is a newer one."`
	NextTryAt  *time.Time `json:"next_try_at,omitempty"`
	Attempts   int        `json:"attempts" doc:"Since it was last asked for."`
	Error      string     `json:"error" doc:"Why the last try failed; empty where it did not."`
}

func showScan(c source.Scan) ImageSource {
	shown := ImageSource{Name: c.Source, State: string(c.State), AskedAt: orNil(c.AskedAt), AnsweredAt: orNil(c.AnsweredAt), Attempts: c.Attempts, Error: c.Error}
	if c.State == source.Waiting || c.State == source.Queued {
		shown.NextTryAt = orNil(c.NextTryAt)
	}
	return shown
}

// showSources shows how far the sources of an image are, the built-in analyser first.
func showSources(img image.Image, scans []source.Scan, builtIn bool) []ImageSource {
	shown := []ImageSource{}
	if builtIn {
		state := map[image.State]source.State{image.Pending: source.Running, image.Done: source.Answered, image.Failed: source.Quarantined}[img.State]
		shown = append(shown, ImageSource{Name: source.BuiltIn, State: string(state), AnsweredAt: orNil(img.AnalysedAt), Error: img.Error})
	}
	for _, c := range scans {
		shown = append(shown, showScan(c))
	}
	return shown
}

// Disagreement is a vulnerability of a package of which sources say different things.
type Disagreement struct {
	Vulnerability string   `json:"vulnerability"`
	Severity      string   `json:"severity" enum:"critical,high,medium,low,negligible,unknown"`
	Package       Package  `json:"package"`
	On            []string `json:"on" nullable:"false" enum:"reported,severity,fixed_version" doc:"What they disagree on."`
	Sources       []Word   `json:"sources" nullable:"false" doc:"What each source that has answered says."`
}

// Word is what one source says.
type Word struct {
	Source        string `json:"source"`
	Reports       bool   `json:"reports" doc:"Whether it reports the vulnerability at all."`
	Vulnerability string `json:"vulnerability,omitempty" doc:"What it calls it."`
	Severity      string `json:"severity,omitempty" enum:"critical,high,medium,low,negligible,unknown"`
	FixedVersion  string `json:"fixed_version,omitempty"`
	Link          string `json:"link,omitempty"`
}

func showDisagreement(d source.Disagreement) Disagreement {
	shown := Disagreement{Vulnerability: d.Vulnerability, Severity: d.Severity.String(), Package: showPackage(d.Package), On: d.On}
	for _, w := range d.Words {
		word := Word{Source: w.Source, Reports: w.Reports, Vulnerability: w.Vulnerability, FixedVersion: w.Fixed, Link: w.Link}
		if w.Reports {
			word.Severity = w.Severity.String()
		}
		shown.Sources = append(shown.Sources, word)
	}
	return shown
}

func (a *API) imageSources() {
	register(a, operation{id: "list-disagreements", method: http.MethodGet, path: "/images/{digest}/disagreements", tag: "images",
		summary: "List what vulnerability sources disagree on", doc: "The most severe first, then by vulnerability and package. Sources that have not answered are left out; of one alone there is nothing to list."}, a.disagreements)
	register(a, operation{id: "scan-image", method: http.MethodPost, path: "/images/{digest}/scan", tag: "images", status: http.StatusAccepted,
		summary: "Ask an image's external vulnerability sources again", doc: "Also those that gave up. What they answered stands until they answer again.", access: access{ofImage, auth.Administer}}, a.scanImage)
}

type disagreementKey struct {
	Severity      advisory.Severity `json:"s"`
	Vulnerability string            `json:"v"`
	Package       inventory.Package `json:"p"`
}

func compareDisagreements(a, b disagreementKey) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), strings.Compare(a.Vulnerability, b.Vulnerability),
		strings.Compare(a.Package.Name, b.Package.Name), strings.Compare(a.Package.Version, b.Package.Version),
		strings.Compare(a.Package.Architecture, b.Package.Architecture), strings.Compare(a.Package.Type, b.Package.Type),
		strings.Compare(a.Package.Distribution, b.Package.Distribution), strings.Compare(a.Package.SourceName, b.Package.SourceName),
		strings.Compare(a.Package.SourceVersion, b.Package.SourceVersion), strings.Compare(a.Package.Module, b.Package.Module),
		strings.Compare(a.Package.Repositories, b.Package.Repositories))
}

func (a *API) disagreements(ctx context.Context, in *struct {
	ImagePath
	Paging
}) (*listed[Disagreement], error) {
	img, err := a.anImage(ctx, string(in.Digest))
	if err != nil {
		return nil, err
	}
	scans, builtIn, err := a.Sources.ScansOf(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	var answered []string
	if builtIn && img.State == image.Done {
		answered = append(answered, source.BuiltIn)
	}
	for _, c := range scans {
		if !c.AnsweredAt.IsZero() {
			answered = append(answered, c.Source)
		}
	}
	found, err := a.Images.ImageFindings(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	list := source.Disagreements(found, answered)
	key := func(d source.Disagreement) disagreementKey {
		return disagreementKey{d.Severity, d.Vulnerability, d.Package}
	}
	slices.SortFunc(list, func(a, b source.Disagreement) int { return compareDisagreements(key(a), key(b)) })
	return slicePage(in.Paging, "disagreements "+img.Digest, list, key, compareDisagreements, showDisagreement)
}

// Asked says who is asked again.
type Asked struct {
	Sources []string `json:"sources" nullable:"false"`
}

func (a *API) scanImage(ctx context.Context, in *ImagePath) (*one[Asked], error) {
	img, err := a.anImage(ctx, string(in.Digest))
	if err != nil {
		return nil, err
	}
	names, err := a.Sources.Ask(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	shown := Asked{orEmpty(names)}
	return &one[Asked]{shown}, a.audit(ctx, "image.scan", "image "+img.Digest, shown)
}
