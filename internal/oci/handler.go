// Package oci serves the registry protocol: OCI distribution specification 1.1
// under /v2/, with Docker's schema 2 manifests.
//
// It knows the protocol only. Who may do what, what blocks a pull and what
// happens with what was pushed are asked of others.
package oci

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/upstream"
	"github.com/pratique/pratique/internal/usage"
)

// Store remembers repositories and manifests. Its errors are those of package registry.
type Store interface {
	Registry(ctx context.Context, name string) (registry.Registry, error)
	Repository(ctx context.Context, registryName, name string) (registry.Repository, error)
	EnsureRepository(ctx context.Context, registryName, name string) (registry.Repository, error)
	Catalog(ctx context.Context, after string, limit int) ([]registry.Repository, error)

	Manifest(ctx context.Context, repositoryID int64, digest string) (*registry.Manifest, error)
	TaggedManifest(ctx context.Context, repositoryID int64, tag string) (*registry.Manifest, error)
	PutManifest(ctx context.Context, repositoryID int64, m *registry.Manifest, tags []string) error
	DeleteManifest(ctx context.Context, repositoryID int64, digest string, d registry.Deletion) (tags []string, err error)
	DeleteTag(ctx context.Context, repositoryID int64, tag string, d registry.Deletion) error
	Tags(ctx context.Context, repositoryID int64, after string, limit int) ([]registry.Tag, error)
	Referrers(ctx context.Context, repositoryID int64, subject, artifactType, after string, limit, limitBytes int) (found []registry.Referrer, more bool, err error)

	RepositoryBlob(ctx context.Context, repositoryID int64, digest string) (size int64, err error)
	// PromiseBlob is RepositoryBlob for a client that may rely on the answer for
	// as long as given, which is half of what garbage is kept for.
	PromiseBlob(ctx context.Context, repositoryID int64, digest string, keep time.Duration) (size int64, err error)
	BlobRepositories(ctx context.Context, digest string, limit int) ([]registry.Repository, error)
	MountBlob(ctx context.Context, from, to int64, digest string) (size int64, err error)
	UnlinkBlob(ctx context.Context, repositoryID int64, digest string) error
	// Room returns *registry.QuotaError where so many bytes more do not fit.
	Room(ctx context.Context, repositoryID, size int64) error
	CreateUpload(ctx context.Context, id string, repositoryID int64) error
	Upload(ctx context.Context, id string) (registry.Upload, error)
	FinishUpload(ctx context.Context, u registry.Upload, digest string, size int64) error
	DeleteUpload(ctx context.Context, id string) error
}

// Authorizer says who makes a request and whether they may have what it wants;
// a refusal is an *auth.Denied.
type Authorizer interface {
	Authorize(r *http.Request, wants ...auth.Access) (auth.Principal, error)
	// May reports whether a principal may have access, whatever a token of
	// theirs says: a mount needs the right to pull from a repository that the
	// client did not name, or asked no token for.
	May(ctx context.Context, p auth.Principal, want auth.Access) (bool, error)
}

// Gate says whether a manifest may be pulled; a refusal is a *policy.BlockedError.
type Gate interface {
	Check(ctx context.Context, pull policy.Pull) (policy.Verdict, error)
}

// Observer is told what was stored and deleted. Its errors do not fail the request.
type Observer interface {
	BlobCommitted(ctx context.Context, digest string) error
	ManifestStored(ctx context.Context, digest, mediaType string, content []byte) error
	ManifestDeleted(ctx context.Context, digest, mediaType string, content []byte) error
}

// Upstream has what a registry does not hold, see package upstream.
type Upstream interface {
	Refresh(ctx context.Context, via, registryName, repository, reference string) (changed bool, err error)
	Complete(ctx context.Context, via, registryName, repository string, m *registry.Manifest) (bool, error)
	Blob(ctx context.Context, via, registryName, repository, digest string) (*upstream.Blob, error)
	Pulled(ctx context.Context, registryName, repository, digest string)
}

