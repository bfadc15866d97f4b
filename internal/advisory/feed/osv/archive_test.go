package osv

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
)

const sound = `{"id": "A-1", "affected": [{"package": {"ecosystem": "npm", "name": "a"}, "versions": ["1"]}]}`

// npm is a feed.
func npm() Feed { return Feed{ecosystems()[1]} }

// parse reads an archive as npm's and returns the names of its groups.
func parse(content []byte) (names []string, parsed feed.Parsed, err error) {
	f := npm()
	in := io.NewSectionReader(bytes.NewReader(content), 0, int64(len(content)))
	parsed, err = f.Parse(context.Background(), f.Parts()[0], in, func(g advisory.Group) error {
		names = append(names, g.Name)
		return nil
	})
	return names, parsed, err
}

// raw is an entry as it is stored, true or not.
type raw struct {
	header zip.FileHeader
	packed []byte
}

// stored is an entry that is not compressed.
func stored(name, content string) raw {
	return raw{zip.FileHeader{Name: name, CRC32: crc32.ChecksumIEEE([]byte(content)), CompressedSize64: uint64(len(content)), UncompressedSize64: uint64(len(content))}, []byte(content)}
}

// deflated is one that is.
func deflated(name string, content []byte) raw {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	w.Write(content)
	w.Close()
	return raw{zip.FileHeader{Name: name, Method: zip.Deflate, CRC32: crc32.ChecksumIEEE(content), CompressedSize64: uint64(b.Len()), UncompressedSize64: uint64(len(content))}, b.Bytes()}
}

// with changes an entry.
func (r raw) with(change func(*zip.FileHeader)) raw {
	change(&r.header)
	return r
}

func pack(t testing.TB, entries ...raw) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range entries {
		w, err := z.CreateRaw(&e.header)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(e.packed); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestArchiveRefused(t *testing.T) {
	good := pack(t, deflated("A-1.json", []byte(sound)), stored("A-2.json", strings.ReplaceAll(sound, "A-1", "A-2")))
	end := len(good) - sizeEnd
	change := func(at int, value ...byte) []byte {
		content := bytes.Clone(good)
		copy(content[at:], value)
		return content
	}
	directory := int(binary.LittleEndian.Uint32(good[end+16:]))
	overlapping := bytes.Clone(pack(t, stored("1", sound), stored("2", sound), stored("3", sound)))
	for at, n := 0, 0; n < 3; n++ { // each entry is said to hold nearly the whole archive
		at += bytes.Index(overlapping[at:], []byte("PK\x01\x02"))
		binary.LittleEndian.PutUint32(overlapping[at+20:], uint32(len(overlapping)-10))
		at += 4
	}
	tests := []struct {
		name    string
		content []byte
		want    string
	}{
		{"nothing", nil, "npm all: it is no zip archive"},
		{"page", []byte("<html>not found</html>"), "npm all: it is no zip archive"},
		{"JSON", []byte(sound), "it is no zip archive"},
		{"empty", pack(t), "npm all: the archive is empty"},
		{"cut off in an entry", good[:100], "it is no zip archive, or cut off"},
		{"cut off in the directory", good[:directory+50], "it is no zip archive, or cut off"},
		{"cut off in its end", good[:len(good)-1], "it is no zip archive, or cut off"},
		{"something behind", append(bytes.Clone(good), 'x'), "it is no zip archive, or cut off"},
		{"another disk", change(end+4, 1), "one of several parts"},
		{"directory elsewhere", change(end+16, 0xff, 0xff, 0xff, 0x7f), "its directory is not where it should be"},
		{"directory too long", change(end+12, 0xff, 0xff, 0xff, 0x7f), "its directory is not where it should be"},
		{"directory of something else", change(directory, 'X'), "entry 1 of the directory: the archive is damaged"},
		{"more entries than fit", change(end+10, 0xf0, 0xff), "its directory is not where it should be"},
		{"an entry too few", change(end+10, 1), "the directory does not end after 1 entries"},
		{"an entry too many", change(end+10, 3), "its directory is not where it should be"},
		{"name that does not end", change(directory+28, 0xff, 0xff), "entry 1 of the directory: unexpected EOF"},
		{"entry elsewhere", change(directory+42, 0xff, 0xff, 0xff), `entry "A-1.json": the archive is damaged: it is not where it should be`},
		{"entry of something else", change(0, 'X'), `entry "A-1.json": the archive is damaged`},
		{"entry that is damaged", change(45, 0, 1, 2, 3), `npm all: entry "A-1.json": `},
		{"wrong checksum", pack(t, stored("A-1.json", sound).with(func(h *zip.FileHeader) { h.CRC32++ })), `entry "A-1.json": its checksum is wrong`},
		{"longer than it says", pack(t, deflated("A-1.json", []byte(sound)).with(func(h *zip.FileHeader) { h.UncompressedSize64-- })), `entry "A-1.json": its length is wrong`},
		{"shorter than it says", pack(t, deflated("A-1.json", []byte(sound)).with(func(h *zip.FileHeader) { h.UncompressedSize64++ })), `entry "A-1.json": its length is wrong`},
		{"not compressed, and of another length", pack(t, stored("A-1.json", sound).with(func(h *zip.FileHeader) { h.UncompressedSize64++ })), `entry "A-1.json": its length is wrong`},
		{"entries over one another", overlapping, "the entries together are larger than the archive"},
		{"records of another ecosystem", pack(t, stored("A-1.json", strings.ReplaceAll(sound, "npm", "PyPI"))), "npm all: none of its 1 records is about npm"},
		{"no records", pack(t, stored("A-1.json", "{}"), stored("README", "")), "npm all: none of its 0 records is about npm"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if names, _, err := parse(test.content); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%q, error %v, want one with %q", names, err, test.want)
			}
		})
	}
	if _, err := npm().Parse(context.Background(), npm().Parts()[0], strings.NewReader(""), nil); err != nil && !strings.Contains(err.Error(), "no zip archive") {
		t.Errorf("a reader of text: %v", err)
	}
	if _, err := npm().Parse(context.Background(), npm().Parts()[0], io.MultiReader(), nil); err == nil || !strings.Contains(err.Error(), "cannot be read from") {
		t.Errorf("a reader that cannot go back: %v", err)
	}
}

