package clair_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// harbor asks as Harbor does (src/pkg/scan/rest/v1, src/pkg/scan/job.go): it waits
// for 5 s, follows no redirects, and reads Refresh-After as a signed byte.
type harbor struct {
	*client
	base string
}

func (h harbor) request(repository, digest string, more ...string) string {
	return fmt.Sprintf(`{"registry":{"url":%q,"authorization":%q,"insecure":false},
		"artifact":{"namespace_id":7,"repository":%q,"tag":"1","digest":%q,"mime_type":"application/vnd.oci.image.manifest.v1+json","size":2800}%s}`,
		h.base, authorization(), repository, digest, strings.Join(more, ""))
}

func (h harbor) report(id, accept, query string) (int, http.Header, []byte) {
	h.t.Helper()
	poller := newClient(h.t, h.client.base, "Accept", accept)
	for deadline := time.Now().Add(time.Minute); ; {
		start := time.Now()
		status, header, content := poller.do(http.MethodGet, "/api/v1/scan/"+id+"/report"+query, nil)
		if took := time.Since(start); took > 5*time.Second {
			h.t.Errorf("it took %v", took)
		}
		if status != http.StatusFound || time.Now().After(deadline) {
			return status, header, content
		}
		if n, err := strconv.ParseInt(header.Get("Refresh-After"), 10, 8); err != nil || n < 1 || header.Get("Location") != "" {
			h.t.Errorf("not ready: %v", header)
		}
	}
}

func TestHarbor(t *testing.T) {
	p := startProgram(t)
	image := p.image(t)
	for _, prefix := range []string{"", "/scanner"} {
		t.Run("at "+prefix+"/", func(t *testing.T) {
			h := harbor{newClient(t, p.clair+prefix), p.registry}
			var first string
			for _, accept := range []string{"application/vnd.scanner.adapter.metadata+json; version=1.0", "application/vnd.scanner.adapter.metadata+json; version=1.1", ""} {
				status, header, content := newClient(t, p.clair+prefix, "Accept", accept).do(http.MethodGet, "/api/v1/metadata", nil)
				wantStatus(t, "metadata", status, http.StatusOK, content)
				if accept != "" && header.Get("Content-Type") != accept {
					t.Errorf("asked for %q, got %q", accept, header.Get("Content-Type"))
				}
				if first == "" {
					first = string(content)
				} else if first != string(content) {
					t.Errorf("another body: %s", content)
				}
			}
			metadata := read[struct {
				Scanner      struct{ Name, Vendor, Version string }
				Capabilities []struct {
					Type     string
					Consumes []string `json:"consumes_mime_types"`
					Produces []string `json:"produces_mime_types"`
				}
				Properties map[string]string
			}](t, []byte(first))
			if metadata.Scanner.Name == "" || metadata.Scanner.Vendor == "" || metadata.Scanner.Version == "" || len(metadata.Capabilities) != 2 {
				t.Errorf("got %s", first)
			}
			for _, c := range metadata.Capabilities {
				if !strings.Contains(strings.Join(c.Consumes, " "), "application/vnd.docker.distribution.manifest.v2+json") || len(c.Produces) == 0 {
					t.Errorf("Harbor would refuse %+v", c)
				}
			}
			if metadata.Properties["harbor.scanner-adapter/vulnerability-database-updated-at"] == "" {
				t.Errorf("got %v", metadata.Properties)
			}

			var id string
			for _, kind := range []string{"application/vnd.scanner.adapter.scan.request+json; version=1.0", "application/vnd.scanner.adapter.scan.request+json; version=1.1; charset=utf-8"} {
				h.header.Set("Content-Type", kind)
				status, _, content := h.do(http.MethodPost, "/api/v1/scan", h.request("main/app", image))
				wantStatus(t, "scan", status, http.StatusAccepted, content)
				id = read[struct{ ID string }](t, content).ID
			}
			for _, accept := range []string{
				"application/vnd.scanner.adapter.vuln.report.harbor+json; version=1.0", "application/vnd.security.vulnerability.report; version=1.1",
				"application/vnd.security.vulnerability.report;version=1.1", "application/vnd.scanner.adapter.vuln.report.raw", "",
			} {
				status, _, content := h.report(id, accept, "")
				wantStatus(t, "report as "+accept, status, http.StatusOK, content)
				report := read[struct {
					GeneratedAt     time.Time `json:"generated_at"`
					Artifact        struct{ Repository, Digest, Tag string }
					Scanner         struct{ Name string }
					Severity        string
					Vulnerabilities []struct {
						ID, Package, Version, Severity, Status string
						Fix                                    string `json:"fix_version"`
						Links                                  []string
					}
				}](t, content)
				if report.Artifact.Digest != image || report.Artifact.Tag != "1" || report.Severity != "Unknown" || len(report.Vulnerabilities) != 3 || report.GeneratedAt.IsZero() {
					t.Errorf("got %s", content)
				}
				for _, v := range report.Vulnerabilities {
					if v.ID == "" || v.Package == "" || v.Fix == "" || v.Status != "fixed" || len(v.Links) == 0 {
						t.Errorf("got %+v", v)
					}
				}
			}
			const bill = "application/vnd.security.sbom.report+json; version=1.0"
			for query, kind := range map[string]string{
				"?sbom_media_type=application%2Fspdx%2Bjson": "application/spdx+json", "?sbom_media_type=application/spdx+json": "application/spdx+json",
				"?sbom_media_type=application%2Fvnd.cyclonedx%2Bjson": "application/vnd.cyclonedx+json",
			} {
				status, _, content := h.report(id, bill, query)
				wantStatus(t, "bill", status, http.StatusOK, content)
				got := read[struct {
					MediaType string `json:"media_type"`
					SBOM      map[string]json.RawMessage
				}](t, content)
				if got.MediaType != kind || got.SBOM["spdxVersion"] == nil && got.SBOM["bomFormat"] == nil || !strings.Contains(string(content), "musl") {
					t.Errorf("%s: got %s", query, content)
				}
			}
			for _, test := range []struct {
				name, id, accept, query string
				want                    int
			}{
				{"bill of no format", id, bill, "", 400}, {"bill of another format", id, bill, "?sbom_media_type=text/x", 400},
				{"unknown media type", id, "application/pdf", "", 501}, {"unknown scan", "nobody", "", "", 404},
			} {
				if status, header, content := h.report(test.id, test.accept, test.query); status != test.want ||
					!strings.HasPrefix(header.Get("Content-Type"), "application/vnd.scanner.adapter.error+json") || read[struct {
					Error struct{ Message string }
				}](t, content).Error.Message == "" {
					t.Errorf("%s: %d %v %s", test.name, status, header, content)
				}
			}
			for _, test := range []struct {
				name, body, message string
				want                int
			}{
				{"no JSON", "{", "no scan request", 400},
				{"no URL", `{"registry":{},"artifact":{"repository":"a","digest":"` + image + `"}}`, "missing registry.url", 422},
				{"bad URL", strings.Replace(h.request("main/app", image), h.base, "::", 1), "invalid registry.url", 422},
				{"a file", strings.Replace(h.request("main/app", image), h.base, "file:///etc", 1), "invalid registry.url", 422},
				{"no repository", h.request("", image), "missing artifact.repository", 422},
				{"a path", h.request("main/../../etc", image), "invalid artifact.repository", 422},
				{"no digest", h.request("main/app", ""), "missing artifact.digest", 422},
				{"an index", strings.Replace(h.request("main/app", image), "image.manifest.v1", "image.index.v1", 1), "index", 422},
				{"malware", h.request("main/app", image, `,"enabled_capabilities":[{"type":"malware"}]`), "capability", 501},
			} {
				status, _, content := h.do(http.MethodPost, "/api/v1/scan", test.body)
				if status != test.want || !strings.Contains(string(content), test.message) {
					t.Errorf("%s: %d %s", test.name, status, content)
				}
			}
			// What cannot be fetched fails, and says why.
			gone := "sha256:" + strings.Repeat("ab", 32)
			_, _, content := h.do(http.MethodPost, "/api/v1/scan", h.request("main/app", gone))
			status, _, content := h.report(read[struct{ ID string }](t, content).ID, "", "")
			if status != http.StatusInternalServerError || !strings.Contains(string(content), "status 404") {
				t.Errorf("unknown image: %d %s", status, content)
			}
			metadataAddress := strings.Replace(h.request("main/app", gone), h.base, "http://169.254.169.254", 1)
			_, _, content = h.do(http.MethodPost, "/api/v1/scan", metadataAddress)
			if status, _, content := h.report(read[struct{ ID string }](t, content).ID, "", ""); status != http.StatusInternalServerError || !strings.Contains(string(content), "link-local") {
				t.Errorf("metadata service: %d %s", status, content)
			}
		})
	}
	for _, path := range []string{"/probe/healthy", "/probe/ready"} {
		if status, _, content := newClient(t, p.clair).do(http.MethodGet, path, nil); status != http.StatusOK {
			t.Errorf("%s: %d %s", path, status, content)
		}
	}
}

