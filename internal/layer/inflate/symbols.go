package inflate

import "encoding/binary"

const (
	history = 32 << 10 // how far back a distance can reach
	// slack is what a turn of fast may write: two literals, the longest match,
	// and what a copy in large steps writes beyond it.
	slack    = 2 + 258 + 15
	full     = history + 32<<10
	dataSize = full + slack
	// margin is what a turn of fast may look at: two times 8 bytes.
	margin = 16
)

// window is the data as far as it is needed: what was read last.
type window struct {
	data  [dataSize]byte
	begin int // of the member
	given int // to the caller of Read
	wrote int
}

// makeRoom forgets what is of no use any more, when all has been given.
func (w *window) makeRoom() {
	if w.wrote < full {
		return
	}
	gone := w.wrote - history
	copy(w.data[:history], w.data[gone:w.wrote])
	w.begin = max(0, w.begin-gone)
	w.given, w.wrote = history, history
}

// symbols reads symbols until the block ends or the window is full.
func (r *Reader) symbols() error {
	for r.wrote < full {
		read := r.symbol
		if r.end-r.next >= margin {
			read = r.fast
		}
		ended, err := read()
		if ended {
			r.endBlock()
		}
		if ended || err != nil {
			return err
		}
	}
	return nil
}

// symbol reads one symbol, whatever there is of it.
func (r *Reader) symbol() (ended bool, err error) {
	e, err := r.code(r.codes.lit[:], litBits, oddLit)
	if err != nil {
		return false, err
	}
	code := uint(e >> codeShift & maxBits)
	r.take(code)
	switch {
	case e&isLiteral != 0:
		r.data[r.wrote] = byte(e >> baseShift)
		r.wrote++
		return false, nil
	case e&oddLit != 0 && e&isInvalid != 0:
		return false, ErrData
	case e&oddLit != 0:
		return true, nil
	}
	extra := uint(e&63) - code
	if err := r.need(extra); err != nil {
		return false, err
	}
	length := int(e>>lengthShift) + int(r.take(extra))

	if e, err = r.code(r.codes.dist[:], distBits, oddDist); err != nil {
		return false, err
	}
	if e&oddDist != 0 {
		return false, ErrData
	}
	code = uint(e >> codeShift & maxBits)
	r.take(code)
	extra = uint(e&63) - code
	if err := r.need(extra); err != nil {
		return false, err
	}
	distance := int(e>>baseShift) + int(r.take(extra))
	if distance > r.wrote-r.begin {
		return false, ErrData
	}
	for range length {
		r.data[r.wrote] = r.data[r.wrote-distance]
		r.wrote++
	}
	return false, nil
}

// fast reads symbols while there is a margin to read and room to write, so that
// it needs to look for neither on the way. A turn is up to three literals, or up
// to two and a match: 56 bits are enough for three codes of litBits, or for two,
// a length (20 bits), and the first bits of a distance.
//
// It is written this way and that for the compiler: what changes is in local
// variables, and the conditions prove most indexes to be within their arrays.
func (r *Reader) fast() (ended bool, err error) {
	in, out, lit, dist := &r.bytes, &r.data, &r.codes.lit, &r.codes.dist
	next, last, bits, count := r.next, r.end-margin, r.bits, uint8(r.count)
	wrote, begin := r.wrote, r.begin

turns:
	for uint(next) <= inputSize-margin && next <= last && uint(wrote) < full {
		next, bits, count = refill(in, next, bits, count)
		e := lit[bits&(1<<litBits-1)]
		for again := true; again && uint(wrote) < full; {
			if int32(e) < 0 { // isLiteral
				out[wrote] = byte(e >> baseShift)
				wrote++
				bits >>= e & 63
				count -= uint8(e)
				e = lit[bits&(1<<litBits-1)]
				if int32(e) < 0 {
					out[wrote] = byte(e >> baseShift)
					wrote++
					bits >>= e & 63
					count -= uint8(e)
					e = lit[bits&(1<<litBits-1)]
					if int32(e) < 0 {
						out[wrote] = byte(e >> baseShift)
						wrote++
						bits >>= e & 63
						count -= uint8(e)
						continue turns
					}
				}
			}
			if e&oddLit != 0 {
				if e&isSecond != 0 {
					e = lit[secondIndex(e, bits>>litBits)&(litTable-1)]
				}
				switch {
				case int32(e) < 0:
					out[wrote] = byte(e >> baseShift)
					wrote++
					bits >>= e & 63
					count -= uint8(e)
					continue turns
				case e&oddLit == 0: // a length
				case e&isInvalid != 0:
					err = ErrData
					break turns
				default:
					bits >>= e & 63
					count -= uint8(e)
					ended = true
					break turns
				}
			}
			length := int(e>>lengthShift) + int(uint32(bits>>(e>>codeShift&maxBits))&(e>>maskShift&31))
			bits >>= e & 63
			count -= uint8(e)

			if count < maxBits+13 {
				next, bits, count = refill(in, next, bits, count)
			}
			e = dist[bits&(1<<distBits-1)]
			if int32(e) < 0 { // oddDist
				if e&isSecond != 0 {
					e = dist[secondIndex(e, bits>>distBits)&(distTable-1)]
				}
				if int32(e) < 0 {
					err = ErrData
					break turns
				}
			}
			distance := int(e>>baseShift) + int(bits&(1<<(e&63)-1)>>(e>>codeShift&maxBits))
			bits >>= e & 63
			count -= uint8(e)
			from, end := wrote-distance, wrote+length
			if from < begin || uint(from) > full {
				err = ErrData
				break turns
			}

			// The next turn begins here, so that the processor need not wait for
			// the copy.
			if again = next <= last; again && uint(next) <= inputSize-margin {
				next, bits, count = refill(in, next, bits, count)
				e = lit[bits&(1<<litBits-1)]
			}
			// A copy writes whole steps, also where the last reaches beyond the end.
			step := distance
			switch {
			case distance >= 16:
				*(*[16]byte)(out[wrote : wrote+16]) = *(*[16]byte)(out[from : from+16])
				for wrote += 16; wrote < end; wrote += 16 {
					from += 16
					*(*[16]byte)(out[wrote : wrote+16]) = *(*[16]byte)(out[from : from+16])
				}
			case distance == 1:
				v := uint64(out[from]) * 0x0101010101010101
				for ; wrote < end; wrote += 8 {
					binary.LittleEndian.PutUint64(out[wrote:wrote+8], v)
				}
			case distance < 8:
				for i := range 8 {
					out[wrote+i] = out[from+i]
				}
				wrote += 8
				// What repeats after distance bytes repeats after a multiple of them.
				step = int(multiples[distance])
				fallthrough
			default:
				for ; wrote < end; wrote += 8 {
					binary.LittleEndian.PutUint64(out[wrote:wrote+8], binary.LittleEndian.Uint64(out[wrote-step:wrote-step+8]))
				}
			}
			wrote = end
		}
	}
	r.next, r.bits, r.count, r.wrote = next, bits, uint(count), wrote
	return ended, err
}

// refill adds what follows to bits, so that there are 56 of them or more.
func refill(in *[inputSize]byte, next int, bits uint64, count uint8) (int, uint64, uint8) {
	bits |= binary.LittleEndian.Uint64(in[next:next+8]) << (count & 63)
	return next + 7 - int(count>>3&7), bits, count | 56
}

// multiples has, for each distance below 8, its first multiple from 8 on.
var multiples = [8]uint8{0, 8, 8, 9, 8, 10, 12, 14}
