package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/store/storetest"
)

// answered is what a registry says to a client that wants a manifest.
type answered struct {
	status        int
	code, message string
	reasons       int
	warning       string
}

// want asks for a manifest of main/app as a client does that uses no library.
func (s *server) want(t *testing.T, method, reference, user, password string) (a answered) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+"/v2/main/app/manifests/"+reference, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(user, password)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	a.status, a.warning = res.StatusCode, res.Header.Get("Warning")
	var body struct {
		Errors []struct {
			Code, Message string
			Detail        struct{ Reasons []any }
		}
	}
	if a.status != http.StatusOK && method != http.MethodHead {
		if err := json.Unmarshal(text, &body); err != nil || len(body.Errors) != 1 {
			t.Fatalf("%s %s: %s", method, reference, text)
		}
		a.code, a.message, a.reasons = body.Errors[0].Code, body.Errors[0].Message, len(body.Errors[0].Detail.Reasons)
	}
	return a
}

// TestPolicyRefusesClients: a blocked image is refused to every client and by
// every way of asking for it, until an exception lets it through.
func TestPolicyRefusesClients(t *testing.T) {
	s := start(t, t.TempDir(), "--feeds-mirror", muslFeed(t), "--feeds", "alpine", "--base-url", "https://registry.example.com")
	updateFeeds(t, s)
	digest, err := s.registry().Push(t.Context(), "main/app", "1", muslImage(t))
	if err != nil {
		t.Fatal(err)
	}
	findings(t, s, digest)
	waitFor(t, "the finding", func() bool { return len(findings(t, s, digest)) == 1 })
	ways := []string{"1", digest}
	check := func(what string, status int, code string) {
		t.Helper()
		for _, reference := range ways {
			if head := s.want(t, "HEAD", reference, "admin", password); head.status != status || (head.warning != "") != (status != http.StatusOK) {
				t.Errorf("%s: HEAD %s: %+v, want %d", what, reference, head, status)
			}
			get := s.want(t, "GET", reference, "admin", password)
			if get.status != status || get.code != code {
				t.Errorf("%s: GET %s: %+v, want %d %s", what, reference, get, status, code)
			}
			if status != http.StatusOK && (get.reasons != 1 || !strings.Contains(get.message, "CVE-2025-26519") || !strings.Contains(get.message, "https://registry.example.com/images/"+digest)) {
				t.Errorf("%s: the refusal does not say why, or where: %+v", what, get)
			}
		}
	}
	check("a new registry", http.StatusOK, "")
	// A type whose effect is to warn does so without any policy that names it.
	warns := call[struct {
		ID int64 `json:"id"`
	}](t, s, "POST", "/assessments", map[string]any{"vulnerability": "CVE-2025-26519", "type": "Caution", "comment": "soon", "scope": map[string]any{"kind": "everywhere"}}, http.StatusCreated)
	for _, method := range []string{"HEAD", "GET"} {
		if a := s.want(t, method, "1", "admin", password); a.status != http.StatusOK || !strings.Contains(a.warning, "CVE-2025-26519") || !strings.Contains(a.warning, "Caution") {
			t.Errorf("%s of what is warned of: %+v", method, a)
		}
	}
	verdict := call[struct {
		Verdict struct {
			Blocked  bool
			Warnings []struct{ State string }
		}
	}](t, s, "GET", "/policy/verdict?image=main/app:1", nil, http.StatusOK).Verdict
	if verdict.Blocked || len(verdict.Warnings) != 1 || verdict.Warnings[0].State != "Caution" {
		t.Errorf("the gate's verdict: %+v", verdict)
	}
	if effective := call[struct {
		Effective struct{ Warn []string }
	}](t, s, "GET", "/policy", nil, http.StatusOK); len(effective.Effective.Warn) != 1 || effective.Effective.Warn[0] != "Caution" {
		t.Errorf("the policy does not say what warns: %+v", effective)
	}
	call[struct{}](t, s, "PATCH", "/policy", map[string]any{"warn": []string{}}, http.StatusOK)
	check("a policy that names nothing to warn of", http.StatusOK, "")
	if a := s.want(t, "GET", "1", "admin", password); a.warning != "" {
		t.Errorf("it warns: %+v", a)
	}
	call[struct{}](t, s, "PATCH", "/policy", map[string]any{"warn": nil}, http.StatusOK)
	call[struct{}](t, s, "DELETE", fmt.Sprintf("/assessments/%d", warns.ID), nil, http.StatusNoContent)
	call[struct{}](t, s, "PATCH", "/policy", map[string]any{"block_unassessed_from": "unknown", "grace_hours": 1}, http.StatusOK)
	if a := s.want(t, "GET", "1", "admin", password); a.status != http.StatusOK || !strings.Contains(a.warning, "blocks from ") {
		t.Errorf("in its grace: %+v", a)
	}
	s.clock.Advance(time.Hour)
	check("after its grace", http.StatusForbidden, "DENIED")
	call[struct{}](t, s, "PATCH", "/registries/main/policy", map[string]any{"refusal": "unknown"}, http.StatusOK)
	check("as ProGet does", http.StatusNotFound, "MANIFEST_UNKNOWN")
	call[struct{}](t, s, "PATCH", "/registries/main/policy", map[string]any{"refusal": nil}, http.StatusOK)

	call[struct{}](t, s, "PATCH", "/policy", map[string]any{"allow_digest_pulls": "recent", "digest_pull_hours": 3}, http.StatusOK)
	if a := s.want(t, "GET", "1", "admin", password); a.status != http.StatusForbidden {
		t.Errorf("by tag: %+v", a)
	}
	if a := s.want(t, "GET", digest, "admin", password); a.status != http.StatusOK || !strings.Contains(a.warning, "by digest until") {
		t.Errorf("by digest: %+v", a)
	}
	s.clock.Advance(3 * time.Hour)
	check("three hours later", http.StatusForbidden, "DENIED")

	call[struct{}](t, s, "POST", "/users", map[string]any{"name": "robot-7", "password": "robot-password"}, http.StatusCreated)
	call[struct{}](t, s, "POST", "/registries/main/roles", map[string]any{"role": "read", "to": map[string]string{"kind": "user", "name": "robot-7"}}, http.StatusCreated)
	call[struct{}](t, s, "POST", "/policy-exceptions", map[string]any{"registry": "main", "tag": "1*", "user": "robot-*", "comment": "until it is mended",
		"expires_at": s.clock.Now().Add(time.Hour)}, http.StatusCreated)
	for _, reference := range ways {
		if a := s.want(t, "GET", reference, "robot-7", "robot-password"); a.status != http.StatusOK || !strings.Contains(a.warning, "exception 1 until") {
			t.Errorf("%s by the robot: %+v", reference, a)
		}
	}
	check("for others", http.StatusForbidden, "DENIED")
	s.clock.Advance(time.Hour)
	if a := s.want(t, "GET", "1", "robot-7", "robot-password"); a.status != http.StatusForbidden {
		t.Errorf("the exception has ended: %+v", a)
	}

	// However often it was asked for, the audit log has few entries of it.
	for range 50 {
		s.want(t, "HEAD", "1", "admin", password)
	}
	type entry struct {
		Actor, Action, Object string
		Detail                struct {
			Count   int
			Reasons []string
		}
	}
	refusals := func() (n int) {
		for _, e := range call[list[entry]](t, s, "GET", "/audit-log?page_size=1000", nil, http.StatusOK).Items {
			if e.Action == "pull.refuse" {
				n++
				if e.Object != "image main/app@"+digest || e.Actor != "admin" && e.Actor != "robot-7" || e.Detail.Count < 1 || !strings.Contains(e.Detail.Reasons[0], "CVE-2025-26519") {
					t.Errorf("audit: %+v", e)
				}
			}
		}
		return n
	}
	waitFor(t, "an audit entry", func() bool { return refusals() > 0 })
	if n := refusals(); n > 12 {
		t.Errorf("%d audit entries", n)
	}
}

