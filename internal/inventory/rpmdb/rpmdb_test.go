package rpmdb_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/inventory/rpmdb"
)

// header makes the header of a package with files.
func header(name, version string, epoch int, files int) []byte {
	type value struct {
		tag, kind, count uint32
		data             []byte
	}
	text := func(tag uint32, s string) value { return value{tag, 6, 1, append([]byte(s), 0)} }
	values := []value{text(1000, name), text(1001, version), text(1002, "1.el9"), text(1022, "x86_64"), text(1044, name+"-"+version+"-1.el9.src.rpm"),
		text(1011, "Example"), text(5096, "m:1:2:3")}
	if epoch >= 0 {
		values = append(values, value{1003, 4, 1, binary.BigEndian.AppendUint32(nil, uint32(epoch))})
	}
	var bases, indexes []byte
	for i := range files {
		bases = append(fmt.Appendf(bases, "file%d", i), 0)
		indexes = binary.BigEndian.AppendUint32(indexes, uint32(i%2))
	}
	values = append(values, value{1117, 8, uint32(files), bases}, value{1116, 4, uint32(files), indexes}, value{1118, 8, 2, []byte("/usr/bin/\x00/etc/\x00")})
	var index, data []byte
	for _, v := range values {
		for len(data)%4 != 0 {
			data = append(data, 0)
		}
		for _, n := range []uint32{v.tag, v.kind, uint32(len(data)), v.count} {
			index = binary.BigEndian.AppendUint32(index, n)
		}
		data = append(data, v.data...)
	}
	blob := binary.BigEndian.AppendUint32(nil, uint32(len(values)))
	blob = binary.BigEndian.AppendUint32(blob, uint32(len(data)))
	return append(append(blob, index...), data...)
}

func headers() [][]byte {
	return [][]byte{header("bash", "5.1", -1, 3), header("big", "1", 0, 3000), header("perl", "5.32", 4, 0)}
}

var wantHeaders = []string{
	"bash|(none)|5.1|1.el9|x86_64|bash-5.1-1.el9.src.rpm|Example|m:1:2:3|3",
	"big|0|1|1.el9|x86_64|big-1-1.el9.src.rpm|Example|m:1:2:3|3000",
	"perl|4|5.32|1.el9|x86_64|perl-5.32-1.el9.src.rpm|Example|m:1:2:3|0",
}

// ndb makes a database in NDB's layout.
func ndb(blobs [][]byte) []byte {
	le := binary.LittleEndian
	slots := make([]byte, 4096)
	copy(slots, "RpmP")
	le.PutUint32(slots[12:], 1)
	for at := 16; at < len(slots); at += 16 {
		if at >= 32 {
			copy(slots[at:], "Slot")
		}
	}
	var data []byte
	for i, blob := range blobs {
		slot := slots[32+16*(2*i+1):] // with free ones between
		whole := append([]byte("BlbS"), make([]byte, 12)...)
		le.PutUint32(whole[4:], uint32(i+1))
		le.PutUint32(whole[12:], uint32(len(blob)))
		whole = append(whole, blob...)
		whole = append(whole, make([]byte, 16-len(whole)%16)...)
		le.PutUint32(slot[4:], uint32(i+1))
		le.PutUint32(slot[8:], uint32(4096+len(data))/16)
		le.PutUint32(slot[12:], uint32(len(whole))/16)
		data = append(data, whole...)
	}
	return append(slots, data...)
}

// bdb makes a hash of Berkeley DB; large values go to pages of their own.
func bdb(order binary.ByteOrder, blobs [][]byte) []byte {
	const size = 4096
	newPage := func(number int, kind byte) []byte {
		p := make([]byte, size)
		order.PutUint32(p[8:], uint32(number))
		p[25] = kind
		return p
	}
	meta := newPage(0, 8)
	order.PutUint32(meta[12:], 0x061561)
	order.PutUint32(meta[16:], 9)
	order.PutUint32(meta[20:], size)
	pages := [][]byte{meta, newPage(1, 13)}
	var items [][]byte
	for i, blob := range append([][]byte{{1, 0, 0, 0}}, blobs...) {
		items = append(items, append([]byte{1}, byte(i), 0, 0, 0))
		if len(blob) < 1000 {
			items = append(items, append([]byte{1}, blob...))
			continue
		}
		off := make([]byte, 12)
		off[0] = 3
		order.PutUint32(off[4:], uint32(len(pages)))
		order.PutUint32(off[8:], uint32(len(blob)))
		items = append(items, off)
		for rest := blob; len(rest) > 0; {
			p := newPage(len(pages), 7)
			n := copy(p[26:], rest)
			order.PutUint16(p[22:], uint16(n))
			if rest = rest[n:]; len(rest) > 0 {
				order.PutUint32(p[16:], uint32(len(pages)+1))
			}
			pages = append(pages, p)
		}
	}
	end := size
	order.PutUint16(pages[1][20:], uint16(len(items)))
	for i, item := range items {
		end -= len(item)
		copy(pages[1][end:], item)
		order.PutUint16(pages[1][26+2*i:], uint16(end))
	}
	order.PutUint32(meta[32:], uint32(len(pages)-1))
	return bytes.Join(pages, nil)
}

