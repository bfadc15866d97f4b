package api

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/match"
)

// Vulnerabilities answers what affects stored images.
type Vulnerabilities interface {
	// Vulnerabilities lists in the order of the filter.
	Vulnerabilities(ctx context.Context, f match.Filter) ([]match.Summary, error)
	// VulnerabilityByName returns store.ErrNotFound where no feed speaks of it.
	VulnerabilityByName(ctx context.Context, name string) (match.Vulnerability, error)
	// VulnerabilityID returns the id of one by its name or alias, also where no
	// feed speaks of it, or store.ErrNotFound.
	VulnerabilityID(ctx context.Context, name string) (int64, error)
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
	Name         string    `json:"name" example:"CVE-2019-14697"`
	Severity     string    `json:"severity" enum:"critical,high,medium,low,negligible,unknown"`
	CVSS         float64   `json:"cvss,omitempty" doc:"Base score; absent where nobody gives one."`
	EPSS         float64   `json:"epss,omitempty" doc:"How probable it is, from 0 to 1, that it is exploited within thirty days; absent where that is not known."`
	Percentile   float64   `json:"epss_percentile,omitempty" doc:"The share of all vulnerabilities for which that is no more probable."`
	Exploited    bool      `json:"exploited" doc:"Whether it is on a list of exploited vulnerabilities."`
	FirstSeen    time.Time `json:"first_seen" doc:"When a source first reported it of any package."`
	Description  string    `json:"description"`
	ImageCount   int       `json:"image_count" doc:"The stored images that it affects."`
	PackageCount int       `json:"package_count" doc:"The distinct packages that it affects."`
	Fixable      bool      `json:"fixable" doc:"Whether any of them has a fix."`
	States       []string  `json:"states" nullable:"false" doc:"The states of its findings: unassessed, and names of assessment types. Of what affects many images, the types of all assessments that hold."`
}

// Vulnerability is a vulnerability with all that is known of it.
type Vulnerability struct {
	Name        string       `json:"name"`
	Aliases     []string     `json:"aliases" nullable:"false" doc:"Other names of the same vulnerability."`
	Severity    string       `json:"severity" enum:"critical,high,medium,low,negligible,unknown"`
	CVSS        float64      `json:"cvss,omitempty" doc:"Base score."`
	CVSSVector  string       `json:"cvss_vector,omitempty"`
	CVSS2       *CVSS2       `json:"cvss2,omitempty" doc:"The score that clients of Clair 2 are told, such as ProGet, which know version 2 alone."`
	EPSS        float64      `json:"epss,omitempty" doc:"How probable it is, from 0 to 1, that it is exploited within thirty days; absent where that is not known."`
	Percentile  float64      `json:"epss_percentile,omitempty" doc:"The share of all vulnerabilities for which that is no more probable."`
	Description string       `json:"description"`
	Published   *time.Time   `json:"published,omitempty"`
	Modified    *time.Time   `json:"modified,omitempty"`
	Withdrawn   *time.Time   `json:"withdrawn,omitempty" doc:"Set where everybody who speaks of it withdrew it."`
	Exploited   *time.Time   `json:"exploited_since,omitempty" doc:"When it came on a list of exploited vulnerabilities."`
	FirstSeen   time.Time    `json:"first_seen"`
	States      []string     `json:"states" nullable:"false"`
	Details     []Detail     `json:"details" nullable:"false" doc:"What each feed says of it as such."`
	Advisories  []Advisory   `json:"advisories" nullable:"false"`
	Affected    []Affected   `json:"affected_images" nullable:"false" doc:"The first hundred."`
	MoreToken   string       `json:"affected_images_next_page_token" doc:"The page token at which vulnerabilities/{name}/images goes on; empty where these are all."`
	Assessments []Assessment `json:"assessments" nullable:"false" doc:"With those that have ended, the newest first; the last five hundred."`
}

