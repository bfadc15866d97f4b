package oval

import (
	"context"
	"fmt"
	"slices"
)

// tables are the tests, objects, states and variables of a document. Everything
// is kept by number: a document may have a million of them.
type tables struct {
	tests, objects, states, variables ids
	test                              []test
	object                            []object
	state                             []state
	variable                          []list
	// members are the parts that records name: fields of states, further
	// states of a test, values of a variable.
	fields []field
	more   []uint32
	texts  pool
	kinds  []string // "rpminfo_test"
}

// list is a part of tables.more.
type list struct{ from, size uint32 }

type test struct {
	object uint32 // number + 1, 0 for none
	// state is a number + 1, 0 for none; where several is set, it is the place
	// in tables.more of how many there are, with them behind.
	state   uint32
	kind    uint8 // in tables.kinds
	several bool
	none    bool // no object may meet the state
	either  bool // one of the states is enough
}

type object struct {
	name     uint32 // text + 1
	variable uint32 // number + 1
	path     uint32 // text + 1
	pattern  uint32 // text + 1
	known    bool
	vague    bool // its name is a pattern, or it is a set of objects
}

type state struct {
	from  uint32 // in tables.fields
	size  uint8
	known bool
}

type field struct {
	kind      fieldKind
	operation uint32 // text
	value     uint32 // text
}

type fieldKind uint8

const (
	evr fieldKind = iota + 1
	epoch
	version
	release
	arch
	key
	content54
	otherField
)

var fieldKinds = map[string]fieldKind{
	"evr": evr, "epoch": epoch, "version": version, "release": release, "arch": arch, "signature_keyid": key, "text": content54,
}

// read fills the tables. It counts definitions, and checks that the document
// is whole.
func (t *tables) read(ctx context.Context, source Source) (sum Summary, err error) {
	sum.Size, err = open(ctx, source, func(s *scanner) error {
		switch string(s.name) {
		case "definitions":
			return s.children(func() error {
				if sum.Definitions++; sum.Definitions > maxDefinitions {
					return s.fail(fmt.Errorf("%w: more than %d definitions", ErrLimit, maxDefinitions))
				}
				return nil
			})
		case "tests":
			return s.children(func() error { sum.Tests++; return t.readTest(s) })
		case "objects":
			return s.children(func() error { sum.Objects++; return t.readObject(s) })
		case "states":
			return s.children(func() error { sum.States++; return t.readState(s) })
		case "variables":
			return s.children(func() error { return t.readVariable(s) })
		}
		return nil
	})
	if err == nil && sum.Definitions == 0 {
		err = fmt.Errorf("byte %d: %w: it has no definitions", sum.Size, ErrShape)
	}
	// Only tests are looked up by identifier from now on.
	t.objects, t.states, t.variables, t.texts.numbers = ids{}, ids{}, ids{}, nil
	return sum, err
}

// at makes a table long enough for a number.
func at[T any](table *[]T, n uint32) *T {
	for uint32(len(*table)) <= n {
		var zero T
		*table = append(*table, zero)
	}
	return &(*table)[n]
}

// identify numbers the element that was begun by one of its attributes.
func identify(s *scanner, in *ids, attr string) (uint32, error) {
	id, err := s.attrBytes(attr)
	if err != nil {
		return 0, err
	}
	n, err := in.add(id)
	if err != nil {
		return 0, s.fail(err)
	}
	return n, nil
}

// intern keeps a text of the document.
func (t *tables) intern(s *scanner, text string) (uint32, error) {
	n, err := t.texts.add(text)
	if err != nil {
		return 0, s.fail(err)
	}
	return n, nil
}

