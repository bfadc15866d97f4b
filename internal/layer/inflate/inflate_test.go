package inflate_test

import (
	"bytes"
	"compress/flate"
	stdgzip "compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/pratique/pratique/internal/layer/inflate"
	"github.com/pratique/pratique/internal/realdata"
)

// verdict names what an error says, whoever says it.
func verdict(err error) string {
	var corrupt flate.CorruptInputError
	switch {
	case err == nil:
		return "good"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "cut off"
	case errors.Is(err, inflate.ErrHeader), errors.Is(err, inflate.ErrGarbage), errors.Is(err, stdgzip.ErrHeader):
		return "header"
	case errors.Is(err, inflate.ErrChecksum), errors.Is(err, stdgzip.ErrChecksum):
		return "checksum"
	case errors.Is(err, inflate.ErrData), errors.As(err, &corrupt):
		return "data"
	}
	return err.Error()
}

func standard(file []byte) (plain []byte, err error) {
	z, err := stdgzip.NewReader(bytes.NewReader(file))
	if err == io.EOF {
		return nil, nil // no member at all
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// reserved reports that a header has flags which nobody knows: RFC 1952, section
// 2.3.1.2, wants them refused, and compress/gzip does not.
func reserved(file []byte) bool {
	return bytes.Contains(file, []byte{0x1f, 0x8b, 8}) && verdictOf(gzip.NewReader(bytes.NewReader(file))) != verdictOf(stdgzip.NewReader(bytes.NewReader(file)))
}

func verdictOf[R io.Reader](z R, err error) string {
	if err == nil {
		_, err = io.Copy(io.Discard, z)
	}
	if errors.Is(err, gzip.ErrHeader) {
		return "header"
	}
	return verdict(err)
}

// agree fails the test unless the file gives what compress/gzip gives.
func agree(t testing.TB, file []byte) {
	t.Helper()
	want, wantErr := standard(file)
	got, gotErr := io.ReadAll(inflate.NewReader(bytes.NewReader(file)))
	if verdict(wantErr) == verdict(gotErr) && bytes.Equal(want, got) {
		return
	}
	switch {
	case wantErr == nil || gotErr == nil:
	case verdict(wantErr) == "cut off" && len(got)-len(want) < 15*258 && bytes.HasPrefix(got, want):
		// compress/flate does not look at a symbol before there are as many
		// bits as the end of the block takes: we read those that are there.
		return
	}
	if reserved(file) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Errorf("%d bytes of file: got %d bytes, %v; want %d, %v; equal to %d", len(file), len(got), gotErr, len(want), wantErr, at)
}

// samples are data of various kinds.
func samples() map[string][]byte {
	chance := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(chance.Uint32())
	}
	var words bytes.Buffer
	for words.Len() < 400_000 {
		fmt.Fprintf(&words, "%x ", uint64(chance.IntN(3000))*0x9e3779b9)
	}
	periods := []byte{}
	for period := 1; period < 40; period++ {
		periods = append(periods, bytes.Repeat(noise[:period], 2000/period)...)
	}
	far := bytes.Repeat(noise[:32<<10], 4)
	return map[string][]byte{
		"nothing": {}, "a byte": {7}, "noise": noise, "words": words.Bytes(), "zeros": make([]byte, 500_000),
		"periods": periods, "far matches": far, "a bit too far": bytes.Repeat(noise[:32<<10+1], 3),
		"two letters": bytes.Map(func(r rune) rune { return 'a' + r&1 }, words.Bytes()[:20_000]),
	}
}

func compressed(t testing.TB, plain []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := stdgzip.NewWriterLevel(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReadsWhatEncodersWrite(t *testing.T) {
	for name, plain := range samples() {
		t.Run(name, func(t *testing.T) {
			for level := stdgzip.HuffmanOnly; level <= stdgzip.BestCompression; level++ {
				got, err := io.ReadAll(inflate.NewReader(bytes.NewReader(compressed(t, plain, level))))
				if err != nil || !bytes.Equal(got, plain) {
					t.Errorf("level %d: got %d bytes of %d, %v", level, len(got), len(plain), err)
				}
				var b bytes.Buffer
				z, err := gzip.NewWriterLevel(&b, level)
				if err != nil {
					t.Fatal(err)
				}
				z.Write(plain)
				z.Close()
				agree(t, b.Bytes())
			}
		})
	}
}

func TestReadsRandomStreams(t *testing.T) {
	for seed := range 200 {
		chance := rand.New(rand.NewPCG(uint64(seed), 0))
		body := randomStream(chance, 1+chance.IntN(8))
		file := member(t, body)
		if _, err := standard(file); err != nil {
			t.Fatalf("seed %d: compress/gzip says %v of a good file", seed, err)
		}
		agree(t, file)
		want, _ := standard(file)
		got, err := io.ReadAll(inflate.NewReader(&pieces{bytes.NewReader(file), chance}))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("seed %d, in pieces: got %d bytes of %d, %v", seed, len(got), len(want), err)
		}
		for range 10 {
			broken := bytes.Clone(file)
			for range 1 + chance.IntN(3) {
				broken[chance.IntN(len(broken))] ^= 1 << chance.IntN(8)
			}
			agree(t, broken)
			agree(t, file[:chance.IntN(len(file))])
		}
	}
}

// TestReadsEveryMatch has all lengths, and all distances up to those around
// which copies change their way, at all places where the window can end.
func TestReadsEveryMatch(t *testing.T) {
	chance := rand.New(rand.NewPCG(3, 4))
	var s stream
	s.begin(true, 1)
	for range 300 {
		s.symbol(fixedLit, chance.IntN(256))
	}
	for length := 3; length <= 258; length++ {
		for distance := 1; distance <= 40; distance++ {
			s.match(fixedLit, fixedDist, length, distance)
			s.symbol(fixedLit, chance.IntN(256))
		}
	}
	for range 20_000 {
		s.match(fixedLit, fixedDist, 3+chance.IntN(256), 32768-chance.IntN(300))
	}
	s.symbol(fixedLit, 256)
	agree(t, member(t, s.end()))
}

// TestReadsLongestSymbols has literals, lengths and distances that take as many
// bits as there can be, one after the other.
func TestReadsLongestSymbols(t *testing.T) {
	chance := rand.New(rand.NewPCG(11, 12))
	var lit, dist [286]int
	for i := range 14 {
		lit[i], dist[i] = i+1, i+1 // a literal has as many bits as it says
	}
	lit[256], lit[284] = 15, 15
	dist[28], dist[29] = 15, 15
	l, d := codeOf(lit[:]...), codeOf(dist[:30]...)
	var s stream
	s.stored(false, samples()["noise"][:40_000])
	s.begin(true, 2)
	s.codes(l, d, true)
	for range 30_000 {
		for range chance.IntN(4) {
			s.symbol(l, chance.IntN(14))
		}
		s.match(l, d, 227+chance.IntN(31), 16385+chance.IntN(16384))
	}
	s.symbol(l, 256)
	agree(t, member(t, s.end()))
}

// TestReadsMatchesAtTheEndOfTheWindow begins a block at each of the last places
// of a window, with literals and a match that reaches beyond.
func TestReadsMatchesAtTheEndOfTheWindow(t *testing.T) {
	const full, history = 64 << 10, 32 << 10 // when a window moves, and what it keeps
	noise := samples()["noise"]
	var s stream
	at := 0
	for before := 1; before <= 6; before++ {
		for literals := range 4 {
			for _, length := range []int{3, 8, 16, 17, 258} {
				for _, distance := range []int{1, 2, 3, 7, 8, 9, 15, 16, 17, 300, 32768} {
					if at > full-before {
						s.stored(false, noise[at:full])
						at = history
					}
					s.stored(false, noise[at:full-before])
					s.begin(false, 1)
					for i := range literals {
						s.symbol(fixedLit, i)
					}
					s.match(fixedLit, fixedDist, length, distance)
					s.symbol(fixedLit, 256)
					if at = full - before + literals + length; at >= full {
						at = history
					}
				}
			}
		}
	}
	s.stored(true, nil)
	agree(t, member(t, s.end()))
}

func TestRefusesWhatTheStandardRefuses(t *testing.T) {
	write := func(f func(*stream)) []byte {
		var s stream
		f(&s)
		return append(bytes.Clone(header), s.end()...)
	}
	lit := func(pairs ...int) func(*stream) {
		return func(s *stream) {
			s.begin(true, 2)
			list := codeOf(lengths(pairs...)...)
			s.codes(list, codeOf(1, 1), true)
			if list.lengths[256] > 0 {
				s.symbol(list, 256)
			}
		}
	}
	dist := func(then func(s *stream, lit, dist code), pairs ...int) func(*stream) {
		return func(s *stream) {
			s.begin(true, 2)
			l, d := codeOf(lengths(1, 1, 255, 0, 1, 2, 1, 2)...), codeOf(lengths(pairs...)...)
			s.codes(l, d, true)
			s.symbol(l, 0)
			then(s, l, d)
			s.symbol(l, 256)
		}
	}
	nothing := func(*stream, code, code) {}
	match := func(s *stream, lit, dist code) { s.match(lit, dist, 3, 1) }
	bit := func(s *stream, lit, _ code) {
		s.symbol(lit, 257)
		s.put(1, 1)
	}
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"kind 3", write(func(s *stream) { s.begin(true, 3) }), "data"},
		{"stored, sizes differ", write(func(s *stream) { s.begin(true, 0); s.align(); s.put(5, 16); s.put(5, 16) }), "data"},
		{"stored, cut off", write(func(s *stream) { s.stored(true, []byte("abc")) })[:16], "cut off"},
		{"literals over", write(lit(256, 8, 1, 8)), "data"},
		{"literals under", write(lit(255, 8, 1, 0, 1, 9)), "data"},
		{"one literal of one bit", write(lit(256, 0, 1, 1)), "cut off"},
		{"one literal of two bits", write(lit(256, 0, 1, 2)), "data"},
		{"no literals", write(lit(257, 0)), "data"},
		{"no end of the block", write(lit(256, 8, 1, 0)), "cut off"},
		{"287 literals", write(lit(256, 8, 30, 0, 1, 0)), "data"},
		{"longest codes", write(lit(1, 1, 1, 2, 1, 3, 1, 4, 1, 5, 1, 6, 1, 7, 1, 8, 1, 9, 1, 10, 1, 11, 1, 12, 1, 13, 1, 14, 242, 0, 1, 15, 1, 15)), "cut off"},
		{"no distances, none used", write(dist(nothing, 1, 0)), "cut off"},
		{"no distances, one used", write(dist(bit, 1, 0)), "data"},
		{"one distance, used", write(dist(match, 1, 1)), "cut off"},
		{"one distance, another used", write(dist(bit, 1, 1)), "data"},
		{"one distance of two bits", write(dist(nothing, 1, 2)), "data"},
		{"distances over", write(dist(nothing, 3, 1)), "data"},
		{"distances under", write(dist(nothing, 3, 2)), "data"},
		{"31 distances", write(dist(nothing, 2, 1, 29, 0)), "data"},
		{"too far", write(func(s *stream) { s.begin(true, 1); s.match(fixedLit, fixedDist, 3, 1) }), "data"},
		{"literal 286", write(func(s *stream) { s.begin(true, 1); s.symbol(fixedLit, 286) }), "data"},
		{"distance 30", write(func(s *stream) {
			s.begin(true, 1)
			s.symbol(fixedLit, 65)
			s.symbol(fixedLit, 257)
			s.symbol(fixedDist, 30)
		}), "data"},
		{"no codes for lengths", write(func(s *stream) { s.begin(true, 2); s.put(0, 14); s.put(0, 12) }), "data"},
		{"a repetition of nothing", write(func(s *stream) {
			s.begin(true, 2)
			s.put(0, 10)
			s.put(15, 4)
			for _, symbol := range order {
				s.put(meta.lengths[symbol], 3)
			}
			s.symbol(meta, 16)
			s.put(0, 2)
		}), "data"},
		{"a repetition beyond the end", write(func(s *stream) {
			s.begin(true, 2)
			s.put(0, 10)
			s.put(15, 4)
			for _, symbol := range order {
				s.put(meta.lengths[symbol], 3)
			}
			for range 2 {
				s.symbol(meta, 18)
				s.put(127, 7)
			}
		}), "data"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// Where more follows, the fast way reads it.
			for _, more := range []int{0, 1, 7, 8, 40, 400} {
				file := append(bytes.Clone(test.file), bytes.Repeat([]byte{0x55}, more)...)
				agree(t, file)
				if _, err := io.ReadAll(inflate.NewReader(bytes.NewReader(file))); more == 0 && verdict(err) != test.want {
					t.Errorf("got %v, want %s", err, test.want)
				} else if err == nil {
					t.Errorf("accepted with %d more bytes", more)
				}
			}
		})
	}
}

