package oval

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// pool keeps each text once.
type pool struct {
	numbers map[string]uint32
	texts   []string
	size    int
}

func (p *pool) add(text string) (uint32, error) {
	if n, known := p.numbers[text]; known {
		return n, nil
	}
	if p.numbers == nil {
		p.numbers = make(map[string]uint32)
	}
	if p.size += len(text); p.size > maxText || len(p.texts) > maxTests {
		return 0, fmt.Errorf("%w: more than %d bytes of distinct texts", ErrLimit, maxText)
	}
	n := uint32(len(p.texts))
	p.texts = append(p.texts, text)
	p.numbers[text] = n
	return n, nil
}

// ids numbers identifiers. Nearly all are "oval:NAMESPACE:KIND:NUMBER", so of
// those only the number is kept.
type ids struct {
	spaces map[string]map[uint64]uint32
	others map[string]uint32
	size   uint32
}

const (
	maxSpaces = 64
	maxOthers = 100_000
)

// split parts an identifier that is written in the usual way.
func split(id []byte) (space []byte, number uint64, ok bool) {
	i := bytes.LastIndexByte(id, ':') + 1
	digits := id[i:]
	if len(digits) == 0 || len(digits) > 18 || digits[0] == '0' && len(digits) > 1 {
		return nil, 0, false
	}
	for _, c := range digits {
		if c < '0' || c > '9' {
			return nil, 0, false
		}
		number = 10*number + uint64(c-'0')
	}
	return id[:i], number, true
}

// find is the number of an identifier.
func (d *ids) find(id []byte) (uint32, bool) {
	if space, number, ok := split(id); ok {
		if in, ok := d.spaces[string(space)]; ok {
			n, known := in[number]
			return n, known
		}
	}
	n, known := d.others[string(id)]
	return n, known
}

// add is the number of an identifier, a new one where it has none yet.
func (d *ids) add(id []byte) (uint32, error) {
	if n, known := d.find(id); known {
		return n, nil
	}
	if d.size == maxTests {
		return 0, fmt.Errorf("%w: more than %d tests, objects or states", ErrLimit, maxTests)
	}
	if d.spaces == nil {
		d.spaces, d.others = make(map[string]map[uint64]uint32), make(map[string]uint32)
	}
	n := d.size
	space, number, ok := split(id)
	if ok {
		in, known := d.spaces[string(space)]
		if !known && len(d.spaces) < maxSpaces {
			in = make(map[uint64]uint32)
			d.spaces[string(space)] = in
		}
		if in != nil {
			in[number] = n
			d.size++
			return n, nil
		}
	}
	if len(d.others) == maxOthers || len(id) > maxID {
		return 0, fmt.Errorf("%w: more than %d identifiers in unusual forms, or one of more than %d bytes", ErrLimit, maxOthers, maxID)
	}
	d.others[string(id)] = n
	d.size++
	return n, nil
}

const maxID = 255 // bytes

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

// each tells every test that can be put together.
func (t *tables) each(tell func(Test)) {
	for i := range t.test {
		if made, err := t.make(uint32(i)); err == nil {
			tell(made)
		}
	}
}

// find is the number of a test.
func (t *tables) find(id []byte) (uint32, error) {
	n, known := t.tests.find(id)
	if !known {
		return 0, fmt.Errorf("test %s is missing", cut(id, 80))
	}
	return n, nil
}

// make puts a test together; the error says what of it is missing.
func (t *tables) make(n uint32) (Test, error) {
	record := t.test[n]
	made := Test{Kind: t.kinds[record.kind], None: record.none}
	if record.object == 0 {
		return Test{}, errors.New("its test names no object")
	}
	if err := t.putObject(&made, record.object-1); err != nil {
		return Test{}, err
	}
	if record.state == 0 && !record.several {
		return made, nil
	}
	states := []uint32{record.state - 1}
	if record.several {
		if record.either {
			return Test{}, errors.New("its test has several states of which one is enough, which is not read")
		}
		states = t.more[record.state+1:][:t.more[record.state]]
	}
	for _, n := range states {
		if err := t.putState(&made.State, n); err != nil {
			return Test{}, err
		}
	}
	return made, nil
}

func (t *tables) putObject(into *Test, n uint32) error {
	if n >= uint32(len(t.object)) || !t.object[n].known {
		return errors.New("its object is missing")
	}
	record := t.object[n]
	text := func(n uint32) string {
		if n == 0 {
			return ""
		}
		return t.texts.texts[n-1]
	}
	if record.vague {
		return errors.New("its object is not one package by name, which is not read")
	}
	into.Name, into.Path, into.Pattern = text(record.name), text(record.path), text(record.pattern)
	if record.variable > 0 {
		if n := record.variable - 1; n < uint32(len(t.variable)) {
			values := t.variable[n]
			for _, value := range t.more[values.from:][:values.size] {
				into.Names = append(into.Names, t.texts.texts[value])
			}
		}
		if len(into.Names) == 0 {
			return errors.New("the variable of its object is missing, or not constant")
		}
	}
	return nil
}

func (t *tables) putState(into *State, n uint32) error {
	if n >= uint32(len(t.state)) || !t.state[n].known {
		return errors.New("its state is missing")
	}
	record := t.state[n]
	for _, f := range t.fields[record.from:][:record.size] {
		value := Field{Operation: t.texts.texts[f.operation], Value: strings.TrimSpace(t.texts.texts[f.value])}
		var field *Field
		switch f.kind {
		case evr:
			field = &into.EVR
		case epoch:
			field = &into.Epoch
		case version:
			field = &into.Version
		case release:
			field = &into.Release
		case arch:
			field = &into.Arch
		case key:
			field = &into.Key
		case content54:
			field = &into.Text
		default:
			return fmt.Errorf("its state asks for %s, which is not read", value.Value)
		}
		if *field != (Field{}) {
			return errors.New("its state asks for one thing twice, which is not read")
		}
		*field = value
	}
	return nil
}