func (t *tables) readTest(s *scanner) error {
	kind := slices.Index(t.kinds, string(s.name))
	if kind < 0 {
		if kind = len(t.kinds); kind == 100 {
			return s.fail(fmt.Errorf("%w: more than %d kinds of tests", ErrLimit, kind))
		}
		t.kinds = append(t.kinds, string(s.name))
	}
	record := test{kind: uint8(kind)}
	record.none = string(s.raw("check")) == "none satisfy" || string(s.raw("check_existence")) == "none_exist"
	record.either = string(s.raw("state_operator")) == "OR"
	n, err := identify(s, &t.tests, "id")
	if err != nil {
		return err
	}
	var states []uint32
	err = s.children(func() error {
		switch string(s.name) {
		case "object":
			object, err := identify(s, &t.objects, "object_ref")
			record.object = object + 1
			return err
		case "state":
			state, err := identify(s, &t.states, "state_ref")
			if states = append(states, state); len(states) > 100 {
				return s.fail(fmt.Errorf("%w: a test has more than 100 states", ErrLimit))
			}
			return err
		}
		return nil
	})
	switch {
	case len(states) == 1:
		record.state = states[0] + 1
	case len(states) > 1:
		record.several, record.state = true, uint32(len(t.more))
		t.more = append(append(t.more, uint32(len(states))), states...)
	}
	*at(&t.test, n) = record
	return err
}

func (t *tables) readObject(s *scanner) error {
	record := object{known: true}
	n, err := identify(s, &t.objects, "id")
	if err != nil {
		return err
	}
	text := func(into *uint32) error {
		value, err := s.content(1000)
		if err != nil {
			return err
		}
		number, err := t.intern(s, value)
		*into = number + 1
		return err
	}
	err = s.children(func() error {
		switch string(s.name) {
		case "name":
			if operation := s.raw("operation"); operation != nil && string(operation) != "equals" {
				record.vague = true
			}
			if s.raw("var_ref") != nil {
				variable, err := identify(s, &t.variables, "var_ref")
				record.variable = variable + 1
				return err
			}
			return text(&record.name)
		case "filepath":
			return text(&record.path)
		case "pattern":
			return text(&record.pattern)
		case "set":
			record.vague = true
		}
		return nil
	})
	*at(&t.object, n) = record
	return err
}

func (t *tables) readState(s *scanner) error {
	record := state{known: true, from: uint32(len(t.fields))}
	n, err := identify(s, &t.states, "id")
	if err != nil {
		return err
	}
	err = s.children(func() error {
		if record.size == 20 {
			return s.fail(fmt.Errorf("%w: a state has more than 20 fields", ErrLimit))
		}
		f := field{kind: fieldKinds[string(s.name)]}
		if f.kind == 0 || s.raw("var_ref") != nil {
			f.kind = otherField
		}
		operation, err := s.attr("operation", 60)
		if err != nil {
			return err
		}
		if operation == "" {
			operation = "equals" // the schema's default
		}
		name := cut(s.name, 60)
		value, err := s.content(1000)
		if err != nil {
			return err
		}
		if f.kind == otherField {
			value = name
		}
		if f.operation, err = t.intern(s, operation); err != nil {
			return err
		}
		if f.value, err = t.intern(s, value); err != nil {
			return err
		}
		t.fields = append(t.fields, f)
		record.size++
		return nil
	})
	*at(&t.state, n) = record
	return err
}

// readVariable keeps constant variables; others depend on a system.
func (t *tables) readVariable(s *scanner) error {
	if string(s.name) != "constant_variable" {
		return nil
	}
	n, err := identify(s, &t.variables, "id")
	if err != nil {
		return err
	}
	record := list{from: uint32(len(t.more))}
	err = s.children(func() error {
		if string(s.name) != "value" {
			return nil
		}
		if record.size++; record.size > 10_000 {
			return s.fail(fmt.Errorf("%w: a variable has more than 10000 values", ErrLimit))
		}
		value, err := s.content(255)
		if err != nil {
			return err
		}
		number, err := t.intern(s, value)
		t.more = append(t.more, number)
		return err
	})
	*at(&t.variable, n) = record
	return err
}
