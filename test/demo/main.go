// Command demo shows Pratique's main job on a sample image and a sample feed of
// our own making: push, findings, an assessment, a refused pull.
//
// It starts the program that -program names on embedded storage in a temporary
// folder, and leaves it running until interrupted unless DEMO_EXIT is set.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/pratique/pratique/test/sample"
)

func main() {
	program := flag.String("program", "bin/pratique", "the program to show")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *program, os.Getenv("DEMO_EXIT") != ""); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, program string, exit bool) (err error) {
	dir, err := os.MkdirTemp("", "pratique-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	feeds := filepath.Join(dir, "feeds")
	if err := writeFeeds(feeds); err != nil {
		return err
	}
	const password = "demo-password"
	s, err := start(ctx, program, dir, feeds, password)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	s.user, s.password = "admin", password

	fmt.Printf("Pratique runs at %s\n\n", s.url)
	if err := show(ctx, s); err != nil {
		return err
	}
	if exit {
		return nil
	}
	fmt.Printf("\nThe server goes on at %s (user admin, password %s). Press Ctrl+C to end it.\n", s.url, password)
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.ended:
		s.ended <- err
		return fmt.Errorf("the server ended: %w", err)
	}
}

// show does the main job.
func show(ctx context.Context, s *server) error {
	fmt.Println("1. Update the feeds")
	if err := s.updateFeeds(ctx); err != nil {
		return err
	}

	fmt.Println("2. Push main/app:1")
	layers, err := image()
	if err != nil {
		return err
	}
	began := time.Now()
	registry := sample.Registry{URL: s.url, User: s.user, Password: s.password}
	digest, err := registry.Push(ctx, "main/app", "1", layers...)
	if err != nil {
		return err
	}
	fmt.Printf("   pushed and analysed in %s\n   %s\n\n3. Its findings\n\n", time.Since(began).Round(time.Millisecond), digest)
	findings, err := s.findings(ctx, digest)
	if err != nil {
		return err
	}
	if len(findings) == 0 {
		return errors.New("the image has no findings")
	}
	printFindings(findings)

	worst := findings[0].Vulnerability
	fmt.Printf("\n4. Assess %s as Block\n", worst)
	if err := s.call(ctx, http.MethodPost, "/api/v1/assessments", map[string]any{
		"vulnerability": worst, "type": "Block", "scope": map[string]string{"kind": "registry", "value": "main"},
		"comment": "Not before it is mended.",
	}, http.StatusCreated, nil); err != nil {
		return err
	}

	fmt.Println("5. Pull main/app:1")
	_, err = registry.Pull(ctx, "main/app", "1")
	if err == nil {
		return errors.New("the pull was not refused")
	}
	fmt.Printf("   %v\n", err)
	return nil
}

type finding struct {
	Vulnerability string `json:"vulnerability"`
	Severity      string `json:"severity"`
	State         string `json:"state"`
	Fixed         string `json:"fixed_version"`
	Layer         string `json:"layer_digest"`
	Package       struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	} `json:"package"`
	Evidence struct {
		Path       string `json:"path"`
		Comparison string `json:"comparison"`
	} `json:"evidence"`
}

func printFindings(findings []finding) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "VULNERABILITY\tSEVERITY\tPACKAGE\tINSTALLED\tFIXED\tSTATE\tPROVED BY")
	for _, f := range findings {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s: %s\n", f.Vulnerability, f.Severity, f.Package.Name, f.Package.Version, f.Fixed, f.State, f.Evidence.Path, f.Evidence.Comparison)
	}
	w.Flush()
}

// image is a Debian image with an own package on top.
func image() ([]sample.Layer, error) {
	base := []sample.DebianPackage{
		{Name: "base-files", Version: "12.4+deb12u8"},
		{Name: "libssl3", Version: "3.0.11-1~deb12u1", Source: "openssl"},
		{Name: "openssl", Version: "3.0.11-1~deb12u1"},
		{Name: "zlib1g", Version: "1:1.2.13.dfsg-1", Source: "zlib"},
	}
	lower, err := sample.DebianBase("12", "bookworm", base...)
	if err != nil {
		return nil, err
	}
	upper, err := sample.NewLayer("RUN apt-get install -y curl",
		sample.File{Path: "var/lib/dpkg/status", Content: sample.Status(append(base, sample.DebianPackage{Name: "curl", Version: "7.88.1-10+deb12u4"})...)})
	if err != nil {
		return nil, err
	}
	return []sample.Layer{lower, upper}, nil
}

