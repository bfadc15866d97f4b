package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/oci/registry"
)

// Registries keeps registries, their repositories and tags.
type Registries interface {
	CreateRegistry(ctx context.Context, r registry.Registry) (registry.Registry, error)
	Registry(ctx context.Context, name string) (registry.Registry, error)
	// Registries, Repositories and Tags list by name, from the one after after on.
	Registries(ctx context.Context, after string, limit int) ([]registry.Registry, error)
	UpdateRegistry(ctx context.Context, name string, c registry.Change) (registry.Registry, error)
	DeleteRegistry(ctx context.Context, name string, force bool, by string) error
	Repository(ctx context.Context, registry, name string) (registry.Repository, error)
	Repositories(ctx context.Context, registry, after string, limit int) ([]registry.Repository, error)
	Tags(ctx context.Context, repositoryID int64, after string, limit int) ([]registry.Tag, error)
}

// Registry is a named container feed.
type Registry struct {
	Name          string    `json:"name"`
	Description   string    `json:"description"`
	AnonymousPull bool      `json:"anonymous_pull" doc:"Whether anyone may pull."`
	Policy        Policy    `json:"policy"`
	AttachSBOM    string    `json:"attach_sbom" enum:"none,cyclonedx,spdx" doc:"The format of the software bills of materials that are made of images and stored beside them, as referrers."`
	HonourVEX     bool      `json:"honour_vex" doc:"Whether VEX documents that are attached to images assess them."`
	CreatedAt     time.Time `json:"created_at"`
}

// Policy is what a registry refuses to serve.
type Policy struct {
	Block               []string `json:"block" nullable:"false" doc:"The assessment types that block pulls."`
	BlockUnassessedFrom *string  `json:"block_unassessed_from" enum:"critical,high,medium,low,negligible,unknown" doc:"The lowest severity at which an unassessed finding blocks; null for never."`
	GraceHours          int      `json:"grace_hours" doc:"How long after it was first seen an unassessed finding does not block yet."`
}

// PolicyChange is what to change of a policy; what is absent stays.
type PolicyChange struct {
	Block               Optional[[]string] `json:"block,omitempty" maxItems:"100" doc:"The assessment types that block pulls; null for those whose blocks is set."`
	BlockUnassessedFrom Optional[string]   `json:"block_unassessed_from,omitempty" enum:"critical,high,medium,low,negligible,unknown" doc:"Null for never."`
	GraceHours          Optional[int]      `json:"grace_hours,omitempty" minimum:"0" maximum:"87600"`
}

// on returns the policy with the change made.
func (c PolicyChange) on(p assess.Policy) (assess.Policy, error) {
	c.GraceHours.set(&p.GraceHours)
	if c.Block.Sent {
		p.Block = nil
		if !c.Block.Null {
			p.Block = orEmpty(c.Block.Value)
		}
	}
	if c.BlockUnassessedFrom.Sent {
		p.BlockUnassessedFrom = nil
		if !c.BlockUnassessedFrom.Null {
			severity, err := advisory.ParseSeverity(c.BlockUnassessedFrom.Value)
			if err != nil {
				return p, invalid("body.policy.block_unassessed_from", err.Error())
			}
			p.BlockUnassessedFrom = &severity
		}
	}
	return p, nil
}

type RegistryPath struct {
	Registry string `path:"registry" example:"main"`
}

func (a *API) registries() {
	const tag = "registries"
	register(a, operation{id: "list-registries", method: http.MethodGet, path: "/registries", tag: tag,
		summary: "List registries", doc: "By name."}, a.listRegistries)
	register(a, operation{id: "create-registry", method: http.MethodPost, path: "/registries", tag: tag, status: http.StatusCreated,
		summary: "Add a registry", administrators: true}, a.createRegistry)
	register(a, operation{id: "get-registry", method: http.MethodGet, path: "/registries/{registry}", tag: tag,
		summary: "Show a registry"}, a.registry)
	register(a, operation{id: "change-registry", method: http.MethodPatch, path: "/registries/{registry}", tag: tag,
		summary: "Change a registry", doc: "What is absent stays, in the policy too.", administrators: true}, a.changeRegistry)
	register(a, operation{id: "delete-registry", method: http.MethodDelete, path: "/registries/{registry}", tag: tag, status: http.StatusNoContent,
		summary: "Delete a registry", doc: "One that holds repositories is deleted only with force. Assessments in its scope end.", administrators: true}, a.deleteRegistry)
	register(a, operation{id: "list-repositories", method: http.MethodGet, path: "/registries/{registry}/repositories", tag: tag,
		summary: "List a registry's repositories", doc: "By name."}, a.listRepositories)
	register(a, operation{id: "list-tags", method: http.MethodGet, path: "/registries/{registry}/repositories/{repository}/tags", tag: tag,
		summary: "List a repository's tags", doc: "By name. Slashes in the repository's name are written %2F, or as they are."}, a.listTags)
}

