package oval

import (
	"errors"
	"fmt"
	"strings"
)

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
