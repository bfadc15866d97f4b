package inflate_test

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// stream is compressed data that is written by hand, so that it has what no
// encoder makes.
type stream struct {
	bytes []byte
	bits  uint64
	count uint
}

// put writes n bits of v, the lowest first.
func (s *stream) put(v, n int) {
	s.bits |= uint64(v) << s.count
	s.count += uint(n)
	for s.count >= 8 {
		s.bytes = append(s.bytes, byte(s.bits))
		s.bits >>= 8
		s.count -= 8
	}
}

func (s *stream) align() {
	if s.count > 0 {
		s.put(0, 8-int(s.count))
	}
}

// end returns what was written.
func (s *stream) end() []byte {
	s.align()
	return s.bytes
}

// begin writes the header of a block.
func (s *stream) begin(last bool, kind int) {
	final := 0
	if last {
		final = 1
	}
	s.put(final, 1)
	s.put(kind, 2)
}

func (s *stream) stored(last bool, content []byte) {
	s.begin(last, 0)
	s.align()
	s.put(len(content), 16)
	s.put(len(content)^0xffff, 16)
	for _, c := range content {
		s.put(int(c), 8)
	}
}

// code has the codes of symbols, with their first bit as the highest.
type code struct{ lengths, values []int }

// codeOf gives the code that lengths imply (RFC 1951, section 3.2.2).
func codeOf(lengths ...int) code {
	c, value := code{lengths, make([]int, len(lengths))}, 0
	for n := 1; n <= 15; n++ {
		value *= 2
		for symbol, length := range lengths {
			if length == n {
				c.values[symbol] = value
				value++
			}
		}
	}
	return c
}

func (s *stream) symbol(c code, symbol int) {
	for n := c.lengths[symbol] - 1; n >= 0; n-- {
		s.put(c.values[symbol]>>n&1, 1)
	}
}

// The codes of blocks that bring none, and one that serves for lengths.
var (
	fixedLit  = codeOf(lengths(144, 8, 112, 9, 24, 7, 8, 8)...)
	fixedDist = codeOf(lengths(32, 5)...)
	meta      = codeOf(lengths(13, 4, 6, 5)...)
)

// lengths makes a list of pairs: so many times, this length.
func lengths(pairs ...int) (list []int) {
	for i := 0; i < len(pairs); i += 2 {
		for range pairs[i] {
			list = append(list, pairs[i+1])
		}
	}
	return list
}

