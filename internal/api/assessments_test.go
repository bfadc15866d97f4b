package api_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/match"
	"github.com/pratique/pratique/internal/vex"
)

// told stores two vulnerabilities.
func (h *harbour) told(t *testing.T) { h.toldOf(t, 2) }

// toldOf stores so many vulnerabilities, from CVE-2024-1 on.
func (h *harbour) toldOf(t *testing.T, n int) {
	t.Helper()
	var entries []feed.Entry
	for i := range n {
		name := fmt.Sprint("CVE-2024-", i+1)
		entries = append(entries, feed.Entry{Fingerprint: sha256.Sum256([]byte(name)), Group: advisory.Group{Part: "all", Name: name, Advisories: []advisory.Advisory{{
			Vulnerability: name, Ecosystem: "alpine:v3.7", Package: "musl", Source: true, Status: advisory.Affected, Fixed: "1"}}}})
	}
	if err := h.store.ReplaceAdvisories(t.Context(), "alpine", "all", entries, nil, match.Package); err != nil {
		t.Fatal(err)
	}
}

func TestAssessmentsOverREST(t *testing.T) {
	h := newHarbour(t)
	h.told(t)
	const bulk = "/assessments/bulk"
	for _, step := range []struct {
		name, method, path, body, who string
		status                        int
		want                          []string
	}{
		{"many", "POST", bulk, `{"vulnerabilities":["CVE-2024-1","CVE-2024-2"],"type":"Caution","scope":{"kind":"everywhere"}}`, user, 201, []string{`"count":2`}},
		{"each mistake is named", "POST", bulk, `{"items":[{"vulnerability":"CVE-2024-1","type":"Ignore","scope":{"kind":"everywhere"}},
			{"vulnerability":"CVE-9","type":"Ignore","scope":{"kind":"registry","value":"nope"}},{"vulnerability":"CVE-8","type":"Ignore","scope":{"kind":"everywhere"}}]}`, user, 422,
			[]string{"body.items[1].vulnerability", "body.items[2].vulnerability"}},
		{"nothing to assess", "POST", bulk, `{"type":"Caution","scope":{"kind":"everywhere"}}`, user, 422, []string{"one of vulnerability, vulnerabilities, filter and items"}},
		{"a filter that nothing passes", "POST", bulk, `{"filter":{"q":"nothing"},"type":"Caution","scope":{"kind":"everywhere"}}`, user, 422, []string{"body.filter"}},
		{"an end in the past", "POST", bulk, `{"vulnerability":"CVE-2024-1","type":"Caution","scope":{"kind":"everywhere"},"expires_at":"2020-01-01T00:00:00Z"}`, user, 422,
			[]string{"body.expires_at", "is not in the future"}},
		{"bytes that are no text", "POST", "/assessments", "{\"vulnerability\":\"\xff\",\"type\":\"Caution\",\"scope\":{\"kind\":\"everywhere\"}}", user, 400, []string{"UTF-8"}},
		{"a justification that is none", "POST", "/assessments", `{"vulnerability":"CVE-2024-1","type":"Ignore","scope":{"kind":"everywhere"},"justification":"because"}`, user, 422,
			[]string{"body.justification"}},
		{"a preview", "POST", "/assessments/preview", `{"vulnerability":"CVE-2024-1","type":"Block","scope":{"kind":"everywhere"}}`, user, 200, []string{`"superseded":1`, `"complete":true`}},
		{"an edit", "PATCH", "/assessments/1", `{"comment":"later","expires_at":null}`, user, 200, []string{`"comment":"later"`, `"expires_at":null`}},
		{"its history", "GET", "/assessments/1/history", "", user, 200, []string{`"action":"edited"`, `"action":"created"`}},
		{"that of the vulnerability", "GET", "/vulnerabilities/CVE-2024-2/history", "", user, 200, []string{`"assessment_id":2`}},
		{"of an unknown one", "GET", "/vulnerabilities/CVE-9/history", "", user, 404, nil},
		{"a check by a user", "GET", "/assessment-history/verify", "", user, 403, nil},
		{"a check", "GET", "/assessment-history/verify", "", admin, 200, []string{`"intact":true`, `"events":3`}},
		{"a head that is none", "GET", "/assessment-history/verify?known_events=1&known_head=xx", "", admin, 422, []string{"query.known_head"}},
		{"a type in use", "DELETE", "/assessment-types/Caution", "", admin, 409, []string{"2 live assessments"}},
		{"replaced by nothing", "DELETE", "/assessment-types/Caution?replace_by=Nothing", "", admin, 422, []string{"query.replace_by"}},
		{"an effect that contradicts", "POST", "/assessment-types", `{"name":"X","effect":"warns","blocks":true}`, admin, 422, []string{"body.blocks"}},
		{"a rule without conditions", "POST", "/assessment-types", `{"name":"X","rule":{}}`, admin, 422, []string{"body.rule"}},
		{"a pattern that is none", "POST", "/assessment-types", `{"name":"X","rule":{"packages":["a","[x"]}}`, admin, 422, []string{"body.rule.packages[1]"}},
		{"a rule", "POST", "/assessment-types", `{"name":"X","rule":{"severity_from":"high","fix_available":true}}`, admin, 201, []string{`"severity_from":"high"`, `"fix_available":true`}},
		{"no rule any more", "PATCH", "/assessment-types/X", `{"rule":null,"enabled":false}`, admin, 200, []string{`"enabled":false`}},
		{"a disabled type", "POST", "/assessments", `{"vulnerability":"CVE-2024-1","type":"X","scope":{"kind":"everywhere"}}`, user, 422, []string{"is disabled"}},
		{"a rename by a user", "PATCH", "/assessment-types/X", `{"name":"Y"}`, user, 403, nil},
		{"a rename", "PATCH", "/assessment-types/X", `{"name":"Y"}`, admin, 200, []string{`"name":"Y"`}},
		{"an order", "PUT", "/assessment-type-order", `{"names":["Y","Block","Caution","Ignore"]}`, admin, 200, []string{`"name":"Y"`}},
		{"an order that lacks one", "PUT", "/assessment-type-order", `{"names":["Y"]}`, admin, 422, []string{"is missing"}},
		{"deleted", "DELETE", "/assessment-types/Y", "", admin, 204, nil},
		{"an import with a bad line", "POST", "/assessments/import?format=trivyignore", "CVE-2024-1\nCVE-2024-2 exp:x\n", admin, 422, []string{"body.lines.2", "line 2"}},
		{"nothing was imported", "GET", "/assessments?type=Ignore", "", user, 200, []string{`"items":[]`}},
		{"a dry run", "POST", "/assessments/import?format=trivyignore&dry_run=true", "CVE-2024-1\nCVE-2031-7\nCVE-2024-2 exp:x\n", admin, 200,
			[]string{`"applied":false`, `"replaces":1`, `"waits":1`, `"bad":1`, `"preview":`}},
		{"the rest", "POST", "/assessments/import?format=trivyignore&skip_bad=true", "CVE-2024-1\nCVE-2031-7\nCVE-2024-2 exp:x\n", admin, 200, []string{`"applied":true`}},
		{"what waits is kept", "GET", "/assessments?vulnerability=CVE-2031-7&live=true", "", user, 200, []string{`"type":"Ignore"`}},
		{"the same again", "POST", "/assessments/import?format=trivyignore", "CVE-2024-1\n", admin, 200, []string{`"same":1`, `"replaces":0`}},
		{"an import by a user", "POST", "/assessments/import?format=trivyignore", "CVE-2024-1\n", user, 403, nil},
		{"an export", "GET", "/assessments/export", "", user, 200, []string{"vulnerability,type,scope_kind", "CVE-2031-7,Ignore,everywhere"}},
		{"as VEX", "GET", "/assessments/export?format=cyclonedx", "", user, 200, []string{`"CVE-2031-7"`, `"not_affected"`}},
	} {
		var body any
		if step.body != "" {
			body = step.body
		}
		r := h.send(t, step.method, step.path, body, step.who)
		if r.status != step.status {
			t.Errorf("%s: %d, want %d: %s", step.name, r.status, step.status, r.body)
			continue
		}
		for _, want := range step.want {
			if !strings.Contains(string(r.body), want) {
				t.Errorf("%s: no %s in %s", step.name, want, r.body)
			}
		}
	}
}

