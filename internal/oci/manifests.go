package oci

import (
	"errors"
	"hash/maphash"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/usage"
)

// manifest returns what a tag or digest names.
func (h *Handler) manifest(r *http.Request, t target) (f found, err error) {
	epoch, now := h.epoch.Load(), h.opts.Now()
	key := t.name + "@" + t.reference
	if f, ok := h.served.get(key, epoch, now); ok {
		return f, nil
	}
	isDigest := strings.Contains(t.reference, ":")
	if isDigest {
		if _, _, err := blob.ParseDigest(t.reference); err != nil {
			return f, err
		}
	} else if !registry.IsTag(t.reference) {
		return f, registry.ErrManifestUnknown
	}
	if err := h.refresh(r, t); err != nil {
		return f, err
	}
	epoch = h.epoch.Load()
	repository, err := h.find(r.Context(), t)
	if err != nil {
		return f, err
	}
	find := h.store.TaggedManifest
	if isDigest {
		find = h.store.Manifest
	}
	f.repositoryID = repository.ID
	if f.manifest, err = find(r.Context(), repository.ID, t.reference); err != nil {
		return f, err
	}
	h.served.put(key, served{f, epoch, now.Add(servedFor)})
	return f, nil
}

// getManifest serves a manifest that may be pulled; to a vulnerability source,
// one that is blocked, too, or nobody would ever look at it again.
func (h *Handler) getManifest(w http.ResponseWriter, r *http.Request, t target, p auth.Principal) error {
	f, err := h.manifest(r, t)
	if err != nil {
		return err
	}
	m := f.manifest
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
	if r.Method != http.MethodHead {
		if _, err = w.Write(m.Content); err != nil {
			return gone(err)
		}
	}
	if p.Source == "" { // else it is this server that looks
		h.count(r, p, usage.Pull{RepositoryID: f.repositoryID, Digest: m.Digest, Tag: pull.Tag, Index: m.IsIndex()})
	}
	return nil
}

// count has a manifest that was served counted. To ask for it by HEAD is no pull.
func (h *Handler) count(r *http.Request, p auth.Principal, pull usage.Pull) {
	switch {
	case h.opts.Usage == nil:
	case r.Method == http.MethodGet:
		h.opts.Usage.Pulled(h.client(r, p), pull)
	case pull.Tag != "":
		h.opts.Usage.Named(h.client(r, p), pull)
	}
}

// client tells clients apart, as well as can be told.
func (h *Handler) client(r *http.Request, p auth.Principal) uint64 {
	type client struct{ user, host, agent string }
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return maphash.Comparable(h.seed, client{p.Name, host, r.UserAgent()})
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
