package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/pratique/pratique/internal/blob"
	"github.com/pratique/pratique/internal/egress"
	"github.com/pratique/pratique/internal/oci/registry"
)

// Via is the header by which a registry that pulls through itself, perhaps by
// way of others, is known.
const Via = "Pratique-Via"

// How long an upstream rests that failed: at first, at most.
const (
	firstRest = time.Second
	maxRest   = time.Minute
	maxAsked  = time.Hour // what it may ask for by Retry-After
)

var accepted = strings.Join([]string{registry.MediaTypeIndex, registry.MediaTypeDockerList, registry.MediaTypeImage, registry.MediaTypeDockerImage}, ", ")

// client speaks with one upstream.
type client struct {
	connector Connector
	egress    *egress.Client
	auth      *auth.Client
	slots     chan struct{}
	now       func() time.Time

	mu    sync.Mutex
	until time.Time // it rests until then
	rest  time.Duration
}

func newClient(c Connector, password string, now func() time.Time) (*client, error) {
	config := &tls.Config{InsecureSkipVerify: c.SkipVerify, MinVersion: tls.VersionTLS12} //nolint:gosec // the administrator's choice
	if c.CA != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(c.CA)) {
			return nil, &FieldError{"ca_certificates", "holds no certificate in PEM"}
		}
		config.RootCAs = pool
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, &FieldError{"url", "is malformed"}
	}
	// Where it is, an administrator said; where it leads must be public.
	out := egress.New(egress.Options{
		Networks: []netip.Prefix{}, Hosts: append([]string{u.Hostname()}, c.TrustedHosts...),
		DialTimeout: min(c.Timeout, 10*time.Second), TLSTimeout: min(c.Timeout, 10*time.Second),
		HeaderTimeout: c.Timeout, IdleTimeout: c.Timeout, TLS: config,
	})
	if err := out.Check(c.URL); err != nil {
		return nil, &FieldError{"url", plain(err)}
	}
	a := &auth.Client{Client: out.HTTP(), Cache: auth.NewCache(), Header: http.Header{"User-Agent": {"pratique"}, "Accept-Encoding": {"identity"}},
		// Package egress judges each address that is called.
		BlockedRealmPrefixes: []netip.Prefix{}}
	if c.Username != "" {
		a.Credential = auth.StaticCredential(u.Host, auth.Credential{Username: c.Username, Password: password})
	}
	return &client{connector: c, egress: out, auth: a, slots: make(chan struct{}, c.Concurrency), now: now}, nil
}

// plain is the reason in an error of package egress, which quotes nobody.
func plain(err error) string {
	var e *egress.Error
	if errors.As(err, &e) {
		return e.Err.Error()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "it took too long"
	}
	if errors.Is(err, auth.ErrBasicCredentialNotFound) {
		return "it wants a user name and a password"
	}
	return "it does not answer as a registry does"
}

// resting reports an upstream that is not to be asked now.
func (c *client) resting() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := c.until.Sub(c.now())
	return left, left > 0
}

// failed has the upstream rest where the failure is one that passes.
func (c *client) failed(f *Failure) {
	if f.Status != 0 && f.Status != http.StatusTooManyRequests && f.Status < 500 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rest = min(max(2*c.rest, firstRest), maxRest)
	c.until = c.now().Add(max(c.rest, min(f.RetryAfter, maxAsked)))
}

func (c *client) worked() {
	c.mu.Lock()
	c.rest, c.until = 0, time.Time{}
	c.mu.Unlock()
}

// name is a repository as upstream calls it: Docker Hub's own are in library.
func (c *client) name(repository string) string {
	if !strings.Contains(repository, "/") && (strings.HasSuffix(c.connector.URL, "//registry-1.docker.io") || strings.HasSuffix(c.connector.URL, "//docker.io")) {
		return "library/" + repository
	}
	return repository
}

