// Package layer reads a layer of an image in one streaming pass: bytes, digest,
// decompression, tar entries. Nothing is unpacked; memory is bounded whatever
// the layer claims.
//
// It must not know what is looked for in a layer, nor where layers are kept.
package layer

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/opencontainers/go-digest"
)

// Options bound the pass. The zero value is usable: every limit that is zero
// takes its default.
type Options struct {
	// Digest is what the bytes must have ("sha256:…", "sha512:…"); not checked where empty.
	Digest string
	// Bytes bounds the layer, as it is read and uncompressed; 32 GiB.
	Bytes int64
	// Ratio bounds uncompressed to compressed bytes once RatioFrom bytes came
	// out of the decompressor: files of zeros are legitimate up to some size.
	// 200, and 512 MiB.
	Ratio     int64
	RatioFrom int64
	// Entries bounds the number of tar entries; 5,000,000.
	Entries int64
	// PathLength bounds names and link targets, in bytes; 4,096, Linux's PATH_MAX.
	PathLength int64
	// HeaderSize bounds an entry's extended (PAX) header, in bytes; 1 MiB, which
	// is also the most that can be had.
	HeaderSize int64
	// Headers bounds what the headers of all entries take together beyond 2 kB
	// each, in bytes: extended headers can be many, and for one entry as many as
	// there is room for. 512 MiB.
	Headers int64
	// FileSize bounds an entry whose content is read, in bytes; 200 MB. Larger
	// entries that nobody reads are fine.
	FileSize int64
	// Window bounds what a zstd window or an xz dictionary may take of memory;
	// 128 MiB, the most that the zstd command makes or takes by default.
	Window int64
}

