package assess

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// JudgeStore keeps which vulnerabilities are due for a judgement by rules: those
// of whose findings something changed, and all after a change of rules.
type JudgeStore interface {
	// JudgeDue takes at most limit vulnerabilities that are due, does what
	// decide says of each, reopens what is to be reopened, all in one
	// transaction, and reports how many they were and whether any assessment
	// changed.
	JudgeDue(ctx context.Context, limit int, decide Decider) (judged int, changed bool, err error)
}

// Decider says what rules make of a vulnerability.
type Decider func(Subject, []Type) Plan

// Subject is a vulnerability as far as rules need it.
type Subject struct {
	VulnerabilityID int64
	Vulnerability   string
	// Groups are its findings, one group for each name of a package.
	Groups []Group
	// Live are its live assessments that are everywhere or on packages.
	Live []Assessment
	// Last are those of them that ended last in each scope.
	Last []Assessment
}

// Plan is what rules change of a vulnerability.
type Plan struct {
	Ends    []End
	Creates []Assessment
}

// End is a live assessment that a rule would not take any more.
type End struct {
	ID   int64
	By   string
	Note string
	// Superseded says that one of the plan's creations takes its place.
	Superseded bool
}

// Judge says what rules make of a vulnerability at a time. The first type in
// order whose rule matches a group assesses it: everywhere, where that is the
// same type for all groups, else in the scopes of the packages.
//
// What a person decided, ended, or let expire is left to people: in its scope, and
// in those of packages where it was everywhere, no rule assesses anything.
func Judge(s Subject, types []Type, now time.Time) Plan {
	wanted := make(map[Scope]Type)
	for _, g := range s.Groups {
		if i := slices.IndexFunc(types, func(t Type) bool { return t.Enabled && t.Rule != nil && t.Rule.matches(g) }); i >= 0 {
			wanted[Scope{Package, g.Package}] = types[i]
		}
	}
	if t, ok := forAll(wanted, len(s.Groups)); ok {
		wanted = map[Scope]Type{{Kind: Everywhere}: t}
	}
	left := make(map[Scope]bool)
	for _, a := range s.Last {
		left[a.Scope] = left[a.Scope] || leftToPeople(a)
	}
	for _, a := range s.Live {
		if !a.Automatic {
			left[a.Scope] = true
		}
	}
	var plan Plan
	for _, a := range s.Live {
		if !a.Automatic {
			continue
		}
		t, ok := wanted[a.Scope]
		switch {
		case ok && t.Name == a.Type:
			delete(wanted, a.Scope)
		case ok && !blocked(left, a.Scope):
			plan.Ends = append(plan.Ends, End{a.ID, RuleAuthor(t.Name), fmt.Sprintf("the rule of %s comes first", t.Name), true})
		default:
			plan.Ends = append(plan.Ends, End{a.ID, System, whyEnded(s, a, types, wanted), false})
		}
	}
	for scope, t := range wanted {
		if blocked(left, scope) {
			continue
		}
		plan.Creates = append(plan.Creates, Assessment{
			VulnerabilityID: s.VulnerabilityID, Vulnerability: s.Vulnerability, Type: t.Name, Scope: scope,
			Comment: "Assessed by the rule of " + t.Name + ": " + t.Rule.String() + ".", Author: RuleAuthor(t.Name), Automatic: true,
			CreatedAt: now, ExpiresAt: t.expiry(now),
		})
	}
	slices.SortFunc(plan.Creates, func(a, b Assessment) int { return strings.Compare(a.Scope.Value, b.Scope.Value) })
	return plan
}

// forAll returns the type that is wanted for all groups, if there is one.
func forAll(wanted map[Scope]Type, groups int) (Type, bool) {
	var one Type
	for _, t := range wanted {
		if one.ID != 0 && one.ID != t.ID {
			return Type{}, false
		}
		one = t
	}
	return one, groups > 0 && len(wanted) == groups
}

// leftToPeople reports whether what an assessment ended for is for people to
// decide anew. One that a rule took and a person superseded is followed by the
// person's, which counts.
func leftToPeople(a Assessment) bool {
	switch a.EndedReason {
	case RuleEnded, ScopeDeleted:
		return false
	case Superseded:
		return !strings.HasPrefix(a.EndedBy, RuleAuthor("")) && a.EndedBy != System
	}
	return true
}

func blocked(left map[Scope]bool, scope Scope) bool {
	return left[scope] || left[Scope{Kind: Everywhere}]
}

func whyEnded(s Subject, a Assessment, types []Type, wanted map[Scope]Type) string {
	i := slices.IndexFunc(types, func(t Type) bool { return t.Name == a.Type })
	switch {
	case len(s.Groups) == 0:
		return "nothing that is stored has the vulnerability any more"
	case i < 0 || types[i].Rule == nil:
		return fmt.Sprintf("%s has no rule any more", a.Type)
	case !types[i].Enabled:
		return fmt.Sprintf("%s is disabled", a.Type)
	case a.Scope.Kind == Everywhere && len(wanted) > 0:
		return "rules do not judge all of its packages alike any more"
	case a.Scope.Kind == Package && len(wanted) > 0:
		return "rules judge all of its packages alike, or this one in another way"
	}
	return fmt.Sprintf("the rule of %s does not match any more", a.Type)
}

// String says the conditions in words.
func (r *Rule) String() string {
	var parts []string
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	if r.SeverityFrom != nil {
		add("severity at least %s", *r.SeverityFrom)
	}
	if r.SeverityTo != nil {
		add("severity at most %s", *r.SeverityTo)
	}
	if r.CVSSFrom != nil {
		add("CVSS at least %g", *r.CVSSFrom)
	}
	if r.CVSSTo != nil {
		add("CVSS at most %g", *r.CVSSTo)
	}
	if r.EPSSFrom != nil {
		add("EPSS at least %g", *r.EPSSFrom)
	}
	if r.Exploited != nil {
		add("%s", map[bool]string{true: "known to be exploited", false: "not known to be exploited"}[*r.Exploited])
	}
	if r.FixAvailable != nil {
		add("%s", map[bool]string{true: "a fix is available", false: "no fix is available"}[*r.FixAvailable])
	}
	for _, list := range []struct {
		name   string
		values []string
	}{{"package", r.Packages}, {"path", r.Paths}, {"feed", r.Feeds}, {"package type", r.PackageTypes}} {
		if len(list.values) > 0 {
			add("%s %s", list.name, strings.Join(list.values, " or "))
		}
	}
	return strings.Join(parts, ", ")
}

// JudgeDue has rules judge what is due, in batches until nothing is, or ctx is
// done. It returns how many vulnerabilities were judged. progress, where not nil,
// is called after each batch.
func (s *Service) JudgeDue(ctx context.Context, progress func(judged int)) (int, error) {
	const batch = 200 // keeps the transaction short: nothing is matched meanwhile
	total := 0
	for ctx.Err() == nil {
		judged, changed, err := s.store.JudgeDue(ctx, batch, func(subject Subject, types []Type) Plan { return Judge(subject, types, s.now()) })
		if err != nil {
			return total, fmt.Errorf("judge by rules: %w", err)
		}
		if changed {
			s.opts.Changed()
		}
		if total += judged; progress != nil && judged > 0 {
			progress(total)
		}
		if judged < batch {
			return total, nil
		}
	}
	return total, ctx.Err()
}