// TestArchiveLeavesOut holds that an entry which cannot be a record loses
// nothing else.
func TestArchiveLeavesOut(t *testing.T) {
	tests := []struct {
		name  string
		entry raw
		want  string
	}{
		{"no record", stored("README.md", "x"), "README.md: it is no record"},
		{"odd name", stored("a\x00\n", "x"), `"a\x00\n": it is no record`},
		{"twice", stored("A-1.json", strings.ReplaceAll(sound, "A-1", "A-3")), "A-1.json: it is there twice; the first counts"},
		{"encrypted", stored("A-3.json", sound).with(func(h *zip.FileHeader) { h.Flags |= 1 }), "A-3.json: entry left out: it is encrypted"},
		{"another method", stored("A-3.json", sound).with(func(h *zip.FileHeader) { h.Method = 93 }), "A-3.json: entry left out: compression method 93 is not known"},
		{"too large", deflated("A-3.json", bytes.Repeat([]byte(" "), maxRecord+1)), fmt.Sprintf("A-3.json: entry left out: %d bytes, the limit is %d", maxRecord+1, maxRecord)},
		{"bomb", deflated("A-3.json", bytes.Repeat([]byte(" "), 4<<20)), "A-3.json: entry left out: 4194304 bytes packed into "},
		{"no JSON", stored("A-3.json", "<html>"), "A-3.json: invalid character '<'"},
		{"cut off", stored("A-3.json", sound[:40]), "A-3.json: unexpected EOF"},
		{"two documents", stored("A-3.json", "{} {}"), "A-3.json: something follows the record"},
		{"empty", stored("A-3.json", ""), "A-3.json: EOF"},
		{"deep", stored("A-3.json", strings.Repeat("[", 20_000)), "A-3.json: exceeded max depth"},
		{"no object", stored("A-3.json", "3"), "A-3.json: it has no id"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			content := pack(t, stored("A-1.json", sound), test.entry, stored("folder/", ""), stored("folder/A-2.json", strings.ReplaceAll(sound, "A-1", "A-2")))
			names, parsed, err := parse(content)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Join(names, " ") != "A-1 A-2" {
				t.Errorf("groups %q", names)
			}
			if parsed.Skipped.Count != 1 || !strings.HasPrefix(parsed.Skipped.Names[0], test.want) {
				t.Errorf("skipped %q, want %q", parsed.Skipped.Names, test.want)
			}
		})
	}
}

