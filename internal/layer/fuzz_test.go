package layer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/pratique/pratique/internal/layer"
	lt "github.com/pratique/pratique/internal/layer/layertest"
)

func fastGzip(w io.Writer) io.WriteCloser {
	z, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return z
}

// FuzzWalk: no bytes make the pass panic, hang, give a path outside the root,
// or fail in a way that is not documented.
func FuzzWalk(f *testing.F) {
	plain := lt.Tar(f, lt.Dir("etc/"), lt.File("./etc/a", "hello"), lt.Symlink("b", "etc"), lt.Hardlink("c", "etc/a"),
		lt.File("etc/.wh.d", ""), lt.File(".wh..wh..opq", ""), lt.File("../x", ""), lt.PAX("path", "long/name", "size", "3"), lt.Raw('0', "y", 3, "abc"))
	f.Add(plain)
	f.Add(lt.Gzip(f, plain))
	f.Add(lt.Zstd(f, plain))
	f.Add(lt.XZ(f, plain))
	f.Add(append(lt.Gzip(f, plain), "garbage"...))
	f.Add(lt.Gzip(f, plain)[:100])
	if bz, err := os.ReadFile(filepath.Join("testdata", "small.tar.bz2")); err == nil {
		f.Add(bz)
	}
	opts := layer.Options{Bytes: 8 << 20, FileSize: 1 << 20, Entries: 1000, Window: 8 << 20}
	f.Fuzz(func(t *testing.T, content []byte) {
		result, err := layer.Walk(context.Background(), bytes.NewReader(content), opts, func(e *layer.Entry, r io.Reader) error {
			if e.Kind != layer.Refused {
				if e.Path == "" || e.Path[0] == '/' || e.Path == ".." || strings.HasPrefix(e.Path, "../") || strings.Contains(e.Path, "/../") {
					t.Errorf("path %q", e.Path)
				}
			}
			n, err := io.Copy(io.Discard, r)
			if err == nil && e.Kind == layer.File && n != e.Size {
				t.Errorf("%q has %d bytes, not %d", e.Path, n, e.Size)
			}
			return err
		})
		switch {
		case err == nil:
			if result.Size != int64(len(content)) || result.Digest != sum(content) {
				t.Errorf("size %d, digest %s of %d bytes", result.Size, result.Digest, len(content))
			}
		case !errors.Is(err, layer.ErrCorrupt) && !errors.Is(err, layer.ErrLimit):
			t.Errorf("undocumented error %v", err)
		}
	})
}
