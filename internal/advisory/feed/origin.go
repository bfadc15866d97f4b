package feed

import (
	"context"
	"io"

	"github.com/pratique/pratique/internal/advisory"
)

// Origin is a digest of the bytes that a group is read from, with whatever else
// of the document decides what is read in them. The zero value is none.
type Origin [16]byte

// Skimmer is a feed whose documents are large and change little from day to day:
// what it knows by its bytes it need not read again.
type Skimmer interface {
	Feed
	// Skim is Parse, but passes over what known reports. It asks at most once for
	// each group, perhaps while emit runs. A group has no origin where more was told of it than itself, so
	// that it is told each time.
	Skim(ctx context.Context, part Part, r io.Reader, known func(Origin) bool, emit func(advisory.Group, Origin) error) (Parsed, error)
}

// parse reads a document; known is nil where nothing of it is to be passed over.
func (r *run) parse(ctx context.Context, part Part, doc *Document, known func(Origin) bool, emit func(advisory.Group, Origin) error) (Parsed, error) {
	if s, ok := r.feed.(Skimmer); ok {
		if known == nil {
			known = func(Origin) bool { return false }
		}
		return s.Skim(ctx, part, doc.Reader(), known, emit)
	}
	return r.feed.Parse(ctx, part, doc.Reader(), func(g advisory.Group) error { return emit(g, Origin{}) })
}

// maxKept bounds the statements of changed groups that are kept in memory, of
// all feeds together; what is more is kept on the disk.
const maxKept = 50_000

// keep keeps what changed, so that the document need not be read a second time,
// unless too much did.
func (s *survey) keep(e Entry) error {
	if s.again {
		return nil
	}
	weight := int64(len(e.Advisories) + len(e.Details))
	if s.spill == nil && s.room.Add(weight) <= maxKept {
		s.weight += weight
		s.kept = append(s.kept, e)
		return nil
	}
	var err error
	if s.spill == nil {
		s.room.Add(-weight)
		s.spill, err = newSpill(s.dir)
	}
	fits := false
	if err == nil {
		fits, err = s.spill.add(e)
	}
	if err == nil && fits {
		return nil
	}
	// Where there is no room on the disk either, the document is read again, too.
	s.again = true
	return s.drop()
}

// drop forgets what is kept.
func (s *survey) drop() error {
	s.room.Add(-s.weight)
	s.kept, s.weight = nil, 0
	if s.spill == nil {
		return nil
	}
	err := s.spill.close()
	s.spill = nil
	return err
}

// still adds the ecosystems that records speak of which were passed over.
func (r *run) still(ctx context.Context, part Part, s *survey, before []string) error {
	if !s.passed {
		return nil
	}
	for _, name := range before {
		if spoken, err := r.store.SpeaksOf(ctx, r.feed.Name(), part.Name, name); err != nil {
			return err
		} else if spoken {
			s.parsed.Ecosystems = append(s.parsed.Ecosystems, name)
		}
	}
	s.parsed.Ecosystems = distinct(s.parsed.Ecosystems, len(s.parsed.Ecosystems), func(string) bool { return true })
	return nil
}
