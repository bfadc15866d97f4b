package layer

import (
	"context"
	"fmt"
	"hash"
	"io"

	"github.com/opencontainers/go-digest"
)

// Sizes in bytes. A pass takes at most pipeDepth buffers of each, and no more
// of them than the layer fills.
const (
	inputSize  = 128 << 10
	outputSize = 256 << 10
	pipeDepth  = 4
)

// pipe hands buffers from one goroutine, that calls fill, to another, that
// reads. It ends with its context.
type pipe struct {
	ctx  context.Context
	size int
	full chan chunk
	free chan []byte
	made int // buffers; of the filling side

	// Of the reading side:
	buffer []byte // being read, to be given back
	rest   []byte // of buffer, unread
	err    error  // after rest; sticky
	taken  int64  // bytes read or skipped
}

type chunk struct {
	data []byte
	err  error
}

func newPipe(ctx context.Context, size int) *pipe {
	return &pipe{
		ctx: ctx, size: size,
		full: make(chan chunk, pipeDepth), free: make(chan []byte, pipeDepth),
	}
}

// fill calls read for one buffer after the other until it returns an error,
// which the reading side gets too, or the context ends.
func (p *pipe) fill(read func([]byte) (int, error)) {
	for {
		buffer := p.empty()
		if buffer == nil {
			return
		}
		n, err := read(buffer)
		// There is room: the channel takes as many chunks as there are buffers.
		p.full <- chunk{buffer[:n], err}
		if err != nil {
			return
		}
	}
}

func (p *pipe) empty() []byte {
	select {
	case b := <-p.free:
		return b
	default:
	}
	if p.made < pipeDepth {
		p.made++
		return make([]byte, p.size)
	}
	select {
	case b := <-p.free:
		return b
	case <-p.ctx.Done():
		return nil
	}
}

// next makes rest the next data there is; it leaves it empty where err is set.
func (p *pipe) next() {
	for len(p.rest) == 0 && p.err == nil {
		if p.buffer != nil {
			p.free <- p.buffer[:cap(p.buffer)]
			p.buffer = nil
		}
		select {
		case c := <-p.full:
			p.buffer, p.rest, p.err = c.data, c.data, c.err
		case <-p.ctx.Done():
			p.err = context.Cause(p.ctx)
		}
	}
}

// peek returns the first data without taking it, and no error at the end.
func (p *pipe) peek() ([]byte, error) {
	p.next()
	if len(p.rest) == 0 && p.err != io.EOF {
		return nil, p.err
	}
	return p.rest, nil
}

func (p *pipe) Read(b []byte) (int, error) {
	p.next()
	if len(p.rest) == 0 {
		return 0, p.err
	}
	n := copy(b, p.rest)
	p.take(n)
	return n, nil
}

func (p *pipe) take(n int) {
	p.rest = p.rest[n:]
	p.taken += int64(n)
}

// Seek skips forwards, without copying; archive/tar does so to pass over the
// content of entries. It stops, without an error, at the end of the data.
func (p *pipe) Seek(offset int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || offset < 0 {
		return p.taken, fmt.Errorf("seek %d from %d: a stream can only be skipped forwards", offset, whence)
	}
	for offset > 0 {
		p.next()
		if len(p.rest) == 0 {
			break
		}
		n := int(min(offset, int64(len(p.rest))))
		p.take(n)
		offset -= int64(n)
	}
	return p.taken, nil
}

// discard reads to the end.
func (p *pipe) discard() error {
	for {
		p.next()
		if len(p.rest) == 0 {
			break
		}
		p.take(len(p.rest))
	}
	if p.err == io.EOF {
		return nil
	}
	return p.err
}

// intake is the first stage: the bytes as they are read, counted and hashed.
type intake struct {
	source io.Reader
	limit  int64
	pipe   *pipe

	// To be read when run has returned.
	hash hash.Hash
	size int64
}

func newIntake(ctx context.Context, r io.Reader, algorithm digest.Algorithm, limit int64) *intake {
	return &intake{source: r, limit: limit, pipe: newPipe(ctx, inputSize), hash: algorithm.Hash()}
}

func (in *intake) run() {
	in.pipe.fill(func(b []byte) (int, error) {
		n, err := in.readFull(b)
		in.hash.Write(b[:n])
		in.size += int64(n)
		if err != nil && err != io.EOF {
			err = fmt.Errorf("read: %w", err)
		}
		if in.size > in.limit {
			return 0, &LimitError{Limit: "bytes", Value: in.limit}
		}
		return n, err
	})
}

// readFull fills b unless the source ends or fails first.
func (in *intake) readFull(b []byte) (n int, err error) {
	for idle := 0; n < len(b) && err == nil; idle++ {
		if err := in.pipe.ctx.Err(); err != nil {
			return n, err
		}
		var got int
		got, err = in.source.Read(b[n:])
		n += got
		if got > 0 {
			idle = 0
		} else if err == nil && idle >= 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, err
}
