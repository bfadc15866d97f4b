package layer_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/layer"
	lt "github.com/pratique/pratique/internal/layer/layertest"
)

func TestWalkLimits(t *testing.T) {
	zeros := string(make([]byte, 4<<20))
	var many []lt.Entry
	for i := range 1001 {
		many = append(many, lt.File(fmt.Sprintf("f%d", i), ""))
	}
	var flood, lone []lt.Entry
	for i := range 40 {
		records := lt.PAX("comment", strings.Repeat("x", 100_000))
		flood = append(flood, records, lt.File(fmt.Sprint(i), zeros[:10_000]))
		lone = append(lone, records)
	}
	lone = append(lone, lt.File("the only one", ""))
	sparse := lt.Raw(tar.TypeGNUSparse, "sparse", 0, "")
	copy(sparse.Raw[257:], "ustar  \x00")                          // GNU's own format
	copy(sparse.Raw[483:], fmt.Sprintf("%011o\x00", int64(8)<<30)) // real size: 8 GiB, all of it a hole
	checksum(sparse.Raw)
	tests := []struct {
		name    string
		opts    layer.Options
		content []byte
		limit   string
		value   int64
	}{
		{"bytes", layer.Options{Bytes: 1 << 20}, lt.Tar(t, lt.File("a", zeros)), "bytes", 1 << 20},
		{"uncompressed bytes", layer.Options{Bytes: 1 << 20}, lt.Gzip(t, lt.Tar(t, lt.File("a", zeros))), "uncompressed bytes", 1 << 20},
		{"uncompressed bytes after the archive", layer.Options{Bytes: 1 << 20}, lt.Gzip(t, []byte(zeros)), "uncompressed bytes", 1 << 20},
		{"ratio, gzip", layer.Options{RatioFrom: 1 << 20, Ratio: 100}, lt.Gzip(t, lt.Tar(t, lt.File("a", zeros))), "compression ratio", 100},
		{"ratio, zstd", layer.Options{RatioFrom: 1 << 20, Ratio: 100}, lt.Zstd(t, lt.Tar(t, lt.File("a", zeros))), "compression ratio", 100},
		{"ratio, xz", layer.Options{RatioFrom: 1 << 20, Ratio: 100}, lt.XZ(t, lt.Tar(t, lt.File("a", zeros))), "compression ratio", 100},
		{"entries", layer.Options{Entries: 1000}, lt.Gzip(t, lt.Tar(t, many...)), "entries", 1000},
		{"path length", layer.Options{}, lt.Tar(t, lt.File(strings.Repeat("a/", 2100)+"b", "")), "path length", 4096},
		{"link length", layer.Options{}, lt.Tar(t, lt.Symlink("a", strings.Repeat("a/", 2100))), "path length", 4096},
		{"header size", layer.Options{HeaderSize: 1000}, lt.Tar(t, lt.PAX("comment", strings.Repeat("x", 1000)), lt.File("a", "")), "header size", 1000},
		{"header size beyond what archive/tar reads", layer.Options{}, lt.Tar(t, lt.PAX("comment", strings.Repeat("x", 2<<20)), lt.File("a", "")), "header size", 1 << 20},
		{"header of 4 GB that is not there", layer.Options{}, lt.Tar(t, lt.Raw('x', "x", 4<<30-1, noise(3<<20))), "header size", 1 << 20},
		{"long name", layer.Options{}, lt.Tar(t, lt.Raw('L', "x", 2<<20, strings.Repeat("x", 2<<20)), lt.File("a", "")), "header size", 1 << 20},
		{"headers in total", layer.Options{Headers: 2 << 20}, lt.Tar(t, flood...), "headers in total", 2 << 20},
		{"headers in total, compressed", layer.Options{Headers: 2 << 20}, lt.Gzip(t, lt.Tar(t, flood...)), "headers in total", 2 << 20},
		{"headers of one entry in total", layer.Options{Headers: 2 << 20}, lt.Tar(t, lone...), "headers in total", 2 << 20},
		{"file size", layer.Options{FileSize: 1000}, lt.Tar(t, lt.File("a", zeros)), "file size", 1000},
		{"file size that a sparse file claims", layer.Options{}, lt.Tar(t, sparse), "file size", 200_000_000},
		{"window of zstd", layer.Options{Window: 1 << 20}, zstdFrame(28), "window", 1 << 20},
		{"window of zstd, default", layer.Options{}, zstdFrame(31), "window", 128 << 20},
		{"dictionary of xz", layer.Options{Window: 1 << 20}, lt.XZ(t, []byte(zeros)), "window", 1 << 20},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, _, err := collect(t, test.content, test.opts)
			var limit *layer.LimitError
			if !errors.As(err, &limit) || limit.Limit != test.limit || limit.Value != test.value {
				t.Fatalf("got %v, want limit %s of %d", err, test.limit, test.value)
			}
			if !errors.Is(err, layer.ErrLimit) || !layer.Permanent(err) || !strings.Contains(err.Error(), test.limit) {
				t.Errorf("%v is not a permanent ErrLimit that names its limit", err)
			}
		})
	}
}

// checksum mends the checksum of a header.
func checksum(header []byte) {
	copy(header[148:156], "        ")
	var sum int64
	for _, c := range header[:512] {
		sum += int64(c)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
}

// zstdFrame is a frame of 1,024 zeros that claims a window of 1<<log bytes
// (RFC 8878, section 3.1.1.1).
func zstdFrame(log byte) []byte {
	frame := []byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, (log - 10) << 3}
	block := uint32(1024)<<3 | 1<<1 | 1 // RLE, last
	return append(frame, byte(block), byte(block>>8), byte(block>>16), 0)
}

