package auth

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// RobotPrefix starts the name by which a robot signs in, and which the audit log has.
const RobotPrefix = "robot+"

// robotPrefix starts every robot's secret.
const robotPrefix = "prr_"

// Robot is a program that signs in with a secret of its own.
type Robot struct {
	ID int64
	// Name is without RobotPrefix.
	Name, Description string
	// Registry is the one that it belongs to, "" for all.
	Registry string
	// Prefix is how its secret begins; Tag is another one whenever the secret is.
	Prefix, Tag string
	Disabled    bool
	CreatedBy   string
	CreatedAt   time.Time
	// ExpiresAt is zero for never, LastUsedAt where it was not used yet.
	ExpiresAt, LastUsedAt time.Time
	// Grants are its roles.
	Grants []Grant
}

// RobotChange is what to change of a robot; nil stays.
type RobotChange struct {
	Description *string
	Disabled    *bool
	// ExpiresAt is the zero time for never.
	ExpiresAt *time.Time
}

// RobotStore keeps robots by the hash of their secret. Methods return ErrNotFound,
// ErrExists and ErrRegistry.
type RobotStore interface {
	// CreateRobot stores a robot with its grants.
	CreateRobot(ctx context.Context, r Robot, hash []byte) (Robot, error)
	// Robots lists by name; only one where id is not 0.
	Robots(ctx context.Context, id int64) ([]Robot, error)
	RobotByHash(ctx context.Context, hash []byte) (Robot, error)
	ChangeRobot(ctx context.Context, id int64, c RobotChange) error
	SetRobotHash(ctx context.Context, id int64, prefix string, hash []byte) error
	DeleteRobot(ctx context.Context, id int64) error
	TouchRobot(ctx context.Context, id int64, at time.Time) error
}

var robotName = regexp.MustCompile(`^[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

// CreateRobot makes a robot in the name of a principal, who must have all that it
// is granted, and returns it with its secret, which is not kept. It returns a
// *FieldError, ErrExists, ErrOutlasts, ErrRegistry, or ErrCredentials where the secret of
// the principal is another one by now.
func (s *Service) CreateRobot(ctx context.Context, by Principal, r Robot) (Robot, string, error) {
	switch {
	case len(r.Name) > 60 || !robotName.MatchString(r.Name):
		return Robot{}, "", &FieldError{"name", "must be lower-case letters and digits, separated by one of . _ -, at most 60"}
	case len(r.Description) > maxDescription:
		return Robot{}, "", &FieldError{"description", "must have at most 1000 bytes"}
	case !r.ExpiresAt.IsZero() && !r.ExpiresAt.After(s.opts.Now()):
		return Robot{}, "", &FieldError{"expires_at", "must be in the future"}
	}
	for i, g := range r.Grants {
		if r.Registry != "" && g.Registry != r.Registry {
			return Robot{}, "", &FieldError{fmt.Sprintf("roles[%d].registry", i), "is not the one that the robot belongs to"}
		}
	}
	if err := by.CheckLasting(r.ExpiresAt); err != nil {
		return Robot{}, "", err
	}
	if err := checkGrants("roles", r.Grants, by); err != nil {
		return Robot{}, "", err
	}
	if err := s.still(ctx, by); err != nil {
		return Robot{}, "", err
	}
	secret := newSecret(robotPrefix)
	r.Prefix, r.CreatedBy = shown(secret, robotPrefix), by.Name
	r, err := s.store.CreateRobot(ctx, r, hashKey(secret))
	if err != nil {
		return Robot{}, "", err
	}
	return r, secret, nil
}

// Robots lists all robots by name.
func (s *Service) Robots(ctx context.Context) ([]Robot, error) { return s.store.Robots(ctx, 0) }

// Robot returns one, or ErrNotFound.
func (s *Service) Robot(ctx context.Context, id int64) (Robot, error) {
	found, err := s.store.Robots(ctx, id)
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return Robot{}, err
	}
	return found[0], nil
}

// ChangeRobot changes a robot in the name of a principal. It returns a *FieldError,
// ErrOutlasts or ErrNotFound.
func (s *Service) ChangeRobot(ctx context.Context, by Principal, id int64, c RobotChange) (Robot, error) {
	switch {
	case c.Description != nil && len(*c.Description) > maxDescription:
		return Robot{}, &FieldError{"description", "must have at most 1000 bytes"}
	case c.ExpiresAt != nil && !c.ExpiresAt.IsZero() && !c.ExpiresAt.After(s.opts.Now()):
		return Robot{}, &FieldError{"expires_at", "must be in the future"}
	}
	if c.ExpiresAt != nil {
		if err := by.CheckLasting(*c.ExpiresAt); err != nil {
			return Robot{}, err
		}
	}
	defer s.Invalidate()
	if err := s.store.ChangeRobot(ctx, id, c); err != nil {
		return Robot{}, err
	}
	return s.Robot(ctx, id)
}

// RenewRobot gives a robot another secret in the name of a principal; the former is
// worth nothing any more. It returns ErrNotFound, ErrOutlasts, or ErrCredentials as
// CreateRobot does.
func (s *Service) RenewRobot(ctx context.Context, by Principal, id int64) (Robot, string, error) {
	r, err := s.Robot(ctx, id)
	if err == nil {
		err = by.CheckLasting(r.ExpiresAt)
	}
	if err == nil {
		err = s.still(ctx, by)
	}
	if err != nil {
		return Robot{}, "", err
	}
	defer s.forget()
	secret := newSecret(robotPrefix)
	if err := s.store.SetRobotHash(ctx, id, shown(secret, robotPrefix), hashKey(secret)); err != nil {
		return Robot{}, "", err
	}
	r, err = s.Robot(ctx, id)
	return r, secret, err
}

// DeleteRobot removes a robot, or returns ErrNotFound. What it pushes is refused
// from its next request on.
func (s *Service) DeleteRobot(ctx context.Context, id int64) error {
	defer s.forget()
	return s.store.DeleteRobot(ctx, id)
}

func (s *Service) verifyRobot(ctx context.Context, c credentials) (shownSecret, error) {
	r, err := s.store.RobotByHash(ctx, hashKey(c.password))
	if errors.Is(err, ErrNotFound) {
		return shownSecret{}, ErrCredentials
	}
	if err != nil {
		return shownSecret{}, err
	}
	if name, named := strings.CutPrefix(c.user, RobotPrefix); named && name != r.Name {
		return shownSecret{}, ErrCredentials
	}
	if now := s.opts.Now(); now.Sub(r.LastUsedAt) >= usedEvery {
		if err := s.store.TouchRobot(ctx, r.ID, now); err != nil {
			// The secret is right all the same.
			s.opts.Logger.WarnContext(ctx, "use of a robot was not noted", "robot", r.Name, "error", err)
		}
	}
	return shownSecret{Subject{RobotID: r.ID}, r.Tag}, nil
}
