package assess

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// Store keeps assessments and their types. It never forgets an assessment.
type Store interface {
	// SeedAssessmentTypes stores the types where there are none at all.
	SeedAssessmentTypes(ctx context.Context, types []Type) error
	// AssessmentTypes lists the types by position, then name.
	AssessmentTypes(ctx context.Context) ([]Type, error)
	// CreateAssessmentType stores a type, or returns ErrExists.
	CreateAssessmentType(ctx context.Context, t Type) (Type, error)
	// UpdateAssessmentType replaces all but the name of the type, or returns ErrNotFound.
	UpdateAssessmentType(ctx context.Context, t Type) error

	// CreateAssessment stores the assessment of a vulnerability by name and
	// ends the live one of the same vulnerability and scope as superseded, in
	// one step. It returns ErrUnknownVulnerability, or ErrUnknownTarget where
	// what the scope names does not exist.
	CreateAssessment(ctx context.Context, a Assessment) (Assessment, error)
	// EndAssessment ends a live assessment. It returns ErrNotFound, or
	// ErrEnded where it does not hold at that time.
	EndAssessment(ctx context.Context, id int64, at time.Time, by string, reason EndReason) (Assessment, error)
	// ExpireAssessments ends at most limit assessments whose expiry is not
	// after the time given, at their expiry, and returns them.
	ExpireAssessments(ctx context.Context, at time.Time, limit int) ([]Assessment, error)
	// Assessment returns one, or ErrNotFound.
	Assessment(ctx context.Context, id int64) (Assessment, error)
	// Assessments lists those that the filter lets through, newest first.
	Assessments(ctx context.Context, filter Filter) ([]Assessment, error)
}

// Filter narrows a list of assessments. Zero members do not.
type Filter struct {
	Vulnerability string
	Type          string
	Scope         Scope // by kind, and by value where it is not empty
	// LiveAt keeps those that hold at that time.
	LiveAt time.Time
	// Before keeps those with a smaller id: where the next page starts.
	Before int64
	// Limit is how many at most; 0 is no limit.
	Limit int
}

// Service takes and ends assessments.
type Service struct {
	store Store
	opts  Options
}

