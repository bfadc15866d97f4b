package inflate_test

import (
	"bytes"
	stdgzip "compress/gzip"
	"io"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/pratique/pratique/internal/layer/inflate"
)

// BenchmarkGunzip compares the readers there are; `make bench` does so on layers.
func BenchmarkGunzip(b *testing.B) {
	for name, plain := range samples() {
		if len(plain) < 100_000 {
			continue
		}
		file, buffer := compressed(b, plain, 6), make([]byte, 256<<10)
		for reader, open := range map[string]func(io.Reader) (io.Reader, error){
			"this":      func(r io.Reader) (io.Reader, error) { return inflate.NewReader(r), nil },
			"klauspost": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
			"standard":  func(r io.Reader) (io.Reader, error) { return stdgzip.NewReader(r) },
		} {
			b.Run(name+"/"+reader, func(b *testing.B) {
				b.SetBytes(int64(len(plain)))
				for b.Loop() {
					r, err := open(bytes.NewReader(file))
					for err == nil {
						_, err = r.Read(buffer)
					}
					if err != io.EOF {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
