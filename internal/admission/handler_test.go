package admission_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/admission"
	"github.com/pratique/pratique/internal/assess"
	"github.com/pratique/pratique/internal/auth"
	"github.com/pratique/pratique/internal/policy"
)

// port holds images by their references, and judges each one as it is told.
type port struct {
	settings policy.Admission
	verdicts map[string]policy.Verdict
	fails    error
	// hangs keeps verdicts from being made before the request is over.
	hangs bool
	told  []policy.Pull
}

func (p *port) Find(_ context.Context, text string, _ []string, bare bool) (policy.Pull, error) {
	if bare {
		return policy.Pull{}, errors.New("a name without a host is docker's")
	}
	if _, here := p.verdicts[text]; !here {
		return policy.Pull{}, fmt.Errorf("%s: %w", text, policy.ErrElsewhere)
	}
	return policy.Pull{Place: assess.Place{Registry: "main", Repository: "app", Digest: text}}, nil
}

func (p *port) Verdict(ctx context.Context, pull policy.Pull) (policy.Verdict, error) {
	if p.hangs {
		<-ctx.Done()
		return policy.Verdict{}, ctx.Err()
	}
	return p.verdicts[pull.Digest], p.fails
}

func (p *port) Admission(context.Context) (policy.Admission, int64, error) { return p.settings, 1, nil }

func (p *port) Authenticate(_ context.Context, secret string) (policy.Token, error) {
	if secret != "pqa_right" {
		return policy.Token{}, policy.ErrNotFound
	}
	return policy.Token{Name: "prod"}, nil
}

func (p *port) Refused(pull policy.Pull, _ policy.Verdict) { p.told = append(p.told, pull) }

// accounts knows one user.
type accounts struct{}

func (accounts) Authenticate(r *http.Request) (auth.Principal, error) {
	name, password, ok := r.BasicAuth()
	switch {
	case !ok && r.Header.Get("Authorization") == "":
		return auth.Principal{}, nil
	case name == "ann" && password == "right":
		return auth.Principal{UserID: 1, Name: "ann", Rights: auth.RightsOf([]auth.Grant{{Role: auth.RoleRead}})}, nil
	}
	return auth.Principal{}, auth.ErrCredentials
}

