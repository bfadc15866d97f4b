package oci

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/google/uuid"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
)

func blobURL(name, digest string) string { return "/v2/" + name + "/blobs/" + digest }

// getBlob serves a blob, whole or a range, through sendfile where it is a file.
func (h *Handler) getBlob(w http.ResponseWriter, r *http.Request, t target, _ auth.Principal) error {
	if _, _, err := blob.ParseDigest(t.reference); err != nil {
		return err
	}
	repository, err := h.find(r.Context(), t)
	if err != nil {
		return err
	}
	size, err := h.known(r, repository.ID, t.reference)
	if errors.Is(err, registry.ErrBlobUnknown) && h.opts.Upstream != nil {
		if served, err := h.passBlob(w, r, t); served || err != nil {
			return err
		}
		size, err = h.known(r, repository.ID, t.reference)
	}
	if err != nil {
		return err
	}
	content, stored, err := h.blobs.Open(r.Context(), t.reference)
	if err != nil {
		return err
	}
	defer content.Close()
	if stored != size {
		h.opts.Logger.ErrorContext(r.Context(), "stored blob has another size than was pushed", "blob", t.reference, "size", stored, "pushed", size)
	}
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Docker-Content-Digest", t.reference)
	header.Set("ETag", `"`+t.reference+`"`)
	http.ServeContent(w, r, "", time.Time{}, content)
	return nil
}

// known returns the size of a blob of a repository. Who asks with HEAD may push a
// manifest that refers to it instead of the blob, so that it must stay for a while.
func (h *Handler) known(r *http.Request, repositoryID int64, digest string) (int64, error) {
	if r.Method == http.MethodHead {
		return h.store.PromiseBlob(r.Context(), repositoryID, digest, h.opts.GarbageGrace/2)
	}
	return h.store.RepositoryBlob(r.Context(), repositoryID, digest)
}

