package api

import (
	"context"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/source"
)

// RegistrySource is a vulnerability source that is attached to a registry.
type RegistrySource struct {
	Name       string     `json:"name"`
	Extension  string     `json:"extension"`
	AttachedAt *time.Time `json:"attached_at,omitempty" doc:"Absent for the built-in analyser."`
}

func showAttachment(at source.Attachment) RegistrySource {
	return RegistrySource{Name: at.Source, Extension: at.Extension, AttachedAt: orNil(at.AttachedAt)}
}

// Attached is the answer to attaching.
type Attached struct {
	Items    []RegistrySource `json:"items" nullable:"false" doc:"All that are attached now."`
	Warnings []string         `json:"warnings" nullable:"false" doc:"What keeps the source from being of use yet."`
}

type RegistrySourcePath struct {
	RegistryPath
	Source string `path:"source" maxLength:"100" example:"clair"`
}

func (a *API) registrySources() {
	const tag = "vulnerability-sources"
	register(a, operation{id: "list-registry-sources", method: http.MethodGet, path: "/registries/{registry}/vulnerability-sources", tag: tag,
		summary: "List a registry's vulnerability sources", doc: "The built-in analyser, which a new registry has, then by name; always one page."}, a.listRegistrySources)
	register(a, operation{id: "attach-vulnerability-source", method: http.MethodPut, path: "/registries/{registry}/vulnerability-sources/{source}", tag: tag,
		summary: "Attach a vulnerability source to a registry", doc: "It is asked of the images that are there, and of each that is pushed."}, a.attach)
	register(a, operation{id: "detach-vulnerability-source", method: http.MethodDelete, path: "/registries/{registry}/vulnerability-sources/{source}", tag: tag, status: http.StatusNoContent,
		summary: "Detach a vulnerability source from a registry", doc: "What it reported does not count there any more; should it come back, it counts at once."}, a.detach)
}

func (a *API) attachments(ctx context.Context, registry string) ([]RegistrySource, error) {
	all, err := a.Sources.Attachments(ctx, registry)
	if err != nil {
		return nil, err
	}
	shown := make([]RegistrySource, len(all))
	for i, at := range all {
		shown[i] = showAttachment(at)
	}
	return shown, nil
}

func (a *API) listRegistrySources(ctx context.Context, in *RegistryPath) (*listed[RegistrySource], error) {
	all, err := a.attachments(ctx, in.Registry)
	if err != nil {
		return nil, err
	}
	return &listed[RegistrySource]{List[RegistrySource]{Items: all}}, nil
}

func (a *API) attach(ctx context.Context, in *RegistrySourcePath) (*one[Attached], error) {
	warnings, err := a.Sources.Attach(ctx, in.Registry, in.Source)
	if err != nil {
		return nil, err
	}
	a.changed()
	all, err := a.attachments(ctx, in.Registry)
	if err != nil {
		return nil, err
	}
	return &one[Attached]{Attached{all, orEmpty(warnings)}}, a.audit(ctx, "vulnerability-source.attach", "registry "+in.Registry, struct {
		Source string `json:"source"`
	}{in.Source})
}

func (a *API) detach(ctx context.Context, in *RegistrySourcePath) (*struct{}, error) {
	if err := a.Sources.Detach(ctx, in.Registry, in.Source); err != nil {
		return nil, err
	}
	a.changed()
	return nil, a.audit(ctx, "vulnerability-source.detach", "registry "+in.Registry, struct {
		Source string `json:"source"`
	}{in.Source})
}
