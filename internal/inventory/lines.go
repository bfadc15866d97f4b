package inventory

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strings"
)

// lineSize bounds the part of a line that is looked at, in bytes. Longer ones
// are lists of dependencies and descriptions.
const lineSize = 16 << 10

// lines reads a text line by line, in bounded memory.
type lines struct {
	r *bufio.Reader
	// number is the 1-based number of the last line; 0 before the first.
	number int
	// text is the line without its end, up to lineSize bytes. It is valid until
	// the next line is read.
	text []byte
	// ended tells whether the line had an end: only the last may have none.
	ended bool
}

func newLines(r io.Reader) *lines {
	return &lines{r: bufio.NewReaderSize(r, lineSize), ended: true}
}

// next reads a line. It returns io.EOF after the last, or the reader's error.
func (l *lines) next() error {
	line, err := l.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line = bytes.Clone(line)
		for errors.Is(err, bufio.ErrBufferFull) {
			_, err = l.r.ReadSlice('\n')
		}
	}
	if err != nil && (err != io.EOF || len(line) == 0) {
		return err
	}
	l.number++
	l.ended = err == nil
	line = bytes.TrimSuffix(line, []byte("\n"))
	l.text = bytes.TrimSuffix(line, []byte("\r"))
	return nil
}

// clip shortens foreign text for messages.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}
