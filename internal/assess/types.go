package assess

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// TypeStore keeps assessment types.
type TypeStore interface {
	// SeedAssessmentTypes stores the types where there are none at all.
	SeedAssessmentTypes(ctx context.Context, types []Type) error
	// AssessmentTypes lists the types by position, then name.
	AssessmentTypes(ctx context.Context) ([]Type, error)
	// CreateAssessmentType stores a type, or returns ErrExists.
	CreateAssessmentType(ctx context.Context, t Type) (Type, error)
	// UpdateAssessmentType replaces all of the type with that id. It returns
	// ErrNotFound, ErrExists where another has its name, or ErrChanged where its
	// version is not t's any more. Policies that name it follow.
	UpdateAssessmentType(ctx context.Context, t Type) (Type, error)
	// OrderAssessmentTypes gives the types the order of the ids.
	OrderAssessmentTypes(ctx context.Context, ids []int64) error
	// DeleteAssessmentType takes a type away; the replacement, where there is
	// one, takes its place. It returns ErrNotFound, ErrChanged where version is
	// neither 0 nor the type's, or an *InUseError.
	DeleteAssessmentType(ctx context.Context, name, replacement, by string, version int64) error
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

// Type returns a type, or ErrNotFound.
func (s *Service) Type(ctx context.Context, name string) (Type, error) {
	types, err := s.store.AssessmentTypes(ctx)
	if err != nil {
		return Type{}, err
	}
	t, err := named(types, "name", name)
	if err != nil {
		return Type{}, fmt.Errorf("assessment type %q: %w", name, ErrNotFound)
	}
	return t, nil
}

// CreateType adds a type. It returns a *FieldError, or ErrExists.
func (s *Service) CreateType(ctx context.Context, t Type) (Type, error) {
	t = t.tidy()
	if err := t.check(); err != nil {
		return Type{}, err
	}
	types, err := s.store.AssessmentTypes(ctx)
	if err != nil {
		return Type{}, err
	}
	if len(types) >= maxTypes {
		return Type{}, invalid("name", "there are %d types already, and cannot be more", maxTypes)
	}
	created, err := s.store.CreateAssessmentType(ctx, t)
	if err != nil {
		return Type{}, fmt.Errorf("assessment type %q: %w", t.Name, err)
	}
	s.typesChanged(ctx)
	return created, nil
}

func (s *Service) typesChanged(ctx context.Context) {
	s.opts.Changed()
	s.opts.Due(ctx)
}

// ChangeType changes a type whose version, unless that is 0, is the one given. It
// returns a *FieldError, ErrNotFound, ErrExists or ErrChanged.
func (s *Service) ChangeType(ctx context.Context, name string, change TypeChange, version int64) (Type, error) {
	const tries = 5
	for try := 1; ; try++ {
		t, err := s.Type(ctx, name)
		if err != nil {
			return Type{}, err
		}
		if version != 0 && t.Version != version {
			return Type{}, fmt.Errorf("assessment type %q: %w", name, ErrChanged)
		}
		if change.ForVEX != nil && !*change.ForVEX && t.ForVEX {
			return Type{}, invalid("for_vex", "make another type the one that VEX statements become")
		}
		t = t.with(change)
		if err := t.check(); err != nil {
			return Type{}, err
		}
		changed, err := s.store.UpdateAssessmentType(ctx, t)
		if err == nil {
			s.typesChanged(ctx)
			return changed, nil
		}
		// Who did not say what they saw change what they name, on what is there.
		if version != 0 || try == tries || !errors.Is(err, ErrChanged) {
			return Type{}, fmt.Errorf("assessment type %q: %w", t.Name, err)
		}
	}
}

// OrderTypes gives the types the order of the names, which are all there are.
func (s *Service) OrderTypes(ctx context.Context, names []string) ([]Type, error) {
	types, err := s.store.AssessmentTypes(ctx)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(names))
	for i, name := range names {
		field := fmt.Sprintf("names[%d]", i)
		t, err := named(types, field, name)
		if err != nil {
			return nil, err
		}
		if slices.Contains(ids[:i], t.ID) {
			return nil, invalid(field, "%q is there twice", name)
		}
		ids[i] = t.ID
	}
	for _, t := range types {
		if !slices.Contains(ids, t.ID) {
			return nil, invalid("names", "%q is missing: name all types", t.Name)
		}
	}
	if err := s.store.OrderAssessmentTypes(ctx, ids); err != nil {
		return nil, err
	}
	s.typesChanged(ctx)
	return s.store.AssessmentTypes(ctx)
}

// DeleteType takes a type away, in the name of by. What was assessed with it, and
// the policies that name it, become of the replacement; where there is none it
// returns an *InUseError if there are any. It returns a *FieldError, ErrNotFound,
// or ErrChanged where version is neither 0 nor the type's.
func (s *Service) DeleteType(ctx context.Context, name, replacement, by string, version int64) error {
	t, err := s.Type(ctx, name)
	if err != nil {
		return err
	}
	if replacement != "" {
		types, err := s.store.AssessmentTypes(ctx)
		if err != nil {
			return err
		}
		other, err := usable(types, "replace_by", replacement)
		switch {
		case err != nil:
			return err
		case other.ID == t.ID:
			return invalid("replace_by", "is the type itself")
		case t.ForVEX && other.Blocks:
			return invalid("replace_by", "%q blocks, and VEX statements would become it; make another type the one they become first", other.Name)
		}
	}
	if err := s.store.DeleteAssessmentType(ctx, name, replacement, by, version); errors.Is(err, ErrInUse) {
		return err // it names the type
	} else if err != nil {
		return fmt.Errorf("assessment type %q: %w", name, err)
	}
	s.typesChanged(ctx)
	return nil
}
