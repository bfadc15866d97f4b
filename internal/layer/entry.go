package layer

import (
	"archive/tar"
	"path"
	"strings"
)

// Kind is what an entry of a layer does to a path.
type Kind int

// The kinds of entries. The whiteouts are those of the image-spec, layer.md.
const (
	// File is a regular file.
	File Kind = iota
	Directory
	Symlink
	Hardlink
	// Special is a device or a named pipe.
	Special
	// Whiteout hides Path, and what is below it, in lower layers.
	Whiteout
	// Opaque hides what lower layers have below the directory Path.
	Opaque
	// Refused is an entry that points out of the root: Path is its name as it
	// stands. Some runtimes refuse the layer for it, others bend the name back
	// into the root; it stands for nothing.
	Refused
)

// Entry is an entry of a layer.
type Entry struct {
	Kind Kind
	// Path is slash-separated, relative to the root, cleaned; "." is the root.
	Path string
	// Link is the target of a link: cleaned like Path where Kind is Hardlink
	// ("" where it points out of the root), as it stands where Kind is Symlink.
	Link string
	// Size is that of a File's content in bytes, as claimed.
	Size int64
}

const (
	whiteoutPrefix = ".wh."
	// Names with this prefix are AUFS's own (hard link store, opaque marker).
	metaPrefix = ".wh..wh."
	opaqueName = ".wh..wh..opq"
)

// set describes a header. It reports false for entries that mean nothing in a
// container: global headers and AUFS metadata.
func (e *Entry) set(h *tar.Header) bool {
	*e = Entry{Size: h.Size}
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return false
	case tar.TypeDir:
		e.Kind = Directory
	case tar.TypeSymlink:
		e.Kind, e.Link = Symlink, h.Linkname
	case tar.TypeLink:
		e.Kind = Hardlink
		e.Link, _ = clean(h.Linkname)
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		e.Kind = Special
	default:
		e.Kind = File
	}
	var ok bool
	if e.Path, ok = clean(h.Name); !ok {
		e.Kind, e.Path = Refused, h.Name
		return true
	}
	if strings.Contains(e.Path, whiteoutPrefix) {
		return e.whiteout(h.Name)
	}
	return true
}

func (e *Entry) whiteout(name string) bool {
	dir, base := path.Split(e.Path)
	dir = path.Clean(dir)
	if strings.HasPrefix(dir, metaPrefix) || strings.Contains(dir, "/"+metaPrefix) {
		return false
	}
	switch {
	case base == opaqueName:
		e.Kind, e.Path, e.Link = Opaque, dir, ""
	case strings.HasPrefix(base, metaPrefix):
		return false
	case strings.HasPrefix(base, whiteoutPrefix):
		target := base[len(whiteoutPrefix):]
		if target == "" || target == "." || target == ".." {
			e.Kind, e.Path = Refused, name
			return true
		}
		e.Kind, e.Path, e.Link = Whiteout, path.Join(dir, target), ""
	}
	return true
}

// clean returns the name relative to the root, and false where it climbs out.
// An absolute name cannot: its ".." end at the root.
func clean(name string) (string, bool) {
	if strings.HasPrefix(name, "/") {
		name = path.Clean(name)[1:]
		if name == "" {
			name = "."
		}
		return name, true
	}
	for strings.HasPrefix(name, "./") {
		name = strings.TrimLeft(name[2:], "/")
	}
	name = path.Clean(name)
	if name == ".." || strings.HasPrefix(name, "../") {
		return "", false
	}
	return name, true
}