func putVarint(b []byte, v int) []byte {
	if v >= 0x80 {
		for shift := 28; shift >= 7; shift -= 7 {
			if v>>shift > 0 {
				b = append(b, byte(v>>shift)|0x80)
			}
		}
	}
	return append(b, byte(v&0x7f))
}

// sqlite makes a database with the table Packages: a page for the schema, one of
// references, one of rows, and chains for large rows.
func sqlite(pageSize int, blobs [][]byte) []byte {
	be := binary.BigEndian
	pages := [][]byte{make([]byte, pageSize), make([]byte, pageSize), make([]byte, pageSize)}
	copy(pages[0], "SQLite format 3\x00")
	be.PutUint16(pages[0][16:], uint16(pageSize))
	leaf := func(page []byte, from int, rows [][]byte) {
		page[from] = 13
		be.PutUint16(page[from+3:], uint16(len(rows)))
		end := pageSize
		for i, row := range rows {
			cell := putVarint(nil, len(row))
			cell = putVarint(cell, i+1)
			local := len(row)
			if most := pageSize - 35; local > most {
				least := (pageSize-12)*32/255 - 23
				if local = least + (len(row)-least)%(pageSize-4); local > most {
					local = least
				}
			}
			cell = append(cell, row[:local]...)
			if rest := row[local:]; len(rest) > 0 {
				cell = be.AppendUint32(cell, uint32(len(pages)+1))
				for len(rest) > 0 {
					p := make([]byte, pageSize)
					n := copy(p[4:], rest)
					if rest = rest[n:]; len(rest) > 0 {
						be.PutUint32(p, uint32(len(pages)+2))
					}
					pages = append(pages, p)
				}
			}
			end -= len(cell)
			copy(page[end:], cell)
			be.PutUint16(page[from+8+2*i:], uint16(end))
		}
	}
	record := func(columns ...any) []byte {
		var types, content []byte
		for _, c := range columns {
			switch c := c.(type) {
			case nil:
				types = putVarint(types, 0)
			case int:
				types, content = putVarint(types, 1), append(content, byte(c))
			case string:
				types, content = putVarint(types, 13+2*len(c)), append(content, c...)
			case []byte:
				types, content = putVarint(types, 12+2*len(c)), append(content, c...)
			}
		}
		return append(append(putVarint(nil, len(types)+1), types...), content...)
	}
	leaf(pages[0], 100, [][]byte{record("table", "Name", "Name", 7, "x"), record("table", "Packages", "Packages", 2, "create table")})
	var rows [][]byte
	for _, blob := range blobs {
		rows = append(rows, record(nil, blob))
	}
	leaf(pages[2], 0, rows)
	pages[1][0] = 5 // without cells: all is to the right
	be.PutUint32(pages[1][8:], 3)
	return bytes.Join(pages, nil)
}

func databases() map[string][]byte {
	return map[string][]byte{
		"ndb": ndb(headers()), "bdb": bdb(binary.LittleEndian, headers()), "bdb, big-endian": bdb(binary.BigEndian, headers()),
		"sqlite": sqlite(4096, headers()), "sqlite, small pages": sqlite(2048, headers()),
	}
}

