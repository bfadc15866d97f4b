package oval

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
)

// decompress reads a document from its start; how it is compressed is told by
// its first bytes, for servers may have undone what its name says.
func decompress(source Source) (io.Reader, error) {
	raw := io.NewSectionReader(source, 0, source.Size())
	head := make([]byte, 4)
	n, err := raw.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return nil, err
	}
	head = head[:n]
	switch {
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		unzip, err := gzip.NewReader(raw)
		if err != nil {
			return nil, fmt.Errorf("gzip: %w", whole(err))
		}
		return &content{r: unzip, how: "gzip", left: maxSize}, nil
	case bytes.HasPrefix(head, []byte("BZh")):
		return &content{r: bzip2.NewReader(raw), how: "bzip2", left: maxSize}, nil
	}
	return &content{r: raw, how: "read", left: maxSize}, nil
}

// content bounds what a document decompresses to, and names its errors.
type content struct {
	r    io.Reader
	how  string
	left int64
}

func (c *content) Read(p []byte) (int, error) {
	if c.left == 0 {
		return 0, fmt.Errorf("%w: the document has more than %d bytes", ErrLimit, int64(maxSize))
	}
	n, err := c.r.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%s: %w", c.how, whole(err))
	}
	return n, err
}

// whole says of an end inside of compressed data that it is one: to the scanner
// io.EOF is the document's.
func whole(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
