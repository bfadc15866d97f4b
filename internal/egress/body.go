package egress

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// body is a response body that is limited in size and time.
type body struct {
	ctx    context.Context //nolint:containedctx // the life of the request is the life of its body
	cancel context.CancelCauseFunc
	total  *time.Timer
	inner  io.ReadCloser
	url    string
	opts   Options

	idle   *time.Timer
	waited time.Duration // since the last MinProgress bytes
	came   int64         // bytes since then
	read   int64
	failed error
	once   sync.Once
}

func newBody(ctx context.Context, cancel context.CancelCauseFunc, total *time.Timer, inner io.ReadCloser, url string, opts Options) *body {
	b := &body{ctx: ctx, cancel: cancel, total: total, inner: inner, url: url, opts: opts}
	b.idle = time.AfterFunc(opts.IdleTimeout, func() {
		cancel(fmt.Errorf("%w: fewer than %d bytes came in %v", ErrTimeout, opts.MinProgress, opts.IdleTimeout))
	})
	b.idle.Stop()
	return b
}

func (b *body) Read(p []byte) (int, error) {
	if b.failed != nil {
		return 0, b.failed
	}
	if len(p) == 0 {
		return 0, nil
	}
	// One byte more than the limit tells too large from just fitting.
	if left := b.opts.MaxSize - b.read + 1; int64(len(p)) > left {
		p = p[:left]
	}
	start := time.Now()
	b.idle.Reset(max(b.opts.IdleTimeout-b.waited, time.Millisecond))
	n, err := b.inner.Read(p)
	b.idle.Stop()
	b.waited += time.Since(start)
	b.read += int64(n)
	if b.came += int64(n); b.came >= b.opts.MinProgress {
		b.came, b.waited = 0, 0
	}
	switch {
	case b.read > b.opts.MaxSize:
		n -= int(b.read - b.opts.MaxSize)
		err = fmt.Errorf("%w: more than %d bytes", ErrTooLarge, b.opts.MaxSize)
	case err == nil, err == io.EOF:
		b.failed = err
		return n, err
	default:
		err = reason(b.ctx, err)
	}
	b.failed = &Error{URL: b.url, Err: err}
	return n, b.failed
}

func (b *body) Close() error {
	var err error
	b.once.Do(func() {
		b.idle.Stop()
		b.total.Stop()
		err = b.inner.Close()
		b.cancel(nil)
	})
	return err
}
