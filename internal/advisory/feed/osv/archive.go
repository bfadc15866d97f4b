package osv

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"

	"github.com/klauspost/compress/flate"

	"github.com/pratique/pratique/internal/advisory/feed"
)

// The bounds of an archive. npm's holds more than 200,000 records, most of them
// on malicious packages, and grows fast; a record on the Linux kernel of Ubuntu
// has half a megabyte, most of it a list of versions.
const (
	maxEntries  = 1_500_000
	maxRecord   = 16 << 20
	maxContents = 64 << 30
	// maxRatio is far above what lists of versions shrink by, and applies to
	// what is large enough to hurt.
	maxRatio   = 250
	smallEntry = 1 << 20
)

// errEntry is wrapped by errors for which one entry is left out; after any
// other the archive is not to be believed.
var errEntry = errors.New("entry left out")

// archive is a zip file (PKWARE's APPNOTE.TXT 6.3). archive/zip reads the whole
// directory before it can be asked how long it is, and keeps more than 200 bytes
// for an entry of 46: 50 MB for npm's, gigabytes for one that is made to hurt.
// This one passes over it.
type archive struct {
	at   io.ReaderAt
	size int64
	// entry reads entries.
	entry ahead
	// directory and length are the place of the directory, count its entries.
	directory, length, count int64

	packed   []byte
	unpacked bytes.Buffer
	inflater io.ReadCloser
}

// entry is what the directory says of a file.
type entry struct {
	name           string
	flags, method  uint16
	crc            uint32
	packed, length uint64
	// offset is that of the local header.
	offset uint64
}

const (
	signatureLocal     = 0x04034b50
	signatureEntry     = 0x02014b50
	signatureEnd       = 0x06054b50
	signatureEnd64     = 0x06064b50
	signatureLocator64 = 0x07064b50

	sizeLocal     = 30
	sizeEntry     = 46
	sizeEnd       = 22
	sizeEnd64     = 56
	sizeLocator64 = 20
)

var little = binary.LittleEndian

// openArchive finds the directory, which is at the end: an archive that is cut
// off has none.
func openArchive(at io.ReaderAt, size int64) (*archive, error) {
	a := &archive{at: at, size: size, entry: ahead{at: at}}
	tail := make([]byte, min(size, sizeEnd+math.MaxUint16))
	if _, err := at.ReadAt(tail, size-int64(len(tail))); err != nil && err != io.EOF {
		return nil, err
	}
	for i := len(tail) - sizeEnd; i >= 0; i-- {
		if little.Uint32(tail[i:]) != signatureEnd || int(little.Uint16(tail[i+20:])) != len(tail)-i-sizeEnd {
			continue
		}
		if err := a.end(tail[i:i+sizeEnd], size-int64(len(tail)-i)); err != nil {
			return nil, err
		}
		return a, nil
	}
	return nil, errors.New("it is no zip archive, or cut off: it has no directory")
}

// end reads the end of the directory, which is at a position.
func (a *archive) end(record []byte, position int64) error {
	disk, count := little.Uint16(record[4:]), uint64(little.Uint16(record[10:]))
	length, directory := uint64(little.Uint32(record[12:])), uint64(little.Uint32(record[16:]))
	if count == math.MaxUint16 || length == math.MaxUint32 || directory == math.MaxUint32 {
		record, at, err := a.end64(position)
		if err != nil {
			return err
		}
		if record != nil {
			position, disk = at, uint16(little.Uint32(record[16:]))
			count, length, directory = little.Uint64(record[32:]), little.Uint64(record[40:]), little.Uint64(record[48:])
		}
	}
	switch limit := uint64(position); {
	case disk != 0:
		return errors.New("the archive is one of several parts")
	case directory > limit || length > limit-directory || count*sizeEntry > length:
		return errors.New("the archive is damaged: its directory is not where it should be")
	case count > maxEntries:
		return fmt.Errorf("the archive has %d entries, the limit is %d", count, maxEntries)
	case count == 0:
		return errors.New("the archive is empty")
	}
	a.directory, a.length, a.count = int64(directory), int64(length), int64(count)
	return nil
}

// end64 reads the end of a directory that is too large for the fields of the
// old one; nil where there is none.
func (a *archive) end64(position int64) ([]byte, int64, error) {
	locator := make([]byte, sizeLocator64)
	if position < sizeLocator64 {
		return nil, 0, nil
	}
	if _, err := a.at.ReadAt(locator, position-sizeLocator64); err != nil {
		return nil, 0, err
	}
	if little.Uint32(locator) != signatureLocator64 {
		return nil, 0, nil
	}
	at := little.Uint64(locator[8:])
	if at > uint64(position-sizeLocator64) || uint64(position-sizeLocator64)-at < sizeEnd64 {
		return nil, 0, errors.New("the archive is damaged: the end of its directory is not where it should be")
	}
	record := make([]byte, sizeEnd64)
	if _, err := a.at.ReadAt(record, int64(at)); err != nil {
		return nil, 0, err
	}
	if little.Uint32(record) != signatureEnd64 {
		return nil, 0, errors.New("the archive is damaged: the end of its directory is not where it should be")
	}
	return record, int64(at), nil
}