// waitFor waits for what happens in the background.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !done(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestPolicyRefusesSkopeo: skopeo shows the reasons, by tag and by digest, and
// copies again what is excepted.
func TestPolicyRefusesSkopeo(t *testing.T) {
	skopeo := installed(t, "skopeo", "")
	s := start(t, t.TempDir())
	digest, err := s.registry().Push(t.Context(), "main/app", "1", muslImage(t))
	if err != nil {
		t.Fatal(err)
	}
	copied := func() (said []string) {
		for _, reference := range []string{":1", "@" + digest} {
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), skopeo, "copy", "--src-tls-verify=false", "--src-creds", "admin:"+password,
				"docker://"+strings.TrimPrefix(s.url, "http://")+"/main/app"+reference, "dir:"+dir+"/out")
			cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_RUNTIME_DIR="+dir, "TMPDIR="+dir)
			out, err := cmd.CombinedOutput()
			if err == nil {
				out = nil
			}
			said = append(said, string(out))
		}
		return said
	}
	call[struct{}](t, s, "PATCH", "/policy", map[string]any{"require_coverage": "known"}, http.StatusOK)
	for _, said := range copied() {
		if !strings.Contains(said, "denied: image main/app@"+digest+" is blocked by policy: coverage is unknown") {
			t.Errorf("skopeo said %q", said)
		}
	}
	call[struct{}](t, s, "PATCH", "/policy", map[string]any{"refusal": "unknown"}, http.StatusOK)
	for _, said := range copied() {
		if !strings.Contains(said, "manifest unknown") {
			t.Errorf("skopeo said %q", said)
		}
	}
	call[struct{}](t, s, "POST", "/policy-exceptions", map[string]any{"digest": digest, "comment": "c", "expires_at": time.Now().Add(time.Hour)}, http.StatusCreated)
	for _, said := range copied() {
		if said != "" {
			t.Errorf("skopeo said %q", said)
		}
	}
}

