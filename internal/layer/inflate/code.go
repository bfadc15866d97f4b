package inflate

import (
	"math/bits"
	"slices"
)

// Sizes of the tables. A code of up to litBits (distBits) bits takes one look; a
// longer one takes two, the second into a table behind the first. All of them
// together have at most 2,342 (402) entries; the sizes are powers of two so that
// an index needs no check.
const (
	maxBits   = 15 // of a code
	litBits   = 11
	distBits  = 8
	metaBits  = 7
	litTable  = 4096
	distTable = 512
	metaTable = 1 << metaBits

	litSymbols  = 288
	distSymbols = 32
	metaSymbols = 19
)

// entry says what a code stands for, packed so that shifts take it apart:
//
//	bits 0-7    how many bits to consume: the code and the extra bits behind it
//	bits 8-11   how many of these are the code
//	bits 16-23  a literal, where isLiteral is set
//	bits 16-20  a mask of a length's extra bits, and
//	bits 22-30  its base
//	bits 16-30  a distance's base
//
// Of lengths and literals oddLit is set, and of distances oddDist, where it is
// none of these: isInvalid, or, where isSecond is set, one that is found in a
// second table (which begins at bits 16-27, and has bits 8-11 of index), or else
// the end of the block.
type entry = uint32

const (
	isLiteral entry = 1 << 31
	oddLit    entry = 1 << 14
	oddDist   entry = 1 << 31
	isSecond  entry = 1 << 29
	isInvalid entry = 1 << 28

	codeShift   = 8
	baseShift   = 16
	maskShift   = 16
	lengthShift = 22

	oneBit = 1<<codeShift | 1 // more of a code
)

// codes are the two codes of a block.
type codes struct {
	lit  [litTable]entry
	dist [distTable]entry
}

// What the symbols stand for, as entries without a code (RFC 1951, section 3.2.5).
var (
	litEntries  = makeLitEntries()
	distEntries = makeDistEntries()
	metaEntries = makeMetaEntries()
)

func makeLitEntries() (table [litSymbols]entry) {
	for i := range 256 {
		table[i] = isLiteral | entry(i)<<baseShift
	}
	table[256] = oddLit
	base := 3
	for i := range 28 {
		extra := max(0, i/4-1)
		table[257+i] = entry(base)<<lengthShift | entry(1<<extra-1)<<maskShift | entry(extra)
		base += 1 << extra
	}
	table[285] = 258 << lengthShift
	table[286], table[287] = oddLit|isInvalid, oddLit|isInvalid
	return table
}

func makeDistEntries() (table [distSymbols]entry) {
	base := 1
	for i := range 30 {
		extra := max(0, i/2-1)
		table[i] = entry(base)<<baseShift | entry(extra)
		base += 1 << extra
	}
	table[30], table[31] = oddDist|isInvalid, oddDist|isInvalid
	return table
}

func makeMetaEntries() (table [metaSymbols]entry) {
	for i := range table {
		table[i] = entry(i) << baseShift
	}
	return table
}

// makeFixed makes the codes of blocks that bring none (RFC 1951, section 3.2.6).
func makeFixed() *codes {
	lengths := slices.Concat(slices.Repeat([]uint8{8}, 144), slices.Repeat([]uint8{9}, 112),
		slices.Repeat([]uint8{7}, 24), slices.Repeat([]uint8{8}, 8))
	c := new(codes)
	makeTable(c.lit[:], litBits, lengths, litEntries[:], oddLit)
	makeTable(c.dist[:], distBits, slices.Repeat([]uint8{5}, distSymbols), distEntries[:], oddDist)
	return c
}

// makeTable fills the table of a code that is given by the lengths of its
// symbols' codes (RFC 1951, section 3.2.2). It reports false where these are too
// many or, with two exceptions that encoders make, too few: one symbol whose
// code is one bit, and none at all.
func makeTable(table []entry, tableBits uint, lengths []uint8, entries []entry, odd entry) bool {
	var count [maxBits + 1]int
	for _, n := range lengths {
		count[n]++
	}
	used := 0 // of 1<<maxBits
	var place [maxBits + 2]int
	for n := 1; n <= maxBits; n++ {
		used += count[n] << (maxBits - n)
		place[n+1] = place[n] + count[n]
	}
	total := place[maxBits+1]
	if used != 1<<maxBits {
		if total > 1 || total != count[1] {
			return false
		}
		table = table[:1<<tableBits]
		for i := range table {
			table[i] = odd | isInvalid
		}
		if total == 1 {
			only := entries[slices.Index(lengths, 1)] + oneBit
			for i := 0; i < len(table); i += 2 {
				table[i] = only
			}
		}
		return true
	}

	// The symbols in the order of their codes.
	var sorted [litSymbols]uint16
	for symbol, n := range lengths {
		if n > 0 {
			sorted[place[n]] = uint16(symbol)
			place[n]++
		}
	}

	// The table for codes of up to n bits, twice, is that for n + 1, but for the
	// codes of n + 1 bits. The first bit of a code is the lowest of an index.
	code, size, next := uint(0), 1, 0
	for n := uint(1); n <= tableBits; n++ {
		copy(table[size:2*size], table[:size])
		size *= 2
		for range count[n] {
			table[code] = entries[sorted[next]] + entry(n)*oneBit
			code = successor(code, n)
			next++
		}
	}
	makeSecond(table, tableBits, code, sorted[next:total], lengths, entries, odd)
	return true
}

// makeSecond makes the second tables, for the symbols whose codes are longer
// than tableBits, of which code is the first.
func makeSecond(table []entry, tableBits, code uint, sorted []uint16, lengths []uint8, entries []entry, odd entry) {
	mask := uint(1)<<tableBits - 1
	prefix, start, size := ^uint(0), 0, 1<<tableBits
	for i, symbol := range sorted {
		n := uint(lengths[symbol])
		if code&mask != prefix {
			// The table has as many bits as the codes that fill it need.
			indexBits := n - tableBits
			room := 1 << indexBits
			for _, other := range sorted[i:] {
				for more := uint(lengths[other]) - tableBits; indexBits < more; indexBits++ {
					room *= 2
				}
				if room--; room == 0 {
					break
				}
			}
			prefix, start, size = code&mask, start+size, 1<<indexBits
			table[prefix] = odd | isSecond | entry(start)<<baseShift | entry(indexBits)<<codeShift
		}
		e := entries[symbol] + entry(n)*oneBit
		for at := int(code >> tableBits); at < size; at += 1 << (n - tableBits) {
			table[start+at] = e
		}
		code = successor(code, n)
	}
}

// secondIndex is where e's second table has the entry of what follows in bits.
func secondIndex(e entry, bits uint64) uint64 {
	return uint64(e>>baseShift&(litTable-1)) + bits&(1<<(e>>codeShift&maxBits)-1)
}

// successor adds 1 to a code of n bits, the last of which is the highest.
func successor(code, n uint) uint {
	zeros := ^code & (1<<n - 1)
	if zeros == 0 {
		return 0
	}
	top := uint(1) << (bits.Len(zeros) - 1)
	return code&(top-1) | top
}
