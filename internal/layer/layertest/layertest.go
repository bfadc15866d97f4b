// Package layertest makes layers for tests: honest ones through archive/tar,
// others from raw headers.
package layertest

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Entry is an entry of an archive. Where Raw is set it stands for the rest:
// blocks that archive/tar would not write.
type Entry struct {
	Header  tar.Header
	Content string
	Raw     []byte
}

// File makes a regular file.
func File(name, content string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}, Content: content}
}

// Dir makes a directory.
func Dir(name string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o755}}
}

// Symlink makes a symbolic link.
func Symlink(name, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}}
}

// Hardlink makes a hard link.
func Hardlink(name, target string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target}}
}

// Device makes a character device.
func Device(name string) Entry {
	return Entry{Header: tar.Header{Typeflag: tar.TypeChar, Name: name}}
}

// Raw makes an entry of any type with a size that need not be that of the body.
func Raw(typeflag byte, name string, size int64, body string) Entry {
	var h [512]byte
	copy(h[:100], name)
	copy(h[100:], "0000644\x000000000\x000000000\x00")
	copy(h[124:], fmt.Sprintf("%011o\x00", size))
	copy(h[136:], "00000000000\x00        ")
	h[156] = typeflag
	copy(h[257:], "ustar\x0000")
	var sum int64
	for _, c := range h {
		sum += int64(c)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	raw := append(h[:], body...)
	return Entry{Raw: append(raw, make([]byte, -len(body)&511)...)}
}

// PAX makes an extended header for the entry that follows it.
func PAX(records ...string) Entry {
	var body string
	for i := 0; i < len(records); i += 2 {
		body += record(records[i], records[i+1])
	}
	return Raw(tar.TypeXHeader, "PaxHeaders/x", int64(len(body)), body)
}

// record is "LENGTH KEY=VALUE\n", where LENGTH counts itself.
func record(key, value string) string {
	rest := len(key) + len(value) + 3
	length := rest + len(fmt.Sprint(rest))
	if rest+len(fmt.Sprint(length)) > length {
		length++
	}
	return fmt.Sprintf("%d %s=%s\n", length, key, value)
}

// Tar makes an archive.
func Tar(t testing.TB, entries ...Entry) []byte {
	t.Helper()
	var buffer bytes.Buffer
	for _, e := range entries {
		if e.Raw != nil {
			buffer.Write(e.Raw)
			continue
		}
		w := tar.NewWriter(&buffer)
		if err := w.WriteHeader(&e.Header); err != nil {
			t.Fatalf("entry %q: %v", e.Header.Name, err)
		}
		if _, err := io.WriteString(w, e.Content); err != nil {
			t.Fatalf("entry %q: %v", e.Header.Name, err)
		}
		if err := w.Flush(); err != nil {
			t.Fatalf("entry %q: %v", e.Header.Name, err)
		}
	}
	buffer.Write(make([]byte, 1024))
	return buffer.Bytes()
}

// Gzip compresses.
func Gzip(t testing.TB, plain []byte) []byte {
	return pack(t, plain, func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil })
}

// Zstd compresses.
func Zstd(t testing.TB, plain []byte) []byte {
	return pack(t, plain, func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) })
}

// XZ compresses.
func XZ(t testing.TB, plain []byte) []byte {
	return pack(t, plain, func(w io.Writer) (io.WriteCloser, error) { return xz.NewWriter(w) })
}

func pack(t testing.TB, plain []byte, open func(io.Writer) (io.WriteCloser, error)) []byte {
	t.Helper()
	var buffer bytes.Buffer
	w, err := open(&buffer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buffer.Bytes()
}
