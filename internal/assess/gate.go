package assess

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/pratique/pratique/internal/match"
)

// GateStore answers what a verdict rests on.
type GateStore interface {
	// ImagesToPull returns the digests of the images that a manifest stands
	// for: itself where it is an image, an index's children that are images,
	// none for any other artifact.
	ImagesToPull(ctx context.Context, registry, repository, digest string) ([]string, error)
	// RegistryPolicy returns the policy of a registry.
	RegistryPolicy(ctx context.Context, registry string) (Policy, error)
	// ImageFindings returns the findings of an image, none where it has not
	// been analysed.
	ImageFindings(ctx context.Context, digest string) ([]match.Finding, error)
	// LiveDecisions returns what holds at a time for the vulnerabilities, in
	// the scopes that cover any of the places.
	LiveDecisions(ctx context.Context, vulnerabilities []int64, places []Place, at time.Time) ([]Decision, error)
}

// BlockedError says that policy refuses to serve a manifest.
type BlockedError struct {
	// Place is what was asked for; its digest may be an index's.
	Place
	// Reasons are what blocks, the gravest first.
	Reasons []Reason
}

// Error names the image and the first few reasons.
func (e *BlockedError) Error() string {
	const shown = 10
	var b strings.Builder
	fmt.Fprintf(&b, "image %s/%s@%s is blocked by policy: ", e.Registry, e.Repository, e.Digest)
	for i, r := range e.Reasons {
		if i == shown {
			fmt.Fprintf(&b, " and %d more", len(e.Reasons)-shown)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(r.String())
	}
	return b.String()
}

// Gate decides whether a manifest may be pulled. Its answers are remembered
// for a moment, so that a popular image costs no query a pull.
type Gate struct {
	store GateStore
	opts  GateOptions
	// epoch moves at each change in this process; answers of another epoch
	// are not used.
	epoch   atomic.Uint64
	answers sync.Map // Place -> *answer
	count   atomic.Int64
	flight  singleflight.Group
}

// GateOptions are the choices of a Gate.
type GateOptions struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// MaxAge bounds how long an answer is used while another process may
	// have changed the database; a second where zero.
	MaxAge time.Duration
	// MaxAnswers bounds how many answers are remembered; 65,536 where zero.
	MaxAnswers int
	// Timeout bounds the making of one answer; 10 seconds where zero.
	Timeout time.Duration
}

// answer is what is remembered of a place.
type answer struct {
	epoch   uint64
	until   time.Time // exclusive
	blocked error     // nil or a *BlockedError
}

// NewGate returns a gate over the store.
func NewGate(store GateStore, opts GateOptions) *Gate {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.MaxAge == 0 {
		opts.MaxAge = time.Second
	}
	if opts.MaxAnswers == 0 {
		opts.MaxAnswers = 65_536
	}
	if opts.Timeout == 0 {
		opts.Timeout = 10 * time.Second
	}
	return &Gate{store: store, opts: opts}
}

// Invalidate forgets every answer. It is called after any change of
// assessments, types, policies, matches or inventories in this process.
func (g *Gate) Invalidate() { g.epoch.Add(1) }

// Check returns nil where the manifest may be pulled, a *BlockedError where
// policy refuses it, and any other error where no verdict could be made: then
// the pull must not go on either.
func (g *Gate) Check(ctx context.Context, registry, repository, digest string) error {
	at := Place{Registry: registry, Repository: repository, Digest: digest}
	epoch := g.epoch.Load()
	if v, ok := g.answers.Load(at); ok {
		if a := v.(*answer); a.epoch == epoch && g.opts.Now().Before(a.until) {
			return a.blocked
		}
	}
	// The epoch is part of the key, lest someone who comes after a change
	// joins a computation that began before it.
	key := strconv.FormatUint(epoch, 36) + "\x00" + registry + "\x00" + repository + "\x00" + digest
	v, err, _ := g.flight.Do(key, func() (any, error) {
		// Others may wait for this answer when the first who asked has gone.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.opts.Timeout)
		defer cancel()
		return g.answer(ctx, at, epoch)
	})
	if err != nil {
		return fmt.Errorf("policy of %s/%s@%s: %w", registry, repository, digest, err)
	}
	return v.(*answer).blocked
}

