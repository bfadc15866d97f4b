package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
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
	DeleteRepository(ctx context.Context, registryName, name string, d registry.Deletion) error
	Tags(ctx context.Context, repositoryID int64, after string, limit int) ([]registry.Tag, error)
}

// Registry is a named container feed.
type Registry struct {
	Name          string    `json:"name"`
	Description   string    `json:"description"`
	AnonymousPull bool      `json:"anonymous_pull" doc:"Whether anyone may pull."`
	Policy        Policy    `json:"policy" doc:"What holds, with what is inherited: see registries/{registry}/policy."`
	AttachSBOM    string    `json:"attach_sbom" enum:"none,cyclonedx,spdx" doc:"The format of the software bills of materials that are made of images and stored beside them, as referrers."`
	HonourVEX     bool      `json:"honour_vex" doc:"Whether VEX documents that are attached to images assess them."`
	QuotaBytes    int64     `json:"quota_bytes" doc:"The registry's blobs, each counted once, have at most so many bytes; 0 is no bound."`
	ImmutableTags []string  `json:"immutable_tags" nullable:"false" doc:"Tags of these patterns stay at the manifest at which they first pointed."`
	VersionTags   bool      `json:"version_tags" doc:"Whether the tags latest, 3 and 3.4 follow the highest version that they stand for, such as 3.4.1."`
	CreatedAt     time.Time `json:"created_at"`
	ETag          string    `json:"etag" doc:"Give it as If-Match to change what you saw. The policy has one of its own: see registries/{registry}/policy."`
}

type RegistryPath struct {
	Registry string `path:"registry" example:"main"`
}

func (a *API) registries() {
	const tag = "registries"
	register(a, operation{id: "list-registries", access: access{place: signedIn}, method: http.MethodGet, path: "/registries", tag: tag,
		summary: "List registries", doc: "By name."}, a.listRegistries)
	register(a, operation{id: "create-registry", method: http.MethodPost, path: "/registries", tag: tag, status: http.StatusCreated,
		summary: "Add a registry", administrators: true}, a.createRegistry)
	register(a, operation{id: "get-registry", method: http.MethodGet, path: "/registries/{registry}", tag: tag,
		summary: "Show a registry"}, a.registry)
	register(a, operation{id: "change-registry", method: http.MethodPatch, path: "/registries/{registry}", tag: tag,
		summary: "Change a registry", doc: "What is absent stays, in the policy too."}, a.changeRegistry)
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
	found, err := a.readableRegistries(ctx, orZero(from), in.PageSize+1)
	if err != nil {
		return nil, err
	}
	inherited, err := a.inherited(ctx)
	if err != nil {
		return nil, err
	}
	shown := make([]Registry, len(found))
	for i, r := range found {
		if shown[i], err = inherited.show(r); err != nil {
			return nil, err
		}
	}
	return page(in.Paging, list, shown, func(r Registry) string { return r.Name }, func(r Registry) Registry { return r }), nil
}

// readableRegistries lists those that the principal may read.
func (a *API) readableRegistries(ctx context.Context, after string, limit int) ([]registry.Registry, error) {
	names := readable(ctx)
	if names == nil {
		return a.Registries.Registries(ctx, after, limit)
	}
	var found []registry.Registry
	for _, name := range names {
		if name <= after || len(found) == limit {
			continue
		}
		r, err := a.Registries.Registry(ctx, name)
		if errors.Is(err, registry.ErrRegistryUnknown) {
			continue // deleted a moment ago
		}
		if err != nil {
			return nil, err
		}
		found = append(found, r)
	}
	return found, nil
}

