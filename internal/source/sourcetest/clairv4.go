package sourcetest

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// ClairV4 answers as Clair 4.9 does; its reports are given.
type ClairV4 struct {
	Service
	// Packages and Vulnerabilities are in every image, the first layer's.
	Packages []Package
	// Slow is how many questions for an index report find it unfinished.
	Slow int
	// NotReady has the matcher say that its first update is not done.
	NotReady bool

	mu      sync.Mutex
	state   string
	indexed map[string]*indexed
}

type indexed struct {
	layer string
	asked int
	err   string
}

// Package is a package with what it is vulnerable to.
type Package struct {
	Name, Version, Arch string
	Vulnerabilities     []Issue
}

// Issue is a vulnerability.
type Issue struct {
	Name, Description, Links, Severity, Fixed string
	Score                                     float64
}

// NewClairV4 starts one.
func NewClairV4(t testing.TB, packages ...Package) *ClairV4 {
	c := &ClairV4{Packages: packages, state: "5ca1ab1e", indexed: make(map[string]*indexed)}
	c.forget = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		clear(c.indexed)
	}
	c.start(t, func(mux *http.ServeMux) {
		mux.HandleFunc("GET /indexer/api/v1/index_state", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"`+c.State()+`"`)
			if r.Header.Get("If-None-Match") == `"`+c.State()+`"` {
				w.WriteHeader(http.StatusNotModified)
				return
			}
			answer(w, http.StatusOK, map[string]string{"state": c.State()})
		})
		mux.HandleFunc("POST /indexer/api/v1/index_report", c.index)
		mux.HandleFunc("GET /indexer/api/v1/index_report/{digest}", c.report)
		mux.HandleFunc("GET /matcher/api/v1/vulnerability_report/{digest}", c.vulnerabilities)
	})
	return c
}

// State is the indexer's.
func (c *ClairV4) State() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state
}

// SetState has the indexer be a newer one.
func (c *ClairV4) SetState(state string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state = state
}

func refuseV4(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]string{"code": code, "message": message})
}

func (c *ClairV4) index(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Hash   string
		Layers []struct {
			Hash, URI string
			Headers   map[string][]string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&m); err != nil || m.Hash == "" || len(m.Layers) == 0 {
		refuseV4(w, http.StatusBadRequest, "bad-request", "bogus manifest")
		return
	}
	i := &indexed{layer: m.Layers[0].Hash}
	for _, l := range m.Layers {
		if err := c.fetch(l.URI, l.Hash, http.Header(l.Headers)); err != nil {
			i.err = "failed to fetch layers: " + err.Error()
		}
	}
	c.mu.Lock()
	c.indexed[m.Hash] = i
	c.mu.Unlock()
	c.answerIndex(w, http.StatusCreated, m.Hash, i)
}

func (c *ClairV4) answerIndex(w http.ResponseWriter, status int, digest string, i *indexed) {
	state := "IndexFinished"
	c.mu.Lock()
	switch {
	case i.err != "":
		state = "IndexError"
	case i.asked < c.Slow:
		state = "ScanLayers"
	}
	i.asked++
	c.mu.Unlock()
	w.Header().Set("Etag", `"`+c.State()+`"`)
	answer(w, status, map[string]any{"manifest_hash": digest, "state": state, "success": i.err == "", "err": i.err,
		"packages": map[string]any{}, "distributions": map[string]any{}, "repository": map[string]any{}, "environments": map[string]any{}})
}

func (c *ClairV4) find(r *http.Request) *indexed {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.indexed[r.PathValue("digest")]
}

func (c *ClairV4) report(w http.ResponseWriter, r *http.Request) {
	i := c.find(r)
	if i == nil {
		refuseV4(w, http.StatusNotFound, "not-found", "index report not found")
		return
	}
	c.answerIndex(w, http.StatusOK, r.PathValue("digest"), i)
}

func (c *ClairV4) vulnerabilities(w http.ResponseWriter, r *http.Request) {
	if c.NotReady {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	i := c.find(r)
	if i == nil {
		refuseV4(w, http.StatusNotFound, "not-found", "index report not found")
		return
	}
	packages, environments, issues, byPackage, scores := map[string]any{}, map[string]any{}, map[string]any{}, map[string][]string{}, map[string]any{}
	for n, p := range c.Packages {
		id := string(rune('a' + n))
		packages[id] = map[string]string{"id": id, "name": p.Name, "version": p.Version, "kind": "binary", "arch": p.Arch, "cpe": ""}
		environments[id] = []map[string]any{{"package_db": "lib/apk/db", "introduced_in": i.layer, "distribution_id": "1", "repository_ids": nil}}
		for k, v := range p.Vulnerabilities {
			vid := id + strings.Repeat("x", k+1)
			issues[vid] = map[string]any{"id": vid, "updater": "test", "name": v.Name, "description": v.Description, "links": v.Links,
				"issued": "0001-01-01T00:00:00Z", "severity": v.Severity, "normalized_severity": v.Severity, "package": nil, "fixed_in_version": v.Fixed}
			byPackage[id] = append(byPackage[id], vid)
			if v.Score > 0 {
				scores[vid] = []map[string]any{{"version": "3.1", "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:H", "baseScore": v.Score}}
			}
		}
	}
	answer(w, http.StatusOK, map[string]any{"manifest_hash": r.PathValue("digest"), "packages": packages, "environments": environments,
		"distributions": map[string]any{"1": map[string]string{"id": "1", "did": "alpine", "version": "3.20", "version_id": ""}}, "repository": map[string]any{},
		"vulnerabilities": issues, "package_vulnerabilities": byPackage, "enrichments": map[string]any{
			"message/vnd.clair.map.vulnerability; enricher=clair.cvss schema=x": []any{scores}}})
}
