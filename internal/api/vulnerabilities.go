package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/match"
)

// Vulnerabilities answers what affects stored images.
type Vulnerabilities interface {
	// Vulnerabilities lists the most severe first, then by name.
	Vulnerabilities(ctx context.Context, f match.Filter) ([]match.Summary, error)
	// VulnerabilityByName returns store.ErrNotFound where no feed speaks of it.
	VulnerabilityByName(ctx context.Context, name string) (match.Vulnerability, error)
	// AffectedImages lists by registry, repository, digest and package; the
	// cursor continues it and is nil at the end.
	AffectedImages(ctx context.Context, vulnerability int64, after *match.AffectedCursor, limit int) ([]match.Affected, *match.AffectedCursor, error)
	// VulnerabilityStates returns the states of their findings at a time.
	VulnerabilityStates(ctx context.Context, vulnerabilities []int64, at time.Time) (map[int64][]string, error)
	// LiveDecisions returns what holds at a time for the vulnerabilities.
	LiveDecisions(ctx context.Context, vulnerabilities []int64, places []assess.Place, at time.Time) ([]assess.Decision, error)
}

// VulnerabilitySummary is a vulnerability that affects stored images.
type VulnerabilitySummary struct {
	Name         string   `json:"name" example:"CVE-2019-14697"`
	Severity     string   `json:"severity" enum:"critical,high,medium,low,negligible,unknown"`
	Description  string   `json:"description"`
	ImageCount   int      `json:"image_count" doc:"The stored images that it affects."`
	PackageCount int      `json:"package_count" doc:"The distinct packages that it affects."`
	Fixable      bool     `json:"fixable" doc:"Whether any of them has a fix."`
	States       []string `json:"states" nullable:"false" doc:"The states of its findings: unassessed, and names of assessment types."`
}

// Vulnerability is a vulnerability with all that is known of it.
type Vulnerability struct {
	Name        string       `json:"name"`
	Severity    string       `json:"severity" enum:"critical,high,medium,low,negligible,unknown"`
	Description string       `json:"description"`
	FirstSeen   time.Time    `json:"first_seen"`
	States      []string     `json:"states" nullable:"false"`
	Advisories  []Advisory   `json:"advisories" nullable:"false"`
	Affected    []Affected   `json:"affected_images" nullable:"false" doc:"The first hundred."`
	MoreToken   string       `json:"affected_images_next_page_token" doc:"The page token at which vulnerabilities/{name}/images goes on; empty where these are all."`
	Assessments []Assessment `json:"assessments" nullable:"false" doc:"With those that have ended, the newest first; the last five hundred."`
}

// Advisory is one published statement of a feed.
type Advisory struct {
	Feed         string `json:"feed"`
	Part         string `json:"part"`
	Ecosystem    string `json:"ecosystem" example:"alpine:v3.20"`
	Package      string `json:"package"`
	Status       string `json:"status" enum:"affected,not_affected,undetermined"`
	Introduced   string `json:"introduced_version,omitempty"`
	FixedVersion string `json:"fixed_version"`
	Severity     string `json:"severity" enum:"critical,high,medium,low,negligible,unknown"`
	Note         string `json:"note,omitempty"`
}

// Affected is a stored image with a package that a vulnerability affects.
type Affected struct {
	Digest       string   `json:"digest"`
	Registry     string   `json:"registry"`
	Repository   string   `json:"repository"`
	Tags         []string `json:"tags" nullable:"false"`
	Package      Package  `json:"package"`
	FixedVersion string   `json:"fixed_version"`
	Severity     string   `json:"severity" enum:"critical,high,medium,low,negligible,unknown"`
	State        string   `json:"state"`
	AssessmentID int64    `json:"assessment_id,omitempty"`
}

type VulnerabilityPath struct {
	Name string `path:"name" doc:"The identifier that feeds use, a CVE id where there is one." example:"CVE-2019-14697"`
}

func (a *API) vulnerabilities() {
	const tag = "vulnerabilities"
	register(a, operation{id: "list-vulnerabilities", method: http.MethodGet, path: "/vulnerabilities", tag: tag,
		summary: "List the vulnerabilities that affect stored images", doc: "The most severe first, then by name."}, a.listVulnerabilities)
	register(a, operation{id: "get-vulnerability", method: http.MethodGet, path: "/vulnerabilities/{name}", tag: tag,
		summary: "Show a vulnerability", doc: "What feeds say of it, the images that it affects, and what has been decided."}, a.vulnerability)
	register(a, operation{id: "list-affected-images", method: http.MethodGet, path: "/vulnerabilities/{name}/images", tag: tag,
		summary: "List the images that a vulnerability affects", doc: "By registry, repository, digest and package."}, a.affectedImages)
}

