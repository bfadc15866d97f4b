// Package assess is about what people decide on vulnerabilities: assessments,
// their types, how long they hold, and whether a registry's policy lets an
// image be pulled because of them.
//
// It must not know SQL, HTTP or how a finding came about.
package assess

import (
	"errors"
	"fmt"
	"time"
)

// Unassessed is the state of a finding that no live assessment covers. No
// assessment type can have this name.
const Unassessed = "unassessed"

// System is the actor of what Pratique does by itself.
const System = "system"

// The sentinels that a Store returns.
var (
	// ErrNotFound says that there is no assessment or type of that identity.
	ErrNotFound = errors.New("not found")
	// ErrExists says that there is an assessment type of that name.
	ErrExists = errors.New("exists already")
	// ErrEnded says that the assessment is not live any more.
	ErrEnded = errors.New("has ended")
	// ErrUnknownVulnerability says that no vulnerability has that name.
	ErrUnknownVulnerability = errors.New("unknown vulnerability")
	// ErrUnknownTarget says that what the scope names does not exist.
	ErrUnknownTarget = errors.New("unknown target")
)

// FieldError is a value that cannot be accepted: which one, and why.
type FieldError struct {
	// Field is the path of the value in the request, "scope.value".
	Field string
	// Reason is a phrase for people; it may quote the value.
	Reason string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

func invalid(field, format string, args ...any) error {
	return &FieldError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// EndReason says why an assessment ended.
type EndReason string

// The reasons.
const (
	Expired      EndReason = "expired"
	Superseded   EndReason = "superseded"
	Withdrawn    EndReason = "withdrawn"
	ScopeDeleted EndReason = "scope deleted"
)

// Assessment is a decision on a vulnerability in a scope. Its decision never
// changes; another one supersedes it.
type Assessment struct {
	ID              int64
	VulnerabilityID int64
	Vulnerability   string
	// Type is the name of the assessment type.
	Type      string
	Scope     Scope
	Comment   string
	Author    string
	CreatedAt time.Time
	// ExpiresAt is the first instant at which it does not hold; zero for never.
	ExpiresAt time.Time
	// EndedAt is zero while it holds.
	EndedAt     time.Time
	EndedBy     string
	EndedReason EndReason
}

// Live reports whether it holds at t.
func (a Assessment) Live(t time.Time) bool {
	return a.EndedAt.IsZero() && (a.ExpiresAt.IsZero() || a.ExpiresAt.After(t))
}

// asOf says what is true at t even where the expiry job has not run yet.
func (a Assessment) asOf(t time.Time) Assessment {
	if a.EndedAt.IsZero() && !a.Live(t) {
		a.EndedAt, a.EndedBy, a.EndedReason = a.ExpiresAt, System, Expired
	}
	return a
}

// Expiry is the wish for an end. The zero value asks for the type's default.
type Expiry struct {
	// At is the first instant at which the assessment does not hold.
	At time.Time
	// Never asks for no end; At is then ignored.
	Never bool
}

// Request asks for an assessment.
type Request struct {
	Vulnerability string
	Type          string
	Scope         Scope
	Comment       string
	Author        string
	Expiry        Expiry
}
