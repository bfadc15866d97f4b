package inventory

import (
	"bytes"
	"io"
	"regexp"
	"strings"
)

type python struct{ opts DetectorOptions }

// NewPython returns the detector of installed Python distributions: METADATA of
// *.dist-info (https://packaging.python.org/en/latest/specifications/recording-installed-packages/),
// PKG-INFO of *.egg-info and EGG-INFO, *.egg-info files, and zipped *.egg files. A
// project that is installed as a link to its folder has one of these, too.
func NewPython(opts DetectorOptions) Detector { return python{opts.withDefaults()} }

func (python) Name() string          { return "python" }
func (python) Version() int          { return 2 }
func (python) Directories() []string { return nil }

func (python) Wants(p string) bool {
	switch {
	case strings.HasSuffix(p, "/METADATA"):
		return strings.HasSuffix(p, ".dist-info/METADATA")
	case strings.HasSuffix(p, "/PKG-INFO"):
		return strings.HasSuffix(p, ".egg-info/PKG-INFO") || strings.HasSuffix(p, "/EGG-INFO/PKG-INFO")
	}
	return strings.HasSuffix(p, ".egg-info") || strings.HasSuffix(p, ".egg")
}

func (d python) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "python")
	if !strings.HasSuffix(p, ".egg") {
		return found.result(found.pythonMetadata(c, ""))
	}
	content, size, err := c.ReaderAt()
	if err != nil || size == 0 {
		return found.result(err)
	}
	a := newArchives(found, d.opts, c)
	egg, err := a.directory(content, size)
	if err != nil {
		a.failed("the egg", err)
		return found.result(nil)
	}
	const entry = "EGG-INFO/PKG-INFO"
	for _, f := range egg.File {
		if f.Name != entry {
			continue
		}
		text, err := a.open(f, "archive description", archiveSmall)
		if err != nil {
			a.failed(entry, err)
			continue
		}
		return found.result(found.pythonMetadata(bytes.NewReader(text), entry))
	}
	return found.result(nil)
}

// pythonMetadata reads metadata; evidence is where they are, where that is not the
// file itself. The error is the reader's.
func (f *findings) pythonMetadata(r io.Reader, evidence string) error {
	in := newLines(r)
	var name, version string
	for {
		err := in.next()
		if err == io.EOF || err == nil && len(in.text) == 0 {
			break // the description follows
		}
		if err != nil {
			return err
		}
		field, value, ok := bytes.Cut(in.text, []byte(":"))
		if !ok {
			continue
		}
		switch {
		case name == "" && equalFold(field, "name"):
			name = string(bytes.TrimSpace(value))
		case version == "" && equalFold(field, "version"):
			version = string(bytes.TrimSpace(value))
		}
	}
	if !isToken(name) || !isToken(version) {
		f.warn(Malformed, "name %q and version %q cannot be those of a Python distribution", clip(name), clip(version))
		return nil
	}
	p := Package{Type: "pypi", Name: pythonName(name), Version: version}
	if evidence != "" {
		f.addProved(p, evidence)
	} else {
		f.add(p, 1)
	}
	return nil
}

var pythonSeparators = regexp.MustCompile(`[-_.]+`)

// pythonName is the name that all spellings of one distribution share
// (https://packaging.python.org/en/latest/specifications/name-normalization/).
func pythonName(name string) string {
	return strings.ToLower(pythonSeparators.ReplaceAllString(name, "-"))
}
