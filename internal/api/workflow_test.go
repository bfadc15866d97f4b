package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/api"
)

// workflow is an interface with one of each thing of the workflow, and two changes to
// each, so that the ETags that people saw first are old.
func workflow(t *testing.T) *harbour {
	t.Helper()
	h := newHarbour(t)
	h.told(t)
	for _, step := range []struct{ method, path, body string }{
		{"POST", "/registries", `{"name": "main"}`},
		{"PATCH", "/extensions/clair-v1", `{"enabled": true}`},
		{"POST", "/vulnerability-sources", `{"name": "clair", "extension": "clair-v1", "url": "http://clair.example.com:6060", "authorization_header": "Bearer the-api-key"}`},
		{"POST", "/assessments", `{"vulnerability": "CVE-2024-1", "type": "Ignore", "scope": {"kind": "everywhere"}}`},
		{"POST", "/assessment-types", `{"name": "Accepted", "effect": "none"}`},
		{"POST", "/assessments", `{"vulnerability": "CVE-2024-2", "type": "Accepted", "scope": {"kind": "everywhere"}}`},
		{"POST", "/policy-exceptions", `{"registry": "main", "comment": "for now", "expires_at": "2026-12-01T00:00:00Z"}`},
		{"POST", "/webhooks", `{"name": "hook", "kind": "webhook", "url": "https://hooks.example.com"}`},
		{"PATCH", "/vulnerability-sources/clair", `{"concurrency": 3}`},
		{"PATCH", "/assessments/1", `{"comment": "theirs"}`},
		{"PATCH", "/assessment-types/Accepted", `{"description": "theirs"}`},
		{"PATCH", "/policy", `{"grace_hours": 1}`},
		{"PATCH", "/registries/main/policy", `{"grace_hours": 2, "block": ["Accepted"]}`},
		{"PATCH", "/schedules/expire-assessments", `{"cron": "*/2 * * * *"}`},
		{"PATCH", "/admission", `{"unknown_images": "warn"}`},
		{"PUT", "/webhooks/hook", `{"kind": "webhook", "url": "https://hooks.example.com/theirs"}`},
		{"PATCH", "/settings", `{"base_url": "https://registry.example.com"}`},
	} {
		if r := h.send(t, step.method, step.path, step.body, admin); r.status/100 != 2 {
			t.Fatalf("%s %s: %d %s", step.method, step.path, r.status, r.body)
		}
	}
	return h
}

// everything is all that the workflow keeps, as the interface shows it.
func (h *harbour) everything(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, path := range []string{"/registries", "/registries/main/policy", "/registries/main/vulnerability-sources", "/extensions", "/vulnerability-sources",
		"/assessments", "/assessment-types", "/assessment-history/verify", "/policy", "/policy-exceptions", "/admission", "/admission-tokens", "/webhooks",
		"/schedules/expire-assessments", "/jobs", "/settings", "/api-keys", "/audit-log?page_size=1000"} {
		r := h.send(t, http.MethodGet, path, nil, admin)
		if r.status != http.StatusOK {
			t.Fatalf("%s: %d %s", path, r.status, r.body)
		}
		fmt.Fprintf(&all, "%s %s\n", path, r.body)
	}
	return all.String()
}

