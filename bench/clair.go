package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pratique/pratique/test/clair/realclair"
	"github.com/pratique/pratique/test/sample"
)

// Of the comparison with Clair: the packages of the image whose report is read,
// and by how many clients how often, or as often as there is time for it.
const (
	clairPackages = 1000
	clairClients  = 50
	clairReports  = 500
	clairTime     = time.Minute
)

// scannerUnderTest is a server that speaks Clair's v4 API.
type scannerUnderTest struct {
	name, url string
	pid       int

	index      best
	indexAgain best
	latencies  []time.Duration
	packages   int
	findings   int
	memory     int64
}

// clairs compares Pratique with Clair 4, where that is on PATH: indexing layers at
// first sight, and reports of an image of a thousand packages to fifty clients.
func clairs(ctx context.Context, o options) (err error) {
	program, err := realclair.Find("clair")
	if errors.Is(err, realclair.ErrAbsent) {
		fmt.Fprintln(os.Stderr, "not measured:", err)
		return nil
	}
	if err != nil {
		return err
	}
	feeds := filepath.Join(o.data, "feeds")
	if _, err := os.Stat(feeds); err != nil {
		fmt.Printf("\n## Clair\n\nNot measured: there are no feeds in %s.\n", o.data)
		return nil
	}
	database, err := openPostgres(o)
	if err != nil {
		fmt.Printf("\n## Clair\n\nNot measured: PostgreSQL: %v\n", err)
		return nil
	}
	defer func() { err = errors.Join(err, database.close()) }()
	waiting, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	clair, err := realclair.Start(waiting, realclair.Options{Program: program, Database: database.url, Dir: o.dir, Feeds: feeds, Ecosystems: []string{"Go"}})
	if err != nil {
		return err
	}
	defer clair.Stop()
	ours, registry, err := pratiqueAsClair(ctx, o, feeds)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ours.stop()) }()
	if err := clair.AwaitUpdates(waiting, "alpine-main-v3.10-updater", "alpine-community-v3.10-updater", "osv/go"); err != nil {
		return err
	}
	list := []*scannerUnderTest{
		{name: "Clair 4.9", url: clair.URL, pid: clair.PID},
		{name: "Pratique", url: ours.url, pid: ours.cmd.Process.Pid},
	}
	var layers layerServer
	server := httptest.NewServer(&layers)
	defer server.Close()
	files, err := layerFiles(ctx, o)
	if err != nil {
		return err
	}
	if err := measureIndexing(ctx, o, list, &layers, server.URL, files); err != nil {
		return err
	}
	if err := measureReports(ctx, o, list, &layers, server.URL); err != nil {
		return err
	}
	return measureKnown(ctx, o, list[1], registry, &layers, server.URL)
}

// pratiqueAsClair starts the program with the advisories that Clair has. The URL
// is its registry's; that of the process is of the Clair API.
func pratiqueAsClair(ctx context.Context, o options, feeds string) (p *process, registry string, err error) {
	data, err := os.MkdirTemp(o.dir, "clair-")
	if err != nil {
		return nil, "", err
	}
	mirror := []string{"--data", data, "--feeds-mirror", feeds}
	if out, err := exec.CommandContext(ctx, o.program, append([]string{"feeds", "update", "alpine", "go"}, mirror...)...).CombinedOutput(); err != nil {
		return nil, "", fmt.Errorf("feeds update: %w: %s", err, tail(out))
	}
	var addresses [2]string
	for i := range addresses {
		if addresses[i], err = freeAddress(); err != nil {
			return nil, "", err
		}
	}
	p, err = launch(ctx, o, "Pratique", "http://"+addresses[1], "http://"+addresses[1]+"/indexer/api/v1/index_state", o.program, append([]string{"serve",
		"--listen", addresses[0], "--clair-listen", addresses[1], "--health-listen", "off", "--feeds-schedule", "off", "--clair-download-rate", "0",
		"--admin-password", clairPassword}, mirror...)...)
	return p, "http://" + addresses[0], err
}

