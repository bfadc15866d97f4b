// Package clairv1 serves the API of Clair 2.x, which ProGet, klar, reg,
// clair-scanner, Harbor's Clair adapter and Quay before 2021 speak: layers by
// name, their features and vulnerabilities, on port 6060.
//
// It follows Clair 2.1.8 (Documentation/api_v1.md and api/ of quay/clair),
// messages and status codes included, because clients compare them. Where it
// deviates on purpose a comment says so.
package clairv1

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/pratique/pratique/internal/clairapi"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
)

// Indexing has layers fetched and analysed; see indexing.Service.
type Indexing interface {
	Index(ctx context.Context, r indexing.Request) error
}

// Store is what the API reads and deletes. Names that are unknown give
// clairapi.ErrNotFound.
type Store interface {
	// ClairChain returns the layers that lead to name, base first, name last.
	ClairChain(ctx context.Context, name string) ([]clairapi.Layer, error)
	// DeleteClairLayer deletes a layer and all that were built on it.
	DeleteClairLayer(ctx context.Context, name string) error
	// InventoryPackages returns the packages of an inventory.
	InventoryPackages(ctx context.Context, id int64) ([]inventory.Installed, error)
	// InventoryFindings returns what affects these packages now.
	InventoryFindings(ctx context.Context, id int64) ([]match.Finding, error)
	// InventoryScores returns what gives scores of the vulnerabilities of these
	// packages, by name.
	InventoryScores(ctx context.Context, id int64) (map[string][]match.Stated, error)
	// Namespaces lists the distributions that some feed speaks of, in order.
	Namespaces(ctx context.Context) ([]string, error)
	// NamespaceVulnerabilities lists vulnerabilities of a distribution by name,
	// after the given one, without their statements.
	NamespaceVulnerabilities(ctx context.Context, namespace, after string, limit int) ([]match.Vulnerability, error)
	// NamespaceVulnerability returns one with what is stated on affected packages.
	NamespaceVulnerability(ctx context.Context, namespace, name string) (match.Vulnerability, error)

	// Written returns a vulnerability as a client wrote it, WrittenAfter those of
	// a namespace after a name.
	Written(ctx context.Context, namespace, name string) (clairapi.Written, error)
	WrittenAfter(ctx context.Context, namespace, after string, limit int) (map[string]clairapi.Written, error)
	WriteVulnerability(ctx context.Context, namespace, name string, w clairapi.Written, decide match.Decide) error
	DeleteWritten(ctx context.Context, namespace, name string, decide match.Decide) error

	V1Notification(ctx context.Context, name string) (clairapi.V1Notification, error)
	MarkV1Notification(ctx context.Context, name string) error
	// LayersIntroducing lists layers that bring one of the packages, by name.
	LayersIntroducing(ctx context.Context, packages []int64, offset, limit int) ([]string, error)
}

// Options are the choices that New leaves to its caller. The zero value is usable.
type Options struct {
	// Timeout is how long a request may take before it is answered with 503;
	// 90 s where zero: .NET, and so ProGet, gives up after 100 s and then
	// abandons its whole run.
	Timeout time.Duration
	// DeriveCVSS2 gives a vulnerability that has no CVSS v2 score one of its later
	// score: ProGet knows no other.
	DeriveCVSS2 bool
	// Client names who asks, for the bound on downloads; the address where nil.
	Client func(*http.Request) string
	// Logger; slog.Default() where nil.
	Logger *slog.Logger
	// Metrics takes this API's metrics and is what /v1/metrics shows; a registry
	// of its own where nil.
	Metrics *prometheus.Registry
}

// API is the HTTP handler. The server around it needs no read or write time-out
// of its own, but one for request headers.
type API struct {
	indexing Indexing
	store    Store
	opts     Options
	mux      *http.ServeMux
	duration *prometheus.HistogramVec
}

// New returns the handler of every path below /v1/.
func New(service Indexing, store Store, opts Options) *API {
	if opts.Timeout == 0 {
		opts.Timeout = 90 * time.Second
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
	a := &API{
		indexing: service, store: store, opts: opts, mux: http.NewServeMux(),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "clair_api_response_duration_milliseconds", // as Clair calls it
			Help:    "The duration of time it takes to receive and write a response to an API request",
			Buckets: prometheus.ExponentialBuckets(9.375, 2, 14),
		}, []string{"route", "code"}),
	}
	opts.Metrics.MustRegister(a.duration)

	a.route("POST /v1/layers", a.postLayer)
	a.route("GET /v1/layers/{layer}", a.getLayer)
	a.route("DELETE /v1/layers/{layer}", a.deleteLayer)
	a.route("GET /v1/namespaces", a.getNamespaces)
	a.route("GET /v1/namespaces/{namespace}/vulnerabilities", a.getVulnerabilities)
	a.route("GET /v1/namespaces/{namespace}/vulnerabilities/{vulnerability}", a.getVulnerability)
	a.route("GET /v1/namespaces/{namespace}/vulnerabilities/{vulnerability}/fixes", a.getFixes)
	a.route("POST /v1/namespaces/{namespace}/vulnerabilities", a.postVulnerability)
	a.route("PUT /v1/namespaces/{namespace}/vulnerabilities/{vulnerability}", a.putVulnerability)
	a.route("DELETE /v1/namespaces/{namespace}/vulnerabilities/{vulnerability}", a.deleteVulnerability)
	a.route("PUT /v1/namespaces/{namespace}/vulnerabilities/{vulnerability}/fixes/{fix}", a.putFix)
	a.route("DELETE /v1/namespaces/{namespace}/vulnerabilities/{vulnerability}/fixes/{fix}", a.deleteFix)
	a.route("GET /v1/notifications/{notification}", a.getNotification)
	a.route("DELETE /v1/notifications/{notification}", a.deleteNotification)
	a.mux.Handle("GET /v1/metrics", promhttp.HandlerFor(opts.Metrics, promhttp.HandlerOpts{}))
	return a
}

