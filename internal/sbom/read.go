package sbom

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/pratique/pratique/internal/inventory"
)

// ErrFormat is wrapped by errors that say why content is no bill that can be
// read. Other errors are the reader's.
var ErrFormat = errors.New("not a readable software bill of materials")

// detector is the name of this reader in evidence.
const detector = "sbom"

// Revision grows whenever the same bill gives another inventory.
const Revision = 1

// Limits bound what is read of one bill. The zero value is usable.
type Limits struct {
	// Bytes of the document; 64 MiB where zero.
	Bytes int64
	// Components is how many are read; 100,000 where zero.
	Components int
	// Depth is how deep the JSON may nest; 100 where zero.
	Depth int
}

// Document is a bill that was read.
type Document struct {
	// Format is the format with its version: "CycloneDX 1.6", "SPDX 2.3", "Syft 16.0.1".
	Format string
	// Image is what the bill lists. A package's Path is where in the image it is,
	// and "" where the bill does not say so; its Evidence then names the
	// component. There are layers only in bills that this program wrote.
	//
	// Warnings name what was left out: components without a package URL, and
	// whatever is over the limits.
	inventory.Image
}

// Read reads a bill: CycloneDX 1.2 to 1.7, SPDX 2.2 and 2.3 or Syft's, as JSON,
// also as the predicate of an in-toto statement, in a DSSE envelope or in a
// Sigstore bundle; signatures are not looked at. What the content is it alone
// says. The error wraps ErrFormat where the content is to blame.
func Read(r io.Reader, limits Limits) (Document, error) {
	if limits.Bytes == 0 {
		limits.Bytes = 64 << 20
	}
	if limits.Components == 0 {
		limits.Components = 100_000
	}
	if limits.Depth == 0 {
		limits.Depth = 100
	}
	in := &reader{limits: limits}
	text := bufio.NewReader(r)
	if mark, _ := text.Peek(3); string(mark) == "\ufeff" {
		_, _ = text.Discard(len(mark))
	}
	if err := in.document(newDecoder(text, limits), 0); err != nil {
		return Document{}, err
	}
	return in.result()
}

// reader collects what a bill says while it passes by: members come in any
// order, so that only the end tells which format they were of.
type reader struct {
	limits Limits

	// CycloneDX, SPDX and Syft as their members say.
	bomFormat, specVersion, spdxVersion, predicate string
	syft                                           struct{ version, url, name string }
	artifacts                                      bool

	components int
	packages   []inventory.Installed
	layers     map[string]int
	system     inventory.Distribution
	// nameless are components without a package URL; described are the ids of
	// what an SPDX document is about.
	nameless  []component
	described map[string]bool

	warnings []inventory.Warning
	unsaid   int
}

// place tells whether a bill lists a package twice.
type place struct {
	inventory.Package
	path, layer string
}

// component is an entry of a bill, in any format.
type component struct {
	ref, name, version string
	purls              []string
	// notPackage says that it is something else: a file, an image.
	notPackage bool
	path       string
	line       int
	source     source
	own        own
}

// source is the source package as Trivy's properties state it.
type source struct{ name, epoch, version, release string }

func (s source) String() string {
	text := s.version
	if s.release != "" {
		text += "-" + s.release
	}
	if s.epoch != "" && s.epoch != "0" {
		text = s.epoch + ":" + text
	}
	return text
}

func (c component) String() string {
	text := strconv.Quote(clip(c.name))
	if c.version != "" {
		text += " " + clip(c.version)
	}
	if c.ref != "" && c.ref != c.name {
		text += " (" + clip(c.ref) + ")"
	}
	return text
}

// count reports whether one more component may be read.
func (r *reader) count() bool {
	r.components++
	if r.components == r.limits.Components+1 {
		r.warn(inventory.Limit, "only the first %d components are read", r.limits.Components)
	}
	return r.components <= r.limits.Components
}

