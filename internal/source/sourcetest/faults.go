// Package sourcetest has stand-ins for external vulnerability sources: real HTTP
// servers that fetch the layers they are told, with what they are given, and
// answer as the real ones do; and that fail on request.
package sourcetest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Service is what the stand-ins share.
type Service struct {
	*httptest.Server
	// Authorization is what each request has to carry; "" for anything.
	Authorization string

	mu       sync.Mutex
	requests []string
	fetched  []string
	faults   []Fault
	gone     chan struct{}
	left     bool
	forget   func()
}

// Fault is what to do in place of the next request whose path holds At: one that
// comes here, or one by which layers are fetched.
type Fault struct {
	At     string
	Status int
	Body   string
	// Hang has the server say nothing until its client has gone, or the test ends.
	Hang bool
	// Endless has it send without an end, Abort has it cut the connection.
	Endless, Abort bool
	// Leave has it be gone from then on, until it returns; Cut only after it did
	// what was asked and sent half of its answer.
	Leave, Cut bool
	// Skip is how many such requests go well before.
	Skip int
	// Always keeps the fault for further requests.
	Always bool
}

// start serves, with the authorization and the faults before anything else.
func (s *Service) start(t testing.TB, serve func(*http.ServeMux)) {
	t.Helper()
	mux := http.NewServeMux()
	serve(mux)
	s.gone = make(chan struct{})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body) // only then is it noticed that a client has gone
		if err != nil {
			return
		}
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		s.note(&s.requests, r.Method+" "+r.URL.RequestURI())
		if s.Authorization != "" && r.Header.Get("Authorization") != s.Authorization {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		f, ok := s.fault(r.URL.Path)
		switch {
		case ok && f.Cut:
			s.cut(w, r, mux)
		case ok:
			s.fail(w, r, f)
		default:
			mux.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(func() {
		close(s.gone)
		s.Close()
	})
}

func (s *Service) fail(w http.ResponseWriter, r *http.Request, f Fault) {
	switch {
	case f.Hang:
		select {
		case <-r.Context().Done():
		case <-s.gone:
		}
	case f.Leave:
		s.leave()
	case f.Abort:
		panic(http.ErrAbortHandler)
	case f.Endless:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"x":"`)
		for chunk := strings.Repeat("x", 1<<20); r.Context().Err() == nil; {
			if _, err := io.WriteString(w, chunk); err != nil {
				return
			}
		}
	default:
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
	}
}

// leave is the end of the service, in the middle of a request.
func (s *Service) leave() {
	func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.left = true
		s.Config.SetKeepAlivesEnabled(false)
		_ = s.Listener.Close() // it may have left already
	}()
	panic(http.ErrAbortHandler)
}

// cut answers a request by half, and leaves.
func (s *Service) cut(w http.ResponseWriter, r *http.Request, handler http.Handler) {
	whole := httptest.NewRecorder()
	handler.ServeHTTP(whole, r)
	maps.Copy(w.Header(), whole.Header())
	w.Header().Set("Content-Length", strconv.Itoa(whole.Body.Len()))
	w.WriteHeader(whole.Code)
	_, _ = w.Write(whole.Body.Bytes()[:whole.Body.Len()/2])
	_ = http.NewResponseController(w).Flush()
	s.leave()
}

// Forget has it lose all that it knows of layers and images.
func (s *Service) Forget() { s.forget() }

// Return has a service that left be back at its address.
func (s *Service) Return(t testing.TB) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.left {
		t.Fatal("it did not leave")
	}
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s.left = false
	back := &httptest.Server{Listener: l, Config: &http.Server{Handler: s.Config.Handler, ReadHeaderTimeout: time.Minute}}
	back.Start()
	t.Cleanup(back.Close)
	s.Server.Listener, s.Server.Config = l, back.Config
}

// Fail adds faults.
func (s *Service) Fail(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Mend takes all faults away.
func (s *Service) Mend() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
}

func (s *Service) fault(path string) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if strings.Contains(path, f.At) {
			if f.Skip > 0 {
				s.faults[i].Skip--
				continue
			}
			if !f.Always {
				s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			}
			return f, true
		}
	}
	return Fault{}, false
}

func (s *Service) note(list *[]string, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*list = append(*list, text)
}

// Requests lists the requests so far, "METHOD PATH?QUERY".
func (s *Service) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.requests...)
}

// Fetched lists the digests of what was fetched so far.
func (s *Service) Fetched() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.fetched...)
}

// fetch gets a blob or manifest, whose digest must be that.
func (s *Service) fetch(url, digest string, header http.Header) error {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if f, ok := s.fault(request.URL.Path); ok && f.Leave {
		s.leave()
	}
	request.Header = header
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	h := sha256.New()
	if _, err := io.Copy(h, response.Body); err != nil {
		return err
	}
	if got := "sha256:" + hex.EncodeToString(h.Sum(nil)); digest != "" && got != digest {
		return fmt.Errorf("%s has digest %s", url, got)
	}
	s.note(&s.fetched, digest)
	return nil
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that has gone needs no answer
}
