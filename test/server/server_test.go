// Package server_test runs the whole program on real input, in this process,
// over real HTTP, with real clients.
package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/pratique/pratique/internal/realdata"
	"github.com/pratique/pratique/internal/store/storetest"
	"github.com/pratique/pratique/test/program"
	"github.com/pratique/pratique/test/sample"
)

const password = "test-password"

// server is a running program.
type server struct {
	url, clair, health string
	clock              *program.Clock
	stop               func()
}

// start runs the program with a data folder and more arguments.
func start(t *testing.T, data string, args ...string) *server {
	t.Helper()
	s := &server{clock: new(program.Clock)}
	p, err := program.Start(s.clock, slog.New(slog.NewTextHandler(io.Discard, nil)), data, password, args...)
	if err != nil {
		t.Fatal(err)
	}
	s.stop = sync.OnceFunc(func() {
		if err := p.Stop(); err != nil {
			t.Errorf("the server ended: %v", err)
		}
	})
	t.Cleanup(s.stop)
	s.url, s.clair, s.health = p.URL, p.Clair, p.Health
	return s
}

func (s *server) registry() sample.Registry {
	return sample.Registry{URL: s.url, User: "admin", Password: password}
}

// call makes a REST request that is answered with the status.
func call[T any](t *testing.T, s *server, method, path string, body any, want int) (answer T) {
	t.Helper()
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+"/api/v1"+path, content)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth("admin", password)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != want {
		t.Fatalf("%s %s: %s, want %d: %s", method, path, res.Status, want, text)
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, text)
		}
	}
	return answer
}

type list[T any] struct {
	Items []T `json:"items"`
}

type finding struct {
	Vulnerability string `json:"vulnerability"`
	State         string `json:"state"`
	Fixed         string `json:"fixed_version"`
	Layer         string `json:"layer_digest"`
	Package       struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"package"`
}

func (f finding) String() string {
	return fmt.Sprintf("%s %s %s fixed %s: %s", f.Vulnerability, f.Package.Name, f.Package.Version, f.Fixed, f.State)
}

func findings(t *testing.T, s *server, digest string) []finding {
	t.Helper()
	return call[list[finding]](t, s, http.MethodGet, "/images/"+digest+"/findings?page_size=1000", nil, http.StatusOK).Items
}

// updateFeeds waits until the feeds are up to date.
func updateFeeds(t *testing.T, s *server) {
	t.Helper()
	type job struct {
		ID    int64  `json:"id"`
		State string `json:"state"`
		Error string `json:"error"`
	}
	j := call[job](t, s, http.MethodPost, "/feeds/update", nil, http.StatusAccepted)
	for deadline := time.Now().Add(5 * time.Minute); j.State != "done"; {
		if j.State == "failed" || j.Error != "" || time.Now().After(deadline) {
			t.Fatalf("feed update: %+v", j)
		}
		j = call[job](t, s, http.MethodGet, fmt.Sprintf("/jobs/%d", j.ID), nil, http.StatusOK)
	}
}

// realData is a folder of real images and feeds; the test is skipped without one.
func realData(t *testing.T) string {
	t.Helper()
	root := realdata.Root(t)
	if _, err := os.Stat(filepath.Join(root, "images")); err != nil {
		t.Skipf("no real images and feeds: %v", err)
	}
	root, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// eachDatabase runs a test on each engine, at the same time: most of it is waiting.
func eachDatabase(t *testing.T, test func(t *testing.T, database string)) {
	for name, database := range map[string]func(testing.TB) string{"sqlite": storetest.SQLiteURL, "postgres": storetest.PostgresURL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, database(t))
		})
	}
}

// muslFeed writes a feed that says musl was mended in 1.2.5-r1.
func muslFeed(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := sample.WriteAlpineFeed(dir, "v3.20", "main", sample.Fixes{"musl": {"1.2.5-r1": {"CVE-2025-26519"}}}); err != nil {
		t.Fatal(err)
	}
	return dir
}

func muslImage(t *testing.T) sample.Layer {
	t.Helper()
	l, err := sample.AlpineBase("3.20.3", sample.AlpinePackage{Name: "musl", Version: "1.2.5-r0", Origin: "musl"})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// decode makes a request and returns the header of its answer.
func decode(t *testing.T, req *http.Request, want int, into any) http.Header {
	t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != want {
		t.Errorf("%s %s: %s, want %d: %s", req.Method, req.URL, res.Status, want, text)
	}
	if into != nil {
		if err := json.Unmarshal(text, into); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
	}
	return res.Header
}
