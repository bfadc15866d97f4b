package assess

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Warning stands, as the type of an ImportLine, for the first enabled type that
// warns.
const Warning = "\x00warns"

// ImportLine is what one line, or statement, of a file decides.
type ImportLine struct {
	// Number is the line's, or the statement's, from 1.
	Number int
	// Text is the line as it is, shortened.
	Text string
	// Request is the decision. Without a type or a scope it gets those of the
	// options; without an expiry, none.
	Request Request
	// Note says what the decision cannot express of the line.
	Note string
	// Skip says why the line decides nothing, Problem why it cannot be read.
	Skip, Problem string
}

// ImportOptions are the choices of an import.
type ImportOptions struct {
	// By is who imports; they are the author of what is imported.
	By string
	// Source names the file in the history.
	Source string
	// Type is that of lines without one; the one that VEX statements become
	// where it is "".
	Type string
	// Scope is that of lines without one.
	Scope Scope
	// TypeExpiry gives lines without an expiry their type's.
	TypeExpiry bool
	// SkipBad imports the rest where some lines are bad.
	SkipBad bool
	// DryRun stores nothing, and says what would change.
	DryRun bool
}

// Outcome is what becomes of a line.
type Outcome string

// The outcomes.
const (
	// Taken says that it is assessed.
	Taken Outcome = "new"
	// Replaces says that it is assessed in place of a live assessment.
	Replaces Outcome = "replaces"
	// Waits says that it is assessed, and takes effect when what it names is
	// there.
	Waits Outcome = "waits"
	// Same says that a live assessment says so already.
	Same Outcome = "same"
	// Skipped says that it decides nothing.
	Skipped Outcome = "skipped"
	// Bad says that it cannot be assessed.
	Bad Outcome = "bad"
)

// ImportedLine is a line with what becomes of it.
type ImportedLine struct {
	ImportLine
	Outcome Outcome
	// Reason says why it is bad, skipped, or waits.
	Reason string
	// Assessment is what it becomes; its id is 0 in a dry run. Replaced is the
	// id of the live one that it takes the place of, or that says the same.
	Assessment Assessment
	Replaced   int64
}

// ImportResult is what became of a file.
type ImportResult struct {
	Lines []ImportedLine
	// Counts says how many lines have each outcome.
	Counts map[Outcome]int
	// Applied says that the decisions were stored.
	Applied bool
	// Preview is what would change, of a dry run.
	Preview Preview
}

// importPatience is how long a dry run looks at images.
const importPatience = 2 * time.Second

// Import takes the decisions of a file, in one transaction. Where lines are bad,
// and not to be skipped, it returns FieldErrors that name each as "line N", with
// the result, and stores nothing.
func (s *Service) Import(ctx context.Context, lines []ImportLine, opts ImportOptions) (ImportResult, error) {
	if opts.Scope.Kind == "" {
		opts.Scope = Scope{Kind: Everywhere}
	}
	if err := opts.Scope.check(); err != nil {
		return ImportResult{}, err
	}
	types, err := s.store.AssessmentTypes(ctx)
	if err != nil {
		return ImportResult{}, err
	}
	if opts.Type == "" {
		if i := slices.IndexFunc(types, func(t Type) bool { return t.ForVEX }); i >= 0 {
			opts.Type = types[i].Name
		}
	}
	if _, err := usable(types, "type", opts.Type); err != nil {
		return ImportResult{}, err
	}
	now := s.now()
	r := ImportResult{Lines: make([]ImportedLine, len(lines)), Counts: make(map[Outcome]int)}
	for i, line := range lines {
		r.Lines[i] = line.plan(types, opts, now)
	}
	if err := s.resolve(ctx, r.Lines); err != nil {
		return ImportResult{}, fmt.Errorf("import: %w", err)
	}
	var wrong FieldErrors
	var list []Assessment
	var at []int
	for i, l := range r.Lines {
		r.Counts[l.Outcome]++
		switch l.Outcome {
		case Bad:
			wrong = append(wrong, &FieldError{Field: fmt.Sprintf("line %d", l.Number), Reason: l.Reason})
		case Taken, Replaces, Waits:
			list, at = append(list, l.Assessment), append(at, i)
		}
	}
	if opts.DryRun {
		r.Preview, err = s.preview(ctx, list, types, now, importPatience)
		return r, err
	}
	if len(wrong) > 0 && !opts.SkipBad {
		return r, wrong
	}
	created, err := s.store.CreateAssessments(ctx, list, Keep{Vulnerabilities: true, Targets: keptTargets})
	if refused := (*RefusedError)(nil); errors.As(err, &refused) {
		// Something was deleted since we looked.
		return r, refused.fields(list, func(i int, _ string) string { return fmt.Sprintf("line %d", r.Lines[at[i]].Number) })
	}
	if err != nil {
		return ImportResult{}, fmt.Errorf("import: %w", err)
	}
	for i, a := range created {
		r.Lines[at[i]].Assessment = a
	}
	r.Applied = true
	if len(created) > 0 {
		s.opts.Changed()
	}
	return r, nil
}

// keptTargets may come later. A registry that is not there is more likely a
// mistake.
var keptTargets = []ScopeKind{Repository, Image, Package}

