package auth

import (
	"context"
	"time"
)

// Group is users who have roles together.
type Group struct {
	ID          int64
	Name        string
	Description string
	// Claim is what a provider of sign-ins calls the group; "" where it knows none.
	Claim     string
	CreatedAt time.Time
	Members   []Member
}

// Member is a user in a group.
type Member struct {
	UserID int64
	Name   string
	// Claimed says that the provider of sign-ins put them there, and takes them out.
	Claimed bool
}

// GroupChange is what to change of a group; nil stays.
type GroupChange struct{ Name, Description, Claim *string }

// GroupStore keeps groups. Methods return ErrNotFound and ErrExists.
type GroupStore interface {
	CreateGroup(ctx context.Context, g Group) (Group, error)
	// UserGroups lists by name, with their members; only one where id is not 0.
	UserGroups(ctx context.Context, id int64) ([]Group, error)
	ChangeGroup(ctx context.Context, id int64, c GroupChange) error
	DeleteGroup(ctx context.Context, id int64) error
	// AddMember adds a user, or keeps them where the provider of sign-ins put them there.
	AddMember(ctx context.Context, group, user int64) error
	RemoveMember(ctx context.Context, group, user int64) error
	// ClaimGroups makes a user a member of the groups with these claims, and takes
	// them out of others that a claim alone put them in.
	ClaimGroups(ctx context.Context, user int64, claims []string) error
}

const maxDescription = 1000

func checkGroup(name, description, claim *string) error {
	if name != nil {
		if err := checkName("name", *name); err != nil {
			return err
		}
	}
	if description != nil && len(*description) > maxDescription {
		return &FieldError{"description", "must have at most 1000 bytes"}
	}
	if claim != nil && *claim != "" {
		return checkText("claim", *claim)
	}
	return nil
}

// CreateGroup adds a group. It returns a *FieldError or ErrExists.
func (s *Service) CreateGroup(ctx context.Context, g Group) (Group, error) {
	if err := checkGroup(&g.Name, &g.Description, &g.Claim); err != nil {
		return Group{}, err
	}
	return s.store.CreateGroup(ctx, g)
}

// Groups lists all groups by name.
func (s *Service) Groups(ctx context.Context) ([]Group, error) { return s.store.UserGroups(ctx, 0) }

// Group returns one, or ErrNotFound.
func (s *Service) Group(ctx context.Context, id int64) (Group, error) {
	found, err := s.store.UserGroups(ctx, id)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Group{}, err
	}
	return found[0], nil
}

// ChangeGroup changes a group. It returns a *FieldError, ErrNotFound or ErrExists.
func (s *Service) ChangeGroup(ctx context.Context, id int64, c GroupChange) (Group, error) {
	if err := checkGroup(c.Name, c.Description, c.Claim); err != nil {
		return Group{}, err
	}
	if err := s.store.ChangeGroup(ctx, id, c); err != nil {
		return Group{}, err
	}
	return s.Group(ctx, id)
}

// DeleteGroup removes a group with its roles, or returns ErrNotFound.
func (s *Service) DeleteGroup(ctx context.Context, id int64) error {
	defer s.Invalidate()
	return s.store.DeleteGroup(ctx, id)
}

// AddMember puts a user into a group, or returns ErrNotFound.
func (s *Service) AddMember(ctx context.Context, group, user int64) error {
	defer s.Invalidate()
	return s.store.AddMember(ctx, group, user)
}

// RemoveMember takes a user out of a group, or returns ErrNotFound.
func (s *Service) RemoveMember(ctx context.Context, group, user int64) error {
	defer s.Invalidate()
	return s.store.RemoveMember(ctx, group, user)
}
