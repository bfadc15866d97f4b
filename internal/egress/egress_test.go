package egress_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/egress"
)

func client(t *testing.T, opts egress.Options) *egress.Client {
	t.Helper()
	c := egress.New(opts)
	t.Cleanup(c.Close)
	return c
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// fetch reads all of a URL.
func fetch(ctx context.Context, c *egress.Client, url string, header http.Header) (string, error) {
	response, err := c.Get(ctx, url, header)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	return string(content), err
}

func TestGet(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.URL.RequestURI(), r.Header.Get("Authorization"), r.Header.Get("Accept-Encoding"), r.UserAgent())
	})
	got, err := fetch(t.Context(), client(t, egress.Options{}), s.URL+"/v2/a%2Fb?token=x#part", http.Header{"Authorization": {"Bearer t"}, "Accept-Encoding": {"gzip"}})
	if err != nil {
		t.Fatal(err)
	}
	if want := "/v2/a%2Fb?token=x Bearer t identity pratique"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGetRefusesURL(t *testing.T) {
	tests := []struct {
		name, url string
		want      error
	}{
		{"file", "file:///etc/passwd", egress.ErrForbiddenURL},
		{"path", "/etc/passwd", egress.ErrForbiddenURL},
		{"empty", "", egress.ErrForbiddenURL},
		{"gopher", "gopher://127.0.0.1:1/x", egress.ErrForbiddenURL},
		{"ftp", "ftp://127.0.0.1/x", egress.ErrForbiddenURL},
		{"opaque", "http:127.0.0.1/x", egress.ErrForbiddenURL},
		{"no host", "http:///x", egress.ErrForbiddenURL},
		{"port only", "http://:80/x", egress.ErrForbiddenURL},
		{"credentials", "http://user:secret@127.0.0.1/x", egress.ErrForbiddenURL},
		{"user that looks like a host", "http://good.example@169.254.169.254/x", egress.ErrForbiddenURL},
		{"backslash", `http://good.example\@169.254.169.254/x`, egress.ErrForbiddenURL},
		{"line break", "http://127.0.0.1/x\r\nHost: y", egress.ErrForbiddenURL},
		{"long", "http://127.0.0.1/" + strings.Repeat("a", 9000), egress.ErrForbiddenURL},
		{"metadata", "http://169.254.169.254/latest/meta-data?secret=1", egress.ErrForbiddenAddress},
		{"unspecified", "http://0.0.0.0:80/", egress.ErrForbiddenAddress},
		{"unspecified IPv6", "http://[::]:80/", egress.ErrForbiddenAddress},
		{"mapped", "http://[::ffff:169.254.169.254]/", egress.ErrForbiddenAddress},
		{"mapped in hexadecimal", "http://[::ffff:a9fe:a9fe]/", egress.ErrForbiddenAddress},
		{"zone", "http://[fe80::1%25lo]/", egress.ErrForbiddenAddress},
	}
	c := client(t, egress.Options{})
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := c.Get(t.Context(), test.url, nil)
			if !errors.Is(err, test.want) {
				t.Fatalf("%q: got %v, want %v", test.url, err, test.want)
			}
			var typed *egress.Error
			if !errors.As(err, &typed) {
				t.Errorf("%v is no *egress.Error", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells a secret", err)
			}
		})
	}
}

// Some resolvers take these for IPv4 addresses. None may lead anywhere.
func TestGetRefusesOddAddresses(t *testing.T) {
	c := client(t, egress.Options{DialTimeout: 2 * time.Second, Networks: []netip.Prefix{}, Resolver: nameServer(t, func(string) []string { return nil })})
	for _, host := range []string{"0x7f.1", "2130706433", "0177.0.0.1", "127.1", "0xa9fea9fe", "0XA9FEA9FE", "0x", "169.254.169.254.", "a.0x1f", "2852039166."} {
		if _, err := c.Get(t.Context(), "http://"+host+":1/", nil); !errors.Is(err, egress.ErrForbiddenAddress) {
			t.Errorf("%s: got %v", host, err)
		}
		if err := c.Check("http://" + host + ":1/"); !errors.Is(err, egress.ErrForbiddenAddress) {
			t.Errorf("check %s: got %v", host, err)
		}
	}
	// Names may have numbers in them.
	for _, host := range []string{"clair4.example.com", "4clair", "10.0.0.1.example.com", "0xfeed.example", "1e3", "x0x1"} {
		if err := c.Check("http://" + host + ":1/"); err != nil {
			t.Errorf("check %s: %v", host, err)
		}
	}
}

