// Package clairtest runs the Clair API with everything real below it: the
// store, the analyser, the client that downloads layers, and a registry to
// download them from.
package clairtest

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/clairapi/clairv1"
	"github.com/pratique/pratique/internal/clairapi/clairv4"
	"github.com/pratique/pratique/internal/clairapi/indexing"
	"github.com/pratique/pratique/internal/egress"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/layer"
	"github.com/pratique/pratique/internal/source/builtin"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/test/sample"
)

// Options choose what is not as usual. The zero value is a fresh store on SQLite.
type Options struct {
	// Database is where the store is, "sqlite:PATH" or "postgres://…".
	Database  string
	Store     store.Options
	Detectors []inventory.Detector
	Limits    layer.Options
	Egress    egress.Options
	Indexing  indexing.Options
	V1        clairv1.Options
	V4        clairv4.Options
}

// Server is a running Clair API.
type Server struct {
	*httptest.Server
	Store    *store.Store
	Analyser *builtin.Analyser
	Indexing *indexing.Service

	advisories []advisory.Advisory
}

// Start runs a server until the test ends.
func Start(t testing.TB, opts Options) *Server {
	t.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	if opts.Database == "" {
		opts.Database = storetest.SQLiteURL(t)
	}
	kept, err := store.Open(t.Context(), opts.Database, opts.Store)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	if opts.Indexing.Logger == nil {
		opts.Indexing.Logger = quiet
	}
	if opts.V1.Logger == nil {
		opts.V1.Logger = quiet
	}
	s := &Server{Store: kept}
	// Layers of this API are neither stored nor queued.
	s.Analyser = builtin.New(kept, nil, nil, builtin.Options{Detectors: opts.Detectors, Limits: opts.Limits, Logger: quiet})
	client := egress.New(opts.Egress)
	t.Cleanup(client.Close)
	s.Indexing = indexing.New(s.Analyser, kept, client, opts.Indexing)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Indexing.Close(ctx)
	})
	if opts.V4.Logger == nil {
		opts.V4.Logger = quiet
	}
	opts.V4.State = s.Analyser.State
	v4, err := clairv4.New(s.Indexing, kept, opts.V4)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", clairv1.New(s.Indexing, kept, opts.V1))
	for _, path := range clairv4.Paths() {
		mux.Handle(path, v4)
	}
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// Call sends a request with a JSON body, none where it is "", and returns the
// answer and its body. Header is name, value, name, value …
func (s *Server) Call(t testing.TB, method, path, body string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request) // no redirects, no retries
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return response, string(content)
}

// Layer is the request for a layer.
type Layer struct {
	Name       string
	Path       string
	Headers    map[string]string `json:",omitempty"`
	ParentName string            `json:",omitempty"`
	Format     string
}

// Post has a layer indexed, and returns the status and the body.
func (s *Server) Post(t testing.TB, l Layer) (int, string) {
	t.Helper()
	if l.Format == "" {
		l.Format = "Docker"
	}
	body, err := json.Marshal(map[string]Layer{"Layer": l})
	if err != nil {
		t.Fatal(err)
	}
	response, content := s.Call(t, http.MethodPost, "/v1/layers", string(body), "Content-Type", "application/json")
	return response.StatusCode, content
}

// Blobs is a registry as far as downloads go.
type Blobs struct {
	*httptest.Server
	mu       sync.Mutex
	handlers map[string]http.HandlerFunc
	requests map[string][]*http.Request
}

// NewBlobs runs a registry until the test ends.
func NewBlobs(t testing.TB) *Blobs {
	b := &Blobs{handlers: make(map[string]http.HandlerFunc), requests: make(map[string][]*http.Request)}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		handler := b.handlers[r.URL.Path]
		b.requests[r.URL.Path] = append(b.requests[r.URL.Path], r.Clone(context.Background()))
		b.mu.Unlock()
		if handler == nil {
			handler = http.NotFound
		}
		handler(w, r)
	}))
	t.Cleanup(func() {
		b.CloseClientConnections() // ends handlers that never answer
		b.Close()
	})
	return b
}

// Handle answers a path.
func (b *Blobs) Handle(path string, handler http.HandlerFunc) (url string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.handlers[path] = handler
	return b.URL + path
}

// Serve answers a path with content.
func (b *Blobs) Serve(path string, content []byte) (url string) {
	return b.Handle(path, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(content)
	})
}

// Add serves a layer where a registry would.
func (b *Blobs) Add(l sample.Layer) (url string) {
	return b.Serve("/v2/feed/app/blobs/"+l.Digest(), l.Content)
}

// Requests returns what was asked of a path.
func (b *Blobs) Requests(path string) []*http.Request {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*http.Request(nil), b.requests[path]...)
}

// Must returns a layer that sample made.
func Must(t testing.TB) func(l sample.Layer, err error) sample.Layer {
	return func(l sample.Layer, err error) sample.Layer {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
}
