package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

const repository = "main/bench"

// registries compares Pratique with the registries that are on PATH: the push of
// a blob, its pull, and reads of a manifest over sixteen connections.
func registries(ctx context.Context, o options) (err error) {
	blob := make([]byte, o.blob)
	if _, err := rand.Read(blob); err != nil {
		return err
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(blob))
	t := newTable(fmt.Sprintf("Registry (blob of %s, random bytes)", megabytes(o.blob)),
		"registry", "push", "pull", "pull rate", "manifest reads over 16 connections", "memory idle", "peak of push and pull")
	var running []*process
	defer func() {
		for _, p := range running {
			err = errors.Join(err, p.stop())
		}
	}()
	for _, start := range []func(context.Context, options, string) (*process, error){pratique, pratiqueNoFsync, distribution, zot} {
		data, err := os.MkdirTemp(o.dir, "registry-")
		if err != nil {
			return err
		}
		p, err := start(ctx, o, data)
		if errors.Is(err, exec.ErrNotFound) {
			fmt.Fprintln(os.Stderr, "not measured:", err)
			continue
		}
		if err != nil {
			return err
		}
		running = append(running, p)
	}
	figures := make([]figures, len(running))
	for _, p := range running {
		if err := p.resetPeak(); err != nil {
			return err
		}
	}
	for range o.turns {
		for i, p := range running {
			if err := p.blobTurn(ctx, blob, digest, &figures[i]); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	for i, p := range running {
		if figures[i].peak, err = p.memory("VmHWM"); err != nil {
			return err
		}
	}
	for turn := range o.turns {
		for i, p := range running {
			if turn == 0 {
				if err := p.pushManifest(ctx); err != nil {
					return fmt.Errorf("%s: %w", p.name, err)
				}
			}
			rate, err := p.manifestRate(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
			figures[i].manifests = max(figures[i].manifests, rate)
		}
	}
	for i, p := range running {
		f := figures[i]
		t.row(p.name, f.push.seconds(), f.pull.seconds(), fmt.Sprintf("%.2f GB/s", float64(o.blob)/float64(f.pull)),
			fmt.Sprintf("%.0f/s", f.manifests), megabytes(p.idle), megabytes(f.peak))
	}
	return nil
}

type figures struct {
	push, pull best
	manifests  float64
	peak       int64
}

func pratique(ctx context.Context, o options, data string) (*process, error) {
	return servePratique(ctx, o, "Pratique", data)
}

func pratiqueNoFsync(ctx context.Context, o options, data string) (*process, error) {
	return servePratique(ctx, o, "Pratique, --no-blob-fsync", data, "--no-blob-fsync")
}

// servePratique starts the program with one registry whose policy gate is on.
func servePratique(ctx context.Context, o options, name, data string, args ...string) (*process, error) {
	const password = "bench-password"
	var addresses [3]string
	for i := range addresses {
		var err error
		if addresses[i], err = freeAddress(); err != nil {
			return nil, err
		}
	}
	p, err := launch(ctx, o, name, "http://"+addresses[0], "http://"+addresses[2]+"/readyz", o.program, append([]string{"serve",
		"--data", data, "--listen", addresses[0], "--clair-listen", addresses[1], "--health-listen", addresses[2],
		"--admin-password", password, "--feeds-schedule", "off", "--feeds-mirror", filepath.Join(o.data, "feeds")}, args...)...)
	if err != nil {
		return nil, err
	}
	token, err := tokenOf(ctx, p.url+"/v2/_auth?service="+url.QueryEscape("pratique")+"&scope="+url.QueryEscape("repository:"+repository+":pull,push,delete"), password)
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	p.token = token
	return p, nil
}

// tokenOf does what docker does to get a token.
func tokenOf(ctx context.Context, url, password string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	req.SetBasicAuth("admin", password)
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	var answer struct {
		Token string `json:"token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil || answer.Token == "" {
		return "", fmt.Errorf("no token: %s, %w", res.Status, err)
	}
	return answer.Token, nil
}

func distribution(ctx context.Context, o options, data string) (*process, error) {
	program, err := exec.LookPath("registry")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	config := filepath.Join(data, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}, cache: {blobdescriptor: inmemory}}\nhttp: {addr: %q}\n",
		filepath.Join(data, "blobs"), address)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return launch(ctx, o, "distribution", "http://"+address, "http://"+address+"/v2/", program, "serve", config)
}

func zot(ctx context.Context, o options, data string) (*process, error) {
	program, err := exec.LookPath("zot")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	u, err := url.Parse("http://" + address)
	if err != nil {
		return nil, err
	}
	config := filepath.Join(data, "config.json")
	text := fmt.Sprintf(`{"distSpecVersion":"1.1.1","storage":{"rootDirectory":%q},"http":{"address":"127.0.0.1","port":%q},"log":{"level":"error"}}`,
		filepath.Join(data, "blobs"), u.Port())
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return launch(ctx, o, "zot", "http://"+address, "http://"+address+"/v2/", program, "serve", config)
}

// blobTurn pushes the blob, pulls it and deletes it.
func (p *process) blobTurn(ctx context.Context, blob []byte, digest string, f *figures) error {
	if err := f.push.of(func() error { return p.push(ctx, bytes.NewReader(blob), int64(len(blob)), digest) }); err != nil {
		return err
	}
	at := p.url + "/v2/" + repository + "/blobs/" + digest
	if err := f.pull.of(func() error {
		var n counter
		status, _, err := p.do(ctx, http.MethodGet, at, nil, 0, "", &n)
		if err == nil && (status != http.StatusOK || int64(n) != int64(len(blob))) {
			err = fmt.Errorf("pull: %d, %d bytes", status, n)
		}
		return err
	}); err != nil {
		return err
	}
	status, _, err := p.do(ctx, http.MethodDelete, at, nil, 0, "", io.Discard)
	if err == nil && status != http.StatusAccepted {
		err = fmt.Errorf("delete: %d", status)
	}
	return err
}

type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

// push uploads a blob as docker does: a session, then one PUT.
func (p *process) push(ctx context.Context, content io.Reader, size int64, digest string) error {
	status, header, err := p.do(ctx, http.MethodPost, p.url+"/v2/"+repository+"/blobs/uploads/", nil, 0, "", io.Discard)
	if err != nil || status != http.StatusAccepted {
		return fmt.Errorf("start an upload: %d, %w", status, err)
	}
	at, err := url.Parse(header.Get("Location"))
	if err != nil {
		return err
	}
	base, err := url.Parse(p.url)
	if err != nil {
		return err
	}
	at = base.ResolveReference(at)
	query := at.Query()
	query.Set("digest", digest)
	at.RawQuery = query.Encode()
	status, _, err = p.do(ctx, http.MethodPut, at.String(), content, size, "application/octet-stream", io.Discard)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("upload: %d", status)
	}
	return err
}

// emptyLayer is a gzipped archive without entries.
const emptyLayer = "H4sIAAAAAAAA/2IYBaNgFIxYAAgAAP//Lq+17wAEAAA="

func (p *process) pushManifest(ctx context.Context) error {
	layer, err := base64.StdEncoding.DecodeString(emptyLayer)
	if err != nil {
		return err
	}
	config := []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`)
	for _, blob := range [][]byte{layer, config} {
		if err := p.push(ctx, bytes.NewReader(blob), int64(len(blob)), fmt.Sprintf("sha256:%x", sha256.Sum256(blob))); err != nil {
			return err
		}
	}
	const mediaType = "application/vnd.oci.image.manifest.v1+json"
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:%x","size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"sha256:%x","size":%d}]}`,
		mediaType, sha256.Sum256(config), len(config), sha256.Sum256(layer), len(layer))
	status, _, err := p.do(ctx, http.MethodPut, p.url+"/v2/"+repository+"/manifests/1", bytes.NewReader(manifest), int64(len(manifest)), mediaType, io.Discard)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("push of the manifest: %d", status)
	}
	return err
}

// manifestRate reads the manifest for some seconds and returns reads per second.
func (p *process) manifestRate(ctx context.Context) (float64, error) {
	const connections, duration = 16, 2 * time.Second
	var reads atomic.Int64
	errs := make([]error, connections)
	var wait sync.WaitGroup
	began := time.Now()
	for i := range connections {
		wait.Go(func() {
			for time.Since(began) < duration && errs[i] == nil {
				status, _, err := p.do(ctx, http.MethodGet, p.url+"/v2/"+repository+"/manifests/1", nil, 0, "", io.Discard)
				if err == nil && status != http.StatusOK {
					err = fmt.Errorf("manifest: %d", status)
				}
				errs[i] = err
				reads.Add(1)
			}
		})
	}
	wait.Wait()
	return float64(reads.Load()) / time.Since(began).Seconds(), errors.Join(errs...)
}
