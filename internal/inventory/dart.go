package inventory

import (
	"io"
	"path"
	"strings"
)

type dart struct{}

// NewDart returns the detector of packages of Dart: those that a pubspec.lock names,
// for programs keep none of their own
// (https://dart.dev/tools/pub/glossary#lockfile). Packages of the SDK and of folders
// are left out.
func NewDart() Detector { return dart{} }

func (dart) Name() string          { return "dart" }
func (dart) Version() int          { return 1 }
func (dart) Directories() []string { return nil }
func (dart) Wants(p string) bool   { return path.Base(p) == "pubspec.lock" }

// Detect reads the lines, which pub writes always alike: a package by two spaces,
// what is to be said of it by four.
func (dart) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "dart")
	var name, source, version string
	line, within := 0, false
	finish := func() bool {
		defer func() { name, source, version = "", "", "" }()
		if name == "" || source != "hosted" && source != "git" {
			return true
		}
		if !isToken(name) || !isToken(version) {
			found.warn(Malformed, "line %d: package %q, version %q cannot be one", line, clip(name), clip(version))
			return true
		}
		return found.add(Package{Type: "pub", Name: name, Version: version}, line)
	}
	for in := newLines(c); ; {
		err := in.next()
		if err == io.EOF {
			finish()
			return found.result(nil)
		}
		if err != nil {
			return found.result(err)
		}
		text := string(in.text)
		key, value, _ := strings.Cut(strings.TrimSpace(text), ":")
		switch indent := len(text) - len(strings.TrimLeft(text, " ")); {
		case indent == 0 && key != "" && !strings.HasPrefix(key, "#"):
			if !finish() {
				return found.result(nil)
			}
			within = key == "packages"
		case !within:
		case indent == 2:
			if !finish() {
				return found.result(nil)
			}
			name, line = strings.Trim(key, `"'`), in.number
		case indent == 4 && key == "source":
			source = strings.Trim(strings.TrimSpace(value), `"'`)
		case indent == 4 && key == "version":
			version = strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
}
