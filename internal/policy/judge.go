package policy

import (
	"context"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/match"
)

// Judgement is what is decided on an image's findings at one place.
type Judgement struct {
	assess.Place
	// States are in the order of the image's findings.
	States []assess.State
	// Verdict is that for anyone who pulls by tag.
	Verdict Verdict
}

// Judge returns an image's findings and, for each place, what is decided on
// them there. A place without a registry knows only what holds for the image
// wherever it is. Nothing is remembered.
func (g *Gate) Judge(ctx context.Context, digest string, places []assess.Place) ([]match.Finding, []Judgement, error) {
	now := g.opts.Now()
	policies := make(map[string]Policy)
	widest := Policy{} // asks for all that any of them looks at
	for _, place := range places {
		if _, known := policies[place.Registry]; known {
			continue
		}
		if place.Registry == "" { // nothing is pulled from nowhere
			policies[""] = Policy{Policy: assess.Policy{Block: []string{}, Warn: []string{}}}
			continue
		}
		p, err := g.policy(ctx, place.Registry)
		if err != nil {
			return nil, nil, fmt.Errorf("judge image %s: %w", digest, err)
		}
		policies[place.Registry] = p
		if p.RequireCoverage.asks() || p.MaxFeedAgeHours > 0 {
			widest.RequireCoverage = KnownCoverage
		}
		widest.RequireAnalysis = widest.RequireAnalysis || p.looksAtImage()
	}
	subject, decisions, err := g.known(ctx, digest, places, widest, now)
	if err != nil {
		return nil, nil, fmt.Errorf("judge image %s: %w", digest, err)
	}
	judgements := make([]Judgement, 0, len(places))
	for _, place := range places {
		j, err := g.judge(ctx, subject, place, decisions, policies[place.Registry], now)
		if err != nil {
			return nil, nil, fmt.Errorf("judge image %s: %w", digest, err)
		}
		judgements = append(judgements, j)
	}
	return subject.Findings, judgements, nil
}

func (g *Gate) judge(ctx context.Context, subject Subject, place assess.Place, decisions []assess.Decision, p Policy, now time.Time) (j Judgement, err error) {
	j.Place = place
	if subject.Awaited, err = g.awaited(ctx, p, place); err != nil {
		return j, err
	}
	one := &answer{policy: p, images: []judged{{digest: place.Digest, analysed: subject.Image.AnalysedAt}}}
	j.States, one.images[0].verdict = Judge(subject, place, decisions, p, now)
	if err := g.except(ctx, one, place, now); err != nil {
		return j, err
	}
	j.Verdict = one.verdict(Pull{Place: place}, now)
	return j, nil
}
