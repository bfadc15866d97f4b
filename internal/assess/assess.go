// Package assess is about what people decide on vulnerabilities: assessments,
// their types, how long they hold, and whether a registry's policy lets an
// image be pulled because of them.
//
// It must not know SQL, HTTP or how a finding came about.
package assess

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Unassessed is the state of a finding that no live assessment covers. No
// assessment type can have this name.
const Unassessed = "unassessed"

// System is the actor of what Pratique does by itself.
const System = "system"

// RuleAuthor is the author of what the rule of a type assesses.
func RuleAuthor(typ string) string { return "rule: " + typ }

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
	// ErrChanged says that someone else changed it since the caller looked.
	ErrChanged = errors.New("someone else has changed it meanwhile")
	// ErrInUse says that a type cannot be deleted.
	ErrInUse = errors.New("is in use")
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

// FieldErrors are all values of a request that cannot be accepted.
type FieldErrors []*FieldError

func (e FieldErrors) Error() string {
	const shown = 5
	var all []string
	for i, one := range e {
		if i == shown {
			all = append(all, fmt.Sprintf("and %d more", len(e)-shown))
			break
		}
		all = append(all, one.Error())
	}
	return strings.Join(all, "; ")
}

// InUseError says by what a type is used.
type InUseError struct {
	Type string
	// Assessments counts the live ones of the type, Policies those that name
	// it, with the global one.
	Assessments, Policies int
	// ForVEX says that VEX statements become it.
	ForVEX bool
}

func (e *InUseError) Error() string {
	var by []string
	if e.Assessments > 0 {
		by = append(by, fmt.Sprintf("%d live assessments", e.Assessments))
	}
	if e.Policies > 0 {
		by = append(by, fmt.Sprintf("%d policies", e.Policies))
	}
	if e.ForVEX {
		by = append(by, "VEX documents, whose statements become it")
	}
	return fmt.Sprintf("assessment type %q %s by %s; name the type that takes its place", e.Type, ErrInUse, strings.Join(by, ", "))
}

// Is makes it an ErrInUse.
func (e *InUseError) Is(target error) bool { return target == ErrInUse }

// EndReason says why an assessment ended.
type EndReason string

// The reasons.
const (
	Expired      EndReason = "expired"
	Superseded   EndReason = "superseded"
	Withdrawn    EndReason = "withdrawn"
	ScopeDeleted EndReason = "scope deleted"
	// RuleEnded says that the rule that took it would not any more.
	RuleEnded EndReason = "rule ended"
	// The following returned it to Unassessed: see Reopening.
	FixAvailable   EndReason = "fix available"
	SeverityRaised EndReason = "severity raised"
	NowExploited   EndReason = "exploited"
)

// EndReasons lists all there are.
func EndReasons() []EndReason {
	return []EndReason{Expired, Superseded, Withdrawn, ScopeDeleted, RuleEnded, FixAvailable, SeverityRaised, NowExploited}
}

// Reason is that of assessments which it ends.
func (r Reopening) Reason() EndReason {
	switch r {
	case ReopenFix:
		return FixAvailable
	case ReopenSeverity:
		return SeverityRaised
	}
	return NowExploited
}

// Justifications are the words of VEX for why something does not matter
// (https://github.com/openvex/spec, "Status Justifications").
func Justifications() []string {
	return []string{
		"component_not_present", "vulnerable_code_not_present", "vulnerable_code_not_in_execute_path",
		"vulnerable_code_cannot_be_controlled_by_adversary", "inline_mitigations_already_exist",
	}
}

// Assessment is a decision on a vulnerability in a scope. What is decided never
// changes: another one supersedes it. Its comment, justification and expiry can
// be edited while it is live.
type Assessment struct {
	ID              int64
	VulnerabilityID int64
	Vulnerability   string
	// Type is the name of the assessment type.
	Type    string
	Scope   Scope
	Comment string
	// Justification is one of Justifications, or "".
	Justification string
	Author        string
	// Automatic says that its type's rule took it. What people decide comes
	// before it, in whatever scope.
	Automatic bool
	CreatedAt time.Time
	// ExpiresAt is the first instant at which it does not hold; zero for never.
	ExpiresAt time.Time
	// EndedAt is zero while it holds.
	EndedAt     time.Time
	EndedBy     string
	EndedReason EndReason
	// EndedNote says in words what made it end.
	EndedNote string
	// Version moves with each edit.
	Version int64
	// Note goes into the history of its creation: where it is from.
	Note string
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
	Justification string
	Author        string
	Expiry        Expiry
	// Note goes into the history: where it is from.
	Note string
}

// Edit changes a live assessment; nil members stay as they are.
type Edit struct {
	Comment       *string
	Justification *string
	Expiry        *Expiry
	// By is who edits.
	By string
	// Version is the one that the editor saw; 0 for whichever it is.
	Version int64
}
