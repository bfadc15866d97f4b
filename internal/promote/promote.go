// Package promote copies images from one registry to another of the same server,
// once the policy of the other one lets them in, and remembers who did it.
//
// It must not know SQL or HTTP.
package promote

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
)

// Promotion is an image that was copied.
type Promotion struct {
	ID      int64
	At      time.Time
	By      string
	From    Place
	To      Place
	Digest  string
	Comment string
	// Manifests is how many came with it, itself included: the images of an index,
	// signatures, bills.
	Manifests int
}

// Place is a repository, with the tag by which the image is named there, or "".
type Place struct{ Registry, Repository, Tag string }

// String is the reference, REGISTRY/REPOSITORY:TAG.
func (p Place) String() string {
	if p.Tag == "" {
		return p.Registry + "/" + p.Repository
	}
	return p.Registry + "/" + p.Repository + ":" + p.Tag
}

// Filter chooses promotions; what is empty does not restrict.
type Filter struct {
	// Digest is that of an image; Registry is one that it went to, or came from.
	Digest, Registry string
	// Readable are the registries of which one may know, both of them; nil is all.
	Readable []string
}

// Request asks for a promotion.
type Request struct {
	From Place
	// Digest names the image where From has no tag.
	Digest string
	// To is where it goes. Without a repository it is that of From; without a tag,
	// that of From.
	To      Place
	Comment string
	By      string
}

// Plan is what a promotion comes to.
type Plan struct {
	Request
	Digest string
	// Manifests is how many are copied.
	Manifests int
	// Verdict is that of the policy of the registry to which it goes.
	Verdict policy.Verdict
	// Replaces is the digest at which the tag points there now, "" where there is none.
	Replaces string

	order []*registry.Manifest // what is referred to comes before what refers to it
	from  registry.Repository
}

// ErrNowhere says that an image would be copied to where it is.
var ErrNowhere = errors.New("the image would go to where it is")

// ErrTooMany says that an image has too many parts and attachments.
var ErrTooMany = fmt.Errorf("the image has more than %d parts and attachments", maxManifests)

// maxManifests bounds what goes at a time.
const maxManifests = 1000

// Store remembers manifests and promotions.
type Store interface {
	Registry(ctx context.Context, name string) (registry.Registry, error)
	Repository(ctx context.Context, registryName, name string) (registry.Repository, error)
	EnsureRepository(ctx context.Context, registryName, name string) (registry.Repository, error)
	Manifest(ctx context.Context, repositoryID int64, digest string) (*registry.Manifest, error)
	TaggedManifest(ctx context.Context, repositoryID int64, tag string) (*registry.Manifest, error)
	PutManifest(ctx context.Context, repositoryID int64, m *registry.Manifest, tags []string) error
	MountBlob(ctx context.Context, from, to int64, digest string) (size int64, err error)
	Referrers(ctx context.Context, repositoryID int64, subject, artifactType, after string, limit, limitBytes int) (found []registry.Referrer, more bool, err error)
	ImagesToPull(ctx context.Context, registry, repository, digest string) ([]string, error)
	AddPromotion(ctx context.Context, p Promotion) (Promotion, error)
}

// Gate tells what a registry makes of an image; *policy.Gate is one.
type Gate interface {
	Verdict(ctx context.Context, pull policy.Pull) (policy.Verdict, error)
}

// Observer is told of manifests that came to a place.
type Observer interface {
	ManifestStored(ctx context.Context, digest, mediaType string, content []byte) error
}

// Service promotes images.
type Service struct {
	store    Store
	gate     Gate
	observer Observer
}

// New returns a service.
func New(store Store, gate Gate, observer Observer) *Service {
	return &Service{store: store, gate: gate, observer: observer}
}

// Plan says what a promotion comes to, and changes nothing. It returns the errors of
// package registry where something does not exist or is no name, and ErrNowhere.
func (s *Service) Plan(ctx context.Context, r Request) (*Plan, error) {
	if r.To.Repository == "" {
		r.To.Repository = r.From.Repository
	}
	if r.To.Tag == "" {
		r.To.Tag = r.From.Tag
	}
	if err := registry.CheckName(r.To.Registry + "/" + r.To.Repository); err != nil {
		return nil, err
	}
	if r.To.Tag != "" && !registry.IsTag(r.To.Tag) {
		return nil, fmt.Errorf("%w: %q is no tag", registry.ErrNameInvalid, r.To.Tag)
	}
	p := &Plan{Request: r}
	if err := s.find(ctx, p); err != nil {
		return nil, err
	}
	if r.From.Registry == r.To.Registry && r.From.Repository == r.To.Repository && (r.To.Tag == "" || r.To.Tag == r.From.Tag) {
		return nil, ErrNowhere
	}
	if _, err := s.store.Registry(ctx, r.To.Registry); err != nil {
		return nil, err
	}
	if err := s.replaces(ctx, p); err != nil {
		return nil, err
	}
	return p, s.judge(ctx, p)
}

// find reads the image with all that belongs to it.
func (s *Service) find(ctx context.Context, p *Plan) (err error) {
	if p.from, err = s.store.Repository(ctx, p.From.Registry, p.From.Repository); err != nil {
		return err
	}
	var root *registry.Manifest
	if p.From.Tag != "" {
		root, err = s.store.TaggedManifest(ctx, p.from.ID, p.From.Tag)
	} else {
		root, err = s.store.Manifest(ctx, p.from.ID, p.Request.Digest)
	}
	if err != nil {
		return err
	}
	p.Digest = root.Digest
	seen := make(map[string]bool)
	if err := s.collect(ctx, p, root, seen); err != nil {
		return err
	}
	p.Manifests = len(p.order)
	// What names it comes last, after the signatures that are about it, too.
	last := slices.IndexFunc(p.order, func(m *registry.Manifest) bool { return m.Digest == root.Digest })
	image := p.order[last]
	p.order = append(slices.Delete(p.order, last, last+1), image)
	return nil
}

