package rpmdb

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// sqlite reads the table Packages (hnum integer primary key, blob blob) of a
// SQLite database (https://www.sqlite.org/fileformat2.html), nothing else of it.
func (d *database) sqlite(head []byte) error {
	if len(head) < 100 {
		d.problem("header", "it is cut off")
		return nil
	}
	t := &btree{database: d, pageSize: int64(binary.BigEndian.Uint16(head[16:]))}
	if t.pageSize == 1 {
		t.pageSize = 65536
	}
	t.usable = t.pageSize - int64(head[20])
	if t.pageSize < 512 || t.pageSize&(t.pageSize-1) != 0 || t.usable < 480 {
		d.problem("header", "pages of %d bytes, %d of them reserved", t.pageSize, head[20])
		return nil
	}
	t.pages = (d.size + t.pageSize - 1) / t.pageSize
	root := int64(0)
	err := t.walk(1, func(_ int64, record []byte) error {
		columns, ok := fields(record)
		if ok && len(columns) >= 4 && columns[0].text() == "table" && strings.EqualFold(columns[1].text(), "Packages") {
			root = columns[3].number()
		}
		return nil
	})
	if err != nil {
		return err
	}
	if root == 0 {
		d.problem("schema", "there is no table of packages")
		return nil
	}
	t.visited = nil
	return t.walk(root, func(row int64, record []byte) error {
		where := fmt.Sprintf("row %d", row)
		columns, ok := fields(record)
		if !ok || len(columns) < 2 {
			d.problem(where, "it is no row of packages")
			return nil
		}
		return d.header(where, int(row), columns[1].content)
	})
}

// btree reads tables.
type btree struct {
	*database
	pageSize, usable, pages int64
	visited                 map[int64]bool
	buffers                 [][]byte // by depth
}

var errDeep = errors.New("the tree is deeper than 40 pages")

// walk visits all rows of a table in order.
func (t *btree) walk(root int64, row func(id int64, record []byte) error) error {
	t.visited = make(map[int64]bool)
	return t.page(root, 0, row)
}

func (t *btree) page(number int64, depth int, row func(int64, []byte) error) error {
	where := fmt.Sprintf("page %d", number)
	if number < 1 || number > t.pages || t.visited[number] || depth > 40 {
		t.problem(where, "it is not there, or was read already, or %s", errDeep)
		return nil
	}
	t.visited[number] = true
	for len(t.buffers) <= depth {
		t.buffers = append(t.buffers, make([]byte, t.pageSize))
	}
	page := t.buffers[depth]
	if ok, err := t.read(page, (number-1)*t.pageSize); err != nil {
		return err
	} else if !ok {
		t.problem(where, "it is cut off")
		return nil
	}
	head := page
	if number == 1 {
		head = page[100:]
	}
	kind, cells := head[0], int(binary.BigEndian.Uint16(head[3:]))
	pointers := head[8:]
	const interior, leaf = 5, 13
	switch kind {
	case interior:
		pointers = head[12:]
	case leaf:
	default:
		t.problem(where, "it is of type %d", kind)
		return nil
	}
	if 2*cells > len(pointers) {
		t.problem(where, "it claims %d cells", cells)
		return nil
	}
	for i := range cells {
		at := int64(binary.BigEndian.Uint16(pointers[2*i:]))
		if at+4 > t.usable {
			t.problem(where, "cell %d lies outside of it", i)
			continue
		}
		if kind == interior {
			if err := t.page(int64(binary.BigEndian.Uint32(page[at:])), depth+1, row); err != nil {
				return err
			}
			continue
		}
		if err := t.cell(where, page, at, row); err != nil {
			return err
		}
	}
	if kind == interior {
		return t.page(int64(binary.BigEndian.Uint32(head[8:])), depth+1, row)
	}
	return nil
}

// cell reads one row, which may go on in a chain of pages.
func (t *btree) cell(where string, page []byte, at int64, row func(int64, []byte) error) error {
	cell := page[at:t.usable]
	length, n := varint(cell)
	id, m := varint(cell[n:])
	if n == 0 || m == 0 {
		t.problem(where, "a cell is cut off")
		return nil
	}
	cell = cell[n+m:]
	local := length
	if most := t.usable - 35; length > most || length < 0 {
		least := (t.usable-12)*32/255 - 23
		if local = least + (length-least)%(t.usable-4); local > most {
			local = least
		}
	}
	if local < 0 || local > int64(len(cell)) || local < length && local+4 > int64(len(cell)) {
		t.problem(where, "row %d claims %d bytes", id, length)
		return nil
	}
	if local == length {
		return row(id, cell[:local])
	}
	record, ok := t.grow(fmt.Sprintf("row %d", id), length)
	if !ok {
		return nil
	}
	filled := int64(copy(record, cell[:local]))
	next := int64(binary.BigEndian.Uint32(cell[local:]))
	for filled < length {
		// Each page of the chain fills some of the row: a circle ends, too.
		chunk := min(length-filled, t.usable-4)
		var link [4]byte
		for _, part := range []struct {
			into []byte
			from int64
		}{{link[:], 0}, {record[filled : filled+chunk], 4}} {
			if next < 1 || next > t.pages {
				t.problem(where, "row %d goes on at page %d, which is not there", id, next)
				return nil
			}
			if ok, err := t.read(part.into, (next-1)*t.pageSize+part.from); err != nil {
				return err
			} else if !ok {
				t.problem(where, "row %d is cut off", id)
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

// field is one column of a record.
type field struct {
	kind    int64
	content []byte
}

func (f field) text() string {
	if f.kind < 13 || f.kind%2 == 0 {
		return ""
	}
	return string(f.content)
}

func (f field) number() (v int64) {
	if f.kind == 9 {
		return 1
	}
	if f.kind < 1 || f.kind > 6 {
		return 0
	}
	for _, b := range f.content {
		v = v<<8 | int64(b)
	}
	return v
}

// fields cuts a record into its columns; the first five, for no more matter.
func fields(record []byte) ([]field, bool) {
	size, n := varint(record)
	if n == 0 || size < int64(n) || size > int64(len(record)) {
		return nil, false
	}
	types, content := record[n:size], record[size:]
	var list []field
	for len(types) > 0 && len(list) < 5 {
		kind, n := varint(types)
		if n == 0 || kind < 0 {
			return nil, false
		}
		types = types[n:]
		length := []int64{0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0}
		size := (kind - 12) / 2
		if kind < 12 {
			size = length[kind]
		}
		if size > int64(len(content)) {
			return nil, false
		}
		list = append(list, field{kind, content[:size]})
		content = content[size:]
	}
	return list, true
}
