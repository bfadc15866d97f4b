package layer_test

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/layer"
	lt "github.com/pratique/pratique/internal/layer/layertest"
)

// collect walks the layer and describes each entry in a line.
func collect(t testing.TB, content []byte, opts layer.Options) ([]string, layer.Result, error) {
	t.Helper()
	names := map[layer.Kind]string{
		layer.File: "file", layer.Directory: "dir", layer.Symlink: "symlink", layer.Hardlink: "hardlink",
		layer.Special: "special", layer.Whiteout: "whiteout", layer.Opaque: "opaque", layer.Refused: "refused",
	}
	var seen []string
	result, err := layer.Walk(t.Context(), bytes.NewReader(content), opts, func(e *layer.Entry, r io.Reader) error {
		body, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		line := names[e.Kind] + " " + e.Path
		if e.Link != "" {
			line += " -> " + e.Link
		}
		if e.Kind == layer.File {
			line += fmt.Sprintf(" %d", len(body))
		}
		seen = append(seen, line)
		return nil
	})
	return seen, result, err
}

func sum(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }

// noise cannot be compressed much.
func noise(n int) string {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		h := sha512.Sum512([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		b.Write(h[:])
	}
	return b.String()[:n]
}

func TestWalkEntries(t *testing.T) {
	tests := []struct {
		name    string
		entries []lt.Entry
		want    []string
	}{
		{"empty archive", nil, nil},
		{"leading ./ and / are stripped",
			[]lt.Entry{lt.Dir("./"), lt.Dir("./etc/"), lt.File("./etc//a", "12"), lt.File("/etc/./b", "1"), lt.File("x/../c", "")},
			[]string{"dir .", "dir etc", "file etc/a 2", "file etc/b 1", "file c 0"}},
		{"links and devices",
			[]lt.Entry{lt.Symlink("a", "../../b"), lt.Hardlink("./c", "/etc/a"), lt.Device("dev/null")},
			[]string{"symlink a -> ../../b", "hardlink c -> etc/a", "special dev/null"}},
		{"names that climb out are refused",
			[]lt.Entry{lt.File("../a", "x"), lt.File("a/../../b", "x"), lt.File("./../c", "x"), lt.File("..", ""), lt.File("ok", "x")},
			[]string{"refused ../a", "refused a/../../b", "refused ./../c", "refused ..", "file ok 1"}},
		{"an absolute name cannot climb out", []lt.Entry{lt.File("/../../etc/a", "x")}, []string{"file etc/a 1"}},
		{"a hard link's target that climbs out is no target", []lt.Entry{lt.Hardlink("a", "../../etc/shadow")}, []string{"hardlink a"}},
		{"whiteouts",
			[]lt.Entry{lt.File("etc/.wh.passwd", ""), lt.File(".wh.opt", ""), lt.File("./usr/.wh..wh..opq", ""), lt.File(".wh..wh..opq", ""), lt.Dir("var/.wh.lib/")},
			[]string{"whiteout etc/passwd", "whiteout opt", "opaque usr", "opaque .", "whiteout var/lib"}},
		{"whiteouts of nothing or of an ancestor are refused",
			[]lt.Entry{lt.File("a/.wh.", ""), lt.File("a/.wh..", ""), lt.File("a/.wh...", "")},
			[]string{"refused a/.wh.", "refused a/.wh..", "refused a/.wh..."}},
		{"a name that only contains the prefix is a name",
			[]lt.Entry{lt.File("a/x.wh.y", ""), lt.File("a/.wh.b/c", "")},
			[]string{"file a/x.wh.y 0", "file a/.wh.b/c 0"}},
		{"AUFS metadata is left out",
			[]lt.Entry{lt.Dir(".wh..wh.plnk/"), lt.File(".wh..wh.plnk/1.2", "x"), lt.File(".wh..wh.aufs", ""), lt.File("a/.wh..wh.orph/b", "")}, nil},
		{"global headers are no entries",
			[]lt.Entry{lt.Raw(tar.TypeXGlobalHeader, "pax_global_header", 18, "18 comment=abcdef\n"), lt.File("a", "")},
			[]string{"file a 0"}},
		{"extended names",
			[]lt.Entry{lt.PAX("path", "etc/long"), lt.Raw('0', "short", 3, "abc")},
			[]string{"file etc/long 3"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, _, err := collect(t, lt.Tar(t, test.entries...), layer.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWalkCompressions(t *testing.T) {
	entries := []lt.Entry{lt.Dir("etc/"), lt.File("etc/a", "hello\n"), lt.File("big", noise(1_000_000)), lt.File("z", "end")}
	plain := lt.Tar(t, entries...)
	half := len(plain) / 2
	skippable := append([]byte("\x50\x2a\x4d\x18\x03\x00\x00\x00abc"), lt.Zstd(t, plain)...)
	tests := []struct {
		name, compression string
		content           []byte
	}{
		{"plain", "none", plain},
		{"gzip", "gzip", lt.Gzip(t, plain)},
		{"gzip in several members", "gzip", append(lt.Gzip(t, plain[:half]), lt.Gzip(t, plain[half:])...)},
		{"zstd", "zstd", lt.Zstd(t, plain)},
		{"zstd after a skippable frame", "zstd", skippable},
		{"xz", "xz", lt.XZ(t, plain)},
		{"xz in several streams with padding", "xz", append(append(lt.XZ(t, plain[:half]), 0, 0, 0, 0), lt.XZ(t, plain[half:])...)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, result, err := collect(t, test.content, layer.Options{Digest: sum(test.content)})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"dir etc", "file etc/a 6", "file big 1000000", "file z 3"}, got); diff != "" {
				t.Errorf("entries (-want +got):\n%s", diff)
			}
			want := layer.Result{
				Digest: sum(test.content), Size: int64(len(test.content)), UncompressedSize: int64(len(plain)),
				Entries: 4, Compression: test.compression,
			}
			if diff := cmp.Diff(want, result); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestWalkBzip2(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("testdata", "small.tar.bz2"))
	if err != nil {
		t.Fatal(err)
	}
	got, result, err := collect(t, content, layer.Options{Digest: sum(content)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"dir .", "dir etc", "file etc/a 6"}, got); diff != "" || result.Compression != "bzip2" {
		t.Errorf("%s entries (-want +got):\n%s", result.Compression, diff)
	}
}

func TestWalkCoversBytesAfterTheArchive(t *testing.T) {
	plain := lt.Tar(t, lt.File("a", "1"))
	padded := append(bytes.Clone(plain), make([]byte, 9000)...)
	after := append(bytes.Clone(plain), noise(700_000)...)
	tests := []struct {
		name    string
		content []byte
		garbage bool
	}{
		{"no bytes at all", nil, false},
		{"two zero blocks", make([]byte, 1024), false},
		{"plain, no end marker", plain[:1024], false},
		{"plain, padded", padded, false},
		{"plain, followed by anything", after, false},
		{"gzip, archive followed by anything", lt.Gzip(t, after), false},
		{"gzip, data followed by anything", append(lt.Gzip(t, padded), noise(700_000)...), true},
		{"zstd, data followed by anything", append(lt.Zstd(t, padded), noise(700_000)...), true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, result, err := collect(t, test.content, layer.Options{Digest: sum(test.content)})
			if err != nil {
				t.Fatal(err)
			}
			if result.Garbage != test.garbage || result.Size != int64(len(test.content)) {
				t.Errorf("garbage %v, size %d; want %v, %d", result.Garbage, result.Size, test.garbage, len(test.content))
			}
		})
	}
}

func TestWalkDigests(t *testing.T) {
	content := lt.Gzip(t, lt.Tar(t, lt.File("a", noise(500_000))))
	sha512sum := fmt.Sprintf("sha512:%x", sha512.Sum512(content))
	if _, result, err := collect(t, content, layer.Options{Digest: sha512sum}); err != nil || result.Digest != sha512sum {
		t.Errorf("sha512: %v, digest %q", err, result.Digest)
	}
	other := sum([]byte("other"))
	_, _, err := collect(t, content, layer.Options{Digest: other})
	var mismatch *layer.DigestError
	if !errors.As(err, &mismatch) || mismatch.Want != other || mismatch.Got != sum(content) || !layer.Permanent(err) {
		t.Errorf("other digest: got %v", err)
	}
	for _, text := range []string{other, sum(content)} {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v does not name %s", err, text)
		}
	}
	if _, _, err := collect(t, content, layer.Options{Digest: "md5:123"}); err == nil {
		t.Error("md5 digest accepted")
	}
	// What is cut off is another layer, where the digest is known.
	for _, cut := range []int{len(content) / 2, len(content) - 1} {
		_, _, err = collect(t, content[:cut], layer.Options{Digest: sum(content)})
		if !errors.Is(err, layer.ErrDigest) || !errors.Is(err, layer.ErrCorrupt) {
			t.Errorf("cut at %d: got %v, want ErrDigest with ErrCorrupt", cut, err)
		}
	}
}

func TestWalkCorrupt(t *testing.T) {
	plain := lt.Tar(t, lt.File("a", noise(2_000_000)), lt.File("b", "x"))
	damaged := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		for i := range 16 {
			b[at+i] ^= 0xff
		}
		return b
	}
	zipped, zst, xzed := lt.Gzip(t, plain), lt.Zstd(t, plain), lt.XZ(t, plain)
	bz, err := os.ReadFile(filepath.Join("testdata", "small.tar.bz2"))
	if err != nil {
		t.Fatal(err)
	}
	wrongSum := bytes.Clone(zipped)
	wrongSum[len(wrongSum)-5] ^= 1
	tests := []struct {
		name, format string
		content      []byte
	}{
		{"gzip cut in the header", "gzip", zipped[:6]},
		{"gzip cut in the middle", "gzip", zipped[:len(zipped)/2]},
		{"gzip cut in the trailer", "gzip", zipped[:len(zipped)-3]},
		{"gzip damaged", "gzip", damaged(lt.Gzip(t, bytes.Repeat(plain[:4096], 500)), 2000)},
		{"gzip with a wrong checksum", "gzip", wrongSum},
		{"gzip with a bad header", "gzip", []byte("\x1f\x8b\x07\x00aaaaaaaaaaaaaaa")},
		{"gzip followed by what is too short to be garbage", "gzip", append(bytes.Clone(zipped), "abc"...)},
		{"gzip cut in the header of a second member", "gzip", append(bytes.Clone(zipped), "\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\xffname"...)},
		{"gzip garbage before the archive ends", "gzip", append(lt.Gzip(t, plain[:1_000_000]), noise(5000)...)},
		{"zstd cut", "zstd", zst[:len(zst)/2]},
		{"zstd damaged", "zstd", damaged(zst, len(zst)-20)},
		{"xz cut", "xz", xzed[:len(xzed)/2]},
		{"xz damaged", "xz", damaged(xzed, len(xzed)/2)},
		{"bzip2 cut", "bzip2", bz[:len(bz)-8]},
		{"tar cut in the content", "tar", plain[:1_000_000]},
		{"tar cut in a header", "tar", plain[:len(plain)-2000]},
		{"tar cut in compressed data", "tar", lt.Gzip(t, plain[:1_000_000])},
		{"tar with a damaged header", "tar", damaged(plain, len(plain)-2000)},
		{"not an archive", "tar", []byte(strings.Repeat("{\"a\": 1}\n", 300))},
		{"zero block, then no zero block", "tar", append(make([]byte, 512), noise(512)...)},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, digest := range []string{"", sum(test.content)} {
				_, _, err := collect(t, test.content, layer.Options{Digest: digest})
				var corrupt *layer.CorruptError
				if !errors.Is(err, layer.ErrCorrupt) || !errors.As(err, &corrupt) || corrupt.Format != test.format {
					t.Fatalf("digest %q: got %v, want corrupt %s data", digest, err, test.format)
				}
				if errors.Is(err, layer.ErrDigest) || !layer.Permanent(err) {
					t.Errorf("got %v, not of the layer's content alone", err)
				}
			}
		})
	}
}

func TestWalkPassesReadErrorsOn(t *testing.T) {
	broken := errors.New("connection reset")
	for name, content := range map[string][]byte{
		"plain": lt.Tar(t, lt.File("a", noise(900_000))),
		"gzip":  lt.Gzip(t, lt.Tar(t, lt.File("a", noise(900_000)))),
		"zstd":  lt.Zstd(t, lt.Tar(t, lt.File("a", noise(900_000)))),
		"xz":    lt.XZ(t, lt.Tar(t, lt.File("a", noise(900_000)))),
	} {
		r := io.MultiReader(bytes.NewReader(content[:len(content)/2]), iotest.ErrReader(broken))
		_, err := layer.Walk(t.Context(), r, layer.Options{Digest: sum(content)}, func(_ *layer.Entry, r io.Reader) error {
			_, err := io.Copy(io.Discard, r)
			return err
		})
		if !errors.Is(err, broken) || layer.Permanent(err) {
			t.Errorf("%s: got %v, want %v", name, err, broken)
		}
	}
	if _, err := layer.Walk(t.Context(), idle{}, layer.Options{}, nil); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("a reader that makes no progress: got %v", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

func TestWalkWithSmallReads(t *testing.T) {
	content := lt.Gzip(t, lt.Tar(t, lt.File("a", noise(300_000))))
	result, err := layer.Walk(t.Context(), iotest.DataErrReader(iotest.OneByteReader(bytes.NewReader(content))),
		layer.Options{Digest: sum(content)}, func(*layer.Entry, io.Reader) error { return nil })
	if err != nil || result.Entries != 1 {
		t.Errorf("got %d entries, %v", result.Entries, err)
	}
}

// TestWalkLeavesNoGoroutine runs passes that end early in a bubble, which fails
// where a goroutine is left.
func TestWalkLeavesNoGoroutine(t *testing.T) {
	plain := lt.Tar(t, lt.File("a", noise(1_600_000)), lt.File("b", noise(1_600_000)))
	stop := errors.New("stop")
	for name, content := range map[string][]byte{
		"plain": plain, "gzip": lt.Gzip(t, plain), "zstd": lt.Zstd(t, plain), "xz": lt.XZ(t, plain),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				visit := func(*layer.Entry, io.Reader) error { return stop }
				if _, err := layer.Walk(t.Context(), bytes.NewReader(content), layer.Options{}, visit); !errors.Is(err, stop) {
					t.Errorf("visit fails: got %v", err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				visit = func(_ *layer.Entry, r io.Reader) error {
					cancel()
					_, err := io.Copy(io.Discard, r)
					return err
				}
				if _, err := layer.Walk(ctx, bytes.NewReader(content), layer.Options{}, visit); !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled: got %v", err)
				}
				// The source blocks until the context ends, as a request's body does.
				ctx, cancel = context.WithCancel(t.Context())
				source := io.MultiReader(bytes.NewReader(content[:len(content)/4]), blocking{ctx})
				go func() {
					synctest.Wait()
					cancel()
				}()
				visit = func(_ *layer.Entry, r io.Reader) error {
					_, err := io.Copy(io.Discard, r)
					return err
				}
				if _, err := layer.Walk(ctx, source, layer.Options{}, visit); !errors.Is(err, context.Canceled) {
					t.Errorf("cancelled while the source blocks: got %v", err)
				}
				visit = func(*layer.Entry, io.Reader) error { return nil }
				if _, err := layer.Walk(t.Context(), bytes.NewReader(content), layer.Options{Bytes: 1_000_000}, visit); !errors.Is(err, layer.ErrLimit) {
					t.Errorf("limit: got %v", err)
				}
				damaged := bytes.Clone(content)
				copy(damaged[len(damaged)/3:], noise(1000))
				for _, digest := range []string{"", sum(content)} {
					// Damage that no checksum covers is only seen through the digest.
					_, err := layer.Walk(t.Context(), bytes.NewReader(damaged), layer.Options{Digest: digest}, visit)
					if digest != "" && !errors.Is(err, layer.ErrDigest) {
						t.Errorf("damaged: got %v", err)
					}
				}
			})
		})
	}
}

type blocking struct{ ctx context.Context }

func (b blocking) Read([]byte) (int, error) {
	<-b.ctx.Done()
	return 0, b.ctx.Err()
}

func TestSniff(t *testing.T) {
	plain := lt.Tar(t, lt.File("a", "b"))
	for _, test := range []struct {
		name string
		head []byte
		want bool
	}{
		{"tar", plain, true},
		{"empty archive", make([]byte, 1024), true},
		{"gzip", lt.Gzip(t, plain), true},
		{"zstd", lt.Zstd(t, plain), true},
		{"xz", lt.XZ(t, plain), true},
		{"bzip2", []byte("BZh91AY&SY\x00\x00"), true},
		{"tar whose first entry is named like bzip2", lt.Tar(t, lt.File("BZh", "b")), true},
		{"no bytes", nil, false},
		{"JSON", []byte(`{"architecture":"amd64"}` + strings.Repeat(" ", 600)), false},
		{"zeros, too few", make([]byte, 100), false},
	} {
		head := test.head[:min(len(test.head), layer.SniffLength)]
		if got := layer.Sniff(head); got != test.want {
			t.Errorf("%s: got %v, want %v", test.name, got, test.want)
		}
	}
}