// TestManyEntries reads an archive whose directory needs the wide fields of
// APPNOTE.TXT, section 4.3.14, as npm's does.
func TestManyEntries(t *testing.T) {
	const many = math.MaxUint16 + 5
	entries := make([]raw, 0, many)
	for i := range many {
		entries = append(entries, stored(fmt.Sprintf("A-%d.json", i), strings.ReplaceAll(sound, "A-1", fmt.Sprintf("A-%d", i))))
	}
	content := pack(t, entries...)
	names, parsed, err := parse(content)
	if err != nil || len(names) != many || parsed.Skipped.Count != 0 {
		t.Errorf("%d groups, skipped %+v, %v", len(names), parsed.Skipped, err)
	}
	locator := bytes.LastIndex(content, []byte("PK\x06\x07"))
	for name, damage := range map[string]func(content []byte){
		"end elsewhere":         func(b []byte) { binary.LittleEndian.PutUint64(b[locator+8:], 1<<40) },
		"end of something else": func(b []byte) { b[bytes.LastIndex(b, []byte("PK\x06\x06"))] = 'X' },
		"too many entries": func(b []byte) {
			binary.LittleEndian.PutUint64(b[bytes.LastIndex(b, []byte("PK\x06\x06"))+32:], 1<<40)
		},
		"no end of that kind": func(b []byte) { b[locator] = 'X' },
	} {
		damaged := bytes.Clone(content)
		damage(damaged)
		if _, _, err := parse(damaged); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestLimitOfEntries refuses a directory that says it is longer than any is.
func TestLimitOfEntries(t *testing.T) {
	a := &archive{at: bytes.NewReader(nil), size: 1 << 40}
	end := make([]byte, sizeEnd)
	binary.LittleEndian.PutUint16(end[10:], 10)
	binary.LittleEndian.PutUint32(end[12:], 1<<20)
	if err := a.end(end, 1<<39); err != nil || a.count != 10 {
		t.Errorf("%d entries, %v", a.count, err)
	}
	wide := make([]byte, 1<<10)
	copy(wide[100:], "PK\x06\x06")
	binary.LittleEndian.PutUint64(wide[132:], maxEntries+1)
	copy(wide[200:], "PK\x06\x07")
	binary.LittleEndian.PutUint64(wide[208:], 100)
	binary.LittleEndian.PutUint16(end[10:], math.MaxUint16)
	a.at = bytes.NewReader(wide)
	if err := a.end(end, 220); err == nil {
		t.Error("no error")
	}
}

// readAll reads an archive whole.
func readAll(content []byte) (entries []raw, err error) {
	a, err := openArchive(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		return nil, err
	}
	err = a.entries(func(e entry) error {
		text, err := a.read(e)
		if err == nil || errors.Is(err, errEntry) {
			entries = append(entries, raw{zip.FileHeader{Name: e.name}, bytes.Clone(text)})
			return nil
		}
		return err
	})
	return entries, err
}

// FuzzArchive holds that what is read is what archive/zip reads.
func FuzzArchive(f *testing.F) {
	good := pack(f, deflated("A-1.json", []byte(sound)), stored("A-2.json", sound), stored("folder/", ""))
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(pack(f))
	f.Add(pack(f, stored("A-3.json", sound).with(func(h *zip.FileHeader) { h.Flags |= 1 })))
	f.Add(pack(f, stored("A-3.json", sound).with(func(h *zip.FileHeader) { h.Extra = []byte{1, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8} })))
	f.Fuzz(func(t *testing.T, content []byte) {
		entries, err := readAll(content)
		if err != nil {
			return
		}
		z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil || len(z.File) != len(entries) {
			t.Fatalf("%d entries are read; archive/zip: %v", len(entries), err)
		}
		for i, e := range entries {
			if z.File[i].Name != e.header.Name {
				t.Errorf("entry %d: %q, want %q", i, e.header.Name, z.File[i].Name)
			}
			if e.packed == nil {
				continue
			}
			in, err := z.File[i].Open()
			if err != nil {
				t.Fatalf("entry %q is read; archive/zip: %v", e.header.Name, err)
			}
			want, err := io.ReadAll(in)
			if err != nil || !bytes.Equal(want, e.packed) {
				t.Errorf("entry %q: %q, want %q (%v)", e.header.Name, e.packed, want, err)
			}
		}
	})
}
