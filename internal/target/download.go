package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// errIdle is why a download is begun again.
var errIdle = errors.New("no byte came for too long")

// resumptions is how often a download goes on where it broke off.
const resumptions = 5

// download reads a blob of a registry, and goes on where the connection breaks.
type download struct {
	ctx  context.Context //nolint:containedctx // the life of the request is the life of its body
	from fetcher
	blob ocispec.Descriptor
	idle time.Duration
	// pause is before the first resumption; it doubles.
	pause time.Duration

	body   io.ReadCloser
	cancel context.CancelCauseFunc
	timer  *time.Timer
	offset int64
	tries  int
}

func newDownload(ctx context.Context, from fetcher, blob ocispec.Descriptor, opts Remote) (*download, error) {
	d := &download{ctx: ctx, from: from, blob: blob, idle: opts.Idle, pause: opts.Pause}
	if err := d.begin(); err != nil {
		return nil, err
	}
	return d, nil
}

// begin asks for the blob, from the offset on.
func (d *download) begin() error {
	ctx, cancel := context.WithCancelCause(d.ctx)
	body, err := d.from.Fetch(ctx, d.blob)
	if err != nil {
		cancel(nil)
		return err
	}
	d.cancel, d.body = cancel, body
	d.timer = time.AfterFunc(d.idle, func() { cancel(errIdle) })
	if err := d.skip(ctx); err != nil {
		return errors.Join(err, d.Close())
	}
	return nil
}

// skip brings a new body to the offset, by a range where the registry has them.
func (d *download) skip(ctx context.Context) error {
	if d.offset == 0 {
		return nil
	}
	if seeker, ok := d.body.(io.Seeker); ok {
		_, err := seeker.Seek(d.offset, io.SeekStart)
		return err
	}
	for left := d.offset; left > 0; {
		d.timer.Reset(d.idle)
		n, err := io.CopyN(io.Discard, d.body, min(left, 1<<20))
		left -= n
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
	}
	return nil
}

func (d *download) Read(p []byte) (int, error) {
	for {
		if d.body == nil {
			if err := d.begin(); err != nil {
				return 0, err
			}
		}
		d.timer.Reset(d.idle)
		n, err := d.body.Read(p)
		d.timer.Stop()
		d.offset += int64(n)
		if err == nil || err == io.EOF || d.ctx.Err() != nil {
			return n, err
		}
		if d.tries++; d.tries > resumptions {
			return n, fmt.Errorf("download broke off %d times: %w", d.tries, err)
		}
		_ = d.Close() // it broke off; what matters is the next try
		select {
		case <-d.ctx.Done():
			return n, d.ctx.Err()
		case <-time.After(d.pause):
			d.pause *= 2
		}
		if n > 0 {
			return n, nil
		}
	}
}

// Close gives the download up.
func (d *download) Close() error {
	if d.body == nil {
		return nil
	}
	d.timer.Stop()
	err := d.body.Close()
	d.cancel(nil)
	d.body = nil
	return err
}
