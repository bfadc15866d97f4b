package inflate

import (
	"encoding/binary"
	"sync"
)

// fixed returns the codes of blocks that bring none.
var fixed = sync.OnceValue(makeFixed)

// blocks is what is known of the block that is being read.
type blocks struct {
	last   bool   // of the member
	stored int    // bytes that are left of a block without compression
	codes  *codes // of any other; fixed or own
	own    codes
	meta   [metaTable]entry
}

// block reads the header of a block (RFC 1951, section 3.2.3).
func (r *Reader) block() error {
	if err := r.need(3); err != nil {
		return err
	}
	r.last = r.take(1) == 1
	switch r.take(2) {
	case 0:
		r.align()
		field := r.scratch[:4]
		if err := r.full(field); err != nil {
			return cutOff(err)
		}
		size := binary.LittleEndian.Uint16(field)
		if size != ^binary.LittleEndian.Uint16(field[2:]) {
			return ErrData
		}
		r.stored = int(size)
		r.step = (*Reader).copyStored
	case 1:
		r.codes = fixed()
		r.step = (*Reader).symbols
	case 2:
		if err := r.readCodes(); err != nil {
			return err
		}
		r.codes = &r.own
		r.step = (*Reader).symbols
	default:
		return ErrData
	}
	return nil
}

// endBlock goes on to what follows a block.
func (r *Reader) endBlock() {
	r.step = (*Reader).block
	if r.last {
		r.step = (*Reader).trailer
	}
}

// copyStored reads some of a block without compression (RFC 1951, section 3.2.4).
func (r *Reader) copyStored() error {
	if r.stored == 0 {
		r.endBlock()
		return nil
	}
	unread, err := r.unread()
	n := copy(r.data[r.wrote:], unread[:min(r.stored, len(unread))])
	r.next += n
	r.wrote += n
	r.stored -= n
	return cutOff(err)
}

// metaOrder is the order of the lengths of the codes for lengths.
var metaOrder = [metaSymbols]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// readCodes reads the codes that a block brings (RFC 1951, section 3.2.7).
func (r *Reader) readCodes() error {
	if err := r.need(5 + 5 + 4); err != nil {
		return err
	}
	literals, distances, metas := int(r.take(5))+257, int(r.take(5))+1, int(r.take(4))+4
	if literals > 286 || distances > 30 {
		return ErrData
	}
	var metaLengths [metaSymbols]uint8
	for _, symbol := range metaOrder[:metas] {
		if err := r.need(3); err != nil {
			return err
		}
		metaLengths[symbol] = uint8(r.take(3))
	}
	if !makeTable(r.meta[:], metaBits, metaLengths[:], metaEntries[:], oddDist) {
		return ErrData
	}
	var lengths [286 + 30]uint8
	all := lengths[:literals+distances]
	if err := r.readLengths(all); err != nil {
		return err
	}
	if !makeTable(r.own.lit[:], litBits, all[:literals], litEntries[:], oddLit) ||
		!makeTable(r.own.dist[:], distBits, all[literals:], distEntries[:], oddDist) {
		return ErrData
	}
	return nil
}

// readLengths reads the lengths of codes, which are coded themselves.
func (r *Reader) readLengths(lengths []uint8) error {
	for i := 0; i < len(lengths); {
		e, err := r.code(r.meta[:], metaBits, oddDist)
		if err != nil {
			return err
		}
		if e&oddDist != 0 {
			return ErrData
		}
		r.take(uint(e & maxBits))
		length, times, extra := uint8(e>>baseShift), 1, uint(0)
		switch length {
		case 16:
			if i == 0 {
				return ErrData
			}
			length, times, extra = lengths[i-1], 3, 2
		case 17:
			length, times, extra = 0, 3, 3
		case 18:
			length, times, extra = 0, 11, 7
		}
		if err := r.need(extra); err != nil {
			return err
		}
		times += int(r.take(extra))
		if times > len(lengths)-i {
			return ErrData
		}
		for range times {
			lengths[i] = length
			i++
		}
	}
	return nil
}
