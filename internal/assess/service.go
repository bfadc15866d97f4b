package assess

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Store keeps assessments and their types. It never forgets an assessment.
type Store interface {
	TypeStore
	JudgeStore
	PreviewStore

	// CreateAssessments stores assessments of vulnerabilities by name or alias
	// and ends the live ones of the same vulnerabilities and scopes as
	// superseded, all or nothing. It returns a *RefusedError that says which
	// cannot be stored, unless they are to be kept.
	CreateAssessments(ctx context.Context, list []Assessment, keep Keep) ([]Assessment, error)
	// EndAssessment ends a live assessment. It returns ErrNotFound, ErrEnded
	// where it does not hold at that time, or ErrChanged where version is
	// neither 0 nor the assessment's.
	EndAssessment(ctx context.Context, id int64, at time.Time, by string, reason EndReason, version int64) (Assessment, error)
	// EditAssessment changes a live assessment. It returns ErrNotFound,
	// ErrEnded or ErrChanged.
	EditAssessment(ctx context.Context, id int64, e Edit) (Assessment, error)
	// ExpireAssessments ends at most limit assessments whose expiry is not
	// after the time given, at their expiry, and returns them.
	ExpireAssessments(ctx context.Context, at time.Time, limit int) ([]Assessment, error)
	// Assessment returns one, or ErrNotFound.
	Assessment(ctx context.Context, id int64) (Assessment, error)
	// Assessments lists those that the filter lets through, newest first.
	Assessments(ctx context.Context, filter Filter) ([]Assessment, error)
	// AssessmentEvents lists events, the newest first.
	AssessmentEvents(ctx context.Context, filter EventFilter) ([]Event, error)
	// UnknownTargets returns those of the scopes that name what does not exist.
	UnknownTargets(ctx context.Context, scopes []Scope) (map[Scope]bool, error)
	// LiveAssessments returns what holds at a time on the vulnerabilities.
	LiveAssessments(ctx context.Context, vulnerabilities []int64, at time.Time) ([]Assessment, error)
	// VerifyHistory checks that the history is whole, and that assessments are
	// as it says.
	VerifyHistory(ctx context.Context, anchor Anchor) (Verification, error)
}

// Keep says what assessments may name that does not exist: they take effect when
// it does.
type Keep struct {
	Vulnerabilities bool
	Targets         []ScopeKind
}

// Allows reports whether scopes of the kind may name what does not exist.
func (k Keep) Allows(kind ScopeKind) bool { return slices.Contains(k.Targets, kind) }

// RefusedError says which assessments of a list cannot be stored, and why.
type RefusedError struct {
	// At are the reasons, ErrUnknownVulnerability and the like, by position.
	At map[int]error
}

// Add adds the reason of the one at a position; the first counts.
func (e *RefusedError) Add(i int, err error) {
	if e.At == nil {
		e.At = make(map[int]error)
	}
	if e.At[i] == nil {
		e.At[i] = err
	}
}

// Any reports whether there is any.
func (e *RefusedError) Any() bool { return len(e.At) > 0 }

func (e *RefusedError) Error() string { return fmt.Sprintf("%d assessments are refused", len(e.At)) }

// Filter narrows a list of assessments. Zero members do not.
type Filter struct {
	Vulnerability string
	Type          string
	Scope         Scope // by kind, and by value where it is not empty
	Author        string
	Automatic     *bool
	// In keeps those that hold in one of these registries, or in none in particular;
	// all where nil.
	In []string
	// LiveAt keeps those that hold at that time.
	LiveAt time.Time
	// Before keeps those with a smaller id: where the next page starts, the newest first.
	Before int64
	// Sort is what they are ordered by, the newest first where empty.
	Sort Sort
	// Ascending turns the order around. Of two that are equal the older one is first.
	Ascending bool
	// After continues a list after that item, in any order.
	After *Cursor
	// Limit is how many at most; 0 is no limit.
	Limit int
}

// Sort is what a list of assessments is ordered by.
type Sort string

// The orders. What never expires comes after all that does.
const (
	ByCreation      Sort = "created_at"
	ByExpiry        Sort = "expires_at"
	ByVulnerability Sort = "vulnerability"
)