// TestQuarantine: an image that cannot be analysed never gets out where an
// analysis is asked for; one that can does by itself.
func TestQuarantine(t *testing.T) {
	s := start(t, t.TempDir())
	call[struct{}](t, s, "PATCH", "/registries/main", map[string]any{"policy": map[string]any{"require_analysis": true}}, http.StatusOK)
	if _, err := s.registry().Push(t.Context(), "main/app", "good", muslImage(t)); err != nil {
		t.Fatal(err)
	}
	broken := muslImage(t)
	broken.Content = broken.Content[:len(broken.Content)-20]
	if _, err := s.registry().Push(t.Context(), "main/app", "broken", broken); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the good image", func() bool {
		a := s.want(t, "GET", "good", "admin", password)
		if a.status != http.StatusOK && !strings.Contains(a.message, "the analysis is not done yet") {
			t.Fatalf("%+v", a)
		}
		return a.status == http.StatusOK
	})
	waitFor(t, "the failure", func() bool {
		a := s.want(t, "GET", "broken", "admin", password)
		if a.status != http.StatusForbidden {
			t.Fatalf("it got out: %+v", a)
		}
		return strings.Contains(a.message, "the analysis failed")
	})
	call[struct{}](t, s, "PATCH", "/registries/main/policy", map[string]any{"require_analysis": false, "require_coverage": "known"}, http.StatusOK)
	if a := s.want(t, "GET", "good", "admin", password); a.status != http.StatusForbidden || !strings.Contains(a.message, "coverage is unknown: no feed has data on alpine:v3.20") {
		t.Errorf("without feeds nothing is known: %+v", a)
	}
}

