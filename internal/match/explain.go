package match

import (
	"fmt"
	"slices"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/version"
)

// Outcome is what a statement comes to for a package.
type Outcome string

// The outcomes. Only OutcomeAffected makes a finding.
const (
	OutcomeAffected Outcome = "affected"
	// OutcomeFixed: the version is the fixed one, or later.
	OutcomeFixed Outcome = "fixed"
	// OutcomeBefore: the version is from before the vulnerability came in.
	OutcomeBefore Outcome = "before"
	// OutcomeNotAffected: the publisher says so.
	OutcomeNotAffected Outcome = "not_affected"
	// OutcomeUndetermined: the publisher has not judged yet, or the versions
	// cannot be compared.
	OutcomeUndetermined Outcome = "undetermined"
	// OutcomeWithdrawn: the statement was taken back.
	OutcomeWithdrawn Outcome = "withdrawn"
	// OutcomeElsewhere: the statement is on another stream or architecture, or
	// the package is judged as part of the one that brought it.
	OutcomeElsewhere Outcome = "elsewhere"
)

// Weighed is a statement with what it comes to for a package, and why.
type Weighed struct {
	Statement
	Outcome Outcome
	// Reason is a sentence with the comparison that was made.
	Reason string
}

// Explanation is why a package is, or is not, affected by a vulnerability.
type Explanation struct {
	Package inventory.Installed
	Outcome Outcome
	Reason  string
	// Statements are those that speak of the package, the decisive one first.
	Statements []Weighed
}

// Explain weighs the statements on one vulnerability that speak of a package of one
// of the products, as Package does.
func Explain(p inventory.Installed, statements []Statement, products Products) Explanation {
	e := Explanation{Package: p}
	keys := Keys(p.Package, products)
	var spoken []Statement
	for _, s := range statements {
		if i := slices.IndexFunc(keys, func(h Heading) bool { return h.Key == s.Key() }); i >= 0 {
			s.Fallback = keys[i].Fallback
			spoken = append(spoken, s)
		}
	}
	own := overruled(p.Package, spoken)
	for _, s := range spoken {
		outcome, reason := weigh(p.Package, s.Advisory)
		if s.Fallback && own[s.Vulnerability] && outcome != OutcomeWithdrawn {
			outcome = OutcomeElsewhere
			reason = fmt.Sprintf("it is on %s, and something is stated of the product that the package is from", s.Ecosystem)
		}
		e.Statements = append(e.Statements, Weighed{Statement: s, Outcome: outcome, Reason: reason})
	}
	matches := Package(p.Package, spoken)
	slices.SortStableFunc(e.Statements, func(a, b Weighed) int {
		return weight(b, matches) - weight(a, matches)
	})
	switch {
	case len(e.Statements) == 0:
		e.Outcome, e.Reason = OutcomeNotAffected, "no statement speaks of the package"
	case p.Owner != "":
		e.Outcome = OutcomeElsewhere
		e.Reason = fmt.Sprintf("the file is part of %s, whose distribution says what it is affected by", p.Owner)
	default:
		e.Outcome, e.Reason = e.Statements[0].Outcome, e.Statements[0].Reason
	}
	return e
}

// weight orders statements by how much they decide.
func weight(w Weighed, matches []Match) int {
	switch w.Outcome {
	case OutcomeAffected:
		if len(matches) > 0 && matches[0].Advisory == w.Advisory && matches[0].Feed == w.Feed && matches[0].Part == w.Part {
			return 6
		}
		return 5
	case OutcomeUndetermined:
		return 4
	case OutcomeFixed, OutcomeNotAffected:
		return 3
	case OutcomeBefore:
		return 2
	case OutcomeWithdrawn:
		return 1
	}
	return 0
}

// weigh says what one statement comes to.
func weigh(p inventory.Package, a advisory.Advisory) (Outcome, string) {
	scheme, ok := Scheme(p.Type)
	if !ok {
		return OutcomeUndetermined, fmt.Sprintf("packages of type %q are not judged", p.Type)
	}
	if !concerns(p, a) {
		if a.Module != p.Module {
			return OutcomeElsewhere, fmt.Sprintf("it is on %s, and the package is of %s", stream(a.Module), stream(p.Module))
		}
		return OutcomeElsewhere, fmt.Sprintf("it is on %s, and the package is for %s", a.Architectures, p.Architecture)
	}
	switch a.Status {
	case advisory.NotAffected:
		return OutcomeNotAffected, "the publisher says that no version is affected"
	case advisory.Undetermined:
		return OutcomeUndetermined, "the publisher has not judged yet"
	case advisory.Withdrawn:
		return OutcomeWithdrawn, "the publisher took the statement back"
	}
	v := Subject(p, a.Source)
	if _, err := version.Compare(scheme, v, v); err != nil {
		return OutcomeUndetermined, fmt.Sprintf("the version cannot be compared: %s", err)
	}
	for _, bound := range []string{a.Introduced, a.Fixed, a.LastAffected} {
		if bound == "" {
			continue
		}
		if _, err := version.Compare(scheme, v, bound); err != nil {
			return OutcomeUndetermined, fmt.Sprintf("the statement's version cannot be compared: %s", err)
		}
	}
	if within(scheme, v, a) {
		return OutcomeAffected, Comparison(p, a)
	}
	if a.Introduced != "" {
		if c, _ := version.Compare(scheme, v, a.Introduced); c < 0 {
			return OutcomeBefore, fmt.Sprintf("%s < %s (%s), the first affected version", v, a.Introduced, p.Type)
		}
	}
	if a.Fixed != "" {
		return OutcomeFixed, fmt.Sprintf("%s >= %s (%s), the version with the fix", v, a.Fixed, p.Type)
	}
	return OutcomeFixed, fmt.Sprintf("%s > %s (%s), the last affected version", v, a.LastAffected, p.Type)
}

func stream(module string) string {
	if module == "" {
		return "no module"
	}
	return "module " + module
}

// ImageExplanation is why an image is, or is not, affected by a vulnerability.
type ImageExplanation struct {
	Outcome Outcome
	Reason  string
	// Packages are those that statements speak of, the decisive ones first.
	Packages []Explanation
}

// ExplainImage weighs the statements on one vulnerability for the packages of an
// image that they speak of.
func ExplainImage(packages []inventory.Installed, statements []Statement, products Products) ImageExplanation {
	var img ImageExplanation
	for _, p := range packages {
		if e := Explain(p, statements, products); len(e.Statements) > 0 {
			img.Packages = append(img.Packages, e)
		}
	}
	if len(img.Packages) == 0 {
		img.Outcome = OutcomeNotAffected
		img.Reason = "no package of the image is one that a statement on the vulnerability speaks of"
		if len(statements) == 0 {
			img.Outcome, img.Reason = OutcomeUndetermined, "no feed states which packages the vulnerability affects"
		}
		return img
	}
	rank := []Outcome{OutcomeAffected, OutcomeUndetermined, OutcomeFixed, OutcomeNotAffected, OutcomeBefore, OutcomeElsewhere, OutcomeWithdrawn}
	slices.SortStableFunc(img.Packages, func(a, b Explanation) int {
		return slices.Index(rank, a.Outcome) - slices.Index(rank, b.Outcome)
	})
	first := img.Packages[0]
	img.Outcome = first.Outcome
	switch img.Outcome {
	case OutcomeFixed, OutcomeBefore, OutcomeWithdrawn, OutcomeElsewhere:
		img.Outcome = OutcomeNotAffected
	}
	img.Reason = fmt.Sprintf("%s %s: %s", first.Package.Name, first.Package.Version, first.Reason)
	return img
}
