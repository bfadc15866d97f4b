package assess

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// Effect is what a type does to pulls in the registries whose policy does not
// name types itself.
type Effect string

// The effects.
const (
	EffectNone   Effect = "none"
	EffectWarns  Effect = "warns"
	EffectBlocks Effect = "blocks"
)

// Effects lists the effects from the mildest.
func Effects() []Effect { return []Effect{EffectNone, EffectWarns, EffectBlocks} }

// Reopening is what returns an assessment that a person took to Unassessed.
type Reopening string

// What can reopen.
const (
	// ReopenFix is that a fix became available for a package that had none.
	ReopenFix Reopening = "fix_available"
	// ReopenSeverity is that the severity rose above what it was.
	ReopenSeverity Reopening = "severity_raised"
	// ReopenExploited is that it came on a list of exploited vulnerabilities.
	ReopenExploited Reopening = "exploited"
)

// Reopenings lists all there are.
func Reopenings() []Reopening { return []Reopening{ReopenFix, ReopenSeverity, ReopenExploited} }

// Type is a kind of decision that people can take.
type Type struct {
	ID int64
	// Name is unique. Policies refer to it, and follow when it changes.
	Name string
	// Color is "#rrggbb".
	Color       string
	Description string
	// Effect is what it does where a policy does not name types itself.
	Effect Effect
	// Blocks is whether Effect is EffectBlocks.
	Blocks bool
	// ExpiryDays is how long an assessment holds unless it says otherwise; 0
	// is for ever.
	ExpiryDays int
	// Position orders types in lists and rules, lowest first.
	Position int
	// Enabled says that it can be chosen, and that its rule is followed. What
	// was assessed with it before holds either way.
	Enabled bool
	// Rule says which findings it assesses by itself; nil for none.
	Rule *Rule
	// Reopen is what returns people's assessments of the type to Unassessed.
	Reopen []Reopening
	// ForVEX says that statements of VEX documents become this type. There is
	// one such type.
	ForVEX bool
	// Version moves with each change.
	Version int64
}

// DefaultTypes are the types of a new database. Block has no expiry and is not
// reopened, for both would open a gate that someone closed.
func DefaultTypes() []Type {
	return []Type{
		{Name: "Ignore", Color: "#6b7280", Description: "Does not matter here.", Effect: EffectNone, ExpiryDays: 90, Position: 1,
			Enabled: true, Reopen: Reopenings(), ForVEX: true, Version: 1},
		{Name: "Caution", Color: "#d97706", Description: "Matters; pulls are allowed while it is dealt with.", Effect: EffectWarns, ExpiryDays: 30, Position: 2,
			Enabled: true, Reopen: Reopenings(), Version: 1},
		{Name: "Block", Color: "#dc2626", Description: "Images that have it must not be pulled.", Effect: EffectBlocks, Blocks: true, Position: 3,
			Enabled: true, Version: 1},
	}
}

// TypeChange is a change to a type; nil members stay as they are.
type TypeChange struct {
	Name        *string
	Color       *string
	Description *string
	Effect      *Effect
	// Blocks stands for EffectBlocks, or anything but that, where Effect is nil.
	Blocks     *bool
	ExpiryDays *int
	Position   *int
	Enabled    *bool
	// Rule points to nil where the type is to have none.
	Rule   **Rule
	Reopen *[]Reopening
	ForVEX *bool
}

func (t Type) with(c TypeChange) Type {
	set(&t.Name, c.Name)
	set(&t.Color, c.Color)
	set(&t.Description, c.Description)
	switch {
	case c.Effect != nil:
		t.Effect = *c.Effect
	case c.Blocks != nil && *c.Blocks:
		t.Effect = EffectBlocks
	case c.Blocks != nil && t.Effect == EffectBlocks:
		t.Effect = EffectNone
	}
	set(&t.ExpiryDays, c.ExpiryDays)
	set(&t.Position, c.Position)
	set(&t.Enabled, c.Enabled)
	set(&t.Rule, c.Rule)
	set(&t.Reopen, c.Reopen)
	set(&t.ForVEX, c.ForVEX)
	t.Blocks = t.Effect == EffectBlocks
	return t
}

