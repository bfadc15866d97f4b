// Package egress is the one HTTP client for URLs that others give us: layer
// URLs of the Clair API, foreign layers, webhooks. Such a URL may be an attempt
// to make this server speak to something that its author cannot reach (server
// side request forgery), so every connection is checked at the address that it
// is really made to, after name resolution, on every redirect.
//
// It must not know what is downloaded. URLs that the operator wrote into the
// configuration need none of this. Proxies of the environment are not used: a
// proxy would connect in our place, unchecked.
package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// Options are the choices that New leaves to its caller. The zero value allows
// public addresses and LocalNetworks, which suits an installation where the
// registry is on the same host or in the same private network.
type Options struct {
	// Networks lists the networks outside the public internet that may be
	// called. Nil is LocalNetworks; an empty list is none. Never called,
	// whatever is listed: unspecified, link-local, multicast and reserved
	// addresses, and the metadata services of clouds.
	Networks []netip.Prefix
	// Hosts lists host names or addresses, without port, that may be called
	// wherever they are, but for the addresses that are never called.
	Hosts []string

	// DialTimeout bounds resolving a name and connecting; 10 s where zero.
	DialTimeout time.Duration
	// TLSTimeout bounds the TLS handshake; 10 s where zero.
	TLSTimeout time.Duration
	// HeaderTimeout bounds the wait for the response header; 30 s where zero.
	HeaderTimeout time.Duration
	// IdleTimeout is how long MinProgress bytes of a body may take to come;
	// 30 s where zero. Time that our reader takes does not count.
	IdleTimeout time.Duration
	// MinProgress is in bytes; 4096 where zero. With IdleTimeout it ends
	// bodies that come drop by drop.
	MinProgress int64
	// TotalTimeout bounds a request with its redirects and its body; 1 h where zero.
	TotalTimeout time.Duration
	// MaxSize bounds a body in bytes; 16 GiB where zero.
	MaxSize int64
	// MaxRedirects is 5 where zero; negative is none.
	MaxRedirects int

	// TLS holds certificate authorities and the like; nil is the system's.
	TLS *tls.Config
	// Resolver resolves names; nil is net.DefaultResolver.
	Resolver *net.Resolver
}

func (o Options) withDefaults() Options {
	setDefault(&o.DialTimeout, 10*time.Second)
	setDefault(&o.TLSTimeout, 10*time.Second)
	setDefault(&o.HeaderTimeout, 30*time.Second)
	setDefault(&o.IdleTimeout, 30*time.Second)
	setDefault(&o.TotalTimeout, time.Hour)
	setDefault(&o.MinProgress, 4096)
	setDefault(&o.MaxSize, 16<<30)
	setDefault(&o.MaxRedirects, 5)
	return o
}

func setDefault[T time.Duration | int | int64](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}

// Client fetches foreign URLs. It is safe for use by several goroutines.
type Client struct {
	opts      Options
	policy    policy
	transport *http.Transport
}

// New makes a client.
func New(opts Options) *Client {
	opts = opts.withDefaults()
	c := &Client{opts: opts, policy: newPolicy(opts.Networks, opts.Hosts)}
	c.transport = &http.Transport{
		DialContext:            c.dial,
		TLSClientConfig:        opts.TLS.Clone(),
		TLSHandshakeTimeout:    opts.TLSTimeout,
		ResponseHeaderTimeout:  opts.HeaderTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    4,
		MaxIdleConns:           32,
		IdleConnTimeout:        30 * time.Second,
		DisableCompression:     true, // the bytes are wanted as they are stored
	}
	return c
}

// Close closes idle connections. Bodies that are being read are not touched.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// dial connects where the policy allows the address that host resolved to. The
// check is the last thing before connect(2), so a name that resolves
// differently the second time is of no use.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := net.Dialer{
		Timeout:  c.opts.DialTimeout,
		Resolver: c.opts.Resolver,
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			resolved, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("%w: %q is no IP address", ErrForbiddenAddress, address)
			}
			return c.policy.check(host, resolved.Addr())
		},
	}
	return d.DialContext(ctx, network, address)
}

// Response is a successful answer.
type Response struct {
	// Header is the answer's.
	Header http.Header
	// Size is the length of the body in bytes, -1 where it was not announced.
	Size int64
	// Body is limited in size and time; its errors are of type *Error. The
	// caller closes it.
	Body io.ReadCloser
}

