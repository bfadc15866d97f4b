package osv

import (
	"io"
	"slices"
)

// ahead reads what follows what was read last in large pieces: there are hundreds of
// thousands of entries, of which most are read in the order in which they lie.
type ahead struct {
	at    io.ReaderAt
	buf   []byte
	start int64 // of buf
	next  int64 // where what was asked for last ends
	// row counts how often what was asked for lay next to what was asked for before.
	row int
}

const (
	pieceAhead = 128 << 10
	// nearAhead is how far behind what was asked for last a piece may begin.
	nearAhead = 4 << 10
)

func (a *ahead) ReadAt(p []byte, off int64) (n int, err error) {
	if off >= a.next && off-a.next <= nearAhead {
		a.row++
	} else {
		a.row = 0
	}
	a.next = off + int64(len(p))
	if at := off - a.start; at >= 0 && at+int64(len(p)) <= int64(len(a.buf)) {
		return copy(p, a.buf[at:]), nil
	}
	if a.row < 2 || len(p) > pieceAhead/2 { // what an entry has behind its header is no row
		return a.at.ReadAt(p, off)
	}
	a.buf = slices.Grow(a.buf[:0], pieceAhead)[:pieceAhead]
	n, err = a.at.ReadAt(a.buf, off)
	a.buf, a.start = a.buf[:n], off
	if n = copy(p, a.buf); n == len(p) {
		err = nil
	}
	return n, err
}
