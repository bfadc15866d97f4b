// Package adapterapi serves the API of Harbor's pluggable scanners
// (https://github.com/goharbor/pluggable-scanner-spec, 1.2): Harbor, or whoever
// speaks it, asks for an image of a registry to be scanned, and fetches the
// report or the bill of materials when it is done.
//
// Where the specification and Harbor's own caller differ, the caller decides.
package adapterapi

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/egress"
)

// Indexing has manifests fetched and analysed; see indexing.Service.
type Indexing interface {
	IndexManifest(ctx context.Context, r indexing.ManifestRequest) (clairapi.Manifest, error)
}

// Fetcher reads manifests; see egress.Client.
type Fetcher interface {
	Get(ctx context.Context, url string, header http.Header) (*egress.Response, error)
}

// Store keeps scans and what is reported.
type Store interface {
	// SaveScan keeps a scan, and forgets those from before a time.
	SaveScan(ctx context.Context, scan clairapi.Scan, before time.Time) error
	// Scan returns clairapi.ErrNotFound for one that is unknown.
	Scan(ctx context.Context, id string) (clairapi.Scan, error)
	ClairManifest(ctx context.Context, hash string) (clairapi.Manifest, error)
	IndexedPackages(ctx context.Context, inventory int64) ([]clairapi.IndexedPackage, error)
	InventoryThreats(ctx context.Context, inventory int64) ([]clairapi.Threat, error)
	// FeedsUpdated returns when a feed was last read without fault.
	FeedsUpdated(ctx context.Context) (time.Time, error)
}

// Options are the choices that New leaves to its caller. The zero value is usable.
type Options struct {
	// Version is that of this program.
	Version string
	// Workers is how many scans run at a time, 4 where zero; Queue how many more
	// may wait, 200 where zero.
	Workers, Queue int
	// Next is when feeds are read again; nil where that is not known.
	Next func() time.Time
	// Client names who asks, for the bound on downloads; the address where nil.
	Client func(*http.Request) string
	// Now is the clock; time.Now where nil.
	Now    func() time.Time
	Logger *slog.Logger
}

// How long a scan may take, and how long it is known: Harbor gives up after half
// an hour.
const (
	scanTimeout = 25 * time.Minute
	scanKept    = 24 * time.Hour
	// poll is when Harbor asks again, in seconds; it reads at most 127.
	poll = "3"
)

// API is the HTTP handler.
type API struct {
	indexing Indexing
	fetcher  Fetcher
	store    Store
	opts     Options
	mux      *http.ServeMux
	runner   *runner
}

// Paths are the patterns under which the handler is to be mounted: whoever adds
// the scanner may give the address with or without "/scanner".
func Paths() []string { return []string{"/api/v1/", "/scanner/", "/probe/"} }

