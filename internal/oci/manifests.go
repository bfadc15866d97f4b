package oci

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
)

// manifest returns what a tag or digest names.
func (h *Handler) manifest(r *http.Request, t target) (*registry.Manifest, error) {
	epoch, now := h.epoch.Load(), h.opts.Now()
	key := t.name + "@" + t.reference
	if m, ok := h.served.get(key, epoch, now); ok {
		return m, nil
	}
	isDigest := strings.Contains(t.reference, ":")
	if isDigest {
		if _, _, err := blob.ParseDigest(t.reference); err != nil {
			return nil, err
		}
	} else if !registry.IsTag(t.reference) {
		return nil, registry.ErrManifestUnknown
	}
	if err := h.refresh(r, t); err != nil {
		return nil, err
	}
	epoch = h.epoch.Load()
	repository, err := h.find(r.Context(), t)
	if err != nil {
		return nil, err
	}
	find := h.store.TaggedManifest
	if isDigest {
		find = h.store.Manifest
	}
	m, err := find(r.Context(), repository.ID, t.reference)
	if err != nil {
		return nil, err
	}
	h.served.put(key, served{m, epoch, now.Add(servedFor)})
	return m, nil
}

// getManifest serves a manifest that may be pulled; to a vulnerability source,
// one that is blocked, too, or nobody would ever look at it again.
func (h *Handler) getManifest(w http.ResponseWriter, r *http.Request, t target, p auth.Principal) error {
	m, err := h.manifest(r, t)
	if err != nil {
		return err
	}
	pull := policy.Pull{Place: assess.Place{Registry: t.registry, Repository: t.repository, Digest: m.Digest}, User: p.Name}
	if pull.ByDigest = strings.Contains(t.reference, ":"); !pull.ByDigest {
		pull.Tag = t.reference
	}
	var verdict policy.Verdict
	if p.Source == "" {
		if verdict, err = h.check(r, t, m, pull); err != nil {
			return err
		}
	}
	if h.opts.Upstream != nil && r.Method == http.MethodGet {
		h.opts.Upstream.Pulled(r.Context(), t.registry, t.repository, m.Digest)
	}
	header := w.Header()
	warn(header, messages(verdict.Warnings))
	header.Set("Content-Type", m.MediaType)
	header.Set("Docker-Content-Digest", m.Digest)
	etag := `"` + m.Digest + `"`
	header.Set("ETag", etag)
	if match := r.Header.Get("If-None-Match"); match != "" && (match == "*" || strings.Contains(match, etag)) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	header.Set("Content-Length", strconv.Itoa(len(m.Content)))
	if r.Method == http.MethodHead {
		return nil
	}
	_, err = w.Write(m.Content)
	return gone(err)
}

// putManifest stores a manifest by tag or by digest, with more tags where
// ?tag= names them (distribution-spec, "Pushing Manifests").
func (h *Handler) putManifest(w http.ResponseWriter, r *http.Request, t target, p auth.Principal) error {
	ctx := r.Context()
	content, err := io.ReadAll(http.MaxBytesReader(w, io.NopCloser(body(w, r)), registry.MaxManifest))
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			return fault(http.StatusRequestEntityTooLarge, codeManifestInvalid, "the manifest has more than "+strconv.Itoa(registry.MaxManifest)+" bytes")
		}
		return err
	}
	algorithm, tags := blob.SHA256, r.URL.Query()["tag"]
	byDigest := strings.Contains(t.reference, ":")
	if byDigest {
		if algorithm, _, err = blob.ParseDigest(t.reference); err != nil {
			return err
		}
	} else {
		tags = append(tags, t.reference)
	}
	for _, tag := range tags {
		if !registry.IsTag(tag) {
			return fault(http.StatusBadRequest, codeManifestInvalid, "a tag has at most 128 letters, digits, and . _ - but at its start")
		}
	}
	m, err := registry.Parse(r.Header.Get("Content-Type"), content)
	if err != nil {
		return err
	}
	m.Digest, m.PushedBy = algorithm.Of(content), p.Name
	if byDigest && m.Digest != t.reference {
		return &blob.DigestError{Stated: t.reference, Actual: m.Digest}
	}
	repository, err := h.store.EnsureRepository(ctx, t.registry, t.repository)
	if err != nil {
		return err
	}
	if err := h.store.PutManifest(ctx, repository.ID, m, tags); err != nil {
		return err
	}
	h.changed()
	if err := h.observer.ManifestStored(ctx, m.Digest, m.MediaType, content); err != nil {
		h.opts.Logger.ErrorContext(ctx, "manifest was stored, but not looked at", "manifest", m.Digest, "error", err)
	}
	header := w.Header()
	header.Set("Location", "/v2/"+t.name+"/manifests/"+m.Digest)
	header.Set("Docker-Content-Digest", m.Digest)
	if m.Subject != "" {
		header.Set("OCI-Subject", m.Subject)
	}
	for _, tag := range r.URL.Query()["tag"] {
		header.Add("OCI-Tag", tag)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

// deleteManifest deletes a manifest with its tags, or a tag alone.
func (h *Handler) deleteManifest(w http.ResponseWriter, r *http.Request, t target, p auth.Principal) error {
	ctx := r.Context()
	repository, err := h.find(ctx, t)
	if err != nil {
		return err
	}
	var deleted *registry.Manifest
	why := registry.Deletion{By: p.Name, Reason: "deleted by a client"}
	if strings.Contains(t.reference, ":") {
		if _, _, err := blob.ParseDigest(t.reference); err != nil {
			return err
		}
		if deleted, err = h.store.Manifest(ctx, repository.ID, t.reference); err == nil {
			_, err = h.store.DeleteManifest(ctx, repository.ID, t.reference, why)
		}
	} else if !registry.IsTag(t.reference) {
		err = registry.ErrManifestUnknown
	} else {
		err = h.store.DeleteTag(ctx, repository.ID, t.reference, why)
	}
	if err != nil {
		return err
	}
	h.changed()
	if deleted != nil {
		if err := h.observer.ManifestDeleted(ctx, deleted.Digest, deleted.MediaType, deleted.Content); err != nil {
			h.opts.Logger.ErrorContext(ctx, "manifest was deleted, but what follows was not done", "manifest", deleted.Digest, "error", err)
		}
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
