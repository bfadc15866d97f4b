package client_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/client"
)

func TestNewRefuses(t *testing.T) {
	for _, server := range []string{"", "registry.example.com", "ftp://x", "https://", "https://me:secret@x", "https://x?y", "https://x#y", "://"} {
		if _, err := client.New(server, client.Options{}); err == nil || strings.Contains(err.Error(), "secret") && !strings.Contains(server, "secret") {
			t.Errorf("%q: got %v", server, err)
		}
	}
	if _, err := client.New("https://x", client.Options{Key: "a\r\nX: y"}); err == nil || strings.Contains(err.Error(), "X: y") {
		t.Errorf("a key of two lines: got %v", err)
	}
}

// TestVerdictWaits asks again until the analysis is done.
func TestVerdictWaits(t *testing.T) {
	const head = `{"image":"main/app:1","digest":"sha256:aa","verdict":{"registry":"main","repository":"app","blocked":false},`
	asked := 0
	answers := []string{head + `"analysis":"pending"}`, head + `"analysis":"done","sources_pending":true}`, head + `"analysis":"done"}`}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer key" || r.URL.Path != "/api/v1/policy/verdict" || r.URL.Query().Get("image") != "main/app:1" || r.URL.Query().Get("user") != "robot" {
			t.Errorf("asked %s by %q", r.URL, r.Header.Get("Authorization"))
		}
		_, _ = w.Write([]byte(answers[min(asked, len(answers)-1)]))
		asked++
	}))
	defer s.Close()
	c, err := client.New(s.URL, client.Options{Key: "key"})
	if err != nil {
		t.Fatal(err)
	}
	q := client.Question{Image: "main/app:1", User: "robot", Wait: time.Minute, Pause: time.Millisecond}
	if v, err := c.Verdict(t.Context(), q); err != nil || v.Analysis != "done" || asked != 3 {
		t.Errorf("got %+v after %d questions, %v", v, asked, err)
	}
	for at, q := range []client.Question{{Image: q.Image, User: q.User}, {Image: q.Image, User: q.User, Wait: time.Millisecond, Pause: time.Hour}} {
		asked = at
		if v, err := c.Verdict(t.Context(), q); !errors.Is(err, client.ErrPending) || v.Digest != "sha256:aa" || asked != at+1 {
			t.Errorf("no time: got %+v after %d questions, %v", v, asked, err)
		}
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, test := range []struct {
		name    string
		answer  func(http.ResponseWriter)
		status  int
		message string
	}{
		{"a problem", func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusUnprocessableEntity)
			_, _ = w.Write([]byte(`{"detail":"validation failed","errors":[{"message":"it is not on this server"}]}`))
		}, 422, "validation failed: it is not on this server"},
		{"another server", func(w http.ResponseWriter) { http.Error(w, "<html>", http.StatusNotFound) }, 404, "404 Not Found"},
		{"a redirection", func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://evil.example/")
			w.WriteHeader(http.StatusFound)
		}, 302, "302 Found"},
		{"a page", func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) }, 0, "no answer of Pratique's"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { test.answer(w) }))
			defer s.Close()
			c, err := client.New(s.URL, client.Options{Key: "key"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Verdict(t.Context(), client.Question{Image: "x"})
			var answer *client.Error
			if err == nil || !strings.Contains(err.Error(), test.message) || errors.As(err, &answer) != (test.status != 0) || answer != nil && answer.Status != test.status {
				t.Errorf("got %v", err)
			}
		})
	}
}
