package oval

import (
	"bytes"
	"fmt"
)

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
