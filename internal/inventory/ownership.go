package inventory

import (
	"path"
	"strings"
)

// claimable reports paths at which detectors of languages and programs may find
// a package: of all that the operating system's packages bring, only these are
// worth remembering.
func claimable(p string) bool {
	base := path.Base(p)
	switch ext := path.Ext(base); ext {
	case ".jar", ".war", ".ear", ".gemspec", ".egg", ".app":
		return true
	case "":
		// Programs have no extension, nor has METADATA or PKG-INFO.
		return !strings.HasPrefix(p, "etc/") && !strings.HasPrefix(p, "usr/share/doc/") && !strings.HasPrefix(p, "usr/share/man/")
	}
	switch base {
	case "package.json", "installed.json", "pubspec.lock":
		return true
	}
	return classifiable(base) || strings.HasSuffix(p, ".egg-info") || strings.HasSuffix(p, ".deps.json") || strings.Contains(p, "bin/") || strings.Contains(p, "libexec/")
}

// merged is the path as it is where /usr is merged: databases and archives
// differ in how they spell it.
func merged(p string) string {
	for _, dir := range []string{"bin/", "sbin/", "lib/", "lib64/", "lib32/", "libx32/"} {
		if strings.HasPrefix(p, dir) {
			return "usr/" + p
		}
	}
	return p
}

// owners says which package of the operating system brought which file.
func (o *overlay) owners() map[string]string {
	owners := make(map[string]string)
	for _, f := range o.files {
		for _, c := range f.Claims {
			for _, p := range c.Paths {
				owners[merged(o.links.resolve(p))] = claimTypes[f.Detector] + ":" + c.Package
			}
		}
	}
	return owners
}

// claimTypes are the types of packages by the detector that reads their claims.
var claimTypes = map[string]string{"dpkg": "deb", "apk": "apk", "rpm": "rpm", "conda": "conda"}
