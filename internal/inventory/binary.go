package inventory

import (
	"bytes"
	"debug/elf"
	"errors"
	"path"
	"strings"

	"github.com/pratique/pratique/internal/layer"
)

type program struct{}

// NewBinary returns the detector of what programs say that they were built of:
// the modules and the standard library of Go programs
// (https://pkg.go.dev/debug/buildinfo), the crates of Rust programs that were
// built with cargo-auditable; and of well-known programs and libraries in other
// languages, by a text in them that states their version.
func NewBinary() Detector { return program{} }

func (program) Name() string          { return "binary" }
func (program) Version() int          { return 2 }
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
	if release, err := found.releaseOf(c); release {
		return found.result(err)
	}
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
	if err != nil || found.goProgram(content, size) {
		return found.result(err)
	}
	parsed, err := elf.NewFile(content)
	if err != nil {
		parsed = nil // another format, or damaged
	}
	if isGo(content, parsed) {
		found.warn(Unsupported, "the program is one of Go, and what it was built of was taken away, or cannot be read")
		return found.result(nil)
	}
	if section := auditable(content, parsed); section != nil {
		found.crates(section)
	}
	return found.result(found.classify(content, size, c.spool.scratch()))
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
