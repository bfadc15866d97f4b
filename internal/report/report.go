// Package report writes what a scan found: as a table for people, as JSON, as
// SARIF, and as software bills of materials. Findings and packages look as they
// do over REST.
//
// It must not know how an image is had, nor where anything is stored.
package report

import (
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/policy"
)

// SchemaVersion grows when the JSON report changes so that readers must.
const SchemaVersion = 1

// tool is the name of the program in reports.
const tool = "pratique"

// Report is what a scan of a target found.
type Report struct {
	SchemaVersion int       `json:"schema_version"`
	Tool          Tool      `json:"tool"`
	Target        string    `json:"target"`
	ScannedAt     time.Time `json:"scanned_at"`
	// Images are those of the platforms that were asked for, at least one.
	Images []Image `json:"images"`
	// Feeds are the publishers of advisories, and how current each one is.
	Feeds []Feed `json:"feeds"`
}

// Tool is the program that made the report.
type Tool struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Image is one image with all that is known of it.
type Image struct {
	Name string `json:"name"`
	// Digest is the manifest's, "" where there is none: in archives of docker's,
	// and for folders and bills.
	Digest       string `json:"digest"`
	ConfigDigest string `json:"config_digest"`
	MediaType    string `json:"media_type"`
	// Platform is "os/architecture/variant", as far as it is known.
	Platform     string `json:"platform"`
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	// Size is the sum of the layers' in bytes, as they are kept.
	Size int64 `json:"size"`
	// Analysis is "done", or "failed" where a layer could not be read: Error says
	// which, and the findings are those of the rest.
	Analysis         string `json:"analysis"`
	Error            string `json:"error,omitempty"`
	Distribution     string `json:"distribution"`
	DistributionName string `json:"distribution_name"`
	// DataUpdatedAt is when the data of the feeds on its packages was last
	// confirmed, the oldest of it; nil where there is none.
	DataUpdatedAt *time.Time             `json:"data_updated_at"`
	Coverage      api.Coverage           `json:"coverage"`
	FindingCounts api.Severities         `json:"finding_counts"`
	Policy        api.Verdict            `json:"policy"`
	Layers        []api.Layer            `json:"layers"`
	Packages      []api.InstalledPackage `json:"packages"`
	Findings      []api.Finding          `json:"findings"`
	Warnings      []api.Warning          `json:"warnings"`

	installed []inventory.Installed
	affected  []inventory.Package // of the findings
}

// Feed is a publisher of advisories.
type Feed struct {
	Name string `json:"name"`
	// LastSuccess is when every document was last confirmed, nil for never;
	// AgeSeconds is how long before the scan that was.
	LastSuccess *time.Time `json:"last_success"`
	AgeSeconds  *int64     `json:"age_seconds"`
	// Stale says why it is too old, "" where it is not or was never fetched.
	Stale      string `json:"stale,omitempty"`
	Packages   int    `json:"packages"`
	Advisories int    `json:"advisories"`
	Error      string `json:"error"`
}

// Scan is what an image's scan brought to light.
type Scan struct {
	Name string
	// Image has State, Error, Distribution and Warnings, too.
	Image     image.Image
	Installed []inventory.Installed
	Findings  []match.Finding
	// Judgement is what is decided on the findings at the place that counts.
	Judgement policy.Judgement
	Coverage  image.Coverage
	// DataUpdated is zero where no feed has data on the packages.
	DataUpdated time.Time
}

// New starts a report without images. The interval is the one at which the feeds are
// to be updated, 0 where they are by no schedule.
func New(target, version string, at time.Time, feeds []feed.Status, interval time.Duration) Report {
	r := Report{SchemaVersion: SchemaVersion, Tool: Tool{tool, version}, Target: target, ScannedAt: at.UTC(), Images: []Image{}, Feeds: []Feed{}}
	for _, s := range feeds {
		f := Feed{Name: s.Name, Packages: s.Packages(), Advisories: s.Advisories(), Error: s.Error, LastSuccess: orNil(s.LastSuccess), Stale: s.Stale(at, interval, at)}
		if f.LastSuccess != nil {
			age := int64(at.Sub(s.LastSuccess) / time.Second)
			f.AgeSeconds = &age
		}
		r.Feeds = append(r.Feeds, f)
	}
	return r
}

// Add appends an image.
func (r *Report) Add(s Scan) {
	img := s.Image
	out := Image{
		Name: s.Name, Digest: img.Digest, ConfigDigest: img.ConfigDigest, MediaType: img.MediaType,
		Platform: Platform(img.OS, img.Architecture, img.Variant), OS: img.OS, Architecture: img.Architecture, Variant: img.Variant, Size: img.Size(),
		Analysis: string(img.State), Error: img.Error, Distribution: img.Distribution, DistributionName: img.DistributionName,
		DataUpdatedAt: orNil(s.DataUpdated),
		Coverage:      api.Coverage{Verdict: string(s.Coverage.Verdict), Reasons: append([]string{}, s.Coverage.Reasons...)},
		Layers:        make([]api.Layer, len(img.Layers)),
		Packages:      make([]api.InstalledPackage, len(s.Installed)),
		Findings:      make([]api.Finding, len(s.Findings)),
		Warnings:      make([]api.Warning, len(img.Warnings)),
		Policy:        api.ShowVerdict(s.Judgement.Registry, s.Judgement.Repository, s.Judgement.Verdict),
		installed:     s.Installed,
	}
	for n, l := range img.Layers {
		out.Layers[n] = api.Layer{Index: n, Digest: l.Digest, Size: l.Size, MediaType: l.MediaType, CreatedBy: l.CreatedBy, Foreign: l.Foreign}
	}
	for n, p := range s.Installed {
		out.Packages[n] = api.ShowInstalled(p)
		if p.LayerIndex < len(out.Layers) {
			out.Layers[p.LayerIndex].PackageCount++
		}
	}
	for n, f := range s.Findings {
		out.affected = append(out.affected, f.Package)
		out.Findings[n] = api.ShowFinding(f, n, []policy.Judgement{s.Judgement})
		if f.LayerIndex < len(out.Layers) {
			out.Layers[f.LayerIndex].FindingCount++
		}
		count(&out.FindingCounts, f.Severity)
	}
	for n, w := range img.Warnings {
		out.Warnings[n] = api.Warning{Code: w.Code, Path: w.Path, Message: w.Message, LayerDigest: w.Layer}
	}
	r.Images = append(r.Images, out)
}

// Platform joins the parts of a platform that are known.
func Platform(os, architecture, variant string) string {
	text := os
	for _, part := range []string{architecture, variant} {
		if part != "" {
			text += "/" + part
		}
	}
	return text
}

// count counts a finding of a severity.
func count(n *api.Severities, severity advisory.Severity) {
	switch severity {
	case advisory.Critical:
		n.Critical++
	case advisory.High:
		n.High++
	case advisory.Medium:
		n.Medium++
	case advisory.Low:
		n.Low++
	case advisory.Negligible:
		n.Negligible++
	default:
		n.Unknown++
	}
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// Reliable reports that no finding means clean: of every image all is known.
func (r Report) Reliable() bool {
	for _, img := range r.Images {
		if img.Coverage.Verdict != string(image.Known) {
			return false
		}
	}
	return true
}

// Fetched reports that any feed has ever been fetched.
func (r Report) Fetched() bool {
	for _, f := range r.Feeds {
		if f.Advisories > 0 || f.LastSuccess != nil {
			return true
		}
	}
	return false
}
