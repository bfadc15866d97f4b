package feed

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"

	"github.com/klauspost/compress/zstd"
)

// whole is a load of everything that a part states.
type whole struct {
	seen       map[string]bool
	advisories int
	// spool takes what changed until it is known that the load is whole; nil
	// where nothing is stored that could be lost.
	spool *spool
}

// Whole has load put everything that the part states: what it does not put is
// gone. Nothing is changed before load has ended well, unless nothing was there;
// nor is it where most of what is stored would go (ErrHeldBack).
func (s *Session) Whole(ctx context.Context, load func() error) (err error) {
	if s.whole != nil {
		return s.fail(errors.New("a whole load within another"))
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	w := &whole{seen: make(map[string]bool, len(s.stored))}
	if len(s.stored) > 0 {
		if w.spool, err = newSpool(s.run.fetcher.opts.TempDir); err != nil {
			return s.fail(err)
		}
		defer func() {
			if closed := w.spool.close(); err == nil {
				err = s.fail(closed)
			}
		}()
	}
	spoken := s.ecosystems
	s.ecosystems = make(map[string]bool, len(spoken))
	s.whole = w
	err = load()
	s.whole = nil
	if err != nil {
		return s.fail(err)
	}
	var gone []string
	for name := range s.stored {
		if !w.seen[name] {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	// A first load has stored what it put already, and nothing of that is gone.
	if err := s.run.believe(s.before-len(gone), s.before, len(w.seen), w.advisories, s.statements); err != nil {
		return s.fail(err)
	}
	for name := range spoken {
		if !s.ecosystems[name] && slices.Contains(s.state.Ecosystems, name) {
			s.run.opts.Log.WarnContext(ctx, "a feed does not speak of a distribution any more", "feed", s.run.feed.Name(), "part", s.part.Name, "distribution", name)
		}
	}
	// What follows is judged by what this load left; it was judged itself.
	s.before, s.statements, s.lost, s.earlier = 0, 0, 0, Skipped{}
	if w.spool != nil {
		total := w.spool.count
		err = w.spool.each(func(e Entry) error {
			if err := s.enqueue(ctx, e); err != nil {
				return err
			}
			if len(s.pending) == 0 {
				s.Tell("%d of %d changed groups", s.result.Changed, total)
			}
			return nil
		})
		if err != nil {
			return s.fail(err)
		}
	}
	if err := s.Remove(ctx, gone...); err != nil {
		return err
	}
	if err := s.flush(ctx); err != nil {
		return err
	}
	s.before, s.statements, s.lost = len(s.stored), s.advisories, 0
	s.note()
	return nil
}

// spool is a temporary file of groups.
type spool struct {
	file  *os.File
	out   *zstd.Encoder
	json  *json.Encoder
	count int
}

func newSpool(folder string) (*spool, error) {
	file, err := os.CreateTemp(folder, "pratique-feed-*")
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	_ = os.Remove(file.Name()) // else close does
	out, err := zstd.NewWriter(file, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spool: %w", err), file.Close())
	}
	return &spool{file: file, out: out, json: json.NewEncoder(out)}, nil
}

func (s *spool) add(e Entry) error {
	s.count++
	if err := s.json.Encode(e); err != nil {
		return fmt.Errorf("spool %q: %w", e.Name, err)
	}
	return nil
}

// each reads all groups back, in their order; nothing can be added any more.
func (s *spool) each(visit func(Entry) error) error {
	if err := s.out.Close(); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	in, err := zstd.NewReader(bufio.NewReader(s.file), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	defer in.Close()
	groups := json.NewDecoder(in)
	for range s.count {
		var e Entry
		if err := groups.Decode(&e); err != nil {
			return fmt.Errorf("spool: %w", err)
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}

func (s *spool) close() error {
	closed := errors.Join(s.out.Close(), s.file.Close())
	if err := os.Remove(s.file.Name()); err != nil && !errors.Is(err, os.ErrNotExist) {
		closed = errors.Join(closed, err)
	}
	return closed
}
