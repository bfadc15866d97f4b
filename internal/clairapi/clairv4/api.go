// Package clairv4 serves the API of Clair 4 (indexer, matcher and notifier),
// which Quay, clairctl and clair-scanner speak, on port 6060 beside that of
// Clair 2.
//
// It follows Clair 4.9 (httptransport/ of quay/clair): paths, status codes, the
// words of its errors, and what its handlers do where its documents say
// otherwise. Where it deviates on purpose a comment says so.
package clairv4

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/inventory"
)

// Mode says which of the three services a process is, as Clair's configuration does.
type Mode string

// The modes.
const (
	Combo    Mode = "combo"
	Indexer  Mode = "indexer"
	Matcher  Mode = "matcher"
	Notifier Mode = "notifier"
)

// Indexing has manifests fetched and analysed; see indexing.Service.
type Indexing interface {
	IndexManifest(ctx context.Context, r indexing.ManifestRequest) (clairapi.Manifest, error)
}

// Store is what the API reads and deletes.
type Store interface {
	// ClairManifest returns clairapi.ErrNotFound for one that is unknown.
	ClairManifest(ctx context.Context, hash string) (clairapi.Manifest, error)
	DeleteClairManifests(ctx context.Context, hashes []string) ([]string, error)
	IndexedPackages(ctx context.Context, inventory int64) ([]clairapi.IndexedPackage, error)
	InventoryThreats(ctx context.Context, inventory int64) ([]clairapi.Threat, error)

	// PackagesByKey returns the packages that answer to one of the keys, by id.
	PackagesByKey(ctx context.Context, keys []advisory.Key) (map[int64]inventory.Package, error)
	// ManifestsWith returns, by package, the manifests that have it.
	ManifestsWith(ctx context.Context, packages []int64) (map[int64][]string, error)

	// Updates lists the readings of feeds that changed something, the latest
	// first, at most so many of each document.
	Updates(ctx context.Context, perPart int) ([]clairapi.Update, error)
	// UpdateChanges returns what changed from one reading of a document to
	// another, each by its ref; prev is "" for all that is remembered.
	// clairapi.ErrNotFound where a ref is unknown.
	UpdateChanges(ctx context.Context, prev, cur string) ([]clairapi.Change, error)
	DeleteUpdate(ctx context.Context, ref string) error

	// Notices returns a page of a notification's notices, after the one with
	// that id where it is not "".
	Notices(ctx context.Context, notification, after string, limit int) ([]clairapi.Notice, error)
	DeleteNotification(ctx context.Context, notification string) error
}

// Options are the choices that New leaves to its caller. The zero value is usable.
type Options struct {
	// Mode is Combo where empty.
	Mode Mode
	// State names the detectors; see builtin.Analyser.State.
	State func() string
	// Concurrency bounds the requests for index reports that are under way at a
	// time (indexer.index_report_request_concurrency); 0 is no bound.
	Concurrency int
	// CacheAge is how long clients may keep a report (matcher.cache_age).
	CacheAge time.Duration
	// Timeout bounds a request; 15 min where zero, for indexing waits.
	Timeout time.Duration
	// Client names who asks, for the bound on downloads; the address where nil.
	Client func(*http.Request) string
	// Logger; slog.Default() where nil.
	Logger *slog.Logger
	// Metrics takes this API's metrics; a registry of its own where nil.
	Metrics prometheus.Registerer
}

// API is the HTTP handler of the v4 roots.
type API struct {
	indexing Indexing
	store    Store
	opts     Options
	mux      *http.ServeMux
	document document
	slots    chan struct{} // nil without a bound
	reports  *flights
	duration *prometheus.HistogramVec
}

// The roots of the API.
const (
	indexerRoot  = "/indexer/api/v1/"
	matcherRoot  = "/matcher/api/v1/"
	notifierRoot = "/notifier/api/v1/"
	openAPIPath  = "/openapi/v1"
	robotsPath   = "/robots.txt"
)

// Paths are the patterns under which the handler is to be mounted.
func Paths() []string {
	return []string{"/indexer/", "/matcher/", "/notifier/", openAPIPath, robotsPath}
}

