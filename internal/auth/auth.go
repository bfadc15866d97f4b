// Package auth says who makes a request and what they may do with the
// registry: users and passwords, sessions, API keys, and the tokens of Docker's flow.
//
// It must not know SQL nor the registry's handlers.
package auth

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// KeyUser is the user name that goes with an API key in Basic authentication.
const KeyUser = "api"

// User is a person or a program that can sign in.
type User struct {
	ID            int64
	Name          string
	Administrator bool
	CreatedAt     time.Time
	// Issuer is the provider of sign-ins that knows them, "" for users who have a
	// password here alone.
	Issuer string
	// Tag is another one whenever the password, or what else may change, is.
	Tag string
}

// Key is an API key, without its secret.
type Key struct {
	ID     int64
	UserID int64
	// Name is for people. Prefix is the start of the secret, Tag tells it from all others.
	Name, Prefix, Tag string
	CreatedAt         time.Time
	// ExpiresAt is zero for never, LastUsedAt where it was not used yet.
	ExpiresAt, LastUsedAt time.Time
	// Limited says that it may do only what Scope grants, of what its user may.
	Limited bool
	Scope   []Grant
}

// Principal is who makes a request. The zero value is anyone.
type Principal struct {
	UserID int64
	// KeyID is that of the API key by which a user acts, RobotID a robot's.
	KeyID, RobotID int64
	Name           string
	Administrator  bool
	// Limited says that it is a key that may not do all that its user may.
	Limited bool
	Rights  Rights
	// Until is when the key or the robot expires, zero for never.
	Until time.Time
	// Source is the vulnerability source whose pull token it is; "" for others.
	Source string
	// tag is that of the secret that they showed, see Standing.
	tag string
}

// Anonymous reports whether nobody signed in.
func (p Principal) Anonymous() bool { return p.UserID == 0 && p.RobotID == 0 }

// What callers branch on.
var (
	// ErrNotFound is returned for a user or key that does not exist.
	ErrNotFound = errors.New("not found")
	// ErrExists is returned where a user's name is taken.
	ErrExists = errors.New("exists already")
	// ErrCredentials is returned for credentials that are not right, whatever
	// is wrong with them.
	ErrCredentials = errors.New("wrong credentials")
	// ErrThrottled is returned after too many wrong credentials.
	ErrThrottled = errors.New("too many wrong credentials, try again in a minute")
	// ErrChanged is returned where the user is not as the caller saw them.
	ErrChanged = errors.New("someone else has changed it meanwhile")
	// ErrRegistry is returned where there is no registry of a name.
	ErrRegistry = errors.New("there is no such registry")
	// ErrLastAdministrator protects the last user who can administer.
	ErrLastAdministrator = errors.New("the last administrator cannot be removed")
)

// FieldError is a value that cannot be taken.
type FieldError struct{ Field, Reason string }

func (e *FieldError) Error() string { return fmt.Sprintf("%s %s", e.Field, e.Reason) }

// Store keeps users, keys, sessions and secrets. Methods return ErrNotFound and ErrExists.
type Store interface {
	SessionStore
	IdentityStore
	GroupStore
	RobotStore
	RoleStore

	CreateUser(ctx context.Context, u User, passwordHash string) (User, error)
	// UserByName also returns the hash of the password.
	UserByName(ctx context.Context, name string) (u User, passwordHash string, err error)
	UserByID(ctx context.Context, id int64) (User, error)
	Users(ctx context.Context) ([]User, error)
	// SetPasswordHash returns ErrChanged where tag is neither "" nor the user's.
	SetPasswordHash(ctx context.Context, id int64, passwordHash, tag string) error
	DeleteUser(ctx context.Context, id int64) error

	// CreateKey stores a key with its scope, or returns ErrRegistry.
	CreateKey(ctx context.Context, k Key, hash []byte) (Key, error)
	// KeyByHash also returns the key's user.
	KeyByHash(ctx context.Context, hash []byte) (Key, User, error)
	// Keys lists a user's keys, everyone's where userID is 0.
	Keys(ctx context.Context, userID int64) ([]Key, error)
	DeleteKey(ctx context.Context, id int64) error
	// TouchKey notes that the key was used.
	TouchKey(ctx context.Context, id int64, at time.Time) error

	// Secret returns the named secret, having stored fresh where there is none.
	Secret(ctx context.Context, name string, fresh []byte) ([]byte, error)
	// AnonymousPull reports whether anyone may pull from a registry; false
	// where there is no such registry.
	AnonymousPull(ctx context.Context, registry string) (bool, error)
}