const clairPassword = "bench-password"

// layerServer serves layers by their digests.
type layerServer struct{ layers sync.Map }

func (s *layerServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	content, ok := s.layers.Load(filepath.Base(r.URL.Path))
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/gzip")
	w.Header().Set("Content-Length", strconv.Itoa(len(content.([]byte))))
	_, _ = w.Write(content.([]byte)) // the client has gone, or not
}

func (s *layerServer) add(content []byte) (digest string) {
	digest = fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	s.layers.Store(digest, content)
	return digest
}

// commented is a gzip file with a comment in its head: the same content under
// another digest (RFC 1952, section 2.3).
func commented(content []byte, comment string) ([]byte, error) {
	const head, name, note = 10, 0x08, 0x10
	if len(content) < head || content[0] != 0x1f || content[1] != 0x8b || content[3]&^(name|note) != 0 {
		return nil, errors.New("no gzip file whose head is known")
	}
	at := head
	for _, flag := range []byte{name, note} {
		if content[3]&flag != 0 {
			end := bytes.IndexByte(content[at:], 0)
			if end < 0 {
				return nil, errors.New("the head of the gzip file does not end")
			}
			at += end + 1
		}
	}
	out := slices.Clone(content[:head])
	out[3] = note
	out = append(append(out, comment...), 0)
	return append(out, content[at:]...), nil
}

func measureIndexing(ctx context.Context, o options, list []*scannerUnderTest, layers *layerServer, base string, files []string) error {
	t := newTable("Clair: indexing", "layer", "compressed", "server", "packages", "first sight", "again", "first sight / Clair's")
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		for _, s := range list {
			s.index, s.indexAgain = 0, 0
		}
		for turn := range o.turns {
			for _, s := range list {
				fresh, err := commented(content, fmt.Sprintf("%s %d", s.name, turn))
				if err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
				digest := layers.add(fresh)
				for _, b := range []*best{&s.index, &s.indexAgain} {
					if err := b.of(func() error { return s.post(ctx, base, digest, digest) }); err != nil {
						return fmt.Errorf("%s: %s: %w", s.name, name, err)
					}
				}
				layers.layers.Delete(digest)
			}
		}
		for _, s := range list {
			t.row(layerName(name), megabytes(int64(len(content))), s.name, fmt.Sprint(s.packages), s.index.ms(), s.indexAgain.ms(),
				fmt.Sprintf("%.2f", float64(s.index)/float64(list[0].index)))
		}
	}
	return nil
}

// post has a manifest indexed.
func (s *scannerUnderTest) post(ctx context.Context, base, hash string, digests ...string) error {
	type layer struct {
		Hash string `json:"hash"`
		URI  string `json:"uri"`
	}
	body := struct {
		Hash   string  `json:"hash"`
		Layers []layer `json:"layers"`
	}{Hash: hash}
	for _, d := range digests {
		body.Layers = append(body.Layers, layer{d, base + "/" + d})
	}
	content, err := json.Marshal(body)
	if err != nil {
		return err
	}
	var answer struct {
		Success  bool
		Err      string
		Packages map[string]json.RawMessage
	}
	if err := s.call(ctx, http.MethodPost, "/indexer/api/v1/index_report", content, http.StatusCreated, &answer); err != nil {
		return err
	}
	if !answer.Success {
		return errors.New(answer.Err)
	}
	s.packages = len(answer.Packages)
	return nil
}

