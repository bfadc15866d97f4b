package source_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/image"
	"github.com/pratique/pratique/internal/inventory"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/secret"
	"github.com/pratique/pratique/internal/source"
	"github.com/pratique/pratique/internal/source/adapter"
	"github.com/pratique/pratique/internal/source/clairv1"
	"github.com/pratique/pratique/internal/source/clairv4"
	"github.com/pratique/pratique/internal/source/sourcetest"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// header is the API authorization header of each test's source.
const header = "Bearer the-api-key"

// harbour is a store with one image of two layers in main/app, a place from which
// these can be fetched with pull tokens, and a worker.
type harbour struct {
	*source.Service
	*source.Worker
	store   *store.Store
	clock   *clock
	image   string
	pauses  []time.Duration
	changed int

	// backoff is the pause after a try, a minute where nil.
	backoff func(try int) time.Duration
	replica string

	mu    sync.Mutex
	woken []time.Time
	base  string
}

func digestOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func newHarbour(t *testing.T) *harbour {
	return harbourOf(t, storetest.MigratedSQLiteURL(t), &clock{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)})
}

func harbourOf(t *testing.T, location string, c *clock) *harbour {
	t.Helper()
	s, err := store.Open(t.Context(), location, store.Options{Now: c.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	h := &harbour{store: s, clock: c}
	blobs := map[string]string{}
	add := func(content string) string {
		blobs[digestOf(content)] = content
		return digestOf(content)
	}
	base, top, config := add("base"), add("top"), add("config")
	manifest := fmt.Sprintf(`{"config":{"digest":%q},"layers":[{"digest":%q},{"digest":%q}]}`, config, base, top)
	h.image = add(manifest)
	h.base = serveBlobs(t, blobs)
	h.fill(t, base, top, config, manifest)
	box, err := secret.New(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	h.Service = source.New(s, []source.Extension{clairv1.Extension(), clairv4.Extension(), adapter.Extension()}, box, source.Options{
		BaseURL: func(context.Context) string { return h.base }, Changed: func() { h.changed++ },
		Pause: func(ctx context.Context, d time.Duration) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.pauses = append(h.pauses, d)
			return ctx.Err()
		},
	})
	h.Worker = h.worker(time.Minute)
	return h
}

func (h *harbour) worker(lease time.Duration) *source.Worker {
	return source.NewWorker(h.store, h.Service, source.WorkerOptions{
		Now: h.clock.Now, Lease: lease, Log: slog.New(slog.DiscardHandler), Replica: h.replica,
		Backoff: func(try int) time.Duration {
			if h.backoff != nil {
				return h.backoff(try)
			}
			return time.Minute
		},
		Token: func(name, repository string, digests []string, _ time.Duration) (string, error) {
			return "eyJ." + repository + "." + strings.Join(digests, "."), nil
		},
		Wake: func(_ context.Context, _ string, at time.Time) error {
			h.mu.Lock()
			defer h.mu.Unlock()
			h.woken = append(h.woken, at)
			return nil
		},
	})
}

// serveBlobs serves blobs and manifests to whoever has a token for them.
func serveBlobs(t *testing.T, blobs map[string]string) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		digest := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if user, password, ok := r.BasicAuth(); ok && user == "pull-token" {
			token = password
		}
		if !strings.HasPrefix(r.URL.Path, "/v2/main/app/") || !strings.HasPrefix(token, "eyJ.main/app.") || !strings.Contains(token, digest) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = w.Write([]byte(blobs[digest]))
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// fill stores the image, unless it is there.
func (h *harbour) fill(t *testing.T, base, top, config, manifest string) {
	t.Helper()
	ctx := t.Context()
	if _, err := h.store.ImageByDigest(ctx, h.image); err == nil {
		return
	}
	if _, err := h.store.CreateRegistry(ctx, registry.Registry{Name: "main"}); err != nil {
		t.Fatal(err)
	}
	repository, err := h.store.EnsureRepository(ctx, "main", "app")
	if err != nil {
		t.Fatal(err)
	}
	for _, digest := range []string{base, top, config} {
		if err := h.store.LinkBlob(ctx, repository.ID, digest, 4); err != nil {
			t.Fatal(err)
		}
	}
	const kind = "application/vnd.oci.image.manifest.v1+json"
	if err := h.store.PutManifest(ctx, repository.ID, &registry.Manifest{Digest: h.image, MediaType: kind, Content: []byte(manifest)}, nil); err != nil {
		t.Fatal(err)
	}
	if err := h.store.SaveImage(ctx, image.Image{Digest: h.image, MediaType: kind, ConfigDigest: config, Layers: []image.Layer{
		{Digest: base, Size: 4}, {Digest: top, Size: 4}, {Digest: digestOf("elsewhere"), Foreign: true}}}); err != nil {
		t.Fatal(err)
	}
	id, err := h.store.SaveInventory(ctx, "k", inventory.Image{Packages: []inventory.Installed{{
		Package: inventory.Package{Type: "apk", Distribution: "alpine:v3.20", Name: "musl", Version: "1.2.5-r0", Architecture: "x86_64"},
		Path:    "lib/apk/db/installed", Detector: "apk"}}}, match.Package)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.store.SettleImage(ctx, h.image, image.Done, "", id); err != nil {
		t.Fatal(err)
	}
}

// attach makes the source "scanner" and attaches it to main.
func (h *harbour) attach(t *testing.T, extension, url string) source.Source {
	t.Helper()
	if _, err := h.SetExtension(t.Context(), extension, true); err != nil {
		t.Fatal(err)
	}
	o, err := h.Create(t.Context(), source.Draft{Name: "scanner", Extension: extension, URL: url + "/", Authorization: header, Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if warnings, err := h.Attach(t.Context(), "main", "scanner"); err != nil || len(warnings) > 0 {
		t.Fatalf("attach: %v, %v", warnings, err)
	}
	return o
}

// work has the worker do what is due.
func (h *harbour) work(t *testing.T) {
	t.Helper()
	if _, err := h.Work(t.Context(), "scanner"); err != nil {
		t.Fatal(err)
	}
}

func (h *harbour) scan(t *testing.T) source.Scan {
	t.Helper()
	scans, err := h.store.ScansOf(t.Context(), h.image)
	if err != nil || len(scans) != 1 {
		t.Fatalf("scans %+v, %v", scans, err)
	}
	return scans[0]
}

// again has the image asked about once more.
func (h *harbour) again(t *testing.T) {
	t.Helper()
	if _, err := h.Ask(t.Context(), h.image); err != nil {
		t.Fatal(err)
	}
	h.work(t)
}

func (h *harbour) found(t *testing.T) (lines []string) {
	t.Helper()
	found, err := h.store.ImageFindings(t.Context(), h.image)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range found {
		lines = append(lines, fmt.Sprintf("%s %s %s %s fixed %s layer %d in %s by %v", f.Vulnerability, f.Severity, f.Package.Name, f.Package.Version, f.Fixed, f.LayerIndex, f.Evidence.Path, f.Sources))
	}
	return lines
}

// standIns are the three kinds of sources, each with the same finding.
func standIns() map[string]func(t *testing.T) *sourcetest.Service {
	return map[string]func(t *testing.T) *sourcetest.Service{
		"clair-v1": func(t *testing.T) *sourcetest.Service {
			c := sourcetest.NewClairV1(t, sourcetest.Feature{Name: "musl", NamespaceName: "alpine:v3.20", Version: "1.2.5-r0", Vulnerabilities: []sourcetest.Vulnerability{
				{Name: "CVE-2025-26519", Description: "iconv", Link: "https://example.com", Severity: "Defcon1", FixedBy: "1.2.5-r1"}}})
			c.Authorization = header
			return &c.Service
		},
		"clair-v4": func(t *testing.T) *sourcetest.Service {
			c := sourcetest.NewClairV4(t, sourcetest.Package{Name: "musl", Version: "1.2.5-r0", Arch: "x86_64", Vulnerabilities: []sourcetest.Issue{
				{Name: "CVE-2025-26519", Description: "iconv", Links: "https://example.com https://example.org", Severity: "Critical", Fixed: "1.2.5-r1", Score: 9.1}}})
			c.Authorization = header
			return &c.Service
		},
		"scanner-adapter": func(t *testing.T) *sourcetest.Service {
			a := sourcetest.NewAdapter(t, sourcetest.Item{ID: "CVE-2025-26519", Package: "musl", Version: "1.2.5-r0", FixVersion: "1.2.5-r1", Severity: "Critical",
				Description: "iconv", Links: []string{"https://example.com"}}, sourcetest.Item{ID: "CVE-1", Package: "x", Status: "not_affected"})
			a.Authorization = header
			return &a.Service
		},
	}
}

const finding = "CVE-2025-26519 critical musl 1.2.5-r0 fixed 1.2.5-r1 layer 0 in lib/apk/db/installed by [scanner]"
