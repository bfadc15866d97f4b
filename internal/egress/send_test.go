package egress_test

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/egress"
)

func TestSend(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Got", r.Method+" "+r.Header.Get("Authorization")+" "+r.Header.Get("Content-Type")+" "+string(body))
		if r.URL.Path == "/moved" {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	})
	c := client(t, egress.Options{MaxSize: 15})
	answer, err := c.Send(t.Context(), egress.Request{Method: http.MethodPost, URL: s.URL, Body: []byte("{}"),
		Header: http.Header{"Authorization": {"Bearer t"}, "Content-Type": {"application/json"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.Status != http.StatusTeapot || string(text) != "short and stout" || answer.Header.Get("X-Got") != "POST Bearer t application/json {}" {
		t.Errorf("got %d %q %v, %v", answer.Status, text, answer.Header, err)
	}
	moved, err := c.Send(t.Context(), egress.Request{URL: s.URL + "/moved"})
	if err != nil || moved.Status != http.StatusFound {
		t.Fatalf("a redirect: %+v, %v", moved, err)
	}
	moved.Body.Close()
}

func TestSendRefuses(t *testing.T) {
	huge := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10737418240")
		w.WriteHeader(http.StatusOK)
	})
	endless := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := io.WriteString(w, strings.Repeat("x", 64<<10)); err != nil {
				return
			}
		}
	})
	hanging := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then is it noticed that the client has gone
		<-r.Context().Done()
	})
	c := client(t, egress.Options{MaxSize: 1 << 20, TotalTimeout: 300 * time.Millisecond})
	for _, test := range []struct {
		name, url string
		header    http.Header
		want      error
	}{
		{"another scheme", "file:///etc/passwd", nil, egress.ErrForbiddenURL},
		{"link-local", "http://169.254.169.254/latest", nil, egress.ErrForbiddenAddress},
		{"link-local in IPv6", "http://[::ffff:169.254.169.254]/", nil, egress.ErrForbiddenAddress},
		{"credentials in the URL", "http://a:b@127.0.0.1/", nil, egress.ErrForbiddenURL},
		{"a line break in a header", huge.URL, http.Header{"Authorization": {"a\r\nX: y"}}, egress.ErrForbiddenHeader},
		{"ten gigabytes", huge.URL, nil, egress.ErrTooLarge},
		{"no end", endless.URL, nil, egress.ErrTooLarge},
		{"no answer", hanging.URL, nil, egress.ErrTimeout},
		{"nobody there", "http://127.0.0.1:1/", nil, egress.ErrUnreachable},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, err := c.Send(t.Context(), egress.Request{Method: http.MethodPost, URL: test.url, Header: test.header, Body: []byte("secret")})
			if err == nil {
				_, err = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}
