package layer

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Compressed reports whether what starts with head is compressed in a known way.
func Compressed(head []byte) bool { return detect(head) != none }

// Decompressed is what a stream holds, whatever it is compressed with.
type Decompressed struct {
	stream *pipe
	cancel context.CancelFunc
	stages sync.WaitGroup
}

// Decompress reads r and gives what it holds, decompressed in the way that its
// first bytes tell; what is not compressed is given as it is. The bounds of opts
// on bytes, ratio and window hold; its errors are those of Walk. Bytes that
// follow the compressed data are left out.
//
// It reads r in goroutines that end with Close, or with ctx. A reader that can
// block must heed ctx itself.
func Decompress(ctx context.Context, r io.Reader, opts Options) (*Decompressed, error) {
	opts = opts.withDefaults()
	opts.Digest = ""
	ctx, cancel := context.WithCancel(ctx)
	d := &Decompressed{cancel: cancel}
	in := newIntake(ctx, r, digest.SHA256, opts.Bytes)
	d.stages.Go(in.run)
	head, err := in.pipe.peek()
	if err != nil {
		d.Close()
		return nil, err
	}
	d.stream = in.pipe
	if how := detect(head); how != none {
		d.stream = newPipe(ctx, outputSize)
		d.stages.Go(func() { decompress(how, in.pipe, d.stream, opts) })
	}
	return d, nil
}

func (d *Decompressed) Read(b []byte) (int, error) {
	n, err := d.stream.Read(b)
	var corrupt *CorruptError
	if errors.As(err, &corrupt) && corrupt.garbage && d.stream.taken > 0 {
		err = io.EOF
	}
	return n, err
}

// Seek skips forwards, from the current position only, as archive/tar does; it
// returns where the stream stands. At the end of the data it stops.
func (d *Decompressed) Seek(offset int64, whence int) (int64, error) {
	return d.stream.Seek(offset, whence)
}

// Close ends the reading of the stream.
func (d *Decompressed) Close() error {
	d.cancel()
	d.stages.Wait()
	return nil
}
