package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Coalesce says what a container of the layers, base first, would see: whiteouts,
// opaque directories and replaced files heeded. A package that the same database
// held before, unchanged, keeps the layer that introduced it.
//
// Warnings of files that a later layer replaced or removed are left out with
// the files. The order of packages and warnings depends on nothing but the layers.
func Coalesce(layers []*Layer) Image {
	o := newOverlay()
	for i, l := range layers {
		o.add(l, i)
	}
	img := Image{Packages: []Installed{}, Warnings: o.warnings}
	owners := o.owners()
	for _, p := range slices.Sorted(maps.Keys(o.files)) {
		img.Packages = o.files[p].appendTo(img.Packages, layers, owners)
	}
	slices.SortStableFunc(img.Packages, func(a, b Installed) int {
		return cmp.Or(
			cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Architecture, b.Architecture), cmp.Compare(a.Version, b.Version),
			cmp.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
	})
	d := o.distribution()
	if f := o.files[o.links.follow(apkRepositories)]; f != nil && f.Distribution != nil {
		img.Listed = *f.Distribution
	}
	img.setRepositories(layers, &d)
	img.SetDistribution(d)
	img.Components = componentsOf(layers)
	if len(img.Packages) == 0 {
		img.Warnings = append(img.Warnings, Warning{Code: NoPackages, Message: "no package was found"})
	}
	return img
}

// visible is a file as a container sees it.
type visible struct {
	File
	// introduced is the index of the layer that introduced each package.
	introduced map[Package]int
}

func newVisible(f File, layer int, before *visible) *visible {
	v := &visible{File: f, introduced: make(map[Package]int, len(f.Packages))}
	for _, r := range f.Packages {
		at := layer
		if before != nil {
			if i, known := before.introduced[r.Package]; known {
				at = i
			}
		}
		v.introduced[r.Package] = at
	}
	return v
}

// appendTo lists each distinct package once, at its first record.
func (v *visible) appendTo(list []Installed, layers []*Layer, owners map[string]string) []Installed {
	listed := make(map[Package]bool, len(v.Packages))
	owner := ""
	if claimTypes[v.Detector] == "" {
		owner = owners[merged(v.Path)]
	}
	for _, r := range v.Packages {
		// A program that a package brought is that package.
		if listed[r.Package] || r.Type == "generic" && owner != "" {
			continue
		}
		listed[r.Package] = true
		i := v.introduced[r.Package]
		p := Installed{
			Package: r.Package, LayerIndex: i, LayerDigest: layers[i].Digest,
			Path: v.Path, Detector: v.Detector, Line: r.Line, Evidence: r.Evidence, Owner: owner,
		}
		if strings.HasPrefix(owner, "conda:") {
			// Nobody publishes advisories on conda's packages: its own ecosystem
			// says what such a package is affected by.
			p.Owner, p.Evidence = "", strings.TrimPrefix(p.Evidence+", part of "+owner, ", ")
		}
		list = append(list, p)
	}
	return list
}

// componentsOf lists each component once, in the order of the layers that name it.
func componentsOf(layers []*Layer) (list []Component) {
	for _, l := range layers {
		for _, f := range l.Files {
			if f.Component != nil && !slices.Contains(list, *f.Component) {
				list = append(list, *f.Component)
			}
		}
	}
	return list
}

// distribution takes the word of the visible release file to be believed first.
func (o *overlay) distribution() Distribution {
	for _, r := range releaseFiles {
		if f := o.files[o.links.follow(r.path)]; f != nil && f.Distribution != nil {
			return *f.Distribution
		}
	}
	return Distribution{}
}

// SetDistribution makes the packages ones of the distribution, except those that
// it does not make, such as apk packages in Debian: their versions mean nothing
// to its advisories. It warns of these, and of packages without a distribution.
func (img *Image) SetDistribution(d Distribution) {
	img.Distribution = d
	img.Warnings = slices.DeleteFunc(img.Warnings, func(w Warning) bool {
		return w.Layer == "" && (w.Code == NoDistribution || w.Code == Mixed)
	})
	strangers, own := make(map[string]int), 0
	for i := range img.Packages {
		p := &img.Packages[i]
		if d.ID != "" && d.ID != "rhel" {
			p.Repositories = "" // elsewhere they tell nothing of a product
		}
		if !OfSystem(p.Type) {
			continue
		}
		own++
		if makes := packageTypes[d.ID]; makes == "" || makes == p.Type {
			p.Distribution = d.String()
			continue
		}
		p.Distribution = ""
		strangers[p.Path]++
	}
	if d.ID == "" && own > 0 {
		img.Warnings = append(img.Warnings, Warning{
			Code: NoDistribution, Message: "the distribution of the packages cannot be told: no release file names it",
		})
	}
	for _, p := range slices.Sorted(maps.Keys(strangers)) {
		img.Warnings = append(img.Warnings, Warning{
			Code: Mixed, Path: p, Message: fmt.Sprintf("%d packages are not ones of %s", strangers[p], d),
		})
	}
}

// OfSystem reports types of packages that distributions make.
func OfSystem(packageType string) bool {
	return packageType == "deb" || packageType == "apk" || packageType == "rpm"
}

// PackageType is the type of the packages that a distribution makes, given by its
// ID ("debian"), or "" where that is not known.
func PackageType(id string) string { return packageTypes[id] }

// packageTypes are the types of packages that well-known distributions make. Of
// others nothing is known.
var packageTypes = map[string]string{
	"alpine": "apk", "chainguard": "apk", "postmarketos": "apk", "wolfi": "apk",
	"debian": "deb", "ubuntu": "deb",
	"almalinux": "rpm", "amzn": "rpm", "azurelinux": "rpm", "centos": "rpm", "fedora": "rpm", "mariner": "rpm", "ol": "rpm",
	"opensuse-leap": "rpm", "opensuse-tumbleweed": "rpm", "photon": "rpm", "rhel": "rpm", "rocky": "rpm", "sles": "rpm",
}

// Coverage is how much of an image's content its inventory can answer for.
type Coverage string

// The coverages. Only of a complete inventory can "nothing found" mean anything.
const (
	// Complete: packages of a known distribution, and no warning.
	Complete Coverage = "complete"
	// Partial: there are warnings; there may be more than was found.
	Partial Coverage = "partial"
	// Unknown: no packages, or ones of a distribution that is not known, or a
	// distribution whose packages are not there.
	Unknown Coverage = "unknown"
)

// OfSystem reports whether there are packages of an operating system.
func (img Image) OfSystem() bool {
	return slices.ContainsFunc(img.Packages, func(p Installed) bool { return OfSystem(p.Type) })
}

// Coverage judges the inventory.
func (img Image) Coverage() Coverage {
	switch {
	case len(img.Packages) == 0, img.OfSystem() != (img.Distribution.ID != ""):
		return Unknown
	case len(img.Warnings) > 0:
		return Partial
	}
	return Complete
}
