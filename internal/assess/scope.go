package assess

import (
	"slices"
	"strings"
	"unicode/utf8"

	_ "crypto/sha256" // digests are checked with their algorithm
	_ "crypto/sha512"

	"github.com/opencontainers/go-digest"

	"github.com/pratique/pratique/internal/inventory"
)

// ScopeKind says how far an assessment reaches.
type ScopeKind string

// The kinds, from the widest to the narrowest. The narrowest live assessment
// of a finding's vulnerability decides.
const (
	Everywhere ScopeKind = "everywhere"
	Package    ScopeKind = "package"
	Registry   ScopeKind = "registry"
	Repository ScopeKind = "repository"
	Image      ScopeKind = "image"
)

// ScopeKinds lists the kinds from the widest to the narrowest.
func ScopeKinds() []ScopeKind {
	return []ScopeKind{Everywhere, Package, Registry, Repository, Image}
}

// Scope is where an assessment holds.
type Scope struct {
	Kind ScopeKind
	// Value is "" for everywhere, "main" for a registry, "main/app" for a
	// repository, the digest of an image, the name of a package, which one
	// version may follow: "musl", "musl@1.1.18-r3".
	Value string
}

// Package is the name, and the version or "", of a package's scope.
func (s Scope) Package() (name, version string) {
	if at := strings.LastIndexByte(s.Value, '@'); at > 0 {
		return s.Value[:at], s.Value[at+1:]
	}
	return s.Value, ""
}

// String is the kind with its value, "registry main".
func (s Scope) String() string {
	if s.Value == "" {
		return string(s.Kind)
	}
	return string(s.Kind) + " " + s.Value
}

// check returns a *FieldError where the scope cannot be one.
func (s Scope) check() error {
	const field = "scope.value"
	const most = 512
	if len(s.Value) > most {
		return invalid(field, "is longer than %d bytes", most)
	}
	if strings.ContainsRune(s.Value, 0) || !utf8.ValidString(s.Value) {
		return invalid(field, "is not text")
	}
	if s.Kind != Everywhere && s.Value == "" {
		switch s.Kind {
		case Package, Registry, Repository, Image:
			return invalid(field, "a %s is wanted", s.Kind)
		}
	}
	switch s.Kind {
	case Everywhere:
		if s.Value != "" {
			return invalid(field, "must be empty where the kind is %s", Everywhere)
		}
	case Package:
		if name, version := s.Package(); name != s.Value && version == "" {
			return invalid(field, "%q has no version after its @", s.Value)
		}
	case Registry:
		if strings.Contains(s.Value, "/") {
			return invalid(field, "%q is not the name of a registry", s.Value)
		}
	case Repository:
		registry, repository, _ := strings.Cut(s.Value, "/")
		if registry == "" || repository == "" {
			return invalid(field, "%q is not REGISTRY/REPOSITORY", s.Value)
		}
	case Image:
		if err := digest.Digest(s.Value).Validate(); err != nil {
			return invalid(field, "%q is not a digest: %v", s.Value, err)
		}
	default:
		return invalid("scope.kind", "%q is not one of everywhere, registry, repository, image, package", s.Kind)
	}
	return nil
}

// rank orders scopes from the widest, 0; a package's version is narrower than the
// package.
func (s Scope) rank() int {
	rank := 2 * slices.Index(ScopeKinds(), s.Kind)
	if s.Kind == Package && strings.LastIndexByte(s.Value, '@') > 0 {
		rank++
	}
	return rank
}

// covers reports whether the scope holds for a package of an image at a place.
func (s Scope) covers(at Place, pkg inventory.Package) bool {
	switch s.Kind {
	case Everywhere:
		return true
	case Package:
		return s.Value == pkg.Name || s.Value == pkg.Name+"@"+pkg.Version
	case Registry:
		return s.Value == at.Registry
	case Repository:
		return s.Value == at.Registry+"/"+at.Repository
	case Image:
		return s.Value == at.Digest
	}
	return false
}

// Place is where an image is pulled from.
type Place struct {
	Registry   string
	Repository string
	// Digest is the image's.
	Digest string
}

// Location is a place with the tags that point at the manifest there.
type Location struct {
	Place
	Tags []string
}