// The APIs of scanners ask for keys where they are told to.
func TestKeys(t *testing.T) {
	p := startProgram(t, "--clair-require-key")
	c := newClient(t, p.registry, "Authorization", authorization())
	status, _, content := c.do(http.MethodPost, "/api/v1/api-keys", map[string]string{"name": "harbor"})
	wantStatus(t, "key", status, http.StatusCreated, content)
	key := read[struct{ Secret, Key string }](t, content)
	secret := key.Secret + key.Key
	for _, test := range []struct {
		header []string
		want   int
	}{
		{nil, 401}, {[]string{"X-ScannerAdapter-API-Key", secret}, 200}, {[]string{"Authorization", "Bearer " + secret}, 200},
		{[]string{"Authorization", authorization()}, 200}, {[]string{"X-ScannerAdapter-API-Key", "prq_wrong"}, 401},
	} {
		for _, path := range []string{"/api/v1/metadata", "/v1/namespaces", "/indexer/api/v1/index_state"} {
			if status, _, content := newClient(t, p.clair, test.header...).do(http.MethodGet, path, nil); status != test.want {
				t.Errorf("%s with %v: %d %s", path, test.header, status, content)
			}
		}
	}
}

// image is the digest of the image's manifest.
func (p program) image(t *testing.T) string {
	t.Helper()
	c := newClient(t, p.registry, "Authorization", authorization(), "Accept", "application/vnd.oci.image.manifest.v1+json")
	status, header, content := c.do(http.MethodGet, "/v2/main/app/manifests/1", nil)
	wantStatus(t, "manifest", status, http.StatusOK, content)
	return header.Get("Docker-Content-Digest")
}