func (a *API) listRegistries(ctx context.Context, in *struct{ Paging }) (*listed[Registry], error) {
	const list = "registries"
	from, err := after[string](in.Paging, list)
	if err != nil {
		return nil, err
	}
	found, err := a.Registries.Registries(ctx, orZero(from), in.PageSize+1)
	if err != nil {
		return nil, err
	}
	types, err := a.Assessments.Types(ctx)
	if err != nil {
		return nil, err
	}
	shown := make([]Registry, len(found))
	for i, r := range found {
		if shown[i], err = showRegistry(r, types); err != nil {
			return nil, err
		}
	}
	return page(in.Paging, list, shown, func(r Registry) string { return r.Name }, func(r Registry) Registry { return r }), nil
}

func (a *API) createRegistry(ctx context.Context, in *struct {
	Body struct {
		Name          string       `json:"name" minLength:"1" maxLength:"64" doc:"Lower-case letters and digits, separated by one of . _ __ -."`
		Description   string       `json:"description,omitempty" maxLength:"1000"`
		AnonymousPull bool         `json:"anonymous_pull,omitempty"`
		Policy        PolicyChange `json:"policy,omitempty"`
		AttachSBOM    string       `json:"attach_sbom,omitempty" enum:"none,cyclonedx,spdx" default:"none"`
	}
}) (*one[Registry], error) {
	b := in.Body
	policy, types, err := a.newPolicy(ctx, "", b.Policy)
	if err != nil {
		return nil, err
	}
	r, err := a.Registries.CreateRegistry(ctx, registry.Registry{Name: b.Name, Description: b.Description, AnonymousPull: b.AnonymousPull, Policy: policy, AttachSBOM: registry.BillFormat(b.AttachSBOM)})
	if errors.Is(err, registry.ErrNameInvalid) {
		return nil, invalid("body.name", err.Error())
	}
	if err != nil {
		return nil, err
	}
	return a.changedRegistry(ctx, "registry.create", r, types)
}