// entries calls visit for each entry of the directory, in its order.
func (a *archive) entries(visit func(entry) error) error {
	in := bufio.NewReaderSize(io.NewSectionReader(a.at, a.directory, a.length), 1<<16)
	left, contents := uint64(a.size), uint64(0)
	for i := range a.count {
		e, err := readEntry(in)
		if err != nil {
			return fmt.Errorf("entry %d of the directory: %w", i+1, err)
		}
		// Entries that lie over one another make bombs of small archives.
		if e.packed > left {
			return fmt.Errorf("entry %q: the entries together are larger than the archive", e.name)
		}
		left -= e.packed
		if contents += min(e.length, maxRecord); contents > maxContents {
			return fmt.Errorf("entry %q: the contents are larger than %d bytes", e.name, int64(maxContents))
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	if _, err := in.ReadByte(); err == nil {
		return fmt.Errorf("the directory does not end after %d entries", a.count)
	}
	return nil
}

func readEntry(in *bufio.Reader) (e entry, err error) {
	var fixed [sizeEntry]byte
	if _, err := io.ReadFull(in, fixed[:]); err != nil {
		return e, io.ErrUnexpectedEOF
	}
	if little.Uint32(fixed[:]) != signatureEntry {
		return e, errors.New("the archive is damaged")
	}
	e.flags, e.method, e.crc = little.Uint16(fixed[8:]), little.Uint16(fixed[10:]), little.Uint32(fixed[16:])
	e.packed, e.length = uint64(little.Uint32(fixed[20:])), uint64(little.Uint32(fixed[24:]))
	e.offset = uint64(little.Uint32(fixed[42:]))
	name, extra, comment := int(little.Uint16(fixed[28:])), int(little.Uint16(fixed[30:])), int(little.Uint16(fixed[32:]))
	rest := make([]byte, name+extra)
	if _, err := io.ReadFull(in, rest); err != nil {
		return e, io.ErrUnexpectedEOF
	}
	e.name = string(rest[:name])
	if _, err := in.Discard(comment); err != nil {
		return e, io.ErrUnexpectedEOF
	}
	return e, e.extend(rest[name:])
}

// extend reads the sizes and the offset that do not fit into their fields
// (APPNOTE.TXT, section 4.5.3).
func (e *entry) extend(extra []byte) error {
	var wide []*uint64
	for _, field := range []*uint64{&e.length, &e.packed, &e.offset} {
		if *field == math.MaxUint32 {
			wide = append(wide, field)
		}
	}
	for len(wide) > 0 && len(extra) >= 4 {
		tag, size := little.Uint16(extra), int(little.Uint16(extra[2:]))
		if extra = extra[4:]; size > len(extra) {
			break
		}
		if tag != 1 {
			extra = extra[size:]
			continue
		}
		if size < 8*len(wide) {
			break
		}
		for i, field := range wide {
			*field = little.Uint64(extra[8*i:])
		}
		return nil
	}
	if len(wide) > 0 {
		return errors.New("the archive is damaged: a size is missing")
	}
	return nil
}

// origin loads an entry and returns the digest of what is stored of it, packed as
// it is. The error wraps errEntry where only this entry cannot be read.
func (a *archive) origin(e entry) (o feed.Origin, err error) {
	switch {
	case e.flags&1 != 0:
		return o, fmt.Errorf("%w: it is encrypted", errEntry)
	case e.method != 0 && e.method != 8:
		return o, fmt.Errorf("%w: compression method %d is not known", errEntry, e.method)
	case e.length > maxRecord || e.packed > maxRecord:
		return o, fmt.Errorf("%w: %d bytes, the limit is %d", errEntry, max(e.length, e.packed), maxRecord)
	case e.length > smallEntry && e.length/maxRatio > e.packed:
		return o, fmt.Errorf("%w: %d bytes packed into %d cannot be a record", errEntry, e.length, e.packed)
	}
	if err := a.load(e); err != nil {
		return o, err
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q %d %d %d ", e.name, e.method, e.length, e.crc)
	h.Write(a.packed)
	copy(o[:], h.Sum(nil))
	return o, nil
}

// read returns the content of an entry whose origin was asked for last; it is
// good until the next call.
func (a *archive) read(e entry) ([]byte, error) {
	if e.method == 0 {
		if e.length != e.packed {
			return nil, errors.New("its length is wrong")
		}
		return a.check(e, a.packed)
	}
	if err := a.inflate(e); err != nil {
		return nil, err
	}
	return a.check(e, a.unpacked.Bytes())
}

// load reads what is stored of an entry.
func (a *archive) load(e entry) error {
	var header [sizeLocal]byte
	damaged := errors.New("the archive is damaged: it is not where it should be")
	if e.offset > uint64(a.directory) || uint64(a.directory)-e.offset < sizeLocal {
		return damaged
	}
	if _, err := a.entry.ReadAt(header[:], int64(e.offset)); err != nil {
		return err
	}
	start := e.offset + sizeLocal + uint64(little.Uint16(header[26:])) + uint64(little.Uint16(header[28:]))
	if little.Uint32(header[:]) != signatureLocal || start > uint64(a.directory) || uint64(a.directory)-start < e.packed {
		return damaged
	}
	a.packed = slices.Grow(a.packed[:0], int(e.packed))[:e.packed]
	if _, err := a.entry.ReadAt(a.packed, int64(start)); err != nil && (err != io.EOF || start+e.packed != uint64(a.size)) {
		return err
	}
	return nil
}

func (a *archive) inflate(e entry) error {
	in := bytes.NewReader(a.packed)
	if a.inflater == nil {
		a.inflater = flate.NewReader(in)
	} else if err := a.inflater.(flate.Resetter).Reset(in, nil); err != nil {
		return err
	}
	a.unpacked.Reset()
	if _, err := a.unpacked.ReadFrom(io.LimitReader(a.inflater, int64(e.length)+1)); err != nil {
		return err
	}
	if uint64(a.unpacked.Len()) != e.length {
		return errors.New("its length is wrong")
	}
	return nil
}

func (*archive) check(e entry, content []byte) ([]byte, error) {
	if crc32.ChecksumIEEE(content) != e.crc {
		return nil, errors.New("its checksum is wrong")
	}
	return content, nil
}
