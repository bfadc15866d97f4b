package assess

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// Decision is a live assessment as far as findings need it.
type Decision struct {
	AssessmentID    int64
	VulnerabilityID int64
	Type            string
	// Blocks and Warns are the type's own words, used where a policy names no
	// types.
	Blocks, Warns bool
	Scope         Scope
	ExpiresAt     time.Time
	// Automatic says that a rule took it: what people decided comes before.
	Automatic bool
}

// State is what has been decided on a finding.
type State struct {
	// Name is Unassessed or the name of an assessment type.
	Name string
	// AssessmentID is 0 where the finding is unassessed.
	AssessmentID int64
	// Blocks says that the finding blocks the pull.
	Blocks bool
	// Warns says that the assessment's type warns. It may block all the same
	// where the policy says so.
	Warns bool
}

// Reason is a finding that blocks.
type Reason struct {
	Vulnerability string
	Severity      advisory.Severity
	Package       string
	Version       string
	State         string
	AssessmentID  int64
}

func (r Reason) String() string {
	return fmt.Sprintf("%s (%s, %s %s, %s)", r.Vulnerability, r.Severity, r.Package, r.Version, r.State)
}

// Verdict is whether an image may be pulled.
type Verdict struct {
	Blocked bool
	// Reasons are what blocks, the gravest first.
	Reasons []Reason
	// ValidUntil is the first instant at which time alone may change the
	// verdict; zero for never.
	ValidUntil time.Time
}

// until moves ValidUntil forward to t.
func (v *Verdict) until(t time.Time) {
	if !t.IsZero() && (v.ValidUntil.IsZero() || t.Before(v.ValidUntil)) {
		v.ValidUntil = t
	}
}

// Decide says the state of each finding of the image at a place, in the order
// of findings, and whether the policy lets the image be pulled at time t.
// Decisions that do not concern the place, or do not hold at t, are ignored.
func Decide(findings []match.Finding, at Place, decisions []Decision, policy Policy, t time.Time) ([]State, Verdict) {
	byVulnerability := make(map[int64][]Decision, len(decisions))
	for _, d := range decisions {
		if d.ExpiresAt.IsZero() || d.ExpiresAt.After(t) {
			byVulnerability[d.VulnerabilityID] = append(byVulnerability[d.VulnerabilityID], d)
		}
	}
	states := make([]State, len(findings))
	var verdict Verdict
	for i, f := range findings {
		state := State{Name: Unassessed}
		if d, ok := narrowest(byVulnerability[f.VulnerabilityID], at, f.Package); ok {
			state = State{Name: d.Type, AssessmentID: d.AssessmentID, Blocks: policy.blocks(d.Type, d.Blocks), Warns: d.Warns}
			verdict.until(d.ExpiresAt)
		} else if policy.BlockUnassessedFrom != nil && f.Severity >= *policy.BlockUnassessedFrom {
			if end := f.FirstSeen.Add(policy.grace()); policy.GraceHours > 0 && end.After(t) {
				verdict.until(end)
			} else {
				state.Blocks = true
			}
		}
		states[i] = state
		if state.Blocks {
			verdict.Reasons = append(verdict.Reasons, Reason{
				Vulnerability: f.Vulnerability, Severity: f.Severity,
				Package: f.Package.Name, Version: f.Package.Version,
				State: state.Name, AssessmentID: state.AssessmentID,
			})
		}
	}
	verdict.Blocked = len(verdict.Reasons) > 0
	slices.SortStableFunc(verdict.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), strings.Compare(a.Vulnerability, b.Vulnerability),
			strings.Compare(a.Package, b.Package))
	})
	return states, verdict
}

// narrowest picks the decision that holds: a person's before a rule's, then the
// narrower, then the newer.
func narrowest(decisions []Decision, at Place, pkg inventory.Package) (Decision, bool) {
	var best Decision
	found := false
	for _, d := range decisions {
		if d.Scope.covers(at, pkg) && (!found || d.before(best)) {
			best, found = d, true
		}
	}
	return best, found
}

func (d Decision) before(other Decision) bool {
	if d.Automatic != other.Automatic {
		return other.Automatic
	}
	return cmp.Or(cmp.Compare(d.Scope.rank(), other.Scope.rank()), cmp.Compare(d.AssessmentID, other.AssessmentID)) > 0
}
