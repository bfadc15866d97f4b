package inflate_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/pratique/pratique/internal/layer/inflate"
)

func TestReadsFromAllKindsOfReaders(t *testing.T) {
	chance := rand.New(rand.NewPCG(7, 8))
	file := append(member(t, randomStream(chance, 6)), compressed(t, samples()["words"], 6)...)
	want, err := standard(file)
	if err != nil {
		t.Fatal(err)
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"all":                 func(r io.Reader) io.Reader { return r },
		"one byte":            iotest.OneByteReader,
		"half":                iotest.HalfReader,
		"data with the error": iotest.DataErrReader,
		"both":                func(r io.Reader) io.Reader { return iotest.DataErrReader(iotest.OneByteReader(r)) },
		"sometimes nothing":   func(r io.Reader) io.Reader { return &lazy{r: r} },
		"buffered":            func(r io.Reader) io.Reader { return bufio.NewReaderSize(r, 17) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 2, 7, 500, 1 << 20} {
				r := inflate.NewReader(wrap(bytes.NewReader(file)))
				var got []byte
				for b := make([]byte, size); err == nil; {
					var n int
					n, err = r.Read(b)
					got = append(got, b[:n]...)
				}
				if err != io.EOF || !bytes.Equal(got, want) {
					t.Errorf("reads of %d: got %d bytes of %d, %v", size, len(got), len(want), err)
				}
				if n, again := r.Read(make([]byte, 1)); n != 0 || again != io.EOF {
					t.Errorf("after the end: %d, %v", n, again)
				}
				err = nil
			}
			if err := iotest.TestReader(inflate.NewReader(wrap(bytes.NewReader(file))), want); err != nil {
				t.Error(err)
			}
		})
	}
}

// pieces gives few bytes or many.
type pieces struct {
	r      io.Reader
	chance *rand.Rand
}

func (p *pieces) Read(b []byte) (int, error) {
	return p.r.Read(b[:min(len(b), 1+p.chance.IntN(1<<p.chance.IntN(14)))])
}

// lazy gives nothing at every second call.
type lazy struct {
	r    io.Reader
	turn bool
}

func (l *lazy) Read(p []byte) (int, error) {
	if l.turn = !l.turn; l.turn {
		return 0, nil
	}
	return l.r.Read(p[:min(len(p), 100)])
}

func TestPassesReadErrorsOn(t *testing.T) {
	broken := errors.New("connection reset")
	file := compressed(t, samples()["words"], 6)
	for _, n := range []int{0, 5, 10, 11, 1000, len(file) - 4, len(file)} {
		for name, source := range map[string]io.Reader{
			"after data": io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken)),
			"with data":  iotest.DataErrReader(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken))),
		} {
			if _, err := io.Copy(io.Discard, inflate.NewReader(source)); !errors.Is(err, broken) {
				t.Errorf("%d bytes, %s: got %v", n, name, err)
			}
		}
	}
	if _, err := inflate.NewReader(&lazy{r: iotest.ErrReader(nil)}).Read(make([]byte, 1)); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader without progress: got %v", err)
	}
}