// collect adds what a manifest refers to, itself, and what refers to it.
func (s *Service) collect(ctx context.Context, p *Plan, m *registry.Manifest, seen map[string]bool) error {
	if seen[m.Digest] {
		return nil
	}
	if seen[m.Digest] = true; len(seen) > maxManifests {
		return ErrTooMany
	}
	parsed, err := registry.Parse(m.MediaType, m.Content)
	if err != nil {
		return fmt.Errorf("manifest %s: %w", m.Digest, err)
	}
	parsed.Digest = m.Digest
	for _, ref := range parsed.References {
		if ref.Kind != registry.KindManifest {
			continue
		}
		child, err := s.store.Manifest(ctx, p.from.ID, ref.Digest)
		if ref.Optional && errors.Is(err, registry.ErrManifestUnknown) {
			continue
		}
		if err != nil {
			return err
		}
		if err := s.collect(ctx, p, child, seen); err != nil {
			return err
		}
	}
	p.order = append(p.order, parsed)
	const page, bytes = 100, 1 << 20
	for after, more := "", true; more; {
		var found []registry.Referrer
		if found, more, err = s.store.Referrers(ctx, p.from.ID, m.Digest, "", after, page, bytes); err != nil {
			return err
		}
		for _, r := range found {
			after = r.Digest
			attached, err := s.store.Manifest(ctx, p.from.ID, r.Digest)
			if errors.Is(err, registry.ErrManifestUnknown) {
				continue // it was deleted a moment ago
			}
			if err == nil {
				err = s.collect(ctx, p, attached, seen)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) replaces(ctx context.Context, p *Plan) error {
	if p.To.Tag == "" {
		return nil
	}
	to, err := s.store.Repository(ctx, p.To.Registry, p.To.Repository)
	if errors.Is(err, registry.ErrRepositoryUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	now, err := s.store.TaggedManifest(ctx, to.ID, p.To.Tag)
	if errors.Is(err, registry.ErrManifestUnknown) {
		return nil
	}
	if err != nil {
		return err
	}
	p.Replaces = now.Digest
	return nil
}

// judge asks the policy of the registry to which the images go. Sources that are
// asked only about what is stored there do not keep it out: until they have
// answered, the registry does not serve it if that is its policy.
func (s *Service) judge(ctx context.Context, p *Plan) error {
	images, err := s.store.ImagesToPull(ctx, p.From.Registry, p.From.Repository, p.Digest)
	if err != nil {
		return err
	}
	for _, digest := range images {
		v, err := s.gate.Verdict(ctx, policy.Pull{Place: assess.Place{Registry: p.To.Registry, Repository: p.To.Repository, Digest: digest}, Tag: p.To.Tag, User: p.By})
		if err != nil {
			return err
		}
		var waits int
		for _, r := range v.Reasons {
			if r.Kind == policy.AboutSources {
				waits++
			}
		}
		blocks := v.Blocked && waits < len(v.Reasons)
		p.Verdict.Blocked = p.Verdict.Blocked || blocks
		if blocks {
			p.Verdict.Reasons = append(p.Verdict.Reasons, v.Reasons...)
		} else {
			p.Verdict.Warnings = append(p.Verdict.Warnings, v.Reasons...)
		}
		p.Verdict.Warnings = append(p.Verdict.Warnings, v.Warnings...)
	}
	return nil
}

// Promote copies an image with its parts and attachments, and remembers it. It
// returns *policy.BlockedError where policy keeps it out, and the errors of Plan and
// of pushes: *registry.QuotaError, *registry.ImmutableError, *registry.FollowsError.
// The tag is set last: who pulls it finds all of it, or what was there before.
func (s *Service) Promote(ctx context.Context, r Request) (Promotion, error) {
	p, err := s.Plan(ctx, r)
	if err != nil {
		return Promotion{}, err
	}
	if p.Verdict.Blocked {
		return Promotion{}, &policy.BlockedError{Place: assess.Place{Registry: p.To.Registry, Repository: p.To.Repository, Digest: p.Digest}, Reasons: p.Verdict.Reasons}
	}
	to, err := s.store.EnsureRepository(ctx, p.To.Registry, p.To.Repository)
	if err != nil {
		return Promotion{}, err
	}
	for _, m := range p.order {
		if err := s.copy(ctx, p, to, m); err != nil {
			return Promotion{}, fmt.Errorf("promote to %s: %w", p.To, err)
		}
	}
	return s.store.AddPromotion(ctx, Promotion{By: p.By, From: p.From, To: p.To, Digest: p.Digest, Comment: p.Comment, Manifests: p.Manifests})
}

func (s *Service) copy(ctx context.Context, p *Plan, to registry.Repository, m *registry.Manifest) error {
	for _, ref := range m.References {
		if ref.Kind == registry.KindManifest || p.from.ID == to.ID {
			continue
		}
		_, err := s.store.MountBlob(ctx, p.from.ID, to.ID, ref.Digest)
		if err != nil && !(ref.Optional && errors.Is(err, registry.ErrBlobUnknown)) {
			return err
		}
	}
	var tags []string
	if m.Digest == p.Digest && p.To.Tag != "" {
		tags = []string{p.To.Tag}
	}
	m.PushedBy = p.By
	if err := s.store.PutManifest(ctx, to.ID, m, tags); err != nil {
		return err
	}
	return s.observer.ManifestStored(ctx, m.Digest, m.MediaType, m.Content)
}
