package api

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/pratique/pratique/internal/inventory"
)

// InstalledPackage is a package of an image with its proof.
type InstalledPackage struct {
	Package
	LayerIndex  int    `json:"layer_index"`
	LayerDigest string `json:"layer_digest"`
	Path        string `json:"path" doc:"The file that proves it."`
	Line        int    `json:"line,omitempty"`
	Evidence    string `json:"evidence,omitempty" doc:"What in the file proves it, where that is no line."`
	Detector    string `json:"detector"`
	Owner       string `json:"owner,omitempty" doc:"The package of the operating system that brought the file, and is judged in its place." example:"deb:python3-requests"`
}

// Package is a package wherever it is installed.
type Package struct {
	Name          string `json:"name"`
	Version       string `json:"version"`
	Type          string `json:"type" doc:"The type of a package URL (purl)." example:"apk"`
	Distribution  string `json:"distribution" example:"alpine:v3.20"`
	Architecture  string `json:"architecture"`
	SourceName    string `json:"source_name"`
	SourceVersion string `json:"source_version"`
	Module        string `json:"module,omitempty" doc:"The stream of a modular RPM package." example:"nodejs:18"`
	Repositories  string `json:"repositories,omitempty" doc:"The repositories that an RPM package came from, beside those that every installation has."`
}

func showPackage(p inventory.Package) Package {
	return Package{Name: p.Name, Version: p.Version, Type: p.Type, Distribution: p.Distribution,
		Architecture: p.Architecture, SourceName: p.SourceName, SourceVersion: p.SourceVersion, Module: p.Module, Repositories: p.Repositories}
}

type packageKey struct {
	Name         string `json:"n"`
	Version      string `json:"v"`
	Architecture string `json:"a"`
	Path         string `json:"p"`
	Line         int    `json:"l"`
}

func comparePackageKeys(a, b packageKey) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version), strings.Compare(a.Architecture, b.Architecture),
		strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line))
}

func (a *API) imagePackages(ctx context.Context, in *struct {
	ImagePath
	Paging
}) (*listed[InstalledPackage], error) {
	img, err := a.anImage(ctx, string(in.Digest))
	if err != nil {
		return nil, err
	}
	packages, err := a.Images.ImagePackages(ctx, img.Digest)
	if err != nil {
		return nil, err
	}
	key := func(p inventory.Installed) packageKey {
		return packageKey{p.Name, p.Version, p.Architecture, p.Path, p.Line}
	}
	// A page is found by bytes; the database may order by another collation.
	slices.SortFunc(packages, func(a, b inventory.Installed) int { return comparePackageKeys(key(a), key(b)) })
	return slicePage(in.Paging, "packages "+img.Digest, packages, key, comparePackageKeys, ShowInstalled)
}
