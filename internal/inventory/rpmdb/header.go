package rpmdb

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"path"
)

// Package is one installed package.
type Package struct {
	Name, Version, Release, Arch string
	// Epoch is 0 where HasEpoch is false.
	Epoch    uint32
	HasEpoch bool
	// SourceRPM is the file name of the source package, Vendor who built it,
	// ModularityLabel the module stream ("nodejs:18:8080020230921:abc").
	SourceRPM, Vendor, License, ModularityLabel string
	// SigningKey is the id of the key that signed it, 16 hexadecimal digits; "" where unsigned.
	SigningKey string
	// Index is the number of its record in the database.
	Index int

	header header
}

// Tags of the header
// (https://rpm-software-management.github.io/rpm/manual/tags.html).
const (
	tagSigPGP          = 259
	tagSigGPG          = 262
	tagDSAHeader       = 267
	tagRSAHeader       = 268
	tagName            = 1000
	tagVersion         = 1001
	tagRelease         = 1002
	tagEpoch           = 1003
	tagVendor          = 1011
	tagLicense         = 1014
	tagArch            = 1022
	tagOldFileNames    = 1027
	tagSourceRPM       = 1044
	tagDirIndexes      = 1116
	tagBaseNames       = 1117
	tagDirNames        = 1118
	tagModularityLabel = 5096
)

// Types of a tag's value.
const (
	typeInt32       = 4
	typeString      = 6
	typeBin         = 7
	typeStringArray = 8
	typeI18NString  = 9
)

// header is a header as it is stored: the number of entries and of bytes of data,
// entries of tag, type, offset and count, and the data; all big-endian
// (https://rpm-software-management.github.io/rpm/manual/format_header.html).
type header struct {
	entries map[uint32]entry
	data    []byte
}

type entry struct {
	kind, offset, count uint32
}

func parse(blob []byte) (*Package, error) {
	const intro, width, maxEntries = 8, 16, 65_535
	if len(blob) < intro {
		return nil, errors.New("the header is cut off")
	}
	n, size := binary.BigEndian.Uint32(blob), binary.BigEndian.Uint32(blob[4:])
	if n > maxEntries || int64(intro)+int64(n)*width+int64(size) > int64(len(blob)) {
		return nil, fmt.Errorf("the header claims %d entries and %d bytes of data, in %d bytes", n, size, len(blob))
	}
	h := header{entries: make(map[uint32]entry, 24), data: blob[intro+n*width:][:size]}
	for i := range n {
		e := blob[intro+i*width:]
		switch tag := binary.BigEndian.Uint32(e); tag {
		case tagSigPGP, tagSigGPG, tagDSAHeader, tagRSAHeader, tagName, tagVersion, tagRelease, tagEpoch, tagVendor, tagLicense, tagArch,
			tagOldFileNames, tagSourceRPM, tagDirIndexes, tagBaseNames, tagDirNames, tagModularityLabel:
			h.entries[tag] = entry{binary.BigEndian.Uint32(e[4:]), binary.BigEndian.Uint32(e[8:]), binary.BigEndian.Uint32(e[12:])}
		}
	}
	p := &Package{
		Name: h.text(tagName), Version: h.text(tagVersion), Release: h.text(tagRelease), Arch: h.text(tagArch),
		SourceRPM: h.text(tagSourceRPM), Vendor: h.text(tagVendor), License: h.text(tagLicense), ModularityLabel: h.text(tagModularityLabel),
		header: h,
	}
	if epochs := h.numbers(tagEpoch); len(epochs) >= 4 {
		p.Epoch, p.HasEpoch = binary.BigEndian.Uint32(epochs), true
	}
	for _, tag := range []uint32{tagRSAHeader, tagDSAHeader, tagSigPGP, tagSigGPG} {
		if p.SigningKey = signer(h.bytes(tag)); p.SigningKey != "" {
			break
		}
	}
	if p.Name == "" || p.Version == "" {
		return nil, fmt.Errorf("a package of name %q and version %q", p.Name, p.Version)
	}
	return p, nil
}

// at is the data from where a tag's value starts.
func (h header) at(tag uint32, kinds ...uint32) ([]byte, entry, bool) {
	e, ok := h.entries[tag]
	if !ok || uint64(e.offset) > uint64(len(h.data)) {
		return nil, e, false
	}
	for _, kind := range kinds {
		if e.kind == kind {
			return h.data[e.offset:], e, true
		}
	}
	return nil, e, false
}

