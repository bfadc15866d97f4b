// Package feed keeps advisories up to date with what upstream publishers say:
// it fetches their documents, parses them in one stream, and stores what changed.
//
// One package below it knows each upstream format. The package must not know
// SQL, nor decide what affects a package.
package feed

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/advisory"
)

// Feed is an upstream publisher of advisories.
type Feed interface {
	// Name is short and stable: "debian", "alpine".
	Name() string
	// Revision changes whenever the same document would be read differently;
	// documents are then read again although they did not change.
	Revision() int
	// Parts lists the documents that are known to be published.
	Parts() []Part
	// More lists further documents that are worth asking for, given which of
	// those asked for so far (by name) are published. It is asked until it has none.
	More(published map[string]bool) []Part
	// Parse reads one document in one pass and emits its groups, at most one
	// for a package. A malformed record is left out and told in Parsed; a
	// document that is not whole, or not of this part, is an error that names
	// feed, part and byte. An error of emit is returned as it is.
	Parse(ctx context.Context, part Part, r io.Reader, emit func(advisory.Group) error) (Parsed, error)
}

// Part is one document of a feed.
type Part struct {
	// Name is unique in the feed: "v3.7/main".
	Name string
	// URL is where the publisher has it.
	URL string
	// Ecosystems are the distributions that it speaks of ("alpine:v3.7"), as
	// far as they are known before it is read.
	Ecosystems []string
}

// Parsed is what a document held besides its groups.
type Parsed struct {
	// Ecosystems are the distributions that the document speaks of, sorted.
	Ecosystems []string
	// Skipped are records that were left out because they are malformed.
	Skipped Skipped
}

// Skipped counts records that were left out, and names the first of them.
type Skipped struct {
	Count int
	// Names says which and why, "musl CVE-2019-1: no version"; at most 20.
	Names []string
}

// Add counts one record.
func (s *Skipped) Add(name, reason string) {
	const named = 20
	s.Count++
	if len(s.Names) < named {
		s.Names = append(s.Names, cut(name, 120)+": "+cut(reason, 200))
	}
}

// Merge adds what others left out.
func (s *Skipped) Merge(other Skipped) {
	names := append(s.Names, other.Names...)
	s.Count += other.Count
	s.Names = names[:min(len(names), 20)]
}

// forget takes away what was told of a group that is stated anew, as far as it
// is named.
func (s *Skipped) forget(group string) {
	*s = s.filter(func(name string) bool {
		rest, of := strings.CutPrefix(name, group)
		return !of || !strings.HasPrefix(rest, ":") && !strings.HasPrefix(rest, " ")
	})
}

// without is what is left where those of some names are told again.
func (s Skipped) without(names []string) Skipped {
	return s.filter(func(name string) bool { return !slices.Contains(names, name) })
}

func (s Skipped) filter(keep func(name string) bool) Skipped {
	kept := slices.DeleteFunc(slices.Clone(s.Names), func(name string) bool { return !keep(name) })
	return Skipped{Count: s.Count - (len(s.Names) - len(kept)), Names: kept}
}

// Errors for which callers branch.
var (
	// ErrNotModified: upstream still has what the validators stand for.
	ErrNotModified = errors.New("not modified")
	// ErrNotPublished: upstream does not have the document (404, 410).
	ErrNotPublished = errors.New("not published")
	// ErrUnreachable: upstream did not answer, or not usefully, however often
	// it was asked.
	ErrUnreachable = errors.New("not reachable")
	// ErrRefused: upstream does not let this program have the document (401, 403).
	ErrRefused = errors.New("refused")
	// ErrEmpty: the document has no bytes.
	ErrEmpty = errors.New("the document is empty")
	// ErrHeldBack: a document would take away so much of what is stored that it
	// is not believed. See Request.AcceptLoss.
	ErrHeldBack = errors.New("held back")
	// ErrUnknown: there is no such feed.
	ErrUnknown = errors.New("no such feed")
)

// cut shortens text to at most size bytes, at a character's border.
func cut(text string, size int) string {
	if len(text) <= size {
		return text
	}
	const mark = "…"
	end := 0
	for i := range text {
		if i > size-len(mark) {
			break
		}
		end = i
	}
	return text[:end] + mark
}
