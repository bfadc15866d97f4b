// Package roles_test tries every route of the program by everyone who may have come
// there, against a table of the answers: a new route fails until it has a line.
package roles_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/pratique/pratique/internal/adapterapi"
	"github.com/pratique/pratique/internal/admission"
	"github.com/pratique/pratique/internal/auth/oidc"
	"github.com/pratique/pratique/internal/clairapi/clairv4"
	"github.com/pratique/pratique/internal/oci"
	"github.com/pratique/pratique/internal/progetapi"
	"github.com/pratique/pratique/test/program"
)

var update = flag.Bool("update", false, "write the table")

const (
	password = "change-me-please"
	golden   = "testdata/routes.txt"
)

// world is a running program with an image in main, and everyone.
type world struct {
	t      *testing.T
	p      *program.Program
	client *http.Client
	digest string
	// keys are what callers send as Bearer tokens, by column.
	keys map[string]string
}

// columns are who calls. All but the last four have a role in the registry main.
var columns = []string{"anonymous", "nothing", "read", "publish", "assess", "administer", "administrator", "robot", "elsewhere", "limited"}

// as sends a request, and returns the status and the answer.
func (w *world) as(who, method, url, contentType, body string) (int, []byte) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	switch who {
	case "anonymous":
	case "root":
		req.SetBasicAuth("admin", password)
	default:
		req.Header.Set("Authorization", "Bearer "+w.keys[who])
	}
	res, err := w.client.Do(req)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, url, err)
	}
	defer res.Body.Close()
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return res.StatusCode, nil // which has no end
	}
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, url, err)
	}
	return res.StatusCode, answer
}

// rest makes a request of the REST interface that must succeed.
func (w *world) rest(who, method, path string, body any, into any) {
	w.t.Helper()
	text := ""
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			w.t.Fatal(err)
		}
		text = string(encoded)
	}
	status, answer := w.as(who, method, w.p.URL+"/api/v1"+path, "application/json", text)
	if status >= 300 {
		w.t.Fatalf("%s %s: %d %s", method, path, status, answer)
	}
	if into != nil {
		if err := json.Unmarshal(answer, into); err != nil {
			w.t.Fatal(err)
		}
	}
}

type object = map[string]any

