package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/match"
)

// GateStore answers what a verdict rests on.
type GateStore interface {
	// ImagesToPull returns the digests of the images that a manifest stands
	// for: itself where it is an image, an index's children that are images,
	// none for any other artifact.
	ImagesToPull(ctx context.Context, registry, repository, digest string) ([]string, error)
	// PolicySettings returns those of the global policy and of a registry.
	PolicySettings(ctx context.Context, registry string) (global, own Settings, err error)
	// RegistrySources names the vulnerability sources whose findings count in a
	// registry; nil where it is the built-in analyser's alone.
	RegistrySources(ctx context.Context, registry string) ([]string, error)
	// ImageFindings returns the findings of an image, none where it has not
	// been analysed.
	ImageFindings(ctx context.Context, digest string) ([]match.Finding, error)
	// LiveDecisions returns what holds at a time for the vulnerabilities, in
	// the scopes that cover any of the places.
	LiveDecisions(ctx context.Context, vulnerabilities []int64, places []assess.Place, at time.Time) ([]assess.Decision, error)
	// KnownImage returns an image; known is false where there is none.
	KnownImage(ctx context.Context, digest string) (img image.Image, known bool, err error)
	// FeedData says what the feeds have on ecosystems.
	FeedData(ctx context.Context, ecosystems []string) (map[string]image.Data, error)
	// ManifestByDigest returns the content of a manifest.
	ManifestByDigest(ctx context.Context, digest string) (mediaType string, content []byte, err error)
	// LiveExceptions returns those that hold at a time in a registry.
	LiveExceptions(ctx context.Context, registry string, at time.Time) ([]Exception, error)
	// PullNames returns the names by which an image can be pulled.
	PullNames(ctx context.Context, registry, repository, digest string) (Names, error)
}

// Sources are the vulnerability sources that registries have attached.
type Sources interface {
	// SourcesPending names those attached to a registry that have not answered
	// on an image.
	SourcesPending(ctx context.Context, registry, digest string) ([]string, error)
}

// Witness is told of pulls that were refused.
type Witness interface {
	Refused(pull Pull, v Verdict)
}

// Pull is what someone wants to have.
type Pull struct {
	// Place is the manifest's; its digest may be an index's.
	assess.Place
	// ByDigest says that it was asked for by digest; else Tag is the tag.
	ByDigest bool
	Tag      string
	// User is who wants it, "" for anyone.
	User string
}

// Gate decides whether a manifest may be pulled. Its answers are remembered
// for a moment, so that a popular image costs no query a pull.
type Gate struct {
	store GateStore
	opts  GateOptions
	// epoch moves at each change in this process; answers of another epoch
	// are not used.
	epoch   atomic.Uint64
	answers sync.Map // assess.Place -> *answer
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
	// Sources are asked what is still awaited; nil where there is only the
	// built-in one.
	Sources Sources
	// Witness is told of refused pulls, where not nil.
	Witness Witness
}

// answer is what is remembered of a place: the verdict on each image that the
// manifest stands for, with the exceptions that may let it through.
type answer struct {
	epoch  uint64
	until  time.Time // exclusive
	policy Policy
	images []judged
	// plain is the verdict for everyone where no exception matters.
	plain *Verdict
}