func TestCutOffAnywhere(t *testing.T) {
	chance := rand.New(rand.NewPCG(5, 6))
	file := append(member(t, randomStream(chance, 3)), compressed(t, []byte("hello, hello, hello"), 9)...)
	for n := range file {
		agree(t, file[:n])
	}
}

func TestMemory(t *testing.T) {
	if size := reflect.TypeFor[inflate.Reader]().Size(); size > 110_000 {
		t.Errorf("a reader has %d bytes", size)
	}
	chance := rand.New(rand.NewPCG(9, 10))
	var file []byte
	for range 50 {
		file = append(file, member(t, randomStream(chance, 5))...)
	}
	source, b := bytes.NewReader(file), make([]byte, 1000)
	if n := testing.AllocsPerRun(3, func() {
		source.Reset(file)
		r := inflate.NewReader(source)
		for err := error(nil); err == nil; {
			_, err = r.Read(b)
		}
	}); n > 1 {
		t.Errorf("%v allocations, which is more than the reader's own", n)
	}
}

// TestReadsRealLayers compares with compress/gzip on the images that are there.
func TestReadsRealLayers(t *testing.T) {
	root := realdata.Root(t)
	files, err := filepath.Glob(filepath.Join(root, "images", "*.tar.gz"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Skipf("no images in %s", root)
	}
	for _, name := range files {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		want, err := standard(file)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		got, err := io.ReadAll(inflate.NewReader(bytes.NewReader(file)))
		if err != nil || sha256.Sum256(got) != sha256.Sum256(want) {
			t.Errorf("%s: got %d bytes of %d, %v", name, len(got), len(want), err)
		}
	}
}
