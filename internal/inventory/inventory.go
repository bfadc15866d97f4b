// Package inventory says which packages a layer holds and, by coalescing the
// layers of an image, which packages a container of that image would see.
//
// Detectors are pure functions of (path, content): they know neither the tar
// stream nor the store. The package must not know advisories, registries or SQL.
package inventory

import "strings"

// DetectorSet identifies the detectors that produced an analysis, for example
// "apk/1 dpkg/1 release/1". A layer is analysed once per digest and DetectorSet.
type DetectorSet string

// Package identifies a package wherever it is installed. It is comparable, so
// that distinct packages can be kept once.
type Package struct {
	// Type is the purl type: "deb", "apk".
	Type string `json:"type"`
	// Distribution is what an OS package's version means, for example
	// "debian:12" or "alpine:v3.20". It is empty in the report of a single
	// layer, where the distribution is not known yet, and for packages that
	// no distribution built.
	Distribution string `json:"distribution,omitempty"`
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture,omitempty"`
	// SourceName and SourceVersion name the source package (dpkg's Source,
	// apk's origin). They equal Name and Version where the database states
	// no other.
	SourceName    string `json:"source_name,omitempty"`
	SourceVersion string `json:"source_version,omitempty"`
	// Module is the stream of a modular RPM package ("nodejs:18"): advisories of
	// one stream say nothing of another.
	Module string `json:"module,omitempty"`
	// Repositories are the ids of the repositories that an RPM package came from,
	// sorted and joined by spaces, where the image names any beside those that
	// every installation of the distribution has: they tell the product that the
	// package belongs to (Red Hat's content sets).
	Repositories string `json:"repositories,omitempty"`
}

// Distribution is the operating system that an image's packages belong to.
type Distribution struct {
	// ID is os-release's ID in lower case: "debian", "alpine".
	ID string `json:"id"`
	// Version is what advisories are keyed by: "12" for Debian, "v3.20" or
	// "edge" for Alpine, VERSION_ID elsewhere.
	Version string `json:"version,omitempty"`
	// PrettyName is os-release's PRETTY_NAME, for people.
	PrettyName string `json:"pretty_name,omitempty"`
}

// String returns ID:Version, the key that advisories use, or "" for the zero value.
func (d Distribution) String() string {
	if d.ID == "" {
		return ""
	}
	if d.Version == "" {
		return d.ID
	}
	return d.ID + ":" + d.Version
}

// Record is one package as stated by one package database.
type Record struct {
	Package
	// Line is the 1-based line of the database at which the record starts.
	Line int `json:"line,omitempty"`
	// Evidence is what in the file proves the package, where it is not a line:
	// "module", "META-INF/maven/g/a/pom.properties".
	Evidence string `json:"evidence,omitempty"`
}

// Claim says which files a package of the operating system brought.
type Claim struct {
	// Package is the owner's name in the same kind of database.
	Package string   `json:"package"`
	Paths   []string `json:"paths"`
}

// ContentSets are the repositories that a build of Red Hat's took packages from.
type ContentSets struct {
	Repositories []string `json:"repositories"`
	// Hint says that what DNF remembers of each package may be believed.
	Hint bool `json:"hint,omitempty"`
}

// Origin says which packages a repository gave, as name-version-release.architecture
// with an epoch before the version where it is not 0.
type Origin struct {
	Repository string   `json:"repository"`
	Packages   []string `json:"packages"`
}

// Component is a container of Red Hat's as its labels name it.
type Component struct {
	// ID is com.redhat.component ("ubi9-container"), Name what it is pulled by
	// ("ubi9/ubi"), CPE the product that it is part of; "" where they do not say.
	ID           string `json:"id,omitempty"`
	Name         string `json:"name,omitempty"`
	Version      string `json:"version,omitempty"`
	Architecture string `json:"architecture,omitempty"`
	CPE          string `json:"cpe,omitempty"`
}

