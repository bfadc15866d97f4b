package inventory

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/pratique/pratique/internal/inventory/rpmdb"
)

type rpm struct{}

// NewRpm returns the detector of RPM packages: RPM's database in each of its
// formats, at each of its places.
func NewRpm() Detector { return rpm{} }

func (rpm) Name() string { return "rpm" }
func (rpm) Version() int { return 3 }

func (rpm) Directories() []string {
	return []string{"var/lib/rpm", "usr/lib/sysimage/rpm", "usr/share/rpm"}
}

func (rpm) Wants(p string) bool {
	switch path.Base(p) {
	case "Packages", "Packages.db", "rpmdb.sqlite", "rpmdb.sqlite-wal":
	default:
		return false
	}
	dir := path.Dir(p)
	return dir == "var/lib/rpm" || dir == "usr/lib/sysimage/rpm" || dir == "usr/share/rpm"
}

func (rpm) Detect(p string, c *Content) (File, []Warning, error) {
	found := newFindings(p, "rpm")
	if strings.HasSuffix(p, "-wal") {
		head, err := c.Head(1)
		if len(head) > 0 {
			found.warn(Unsupported, "the database was not closed: changes that are in its log are not read")
		}
		return found.result(err)
	}
	content, size, err := c.ReaderAt()
	if err != nil || size == 0 {
		return found.result(err)
	}
	full := errors.New("full")
	_, problems, err := rpmdb.Read(content, size, func(r *rpmdb.Package) error {
		if r.Name == "gpg-pubkey" { // a key, which RPM keeps as if it were a package
			return nil
		}
		if !found.rpm(r) {
			return full
		}
		for name := range r.Files() {
			found.claim(r.Name, name)
		}
		return nil
	})
	switch {
	case errors.Is(err, rpmdb.ErrFormat):
		found.warn(Malformed, "%s", err)
	case err != nil && !errors.Is(err, full):
		return found.result(err)
	}
	for _, problem := range problems {
		found.warn(Malformed, "%s", problem)
	}
	return found.result(nil)
}

// rpm adds a package; it returns false where the file has too many.
func (f *findings) rpm(r *rpmdb.Package) bool {
	epoch := ""
	if r.Epoch > 0 { // no epoch and 0 are the same
		epoch = fmt.Sprintf("%d:", r.Epoch)
	}
	version := epoch + r.Version
	if r.Release != "" {
		version += "-" + r.Release
	}
	p := Package{Type: "rpm", Name: r.Name, Version: version, Architecture: r.Arch, SourceName: r.Name, SourceVersion: version}
	if name, source, ok := sourceOfRPM(r.SourceRPM); ok {
		p.SourceName, p.SourceVersion = name, epoch+source
	}
	if r.ModularityLabel != "" {
		module, ok := streamOf(r.ModularityLabel)
		if !ok {
			f.warn(Malformed, "header %d: package %q: %q is no label of a module", r.Index, clip(r.Name), clip(r.ModularityLabel))
		}
		p.Module = module
	}
	if !isToken(p.Name) || !isToken(p.Version) || p.Architecture != "" && !isToken(p.Architecture) || !isToken(p.SourceName) || !isToken(p.SourceVersion) {
		f.warn(Malformed, "header %d: package %q, version %q, architecture %q, source %q cannot be one",
			r.Index, clip(r.Name), clip(version), clip(r.Arch), clip(r.SourceRPM))
		return true
	}
	evidence := fmt.Sprintf("header %d", r.Index)
	for _, more := range []struct{ name, value string }{{"module", r.ModularityLabel}, {"vendor", r.Vendor}, {"key", r.SigningKey}} {
		if more.value != "" {
			evidence += ", " + more.name + " " + printable(more.value)
		}
	}
	return f.addProved(p, evidence)
}

// sourceOfRPM reads the file name of a source package: NAME-VERSION-RELEASE.src.rpm.
func sourceOfRPM(file string) (name, version string, ok bool) {
	base := strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(file, ".rpm"), ".src"), ".nosrc")
	release := strings.LastIndexByte(base, '-')
	if release < 1 {
		return "", "", false
	}
	at := strings.LastIndexByte(base[:release], '-')
	if at < 1 {
		return "", "", false
	}
	return base[:at], base[at+1:], true
}

// streamOf is the part of a modularity label (NAME:STREAM:VERSION:CONTEXT) that
// stays the same from one build to the next.
func streamOf(label string) (module string, ok bool) {
	parts := strings.Split(label, ":")
	if len(parts) < 2 || !isToken(parts[0]) || !isToken(parts[1]) {
		return "", false
	}
	return parts[0] + ":" + parts[1], true
}
