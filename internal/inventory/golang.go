package inventory

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"io"
	"strings"
)

// goProgram adds the modules that a program of Go says it was built of. ok is
// false where the program says nothing.
func (f *findings) goProgram(content io.ReaderAt, size int64) (ok bool) {
	info, err := buildinfo.Read(io.NewSectionReader(content, 0, size))
	if err != nil {
		return false
	}
	if version, ok := strings.CutPrefix(info.GoVersion, "go"); ok && isToken(version) {
		version, _, _ = strings.Cut(version, " ") // experiments follow
		f.addProved(Package{Type: "golang", Name: "stdlib", Version: version}, "Go version")
	} else {
		f.warn(Malformed, "Go version %q cannot be one", clip(info.GoVersion))
	}
	if info.Path == "" && info.Main.Path == "" && len(info.Deps) == 0 {
		f.warn(Unsupported, "the program was built of Go without modules: of what, it does not say")
	}
	if info.Main.Path != "" {
		f.module(info.Main.Path, info.Main.Version, mainModule+checkout(info))
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
		f.module(m.Path, m.Version, evidence)
	}
	return true
}

// checkout is what the program says of the commit that it was built from.
func checkout(info *buildinfo.BuildInfo) (text string) {
	for _, s := range info.Settings {
		switch value := printable(s.Value); {
		case s.Key == "vcs.revision" && value != "":
			text += ", revision " + value
		case s.Key == "vcs.time" && value != "":
			text += " of " + value
		case s.Key == "vcs.modified" && value == "true":
			text += ", modified"
		}
	}
	return text
}

// module adds a Go module. One that was built from a checkout has no version: it
// is named, and cannot be judged.
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

// isGo reports programs of Go that do not say what they were built of: by the
// sections or the note that Go's linker makes; where program is nil, for it is not
// of ELF, by the id of the build, which is in the first pages.
func isGo(content io.ReaderAt, program *elf.File) bool {
	if program == nil {
		first := make([]byte, 64<<10)
		n, _ := content.ReadAt(first, 0)
		return bytes.Contains(first[:n], []byte("Go build ID: \""))
	}
	for _, s := range program.Sections {
		switch s.Name {
		case ".gopclntab", ".data.rel.ro.gopclntab", ".note.go.buildid", ".go.buildinfo":
			return true
		}
	}
	for _, p := range program.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		note := make([]byte, min(p.Filesz, 4<<10))
		n, _ := p.ReadAt(note, 0)
		// The sizes of the name and of the id, the type, and the name.
		if i := bytes.Index(note[:n], []byte("Go\x00\x00")); i >= 12 && program.ByteOrder.Uint32(note[i-12:]) == 4 {
			return true
		}
	}
	return false
}
