package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/advisory"
	"github.com/pratique/pratique/internal/advisory/feed"
	"github.com/pratique/pratique/internal/api"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/match"
)

// described is an operation as the OpenAPI document has it.
type described struct {
	method, path string
	parameters   []struct {
		In     string `json:"in"`
		Name   string `json:"name"`
		Schema struct {
			Type any `json:"type"`
		} `json:"schema"`
	}
	body, administrators bool
}

func (d described) String() string { return d.method + " " + d.path }

// has reports whether the operation has a parameter.
func (d described) has(in, name string) bool {
	for _, p := range d.parameters {
		if p.In == in && p.Name == name {
			return true
		}
	}
	return false
}

// operations reads the description, so that no operation is forgotten.
func operations(t *testing.T) []described {
	t.Helper()
	var document struct {
		Paths map[string]map[string]struct {
			Description string          `json:"description"`
			Body        json.RawMessage `json:"requestBody"`
			Parameters  json.RawMessage `json:"parameters"`
		} `json:"paths"`
	}
	if err := json.Unmarshal(description(t), &document); err != nil {
		t.Fatal(err)
	}
	var list []described
	for path, methods := range document.Paths {
		for method, op := range methods {
			d := described{method: strings.ToUpper(method), path: path, body: len(op.Body) > 0,
				administrators: forFew.MatchString(op.Description)}
			if len(op.Parameters) > 0 {
				if err := json.Unmarshal(op.Parameters, &d.parameters); err != nil {
					t.Fatal(err)
				}
			}
			list = append(list, d)
		}
	}
	slices.SortFunc(list, func(a, b described) int { return strings.Compare(a.String(), b.String()) })
	if len(list) < 30 {
		t.Fatalf("only %d operations", len(list))
	}
	return list
}

// forFew ends the descriptions of what a user who maintains everything may not do.
// Where that is about an image, what does not exist comes first.
var forFew = regexp.MustCompile(`For administrators\.$|For who may administer (the registry|all registries)\.$`)

// nothing is a path to things that do not exist: well-formed, and unknown.
var nothing = map[string]string{
	"id": "999999", "name": "none", "digest": "sha256:" + strings.Repeat("0", 64), "registry": "none", "repository": "none", "user": "999999",
}

