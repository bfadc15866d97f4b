package inventory

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Detector reads one kind of file. It knows neither the layer nor the image.
type Detector interface {
	// Name is a short word that is part of the detector set and of evidence.
	Name() string
	// Version grows whenever the same content gives another result.
	Version() int
	// Directories lists the directories that hold the wanted files, cleaned and
	// relative to the root, where these are known: a link that leads one of them
	// elsewhere is told. It is empty for files that may be anywhere; of these,
	// only those that hold something are kept.
	Directories() []string
	// Wants reports whether the file at the cleaned path is one to read.
	Wants(path string) bool
	// Detect reads the file at path. Whatever the content is, it is no error:
	// what cannot be read is left out, with a warning. The error is the
	// reader's; the file is then what was read before it.
	Detect(path string, c *Content) (File, []Warning, error)
}

// Detectors returns all detectors there are, with their default options.
func Detectors() []Detector { return DetectorsWith(DetectorOptions{}) }

// DetectorsWith returns all detectors there are.
func DetectorsWith(opts DetectorOptions) []Detector {
	return []Detector{
		NewRelease(), NewDpkg(), NewApk(), NewRpm(), NewDnf(), NewRedHat(opts),
		NewConda(opts), NewPython(opts), NewNode(opts), NewRuby(), NewPHP(opts), NewDotnet(opts), NewJava(opts), NewErlang(), NewDart(), NewBinary(),
	}
}

// SetOf names a list of detectors with their versions, in any order.
func SetOf(detectors []Detector) DetectorSet {
	names := make([]string, 0, len(detectors))
	for _, d := range detectors {
		names = append(names, fmt.Sprintf("%s/%d", d.Name(), d.Version()))
	}
	slices.Sort(names)
	return DetectorSet(strings.Join(names, " "))
}

// The codes of warnings. Callers may add their own.
const (
	// Malformed: a record that cannot be read was left out.
	Malformed = "malformed"
	// Truncated: the file ends where a record does not.
	Truncated = "truncated"
	// Limit: there is more than is read.
	Limit = "limit"
	// Unsupported: the content is somewhere that is not read.
	Unsupported = "unsupported"
	// UnsafePath: an entry that points out of the root was left out.
	UnsafePath = "unsafe-path"
	// Trailing: the layer goes on after its compressed data.
	Trailing = "trailing"
	// NoDistribution: packages of an operating system that cannot be told.
	NoDistribution = "no-distribution"
	// Inferred: the distribution is not named by a release file.
	Inferred = "inferred"
	// NoPackages: no package was found at all.
	NoPackages = "no-packages"
	// Mixed: packages that the image's distribution does not make.
	Mixed = "mixed-packages"
)

// What one file may make a detector remember.
const (
	maxRecords  = 100_000
	maxWarnings = 20
	maxClaims   = 200_000
	maxToken    = 512 // bytes of a name or a version
)

// findings collects what a detector reads from one file.
type findings struct {
	file     File
	warnings []Warning
	unsaid   int
	claimed  int
}

func newFindings(path, detector string) *findings {
	return &findings{file: File{Path: path, Detector: detector}}
}

// add keeps a package that a line proves; it returns false where the file has too many.
func (f *findings) add(p Package, line int) bool { return f.record(Record{Package: p, Line: line}) }

// addProved keeps a package that something else proves.
func (f *findings) addProved(p Package, evidence string) bool {
	return f.record(Record{Package: p, Evidence: evidence})
}

func (f *findings) record(r Record) bool {
	if len(f.file.Packages) == maxRecords {
		f.warn(Limit, "only the first %d packages are read", maxRecords)
		return false
	}
	f.file.Packages = append(f.file.Packages, r)
	return true
}

// document reads a file of JSON whole; ok is false where that cannot be, which
// is told where it is no error of the reader.
func (f *findings) document(c *Content, opts DetectorOptions) (text []byte, ok bool, err error) {
	most := opts.Document
	text, err = io.ReadAll(io.LimitReader(c, most+1))
	if err == nil && int64(len(text)) > most {
		f.warn(Limit, "%s", exceeded("document", most))
		return nil, false, nil
	}
	return text, err == nil, err
}

// claim notes that a package of the operating system brought a file, where that
// may matter.
func (f *findings) claim(owner, path string) {
	if !claimable(path) || f.claimed == maxClaims {
		return
	}
	f.claimed++
	last := len(f.file.Claims) - 1
	if last < 0 || f.file.Claims[last].Package != owner {
		f.file.Claims = append(f.file.Claims, Claim{Package: owner})
		last++
	}
	f.file.Claims[last].Paths = append(f.file.Claims[last].Paths, path)
}

func (f *findings) warn(code, format string, args ...any) {
	if len(f.warnings) == maxWarnings {
		f.unsaid++
		return
	}
	f.warnings = append(f.warnings, Warning{Code: code, Path: f.file.Path, Message: fmt.Sprintf(format, args...)})
}

func (f *findings) result(err error) (File, []Warning, error) {
	if f.unsaid > 0 {
		f.warnings = append(f.warnings, Warning{
			Code: Malformed, Path: f.file.Path, Message: fmt.Sprintf("%d more warnings", f.unsaid),
		})
	}
	return f.file, f.warnings, err
}

// isToken reports names and versions that can be one: stored as text, compared,
// shown in a line. What the ecosystem takes for valid is for its ordering to say.
func isToken(s string) bool {
	if s == "" || len(s) > maxToken {
		return false
	}
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}

func setOf(list []string) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, p := range list {
		set[p] = true
	}
	return set
}
