package rpmdb

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// NDB's layout (lib/backend/ndb/rpmpkg.c of RPM): pages of slots that say where
// the blob of each package is, in blocks of 16 bytes; all little-endian.
const (
	ndbPage  = 4096
	ndbBlock = 16
	ndbSlot  = 16
)

func (d *database) ndb(head []byte) error {
	if len(head) < 32 {
		d.problem("header", "it is cut off")
		return nil
	}
	pages := int64(binary.LittleEndian.Uint32(head[12:]))
	if pages == 0 || pages > d.size/ndbPage+1 {
		d.problem("header", "%d pages of slots are announced, in %d bytes", pages, d.size)
		pages = min(pages, d.size/ndbPage+1)
	}
	page := make([]byte, ndbPage)
	intro := make([]byte, 16)
	for number := range pages {
		n := min(int64(ndbPage), d.size-number*ndbPage)
		if n <= 0 {
			break
		}
		if ok, err := d.read(page[:n], number*ndbPage); err != nil || !ok {
			return err
		}
		first := int64(0)
		if number == 0 {
			first = 2 * ndbSlot // the header
		}
		for at := first; at+ndbSlot <= n; at += ndbSlot {
			slot := page[at : at+ndbSlot]
			index := binary.LittleEndian.Uint32(slot[4:])
			if index == 0 && bytes.HasPrefix(slot, []byte("Slot")) {
				continue
			}
			where := fmt.Sprintf("slot %d", number*ndbPage/ndbSlot+at/ndbSlot)
			if !bytes.HasPrefix(slot, []byte("Slot")) {
				d.problem(where, "it is no slot")
				break // of this page
			}
			offset := int64(binary.LittleEndian.Uint32(slot[8:])) * ndbBlock
			blocks := int64(binary.LittleEndian.Uint32(slot[12:]))
			if ok, err := d.read(intro, offset); err != nil {
				return err
			} else if !ok || !bytes.HasPrefix(intro, []byte("BlbS")) || binary.LittleEndian.Uint32(intro[4:]) != index {
				d.problem(where, "there is no package %d at byte %d", index, offset)
				continue
			}
			length := int64(binary.LittleEndian.Uint32(intro[12:]))
			if length > blocks*ndbBlock {
				d.problem(where, "package %d has %d bytes in %d blocks", index, length, blocks)
				continue
			}
			blob, ok := d.grow(where, length)
			if !ok {
				continue
			}
			if ok, err := d.read(blob, offset+int64(len(intro))); err != nil {
				return err
			} else if !ok {
				d.problem(where, "package %d is cut off", index)
				continue
			}
			if err := d.header(where, int(index), blob); err != nil {
				return err
			}
		}
	}
	return nil
}