func (d described) fill(values map[string]string) string {
	path := d.path
	for name, value := range values {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	return path
}

// caller sends requests with API keys, which are cheap to check.
type caller struct {
	*harbour
	keys map[string]string
}

func newCaller(t *testing.T) caller {
	t.Helper()
	c := caller{newHarbour(t), make(map[string]string)}
	users := auth.New(c.store, auth.Options{Now: c.clock.Now})
	list, err := users.Users(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range list {
		if _, c.keys[u.Name], err = users.CreateKey(t.Context(), auth.Principal{UserID: u.ID}, auth.NewKey{Name: "test"}); err != nil {
			t.Fatal(err)
		}
	}
	c.server.Client().Timeout = 10 * time.Second
	// A path with dots leads to another resource, which is none of the test's business.
	c.server.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

func (c caller) ask(t *testing.T, method, path, contentType string, body []byte, who string) response {
	t.Helper()
	var content io.Reader
	if body != nil {
		content = bytes.NewReader(body)
	}
	request, err := http.NewRequestWithContext(t.Context(), method, c.server.URL+api.Prefix+path, content)
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		request.Header.Set("Content-Type", contentType)
	}
	if who != nobody {
		request.Header.Set("Authorization", "Bearer "+c.keys[who])
	}
	answer, err := c.server.Client().Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return response{answer.StatusCode, answer.Header, text}
}

var inside = regexp.MustCompile(`(?i)select |insert |sqlite|postgres|pgx|constraint|goroutine|\.go:|panic|runtime error|internal/`)

// refused checks that an answer is a problem with one of the statuses that says
// nothing about the inside.
func refused(t *testing.T, what string, r response, statuses ...int) {
	t.Helper()
	if !slices.Contains(statuses, r.status) {
		t.Errorf("%s: %d, want %v: %s", what, r.status, statuses, r.body)
		return
	}
	var problem struct {
		Status int    `json:"status"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
	}
	if err := json.Unmarshal(r.body, &problem); err != nil || problem.Status != r.status || problem.Detail == "" {
		t.Errorf("%s: %s is no problem: %v", what, r.body, err)
	}
	if kind := r.header.Get("Content-Type"); kind != "application/problem+json" {
		t.Errorf("%s: content type %q", what, kind)
	}
	if said := inside.Find(r.body); said != nil {
		t.Errorf("%s: tells %q: %s", what, said, r.body)
	}
}

func TestEveryOperationAsksWhoCalls(t *testing.T) {
	c := newCaller(t)
	c.keys["stranger"] = "pq_0000000000000000000000000000000000000000"
	for _, op := range operations(t) {
		if op.path == "/session" { // by which one signs in
			continue
		}
		for _, who := range []string{nobody, "stranger"} {
			c.clock.Advance(time.Minute) // strangers are throttled
			r := c.ask(t, op.method, op.fill(nothing), "application/json", []byte("{}"), who)
			refused(t, fmt.Sprintf("%s by %q", op, who), r, http.StatusUnauthorized)
			if r.header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s: no challenge", op)
			}
		}
		if op.path == "/events" { // that has no end
			continue
		}
		r := c.ask(t, op.method, op.fill(nothing), "application/json", []byte("{}"), user)
		switch {
		case op.administrators:
			refused(t, op.String()+" by a user", r, http.StatusForbidden)
		case r.status == http.StatusForbidden && op.String() != "PATCH /users/{id}":
			t.Errorf("%s by a user: %s", op, r.body)
		}
	}
}

func TestEveryOperationRefusesBadBodies(t *testing.T) {
	c := newCaller(t)
	const secret = "correct horse battery"
	bodies := []struct {
		name, contentType, body string
		statuses                []int
	}{
		{"nothing", "application/json", "", []int{400, 422}},
		{"no JSON", "application/json", "name=x", []int{400, 422}},
		{"cut JSON", "application/json", `{"name": "x`, []int{400, 422}},
		{"two values", "application/json", `{} {}`, []int{400, 422}},
		{"a list", "application/json", `[]`, []int{400, 422}},
		{"null", "application/json", `null`, []int{400, 422}},
		{"a number", "application/json", `7`, []int{400, 422}},
		{"an unknown field", "application/json", `{"password": "` + secret + `", "colour_of_the_sky": 1}`, []int{400, 422}},
		{"wrong types", "application/json", `{"name": {"a": 1}, "type": [], "password": ["` + secret + `"], "administrator": "yes", "blocks": 7, "anonymous_pull": 3, "cron": {}, "policy": 1, "scope": 1, "vulnerability": 1}`, []int{400, 422}},
		{"deep nesting", "application/json", strings.Repeat(`{"policy":`, 10_000), []int{400, 422}},
		{"bad UTF-8", "application/json", "{\"name\": \"\xff\xfe\", \"colour\": 1}", []int{400, 422}},
		{"too much", "application/json", `{"name": "` + strings.Repeat("x", 1<<20) + `"}`, []int{400, 413, 422}},
		{"a form", "application/x-www-form-urlencoded", "name=x", []int{400, 415, 422}},
		{"XML", "application/xml", "<name/>", []int{400, 415, 422}},
	}
	for _, op := range operations(t) {
		if !op.body {
			continue
		}
		for _, b := range bodies {
			r := c.ask(t, op.method, op.fill(nothing), b.contentType, []byte(b.body), admin)
			what := fmt.Sprintf("%s with %s", op, b.name)
			refused(t, what, r, append(b.statuses, http.StatusNotFound)...)
			if bytes.Contains(r.body, []byte(secret)) {
				t.Errorf("%s: the password is said again: %s", what, r.body)
			}
		}
	}
}

func TestEveryOperationRefusesBadPathsAndPages(t *testing.T) {
	c := newCaller(t)
	for _, op := range operations(t) {
		if op.path != op.fill(nothing) && !op.body {
			refused(t, op.String()+" of nothing", c.ask(t, op.method, op.fill(nothing), "", nil, admin), http.StatusNotFound)
		}
		bad := map[string][]string{
			"id":         {"0", "-1", "99999999999999999999", "1e3", "x", "1%00", "1'--"},
			"digest":     {"sha256:short", "md5:" + strings.Repeat("0", 32), "..%2f..", "%00", strings.Repeat("a", 5000)},
			"name":       {"%00", "..%2f..%2fetc", "%3Cscript%3E", "a'%20or%201=1--", strings.Repeat("n", 3000), "%ff"},
			"registry":   {"..", "%2e%2e%2f", "UPPER", "%00", "a'%20or%201=1--", strings.Repeat("r", 3000), "%ff"},
			"repository": {"..%2f..", "%00", "a%0ab", "A", strings.Repeat("r", 3000), "%ff"},
		}
		for name, values := range bad {
			if !strings.Contains(op.path, "{"+name+"}") {
				continue
			}
			for _, value := range values {
				others := make(map[string]string)
				for k, v := range nothing {
					others[k] = v
				}
				others[name] = value
				var body []byte
				if op.body {
					body = []byte("{}")
				}
				r := c.ask(t, op.method, op.fill(others), "application/json", body, admin)
				if r.status/100 == 3 { // the mux cleans paths
					continue
				}
				refused(t, fmt.Sprintf("%s with %s %q", op, name, clipped(value)), r, 400, 404, 405, 422)
			}
		}
		for name, values := range map[string][]string{
			"page_size":  {"-1", "1000000", "x", "1.5", "99999999999999999999"},
			"page_token": {"x", "%00", strings.Repeat("A", 5000), "eyJhIjoxfQ", "'%20or%201=1"},
			"severity":   {"terrible", "%00"},
		} {
			if !op.has("query", name) || strings.Contains(op.path, "{") {
				continue
			}
			for _, value := range values {
				r := c.ask(t, op.method, op.path+"?"+name+"="+value, "", nil, admin)
				refused(t, fmt.Sprintf("%s?%s=%s", op, name, clipped(value)), r, 400, 422)
			}
		}
	}
}

func clipped(s string) string { return s[:min(len(s), 40)] }

// TestBadValues are of requests that are well-formed and make no sense.
func TestBadValues(t *testing.T) {
	c := newCaller(t)
	group := advisory.Group{Name: "musl", Advisories: []advisory.Advisory{{
		Ecosystem: "alpine:v3.20", Package: "musl", Vulnerability: "CVE-2026-1", Status: advisory.Affected, Fixed: "2",
	}}}
	if err := c.store.ReplaceAdvisories(t.Context(), "test", "part", []feed.Entry{{Group: group}}, nil, match.Package); err != nil {
		t.Fatal(err)
	}
	assessment := func(change string) string {
		values := map[string]any{"vulnerability": "CVE-2026-1", "type": "Ignore", "scope": map[string]any{"kind": "everywhere"}, "comment": "c"}
		var changes map[string]any
		if err := json.Unmarshal([]byte(change), &changes); err != nil {
			t.Fatal(err)
		}
		for k, v := range changes {
			values[k] = v
		}
		text, err := json.Marshal(values)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	tests := []struct {
		method, path, body string
		statuses           []int
		says               string
	}{
		{"POST", "/registries", `{"name": ""}`, []int{422}, "name"},
		{"POST", "/registries", `{"name": "Upper"}`, []int{422}, "name"},
		{"POST", "/registries", `{"name": "../etc"}`, []int{422}, "name"},
		{"POST", "/registries", `{"name": "a\u0000b"}`, []int{400}, "name"},
		{"POST", "/registries", `{"name": "<b>"}`, []int{422}, "name"},
		{"POST", "/registries", `{"name": "` + strings.Repeat("a", 300) + `"}`, []int{422}, "name"},
		{"POST", "/users", `{"name": "", "password": "long enough"}`, []int{422}, "name"},
		{"POST", "/users", `{"name": "a b\n", "password": "long enough"}`, []int{422}, "name"},
		{"POST", "/users", `{"name": "short", "password": "x"}`, []int{422}, "password"},
		{"POST", "/users", `{"name": "` + admin + `", "password": "long enough password"}`, []int{409}, admin},
		{"POST", "/assessments", assessment(`{"type": "Shrug"}`), []int{404, 422}, "Shrug"},
		{"POST", "/assessments", assessment(`{"scope": {"kind": "planet"}}`), []int{422}, "scope"},
		{"POST", "/assessments", assessment(`{"scope": {"kind": "registry", "value": "none"}}`), []int{404, 422}, "none"},
		{"POST", "/assessments", assessment(`{"scope": {"kind": "registry"}}`), []int{422}, "scope"},
		{"POST", "/assessments", assessment(`{"expires_at": "2001-01-01T00:00:00Z"}`), []int{422}, "expires_at"},
		{"POST", "/assessments", assessment(`{"expires_at": "tomorrow"}`), []int{422}, "expires_at"},
		{"POST", "/assessments", assessment(`{"expires_at": "99999-01-01T00:00:00Z"}`), []int{422}, "expires_at"},
		{"POST", "/assessments", assessment(`{"vulnerability": ""}`), []int{422}, "vulnerability"},
		{"POST", "/assessments", assessment(`{"vulnerability": "CVE-0000-0"}`), []int{404, 422}, "CVE-0000-0"},
		{"POST", "/assessment-types", `{"name": ""}`, []int{422}, "name"},
		{"POST", "/assessment-types", `{"name": "Block"}`, []int{409, 422}, ""},
		{"POST", "/api-keys", `{"name": "k", "expires_at": "2001-01-01T00:00:00Z"}`, []int{422}, "expires_at"},
		{"PATCH", "/schedules/expire-assessments", `{"cron": "every day"}`, []int{422}, "every day"},
		{"PATCH", "/schedules/expire-assessments", `{"cron": "99 * * * *"}`, []int{422}, "99"},
		{"PATCH", "/schedules/expire-assessments", `{"cron": "0 0 30 2 *"}`, []int{422}, "never due"},
		{"PATCH", "/schedules/expire-assessments", `{"cron": "* * * * *", "time_zone": "Mars/Olympus"}`, []int{422}, "body.time_zone"},
		{"PATCH", "/schedules/none", `{"enabled": false}`, []int{404}, "none"},
		{"POST", "/jobs/999/cancel", ``, []int{404}, "999"},
		{"GET", "/jobs/999/log", ``, []int{404}, "999"},
		{"GET", "/vulnerabilities?sort=shoe-size", ``, []int{422}, "query.sort"},
		{"GET", "/vulnerabilities?order=up", ``, []int{422}, "query.order"},
		{"GET", "/vulnerabilities?severity=awful", ``, []int{422}, "query.severity"},
		{"GET", "/vulnerabilities?cvss_from=11", ``, []int{422}, "query.cvss_from"},
		{"GET", "/vulnerabilities?epss_from=2", ``, []int{422}, "query.epss_from"},
		{"GET", "/vulnerabilities?exploited=perhaps", ``, []int{422}, "query.exploited"},
		{"GET", "/vulnerabilities?state=shrug", ``, []int{422}, "query.state"},
		{"GET", "/vulnerabilities?state=expired,unassessed", ``, []int{422}, "query.state"},
		{"GET", "/vulnerabilities?registry=none", ``, []int{422}, "query.registry"},
		{"GET", "/vulnerabilities?repository=none", ``, []int{422}, "query.repository"},
		{"GET", "/vulnerabilities?repository=main/none", ``, []int{422}, "query.repository"},
		{"GET", "/vulnerabilities?source=none", ``, []int{422}, "query.source"},
		{"GET", "/vulnerabilities?first_seen_since=today", ``, []int{422}, "query.first_seen_since"},
		{"GET", "/vulnerabilities?first_seen_since=2026-01-02T00:00:00Z&first_seen_before=2026-01-01T00:00:00Z", ``, []int{422}, "query.first_seen_before"},
		{"POST", "/assessments/bulk", `{"filter": {"source": "none"}, "type": "Ignore", "scope": {"kind": "everywhere"}}`, []int{422}, "body.filter.source"},
		{"GET", "/assessments?sort=mood", ``, []int{422}, "query.sort"},
		{"GET", "/audit-log?since=ever", ``, []int{422}, "query.since"},
		{"GET", "/jobs?order=up", ``, []int{422}, "query.order"},
		{"GET", "/jobs?state=lost", ``, []int{422}, "state"},
		{"GET", "/events?topics=weather", ``, []int{422}, "topics"},
		{"POST", "/jobs/none/run", ``, []int{404}, "none"},
		{"POST", "/feeds/none/update", ``, []int{404}, "none"},
	}
	for _, test := range tests {
		var body []byte
		if test.body != "" {
			body = []byte(test.body)
		}
		r := c.ask(t, test.method, test.path, "application/json", body, admin)
		what := test.method + " " + test.path + " " + clipped(test.body)
		refused(t, what, r, test.statuses...)
		if !strings.Contains(string(r.body), test.says) {
			t.Errorf("%s: %s does not say %q", what, r.body, test.says)
		}
	}
	create := func() response {
		return c.ask(t, "POST", "/registries", "application/json", []byte(`{"name": "twice"}`), admin)
	}
	if r := create(); r.status != http.StatusCreated {
		t.Fatalf("%d %s", r.status, r.body)
	}
	again := create()
	refused(t, "the same registry again", again, http.StatusConflict)
	if !strings.Contains(string(again.body), "twice") {
		t.Errorf("the refusal does not name the registry: %s", again.body)
	}
}
