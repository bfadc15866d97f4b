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
	// Blocks and Warns are the type's own word, used where a policy names no types.
	Blocks, Warns bool
	Scope         Scope
	CreatedAt     time.Time
	ExpiresAt     time.Time
	// Automatic says that a rule took it: what people decided comes before.
	Automatic bool
}

// State is what has been decided on a finding.
type State struct {
	// Name is Unassessed or the name of an assessment type; "" where no source
	// that is attached at the place reports the finding.
	Name string
	// AssessmentID is 0 where the finding is unassessed.
	AssessmentID int64
	// Blocks says that the finding blocks the pull, Warns that it is warned of.
	Blocks, Warns bool
}

// Reason is a finding that blocks, or is warned of.
type Reason struct {
	Vulnerability string
	Severity      advisory.Severity
	Package       string
	Version       string
	State         string
	AssessmentID  int64
	// Since is when it began to; From, of a warning, is when it will block; zero
	// where it will not.
	Since, From time.Time
}

func (r Reason) String() string {
	text := fmt.Sprintf("%s (%s, %s %s, %s)", r.Vulnerability, r.Severity, r.Package, r.Version, r.State)
	if !r.From.IsZero() {
		text += ", blocks from " + r.From.UTC().Format(time.RFC3339)
	}
	return text
}

// Verdict is what the findings of an image come to.
type Verdict struct {
	Blocked bool
	// Reasons are what blocks, Warnings what is warned of; the gravest first.
	Reasons, Warnings []Reason
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
		if !policy.counts(f.Sources) {
			continue
		}
		state := State{Name: Unassessed}
		reason := Reason{Vulnerability: f.Vulnerability, Severity: f.Severity, Package: f.Package.Name, Version: f.Package.Version, Since: f.FirstSeen}
		if d, ok := narrowest(byVulnerability[f.VulnerabilityID], at, f.Package); ok {
			state = State{Name: d.Type, AssessmentID: d.AssessmentID, Blocks: policy.blocks(d.Type, d.Blocks)}
			state.Warns = !state.Blocks && policy.warns(d.Type, d.Warns)
			if d.CreatedAt.After(reason.Since) {
				reason.Since = d.CreatedAt
			}
			verdict.until(d.ExpiresAt)
		} else {
			end := f.FirstSeen.Add(policy.grace())
			state.Blocks = policy.BlockUnassessedFrom != nil && f.Severity >= *policy.BlockUnassessedFrom
			if state.Blocks && end.After(t) {
				state.Blocks, state.Warns, reason.From = false, true, end
				verdict.until(end)
			} else if state.Blocks {
				reason.Since = end
			} else if policy.WarnUnassessedFrom != nil && f.Severity >= *policy.WarnUnassessedFrom {
				if state.Warns = !end.After(t); !state.Warns {
					verdict.until(end)
				}
			}
		}
		states[i] = state
		reason.State, reason.AssessmentID = state.Name, state.AssessmentID
		switch {
		case state.Blocks:
			verdict.Reasons = append(verdict.Reasons, reason)
		case state.Warns:
			verdict.Warnings = append(verdict.Warnings, reason)
		}
	}
	verdict.Blocked = len(verdict.Reasons) > 0
	slices.SortStableFunc(verdict.Reasons, gravestFirst)
	slices.SortStableFunc(verdict.Warnings, gravestFirst)
	return states, verdict
}

func gravestFirst(a, b Reason) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), strings.Compare(a.Vulnerability, b.Vulnerability),
		strings.Compare(a.Package, b.Package))
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