// Cursor is a place in a list of assessments.
type Cursor struct {
	ID      int64     `json:"i"`
	Expires time.Time `json:"e"`
	Name    string    `json:"n"` // of the vulnerability
}

// Cursor is the place of an assessment in lists.
func (a Assessment) Cursor() Cursor { return Cursor{a.ID, a.ExpiresAt, a.Vulnerability} }

// EventFilter narrows a list of events. Zero members do not.
type EventFilter struct {
	AssessmentID, VulnerabilityID int64
	// Before keeps those with a smaller id.
	Before int64
	Limit  int
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
	// Due is called after a change that has findings judged by rules; it must
	// not block. Nil where something calls Judge now and then.
	Due func(ctx context.Context)
}

// New returns a service over the store.
func New(store Store, opts Options) *Service {
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Changed == nil {
		opts.Changed = func() {}
	}
	if opts.Due == nil {
		opts.Due = func(context.Context) {}
	}
	return &Service{store: store, opts: opts}
}

// now is the time as databases keep it.
func (s *Service) now() time.Time { return s.opts.Now().UTC().Truncate(time.Microsecond) }

// Assess takes a decision, which supersedes the live one of the same
// vulnerability and scope. It returns a *FieldError where a value is wrong.
func (s *Service) Assess(ctx context.Context, r Request) (Assessment, error) {
	created, err := s.AssessAll(ctx, []Request{r}, nil)
	if err != nil {
		if all := (FieldErrors)(nil); errors.As(err, &all) {
			return Assessment{}, all[0]
		}
		return Assessment{}, err
	}
	return created[0], nil
}

// MaxRequests bounds how many assessments are taken at once.
const MaxRequests = 10_000

// AssessAll takes decisions, all or none. It returns FieldErrors where values are
// wrong, whose fields are as at says.
func (s *Service) AssessAll(ctx context.Context, requests []Request, at Locate) ([]Assessment, error) {
	types, err := s.store.AssessmentTypes(ctx)
	if err != nil {
		return nil, err
	}
	now := s.now()
	list := make([]Assessment, len(requests))
	var wrong FieldErrors
	for i, r := range requests {
		if list[i], err = r.assessment(types, now); err != nil {
			wrong = wrong.add(at.field(i, err))
		}
	}
	if len(wrong) > 0 {
		return nil, wrong
	}
	created, err := s.store.CreateAssessments(ctx, list, Keep{})
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		return nil, refused.fields(list, at)
	}
	if err != nil {
		return nil, fmt.Errorf("assess %d vulnerabilities: %w", len(list), err)
	}
	if len(created) > 0 {
		s.opts.Changed()
	}
	return created, nil
}

// Locate gives the path, in what the caller was asked, of a field of a request.
// Nil leaves fields as they are.
type Locate func(i int, field string) string

// field is an error on a request with the field that the caller knows.
func (l Locate) field(i int, err error) *FieldError {
	var field *FieldError
	if !errors.As(err, &field) {
		field = &FieldError{Reason: err.Error()}
	}
	if l == nil {
		return field
	}
	return &FieldError{Field: l(i, field.Field), Reason: field.Reason}
}

// add leaves out what is there: one value may be of many requests.
func (e FieldErrors) add(one *FieldError) FieldErrors {
	for _, known := range e[max(0, len(e)-100):] {
		if *known == *one {
			return e
		}
	}
	return append(e, one)
}

// fields are the reasons as what is wrong with the values, in order.
func (e *RefusedError) fields(list []Assessment, at Locate) FieldErrors {
	var wrong FieldErrors
	for i, a := range list {
		if err := e.At[i]; err != nil {
			wrong = wrong.add(at.field(i, refusal(a, err)))
		}
	}
	return wrong
}

func refusal(a Assessment, err error) error {
	switch {
	case errors.Is(err, ErrUnknownVulnerability):
		return invalid("vulnerability", "%q is not known", a.Vulnerability)
	case errors.Is(err, ErrUnknownTarget):
		return invalid("scope.value", "there is no %s", a.Scope)
	}
	return invalid("type", "%q is not one any more", a.Type)
}