// synonyms are the names that ProGet gives to types, in lower case.
var synonyms = map[string]string{"blocked": "Block", "contain": "Block", "monitor": "Ignore", "ignored": "Ignore", "remediate": "Caution"}

// typeOf finds the type that a file names: by its name, in any case, or by
// ProGet's.
func typeOf(types []Type, name string) (Type, error) {
	if name == Warning {
		for _, t := range types {
			if t.Effect == EffectWarns && t.Enabled {
				return t, nil
			}
		}
		return Type{}, invalid("type", "there is none that warns")
	}
	for _, t := range types {
		if strings.EqualFold(t.Name, name) {
			return usable(types, "type", t.Name)
		}
	}
	if other := synonyms[strings.ToLower(name)]; other != "" {
		return usable(types, "type", other)
	}
	return usable(types, "type", name)
}

// plan says what becomes of a line by itself.
func (l ImportLine) plan(types []Type, opts ImportOptions, now time.Time) ImportedLine {
	planned := ImportedLine{ImportLine: l, Outcome: Taken}
	bad := func(err error) ImportedLine {
		planned.Outcome, planned.Reason = Bad, err.Error()
		return planned
	}
	switch {
	case l.Problem != "":
		return bad(errors.New(l.Problem))
	case l.Skip != "":
		planned.Outcome, planned.Reason = Skipped, l.Skip
		return planned
	}
	r := l.Request
	if r.Type == "" {
		r.Type = opts.Type
	}
	t, err := typeOf(types, r.Type)
	if err != nil {
		return bad(err)
	}
	r.Type = t.Name
	if r.Scope.Kind == "" {
		r.Scope = opts.Scope
	}
	if r.Expiry.At.IsZero() {
		r.Expiry.Never = !opts.TypeExpiry
	} else if !r.Expiry.At.After(now) {
		planned.Outcome, planned.Reason = Skipped, "it expired on "+r.Expiry.At.UTC().Format(time.DateOnly)
		return planned
	}
	from := []string{fmt.Sprintf("imported from %s, line %d", opts.Source, l.Number)}
	if r.Author != "" && r.Author != opts.By {
		from = append(from, "decided by "+r.Author)
	}
	if r.Note != "" {
		from = append(from, r.Note)
	}
	r.Note, r.Author = strings.Join(from, "; "), opts.By
	if planned.Assessment, err = r.assessment(types, now); err != nil {
		return bad(err)
	}
	return planned
}

// resolve compares the lines with what is stored, and with one another.
func (s *Service) resolve(ctx context.Context, lines []ImportedLine) error {
	var list []Assessment
	var at []int
	for i, l := range lines {
		if l.Outcome == Taken {
			list, at = append(list, l.Assessment), append(at, i)
		}
	}
	resolved, err := s.store.ResolveAssessments(ctx, list, Keep{Vulnerabilities: true, Targets: ScopeKinds()})
	if err != nil {
		return err
	}
	var scopes []Scope
	for _, a := range resolved {
		scopes = append(scopes, a.Scope)
		if a.Scope.Kind == Repository {
			scopes = append(scopes, a.Scope.registry())
		}
	}
	missing, err := s.store.UnknownTargets(ctx, scopes)
	if err != nil {
		return err
	}
	type key struct {
		vulnerability string
		Scope
	}
	var ids []int64
	for _, a := range resolved {
		if a.VulnerabilityID != 0 {
			ids = append(ids, a.VulnerabilityID)
		}
	}
	live, err := s.store.LiveAssessments(ctx, ids, s.now())
	if err != nil {
		return err
	}
	is := make(map[key]Assessment, len(live))
	for _, a := range live {
		is[key{a.Vulnerability, a.Scope}] = a
	}
	again := make(map[key]int)
	for n := len(at) - 1; n >= 0; n-- { // the last line on something counts
		l, a := &lines[at[n]], resolved[n]
		l.Assessment = a
		k := key{a.Vulnerability, a.Scope}
		if number := again[k]; number != 0 {
			l.Outcome, l.Reason = Skipped, fmt.Sprintf("line %d decides on the same", number)
			continue
		}
		again[k] = l.Number
		old, assessed := is[k]
		switch {
		case missing[a.Scope] && a.Scope.Kind == Registry, a.Scope.Kind == Repository && missing[a.Scope.registry()]:
			l.Outcome, l.Reason = Bad, "there is no "+a.Scope.String()
		case assessed && !old.Automatic && sameDecision(old, a):
			l.Outcome, l.Replaced = Same, old.ID
		case assessed:
			l.Outcome, l.Replaced = Replaces, old.ID
		case a.VulnerabilityID == 0:
			l.Outcome, l.Reason = Waits, "no feed speaks of the vulnerability yet"
		case missing[a.Scope]:
			l.Outcome, l.Reason = Waits, "there is no "+a.Scope.String()+" yet"
		}
	}
	return nil
}

// registry is the registry of a repository's scope.
func (s Scope) registry() Scope {
	name, _, _ := strings.Cut(s.Value, "/")
	return Scope{Registry, name}
}

func sameDecision(a, b Assessment) bool {
	return a.Type == b.Type && a.Comment == b.Comment && a.Justification == b.Justification && a.ExpiresAt.Equal(b.ExpiresAt)
}