func writeFeeds(dir string) error {
	if err := sample.WriteDebianFeed(dir, map[string]map[string]map[string]sample.DebianFix{
		"openssl": {
			"CVE-2023-5678": {"bookworm": {Fixed: "3.0.13-1~deb12u1", Urgency: "low"}},
			"CVE-2024-0001": {"bookworm": {Fixed: "3.0.14-1~deb12u1", Urgency: "high"}},
			"CVE-2022-0778": {"bookworm": {Fixed: "3.0.2-1", Urgency: "high"}},
		},
		"curl": {"CVE-2023-46218": {"bookworm": {Fixed: "7.88.1-10+deb12u5", Urgency: "medium"}}},
		"zlib": {"CVE-2023-45853": {"bookworm": {Urgency: "unimportant"}}},
	}); err != nil {
		return err
	}
	return sample.WriteAlpineFeed(dir, "v3.20", "main", sample.Fixes{"musl": {"1.2.5-r1": {"CVE-2025-26519"}}})
}

// server is a running Pratique.
type server struct {
	url, user, password string
	cmd                 *exec.Cmd
	ended               chan error
	log                 *os.File
}

func start(ctx context.Context, program, dir, feeds, password string) (*server, error) {
	ports := make([]string, 3)
	for i, preferred := range []string{"8624", "6060", "6061"} {
		port, err := freePort(preferred)
		if err != nil {
			return nil, err
		}
		ports[i] = port
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	s := &server{url: "http://localhost:" + ports[0], ended: make(chan error, 1), log: log}
	s.cmd = exec.Command(program, "serve", "--data", filepath.Join(dir, "data"), "--feeds-mirror", feeds, "--feeds", "debian,alpine",
		"--listen", "127.0.0.1:"+ports[0], "--clair-listen", "127.0.0.1:"+ports[1], "--health-listen", "127.0.0.1:"+ports[2])
	s.cmd.Env = append(os.Environ(), "PRATIQUE_ADMIN_PASSWORD="+password)
	s.cmd.Stdout, s.cmd.Stderr = log, log
	// Ctrl+C reaches the whole process group; the server is told to end by stop.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() { s.ended <- s.cmd.Wait() }()
	ready := "http://127.0.0.1:" + ports[2] + "/readyz"
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if res, err := http.Get(ready); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return s, nil
			}
		}
		select {
		case <-tick.C:
		case err := <-s.ended:
			s.ended <- err
			text, _ := os.ReadFile(log.Name())
			return nil, errors.Join(fmt.Errorf("the server ended: %w\n%s", err, text), log.Close())
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), s.stop())
		}
	}
}

// stop ends the server as an init system does.
func (s *server) stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return errors.Join(<-s.ended, s.log.Close())
}

// freePort returns the preferred port if it is free, else any.
func freePort(preferred string) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:"+preferred)
	if err != nil {
		if l, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			return "", err
		}
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

func (s *server) updateFeeds(ctx context.Context) error {
	var job struct {
		ID    int64  `json:"id"`
		State string `json:"state"`
		Error string `json:"error"`
	}
	if err := s.call(ctx, http.MethodPost, "/api/v1/feeds/update", nil, http.StatusAccepted, &job); err != nil {
		return err
	}
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if err := s.call(ctx, http.MethodGet, fmt.Sprintf("/api/v1/jobs/%d", job.ID), nil, http.StatusOK, &job); err != nil {
			return err
		}
		switch job.State {
		case "done":
			return nil
		case "failed":
			return fmt.Errorf("the feed update failed: %s", job.Error)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *server) findings(ctx context.Context, digest string) ([]finding, error) {
	var list struct {
		Items []finding `json:"items"`
	}
	err := s.call(ctx, http.MethodGet, "/api/v1/images/"+digest+"/findings", nil, http.StatusOK, &list)
	return list.Items, err
}

func (s *server) call(ctx context.Context, method, path string, body any, want int, answer any) error {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		content = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, content)
	if err != nil {
		return err
	}
	req.SetBasicAuth(s.user, s.password)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != want {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, text)
	}
	if answer == nil {
		return nil
	}
	return json.Unmarshal(text, answer)
}