func serve(t *testing.T, p *port) *httptest.Server {
	t.Helper()
	h := admission.New(p, p, p, accounts{}, admission.Options{Witness: p, BaseURL: func(context.Context) string { return "https://r.example" }, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	mux := http.NewServeMux()
	mux.Handle(admission.Path, h)
	mux.Handle(admission.Path+"/{token}", h)
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// ask posts a review; header holds names and values in turn.
func ask(t *testing.T, s *httptest.Server, path, body string, header ...string) (status int, answer string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// review is one of a pod with images, "old" ones among them before.
func review(dryRun bool, images ...string) string {
	list := func(only func(string) bool) string {
		var containers []string
		for _, i := range images {
			if only(i) {
				containers = append(containers, `{"image":"`+i+`"}`)
			}
		}
		return `{"spec":{"containers":[` + strings.Join(containers, ",") + `]}}`
	}
	return fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u-1","operation":"UPDATE","kind":{"kind":"Pod"},"dryRun":%t,"object":%s,"oldObject":%s}}`,
		dryRun, list(func(string) bool { return true }), list(func(i string) bool { return strings.HasPrefix(i, "old") }))
}

type response struct {
	APIVersion string
	Kind       string
	Response   struct {
		UID     string
		Allowed bool
		Status  struct {
			Code    int
			Message string
		}
		Warnings []string
	}
}

const withToken = admission.Path + "/pqa_right"

func TestAnswers(t *testing.T) {
	blocked := policy.Verdict{Blocked: true, Reasons: []policy.Reason{{Message: "CVE-1 in musl"}}}
	warns := policy.Verdict{Warnings: []policy.Reason{{Message: "CVE-2\nin " + strings.Repeat("zlib", 100)}}}
	p := &port{verdicts: map[string]policy.Verdict{"good": {}, "bad": blocked, "old-bad": blocked, "warned": warns}}
	s := serve(t, p)
	for _, test := range []struct {
		name     string
		unknown  policy.Answer
		dryRun   bool
		images   []string
		allowed  bool
		says     string
		warnings []string
		told     int
	}{
		{name: "nothing", allowed: true},
		{name: "a good image", images: []string{"good"}, allowed: true},
		{name: "a bad one", images: []string{"good", "bad"}, says: "blocked by policy: CVE-1 in musl; see https://r.example/images/bad", told: 1},
		{name: "a bad one, for a trial", dryRun: true, images: []string{"bad"}, says: "CVE-1"},
		{name: "a bad one that runs", images: []string{"old-bad"}, allowed: true, warnings: []string{"image main/app@old-bad is blocked by policy: CVE-1 in musl"}},
		{name: "one that is warned of", images: []string{"warned"}, allowed: true, warnings: []string{("image warned: CVE-2 in " + strings.Repeat("zlib", 100))[:253] + "..."}},
		{name: "unknown ones are allowed", unknown: policy.Allow, images: []string{"nginx"}, allowed: true},
		{name: "unknown ones are warned of", unknown: policy.WarnOf, images: []string{"nginx"}, allowed: true, warnings: []string{"image nginx is not judged: this server does not hold it"}},
		{name: "unknown ones are denied", unknown: policy.Deny, images: []string{"good", "nginx"}, says: "image nginx is not judged"},
		{name: "unknown ones that run are not", unknown: policy.Deny, images: []string{"old-nginx"}, allowed: true, warnings: []string{"image old-nginx is not judged: this server does not hold it"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.settings.UnknownImages, p.told = test.unknown, nil
			if test.unknown == "" {
				p.settings.UnknownImages = policy.Allow
			}
			status, text := ask(t, s, withToken+"?timeout=10s", review(test.dryRun, test.images...))
			var got response
			if err := json.Unmarshal([]byte(text), &got); err != nil || status != http.StatusOK {
				t.Fatalf("%d %s", status, text)
			}
			r := got.Response
			if got.APIVersion != "admission.k8s.io/v1" || got.Kind != "AdmissionReview" || r.UID != "u-1" || r.Allowed != test.allowed ||
				!strings.Contains(r.Status.Message, test.says) || (r.Status.Code == http.StatusForbidden) == r.Allowed || !slices.Equal(r.Warnings, test.warnings) {
				t.Errorf("got %s", text)
			}
			if len(p.told) != test.told || test.told > 0 && (p.told[0].User != "cluster prod" || p.told[0].Digest != "bad") {
				t.Errorf("told of %v", p.told)
			}
		})
	}
}

// TestServerWithoutAName: a cluster is told that nothing is judged.
func TestServerWithoutAName(t *testing.T) {
	for _, test := range []struct {
		name     string
		settings policy.Admission
		want     int
	}{
		{"without any", policy.Admission{UnknownImages: policy.Allow}, 1},
		{"with a host", policy.Admission{UnknownImages: policy.Allow, Hosts: []string{"r.example"}}, 0},
		{"where each image is warned of", policy.Admission{UnknownImages: policy.WarnOf}, 0},
	} {
		p := &port{verdicts: map[string]policy.Verdict{"good": {}}, settings: test.settings}
		s := httptest.NewServer(admission.New(p, p, p, accounts{}, admission.Options{}))
		defer s.Close()
		_, text := ask(t, s, withToken, review(false, "good"))
		var got response
		if err := json.Unmarshal([]byte(text), &got); err != nil || !got.Response.Allowed || len(got.Response.Warnings) != test.want {
			t.Errorf("%s: %s", test.name, text)
		}
		if test.want > 0 && !strings.Contains(text, "set its base URL") {
			t.Errorf("%s: %s", test.name, text)
		}
	}
}

func TestManyWarningsAreCut(t *testing.T) {
	p := &port{verdicts: map[string]policy.Verdict{"x": {Warnings: slices.Repeat([]policy.Reason{{Message: strings.Repeat("w", 500)}}, 100)}}}
	_, text := ask(t, serve(t, p), withToken, review(false, "x"))
	var got response
	if err := json.Unmarshal([]byte(text), &got); err != nil || len(strings.Join(got.Response.Warnings, "")) > 4096 || len(got.Response.Warnings) != 16 {
		t.Errorf("%d warnings, %v", len(got.Response.Warnings), err)
	}
}

func TestWhoMayAsk(t *testing.T) {
	s := serve(t, &port{})
	basic := func(name, password string) string {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(name, password)
		return r.Header.Get("Authorization")
	}
	for _, test := range []struct {
		name, path, authorization string
		want                      int
	}{
		{"nobody", admission.Path, "", http.StatusUnauthorized},
		{"a token in the path", withToken, "", http.StatusOK},
		{"a token as Bearer", admission.Path, "Bearer pqa_right", http.StatusOK},
		{"a user", admission.Path, basic("ann", "right"), http.StatusOK},
		{"a wrong token in the path", admission.Path + "/pqa_wrong", "", http.StatusUnauthorized},
		{"a wrong token in the path, and a user", admission.Path + "/pqa_wrong", basic("ann", "right"), http.StatusUnauthorized},
		{"a wrong token as Bearer", admission.Path, "Bearer pqa_wrong", http.StatusUnauthorized},
		{"a wrong password", admission.Path, basic("ann", "wrong"), http.StatusUnauthorized},
	} {
		header := []string{}
		if test.authorization != "" {
			header = []string{"Authorization", test.authorization}
		}
		if status, text := ask(t, s, test.path, review(false), header...); status != test.want {
			t.Errorf("%s: %d %s, want %d", test.name, status, text, test.want)
		}
	}
}

func TestBadRequests(t *testing.T) {
	p := &port{verdicts: map[string]policy.Verdict{"x": {}}}
	s := serve(t, p)
	for _, test := range []struct {
		name, query, body, contentType string
		want                           int
		says                           string
	}{
		{"no review", "", `{}`, "application/json", http.StatusBadRequest, "apiVersion"},
		{"a form", "", review(false), "application/x-www-form-urlencoded", http.StatusUnsupportedMediaType, "application/json"},
		{"a time-out that is none", "?timeout=soon", review(false), "application/json", http.StatusBadRequest, "timeout"},
		{"a time-out in the past", "?timeout=-1s", review(false), "application/json", http.StatusBadRequest, "timeout"},
		{"too large", "", `{"x":"` + strings.Repeat("x", 9<<20) + `"}`, "application/json", http.StatusRequestEntityTooLarge, "bytes"},
	} {
		status, text := ask(t, s, withToken+test.query, test.body, "Content-Type", test.contentType)
		if status != test.want || !strings.Contains(text, test.says) {
			t.Errorf("%s: %d %s", test.name, status, text)
		}
	}
	res, err := s.Client().Get(s.URL + withToken)
	if err != nil || res.StatusCode != http.StatusMethodNotAllowed || res.Header.Get("Allow") != http.MethodPost {
		t.Errorf("GET: %v, %v", res, err)
	}
	res.Body.Close()
	p.fails = errors.New("the database is at 10.0.0.7, password hunter2")
	if status, text := ask(t, s, withToken, review(false, "x")); status != http.StatusInternalServerError || strings.Contains(text, "hunter2") {
		t.Errorf("a failure: %d %s", status, text)
	}
}

// TestAnswersInTime: the answer that there was no time comes before the cluster
// stops waiting.
func TestAnswersInTime(t *testing.T) {
	s := serve(t, &port{verdicts: map[string]policy.Verdict{"x": {}}, hangs: true})
	began := time.Now()
	status, text := ask(t, s, withToken+"?timeout=1s", review(false, "x"))
	if took := time.Since(began); status != http.StatusServiceUnavailable || took > time.Second {
		t.Errorf("%d %s after %v", status, text, took)
	}
}
