package api_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/oci/registry"
)

func TestVulnerabilitySources(t *testing.T) {
	h := newHarbour(t)
	if _, err := h.store.CreateRegistry(t.Context(), registry.Registry{Name: "main"}); err != nil {
		t.Fatal(err)
	}
	const secret = "Bearer s3cr3t-api-key"
	expect := func(step string, r response, status int, holds string) {
		t.Helper()
		if r.status != status || !strings.Contains(string(r.body), holds) {
			t.Errorf("%s: %d %s, want %d %q", step, r.status, r.body, status, holds)
		}
		if strings.Contains(string(r.body), "s3cr3t") {
			t.Errorf("%s shows the secret: %s", step, r.body)
		}
	}
	source := map[string]any{"name": "clair", "extension": "clair-v4", "host": "clair.example.com", "port": 6060, "authorization_header": secret}
	expect("disabled", h.send(t, "POST", "/vulnerability-sources", source, admin), 422, "body.extension")
	expect("not by everyone", h.send(t, "PATCH", "/extensions/clair-v4", map[string]bool{"enabled": true}, user), 403, "")
	expect("enable", h.send(t, "PATCH", "/extensions/clair-v4", map[string]bool{"enabled": true}, admin), 200, `"enabled":true`)
	expect("extensions", h.send(t, "GET", "/extensions", nil, user), 200, `"title":"Built-in analyser"`)
	expect("an unknown extension", h.send(t, "PATCH", "/extensions/x", map[string]bool{"enabled": true}, admin), 404, "not found")
	made := h.send(t, "POST", "/vulnerability-sources", source, admin)
	expect("create", made, 201, `"url":"http://clair.example.com:6060"`)
	expect("create again", h.send(t, "POST", "/vulnerability-sources", source, admin), 409, "exists already")
	expect("in use", h.send(t, "PATCH", "/extensions/clair-v4", map[string]bool{"enabled": false}, admin), 409, "extension clair-v4: it is used by clair")
	expect("list", h.send(t, "GET", "/vulnerability-sources", nil, user), 200, `"name":"built-in"`)
	expect("show", h.send(t, "GET", "/vulnerability-sources/clair", nil, user), 200, `"has_authorization_header":true`)
	for name, change := range map[string]struct{ body, field string }{
		"a line break":  {`{"authorization_header": "Bearer x\r\nHost: y"}`, "body.authorization_header"},
		"link-local":    {`{"url": "http://169.254.169.254"}`, "body.url"},
		"ftp":           {`{"url": "ftp://clair"}`, "body.url"},
		"another host":  {`{"url": "http://other.example.com"}`, "body.authorization_header"},
		"no PEM":        {`{"ca_certificates": "x"}`, "body.ca_certificates"},
		"a concurrency": {`{"concurrency": 0}`, "body.concurrency"},
	} {
		expect(name, h.send(t, "PATCH", "/vulnerability-sources/clair", change.body, admin), 422, change.field)
	}
	conditional := func(tag string) response {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, h.server.URL+"/api/v1/vulnerability-sources/clair", strings.NewReader(`{"concurrency": 3}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		request.Header.Set("If-Match", tag)
		request.SetBasicAuth(admin, admin+" password")
		answer, err := h.server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return response{answer.StatusCode, answer.Header, nil}
	}
	tag := made.header.Get("ETag")
	if r := conditional(tag); r.status != 200 || r.header.Get("ETag") == tag || tag == "" {
		t.Errorf("change: %d, ETag %q after %q", r.status, r.header.Get("ETag"), tag)
	}
	if r := conditional(tag); r.status != 412 {
		t.Errorf("change what was changed: %d", r.status)
	}
	expect("test", h.send(t, "POST", "/vulnerability-sources/clair/test", nil, user), 403, "")
	expect("the built-in analyser", h.send(t, "DELETE", "/vulnerability-sources/built-in", nil, admin), 409, "detach")

	expect("attach without a base URL", h.send(t, "PUT", "/registries/main/vulnerability-sources/clair", nil, admin), 200, "base URL of this server is not set")
	h.base.url = "https://registry.example.com"
	expect("attach", h.send(t, "PUT", "/registries/main/vulnerability-sources/clair", nil, admin), 200, `"warnings":[]`)
	expect("attach to nowhere", h.send(t, "PUT", "/registries/none/vulnerability-sources/clair", nil, admin), 404, "")
	expect("attach nothing", h.send(t, "PUT", "/registries/main/vulnerability-sources/none", nil, admin), 404, "")
	expect("detach the built-in analyser", h.send(t, "DELETE", "/registries/main/vulnerability-sources/built-in", nil, admin), 204, "")
	var attached struct{ Items []struct{ Name string } }
	if err := json.Unmarshal(h.send(t, "GET", "/registries/main/vulnerability-sources", nil, user).body, &attached); err != nil || len(attached.Items) != 1 || attached.Items[0].Name != "clair" {
		t.Errorf("attached %+v, %v", attached, err)
	}
	expect("scans", h.send(t, "GET", "/vulnerability-sources/clair/scans?state=quarantined", nil, user), 200, `"items":[]`)
	expect("audit", h.send(t, "GET", "/audit-log", nil, admin), 200, "vulnerability-source.attach")
	expect("delete", h.send(t, "DELETE", "/vulnerability-sources/clair", nil, admin), 204, "")
	expect("delete again", h.send(t, "DELETE", "/vulnerability-sources/clair", nil, admin), 404, "")
	expect("disable", h.send(t, "PATCH", "/extensions/clair-v4", map[string]bool{"enabled": false}, admin), 200, `"enabled":false`)
}

// A failed connection is an answer, not an error.
func TestTestVulnerabilitySource(t *testing.T) {
	h := newHarbour(t)
	s := httptest.NewServer(http.NotFoundHandler())
	defer s.Close()
	h.send(t, "PATCH", "/extensions/clair-v1", map[string]bool{"enabled": true}, admin)
	h.send(t, "POST", "/vulnerability-sources", map[string]any{"name": "c", "extension": "clair-v1", "url": s.URL}, admin)
	r := h.send(t, "POST", "/vulnerability-sources/c/test", nil, admin)
	var got struct {
		OK            bool
		Code, Message string
	}
	if err := json.Unmarshal(r.body, &got); err != nil || r.status != 200 || got.OK || !cmp.Equal(got.Code, "malformed") || !strings.Contains(got.Message, "is not a Clair") {
		t.Errorf("got %d %s", r.status, r.body)
	}
}