func (s *scannerUnderTest) call(ctx context.Context, method, path string, body []byte, want int, into any) error {
	request, err := http.NewRequestWithContext(ctx, method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != want {
		return fmt.Errorf("%s %s: %s: %s", method, path, response.Status, tail(content))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(content, into)
}

// thousandPackages are two layers: an Alpine 3.10, and its package database with a
// thousand packages, those first that its advisories speak of, in an old version.
func thousandPackages(o options) ([]sample.Layer, error) {
	var packages []sample.AlpinePackage
	for _, repository := range []string{"main", "community"} {
		content, err := os.ReadFile(filepath.Join(o.data, "feeds", "secdb.alpinelinux.org", "v3.10", repository+".json"))
		if err != nil {
			return nil, err
		}
		var document struct {
			Packages []struct{ Pkg struct{ Name string } }
		}
		if err := json.Unmarshal(content, &document); err != nil {
			return nil, err
		}
		for _, p := range document.Packages {
			packages = append(packages, sample.AlpinePackage{Name: p.Pkg.Name, Version: "0.1-r0", Origin: p.Pkg.Name})
		}
	}
	for i := len(packages); i < clairPackages; i++ {
		name := fmt.Sprintf("package-%d", i)
		packages = append(packages, sample.AlpinePackage{Name: name, Version: "1.0-r0", Origin: name})
	}
	lower, err := sample.AlpineBase("3.10.3")
	if err != nil {
		return nil, err
	}
	upper, err := sample.NewLayer("RUN apk add", sample.File{Path: "lib/apk/db/installed", Content: inApksOrder(sample.Installed(packages[:clairPackages]...))})
	return []sample.Layer{lower, upper}, err
}

// inApksOrder puts a line after that of the origin, as apk does: Clair does not read
// the last line of an entry.
func inApksOrder(installed string) string { return strings.ReplaceAll(installed, "\n\n", "\nt:1\n\n") }

func measureReports(ctx context.Context, o options, list []*scannerUnderTest, layers *layerServer, base string) error {
	image, err := thousandPackages(o)
	if err != nil {
		return err
	}
	var digests []string
	for _, l := range image {
		digests = append(digests, layers.add(l.Content))
	}
	hash := digests[len(digests)-1]
	t := newTable(fmt.Sprintf("Clair: reports of %d packages to %d clients", clairPackages, clairClients),
		"server", "packages", "findings", "reports", "p50", "p99", "reports a second", "Clair's p50 / this", "peak memory (without PostgreSQL's)")
	var first time.Duration
	for _, s := range list {
		if err := s.post(ctx, base, hash, digests...); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		path := "/matcher/api/v1/vulnerability_report/" + hash
		var report struct {
			Affecting map[string][]string `json:"package_vulnerabilities"`
		}
		if err := s.call(ctx, http.MethodGet, path, nil, http.StatusOK, &report); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		for _, of := range report.Affecting {
			s.findings += len(of)
		}
		began := time.Now()
		if err := s.load(ctx, path); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		took := time.Since(began)
		slices.Sort(s.latencies)
		p50, p99 := s.latencies[len(s.latencies)/2], s.latencies[len(s.latencies)*99/100]
		if first == 0 {
			first = p50
		}
		if s.memory, err = (&process{name: s.name, cmd: &exec.Cmd{Process: &os.Process{Pid: s.pid}}}).memory("VmHWM"); err != nil {
			return err
		}
		t.row(s.name, fmt.Sprint(s.packages), fmt.Sprint(s.findings), fmt.Sprint(len(s.latencies)), best(p50).ms(), best(p99).ms(), fmt.Sprintf("%.0f", float64(len(s.latencies))/took.Seconds()),
			fmt.Sprintf("%.0f", float64(first)/float64(p50)), megabytes(s.memory))
	}
	return nil
}

// load reads the report by many clients at a time.
func (s *scannerUnderTest) load(ctx context.Context, path string) error {
	var mu sync.Mutex
	var left atomic.Int64
	left.Store(clairReports)
	var wait sync.WaitGroup
	errs := make([]error, clairClients)
	end := time.Now().Add(clairTime)
	for i := range clairClients {
		wait.Go(func() {
			for left.Add(-1) >= 0 && errs[i] == nil && time.Now().Before(end) {
				began := time.Now()
				errs[i] = s.call(ctx, http.MethodGet, path, nil, http.StatusOK, nil)
				took := time.Since(began)
				mu.Lock()
				s.latencies = append(s.latencies, took)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