func (h *Handler) deleteBlob(w http.ResponseWriter, r *http.Request, t target, _ auth.Principal) error {
	if _, _, err := blob.ParseDigest(t.reference); err != nil {
		return err
	}
	repository, err := h.find(r.Context(), t)
	if err != nil {
		return err
	}
	if err := h.store.UnlinkBlob(r.Context(), repository.ID, t.reference); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

// startUpload mounts a blob, takes one whole, or opens an upload
// (distribution-spec, "Pushing Blobs" and "Mounting a blob from another repository").
func (h *Handler) startUpload(w http.ResponseWriter, r *http.Request, t target, p auth.Principal) error {
	ctx, query := r.Context(), r.URL.Query()
	repository, err := h.store.EnsureRepository(ctx, t.registry, t.repository)
	if err != nil {
		return err
	}
	if mount := query.Get("mount"); mount != "" {
		if _, _, err := blob.ParseDigest(mount); err != nil {
			return err
		}
		mounted, err := h.mount(ctx, p, repository, mount, query.Get("from"))
		if err != nil {
			return err
		}
		if mounted {
			created(w, t.name, mount)
			return nil
		}
	}
	algorithm := blob.SHA256
	if name := query.Get("digest-algorithm"); name != "" {
		if algorithm, err = blob.ParseAlgorithm(name); err != nil {
			return err
		}
	}
	digest := query.Get("digest")
	if digest != "" {
		if algorithm, _, err = blob.ParseDigest(digest); err != nil {
			return err
		}
	}
	if err := h.store.Room(ctx, repository.ID, max(r.ContentLength, 0)); err != nil {
		return err
	}
	id, err := h.blobs.Start(ctx, algorithm)
	if err != nil {
		return err
	}
	if err := h.store.CreateUpload(ctx, id, repository.ID); err != nil {
		return errors.Join(err, h.blobs.Abort(context.WithoutCancel(ctx), id))
	}
	if digest == "" {
		uploading(w, t.name, id, 0, http.StatusAccepted)
		return nil
	}
	if _, err := h.blobs.Append(ctx, id, 0, body(w, r)); err != nil {
		return errors.Join(err, h.drop(r, id))
	}
	if err := h.commit(w, r, t, registry.Upload{ID: id, RepositoryID: repository.ID}, digest); err != nil {
		return errors.Join(err, h.drop(r, id))
	}
	return nil
}

// mount links a blob that the client may read elsewhere. It reports false where
// there is no such blob, or none that the client may know of.
func (h *Handler) mount(ctx context.Context, p auth.Principal, into registry.Repository, digest, from string) (bool, error) {
	var sources []registry.Repository
	if from != "" {
		if registry.CheckName(from) != nil {
			return false, nil
		}
		registryName, name, _ := registry.SplitName(from)
		source, err := h.store.Repository(ctx, registryName, name)
		if errors.Is(err, registry.ErrRepositoryUnknown) || errors.Is(err, registry.ErrRegistryUnknown) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		sources = []registry.Repository{source}
	} else {
		const some = 20
		var err error
		if sources, err = h.store.BlobRepositories(ctx, digest, some); err != nil {
			return false, err
		}
	}
	for _, source := range sources {
		if may, err := h.auth.May(ctx, p, repositoryAccess(source.String(), "pull")); err != nil {
			return false, err
		} else if !may {
			continue
		}
		if _, err := h.store.MountBlob(ctx, source.ID, into.ID, digest); err == nil {
			return true, nil
		} else if !errors.Is(err, registry.ErrBlobUnknown) {
			return false, err
		}
	}
	return false, nil
}

// upload returns an upload of the target's own repository.
func (h *Handler) upload(r *http.Request, t target) (registry.Upload, error) {
	repository, err := h.find(r.Context(), t)
	if err != nil {
		return registry.Upload{}, err
	}
	if uuid.Validate(t.reference) != nil {
		return registry.Upload{}, registry.ErrUploadUnknown
	}
	u, err := h.store.Upload(r.Context(), t.reference)
	if err != nil {
		return registry.Upload{}, err
	}
	if u.RepositoryID != repository.ID {
		return registry.Upload{}, registry.ErrUploadUnknown
	}
	return u, nil
}

func (h *Handler) getUpload(w http.ResponseWriter, r *http.Request, t target, _ auth.Principal) error {
	u, err := h.upload(r, t)
	if err != nil {
		return err
	}
	size, err := h.blobs.Size(r.Context(), u.ID)
	if err != nil {
		return err
	}
	uploading(w, t.name, u.ID, size, http.StatusNoContent)
	return nil
}

func (h *Handler) patchUpload(w http.ResponseWriter, r *http.Request, t target, _ auth.Principal) error {
	u, err := h.upload(r, t)
	if err != nil {
		return err
	}
	size, err := h.append(w, r, t, u)
	if err != nil {
		return err
	}
	uploading(w, t.name, u.ID, size, http.StatusAccepted)
	return nil
}

func (h *Handler) finishUpload(w http.ResponseWriter, r *http.Request, t target, _ auth.Principal) error {
	u, err := h.upload(r, t)
	if err != nil {
		return err
	}
	digest := r.URL.Query().Get("digest")
	if _, _, err := blob.ParseDigest(digest); err != nil {
		return err
	}
	if r.ContentLength != 0 {
		if _, err := h.append(w, r, t, u); err != nil {
			return err
		}
	}
	err = h.commit(w, r, t, u, digest)
	var other *blob.DigestError
	var full *registry.QuotaError
	if errors.As(err, &other) || errors.As(err, &full) {
		// More bytes cannot make these right: a client that tries again starts anew.
		return errors.Join(err, h.drop(r, u.ID))
	}
	return err
}

func (h *Handler) cancelUpload(w http.ResponseWriter, r *http.Request, t target, _ auth.Principal) error {
	u, err := h.upload(r, t)
	if err != nil {
		return err
	}
	if err := h.drop(r, u.ID); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// append adds the request's body where its Content-Range says, else at the
// end. Where that is not where the upload ends, the headers of the answer say
// where it does.
func (h *Handler) append(w http.ResponseWriter, r *http.Request, t target, u registry.Upload) (int64, error) {
	offset := int64(-1)
	if text := r.Header.Get("Content-Range"); text != "" {
		start, end, ok := parseRange(text)
		if !ok || r.ContentLength >= 0 && end-start+1 != r.ContentLength {
			return 0, fault(http.StatusRequestedRangeNotSatisfiable, codeUploadInvalid, "the Content-Range is not START-END of the body")
		}
		offset = start
	}
	if r.ContentLength > 0 {
		if err := h.store.Room(r.Context(), u.RepositoryID, r.ContentLength); err != nil {
			return 0, err
		}
	}
	size, err := h.blobs.Append(r.Context(), u.ID, offset, body(w, r))
	var elsewhere *blob.OffsetError
	if errors.As(err, &elsewhere) {
		describe(w.Header(), t.name, u.ID, elsewhere.Have)
	}
	return size, err
}

// commit makes a blob of an upload.
func (h *Handler) commit(w http.ResponseWriter, r *http.Request, t target, u registry.Upload, digest string) error {
	ctx := r.Context()
	// From here until it is linked, nobody may take the blob for garbage.
	release, err := h.blobs.Hold(ctx, digest)
	if err != nil {
		return err
	}
	defer release()
	size, err := h.blobs.Commit(ctx, u.ID, digest)
	if err != nil {
		return err
	}
	// The upload is over: a client that has gone could not end it again.
	if err := h.store.FinishUpload(context.WithoutCancel(ctx), u, digest, size); err != nil {
		return err
	}
	if err := h.observer.BlobCommitted(ctx, digest); err != nil {
		h.opts.Logger.ErrorContext(ctx, "blob was stored, but not looked at", "blob", digest, "error", err)
	}
	created(w, t.name, digest)
	return nil
}

// drop ends an upload without a blob, even where its client has gone.
func (h *Handler) drop(r *http.Request, id string) error {
	ctx := context.WithoutCancel(r.Context())
	if err := h.blobs.Abort(ctx, id); err != nil && !errors.Is(err, blob.ErrUploadUnknown) {
		return err
	}
	if err := h.store.DeleteUpload(ctx, id); err != nil && !errors.Is(err, registry.ErrUploadUnknown) {
		return err
	}
	return nil
}

func created(w http.ResponseWriter, name, digest string) {
	w.Header().Set("Location", blobURL(name, digest))
	w.Header().Set("Docker-Content-Digest", digest)
	w.WriteHeader(http.StatusCreated)
}

func uploading(w http.ResponseWriter, name, id string, size int64, status int) {
	describe(w.Header(), name, id, size)
	w.WriteHeader(status)
}

// describe says where an upload goes on. An empty one has the range 0-0, as
// clients of Docker's registry expect.
func describe(header http.Header, name, id string, size int64) {
	header.Set("Location", "/v2/"+name+"/blobs/uploads/"+id)
	header.Set("Docker-Upload-UUID", id)
	header.Set("Range", "0-"+strconv.FormatInt(max(size-1, 0), 10))
}
