package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// memoryMost is how much of a file is kept in memory for random access; what is
// larger goes to a temporary file.
const memoryMost = 8 << 20

// headMost bounds what can be looked at without being read.
const headMost = 512

// Content is the content of a file of a layer, as a detector gets it: a stream,
// with random access for the formats that need it.
type Content struct {
	r io.Reader
	// Size is in bytes, as the archive states it.
	Size  int64
	head  []byte // looked at and not read yet
	spool *spool
	// archives is what may be decompressed of the layer's archives; nil for any.
	archives *budget
}

// budget is what may be spent of something, and what is left of that.
type budget struct{ limit, left int64 }

// NewContent returns the content that is read from r.
func NewContent(r io.Reader, size int64) *Content {
	return &Content{r: r, Size: size, spool: new(spool)}
}

func (c *Content) Read(p []byte) (int, error) {
	if len(c.head) > 0 {
		n := copy(p, c.head)
		c.head = c.head[n:]
		return n, nil
	}
	return c.r.Read(p)
}

// Head looks at the first n bytes, 512 at most, which remain to be read; fewer
// where the file is shorter. It is called before anything is read.
func (c *Content) Head(n int) ([]byte, error) {
	if len(c.head) < n {
		head := make([]byte, min(n, headMost))
		got, err := io.ReadFull(c.r, head[copy(head, c.head):])
		c.head = head[:len(c.head)+got]
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, err
		}
	}
	return c.head[:min(n, len(c.head))], nil
}

// ReaderAt reads what is left of the content and gives random access to it, and
// its size. It is valid until the detector returns.
func (c *Content) ReaderAt() (io.ReaderAt, int64, error) { return c.spool.fill(c, c.Size) }

// spool holds one file at a time.
type spool struct {
	buffer bytes.Buffer
	file   *os.File
	part   []byte // for those who look through a file
}

// scratch is room for a part of a file, the same for each.
func (s *spool) scratch() []byte {
	if s.part == nil {
		s.part = make([]byte, 256<<10)
	}
	return s.part
}

// fill takes what r has. size is what it is said to have, so that the buffer
// need not grow in steps, each of which leaves the last one behind.
func (s *spool) fill(r io.Reader, size int64) (io.ReaderAt, int64, error) {
	s.buffer.Reset()
	s.buffer.Grow(int(min(max(size, 0), memoryMost)) + bytes.MinRead + 1)
	n, err := io.CopyN(&s.buffer, r, memoryMost+1)
	if err == io.EOF {
		return bytes.NewReader(s.buffer.Bytes()), n, nil
	}
	if err != nil {
		return nil, 0, err
	}
	if s.file == nil {
		if s.file, err = os.CreateTemp("", "pratique-file-"); err != nil {
			return nil, 0, fmt.Errorf("spool a large file: %w", err)
		}
		// Nobody else needs its name.
		if err := os.Remove(s.file.Name()); err != nil {
			return nil, 0, fmt.Errorf("spool a large file: %w", err)
		}
	} else if err := s.file.Truncate(0); err != nil {
		return nil, 0, fmt.Errorf("spool a large file: %w", err)
	}
	if _, err := s.file.WriteAt(s.buffer.Bytes(), 0); err != nil {
		return nil, 0, fmt.Errorf("spool a large file: %w", err)
	}
	if _, err := s.file.Seek(n, io.SeekStart); err != nil {
		return nil, 0, fmt.Errorf("spool a large file: %w", err)
	}
	more, err := io.CopyBuffer(struct{ io.Writer }{s.file}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	if err != nil {
		return nil, 0, err
	}
	return s.file, n + more, nil
}

func (s *spool) close() error {
	if s.file == nil {
		return nil
	}
	return s.file.Close()
}
