package retention

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
)

// ErrOtherList says that a list that was confirmed is not what would go now.
var ErrOtherList = errors.New("another list would go by now")

// Store keeps rules, and what they are about.
type Store interface {
	Retention(ctx context.Context, registryName string) (Settings, error)
	SetRetention(ctx context.Context, registryName string, trashDays *int, rules Rules, revision int64, by string) (Settings, error)
	NoteRetention(ctx context.Context, registryName, held, outcome string) error
	ConfirmRetention(ctx context.Context, registryName, digest, by string) error
	RetainedRegistries(ctx context.Context) ([]string, error)
	PlanRetention(ctx context.Context, registryName string, rules Rules) (Plan, error)
	// Retain puts into the trash what is on the list and what the rules still let
	// go, and returns what that was.
	Retain(ctx context.Context, registryName string, rules Rules, repository string, list []Entry, now time.Time, d registry.Deletion) ([]Entry, error)
}

// Options are the choices of a Service.
type Options struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// TrashDays is for how long what goes can be restored where its registry does
	// not say that; none where nil.
	TrashDays func(context.Context) int
}

// Service runs the rules of registries.
type Service struct {
	store Store
	opts  Options
}

// New returns a service.
func New(store Store, opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.TrashDays == nil {
		opts.TrashDays = func(context.Context) int { return 0 }
	}
	return &Service{store: store, opts: opts}
}

// Settings returns what a registry keeps, or registry.ErrRegistryUnknown.
func (s *Service) Settings(ctx context.Context, registryName string) (Settings, error) {
	return s.store.Retention(ctx, registryName)
}

// Change changes what a registry keeps. It returns a *FieldError,
// registry.ErrChanged or registry.ErrRegistryUnknown.
func (s *Service) Change(ctx context.Context, registryName string, trashDays *int, rules Rules, revision int64, by string) (Settings, error) {
	if err := rules.Check(); err != nil {
		return Settings{}, err
	}
	if trashDays != nil && (*trashDays < 0 || *trashDays > registry.MaxTrashDays) {
		return Settings{}, &FieldError{"trash_days", fmt.Sprintf("want 0 to %d", registry.MaxTrashDays)}
	}
	return s.store.SetRetention(ctx, registryName, trashDays, rules, revision, by)
}

// Preview says what a run would let go: by the registry's rules where rules is nil.
func (s *Service) Preview(ctx context.Context, registryName string, rules *Rules) (Plan, error) {
	if rules == nil {
		settings, err := s.store.Retention(ctx, registryName)
		if err != nil {
			return Plan{}, err
		}
		rules = &settings.Rules
	}
	if err := rules.Check(); err != nil {
		return Plan{}, err
	}
	return s.store.PlanRetention(ctx, registryName, *rules)
}

// Confirm lets the very list go, in the next run, that has a digest. It returns
// ErrOtherList where that is not what would go now.
func (s *Service) Confirm(ctx context.Context, registryName, digest, by string) (Settings, error) {
	plan, err := s.Preview(ctx, registryName, nil)
	if err != nil {
		return Settings{}, err
	}
	if plan.Digest() != digest {
		return Settings{}, ErrOtherList
	}
	if err := s.store.ConfirmRetention(ctx, registryName, digest, by); err != nil {
		return Settings{}, err
	}
	return s.store.Retention(ctx, registryName)
}

// Outcome is what a run came to.
type Outcome struct {
	Registry string
	Gone     []Entry
	// Held says why nothing went and somebody has to confirm the list; Digest is
	// the list's.
	Held, Digest string
}

// String is what people read.
func (o Outcome) String() string {
	if o.Held != "" {
		return "held until someone confirms it: " + o.Held
	}
	return fmt.Sprintf("%d tags and images went", len(o.Gone))
}

// Registries lists the registries that have rules.
func (s *Service) Registries(ctx context.Context) ([]string, error) {
	return s.store.RetainedRegistries(ctx)
}

// Run puts into the trash what the rules of a registry do not keep. Where that
// would be over half of it, nothing goes until somebody confirms the list.
func (s *Service) Run(ctx context.Context, registryName string) (o Outcome, err error) {
	o.Registry = registryName
	settings, err := s.store.Retention(ctx, registryName)
	if err != nil {
		return o, err
	}
	now := s.opts.Now()
	plan, err := s.store.PlanRetention(ctx, registryName, settings.Rules)
	if err != nil {
		return o, err
	}
	o.Digest = plan.Digest()
	why := plan.Drastic()
	if why != "" && settings.Confirmed != o.Digest {
		o.Held = why
		return o, s.store.NoteRetention(ctx, registryName, o.Digest, o.String())
	}
	by := "retention"
	if why != "" {
		by = settings.ConfirmedBy
	}
	d := registry.Deletion{By: by, Days: s.opts.TrashDays(ctx)}
	for rest := plan.Entries; len(rest) > 0; {
		name := rest[0].Repository
		n := slices.IndexFunc(rest, func(e Entry) bool { return e.Repository != name })
		if n < 0 {
			n = len(rest)
		}
		gone, err := s.store.Retain(ctx, registryName, settings.Rules, name, rest[:n], now, d)
		if err != nil {
			return o, errors.Join(err, s.store.NoteRetention(ctx, registryName, "", "failed: "+err.Error()))
		}
		o.Gone, rest = append(o.Gone, gone...), rest[n:]
	}
	return o, s.store.NoteRetention(ctx, registryName, "", o.String())
}
