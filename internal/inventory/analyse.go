package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/layer"
)

// Analyse reads a layer, in one pass, with the detectors. digest is what the
// bytes must have; where it is empty, the layer gets that of its bytes (sha256).
// Options bound the pass.
//
// Errors are those of layer.Walk, and name the layer. What a detector cannot
// read is no error but a warning of the result.
func Analyse(ctx context.Context, r io.Reader, digest string, detectors []Detector, opts layer.Options) (*Layer, error) {
	return AnalyseWith(ctx, r, digest, detectors, Options{Layer: opts})
}

// AnalyseWith is Analyse with limits of its own on what is remembered.
func AnalyseWith(ctx context.Context, r io.Reader, digest string, detectors []Detector, opts Options) (*Layer, error) {
	a := newAnalysis(detectors, opts.withDefaults())
	opts.Layer.Digest = digest
	result, err := layer.Walk(ctx, r, opts.Layer, a.visit)
	if e := a.spool.close(); err == nil {
		err = e
	}
	if err != nil {
		if digest == "" {
			digest = "of unknown digest"
		}
		return nil, fmt.Errorf("layer %s: %w", digest, err)
	}
	return a.layer(result), nil
}

// analysis is the state of one pass.
type analysis struct {
	detectors []Detector
	limits    Options
	archives  budget
	// wanted are the detectors' directories; ancestors are these and what is
	// above them.
	wanted, ancestors map[string]bool

	files           map[string]*found
	packages        int
	claims          int // bytes of their paths
	removed, opaque map[string]bool
	// links are the symbolic links of this layer: entries may go through them.
	links links
	// hardlinks are the wanted ones whose target was not read, and their targets.
	hardlinks map[string]string
	names     strings.Builder
	spool     spool
	warnings  []Warning
	unsaid    int
	limited   map[string]bool // by bound, warned of
}

// found is what stands at a wanted path.
type found struct {
	file     *File // nil where it cannot be read
	warnings []Warning
}

func newAnalysis(detectors []Detector, limits Options) *analysis {
	a := &analysis{
		detectors: detectors, limits: limits, archives: budget{limits.ArchiveBytes, limits.ArchiveBytes},
		wanted: make(map[string]bool), ancestors: make(map[string]bool),
		files: make(map[string]*found), removed: make(map[string]bool), opaque: make(map[string]bool),
		hardlinks: make(map[string]string), limited: make(map[string]bool),
	}
	for _, d := range detectors {
		for _, dir := range d.Directories() {
			a.wanted[dir] = true
			for ; dir != "."; dir = path.Dir(dir) {
				a.ancestors[dir] = true
			}
		}
	}
	return a
}

func (a *analysis) detector(p string) Detector {
	for _, d := range a.detectors {
		if d.Wants(p) {
			return d
		}
	}
	return nil
}

func (a *analysis) visit(e *layer.Entry, r io.Reader) error {
	if e.Kind == layer.Refused {
		a.warn(UnsafePath, printable(e.Path), "the entry points out of the root and was left out")
		return nil
	}
	p := a.links.resolve(e.Path)
	switch e.Kind {
	case layer.Whiteout:
		a.hide(a.removed, p)
		return nil
	case layer.Opaque:
		a.hide(a.opaque, a.links.follow(e.Path))
		return nil
	}
	if p == "." {
		return nil
	}
	a.name(p, e.Kind == layer.Directory)
	delete(a.hardlinks, p)
	if a.links.count > 0 {
		a.links.remove(p, e.Kind != layer.Directory)
	}
	if e.Kind == layer.Symlink {
		defer a.link(p, e.Link) // what it stands for is judged without it
	}
	d := a.detector(p)
	if anywhere(d) {
		if !a.ancestors[p] {
			return a.elsewhere(d, e, p, r)
		}
		d = nil
	}
	if d == nil && (e.Kind == layer.Directory || !a.ancestors[p]) {
		return nil
	}
	// The entry takes the place of what this layer, or a lower one, has there.
	a.forget(p)
	if e.Kind != layer.File && e.Kind != layer.Hardlink || d == nil {
		a.hide(a.removed, p)
	}
	if len(a.files) >= a.limits.Files {
		a.hide(a.removed, p)
		a.limit("files", a.limits.Files, p, "further package databases are not read")
		return nil
	}
	switch {
	case e.Kind == layer.Symlink:
		a.symlink(p, e.Link, d)
	case d != nil && e.Kind == layer.File:
		return a.detect(d, p, a.content(e, r))
	case d != nil && e.Kind == layer.Hardlink:
		a.hardlink(d, p, e.Link)
	}
	return nil
}

