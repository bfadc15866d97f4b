package sbom

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/package-url/packageurl-go"

	"github.com/pratique/pratique/internal/inventory"
)

// namespaces are the purl namespaces of distributions that are not called by
// their os-release ID
// (https://github.com/package-url/purl-spec/blob/main/types-doc/rpm-definition.md).
var namespaces = map[string]string{"rhel": "redhat", "ol": "oracle", "amzn": "amazon", "opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse", "sles": "suse"}

// PURL is the package URL of a package
// (https://github.com/package-url/purl-spec). Beside the qualifiers of the
// specification it has those of Syft (upstream, rpmmod) and of Red Hat
// (repository_id, https://redhatproductsecurity.github.io/security-data-guidelines/purl/).
func PURL(p inventory.Package) string {
	namespace, name, version := "", p.Name, p.Version
	qualifiers := map[string]string{}
	switch p.Type {
	case "deb", "apk", "rpm":
		id, release, _ := strings.Cut(p.Distribution, ":")
		namespace = id
		if other := namespaces[id]; other != "" {
			namespace = other
		}
		qualifiers["distro"] = strings.TrimSuffix(id+"-"+strings.TrimPrefix(release, "v"), "-")
		qualifiers["arch"] = p.Architecture
		qualifiers["upstream"] = upstream(p)
		if epoch, rest, ok := strings.Cut(version, ":"); ok && p.Type == "rpm" {
			qualifiers["epoch"], version = epoch, rest
		}
		qualifiers["rpmmod"] = p.Module
		if !strings.Contains(p.Repositories, " ") { // a qualifier has one value
			qualifiers["repository_id"] = p.Repositories
		}
	case "maven":
		if group, artifact, _ := strings.Cut(name, ":"); group != "" && artifact != "" {
			namespace, name = group, artifact
		}
	default:
		if at := strings.LastIndexByte(name, '/'); at > 0 && at < len(name)-1 {
			namespace, name = name[:at], name[at+1:]
		}
		if p.Type == "golang" && version == "devel" {
			version = ""
		}
	}
	for key, value := range qualifiers {
		if value == "" {
			delete(qualifiers, key)
		}
	}
	return packageurl.NewPackageURL(p.Type, namespace, name, version, packageurl.QualifiersFromMap(qualifiers), "").ToString()
}

// upstream names the source package as Syft does: NAME or NAME@VERSION, and the
// file NAME-VERSION.src.rpm for RPM, whose epoch is the package's own.
func upstream(p inventory.Package) string {
	switch {
	case p.SourceName == "" || p.SourceName == p.Name && (p.SourceVersion == p.Version || p.SourceVersion == ""):
		return ""
	case p.SourceVersion == "":
		return p.SourceName
	case p.Type == "rpm":
		_, version := splitEpoch(p.SourceVersion)
		return p.SourceName + "-" + version + ".src.rpm"
	case p.SourceVersion == p.Version:
		return p.SourceName
	}
	return p.SourceName + "@" + p.SourceVersion
}

// splitEpoch splits [EPOCH:]VERSION; the epoch keeps its colon.
func splitEpoch(version string) (epoch, rest string) {
	if at := strings.IndexByte(version, ':'); at >= 0 {
		return version[:at+1], version[at+1:]
	}
	return "", version
}

const (
	maxPURL  = 4096 // bytes
	maxField = 512  // bytes of a name or a version, as detectors take them
)

// errNoPackage is returned for a package URL of something that is no package:
// an image.
var errNoPackage = errors.New("no package")

// parsePURL reads a package URL, the inverse of PURL. A package of an operating
// system whose URL names no release has no distribution.
func parsePURL(text string) (inventory.Package, error) {
	if len(text) > maxPURL {
		return inventory.Package{}, fmt.Errorf("it has more than %d bytes", maxPURL)
	}
	u, err := packageurl.FromString(text)
	if err != nil {
		return inventory.Package{}, err
	}
	if u.Type == "oci" || u.Type == "docker" {
		return inventory.Package{}, errNoPackage
	}
	p := inventory.Package{Type: u.Type, Name: u.Name, Version: u.Version}
	switch u.Type {
	case "deb", "apk", "rpm":
		p = systemPackage(u)
	case "maven":
		if u.Namespace != "" {
			p.Name = u.Namespace + ":" + u.Name
		}
	case "golang":
		p.Name, p.Version = goModule(text, u), goVersion(u)
	default:
		if u.Namespace != "" {
			p.Name = u.Namespace + "/" + u.Name
		}
		if u.Type == "pypi" {
			p.Name = strings.ToLower(pythonSeparators.ReplaceAllString(p.Name, "-"))
		}
	}
	return p, check(p)
}

var (
	pythonSeparators = regexp.MustCompile(`[-_.]+`)
	semantic         = regexp.MustCompile(`^\d+\.\d+\.\d+`)
	scheme           = regexp.MustCompile(`(?i)^pkg:/*golang/`)
)

