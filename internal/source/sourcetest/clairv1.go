package sourcetest

import (
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// ClairV1 answers as Clair 2.1.8 does.
type ClairV1 struct {
	Service
	// Features are what is found in each image, introduced by its last layer.
	Features []Feature

	mu     sync.Mutex
	layers map[string]string // name -> parent
}

// Feature is a package with its vulnerabilities, in Clair's JSON.
type Feature struct {
	Name, NamespaceName, VersionFormat, Version string
	AddedBy                                     string          `json:",omitempty"`
	Vulnerabilities                             []Vulnerability `json:",omitempty"`
}

// Vulnerability is one in Clair's JSON.
type Vulnerability struct {
	Name, NamespaceName, Description, Link, Severity string
	FixedBy                                          string `json:",omitempty"`
	Metadata                                         any    `json:",omitempty"`
}

// NewClairV1 starts one.
func NewClairV1(t testing.TB, features ...Feature) *ClairV1 {
	c := &ClairV1{Features: features, layers: make(map[string]string)}
	c.forget = func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		clear(c.layers)
	}
	c.start(t, func(mux *http.ServeMux) {
		mux.HandleFunc("GET /v1/namespaces", func(w http.ResponseWriter, _ *http.Request) {
			answer(w, http.StatusOK, map[string]any{"Namespaces": []map[string]string{{"Name": "debian:10", "VersionFormat": "dpkg"}}})
		})
		mux.HandleFunc("POST /v1/layers", c.post)
		mux.HandleFunc("GET /v1/layers/{name}", c.get)
	})
	return c
}

func refuse(w http.ResponseWriter, status int, message string) {
	answer(w, status, map[string]any{"Error": map[string]string{"Message": message}})
}

func (c *ClairV1) post(w http.ResponseWriter, r *http.Request) {
	var e struct {
		Layer *struct {
			Name, Path, ParentName, Format string
			Headers                        map[string]string
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&e); err != nil || e.Layer == nil {
		refuse(w, http.StatusBadRequest, "failed to provide layer")
		return
	}
	l := e.Layer
	c.mu.Lock()
	_, known := c.layers[l.Name]
	_, parent := c.layers[l.ParentName]
	c.mu.Unlock()
	if !known {
		if l.ParentName != "" && !parent {
			refuse(w, http.StatusBadRequest, "worker: parent layer is unknown, it must be processed first")
			return
		}
		header := http.Header{}
		for name, value := range l.Headers {
			header.Set(name, value)
		}
		if err := c.fetch(l.Path, l.Path[strings.LastIndex(l.Path, "/")+1:], header); err != nil {
			refuse(w, http.StatusBadRequest, "could not find layer")
			return
		}
		c.mu.Lock()
		c.layers[l.Name] = l.ParentName
		c.mu.Unlock()
	}
	answer(w, http.StatusCreated, map[string]any{"Layer": map[string]any{"Name": l.Name, "Path": l.Path, "Headers": l.Headers,
		"ParentName": l.ParentName, "Format": l.Format, "IndexedByVersion": 3}})
}

func (c *ClairV1) get(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	c.mu.Lock()
	parent, known := c.layers[name]
	c.mu.Unlock()
	if !known {
		refuse(w, http.StatusNotFound, "the resource cannot be found")
		return
	}
	layer := map[string]any{"Name": name, "ParentName": parent, "IndexedByVersion": 3}
	if q := r.URL.Query(); q.Has("features") || q.Has("vulnerabilities") {
		var features []Feature
		for _, f := range c.Features {
			if f.AddedBy == "" {
				f.AddedBy = name
			}
			features = append(features, f)
		}
		layer["Features"] = features
	}
	answer(w, http.StatusOK, map[string]any{"Layer": layer})
}
