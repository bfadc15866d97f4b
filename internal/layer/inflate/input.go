package inflate

import (
	"encoding/binary"
	"io"
)

const inputSize = 16 << 10

// input is the compressed data, as bytes or as bits.
type input struct {
	source io.Reader
	later  error // of the source, after bytes

	bytes [inputSize]byte
	next  int // bytes[next:end] are unread
	end   int

	// bits are the bits before bytes[next]; the first is the lowest. Above the
	// count of them may be some that come next.
	bits  uint64
	count uint
}

// fill reads some bytes once there are none left.
func (in *input) fill() error {
	in.next, in.end = 0, 0
	for range 100 {
		if in.later != nil {
			return in.later
		}
		var n int
		n, in.later = in.source.Read(in.bytes[:])
		in.end += n
		if n > 0 {
			return nil
		}
	}
	return io.ErrNoProgress
}

// unread returns bytes that are not read yet; there must be no bits.
func (in *input) unread() ([]byte, error) {
	if in.next == in.end {
		if err := in.fill(); err != nil {
			return nil, err
		}
	}
	return in.bytes[in.next:in.end], nil
}

// full fills p with bytes; there must be no bits. The error is io.EOF where
// there is not one byte.
func (in *input) full(p []byte) error {
	for n := 0; n < len(p); {
		unread, err := in.unread()
		if err != nil {
			if n > 0 {
				err = cutOff(err)
			}
			return err
		}
		got := copy(p[n:], unread)
		in.next += got
		n += got
	}
	return nil
}

// need makes sure of n bits, 56 at most.
func (in *input) need(n uint) error {
	if in.count >= n {
		return nil
	}
	return in.more(n)
}

func (in *input) more(n uint) error {
	if in.end-in.next >= 8 {
		in.bits |= binary.LittleEndian.Uint64(in.bytes[in.next:]) << (in.count & 63)
		in.next += 7 - int(in.count/8)
		in.count |= 56
		return nil
	}
	for in.count < n {
		if in.next == in.end {
			if err := in.fill(); err != nil {
				return cutOff(err)
			}
		}
		in.bits |= uint64(in.bytes[in.next]) << (in.count & 63)
		in.next++
		in.count += 8
	}
	return nil
}

// take takes n bits that need has made sure of.
func (in *input) take(n uint) uint {
	v := uint(in.bits) & (1<<(n&63) - 1)
	in.bits >>= n & 63
	in.count -= n
	return v
}

// code looks at the next code, and wants no more bits than that has.
func (in *input) code(table []entry, tableBits uint, odd entry) (entry, error) {
	for {
		e := table[in.bits&(1<<(tableBits&63)-1)]
		if e&odd != 0 && e&isSecond != 0 {
			e = table[secondIndex(e, in.bits>>(tableBits&63))]
		}
		if uint(e>>codeShift&maxBits) <= in.count {
			return e, nil
		}
		if err := in.more(in.count + 1); err != nil {
			return 0, err
		}
	}
}

// align drops the bits that are left of a byte. What was read beyond it is in
// bytes still: of what fill brings, more takes a bit only where it needs one.
func (in *input) align() {
	in.next -= int(in.count / 8)
	in.bits, in.count = 0, 0
}

// cutOff is what an error is in the middle of something.
func cutOff(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
