package inflate_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/pratique/pratique/internal/layer/inflate"
)

func seeds(f *testing.F) {
	for name, plain := range samples() {
		if name != "noise" {
			f.Add(compressed(f, plain[:min(len(plain), 3000)], 6))
		}
	}
	for seed := range 20 {
		f.Add(member(f, randomStream(rand.New(rand.NewPCG(uint64(seed), 1)), 3)))
	}
	f.Add(append(compressed(f, []byte("abc"), 6), compressed(f, nil, 6)...))
	f.Add(append(compressed(f, []byte("abc"), 6), "garbage of any kind"...))
}

// FuzzReader: a file is accepted or refused as compress/gzip does, with the same
// data, however it comes.
func FuzzReader(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		if large(file) {
			return
		}
		agree(t, file)
		want, wantErr := io.ReadAll(inflate.NewReader(bytes.NewReader(file)))
		got, err := io.ReadAll(inflate.NewReader(iotest.OneByteReader(bytes.NewReader(file))))
		if err != wantErr || !bytes.Equal(got, want) {
			t.Errorf("byte by byte: got %d bytes, %v; want %d, %v", len(got), err, len(want), wantErr)
		}
	})
}

// FuzzBlocks: the same of what is in a member, so that no checksum hides it.
func FuzzBlocks(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		file := member(t, body)
		if large(file) {
			return
		}
		agree(t, file)
	})
}

// large reports data that would make a turn slow.
func large(file []byte) bool {
	n, _ := io.CopyN(io.Discard, inflate.NewReader(bytes.NewReader(file)), 4<<20)
	return n == 4<<20
}