// New returns the handler.
func New(service Indexing, store Store, opts Options) (*API, error) {
	if opts.Mode == "" {
		opts.Mode = Combo
	}
	if opts.Timeout == 0 {
		opts.Timeout = 15 * time.Minute
	}
	if opts.Client == nil {
		opts.Client = func(r *http.Request) string { return r.RemoteAddr }
	}
	if opts.Logger == nil {
		opts.Logger = slog.Default()
	}
	if opts.Metrics == nil {
		opts.Metrics = prometheus.NewRegistry()
	}
	// What makes a report is the processor, so more at a time would only take memory.
	reports := newFlights(runtime.GOMAXPROCS(0)+1, opts.Timeout)
	a := &API{indexing: service, store: store, opts: opts, mux: http.NewServeMux(), reports: reports, duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name:    "clair_http_request_duration_seconds",
		Help:    "How long requests of Clair's v4 API took.",
		Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
	}, []string{"route", "code"})}
	if err := opts.Metrics.Register(a.duration); err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if opts.Concurrency > 0 {
		a.slots = make(chan struct{}, opts.Concurrency)
	}
	var err error
	if a.document, err = newDocument(); err != nil {
		return nil, err
	}
	serves := func(m Mode) bool { return opts.Mode == m || opts.Mode == Combo }
	if serves(Indexer) {
		a.route(indexerRoot+"index_report", methods{http.MethodPost: a.bounded(a.postIndexReport), http.MethodDelete: a.bounded(a.deleteIndexReports)})
		a.route(indexerRoot+"index_report/{digest}", methods{http.MethodGet: a.getIndexReport, http.MethodDelete: a.deleteIndexReport})
		a.route(indexerRoot+"index_state", methods{http.MethodGet: a.getIndexState})
		a.route(indexerRoot+"internal/affected_manifest/{$}", methods{http.MethodPost: a.postAffectedManifests})
		a.mux.HandleFunc(indexerRoot+"internal/affected_manifest", addSlash)
	}
	if serves(Matcher) {
		a.route(matcherRoot+"vulnerability_report/{digest}", methods{http.MethodGet: a.getVulnerabilityReport})
		a.route(matcherRoot+"internal/update_operation", methods{http.MethodGet: a.getUpdateOperations})
		a.route(matcherRoot+"internal/update_operation/{ref}", methods{http.MethodDelete: a.deleteUpdateOperation})
		a.route(matcherRoot+"internal/update_diff", methods{http.MethodGet: a.getUpdateDiff})
	}
	if serves(Notifier) {
		a.route(notifierRoot+"notification/{id}", methods{http.MethodGet: a.getNotification, http.MethodDelete: a.deleteNotification})
	}
	a.route(openAPIPath, methods{http.MethodGet: a.getOpenAPI, http.MethodHead: a.getOpenAPI})
	a.mux.HandleFunc("GET "+robotsPath, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("User-agent: *\nDisallow: /\n"))
	})
	return a, nil
}

// ServeHTTP answers every request.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.mux.ServeHTTP(w, r) }

// addSlash is what Clair's router does with the path of affected manifests.
func addSlash(w http.ResponseWriter, r *http.Request) {
	status := http.StatusMovedPermanently
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		status = http.StatusTemporaryRedirect
	}
	http.Redirect(w, r, path.Clean(r.URL.Path)+"/", status)
}

// answer is a successful response; a nil body is an empty one, and text is a
// body that is written as it is, in the Content-Encoding of the header if there is one.
type answer struct {
	status int
	header http.Header
	body   any
	text   []byte
}

type handler func(*http.Request) (answer, error)

type methods map[string]handler

// bounded refuses what is beyond the bound on requests for index reports.
func (a *API) bounded(h handler) handler {
	if a.slots == nil {
		return h
	}
	return func(r *http.Request) (answer, error) {
		select {
		case a.slots <- struct{}{}:
			defer func() { <-a.slots }()
			return h(r)
		default:
			return answer{}, failed(http.StatusTooManyRequests, "server handling too many requests")
		}
	}
}

// route serves a path in bounded time, whatever its handlers do.
func (a *API) route(path string, by methods) {
	a.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		// A writer that knows no deadlines has no connection that could block.
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(start.Add(min(time.Minute, a.opts.Timeout)))
		_ = control.SetWriteDeadline(start.Add(a.opts.Timeout + time.Minute))
		defer control.SetWriteDeadline(time.Time{}) //nolint:errcheck // as above
		ctx, cancel := context.WithTimeout(r.Context(), a.opts.Timeout)
		defer cancel()
		var result answer
		var err error
		if h := by[r.Method]; h != nil {
			result, err = recovered(func() (answer, error) { return h(r.WithContext(ctx)) })
		} else {
			allowed := make([]string, 0, len(by))
			for m := range by {
				allowed = append(allowed, m)
			}
			slices.Sort(allowed)
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			err = failed(http.StatusMethodNotAllowed, "method disallowed: %s", r.Method)
		}
		if err != nil {
			result = a.failure(r, err)
		}
		if err := write(w, r, result); err != nil {
			a.opts.Logger.DebugContext(r.Context(), "response could not be written", "path", r.URL.Path, "error", err)
		}
		a.duration.WithLabelValues(path, strconv.Itoa(result.status)).Observe(time.Since(start).Seconds())
	})
}

// panicked is a panic of a handler.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return "panic in a handler" }

// recovered calls f, and makes an error of a panic.
func recovered(f func() (answer, error)) (result answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p, debug.Stack()}
		}
	}()
	return f()
}

// failure words an error, and logs it: this is where errors end.
func (a *API) failure(r *http.Request, err error) answer {
	status, message := explain(err)
	attributes := []any{"method", r.Method, "path", r.URL.Path, "status", status, "error", err}
	var p *panicked
	if errors.As(err, &p) {
		attributes = append(attributes, "panic", p.value, "stack", string(p.stack))
	}
	level := slog.LevelInfo
	switch {
	case status == http.StatusInternalServerError:
		level = slog.LevelError
	case status == http.StatusNotFound || r.Context().Err() != nil:
		level = slog.LevelDebug
	}
	a.opts.Logger.Log(r.Context(), level, "clair v4 request failed", attributes...)
	header := http.Header{"X-Content-Type-Options": {"nosniff"}, "Content-Type": {"application/json"}}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "10")
	}
	return answer{status: status, header: header, body: errorBody{errorCode(status), message}}
}

// worst orders severities, the worst first.
func worst(a, b advisory.Severity) int { return int(b) - int(a) }