// text is a tag's string, the first of several.
func (h header) text(tag uint32) string {
	data, _, ok := h.at(tag, typeString, typeI18NString, typeStringArray)
	if !ok {
		return ""
	}
	end := bytes.IndexByte(data, 0)
	if end < 0 {
		return ""
	}
	return string(data[:end])
}

// numbers are a tag's 32-bit numbers, four bytes each.
func (h header) numbers(tag uint32) []byte {
	data, e, ok := h.at(tag, typeInt32)
	if !ok || 4*uint64(e.count) > uint64(len(data)) {
		return nil
	}
	return data[:4*e.count]
}

func (h header) bytes(tag uint32) []byte {
	data, e, ok := h.at(tag, typeBin)
	if !ok || uint64(e.count) > uint64(len(data)) {
		return nil
	}
	return data[:e.count]
}

// texts yields a tag's strings, as many as are there.
func (h header) texts(tag uint32) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		data, e, ok := h.at(tag, typeStringArray, typeString)
		for i := uint32(0); ok && i < e.count; i++ {
			end := bytes.IndexByte(data, 0)
			if end < 0 || !yield(data[:end]) {
				return
			}
			data = data[end+1:]
		}
	}
}

// Files yields the paths that the package brought, relative to the root.
func (p *Package) Files() iter.Seq[string] {
	return func(yield func(string) bool) {
		var dirs []string
		for dir := range p.header.texts(tagDirNames) {
			dirs = append(dirs, string(dir))
		}
		indexes := p.header.numbers(tagDirIndexes)
		i := 0
		for base := range p.header.texts(tagBaseNames) {
			if 4*i+4 > len(indexes) {
				break
			}
			dir := binary.BigEndian.Uint32(indexes[4*i:])
			i++
			if uint64(dir) < uint64(len(dirs)) && !yield(path.Join("/", dirs[dir], string(base))[1:]) {
				return
			}
		}
		for name := range p.header.texts(tagOldFileNames) {
			if !yield(path.Join("/", string(name))[1:]) {
				return
			}
		}
	}
}

// signer is the id of the key of an OpenPGP signature packet (RFC 4880, sections
// 4.2 and 5.2).
func signer(packet []byte) string {
	if len(packet) < 2 || packet[0]&0x80 == 0 {
		return ""
	}
	var body []byte
	if packet[0]&0x40 == 0 { // the old format
		length := 1 << (packet[0] & 3)
		if packet[0]&3 == 3 || len(packet) < 1+length {
			return ""
		}
		body = packet[1+length:]
	} else {
		switch l := packet[1]; {
		case l < 192:
			body = packet[2:]
		case l < 224 && len(packet) >= 3:
			body = packet[3:]
		case l == 255 && len(packet) >= 6:
			body = packet[6:]
		}
	}
	switch {
	case len(body) >= 15 && body[0] == 3:
		return hex.EncodeToString(body[7:15])
	case len(body) >= 6 && body[0] == 4:
		hashed, rest := subpackets(body[4:])
		unhashed, _ := subpackets(rest)
		for _, area := range [][]byte{hashed, unhashed} {
			if id := issuer(area); id != "" {
				return id
			}
		}
	}
	return ""
}

// subpackets cuts an area of subpackets off.
func subpackets(b []byte) (area, rest []byte) {
	if len(b) < 2 {
		return nil, nil
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > len(b)-2 {
		return nil, nil
	}
	return b[2 : 2+n], b[2+n:]
}

// issuer finds the subpackets "issuer" (16) and "issuer fingerprint" (33).
func issuer(area []byte) string {
	for len(area) > 1 {
		n, skip := int(area[0]), 1
		switch {
		case area[0] >= 192 && area[0] < 255 && len(area) > 1:
			n, skip = (int(area[0])-192)<<8+int(area[1])+192, 2
		case area[0] == 255 && len(area) > 4:
			n, skip = int(binary.BigEndian.Uint32(area[1:])), 5
		}
		if n < 1 || n > len(area)-skip {
			return ""
		}
		content := area[skip : skip+n]
		switch kind := content[0] & 0x7f; {
		case kind == 16 && len(content) == 9:
			return hex.EncodeToString(content[1:])
		case kind == 33 && len(content) >= 10:
			return hex.EncodeToString(content[len(content)-8:])
		}
		area = area[skip+n:]
	}
	return ""
}
