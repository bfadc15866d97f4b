package policy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pratique/pratique/internal/assess"
)

// What callers branch on.
var (
	// ErrNotFound says that there is no such registry or exception.
	ErrNotFound = errors.New("not found")
	// ErrStale says that someone else changed it meanwhile.
	ErrStale = errors.New("it was changed meanwhile")
	// ErrEnded says that the exception does not hold any more.
	ErrEnded = errors.New("has ended")
)

// Stored are settings with their version, which grows with each change.
type Stored struct {
	Settings
	Version int64
}

// Store keeps settings and exceptions.
type Store interface {
	// Policy returns the settings of a registry, of the global policy where
	// registry is "". It returns ErrNotFound.
	Policy(ctx context.Context, registry string) (Stored, error)
	// SavePolicy replaces the settings that have the version, or returns
	// ErrStale; ErrNotFound where there is no such registry.
	SavePolicy(ctx context.Context, registry string, s Settings, version int64) error
	AssessmentTypes(ctx context.Context) ([]assess.Type, error)
	// CreateException stores one, or returns ErrNotFound where its registry does
	// not exist.
	CreateException(ctx context.Context, e Exception) (Exception, error)
	// EndException ends one that holds, or returns ErrNotFound or ErrEnded.
	EndException(ctx context.Context, id int64, at time.Time, by string) (Exception, error)
	// Exception returns one, or ErrNotFound.
	Exception(ctx context.Context, id int64) (Exception, error)
	// Exceptions lists those that the filter lets through, the newest first.
	Exceptions(ctx context.Context, f ExceptionFilter) ([]Exception, error)
	PreviewStore
}

// ExceptionFilter narrows a list of exceptions. Zero members do not.
type ExceptionFilter struct {
	// Registry keeps those that hold in it: its own, and those of all.
	Registry string
	// LiveAt keeps those that hold at that time.
	LiveAt time.Time
	// Before keeps those with a smaller id: where the next page starts.
	Before int64
	Limit  int
}

// Options are the choices of a Service.
type Options struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Changed is called after anything that can change a verdict; it must not
	// block. Nil where nobody needs to know.
	Changed func()
	// Sources are as in GateOptions; previews ask them.
	Sources Sources
}

// Service changes policies and grants exceptions.
type Service struct {
	store Store
	opts  Options
}

// New returns a service over the store.
func New(store Store, opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Changed == nil {
		opts.Changed = func() {}
	}
	return &Service{store: store, opts: opts}
}

// Policy returns the settings of a registry, of the global policy where registry
// is "", with those that it inherits from. It returns ErrNotFound.
func (s *Service) Policy(ctx context.Context, registry string) (own Stored, global Settings, err error) {
	all, err := s.store.Policy(ctx, "")
	if err != nil || registry == "" {
		return all, all.Settings, err
	}
	if own, err = s.store.Policy(ctx, registry); err != nil {
		return Stored{}, Settings{}, fmt.Errorf("policy of registry %q: %w", registry, err)
	}
	return own, all.Settings, nil
}

// Change edits the settings of a registry, or of the global policy. Where
// version is not 0 it has to be that of the settings. It returns an
// *assess.FieldError, ErrStale or ErrNotFound; then nothing has changed.
func (s *Service) Change(ctx context.Context, registry string, version int64, edit func(Settings) Settings) (Stored, error) {
	about := "the global policy"
	if registry != "" {
		about = fmt.Sprintf("the policy of registry %q", registry)
	}
	types, err := s.store.AssessmentTypes(ctx)
	if err != nil {
		return Stored{}, err
	}
	const tries = 10
	for try := 1; ; try++ {
		was, err := s.store.Policy(ctx, registry)
		if err != nil {
			return Stored{}, fmt.Errorf("%s: %w", about, err)
		}
		if version != 0 && version != was.Version {
			return Stored{}, fmt.Errorf("%s: %w: it has version %d", about, ErrStale, was.Version)
		}
		next := edit(was.Settings)
		if err := next.Check(types); err != nil {
			return Stored{}, err
		}
		if len(changed(was.Settings, next)) == 0 {
			return was, nil
		}
		next = stamped(was.Settings, next, s.opts.Now().UTC().Truncate(time.Microsecond))
		err = s.store.SavePolicy(ctx, registry, next, was.Version)
		if errors.Is(err, ErrStale) && version == 0 && try < tries {
			continue // who names no version wants the change on whatever is there
		}
		if err != nil {
			return Stored{}, fmt.Errorf("%s: %w", about, err)
		}
		s.opts.Changed()
		return Stored{Settings: next, Version: was.Version + 1}, nil
	}
}

// Check returns an *assess.FieldError where settings cannot be those of a policy.
func (s *Service) Check(ctx context.Context, settings Settings) error {
	types, err := s.store.AssessmentTypes(ctx)
	if err != nil {
		return err
	}
	return settings.Check(types)
}

// Except grants an exception. It returns an *assess.FieldError where a value is
// wrong.
func (s *Service) Except(ctx context.Context, e Exception) (Exception, error) {
	now := s.opts.Now().UTC().Truncate(time.Microsecond)
	e.ExpiresAt = e.ExpiresAt.UTC().Truncate(time.Microsecond)
	if err := e.check(now); err != nil {
		return Exception{}, err
	}
	e.ID, e.CreatedAt, e.EndedAt, e.EndedBy = 0, now, time.Time{}, ""
	name := e.Registry
	e, err := s.store.CreateException(ctx, e)
	if errors.Is(err, ErrNotFound) {
		return Exception{}, invalid("registry", "there is no registry %q", name)
	}
	if err != nil {
		return Exception{}, fmt.Errorf("grant an exception: %w", err)
	}
	s.opts.Changed()
	return e, nil
}

// EndException ends one that holds. It returns ErrNotFound or ErrEnded.
func (s *Service) EndException(ctx context.Context, id int64, by string) (Exception, error) {
	e, err := s.store.EndException(ctx, id, s.opts.Now(), by)
	if err != nil {
		return Exception{}, fmt.Errorf("exception %d: %w", id, err)
	}
	s.opts.Changed()
	return e, nil
}

// Exception returns one as it is now, or ErrNotFound.
func (s *Service) Exception(ctx context.Context, id int64) (Exception, error) {
	e, err := s.store.Exception(ctx, id)
	if err != nil {
		return Exception{}, fmt.Errorf("exception %d: %w", id, err)
	}
	return e.asOf(s.opts.Now()), nil
}

// Exceptions lists exceptions as they are now, the newest first. Live keeps
// those that hold; the filter's own LiveAt is not used.
func (s *Service) Exceptions(ctx context.Context, f ExceptionFilter, live bool) ([]Exception, error) {
	now := s.opts.Now()
	f.LiveAt = time.Time{}
	if live {
		f.LiveAt = now
	}
	list, err := s.store.Exceptions(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("list exceptions: %w", err)
	}
	for i, e := range list {
		list[i] = e.asOf(now)
	}
	return list, nil
}

// asOf says that an exception has expired where its time has come: nothing
// else notes it.
func (e Exception) asOf(t time.Time) Exception {
	if e.EndedAt.IsZero() && !e.Live(t) {
		e.EndedAt, e.EndedBy = e.ExpiresAt, assess.System
	}
	return e
}