// add takes note of a component.
func (r *reader) add(c component) {
	if len(c.purls) == 0 {
		if !c.notPackage {
			r.nameless = append(r.nameless, c)
		}
		return
	}
	for _, text := range c.purls {
		p, err := parsePURL(text)
		if errors.Is(err, errNoPackage) {
			continue
		}
		if err == nil {
			if p.Version == "" {
				p.Version = c.version
				if p.SourceName == p.Name && p.SourceVersion == "" {
					p.SourceVersion = p.Version
				}
			}
			if c.source.name != "" && p.SourceName == p.Name {
				p.SourceName = c.source.name
				if version := c.source.String(); version != "" {
					p.SourceVersion = version
				}
			}
			if p.Type == "golang" && strings.EqualFold(p.Name, c.name) {
				p.Name = c.name // the URL may have lost its case
			}
			c.own.amend(&p)
			err = check(p)
		}
		if err != nil {
			r.warn(inventory.Malformed, "component %s was left out: package URL %q: %s", c, clip(text), err)
			continue
		}
		r.install(p, c)
	}
}

func (r *reader) install(p inventory.Package, c component) {
	installed := inventory.Installed{
		Package: p, Path: strings.TrimPrefix(plain(c.path), "/"), Line: c.line, Detector: detector, Evidence: plain(c.evidence()),
	}
	if path, ours := c.own["path"]; ours {
		line, _ := strconv.Atoi(c.own["line"])
		installed.Path, installed.Line, installed.Evidence = plain(path), max(line, 0), plain(c.own["evidence"])
		installed.LayerDigest, installed.Owner = plain(c.own["layer"]), plain(c.own["owner"])
		if name := plain(c.own["detector"]); name != "" {
			installed.Detector = name
		}
	}
	r.packages = append(r.packages, installed)
}

// distinct are the packages without those that the bill lists twice; a package
// may be in several repositories.
func (r *reader) distinct() []inventory.Installed {
	list := make([]inventory.Installed, 0, len(r.packages))
	positions := make(map[place]int, len(r.packages))
	for _, p := range r.packages {
		key := place{p.Package, p.Path, p.LayerDigest}
		key.Repositories = ""
		if at, twice := positions[key]; twice {
			list[at].Repositories = merge(list[at].Repositories, p.Repositories)
			continue
		}
		positions[key] = len(list)
		list = append(list, p)
	}
	return list
}

// evidence names the component.
func (c component) evidence() string {
	if c.ref != "" {
		return "component " + c.ref
	}
	return "component " + c.name
}

// plain makes foreign text fit to be stored and shown.
func plain(s string) string {
	const most = 1024
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}

func (r *reader) warn(code, format string, args ...any) {
	const most = 20
	if len(r.warnings) == most {
		r.unsaid++
		return
	}
	r.warnings = append(r.warnings, inventory.Warning{Code: code, Message: plain(fmt.Sprintf(format, args...))})
}

// result judges what was read, now that all of it is known.
func (r *reader) result() (Document, error) {
	format, err := r.format()
	if err != nil {
		return Document{}, err
	}
	for _, c := range r.nameless {
		if !r.described[c.ref] {
			r.warn(inventory.Unsupported, "component %s was left out: it has no package URL", c)
		}
	}
	r.setSystem()
	for i := range r.packages {
		p := &r.packages[i]
		p.LayerIndex = r.layers[p.LayerDigest]
	}
	if r.unsaid > 0 {
		r.warnings = append(r.warnings, inventory.Warning{Code: inventory.Malformed, Message: fmt.Sprintf("%d more warnings", r.unsaid)})
	}
	return Document{Format: format, Image: inventory.Image{
		Distribution: r.system, Packages: r.distinct(), Warnings: r.warnings,
	}}, nil
}

// setSystem gives packages without a distribution that of the bill; where it
// states none, that of the other packages if they agree.
func (r *reader) setSystem() {
	if r.system.ID == "" {
		var known []string
		for _, p := range r.packages {
			if p.Distribution != "" && !slices.Contains(known, p.Distribution) {
				known = append(known, p.Distribution)
			}
			if len(known) > 1 {
				break
			}
		}
		if len(known) == 1 {
			r.system.ID, r.system.Version, _ = strings.Cut(known[0], ":")
		}
	}
	strangers := 0
	for i := range r.packages {
		p := &r.packages[i]
		switch {
		case !(inventory.Distribution{}).Makes(p.Type) || p.Distribution != "":
		case r.system.ID != "" && r.system.Makes(p.Type):
			p.Distribution = r.system.String()
		default:
			strangers++
		}
	}
	if strangers > 0 {
		r.warn(inventory.NoDistribution, "the distribution of %d packages cannot be told", strangers)
	}
}