// Options are the choices of a Service.
type Options struct {
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// Changed is called after anything that can change a verdict; it must
	// not block. Nil where nobody needs to know.
	Changed func()
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

// Seed stores the default types in a database that has none.
func (s *Service) Seed(ctx context.Context) error {
	if err := s.store.SeedAssessmentTypes(ctx, DefaultTypes()); err != nil {
		return fmt.Errorf("seed assessment types: %w", err)
	}
	return nil
}

// Types lists the assessment types in their order.
func (s *Service) Types(ctx context.Context) ([]Type, error) {
	return s.store.AssessmentTypes(ctx)
}

// CreateType adds a type. It returns a *FieldError, or ErrExists.
func (s *Service) CreateType(ctx context.Context, t Type) (Type, error) {
	if err := t.check(); err != nil {
		return Type{}, err
	}
	created, err := s.store.CreateAssessmentType(ctx, t)
	if err != nil {
		return Type{}, fmt.Errorf("assessment type %q: %w", t.Name, err)
	}
	s.opts.Changed()
	return created, nil
}

// ChangeType changes a type. It returns a *FieldError, or ErrNotFound.
func (s *Service) ChangeType(ctx context.Context, name string, change TypeChange) (Type, error) {
	types, err := s.store.AssessmentTypes(ctx)
	if err != nil {
		return Type{}, err
	}
	t, err := named(types, "name", name)
	if err != nil {
		return Type{}, fmt.Errorf("assessment type %q: %w", name, ErrNotFound)
	}
	t = t.with(change)
	if err := t.check(); err != nil {
		return Type{}, err
	}
	if err := s.store.UpdateAssessmentType(ctx, t); err != nil {
		return Type{}, fmt.Errorf("assessment type %q: %w", name, err)
	}
	s.opts.Changed()
	return t, nil
}

// Assess takes a decision, which supersedes the live one of the same
// vulnerability and scope. It returns a *FieldError where a value is wrong.
func (s *Service) Assess(ctx context.Context, r Request) (Assessment, error) {
	now := s.opts.Now().UTC().Truncate(time.Microsecond)
	switch {
	case r.Vulnerability == "":
		return Assessment{}, invalid("vulnerability", "is wanted")
	case strings.ContainsRune(r.Comment, 0):
		return Assessment{}, invalid("comment", "must not contain null characters")
	case utf8.RuneCountInString(r.Comment) > maxComment:
		return Assessment{}, invalid("comment", "is longer than %d characters", maxComment)
	}
	if err := r.Scope.check(); err != nil {
		return Assessment{}, err
	}
	types, err := s.store.AssessmentTypes(ctx)
	if err != nil {
		return Assessment{}, err
	}
	t, err := named(types, "type", r.Type)
	if err != nil {
		return Assessment{}, err
	}
	a := Assessment{
		Vulnerability: r.Vulnerability, Type: t.Name, Scope: r.Scope,
		Comment: r.Comment, Author: r.Author, CreatedAt: now,
	}
	switch {
	case r.Expiry.Never:
	case !r.Expiry.At.IsZero():
		a.ExpiresAt = r.Expiry.At.UTC().Truncate(time.Microsecond)
		if !a.ExpiresAt.After(now) {
			return Assessment{}, invalid("expires_at", "%s is not in the future", a.ExpiresAt.Format(time.RFC3339Nano))
		}
	case t.ExpiryDays > 0:
		a.ExpiresAt = now.AddDate(0, 0, t.ExpiryDays)
	}
	a, err = s.store.CreateAssessment(ctx, a)
	switch {
	case errors.Is(err, ErrUnknownVulnerability):
		return Assessment{}, invalid("vulnerability", "%q is not known", r.Vulnerability)
	case errors.Is(err, ErrUnknownTarget):
		return Assessment{}, invalid("scope.value", "there is no %s", r.Scope)
	case err != nil:
		return Assessment{}, fmt.Errorf("assess %s: %w", r.Vulnerability, err)
	}
	s.opts.Changed()
	return a, nil
}

// Withdraw ends a live assessment. It returns ErrNotFound or ErrEnded.
func (s *Service) Withdraw(ctx context.Context, id int64, by string) (Assessment, error) {
	a, err := s.store.EndAssessment(ctx, id, s.opts.Now(), by, Withdrawn)
	if err != nil {
		return Assessment{}, fmt.Errorf("assessment %d: %w", id, err)
	}
	s.opts.Changed()
	return a, nil
}

// Expire ends the assessments whose time has come and returns them. They have
// had no effect since their expiry, whenever this runs.
func (s *Service) Expire(ctx context.Context) ([]Assessment, error) {
	const batch = 500 // keeps the transaction short
	var all []Assessment
	for {
		ended, err := s.store.ExpireAssessments(ctx, s.opts.Now(), batch)
		if err != nil {
			return all, fmt.Errorf("expire assessments: %w", err)
		}
		all = append(all, ended...)
		if len(ended) < batch {
			break
		}
	}
	if len(all) > 0 {
		s.opts.Changed()
	}
	return all, nil
}

// Assessment returns one as it is now, or ErrNotFound.
func (s *Service) Assessment(ctx context.Context, id int64) (Assessment, error) {
	a, err := s.store.Assessment(ctx, id)
	if err != nil {
		return Assessment{}, fmt.Errorf("assessment %d: %w", id, err)
	}
	return a.asOf(s.opts.Now()), nil
}

// Assessments lists assessments as they are now, newest first. Live keeps
// those that hold; the filter's own LiveAt is not used.
func (s *Service) Assessments(ctx context.Context, filter Filter, live bool) ([]Assessment, error) {
	now := s.opts.Now()
	filter.LiveAt = time.Time{}
	if live {
		filter.LiveAt = now
	}
	list, err := s.store.Assessments(ctx, filter)
	if err != nil {
		return nil, fmt.Errorf("list assessments: %w", err)
	}
	for i, a := range list {
		list[i] = a.asOf(now)
	}
	return list, nil
}
