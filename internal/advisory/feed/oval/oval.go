// Package oval reads OVAL 5 documents (https://oval.mitre.org/language/version5.11/),
// as publishers of RPM distributions write them: definitions with trees of
// criteria, and after them the tests, objects and states that the criteria name.
//
// A document is read twice, in one stream each time: what stands at its end is
// put into tables, then the definitions come by one after the other. So memory
// holds the tables and one definition, however large the document is.
//
// The package must not know what a publisher's tests mean: the feeds say that,
// test by test, and get back in which ways a definition is true.
package oval

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Errors that say why a document was not read.
var (
	// ErrShape: it is no OVAL document.
	ErrShape = errors.New("it is no OVAL document")
	// ErrLimit: it is larger, deeper or has more of something than is read.
	ErrLimit = errors.New("over the limit")
	// ErrEntities: it declares a document type; entities are not expanded.
	ErrEntities = errors.New("document types and entities are refused")
)

// What one document may hold. The largest that are published are SUSE's of all
// service packs of a release: 259 MB for SLE 15 at the end of 2022, and growing.
const (
	maxSize        = 4 << 30   // bytes, decompressed
	maxTests       = 1_500_000 // and as many objects, and states
	maxText        = 64 << 20  // bytes of distinct names, versions and patterns
	maxDefinitions = 1_000_000
	maxCriteria    = 200_000 // of one definition
	maxClauses     = 50_000  // of one definition
	maxCVEs        = 10_000  // of one definition
)

// Source is a document that can be read again from its start: a spooled file
// (io.SectionReader), or bytes.
type Source interface {
	io.ReaderAt
	Size() int64
}

// Options are what is done with a document; the zero value only checks it.
type Options struct {
	// Test is told every test of the document before any definition.
	Test func(Test)
	// Definition gets each definition in the document's order. It is valid
	// during the call only. An error of it ends the reading, and is returned
	// as it is.
	Definition func(*Definition) error
}

// Summary is what a document has.
type Summary struct {
	// Size is in bytes, decompressed.
	Size int64
	// Definitions, Tests, Objects and States count what is there.
	Definitions, Tests, Objects, States int
}

// Read reads a document, which may be compressed by gzip or bzip2. r must be a
// Source. Errors name the byte of the decompressed document.
func Read(ctx context.Context, r io.Reader, opts Options) (Summary, error) {
	source, ok := r.(Source)
	if !ok {
		return Summary{}, fmt.Errorf("%T cannot be read twice", r)
	}
	var t tables
	summary, err := t.read(ctx, source)
	if err != nil {
		return summary, err
	}
	if opts.Test != nil {
		t.each(opts.Test)
	}
	if opts.Definition == nil {
		return summary, nil
	}
	return summary, readDefinitions(ctx, source, &t, opts.Definition)
}

// open begins to read a document and returns its sections one after the other:
// the children of its root. section must read each or leave it.
func open(ctx context.Context, source Source, section func(s *scanner) error) (size int64, err error) {
	content, err := decompress(source)
	if err != nil {
		return 0, err
	}
	s := newScanner(content, ctx.Err)
	root := false
	for {
		kind, err := s.next()
		switch {
		case err != nil:
			return s.offset(), err
		case kind == endOfDocument:
			return s.offset(), nil
		case kind != startElement:
			continue
		case root || string(s.name) != "oval_definitions":
			return s.offset(), s.fail(fmt.Errorf("%w: it has a %q where oval_definitions are expected", ErrShape, cut(s.name, 60)))
		}
		root = true
		if err := s.children(func() error { return section(s) }); err != nil {
			return s.offset(), err
		}
	}
}
