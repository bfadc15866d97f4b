// Package webui serves the web interface, a single-page application that
// `make build` compiles from the folder web and that is embedded here. It knows
// nothing of what the pages show: they ask the REST interface.
package webui

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"

	"github.com/klauspost/compress/gzip"
)

//go:embed all:dist
var embedded embed.FS

//go:embed unbuilt.html
var unbuilt []byte

// noncePlace is what index.html has in the place of the nonce by which the
// browser knows the styles that the application adds.
const noncePlace = "{{nonce}}"

// Options are the choices of a Handler. The zero value is usable.
type Options struct {
	Log *slog.Logger
	// Files are those of the built application; the embedded ones where nil.
	Files fs.FS
}

// Handler serves the application at every path that is nobody else's, since its
// pages have addresses of their own.
type Handler struct {
	log   *slog.Logger
	index []byte
	files fs.FS

	mu     sync.Mutex
	assets map[string]*asset
}

// asset is a file, ready to be sent.
type asset struct {
	content, packed []byte // packed is nil where packing does not pay
	kind, etag      string
}

// New returns a handler. Where the application was not built, it serves a page
// that says how to build it.
func New(opts Options) *Handler {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Files == nil {
		opts.Files, _ = fs.Sub(embedded, "dist/app") // fails for malformed names only
	}
	h := &Handler{log: opts.Log, files: opts.Files, assets: make(map[string]*asset)}
	var err error
	if h.index, err = fs.ReadFile(opts.Files, "index.html"); err != nil {
		h.index = unbuilt
	}
	return h
}

// elsewhere are the first segments of paths that belong to others, also where
// these do not know them: what asks there is a program, which a page would mislead.
var elsewhere = map[string]bool{
	"api": true, "v1": true, "v2": true, "v3": true, "admission": true,
	"health": true, "healthz": true, "readyz": true, "metrics": true,
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	name := strings.TrimPrefix(path.Clean("/"+r.URL.Path), "/")
	first, _, _ := strings.Cut(name, "/")
	if elsewhere[first] {
		header.Set("Cache-Control", "no-store")
		http.Error(w, "there is no such resource", http.StatusNotFound)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		http.Error(w, "pages are only read", http.StatusMethodNotAllowed)
		return
	}
	if name == "" || name == "index.html" {
		h.page(w, r)
		return
	}
	a, err := h.asset(name)
	switch {
	case err == nil:
		h.serve(w, r, name, a)
	case !errors.Is(err, fs.ErrNotExist):
		h.log.ErrorContext(r.Context(), "a file of the web interface cannot be read", "file", name, "error", err)
		http.Error(w, "a file of the web interface cannot be read", http.StatusInternalServerError)
	case first == "assets":
		// A page of another version asks; the application's page would be
		// taken for a broken script.
		header.Set("Cache-Control", "no-store")
		http.Error(w, "there is no such file in this version", http.StatusNotFound)
	default:
		h.page(w, r)
	}
}

// page sends the page that starts the application, with a nonce of its own.
func (h *Handler) page(w http.ResponseWriter, r *http.Request) {
	nonce := rand.Text()
	header := w.Header()
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Cache-Control", "no-cache")
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-"+nonce+"'; "+
		"img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	header.Set("Referrer-Policy", "same-origin")
	header.Set("X-Frame-Options", "DENY")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.write(w, r, bytes.ReplaceAll(h.index, []byte(noncePlace), []byte(nonce)))
}

// serve sends a file. Those below assets are named after their content.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request, name string, a *asset) {
	header := w.Header()
	header.Set("Cache-Control", "no-cache")
	if strings.HasPrefix(name, "assets/") {
		header.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	header.Set("Content-Type", a.kind)
	header.Set("ETag", a.etag)
	content := a.content
	if a.packed != nil {
		header.Set("Vary", "Accept-Encoding")
		if accepts(r, "gzip") {
			header.Set("Content-Encoding", "gzip")
			content = a.packed
		}
	}
	if r.Header.Get("If-None-Match") == a.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.write(w, r, content)
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request, content []byte) {
	if r.Method == http.MethodHead {
		return
	}
	if _, err := w.Write(content); err != nil {
		h.log.DebugContext(r.Context(), "the client has gone", "error", err)
	}
}

// asset returns a file, which is packed when it is first asked for.
func (h *Handler) asset(name string) (*asset, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if a, ok := h.assets[name]; ok {
		return a, nil
	}
	if !fs.ValidPath(name) {
		return nil, fs.ErrNotExist
	}
	if info, err := fs.Stat(h.files, name); err != nil {
		return nil, err
	} else if info.IsDir() {
		return nil, fs.ErrNotExist
	}
	content, err := fs.ReadFile(h.files, name)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(content)
	a := &asset{content: content, kind: kindOf(name), etag: `"` + hex.EncodeToString(sum[:12]) + `"`}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(content); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	if packed.Len() < len(content)*9/10 {
		a.packed = packed.Bytes()
	}
	h.assets[name] = a
	return a, nil
}

// kindOf is a media type, which must not depend on the machine's lists.
func kindOf(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".woff2":
		return "font/woff2"
	case ".webmanifest":
		return "application/manifest+json"
	}
	if kind := mime.TypeByExtension(path.Ext(name)); kind != "" {
		return kind
	}
	return "application/octet-stream"
}

// accepts reports whether a client takes an encoding (RFC 9110, section 12.5.3).
func accepts(r *http.Request, encoding string) bool {
	for _, part := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		weight = strings.TrimPrefix(strings.ReplaceAll(weight, " ", ""), "q=")
		if strings.EqualFold(name, encoding) && strings.Trim(weight, "0.") != "" || strings.EqualFold(name, encoding) && weight == "" {
			return true
		}
	}
	return false
}
