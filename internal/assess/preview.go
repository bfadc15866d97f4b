package assess

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/match"
)

// PreviewStore answers what assessments would change.
type PreviewStore interface {
	// ResolveAssessments names the vulnerabilities of assessments as
	// CreateAssessments does, and returns its *RefusedError, but stores nothing.
	// Those that are kept for later have no id.
	ResolveAssessments(ctx context.Context, list []Assessment, keep Keep) ([]Assessment, error)
	// AffectedPlaces lists, in no order, at most limit places with images that
	// the vulnerabilities affect in any of the scopes.
	AffectedPlaces(ctx context.Context, vulnerabilities []int64, scopes []Scope, limit int) ([]PreviewPlace, error)
	// PreviewFindings returns the findings of inventories that are of the
	// vulnerabilities, at most limit.
	PreviewFindings(ctx context.Context, inventories, vulnerabilities []int64, limit int) ([]PreviewFinding, error)
	// MayBlock returns the findings of inventories that are of none of the
	// vulnerabilities, and have a live assessment of one of the types, or, where
	// atLeast is not nil, that severity at least.
	MayBlock(ctx context.Context, inventories, vulnerabilities []int64, types []string, atLeast *advisory.Severity) ([]PreviewFinding, error)
	// LiveDecisions is as in GateStore.
	LiveDecisions(ctx context.Context, vulnerabilities []int64, places []Place, at time.Time) ([]Decision, error)
	// RegistryPolicy is as in GateStore.
	RegistryPolicy(ctx context.Context, registry string) (Policy, error)
}

// PreviewPlace is an image at a place.
type PreviewPlace struct {
	Place
	InventoryID int64
	AnalysedAt  time.Time
}

// PreviewFinding is a finding of an inventory, as far as a verdict needs it.
type PreviewFinding struct {
	InventoryID int64
	match.Finding
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
	previewPlaces   = 5000
	previewFindings = 200_000
	previewSamples  = 20
	previewChanges  = 5
)

// Preview says what the requests would change if they were assessed now. It
// returns what AssessAll would where that refused them.
func (s *Service) Preview(ctx context.Context, requests []Request, at Locate) (Preview, error) {
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
	p, err := s.preview(ctx, resolved, types, now)
	if err != nil {
		return Preview{}, fmt.Errorf("preview: %w", err)
	}
	return p, nil
}

// previewing is a preview on its way.
type previewing struct {
	store    PreviewStore
	now      time.Time
	types    []Type
	ids      []int64
	fresh    map[int64]*decisionsOn // by vulnerability
	policies map[string]Policy
	Preview
}

