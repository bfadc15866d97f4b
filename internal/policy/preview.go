package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/match"
)

// PreviewStore tells of all images at once, as far as policies look at them.
type PreviewStore interface {
	// RegistrySources is as in GateStore.
	RegistrySources(ctx context.Context, registry string) ([]string, error)
	// RegistryNames lists the registries by name.
	RegistryNames(ctx context.Context) ([]string, error)
	// PlacesIn lists at most limit images of a registry by repository and
	// digest, from the one after after on.
	PlacesIn(ctx context.Context, registry string, after assess.Place, limit int) ([]assess.Place, error)
	// FindingsOf returns the findings of images, as far as Decide needs them, and
	// their Image, without layers.
	FindingsOf(ctx context.Context, digests []string) (map[string]Known, error)
	LiveDecisions(ctx context.Context, vulnerabilities []int64, places []assess.Place, at time.Time) ([]assess.Decision, error)
	LiveExceptions(ctx context.Context, registry string, at time.Time) ([]Exception, error)
	PullNames(ctx context.Context, registry, repository, digest string) (Names, error)
	FeedData(ctx context.Context, ecosystems []string) (map[string]image.Data, error)
}

// Known is what is known of an image among many.
type Known struct {
	Image    image.Image
	Findings []match.Finding
}

// Preview is what a change of policy would do in a registry.
type Preview struct {
	Registry string
	// Images counts the images, one for each repository that it is in.
	Images int
	// BlockedNow and BlockedThen count those that are blocked before and after.
	BlockedNow, BlockedThen int
	// Blocked and Pullable are the first of those that would become so, of the
	// numbers that NewlyBlocked and NewlyPullable give.
	NewlyBlocked, NewlyPullable int
	Blocked, Pullable           []Change
	// Complete is false where the time did not suffice to look at all images.
	Complete bool
}

// Change is an image whose verdict would change.
type Change struct {
	assess.Place
	// Reasons are what would block it, or what blocks it now.
	Reasons []Reason
}

// Bounds of a preview.
const (
	firstBatch   = 50 // images that are looked at whatever the time
	previewBatch = 1000
	maxChanges   = 20
)

// Preview says what an edit of a registry's settings, or of the global ones
// where registry is "", would change, as far as patience suffices to look at images.
// It returns an *assess.FieldError or
// ErrNotFound. Exceptions of users are not considered.
func (s *Service) Preview(ctx context.Context, registry string, edit func(Settings) Settings, patience time.Duration) ([]Preview, error) {
	own, global, err := s.Policy(ctx, registry)
	if err != nil {
		return nil, err
	}
	now := s.opts.Now()
	next := edit(own.Settings)
	if err := s.Check(ctx, next); err != nil {
		return nil, err
	}
	next = stamped(own.Settings, next, now)
	names := []string{registry}
	if registry == "" {
		if names, err = s.store.RegistryNames(ctx); err != nil {
			return nil, err
		}
	}
	end := time.Now().Add(patience) // that runs out, not the clock of the policy
	previews := make([]Preview, 0, len(names))
	for _, name := range names {
		before, after := Resolve(global, own.Settings), Resolve(global, next)
		if registry == "" {
			of, err := s.store.Policy(ctx, name)
			if err != nil {
				return nil, fmt.Errorf("policy of registry %q: %w", name, err)
			}
			before, after = Resolve(global, of.Settings), Resolve(next, of.Settings)
		}
		attached, err := s.store.RegistrySources(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("sources of registry %q: %w", name, err)
		}
		before.Policy.Sources, after.Policy.Sources = attached, attached
		p := previewer{store: s.store, sources: s.opts.Sources, registry: name, policies: [2]Policy{before.Policy, after.Policy}, now: now, end: end}
		if err := p.run(ctx); err != nil {
			return nil, fmt.Errorf("preview of registry %q: %w", name, err)
		}
		previews = append(previews, p.preview)
	}
	return previews, nil
}

// previewer judges the images of one registry by two policies.
type previewer struct {
	store    PreviewStore
	sources  Sources
	registry string
	policies [2]Policy // now and then
	now, end time.Time
	preview  Preview
}