func TestGetRefusesRedirect(t *testing.T) {
	tests := []struct {
		name, target string
		want         error
	}{
		{"metadata", "http://169.254.169.254/latest/meta-data", egress.ErrForbiddenAddress},
		{"mapped metadata", "http://[::ffff:169.254.169.254]/", egress.ErrForbiddenAddress},
		{"unspecified", "http://0.0.0.0/", egress.ErrForbiddenAddress},
		{"unspecified IPv6", "//[::]/x", egress.ErrForbiddenAddress},
		{"file", "file:///etc/passwd", egress.ErrForbiddenURL},
		{"credentials", "http://u:secret@127.0.0.1/", egress.ErrForbiddenURL},
		{"loop", "/", egress.ErrRedirect},
		{"malformed", "http://[::1", egress.ErrRedirect},
		{"long", "/" + strings.Repeat("a", 9000), egress.ErrRedirect},
		{"none", "", egress.ErrStatus},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var calls atomic.Int32
			s := serve(t, func(w http.ResponseWriter, r *http.Request) {
				calls.Add(1)
				if test.target != "" {
					w.Header().Set("Location", test.target)
				}
				w.WriteHeader(http.StatusFound)
			})
			_, err := client(t, egress.Options{}).Get(t.Context(), s.URL, nil)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if calls.Load() > 6 {
				t.Errorf("%d calls", calls.Load())
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v tells a secret", err)
			}
		})
	}
}

func TestCredentialsStayAtTheirOrigin(t *testing.T) {
	var seen http.Header
	other := serve(t, func(w http.ResponseWriter, r *http.Request) { seen = r.Header.Clone() })
	var back string
	given := http.Header{"Authorization": {"Bearer t"}, "X-Key": {"k"}, "User-Agent": {"spy"}}

	t.Run("other port", func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
		})
		if _, err := fetch(t.Context(), client(t, egress.Options{}), s.URL, given); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"Authorization", "X-Key", "Referer"} {
			if v := seen.Get(name); v != "" {
				t.Errorf("%s: %s was sent to the other origin", name, v)
			}
		}
		if got := seen.Get("User-Agent"); got != "pratique" {
			t.Errorf("user agent is %q", got)
		}
	})
	t.Run("not given back either", func(t *testing.T) {
		var s *httptest.Server
		detour := serve(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, s.URL+"/back", http.StatusFound) })
		s = serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/back" {
				back = r.Header.Get("Authorization")
				return
			}
			http.Redirect(w, r, detour.URL, http.StatusFound)
		})
		if _, err := fetch(t.Context(), client(t, egress.Options{}), s.URL, given); err != nil {
			t.Fatal(err)
		}
		if back != "" {
			t.Errorf("%q was sent after a detour", back)
		}
	})
	t.Run("same origin keeps them", func(t *testing.T) {
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/blob" {
				fmt.Fprint(w, r.Header.Get("Authorization"))
				return
			}
			http.Redirect(w, r, "/blob", http.StatusMovedPermanently)
		})
		if got, err := fetch(t.Context(), client(t, egress.Options{}), s.URL, given); err != nil || got != "Bearer t" {
			t.Errorf("got %q, %v", got, err)
		}
	})
}

func TestHeader(t *testing.T) {
	var seen http.Header
	var closing bool
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { seen, closing = r.Header.Clone(), r.Close })
	tests := []struct {
		name   string
		header http.Header
		want   error
		closes bool
	}{
		{"connection close", http.Header{"connection": {"close"}}, nil, true},
		{"hop by hop is ignored", http.Header{"Transfer-Encoding": {"chunked"}, "Content-Length": {"7"}, "Host": {"x"}, "upgrade": {"h2c"}, "TE": {"trailers"}, "Connection": {"keep-alive"}}, nil, false},
		{"line break in value", http.Header{"X-A": {"b\r\nX-C: d"}}, egress.ErrForbiddenHeader, false},
		{"line feed in value", http.Header{"X-A": {"b\nd"}}, egress.ErrForbiddenHeader, false},
		{"zero byte", http.Header{"X-A": {"b\x00"}}, egress.ErrForbiddenHeader, false},
		{"line break in name", http.Header{"X-A\r\nX-B": {"c"}}, egress.ErrForbiddenHeader, false},
		{"space in name", http.Header{"X A": {"c"}}, egress.ErrForbiddenHeader, false},
		{"empty name", http.Header{"": {"c"}}, egress.ErrForbiddenHeader, false},
		{"too long", http.Header{"X-A": {strings.Repeat("a", 33<<10)}}, egress.ErrForbiddenHeader, false},
		{"too many", http.Header{"X-A": make([]string, 65)}, egress.ErrForbiddenHeader, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := fetch(t.Context(), client(t, egress.Options{}), s.URL, test.header)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			if err != nil {
				return
			}
			if closing != test.closes {
				t.Errorf("closing is %v", closing)
			}
			for _, name := range []string{"Content-Length", "Transfer-Encoding", "Upgrade", "Te"} {
				if v := seen.Get(name); v != "" {
					t.Errorf("%s: %s was sent", name, v)
				}
			}
		})
	}
}

