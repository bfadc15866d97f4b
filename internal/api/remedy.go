package api

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/store"
)

// Remedy is what would clear an image's findings.
type Remedy struct {
	Findings Severities `json:"finding_counts" doc:"Now."`
	Left     Severities `json:"left_counts" doc:"After all upgrades."`
	Base     Base       `json:"base"`
	Upgrades []Upgrade  `json:"upgrades" nullable:"false" doc:"The one that clears the most severe findings first; the first N are the best N."`
}

// Base is the image that an image is built on.
type Base struct {
	Known  string     `json:"known" enum:"stored,history,no" doc:"Whether the base is stored here, is told by the image's history alone, or is not known."`
	Layers int        `json:"layer_count" doc:"How many of the first layers are its."`
	Digest string     `json:"digest,omitempty"`
	Places []Location `json:"places" nullable:"false"`
	Counts Severities `json:"finding_counts" doc:"The findings in its layers."`
	Newer  []NewerTag `json:"newer_tags" nullable:"false" doc:"Tags beside it that were pushed later, the last first; the last ten."`
}

// NewerTag is a tag beside the base that was pushed later.
type NewerTag struct {
	Registry   string     `json:"registry"`
	Repository string     `json:"repository"`
	Tag        string     `json:"tag"`
	Digest     string     `json:"digest"`
	PushedAt   time.Time  `json:"pushed_at"`
	Counts     Severities `json:"finding_counts"`
	Cleared    Severities `json:"cleared_counts" doc:"Findings of the base that it does not have."`
	Gained     Severities `json:"gained_counts" doc:"Findings that the base does not have."`
}

// Upgrade is a change of version and what it clears.
type Upgrade struct {
	Type         string     `json:"type" example:"deb"`
	Distribution string     `json:"distribution,omitempty"`
	Name         string     `json:"name" doc:"The source package where that is what publishers fix."`
	Packages     []string   `json:"packages" nullable:"false" doc:"The installed packages."`
	From         []string   `json:"from" nullable:"false"`
	To           string     `json:"to"`
	In           string     `json:"in" enum:"base,own,both" doc:"Whether the packages are in layers of the base image; own where the base is not known."`
	Layers       []int      `json:"layers" nullable:"false"`
	Counts       Severities `json:"cleared_counts"`
	Cleared      []string   `json:"cleared" nullable:"false" doc:"Vulnerabilities."`
	Left         []string   `json:"left" nullable:"false" doc:"Vulnerabilities of the packages that stay."`
	Gained       []string   `json:"gained" nullable:"false" doc:"Vulnerabilities that only the new version has."`
}

func (a *API) remedy(ctx context.Context, in *ImagePath) (*one[Remedy], error) {
	img, err := a.anImage(ctx, string(in.Digest))
	if err != nil {
		return nil, err
	}
	if img.State == image.Pending {
		return nil, huma.Error409Conflict("the image is not analysed yet")
	}
	findings, err := a.Images.ImageFindings(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	base, err := a.base(ctx, img, findings)
	if err != nil {
		return nil, err
	}
	packages := make([]inventory.Package, len(findings))
	for i, f := range findings {
		packages[i] = f.Package
	}
	products, err := a.Images.Products(ctx, packages)
	if err != nil {
		return nil, err
	}
	var keys []advisory.Key
	for _, p := range packages {
		for _, h := range match.Keys(p, products) {
			keys = append(keys, h.Key)
		}
	}
	statements, err := a.Images.StatementsOn(ctx, keys)
	if err != nil {
		return nil, err
	}
	body := Remedy{Findings: countSeverities(findings), Left: countSeverities(findings), Base: base, Upgrades: []Upgrade{}}
	for _, u := range match.Remedy(findings, statements, products) {
		shown := Upgrade{
			Type: u.Type, Distribution: u.Distribution, Name: u.Name, Packages: u.Packages, From: u.From, To: u.To, Layers: u.Layers,
			In: "own", Counts: countSeverities(u.Cleared), Cleared: namesOf(u.Cleared), Left: namesOf(u.Left), Gained: orEmpty(u.Gained),
		}
		switch {
		case u.Layers[len(u.Layers)-1] < base.Layers:
			shown.In = "base"
		case u.Layers[0] < base.Layers:
			shown.In = "both"
		}
		body.Left.subtract(shown.Counts)
		body.Upgrades = append(body.Upgrades, shown)
	}
	return &one[Remedy]{body}, nil
}

// namesOf lists the vulnerabilities of findings, sorted, each once.
func namesOf(findings []match.Finding) []string {
	names := make([]string, 0, len(findings))
	for _, f := range findings {
		names = append(names, f.Vulnerability)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (n *Severities) subtract(m Severities) {
	n.add(Severities{-m.Critical, -m.High, -m.Medium, -m.Low, -m.Negligible, -m.Unknown})
}

// base finds the image that an image is built on, and newer tags beside it.
func (a *API) base(ctx context.Context, img image.Image, findings []match.Finding) (Base, error) {
	b := Base{Known: "no", Places: []Location{}, Newer: []NewerTag{}}
	stored, err := a.Images.BaseOf(ctx, img)
	switch {
	case err == nil:
		b.Known, b.Layers, b.Digest = "stored", len(stored.Layers), stored.Digest
	case !errors.Is(err, store.ErrNotFound):
		return b, err
	case img.BaseLayers > 0:
		b.Known, b.Layers = "history", img.BaseLayers
	}
	var inBase []match.Finding
	for _, f := range findings {
		if f.LayerIndex < b.Layers {
			inBase = append(inBase, f)
		}
	}
	b.Counts = countSeverities(inBase)
	if b.Digest == "" {
		return b, nil
	}
	locations, err := a.locations(ctx, b.Digest)
	if err != nil {
		return b, err
	}
	if len(locations) == 0 && !principal(ctx).MayEverywhere(auth.Read) {
		return Base{Known: "history", Layers: b.Layers, Counts: b.Counts, Places: []Location{}, Newer: []NewerTag{}}, nil // it is elsewhere
	}
	b.Places = showLocations(locations)
	now, err := a.Images.ImageFindings(ctx, b.Digest)
	if err != nil {
		return b, err
	}
	const most = 10
	for _, at := range locations {
		tags, err := a.Images.Siblings(ctx, at.Registry, at.Repository, stored.OS, stored.Architecture, stored.Variant, 10*most)
		if err != nil {
			return b, err
		}
		for _, t := range tags {
			if t.Digest == b.Digest || len(b.Newer) == most {
				break // what follows was pushed before
			}
			then, err := a.Images.ImageFindings(ctx, t.Digest)
			if err != nil {
				return b, err
			}
			b.Newer = append(b.Newer, NewerTag{
				Registry: at.Registry, Repository: at.Repository, Tag: t.Tag, Digest: t.Digest, PushedAt: t.PushedAt,
				Counts: countSeverities(then), Cleared: countSeverities(without(now, then)), Gained: countSeverities(without(then, now)),
			})
		}
	}
	return b, nil
}

// without lists the findings whose vulnerability and package the others do not have.
func without(findings, others []match.Finding) (list []match.Finding) {
	type key struct{ vulnerability, kind, name string }
	has := make(map[key]bool, len(others))
	for _, f := range others {
		has[key{f.Vulnerability, f.Package.Type, f.Package.Name}] = true
	}
	for _, f := range findings {
		if !has[key{f.Vulnerability, f.Package.Type, f.Package.Name}] {
			list = append(list, f)
		}
	}
	return list
}
