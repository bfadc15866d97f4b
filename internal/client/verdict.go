package client

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/report"
)

// ErrPending is returned where an image's analysis was not done in time.
var ErrPending = errors.New("the analysis is not done yet")

// Question asks whether an image may be pulled.
type Question struct {
	// Image is REGISTRY/REPOSITORY with :TAG or @DIGEST, with or without the
	// server's host.
	Image string
	// User is who would pull; "" for who asks.
	User string
	// Wait is how long to wait for the analysis; 0 for not at all.
	Wait time.Duration
	// Pause is how long to wait before asking again; a second where zero.
	Pause time.Duration
}

// Verdict returns the server's verdict, once the analysis is done. With
// ErrPending comes what holds so far.
func (c *Client) Verdict(ctx context.Context, q Question) (v api.PullVerdict, err error) {
	if q.Pause == 0 {
		q.Pause = time.Second
	}
	query := url.Values{"image": {q.Image}}
	if q.User != "" {
		query.Set("user", q.User)
	}
	end := time.Now().Add(q.Wait)
	for {
		v = api.PullVerdict{} // what an answer leaves out is not what the one before said
		if err := c.get(ctx, "/policy/verdict", query, &v); err != nil {
			return v, err
		}
		if v.Analysis != string(image.Pending) && !v.Awaited {
			return v, nil
		}
		if !time.Now().Add(q.Pause).Before(end) {
			what := ErrPending
			if v.Analysis != string(image.Pending) {
				what = fmt.Errorf("%w: a vulnerability source has not answered", ErrPending)
			}
			return v, what
		}
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case <-time.After(q.Pause):
		}
	}
}

// Report describes the images that a verdict is on, with their findings.
func (c *Client) Report(ctx context.Context, v api.PullVerdict, version string, at time.Time) (report.Report, error) {
	feeds, err := list[api.Feed](ctx, c, "/feeds", nil)
	if err != nil {
		return report.Report{}, err
	}
	r := report.New(v.Image, version, at, nil, 0)
	for _, f := range feeds {
		shown := report.Feed{Name: f.Name, LastSuccess: f.LastSuccess, Packages: f.Packages, Advisories: f.Advisories, Error: f.Error, Stale: f.StaleReason}
		if f.LastSuccess != nil {
			age := int64(at.Sub(*f.LastSuccess) / time.Second)
			shown.AgeSeconds = &age
		}
		r.Feeds = append(r.Feeds, shown)
	}
	digests := []string{v.Digest}
	if len(v.Images) > 0 {
		digests = nil
	}
	for _, child := range v.Images {
		if child.Analysis != "" {
			digests = append(digests, child.Digest)
		}
	}
	if v.Analysis == "none" {
		return r, nil
	}
	for _, digest := range digests {
		img, err := c.image(ctx, v, digest, feeds)
		if err != nil {
			return r, err
		}
		r.Images = append(r.Images, img)
	}
	return r, nil
}

// image reads what is known of one image.
func (c *Client) image(ctx context.Context, v api.PullVerdict, digest string, feeds []api.Feed) (out report.Image, err error) {
	var img api.Image
	path := "/images/" + digest
	if err := c.get(ctx, path, nil, &img); err != nil {
		return out, err
	}
	place := v.Verdict.Registry + "/" + v.Verdict.Repository
	out = report.Image{
		Name: place + "@" + digest, Digest: digest, ConfigDigest: img.ConfigDigest, MediaType: img.MediaType,
		Platform: report.Platform(img.OS, img.Architecture, img.Variant), OS: img.OS, Architecture: img.Architecture, Variant: img.Variant,
		Size: img.Size, Analysis: img.Analysis, Error: img.Error, Distribution: img.Distribution, DistributionName: img.DistroName,
		FindingCounts: img.Findings, Warnings: img.Warnings, DataUpdatedAt: confirmed(feeds, img.Distribution),
	}
	if img.Coverage != nil {
		out.Coverage = *img.Coverage
	}
	if len(v.Images) == 0 {
		out.Name, out.Policy = v.Image, v.Verdict
	} else if i := slices.IndexFunc(img.Policy.Verdicts, func(p api.Verdict) bool {
		return p.Registry == v.Verdict.Registry && p.Repository == v.Verdict.Repository
	}); i >= 0 {
		out.Policy = img.Policy.Verdicts[i]
	}
	if out.Layers, err = list[api.Layer](ctx, c, path+"/layers", nil); err != nil {
		return out, err
	}
	all := url.Values{"page_size": {"1000"}}
	if out.Packages, err = list[api.InstalledPackage](ctx, c, path+"/packages", all); err != nil {
		return out, err
	}
	out.Findings, err = list[api.Finding](ctx, c, path+"/findings", url.Values{"page_size": {"1000"}, "repository": {place}})
	return out, err
}

// confirmed is when the oldest of the documents on a distribution was confirmed.
func confirmed(feeds []api.Feed, distribution string) (oldest *time.Time) {
	for _, f := range feeds {
		for _, part := range f.Parts {
			if slices.Contains(part.Ecosystems, distribution) && part.CheckedAt != nil && (oldest == nil || part.CheckedAt.Before(*oldest)) {
				oldest = part.CheckedAt
			}
		}
	}
	return oldest
}