func TestTwoWhoEditTheSame(t *testing.T) {
	h := newHarbour(t)
	h.told(t)
	h.send(t, "POST", "/assessments", `{"vulnerability":"CVE-2024-1","type":"Ignore","scope":{"kind":"everywhere"}}`, user)
	for _, path := range []string{"/assessments/1", "/assessment-types/Ignore"} {
		seen := h.send(t, "GET", path, nil, admin)
		tag := seen.header.Get("ETag")
		if seen.status != 200 || tag == "" {
			t.Fatalf("%s: %d, ETag %q", path, seen.status, tag)
		}
		for i, want := range []int{200, 412} {
			body := fmt.Sprintf(`{"comment":"%d"}`, i)
			if strings.Contains(path, "types") {
				body = fmt.Sprintf(`{"description":"%d"}`, i)
			}
			request, err := http.NewRequestWithContext(t.Context(), "PATCH", h.server.URL+"/api/v1"+path, strings.NewReader(body))
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
			var said json.RawMessage
			if err := json.NewDecoder(answer.Body).Decode(&said); err != nil {
				t.Error(err)
			}
			answer.Body.Close()
			if answer.StatusCode != want {
				t.Errorf("%s, editor %d: %d, want %d: %s", path, i, answer.StatusCode, want, said)
			}
		}
	}
}

