package inventory

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"

	"github.com/pratique/pratique/internal/layer"
)

// Bytes of a file that describes a package, and from how many on the ratio of an
// entry matters.
const (
	archiveSmall     = 1 << 20
	archiveRatioFrom = 1 << 20
)

// archives is the reading of a zip archive in a layer, and of those in it.
type archives struct {
	*findings
	opts    DetectorOptions
	entries int64 // that may be looked at still
	bytes   int64 // that may be decompressed still
	held    int64 // of inner archives
	layer   *budget
}

func newArchives(f *findings, opts DetectorOptions, c *Content) *archives {
	return &archives{findings: f, opts: opts, entries: opts.ArchiveEntries, bytes: opts.ArchiveBytes, layer: c.archives}
}

func exceeded(limit string, value int64) error { return &layer.LimitError{Limit: limit, Value: value} }

// failed warns of what could not be read.
func (a *archives) failed(label string, err error) {
	var limit *layer.LimitError
	if errors.As(err, &limit) {
		a.warn(Limit, "%s: %s", clip(label), limit)
		return
	}
	a.warn(Malformed, "%s: %s", clip(label), clip(err.Error()))
}

// directory reads the list of an archive's entries.
func (a *archives) directory(content io.ReaderAt, size int64) (*zip.Reader, error) {
	if size > 1<<32 {
		return nil, exceeded("archive size", 1<<32)
	}
	// The archive says how large its directory is, but the reader goes on while
	// there are entries: what counts is what it reads. It looks for the end in
	// 64 KiB first, and reads in pieces.
	bounded := &boundedReaderAt{r: content, left: a.opts.ArchiveDirectory + 256<<10, err: exceeded("archive directory", a.opts.ArchiveDirectory)}
	archive, err := zip.NewReader(bounded, size)
	if bounded.left < 0 {
		return nil, bounded.err
	}
	if err != nil {
		return nil, err
	}
	bounded.unbounded = true // entries have limits of their own
	if a.entries -= int64(len(archive.File)); a.entries < 0 {
		return nil, exceeded("archive entries", a.opts.ArchiveEntries)
	}
	return archive, nil
}

// open decompresses an entry of at most limit bytes.
func (a *archives) open(f *zip.File, name string, limit int64) ([]byte, error) {
	err := exceeded(name, limit)
	lower := func(most int64, name string, value int64) {
		if most < limit {
			limit, err = max(most, 0), exceeded(name, value)
		}
	}
	lower(a.bytes, "archive bytes", a.opts.ArchiveBytes)
	if a.layer != nil {
		lower(a.layer.left, "archive bytes of the layer", a.layer.limit)
	}
	// What claims to be larger than the archive ends with it.
	compressed := int64(min(f.CompressedSize64, 1<<32))
	lower(max(archiveRatioFrom, compressed*a.opts.ArchiveRatio), "archive ratio", a.opts.ArchiveRatio)
	r, openErr := f.Open()
	if openErr != nil {
		return nil, openErr
	}
	defer r.Close()
	var text bytes.Buffer
	text.Grow(int(min(f.UncompressedSize64, uint64(limit))) + bytes.MinRead)
	n, readErr := text.ReadFrom(io.LimitReader(r, limit+1))
	a.bytes -= n
	if a.layer != nil {
		a.layer.left -= n
	}
	if n > limit {
		return nil, err
	}
	return text.Bytes(), readErr
}

// boundedReaderAt fails once too much was read.
type boundedReaderAt struct {
	r         io.ReaderAt
	left      int64
	err       error
	unbounded bool
}

func (b *boundedReaderAt) ReadAt(p []byte, at int64) (int, error) {
	if b.unbounded {
		return b.r.ReadAt(p, at)
	}
	if b.left -= int64(len(p)); b.left < 0 {
		return 0, b.err
	}
	return b.r.ReadAt(p, at)
}