func (p *previewer) run(ctx context.Context) error {
	p.preview = Preview{Registry: p.registry, Blocked: []Change{}, Pullable: []Change{}}
	exceptions, err := p.store.LiveExceptions(ctx, p.registry, p.now)
	if err != nil {
		return err
	}
	var after assess.Place
	for batch := firstBatch; ; batch = min(2*batch, previewBatch) {
		if p.preview.Images > 0 && time.Now().After(p.end) {
			return nil
		}
		places, err := p.store.PlacesIn(ctx, p.registry, after, batch)
		if err != nil {
			return err
		}
		if err := p.judge(ctx, places, exceptions); err != nil {
			return err
		}
		if len(places) < batch {
			p.preview.Complete = true
			return nil
		}
		after = places[len(places)-1]
	}
}

func (p *previewer) judge(ctx context.Context, places []assess.Place, exceptions []Exception) error {
	if len(places) == 0 {
		return nil
	}
	var digests []string
	seen := make(map[string]bool)
	for _, place := range places {
		if !seen[place.Digest] {
			seen[place.Digest] = true
			digests = append(digests, place.Digest)
		}
	}
	known, err := p.store.FindingsOf(ctx, digests)
	if err != nil {
		return err
	}
	vulnerabilities := make(map[int64]bool)
	var ids []int64
	ecosystems := make(map[string]bool)
	for _, k := range known {
		for _, f := range k.Findings {
			if !vulnerabilities[f.VulnerabilityID] {
				vulnerabilities[f.VulnerabilityID] = true
				ids = append(ids, f.VulnerabilityID)
			}
		}
		for _, name := range k.Image.Ecosystems() {
			ecosystems[name] = true
		}
	}
	decisions, err := p.store.LiveDecisions(ctx, ids, places, p.now)
	if err != nil {
		return err
	}
	byVulnerability := make(map[int64][]assess.Decision)
	for _, d := range decisions {
		byVulnerability[d.VulnerabilityID] = append(byVulnerability[d.VulnerabilityID], d)
	}
	names := make([]string, 0, len(ecosystems))
	for name := range ecosystems {
		names = append(names, name)
	}
	data, err := p.store.FeedData(ctx, names)
	if err != nil {
		return err
	}
	for _, place := range places {
		k, ok := known[place.Digest]
		if !ok {
			continue // it was deleted meanwhile
		}
		s := Subject{Findings: k.Findings, Image: k.Image, Data: make(map[string]image.Data)}
		for _, name := range k.Image.Ecosystems() {
			s.Data[name] = data[name]
		}
		// Decide looks at every decision: those of other images would cost most.
		var own []assess.Decision
		last := int64(-1)
		for _, f := range k.Findings {
			if f.VulnerabilityID != last { // they come by vulnerability
				last = f.VulnerabilityID
				own = append(own, byVulnerability[last]...)
			}
		}
		if err := p.compare(ctx, s, place, own, exceptions); err != nil {
			return err
		}
	}
	return nil
}

// compare judges one image by both policies.
func (p *previewer) compare(ctx context.Context, s Subject, at assess.Place, decisions []assess.Decision, exceptions []Exception) error {
	if p.sources != nil && (p.policies[0].RequireAnalysis || p.policies[1].RequireAnalysis) {
		var err error
		if s.Awaited, err = p.sources.SourcesPending(ctx, at.Registry, at.Digest); err != nil {
			return err
		}
	}
	var verdicts [2]Verdict
	var matching []Exception
	looked := false
	for i, policy := range p.policies {
		_, v := Judge(s, at, decisions, policy, p.now)
		if v.Blocked && !looked {
			looked = true
			var err error
			if matching, err = covering(exceptions, at, func() (Names, error) {
				return p.store.PullNames(ctx, at.Registry, at.Repository, at.Digest)
			}); err != nil {
				return err
			}
		}
		verdicts[i] = v.excepted(policy, matching, Pull{Place: at}, s.Image.AnalysedAt, p.now)
	}
	p.preview.Images++
	if verdicts[0].Blocked {
		p.preview.BlockedNow++
	}
	if verdicts[1].Blocked {
		p.preview.BlockedThen++
	}
	note := func(n *int, list *[]Change, reasons []Reason) {
		if *n++; len(*list) < maxChanges {
			*list = append(*list, Change{Place: at, Reasons: reasons})
		}
	}
	switch {
	case verdicts[1].Blocked && !verdicts[0].Blocked:
		note(&p.preview.NewlyBlocked, &p.preview.Blocked, verdicts[1].Reasons)
	case verdicts[0].Blocked && !verdicts[1].Blocked:
		note(&p.preview.NewlyPullable, &p.preview.Pullable, verdicts[0].Reasons)
	}
	return nil
}
