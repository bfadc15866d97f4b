package inflate_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"github.com/pratique/pratique/internal/layer/inflate"
)

func TestHeaders(t *testing.T) {
	body := member(t, func() []byte { var s stream; s.stored(true, []byte("abc")); return s.end() }())[10:]
	make := func(flags byte, fields string) []byte {
		return append(append([]byte{0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 5, 6}, fields...), body...)
	}
	long := string(bytes.Repeat([]byte("x"), 511))
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"plain", make(0, ""), "good"},
		{"text", make(1, ""), "good"},
		{"extra", make(4, "\x03\x00abc"), "good"},
		{"extra, empty", make(4, "\x00\x00"), "good"},
		{"extra, large", make(4, "\xff\xff"+string(bytes.Repeat([]byte("x"), 65535))), "good"},
		{"extra, cut off", make(4, "\xff\xffabc"), "cut off"},
		{"name and comment", make(8|16, "name\x00comment\x00"), "good"},
		{"names in Latin-1", make(8, "\xe4\xff\x00"), "good"},
		{"longest name", make(8, long+"\x00"), "good"},
		{"longer name", make(8, long+"x\x00"), "header"},
		{"longer comment", make(16, long+"x\x00"), "header"},
		{"checksum", make(2, "\x3d\x76"), "header"},
		{"no method 8", append([]byte{0x1f, 0x8b, 7}, make(0, "")[3:]...), "header"},
		{"no magic", []byte("PK\x03\x04............"), "header"},
		{"reserved flags", make(1<<6, ""), "header"},
		{"a member and nothing", append(make(0, ""), make(0, "")...), "good"},
		{"a member and its beginning", append(make(0, ""), make(0, "")[:5]...), "cut off"},
		{"a member and less than a name", append(make(0, ""), make(8, "abc")[:13]...), "cut off"},
		{"a member and zeros", append(make(0, ""), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), "header"},
		{"a member and few zeros", append(make(0, ""), 0, 0, 0), "cut off"},
		{"no file", nil, "good"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.name != "reserved flags" {
				agree(t, test.file)
			}
			_, err := io.ReadAll(inflate.NewReader(bytes.NewReader(test.file)))
			if verdict(err) != test.want {
				t.Errorf("got %v, want %s", err, test.want)
			}
			if first := bytes.HasPrefix(test.file, make(0, "")); first && errors.Is(err, inflate.ErrHeader) || !first && errors.Is(err, inflate.ErrGarbage) {
				t.Errorf("got %v: a first member is the file's, all others are garbage", err)
			}
		})
	}
	sum := crc32.ChecksumIEEE([]byte{0x1f, 0x8b, 8, 2, 1, 2, 3, 4, 5, 6})
	for _, wrong := range []uint16{0, 1, 0x8000} {
		file := make(2, string(binary.LittleEndian.AppendUint16(nil, uint16(sum)^wrong)))
		agree(t, file)
		if _, err := io.ReadAll(inflate.NewReader(bytes.NewReader(file))); (err == nil) != (wrong == 0) {
			t.Errorf("header with a checksum that is off by %#x: got %v", wrong, err)
		}
	}
}

func TestMembers(t *testing.T) {
	plain := samples()["words"]
	var file, want []byte
	for i := range 300 {
		part := plain[i*1000 : i*1000+i*3] // the first is empty
		want = append(want, part...)
		file = append(file, compressed(t, part, i%10)...)
	}
	got, err := io.ReadAll(inflate.NewReader(bytes.NewReader(file)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("got %d bytes of %d, %v", len(got), len(want), err)
	}
	agree(t, append(file, "garbage after all members"...))

	// A member does not reach into the one before it, although that is in the window.
	var s stream
	s.begin(true, 1)
	s.symbol(fixedLit, 'a')
	s.match(fixedLit, fixedDist, 3, 2)
	s.symbol(fixedLit, 256)
	into := append(compressed(t, plain[:5000], 6), append(bytes.Clone(header), s.end()...)...)
	for _, more := range []int{0, 100} {
		file := append(bytes.Clone(into), bytes.Repeat([]byte{0}, more)...)
		agree(t, file)
		if got, err := io.ReadAll(inflate.NewReader(bytes.NewReader(file))); !errors.Is(err, inflate.ErrData) || len(got) != 5001 {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
	// Nor when the window has moved on meanwhile.
	for before := 60_000; before <= 66_000; before += 100 {
		var s stream
		s.stored(false, make([]byte, 6000))
		s.begin(true, 1)
		s.match(fixedLit, fixedDist, 3, 6001)
		s.symbol(fixedLit, 256)
		s.stored(true, make([]byte, 100))
		file := append(compressed(t, make([]byte, before), 6), append(bytes.Clone(header), s.end()...)...)
		agree(t, file)
		if got, err := io.ReadAll(inflate.NewReader(bytes.NewReader(file))); !errors.Is(err, inflate.ErrData) || len(got) != before+6000 {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
	}
}

func TestChecksums(t *testing.T) {
	file := compressed(t, []byte("hello"), 6)
	for i := range 8 {
		broken := bytes.Clone(file)
		broken[len(file)-1-i] ^= 0x10
		agree(t, broken)
		got, err := io.ReadAll(inflate.NewReader(bytes.NewReader(broken)))
		if !errors.Is(err, inflate.ErrChecksum) || string(got) != "hello" {
			t.Errorf("byte %d from the end: got %q, %v", i, got, err)
		}
	}
}
