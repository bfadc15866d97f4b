package auth

import (
	"maps"
	"slices"
)

// Right is a set of what may be done with a registry and what is in it.
type Right uint8

// The rights.
const (
	// Read is to pull, and to see what is known of the images.
	Read Right = 1 << iota
	// Push is to push images and tags.
	Push
	// Delete is to delete images and tags.
	Delete
	// Assess is to decide on vulnerabilities.
	Assess
	// Administer is to change the registry's settings, and who may do what.
	Administer

	everyRight = Read | Push | Delete | Assess | Administer
)

// Role is a name for rights that go together. See docs/decisions/0021-roles.md.
type Role string

// The roles. Maintain is what every user could do before there were roles.
const (
	RoleRead       Role = "read"
	RolePublish    Role = "publish"
	RoleAssess     Role = "assess"
	RoleMaintain   Role = "maintain"
	RoleAdminister Role = "administer"
)

// Rights are those of a role; none where there is no such role.
func (r Role) Rights() Right {
	switch r {
	case RoleRead:
		return Read
	case RolePublish:
		return Read | Push
	case RoleAssess:
		return Read | Assess
	case RoleMaintain:
		return Read | Push | Delete | Assess
	case RoleAdminister:
		return everyRight
	}
	return 0
}

// Rights are what someone may do: everywhere, and in single registries besides.
type Rights struct {
	Everywhere Right
	Registries map[string]Right
}

// In are those that hold in a registry.
func (r Rights) In(registry string) Right { return r.Everywhere | r.Registries[registry] }

// Any are those that hold somewhere.
func (r Rights) Any() Right {
	all := r.Everywhere
	for _, right := range r.Registries {
		all |= right
	}
	return all
}

func (r *Rights) add(registry string, right Right) {
	if registry == "" {
		r.Everywhere |= right
		return
	}
	if r.Registries == nil {
		r.Registries = make(map[string]Right)
	}
	r.Registries[registry] |= right
}

// within returns what both have.
func (r Rights) within(other Rights) Rights {
	both := Rights{Everywhere: r.Everywhere & other.Everywhere}
	for _, of := range []Rights{r, other} {
		for name := range of.Registries {
			both.add(name, r.In(name)&other.In(name))
		}
	}
	return both
}

// RightsOf are those of grants.
func RightsOf(grants []Grant) (r Rights) {
	for _, g := range grants {
		r.add(g.Registry, g.Role.Rights())
	}
	return r
}

// Readable are the registries that someone may read.
type Readable struct {
	// All says that it is every registry; Names then does not matter.
	All   bool
	Names []string
}

// Has reports whether a registry is among them.
func (r Readable) Has(registry string) bool {
	return r.All || slices.Contains(r.Names, registry)
}

// May reports whether a principal has a right in a registry.
func (p Principal) May(right Right, registry string) bool {
	return p.Rights.In(registry)&right == right
}

// MayEverywhere reports whether a principal has a right in every registry.
func (p Principal) MayEverywhere(right Right) bool { return p.Rights.Everywhere&right == right }

// Readable are the registries that a principal may read, by name.
func (p Principal) Readable() Readable {
	if p.MayEverywhere(Read) {
		return Readable{All: true}
	}
	names := []string{}
	for _, name := range slices.Sorted(maps.Keys(p.Rights.Registries)) {
		if p.Rights.Registries[name]&Read != 0 {
			names = append(names, name)
		}
	}
	return Readable{Names: names}
}