var order = []int{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// codes writes the codes of a block. Runs may use the symbols for repetition.
func (s *stream) codes(lit, dist code, runs bool) {
	s.put(len(lit.lengths)-257, 5)
	s.put(len(dist.lengths)-1, 5)
	s.put(19-4, 4)
	for _, symbol := range order {
		s.put(meta.lengths[symbol], 3)
	}
	all := slices.Concat(lit.lengths, dist.lengths)
	for i := 0; i < len(all); {
		same := 1
		for i+same < len(all) && all[i+same] == all[i] {
			same++
		}
		switch {
		case runs && all[i] == 0 && same >= 11:
			same = min(same, 138)
			s.symbol(meta, 18)
			s.put(same-11, 7)
		case runs && all[i] == 0 && same >= 3:
			s.symbol(meta, 17)
			s.put(same-3, 3)
		case runs && i > 0 && all[i] == all[i-1] && same >= 3:
			same = min(same, 6)
			s.symbol(meta, 16)
			s.put(same-3, 2)
		default:
			s.symbol(meta, all[i])
			same = 1
		}
		i += same
	}
}

// match writes a length and a distance (RFC 1951, section 3.2.5).
func (s *stream) match(lit, dist code, length, distance int) {
	symbol, base, extra := 285, 258, 0
	if length < 258 {
		symbol, base = 257, 3
		for {
			extra = max(0, (symbol-257)/4-1)
			if length < base+1<<extra {
				break
			}
			base += 1 << extra
			symbol++
		}
	}
	s.symbol(lit, symbol)
	s.put(length-base, extra)
	symbol, base = 0, 1
	for {
		extra = max(0, symbol/2-1)
		if distance < base+1<<extra {
			break
		}
		base += 1 << extra
		symbol++
	}
	s.symbol(dist, symbol)
	s.put(distance-base, extra)
}

// randomCode makes a code for so many of n symbols, among them
// the one that must be.
func randomCode(chance *rand.Rand, n, used, must int) code {
	depths := []int{0}
	for len(depths) < used {
		i := chance.IntN(len(depths))
		if chance.IntN(3) > 0 {
			i = len(depths) - 1 // makes codes longer
		}
		if depths[i] < 15 {
			depths[i]++
			depths = append(depths, depths[i])
		}
	}
	list := make([]int, n)
	list[must] = depths[0]
	for _, symbol := range chance.Perm(n) {
		if len(depths) == 1 {
			break
		}
		if symbol != must {
			list[symbol] = depths[len(depths)-1]
			depths = depths[:len(depths)-1]
		}
	}
	return codeOf(list...)
}

// randomStream writes blocks of all kinds with codes of all kinds.
func randomStream(chance *rand.Rand, blocks int) []byte {
	var s stream
	wrote := 0
	for i := range blocks {
		last := i == blocks-1
		kind := chance.IntN(6)
		if kind == 0 {
			content := make([]byte, chance.IntN(1<<chance.IntN(17)))
			for i := range content {
				content[i] = byte(chance.Uint32())
			}
			s.stored(last, content)
			wrote += len(content)
			continue
		}
		lit, dist := fixedLit, fixedDist
		if kind == 1 {
			s.begin(last, 1)
		} else {
			s.begin(last, 2)
			lit = randomCode(chance, 257+chance.IntN(30), 2+chance.IntN(250), 256)
			dist = randomCode(chance, 2+chance.IntN(29), 2, 0)
			if n := len(dist.lengths); n > 4 {
				dist = randomCode(chance, n, 2+chance.IntN(n-2), 0)
			}
			s.codes(lit, dist, chance.IntN(2) == 0)
		}
		var literals, matches []int
		for symbol, n := range lit.lengths[:min(len(lit.lengths), 286)] {
			switch {
			case n == 0 || symbol == 256:
			case symbol < 256:
				literals = append(literals, symbol)
			default:
				matches = append(matches, symbol)
			}
		}
		var distances []int
		for symbol, n := range dist.lengths[:min(len(dist.lengths), 30)] {
			if n > 0 {
				distances = append(distances, symbol)
			}
		}
		for range chance.IntN(1 << chance.IntN(14)) {
			if len(matches) > 0 && chance.IntN(2) == 0 {
				symbol := distances[chance.IntN(len(distances))]
				distExtra := max(0, symbol/2-1)
				more := chance.IntN(1 << distExtra)
				if distanceOf(symbol)+more <= wrote {
					length := matches[chance.IntN(len(matches))]
					extra := max(0, (length-257)/4-1)
					if length == 285 {
						extra = 0
					}
					s.symbol(lit, length)
					v := chance.IntN(1 << extra)
					s.put(v, extra)
					s.symbol(dist, symbol)
					s.put(more, distExtra)
					wrote += lengthOf(length) + v
					continue
				}
			}
			if len(literals) > 0 {
				s.symbol(lit, literals[chance.IntN(len(literals))])
				wrote++
			}
		}
		s.symbol(lit, 256)
	}
	return s.end()
}

func distanceOf(symbol int) int {
	base := 1
	for i := range symbol {
		base += 1 << max(0, i/2-1)
	}
	return base
}

func lengthOf(symbol int) int {
	if symbol == 285 {
		return 258
	}
	base := 3
	for i := range symbol - 257 {
		base += 1 << max(0, i/4-1)
	}
	return base
}

var header = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// member makes a file of compressed data, with the right trailer where
// compress/flate can read it.
func member(t testing.TB, body []byte) []byte {
	t.Helper()
	plain, _ := io.ReadAll(flate.NewReader(bytes.NewReader(body)))
	file := append(bytes.Clone(header), body...)
	file = binary.LittleEndian.AppendUint32(file, crc32.ChecksumIEEE(plain))
	return binary.LittleEndian.AppendUint32(file, uint32(len(plain)))
}
