package oci_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/oci/registry"
	"github.com/pratique/pratique/internal/policy"
)

// verdict is a gate that always says the same.
type verdict struct {
	error
	warnings []policy.Reason
}

func (v verdict) Check(context.Context, policy.Pull) (policy.Verdict, error) {
	return policy.Verdict{Warnings: v.warnings}, v.error
}

// TestGate: no way of asking for a manifest goes around the gate, and a gate
// that fails lets nothing through.
func TestGate(t *testing.T) {
	h := lite(t)
	m := h.manifest("main/app", nil, "layer")
	digest := blob.SHA256.Of(m)
	h.want("push", h.tag("main/app", "1", m), http.StatusCreated, "")
	h.want("pull", h.do("GET", "/v2/main/app/manifests/1", nil), http.StatusOK, "")
	found := &assess.Reason{Vulnerability: "CVE-2026-0001", Package: "musl", Version: "1.2.3\"\r\nX: y", State: "Block"}
	blocked := &policy.BlockedError{
		Place:   assess.Place{Registry: "main", Repository: "app", Digest: digest},
		Reasons: []policy.Reason{{Kind: policy.AboutFinding, Message: found.String(), Finding: found}},
	}
	absent := *blocked
	absent.Refusal = policy.Unknown
	for _, test := range []struct {
		name   string
		gate   error
		status int
		code   string
	}{
		{"blocked", blocked, http.StatusForbidden, "DENIED"},
		{"blocked as ProGet does", &absent, http.StatusNotFound, "MANIFEST_UNKNOWN"},
		{"failing", errors.New("the database is at 10.0.0.7, password hunter2"), http.StatusInternalServerError, "UNKNOWN"},
	} {
		h.gate = verdict{error: test.gate}
		h.restart()
		for _, reference := range []string{"1", digest} {
			for range 2 {
				a := h.do("GET", "/v2/main/app/manifests/"+reference, nil)
				h.want(test.name, a, test.status, test.code)
				if strings.Contains(string(a.body), "layer") || a.header.Get("ETag") != "" {
					t.Errorf("%s: the manifest is shown: %v %s", test.name, a.header, a.body)
				}
				if test.status != http.StatusInternalServerError && !strings.Contains(string(a.body), "CVE-2026-0001") {
					t.Errorf("the refusal does not say why: %s", a.body)
				}
				if strings.Contains(string(a.body), "hunter2") {
					t.Errorf("what went wrong inside is shown: %s", a.body)
				}
			}
			for _, header := range [][]string{nil, {"If-None-Match", `"` + digest + `"`}, {"If-None-Match", "*"}} {
				if a := h.do("HEAD", "/v2/main/app/manifests/"+reference, nil, header...); a.status != test.status || len(a.body) > 0 {
					t.Errorf("%s: HEAD %s: %d %s", test.name, header, a.status, a.body)
				} else if told := strings.Contains(a.header.Get("Warning"), "CVE-2026-0001"); told == (test.code == "UNKNOWN") {
					t.Errorf("%s: HEAD %s: warning %q", test.name, header, a.header.Get("Warning"))
				}
			}
		}
	}
	if text := h.log.String(); !strings.Contains(text, "hunter2") {
		t.Errorf("what went wrong inside is not logged: %s", text)
	}
}