func newWorld(t *testing.T) *world {
	t.Helper()
	p, err := program.Start(&program.Clock{}, slog.New(slog.DiscardHandler), t.TempDir(), password, "--clair-require-key", "--feeds-mirror", t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, p: p, client: &http.Client{Timeout: 30 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, keys: map[string]string{}}
	w.rest("root", "POST", "/registries", object{"name": "other"}, nil)
	for _, role := range []string{"nothing", "read", "publish", "assess", "administer"} {
		w.rest("root", "POST", "/users", object{"name": role, "password": password}, nil)
		if role != "nothing" {
			w.rest("root", "POST", "/registries/main/roles", object{"role": role, "to": object{"kind": "user", "name": role}}, nil)
		}
		req, err := http.NewRequestWithContext(t.Context(), "POST", p.URL+"/api/v1/api-keys", strings.NewReader(`{"name":"test"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		req.SetBasicAuth(role, password)
		res, err := w.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		var made struct{ Key string }
		if err := json.NewDecoder(res.Body).Decode(&made); err != nil || made.Key == "" {
			t.Fatalf("key of %s: %d %v", role, res.StatusCode, err)
		}
		res.Body.Close()
		w.keys[role] = made.Key
	}
	var made struct{ Key, Secret string }
	w.rest("root", "POST", "/api-keys", object{"name": "all"}, &made)
	w.keys["administrator"] = made.Key
	w.rest("root", "POST", "/api-keys", object{"name": "other", "scope": []object{{"role": "administer", "registry": "other"}}}, &made)
	w.keys["elsewhere"] = made.Key
	w.rest("root", "POST", "/api-keys", object{"name": "main", "scope": []object{{"role": "read", "registry": "main"}}}, &made)
	w.keys["limited"] = made.Key
	w.rest("root", "POST", "/robots", object{"name": "ci", "registry": "main", "roles": []object{{"role": "publish", "registry": "main"}}}, &made)
	w.keys["robot"] = made.Secret
	w.digest = w.push("root", "main/app", "1")
	return w
}

const manifestType = "application/vnd.oci.image.manifest.v1+json"

// push stores an image without layers and returns its digest.
func (w *world) push(who, name, tag string) string {
	w.t.Helper()
	config := `{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`
	of := digest.FromString(config).String()
	if status, answer := w.as(who, "POST", w.p.URL+"/v2/"+name+"/blobs/uploads/?digest="+of, "application/octet-stream", config); status != http.StatusCreated {
		w.t.Fatalf("push of a blob: %d %s", status, answer)
	}
	manifest := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[]}`, manifestType, of, len(config))
	if status, answer := w.as(who, "PUT", w.p.URL+"/v2/"+name+"/manifests/"+tag, manifestType, manifest); status != http.StatusCreated {
		w.t.Fatalf("push of a manifest: %d %s", status, answer)
	}
	return digest.FromString(manifest).String()
}

// bodies are sent where the operation looks itself at who may do what the body asks.
var bodies = map[string]string{
	"POST /promotions":         `{"from": {"registry": "main", "repository": "app", "tag": "none"}, "to": {"registry": "main", "tag": "x"}}`,
	"POST /promotions/preview": `{"from": {"registry": "main", "repository": "app", "tag": "1"}, "to": {"registry": "main", "tag": "x"}}`,

	"POST /assessments":            `{"vulnerability":"CVE-2026-0001","type":"Ignore","scope":{"kind":"registry","value":"main"}}`,
	"POST /assessments/bulk":       `{"vulnerability":"CVE-2026-0001","type":"Ignore","scope":{"kind":"registry","value":"main"}}`,
	"POST /assessments/preview":    `{"vulnerability":"CVE-2026-0001","type":"Ignore","scope":{"kind":"registry","value":"main"}}`,
	"POST /robots":                 `{"name":"ROLE","registry":"main","roles":[{"role":"read","registry":"main"}]}`,
	"POST /policy/preview":         `{"registry":"main","policy":{"grace_hours":1}}`,
	"PATCH /registries/{registry}": `{"description":"changed"}`,
	"POST /session":                `{"name":"nobody","password":"wrong-password"}`,
	"POST /api-keys":               `{"name":"x"}`,
}

// queries are added to paths that want one.
var queries = map[string]string{"GET /policy/verdict": "?image=main/app:1"}

type route struct {
	line, method, url, contentType, body string
}

// routes are all of them: those of the REST interface from its description, those of
// the registry from its handler.
func (w *world) routes() (all []route) {
	w.t.Helper()
	status, text := w.as("anonymous", "GET", w.p.URL+"/api/v1/openapi.json", "", "")
	var described struct {
		Paths map[string]map[string]struct {
			RequestBody *struct{} `json:"requestBody"`
		}
	}
	if err := json.Unmarshal(text, &described); err != nil || len(described.Paths) < 50 {
		w.t.Fatalf("description: %d %v", status, err)
	}
	fill := strings.NewReplacer("{registry}", "main", "{repository}", "app", "{digest}", w.digest, "{source}", "none", "{user}", "999999",
		"{id}", "999999", "{name}", "none", "{reference}", "1", "{upload}", "00000000-0000-4000-8000-000000000000")
	for path, operations := range described.Paths {
		for method, op := range operations {
			name := strings.ToUpper(method) + " " + path
			r := route{line: strings.ToUpper(method) + " /api/v1" + path, method: strings.ToUpper(method), url: w.p.URL + "/api/v1" + fill.Replace(path) + queries[name]}
			if name == "DELETE /registries/{registry}/repositories/{repository}" {
				r.url = strings.Replace(r.url, "/app", "/none", 1) // the others are to find it
			}
			if op.RequestBody != nil {
				r.contentType, r.body = "application/json", "{}"
				if body := bodies[name]; body != "" {
					r.body = body
				}
			}
			all = append(all, r)
		}
	}
	v2 := strings.NewReplacer("{name}", "main/app", "{digest}", digest.FromString("nothing").String(), "{reference}", "2", "{upload}", "00000000-0000-4000-8000-000000000000")
	for _, line := range oci.Routes() {
		method, path, _ := strings.Cut(line, " ")
		all = append(all, route{line: line, method: method, url: w.p.URL + v2.Replace(path)})
	}
	for _, line := range []string{"GET /v2/_auth", "GET " + oidc.StartPath, "GET " + oidc.CallbackPath, "GET /", "GET /api/v1/openapi.json", "POST " + admission.Path, "POST " + admission.Path + "/token",
		"POST /api/sca/assess", "POST /api/sca/audit-package-vulns"} {
		method, path, _ := strings.Cut(line, " ")
		all = append(all, route{line: line, method: method, url: w.p.URL + path, contentType: "application/json", body: "{}"})
	}
	for _, path := range progetapi.Paths() {
		all = append(all, route{line: "GET " + path, method: "GET", url: w.p.URL + path})
	}
	for _, path := range append(append([]string{"/v1/namespaces", "/v1/metrics"}, clairv4.Paths()...), adapterapi.Paths()...) {
		all = append(all, route{line: "clair GET " + path, method: "GET", url: w.p.Clair + path})
	}
	for _, path := range []string{"/health", "/healthz", "/readyz", "/metrics"} {
		all = append(all, route{line: "health GET " + path, method: "GET", url: w.p.Health + path})
	}
	slices.SortFunc(all, func(a, b route) int { return strings.Compare(a.line, b.line) })
	return all
}

func TestRoutes(t *testing.T) {
	w := newWorld(t)
	var table bytes.Buffer
	fmt.Fprintf(&table, "%-78s %s\n", "# refresh with go test ./test/roles -update, and read what changes", strings.Join(columns, " "))
	for _, r := range w.routes() {
		answers := make([]string, len(columns))
		for i, who := range columns {
			status, _ := w.as(who, r.method, r.url, r.contentType, strings.ReplaceAll(r.body, "ROLE", who))
			answers[i] = fmt.Sprintf("%*d", len(who), status)
		}
		fmt.Fprintf(&table, "%-78s %s\n", r.line, strings.Join(answers, " "))
	}
	if *update {
		if err := os.WriteFile(golden, table.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), table.String()); diff != "" {
		t.Errorf("%s (-want +got; -update writes it): %s", golden, diff)
	}
}

// TestLists: lists show what one may read, and no more.
func TestLists(t *testing.T) {
	w := newWorld(t)
	w.push("root", "other/tool", "1")
	names := func(who, path, member string) string {
		t.Helper()
		var list struct{ Items []map[string]any }
		w.rest(who, "GET", path, nil, &list)
		all := []string{}
		for _, item := range list.Items {
			all = append(all, fmt.Sprint(item[member]))
		}
		return strings.Join(all, " ")
	}
	catalog := func(who string) string {
		t.Helper()
		var list struct{ Repositories []string }
		status, answer := w.as(who, "GET", w.p.URL+"/v2/_catalog", "", "")
		if err := json.Unmarshal(answer, &list); err != nil {
			t.Fatalf("%d %v", status, err)
		}
		return strings.Join(list.Repositories, " ")
	}
	for who, want := range map[string][2]string{
		"administrator": {"main other", "main/app other/tool"}, "read": {"main", "main/app"}, "robot": {"main", "main/app"},
		"elsewhere": {"other", "other/tool"}, "nothing": {"", ""},
	} {
		if got := names(who, "/registries", "name"); got != want[0] {
			t.Errorf("registries of %s: %s", who, got)
		}
		if got := catalog(who); got != want[1] {
			t.Errorf("catalog of %s: %s", who, got)
		}
	}
	// The same image is in both: of the other place nobody learns.
	var image struct {
		Places []struct{ Registry string } `json:"places"`
		Policy struct {
			Verdicts []struct{ Registry string }
		}
	}
	w.rest("read", "GET", "/images/"+w.digest, nil, &image)
	if len(image.Places) != 1 || image.Places[0].Registry != "main" || len(image.Policy.Verdicts) != 1 {
		t.Errorf("the image is shown at %+v", image)
	}
	for _, path := range []string{"/vulnerabilities?registry=other", "/vulnerabilities?repository=other/tool"} {
		if status, answer := w.as("read", "GET", w.p.URL+"/api/v1"+path, "", ""); status != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", path, status, answer)
		}
	}
	var stats struct{ Registries, Repositories, Tags int }
	w.rest("read", "GET", "/stats", nil, &stats)
	if stats.Registries != 1 || stats.Repositories != 1 || stats.Tags != 1 {
		t.Errorf("stats %+v", stats)
	}
	if got := names("administer", "/registries/main/roles", "role"); got != "publish administer assess publish read" {
		t.Errorf("roles %s", got)
	}
}

// TestNobodyGivesMoreThanTheyHave: who administers a registry gives roles there alone.
func TestNobodyGivesMoreThanTheyHave(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name, who, path, body string
		want                  int
	}{
		{"a role in the registry", "administer", "/registries/main/roles", `{"role":"administer","to":{"kind":"user","name":"nothing"}}`, 201},
		{"the same again", "administer", "/registries/main/roles", `{"role":"administer","to":{"kind":"user","name":"nothing"}}`, 409},
		{"a role everywhere", "administer", "/roles", `{"role":"read","to":{"kind":"user","name":"nothing"}}`, 403},
		{"a role elsewhere", "administer", "/registries/other/roles", `{"role":"read","to":{"kind":"user","name":"nothing"}}`, 404},
		{"to nobody", "administer", "/registries/main/roles", `{"role":"read","to":{"kind":"user","name":"<b>\u202e"}}`, 422},
		{"to control characters", "administer", "/registries/main/roles", `{"role":"read","to":{"kind":"user","name":"a\u001b[2J"}}`, 422},
		{"no role", "administer", "/registries/main/roles", `{"role":"owner","to":{"kind":"user","name":"nothing"}}`, 422},
		{"a robot of all", "administer", "/robots", `{"name":"all","roles":[{"role":"read"}]}`, 403},
		{"a robot that reaches out", "administer", "/robots", `{"name":"out","registry":"main","roles":[{"role":"read","registry":"other"}]}`, 422},
		{"a robot everywhere", "administer", "/robots", `{"name":"out","registry":"main","roles":[{"role":"read"}]}`, 422},
		{"a robot with a path", "administer", "/robots", `{"name":"../x","registry":"main","roles":[{"role":"read","registry":"main"}]}`, 422},
		{"a key beyond", "read", "/api-keys", `{"name":"x","scope":[{"role":"publish","registry":"main"}]}`, 422},
		{"a key elsewhere", "read", "/api-keys", `{"name":"x","scope":[{"role":"read","registry":"other"}]}`, 422},
		{"a key within", "read", "/api-keys", `{"name":"x","scope":[{"role":"read","registry":"main"}]}`, 201},
		{"a key by a limited key", "limited", "/api-keys", `{"name":"x"}`, 403},
		{"a user like a robot", "administrator", "/users", `{"name":"robot+ci","password":"long enough"}`, 422},
		{"a group with a control character", "administrator", "/groups", `{"name":"a\u0007"}`, 422},
		{"a group of markup", "administrator", "/groups", `{"name":"<script>alert(1)</script>"}`, 422},
	} {
		if status, answer := w.as(test.who, "POST", w.p.URL+"/api/v1"+test.path, "application/json", test.body); status != test.want {
			t.Errorf("%s: %d %s", test.name, status, answer)
		}
	}
}

// TestRobotIsDeletedInTheMiddle: a push by a robot that is deleted meanwhile is refused
// at its next request, by its token too; what is stored stays.
func TestRobotIsDeletedInTheMiddle(t *testing.T) {
	w := newWorld(t)
	req, err := http.NewRequestWithContext(t.Context(), "GET", w.p.URL+"/v2/_auth?scope=repository:main/app:pull,push,delete&scope=repository:other/x:pull", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("robot+ci", w.keys["robot"])
	res, err := w.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var token struct{ Token string }
	if err := json.NewDecoder(res.Body).Decode(&token); err != nil || token.Token == "" {
		t.Fatalf("token: %d %v", res.StatusCode, err)
	}
	w.keys["token"] = token.Token
	w.push("token", "main/app", "2")
	// What was asked for, but not granted, is not in the token.
	for path, want := range map[string]int{"DELETE /v2/main/app/manifests/2": 401, "GET /v2/other/x/tags/list": 401, "GET /v2/main/app/tags/list": 200} {
		method, path, _ := strings.Cut(path, " ")
		if status, answer := w.as("token", method, w.p.URL+path, "", ""); status != want {
			t.Errorf("%s %s by the token: %d %s", method, path, status, answer)
		}
	}
	req, err = http.NewRequestWithContext(t.Context(), "POST", w.p.URL+"/v2/main/app/blobs/uploads/", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.Token)
	started, err := w.client.Do(req)
	if err != nil || started.StatusCode != http.StatusAccepted {
		t.Fatalf("upload: %v, %v", started, err)
	}
	started.Body.Close()
	upload := w.p.URL + started.Header.Get("Location")
	if status, answer := w.as("token", "PATCH", upload, "application/octet-stream", "half"); status != http.StatusAccepted {
		t.Fatalf("the first half: %d %s", status, answer)
	}
	var robots struct{ Items []struct{ ID int } }
	w.rest("administer", "GET", "/robots", nil, &robots)
	w.rest("administer", "DELETE", fmt.Sprintf("/robots/%d", robots.Items[0].ID), nil, nil)
	for _, who := range []string{"token", "robot"} {
		if status, answer := w.as(who, "PATCH", upload, "application/octet-stream", "half"); status != http.StatusUnauthorized {
			t.Errorf("the second half by the %s: %d %s", who, status, answer)
		}
	}
	if status, answer := w.as("read", "GET", w.p.URL+"/v2/main/app/tags/list", "", ""); status != http.StatusOK || !strings.Contains(string(answer), `["1","2"]`) {
		t.Errorf("afterwards: %d %s", status, answer)
	}
}
