package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/mattn/go-isatty"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bars are the progress bars of layers. They are on a terminal only; elsewhere
// nothing is written but messages.
type bars struct {
	out      *os.File
	terminal bool

	mu       sync.Mutex
	progress *mpb.Progress // nil until the first bar, and after the last
}

func newBars(out *os.File) *bars {
	return &bars{out: out, terminal: isatty.IsTerminal(out.Fd()) && os.Getenv("TERM") != "dumb"}
}

// Write writes messages, above the bars where there are any.
func (b *bars) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.progress != nil {
		n, err := b.progress.Write(p)
		if done := (mpb.ErrDone[*mpb.Progress]{}); !errors.As(err, &done) {
			return n, err
		}
	}
	return b.out.Write(p)
}

// say writes a line on a terminal.
func (b *bars) say(message string) {
	if b.terminal {
		fmt.Fprintln(b, printable(message))
	}
}

// layer adds a bar for a layer that is read; done removes it.
func (b *bars) layer(name string, size int64, content io.Reader) (_ io.Reader, done func(error)) {
	if !b.terminal {
		return content, func(error) {}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.progress == nil {
		b.progress = mpb.New(mpb.WithOutput(b.out), mpb.WithWidth(80))
	}
	name = printable(name)
	if algorithm, hex, ok := strings.Cut(name, ":"); ok && len(hex) == 64 {
		name = algorithm + ":" + hex[:12]
	}
	var bar *mpb.Bar
	label := decor.Name(name, decor.WCSyncSpaceR)
	if size > 0 {
		bar = b.progress.AddBar(size, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(label),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f", decor.WCSyncSpace)))
	} else { // nobody knows how much is to come
		bar = b.progress.AddSpinner(0, mpb.PrependDecorators(label), mpb.AppendDecorators(decor.CurrentKibiByte("% .1f", decor.WCSyncSpace)))
	}
	return &counting{content, bar}, func(error) { bar.Abort(true) }
}

// wait ends the bars, so that the report stands alone.
func (b *bars) wait() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.progress != nil {
		b.progress.Wait()
		b.progress = nil
	}
}

// counting moves a bar as it is read.
type counting struct {
	inner io.Reader
	bar   *mpb.Bar
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.inner.Read(p)
	c.bar.IncrBy(n)
	return n, err
}