func TestRead(t *testing.T) {
	for name, content := range databases() {
		format, got, problems := read(t, content)
		if !strings.HasPrefix(name, string(format)) || len(problems) > 0 {
			t.Errorf("%s: %s, problems %v", name, format, problems)
		}
		if diff := cmp.Diff(wantHeaders, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	for name, empty := range map[string][]byte{"ndb": ndb(nil), "bdb": bdb(binary.LittleEndian, nil), "sqlite": sqlite(4096, nil)} {
		if _, got, problems := read(t, empty); len(got) > 0 || len(problems) > 0 {
			t.Errorf("empty %s: %v, %v", name, got, problems)
		}
	}
	for _, content := range []string{"", "x", strings.Repeat("\x00", 5000), "SQLite format 2"} {
		if _, _, err := rpmdb.Read(strings.NewReader(content), int64(len(content)), nil); !errors.Is(err, rpmdb.ErrFormat) {
			t.Errorf("%.20q: %v", content, err)
		}
	}
}

func TestFiles(t *testing.T) {
	content := ndb([][]byte{header("a", "1", -1, 4)})
	var files []string
	if _, _, err := rpmdb.Read(bytes.NewReader(content), int64(len(content)), func(p *rpmdb.Package) error {
		files = slices.Collect(p.Files())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if want := []string{"usr/bin/file0", "etc/file1", "usr/bin/file2", "etc/file3"}; !slices.Equal(files, want) {
		t.Errorf("got %v", files)
	}
}

// What is cut off or overwritten is told; nothing is invented.
func TestDamage(t *testing.T) {
	for name, content := range databases() {
		for cut := 0; cut < len(content); cut += 256 {
			var got []string
			_, problems, err := rpmdb.Read(bytes.NewReader(content[:cut]), int64(cut), func(p *rpmdb.Package) error {
				got = append(got, p.Name+p.Version)
				return nil
			})
			if err != nil && !errors.Is(err, rpmdb.ErrFormat) {
				t.Errorf("%s cut at %d: %v", name, cut, err)
			}
			for _, p := range got {
				if !slices.Contains([]string{"bash5.1", "big1", "perl5.32"}, p) {
					t.Errorf("%s cut at %d: %s", name, cut, p)
				}
			}
			if err == nil && len(got) < 3 && len(problems) == 0 && cut < len(content)-4096 {
				t.Errorf("%s cut at %d: %d packages and no problem", name, cut, len(got))
			}
		}
	}
	// A chain of pages that leads back to itself.
	circle := bdb(binary.LittleEndian, headers())
	for page := 2; page*4096 < len(circle); page++ {
		binary.LittleEndian.PutUint32(circle[page*4096+16:], 2)
	}
	if _, got, _ := read(t, circle); len(got) < 2 {
		t.Errorf("circle: %v", got)
	}
	// Many packages at one place.
	same := ndb([][]byte{header("big", "1", 0, 20_000)})
	for at := 64; at < 4096; at += 16 {
		copy(same[at:], same[48:64])
	}
	if _, got, problems := read(t, same); len(got) > 10 || len(problems) == 0 {
		t.Errorf("overlap: %d packages, %v", len(got), problems)
	}
	self := sqlite(4096, headers())
	binary.BigEndian.PutUint32(self[4096+8:], 2)
	if _, got, problems := read(t, self); len(got) > 0 || len(problems) == 0 {
		t.Errorf("page in itself: %v, %v", got, problems)
	}
	lying := ndb([][]byte{header("good", "1", -1, 0), header("lies", "1", -1, 0)})
	at := bytes.Index(lying, []byte("lies")) - 0
	start := bytes.LastIndex(lying[:at], []byte("BlbS")) + 16
	binary.BigEndian.PutUint32(lying[start:], 0xffffffff)
	if _, got, problems := read(t, lying); len(got) != 1 || len(problems) != 1 {
		t.Errorf("lying header: %v, %v", got, problems)
	}
}

func TestReaderErrors(t *testing.T) {
	broken := errors.New("broken")
	for name, content := range databases() {
		_, _, err := rpmdb.Read(failing{bytes.NewReader(content), broken}, int64(len(content)), func(*rpmdb.Package) error { return nil })
		if !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
		stop := errors.New("stop")
		if _, _, err := rpmdb.Read(bytes.NewReader(content), int64(len(content)), func(*rpmdb.Package) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// failing fails beyond its first kilobyte.
type failing struct {
	io.ReaderAt
	err error
}

func (f failing) ReadAt(b []byte, at int64) (int, error) {
	if at+int64(len(b)) > 1024 {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(b, at)
}

// FuzzRead: no bytes make it panic, hang or invent a package without a name.
func FuzzRead(f *testing.F) {
	small := [][]byte{header("a", "1", 2, 3), header("b", "2", -1, 100)}
	for _, seed := range [][]byte{ndb(small), bdb(binary.LittleEndian, small), bdb(binary.BigEndian, small), sqlite(1024, small), sqlite(2048, small)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		_, problems, err := rpmdb.Read(bytes.NewReader(content), int64(len(content)), func(p *rpmdb.Package) error {
			if p.Name == "" || p.Version == "" {
				t.Errorf("package %+v", p)
			}
			n := 0
			for range p.Files() {
				if n++; n > len(content) {
					t.Fatal("more files than bytes")
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, rpmdb.ErrFormat) {
			t.Error(err)
		}
		if len(problems) > 20 {
			t.Errorf("%d problems", len(problems))
		}
	})
}
