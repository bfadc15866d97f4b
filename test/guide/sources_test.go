package guide_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/source/sourcetest"
	"github.com/pratique/pratique/test/program"
)

// TestSourcesPage runs the commands of docs/vulnerability-sources.md, with stand-ins
// for two Clairs and a scanner.
func TestSourcesPage(t *testing.T) {
	needs(t, "bash", "curl", "jq")
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	served, _, _ := debian(t, new(program.Clock))
	v4 := sourcetest.NewClairV4(t, sourcetest.Package{Name: "libssl3", Version: "3.0.11-1", Arch: "amd64", Vulnerabilities: []sourcetest.Issue{
		{Name: "CVE-2024-0001", Severity: "Medium", Fixed: "3.0.12"}}})
	v4.Authorization = "Bearer SECRET"
	v1 := sourcetest.NewClairV1(t, sourcetest.Feature{Name: "bash", NamespaceName: "debian:12", VersionFormat: "dpkg", Version: "5.2.15-2",
		Vulnerabilities: []sourcetest.Vulnerability{{Name: "CVE-2024-0004", NamespaceName: "debian:12", Severity: "Medium"}}})
	trivy := sourcetest.NewAdapter(t, sourcetest.Item{ID: "CVE-2024-0009", Package: "zlib1g", Version: "1.2.13", Severity: "Critical"})
	host := strings.TrimPrefix(served.URL, "http://")
	clair := strings.Split(strings.TrimPrefix(v4.URL, "http://"), ":")
	sh := bash(t, ctx, t.TempDir())
	here := strings.NewReplacer("localhost:8624", host, "PASSWORD", password,
		"http://old-clair.example.com:6060/", v1.URL, "http://trivy.example.com:8080/", trivy.URL, "http://clair.example.com:6060/", v4.URL,
		"clair.example.com", clair[0], `"port": 6060`, `"port": `+clair[1])
	first := true
	before := func(s step) bool {
		if s.heading == "Make a source" && first {
			sh.run(t, updateFeeds)
			first = false
		}
		return true
	}
	guided{file: "vulnerability-sources.md", here: here, before: before, never: []string{"SECRET"}, want: map[string][]string{
		"Vulnerability sources": {""},
		"Make a source": {
			`["built-in",true]` + "\n" + `["clair-v1",false]` + "\n" + `["clair-v4",false]` + "\n" + `["scanner-adapter",false]`,
			`"has_authorization_header":true`,
			"{\"ok\":true,\"code\":\"\",\"message\":\"Clair with the v4 API, index state 5ca1ab1e\"}\n\n{\"ok\":true,\"code\":\"\",\"message\":\"Clair with the v1 API\"}\n\n{\"ok\":true,",
			"is not a Clair with the v1 API: it answers 404",
			`"status":412`,
		},
		"Attach it to a registry": {"the base URL of this server is not set", `["clair","old-clair","trivy"]`},
		"What is asked, and when": {`"kind":"scan"`, `["built-in","answered"]` + "\n" + `["clair","answered"]` + "\n" + `["old-clair","answered"]` + "\n" + `["trivy","answered"]`, `"items":[]`},
		"Findings with several witnesses": {
			`["CVE-2024-0009","critical","unassessed",["trivy"]]` + "\n" + `["CVE-2024-0001","high","unassessed",["built-in","clair"]]`,
			`["CVE-2024-0001",["reported","severity","fixed_version"]]`,
		},
		"Take one away": {`"status":409,"detail":"extension clair-v4: it is used by clair; delete these sources first"`},
	}}.run(t, sh)
}
