package inventory

import (
	"bytes"
	"io"
	"path"
	"strings"
)

const (
	dpkgStatus    = "var/lib/dpkg/status"
	dpkgDirectory = "var/lib/dpkg/status.d"
	dpkgInfo      = "var/lib/dpkg/info"
)

type dpkg struct{}

// NewDpkg returns the detector of Debian packages: dpkg's status database
// (deb822(5), dpkg(1) "Package states") with the lists of files beside it, and the
// control files of distroless images, one for each package, in status.d.
func NewDpkg() Detector { return dpkg{} }

func (dpkg) Name() string { return "dpkg" }
func (dpkg) Version() int { return 3 }

func (dpkg) Directories() []string { return []string{path.Dir(dpkgStatus), dpkgDirectory, dpkgInfo} }

func (dpkg) Wants(p string) bool {
	if p == dpkgStatus {
		return true
	}
	switch dir, name := path.Split(p); dir {
	case dpkgDirectory + "/":
		return name != ""
	case dpkgInfo + "/":
		return strings.HasSuffix(name, ".list")
	}
	return false
}

// files reads which files a package brought: NAME.list or NAME:ARCHITECTURE.list
// has a path in each line; distroless' NAME.md5sums has a checksum before it.
func (dpkg) files(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "dpkg")
	owner, _, _ := strings.Cut(strings.TrimSuffix(strings.TrimSuffix(path.Base(p), ".list"), ".md5sums"), ":")
	for in := newLines(c); ; {
		err := in.next()
		if err == io.EOF {
			return found.result(nil)
		}
		if err != nil {
			return found.result(err)
		}
		name := in.text
		if path.Ext(p) == ".md5sums" {
			_, name, _ = bytes.Cut(name, []byte("  "))
		}
		if isToken(owner) && len(name) > 1 {
			found.claim(owner, strings.TrimPrefix(path.Clean(string(name)), "/"))
		}
	}
}

func (d dpkg) Detect(p string, c *Content) (File, []Warning, error) {
	if strings.HasSuffix(p, ".list") || strings.HasSuffix(p, ".md5sums") {
		return d.files(p, c)
	}
	found := newFindings(p, "dpkg")
	in := newLines(c)
	var s stanza
	blank := true
	for {
		err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return found.result(err)
		}
		if blank = len(in.text) == 0; !blank {
			s.read(in, found)
		} else if !s.finish(found) {
			return found.result(nil)
		}
	}
	// dpkg ends every stanza of its database with a blank line. A control file
	// has none, and need not even end its last line.
	switch {
	case p == dpkgStatus && !(blank && in.ended):
		found.warn(Truncated, "ends in the middle of a record, at line %d", in.number)
		if !s.complete() || !in.ended && s.last != nil {
			return found.result(nil)
		}
	case s.line != 0 && !s.complete():
		found.warn(Truncated, "ends before the package's name and version, at line %d", in.number)
		return found.result(nil)
	}
	s.finish(found)
	return found.result(nil)
}

// stanza is what matters of one paragraph of a status file.
type stanza struct {
	line   int     // where it starts; 0 outside of stanzas
	last   *string // the field in the last line, where it matters
	doubly bool    // some field is there twice

	name, version, architecture, status, source string
}

func (s *stanza) field(name []byte) *string {
	switch {
	case equalFold(name, "package"):
		return &s.name
	case equalFold(name, "version"):
		return &s.version
	case equalFold(name, "architecture"):
		return &s.architecture
	case equalFold(name, "status"):
		return &s.status
	case equalFold(name, "source"):
		return &s.source
	}
	return nil
}

// equalFold compares a field name with a lower-case word; most differ in length.
func equalFold(name []byte, word string) bool {
	return len(name) == len(word) && strings.EqualFold(string(name), word)
}

func (s *stanza) read(in *lines, found *findings) {
	if s.line == 0 {
		s.line = in.number
	}
	s.last = nil
	if in.text[0] == ' ' || in.text[0] == '\t' {
		return // goes on with a field that does not matter: those that do are short
	}
	name, value, ok := bytes.Cut(in.text, []byte(":"))
	if !ok {
		if !in.ended {
			return // the file is cut here, which is told
		}
		found.warn(Malformed, "line %d is no field", in.number)
		return
	}
	s.last = s.field(bytes.TrimSpace(name))
	if s.last == nil {
		return
	}
	if *s.last != "" {
		s.doubly = true // dpkg refuses such a database; the first is kept
		return
	}
	*s.last = string(bytes.TrimSpace(value))
}

func (s *stanza) complete() bool { return s.name != "" && s.version != "" }

// removed reports packages of which no program is left. Every other state has
// unpacked files, or may have.
func (s *stanza) removed() bool {
	words := strings.Fields(s.status)
	if len(words) != 3 {
		return false // a control file has no status
	}
	return words[2] == "config-files" || words[2] == "not-installed"
}

// finish ends the stanza. It returns false where no more are to be read.
func (s *stanza) finish(found *findings) bool {
	done := *s
	*s = stanza{}
	if done.line == 0 || done.removed() {
		return true
	}
	if done.doubly {
		found.warn(Malformed, "package %q, line %d: a field is there twice", clip(done.name), done.line)
	}
	if !isToken(done.name) || !isToken(done.version) || done.architecture != "" && !isToken(done.architecture) {
		found.warn(Malformed, "line %d: package %q, version %q, architecture %q cannot be one",
			done.line, clip(done.name), clip(done.version), clip(done.architecture))
		return true
	}
	p := Package{
		Type: "deb", Name: done.name, Version: done.version, Architecture: done.architecture,
		SourceName: done.name, SourceVersion: done.version,
	}
	if done.source != "" {
		name, version, ok := sourceOf(done.source, done.version)
		if ok {
			p.SourceName, p.SourceVersion = name, version
		} else {
			found.warn(Malformed, "package %q, line %d: source %q cannot be one", done.name, done.line, clip(done.source))
		}
	}
	return found.add(p, done.line)
}

// sourceOf reads a Source field: "NAME" or "NAME (VERSION)", the version where
// it is not the binary package's (deb-control(5)).
func sourceOf(source, binary string) (name, version string, ok bool) {
	name, rest, versioned := strings.Cut(source, "(")
	name, version = strings.TrimSpace(name), binary
	if versioned {
		rest, closed := strings.CutSuffix(rest, ")")
		version = strings.TrimSpace(rest)
		if !closed {
			return "", "", false
		}
	}
	return name, version, isToken(name) && isToken(version)
}
