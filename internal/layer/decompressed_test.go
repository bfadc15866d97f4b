package layer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/pratique/pratique/internal/layer"
	lt "github.com/pratique/pratique/internal/layer/layertest"
)

func TestDecompress(t *testing.T) {
	plain := lt.Tar(t, lt.File("a", "hello"))
	for _, test := range []struct {
		name    string
		content []byte
	}{
		{"plain", plain},
		{"gzip", lt.Gzip(t, plain)},
		{"gzip in members", append(lt.Gzip(t, plain[:100]), lt.Gzip(t, plain[100:])...)},
		{"gzip and garbage", append(lt.Gzip(t, plain), "this is garbage"...)},
		{"zstd", lt.Zstd(t, plain)},
		{"xz", lt.XZ(t, plain)},
		{"nothing", nil},
	} {
		d, err := layer.Decompress(t.Context(), bytes.NewReader(test.content), layer.Options{})
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		want := plain
		if test.content == nil {
			want = nil
		}
		if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes, %v", test.name, len(got), err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if compressed := layer.Compressed(test.content); compressed == bytes.Equal(test.content, want) {
			t.Errorf("%s: compressed is %v", test.name, compressed)
		}
	}
}

func TestDecompressSkips(t *testing.T) {
	d, err := layer.Decompress(t.Context(), bytes.NewReader(lt.Gzip(t, []byte("hello world"))), layer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if at, err := d.Seek(6, io.SeekCurrent); at != 6 || err != nil {
		t.Errorf("at %d, %v", at, err)
	}
	if rest, err := io.ReadAll(d); string(rest) != "world" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	if at, err := d.Seek(9, io.SeekCurrent); at != 11 || err != nil {
		t.Errorf("beyond the end: at %d, %v", at, err)
	}
	if _, err := d.Seek(0, io.SeekStart); err == nil {
		t.Error("it can be rewound")
	}
}

func TestDecompressRefuses(t *testing.T) {
	packed := lt.Gzip(t, make([]byte, 8<<20))
	broken := bytes.Clone(packed)
	broken[len(broken)-1] ^= 1
	for _, test := range []struct {
		name    string
		content []byte
		opts    layer.Options
		want    error
	}{
		{"cut off", packed[:len(packed)/2], layer.Options{}, layer.ErrCorrupt},
		{"wrong sum", broken, layer.Options{}, layer.ErrCorrupt},
		{"no header", []byte("\x1f\x8b nonsense"), layer.Options{}, layer.ErrCorrupt},
		{"ratio", packed, layer.Options{RatioFrom: 1 << 20}, layer.ErrLimit},
		{"size", packed, layer.Options{Bytes: 1 << 20}, layer.ErrLimit},
		{"size of what is plain", make([]byte, 2<<20), layer.Options{Bytes: 1 << 20}, layer.ErrLimit},
	} {
		d, err := layer.Decompress(t.Context(), bytes.NewReader(test.content), test.opts)
		if err == nil {
			_, err = io.Copy(io.Discard, d)
			d.Close()
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", test.name, err, test.want)
		}
	}
}

// Close ends what reads, whatever was read; so does the context.
func TestDecompressEnds(t *testing.T) {
	packed := lt.Gzip(t, make([]byte, 8<<20))
	ctx, cancel := context.WithCancel(t.Context())
	d, err := layer.Decompress(ctx, bytes.NewReader(packed), layer.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.Copy(io.Discard, d); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	d.Close()
	failed := errors.New("failed")
	if _, err := layer.Decompress(t.Context(), io.MultiReader(&failing{failed}), layer.Options{}); !errors.Is(err, failed) {
		t.Errorf("got %v", err)
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }
