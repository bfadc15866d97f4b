package clair_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/progetapi"
	"github.com/pratique/pratique/internal/store"
	"github.com/pratique/pratique/internal/store/storetest"
)

// audited is what pgutil reads of a vulnerability (Inedo.ProGet/VulnerabilityInfo.cs).
type audited struct {
	ID, Summary, CVE, CVSS, Severity string
	NumericCVSS                      float64
	AffectedPackages                 []int
}

// anybody lets everyone in as somebody.
type anybody struct{}

func (anybody) Authenticate(*http.Request) (auth.Principal, error) {
	return auth.Principal{UserID: 1, Name: "ci"}, nil
}

// pgutil vulns audit sends the packages of lock files, and reads which of them are
// affected as places in what it sent.
func TestPgutilAudit(t *testing.T) {
	storetest.Each(t, store.Options{}, func(t *testing.T, s *store.Store) {
		entry := func(ecosystem, name, cve, fixed string, source bool) feed.Entry {
			return feed.Entry{Group: advisory.Group{Part: "all", Name: cve, Details: map[string]advisory.Detail{cve: {
				Description: "What " + cve + " is about. And more.", Severity: advisory.High, Scores: []advisory.Score{{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:H/UI:N/S:U/C:H/I:H/A:H", Base: 7.2}},
			}}, Advisories: []advisory.Advisory{{Vulnerability: cve, Ecosystem: ecosystem, Package: name, Source: source, Status: advisory.Affected, Fixed: fixed, Severity: advisory.High}}}}
		}
		for name, entries := range map[string][]feed.Entry{
			"npm":    {entry("npm", "lodash", "CVE-2021-23337", "4.17.21", false), entry("npm", "@babel/core", "CVE-2021-1", "8.0.0", false)},
			"maven":  {entry("maven", "org.apache.logging.log4j:log4j-core", "CVE-2021-44228", "2.15.0", false)},
			"pypi":   {entry("pypi", "jinja2", "CVE-2024-56326", "3.1.5", false)},
			"debian": {entry("debian:12", "curl", "CVE-2023-38545", "7.88.1-10+deb12u4", true)},
		} {
			if err := s.ReplaceAdvisories(t.Context(), name, "all", entries, nil, match.Package); err != nil {
				t.Fatal(err)
			}
		}
		server := httptest.NewServer(progetapi.New(anybody{}, nil, s, progetapi.Options{}))
		defer server.Close()
		c := newClient(t, server.URL)
		const sent = `[{"type":"npm","name":"lodash","version":"4.17.20"},{"type":"deb","name":"zlib1g","version":"1:1.2.13.dfsg-1"},
			{"type":"maven","group":"org.apache.logging.log4j","name":"log4j-core","version":"2.14.1"},{"type":"npm","name":"lodash","version":"4.17.21"},
			{"type":"npm","name":"lodash","version":"4.17.19"},{"type":"npm","group":"babel","name":"core","version":"7.0.0"},
			{"type":"pypi","name":"Jinja2","version":"3.1.4"},{"type":"deb","name":"curl","version":"7.88.1-10+deb12u1"},{"type":"cran","name":"x","version":"1"}]`
		status, _, content := c.do(http.MethodPost, "/api/sca/audit-package-vulns", sent)
		wantStatus(t, "audit", status, http.StatusOK, content)
		got := make(map[string][]int)
		for _, v := range read[[]audited](t, content) {
			got[v.ID] = v.AffectedPackages
			if v.CVE != v.ID || v.Severity != "High" || v.NumericCVSS != 7.2 || v.Summary != "What "+v.ID+" is about" {
				t.Errorf("got %+v", v)
			}
		}
		for id, want := range map[string][]int{"CVE-2021-23337": {0, 4}, "CVE-2021-44228": {2}, "CVE-2021-1": {5}, "CVE-2024-56326": {6}, "CVE-2023-38545": {7}} {
			if !slices.Equal(got[id], want) {
				t.Errorf("%s affects %v, want %v", id, got[id], want)
			}
		}
		if len(got) != 5 {
			t.Errorf("got %s", content)
		}
		for name, body := range map[string]string{"no list": `{}`, "no JSON": `[`, "no version": `[{"type":"npm","name":"a"}]`, "too many": "[{}" + strings.Repeat(",{}", 10_000) + "]"} {
			if status, _, content := c.do(http.MethodPost, "/api/sca/audit-package-vulns", body); status != http.StatusBadRequest {
				t.Errorf("%s: %d %s", name, status, content)
			}
		}
		status, _, content = c.do(http.MethodPost, "/api/sca/audit-package-vulns", "[]")
		if status != http.StatusOK || strings.TrimSpace(string(content)) != "[]" {
			t.Errorf("nothing: %d %s", status, content)
		}
	})
}

// pgutil health, and vulns assess, whose decision counts at once.
func TestPgutilOnTheProgram(t *testing.T) {
	p := startProgram(t)
	for _, path := range []string{"/health", "/health/json"} {
		status, _, content := newClient(t, p.registry).do(http.MethodGet, path, nil)
		wantStatus(t, "health", status, http.StatusOK, content)
		h := read[struct{ ApplicationName, DatabaseStatus, LicenseStatus, ServiceStatus, VersionNumber string }](t, content)
		if h.ApplicationName == "" || h.DatabaseStatus != "OK" || h.LicenseStatus != "OK" || h.ServiceStatus != "OK" || h.VersionNumber == "" {
			t.Errorf("got %s", content)
		}
	}
	status, _, content := newClient(t, p.registry, "Authorization", authorization()).do(http.MethodPost, "/api/v1/api-keys", map[string]string{"name": "pgutil"})
	wantStatus(t, "key", status, http.StatusCreated, content)
	key := read[struct{ Key string }](t, content).Key
	assess := "/api/sca/assess?" + url.Values{"id": {"CVE-2025-26519"}, "type": {"Block"}, "comment": {"from the pipeline"}}.Encode()
	for name, header := range map[string][]string{"no key": nil, "wrong key": {"X-ApiKey", "prq_wrong"}, "a cookie": {"Cookie", "pratique_session=x"}} {
		status, answer, content := newClient(t, p.registry, header...).do(http.MethodPost, assess, nil)
		if status != http.StatusForbidden || !strings.Contains(string(content), "does not have the proper permissions") || answer.Get("X-ProGet-Version") == "" {
			t.Errorf("%s: %d %s", name, status, content)
		}
	}
	c := newClient(t, p.registry, "X-ApiKey", key)
	for name, path := range map[string]string{"unknown vulnerability": strings.Replace(assess, "CVE-2025-26519", "CVE-1", 1), "unknown type": strings.Replace(assess, "Block", "Perhaps", 1)} {
		if status, _, content := c.do(http.MethodPost, path, nil); status != http.StatusBadRequest || len(content) == 0 {
			t.Errorf("%s: %d %s", name, status, content)
		}
	}
	status, _, content = c.do(http.MethodPost, assess, nil)
	wantStatus(t, "assess", status, http.StatusOK, content)
	status, _, content = newClient(t, p.registry, "Authorization", authorization()).do(http.MethodGet, "/v2/main/app/manifests/1", nil)
	if status != http.StatusForbidden || !strings.Contains(string(content), "CVE-2025-26519") {
		t.Errorf("a pull afterwards: %d %s", status, content)
	}
	// Another way to give the key.
	status, _, content = newClient(t, p.registry).do(http.MethodPost, "/api/sca/audit-package-vulns?key="+key, "[]")
	wantStatus(t, "key as a parameter", status, http.StatusOK, content)
}