// Usage counts pulls, see package usage. It does not wait for the database.
type Usage interface {
	Named(client uint64, p usage.Pull)
	Pulled(client uint64, p usage.Pull)
}

// Options are the choices of a Handler. The zero value is usable.
type Options struct {
	// BaseURL is where people look at images, for the text of a refusal; nil or
	// "" where that is not known.
	BaseURL func(context.Context) string
	// Upstream is asked for what is not here; nil where there is none.
	Upstream Upstream
	// Usage counts pulls; nil where they do not count.
	Usage Usage
	// Changed is called when manifests came or went.
	Changed func()
	Logger  *slog.Logger
	// Now is the clock; time.Now where nil.
	Now func() time.Time
	// GarbageGrace is for how long blobs are kept that nothing refers to; 24 h
	// where zero.
	GarbageGrace time.Duration
}

// Handler serves /v2/.
type Handler struct {
	store    Store
	blobs    blob.Store
	auth     Authorizer
	gate     Gate
	observer Observer
	opts     Options

	// served remembers manifests for a moment; epoch moves at each change here.
	served memory
	epoch  atomic.Uint64
	seed   maphash.Seed
}

// New returns the handler.
func New(store Store, blobs blob.Store, authorizer Authorizer, gate Gate, observer Observer, opts Options) *Handler {
	if opts.BaseURL == nil {
		opts.BaseURL = func(context.Context) string { return "" }
	}
	if opts.Changed == nil {
		opts.Changed = func() {}
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.GarbageGrace == 0 {
		opts.GarbageGrace = 24 * time.Hour
	}
	return &Handler{store: store, blobs: blobs, auth: authorizer, gate: gate, observer: observer, opts: opts, seed: maphash.MakeSeed()}
}

// target is what a path names.
type target struct {
	name       string // REGISTRY/REPOSITORY
	registry   string
	repository string
	kind       string // manifests, blobs, uploads, tags, referrers
	reference  string
}

// parse reads the path after /v2/. Repository names may hold words such as
// "blobs", so the path is read from its end.
func parse(path string) (t target, ok bool) {
	cut := func(marker string) (name, rest string, found bool) {
		i := strings.LastIndex(path, marker)
		if i < 0 {
			return "", "", false
		}
		return path[:i], path[i+len(marker):], true
	}
	if name, rest, found := cut("/blobs/uploads/"); found && !strings.Contains(rest, "/") {
		t = target{name: name, kind: "uploads", reference: rest}
	} else if name, found := strings.CutSuffix(path, "/blobs/uploads"); found {
		t = target{name: name, kind: "uploads"}
	} else if name, found := strings.CutSuffix(path, "/tags/list"); found {
		t = target{name: name, kind: "tags"}
	} else {
		for _, kind := range []string{"manifests", "blobs", "referrers"} {
			if name, rest, found := cut("/" + kind + "/"); found && rest != "" && !strings.Contains(rest, "/") {
				t = target{name: name, kind: kind, reference: rest}
				break
			}
		}
	}
	if t.kind == "" {
		return target{}, false
	}
	t.registry, t.repository, _ = registry.SplitName(t.name)
	return t, true
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if err := h.serve(w, r); err != nil {
		h.refuse(w, r, err)
	}
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request) error {
	path := strings.TrimPrefix(r.URL.Path, "/v2")
	switch path {
	case "", "/":
		return h.ping(w, r)
	case "/_catalog":
		return h.catalog(w, r)
	}
	t, ok := parse(strings.TrimPrefix(path, "/"))
	if !ok {
		return fault(http.StatusNotFound, codeUnsupported, "there is no such resource")
	}
	if err := registry.CheckName(t.name); err != nil {
		return fault(http.StatusBadRequest, codeNameInvalid, err.Error())
	}
	if t.repository == "" {
		return fault(http.StatusNotFound, codeNameUnknown, "image names are REGISTRY/REPOSITORY, such as main/"+t.name)
	}
	routes := h.routes()[t.kind]
	serve, ok := routes[r.Method]
	if !ok || t.kind == "uploads" && (r.Method == http.MethodPost) != (t.reference == "") {
		allowed := make([]string, 0, len(routes))
		for method := range routes {
			allowed = append(allowed, method)
		}
		w.Header().Set("Allow", strings.Join(sorted(allowed), ", "))
		return fault(http.StatusMethodNotAllowed, codeUnsupported, "the resource does not allow "+r.Method)
	}
	actions := []string{"pull"}
	switch {
	case r.Method == http.MethodDelete && t.kind != "uploads":
		actions = []string{"delete"}
	case r.Method != http.MethodGet && r.Method != http.MethodHead || t.kind == "uploads":
		actions = []string{"pull", "push"}
	}
	want := repositoryAccess(t.name, actions...)
	if t.kind == "blobs" || t.kind == "manifests" && strings.Contains(t.reference, ":") {
		want.Digest = t.reference
	}
	p, err := h.auth.Authorize(r, want)
	if err != nil {
		return err
	}
	if err = serve(w, r, t, p); h.askedByPush(r, t, err) {
		return upstream.ErrUnknown
	}
	return err
}

type serve = func(http.ResponseWriter, *http.Request, target, auth.Principal) error

// routes are who serves what, by kind of target and method.
func (h *Handler) routes() map[string]map[string]serve {
	return map[string]map[string]serve{
		"manifests": {"GET": h.getManifest, "HEAD": h.getManifest, "PUT": h.putManifest, "DELETE": h.deleteManifest},
		"blobs":     {"GET": h.getBlob, "HEAD": h.getBlob, "DELETE": h.deleteBlob},
		"uploads":   {"POST": h.startUpload, "GET": h.getUpload, "PATCH": h.patchUpload, "PUT": h.finishUpload, "DELETE": h.cancelUpload},
		"tags":      {"GET": h.listTags, "HEAD": h.listTags},
		"referrers": {"GET": h.listReferrers, "HEAD": h.listReferrers},
	}
}

// Routes lists what is served, as "METHOD PATH" with the names of the specification
// in braces, sorted.
func Routes() []string {
	paths := map[string]string{"manifests": "/v2/{name}/manifests/{reference}", "blobs": "/v2/{name}/blobs/{digest}",
		"uploads": "/v2/{name}/blobs/uploads/{upload}", "tags": "/v2/{name}/tags/list", "referrers": "/v2/{name}/referrers/{digest}"}
	all := []string{"GET /v2/", "HEAD /v2/", "GET /v2/_catalog", "HEAD /v2/_catalog"}
	for kind, routes := range (*Handler)(nil).routes() {
		for method := range routes {
			path := paths[kind]
			if kind == "uploads" && method == http.MethodPost {
				path = "/v2/{name}/blobs/uploads/"
			}
			all = append(all, method+" "+path)
		}
	}
	return sorted(all)
}

func repositoryAccess(name string, actions ...string) auth.Access {
	return auth.Access{Type: "repository", Name: name, Actions: actions}
}

// ping answers whether this is a registry and whether the credentials are right.
func (h *Handler) ping(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return fault(http.StatusMethodNotAllowed, codeUnsupported, "the resource does not allow "+r.Method)
	}
	if _, err := h.auth.Authorize(r); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err := w.Write([]byte("{}"))
	return gone(err)
}

// find returns the repository of a target.
func (h *Handler) find(ctx context.Context, t target) (registry.Repository, error) {
	return h.store.Repository(ctx, t.registry, t.repository)
}

// Forget has what was deleted elsewhere in the program be served no longer.
func (h *Handler) Forget() { h.epoch.Add(1) }

// changed forgets what was served and tells others.
func (h *Handler) changed() {
	h.epoch.Add(1)
	h.opts.Changed()
}
