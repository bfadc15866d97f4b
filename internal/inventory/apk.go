package inventory

import (
	"io"
	"path"
	"regexp"
	"strings"
)

const (
	apkRepositories = "etc/apk/repositories"
	apkInstalled    = "lib/apk/db/installed"
	apkInstalledUsr = "usr/lib/apk/db/installed" // where /usr is merged
)

type apk struct{}

// NewApk returns the detector of Alpine packages: apk's database of installed
// packages (https://wiki.alpinelinux.org/wiki/Apk_spec, "Installed database"), and
// the list of repositories, which tells the release where no release file does.
func NewApk() Detector { return apk{} }

func (apk) Name() string { return "apk" }
func (apk) Version() int { return 4 }

func (apk) Directories() []string {
	return []string{path.Dir(apkInstalled), path.Dir(apkInstalledUsr), path.Dir(apkRepositories)}
}

func (apk) Wants(p string) bool {
	return p == apkInstalled || p == apkInstalledUsr || p == apkRepositories
}

func (apk) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "apk")
	in := newLines(c)
	if p == apkRepositories {
		return detectRepositories(in, found)
	}
	var s apkRecord
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
	// apk ends every record with a blank line, and writes the origin, by which
	// packages are judged, after the version.
	if !blank || !in.ended {
		found.warn(Truncated, "ends in the middle of a record, at line %d", in.number)
		if s.name == "" || s.version == "" || s.origin == "" || !in.ended && s.last != nil {
			return found.result(nil)
		}
	}
	s.finish(found)
	return found.result(nil)
}

// mainRepository is a line of the list (apk-repositories(5)): packages of a release
// come from its repository "main".
var mainRepository = regexp.MustCompile(`^(?:https?|ftp)://\S+/(v\d{1,3}\.\d{1,3}|edge)/main/?$`)

// detectRepositories tells the release whose repository is listed; nothing where
// there are several.
func detectRepositories(in *lines, found *findings) (File, []Warning, error) {
	releases := make(map[string]bool)
	for {
		err := in.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return found.result(err)
		}
		if m := mainRepository.FindStringSubmatch(strings.TrimSpace(string(in.text))); m != nil {
			releases[m[1]] = true
		}
	}
	if len(releases) == 1 {
		for release := range releases {
			found.file.Distribution = &Distribution{ID: "alpine", Version: release}
		}
	}
	return found.result(nil)
}

// apkRecord is what matters of one record.
type apkRecord struct {
	line   int     // where it starts; 0 outside of records
	last   *string // the field in the last line, where it matters
	doubly bool    // some field is there twice

	name, version, architecture, origin string
	folder                              string // of the files that follow
}

func (s *apkRecord) read(in *lines, found *findings) {
	if s.line == 0 {
		s.line = in.number
	}
	s.last = nil
	if len(in.text) < 2 || in.text[1] != ':' {
		if !in.ended {
			return // the file is cut here, which is told
		}
		found.warn(Malformed, "line %d is no field", in.number)
		return
	}
	switch in.text[0] {
	case 'P':
		s.last = &s.name
	case 'V':
		s.last = &s.version
	case 'A':
		s.last = &s.architecture
	case 'o':
		s.last = &s.origin
	case 'F':
		s.folder = string(in.text[2:])
		return
	case 'R':
		if isToken(s.name) {
			found.claim(s.name, path.Join(s.folder, string(in.text[2:])))
		}
		return
	default:
		return
	}
	if *s.last != "" {
		s.doubly = true // the first is kept
		return
	}
	*s.last = string(in.text[2:])
}

// finish ends the record. It returns false where no more are to be read.
func (s *apkRecord) finish(found *findings) bool {
	done := *s
	*s = apkRecord{}
	if done.line == 0 {
		return true
	}
	if done.doubly {
		found.warn(Malformed, "package %q, line %d: a field is there twice", clip(done.name), done.line)
	}
	if !isToken(done.name) || !isToken(done.version) ||
		done.architecture != "" && !isToken(done.architecture) || done.origin != "" && !isToken(done.origin) {
		found.warn(Malformed, "line %d: package %q, version %q, architecture %q, origin %q cannot be one",
			done.line, clip(done.name), clip(done.version), clip(done.architecture), clip(done.origin))
		return true
	}
	p := Package{
		Type: "apk", Name: done.name, Version: done.version, Architecture: done.architecture,
		SourceName: done.name, SourceVersion: done.version,
	}
	if done.origin != "" {
		p.SourceName = done.origin
	}
	return found.add(p, done.line)
}