// Detail is what a feed says of a vulnerability as such.
type Detail struct {
	Feed        string     `json:"feed"`
	Part        string     `json:"part"`
	Description string     `json:"description,omitempty"`
	Severity    string     `json:"severity" enum:"critical,high,medium,low,negligible,unknown"`
	Scores      []Score    `json:"scores" nullable:"false"`
	References  []string   `json:"references" nullable:"false"`
	Weaknesses  []string   `json:"weaknesses" nullable:"false" example:"[\"CWE-79\"]"`
	Published   *time.Time `json:"published,omitempty"`
	Modified    *time.Time `json:"modified,omitempty"`
	Withdrawn   *time.Time `json:"withdrawn,omitempty"`
}

// CVSS2 is a score of CVSS version 2, or one that stands for it.
type CVSS2 struct {
	Base    float64 `json:"base_score"`
	Vector  string  `json:"vector" doc:"That of version 2, or that of the later version from which the score is derived."`
	Derived bool    `json:"derived" doc:"Whether nobody gives a score of version 2, and this is that of a later version."`
}

func showCVSS2(v match.Vulnerability) *CVSS2 {
	s, derived, ok := match.CVSS2(v.Scores())
	if !ok {
		return nil
	}
	return &CVSS2{s.Base, s.Vector, derived}
}

// Score is a CVSS score.
type Score struct {
	Version string  `json:"version" enum:"2.0,3.0,3.1,4.0"`
	Vector  string  `json:"vector"`
	Base    float64 `json:"base_score"`
	Source  string  `json:"source,omitempty"`
}

func showDetail(d match.Stated) Detail {
	shown := Detail{
		Feed: d.Feed, Part: d.Part, Description: d.Description, Severity: d.Severity.String(), Scores: make([]Score, len(d.Scores)),
		References: orEmpty(d.References), Weaknesses: orEmpty(d.Weaknesses),
		Published: orNil(d.Published), Modified: orNil(d.Modified), Withdrawn: orNil(d.Withdrawn),
	}
	for i, s := range d.Scores {
		shown.Scores[i] = Score(s)
	}
	return shown
}

// Advisory is one published statement of a feed.
type Advisory struct {
	ID            string `json:"id,omitempty" doc:"The publisher's name for the statement." example:"GHSA-jfh8-c2jp-5v3q"`
	Feed          string `json:"feed"`
	Part          string `json:"part"`
	Ecosystem     string `json:"ecosystem" example:"alpine:v3.20"`
	Package       string `json:"package"`
	Source        bool   `json:"source_package" doc:"Whether the package is a source package."`
	Module        string `json:"module,omitempty" example:"nodejs:18"`
	Architectures string `json:"architectures,omitempty"`
	Status        string `json:"status" enum:"affected,not_affected,undetermined,withdrawn"`
	Introduced    string `json:"introduced_version,omitempty"`
	FixedVersion  string `json:"fixed_version"`
	LastAffected  string `json:"last_affected_version,omitempty"`
	FixState      string `json:"fix_state,omitempty" enum:"will_not_fix,deferred,end_of_life"`
	Severity      string `json:"severity" enum:"critical,high,medium,low,negligible,unknown"`
	Note          string `json:"note,omitempty"`
}

func showAdvisory(s match.Statement) Advisory {
	return Advisory{
		ID: s.ID, Feed: s.Feed, Part: s.Part, Ecosystem: s.Ecosystem, Package: s.Package, Source: s.Source, Module: s.Module, Architectures: s.Architectures,
		Status: string(s.Status), Introduced: s.Introduced, FixedVersion: s.Fixed, LastAffected: s.LastAffected, FixState: string(s.Fix),
		Severity: s.Severity.String(), Note: s.Note,
	}
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
	Name string `path:"name" doc:"A CVE id, or any other name that feeds use for it." example:"CVE-2019-14697"`
}

