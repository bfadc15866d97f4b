package api

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/policy"
)

// Finding is a vulnerability of a package in an image.
type Finding struct {
	Vulnerability string       `json:"vulnerability" example:"CVE-2019-14697"`
	Severity      string       `json:"severity" enum:"critical,high,medium,low,negligible,unknown"`
	Description   string       `json:"description"`
	Package       Package      `json:"package"`
	FixedVersion  string       `json:"fixed_version" doc:"The first version that is not affected; empty where there is none."`
	FixState      string       `json:"fix_state,omitempty" enum:"will_not_fix,deferred,end_of_life" doc:"What the publisher means to do where there is no fix."`
	CVSS          float64      `json:"cvss,omitempty" doc:"Base score."`
	CVSSVector    string       `json:"cvss_vector,omitempty"`
	EPSS          float64      `json:"epss,omitempty" doc:"How probable it is, from 0 to 1, that it is exploited within thirty days; absent where that is not known."`
	Percentile    float64      `json:"epss_percentile,omitempty" doc:"The share of all vulnerabilities for which that is no more probable."`
	Exploited     *time.Time   `json:"exploited_since,omitempty" doc:"When it came on a list of exploited vulnerabilities."`
	State         string       `json:"state" doc:"unassessed, or the name of an assessment type. Where places differ, what blocks comes before unassessed, and that before all else."`
	AssessmentID  int64        `json:"assessment_id,omitempty" doc:"The assessment that gives the state."`
	Blocks        bool         `json:"blocks" doc:"Whether it blocks a pull at any place."`
	Places        []PlaceState `json:"places" nullable:"false" doc:"The state at each place where the image is stored."`
	LayerIndex    int          `json:"layer_index"`
	LayerDigest   string       `json:"layer_digest" doc:"The layer that introduced the package."`
	Sources       []string     `json:"sources" nullable:"false" doc:"The vulnerability sources that report it."`
	FirstSeen     time.Time    `json:"first_seen"`
	Evidence      Evidence     `json:"evidence"`
}

// PlaceState is a finding's state at a place.
type PlaceState struct {
	Registry     string `json:"registry"`
	Repository   string `json:"repository"`
	State        string `json:"state"`
	AssessmentID int64  `json:"assessment_id,omitempty"`
	Blocks       bool   `json:"blocks"`
}

// Evidence says why a finding is one.
type Evidence struct {
	Path       string `json:"path" doc:"The file in the image that proves the package."`
	Line       int    `json:"line,omitempty" doc:"From 1; absent where lines mean nothing."`
	Detector   string `json:"detector"`
	Record     string `json:"record,omitempty" doc:"What in the file proves the package, where that is not a line."`
	Feed       string `json:"feed"`
	Part       string `json:"part" doc:"The document of the feed." example:"v3.7/main"`
	Advisory   string `json:"advisory,omitempty" doc:"The publisher's name for its statement." example:"GHSA-jfh8-c2jp-5v3q"`
	Subject    string `json:"subject" doc:"The package that the advisory speaks of."`
	Comparison string `json:"comparison" example:"1.1.18-r3 < 1.1.18-r4 (apk)"`
	Note       string `json:"note,omitempty" doc:"The publisher's own word."`
}

// SeverityFilter is a filter by severity.
type SeverityFilter struct {
	Severity []string `query:"severity" enum:"critical,high,medium,low,negligible,unknown" nullable:"false" doc:"Only these severities, separated by commas."`
}

func (s SeverityFilter) keep(severity advisory.Severity) bool {
	return len(s.Severity) == 0 || slices.Contains(s.Severity, severity.String())
}

// StateFilter is a filter by state.
type StateFilter struct {
	State []string `query:"state" nullable:"false" doc:"Only these states, separated by commas: unassessed or names of assessment types."`
}

// check refuses the name of no state, at a place in the request: an empty list
// would look like good news.
func (s StateFilter) check(ctx context.Context, a *API, place string) error {
	if len(s.State) == 0 {
		return nil
	}
	types, err := a.Assessments.Types(ctx)
	if err != nil {
		return err
	}
	names := []string{assess.Unassessed}
	for _, t := range types {
		names = append(names, t.Name)
	}
	for _, name := range s.State {
		if !slices.Contains(names, name) {
			return invalid(place+"state", name+" is not one of "+strings.Join(names, ", "))
		}
	}
	return nil
}

func (s StateFilter) keep(names ...string) bool {
	return len(s.State) == 0 || slices.ContainsFunc(names, func(name string) bool { return slices.Contains(s.State, name) })
}

type findingKey struct {
	Severity      advisory.Severity `json:"s"`
	Vulnerability string            `json:"v"`
	packageKey
}

func compareFindingKeys(a, b findingKey) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), strings.Compare(a.Vulnerability, b.Vulnerability), comparePackageKeys(a.packageKey, b.packageKey))
}

