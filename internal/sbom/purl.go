package sbom

import (
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/pratique/pratique/internal/inventory"
)

// namespaces are the purl namespaces of distributions that are not called by
// their os-release ID
// (https://github.com/package-url/purl-spec/blob/main/types-doc/rpm-definition.md).
var namespaces = map[string]string{"rhel": "redhat", "ol": "oracle", "amzn": "amazon", "opensuse-leap": "opensuse", "opensuse-tumbleweed": "opensuse", "sles": "suse"}

// PURL is the package URL of a package
// (https://github.com/package-url/purl-spec).
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
		if id != "" {
			qualifiers["distro"] = strings.TrimSuffix(id+"-"+strings.TrimPrefix(release, "v"), "-")
		}
		if p.Architecture != "" {
			qualifiers["arch"] = p.Architecture
		}
		if p.SourceName != "" && p.SourceName != p.Name {
			qualifiers["upstream"] = p.SourceName
		}
		if epoch, rest, ok := strings.Cut(version, ":"); ok && p.Type == "rpm" {
			qualifiers["epoch"], version = epoch, rest
		}
	case "maven":
		if group, artifact, ok := strings.Cut(name, ":"); ok {
			namespace, name = group, artifact
		}
	case "golang", "npm", "composer":
		if at := strings.LastIndexByte(name, '/'); at >= 0 {
			namespace, name = name[:at], name[at+1:]
		}
		if p.Type == "golang" && version == "devel" {
			version = ""
		}
	}
	return packageurl.NewPackageURL(p.Type, namespace, name, version, packageurl.QualifiersFromMap(qualifiers), "").ToString()
}