// ServeHTTP answers every request; what is no route is answered in plain text,
// as Clair does.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "clair")
	if _, pattern := a.mux.Handler(r); pattern == "" && strings.HasSuffix(r.URL.Path, "/") {
		if target, ok := a.withoutSlash(r); ok {
			status := http.StatusMovedPermanently
			if r.Method != http.MethodGet {
				status = http.StatusTemporaryRedirect
			}
			http.Redirect(w, r, target, status)
			return
		}
	}
	a.mux.ServeHTTP(w, r)
}

// withoutSlash is where a request with a trailing slash should have gone.
func (a *API) withoutSlash(r *http.Request) (string, bool) {
	trimmed := r.Clone(r.Context())
	trimmed.URL.Path = strings.TrimSuffix(r.URL.Path, "/")
	trimmed.URL.RawPath = strings.TrimSuffix(r.URL.RawPath, "/")
	if _, pattern := a.mux.Handler(trimmed); pattern == "" {
		return "", false
	}
	return trimmed.URL.RequestURI(), true
}

// answer is a successful response; a nil body is an empty one.
type answer struct {
	status int
	body   any
}

// route serves a pattern with h, in bounded time, whatever h does. The body is
// read before h is called.
func (a *API) route(pattern string, h func(*http.Request) (answer, error)) {
	_, path, _ := strings.Cut(pattern, " ")
	a.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		// A writer that knows no deadlines has no connection that could block.
		control := http.NewResponseController(w)
		_ = control.SetReadDeadline(start.Add(min(30*time.Second, a.opts.Timeout)))
		_ = control.SetWriteDeadline(start.Add(a.opts.Timeout + 30*time.Second))
		defer control.SetWriteDeadline(time.Time{}) //nolint:errcheck // as above
		ctx, cancel := context.WithTimeout(r.Context(), a.opts.Timeout)
		defer cancel()
		content, err := readBody(r.Body)
		// It would end the wait for a long indexing, too.
		_ = control.SetReadDeadline(time.Time{})
		var result answer
		if err == nil {
			r.Body = io.NopCloser(bytes.NewReader(content))
			result, err = a.inTime(ctx, h, r)
		}
		if err != nil {
			result = a.failure(r, err)
		}
		if result.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "10")
		}
		if err := write(w, r, result); err != nil {
			a.opts.Logger.DebugContext(r.Context(), "response could not be written", "path", r.URL.Path, "error", err)
		}
		_ = control.Flush()
		a.duration.WithLabelValues(path, strconv.Itoa(result.status)).Observe(float64(time.Since(start)) / float64(time.Millisecond))
	})
}

// panicked is a panic of a handler.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return "panic in a handler" }

// inTime calls h, and does not wait for it longer than a second after ctx has
// ended: a disk that hangs knows no contexts, and a client that gets no answer
// abandons its whole run. What comes later is lost; h still ends by itself.
func (a *API) inTime(ctx context.Context, h func(*http.Request) (answer, error), r *http.Request) (answer, error) {
	type outcome struct {
		result answer
		err    error
	}
	done := make(chan outcome, 1)
	go func() {
		result, err := a.call(h, r.WithContext(ctx))
		done <- outcome{result, err}
	}()
	select {
	case o := <-done:
		return o.result, o.err
	case <-ctx.Done():
	}
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	select {
	case o := <-done:
		return o.result, o.err
	case <-grace.C:
		return answer{}, ctx.Err()
	}
}

func (a *API) call(h func(*http.Request) (answer, error), r *http.Request) (result answer, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicked{p, debug.Stack()}
		}
	}()
	return h(r)
}

// failure words an error, and logs it: this is where errors end.
func (a *API) failure(r *http.Request, err error) answer {
	status, e := explain(err)
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
	a.opts.Logger.Log(r.Context(), level, "clair v1 request failed", attributes...)
	return answer{status, errorEnvelope{e}}
}