func (o Options) withDefaults() Options {
	for _, d := range []struct {
		field *int64
		value int64
	}{
		{&o.Bytes, 32 << 30},
		{&o.Ratio, 200},
		{&o.RatioFrom, 512 << 20},
		{&o.Entries, 5_000_000},
		{&o.PathLength, 4096},
		{&o.HeaderSize, 1 << 20},
		{&o.Headers, 512 << 20},
		{&o.FileSize, 200_000_000},
		{&o.Window, 128 << 20},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return o
}

// Result is what a pass over a whole layer found.
type Result struct {
	// Digest is of the bytes as they were read, in the algorithm of
	// Options.Digest, else sha256.
	Digest string
	// Size and UncompressedSize are in bytes and include what follows the end
	// of the archive; Entries counts tar headers.
	Size             int64
	UncompressedSize int64
	Entries          int64
	// Compression is "none", "gzip", "zstd", "xz" or "bzip2".
	Compression string
	// Garbage reports bytes after the compressed data that are not compressed
	// data. The archive had ended before them.
	Garbage bool
}

// Walk reads the layer r to its end and calls visit for each entry, in the
// order of the archive, with a reader of its content (empty unless the entry is
// a File). The entry and the reader are valid until visit returns; what visit
// leaves unread is skipped. An error of visit ends the pass and is returned.
//
// Every other error is of r or the context, or wraps ErrCorrupt, ErrLimit or
// ErrDigest; the digest is checked before damage is reported, so that ErrCorrupt
// says that the layer is damaged and not the copy, where a digest was given.
//
// Walk reads r in a goroutine of its own and returns when that has ended. A
// reader that can block must heed ctx itself.
func Walk(ctx context.Context, r io.Reader, opts Options, visit func(*Entry, io.Reader) error) (Result, error) {
	opts = opts.withDefaults()
	want, algorithm := digest.Digest(opts.Digest), digest.SHA256
	if want != "" {
		if err := want.Validate(); err != nil {
			return Result{}, fmt.Errorf("digest %q: %w", opts.Digest, err)
		}
		algorithm = want.Algorithm()
	}

	var stages sync.WaitGroup
	defer stages.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()

	in := newIntake(ctx, r, algorithm, opts.Bytes)
	stages.Go(in.run)
	head, err := in.pipe.peek()
	if err != nil {
		return Result{}, err
	}
	stream, compression := in.pipe, detect(head)
	if compression != none {
		stream = newPipe(ctx, outputSize)
		stages.Go(func() { decompress(compression, in.pipe, stream, opts) })
	}

	w := walk{stream: stream, headers: &headers{pipe: stream, limit: opts.Headers}, opts: opts, visit: visit}
	w.result.Compression = string(compression)
	err = w.run()
	if err != nil {
		if want == "" || !errors.Is(err, ErrCorrupt) {
			return w.result, err
		}
		// Damage is reported only once the digest has told whose it is.
		if rest := stream.discard(); rest != nil && !errors.Is(rest, ErrCorrupt) {
			return w.result, err
		}
	}
	stages.Wait()
	w.result.Size, w.result.UncompressedSize = in.size, stream.taken
	got := digest.NewDigest(algorithm, in.hash)
	w.result.Digest = got.String()
	if want != "" && got != want {
		mismatch := &DigestError{Want: want.String(), Got: got.String()}
		if err != nil {
			return w.result, fmt.Errorf("%w (%w)", mismatch, err)
		}
		return w.result, mismatch
	}
	return w.result, err
}

// walk is the last stage: the tar archive.
type walk struct {
	stream  *pipe
	headers *headers
	opts    Options
	visit   func(*Entry, io.Reader) error
	result  Result
}

func (w *walk) run() error {
	archive := tar.NewReader(w.headers)
	var entry Entry
	content := content{walk: w, archive: archive}
	for {
		w.headers.begin()
		header, err := archive.Next()
		w.headers.end()
		if err == io.EOF {
			return w.rest()
		}
		if err != nil {
			return fmt.Errorf("entry %d: %w", w.result.Entries+1, w.cause(err))
		}
		w.result.Entries++
		if err := w.check(header); err != nil {
			return err
		}
		if !entry.set(header) {
			continue
		}
		content.size = header.Size
		if err := w.visit(&entry, &content); err != nil {
			return fmt.Errorf("entry %q: %w", clip(header.Name), err)
		}
	}
}

// rest reads what follows the end of the archive: runtimes ignore it, the
// digest does not.
func (w *walk) rest() error {
	err := w.stream.discard()
	var corrupt *CorruptError
	if errors.As(err, &corrupt) && corrupt.garbage {
		w.result.Garbage = true
		return nil
	}
	return err
}

func (w *walk) check(h *tar.Header) error {
	if w.result.Entries > w.opts.Entries {
		return &LimitError{Limit: "entries", Value: w.opts.Entries}
	}
	if int64(len(h.Name)) > w.opts.PathLength || int64(len(h.Linkname)) > w.opts.PathLength {
		return fmt.Errorf("entry %q: %w", clip(h.Name), &LimitError{Limit: "path length", Value: w.opts.PathLength})
	}
	var size int64
	for key, value := range h.PAXRecords {
		size += int64(len(key) + len(value))
	}
	if size > w.opts.HeaderSize {
		return fmt.Errorf("entry %q: %w", clip(h.Name), &LimitError{Limit: "header size", Value: w.opts.HeaderSize})
	}
	return nil
}

// cause says why the archive could not be read on: the stream below it, else
// the archive itself.
func (w *walk) cause(err error) error {
	if w.stream.err != nil && w.stream.err != io.EOF {
		return w.stream.err
	}
	if w.headers.err != nil {
		return w.headers.err
	}
	if errors.Is(err, tar.ErrFieldTooLong) {
		// archive/tar takes 1 MiB of header at most.
		return &LimitError{Limit: "header size", Value: min(w.opts.HeaderSize, 1<<20)}
	}
	return &CorruptError{Format: "tar", Err: err}
}

// content reads the content of one entry.
type content struct {
	walk    *walk
	archive *tar.Reader
	size    int64
}

func (c *content) Read(p []byte) (int, error) {
	// The claim is enough: the content of a sparse file costs nothing to claim.
	if c.size > c.walk.opts.FileSize {
		return 0, &LimitError{Limit: "file size", Value: c.walk.opts.FileSize}
	}
	n, err := c.archive.Read(p)
	if err != nil && err != io.EOF {
		err = c.walk.cause(err)
	}
	return n, err
}

// clip shortens foreign text for messages.
func clip(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