// answer makes an answer and remembers it.
func (g *Gate) answer(ctx context.Context, at Place, epoch uint64) (*answer, error) {
	began := g.opts.Now()
	verdict, err := g.verdict(ctx, at, began)
	if err != nil {
		return nil, err
	}
	a := &answer{epoch: epoch, until: began.Add(g.opts.MaxAge)}
	if !verdict.ValidUntil.IsZero() && verdict.ValidUntil.Before(a.until) {
		a.until = verdict.ValidUntil
	}
	if verdict.Blocked {
		a.blocked = &BlockedError{Place: at, Reasons: verdict.Reasons}
	}
	if g.count.Load() >= int64(g.opts.MaxAnswers) {
		// Answers live for a moment only, so that nothing much is lost.
		g.answers.Clear()
		g.count.Store(0)
	}
	if _, known := g.answers.Swap(at, a); !known {
		g.count.Add(1)
	}
	return a, nil
}

// verdict is blocked where every image that the manifest stands for is.
func (g *Gate) verdict(ctx context.Context, at Place, t time.Time) (Verdict, error) {
	policy, err := g.store.RegistryPolicy(ctx, at.Registry)
	if err != nil || policy.idle() {
		return Verdict{}, err
	}
	images, err := g.store.ImagesToPull(ctx, at.Registry, at.Repository, at.Digest)
	if err != nil {
		return Verdict{}, err
	}
	all := Verdict{Blocked: len(images) > 0}
	for _, digest := range images {
		place := Place{Registry: at.Registry, Repository: at.Repository, Digest: digest}
		findings, decisions, err := g.known(ctx, digest, []Place{place}, t)
		if err != nil {
			return Verdict{}, err
		}
		_, verdict := Decide(findings, place, decisions, policy, t)
		all.until(verdict.ValidUntil)
		all.Reasons = append(all.Reasons, verdict.Reasons...)
		if !verdict.Blocked {
			return Verdict{ValidUntil: all.ValidUntil}, nil
		}
	}
	return all, nil
}

// Judgement is what is decided on an image's findings at one place.
type Judgement struct {
	Place
	// States are in the order of the image's findings.
	States  []State
	Verdict Verdict
}

// Judge returns an image's findings and, for each place, what is decided on
// them there. A place without a registry knows only what holds for the image
// wherever it is. Nothing is remembered.
func (g *Gate) Judge(ctx context.Context, digest string, places []Place) ([]match.Finding, []Judgement, error) {
	now := g.opts.Now()
	findings, decisions, err := g.known(ctx, digest, places, now)
	if err != nil {
		return nil, nil, fmt.Errorf("judge image %s: %w", digest, err)
	}
	policies := make(map[string]Policy)
	judgements := make([]Judgement, 0, len(places))
	for _, place := range places {
		policy, ok := policies[place.Registry]
		if !ok && place.Registry == "" {
			policy = Policy{Block: []string{}} // nothing is pulled from nowhere
		} else if !ok {
			if policy, err = g.store.RegistryPolicy(ctx, place.Registry); err != nil {
				return nil, nil, fmt.Errorf("judge image %s: %w", digest, err)
			}
			policies[place.Registry] = policy
		}
		states, verdict := Decide(findings, place, decisions, policy, now)
		judgements = append(judgements, Judgement{Place: place, States: states, Verdict: verdict})
	}
	return findings, judgements, nil
}

func (g *Gate) known(ctx context.Context, digest string, places []Place, t time.Time) ([]match.Finding, []Decision, error) {
	findings, err := g.store.ImageFindings(ctx, digest)
	if err != nil || len(findings) == 0 {
		return nil, nil, err
	}
	seen := make(map[int64]bool, len(findings))
	ids := make([]int64, 0, len(findings))
	for _, f := range findings {
		if !seen[f.VulnerabilityID] {
			seen[f.VulnerabilityID] = true
			ids = append(ids, f.VulnerabilityID)
		}
	}
	decisions, err := g.store.LiveDecisions(ctx, ids, places, t)
	return findings, decisions, err
}
