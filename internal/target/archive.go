package target

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/pratique/pratique/internal/layer"
)

// Bounds of an archive. One of a hundred layers has some hundred members.
const (
	maxMembers     = 50_000
	maxNames       = 16 << 20 // bytes of all names
	maxLinks       = 8        // links that lead to one member
	keptMost       = 1 << 20  // bytes of a member that is kept in memory
	keptAltogether = 64 << 20
)

// archive is a tar archive whose members are opened by name. Nothing is
// unpacked: a plain archive is read where the member lies. One that is compressed
// can only be read forwards, so that its small members are kept when it is read
// for the first time, and large ones are best opened in the order in which they
// lie there; one is open at a time.
type archive struct {
	file    *os.File
	size    int64
	limits  layer.Options
	members map[string]*member

	compressed bool
	turn       chan struct{} // holds a token that an open member has
	stream     *layer.Decompressed
}

// member is what stands at a name.
type member struct {
	offset, size int64
	kept         []byte // the content, or nil
	link         string // the name that it leads to
	twice        bool   // there are several of the name
	sparse       bool
}

// newArchive opens an archive and reads its table of contents.
func newArchive(ctx context.Context, path string, opts Options) (*archive, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	a := &archive{file: file, size: info.Size(), limits: opts.Limits, members: make(map[string]*member), turn: make(chan struct{}, 1)}
	a.turn <- struct{}{}
	head := make([]byte, layer.SniffLength)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, errors.Join(err, a.Close())
	}
	a.compressed = layer.Compressed(head[:n])
	if err := a.list(ctx, opts.Progress); err != nil {
		return nil, errors.Join(err, a.Close())
	}
	return a, nil
}

// Close closes the archive and what is open of it.
func (a *archive) Close() error {
	if a.stream != nil {
		a.stream.Close()
		a.stream = nil
	}
	return a.file.Close()
}

// list reads the headers.
func (a *archive) list(ctx context.Context, progress Progress) (err error) {
	var stream io.ReadSeeker = io.NewSectionReader(a.file, 0, a.size)
	if a.compressed {
		var content io.Reader = stream
		if progress != nil {
			var done func(error)
			content, done = progress(filepath.Base(a.file.Name()), a.size, content)
			defer func() { done(err) }()
		}
		decompressed, err := layer.Decompress(ctx, content, a.limits)
		if err != nil {
			return err
		}
		defer decompressed.Close()
		stream = decompressed
	}
	archive := tar.NewReader(stream)
	var names, kept int
	for n := 1; ; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		header, err := archive.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("member %d: %w", n, err)
		}
		if names += len(header.Name) + len(header.Linkname); n > maxMembers || names > maxNames {
			return fmt.Errorf("the archive has more than %d members or %d bytes of names", maxMembers, maxNames)
		}
		name := clean(header.Name)
		m := a.member(name, header)
		if m == nil {
			continue
		}
		if m.offset, err = stream.Seek(0, io.SeekCurrent); err != nil {
			return err
		}
		if a.compressed && m.link == "" && m.size <= keptMost && kept < keptAltogether {
			if m.kept, err = io.ReadAll(archive); err != nil {
				return fmt.Errorf("member %q: %w", name, err)
			}
			kept += len(m.kept)
		}
		if a.members[name] != nil {
			m.twice = true
		}
		a.members[name] = m
	}
}

// member describes a member; nil for what is neither file nor link.
func (a *archive) member(name string, h *tar.Header) *member {
	switch h.Typeflag {
	case tar.TypeReg:
		m := &member{size: h.Size}
		for key := range h.PAXRecords {
			m.sparse = m.sparse || strings.HasPrefix(key, "GNU.sparse.")
		}
		return m
	case tar.TypeGNUSparse:
		return &member{sparse: true}
	case tar.TypeSymlink:
		return &member{link: clean(path.Join(path.Dir(name), h.Linkname))}
	case tar.TypeLink:
		return &member{link: clean(h.Linkname)}
	}
	return nil
}

// clean makes a name relative to the root; what climbs out ends at the root.
func clean(name string) string { return path.Clean("/" + name)[1:] }

// find follows links to a member.
func (a *archive) find(name string) (*member, error) {
	at := clean(name)
	for range maxLinks {
		m := a.members[at]
		switch {
		case m == nil:
			return nil, fmt.Errorf("%q is not in the archive: %w", name, ErrMissing)
		case m.twice:
			return nil, fmt.Errorf("%q is in the archive twice", at)
		case m.sparse:
			return nil, fmt.Errorf("%q is sparse, which is not supported", at)
		case m.link == "":
			return m, nil
		}
		at = m.link
	}
	return nil, fmt.Errorf("%q is a link that leads nowhere", name)
}

// open opens a member. Of a compressed archive the call waits until the member
// that is open, if any, is closed.
func (a *archive) open(ctx context.Context, name string) (io.ReadCloser, int64, error) {
	m, err := a.find(name)
	switch {
	case err != nil:
		return nil, 0, err
	case m.kept != nil:
		return io.NopCloser(bytes.NewReader(m.kept)), m.size, nil
	case !a.compressed:
		return io.NopCloser(io.NewSectionReader(a.file, m.offset, m.size)), m.size, nil
	}
	select {
	case <-a.turn:
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	if err := a.forward(ctx, m.offset); err != nil {
		a.turn <- struct{}{}
		return nil, 0, fmt.Errorf("%q: %w", name, err)
	}
	return &opened{
		Reader: io.LimitReader(a.stream, m.size),
		close:  sync.OnceFunc(func() { a.turn <- struct{}{} }),
	}, m.size, nil
}

type opened struct {
	io.Reader
	close func()
}

func (o *opened) Close() error {
	o.close()
	return nil
}

// forward brings the stream to an offset; where it is beyond, it starts anew.
func (a *archive) forward(ctx context.Context, offset int64) error {
	const step = 16 << 20 // how far to go without a look at ctx
	at, restart := int64(0), a.stream == nil
	if !restart {
		var err error
		if at, err = a.stream.Seek(0, io.SeekCurrent); err != nil {
			return err
		}
		restart = at > offset
	}
	if restart {
		if a.stream != nil {
			a.stream.Close()
			a.stream = nil
		}
		// It serves members that others open; Close ends it.
		stream, err := layer.Decompress(context.WithoutCancel(ctx), io.NewSectionReader(a.file, 0, a.size), a.limits)
		if err != nil {
			return err
		}
		a.stream, at = stream, 0
	}
	for at < offset {
		if err := ctx.Err(); err != nil {
			return err
		}
		now, err := a.stream.Seek(min(step, offset-at), io.SeekCurrent)
		if err != nil {
			return err
		}
		if now == at {
			return fmt.Errorf("the archive ends before: %w", io.ErrUnexpectedEOF)
		}
		at = now
	}
	return nil
}