func (s *Service) preview(ctx context.Context, list []Assessment, types []Type, now time.Time) (Preview, error) {
	p := &previewing{store: s.store, now: now, types: types, fresh: make(map[int64]*decisionsOn), policies: make(map[string]Policy)}
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
	places, err := s.store.AffectedPlaces(ctx, p.ids, scopes, previewPlaces+1)
	if err != nil {
		return Preview{}, err
	}
	if p.Complete = len(places) <= previewPlaces; !p.Complete {
		places = places[:previewPlaces]
	}
	budget := previewFindings
	for chunk := range slices.Chunk(places, 500) {
		used, err := p.look(ctx, chunk, budget)
		if err != nil {
			return Preview{}, err
		}
		if budget -= used; budget <= 0 {
			p.Complete = p.Complete && p.Examined == len(places)
			break
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

// outcome is what a place's verdict rests on as far as the assessed
// vulnerabilities go.
type outcome struct {
	PreviewPlace
	before, after bool
	changes       []StateChange
}

// look counts what changes at some places, and returns how many findings it read.
func (p *previewing) look(ctx context.Context, places []PreviewPlace, budget int) (int, error) {
	inventories := make([]int64, 0, len(places))
	at := make([]Place, len(places))
	for i, place := range places {
		at[i] = place.Place
		if !slices.Contains(inventories, place.InventoryID) {
			inventories = append(inventories, place.InventoryID)
		}
	}
	found, err := p.store.PreviewFindings(ctx, inventories, p.ids, budget+1)
	if err != nil {
		return 0, err
	}
	if len(found) > budget {
		return len(found), nil // half of an image would tell a wrong verdict
	}
	byInventory := make(map[int64][]match.Finding)
	for _, f := range found {
		byInventory[f.InventoryID] = append(byInventory[f.InventoryID], f.Finding)
	}
	live, err := p.decisions(ctx, p.ids, at)
	if err != nil {
		return 0, err
	}
	var turned []outcome
	for _, place := range places {
		policy, err := p.policy(ctx, place.Registry)
		if err != nil {
			return 0, err
		}
		p.Examined++
		o := p.compare(place, byInventory[place.InventoryID], live, policy)
		if o.before != o.after {
			turned = append(turned, o)
		} else if len(o.changes) > 0 {
			p.sample(o)
		}
	}
	return len(found), p.turn(ctx, turned)
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

// compare decides on the findings of the assessed vulnerabilities at a place as
// things are, and as they would be.
func (p *previewing) compare(place PreviewPlace, findings []match.Finding, live map[int64]*decisionsOn, policy Policy) outcome {
	o := outcome{PreviewPlace: place}
	var before, after []Decision
	done := make(map[int64]bool)
	for i := range findings {
		f := &findings[i]
		f.FirstSeen = later(f.FirstSeen, place.AnalysedAt)
		if id := f.VulnerabilityID; !done[id] {
			done[id] = true
			before = live[id].at(before, place.Place, nil)
			after = live[id].at(p.fresh[id].at(after, place.Place, nil), place.Place, p.fresh[id])
		}
	}
	was, verdict := Decide(findings, place.Place, before, policy, p.now)
	is, then := Decide(findings, place.Place, after, policy, p.now)
	o.before, o.after = verdict.Blocked, then.Blocked
	for i, f := range findings {
		if was[i].Name == is[i].Name {
			continue
		}
		p.Findings++
		if len(o.changes) < previewChanges {
			o.changes = append(o.changes, StateChange{f.Vulnerability, f.Package.Name, f.Package.Version, was[i].Name, is[i].Name})
		}
	}
	if len(o.changes) > 0 {
		p.Images++
	}
	return o
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// turn counts the images whose verdict turns: those that nothing else blocks.
func (p *previewing) turn(ctx context.Context, turned []outcome) error {
	if len(turned) == 0 {
		return nil
	}
	blocked, err := p.blockedOtherwise(ctx, turned)
	if err != nil {
		return err
	}
	for i, o := range turned {
		if blocked[i] {
			o.before, o.after = true, true
		}
		switch {
		case o.after && !o.before:
			p.Blocked++
		case o.before && !o.after:
			p.Pullable++
		}
		p.sample(o)
	}
	return nil
}

// blockedOtherwise says which of the places other vulnerabilities block.
func (p *previewing) blockedOtherwise(ctx context.Context, turned []outcome) ([]bool, error) {
	var names []string
	var atLeast *advisory.Severity
	var inventories []int64
	places := make([]Place, len(turned))
	for i, o := range turned {
		places[i] = o.Place
		if !slices.Contains(inventories, o.InventoryID) {
			inventories = append(inventories, o.InventoryID)
		}
		policy := p.policies[o.Registry]
		for _, name := range policy.Blocking(p.types) {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		if from := policy.BlockUnassessedFrom; from != nil && (atLeast == nil || *from < *atLeast) {
			atLeast = from
		}
	}
	found, err := p.store.MayBlock(ctx, inventories, p.ids, names, atLeast)
	if err != nil {
		return nil, err
	}
	byInventory := make(map[int64][]match.Finding)
	var ids []int64
	known := make(map[int64]bool)
	for _, f := range found {
		byInventory[f.InventoryID] = append(byInventory[f.InventoryID], f.Finding)
		if !known[f.VulnerabilityID] {
			known[f.VulnerabilityID] = true
			ids = append(ids, f.VulnerabilityID)
		}
	}
	live, err := p.decisions(ctx, ids, places)
	if err != nil {
		return nil, err
	}
	blocked := make([]bool, len(turned))
	for i, o := range turned {
		findings := byInventory[o.InventoryID]
		var decisions []Decision
		done := make(map[int64]bool)
		for n := range findings {
			f := &findings[n]
			f.FirstSeen = later(f.FirstSeen, o.AnalysedAt)
			if !done[f.VulnerabilityID] {
				done[f.VulnerabilityID] = true
				decisions = live[f.VulnerabilityID].at(decisions, o.Place, nil)
			}
		}
		_, verdict := Decide(findings, o.Place, decisions, p.policies[o.Registry], p.now)
		blocked[i] = verdict.Blocked
	}
	return blocked, nil
}

// sample keeps a few images, those whose verdict turns before others.
func (p *previewing) sample(o outcome) {
	sample := PreviewSample{Place: o.Place, Before: o.before, After: o.after, Changes: o.changes}
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
