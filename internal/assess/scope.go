package assess

import (
	"strings"

	_ "crypto/sha256" // digests are checked with their algorithm
	_ "crypto/sha512"

	"github.com/opencontainers/go-digest"
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
	// repository, the digest of an image, the name of a package.
	Value string
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

// rank orders kinds from the widest, 0, to the narrowest.
func (k ScopeKind) rank() int {
	for i, kind := range ScopeKinds() {
		if k == kind {
			return i
		}
	}
	return -1
}

// covers reports whether the scope holds for a package of an image at a place.
func (s Scope) covers(at Place, pkg string) bool {
	switch s.Kind {
	case Everywhere:
		return true
	case Package:
		return s.Value == pkg
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
