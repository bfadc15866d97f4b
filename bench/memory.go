package main

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/gzip"
)

// memory pushes a layer of 1 GB into a running server, waits until it is
// analysed, and tells the most memory that the process took meanwhile.
func memory(ctx context.Context, o options) (err error) {
	name := filepath.Join(o.dir, "gigabyte.tar.gz")
	digest, size, err := bigLayer(name, 1<<30)
	if err != nil {
		return err
	}
	defer os.Remove(name)
	data, err := os.MkdirTemp(o.dir, "memory-")
	if err != nil {
		return err
	}
	p, err := pratique(ctx, o, data)
	if err != nil {
		return err
	}
	defer func() {
		if e := p.stop(); err == nil {
			err = e
		}
	}()
	if err := p.resetPeak(); err != nil {
		return err
	}
	content, err := os.Open(name)
	if err != nil {
		return err
	}
	defer content.Close()
	var took best
	if err := took.of(func() error {
		if err := p.push(ctx, content, size, digest); err != nil {
			return err
		}
		return p.quiet(ctx)
	}); err != nil {
		return err
	}
	peak, err := p.memory("VmHWM")
	if err != nil {
		return err
	}
	t := newTable("Memory of the server for one layer", "uncompressed", "compressed", "push and analysis", "idle", "peak", "above idle")
	t.row(megabytes(1<<30), megabytes(size), took.seconds(), megabytes(p.idle), megabytes(peak), megabytes(peak-p.idle))
	return nil
}

// quiet waits until the process has not used the processor for a while: a blob
// alone has no page that tells when its analysis ended.
func (p *process) quiet(ctx context.Context) error {
	last, still := time.Duration(-1), 0
	for still < 5 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		used, err := p.processor()
		if err != nil {
			return err
		}
		if used-last <= 10*time.Millisecond && last >= 0 {
			still++
		} else {
			still = 0
		}
		last = used
	}
	return nil
}

// bigLayer writes a gzipped archive with size bytes of content that compresses
// about as well as programs do.
func bigLayer(name string, size int64) (digest string, compressed int64, err error) {
	f, err := os.Create(name)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	sum := &counted{Hash: sha256.New()}
	z, err := gzip.NewWriterLevel(io.MultiWriter(f, sum), gzip.BestSpeed)
	if err != nil {
		return "", 0, err
	}
	archive := tar.NewWriter(z)
	body := make([]byte, 8<<20)
	chance := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(body); { // words of a language that has 4,096
		word := uint64(chance.IntN(4096)) * 0x9e3779b97f4a7c15
		i += copy(body[i:], fmt.Appendf(nil, "%x", word)[:4+word%9])
	}
	for i := 0; size > 0; i++ {
		n := min(int64(100+(i%7)*len(body)/6), int64(len(body)), size)
		if err := archive.WriteHeader(&tar.Header{Name: fmt.Sprintf("usr/lib/file%d", i), Mode: 0o755, Size: n}); err != nil {
			return "", 0, err
		}
		if _, err := archive.Write(body[:n]); err != nil {
			return "", 0, err
		}
		size -= n
	}
	if err := archive.Close(); err != nil {
		return "", 0, err
	}
	if err := z.Close(); err != nil {
		return "", 0, err
	}
	return fmt.Sprintf("sha256:%x", sum.Sum(nil)), sum.n, f.Close()
}

type counted struct {
	hash.Hash
	n int64
}

func (c *counted) Write(b []byte) (int, error) {
	c.n += int64(len(b))
	return c.Hash.Write(b)
}