func (a *API) imageFindings(ctx context.Context, in *struct {
	ImagePath
	SeverityFilter
	StateFilter
	Repository string    `query:"repository" doc:"Only the states at this place, REGISTRY/REPOSITORY." example:"main/app"`
	At         time.Time `query:"at" doc:"What was known at this time. The states are those of now."`
	Paging
}) (*listed[Finding], error) {
	if err := in.StateFilter.check(ctx, a, "query."); err != nil {
		return nil, err
	}
	img, err := a.anImage(ctx, string(in.Digest))
	if err != nil {
		return nil, err
	}
	locations, err := a.locations(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	if in.Repository != "" {
		locations = slices.DeleteFunc(locations, func(l assess.Location) bool { return l.Registry+"/"+l.Repository != in.Repository })
		if len(locations) == 0 {
			return nil, invalid("query.repository", "the image is not in "+in.Repository)
		}
	}
	found, judgements, err := a.Judge.Judge(ctx, img.Digest, placesOf(img.Digest, locations))
	if err != nil {
		return nil, err
	}
	if !in.At.IsZero() {
		if found, judgements, err = a.foundAt(ctx, img.Digest, in.At, found, judgements); err != nil {
			return nil, err
		}
	}
	type entry struct {
		key   findingKey
		shown Finding
	}
	var entries []entry
	for i, f := range found {
		shown := showFinding(f, i, judgements)
		if in.SeverityFilter.keep(f.Severity) && in.StateFilter.keep(shown.State) {
			entries = append(entries, entry{findingKey{f.Severity, f.Vulnerability,
				packageKey{f.Package.Name, f.Package.Version, f.Package.Architecture, f.Evidence.Path, f.Evidence.Line}}, shown})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return compareFindingKeys(a.key, b.key) })
	return slicePage(in.Paging, "findings "+img.Digest, entries, func(e entry) findingKey { return e.key }, compareFindingKeys,
		func(e entry) Finding { return e.shown })
}

// showFinding shows the finding at an index with its state at each place.
func showFinding(f match.Finding, i int, judgements []policy.Judgement) Finding {
	e := f.Evidence
	shown := Finding{
		Vulnerability: f.Vulnerability, Severity: f.Severity.String(), Description: f.Description,
		Package: showPackage(f.Package), FixedVersion: f.Fixed, FixState: string(f.Fix), Places: []PlaceState{},
		CVSS: f.CVSS, CVSSVector: f.Vector, EPSS: f.EPSS, Percentile: f.Percentile, Exploited: orNil(f.ExploitedSince),
		LayerIndex: f.LayerIndex, LayerDigest: f.LayerDigest, Sources: orEmpty(f.Sources), FirstSeen: f.FirstSeen.UTC(),
		Evidence: Evidence{Path: e.Path, Line: e.Line, Detector: e.Detector, Record: e.Record, Feed: e.Feed, Part: e.Part, Advisory: e.Advisory,
			Subject: e.Subject, Comparison: e.Comparison, Note: e.Note},
	}
	var worst assess.State
	for n, j := range judgements {
		s := j.States[i]
		if s.Name == "" { // it is not found there
			continue
		}
		if n == 0 || worst.Name == "" || gravity(s) > gravity(worst) {
			worst = s
		}
		if j.Registry != "" {
			shown.Places = append(shown.Places, PlaceState{Registry: j.Registry, Repository: j.Repository,
				State: s.Name, AssessmentID: s.AssessmentID, Blocks: s.Blocks})
		}
	}
	shown.State, shown.AssessmentID, shown.Blocks = cmp.Or(worst.Name, assess.Unassessed), worst.AssessmentID, worst.Blocks
	return shown
}

// gravity orders states from what needs no one's care to what blocks.
func gravity(s assess.State) int {
	switch {
	case s.Blocks:
		return 2
	case s.Name == assess.Unassessed:
		return 1
	}
	return 0
}

// foundAt returns what was known at a time, judged as the findings of now are:
// what is found no more is shown as unassessed.
func (a *API) foundAt(ctx context.Context, digest string, when time.Time, now []match.Finding, judgements []policy.Judgement) ([]match.Finding, []policy.Judgement, error) {
	then, err := a.Images.ImageFindingsAt(ctx, digest, when)
	if err != nil {
		return nil, nil, err
	}
	type key struct {
		vulnerability int64
		packageKey
	}
	keyOf := func(f match.Finding) key {
		return key{f.VulnerabilityID, packageKey{f.Package.Name, f.Package.Version, f.Package.Architecture, f.Evidence.Path, f.Evidence.Line}}
	}
	index := make(map[key]int, len(now))
	for i, f := range now {
		index[keyOf(f)] = i
	}
	moved := make([]policy.Judgement, len(judgements))
	for n, j := range judgements {
		moved[n] = j
		moved[n].States = make([]assess.State, len(then))
		for i, f := range then {
			moved[n].States[i] = assess.State{Name: assess.Unassessed}
			if at, still := index[keyOf(f)]; still {
				moved[n].States[i] = j.States[at]
			}
		}
	}
	return then, moved, nil
}