// TestExportOfMany exports more decisions than are read at once.
func TestExportOfMany(t *testing.T) {
	h := newHarbour(t)
	const most = 2300
	h.toldOf(t, most)
	var names []string
	for n := range most {
		names = append(names, fmt.Sprintf(`"CVE-2024-%d"`, n+1))
	}
	for some := range slices.Chunk(names, 500) {
		if r := h.send(t, "POST", "/assessments/bulk", `{"vulnerabilities":[`+strings.Join(some, ",")+`],"type":"Ignore","scope":{"kind":"everywhere"}}`, user); r.status != http.StatusCreated {
			t.Fatalf("%d %.500s", r.status, r.body)
		}
	}
	r := h.send(t, "GET", "/assessments/export", nil, user)
	lines := strings.Split(strings.TrimSpace(string(r.body)), "\n")
	seen := make(map[string]bool)
	for _, line := range lines[1:] {
		seen[line[:strings.Index(line, ",")]] = true
	}
	if r.status != http.StatusOK || len(lines) != 1+most || len(seen) != most {
		t.Errorf("%d with %d lines, %d of them different; want %d", r.status, len(lines), len(seen), 1+most)
	}
	if got := r.header.Get("Content-Disposition"); got != `attachment; filename="assessments.csv"` {
		t.Errorf("disposition %q", got)
	}
	for format, name := range map[string]string{"openvex": "assessments.openvex.json", "cyclonedx": "assessments.vex.cdx.json"} {
		r := h.send(t, "GET", "/assessments/export?format="+format, nil, user)
		d, err := vex.Read(bytes.NewReader(r.body), vex.Limits{})
		if err != nil || r.status != http.StatusOK {
			t.Fatalf("%s: %d, %v", format, r.status, err)
		}
		seen := make(map[string]bool)
		for _, s := range d.Statements {
			seen[s.Vulnerability] = true
		}
		if len(d.Statements) != most || len(seen) != most || d.Author != user || !d.Issued.Equal(noon) {
			t.Errorf("%s has %d statements on %d vulnerabilities, by %q of %v", format, len(d.Statements), len(seen), d.Author, d.Issued)
		}
		if got := r.header.Get("Content-Disposition"); got != `attachment; filename="`+name+`"` {
			t.Errorf("%s: disposition %q", format, got)
		}
	}
}