func (a *API) createRegistry(ctx context.Context, in *struct {
	Body struct {
		Name          string       `json:"name" minLength:"1" maxLength:"64" doc:"Lower-case letters and digits, separated by one of . _ __ -."`
		Description   string       `json:"description,omitempty" maxLength:"1000"`
		AnonymousPull bool         `json:"anonymous_pull,omitempty"`
		Policy        PolicyChange `json:"policy,omitempty"`
		AttachSBOM    string       `json:"attach_sbom,omitempty" enum:"none,cyclonedx,spdx" default:"none"`
		QuotaBytes    int64        `json:"quota_bytes,omitempty" minimum:"0"`
		ImmutableTags []string     `json:"immutable_tags,omitempty" nullable:"false" maxItems:"50" example:"[\"v*\"]"`
		VersionTags   bool         `json:"version_tags,omitempty"`
	}
}) (*tagged[Registry], error) {
	b := in.Body
	settings := b.Policy.on(policy.Settings{})
	if err := a.Policies.Check(ctx, settings); err != nil {
		return nil, inMember("policy", err)
	}
	rules := registry.Rules{Quota: b.QuotaBytes, ImmutableTags: b.ImmutableTags, VersionTags: b.VersionTags}
	if err := checkRules(rules); err != nil {
		return nil, err
	}
	r, err := a.Registries.CreateRegistry(ctx, registry.Registry{Rules: rules, Name: b.Name, Description: b.Description, AnonymousPull: b.AnonymousPull, Policy: settings.String(), AttachSBOM: registry.BillFormat(b.AttachSBOM)})
	if errors.Is(err, registry.ErrNameInvalid) {
		return nil, invalid("body.name", err.Error())
	}
	if err != nil {
		return nil, err
	}
	return a.changedRegistry(ctx, "registry.create", r)
}

