package feed

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// FetcherOptions are the choices of a Fetcher; the zero value is usable.
type FetcherOptions struct {
	// Mirror stands in for all upstreams: https://HOST/PATH is read from
	// URL/HOST/PATH (http:// or https://) or from the file DIR/HOST/PATH.
	Mirror string
	// Redirects replace the start of an upstream's URL, the longest that fits; no
	// mirror is asked then.
	Redirects map[string]string
	// TempDir takes documents while they are read; os.TempDir() where "".
	TempDir string
	// DialTimeout bounds connecting and the TLS handshake, each; 15 s where zero.
	DialTimeout time.Duration
	// HeaderTimeout bounds the wait for the response header; 60 s where zero.
	HeaderTimeout time.Duration
	// Timeout bounds one try with its body; 10 min where zero.
	Timeout time.Duration
	// MaxSize bounds a document, not compressed, in bytes; 1 GiB where zero.
	MaxSize int64
	// Tries is how often a document is asked for while it may help; 4 where zero.
	Tries int
	// Backoff is the wait before the second try, doubled for each further
	// one; 1 s where zero.
	Backoff time.Duration
	// MaxWait is the longest Retry-After that is waited for; 5 min where zero.
	MaxWait time.Duration
	// UserAgent names this program to publishers; "pratique" where "".
	UserAgent string
	// TLS holds certificate authorities and the like; nil is the system's.
	TLS *tls.Config
}

func (o FetcherOptions) withDefaults() FetcherOptions {
	setDefault(&o.DialTimeout, 15*time.Second)
	setDefault(&o.HeaderTimeout, 60*time.Second)
	setDefault(&o.Timeout, 10*time.Minute)
	setDefault(&o.MaxSize, 1<<30)
	setDefault(&o.Tries, 4)
	setDefault(&o.Backoff, time.Second)
	setDefault(&o.MaxWait, 5*time.Minute)
	setDefault(&o.UserAgent, "pratique")
	return o
}

func setDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}

// Fetcher fetches documents over HTTP, or from a mirror. It is safe for use by
// several goroutines.
type Fetcher struct {
	opts   FetcherOptions
	client *http.Client
	// base is the mirror's URL, root its folder; nil where it is the other, or none.
	base *url.URL
	root *os.Root
}

// NewFetcher returns a fetcher. The error says that the mirror is not usable.
func NewFetcher(opts FetcherOptions) (*Fetcher, error) {
	f := &Fetcher{opts: opts.withDefaults()}
	if err := f.openMirror(); err != nil {
		return nil, err
	}
	f.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: f.opts.DialTimeout}).DialContext,
			TLSHandshakeTimeout:    f.opts.DialTimeout,
			TLSClientConfig:        f.opts.TLS,
			ResponseHeaderTimeout:  f.opts.HeaderTimeout,
			MaxResponseHeaderBytes: 1 << 20,
			IdleConnTimeout:        time.Minute,
			ForceAttemptHTTP2:      true,
			// Bodies are decompressed here, so that their length is checked.
			DisableCompression: true,
		},
		CheckRedirect: checkRedirect,
	}
	return f, nil
}

// Close closes idle connections and the mirror.
func (f *Fetcher) Close() error {
	f.client.CloseIdleConnections()
	if f.root != nil {
		return f.root.Close()
	}
	return nil
}

var errRedirect = errors.New("redirect refused")

func checkRedirect(req *http.Request, via []*http.Request) error {
	const most = 5
	if len(via) > most {
		return fmt.Errorf("%w: more than %d", errRedirect, most)
	}
	if via[len(via)-1].URL.Scheme == "https" && req.URL.Scheme != "https" {
		return fmt.Errorf("%w: from https to %s", errRedirect, req.URL.Redacted())
	}
	if req.URL.Host != via[0].URL.Host {
		for name := range req.Header {
			if !slices.Contains(forEverybody, name) {
				req.Header.Del(name)
			}
		}
	}
	return nil
}

// forEverybody are the fields of a request's header that are no secret.
var forEverybody = []string{"Accept", "Accept-Encoding", "If-Modified-Since", "If-None-Match", "Referer", "User-Agent"}

// Validators make a request conditional (RFC 9110, section 13).
type Validators struct {
	ETag, LastModified string
}

// Fetch fetches the document at an upstream URL. The caller closes it.
// ErrNotModified says that upstream still has what the validators stand for,
// ErrNotPublished that it has no such document, ErrUnreachable that it gave no
// useful answer. Errors name the URL that was asked.
func (f *Fetcher) Fetch(ctx context.Context, upstream string, known Validators) (*Document, error) {
	return f.FetchWith(ctx, upstream, known, nil)
}

