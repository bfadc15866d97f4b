package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
)

// Trash keeps what was deleted for a while.
type Trash interface {
	// Trash lists the newest first, from the one before an id on where that is not 0.
	Trash(ctx context.Context, registryName, repository string, before int64, limit int) ([]registry.Trashed, error)
	Restore(ctx context.Context, registryName string, id int64) (registry.Restored, error)
	// EmptyTrash deletes one thing for good; for 0 all.
	EmptyTrash(ctx context.Context, registryName string, id int64, by string) (int, error)
	// TrashDays is nil where the registry does not say that; then the default counts.
	TrashDays(ctx context.Context, registryName string) (*int, error)
	SetTrashDays(ctx context.Context, registryName string, days *int) error
	DefaultTrashDays(ctx context.Context) int
}

// Trashed is a manifest with its tags, or tags alone, in the trash.
type Trashed struct {
	ID         int64      `json:"id"`
	Repository string     `json:"repository"`
	Kind       string     `json:"kind" enum:"image,attachment,tag" doc:"A tag was deleted while what it named was not; an attachment is about another image, as a signature is."`
	Digest     string     `json:"digest"`
	Tags       []string   `json:"tags" nullable:"false"`
	MediaType  string     `json:"media_type" doc:"Empty of a tag."`
	SizeBytes  int64      `json:"size_bytes" doc:"Of the manifest and its blobs. Others may share them."`
	PushedBy   string     `json:"pushed_by"`
	PushedAt   *time.Time `json:"pushed_at"`
	DeletedAt  time.Time  `json:"deleted_at"`
	DeletedBy  string     `json:"deleted_by"`
	Reason     string     `json:"reason"`
	ExpiresAt  time.Time  `json:"expires_at" doc:"When it is deleted for good."`
}

// Restored is what came back from the trash.
type Restored struct {
	Repository string   `json:"repository"`
	Digests    []string `json:"digests" nullable:"false" doc:"What came back, with what it refers to and what refers to it."`
	Tags       []string `json:"tags" nullable:"false"`
	TakenTags  []string `json:"taken_tags" nullable:"false" doc:"Tags that stay where they are: somebody has pushed them since."`
}

// Emptied is how much was deleted for good.
type Emptied struct {
	Deleted int `json:"deleted"`
}

// TrashSettings say for how long a registry keeps what is deleted.
type TrashSettings struct {
	Days        *int `json:"days" doc:"Null: as Registry.TrashDays of the advanced settings says. 0: not at all."`
	DefaultDays int  `json:"default_days" doc:"What the advanced settings say."`
}

type trashPath struct {
	RegistryPath
	ID int64 `path:"id" minimum:"1"`
}

func (a *API) trash() {
	const tag = "trash"
	register(a, operation{id: "delete-repository", method: http.MethodDelete, path: "/registries/{registry}/repositories/{repository}", tag: "registries", status: http.StatusNoContent,
		summary: "Delete a repository", doc: "With all tags and images. They go to the trash, and assessments that hold in the repository end when they leave it; without trash at once."}, a.deleteRepository)
	register(a, operation{id: "list-trash", method: http.MethodGet, path: "/registries/{registry}/trash", tag: tag,
		summary: "List a registry's trash", doc: "The newest first."}, a.listTrash)
	register(a, operation{id: "restore-trash", method: http.MethodPost, path: "/registries/{registry}/trash/{id}/restore", tag: tag,
		summary: "Restore from the trash", doc: "With what it refers to and what refers to it, as far as that is in the trash, too. What is known of images, and what people said of it, is as before."}, a.restoreTrash)
	register(a, operation{id: "delete-trash", method: http.MethodDelete, path: "/registries/{registry}/trash/{id}", tag: tag,
		summary: "Delete something in the trash for good"}, a.deleteTrash)
	register(a, operation{id: "get-trash-settings", method: http.MethodGet, path: "/registries/{registry}/trash-settings", tag: tag,
		summary: "Say for how long a registry keeps what is deleted"}, a.trashSettings)
	register(a, operation{id: "change-trash-settings", method: http.MethodPut, path: "/registries/{registry}/trash-settings", tag: tag,
		summary: "Change for how long a registry keeps what is deleted", doc: "It counts for what is deleted from now on."}, a.changeTrashSettings)
	register(a, operation{id: "empty-trash", method: http.MethodDelete, path: "/registries/{registry}/trash", tag: tag,
		summary: "Empty a registry's trash"}, a.emptyTrash)
}