func (a *API) registry(ctx context.Context, in *RegistryPath) (*tagged[Registry], error) {
	r, err := a.Registries.Registry(ctx, in.Registry)
	if err != nil {
		return nil, err
	}
	inherited, err := a.inherited(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := inherited.show(r)
	return &tagged[Registry]{shown.ETag, shown}, err
}

func (a *API) changeRegistry(ctx context.Context, in *struct {
	RegistryPath
	IfMatch
	Body struct {
		Description   *string       `json:"description,omitempty" maxLength:"1000"`
		AnonymousPull *bool         `json:"anonymous_pull,omitempty"`
		Policy        *PolicyChange `json:"policy,omitempty"`
		AttachSBOM    *string       `json:"attach_sbom,omitempty" enum:"none,cyclonedx,spdx" doc:"The bills of images that are stored already are made, or removed, in the background."`
		HonourVEX     *bool         `json:"honour_vex,omitempty"`
		QuotaBytes    *int64        `json:"quota_bytes,omitempty" minimum:"0" doc:"For administrators."`
		ImmutableTags *[]string     `json:"immutable_tags,omitempty" nullable:"false" maxItems:"50" example:"[\"v*\"]"`
		VersionTags   *bool         `json:"version_tags,omitempty" doc:"The tags that follow versions are set at once, in repositories that have versions."`
	}
}) (*tagged[Registry], error) {
	change := registry.Change{Description: in.Body.Description, AnonymousPull: in.Body.AnonymousPull,
		AttachSBOM: (*registry.BillFormat)(in.Body.AttachSBOM), HonourVEX: in.Body.HonourVEX,
		Quota: in.Body.QuotaBytes, ImmutableTags: in.Body.ImmutableTags, VersionTags: in.Body.VersionTags}
	if change.Quota != nil && !principal(ctx).Administrator {
		return nil, forbiddenError{"only administrators may change a quota"} // who is bound by it may not lift it
	}
	err := checkRules(registry.Rules{Quota: orZero(change.Quota), ImmutableTags: orZero(change.ImmutableTags)})
	if err != nil {
		return nil, err
	}
	if change.Tag, err = in.tag(); err != nil {
		return nil, err
	}
	if in.Body.Policy != nil {
		// What will be refused is refused before anything has changed.
		own, _, err := a.Policies.Policy(ctx, in.Registry)
		if err != nil {
			return nil, err
		}
		if err := a.Policies.Check(ctx, in.Body.Policy.on(own.Settings)); err != nil {
			return nil, inMember("policy", err)
		}
	}
	r, err := a.Registries.UpdateRegistry(ctx, in.Registry, change)
	if err != nil {
		return nil, err
	}
	if in.Body.Policy != nil {
		if _, err := a.Policies.Change(ctx, in.Registry, 0, in.Body.Policy.on); err != nil {
			return nil, inMember("policy", err)
		}
		if r, err = a.Registries.Registry(ctx, in.Registry); err != nil {
			return nil, err
		}
	}
	return a.changedRegistry(ctx, "registry.change", r)
}

func checkRules(rules registry.Rules) error {
	var rule *registry.RuleError
	if err := rules.Check(); errors.As(err, &rule) {
		return invalid("body."+rule.Field, rule.Reason)
	}
	return nil
}

// inMember puts the field of an error below a member of the body.
func inMember(member string, err error) error {
	var field *assess.FieldError
	if errors.As(err, &field) {
		return &assess.FieldError{Field: member + "." + field.Field, Reason: field.Reason}
	}
	return err
}

func (a *API) changedRegistry(ctx context.Context, action string, r registry.Registry) (*tagged[Registry], error) {
	a.changed()
	inherited, err := a.inherited(ctx)
	if err != nil {
		return nil, err
	}
	shown, err := inherited.show(r)
	if err != nil {
		return nil, err
	}
	return &tagged[Registry]{shown.ETag, shown}, a.audit(ctx, action, "registry "+r.Name, shown)
}

// inherited is what the policies of all registries rest on.
type inherited struct {
	global policy.Settings
	types  []assess.Type
}

func (a *API) inherited(ctx context.Context) (i inherited, err error) {
	if _, i.global, err = a.Policies.Policy(ctx, ""); err != nil {
		return i, err
	}
	i.types, err = a.Assessments.Types(ctx)
	return i, err
}

func (i inherited) show(r registry.Registry) (Registry, error) {
	own, err := policy.ParseSettings(r.Policy)
	if err != nil {
		return Registry{}, err
	}
	return Registry{
		Name: r.Name, Description: r.Description, AnonymousPull: r.AnonymousPull, HonourVEX: r.HonourVEX, CreatedAt: r.CreatedAt.UTC(), ETag: quoted(r.Tag()),
		Policy: showEffective(policy.Resolve(i.global, own).Policy, i.types), AttachSBOM: string(r.AttachSBOM),
		QuotaBytes: r.Quota, ImmutableTags: append([]string{}, r.ImmutableTags...), VersionTags: r.VersionTags,
	}, nil
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
	PullFigures
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
	ids := make([]int64, len(found))
	for i, r := range found {
		ids[i] = r.ID
	}
	pulls, err := a.Usage.RepositoryPulls(ctx, ids)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(r registry.Repository) string { return r.Name }, func(r registry.Repository) Repository {
		return Repository{Registry: r.Registry, Name: r.Name, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: orNil(r.UpdatedAt), PullFigures: showPulls(pulls[r.ID])}
	}), nil
}

// Tag is a name for a manifest.
type Tag struct {
	Name      string    `json:"name"`
	Digest    string    `json:"digest" doc:"Of an image or an index: see images/{digest}."`
	UpdatedAt time.Time `json:"updated_at"`
	PullFigures
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
	names, digests := make([]string, len(found)), make([]string, len(found))
	for i, t := range found {
		names[i], digests[i] = t.Name, t.Digest
	}
	pulls, err := a.Usage.TagPulls(ctx, repository.ID, names)
	if err != nil {
		return nil, err
	}
	images, err := a.Summaries.ImageSummaries(ctx, digests)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(t registry.Tag) string { return t.Name }, func(t registry.Tag) Tag {
		shown := Tag{Name: t.Name, Digest: t.Digest, UpdatedAt: t.UpdatedAt.UTC(), PullFigures: showPulls(pulls[t.Name])}
		if of, ok := images[t.Digest]; ok {
			summary := showSummary(of)
			shown.Image = &summary
		}
		return shown
	}), nil
}
