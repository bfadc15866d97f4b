package oval

import (
	"fmt"
	"slices"
	"strings"
)

// Test is what a criterion asks of a system, with its object and its state.
type Test struct {
	// Kind is the element's name: "rpminfo_test", "textfilecontent54_test".
	Kind string
	// Name is the package that it looks for; Names where a variable lists several.
	Name  string
	Names []string
	// Path and Pattern are of textfilecontent54_object.
	Path, Pattern string
	// State is what the object must meet; zero asks only whether it exists.
	State State
	// None is set where no object may meet the state.
	None bool
}

// State is what a test wants to find. Fields that are not asked for are zero.
type State struct {
	EVR, Epoch, Version, Release, Arch, Key Field // of rpminfo_state
	Text                                    Field // of textfilecontent54_state
}

// Field compares one property of an object.
type Field struct {
	// Operation is OVAL's: "equals", "less than", "pattern match".
	Operation, Value string
}

// IsZero reports a field that is not asked for.
func (f Field) IsZero() bool { return f == Field{} }

// Range is an interval of versions, with the bounds of advisory.Advisory.
type Range struct{ Introduced, Fixed, LastAffected string }

// Range reads the comparison of a version. A bound that is exclusive in OVAL
// ("greater than") becomes inclusive, for there is no other way to say it; the
// feeds that meet it say so in a note.
func (f Field) Range() (Range, error) {
	v := EVR(f.Value)
	switch {
	case v == "":
		return Range{}, fmt.Errorf("a version is %q than nothing", f.Operation)
	case f.Operation == "less than":
		return Range{Fixed: v}, nil
	case f.Operation == "less than or equal":
		return Range{LastAffected: v}, nil
	case f.Operation == "equals":
		return Range{Introduced: v, LastAffected: v}, nil
	case f.Operation == "greater than", f.Operation == "greater than or equal":
		return Range{Introduced: v}, nil
	}
	return Range{}, fmt.Errorf("the comparison %q of versions is not known", f.Operation)
}

// EVR writes epoch, version and release as packages have them: without spaces,
// and without an epoch of 0, which is the same as none.
func EVR(evr string) string {
	return strings.TrimPrefix(strings.Join(strings.Fields(evr), ""), "0:")
}

// and is the interval that lies in both; ok is false where that takes an
// ordering to tell.
func (r Range) and(other Range) (both Range, ok bool) {
	both = r
	for _, bound := range []struct {
		into *string
		from string
	}{{&both.Introduced, other.Introduced}, {&both.Fixed, other.Fixed}, {&both.LastAffected, other.LastAffected}} {
		switch {
		case bound.from == "":
		case *bound.into == "" || *bound.into == bound.from:
			*bound.into = bound.from
		default:
			return r, false
		}
	}
	return both, both.Fixed == "" || both.LastAffected == ""
}

// Architectures reads which architectures a field asks for, sorted; it takes
// plain names, and patterns that list them: "(aarch64|x86_64)".
func (f Field) Architectures() ([]string, error) {
	list := strings.TrimSuffix(strings.TrimPrefix(f.Value, "^"), "$")
	if inner, ok := strings.CutPrefix(list, "("); ok && strings.HasSuffix(inner, ")") {
		list = strings.TrimSuffix(inner, ")")
	}
	names := strings.Split(list, "|")
	if slices.ContainsFunc(names, func(name string) bool { return !isWord(name) }) || f.Operation != "equals" && f.Operation != "pattern match" {
		return nil, fmt.Errorf("architectures that are %q %q are not known", f.Operation, f.Value)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

func isWord(s string) bool {
	for _, c := range []byte(s) {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return s != ""
}
