package assess

import (
	"regexp"
	"strings"
	"unicode/utf8"
)

// Type is a kind of decision that people can take.
type Type struct {
	ID int64
	// Name is unique and never changes: policies refer to it.
	Name string
	// Color is "#rrggbb".
	Color       string
	Description string
	// Blocks says that it blocks pulls in the registries whose policy does
	// not name the blocking types itself.
	Blocks bool
	// ExpiryDays is how long an assessment holds unless it says otherwise; 0
	// is for ever.
	ExpiryDays int
	// Position orders types in lists, lowest first.
	Position int
}

// DefaultTypes are the types of a new database. Block has no expiry, for
// forgetting one would open a gate that someone closed.
func DefaultTypes() []Type {
	return []Type{
		{Name: "Ignore", Color: "#6b7280", Description: "Does not matter here.", ExpiryDays: 90, Position: 1},
		{Name: "Caution", Color: "#d97706", Description: "Matters; pulls are allowed while it is dealt with.", ExpiryDays: 30, Position: 2},
		{Name: "Block", Color: "#dc2626", Description: "Images that have it must not be pulled.", Blocks: true, Position: 3},
	}
}

// TypeChange is a change to a type; nil members stay as they are.
type TypeChange struct {
	Color       *string
	Description *string
	Blocks      *bool
	ExpiryDays  *int
	Position    *int
}

func (t Type) with(c TypeChange) Type {
	set(&t.Color, c.Color)
	set(&t.Description, c.Description)
	set(&t.Blocks, c.Blocks)
	set(&t.ExpiryDays, c.ExpiryDays)
	set(&t.Position, c.Position)
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
	case t.ExpiryDays < 0 || t.ExpiryDays > maxExpiryDays:
		return invalid("expiry_days", "%d is not between 0 (never) and %d", t.ExpiryDays, maxExpiryDays)
	case t.Position < 0 || t.Position > maxPosition:
		return invalid("position", "%d is not between 0 and %d", t.Position, maxPosition)
	}
	return nil
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