func (a *API) deleteRepository(ctx context.Context, in *struct {
	RegistryPath
	Repository string `path:"repository" doc:"The name without the registry's." example:"team/app"`
}) (*struct{}, error) {
	by := principal(ctx).Name
	if err := a.Registries.DeleteRepository(ctx, in.Registry, in.Repository, registry.Deletion{By: by, Reason: "its repository was deleted"}); err != nil {
		return nil, err
	}
	a.changed()
	return nil, a.audit(ctx, "repository.delete", "repository "+in.Registry+"/"+in.Repository, struct{}{})
}

func (a *API) listTrash(ctx context.Context, in *struct {
	RegistryPath
	Repository string `query:"repository" maxLength:"256" doc:"What was in one repository."`
	Paging
}) (*listed[Trashed], error) {
	list := "trash " + in.Registry + " " + in.Repository
	before, err := after[int64](in.Paging, list)
	if err != nil {
		return nil, err
	}
	found, err := a.Trash.Trash(ctx, in.Registry, in.Repository, orZero(before), in.PageSize+1)
	if err != nil {
		return nil, err
	}
	return page(in.Paging, list, found, func(t registry.Trashed) int64 { return t.ID }, showTrashed), nil
}

func showTrashed(t registry.Trashed) Trashed {
	kind := "image"
	switch {
	case !t.Whole:
		kind = "tag"
	case t.Subject != "":
		kind = "attachment"
	}
	return Trashed{ID: t.ID, Repository: t.Repository, Kind: kind, Digest: t.Digest, Tags: orEmpty(t.Tags), MediaType: t.MediaType, SizeBytes: t.Size, PushedBy: t.PushedBy, PushedAt: orNil(t.PushedAt),
		DeletedAt: t.DeletedAt.UTC(), DeletedBy: t.DeletedBy, Reason: t.Reason, ExpiresAt: t.ExpiresAt.UTC()}
}

func (a *API) restoreTrash(ctx context.Context, in *trashPath) (*one[Restored], error) {
	back, err := a.Trash.Restore(ctx, in.Registry, in.ID)
	if err != nil {
		return nil, err
	}
	a.changed()
	shown := Restored{Repository: back.Repository.Name, Digests: make([]string, 0, len(back.Manifests)), Tags: orEmpty(back.Tags), TakenTags: orEmpty(back.Taken)}
	for _, m := range back.Manifests {
		shown.Digests = append(shown.Digests, m.Digest)
	}
	return &one[Restored]{shown}, a.audit(ctx, "trash.restore", "repository "+back.Repository.String(), shown)
}

func (a *API) deleteTrash(ctx context.Context, in *trashPath) (*one[Emptied], error) {
	return a.emptied(ctx, in.Registry, in.ID)
}

func (a *API) emptyTrash(ctx context.Context, in *RegistryPath) (*one[Emptied], error) {
	return a.emptied(ctx, in.Registry, 0)
}

func (a *API) emptied(ctx context.Context, name string, id int64) (*one[Emptied], error) {
	n, err := a.Trash.EmptyTrash(ctx, name, id, principal(ctx).Name)
	if err != nil {
		return nil, err
	}
	object := "registry " + name
	if id != 0 {
		object += fmt.Sprintf(" trash %d", id)
	}
	return &one[Emptied]{Emptied{n}}, a.audit(ctx, "trash.empty", object, Emptied{n})
}

func (a *API) trashSettings(ctx context.Context, in *RegistryPath) (*one[TrashSettings], error) {
	days, err := a.Trash.TrashDays(ctx, in.Registry)
	if err != nil {
		return nil, err
	}
	return &one[TrashSettings]{TrashSettings{days, a.Trash.DefaultTrashDays(ctx)}}, nil
}

func (a *API) changeTrashSettings(ctx context.Context, in *struct {
	RegistryPath
	Body struct {
		Days *int `json:"days" minimum:"0" maximum:"3650"`
	}
}) (*one[TrashSettings], error) {
	if err := a.Trash.SetTrashDays(ctx, in.Registry, in.Body.Days); err != nil {
		return nil, err
	}
	return &one[TrashSettings]{TrashSettings{in.Body.Days, a.Trash.DefaultTrashDays(ctx)}}, a.audit(ctx, "trash.change", "registry "+in.Registry, in.Body)
}
