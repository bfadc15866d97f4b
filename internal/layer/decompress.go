package layer

import (
	"bufio"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"

	"github.com/pratique/pratique/internal/layer/inflate"
)

// decompress is the middle stage: it fills to with what from holds compressed.
func decompress(c compression, from, to *pipe, opts Options) {
	d := decompressor{compression: c, from: from, opts: opts}
	defer func() {
		if d.close != nil {
			d.close()
		}
	}()
	to.fill(d.read)
}

type decompressor struct {
	compression compression
	from        *pipe
	opts        Options

	stream io.Reader
	close  func()
	total  int64
}

// read fills b with decompressed data.
func (d *decompressor) read(b []byte) (n int, err error) {
	n, err = d.decode(b)
	d.total += int64(n)
	if d.total > d.opts.Bytes {
		return 0, &LimitError{Limit: "uncompressed bytes", Value: d.opts.Bytes}
	}
	if d.total > d.opts.RatioFrom && d.total/d.opts.Ratio > d.from.taken {
		return 0, &LimitError{Limit: "compression ratio", Value: d.opts.Ratio}
	}
	switch err {
	case nil:
		return n, nil
	case io.EOF:
		// The digest covers every byte, whether the decoder wanted it or not.
		if err := d.from.discard(); err != nil {
			return n, err
		}
		return n, io.EOF
	}
	return n, d.failure(err)
}

// decode turns a decoder's panic into an error: the bytes are foreign, and so
// is the decoder.
func (d *decompressor) decode(b []byte) (n int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("decoder failed: %v", p)
		}
	}()
	if d.stream == nil {
		if err := d.open(); err != nil {
			return 0, err
		}
	}
	for idle := 0; n < len(b) && err == nil; idle++ {
		var got int
		got, err = d.stream.Read(b[n:])
		n += got
		if got > 0 {
			idle = 0
		} else if err == nil && idle >= 100 {
			err = io.ErrNoProgress
		}
	}
	return n, err
}

func (d *decompressor) open() error {
	if d.compression == gzipped {
		d.stream = inflate.NewReader(d.from) // has a buffer of its own
		return nil
	}
	input := bufio.NewReaderSize(d.from, 64<<10)
	switch d.compression {
	case zstandard:
		z, err := zstd.NewReader(input,
			// One goroutine is enough: the other stages run beside it.
			zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(max(d.opts.Window, zstd.MinWindowSize))))
		if err != nil {
			return err
		}
		d.stream, d.close = z, z.Close
	case xzipped:
		z, err := xz.NewReader(input, uint32(min(d.opts.Window, 1<<31)))
		if err != nil {
			return err
		}
		d.stream = z
	case bzipped:
		d.stream = bzip2.NewReader(input)
	}
	return nil
}

// failure says why the data could not be decompressed. Where that is damage,
// it reads the rest of the input if a digest can be made of it.
func (d *decompressor) failure(err error) error {
	if d.from.err != nil && d.from.err != io.EOF {
		return d.from.err
	}
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded),
		errors.Is(err, xz.ErrMemlimit):
		return &LimitError{Limit: "window", Value: d.opts.Window}
	}
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		corrupt = &CorruptError{Format: string(d.compression), Err: err}
		// What follows a member is another member, or something else.
		corrupt.garbage = errors.Is(err, inflate.ErrGarbage) || errors.Is(err, zstd.ErrMagicMismatch)
	}
	if corrupt.garbage || d.opts.Digest != "" {
		if err := d.from.discard(); err != nil {
			return err
		}
	}
	return corrupt
}