// New returns the handler. Close ends the scans under way.
func New(service Indexing, fetcher Fetcher, store Store, opts Options) *API {
	if opts.Workers == 0 {
		opts.Workers = 4
	}
	if opts.Queue == 0 {
		opts.Queue = 200
	}
	if opts.Client == nil {
		opts.Client = func(r *http.Request) string { return r.RemoteAddr }
	}
	if opts.Now == nil {
		opts.Now = time.Now
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Version == "" {
		opts.Version = "devel" // Harbor wants one
	}
	a := &API{indexing: service, fetcher: fetcher, store: store, opts: opts, mux: http.NewServeMux(), runner: newRunner(opts.Workers, opts.Queue)}
	for _, base := range []string{"/api/v1", "/scanner/api/v1"} {
		a.mux.HandleFunc("GET "+base+"/metadata", a.serve(a.getMetadata))
		a.mux.HandleFunc("POST "+base+"/scan", a.serve(a.postScan))
		a.mux.HandleFunc("GET "+base+"/scan/{id}/report", a.serve(a.getReport))
	}
	for _, path := range []string{"GET /probe/healthy", "GET /probe/ready"} {
		a.mux.HandleFunc(path, func(http.ResponseWriter, *http.Request) {})
	}
	return a
}

// ServeHTTP answers every request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// Close refuses new scans, waits for those under way until ctx ends, then cancels them.
func (a *API) Close(ctx context.Context) { a.runner.close(ctx) }

// failedRequest is an error whose status and words are settled.
type failedRequest struct {
	status  int
	message string
}

func (f failedRequest) Error() string { return f.message }

// answer is a response; a nil body is an empty one.
type answer struct {
	status int
	kind   string
	header map[string]string
	body   any
}

// timeout bounds a request: Harbor waits for 5 s.
const timeout = 30 * time.Second

func (a *API) serve(h func(*http.Request) (answer, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(time.Now().Add(timeout)) // a writer that knows no deadlines has no connection that could block
		_ = control.SetWriteDeadline(time.Now().Add(2 * timeout))
		defer control.SetWriteDeadline(time.Time{}) //nolint:errcheck // as above
		ctx, cancel := context.WithTimeout(r.Context(), timeout)
		defer cancel()
		result, err := h(r.WithContext(ctx))
		if err != nil {
			result = a.failure(r, err)
		}
		for name, value := range result.header {
			w.Header().Set(name, value)
		}
		var content []byte
		if result.body != nil {
			if content, err = json.Marshal(result.body); err != nil {
				a.opts.Logger.ErrorContext(r.Context(), "answer of the scanner API cannot be written", "path", r.URL.Path, "error", err)
				result.status, content = http.StatusInternalServerError, nil
			}
		}
		if content != nil {
			w.Header().Set("Content-Type", result.kind)
		}
		w.WriteHeader(result.status)
		_, _ = w.Write(content) // the client has gone, or not
	}
}

// failure words an error, and logs it: this is where errors end.
func (a *API) failure(r *http.Request, err error) answer {
	status, message := http.StatusInternalServerError, "internal error; the server's log says more"
	var known failedRequest
	switch {
	case errors.As(err, &known):
		status, message = known.status, known.message
	case errors.Is(err, clairapi.ErrNotFound):
		status, message = http.StatusNotFound, "no such scan"
	}
	level := slog.LevelInfo
	if status == http.StatusInternalServerError && !errors.As(err, &known) {
		level = slog.LevelError
	}
	a.opts.Logger.Log(r.Context(), level, "scanner API request failed", "method", r.Method, "path", r.URL.Path, "status", status, "error", err)
	out := answer{status: status, kind: errorType, body: map[string]any{"error": map[string]string{"message": message}}}
	if status == http.StatusServiceUnavailable {
		out.header = map[string]string{"Retry-After": "10"}
	}
	return out
}

// maxBody bounds a request's body, in bytes.
const maxBody = 1 << 20

// scanRequest is what is read of a request; others of its members are ignored.
type scanRequest struct {
	Registry struct {
		URL           string `json:"url"`
		Authorization string `json:"authorization"`
	} `json:"registry"`
	Artifact     clairapi.Artifact `json:"artifact"`
	Capabilities []struct {
		Type string `json:"type"`
	} `json:"enabled_capabilities"`
}

var (
	digestPattern = regexp.MustCompile(`^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$`)
	// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
)

// postScan queues a scan.
func (a *API) postScan(r *http.Request) (answer, error) {
	content, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	var request scanRequest
	if err != nil || len(content) > maxBody || json.Unmarshal(content, &request) != nil {
		return answer{}, failedRequest{http.StatusBadRequest, "the body is no scan request, or longer than 1 MiB"}
	}
	unprocessable := func(message string) (answer, error) {
		return answer{}, failedRequest{http.StatusUnprocessableEntity, message}
	}
	base := strings.TrimSuffix(request.Registry.URL, "/")
	switch {
	case base == "":
		return unprocessable("missing registry.url")
	case !isRegistry(base):
		return unprocessable("invalid registry.url")
	case request.Artifact.Repository == "":
		return unprocessable("missing artifact.repository")
	case len(request.Artifact.Repository) > 1000 || !repositoryPattern.MatchString(request.Artifact.Repository):
		return unprocessable("invalid artifact.repository")
	case request.Artifact.Digest == "":
		return unprocessable("missing artifact.digest")
	case !digestPattern.MatchString(request.Artifact.Digest):
		return unprocessable("invalid artifact.digest")
	case isIndex(request.Artifact.MimeType):
		return unprocessable("artifact.mime_type: an index is scanned image by image")
	}
	for _, c := range request.Capabilities {
		if c.Type != "vulnerability" && c.Type != "sbom" && c.Type != "" {
			return answer{}, failedRequest{http.StatusNotImplemented, "there is no capability of the type that enabled_capabilities names"}
		}
	}
	scan := clairapi.Scan{ID: rand.Text(), Artifact: request.Artifact, State: clairapi.ScanPending, Created: a.opts.Now()}
	if err := a.store.SaveScan(r.Context(), scan, a.opts.Now().Add(-scanKept)); err != nil {
		return answer{}, err
	}
	client := a.opts.Client(r)
	if !a.runner.start(func(ctx context.Context) { a.scan(ctx, scan, base, request.Registry.Authorization, client) }) {
		scan.State, scan.Error = clairapi.ScanFailed, "too many scans are waiting"
		return answer{}, errors.Join(failedRequest{http.StatusServiceUnavailable, "too many scans are waiting"}, a.store.SaveScan(r.Context(), scan, time.Time{}))
	}
	return answer{status: http.StatusAccepted, kind: scanType, body: map[string]string{"id": scan.ID}}, nil
}