// TestPolicyOnAllReplicas: what is changed on one holds on the other at once.
func TestPolicyOnAllReplicas(t *testing.T) {
	database, data := storetest.PostgresURL(t), t.TempDir()
	one := start(t, data, "--database", database, "--feeds-mirror", muslFeed(t), "--feeds", "alpine")
	other := start(t, data, "--database", database, "--feeds", "alpine")
	updateFeeds(t, one)
	digest, err := one.registry().Push(t.Context(), "main/app", "1", muslImage(t))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the finding", func() bool { return len(findings(t, one, digest)) == 1 })
	status := func(want int) func() bool {
		return func() bool { return other.want(t, "GET", "1", "admin", password).status == want }
	}
	waitFor(t, "a pull", status(http.StatusOK))
	change := func(what string, want int, method, path string, body any, answer int) {
		t.Helper()
		call[any](t, one, method, path, body, answer)
		began := time.Now()
		waitFor(t, what, status(want))
		t.Logf("%s held on the other replica after %v", what, time.Since(began).Round(time.Millisecond))
	}
	change("a policy", http.StatusForbidden, "PATCH", "/policy", map[string]any{"block_unassessed_from": "unknown"}, http.StatusOK)
	change("an exception", http.StatusOK, "POST", "/policy-exceptions", map[string]any{"comment": "c", "expires_at": time.Now().Add(time.Hour)}, http.StatusCreated)
	change("the end of an exception", http.StatusForbidden, "DELETE", "/policy-exceptions/1", nil, http.StatusNoContent)
	change("a registry's own policy", http.StatusOK, "PATCH", "/registries/main/policy", map[string]any{"block_unassessed_from": "never"}, http.StatusOK)
}

// TestAdmission is what a cluster sees.
func TestAdmission(t *testing.T) {
	s := start(t, t.TempDir(), "--feeds-mirror", muslFeed(t), "--feeds", "alpine", "--base-url", "https://registry.example.com")
	updateFeeds(t, s)
	digest, err := s.registry().Push(t.Context(), "main/app", "1", muslImage(t))
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the finding", func() bool { return len(findings(t, s, digest)) == 1 })
	path := call[struct{ Path string }](t, s, "POST", "/admission-tokens", map[string]string{"name": "prod"}, http.StatusCreated).Path
	call[struct{}](t, s, "PATCH", "/admission", map[string]any{"unknown_images": "warn", "hosts": []string{"mirror:5000"}}, http.StatusOK)
	type review struct {
		Response struct {
			UID      string
			Allowed  bool
			Status   struct{ Message string }
			Warnings []string
		}
	}
	ask := func(image string) (r review) {
		t.Helper()
		body := `{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"7","operation":"CREATE","namespace":"default",
			"kind":{"group":"batch","version":"v1","kind":"CronJob"},"object":{"metadata":{"name":"x"},
			"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"x","image":"` + image + `"}]}}}}}}}}`
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+path+"?timeout=10s", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		decode(t, req, http.StatusOK, &r)
		return r
	}
	ours := []string{"registry.example.com/main/app:1", "mirror:5000/main/app:1", "registry.example.com/main/app@" + digest}
	for _, image := range ours {
		if r := ask(image).Response; !r.Allowed || len(r.Warnings) > 0 || r.UID != "7" {
			t.Errorf("%s: %+v", image, r)
		}
	}
	for _, image := range []string{"nginx:1", "main/app:1", "registry.example.com/main/app:2"} {
		if r := ask(image).Response; !r.Allowed || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "is not judged") {
			t.Errorf("%s: %+v", image, r)
		}
	}
	call[struct{}](t, s, http.MethodPost, "/assessments", map[string]any{
		"vulnerability": "CVE-2025-26519", "type": "Block", "scope": map[string]string{"kind": "everywhere"},
	}, http.StatusCreated)
	for _, image := range ours {
		if r := ask(image).Response; r.Allowed || !strings.Contains(r.Status.Message, "CVE-2025-26519") {
			t.Errorf("%s: %+v", image, r)
		}
	}
	waitFor(t, "an audit entry", func() bool {
		type entry struct{ Actor, Action string }
		for _, e := range call[list[entry]](t, s, "GET", "/audit-log", nil, http.StatusOK).Items {
			if e.Action == "admission.refuse" && e.Actor == "cluster prod" {
				return true
			}
		}
		return false
	})
}
