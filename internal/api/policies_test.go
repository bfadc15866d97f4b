package api_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/oci/registry"
)

// as decodes an answer that has the status.
func as[T any](t *testing.T, r response, status int) (v T) {
	t.Helper()
	if r.status != status {
		t.Fatalf("%d, want %d: %s", r.status, status, r.body)
	}
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
	return v
}

type policyDocument struct {
	Settings  map[string]any
	Effective map[string]any
	From      map[string]string
	Version   int
}

func TestPolicyIsInherited(t *testing.T) {
	h := newHarbour(t)
	as[map[string]any](t, h.send(t, "POST", "/registries", `{"name": "main", "policy": {"grace_hours": 4}}`, admin), http.StatusCreated)
	check := func(what, path, field string, effective any, from string) {
		t.Helper()
		got := as[policyDocument](t, h.send(t, "GET", path, nil, user), http.StatusOK)
		if got.Effective[field] != effective || got.From[field] != from {
			t.Errorf("%s: %s is %v from %s, want %v from %s", what, field, got.Effective[field], got.From[field], effective, from)
		}
	}
	check("new", "/policy", "block_unassessed_from", nil, "default")
	check("new", "/registries/main/policy", "block_unassessed_from", nil, "default")
	check("as it was made", "/registries/main/policy", "grace_hours", 4.0, "registry")
	as[policyDocument](t, h.send(t, "PATCH", "/policy", `{"block_unassessed_from": "high", "grace_hours": 24, "warn": ["Caution"], "refusal": "unknown"}`, admin), http.StatusOK)
	check("inherited", "/registries/main/policy", "block_unassessed_from", "high", "global")
	check("inherited", "/registries/main/policy", "refusal", "unknown", "global")
	check("its own", "/registries/main/policy", "grace_hours", 4.0, "registry")

	// What the design fixes keeps working.
	r := as[struct{ Policy map[string]any }](t, h.send(t, "PATCH", "/registries/main",
		`{"policy": {"block": ["Caution"], "block_unassessed_from": "critical", "grace_hours": 0}}`, admin), http.StatusOK)
	if got, want := r.Policy["block"].([]any), "Caution"; len(got) != 1 || got[0] != want || r.Policy["block_unassessed_from"] != "critical" || r.Policy["grace_hours"] != 0.0 {
		t.Errorf("got %v", r.Policy)
	}
	as[any](t, h.send(t, "PATCH", "/registries/main", `{"policy": {"block_unassessed_from": null, "grace_hours": null, "block": null}}`, admin), http.StatusOK)
	check("given back", "/registries/main/policy", "block_unassessed_from", "high", "global")
	check("given back", "/registries/main/policy", "grace_hours", 24.0, "global")
	as[any](t, h.send(t, "PATCH", "/registries/main/policy", `{"block_unassessed_from": "never"}`, admin), http.StatusOK)
	check("never", "/registries/main/policy", "block_unassessed_from", nil, "registry")
	as[any](t, h.send(t, "PATCH", "/policy", `{"block_unassessed_from": null}`, admin), http.StatusOK)
	check("default again", "/policy", "block_unassessed_from", nil, "default")

	list := as[struct {
		Items []struct{ Policy map[string]any }
	}](t, h.send(t, "GET", "/registries", nil, user), http.StatusOK)
	if got := list.Items[0].Policy["refusal"]; got != "unknown" {
		t.Errorf("the list shows %v", got)
	}
	log := string(h.send(t, "GET", "/audit-log", nil, admin).body)
	for _, want := range []string{`"policy.change","object":"global policy"`, `"policy.change","object":"policy of registry main"`, `"registry.change"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the audit log does not hold %s", want)
		}
	}
}

// TestTwoPeopleEdit: who read an older version is told so, and changes nothing.
func TestTwoPeopleEdit(t *testing.T) {
	h := newHarbour(t)
	if _, err := h.store.CreateRegistry(t.Context(), registry.Registry{Name: "main"}); err != nil {
		t.Fatal(err)
	}
	for path, bodies := range map[string][2]string{
		"/policy":                 {`{"grace_hours": 1}`, `{"grace_hours": 2}`},
		"/registries/main/policy": {`{"grace_hours": 1}`, `{"grace_hours": 2}`},
		"/admission":              {`{"unknown_images": "warn"}`, `{"unknown_images": "deny"}`},
	} {
		tag := h.send(t, "GET", path, nil, admin).header.Get("ETag")
		if tag == "" {
			t.Fatalf("%s: no ETag", path)
		}
		first := h.send(t, "PATCH", path, bodies[0], admin, "If-Match", tag)
		if first.status != http.StatusOK || first.header.Get("ETag") == tag || first.header.Get("ETag") == "" {
			t.Errorf("%s: %d, %s, %s", path, first.status, first.header.Get("ETag"), first.body)
		}
		for _, stale := range []string{tag, `"99"`, `"x"`, `2`, `W/"2"`, `""`} {
			second := h.send(t, "PATCH", path, bodies[1], admin, "If-Match", stale)
			refused(t, path+" If-Match "+stale, second, http.StatusPreconditionFailed)
			if !strings.Contains(string(second.body), "header.If-Match") {
				t.Errorf("%s: the field is not named: %s", path, second.body)
			}
		}
		if now := h.send(t, "GET", path, nil, admin); string(now.body) != string(first.body) {
			t.Errorf("%s: a refused change was made: %s", path, now.body)
		}
		for _, any := range []string{first.header.Get("ETag"), "*", ""} {
			if r := h.send(t, "PATCH", path, bodies[1], admin, "If-Match", any); r.status != http.StatusOK {
				t.Errorf("%s If-Match %q: %d %s", path, any, r.status, r.body)
			}
		}
	}
}

func TestBadPolicies(t *testing.T) {
	c := newCaller(t)
	if _, err := c.store.CreateRegistry(t.Context(), registry.Registry{Name: "main"}); err != nil {
		t.Fatal(err)
	}
	exception := func(change string) string {
		return `{"comment": "c", "expires_at": "2027-01-01T00:00:00Z", ` + change + `}`
	}
	before := string(c.ask(t, "GET", "/registries/main", "", nil, admin).body)
	for _, test := range []struct{ method, path, body, field string }{
		{"PATCH", "/policy", `{"block": ["Shrug"]}`, "body.block[0]"},
		{"PATCH", "/policy", `{"warn": ["Caution", "caution"]}`, "body.warn[1]"},
		{"PATCH", "/policy", `{"grace_hours": -1}`, "body.grace_hours"},
		{"PATCH", "/policy", `{"grace_hours": 1000000}`, "body.grace_hours"},
		{"PATCH", "/policy", `{"grace_hours": 1.5}`, "body.grace_hours"},
		{"PATCH", "/policy", `{"max_feed_age_hours": -5}`, "body.max_feed_age_hours"},
		{"PATCH", "/policy", `{"digest_pull_hours": 0}`, "body.digest_pull_hours"},
		{"PATCH", "/policy", `{"block_unassessed_from": "grave"}`, "body.block_unassessed_from"},
		{"PATCH", "/policy", `{"require_analysis": "yes"}`, "body.require_analysis"},
		{"PATCH", "/policy", `{"require_coverage": "all"}`, "body.require_coverage"},
		{"PATCH", "/policy", `{"refusal": "teapot"}`, "body.refusal"},
		{"PATCH", "/policy", `{"allow_digest_pulls": true}`, "body.allow_digest_pulls"},
		{"PATCH", "/registries/main/policy", `{"block": ["Shrug"]}`, "body.block[0]"},
		{"PATCH", "/registries/main", `{"description": "d", "policy": {"block": ["Shrug"]}}`, "body.policy.block[0]"},
		{"PATCH", "/registries/main", `{"description": "d", "policy": {"grace_hours": -1}}`, "body.policy.grace_hours"},
		{"POST", "/registries", `{"name": "x", "policy": {"block": ["Shrug"]}}`, "body.policy.block[0]"},
		{"POST", "/policy/preview", `{"policy": {"block": ["Shrug"]}}`, "body.policy.block[0]"},
		{"POST", "/policy-exceptions", `{"expires_at": "2027-01-01T00:00:00Z"}`, "comment"},
		{"POST", "/policy-exceptions", `{"comment": "c"}`, "expires_at"},
		{"POST", "/policy-exceptions", `{"comment": "c", "expires_at": "2001-01-01T00:00:00Z"}`, "body.expires_at"},
		{"POST", "/policy-exceptions", `{"comment": "c", "expires_at": "2099-01-01T00:00:00Z"}`, "body.expires_at"},
		{"POST", "/policy-exceptions", exception(`"repository": "[a"`), "body.repository"},
		{"POST", "/policy-exceptions", exception(`"tag": "a b"`), "body.tag"},
		{"POST", "/policy-exceptions", exception(`"digest": "sha256:1"`), "body.digest"},
		{"POST", "/policy-exceptions", exception(`"user": "a\nb"`), "body.user"},
		{"POST", "/policy-exceptions", exception(`"registry": "none"`), "body.registry"},
		{"PATCH", "/admission", `{"unknown_images": "maybe"}`, "body.unknown_images"},
		{"PATCH", "/admission", `{"hosts": ["a", "https://b"]}`, "body.hosts[1]"},
		{"POST", "/admission-tokens", `{"name": "a b"}`, "body.name"},
		{"GET", "/policy/verdict", "", "query.image"},
		{"GET", "/policy/verdict?image=", "", "query.image"},
		{"GET", "/policy/verdict?image=Main/App", "", "query.image"},
		{"GET", "/policy/verdict?image=docker.io/main/app", "", "query.image"},
	} {
		var body []byte
		if test.body != "" {
			body = []byte(test.body)
		}
		r := c.ask(t, test.method, test.path, "application/json", body, admin)
		what := test.method + " " + test.path + " " + test.body
		refused(t, what, r, http.StatusUnprocessableEntity)
		if !strings.Contains(string(r.body), test.field) {
			t.Errorf("%s: %s does not name %s", what, r.body, test.field)
		}
	}
	if now := string(c.ask(t, "GET", "/registries/main", "", nil, admin).body); now != before {
		t.Errorf("something has changed: %s", now)
	}
	if r := c.ask(t, "GET", "/registries/x", "", nil, admin); r.status != http.StatusNotFound {
		t.Errorf("the registry was made: %s", r.body)
	}
	for _, path := range []string{"/policy/verdict?image=main/app:1", "/registries/none/policy", "/policy-exceptions/7"} {
		refused(t, path, c.ask(t, "GET", path, "", nil, admin), http.StatusNotFound)
	}
	refused(t, "preview of nothing", c.ask(t, "POST", "/policy/preview", "application/json", []byte(`{"registry": "none", "policy": {}}`), admin), http.StatusNotFound)
}

type reason struct {
	Kind, Message, Vulnerability, State string
	Since                               *time.Time
}

type verdict struct {
	Blocked, Warns    bool
	Reasons, Warnings []reason
	Exception         *int64 `json:"exception_id"`
}

// TestVerdictOfAReference follows an image from pullable to excepted.
func TestVerdictOfAReference(t *testing.T) {
	h := newHarbour(t)
	digest := h.stored(t)
	h.publish(t, "CVE-2026-1", "9")
	if _, err := h.store.CreateRegistry(t.Context(), registry.Registry{Name: "main"}); err != nil {
		t.Fatal(err)
	}
	repository, err := h.store.EnsureRepository(t.Context(), "main", "app")
	if err != nil {
		t.Fatal(err)
	}
	content := []byte(`{"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:cc"},"layers":[]}`)
	if err := h.store.PutManifest(t.Context(), repository.ID, &registry.Manifest{Digest: digest, MediaType: registry.MediaTypeImage, Content: content}, nil); err != nil {
		t.Fatal(err)
	}
	ask := func(image, who string) (v struct {
		Digest, Analysis string
		Verdict          verdict
	}) {
		t.Helper()
		r := h.send(t, "GET", "/policy/verdict?image="+url.QueryEscape(image)+"&user="+who, nil, user)
		if err := json.Unmarshal(r.body, &v); err != nil || r.status != http.StatusOK {
			t.Fatalf("%d %s", r.status, r.body)
		}
		return v
	}
	byDigest := "main/app@" + digest
	if v := ask(byDigest, ""); v.Verdict.Blocked || v.Verdict.Warns || v.Digest != digest || v.Analysis != "done" {
		t.Errorf("got %+v", v)
	}
	as[any](t, h.send(t, "PATCH", "/policy", `{"warn_unassessed_from": "unknown"}`, admin), http.StatusOK)
	if v := ask("registry.example.com/"+byDigest, "").Verdict; v.Blocked || !v.Warns || len(v.Warnings) == 0 || v.Warnings[0].Vulnerability != "CVE-2026-1" {
		t.Errorf("got %+v", v)
	}
	preview := as[struct {
		Newly      int `json:"newly_blocked"`
		Registries []struct {
			Images  int
			Blocked []struct {
				Digest  string
				Reasons []string
			}
		}
	}](t, h.send(t, "POST", "/policy/preview", `{"policy": {"block_unassessed_from": "unknown"}}`, user), http.StatusOK)
	if preview.Newly != 1 || preview.Registries[0].Images != 1 || preview.Registries[0].Blocked[0].Digest != digest || !strings.Contains(preview.Registries[0].Blocked[0].Reasons[0], "CVE-2026-1") {
		t.Errorf("preview: %+v", preview)
	}
	as[any](t, h.send(t, "PATCH", "/policy", `{"block_unassessed_from": "unknown"}`, admin), http.StatusOK)
	v := ask(byDigest, "").Verdict
	if !v.Blocked || len(v.Reasons) == 0 || v.Reasons[0].Kind != "vulnerability" || v.Reasons[0].State != "unassessed" || v.Reasons[0].Since == nil {
		t.Errorf("got %+v", v)
	}
	img := as[struct {
		Policy struct {
			Blocked  bool
			Verdicts []verdict
		}
	}](t, h.send(t, "GET", "/images/"+digest, nil, user), http.StatusOK)
	if !img.Policy.Blocked || len(img.Policy.Verdicts) != 1 || !img.Policy.Verdicts[0].Blocked {
		t.Errorf("image: %+v", img)
	}
	e := as[struct{ ID int64 }](t, h.send(t, "POST", "/policy-exceptions",
		`{"registry": "main", "repository": "a*", "user": "robot-*", "comment": "c", "expires_at": "2026-12-01T00:00:00Z"}`, admin), http.StatusCreated)
	if v := ask(byDigest, "ann").Verdict; !v.Blocked {
		t.Errorf("for another: %+v", v)
	}
	if v := ask(byDigest, "robot-1").Verdict; v.Blocked || v.Exception == nil || *v.Exception != e.ID || len(v.Reasons) == 0 || len(v.Warnings) == 0 {
		t.Errorf("for whom it is granted: %+v", v)
	}
	if r := h.send(t, "DELETE", "/policy-exceptions/1", nil, admin); r.status != http.StatusNoContent {
		t.Errorf("%d %s", r.status, r.body)
	}
	refused(t, "ended twice", h.send(t, "DELETE", "/policy-exceptions/1", nil, admin), http.StatusConflict)
	if v := ask(byDigest, "robot-1").Verdict; !v.Blocked {
		t.Errorf("ended: %+v", v)
	}
	if list := string(h.send(t, "GET", "/policy-exceptions?live=true", nil, user).body); !strings.Contains(list, `"items":[]`) {
		t.Errorf("live: %s", list)
	}
	if list := string(h.send(t, "GET", "/policy-exceptions?registry=main", nil, user).body); !strings.Contains(list, `"ended_by":"admin"`) {
		t.Errorf("all: %s", list)
	}
}

// TestAdmissionTokenIsShownOnce also finds that it is good for nothing else.
func TestAdmissionTokenIsShownOnce(t *testing.T) {
	h := newHarbour(t)
	made := as[struct {
		ID                  int64
		Token, Path, Prefix string
	}](t, h.send(t, "POST", "/admission-tokens", `{"name": "prod"}`, admin), http.StatusCreated)
	if !strings.HasSuffix(made.Path, "/admission/v1/review/"+made.Token) || !strings.HasPrefix(made.Token, made.Prefix) || len(made.Token) < 40 {
		t.Errorf("got %+v", made)
	}
	refused(t, "the name twice", h.send(t, "POST", "/admission-tokens", `{"name": "prod"}`, admin), http.StatusConflict)
	for _, path := range []string{"/admission-tokens", "/audit-log"} {
		if text := string(h.send(t, "GET", path, nil, admin).body); strings.Contains(text, made.Token) || !strings.Contains(text, "prod") {
			t.Errorf("%s: %s", path, text)
		}
	}
	if r := h.send(t, "GET", "/registries", nil, nobody, "Authorization", "Bearer "+made.Token); r.status != http.StatusUnauthorized {
		t.Errorf("the token opens REST: %d", r.status)
	}
	if r := h.send(t, "DELETE", "/admission-tokens/1", nil, admin); r.status != http.StatusNoContent {
		t.Errorf("%d %s", r.status, r.body)
	}
	refused(t, "revoked twice", h.send(t, "DELETE", "/admission-tokens/1", nil, admin), http.StatusNotFound)
}
