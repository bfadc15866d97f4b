package sourcetest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
)

// Adapter answers as a scanner behind Harbor's pluggable scanner API does.
type Adapter struct {
	Service
	// Items are what is found in every image.
	Items []Item
	// Bearer has it ask for a token instead of a password.
	Bearer bool
	// Slow is how many questions for a report find it unfinished.
	Slow int
	// Untyped has its capabilities be of version 1.0.
	Untyped bool

	mu    sync.Mutex
	scans map[string]*adapterScan
}

type adapterScan struct {
	repository, digest string
	asked              int
	err                string
}

// Item is a finding in Harbor's JSON.
type Item struct {
	ID          string   `json:"id"`
	Package     string   `json:"package"`
	Version     string   `json:"version"`
	FixVersion  string   `json:"fix_version"`
	Severity    string   `json:"severity"`
	Status      string   `json:"status,omitempty"`
	Description string   `json:"description"`
	Links       []string `json:"links"`
}

// NewAdapter starts one.
func NewAdapter(t testing.TB, items ...Item) *Adapter {
	a := &Adapter{Items: items, scans: make(map[string]*adapterScan)}
	a.forget = func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		clear(a.scans)
	}
	a.start(t, func(mux *http.ServeMux) {
		mux.HandleFunc("GET /api/v1/metadata", a.metadata)
		mux.HandleFunc("POST /api/v1/scan", a.scan)
		mux.HandleFunc("GET /api/v1/scan/{id}/report", a.report)
	})
	return a
}

func (a *Adapter) metadata(w http.ResponseWriter, _ *http.Request) {
	capability := map[string]any{"type": "vulnerability",
		"consumes_mime_types": []string{"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"},
		"produces_mime_types": []string{"application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0", "application/vnd.security.vulnerability.report;version=1.1"}}
	if a.Untyped {
		delete(capability, "type")
	}
	kind := "Basic"
	if a.Bearer {
		kind = "Bearer"
	}
	answer(w, http.StatusOK, map[string]any{
		"scanner":      map[string]string{"name": "Stand-in", "vendor": "Tests", "version": "1.0"},
		"capabilities": []any{capability}, "properties": map[string]string{"harbor.scanner-adapter/registry-authorization-type": kind}})
}

func (a *Adapter) refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"error": map[string]string{"message": message}})
}

// scan fetches the image at once, as the real ones do soon.
func (a *Adapter) scan(w http.ResponseWriter, r *http.Request) {
	var req struct {
		Registry struct{ URL, Authorization string }
		Artifact struct {
			Repository, Digest string
			MimeType           string `json:"mime_type"`
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
		a.refuse(w, http.StatusBadRequest, "not JSON")
		return
	}
	if req.Registry.URL == "" || req.Artifact.Digest == "" || req.Artifact.Repository == "" {
		a.refuse(w, http.StatusUnprocessableEntity, "missing registry.url, artifact.repository or artifact.digest")
		return
	}
	s := &adapterScan{repository: req.Artifact.Repository, digest: req.Artifact.Digest}
	if err := a.pull(req.Registry.URL+"/v2/"+s.repository, s.digest, req.Artifact.MimeType, req.Registry.Authorization); err != nil {
		s.err = err.Error()
	}
	a.mu.Lock()
	id := fmt.Sprintf("scan %d", len(a.scans)+1)
	a.scans[id] = s
	a.mu.Unlock()
	answer(w, http.StatusAccepted, map[string]string{"id": id})
}

func (a *Adapter) pull(repository, digest, mediaType, authorization string) error {
	header := http.Header{"Authorization": {authorization}, "Accept": {mediaType}}
	request, err := http.NewRequest(http.MethodGet, repository+"/manifests/"+digest, nil)
	if err != nil {
		return err
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var m struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("manifest: %s", response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&m); err != nil {
		return err
	}
	for _, l := range append(m.Layers, m.Config) {
		if err := a.fetch(repository+"/blobs/"+l.Digest, l.Digest, header); err != nil {
			return err
		}
	}
	return nil
}

func (a *Adapter) report(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	s := a.scans[r.PathValue("id")]
	unfinished := false
	if s != nil {
		unfinished = s.asked < a.Slow
		s.asked++
	}
	a.mu.Unlock()
	switch {
	case s == nil:
		a.refuse(w, http.StatusNotFound, "unknown scan")
	case unfinished:
		w.Header().Set("Refresh-After", "7")
		w.WriteHeader(http.StatusFound)
	case s.err != "":
		a.refuse(w, http.StatusInternalServerError, s.err)
	default:
		items := a.Items
		if items == nil {
			items = []Item{}
		}
		answer(w, http.StatusOK, map[string]any{"generated_at": "2026-01-05T03:04:05Z", "severity": "High",
			"artifact":        map[string]string{"repository": s.repository, "digest": s.digest},
			"scanner":         map[string]string{"name": "Stand-in", "vendor": "Tests", "version": "1.0"},
			"vulnerabilities": items})
	}
}
