package target

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
)

// Unreadable is the code of warnings of files that could not be read.
const Unreadable = "unreadable"

// The bounds of a folder.
const (
	maxPath     = 4096 // bytes, Linux's PATH_MAX
	maxWarnings = 100
	maxFile     = 200_000_000 // bytes, where layer.Options say nothing
)

// tree is a folder that is the root of a file system. It is handed out as one
// layer, an archive made while it is read: links are entries and are not
// followed, nothing outside of the folder is looked at.
type tree struct {
	path  string
	wants func(path string) bool
	most  int64 // bytes of a file

	mu       sync.Mutex
	warnings []inventory.Warning
	unsaid   int
}

func openRootfs(path string, opts Options) (*Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is not a folder", path)
	}
	t := &tree{path: path, wants: opts.Wants, most: opts.Limits.FileSize}
	if t.wants == nil {
		t.wants = func(string) bool { return true }
	}
	if t.most == 0 {
		t.most = maxFile
	}
	img := &Image{
		Image: image.Image{State: image.Pending, Layers: []image.Layer{{}}},
		Name:  path, open: t.open, leftOut: t.leftOut,
	}
	return &Source{Images: []*Image{img}}, nil
}

// leftOut are the warnings of the last reading.
func (t *tree) leftOut() []inventory.Warning {
	t.mu.Lock()
	defer t.mu.Unlock()
	warnings := slices.Clone(t.warnings)
	if t.unsaid > 0 {
		warnings = append(warnings, inventory.Warning{Code: Unreadable, Message: fmt.Sprintf("%d more warnings", t.unsaid)})
	}
	return warnings
}

func (t *tree) warn(path, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.warnings) == maxWarnings {
		t.unsaid++
		return
	}
	t.warnings = append(t.warnings, inventory.Warning{Code: Unreadable, Path: printable(path), Message: fmt.Sprintf(format, args...)})
}

// open begins to read the folder.
func (t *tree) open(ctx context.Context, _ int) (io.ReadCloser, error) {
	root, err := os.OpenRoot(t.path)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.warnings, t.unsaid = nil, 0
	t.mu.Unlock()
	r, w := io.Pipe()
	var done sync.WaitGroup
	done.Go(func() {
		p := packing{tree: t, archive: tar.NewWriter(w)}
		err := p.pack(ctx, root)
		w.CloseWithError(errors.Join(err, root.Close()))
	})
	return &opened{r, func() {
		r.Close()
		done.Wait()
	}}, nil
}

// packing is one reading of a folder. Nothing lies below the archive that it
// makes, so that directories, and files that nobody wants, need not be in it.
type packing struct {
	*tree
	archive *tar.Writer
}

func (p *packing) pack(ctx context.Context, root *os.Root) error {
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	if err := p.directory(ctx, root, ".", info); err != nil {
		return err
	}
	return p.archive.Close()
}

// directory packs what the directory dir holds, in order of names, so that the
// same folder makes the same archive.
func (p *packing) directory(ctx context.Context, root *os.Root, dir string, info fs.FileInfo) error {
	entries, err := list(root)
	if err != nil {
		p.warn(dir, "the folder cannot be read: %v", reason(err))
	}
	for _, entry := range entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		at := path.Join(dir, entry.Name())
		switch {
		case len(at) > maxPath:
			p.warn(at[:100]+"…", "the path has more than %d bytes", maxPath)
			continue
		case strings.HasPrefix(entry.Name(), ".wh."):
			p.warn(at, "it has a name that hides files in layers, and was left out")
			continue
		}
		if err := p.entry(ctx, root, entry, at, info); err != nil {
			return fmt.Errorf("%q: %w", at, err)
		}
	}
	return nil
}

// list returns what is in a directory; of one that cannot be read to its end,
// what could.
func list(root *os.Root) ([]fs.DirEntry, error) {
	f, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// entry packs one entry. The error is the archive's reader's; of what cannot be
// read is told.
func (p *packing) entry(ctx context.Context, root *os.Root, entry fs.DirEntry, at string, parent fs.FileInfo) error {
	switch entry.Type() {
	case 0:
		if !p.wants(at) {
			return nil
		}
		return p.file(root, entry.Name(), at)
	case fs.ModeDir:
		below, err := root.OpenRoot(entry.Name())
		if err != nil {
			p.gone(at, "the folder cannot be opened", err)
			return nil
		}
		defer below.Close()
		info, err := below.Stat(".")
		if err != nil {
			p.gone(at, "the folder cannot be looked at", err)
			return nil
		}
		if pseudo(below, at, info, parent) {
			return nil
		}
		return p.directory(ctx, below, at, info)
	case fs.ModeSymlink:
		to, err := root.Readlink(entry.Name())
		if err != nil {
			p.gone(at, "the link cannot be read", err)
			return nil
		}
		return p.archive.WriteHeader(&tar.Header{Typeflag: tar.TypeSymlink, Name: at, Linkname: to})
	}
	return nil // sockets, pipes and devices hold nothing
}

// gone warns, unless the entry is not there any more.
func (p *packing) gone(at, what string, err error) {
	if !errors.Is(err, fs.ErrNotExist) {
		p.warn(at, "%s: %v", what, reason(err))
	}
}

// file packs a file.
func (p *packing) file(root *os.Root, name, at string) error {
	info, err := root.Lstat(name)
	if err != nil {
		p.gone(at, "the file cannot be looked at", err)
		return nil
	}
	header := &tar.Header{Typeflag: tar.TypeReg, Name: at, Mode: 0o644, Size: info.Size()}
	if info.Size() > p.most {
		p.warn(at, "the file is larger than %d bytes", p.most)
		return nil
	}
	// What took the file's place meanwhile may be a pipe, which would block.
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		p.gone(at, "the file cannot be opened", err)
		return nil
	}
	defer f.Close()
	if now, err := f.Stat(); err != nil || !now.Mode().IsRegular() || !os.SameFile(now, info) {
		p.warn(at, "the file was replaced while it was read")
		return nil
	}
	if err := p.archive.WriteHeader(header); err != nil {
		return err
	}
	n, err := io.Copy(p.archive, marking{io.LimitReader(f, header.Size)})
	if n == header.Size {
		return nil
	}
	var failed *readError
	switch {
	case errors.As(err, &failed):
		p.warn(at, "the file cannot be read: %v", reason(failed.err))
	case err != nil:
		return err
	default:
		p.warn(at, "the file became shorter while it was read")
	}
	_, err = io.CopyN(p.archive, zeros{}, header.Size-n)
	return err
}

// reason is an error without the path, which the warning has.
func reason(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// marking is a reader that marks its errors.
type marking struct{ r io.Reader }

type readError struct{ err error }

func (e *readError) Error() string { return e.err.Error() }

func (m marking) Read(b []byte) (int, error) {
	n, err := m.r.Read(b)
	if err != nil && err != io.EOF {
		err = &readError{err}
	}
	return n, err
}

// zeros stand for what could not be read.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
