package registry

import (
	"errors"
	"fmt"
	"strings"
)

// ErrNameInvalid is returned for what is no name.
var ErrNameInvalid = errors.New("invalid name")

const (
	// maxName bounds REGISTRY/REPOSITORY: many clients bound it together with
	// the host's name at 255 bytes.
	maxName         = 255
	maxRegistryName = 64
	maxTag          = 128
)

// SplitName splits REGISTRY/REPOSITORY. ok is false where name has no slash.
func SplitName(name string) (registry, repository string, ok bool) {
	return strings.Cut(name, "/")
}

// CheckName checks a full name, REGISTRY/REPOSITORY, against the grammar of
// the distribution specification ("Pulling manifests").
func CheckName(name string) error {
	if len(name) > maxName {
		return fmt.Errorf("%w: %q… has more than %d bytes", ErrNameInvalid, name[:80], maxName)
	}
	for rest, more := name, true; more; {
		var component string
		component, rest, more = strings.Cut(rest, "/")
		if !isComponent(component) {
			return fmt.Errorf("%w: %q: want lower-case letters and digits, separated by one of . _ __ -, in components separated by /", ErrNameInvalid, name)
		}
	}
	return nil
}

// CheckRegistryName checks the name of a registry: one component of a name.
// None of those that the protocol uses, such as _catalog, is one.
func CheckRegistryName(name string) error {
	if len(name) > maxRegistryName {
		return fmt.Errorf("%w: %q… has more than %d bytes", ErrNameInvalid, name[:maxRegistryName], maxRegistryName)
	}
	if !isComponent(name) {
		return fmt.Errorf("%w: %q: want lower-case letters and digits, separated by one of . _ __ -", ErrNameInvalid, name)
	}
	return nil
}

// isComponent matches [a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*.
func isComponent(s string) bool {
	separator := 0 // how many separators stand before s[i]
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9':
			separator = 0
			continue
		case i == 0 || i == len(s)-1:
			return false
		case c == '.':
			if separator > 0 {
				return false
			}
		case c == '_':
			if separator > 1 || separator == 1 && s[i-1] != '_' {
				return false
			}
		case c == '-':
			if separator > 0 && s[i-1] != '-' {
				return false
			}
		default:
			return false
		}
		separator++
	}
	return s != ""
}

// IsTag reports whether s matches [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}.
func IsTag(s string) bool {
	if s == "" || len(s) > maxTag {
		return false
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		case i > 0 && (c == '.' || c == '-'):
		default:
			return false
		}
	}
	return true
}
