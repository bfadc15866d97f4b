package blob

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
)

const (
	bufferSize = 256 << 10
	// buffers is how many an append holds at most.
	buffers = 4
	// writeback is after how many bytes the kernel is asked to begin writing
	// to the disk, so that the sync at the commit has little left to wait for.
	writeback = 16 << 20
)

// copy writes what content holds to f at offset and adds it to h (nil for
// none), which sees exactly the bytes that were written. A buffer is hashed
// while the next one is received and written.
func (d *Dir) copy(ctx context.Context, f *os.File, offset int64, content io.Reader, h hash.Hash) (written int64, err error) {
	var (
		filled = make(chan []byte, buffers-1)
		free   = make(chan *[bufferSize]byte, buffers)
		done   chan struct{}
		taken  int
		synced = offset
	)
	// Not WriteAt, which does not say how much it wrote before it failed.
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return 0, err
	}
	defer func() {
		close(filled)
		if done != nil {
			<-done
		}
		close(free)
		for b := range free {
			d.buffers.Put(b)
		}
	}()
	for checked := int64(0); ; {
		if err := ctx.Err(); err != nil {
			return written, err
		}
		if written >= checked {
			if err := d.room(f); err != nil {
				return written, err
			}
			checked = written + writeback
		}
		var b *[bufferSize]byte
		switch {
		case taken < buffers && len(free) == 0:
			b = d.buffers.Get().(*[bufferSize]byte)
			taken++
		default:
			b = <-free
		}
		n, failed := fill(content, b[:])
		w, err := f.Write(b[:n])
		written += int64(w)
		last := failed != nil || err != nil
		switch {
		case h == nil:
			free <- b
		case last && done == nil: // small content needs no goroutine
			h.Write(b[:w])
			free <- b
		default:
			if done == nil {
				done = make(chan struct{})
				go func() {
					defer close(done)
					for b := range filled {
						h.Write(b)
						free <- (*[bufferSize]byte)(b[:bufferSize])
					}
				}()
			}
			filled <- b[:w]
		}
		if err != nil {
			return written, full(err)
		}
		if failed != nil {
			if errors.Is(failed, io.EOF) {
				return written, nil
			}
			return written, fmt.Errorf("read content: %w", failed)
		}
		if end := offset + written; !d.opts.NoSync && end-synced >= writeback {
			startWriteback(f, synced, end-synced)
			synced = end
		}
	}
}

// fill reads until the buffer is full or content ends or fails.
func fill(content io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) && err == nil {
		var m int
		m, err = content.Read(buffer[n:])
		n += m
	}
	return n, err
}

// rehash adds the bytes of f from offset to size to h.
func (d *Dir) rehash(ctx context.Context, f *os.File, offset, size int64, h hash.Hash) (n int64, err error) {
	if offset == size {
		return 0, nil
	}
	b := d.buffers.Get().(*[bufferSize]byte)
	defer d.buffers.Put(b)
	for offset+n < size {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, err := f.ReadAt(b[:min(bufferSize, size-offset-n)], offset+n)
		h.Write(b[:m])
		n += int64(m)
		if err != nil && offset+n < size {
			return n, fmt.Errorf("read back: %w", err)
		}
	}
	return n, nil
}

// room refuses to go on where the file system is all but full.
func (d *Dir) room(f *os.File) error {
	if d.opts.Reserve < 0 {
		return nil
	}
	free, err := available(f)
	if err != nil {
		return fmt.Errorf("free space: %w", err)
	}
	if free < d.opts.Reserve {
		return fmt.Errorf("%w: %d bytes are left, %d are kept in reserve", ErrFull, free, d.opts.Reserve)
	}
	return nil
}