// ask makes a request. It returns ErrUnknown for what is not there, and a *Failure;
// the body of a good answer gives up the place among those that ask at once.
func (c *client) ask(ctx context.Context, method, path, repository string, header http.Header) (*http.Response, error) {
	if left, resting := c.resting(); resting {
		return nil, &Failure{Connector: c.connector.Name, Reason: fmt.Sprintf("it failed and is not asked for %v", left.Round(time.Second)), Status: http.StatusServiceUnavailable}
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	release := sync.OnceFunc(func() { <-c.slots })
	if repository != "" {
		ctx = auth.AppendRepositoryScope(ctx, registryReference(c.connector.URL, repository), auth.ActionPull)
	}
	request, err := http.NewRequestWithContext(ctx, method, c.connector.URL+"/v2/"+path, nil)
	if err != nil {
		release()
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := c.auth.Do(request)
	if err != nil {
		release()
		f := &Failure{Connector: c.connector.Name, Reason: plain(err), Err: err}
		if ctx.Err() == nil {
			c.failed(f)
		}
		return nil, f
	}
	response.Body = &slot{response.Body, release}
	if response.StatusCode == http.StatusOK {
		c.worked()
		return response, nil
	}
	response.Body.Close()
	if response.StatusCode == http.StatusNotFound {
		c.worked()
		return nil, ErrUnknown
	}
	f := &Failure{Connector: c.connector.Name, Status: response.StatusCode, Reason: fmt.Sprintf("it answers %d", response.StatusCode)}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil && seconds > 0 {
		f.RetryAfter = time.Duration(min(seconds, int(maxAsked.Seconds()))) * time.Second
	}
	c.failed(f)
	return nil, f
}

// slot is a body that gives up its place when it is closed.
type slot struct {
	io.ReadCloser
	release func()
}

func (s *slot) Close() error {
	defer s.release()
	return s.ReadCloser.Close()
}

// digest asks what a tag stands for; "" where upstream does not say.
func (c *client) digest(ctx context.Context, repository, tag, via string) (string, error) {
	name := c.name(repository)
	response, err := c.ask(ctx, http.MethodHead, name+"/manifests/"+tag, name, http.Header{"Accept": {accepted}, Via: {via}})
	if err != nil {
		return "", err
	}
	response.Body.Close()
	digest := response.Header.Get("Docker-Content-Digest")
	if _, _, err := blob.ParseDigest(digest); err != nil {
		return "", nil //nolint:nilerr // the manifest itself will say
	}
	return digest, nil
}

// manifest fetches a manifest; one that is asked for by digest is that one.
func (c *client) manifest(ctx context.Context, repository, reference, via string) (*registry.Manifest, error) {
	name := c.name(repository)
	response, err := c.ask(ctx, http.MethodGet, name+"/manifests/"+reference, name, http.Header{"Accept": {accepted}, Via: {via}})
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, registry.MaxManifest+1))
	fail := func(reason string, err error) error {
		return &Failure{Connector: c.connector.Name, Reason: "manifest " + reference + " of " + repository + ": " + reason, Status: http.StatusBadGateway, Err: err}
	}
	if err != nil {
		return nil, fail(plain(err), err)
	}
	contentType, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";")
	m, err := registry.Parse(contentType, content)
	if err != nil {
		return nil, fail("what it gives is no manifest", err)
	}
	algorithm, byDigest := blob.SHA256, strings.Contains(reference, ":")
	if byDigest {
		if algorithm, _, err = blob.ParseDigest(reference); err != nil {
			return nil, err
		}
	}
	if m.Digest = algorithm.Of(content); byDigest && m.Digest != reference {
		return nil, fail("what it gives has the digest "+m.Digest, &blob.DigestError{Stated: reference, Actual: m.Digest})
	}
	m.PushedBy = "connector " + c.connector.Name
	return m, nil
}

// blob opens a blob of a size.
func (c *client) blob(ctx context.Context, repository, digest string, size int64, via string) (io.ReadCloser, error) {
	name := c.name(repository)
	response, err := c.ask(ctx, http.MethodGet, name+"/blobs/"+digest, name, http.Header{Via: {via}})
	if err != nil {
		return nil, err
	}
	if response.ContentLength >= 0 && response.ContentLength != size {
		response.Body.Close()
		return nil, &Failure{Connector: c.connector.Name, Status: http.StatusBadGateway,
			Reason: fmt.Sprintf("blob %s of %s: it gives %d bytes, the manifest says %d", digest, repository, response.ContentLength, size)}
	}
	return response.Body, nil
}
