package osv

import (
	"regexp"
	"strings"
)

// ecosystem is one of those that OSV.dev has an archive of.
type ecosystem struct {
	// name is the feed's, folder what OSV calls the ecosystem.
	name, folder string
	// key is the purl type that advisories on a language's packages are keyed
	// by; those of distributions are keyed by the release that an entry names.
	key string
	// spell spells a package as the inventory does; nil is as published.
	spell func(name string) string
	judge func(*judgement)
}

// ecosystems lists them all.
func ecosystems() []ecosystem {
	return []ecosystem{
		{name: "pypi", folder: "PyPI", key: "pypi", spell: pythonName, judge: (*judgement).language},
		{name: "npm", folder: "npm", key: "npm", judge: (*judgement).language},
		{name: "maven", folder: "Maven", key: "maven", judge: (*judgement).language},
		{name: "go", folder: "Go", key: "golang", judge: (*judgement).language},
		{name: "crates-io", folder: "crates.io", key: "cargo", judge: (*judgement).language},
		{name: "rubygems", folder: "RubyGems", key: "gem", judge: (*judgement).language},
		// NuGet takes a name in any case; programs and advisories both use the author's.
		{name: "nuget", folder: "NuGet", key: "nuget", judge: (*judgement).language},
		{name: "packagist", folder: "Packagist", key: "composer", spell: strings.ToLower, judge: (*judgement).language},
		{name: "hex", folder: "Hex", key: "hex", spell: strings.ToLower, judge: (*judgement).language},
		{name: "pub", folder: "Pub", key: "pub", spell: strings.ToLower, judge: (*judgement).language},
		{name: "almalinux", folder: "AlmaLinux", judge: (*judgement).almalinux},
		{name: "rocky", folder: "Rocky Linux", judge: (*judgement).rocky},
		{name: "ubuntu", folder: "Ubuntu", judge: (*judgement).ubuntu},
	}
}

var pythonSeparators = regexp.MustCompile(`[-_.]+`)

// pythonName is the name that all spellings of one distribution share
// (https://packaging.python.org/en/latest/specifications/name-normalization/).
func pythonName(name string) string {
	return strings.ToLower(pythonSeparators.ReplaceAllString(name, "-"))
}
