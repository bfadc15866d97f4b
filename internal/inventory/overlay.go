package inventory

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// overlay is what a container of some layers would see of what was read in them.
type overlay struct {
	files    map[string]*visible
	links    links
	warnings []Warning
	// detectors are all that there are; made when needed.
	detectors []Detector
}

func newOverlay() *overlay { return &overlay{files: make(map[string]*visible)} }

// placed is a layer, with its paths as they are once the links below are followed.
type placed struct {
	*Layer
	removed, opaque map[string]bool
	// directories are those that stand where a file may have stood.
	directories map[string]bool
	files       map[string]File
	// linked are hard links to files of layers below.
	linked   map[string]*visible
	warnings []Warning
}

// add puts a layer on top, as runtimes do: an entry goes through a symbolic link
// that stands above its path in a lower layer, unless this layer has something of
// its own at the path of the link, be it a directory. (A runtime that unpacks each
// layer into a directory of its own, to be laid over the others, makes a directory
// there even then, which hides the link: what a program finds at the path of the
// entry is the same.)
func (o *overlay) add(l *Layer, index int) {
	p := o.place(l)
	o.hardlinks(p)
	before := o.hide(p)
	for at, f := range p.files {
		o.files[at] = newVisible(f, index, before[at])
	}
	maps.Copy(o.files, p.linked)
	o.warnings = append(o.warnings, p.warnings...)
}

// place follows the links of the layers below, and makes those of the layer known.
func (o *overlay) place(l *Layer) *placed {
	p := &placed{
		Layer: l, removed: make(map[string]bool, len(l.Removed)), opaque: make(map[string]bool, len(l.Opaque)),
		directories: make(map[string]bool), files: make(map[string]File, len(l.Files)), warnings: slices.Clone(l.Warnings),
	}
	if o.links.count > 0 {
		o.unlink(l)
	}
	// What is hidden was there before the layer's own links.
	for _, at := range l.Removed {
		p.removed[o.links.resolve(at)] = true
	}
	for _, at := range l.Opaque {
		p.opaque[o.links.follow(at)] = true
	}
	own := make(map[string]string, len(l.Links))
	for _, at := range slices.Sorted(maps.Keys(l.Links)) {
		own[o.links.resolve(at)] = l.Links[at]
	}
	for at, target := range own {
		o.links.set(at, target)
	}
	for _, f := range l.Files {
		at := o.links.resolve(f.Path)
		if other, double := p.files[at]; double && l.last(other.Path) > l.last(f.Path) {
			continue // one file by two names
		}
		p.files[at] = f
	}
	for at, f := range p.files {
		f.Path = at
		p.files[at] = f
	}
	for i := range p.warnings {
		w := &p.warnings[i]
		if w.Layer = l.Digest; w.Code != UnsafePath {
			w.Path = o.links.resolve(w.Path)
		}
	}
	return p
}

// unlink takes away the links that the layer hides, or has something in place of.
func (o *overlay) unlink(l *Layer) {
	for _, at := range l.Removed {
		o.links.remove(at, true)
		o.links.remove(o.links.resolve(at), true)
	}
	for _, at := range l.Opaque {
		o.links.clear(o.links.follow(at))
	}
	// First by the names as they stand, for one may be above the others.
	for name := range strings.Lines(l.Names) {
		at, directory := strings.CutSuffix(strings.TrimSuffix(name, "\n"), "/")
		o.links.remove(at, !directory)
	}
	for name := range strings.Lines(l.Names) {
		at, directory := strings.CutSuffix(strings.TrimSuffix(name, "\n"), "/")
		if to := o.links.resolve(at); to != at {
			o.links.remove(to, !directory)
		}
	}
}

// last is where the layer names a path last.
func (l *Layer) last(p string) int { return strings.LastIndex("\n"+l.Names, "\n"+p+"\n") }

// hardlinks finds what hard links to files of layers below are links to.
func (o *overlay) hardlinks(p *placed) {
	for _, from := range slices.Sorted(maps.Keys(p.Hardlinks)) {
		at, target := o.links.resolve(from), o.links.resolve(p.Hardlinks[from])
		f, d := o.files[target], o.detector(at)
		switch {
		case d == nil:
		case f != nil && d.Name() == f.Detector:
			linked := *f
			linked.Path = at
			if p.linked == nil {
				p.linked = make(map[string]*visible)
			}
			p.linked[at] = &linked
		case !anywhere(d):
			w := unread(at, p.Hardlinks[from]).warnings[0]
			w.Layer = p.Digest
			p.warnings = append(p.warnings, w)
		}
	}
}

// detector is the one that wants the file at a path, nil where none does.
func (o *overlay) detector(at string) Detector {
	if o.detectors == nil {
		o.detectors = Detectors()
	}
	for _, d := range o.detectors {
		if d.Wants(at) {
			return d
		}
	}
	return nil
}

// hide takes away what the layer hides or replaces, and returns the files of that
// by path.
func (o *overlay) hide(p *placed) map[string]*visible {
	o.replace(p)
	before := make(map[string]*visible)
	for at, f := range o.files {
		if p.directories[at] || hidden(at, p.removed, p.opaque) {
			before[at] = f
			delete(o.files, at)
		} else if _, again := p.files[at]; again {
			before[at] = f
		}
	}
	for at := range p.files {
		p.removed[at] = true // in case that not all names are known
	}
	o.warnings = slices.DeleteFunc(o.warnings, func(w Warning) bool {
		return w.Path != "" && w.Code != UnsafePath && (p.directories[w.Path] || hidden(w.Path, p.removed, p.opaque))
	})
	return before
}

// replace notes as removed what the layer's names take the place of, as far as it
// matters, and warns of files that are written to a fixed place through a link.
func (o *overlay) replace(p *placed) {
	watched := make(map[string]bool, 4*len(o.files))
	watch := func(at string) {
		for ; at != "." && at != "/" && at != "" && !watched[at]; at = path.Dir(at) {
			watched[at] = true
		}
	}
	for at := range o.files {
		watch(at)
	}
	for _, w := range o.warnings {
		watch(w.Path)
	}
	if len(watched) == 0 && o.links.count == 0 {
		return
	}
	const most = 20
	told := 0
	for name := range strings.Lines(p.Names) {
		name = strings.TrimSuffix(name, "\n")
		name, directory := strings.CutSuffix(name, "/")
		at := o.links.resolve(name)
		switch {
		case !watched[at]:
		case directory:
			p.directories[at] = true
		default:
			p.removed[at] = true
		}
		if at == name || directory || told == most {
			continue
		}
		d := o.detector(at)
		if _, read := p.files[at]; !read && d != nil && !anywhere(d) {
			told++
			p.warnings = append(p.warnings, Warning{
				Code: Unsupported, Path: at, Layer: p.Digest, Message: fmt.Sprintf("written as %q, through a link of a lower layer: it was not read", clip(printable(name))),
			})
		}
	}
}

// hidden reports whether p, or a directory above it, is removed, or a directory
// above it is opaque.
func hidden(p string, removed, opaque map[string]bool) bool {
	if removed[p] {
		return true
	}
	for p != "." && p != "/" {
		p = path.Dir(p)
		if removed[p] || opaque[p] {
			return true
		}
	}
	return false
}
