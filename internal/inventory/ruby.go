package inventory

import (
	"bytes"
	"io"
	"regexp"
	"strings"
)

type ruby struct{}

// NewRuby returns the detector of installed gems: the specifications that
// RubyGems keeps of them, and of the default gems that come with Ruby.
func NewRuby() Detector { return ruby{} }

func (ruby) Name() string          { return "ruby" }
func (ruby) Version() int          { return 1 }
func (ruby) Directories() []string { return nil }

func (ruby) Wants(p string) bool {
	return strings.HasSuffix(p, ".gemspec") && (strings.Contains(p, "/specifications/") || strings.HasPrefix(p, "specifications/"))
}

var (
	gemName    = regexp.MustCompile(`^\s*\w+\.name\s*=\s*["']([^"']+)["']`)
	gemVersion = regexp.MustCompile(`^\s*\w+\.version\s*=\s*(?:Gem::Version\.new\()?["']([^"']+)["']`)
)

// Detect reads the second line, which RubyGems writes for those that do not want
// to run the file ("# stub: rake 13.0.6 ruby lib"), else the assignments.
func (ruby) Detect(p string, c *Content) (File, []Warning, error) {
	const most = 2000 // lines
	found := newFindings(p, "ruby")
	in := newLines(c)
	var name, version string
	line := 1
	for in.number < most && (name == "" || version == "") {
		err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return found.result(err)
		}
		if stub, ok := bytes.CutPrefix(in.text, []byte("# stub: ")); ok {
			if words := strings.Fields(string(stub)); len(words) >= 2 {
				name, version, line = words[0], words[1], in.number
				break
			}
		}
		if m := gemName.FindSubmatch(in.text); m != nil && name == "" {
			name, line = string(m[1]), in.number
		}
		if m := gemVersion.FindSubmatch(in.text); m != nil && version == "" {
			version = string(m[1])
		}
	}
	if !isToken(name) || !isToken(version) {
		found.warn(Malformed, "name %q and version %q cannot be those of a gem", clip(name), clip(version))
		return found.result(nil)
	}
	found.add(Package{Type: "gem", Name: name, Version: version}, line)
	return found.result(nil)
}