// TestWorkflowRefuses: whatever is wrong is refused with a problem that names the field
// and the reason, and nothing has changed.
func TestWorkflowRefuses(t *testing.T) {
	h := workflow(t)
	assessment := func(more string) string {
		return `{"vulnerability": "CVE-2024-1", "type": "Ignore", "scope": {"kind": "everywhere"}` + more + `}`
	}
	source := func(url string) string {
		return fmt.Sprintf(`{"name": "other", "extension": "clair-v1", "url": %q}`, url)
	}
	lines := make([]string, 1000)
	for i := range lines {
		lines[i] = fmt.Sprint("CVE-2024-", i+1)
	}
	lines[776] = "CVE-2024-777 exp:never"
	file := strings.Join(lines, "\n")
	const past, broken = `"2026-11-24T11:59:59Z"`, `"Bearer x\r\nX-Other: y"`
	const stale = `"1"`
	tests := []struct {
		name, method, path, body, ifMatch string
		status                            int
		field                             string // where an error is; "" where the detail says it
		reason                            string
	}{
		{"an expiry in the past", "POST", "/assessments", assessment(`, "expires_at": ` + past), "", 422, "body.expires_at", "is not in the future"},
		{"an expiry in the past, of many", "POST", "/assessments/bulk", `{"vulnerabilities": ["CVE-2024-1", "CVE-2024-2"], "type": "Block", "scope": {"kind": "everywhere"}, "expires_at": ` + past + `}`, "",
			422, "body.expires_at", "is not in the future"},
		{"an expiry in the past, of one of many", "POST", "/assessments/bulk", `{"items": [` + assessment("") + `, ` + assessment(`, "expires_at": `+past) + `]}`, "",
			422, "body.items[1].expires_at", "is not in the future"},
		{"an expiry in the past, in a preview", "POST", "/assessments/preview", assessment(`, "expires_at": ` + past), "", 422, "body.expires_at", "is not in the future"},
		{"an expiry moved to the past", "PATCH", "/assessments/1", `{"expires_at": ` + past + `}`, "", 422, "body.expires_at", "is not in the future"},
		{"an exception that ended", "POST", "/policy-exceptions", `{"registry": "main", "comment": "c", "expires_at": ` + past + `}`, "", 422, "body.expires_at", "future"},
		{"a key that ended", "POST", "/api-keys", `{"name": "k", "expires_at": ` + past + `}`, "", 422, "body.expires_at", "future"},

		{"an unknown kind of scope", "POST", "/assessments", `{"vulnerability": "CVE-2024-1", "type": "Ignore", "scope": {"kind": "planet"}}`, "", 422, "body.scope.kind", "registry"},
		{"an unknown registry", "POST", "/assessments", `{"vulnerability": "CVE-2024-1", "type": "Ignore", "scope": {"kind": "registry", "value": "none"}}`, "", 422, "body.scope.value", "none"},
		{"an unknown repository", "POST", "/assessments", `{"vulnerability": "CVE-2024-1", "type": "Ignore", "scope": {"kind": "repository", "value": "main/none"}}`, "", 422, "body.scope.value", "main/none"},
		{"an unknown image", "POST", "/assessments", `{"vulnerability": "CVE-2024-1", "type": "Ignore", "scope": {"kind": "image", "value": "sha256:` + strings.Repeat("0", 64) + `"}}`, "", 422, "body.scope.value", "sha256:000"},
		{"an unknown package", "POST", "/assessments", `{"vulnerability": "CVE-2024-1", "type": "Ignore", "scope": {"kind": "package", "value": "none"}}`, "", 422, "body.scope.value", "none"},
		{"an unknown type", "POST", "/assessments", `{"vulnerability": "CVE-2024-1", "type": "Shrug", "scope": {"kind": "everywhere"}}`, "", 422, "body.type", "Shrug"},
		{"an unknown type in a policy", "PATCH", "/policy", `{"block": ["Shrug"]}`, "", 422, "body.block[0]", "Shrug"},
		{"an exception for an unknown registry", "POST", "/policy-exceptions", `{"registry": "none", "comment": "c", "expires_at": "2027-01-01T00:00:00Z"}`, "", 422, "body.registry", "none"},

		{"a cron expression that never fires", "PATCH", "/schedules/expire-assessments", `{"cron": "0 0 31 2 *"}`, "", 422, "body.cron", "never due"},
		{"one that is none", "PATCH", "/schedules/expire-assessments", `{"cron": "61 * * * *"}`, "", 422, "body.cron", "61"},

		{"a type that assessments use", "DELETE", "/assessment-types/Ignore", "", "", 409, "", "1 live assessment"},
		{"a type that a policy uses, too", "DELETE", "/assessment-types/Accepted", "", "", 409, "", "polic"},
		{"a type replaced by itself", "DELETE", "/assessment-types/Ignore?replace_by=Ignore", "", "", 422, "query.replace_by", ""},

		{"an assessment that was edited", "PATCH", "/assessments/1", `{"comment": "mine"}`, stale, 412, "", "meanwhile"},
		{"an assessment that was edited, withdrawn", "DELETE", "/assessments/1", "", stale, 412, "", "meanwhile"},
		{"a type that was edited", "PATCH", "/assessment-types/Accepted", `{"description": "mine"}`, stale, 412, "", "meanwhile"},
		{"a source that was edited", "PATCH", "/vulnerability-sources/clair", `{"concurrency": 4}`, stale, 412, "", "meanwhile"},
		{"a source that was edited, deleted", "DELETE", "/vulnerability-sources/clair", "", stale, 412, "", "meanwhile"},
		{"the policy that was edited", "PATCH", "/policy", `{"grace_hours": 9}`, stale, 412, "", "meanwhile"},
		{"a registry's policy that was edited", "PATCH", "/registries/main/policy", `{"grace_hours": 9}`, stale, 412, "", "meanwhile"},
		{"a schedule that was edited", "PATCH", "/schedules/expire-assessments", `{"enabled": false}`, stale, 412, "", "meanwhile"},
		{"admission that was edited", "PATCH", "/admission", `{"unknown_images": "deny"}`, stale, 412, "", "meanwhile"},
		{"a webhook that was edited", "PUT", "/webhooks/hook", `{"kind": "webhook", "url": "https://hooks.example.com/mine"}`, stale, 412, "", "meanwhile"},
		{"settings that were edited", "PATCH", "/settings", `{"base_url": "https://mine.example.com"}`, stale, 412, "", "meanwhile"},

		{"a source without http", "POST", "/vulnerability-sources", source("ftp://clair.example.com"), "", 422, "body.url", "http"},
		{"a source in a file", "POST", "/vulnerability-sources", source("file:///etc/passwd"), "", 422, "body.url", "http"},
		{"a source without a scheme", "POST", "/vulnerability-sources", source("clair.example.com:6060"), "", 422, "body.url", "http"},
		{"a link-local source", "POST", "/vulnerability-sources", source("http://169.254.169.254/"), "", 422, "body.url", "169.254.169.254"},
		{"a link-local source of IPv6", "POST", "/vulnerability-sources", source("http://[fe80::1]:6060/"), "", 422, "body.url", "fe80::1"},
		{"a link-local source in disguise", "POST", "/vulnerability-sources", source("http://[::ffff:169.254.169.254]/"), "", 422, "body.url", "169.254.169.254"},
		{"a link-local source in one number", "POST", "/vulnerability-sources", source("http://2852039166/"), "", 422, "body.url", "2852039166"},
		{"a link-local source by host and port", "POST", "/vulnerability-sources", `{"name": "other", "extension": "clair-v1", "host": "169.254.169.254", "port": 80}`, "", 422, "body.host", "169.254.169.254"},
		{"a source that moves to a link-local address", "PATCH", "/vulnerability-sources/clair", `{"url": "http://169.254.1.1/", "authorization_header": null}`, "", 422, "body.url", "169.254.1.1"},
		{"a webhook without http", "POST", "/webhooks", `{"name": "other", "kind": "webhook", "url": "gopher://x"}`, "", 422, "body.url", "http"},

		{"a header with a line break", "POST", "/vulnerability-sources", `{"name": "other", "extension": "clair-v1", "url": "http://c:1", "authorization_header": ` + broken + `}`, "",
			422, "body.authorization_header", "line break"},
		{"a header that gets a line break", "PATCH", "/vulnerability-sources/clair", `{"authorization_header": ` + broken + `}`, "", 422, "body.authorization_header", "line break"},

		{"one bad line among a thousand", "POST", "/assessments/import?format=trivyignore", file, "", 422, "body.lines.777", "line 777"},
	}
	before := h.everything(t)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var header []string
			if test.ifMatch != "" {
				header = []string{"If-Match", test.ifMatch}
			}
			var body any
			if test.body != "" {
				body = test.body
			}
			r := h.send(t, test.method, test.path, body, admin, header...)
			var problem struct {
				Title, Detail string
				Status        int
				Errors        []struct{ Message, Location string }
			}
			if err := json.Unmarshal(r.body, &problem); err != nil || r.status != test.status || problem.Status != test.status ||
				!strings.HasPrefix(r.header.Get("Content-Type"), "application/problem+json") {
				t.Fatalf("%d, want %d: %s %s", r.status, test.status, r.header.Get("Content-Type"), r.body)
			}
			at, why := "", problem.Detail
			for _, e := range problem.Errors {
				if at, why = e.Location, e.Message; at == test.field {
					break
				}
			}
			if test.field != "" && at != test.field || !strings.Contains(why, test.reason) || why == "" {
				t.Errorf("it names %q: %q, want %q: %q\n%s", at, why, test.field, test.reason, r.body)
			}
			if strings.Contains(string(r.body), "Bearer x") || strings.Contains(string(r.body), "the-api-key") {
				t.Errorf("it repeats what is secret: %s", r.body)
			}
			if diff := cmp.Diff(before, h.everything(t)); diff != "" {
				t.Errorf("something has changed:\n%s", diff)
			}
		})
	}
	// The bad line is named, and all others are previewed.
	r := h.send(t, http.MethodPost, "/assessments/import?format=trivyignore&dry_run=true", file, admin)
	var preview api.ImportResult
	if err := json.Unmarshal(r.body, &preview); err != nil || r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	good := preview.Counts.New + preview.Counts.Replaces + preview.Counts.Waits + preview.Counts.Same
	if len(preview.Lines) != 1000 || preview.Counts.Bad != 1 || good != 999 || preview.Lines[776].Outcome != "bad" || preview.Lines[776].Line != 777 || preview.Preview == nil || preview.Applied {
		t.Errorf("the preview of a thousand lines: %+v, line 777 %+v", preview.Counts, preview.Lines[776])
	}
	if after := h.everything(t); after != before {
		t.Error("the preview changed something")
	}
}
