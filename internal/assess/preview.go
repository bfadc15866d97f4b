package assess

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/match"
)

// PreviewStore answers what assessments would change.
type PreviewStore interface {
	// ResolveAssessments names the vulnerabilities of assessments as
	// CreateAssessments does, and returns its *RefusedError, but stores nothing.
	// Those that are kept for later have no id.
	ResolveAssessments(ctx context.Context, list []Assessment, keep Keep) ([]Assessment, error)
	// AffectedPlaces lists, in no order, at most limit places with images that
	// the vulnerabilities affect in any of the scopes; all tells that there are
	// no more.
	AffectedPlaces(ctx context.Context, vulnerabilities []int64, scopes []Scope, limit int) (places []Place, all bool, err error)
	// FindingsByImage returns what any attached source finds in the images, as far as
	// Decide looks at it, by vulnerability.
	FindingsByImage(ctx context.Context, digests []string) (map[string][]match.Finding, error)
	// LiveDecisions is as in GateStore.
	LiveDecisions(ctx context.Context, vulnerabilities []int64, places []Place, at time.Time) ([]Decision, error)
	// RegistryPolicy is as in GateStore.
	RegistryPolicy(ctx context.Context, registry string) (Policy, error)
}

// Preview is what assessments would change. Images count at each place where
// they are stored.
type Preview struct {
	// Assessments is how many would be taken, Superseded how many live ones
	// they would take the place of, Same how many of them say the same.
	Assessments, Superseded, Same int
	// Complete says that all images were looked at; else the counts are of the
	// first ones.
	Complete bool
	// Examined counts the images that were looked at.
	Examined int
	// Findings and Images count what would have another state.
	Findings, Images int
	// Blocked and Pullable count the images that could not be pulled any more,
	// and those that could be again.
	Blocked, Pullable int
	// Samples are a few of the images, those whose verdict would change first.
	Samples []PreviewSample
}

// PreviewSample is an image whose findings would have other states.
type PreviewSample struct {
	Place
	Before, After bool // blocked
	// Changes are the first few.
	Changes []StateChange
}

// StateChange is a finding that would have another state.
type StateChange struct {
	Vulnerability, Package, Version string
	Before, After                   string
}

// The bounds of a preview, which keep it fast.
const (
	previewPlaces  = 100_000
	previewBatch   = 50 // images that are looked at whatever the time
	previewSamples = 20
	previewChanges = 5
)

// Glance is how long a preview takes of somebody who does not want to wait.
const Glance = 30 * time.Millisecond

// Preview says what the requests would change if they were assessed now, as far as
// patience suffices to look at images. It returns what AssessAll would where that
// refused them.
func (s *Service) Preview(ctx context.Context, requests []Request, at Locate, patience time.Duration) (Preview, error) {
	types, err := s.store.AssessmentTypes(ctx)
	if err != nil {
		return Preview{}, err
	}
	now := s.now()
	list := make([]Assessment, len(requests))
	var wrong FieldErrors
	for i, r := range requests {
		if list[i], err = r.assessment(types, now); err != nil {
			wrong = wrong.add(at.field(i, err))
		}
	}
	if len(wrong) > 0 {
		return Preview{}, wrong
	}
	resolved, err := s.store.ResolveAssessments(ctx, list, Keep{})
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		return Preview{}, refused.fields(list, at)
	}
	if err != nil {
		return Preview{}, fmt.Errorf("preview: %w", err)
	}
	p, err := s.preview(ctx, resolved, types, now, patience)
	if err != nil {
		return Preview{}, fmt.Errorf("preview: %w", err)
	}
	return p, nil
}

// previewing is a preview on its way.
type previewing struct {
	store    PreviewStore
	now      time.Time
	ids      []int64
	fresh    map[int64]*decisionsOn // by vulnerability
	policies map[string]Policy
	Preview
}

func (s *Service) preview(ctx context.Context, list []Assessment, types []Type, now time.Time, patience time.Duration) (Preview, error) {
	end := time.Now().Add(patience) // it is people who wait, not the clock of the assessments
	p := &previewing{store: s.store, now: now, fresh: make(map[int64]*decisionsOn), policies: make(map[string]Policy)}
	p.Assessments = len(list)
	var scopes []Scope
	seen := make(map[Scope]bool)
	for i, a := range list {
		if a.VulnerabilityID == 0 {
			continue
		}
		t, err := named(types, "type", a.Type)
		if err != nil {
			return Preview{}, err
		}
		d := Decision{AssessmentID: math.MaxInt64 - int64(len(list)) + int64(i), VulnerabilityID: a.VulnerabilityID, Type: t.Name, Blocks: t.Blocks,
			Warns: t.Effect == EffectWarns, Scope: a.Scope, ExpiresAt: a.ExpiresAt}
		addDecision(p.fresh, d)
		if !seen[a.Scope] {
			seen[a.Scope] = true
			scopes = append(scopes, a.Scope)
		}
	}
	for id := range p.fresh {
		p.ids = append(p.ids, id)
	}
	slices.Sort(p.ids)
	if len(p.ids) == 0 {
		p.Complete = true
		return p.Preview, nil
	}
	if err := p.superseded(ctx); err != nil {
		return Preview{}, err
	}
	most := previewPlaces
	if patience <= Glance {
		most = 10 * previewBatch
	}
	places, all, err := s.store.AffectedPlaces(ctx, p.ids, scopes, most)
	if err != nil {
		return Preview{}, err
	}
	p.Complete = all
	for chunk := range slices.Chunk(places, previewBatch) {
		if p.Examined > 0 && time.Now().After(end) {
			p.Complete = false
			break
		}
		if err := p.look(ctx, chunk); err != nil {
			return Preview{}, err
		}
	}
	return p.Preview, nil
}