// Get fetches rawURL with the given request header, following redirects. Header
// names of a connection (Connection, Host, Content-Length, Transfer-Encoding …)
// are ignored, but for "Connection: close", which is honoured. Nothing of
// header is sent to another origin than rawURL's.
//
// An answer other than 2xx is an error. Errors are of type *Error and match one
// of the sentinels of this package, or ctx's error where ctx ended.
func (c *Client) Get(ctx context.Context, rawURL string, header http.Header) (*Response, error) {
	target, err := c.parse(rawURL)
	if err != nil {
		return nil, err
	}
	sent, closing, err := cleanHeader(header)
	if err != nil {
		return nil, &Error{URL: display(target), Err: err}
	}
	started := false
	run, cancel := context.WithCancelCause(ctx)
	total := time.AfterFunc(c.opts.TotalTimeout, func() {
		cancel(fmt.Errorf("%w: it took longer than %v", ErrTimeout, c.opts.TotalTimeout))
	})
	defer func() {
		if !started {
			total.Stop()
			cancel(nil)
		}
	}()
	for hops := 0; ; hops++ {
		response, err := c.once(run, target, sent, closing)
		if err != nil {
			return nil, &Error{URL: display(target), Err: reason(run, err)}
		}
		if next := response.Header.Get("Location"); isRedirect(response.StatusCode) && next != "" {
			discard(response)
			if hops >= c.opts.MaxRedirects {
				return nil, &Error{URL: display(target), Err: fmt.Errorf("%w: more than %d", ErrRedirect, max(c.opts.MaxRedirects, 0))}
			}
			from := target
			if target, err = c.follow(from, next); err != nil {
				return nil, err
			}
			if !sameOrigin(from, target) {
				sent = baseHeader()
			}
			continue
		}
		if response.StatusCode < 200 || response.StatusCode > 299 {
			discard(response)
			return nil, &Error{URL: display(target), Status: response.StatusCode, Err: fmt.Errorf("%w %d", ErrStatus, response.StatusCode)}
		}
		if response.ContentLength > c.opts.MaxSize {
			response.Body.Close()
			return nil, &Error{URL: display(target), Err: fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, response.ContentLength, c.opts.MaxSize)}
		}
		started = true
		return &Response{
			Header: response.Header, Size: response.ContentLength,
			Body: newBody(run, cancel, total, response.Body, display(target), c.opts),
		}, nil
	}
}

func (c *Client) once(ctx context.Context, target *url.URL, header http.Header, closing bool) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be requested", ErrForbiddenURL)
	}
	request.Header = header.Clone()
	request.Close = closing
	return c.transport.RoundTrip(request)
}

// discard reads a little of an unwanted body, so that its connection can be used again.
func discard(response *http.Response) {
	if response.ContentLength >= 0 && response.ContentLength <= 4096 {
		_, _ = io.CopyN(io.Discard, response.Body, response.ContentLength)
	}
	response.Body.Close()
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// follow is the target of a redirect.
func (c *Client) follow(from *url.URL, location string) (*url.URL, error) {
	refuse := func(why string) error {
		return &Error{URL: display(from), Err: fmt.Errorf("%w: %s", ErrRedirect, why)}
	}
	if len(location) > maxURL {
		return nil, refuse("its target is too long")
	}
	next, err := from.Parse(location)
	if err != nil {
		return nil, refuse("its target is no URL")
	}
	if err := c.checkURL(next); err != nil {
		return nil, &Error{URL: display(from), Err: fmt.Errorf("redirect to %s: %w", display(next), err)}
	}
	next.Fragment, next.RawFragment = "", ""
	return next, nil
}

// reason replaces what net/http says by what may be shown: the raw error of a
// malformed answer quotes what an internal service said.
func reason(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	for _, known := range []error{ErrForbiddenAddress, ErrForbiddenURL, ErrForbiddenHeader} {
		if errors.Is(err, known) {
			return bare(err, known)
		}
	}
	var network net.Error
	if errors.As(err, &network) && network.Timeout() {
		return fmt.Errorf("%w: no connection or no answer in time", ErrTimeout)
	}
	var (
		dns         *net.DNSError
		operation   *net.OpError
		certificate *tls.CertificateVerificationError
		record      tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &dns):
		return fmt.Errorf("%w: the name %q cannot be resolved", ErrUnreachable, dns.Name)
	case errors.As(err, &certificate):
		return fmt.Errorf("%w: %w", ErrUnreachable, certificate.Err)
	case errors.As(err, &record):
		return fmt.Errorf("%w: the server does not speak TLS", ErrUnreachable)
	case errors.As(err, &operation):
		return fmt.Errorf("%w: %s: %w", ErrUnreachable, operation.Op, operation.Err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the connection was closed too early", ErrUnreachable)
	}
	return fmt.Errorf("%w: the answer is not valid HTTP", ErrUnreachable)
}

// bare strips what net wrapped around an error of ours.
func bare(err, known error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || inner == known || !errors.Is(inner, known) {
			return err
		}
		err = inner
	}
}
