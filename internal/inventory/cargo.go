package inventory

import (
	"compress/zlib"
	"debug/elf"
	"debug/pe"
	"encoding/json"
	"errors"
	"io"
)

// auditSection holds what a Rust program was built of, where it was built with
// cargo-auditable: JSON, compressed by zlib
// (https://github.com/rust-secure-code/cargo-auditable/blob/master/PARSING.md).
const auditSection = ".dep-v0"

// auditable returns the section, nil where there is none. The program is nil where
// it is not of ELF.
func auditable(content io.ReaderAt, program *elf.File) io.Reader {
	if program != nil {
		if s := program.Section(auditSection); s != nil {
			return s.Open()
		}
		return nil
	}
	if program, err := pe.NewFile(content); err == nil {
		if s := program.Section(auditSection); s != nil {
			return s.Open()
		}
	}
	return nil
}

// crates adds the packages that the section names. What was needed to build the
// program only is not in it.
func (f *findings) crates(section io.Reader) {
	const most = 8 << 20
	z, err := zlib.NewReader(section)
	if err != nil {
		f.warn(Malformed, "the section %s is damaged: %s", auditSection, err)
		return
	}
	text, err := io.ReadAll(io.LimitReader(z, most+1))
	if err == nil && len(text) > most {
		err = errors.New("it is too large")
	}
	var audit struct {
		Packages []struct {
			Name    string `json:"name"`
			Version string `json:"version"`
			Kind    string `json:"kind"`
			Root    bool   `json:"root"`
		} `json:"packages"`
	}
	if err == nil {
		err = json.Unmarshal(text, &audit)
	}
	if err != nil {
		f.warn(Malformed, "the section %s is damaged: %s", auditSection, clip(err.Error()))
		return
	}
	for _, p := range audit.Packages {
		evidence := auditSection
		switch {
		case p.Kind == "build":
			continue
		case p.Root:
			evidence += ", the program itself"
		}
		if !isToken(p.Name) || !isToken(p.Version) {
			f.warn(Malformed, "crate %q %q cannot be one", clip(p.Name), clip(p.Version))
			continue
		}
		if !f.addProved(Package{Type: "cargo", Name: p.Name, Version: p.Version}, evidence) {
			return
		}
	}
}