func TestGetFails(t *testing.T) {
	hang := func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	slow := egress.Options{
		HeaderTimeout: 100 * time.Millisecond, IdleTimeout: 150 * time.Millisecond, MinProgress: 100, TotalTimeout: time.Minute, MaxSize: 1000,
	}
	hurried := slow
	hurried.TotalTimeout, hurried.IdleTimeout = 200*time.Millisecond, time.Minute
	tests := []struct {
		name    string
		opts    egress.Options
		handler http.HandlerFunc
		want    error
		status  int
	}{
		{"not found", slow, http.NotFound, egress.ErrStatus, 404},
		{"unauthorized", slow, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) }, egress.ErrStatus, 401},
		{"never answers", slow, hang, egress.ErrTimeout, 0},
		{"stops in the body", slow, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "some")
			w.(http.Flusher).Flush()
			hang(w, r)
		}, egress.ErrTimeout, 0},
		{"drop by drop", slow, func(w http.ResponseWriter, r *http.Request) { drip(w, r, 20*time.Millisecond) }, egress.ErrTimeout, 0},
		{"total", hurried, func(w http.ResponseWriter, r *http.Request) { drip(w, r, 20*time.Millisecond) }, egress.ErrTimeout, 0},
		{"announced too large", slow, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1001")
			w.WriteHeader(200)
		}, egress.ErrTooLarge, 0},
		{"too large without announcement", slow, func(w http.ResponseWriter, r *http.Request) {
			for range 11 {
				fmt.Fprint(w, strings.Repeat("a", 100))
				w.(http.Flusher).Flush()
			}
		}, egress.ErrTooLarge, 0},
		{"shorter than announced", slow, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "some")
		}, egress.ErrUnreachable, 0},
		{"header too large", slow, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-A", strings.Repeat("a", 100<<10))
		}, egress.ErrUnreachable, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := serve(t, test.handler)
			got, err := fetch(t.Context(), client(t, test.opts), s.URL+"/layer?token=secret", nil)
			if !errors.Is(err, test.want) {
				t.Fatalf("got %v, want %v", err, test.want)
			}
			var typed *egress.Error
			if !errors.As(err, &typed) || typed.Status != test.status || typed.URL != s.URL+"/layer" {
				t.Errorf("got %#v", err)
			}
			if len(got) > 1000 {
				t.Errorf("%d bytes came through", len(got))
			}
		})
	}
}

func drip(w http.ResponseWriter, r *http.Request, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
			fmt.Fprint(w, "a")
			w.(http.Flusher).Flush()
		}
	}
}

func TestSizeThatJustFits(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, strings.Repeat("a", 1000)) })
	if got, err := fetch(t.Context(), client(t, egress.Options{MaxSize: 1000}), s.URL, nil); err != nil || len(got) != 1000 {
		t.Errorf("got %d bytes, %v", len(got), err)
	}
}

func TestSlowReaderIsNoFault(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "2000000")
		for range 20 {
			fmt.Fprint(w, strings.Repeat("a", 100_000))
		}
	})
	response, err := client(t, egress.Options{IdleTimeout: 50 * time.Millisecond}).Get(t.Context(), s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if _, err := io.ReadFull(response.Body, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	<-time.After(150 * time.Millisecond) // longer than IdleTimeout: this is what is tested
	if n, err := io.Copy(io.Discard, response.Body); err != nil || n != 2000000-10 {
		t.Errorf("got %d bytes, %v", n, err)
	}
}

func TestCallerCancels(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := client(t, egress.Options{}).Get(ctx, s.URL, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestUnreachable(t *testing.T) {
	banner := listen(t, func(c net.Conn) { _, _ = io.WriteString(c, "SSH-2.0-secret-banner\r\n") })
	silent := listen(t, func(net.Conn) {})
	closed := listen(t, func(net.Conn) {})
	closed.Close()
	for name, url := range map[string]string{
		"refused":  "http://" + closed.Addr().String(),
		"no HTTP":  "http://" + banner.Addr().String(),
		"no TLS":   "https://" + banner.Addr().String(),
		"hangs up": "http://" + silent.Addr().String(),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := client(t, egress.Options{}).Get(t.Context(), url, nil)
			if !errors.Is(err, egress.ErrUnreachable) {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "secret") {
				t.Errorf("%v quotes the other side", err)
			}
		})
	}
}

func listen(t *testing.T, answer func(net.Conn)) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() { l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = c.SetDeadline(time.Now().Add(5 * time.Second))
			_, _ = c.Read(make([]byte, 1024))
			answer(c)
			c.Close()
		}
	}()
	return l
}