func (a *API) registry(ctx context.Context, in *RegistryPath) (*one[Registry], error) {
	r, err := a.Registries.Registry(ctx, in.Registry)
	if err != nil {
		return nil, err
	}
	types, err := a.Assessments.Types(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := showRegistry(r, types)
	return &one[Registry]{shown}, err
}

func (a *API) changeRegistry(ctx context.Context, in *struct {
	RegistryPath
	Body struct {
		Description   *string       `json:"description,omitempty" maxLength:"1000"`
		AnonymousPull *bool         `json:"anonymous_pull,omitempty"`
		Policy        *PolicyChange `json:"policy,omitempty"`
		AttachSBOM    *string       `json:"attach_sbom,omitempty" enum:"none,cyclonedx,spdx" doc:"The bills of images that are stored already are made, or removed, in the background."`
		HonourVEX     *bool         `json:"honour_vex,omitempty"`
	}
}) (*one[Registry], error) {
	change := registry.Change{Description: in.Body.Description, AnonymousPull: in.Body.AnonymousPull,
		AttachSBOM: (*registry.BillFormat)(in.Body.AttachSBOM), HonourVEX: in.Body.HonourVEX}
	r, err := a.Registries.Registry(ctx, in.Registry)
	if err != nil {
		return nil, err
	}
	var asked PolicyChange
	if in.Body.Policy != nil {
		asked = *in.Body.Policy
	}
	policy, types, err := a.newPolicy(ctx, r.Policy, asked)
	if err != nil {
		return nil, err
	}
	if in.Body.Policy != nil {
		change.Policy = &policy
	}
	if r, err = a.Registries.UpdateRegistry(ctx, in.Registry, change); err != nil {
		return nil, err
	}
	return a.changedRegistry(ctx, "registry.change", r, types)
}

// newPolicy changes the text of a policy.
func (a *API) newPolicy(ctx context.Context, text string, change PolicyChange) (string, []assess.Type, error) {
	policy, err := assess.ParsePolicy(text)
	if err != nil {
		return "", nil, err
	}
	if policy, err = change.on(policy); err != nil {
		return "", nil, err
	}
	types, err := a.Assessments.Types(ctx)
	if err != nil {
		return "", nil, err
	}
	if err := policy.Check(types); err != nil {
		return "", nil, err
	}
	return policy.String(), types, nil
}

func (a *API) changedRegistry(ctx context.Context, action string, r registry.Registry, types []assess.Type) (*one[Registry], error) {
	a.changed()
	shown, err := showRegistry(r, types)
	if err != nil {
		return nil, err
	}
	return &one[Registry]{shown}, a.audit(ctx, action, "registry "+r.Name, shown)
}

func showRegistry(r registry.Registry, types []assess.Type) (Registry, error) {
	policy, err := assess.ParsePolicy(r.Policy)
	if err != nil {
		return Registry{}, err
	}
	shown := Registry{
		Name: r.Name, Description: r.Description, AnonymousPull: r.AnonymousPull, HonourVEX: r.HonourVEX, CreatedAt: r.CreatedAt.UTC(),
		Policy: Policy{Block: policy.Blocking(types), GraceHours: policy.GraceHours}, AttachSBOM: string(r.AttachSBOM),
	}
	if policy.BlockUnassessedFrom != nil {
		name := policy.BlockUnassessedFrom.String()
		shown.Policy.BlockUnassessedFrom = &name
	}
	return shown, nil
}

func (a *API) deleteRegistry(ctx context.Context, in *struct {
	RegistryPath
	Force bool `query:"force" doc:"Delete its repositories, too."`
}) (*struct{}, error) {
	if err := a.Registries.DeleteRegistry(ctx, in.Registry, in.Force, principal(ctx).Name); err != nil {
		return nil, err
	}
	a.changed()
	return nil, a.audit(ctx, "registry.delete", "registry "+in.Registry, struct {
		Force bool `json:"force"`
	}{in.Force})
}

// Repository is a scope for images and tags.
type Repository struct {
	Registry  string     `json:"registry"`
	Name      string     `json:"name"`
	CreatedAt time.Time  `json:"created_at"`
	UpdatedAt *time.Time `json:"updated_at" doc:"When a manifest or tag last changed; null where nothing was ever pushed."`
}

func (a *API) listRepositories(ctx context.Context, in *struct {
	RegistryPath
	Paging
}) (*listed[Repository], error) {
	list := "repositories " + in.Registry
	from, err := after[string](in.Paging, list)
	if err != nil {
		return nil, err
	}
	found, err := a.Registries.Repositories(ctx, in.Registry, orZero(from), in.PageSize+1)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(r registry.Repository) string { return r.Name }, func(r registry.Repository) Repository {
		return Repository{Registry: r.Registry, Name: r.Name, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: orNil(r.UpdatedAt)}
	}), nil
}

// Tag is a name for a manifest.
type Tag struct {
	Name      string    `json:"name"`
	Digest    string    `json:"digest" doc:"Of an image or an index: see images/{digest}."`
	UpdatedAt time.Time `json:"updated_at"`
	// Image is nil for another kind of manifest.
	Image *ImageSummary `json:"image" doc:"Null where it stands for neither."`
}

func (a *API) listTags(ctx context.Context, in *struct {
	RegistryPath
	Repository string `path:"repository" doc:"The name without the registry's." example:"team/app"`
	Paging
}) (*listed[Tag], error) {
	repository, err := a.Registries.Repository(ctx, in.Registry, in.Repository)
	if err != nil {
		return nil, err
	}
	list := "tags " + repository.String()
	from, err := after[string](in.Paging, list)
	if err != nil {
		return nil, err
	}
	found, err := a.Registries.Tags(ctx, repository.ID, orZero(from), in.PageSize+1)
	if err != nil {
		return nil, err
	}
	digests := make([]string, len(found))
	for i, t := range found {
		digests[i] = t.Digest
	}
	images, err := a.Summaries.ImageSummaries(ctx, digests)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(t registry.Tag) string { return t.Name }, func(t registry.Tag) Tag {
		shown := Tag{Name: t.Name, Digest: t.Digest, UpdatedAt: t.UpdatedAt.UTC()}
		if of, ok := images[t.Digest]; ok {
			summary := showSummary(of)
			shown.Image = &summary
		}
		return shown
	}), nil
}
