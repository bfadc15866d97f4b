package assess

import (
	"crypto/sha256"
	"encoding/json"
	"time"
)

// Action is what happened to an assessment.
type Action string

// The actions.
const (
	// Created says that it was taken.
	Created Action = "created"
	// Edited says that its comment, justification or expiry changed.
	Edited Action = "edited"
	// Ended says that it does not hold any more.
	Ended Action = "ended"
	// Retyped says that its type was deleted, and another took its place.
	Retyped Action = "retyped"
	// Joined says that its vulnerability turned out to be another one, too.
	Joined Action = "joined"
)

// Event is what happened to an assessment: who did what, when and why. Events
// are a chain, in the order of their ids, which start from 1 and have no gaps:
// each has the SHA-256 of the hash before, and of itself as Hashed says.
type Event struct {
	ID           int64
	AssessmentID int64
	At           time.Time
	Actor        string
	Action       Action
	// Detail is a Snapshot as JSON.
	Detail string
	Hash   []byte
}

// Snapshot is an assessment as it was after an event. It says names, not ids,
// so that it is understood whatever became of what they name.
type Snapshot struct {
	Vulnerability string     `json:"vulnerability"`
	Type          string     `json:"type"`
	TypeID        int64      `json:"type_id"`
	ScopeKind     ScopeKind  `json:"scope_kind"`
	ScopeValue    string     `json:"scope_value,omitempty"`
	Comment       string     `json:"comment,omitempty"`
	Justification string     `json:"justification,omitempty"`
	Author        string     `json:"author"`
	Automatic     bool       `json:"automatic,omitempty"`
	CreatedAt     time.Time  `json:"created_at"`
	ExpiresAt     *time.Time `json:"expires_at,omitempty"`
	EndedAt       *time.Time `json:"ended_at,omitempty"`
	EndedBy       string     `json:"ended_by,omitempty"`
	EndedReason   EndReason  `json:"ended_reason,omitempty"`
	EndedNote     string     `json:"ended_note,omitempty"`
	// Note says where it is from, or why it happened.
	Note string `json:"note,omitempty"`
}

// SnapshotOf is the assessment's, whose type has that id.
func SnapshotOf(a Assessment, typeID int64, note string) Snapshot {
	pointer := func(t time.Time) *time.Time {
		if t.IsZero() {
			return nil
		}
		t = t.UTC()
		return &t
	}
	return Snapshot{
		Vulnerability: a.Vulnerability, Type: a.Type, TypeID: typeID, ScopeKind: a.Scope.Kind, ScopeValue: a.Scope.Value,
		Comment: a.Comment, Justification: a.Justification, Author: a.Author, Automatic: a.Automatic,
		CreatedAt: a.CreatedAt.UTC(), ExpiresAt: pointer(a.ExpiresAt), EndedAt: pointer(a.EndedAt),
		EndedBy: a.EndedBy, EndedReason: a.EndedReason, EndedNote: a.EndedNote, Note: note,
	}
}

// Differs names a member in which an assessment is not as the snapshot says;
// "" where there is none. The name of the type may have changed since.
func (s Snapshot) Differs(a Assessment, typeID int64) string {
	now := SnapshotOf(a, typeID, s.Note)
	same := func(a, b *time.Time) bool { return a == nil && b == nil || a != nil && b != nil && a.Equal(*b) }
	switch {
	case s.Vulnerability != now.Vulnerability:
		return "vulnerability"
	case s.TypeID != now.TypeID:
		return "type"
	case s.ScopeKind != now.ScopeKind || s.ScopeValue != now.ScopeValue:
		return "scope"
	case s.Comment != now.Comment:
		return "comment"
	case s.Justification != now.Justification:
		return "justification"
	case s.Author != now.Author || s.Automatic != now.Automatic:
		return "author"
	case !s.CreatedAt.Equal(now.CreatedAt):
		return "created_at"
	case !same(s.ExpiresAt, now.ExpiresAt):
		return "expires_at"
	case !same(s.EndedAt, now.EndedAt) || s.EndedBy != now.EndedBy || s.EndedReason != now.EndedReason || s.EndedNote != now.EndedNote:
		return "end"
	}
	return ""
}

// Hashed is the hash of the event after one with the hash before, which is
// empty for the first: the SHA-256 of the hash before followed by the JSON array
// [id, assessment id, time in microseconds, actor, action, detail].
func (e Event) Hashed(before []byte) []byte {
	text, err := json.Marshal([]any{e.ID, e.AssessmentID, e.At.UnixMicro(), e.Actor, e.Action, e.Detail})
	if err != nil { // numbers and strings always marshal
		panic(err)
	}
	h := sha256.New()
	h.Write(before)
	h.Write(text)
	return h.Sum(nil)
}

// Verification is what came of checking the history.
type Verification struct {
	// Events is how many there are, Head the hash of the last.
	Events int64
	Head   []byte
	// Assessments is how many were compared with what their history says.
	Assessments int64
	// Faults name what is wrong, the first hundred; none where all is well.
	Faults []string
}

// Anchor is a length of the history with the hash that it had, which someone
// noted elsewhere. It shows that nothing before it was rewritten, even by who
// could compute the chain anew.
type Anchor struct {
	Events int64
	Head   []byte
}
