package api

import (
	"context"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/auth"
)

// Role is a role that someone has.
type Role struct {
	ID        int64     `json:"id"`
	Role      string    `json:"role" enum:"read,publish,assess,maintain,administer"`
	Registry  string    `json:"registry" doc:"Empty for everywhere."`
	To        Grantee   `json:"to"`
	GrantedBy string    `json:"granted_by"`
	CreatedAt time.Time `json:"created_at"`
}

// Grantee is who has a role.
type Grantee struct {
	Kind string `json:"kind" enum:"user,group,robot"`
	Name string `json:"name" maxLength:"100"`
}

// ScopedRole is a role in a registry, or everywhere.
type ScopedRole struct {
	Role     string `json:"role" enum:"read,publish,assess,maintain,administer"`
	Registry string `json:"registry,omitempty" maxLength:"64" doc:"Empty for everywhere." example:"main"`
}

func grantsOf(roles []ScopedRole) []auth.Grant {
	grants := make([]auth.Grant, len(roles))
	for i, r := range roles {
		grants[i] = auth.Grant{Registry: r.Registry, Role: auth.Role(r.Role)}
	}
	return grants
}

func showGrants(grants []auth.Grant) []ScopedRole {
	roles := make([]ScopedRole, len(grants))
	for i, g := range grants {
		roles[i] = ScopedRole{Role: string(g.Role), Registry: g.Registry}
	}
	return roles
}

func showRole(g auth.RoleGrant) Role {
	return Role{ID: g.ID, Role: string(g.Role), Registry: g.Registry, To: Grantee{string(g.To.Kind), g.To.Name}, GrantedBy: g.GrantedBy, CreatedAt: g.CreatedAt.UTC()}
}

// NewRole is a role to be granted.
type NewRole struct {
	Role string  `json:"role" enum:"read,publish,assess,maintain,administer" doc:"read: pull, and see what is known; publish: read, and push; assess: read, and decide on vulnerabilities; maintain: all of these, and delete images; administer: all, and change settings and roles."`
	To   Grantee `json:"to"`
}

func (a *API) roles() {
	const tag = "roles"
	administers := access{everywhere, auth.Administer}
	register(a, operation{id: "list-roles", method: http.MethodGet, path: "/roles", tag: tag, access: administers,
		summary: "List who has which role everywhere", doc: "By kind and name of who has it; always one page."}, a.listRoles)
	register(a, operation{id: "grant-role", method: http.MethodPost, path: "/roles", tag: tag, status: http.StatusCreated, access: administers,
		summary: "Grant a role everywhere"}, a.grantRole)
	register(a, operation{id: "revoke-role", method: http.MethodDelete, path: "/roles/{id}", tag: tag, status: http.StatusNoContent, access: administers,
		summary: "Take back a role everywhere"}, a.revokeRole)
	in := access{inRegistry, auth.Administer}
	register(a, operation{id: "list-registry-roles", method: http.MethodGet, path: "/registries/{registry}/roles", tag: tag, access: in,
		summary: "List who has which role in a registry", doc: "With those who have it everywhere, who come first; always one page. Administrators of the program have all, and are not listed."}, a.listRegistryRoles)
	register(a, operation{id: "grant-registry-role", method: http.MethodPost, path: "/registries/{registry}/roles", tag: tag, status: http.StatusCreated, access: in,
		summary: "Grant a role in a registry"}, a.grantRegistryRole)
	register(a, operation{id: "revoke-registry-role", method: http.MethodDelete, path: "/registries/{registry}/roles/{id}", tag: tag, status: http.StatusNoContent, access: in,
		summary: "Take back a role in a registry"}, a.revokeRegistryRole)
}

func (a *API) rolesIn(ctx context.Context, f auth.GrantFilter) (*listed[Role], error) {
	grants, err := a.Users.Roles(ctx, f)
	if err != nil {
		return nil, err
	}
	out := &listed[Role]{List[Role]{Items: make([]Role, len(grants))}}
	for i, g := range grants {
		out.Body.Items[i] = showRole(g)
	}
	return out, nil
}

func (a *API) grantIn(ctx context.Context, registry string, n NewRole) (*one[Role], error) {
	g, err := a.Users.GrantRole(ctx, principal(ctx), auth.RoleGrant{Grant: auth.Grant{Registry: registry, Role: auth.Role(n.Role)},
		To: auth.Grantee{Kind: auth.GranteeKind(n.To.Kind), Name: n.To.Name}})
	if err != nil {
		return nil, err
	}
	shown := showRole(g)
	return &one[Role]{shown}, a.audit(ctx, "role.grant", roleObject(g), shown)
}

func (a *API) revokeIn(ctx context.Context, registry string, id int64) error {
	g, err := a.Users.RevokeRole(ctx, id, registry)
	if err != nil {
		return err
	}
	return a.audit(ctx, "role.revoke", roleObject(g), showRole(g))
}

func roleObject(g auth.RoleGrant) string {
	of := "everywhere"
	if g.Registry != "" {
		of = "in registry " + g.Registry
	}
	return "role " + string(g.Role) + " of " + string(g.To.Kind) + " " + g.To.Name + " " + of
}

func (a *API) listRoles(ctx context.Context, _ *struct{}) (*listed[Role], error) {
	return a.rolesIn(ctx, auth.GrantFilter{Wide: true})
}

func (a *API) grantRole(ctx context.Context, in *struct{ Body NewRole }) (*one[Role], error) {
	return a.grantIn(ctx, "", in.Body)
}

func (a *API) revokeRole(ctx context.Context, in *struct {
	ID int64 `path:"id" minimum:"1"`
}) (*struct{}, error) {
	return nil, a.revokeIn(ctx, "", in.ID)
}

func (a *API) listRegistryRoles(ctx context.Context, in *RegistryPath) (*listed[Role], error) {
	if _, err := a.Registries.Registry(ctx, in.Registry); err != nil {
		return nil, err
	}
	return a.rolesIn(ctx, auth.GrantFilter{In: in.Registry, Wide: true})
}

func (a *API) grantRegistryRole(ctx context.Context, in *struct {
	RegistryPath
	Body NewRole
}) (*one[Role], error) {
	if _, err := a.Registries.Registry(ctx, in.Registry); err != nil {
		return nil, err
	}
	return a.grantIn(ctx, in.Registry, in.Body)
}

func (a *API) revokeRegistryRole(ctx context.Context, in *struct {
	RegistryPath
	ID int64 `path:"id" minimum:"1"`
}) (*struct{}, error) {
	return nil, a.revokeIn(ctx, in.Registry, in.ID)
}
