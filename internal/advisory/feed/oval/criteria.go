package oval

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// node is a criteria or criterion element; a tree is its nodes in the
// document's order.
type node struct {
	kind     nodeKind
	negate   bool
	operator operator
	// end is, of a criteria, the place behind its last descendant.
	end uint32
	// comment is in Definition.comments.
	comment [2]uint32
	test    uint32
	err     error // why there is no test
}

type nodeKind uint8

const (
	branch nodeKind = iota
	leaf
)

type operator uint8

const (
	and operator = iota
	or
	strange
)

func (d *Definition) readCriteria(s *scanner) error {
	at := len(d.nodes)
	n := node{kind: branch, operator: strange, negate: isTrue(s.raw("negate"))}
	switch string(s.raw("operator")) {
	case "AND", "":
		n.operator = and
	case "OR":
		n.operator = or
	}
	if !d.add(n) {
		return nil
	}
	err := s.children(func() error {
		switch string(s.name) {
		case "criteria":
			return d.readCriteria(s)
		case "criterion":
			return d.readCriterion(s)
		case "extend_definition":
			d.add(node{kind: leaf, err: errors.New("extend_definition is not read")})
		}
		return nil
	})
	d.nodes[at].end = uint32(len(d.nodes))
	return err
}

func (d *Definition) readCriterion(s *scanner) error {
	n := node{kind: leaf, negate: isTrue(s.raw("negate"))}
	id, err := s.attrBytes("test_ref")
	if err != nil {
		return err
	}
	n.test, n.err = d.tables.find(id)
	comment, err := s.attrBytes("comment")
	if err != nil {
		return err
	}
	n.comment[0] = uint32(len(d.comments))
	d.comments = append(d.comments, comment[:min(len(comment), 500)]...)
	n.comment[1] = uint32(len(d.comments))
	d.add(n)
	return nil
}

// add appends a node, unless there are too many: then the definition has a fault.
func (d *Definition) add(n node) bool {
	if len(d.nodes) == maxCriteria {
		d.fault = fmt.Errorf("it has more than %d criterions", maxCriteria)
		return false
	}
	d.nodes = append(d.nodes, n)
	return true
}

func isTrue(value []byte) bool { return string(value) == "true" || string(value) == "1" }

// Criterion is a leaf of a definition's tree.
type Criterion struct {
	Test Test
	d    *Definition
	at   int
}

// Comment is the publisher's comment.
func (c Criterion) Comment() string {
	comment := c.d.nodes[c.at].comment
	return cut(c.d.comments[comment[0]:comment[1]], 500)
}

// Condition is what a criterion, or several at once, ask of a package and its
// surroundings. The zero value asks nothing: it is true.
type Condition struct {
	// Never is set where no system that is looked at meets it.
	Never bool
	// Product is the distribution ("sles:15.5"); Extended is set where it is
	// only that distribution in some paid extension.
	Product  string
	Extended bool
	// Module is a stream ("nodejs:18"), Architectures are names, sorted and
	// joined by spaces; "" asks for none.
	Module        string
	Architectures string
	// Package is the one that is affected, in Range; Unaffected says that it
	// is not.
	Package    string
	Range      Range
	Unaffected bool
	// Note is in the publisher's words what could not be asked.
	Note string
}

// Clauses are the ways in which a definition is true: each is a condition that
// is enough. read says what a criterion asks; its error says that this is not
// known. Whatever hangs on such a criterion is left out, and told in problems.
//
// A criterion that wants some other package to be absent is taken to be met,
// and is kept as a note: nothing says that the other package is there.
//
// Most of what is there twice is taken out, not all.
func (d *Definition) Clauses(read func(Criterion) (Condition, error)) (clauses []Condition, problems Problems) {
	if d.fault != nil {
		problems.add(d.fault)
		return nil, problems
	}
	if len(d.nodes) == 0 {
		problems.add(errors.New("it has no criteria"))
		return nil, problems
	}
	e := evaluation{d: d, read: read}
	clauses, next := e.node(0, false)
	for next < len(d.nodes) { // a second tree, which the schema does not have
		var some []Condition
		some, next = e.node(next, false)
		clauses = distinct(append(clauses, some...))
	}
	return clauses, e.problems
}

// Problems are what could not be understood of a definition.
type Problems struct {
	Count int
	// First is one of them.
	First error
}

func (p *Problems) add(err error) {
	if p.Count++; p.First == nil {
		p.First = err
	}
}

// String is for people: "3 criterions: test … is missing".
func (p Problems) String() string {
	if p.Count == 1 {
		return p.First.Error()
	}
	return fmt.Sprintf("%v, and %d more", p.First, p.Count-1)
}

type evaluation struct {
	d        *Definition
	read     func(Criterion) (Condition, error)
	problems Problems
}

