package main_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/pratique/pratique/internal/source/sourcetest"
	"github.com/pratique/pratique/test/sample"
)

// sourceState is how far the source of an image is, and what is found in it.
func (r *running) sourceState(t *testing.T, digest string) (state string, found []string) {
	t.Helper()
	var img struct {
		Sources []struct{ Name, State, Error string }
	}
	r.rest(t, "GET", "/images/"+digest, "", &img)
	for _, s := range img.Sources {
		if s.Name == "clair" {
			state = strings.TrimSpace(s.State + " " + s.Error)
		}
	}
	var list struct {
		Items []struct {
			Vulnerability, Severity string
			Sources                 []string
		}
	}
	r.rest(t, "GET", "/images/"+digest+"/findings", "", &list)
	for _, f := range list.Items {
		found = append(found, fmt.Sprint(f.Vulnerability, f.Severity, f.Sources))
	}
	return state, found
}

// until waits for a condition that a running server brings about.
func (r *running) until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within half a minute\n%s", what, r.said)
		}
	}
}

// TestKillResumesScan: a server that is killed while a Clair is told the layers of an
// image, and one while the Clair answers, goes on when it starts again, without waiting
// for a lease, and comes to what an undisturbed one does.
func TestKillResumesScan(t *testing.T) {
	clair := sourcetest.NewClairV1(t, sourcetest.Feature{Name: "zlib", NamespaceName: "alpine:v3.20", Version: "1.3-r0", Vulnerabilities: []sourcetest.Vulnerability{
		{Name: "CVE-2099-0001", Severity: "High"}}})
	base, err := sample.AlpineBase("3.20.0", sample.AlpinePackage{Name: "zlib", Version: "1.3-r0", Origin: "zlib"})
	if err != nil {
		t.Fatal(err)
	}
	top, err := sample.NewLayer("COPY app", sample.File{Path: "app", Content: "app"})
	if err != nil {
		t.Fatal(err)
	}
	data, address := t.TempDir(), freePort(t)
	args := []string{"--admin-password", password, "--base-url", "http://" + address}
	r := serveAt(t, address, data, args...)
	r.rest(t, "PATCH", "/extensions/clair-v1", `{"enabled": true}`, nil)
	r.rest(t, "POST", "/vulnerability-sources", `{"name": "clair", "extension": "clair-v1", "url": "`+clair.URL+`"}`, nil)
	r.rest(t, "PUT", "/registries/main/vulnerability-sources/clair", "", nil)
	asked := func(what string) func() bool {
		seen := len(clair.Requests())
		return func() bool {
			for _, request := range clair.Requests()[seen:] {
				if strings.HasPrefix(request, what) {
					return true
				}
			}
			return false
		}
	}
	clair.Fail(sourcetest.Fault{At: "/v1/layers", Skip: 1, Hang: true})
	digest, err := sample.Registry{URL: r.url, User: "admin", Password: password}.Push(t.Context(), "main/app", "1", base, top)
	if err != nil {
		t.Fatal(err)
	}
	r.until(t, "the second layer", func() bool { return len(clair.Requests()) >= 2 })
	r.signal(syscall.SIGKILL)
	r.end()

	clair.Mend()
	clair.Fail(sourcetest.Fault{At: "/v1/layers/", Hang: true})
	question := asked("GET /v1/layers/")
	began := time.Now()
	r = serveAt(t, address, data, args...)
	r.until(t, "the question for the vulnerabilities", question)
	if state, found := r.sourceState(t, digest); state != "running" || len(found) > 0 {
		t.Errorf("while it answers: %s, %v", state, found)
	}
	r.signal(syscall.SIGKILL)
	r.end()

	clair.Mend()
	r = serveAt(t, address, data, args...)
	r.until(t, "the answer", func() bool {
		state, _ := r.sourceState(t, digest)
		return state == "answered"
	})
	t.Logf("resumed twice within %v", time.Since(began).Round(time.Millisecond))
	_, found := r.sourceState(t, digest)
	if diff := cmp.Diff([]string{"CVE-2099-0001high[clair]"}, found); diff != "" {
		t.Errorf("findings (-want +got):\n%s", diff)
	}
}