func (a *API) listVulnerabilities(ctx context.Context, in *struct {
	SeverityFilter
	StateFilter
	Text string `query:"q" maxLength:"200" doc:"A part of the name, in any case."`
	Paging
}) (*listed[VulnerabilitySummary], error) {
	const list = "vulnerabilities"
	if err := in.StateFilter.check(ctx, a); err != nil {
		return nil, err
	}
	low, high, err := in.SeverityFilter.bounds()
	if err != nil {
		return nil, err
	}
	filter := match.Filter{AtLeast: low, Text: in.Text, Limit: in.PageSize + 1}
	if filter.After, err = after[match.Cursor](in.Paging, list); err != nil {
		return nil, err
	}
	if filter.After == nil && high < advisory.Critical {
		filter.After = &match.Cursor{Severity: high + 1, Name: "\U0010ffff"} // past all names of the next severity
	}
	if len(in.State) > 0 || len(in.Severity) > 1 {
		filter.Limit = max(filter.Limit, 1000) // many may be passed over
	}
	type entry struct {
		match.Summary
		states []string
	}
	var entries []entry
	for len(entries) <= in.PageSize {
		found, err := a.Vulnerabilities.Vulnerabilities(ctx, filter)
		if err != nil {
			return nil, err
		}
		found, ended := found, len(found) < filter.Limit
		if len(found) > 0 {
			last := found[len(found)-1]
			filter.After = &match.Cursor{Severity: last.Severity, Name: last.Name}
		}
		found = slices.DeleteFunc(found, func(v match.Summary) bool { return !in.SeverityFilter.keep(v.Severity) })
		ids := make([]int64, len(found))
		for i, v := range found {
			ids[i] = v.ID
		}
		states, err := a.Vulnerabilities.VulnerabilityStates(ctx, ids, a.now())
		if err != nil {
			return nil, err
		}
		for _, v := range found {
			if in.StateFilter.keep(states[v.ID]...) {
				entries = append(entries, entry{v, states[v.ID]})
			}
		}
		if ended {
			break
		}
	}
	return page(in.Paging, list, entries, func(e entry) match.Cursor { return match.Cursor{Severity: e.Severity, Name: e.Name} },
		func(e entry) VulnerabilitySummary {
			return VulnerabilitySummary{Name: e.Name, Severity: e.Severity.String(), Description: e.Description,
				ImageCount: e.Images, PackageCount: e.Packages, Fixable: e.Fixable, States: orEmpty(e.states)}
		}), nil
}

func (a *API) vulnerability(ctx context.Context, in *VulnerabilityPath) (*one[Vulnerability], error) {
	v, err := a.Vulnerabilities.VulnerabilityByName(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	body := Vulnerability{Name: v.Name, Severity: v.Severity.String(), Description: v.Description, FirstSeen: v.FirstSeen.UTC(),
		Advisories: make([]Advisory, len(v.Statements)), Assessments: []Assessment{}}
	for i, s := range v.Statements {
		body.Advisories[i] = Advisory{Feed: s.Feed, Part: s.Part, Ecosystem: s.Ecosystem, Package: s.Package, Status: string(s.Status),
			Introduced: s.Introduced, FixedVersion: s.Fixed, Severity: s.Severity.String(), Note: s.Note}
	}
	states, err := a.Vulnerabilities.VulnerabilityStates(ctx, []int64{v.ID}, a.now())
	if err != nil {
		return nil, err
	}
	affected, err := a.affected(ctx, v, Paging{PageSize: 100})
	if err != nil {
		return nil, err
	}
	history, err := a.Assessments.Assessments(ctx, assess.Filter{Vulnerability: v.Name, Limit: 500}, false)
	if err != nil {
		return nil, err
	}
	for _, h := range history {
		body.Assessments = append(body.Assessments, showAssessment(h))
	}
	body.States = orEmpty(states[v.ID])
	body.Affected, body.MoreToken = affected.Body.Items, affected.Body.NextPageToken
	return &one[Vulnerability]{body}, nil
}

func (a *API) affectedImages(ctx context.Context, in *struct {
	VulnerabilityPath
	Paging
}) (*listed[Affected], error) {
	v, err := a.Vulnerabilities.VulnerabilityByName(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	return a.affected(ctx, v, in.Paging)
}

func (a *API) affected(ctx context.Context, v match.Vulnerability, p Paging) (*listed[Affected], error) {
	list := "affected " + v.Name
	from, err := after[match.AffectedCursor](p, list)
	if err != nil {
		return nil, err
	}
	found, next, err := a.Vulnerabilities.AffectedImages(ctx, v.ID, from, p.PageSize)
	if err != nil {
		return nil, err
	}
	places := make([]assess.Place, len(found))
	for i, f := range found {
		places[i] = assess.Place{Registry: f.Registry, Repository: f.Repository, Digest: f.Digest}
	}
	now := a.now()
	decisions, err := a.Vulnerabilities.LiveDecisions(ctx, []int64{v.ID}, places, now)
	if err != nil {
		return nil, err
	}
	out := &listed[Affected]{List[Affected]{Items: make([]Affected, len(found))}}
	for i, f := range found {
		finding := match.Finding{VulnerabilityID: v.ID, Vulnerability: v.Name, Severity: f.Severity, Package: f.Package}
		states, _ := assess.Decide([]match.Finding{finding}, places[i], decisions, assess.Policy{}, now)
		out.Body.Items[i] = Affected{Digest: f.Digest, Registry: f.Registry, Repository: f.Repository, Tags: orEmpty(f.Tags),
			Package: showPackage(f.Package), FixedVersion: f.Fixed, Severity: f.Severity.String(),
			State: states[0].Name, AssessmentID: states[0].AssessmentID}
	}
	if next != nil {
		out.Body.NextPageToken = token(list, *next)
	}
	return out, nil
}
