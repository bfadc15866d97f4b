package feed

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os"
)

// spill holds groups on the disk, in the order in which they were put there. Its
// file has no name any more where the system allows: it goes with the process.
type spill struct {
	file *os.File
	w    *bufio.Writer
	to   *gob.Encoder
	size int64
}

// maxSpill bounds the bytes of a spill. More than that is read again from the
// document: of a first load, most of it would be here.
const maxSpill = 64 << 20

func newSpill(dir string) (*spill, error) {
	file, err := os.CreateTemp(dir, "pratique-feed-*")
	if err != nil {
		return nil, fmt.Errorf("spill: %w", err)
	}
	_ = os.Remove(file.Name()) // else close does
	s := &spill{file: file}
	s.w = bufio.NewWriterSize(s, 1<<16)
	s.to = gob.NewEncoder(s.w)
	return s, nil
}

// Write counts what goes to the file.
func (s *spill) Write(p []byte) (int, error) {
	n, err := s.file.Write(p)
	s.size += int64(n)
	return n, err
}

// add reports false where the spill is full; the group may be in it or not then.
func (s *spill) add(e Entry) (fits bool, err error) {
	if err := s.to.Encode(e); err != nil {
		return false, fmt.Errorf("spill: %w", err)
	}
	return s.size <= maxSpill, nil
}

// each tells all groups.
func (s *spill) each(emit func(Entry) error) error {
	if err := s.w.Flush(); err != nil {
		return fmt.Errorf("spill: %w", err)
	}
	from := gob.NewDecoder(bufio.NewReaderSize(io.NewSectionReader(s.file, 0, s.size), 1<<16))
	for {
		var e Entry
		switch err := from.Decode(&e); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("spill: %w", err)
		}
		if err := emit(e); err != nil {
			return err
		}
	}
}

func (s *spill) close() error {
	removed := os.Remove(s.file.Name())
	if errors.Is(removed, os.ErrNotExist) {
		removed = nil
	}
	return errors.Join(s.file.Close(), removed)
}