// anywhere reports detectors of files that may be anywhere.
func anywhere(d Detector) bool { return d != nil && len(d.Directories()) == 0 }

// elsewhere looks at an entry that may be anything, and keeps it where it holds
// something.
func (a *analysis) elsewhere(d Detector, e *layer.Entry, p string, r io.Reader) error {
	a.forget(p)
	switch e.Kind {
	case layer.File:
		return a.detect(d, p, a.content(e, r))
	case layer.Hardlink:
		target := a.links.resolve(e.Link)
		if f := a.files[target]; f == nil {
			a.outside(p, target)
		} else if f.file != nil && f.file.Detector == d.Name() && knownAs(f.file, p) {
			file := *f.file
			file.Path = p
			a.keep(p, file, nil) // the warnings are those of the other name
		}
	}
	return nil
}

func (a *analysis) content(e *layer.Entry, r io.Reader) *Content {
	return &Content{r: r, Size: e.Size, spool: &a.spool, archives: &a.archives}
}

// detect reads a wanted file.
func (a *analysis) detect(d Detector, p string, c *Content) error {
	file, warnings, err := d.Detect(p, c)
	var limit *layer.LimitError
	switch {
	case err == nil:
	case errors.As(err, &limit) && limit.Limit == "file size":
		warnings = append(warnings, Warning{Code: Limit, Path: p, Message: fmt.Sprintf("the file is larger than %d bytes", limit.Value)})
	default:
		return err
	}
	if anywhere(d) {
		if file.empty() && len(warnings) == 0 {
			return nil
		}
		if len(a.files) >= a.limits.Files {
			a.limit("files", a.limits.Files, p, "further files with packages are not read")
			return nil
		}
	}
	a.keep(p, file, warnings)
	return nil
}

// name remembers that something stands at p.
func (a *analysis) name(p string, directory bool) {
	if strings.Contains(p, "\n") {
		if !directory {
			a.hide(a.removed, p)
		}
		return
	}
	if a.names.Len()+len(p) >= a.limits.Names {
		a.limit("names", a.limits.Names, p, "what further entries replace may be reported still")
		return
	}
	a.names.WriteString(p)
	if directory {
		a.names.WriteByte('/')
	}
	a.names.WriteByte('\n')
}

// link remembers a symbolic link.
func (a *analysis) link(p, target string) {
	if a.links.count >= a.limits.Links {
		a.limit("links", a.limits.Links, p, "further symbolic links are not followed")
		return
	}
	a.links.set(p, target)
}

// outside remembers a hard link to what this layer may not have.
func (a *analysis) outside(p, target string) {
	if len(a.hardlinks) >= a.limits.Links {
		a.limit("hard links", a.limits.Links, p, "further ones to other layers are not followed")
		return
	}
	a.hardlinks[p] = target
}

func (a *analysis) keep(p string, file File, warnings []Warning) {
	if a.packages+len(file.Packages) > a.limits.Packages {
		file.Packages = file.Packages[:a.limits.Packages-a.packages]
		a.limit("packages", a.limits.Packages, p, "further ones are left out")
	}
	a.packages += len(file.Packages)
	for i, c := range file.Claims {
		for _, at := range c.Paths {
			a.claims += len(at)
		}
		if a.claims > a.limits.Claims {
			file.Claims = file.Claims[:i]
			a.limit("claims", a.limits.Claims, p, "who brought further files is not known")
			break
		}
	}
	a.files[p] = &found{file: &file, warnings: warnings}
}

// hardlink takes over what was read at the target, earlier in this layer.
func (a *analysis) hardlink(d Detector, p, target string) {
	target = a.links.resolve(target)
	f := a.files[target]
	if f != nil && f.file != nil && f.file.Detector == d.Name() {
		file := *f.file
		file.Path = p
		warnings := slices.Clone(f.warnings)
		for i := range warnings {
			warnings[i].Path = p
		}
		a.keep(p, file, warnings)
		return
	}
	a.hide(a.removed, p)
	if f == nil && target != p && target != "" {
		a.outside(p, target)
		return
	}
	a.files[p] = unread(p, target)
}

// unread is what stands at the path of a wanted file that is a hard link to
// something else.
func unread(p, target string) *found {
	return &found{warnings: []Warning{{
		Code: Unsupported, Path: p, Message: fmt.Sprintf("hard link to %q, which was not read", clip(printable(target))),
	}}}
}