// goModule is the module's path: its case matters, whatever the specification
// and so the library say.
func goModule(text string, u packageurl.PackageURL) string {
	if kept, err := packageurl.FromString(scheme.ReplaceAllString(text, "pkg:generic/")); err == nil {
		u = kept
	}
	return strings.TrimPrefix(u.Namespace+"/"+u.Name, "/")
}

func goVersion(u packageurl.PackageURL) string {
	switch {
	case u.Namespace == "" && u.Name == "stdlib":
		return strings.TrimPrefix(u.Version, "go")
	case semantic.MatchString(u.Version):
		return "v" + u.Version // some leave it out
	}
	return u.Version
}

// systemPackage reads the URL of a package of an operating system.
func systemPackage(u packageurl.PackageURL) inventory.Package {
	q := u.Qualifiers.Map()
	p := inventory.Package{Type: u.Type, Name: u.Name, Version: u.Version, Architecture: q["arch"]}
	if u.Type == "rpm" {
		if epoch := q["epoch"]; epoch != "" && epoch != "0" { // no epoch and 0 are the same
			p.Version = epoch + ":" + p.Version
		}
		p.Module = q["rpmmod"]
		p.Repositories = strings.Join(strings.Fields(q["repository_id"]), " ")
	}
	if d, ok := distributionOf(q["distro"], u.Namespace); ok {
		p.Distribution = d.String()
	}
	p.SourceName, p.SourceVersion = p.Name, p.Version
	if source := q["upstream"]; source != "" {
		p.SourceName, p.SourceVersion = sourceOf(source, p)
	}
	return p
}

// sourceOf reads what upstream writes.
func sourceOf(text string, p inventory.Package) (name, version string) {
	if base, ok := strings.CutSuffix(text, ".src.rpm"); ok && p.Type == "rpm" {
		release := strings.LastIndexByte(base, '-')
		if at := strings.LastIndexByte(base[:max(release, 0)], '-'); at > 0 {
			epoch, _ := splitEpoch(p.Version)
			return base[:at], epoch + base[at+1:]
		}
	}
	name, version, ok := strings.Cut(text, "@")
	if !ok {
		version = p.Version
	}
	return name, version
}

// otherIDs are the os-release IDs of what distributions are called elsewhere:
// in purl namespaces, and by Trivy.
var otherIDs = []struct{ name, id string }{
	{"alma", "almalinux"}, {"amazon", "amzn"}, {"cbl-mariner", "mariner"}, {"oracle", "ol"}, {"redhat", "rhel"}, {"suse", "sles"},
	{"opensuse.leap", "opensuse-leap"}, {"opensuse.tumbleweed", "opensuse-tumbleweed"}, {"suse.linux.enterprise.server", "sles"},
	{"opensuse-leap", "opensuse-leap"}, {"opensuse-tumbleweed", "opensuse-tumbleweed"},
}

func idOf(name string) string {
	for _, other := range otherIDs {
		if name == other.name {
			return other.id
		}
	}
	return name
}

// distributionOf reads a distro qualifier: ID-RELEASE, or RELEASE or a codename
// alone, of the distribution that the namespace names.
func distributionOf(distro, namespace string) (inventory.Distribution, bool) {
	if distro == "" {
		return inventory.Distribution{}, false
	}
	distro = strings.ToLower(distro)
	id, release, ok := strings.Cut(distro, "-")
	for _, other := range otherIDs {
		if rest, found := strings.CutPrefix(distro, other.name+"-"); found {
			id, release = other.name, rest
		}
	}
	if !ok || strings.Trim(id, "0123456789.") == "" {
		if namespace == "" || idOf(namespace) == idOf(distro) {
			return inventory.NewDistribution(idOf(distro), "", "", "")
		}
		id, release = namespace, distro
	}
	d, ok := inventory.NewDistribution(idOf(id), release, release, "")
	if ok && d.Version == "" {
		d.Version = release // "unstable"
	}
	return d, ok
}

// check refuses what cannot be stored and shown as a package.
func check(p inventory.Package) error {
	if p.Name == "" {
		return errors.New("it names no package")
	}
	for _, field := range fields(&p) {
		if value := *field.value; len(value) > maxField || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
			return fmt.Errorf("%s %q cannot be one", field.name, clip(value))
		}
	}
	if strings.ContainsFunc(p.Type, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '+')
	}) {
		return fmt.Errorf("type %q cannot be one", clip(p.Type))
	}
	return nil
}

// field is a member of a package by the name that our own properties have for it.
type field struct {
	name  string
	value *string
}

func fields(p *inventory.Package) []field {
	return []field{
		{"type", &p.Type}, {"name", &p.Name}, {"version", &p.Version}, {"distribution", &p.Distribution}, {"architecture", &p.Architecture},
		{"source-name", &p.SourceName}, {"source-version", &p.SourceVersion}, {"module", &p.Module}, {"repositories", &p.Repositories},
	}
}

// clip shortens foreign text for messages.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// merge adds the repositories of one package to those of another.
func merge(a, b string) string {
	all := append(strings.Fields(a), strings.Fields(b)...)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), " ")
}
