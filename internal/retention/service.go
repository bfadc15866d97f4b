package retention

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
)

// Store remembers rules, and what repositories hold.
type Store interface {
	Registry(ctx context.Context, name string) (registry.Registry, error)
	Registries(ctx context.Context, after string, limit int) ([]registry.Registry, error)
	Repositories(ctx context.Context, registry, after string, limit int) ([]registry.Repository, error)
	// Retention returns the rules of a registry, and which plan is confirmed.
	Retention(ctx context.Context, name string) (Rules, string, error)
	SetRetention(ctx context.Context, name, tag string, rules Rules) error
	ConfirmRetention(ctx context.Context, name, plan string) error
	Held(ctx context.Context, repositoryID int64) (Repository, error)
	// Retain deletes what the plan says of a repository as it is, and is approved.
	Retain(ctx context.Context, repositoryID int64, plan func(Repository) []Deletion, approved map[Deletion]bool, why registry.Deletion) ([]Deletion, error)
	// Excepted are the digests that exceptions from policy name.
	Excepted(ctx context.Context, name string, when time.Time) (map[string]bool, error)
}

// Preview is what the rules of a registry come to.
type Preview struct {
	Plan []Deletion
	// Manifests and Tags are how many there are.
	Manifests, Tags int
	// Held says that it is done only once it is confirmed, by its identity.
	Held      bool
	Identity  string
	Confirmed bool
}

// ErrOther says that a plan is no longer what the rules come to.
var ErrOther = errors.New("the rules come to another plan by now: look at it again")

// Service keeps registries to their rules.
type Service struct {
	store Store
	now   func() time.Time
}

// New returns a service.
func New(store Store, now func() time.Time) *Service { return &Service{store: store, now: now} }

// Rules returns the rules of a registry.
func (s *Service) Rules(ctx context.Context, name string) (Rules, error) {
	rules, _, err := s.store.Retention(ctx, name)
	return rules, err
}

// Change changes the rules of a registry; registry.ErrChanged where their tag is
// another than the one that was seen, if that is not "". It returns a *FieldError
// where these are none.
func (s *Service) Change(ctx context.Context, name, tag string, rules Rules) error {
	if err := rules.Check(); err != nil {
		return err
	}
	return s.store.SetRetention(ctx, name, tag, rules)
}

// Preview says what the rules of a registry come to now, or others where they are not nil.
func (s *Service) Preview(ctx context.Context, name string, rules *Rules) (p Preview, err error) {
	own, confirmed, err := s.store.Retention(ctx, name)
	if err != nil {
		return p, err
	}
	if rules == nil {
		rules = &own
	} else if err := rules.Check(); err != nil {
		return p, err
	}
	_, err = s.plan(ctx, name, *rules, &p)
	p.Confirmed = p.Held && confirmed == p.Identity
	return p, err
}

// planned is what goes of a repository.
type planned struct {
	id   int64
	plan func(Repository) []Deletion
	list []Deletion
}

func (s *Service) plan(ctx context.Context, name string, rules Rules, p *Preview) (all []planned, err error) {
	r, err := s.store.Registry(ctx, name)
	if err != nil {
		return nil, err
	}
	now := s.now()
	kept, err := s.store.Excepted(ctx, name, now)
	if err != nil {
		return nil, err
	}
	decide := func(held Repository) []Deletion { return rules.Plan(held, r.Rules, kept, now) }
	const page = 200
	for after := ""; ; {
		repositories, err := s.store.Repositories(ctx, name, after, page)
		if err != nil {
			return nil, err
		}
		for _, repository := range repositories {
			after = repository.Name
			held, err := s.store.Held(ctx, repository.ID)
			if errors.Is(err, registry.ErrRepositoryUnknown) {
				continue // it was deleted a moment ago
			}
			if err != nil {
				return nil, err
			}
			p.Manifests += len(held.Manifests)
			for _, m := range held.Manifests {
				p.Tags += len(m.Tags)
			}
			if list := decide(held); len(list) > 0 {
				all = append(all, planned{repository.ID, decide, list})
				p.Plan = append(p.Plan, list...)
			}
		}
		if len(repositories) < page {
			break
		}
	}
	p.Identity, p.Held = Identity(p.Plan), Held(p.Plan, p.Manifests, p.Tags)
	return all, nil
}

// Confirm lets a plan be done although it is held: the one of this identity, as long
// as the rules come to it.
func (s *Service) Confirm(ctx context.Context, name, identity string) error {
	p, err := s.Preview(ctx, name, nil)
	if err != nil {
		return err
	}
	if p.Identity != identity {
		return ErrOther
	}
	return s.store.ConfirmRetention(ctx, name, identity)
}

// Outcome is what became of a registry.
type Outcome struct {
	Registry string
	Deleted  []Deletion
	// Held says that nothing was done since somebody has to confirm it.
	Held bool
	// Planned is how much was to go.
	Planned int
}

// Run has all registries keep to their rules, where these are enabled, and tells of
// each of which something was to go.
func (s *Service) Run(ctx context.Context, tell func(Outcome) error) error {
	const page = 200
	for after := ""; ; {
		registries, err := s.store.Registries(ctx, after, page)
		if err != nil {
			return err
		}
		for _, r := range registries {
			after = r.Name
			o, err := s.keep(ctx, r.Name)
			if errors.Is(err, registry.ErrRegistryUnknown) {
				continue
			}
			if err != nil {
				return fmt.Errorf("registry %s: %w", r.Name, err)
			}
			if o.Planned > 0 {
				if err := tell(o); err != nil {
					return err
				}
			}
		}
		if len(registries) < page {
			return nil
		}
	}
}

func (s *Service) keep(ctx context.Context, name string) (o Outcome, err error) {
	o.Registry = name
	rules, confirmed, err := s.store.Retention(ctx, name)
	if err != nil || !rules.Enabled {
		return o, err
	}
	var p Preview
	all, err := s.plan(ctx, name, rules, &p)
	if err != nil {
		return o, err
	}
	o.Planned = len(p.Plan)
	if p.Held && confirmed != p.Identity {
		o.Held = true
		return o, nil
	}
	for _, repository := range all {
		approved := make(map[Deletion]bool, len(repository.list))
		for _, d := range repository.list {
			approved[Deletion{Repository: d.Repository, Digest: d.Digest, Tag: d.Tag}] = true
		}
		done, err := s.store.Retain(ctx, repository.id, repository.plan, approved, registry.Deletion{By: "retention"})
		o.Deleted = append(o.Deleted, done...)
		if errors.Is(err, registry.ErrRepositoryUnknown) {
			continue
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}