// tidy fills in what follows from the rest.
func (t Type) tidy() Type {
	if t.Effect == "" {
		t.Effect = EffectNone
		if t.Blocks {
			t.Effect = EffectBlocks
		}
	}
	t.Blocks = t.Effect == EffectBlocks
	return t
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

const (
	maxTypeName    = 64
	maxDescription = 1000
	maxComment     = 10_000
	maxExpiryDays  = 3650
	maxPosition    = 1_000_000
	maxTypes       = 100
)

var color = regexp.MustCompile(`^#[0-9a-fA-F]{6}$`)

// check returns a *FieldError where the type cannot be one.
func (t Type) check() error {
	switch {
	case strings.TrimSpace(t.Name) != t.Name || t.Name == "":
		return invalid("name", "must not be empty nor begin or end with a space")
	case utf8.RuneCountInString(t.Name) > maxTypeName:
		return invalid("name", "is longer than %d characters", maxTypeName)
	case strings.EqualFold(t.Name, Unassessed):
		return invalid("name", "%q is the state of findings without an assessment", t.Name)
	case strings.ContainsAny(t.Name, ",\x00\r\n\t"):
		return invalid("name", "must not contain commas or control characters")
	case !color.MatchString(t.Color):
		return invalid("color", "%q is not #rrggbb", t.Color)
	case utf8.RuneCountInString(t.Description) > maxDescription:
		return invalid("description", "is longer than %d characters", maxDescription)
	case strings.ContainsRune(t.Description, 0):
		return invalid("description", "must not contain null characters")
	case !slices.Contains(Effects(), t.Effect):
		return invalid("effect", "%q is not one of blocks, warns, none", t.Effect)
	case t.ForVEX && t.Blocks:
		return invalid("for_vex", "a type that blocks cannot be what VEX statements become: they say that nothing is to be feared")
	case t.ExpiryDays < 0 || t.ExpiryDays > maxExpiryDays:
		return invalid("expiry_days", "%d is not between 0 (never) and %d", t.ExpiryDays, maxExpiryDays)
	case t.Position < 0 || t.Position > maxPosition:
		return invalid("position", "%d is not between 0 and %d", t.Position, maxPosition)
	}
	for i, r := range t.Reopen {
		if !slices.Contains(Reopenings(), r) {
			return invalid(fmt.Sprintf("reopen_on[%d]", i), "%q is not one of fix_available, severity_raised, exploited", r)
		}
		if slices.Contains(t.Reopen[:i], r) {
			return invalid(fmt.Sprintf("reopen_on[%d]", i), "%q is there twice", r)
		}
	}
	if t.Rule != nil {
		return t.Rule.check()
	}
	return nil
}

// expiry is when an assessment of the type taken at t ends; zero for never.
func (t Type) expiry(at time.Time) time.Time {
	if t.ExpiryDays == 0 {
		return time.Time{}
	}
	return at.AddDate(0, 0, t.ExpiryDays)
}

// RuleText is the rule as it is stored; "" for none.
func (t Type) RuleText() (string, error) {
	if t.Rule == nil {
		return "", nil
	}
	text, err := json.Marshal(t.Rule)
	return string(text), err
}

// named returns the type of that name, or a *FieldError that lists the names.
func named(types []Type, field, name string) (Type, error) {
	names := make([]string, len(types))
	for i, t := range types {
		if t.Name == name {
			return t, nil
		}
		names[i] = t.Name
	}
	return Type{}, invalid(field, "%q is not one of %s", name, strings.Join(names, ", "))
}

// usable is named for a type that can be chosen.
func usable(types []Type, field, name string) (Type, error) {
	t, err := named(types, field, name)
	if err == nil && !t.Enabled {
		return Type{}, invalid(field, "%q is disabled", name)
	}
	return t, err
}