// FetchWith is Fetch with more in the request's header, such as a key, which is
// for the publisher only: a mirror does not get it, nor another host that it
// redirects to.
func (f *Fetcher) FetchWith(ctx context.Context, upstream string, known Validators, header map[string]string) (*Document, error) {
	location, err := f.Locate(upstream)
	if err != nil {
		return nil, err
	}
	if f.root != nil && strings.HasPrefix(location, "file:") {
		return f.fetchFile(ctx, upstream, location)
	}
	pause := f.opts.Backoff
	for try := 1; ; try++ {
		doc, err := f.try(ctx, location, known, header)
		var again *retryError
		if !errors.As(err, &again) {
			return doc, err
		}
		err = fmt.Errorf("%w: %w", ErrUnreachable, err)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("fetch %s: %w", redact(location), context.Cause(ctx))
		}
		wait := max(again.after, pause/2+rand.N(pause/2+1))
		switch {
		case try == f.opts.Tries:
			return nil, fmt.Errorf("%w (%d tries)", err, try)
		case wait > f.opts.MaxWait:
			return nil, fmt.Errorf("%w; it asks to wait for %s", err, wait)
		}
		if end, limited := ctx.Deadline(); limited && time.Until(end) < wait {
			return nil, fmt.Errorf("%w; the time left is less than the wait of %s", err, wait)
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, fmt.Errorf("fetch %s: %w", redact(location), err)
		}
		pause *= 2
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// retryError is one that another try may mend, no sooner than after.
type retryError struct {
	err   error
	after time.Duration
}

func (e *retryError) Error() string { return e.err.Error() }
func (e *retryError) Unwrap() error { return e.err }

func (f *Fetcher) try(ctx context.Context, location string, known Validators, header map[string]string) (*Document, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.opts.Timeout, fmt.Errorf("not done after %s", f.opts.Timeout))
	defer cancel()
	doc, err := f.get(ctx, location, known, header)
	if err == nil {
		return doc, nil
	}
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
		err = &transportError{cause}
	}
	err = fmt.Errorf("fetch %s: %w", redact(location), err)
	var transport *transportError
	var again *retryError
	if errors.As(err, &transport) && !errors.Is(err, errRedirect) && !errors.As(err, &again) {
		err = &retryError{err: err}
	} else if errors.As(err, &again) {
		err = &retryError{err: err, after: again.after}
	}
	return nil, err
}

// transportError is one of the connection, not of what was said over it.
type transportError struct{ error }

func (e *transportError) Unwrap() error { return e.error }

func (f *Fetcher) get(ctx context.Context, location string, known Validators, header map[string]string) (*Document, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, location, nil)
	if err != nil {
		return nil, err
	}
	if f.base == nil {
		for name, value := range header {
			req.Header.Set(name, value)
		}
	}
	req.Header.Set("User-Agent", f.opts.UserAgent)
	req.Header.Set("Accept", "application/json, */*;q=0.5")
	req.Header.Set("Accept-Encoding", "gzip")
	if known.ETag != "" {
		req.Header.Set("If-None-Match", known.ETag)
	}
	if known.LastModified != "" {
		req.Header.Set("If-Modified-Since", known.LastModified)
	}
	res, err := f.client.Do(req)
	if err != nil {
		var with *url.Error
		if errors.As(err, &with) {
			err = with.Err // the URL is named by the caller
		}
		return nil, &transportError{err}
	}
	defer res.Body.Close()
	switch code := res.StatusCode; {
	case code == http.StatusOK:
		return f.receive(res, location)
	case code == http.StatusNotModified && known != Validators{}:
		return nil, ErrNotModified
	case code == http.StatusNotFound, code == http.StatusGone:
		return nil, ErrNotPublished
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return nil, fmt.Errorf("%w: the answer is %s", ErrRefused, res.Status)
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout:
		return nil, &retryError{err: fmt.Errorf("the answer is %s", res.Status), after: retryAfter(res.Header.Get("Retry-After"))}
	}
	return nil, fmt.Errorf("the answer is %s", res.Status)
}

// retryAfter reads seconds or a date (RFC 9110, section 10.2.3).
func retryAfter(value string) time.Duration {
	if seconds, err := strconv.ParseInt(value, 10, 32); err == nil {
		return max(0, time.Duration(seconds)*time.Second)
	}
	if date, err := http.ParseTime(value); err == nil {
		return max(0, time.Until(date))
	}
	return 0
}

// receive spools the body of a good answer.
func (f *Fetcher) receive(res *http.Response, location string) (*Document, error) {
	if res.ContentLength > f.opts.MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, the limit is %d", errTooLarge, res.ContentLength, f.opts.MaxSize)
	}
	body := &counter{r: res.Body}
	content := io.Reader(body)
	switch encoding := res.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip", "x-gzip":
		unzip, err := gzip.NewReader(body)
		if err != nil {
			return nil, broken(body, fmt.Errorf("gzip: %w", err))
		}
		content = unzip
	default:
		return nil, fmt.Errorf("content encoding %q was not asked for", encoding)
	}
	doc, err := f.spool(content, redact(location))
	if err != nil {
		return nil, broken(body, err)
	}
	if res.ContentLength >= 0 && body.n != res.ContentLength {
		return nil, errors.Join(fmt.Errorf("%d of %d bytes came", body.n, res.ContentLength), doc.Close())
	}
	doc.Validators = Validators{ETag: res.Header.Get("ETag"), LastModified: res.Header.Get("Last-Modified")}
	return doc, nil
}

// broken tells a connection that broke from content that is bad.
func broken(body *counter, err error) error {
	if body.err != nil {
		return &transportError{fmt.Errorf("after %d bytes: %w", body.n, body.err)}
	}
	return err
}

// counter counts, and keeps the error of, what it reads.
type counter struct {
	r   io.Reader
	n   int64
	err error
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

func redact(location string) string {
	if u, err := url.Parse(location); err == nil {
		return u.Redacted()
	}
	return location
}