// symlink judges a symbolic link at the path of a wanted file, or of an ancestor.
// It is well where it leads to what is read anyway.
func (a *analysis) symlink(p, link string, d Detector) {
	target := a.target(p, link)
	ok := d == nil
	if to := a.detector(target); to != nil && !anywhere(to) {
		ok = true
	}
	if a.ancestors[p] {
		for dir := range a.wanted {
			if below(dir, p) && !a.wanted[target+dir[len(p):]] {
				ok = false
			}
		}
	}
	if !ok {
		a.files[p] = &found{warnings: []Warning{{
			Code: Unsupported, Path: p, Message: fmt.Sprintf("symbolic link to %q, which is not read", clip(printable(link))),
		}}}
	}
}

// target is the path that a symbolic link leads to.
func (a *analysis) target(p, link string) string {
	if !path.IsAbs(link) {
		link = path.Join("/", path.Dir(p), link)
	}
	return a.links.follow(cmp.Or(strings.TrimPrefix(path.Clean(link), "/"), "."))
}

// forget drops what this layer had at p and below it.
func (a *analysis) forget(p string) {
	drop := func(at string) {
		if f := a.files[at]; f != nil && f.file != nil {
			a.packages -= len(f.file.Packages)
		}
		delete(a.files, at)
	}
	if !a.ancestors[p] {
		drop(p)
		return
	}
	for at := range a.files {
		if below(at, p) {
			drop(at)
		}
	}
}

func (a *analysis) hide(set map[string]bool, p string) {
	if len(a.removed)+len(a.opaque) >= a.limits.Hidden && !set[p] {
		a.limit("hidden", a.limits.Hidden, p, "further removals are not heeded")
		return
	}
	set[p] = true
}

func (a *analysis) warn(code, p, format string, args ...any) {
	if len(a.warnings) >= a.limits.Warnings {
		a.unsaid++
		return
	}
	a.warnings = append(a.warnings, Warning{Code: code, Path: p, Message: fmt.Sprintf(format, args...)})
}

// limit warns of a bound once.
func (a *analysis) limit(bound string, value int, p, effect string) {
	if !a.limited[bound] {
		a.limited[bound] = true
		a.warnings = append(a.warnings, Warning{Code: Limit, Path: p, Message: fmt.Sprintf("%s: %s", exceeded(bound, int64(value)), effect)})
	}
}

// settle forgets the links that matter to no other layer: symbolic ones to what is
// no directory, for nothing can lie below them, and hard ones within the layer.
func (a *analysis) settle() {
	leading := make(map[string][]string) // to a path
	for p := range a.links.all {
		if target := a.links.follow(p); target != p {
			leading[target] = append(leading[target], p)
		}
	}
	inside := make(map[string][]string)
	for p, target := range a.hardlinks {
		inside[target] = append(inside[target], p)
	}
	if len(leading) == 0 && len(inside) == 0 {
		return
	}
	for name := range strings.Lines(a.names.String()) {
		name = strings.TrimSuffix(name, "\n")
		for _, p := range leading[name] {
			a.links.remove(p, false)
		}
		for _, p := range inside[name] {
			delete(a.hardlinks, p)
			if !anywhere(a.detector(p)) {
				a.files[p] = unread(p, name)
			}
		}
		delete(leading, name)
		delete(inside, name)
	}
}

// layer sums the pass up.
func (a *analysis) layer(result layer.Result) *Layer {
	a.settle()
	l := &Layer{
		Digest: result.Digest, Size: result.Size, UncompressedSize: result.UncompressedSize,
		Entries: int(result.Entries), Compression: result.Compression,
	}
	for _, p := range slices.Sorted(maps.Keys(a.files)) {
		f := a.files[p]
		if f.file != nil {
			l.Files = append(l.Files, *f.file)
		}
		for _, w := range f.warnings {
			a.warn(w.Code, w.Path, "%s", w.Message)
		}
	}
	l.Removed = slices.Sorted(maps.Keys(a.removed))
	l.Opaque = slices.Sorted(maps.Keys(a.opaque))
	l.Names = a.names.String()
	if a.links.count > 0 {
		l.Links = maps.Collect(a.links.all)
	}
	if len(a.hardlinks) > 0 {
		l.Hardlinks = a.hardlinks
	}
	if result.Garbage {
		a.warn(Trailing, "", "bytes follow the compressed data; they were left out")
	}
	l.Warnings = a.warnings
	if a.unsaid > 0 {
		l.Warnings = append(l.Warnings, Warning{Code: Limit, Message: fmt.Sprintf("%d more warnings", a.unsaid)})
	}
	return l
}
