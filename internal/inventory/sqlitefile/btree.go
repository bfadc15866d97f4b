package sqlitefile

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Types of pages of tables.
const (
	interior = 5
	leaf     = 13
)

// walk visits all rows of the table with that root page in order.
func (f *File) walk(root int64, row func(id int64, record []byte) error) error {
	f.visited = make(map[int64]bool)
	err := f.page(root, 0, row)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

func (f *File) page(number int64, depth int, row func(int64, []byte) error) error {
	where := fmt.Sprintf("page %d", number)
	if number < 1 || number > f.pages || f.visited[number] || depth > maxDepth {
		f.problem(where, "it is not there, or was read already, or the tree is deeper than %d pages", maxDepth)
		return nil
	}
	f.visited[number] = true
	for len(f.buffers) <= depth {
		f.buffers = append(f.buffers, make([]byte, f.pageSize))
	}
	page := f.buffers[depth]
	if ok, err := f.read(page, (number-1)*f.pageSize); err != nil {
		return err
	} else if !ok {
		f.problem(where, "it is cut off")
		return nil
	}
	head := page
	if number == 1 {
		head = page[100:]
	}
	kind, cells := head[0], int(binary.BigEndian.Uint16(head[3:]))
	pointers := head[8:]
	switch kind {
	case interior:
		pointers = head[12:]
	case leaf:
	default:
		f.problem(where, "it is of type %d", kind)
		return nil
	}
	if 2*cells > len(pointers) {
		f.problem(where, "it claims %d cells", cells)
		return nil
	}
	for i := range cells {
		at := int64(binary.BigEndian.Uint16(pointers[2*i:]))
		if at+4 > f.usable {
			f.problem(where, "cell %d lies outside of it", i)
			continue
		}
		if kind == interior {
			if err := f.page(int64(binary.BigEndian.Uint32(page[at:])), depth+1, row); err != nil {
				return err
			}
			continue
		}
		if err := f.cell(where, page, at, row); err != nil {
			return err
		}
	}
	if kind == interior {
		return f.page(int64(binary.BigEndian.Uint32(head[8:])), depth+1, row)
	}
	return nil
}

// cell reads one row, which may go on in a chain of pages.
func (f *File) cell(where string, page []byte, at int64, row func(int64, []byte) error) error {
	cell := page[at:f.usable]
	length, n := varint(cell)
	id, m := varint(cell[n:])
	if n == 0 || m == 0 {
		f.problem(where, "a cell is cut off")
		return nil
	}
	cell = cell[n+m:]
	local := length
	if most := f.usable - 35; length > most || length < 0 {
		least := (f.usable-12)*32/255 - 23
		if local = least + (length-least)%(f.usable-4); local > most {
			local = least
		}
	}
	if local < 0 || local > int64(len(cell)) || local < length && local+4 > int64(len(cell)) {
		f.problem(where, "row %d claims %d bytes", id, length)
		return nil
	}
	if local == length {
		// The cells of a page may lie upon each other.
		if err := f.spend(length); err != nil {
			return err
		}
		return row(id, cell[:local])
	}
	where = fmt.Sprintf("row %d", id)
	if length > maxRow || length > f.size || length < 0 {
		f.problem(where, "it claims %d bytes", length) // which cannot be in the database
		return nil
	}
	if int64(cap(f.row)) < length {
		f.row = make([]byte, length)
	}
	record := f.row[:length]
	filled := int64(copy(record, cell[:local]))
	next := int64(binary.BigEndian.Uint32(cell[local:]))
	for filled < length {
		// Each page of the chain fills some of the row: a circle ends, too.
		chunk := min(length-filled, f.usable-4)
		var link [4]byte
		for _, part := range []struct {
			into []byte
			from int64
		}{{link[:], 0}, {record[filled : filled+chunk], 4}} {
			if next < 1 || next > f.pages {
				f.problem(where, "it goes on at page %d, which is not there", next)
				return nil
			}
			if ok, err := f.read(part.into, (next-1)*f.pageSize+part.from); err != nil {
				return err
			} else if !ok {
				f.problem(where, "it is cut off")
				return nil
			}
		}
		filled += chunk
		next = int64(binary.BigEndian.Uint32(link[:]))
	}
	return row(id, record)
}

// varint reads a big-endian number of up to nine bytes; n is 0 where it is cut off.
func varint(b []byte) (v int64, n int) {
	for i := 0; i < len(b) && i < 9; i++ {
		if i == 8 {
			return v<<8 | int64(b[i]), 9
		}
		v = v<<7 | int64(b[i]&0x7f)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}