// superseded counts the live assessments in whose place new ones would come.
func (p *previewing) superseded(ctx context.Context) error {
	live, err := p.store.LiveDecisions(ctx, p.ids, nil, p.now)
	if err != nil {
		return err
	}
	type key struct {
		id int64
		Scope
	}
	is := make(map[key]Decision, len(live))
	for _, d := range live {
		is[key{d.VulnerabilityID, d.Scope}] = d
	}
	for id, decisions := range p.fresh {
		for scope, d := range decisions.in {
			if old, ok := is[key{id, scope}]; ok {
				p.Superseded++
				if old.Type == d.Type {
					p.Same++
				}
			}
		}
	}
	return nil
}

// decisionsOn are the decisions on one vulnerability by scope, of which there may
// be as many as images; wide are the scopes that no place names.
type decisionsOn struct {
	in   map[Scope]Decision
	wide []Scope
}

func addDecision(all map[int64]*decisionsOn, d Decision) {
	on := all[d.VulnerabilityID]
	if on == nil {
		on = &decisionsOn{in: make(map[Scope]Decision)}
		all[d.VulnerabilityID] = on
	}
	if _, twice := on.in[d.Scope]; !twice && (d.Scope.Kind == Everywhere || d.Scope.Kind == Package) {
		on.wide = append(on.wide, d.Scope)
	}
	on.in[d.Scope] = d
}

// at adds those that may hold at a place, but for scopes that others have.
func (on *decisionsOn) at(list []Decision, place Place, others *decisionsOn) []Decision {
	if on == nil {
		return list
	}
	add := func(scope Scope) {
		if others != nil {
			if _, has := others.in[scope]; has {
				return
			}
		}
		if d, ok := on.in[scope]; ok {
			list = append(list, d)
		}
	}
	for _, scope := range on.wide {
		add(scope)
	}
	add(Scope{Registry, place.Registry})
	add(Scope{Repository, place.Registry + "/" + place.Repository})
	add(Scope{Image, place.Digest})
	return list
}

// look counts what changes at some places.
func (p *previewing) look(ctx context.Context, places []Place) error {
	digests := make([]string, len(places))
	for i, place := range places {
		digests[i] = place.Digest
	}
	slices.Sort(digests)
	found, err := p.store.FindingsByImage(ctx, slices.Compact(digests))
	if err != nil {
		return err
	}
	known := make(map[int64]bool)
	var ids []int64
	for _, findings := range found {
		for _, f := range findings {
			if !known[f.VulnerabilityID] {
				known[f.VulnerabilityID] = true
				ids = append(ids, f.VulnerabilityID)
			}
		}
	}
	live, err := p.decisions(ctx, ids, places)
	if err != nil {
		return err
	}
	for _, place := range places {
		policy, err := p.policy(ctx, place.Registry)
		if err != nil {
			return err
		}
		p.Examined++
		p.compare(place, found[place.Digest], live, policy)
	}
	return nil
}

func (p *previewing) policy(ctx context.Context, registry string) (Policy, error) {
	if policy, ok := p.policies[registry]; ok {
		return policy, nil
	}
	policy, err := p.store.RegistryPolicy(ctx, registry)
	p.policies[registry] = policy
	return policy, err
}

// decisions are the live ones, by vulnerability.
func (p *previewing) decisions(ctx context.Context, ids []int64, places []Place) (map[int64]*decisionsOn, error) {
	list, err := p.store.LiveDecisions(ctx, ids, places, p.now)
	live := make(map[int64]*decisionsOn)
	for _, d := range list {
		addDecision(live, d)
	}
	return live, err
}

// compare decides on the findings at a place as things are, and as they would be.
func (p *previewing) compare(place Place, findings []match.Finding, live map[int64]*decisionsOn, policy Policy) {
	var before, after []Decision
	done := make(map[int64]bool)
	for i := range findings {
		if id := findings[i].VulnerabilityID; !done[id] {
			done[id] = true
			before = live[id].at(before, place, nil)
			after = live[id].at(p.fresh[id].at(after, place, nil), place, p.fresh[id])
		}
	}
	was, verdict := Decide(findings, place, before, policy, p.now)
	is, then := Decide(findings, place, after, policy, p.now)
	sample := PreviewSample{Place: place, Before: verdict.Blocked, After: then.Blocked}
	changed := 0
	for i, f := range findings {
		if was[i].Name == is[i].Name {
			continue
		}
		changed++
		if len(sample.Changes) < previewChanges {
			sample.Changes = append(sample.Changes, StateChange{f.Vulnerability, f.Package.Name, f.Package.Version, was[i].Name, is[i].Name})
		}
	}
	switch {
	case then.Blocked && !verdict.Blocked:
		p.Blocked++
	case verdict.Blocked && !then.Blocked:
		p.Pullable++
	}
	if changed > 0 {
		p.Findings += changed
		p.Images++
		p.sample(sample)
	}
}

// sample keeps a few images, those whose verdict turns before others.
func (p *previewing) sample(sample PreviewSample) {
	turns := func(s PreviewSample) bool { return s.Before != s.After }
	if len(p.Samples) < previewSamples {
		p.Samples = append(p.Samples, sample)
	} else if i := slices.IndexFunc(p.Samples, func(s PreviewSample) bool { return !turns(s) }); i >= 0 && turns(sample) {
		p.Samples[i] = sample
	} else {
		return
	}
	slices.SortStableFunc(p.Samples, func(a, b PreviewSample) int {
		if turns(a) != turns(b) {
			if turns(a) {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Registry+"/"+a.Repository+"@"+a.Digest, b.Registry+"/"+b.Repository+"@"+b.Digest)
	})
}