// TestWarnings: what policy warns of is in the header of what is served.
func TestWarnings(t *testing.T) {
	h := lite(t)
	h.want("push", h.tag("main/app", "1", h.manifest("main/app", nil, "layer")), http.StatusCreated, "")
	many := make([]policy.Reason, 8)
	for i := range many {
		many[i].Message = "reason " + strings.Repeat("long", 1000)
	}
	for _, test := range []struct {
		name     string
		warnings []policy.Reason
		want     []string
	}{
		{"none", nil, nil},
		{"one", []policy.Reason{{Message: `CVE-1 (high, a "b\" 1é, Caution)` + "\r\nX-Evil: 1"}}, []string{`299 - "CVE-1 (high, a 'b'' 1?, Caution)??X-Evil: 1"`}},
		{"many", many, append(slices.Repeat([]string{`299 - "reason ` + strings.Repeat("long", 1000)[:690] + `..."`}, 4), `299 - "and 4 more warnings"`)},
	} {
		h.gate = verdict{warnings: test.warnings}
		h.restart()
		for _, method := range []string{"GET", "HEAD"} {
			a := h.do(method, "/v2/main/app/manifests/1", nil)
			if got := a.header.Values("Warning"); a.status != http.StatusOK || !slices.Equal(got, test.want) || a.header.Get("X-Evil") != "" {
				t.Errorf("%s, %s: %d, got %q, want %q", test.name, method, a.status, got, test.want)
			}
		}
	}
}

// denial is an authorizer that always says the same.
type denial struct{ error }

func (d denial) Authorize(*http.Request, ...auth.Access) (auth.Principal, error) {
	return auth.Principal{}, d.error
}

func (d denial) May(context.Context, auth.Principal, auth.Access) (bool, error) {
	return false, d.error
}

// TestDenials: every endpoint asks for rights, and says what it is told.
func TestDenials(t *testing.T) {
	h := lite(t)
	digest := h.push("main/app", "content")
	at := h.begin("main/app")
	for _, test := range []struct {
		denied error
		status int
		code   string
	}{
		{&auth.Denied{Status: http.StatusUnauthorized, Challenge: `Bearer realm="x"`, Reason: "who are you?"}, http.StatusUnauthorized, "UNAUTHORIZED"},
		{&auth.Denied{Status: http.StatusForbidden, Reason: "not you"}, http.StatusForbidden, "DENIED"},
		{&auth.Denied{Status: http.StatusTooManyRequests, Reason: "slower"}, http.StatusTooManyRequests, "TOOMANYREQUESTS"},
		{errors.New("no connection"), http.StatusInternalServerError, "UNKNOWN"},
	} {
		h.authorizer = denial{test.denied}
		h.restart()
		for _, request := range []struct{ method, path string }{
			{"GET", "/v2/"}, {"GET", "/v2/_catalog"}, {"GET", "/v2/main/app/tags/list"}, {"GET", "/v2/main/app/referrers/" + digest},
			{"GET", "/v2/main/app/manifests/1"}, {"PUT", "/v2/main/app/manifests/1"}, {"DELETE", "/v2/main/app/manifests/1"},
			{"GET", "/v2/main/app/blobs/" + digest}, {"DELETE", "/v2/main/app/blobs/" + digest}, {"POST", "/v2/main/app/blobs/uploads/"},
			{"POST", "/v2/main/app/blobs/uploads/?mount=" + digest + "&from=main/app"}, {"POST", "/v2/main/app/blobs/uploads/?digest=" + digest},
			{"GET", at}, {"PATCH", at}, {"PUT", at + "?digest=" + digest}, {"DELETE", at}, {"GET", "/v2/none/none/tags/list"},
		} {
			a := h.do(request.method, request.path, nil)
			h.want(request.method+" "+request.path, a, test.status, test.code)
			var denied *auth.Denied
			if errors.As(test.denied, &denied) && a.header.Get("WWW-Authenticate") != denied.Challenge {
				t.Errorf("%s %s: challenge %q", request.method, request.path, a.header.Get("WWW-Authenticate"))
			}
		}
	}
	h.authorizer = &h.rights
	h.restart()
	h.want("nothing was done", h.do("GET", at, nil), http.StatusNoContent, "")
}

