package rpmdb

import (
	"encoding/binary"
	"fmt"
)

// Berkeley DB's pages (dbinc/db_page.h of Berkeley DB 5.3).
const (
	bdbHashMagic   = 0x061561
	bdbHashMeta    = 8
	bdbHashOld     = 2
	bdbHash        = 13
	bdbOverflow    = 7
	bdbPageHeader  = 26
	bdbItemInline  = 1
	bdbItemOffpage = 3
)

func bdbOrder(head []byte) (binary.ByteOrder, bool) {
	if len(head) < 72 {
		return nil, false
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if order.Uint32(head[12:]) == bdbHashMagic {
			return order, true
		}
	}
	return nil, false
}

func isBDB(head []byte) bool {
	_, ok := bdbOrder(head)
	return ok
}

// bdb reads every page of a hash: its buckets do not matter, only what is in them.
func (d *database) bdb(head []byte) error {
	order, _ := bdbOrder(head)
	size := int64(order.Uint32(head[20:]))
	if size < 512 || size > 64<<10 || size&(size-1) != 0 || head[25] != bdbHashMeta {
		d.problem("page 0", "a page size of %d bytes, a page of type %d", size, head[25])
		return nil
	}
	last := int64(order.Uint32(head[32:]))
	if pages := d.size / size; last >= pages {
		d.problem("page 0", "%d pages are announced, and %d are there", last+1, pages)
		last = pages - 1
	}
	page := make([]byte, size)
	overflow := make([]byte, size)
	index := 0
	for number := int64(1); number <= last; number++ {
		if ok, err := d.read(page, number*size); err != nil {
			return err
		} else if !ok {
			d.problem(fmt.Sprintf("page %d", number), "it is cut off")
			return nil
		}
		if page[25] != bdbHash && page[25] != bdbHashOld {
			continue
		}
		entries := int(order.Uint16(page[20:]))
		if bdbPageHeader+2*entries > len(page) {
			d.problem(fmt.Sprintf("page %d", number), "it claims %d items", entries)
			continue
		}
		// Keys and values take turns; items lie at the end of the page, the
		// first at its very end.
		for i := 1; i < entries; i += 2 {
			where := fmt.Sprintf("page %d, item %d", number, i)
			at, end := int(order.Uint16(page[bdbPageHeader+2*i:])), int(order.Uint16(page[bdbPageHeader+2*(i-1):]))
			if at < bdbPageHeader || at >= end || end > len(page) {
				d.problem(where, "it lies outside of its page")
				continue
			}
			item := page[at:end]
			var blob []byte
			switch item[0] {
			case bdbItemInline:
				blob = item[1:]
			case bdbItemOffpage:
				if len(item) < 12 {
					d.problem(where, "it is too short")
					continue
				}
				var ok bool
				var err error
				if blob, ok, err = d.overflow(where, order, int64(order.Uint32(item[4:])), int64(order.Uint32(item[8:])), overflow); err != nil {
					return err
				} else if !ok {
					continue
				}
			default:
				d.problem(where, "it is of type %d", item[0])
				continue
			}
			if len(blob) <= 8 {
				continue // the number of the next package
			}
			index++
			if err := d.header(where, index, blob); err != nil {
				return err
			}
		}
	}
	return nil
}

// overflow gathers a value from a chain of pages.
func (d *database) overflow(where string, order binary.ByteOrder, number, length int64, page []byte) ([]byte, bool, error) {
	blob, ok := d.grow(where, length)
	if !ok {
		return nil, false, nil
	}
	filled := int64(0)
	for filled < length {
		if number == 0 {
			d.problem(where, "its chain of pages ends after %d of %d bytes", filled, length)
			return nil, false, nil
		}
		ok, err := d.read(page, number*int64(len(page)))
		if err != nil {
			return nil, false, err
		}
		used := order.Uint16(page[22:])
		// A page that holds nothing would let a circle go on for ever.
		if !ok || page[25] != bdbOverflow || used == 0 || bdbPageHeader+int(used) > len(page) {
			d.problem(where, "page %d is none of a chain", number)
			return nil, false, nil
		}
		filled += int64(copy(blob[filled:], page[bdbPageHeader:bdbPageHeader+int(used)]))
		number = int64(order.Uint32(page[16:]))
	}
	return blob, true, nil
}