// node evaluates the tree that begins at a place: to a list of conditions of
// which one is enough, so none for what is never true, and an empty one for what
// always is. next is the place behind it.
func (e *evaluation) node(at int, negate bool) (any []Condition, next int) {
	n := &e.d.nodes[at]
	negate = negate != n.negate
	if n.kind == leaf {
		return e.leaf(at, negate), at + 1
	}
	next = int(n.end)
	operator := n.operator
	switch {
	case operator == strange:
		e.problems.add(errors.New("a criteria is neither AND nor OR"))
		return nil, next
	case at+1 == next:
		e.problems.add(errors.New("a criteria has no criterions"))
		return nil, next
	case negate:
		operator = or - operator // De Morgan: the leaves are negated instead
	}
	if operator == and {
		any = []Condition{{}}
	}
	for child := at + 1; child < next; {
		var some []Condition
		some, child = e.node(child, negate)
		if operator == or {
			any = append(any, some...)
		} else {
			any = e.product(any, some)
		}
	}
	if operator == or {
		any = distinct(any)
	}
	return any, next
}

func (e *evaluation) leaf(at int, negate bool) []Condition {
	n := &e.d.nodes[at]
	c := Criterion{d: e.d, at: at}
	err := n.err
	if err == nil {
		c.Test, err = e.d.tables.make(n.test)
	}
	if err != nil {
		e.problems.add(fmt.Errorf("%q: %w", c.Comment(), err))
		return nil
	}
	switch {
	case c.Test.None && !negate:
		return []Condition{{Note: c.Comment()}}
	case negate && !c.Test.None:
		e.problems.add(fmt.Errorf("%q: it is negated, which is not read", c.Comment()))
		return nil
	}
	c.Test.None = false
	condition, err := e.read(c)
	if err != nil {
		e.problems.add(fmt.Errorf("%q: %w", c.Comment(), err))
		return nil
	}
	if condition.Never {
		return nil
	}
	if len(c.Test.Names) == 0 || condition.Package == "" {
		return []Condition{condition}
	}
	conditions := make([]Condition, 0, len(c.Test.Names))
	for _, name := range c.Test.Names {
		condition.Package = name
		conditions = append(conditions, condition)
	}
	return conditions
}

// product is true where both lists are.
func (e *evaluation) product(a, b []Condition) []Condition {
	if len(a)*len(b) > maxClauses {
		e.problems.add(fmt.Errorf("it can be true in more than %d ways", maxClauses))
		return nil
	}
	both := make([]Condition, 0, len(a)*len(b))
	for _, x := range a {
		for _, y := range b {
			c, err := x.and(y)
			switch {
			case err != nil:
				e.problems.add(err)
			case !c.Never:
				both = append(both, c)
			}
		}
	}
	if len(a) == 1 || len(b) == 1 {
		return both // as distinct as the other is
	}
	return distinct(both)
}

// and is true where both conditions are.
func (c Condition) and(other Condition) (Condition, error) {
	if c == (Condition{}) {
		return other, nil
	}
	both := c
	both.Extended = c.Extended || other.Extended
	both.Unaffected = c.Unaffected || other.Unaffected
	same := func(into *string, from string) {
		switch {
		case *into == "":
			*into = from
		case from != "" && *into != from:
			both.Never = true
		}
	}
	same(&both.Product, other.Product)
	same(&both.Module, other.Module)
	switch {
	case c.Architectures == "":
		both.Architectures = other.Architectures
	case other.Architectures != "":
		both.Architectures = intersect(c.Architectures, other.Architectures)
		both.Never = both.Never || both.Architectures == ""
	}
	switch {
	case c.Note == "":
		both.Note = other.Note
	case other.Note != "" && other.Note != c.Note:
		both.Note = c.Note + "; " + other.Note
	}
	if both.Never {
		return Condition{Never: true}, nil
	}
	switch {
	case c.Package == "":
		both.Package, both.Range = other.Package, other.Range
	case other.Package == "":
	case c.Package != other.Package:
		return both, fmt.Errorf("packages %q and %q are asked for at once", c.Package, other.Package)
	default:
		var ok bool
		if both.Range, ok = c.Range.and(other.Range); !ok {
			return both, fmt.Errorf("package %q has two bounds on the same side", c.Package)
		}
	}
	return both, nil
}

func intersect(a, b string) string {
	other := strings.Fields(b)
	return strings.Join(slices.DeleteFunc(strings.Fields(a), func(name string) bool { return !slices.Contains(other, name) }), " ")
}

// distinct takes out what is there twice.
func distinct(list []Condition) []Condition {
	const few = 8
	if len(list) <= few {
		kept := list[:0]
		for _, c := range list {
			if !slices.Contains(kept, c) {
				kept = append(kept, c)
			}
		}
		return kept
	}
	seen := make(map[Condition]struct{}, len(list))
	return slices.DeleteFunc(list, func(c Condition) bool {
		_, twice := seen[c]
		seen[c] = struct{}{}
		return twice
	})
}