func TestWalkSkipsWhatNobodyReads(t *testing.T) {
	content := lt.Tar(t, lt.File("huge", noise(3_000_000)), lt.File("a", "x"))
	var paths []string
	_, err := layer.Walk(t.Context(), bytes.NewReader(content), layer.Options{FileSize: 1000}, func(e *layer.Entry, _ io.Reader) error {
		paths = append(paths, e.Path)
		return nil
	})
	if err != nil || len(paths) != 2 {
		t.Errorf("got %v, %v: the limit is of files that are read", paths, err)
	}
}

// TestWalkStopsBombs gives 10 GB in less than 11 MB to the default limits.
func TestWalkStopsBombs(t *testing.T) {
	zeros := make([]byte, 64<<20)
	header := lt.Raw('0', "bomb", 8<<30-1, "").Raw
	for name, pack := range map[string]func(testing.TB, []byte) []byte{"gzip": lt.Gzip, "zstd": lt.Zstd} {
		t.Run(name, func(t *testing.T) {
			member := pack(t, zeros)
			bomb := append(pack(t, header), bytes.Repeat(member, 160)...)
			if len(bomb) > 11<<20 {
				t.Fatalf("the bomb has %d bytes", len(bomb))
			}
			_, err := layer.Walk(t.Context(), bytes.NewReader(bomb), layer.Options{}, func(*layer.Entry, io.Reader) error { return nil })
			var limit *layer.LimitError
			if !errors.As(err, &limit) || limit.Limit != "compression ratio" {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestWalkBoundsMemory walks a layer of 256 MiB made on the fly, with files of all
// sizes, and looks at the heap meanwhile.
func TestWalkBoundsMemory(t *testing.T) {
	size := int64(256 << 20)
	if testing.Short() {
		size = 64 << 20
	}
	body := []byte(noise(8 << 20))
	for _, compressed := range []bool{false, true} {
		runtime.GC()
		var before, now runtime.MemStats
		runtime.ReadMemStats(&before)
		var peak uint64
		result, err := layer.Walk(t.Context(), generated(t, size, body, compressed), layer.Options{}, func(e *layer.Entry, r io.Reader) error {
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapInuse-min(now.HeapInuse, before.HeapInuse))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if result.UncompressedSize < size {
			t.Fatalf("walked %d bytes, want %d", result.UncompressedSize, size)
		}
		t.Logf("compressed %v: %d entries, peak %d kB above idle", compressed, result.Entries, peak>>10)
		if peak > 64<<20 {
			t.Errorf("compressed %v: %d bytes above idle", compressed, peak)
		}
	}
}

// generated streams an archive of size bytes of content, made of body.
func generated(t *testing.T, size int64, body []byte, compressed bool) io.Reader {
	r, w := io.Pipe()
	done := make(chan struct{})
	t.Cleanup(func() { r.Close(); <-done })
	go func() {
		defer close(done)
		out := io.WriteCloser(w)
		if compressed {
			out = fastGzip(w)
		}
		archive := tar.NewWriter(out)
		for i := 0; size > 0; i++ {
			n := min(size, int64(1000+(i%5)*len(body)/4))
			n = min(n, int64(len(body)))
			if err := archive.WriteHeader(&tar.Header{Name: fmt.Sprintf("dir/file%d", i), Mode: 0o644, Size: n}); err != nil {
				w.CloseWithError(err)
				return
			}
			if _, err := archive.Write(body[:n]); err != nil {
				w.CloseWithError(err)
				return
			}
			size -= n
		}
		w.CloseWithError(errors.Join(archive.Close(), closeUnless(out, w)))
	}()
	return r
}

func closeUnless(c io.Closer, w *io.PipeWriter) error {
	if c == io.Closer(w) {
		return nil
	}
	return c.Close()
}

// TestWalkStopsAtEntries gives two million entries in a few megabytes.
func TestWalkStopsAtEntries(t *testing.T) {
	member := lt.Gzip(t, bytes.Repeat(lt.Raw('0', "f", 0, "").Raw, 20_000))
	content := bytes.Repeat(member, 100)
	visited := int64(0)
	result, err := layer.Walk(t.Context(), bytes.NewReader(content), layer.Options{Entries: 200_000}, func(*layer.Entry, io.Reader) error {
		visited++
		return nil
	})
	var limit *layer.LimitError
	if !errors.As(err, &limit) || limit.Limit != "entries" || visited != 200_000 {
		t.Errorf("got %v after %d entries", err, visited)
	}
	if result.Entries != 200_001 {
		t.Errorf("counted %d", result.Entries)
	}
}

// TestHeadersWithinTheirLimit: what is content does not count, read or not, nor do
// the headers that each entry may have.
func TestHeadersWithinTheirLimit(t *testing.T) {
	content := strings.Repeat("content ", 100_000)
	var entries []lt.Entry
	for i := range 300 {
		entries = append(entries, lt.PAX("mtime", "1700000000.123456789", "SCHILY.xattr.security.selinux", strings.Repeat("s", 300)), lt.File(fmt.Sprint(i), content[:i*1000]))
	}
	for name, read := range map[string]bool{"read": true, "passed over": false} {
		t.Run(name, func(t *testing.T) {
			total := 0
			result, err := layer.Walk(t.Context(), bytes.NewReader(lt.Gzip(t, lt.Tar(t, entries...))), layer.Options{Headers: 1}, func(_ *layer.Entry, r io.Reader) error {
				if !read {
					return nil
				}
				n, err := io.Copy(io.Discard, r)
				total += int(n)
				return err
			})
			if err != nil || result.Entries != 300 || read && total != 300*299/2*1000 {
				t.Errorf("%d entries, %d bytes, %v", result.Entries, total, err)
			}
		})
	}
}