func (a *API) vulnerabilities() {
	const tag = "vulnerabilities"
	register(a, operation{id: "list-vulnerabilities", access: access{place: signedIn}, method: http.MethodGet, path: "/vulnerabilities", tag: tag,
		summary: "List the vulnerabilities that affect stored images",
		doc:     "The most severe first, then by name, unless sort says otherwise. What registry, repository, package, source and state ask for must hold of one finding; the figures are of all that is stored."}, a.listVulnerabilities)
	register(a, operation{id: "get-vulnerability", access: access{place: signedIn}, method: http.MethodGet, path: "/vulnerabilities/{name}", tag: tag,
		summary: "Show a vulnerability", doc: "What feeds say of it, the images that it affects, and what has been decided."}, a.vulnerability)
	register(a, operation{id: "list-affected-images", access: access{place: signedIn}, method: http.MethodGet, path: "/vulnerabilities/{name}/images", tag: tag,
		summary: "List the images that a vulnerability affects", doc: "By registry, repository, digest and package."}, a.affectedImages)
}

func (a *API) vulnerability(ctx context.Context, in *VulnerabilityPath) (*one[Vulnerability], error) {
	v, err := a.Vulnerabilities.VulnerabilityByName(ctx, in.Name)
	if err != nil {
		return nil, err
	}
	body := Vulnerability{
		Name: v.Name, Aliases: orEmpty(v.Aliases), Severity: v.Severity.String(), CVSS: v.CVSS, CVSSVector: v.Vector, CVSS2: showCVSS2(v),
		EPSS: v.EPSS, Percentile: v.Percentile, Description: v.Description,
		Published: orNil(v.Published), Modified: orNil(v.Modified), Withdrawn: orNil(v.Withdrawn), Exploited: orNil(v.Exploited), FirstSeen: v.FirstSeen.UTC(),
		Details: make([]Detail, len(v.Details)), Advisories: make([]Advisory, len(v.Statements)), Assessments: []Assessment{},
	}
	for i, d := range v.Details {
		body.Details[i] = showDetail(d)
	}
	for i, s := range v.Statements {
		body.Advisories[i] = showAdvisory(s)
	}
	states, err := a.Vulnerabilities.VulnerabilityStates(ctx, []int64{v.ID}, a.now())
	if err != nil {
		return nil, err
	}
	affected, err := a.affected(ctx, v, Paging{PageSize: 100})
	if err != nil {
		return nil, err
	}
	history, err := a.Assessments.Assessments(ctx, assess.Filter{Vulnerability: v.Name, In: readable(ctx), Limit: 500}, false)
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
	found, next, err := a.readableAffected(ctx, v.ID, from, p.PageSize)
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

// readableAffected lists affected images in the registries that the principal may
// read, one registry after the other.
func (a *API) readableAffected(ctx context.Context, id int64, from *match.AffectedCursor, limit int) ([]match.Affected, *match.AffectedCursor, error) {
	names := readable(ctx)
	if names == nil {
		return a.Vulnerabilities.AffectedImages(ctx, id, from, limit)
	}
	var list []match.Affected
	for i, name := range names {
		if from != nil && name < from.Registry {
			continue
		}
		at := &match.AffectedCursor{Registry: name}
		if from != nil && name == from.Registry {
			at = from
		}
		found, next, err := a.Vulnerabilities.AffectedImages(ctx, id, at, limit-len(list))
		if err != nil {
			return nil, nil, err
		}
		n := slices.IndexFunc(found, func(f match.Affected) bool { return f.Registry != name })
		if n < 0 {
			n = len(found)
		}
		if list = append(list, found[:n]...); len(list) < limit {
			continue
		}
		if n == len(found) && next != nil && next.Registry == name {
			return list, next, nil
		}
		if i+1 < len(names) { // perhaps there is nothing
			return list, &match.AffectedCursor{Registry: names[i+1]}, nil
		}
		return list, nil, nil
	}
	return list, nil, nil
}