// assessment is what the request asks for, or a *FieldError.
func (r Request) assessment(types []Type, now time.Time) (Assessment, error) {
	switch {
	case r.Vulnerability == "":
		return Assessment{}, invalid("vulnerability", "is wanted")
	case len(r.Vulnerability) > maxVulnerability:
		return Assessment{}, invalid("vulnerability", "is longer than %d bytes", maxVulnerability)
	case strings.ContainsFunc(r.Vulnerability, unicode.IsControl) || !utf8.ValidString(r.Vulnerability):
		return Assessment{}, invalid("vulnerability", "must not contain control characters")
	}
	if err := checkWords(r.Comment, r.Justification); err != nil {
		return Assessment{}, err
	}
	if err := r.Scope.check(); err != nil {
		return Assessment{}, err
	}
	t, err := usable(types, "type", r.Type)
	if err != nil {
		return Assessment{}, err
	}
	a := Assessment{
		Vulnerability: r.Vulnerability, Type: t.Name, Scope: r.Scope,
		Comment: r.Comment, Justification: r.Justification, Author: r.Author, CreatedAt: now, Note: r.Note,
	}
	a.ExpiresAt, err = r.Expiry.end(t, now, now)
	return a, err
}

const maxVulnerability = 200

// end is when an assessment of the type that was taken at a time is to end.
func (e Expiry) end(t Type, taken, now time.Time) (time.Time, error) {
	switch {
	case e.Never:
		return time.Time{}, nil
	case e.At.IsZero():
		return t.expiry(taken), nil
	}
	at := e.At.UTC().Truncate(time.Microsecond)
	if !at.After(now) {
		return time.Time{}, invalid("expires_at", "%s is not in the future", at.Format(time.RFC3339Nano))
	}
	if at.Year() > 9999 {
		return time.Time{}, invalid("expires_at", "is after the year 9999")
	}
	return at, nil
}

func checkWords(comment, justification string) error {
	switch {
	case strings.ContainsRune(comment, 0):
		return invalid("comment", "must not contain null characters")
	case !utf8.ValidString(comment):
		return invalid("comment", "is not UTF-8 text")
	case utf8.RuneCountInString(comment) > maxComment:
		return invalid("comment", "is longer than %d characters", maxComment)
	case justification != "" && !slices.Contains(Justifications(), justification):
		return invalid("justification", "%q is not one of %s", justification, strings.Join(Justifications(), ", "))
	}
	return nil
}

// Edit changes the comment, the justification or the expiry of a live assessment.
// It returns a *FieldError, ErrNotFound, ErrEnded, or ErrChanged where it has not
// the edit's version.
func (s *Service) Edit(ctx context.Context, id int64, e Edit) (Assessment, error) {
	old, err := s.store.Assessment(ctx, id)
	if err != nil {
		return Assessment{}, fmt.Errorf("assessment %d: %w", id, err)
	}
	comment, justification := old.Comment, old.Justification
	set(&comment, e.Comment)
	set(&justification, e.Justification)
	if err := checkWords(comment, justification); err != nil {
		return Assessment{}, err
	}
	if e.Expiry != nil {
		types, err := s.store.AssessmentTypes(ctx)
		if err != nil {
			return Assessment{}, err
		}
		t, err := named(types, "type", old.Type)
		if err != nil {
			return Assessment{}, err
		}
		end, err := e.Expiry.end(t, s.now(), s.now())
		if err != nil {
			return Assessment{}, err
		}
		e.Expiry = &Expiry{At: end}
	}
	edited, err := s.store.EditAssessment(ctx, id, e)
	if err != nil {
		return Assessment{}, fmt.Errorf("assessment %d: %w", id, err)
	}
	s.opts.Changed()
	return edited, nil
}

// Withdraw ends a live assessment. It returns ErrNotFound, ErrEnded, or ErrChanged
// where version is neither 0 nor the assessment's.
func (s *Service) Withdraw(ctx context.Context, id int64, by string, version int64) (Assessment, error) {
	a, err := s.store.EndAssessment(ctx, id, s.opts.Now(), by, Withdrawn, version)
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

// Events lists what happened to assessments, the newest first.
func (s *Service) Events(ctx context.Context, filter EventFilter) ([]Event, error) {
	return s.store.AssessmentEvents(ctx, filter)
}

// Verify checks that the history is whole, and that assessments are as it says.
func (s *Service) Verify(ctx context.Context, anchor Anchor) (Verification, error) {
	return s.store.VerifyHistory(ctx, anchor)
}