type judged struct {
	digest     string
	verdict    Verdict
	exceptions []Exception
	analysed   time.Time
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

// Check returns the verdict where the manifest may be pulled, a *BlockedError
// where policy refuses it, and any other error where no verdict could be made:
// then the pull must not go on either.
func (g *Gate) Check(ctx context.Context, pull Pull) (Verdict, error) {
	v, err := g.Verdict(ctx, pull)
	if err != nil || !v.Blocked {
		return v, err
	}
	if g.opts.Witness != nil {
		g.opts.Witness.Refused(pull, v)
	}
	return v, &BlockedError{Place: pull.Place, Reasons: v.Reasons, Refusal: v.Refusal}
}

// Verdict is what Check rests on. Nobody is told of it.
func (g *Gate) Verdict(ctx context.Context, pull Pull) (Verdict, error) {
	at := pull.Place
	epoch := g.epoch.Load()
	if a := g.remembered(at, epoch); a != nil {
		return a.verdict(pull, g.opts.Now()), nil
	}
	// The epoch is part of the key, lest someone who comes after a change
	// joins a computation that began before it.
	key := strconv.FormatUint(epoch, 36) + "\x00" + at.Registry + "\x00" + at.Repository + "\x00" + at.Digest
	v, err, _ := g.flight.Do(key, func() (any, error) {
		if a := g.remembered(at, epoch); a != nil {
			return a, nil // another's computation ended since we looked
		}
		// Others may wait for this answer when the first who asked has gone.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), g.opts.Timeout)
		defer cancel()
		return g.answer(ctx, at, epoch)
	})
	if err != nil {
		return Verdict{}, fmt.Errorf("policy of %s/%s@%s: %w", at.Registry, at.Repository, at.Digest, err)
	}
	return v.(*answer).verdict(pull, g.opts.Now()), nil
}

// remembered is the answer that may be used for a place; nil where there is none.
func (g *Gate) remembered(at assess.Place, epoch uint64) *answer {
	if v, ok := g.answers.Load(at); ok {
		if a := v.(*answer); a.epoch == epoch && g.opts.Now().Before(a.until) {
			return a
		}
	}
	return nil
}

// verdict is that of an answer for who pulls.
func (a *answer) verdict(pull Pull, t time.Time) Verdict {
	if a.plain != nil {
		return *a.plain
	}
	verdicts := make([]Verdict, len(a.images))
	for i, img := range a.images {
		verdicts[i] = img.verdict.excepted(a.policy, img.exceptions, pull, img.analysed, t)
	}
	return whole(verdicts)
}

// answer makes an answer and remembers it.
func (g *Gate) answer(ctx context.Context, at assess.Place, epoch uint64) (*answer, error) {
	began := g.opts.Now()
	a := &answer{epoch: epoch, until: began.Add(g.opts.MaxAge)}
	if err := g.fill(ctx, a, at, began); err != nil {
		return nil, err
	}
	verdicts := make([]Verdict, len(a.images))
	same := a.policy.AllowDigestPulls == NeverByDigest || a.policy.AllowDigestPulls == ""
	for i, img := range a.images {
		verdicts[i] = img.verdict
		same = same && len(img.exceptions) == 0
		for _, e := range img.exceptions {
			if e.ExpiresAt.Before(a.until) {
				a.until = e.ExpiresAt
			}
		}
	}
	plain := whole(verdicts)
	if same || !slices.ContainsFunc(verdicts, func(v Verdict) bool { return v.Blocked }) {
		a.plain = &plain
	}
	if !plain.ValidUntil.IsZero() && plain.ValidUntil.Before(a.until) {
		a.until = plain.ValidUntil
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

// policy is what counts in a registry.
func (g *Gate) policy(ctx context.Context, registry string) (Policy, error) {
	global, own, err := g.store.PolicySettings(ctx, registry)
	if err != nil {
		return Policy{}, err
	}
	p := Resolve(global, own).Policy
	if p.Sources, err = g.store.RegistrySources(ctx, registry); err != nil {
		return Policy{}, fmt.Errorf("sources of registry %q: %w", registry, err)
	}
	return p, nil
}

// fill judges the images that a manifest stands for.
func (g *Gate) fill(ctx context.Context, a *answer, at assess.Place, t time.Time) error {
	var err error
	if a.policy, err = g.policy(ctx, at.Registry); err != nil {
		return err
	}
	if a.policy.idle() {
		return nil
	}
	images, err := g.store.ImagesToPull(ctx, at.Registry, at.Repository, at.Digest)
	if err != nil {
		return err
	}
	if len(images) == 0 {
		return g.fillUnseen(ctx, a, at, t)
	}
	for _, digest := range images {
		place := assess.Place{Registry: at.Registry, Repository: at.Repository, Digest: digest}
		subject, decisions, err := g.known(ctx, digest, []assess.Place{place}, a.policy, t)
		if err != nil {
			return err
		}
		if subject.Awaited, err = g.awaited(ctx, a.policy, place); err != nil {
			return err
		}
		_, verdict := Judge(subject, place, decisions, a.policy, t)
		a.images = append(a.images, judged{digest: digest, verdict: verdict, analysed: subject.Image.AnalysedAt})
	}
	return g.except(ctx, a, at, t)
}

// fillUnseen judges a manifest of which no image is known: one of an image that
// was stored a moment ago is not analysed, and must not slip through.
func (g *Gate) fillUnseen(ctx context.Context, a *answer, at assess.Place, t time.Time) error {
	if !a.policy.RequireAnalysis && !a.policy.RequireCoverage.asks() {
		return nil
	}
	mediaType, content, err := g.store.ManifestByDigest(ctx, at.Digest)
	if err != nil {
		return err
	}
	img, ok, err := image.Parse(at.Digest, mediaType, content)
	if err != nil || !ok {
		return err
	}
	img.CreatedAt = t
	_, verdict := Judge(Subject{Image: img}, at, nil, a.policy, t)
	a.images = append(a.images, judged{digest: at.Digest, verdict: verdict})
	return g.except(ctx, a, at, t)
}

// except finds the exceptions for what is blocked.
func (g *Gate) except(ctx context.Context, a *answer, at assess.Place, t time.Time) error {
	if !slices.ContainsFunc(a.images, func(j judged) bool { return j.verdict.Blocked }) {
		return nil
	}
	all, err := g.store.LiveExceptions(ctx, at.Registry, t)
	if err != nil || len(all) == 0 {
		return err
	}
	for i := range a.images {
		img := &a.images[i]
		img.exceptions, err = covering(all, at, func() (Names, error) {
			return g.store.PullNames(ctx, at.Registry, at.Repository, img.digest)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// covering lists the exceptions that hold for an image at a place, for some user
// or for all.
func covering(all []Exception, at assess.Place, ask func() (Names, error)) (list []Exception, err error) {
	names := sync.OnceValues(ask)
	for _, e := range all {
		covers, err := e.covers(at.Registry, at.Repository, names)
		if err != nil {
			return nil, err
		}
		if covers {
			list = append(list, e)
		}
	}
	return list, nil
}

// known gathers what a policy looks at.
func (g *Gate) known(ctx context.Context, digest string, places []assess.Place, p Policy, t time.Time) (s Subject, decisions []assess.Decision, err error) {
	if s.Findings, err = g.store.ImageFindings(ctx, digest); err != nil {
		return s, nil, err
	}
	if len(s.Findings) > 0 {
		seen := make(map[int64]bool, len(s.Findings))
		ids := make([]int64, 0, len(s.Findings))
		for _, f := range s.Findings {
			if !seen[f.VulnerabilityID] {
				seen[f.VulnerabilityID] = true
				ids = append(ids, f.VulnerabilityID)
			}
		}
		if decisions, err = g.store.LiveDecisions(ctx, ids, places, t); err != nil {
			return s, nil, err
		}
	}
	if !p.looksAtImage() {
		return s, decisions, nil
	}
	known := false
	if s.Image, known, err = g.store.KnownImage(ctx, digest); err != nil {
		return s, nil, err
	}
	if !known {
		return s, nil, fmt.Errorf("image %s: %w", digest, errGone)
	}
	if p.RequireCoverage.asks() || p.MaxFeedAgeHours > 0 {
		if s.Data, err = g.store.FeedData(ctx, s.Image.Ecosystems()); err != nil {
			return s, nil, err
		}
	}
	return s, decisions, nil
}

// awaited names the vulnerability sources that the policy waits for.
func (g *Gate) awaited(ctx context.Context, p Policy, at assess.Place) ([]string, error) {
	if !p.RequireAnalysis || g.opts.Sources == nil {
		return nil, nil
	}
	return g.opts.Sources.SourcesPending(ctx, at.Registry, at.Digest)
}

// Awaited names the vulnerability sources of a registry that have not answered
// on an image yet, whatever policy makes of that.
func (g *Gate) Awaited(ctx context.Context, registry, digest string) ([]string, error) {
	return g.awaited(ctx, Policy{RequireAnalysis: true}, assess.Place{Registry: registry, Digest: digest})
}

// errGone is an image that was deleted while it was judged.
var errGone = errors.New("it has gone meanwhile")