// File is what one detector read from one file of a layer. A file that was
// read and held no package is kept too: it replaces what lower layers had there.
type File struct {
	// Path is slash-separated, relative to the root, cleaned ("var/lib/dpkg/status").
	Path         string        `json:"path"`
	Detector     string        `json:"detector"`
	Distribution *Distribution `json:"distribution,omitempty"`
	Packages     []Record      `json:"packages,omitempty"`
	// Claims are of files that other detectors may find packages in.
	Claims []Claim `json:"claims,omitempty"`
	// ContentSets, Origins and Component are facts about where packages of RPM,
	// and the layer, came from.
	ContentSets *ContentSets `json:"content_sets,omitempty"`
	Origins     []Origin     `json:"origins,omitempty"`
	Component   *Component   `json:"component,omitempty"`
}

// Warning is something that could not be read. An image with warnings may hold
// more than its inventory says.
type Warning struct {
	// Code is a short stable word: "malformed", "truncated", "limit",
	// "unsupported"; the constants Malformed and following.
	Code    string `json:"code"`
	Path    string `json:"path,omitempty"`
	Message string `json:"message"`
	// Layer is the digest of the layer; filled in by Coalesce. It is empty in
	// warnings of the image as a whole.
	Layer string `json:"layer,omitempty"`
}

// Layer is the result of one pass over one layer: all that coalescing needs.
type Layer struct {
	// Digest is the digest of the bytes as they were read (compressed).
	Digest string `json:"digest"`
	// Size and UncompressedSize are in bytes; Entries counts tar entries.
	Size             int64  `json:"size"`
	UncompressedSize int64  `json:"uncompressed_size"`
	Entries          int    `json:"entries"`
	Compression      string `json:"compression"`
	Files            []File `json:"files,omitempty"`
	// Removed lists paths whose content in lower layers, at the path and
	// below it, is gone: whiteouts, and what stands where a lower layer may
	// have a package database or its directory.
	Removed []string `json:"removed,omitempty"`
	// Opaque lists directories whose content in lower layers is hidden; "." is
	// the root.
	Opaque []string `json:"opaque,omitempty"`
	// Names lists everything there is, a line each. What is no directory takes the
	// place of what lower layers have at its path and below it; a directory, whose
	// line ends in a slash, that of a link.
	Names string `json:"names,omitempty"`
	// Links are the symbolic links that may lead to directories, by path, with
	// their targets as they stand: entries of later layers may go through them.
	Links map[string]string `json:"links,omitempty"`
	// Hardlinks are hard links at wanted paths to files of lower layers, by path.
	Hardlinks map[string]string `json:"hardlinks,omitempty"`
	Warnings  []Warning         `json:"warnings,omitempty"`
}

// Installed is a package of an image with its proof.
type Installed struct {
	Package
	// LayerIndex is the 0-based index, base first, of the layer that
	// introduced the package; LayerDigest is its digest.
	LayerIndex  int    `json:"layer_index"`
	LayerDigest string `json:"layer_digest"`
	Path        string `json:"path"`
	Detector    string `json:"detector"`
	Line        int    `json:"line,omitempty"`
	Evidence    string `json:"evidence,omitempty"`
	// Owner names the package of the operating system ("deb:python3-requests")
	// that brought the file, or that of conda: its distribution, not the
	// ecosystem, says what the package is affected by. "" where there is none.
	Owner string `json:"owner,omitempty"`
}

// Main reports the program itself among the Go modules that it was built of: one
// that was built from a checkout has no version, and none is missed.
func (p Installed) Main() bool {
	return p.Type == "golang" && strings.HasPrefix(p.Evidence, mainModule)
}

// Image is the coalesced inventory of a chain of layers, base first.
type Image struct {
	Distribution Distribution `json:"distribution"`
	Packages     []Installed  `json:"packages"`
	// Components are the containers of Red Hat's that the image was built on, base
	// first, the image's own last where it is one.
	Components []Component `json:"components,omitempty"`
	Warnings   []Warning   `json:"warnings,omitempty"`

	// Listed is the distribution whose repositories are listed, for InferDistribution.
	Listed Distribution `json:"-"`
}

// empty reports that nothing is known of the file but that it was read.
func (f *File) empty() bool {
	return f.Distribution == nil && len(f.Packages) == 0 && len(f.Claims) == 0 && f.ContentSets == nil && len(f.Origins) == 0 && f.Component == nil
}

// below reports whether path is dir or lies beneath it; "." is the root.
func below(path, dir string) bool {
	return dir == "." || path == dir ||
		len(path) > len(dir) && path[len(dir)] == '/' && strings.HasPrefix(path, dir)
}
