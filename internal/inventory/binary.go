package inventory

import (
	"bytes"
	"debug/buildinfo"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/pratique/pratique/internal/layer"
)

type program struct{}

// NewBinary returns the detector of what programs say that they were built of:
// the modules and the standard library of Go programs
// (https://pkg.go.dev/debug/buildinfo), the crates of Rust programs that were
// built with cargo-auditable.
func NewBinary() Detector { return program{} }

func (program) Name() string          { return "binary" }
func (program) Version() int          { return 1 }
func (program) Directories() []string { return nil }

// noPrograms are extensions of files that are no programs. The content of all
// others tells.
var noPrograms = map[string]bool{
	".a": true, ".c": true, ".class": true, ".conf": true, ".css": true, ".csv": true, ".gif": true, ".go": true, ".gz": true, ".h": true,
	".hpp": true, ".htm": true, ".html": true, ".jar": true, ".jpg": true, ".js": true, ".json": true, ".ko": true, ".list": true,
	".map": true, ".md": true, ".md5sums": true, ".mjs": true, ".mo": true, ".o": true, ".pl": true, ".pm": true, ".png": true, ".po": true,
	".py": true, ".pyc": true, ".pyi": true, ".rb": true, ".rst": true, ".sh": true, ".svg": true, ".tcl": true, ".ts": true, ".ttf": true,
	".txt": true, ".vim": true, ".woff": true, ".woff2": true, ".xml": true, ".xz": true, ".yaml": true, ".yml": true, ".zip": true,
}

func (program) Wants(p string) bool {
	return !noPrograms[path.Ext(p)] && !strings.HasPrefix(p, "etc/") && !strings.HasPrefix(p, "usr/share/") && !strings.HasPrefix(p, "var/lib/dpkg/")
}

func (program) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "binary")
	head, err := c.Head(headMost)
	var limit *layer.LimitError
	if errors.As(err, &limit) && path.Ext(p) != "" && !strings.Contains(p, ".so") {
		return found.result(nil) // too large to be looked at, and most likely data
	}
	if err != nil || !isProgram(head) {
		return found.result(err)
	}
	// UPX writes its name behind the headers that the system reads.
	if bytes.Contains(head, []byte("UPX!")) {
		found.warn(Unsupported, "the program is packed with UPX: what is in it cannot be told")
		return found.result(nil)
	}
	content, size, err := c.ReaderAt()
	if err != nil {
		return found.result(err)
	}
	info, err := buildinfo.Read(io.NewSectionReader(content, 0, size))
	if err != nil {
		if section := auditable(content); section != nil {
			found.crates(section)
		}
		return found.result(nil)
	}
	if version, ok := strings.CutPrefix(info.GoVersion, "go"); ok && isToken(version) {
		version, _, _ = strings.Cut(version, " ") // experiments follow
		found.addProved(Package{Type: "golang", Name: "stdlib", Version: version}, "Go version")
	} else {
		found.warn(Malformed, "Go version %q cannot be one", clip(info.GoVersion))
	}
	if info.Main.Path != "" {
		found.module(info.Main.Path, info.Main.Version, mainModule)
	}
	for _, m := range info.Deps {
		evidence := "dependency"
		if m.Replace != nil {
			evidence = fmt.Sprintf("dependency, in place of %s %s", clip(m.Path), clip(m.Version))
			if r := m.Replace; r.Version != "" && r.Version != "(devel)" {
				m = r
			} else { // by a folder
				evidence = fmt.Sprintf("dependency %s, replaced by the folder %s", clip(m.Version), clip(r.Path))
				m.Version = ""
			}
		}
		found.module(m.Path, m.Version, evidence)
	}
	return found.result(nil)
}

// mainModule is the evidence of the program itself.
const mainModule = "main module"

// isProgram knows programs by their first bytes: ELF, PE, Mach-O.
func isProgram(head []byte) bool {
	for _, magic := range []string{"\x7fELF", "MZ", "\xcf\xfa\xed\xfe", "\xfe\xed\xfa\xcf"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return false
}

// module adds a Go module. One that was built from a checkout has no version:
// it is named, and cannot be judged.
func (f *findings) module(name, version, evidence string) {
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	if !isToken(name) || !isToken(version) {
		f.warn(Malformed, "module %q %q cannot be one", clip(name), clip(version))
		return
	}
	f.addProved(Package{Type: "golang", Name: name, Version: version}, evidence)
}
