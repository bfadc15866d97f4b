package oci

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
)

// maxPage bounds a page of tags, repositories or referrers (CVE-2023-2253).
const maxPage = 1000

// page reads n and last of a list (distribution-spec, "Listing Tags").
func page(r *http.Request) (n int, last string, err error) {
	query := r.URL.Query()
	n = maxPage
	if text := query.Get("n"); text != "" {
		if n, err = strconv.Atoi(text); err != nil || n < 0 {
			return 0, "", fault(http.StatusBadRequest, codePage, "n is not a whole number")
		}
		n = min(n, maxPage)
	}
	last = query.Get("last")
	if !isText(last) {
		return 0, "", fault(http.StatusBadRequest, codePage, "last is no name")
	}
	return n, last, nil
}

// isText reports whether a column of text can hold s.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// next links to the following page.
func next(w http.ResponseWriter, r *http.Request, last string, n int) {
	query := r.URL.Query()
	query.Set("last", last)
	query.Set("n", strconv.Itoa(n))
	w.Header().Set("Link", "<"+(&url.URL{Path: r.URL.Path, RawQuery: query.Encode()}).String()+`>; rel="next"`)
}

func answer(w http.ResponseWriter, contentType string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", contentType)
	_, err = w.Write(text)
	return gone(err)
}

func (h *Handler) listTags(w http.ResponseWriter, r *http.Request, t target, _ auth.Principal) error {
	n, last, err := page(r)
	if err != nil {
		return err
	}
	repository, err := h.find(r.Context(), t)
	if err != nil {
		return err
	}
	names := []string{}
	if n > 0 {
		tags, err := h.store.Tags(r.Context(), repository.ID, last, n+1)
		if err != nil {
			return err
		}
		for _, tag := range tags[:min(n, len(tags))] {
			names = append(names, tag.Name)
		}
		if len(tags) > n {
			next(w, r, names[n-1], n)
		}
	}
	return answer(w, "application/json", struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	}{t.name, names})
}

func (h *Handler) catalog(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return fault(http.StatusMethodNotAllowed, codeUnsupported, "the resource does not allow "+r.Method)
	}
	p, err := h.auth.Authorize(r, auth.Access{Type: "registry", Name: "catalog", Actions: []string{"*"}})
	if err != nil {
		return err
	}
	n, last, err := page(r)
	if err != nil {
		return err
	}
	names := []string{}
	if n > 0 {
		repositories, err := h.readable(r.Context(), p, last, n+1)
		if err != nil {
			return err
		}
		for _, repository := range repositories[:min(n, len(repositories))] {
			names = append(names, repository.String())
		}
		if len(repositories) > n {
			next(w, r, names[n-1], n)
		}
	}
	return answer(w, "application/json", struct {
		Repositories []string `json:"repositories"`
	}{names})
}

// readable lists the repositories of the registries that a principal may read.
func (h *Handler) readable(ctx context.Context, p auth.Principal, last string, limit int) ([]registry.Repository, error) {
	may := p.Readable()
	if may.All {
		return h.store.Catalog(ctx, last, limit)
	}
	var list []registry.Repository
	from, _, _ := strings.Cut(last, "/")
	for _, name := range may.Names {
		if name < from || len(list) == limit {
			continue
		}
		after := name + "/"
		if name == from {
			after = last
		}
		found, err := h.store.Catalog(ctx, after, limit-len(list))
		if err != nil {
			return nil, err
		}
		for _, repository := range found {
			if repository.Registry == name {
				list = append(list, repository)
			}
		}
	}
	return list, nil
}

// listReferrers lists manifests about a subject, which need not exist
// (distribution-spec, "Listing Referrers").
func (h *Handler) listReferrers(w http.ResponseWriter, r *http.Request, t target, _ auth.Principal) error {
	if _, _, err := blob.ParseDigest(t.reference); err != nil {
		return err
	}
	n, last, err := page(r)
	if err != nil {
		return err
	}
	type descriptor struct {
		MediaType    string            `json:"mediaType"`
		Digest       string            `json:"digest"`
		Size         int64             `json:"size"`
		ArtifactType string            `json:"artifactType,omitempty"`
		Annotations  map[string]string `json:"annotations,omitempty"`
	}
	list := []descriptor{}
	artifactType := r.URL.Query().Get("artifactType")
	if artifactType != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	repository, err := h.find(r.Context(), t)
	switch {
	case errors.Is(err, registry.ErrRepositoryUnknown):
		if _, err := h.store.Registry(r.Context(), t.registry); err != nil {
			return err
		}
	case err != nil:
		return err
	case n > 0 && isText(artifactType):
		found, more, err := h.store.Referrers(r.Context(), repository.ID, t.reference, artifactType, last, n, registry.MaxManifest)
		if err != nil {
			return err
		}
		for _, f := range found {
			list = append(list, descriptor{f.MediaType, f.Digest, f.Size, f.ArtifactType, f.Annotations})
		}
		if more {
			next(w, r, list[len(list)-1].Digest, n)
		}
	}
	return answer(w, registry.MediaTypeIndex, struct {
		SchemaVersion int          `json:"schemaVersion"`
		MediaType     string       `json:"mediaType"`
		Manifests     []descriptor `json:"manifests"`
	}{2, registry.MediaTypeIndex, list})
}
