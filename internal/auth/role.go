package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Grant gives a role in a registry, or everywhere where Registry is "".
type Grant struct {
	Registry string
	Role     Role
}

// RoleGrant is a grant to a user, a group or a robot.
type RoleGrant struct {
	ID int64
	Grant
	To        Grantee
	GrantedBy string
	CreatedAt time.Time
}

// GranteeKind is what may have roles.
type GranteeKind string

// The kinds.
const (
	ToUser  GranteeKind = "user"
	ToGroup GranteeKind = "group"
	ToRobot GranteeKind = "robot"
)

// Grantee is who has a role, by name.
type Grantee struct {
	Kind GranteeKind
	Name string
}

// GrantFilter says which grants are meant; the zero value is all.
type GrantFilter struct {
	// In is a registry's name; those everywhere are among them where Wide is set.
	// In "" with Wide is only those everywhere.
	In   string
	Wide bool
	// To is one grantee's, where its name is not "".
	To Grantee
}

// RoleStore keeps who has which role. Methods return ErrNotFound, ErrExists and ErrRegistry.
type RoleStore interface {
	// Standing returns what a subject may do, or ErrNotFound.
	Standing(ctx context.Context, of Subject) (Standing, error)
	// Grants lists by registry, those everywhere first, grantee and role.
	Grants(ctx context.Context, f GrantFilter) ([]RoleGrant, error)
	Grant(ctx context.Context, g RoleGrant) (RoleGrant, error)
	// Revoke takes a grant back, where it is in that registry, "" for everywhere.
	Revoke(ctx context.Context, id int64, registry string) (RoleGrant, error)
}

var (
	// ErrOwnAlone is returned to keys that are limited, and to robots, for what
	// only a user may do.
	ErrOwnAlone = errors.New("only users, and their keys that are not limited, may do this")
	// ErrOutlasts is returned to keys and robots that expire, for what would let
	// who has them in afterwards.
	ErrOutlasts = errors.New("what expires cannot give access that outlasts it")
	// ErrMore is returned to who would give more than they have.
	ErrMore = errors.New("nobody may give more than they have")
	// ErrNoGrantee is returned where there is nobody of the name.
	ErrNoGrantee = errors.New("there is nobody of that name")
)

// OwnsAccount reports whether a principal may look after a user's account: keys,
// password.
func (p Principal) OwnsAccount() bool { return p.UserID != 0 && !p.Limited }

// CheckLasting returns ErrOutlasts for a principal who expires before a time, which
// is zero for never.
func (p Principal) CheckLasting(until time.Time) error {
	if !p.Until.IsZero() && (until.IsZero() || until.After(p.Until)) {
		return ErrOutlasts
	}
	return nil
}

// checkGrants looks whether a principal has all that they would give.
func checkGrants(field string, grants []Grant, by Principal) error {
	if len(grants) > maxGrants {
		return &FieldError{field, fmt.Sprintf("must have at most %d roles", maxGrants)}
	}
	for i, g := range grants {
		rights := g.Role.Rights()
		if rights == 0 {
			return &FieldError{fmt.Sprintf("%s[%d].role", field, i), "is no role"}
		}
		if by.Rights.In(g.Registry)&rights != rights {
			return &FieldError{fmt.Sprintf("%s[%d].role", field, i), ErrMore.Error()}
		}
	}
	return nil
}

// Roles lists grants.
func (s *Service) Roles(ctx context.Context, f GrantFilter) ([]RoleGrant, error) {
	return s.store.Grants(ctx, f)
}

// GrantRole gives a role in the name of a principal, who must have all of it. It
// returns a *FieldError, ErrExists, ErrNoGrantee or ErrRegistry.
func (s *Service) GrantRole(ctx context.Context, by Principal, g RoleGrant) (RoleGrant, error) {
	rights := g.Role.Rights()
	switch {
	case rights == 0:
		return RoleGrant{}, &FieldError{"role", "is no role"}
	case by.Rights.In(g.Registry)&rights != rights:
		return RoleGrant{}, &FieldError{"role", ErrMore.Error()}
	}
	if err := checkText("name", g.To.Name); err != nil {
		return RoleGrant{}, err
	}
	g.GrantedBy = by.Name
	defer s.Invalidate()
	return s.store.Grant(ctx, g)
}

// RevokeRole takes a grant of a registry back, of everywhere where it is "". It
// returns ErrNotFound.
func (s *Service) RevokeRole(ctx context.Context, id int64, registry string) (RoleGrant, error) {
	defer s.Invalidate()
	return s.store.Revoke(ctx, id, registry)
}
