package osv

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
)

// counted counts what is read of it.
type counted struct {
	*bytes.Reader
	times, bytes int
}

func (c *counted) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.Reader.ReadAt(p, off)
	c.times++
	c.bytes += n
	return n, err
}

func TestAhead(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	content := make([]byte, 3<<20)
	for i := range content {
		content[i] = byte(r.Uint32())
	}
	size := len(content)
	for _, test := range []struct {
		name         string
		step         func(i, last int) (off, n int)
		times, bytes int // at most, of 10,000
	}{
		{"in order", func(_, last int) (int, int) { return last, 300 }, 50, 2 * size},
		{"in order, with gaps", func(_, last int) (int, int) { return last + 50, 200 }, 50, 2 * size},
		{"backwards", func(i, _ int) (int, int) { return size - 300*(i+1), 300 }, 10_000, 10_000 * 300},
		{"here and there, two by two", func(i, last int) (int, int) {
			if i%2 == 1 {
				return last, 300
			}
			return r.IntN(size), 30
		}, 10_000, 10_000 * 300},
		{"past the end", func(i, _ int) (int, int) { return size - 5000 + i, 100 }, 10_000, 10_000 * 200},
		{"of any length", func(i, last int) (int, int) {
			if i%5 == 0 {
				last = r.IntN(size)
			}
			return last, r.IntN(2 * pieceAhead)
		}, 10_000, 3 * 10_000 * pieceAhead},
	} {
		t.Run(test.name, func(t *testing.T) {
			from := &counted{Reader: bytes.NewReader(content)}
			a := ahead{at: from}
			last := 0
			for i := range 10_000 {
				off, n := test.step(i, last)
				want, got := make([]byte, n), make([]byte, n)
				wantN, wantErr := bytes.NewReader(content).ReadAt(want, int64(off))
				gotN, gotErr := a.ReadAt(got, int64(off))
				if gotN != wantN || !bytes.Equal(got, want) || n > 0 && !errors.Is(gotErr, wantErr) {
					t.Fatalf("%d bytes at %d: %d bytes, %v; want %d, %v", n, off, gotN, gotErr, wantN, wantErr)
				}
				if wantErr != nil && !errors.Is(wantErr, io.EOF) {
					t.Fatal(wantErr)
				}
				if last = off + n; last > size {
					last = 0
				}
			}
			if from.times > test.times || from.bytes > test.bytes {
				t.Errorf("%d bytes were read in %d times", from.bytes, from.times)
			}
		})
	}
}