// TestRealRights is the handler with the rights that the program has: who is
// signed in may do everything, anyone may pull where the registry is open.
func TestRealRights(t *testing.T) {
	h := lite(t)
	digest := h.push("main/app", "content")
	h.push("other/app", "content")
	anyone := true
	if _, err := h.store.UpdateRegistry(t.Context(), "other", registry.Change{AnonymousPull: &anyone}); err != nil {
		t.Fatal(err)
	}
	users := auth.New(h.store, auth.Options{})
	user, err := h.store.CreateUser(t.Context(), auth.User{Name: "someone"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := users.GrantRole(t.Context(), auth.Principal{Name: "test", Rights: auth.RightsOf([]auth.Grant{{Role: auth.RoleAdminister}})},
		auth.RoleGrant{Grant: auth.Grant{Role: auth.RoleMaintain}, To: auth.Grantee{Kind: auth.ToUser, Name: user.Name}}); err != nil {
		t.Fatal(err)
	}
	_, key, err := users.CreateKey(t.Context(), auth.Principal{UserID: user.ID}, auth.NewKey{Name: "test", ExpiresAt: distantFuture})
	if err != nil {
		t.Fatal(err)
	}
	if h.authorizer, err = auth.NewGatekeeper(t.Context(), users, func(context.Context) string { return "" }); err != nil {
		t.Fatal(err)
	}
	h.restart()
	for _, test := range []struct {
		method, path     string
		anyone, signedIn int
	}{
		{"GET", "/v2/", 401, 200},
		{"GET", "/v2/_catalog", 401, 200},
		{"GET", "/v2/main/app/blobs/" + digest, 401, 200},
		{"GET", "/v2/main/none/blobs/" + digest, 401, 404},
		{"GET", "/v2/none/app/blobs/" + digest, 401, 404},
		{"GET", "/v2/main/app/tags/list", 401, 200},
		{"GET", "/v2/other/app/blobs/" + digest, 200, 200},
		{"GET", "/v2/other/app/tags/list", 200, 200},
		{"GET", "/v2/other/app/referrers/" + digest, 200, 200},
		{"GET", "/v2/other/app/manifests/1", 404, 404},
		{"PUT", "/v2/other/app/manifests/1", 401, 400},
		{"DELETE", "/v2/other/app/manifests/1", 401, 404},
		{"POST", "/v2/other/app/blobs/uploads/", 401, 202},
		{"POST", "/v2/other/new/blobs/uploads/?mount=" + digest + "&from=main/app", 401, 201},
		{"DELETE", "/v2/other/app/blobs/" + digest, 401, 202},
	} {
		if a := h.do(test.method, test.path, nil); a.status != test.anyone {
			t.Errorf("%s %s by anyone: %d %s, want %d", test.method, test.path, a.status, a.body, test.anyone)
		}
		if a := h.do(test.method, test.path, nil, "Authorization", "Bearer "+key); a.status != test.signedIn {
			t.Errorf("%s %s by a user: %d %s, want %d", test.method, test.path, a.status, a.body, test.signedIn)
		}
		if a := h.do(test.method, test.path, nil, "Authorization", "Bearer "+key+"x"); a.status != http.StatusUnauthorized && a.status != http.StatusTooManyRequests {
			t.Errorf("%s %s by a wrong key: %d %s", test.method, test.path, a.status, a.body)
		}
	}
}

// TestFullDisk: an upload that finds no room is told so and can go on when
// there is some; a blob that was sent whole leaves nothing.
func TestFullDisk(t *testing.T) {
	h := lite(t)
	at := h.begin("main/app")
	h.want("first chunk", h.do("PATCH", at, strings.NewReader("hello ")), http.StatusAccepted, "")
	h.disk.Reserve = math.MaxInt64
	h.restart()
	h.want("chunk", h.do("PATCH", at, strings.NewReader("world")), http.StatusInsufficientStorage, "UNKNOWN")
	h.want("last chunk", h.do("PUT", with(at, "digest", sum("hello world")), strings.NewReader("world")), http.StatusInsufficientStorage, "UNKNOWN")
	h.want("whole", h.do("POST", "/v2/main/app/blobs/uploads/?digest="+sum("x"), strings.NewReader("x")), http.StatusInsufficientStorage, "UNKNOWN")
	if blobs, uploads := h.files(); blobs != 0 || uploads != 1 {
		t.Errorf("%d blobs, %d uploads", blobs, uploads)
	}
	h.disk.Reserve = 0
	h.restart()
	h.want("last chunk", h.do("PUT", with(at, "digest", sum("hello world")), strings.NewReader("world"), "Content-Range", "6-10"), http.StatusCreated, "")
}

// TestErrorsAreTheSpecifications: the body of an error is an object with the
// one key errors, a list of code, message and perhaps detail.
func TestErrorsAreTheSpecifications(t *testing.T) {
	h := lite(t)
	h.push("main/app", "x")
	lack := `{"schemaVersion":2,"mediaType":"` + manifestType + `","config":{"mediaType":"a/b","digest":"` + sum("lack") + `","size":4},"layers":[]}`
	for _, request := range []struct{ method, path, body string }{
		{"GET", "/v2/main/app/manifests/none", ""}, {"GET", "/v2/main/none/tags/list", ""}, {"GET", "/v2/none/app/tags/list", ""},
		{"GET", "/v2/main/app/blobs/" + sum("none"), ""}, {"GET", "/v2/main/app/blobs/x", ""}, {"GET", "/v2/main/app", ""}, {"GET", "/v2/x/y/z/", ""},
		{"POST", "/v2/", ""}, {"POST", "/v2/_catalog", ""}, {"PUT", "/v2/main/app/tags/list", ""}, {"PATCH", "/v2/main/app/blobs/uploads/", ""},
		{"POST", "/v2/main/app/blobs/uploads/x", ""}, {"GET", "/v2/main/app/tags/list?n=x", ""}, {"PUT", "/v2/main/app/manifests/1", lack}, {"PUT", "/v2/main/app/manifests/1", "{"},
	} {
		a := h.do(request.method, request.path, strings.NewReader(request.body))
		var body map[string][]map[string]json.RawMessage
		if err := json.Unmarshal(a.body, &body); err != nil || len(body) != 1 || len(body["errors"]) != 1 || a.status < 400 || a.status >= 500 {
			t.Errorf("%s %s: %d %s", request.method, request.path, a.status, a.body)
			continue
		}
		for key := range body["errors"][0] {
			if key != "code" && key != "message" && key != "detail" {
				t.Errorf("%s %s: key %q", request.method, request.path, key)
			}
		}
		if a.header.Get("Content-Type") != "application/json" || a.code() == "" || a.code() != strings.ToUpper(a.code()) {
			t.Errorf("%s %s: %v %s", request.method, request.path, a.header, a.body)
		}
		if a.status == http.StatusMethodNotAllowed && strings.Count(request.path, "/") > 2 && a.header.Get("Allow") == "" {
			t.Errorf("%s %s does not say what is allowed", request.method, request.path)
		}
		if request.body == lack && !strings.Contains(string(a.body), `"detail":{"digests":["`+sum("lack")+`"]}`) {
			t.Errorf("what is missing is not listed: %s", a.body)
		}
	}
}

// TestManyMissing: the message about thousands of missing blobs stays short.
func TestManyMissing(t *testing.T) {
	each(t, func(t *testing.T, h *harbour) {
		h.push("main/app", "{}")
		layers := numbered(`{"mediaType":"a/b","digest":"sha256:%064x","size":1}`, 2000)
		a := h.tag("main/app", "1", []byte(`{"schemaVersion":2,"mediaType":"`+manifestType+`","config":{"mediaType":"a/b","digest":"`+sum("{}")+`","size":2},"layers":[`+strings.Join(layers, ",")+`]}`))
		h.want("push", a, http.StatusBadRequest, "MANIFEST_BLOB_UNKNOWN")
		var body struct {
			Errors []struct {
				Message string
				Detail  struct{ Digests []string }
			}
		}
		if err := json.Unmarshal(a.body, &body); err != nil {
			t.Fatal(err)
		}
		if e := body.Errors[0]; len(e.Message) > 2000 || !strings.HasSuffix(e.Message, "and 1990 more") || len(e.Detail.Digests) != 2000 {
			t.Errorf("%d digests, %s", len(e.Detail.Digests), e.Message)
		}
	})
}
