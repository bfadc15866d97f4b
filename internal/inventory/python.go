package inventory

import (
	"bytes"
	"io"
	"regexp"
	"strings"
)

type python struct{}

// NewPython returns the detector of installed Python distributions: METADATA of
// *.dist-info (https://packaging.python.org/en/latest/specifications/recording-installed-packages/),
// PKG-INFO of *.egg-info and EGG-INFO, and *.egg-info files.
func NewPython() Detector { return python{} }

func (python) Name() string          { return "python" }
func (python) Version() int          { return 1 }
func (python) Directories() []string { return nil }

func (python) Wants(p string) bool {
	switch {
	case strings.HasSuffix(p, "/METADATA"):
		return strings.HasSuffix(p, ".dist-info/METADATA")
	case strings.HasSuffix(p, "/PKG-INFO"):
		return strings.HasSuffix(p, ".egg-info/PKG-INFO") || strings.HasSuffix(p, "/EGG-INFO/PKG-INFO")
	}
	return strings.HasSuffix(p, ".egg-info")
}

func (python) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "python")
	in := newLines(c)
	var name, version string
	for {
		err := in.next()
		if err == io.EOF || err == nil && len(in.text) == 0 {
			break // the description follows
		}
		if err != nil {
			return found.result(err)
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
		found.warn(Malformed, "name %q and version %q cannot be those of a Python distribution", clip(name), clip(version))
		return found.result(nil)
	}
	found.add(Package{Type: "pypi", Name: pythonName(name), Version: version}, 1)
	return found.result(nil)
}

var pythonSeparators = regexp.MustCompile(`[-_.]+`)

// pythonName is the name that all spellings of one distribution share
// (https://packaging.python.org/en/latest/specifications/name-normalization/).
func pythonName(name string) string {
	return strings.ToLower(pythonSeparators.ReplaceAllString(name, "-"))
}
