package oci_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

const (
	manifestType = "application/vnd.oci.image.manifest.v1+json"
	indexType    = "application/vnd.oci.image.index.v1+json"
)

// rights lets "admin" do everything, and others what the list grants, as
// "USER REPOSITORY ACTION".
type rights []string

func (l rights) Authorize(r *http.Request, wants ...auth.Access) (auth.Principal, error) {
	p := auth.Principal{UserID: 1, Name: r.Header.Get("X-User")}
	if p.Name == "" {
		p.Name = "admin"
	}
	if p.Name == "admin" {
		p.Rights.Everywhere = auth.Read
	}
	for _, want := range wants {
		if may, _ := l.May(r.Context(), p, want); !may {
			return p, &auth.Denied{Status: http.StatusForbidden, Reason: "not allowed"}
		}
	}
	return p, nil
}

func (l rights) May(_ context.Context, p auth.Principal, want auth.Access) (bool, error) {
	for _, action := range want.Actions {
		if p.Name != "admin" && !slices.Contains(l, p.Name+" "+want.Name+" "+action) {
			return false, nil
		}
	}
	return true, nil
}

// open is a gate that blocks nothing.
type open struct{}

func (open) Check(context.Context, policy.Pull) (policy.Verdict, error) {
	return policy.Verdict{}, nil
}

// observer has nothing to do with what is stored.
type observer struct{}

func (observer) BlobCommitted(context.Context, string) error                   { return nil }
func (observer) ManifestStored(context.Context, string, string, []byte) error  { return nil }
func (observer) ManifestDeleted(context.Context, string, string, []byte) error { return nil }

// harbour is a served registry over a real store and a real folder.
type harbour struct {
	t      testing.TB
	store  *store.Store
	root   string
	rights rights
	server *httptest.Server
	user   string
	log    journal
	// What restart takes otherwise than by default.
	gate       oci.Gate
	authorizer oci.Authorizer
	disk       blob.Options
	usage      oci.Usage
}

// journal is the server's log since the last reset.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

func (j *journal) reset() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.text.Reset()
}

// distantFuture is after every upload's start.
var distantFuture = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

func newHarbour(t testing.TB, s *store.Store) *harbour {
	t.Helper()
	for _, name := range []string{"main", "other"} {
		if _, err := s.CreateRegistry(t.Context(), registry.Registry{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	h := &harbour{t: t, store: s, root: t.TempDir(), gate: open{}}
	h.authorizer = &h.rights
	h.restart()
	return h
}

// restart serves the same data by a new handler.
func (h *harbour) restart() {
	h.t.Helper()
	if h.server != nil {
		h.server.Close()
	}
	blobs, err := blob.NewDir(h.root, h.disk)
	if err != nil {
		h.t.Fatal(err)
	}
	h.server = httptest.NewServer(oci.New(h.store, blobs, h.authorizer, h.gate, observer{}, oci.Options{Usage: h.usage, Logger: slog.New(slog.NewTextHandler(io.MultiWriter(h.t.Output(), &h.log), nil))}))
	h.t.Cleanup(h.server.Close)
}

// answer is a response that was read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// code is the error code of an answer that is an error.
func (a answer) code() string {
	var e struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(a.body, &e) != nil || len(e.Errors) != 1 || e.Errors[0].Message == "" {
		return ""
	}
	return e.Errors[0].Code
}

// do makes a request; header holds names and values in turn.
func (h *harbour) do(method, path string, body io.Reader, header ...string) answer {
	h.t.Helper()
	if !strings.HasPrefix(path, "http") {
		path = h.server.URL + path
	}
	req, err := http.NewRequestWithContext(h.t.Context(), method, path, body)
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	if h.user != "" {
		req.Header.Set("X-User", h.user)
	}
	res, err := h.server.Client().Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, text}
}

// want checks the status and the error code, "" for none.
func (h *harbour) want(what string, a answer, status int, code string) {
	h.t.Helper()
	if a.status != status || a.code() != code {
		h.t.Errorf("%s: %d %s, want %d %s: %s", what, a.status, a.code(), status, code, a.body)
	}
}

func sum(content string) string { return blob.SHA256.Of([]byte(content)) }

func (h *harbour) push(repository, content string) string {
	h.t.Helper()
	digest := sum(content)
	a := h.do("POST", "/v2/"+repository+"/blobs/uploads/?digest="+digest, strings.NewReader(content))
	h.want("push a blob to "+repository, a, http.StatusCreated, "")
	return digest
}

// begin opens an upload and returns its location.
func (h *harbour) begin(repository string) string {
	h.t.Helper()
	a := h.do("POST", "/v2/"+repository+"/blobs/uploads/", nil)
	h.want("open an upload", a, http.StatusAccepted, "")
	return a.header.Get("Location")
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int    `json:"size"`
}

// manifest pushes the blobs of an image and returns its manifest.
func (h *harbour) manifest(repository string, more map[string]any, layers ...string) []byte {
	h.t.Helper()
	m := map[string]any{"schemaVersion": 2, "mediaType": manifestType,
		"config": descriptor{"application/vnd.oci.image.config.v1+json", h.push(repository, "{}"), 2}}
	list := []descriptor{}
	for _, l := range layers {
		list = append(list, descriptor{"application/vnd.oci.image.layer.v1.tar", h.push(repository, l), len(l)})
	}
	m["layers"] = list
	for k, v := range more {
		m[k] = v
	}
	text, err := json.Marshal(m)
	if err != nil {
		h.t.Fatal(err)
	}
	return text
}

func (h *harbour) tag(repository, reference string, manifest []byte) answer {
	h.t.Helper()
	return h.do("PUT", "/v2/"+repository+"/manifests/"+reference, bytes.NewReader(manifest), "Content-Type", manifestType)
}

func each(t *testing.T, test func(t *testing.T, h *harbour)) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) { test(t, newHarbour(t, s)) })
}

func lite(t *testing.T) *harbour { return newHarbour(t, storetest.SQLite(t, store.Options{})) }

// with adds names and values to the query of a location.
func with(location string, pairs ...string) string {
	u, err := url.Parse(location)
	if err != nil {
		panic(err)
	}
	q := u.Query()
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func numbered(format string, n int) []string {
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf(format, i))
	}
	return list
}
