// Package remote speaks HTTP with external vulnerability sources, and says what
// is wrong in words for the administrator who configured them.
//
// It must not know what the services answer.
package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/pratique/pratique/internal/egress"
	"github.com/pratique/pratique/internal/source"
)

// maxAnswer bounds an answer in bytes: the report of an image with tens of
// thousands of findings.
const maxAnswer = 64 << 20

// Client makes the requests of one source.
type Client struct {
	client        *egress.Client
	base          string
	host          string
	authorization string
	timeout       time.Duration
	// Pause is the connection's.
	Pause func(ctx context.Context, d time.Duration) error
}

// New returns a client. It returns a *source.FieldError for a connection that
// can never work.
func New(c source.Connection) (*Client, error) {
	config := &tls.Config{InsecureSkipVerify: c.SkipVerify, MinVersion: tls.VersionTLS12} //nolint:gosec // the administrator's choice
	if c.CA != "" {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool()
		}
		if !pool.AppendCertsFromPEM([]byte(c.CA)) {
			return nil, &source.FieldError{Field: "ca_certificates", Reason: "holds no certificate in PEM"}
		}
		config.RootCAs = pool
	}
	if c.Timeout <= 0 {
		c.Timeout = 10 * time.Minute
	}
	if c.Pause == nil {
		c.Pause = source.Wait
	}
	client := egress.New(egress.Options{
		DialTimeout: min(c.Timeout, 10*time.Second), TLSTimeout: min(c.Timeout, 10*time.Second),
		HeaderTimeout: c.Timeout, TotalTimeout: c.Timeout, MaxSize: maxAnswer, TLS: config,
	})
	if err := client.Check(c.URL); err != nil {
		return nil, &source.FieldError{Field: "url", Reason: plain(err)}
	}
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, &source.FieldError{Field: "url", Reason: "is malformed"}
	}
	return &Client{client: client, base: strings.TrimRight(c.URL, "/"), host: u.Host, authorization: c.Authorization, timeout: c.Timeout, Pause: c.Pause}, nil
}

// plain is the reason in an error of package egress.
func plain(err error) string {
	var e *egress.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	return err.Error()
}

// Close closes idle connections.
func (c *Client) Close() { c.client.Close() }

// Host is the service's, for messages.
func (c *Client) Host() string { return c.host }

// Answer is an answer that was read.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Decode reads JSON into v.
func (a *Answer) Decode(v any) error {
	// Some servers begin with a byte-order mark.
	if err := json.Unmarshal(bytes.TrimPrefix(a.Body, []byte("\ufeff")), v); err != nil {
		return source.Malformed("it is not the JSON that was expected (%s)", shape(err))
	}
	return nil
}

// shape words an error of encoding/json without what it quotes.
func shape(err error) string {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		return "unexpected " + kind.Value + " at " + kind.Field
	}
	return "it cannot be parsed"
}

// Call makes a request, with a body as JSON where it is not nil, and reads the
// answer, whatever its status; but for 401 and 403, which are failures.
func (c *Client) Call(ctx context.Context, method, path string, header http.Header, body any) (*Answer, error) {
	sent := http.Header{"Accept": {"application/json"}}
	if c.authorization != "" {
		sent.Set("Authorization", c.authorization)
	}
	var content []byte
	if body != nil {
		var err error
		if content, err = json.Marshal(body); err != nil {
			return nil, source.Fail("internal", err, "the request cannot be written")
		}
		sent.Set("Content-Type", "application/json")
	}
	for name, values := range header {
		sent[http.CanonicalHeaderKey(name)] = values
	}
	answer, err := c.client.Send(ctx, egress.Request{Method: method, URL: c.base + path, Header: sent, Body: content})
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	switch answer.Status {
	case http.StatusUnauthorized, http.StatusForbidden:
		hint := "the API authorization header is not one that it accepts"
		if c.authorization == "" {
			hint = "it wants an API authorization header, and none is set"
		}
		return nil, source.Fail(source.Unauthorized, nil, "%s answers %d: %s", c.host, answer.Status, hint)
	case http.StatusBadRequest:
		// So say Go's servers and nginx.
		if bytes.Contains(text, []byte("HTTP request to an HTTPS server")) || bytes.Contains(text, []byte("plain HTTP request was sent to HTTPS port")) {
			return nil, source.Fail(source.BadTLS, nil, "%s speaks TLS: write https:// in the URL", c.host)
		}
	}
	return &Answer{answer.Status, answer.Header, text}, nil
}

// Unexpected is the failure of an answer whose status is none that the interface
// knows. What the service says may be "".
func (c *Client) Unexpected(a *Answer, what, says string) *source.Failure {
	if says = c.Quote(says); says != "" {
		says = ": " + says
	}
	return source.Fail(source.BadStatus, nil, "%s answers %d to %s%s", c.host, a.Status, what, says)
}

// Quote makes what a service says fit to be shown: it may repeat what it was
// told, credentials included.
func (c *Client) Quote(text string) string {
	const most = 300
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, ""))
	if _, secret, ok := strings.Cut(c.authorization, " "); ok && len(secret) > 3 {
		text = strings.ReplaceAll(text, secret, "…")
	} else if c.authorization != "" {
		text = strings.ReplaceAll(text, c.authorization, "…")
	}
	words := strings.Fields(text)
	for i, word := range words {
		// Pull tokens are signed JSON, which begins with eyJ in base64.
		if at := strings.Index(word, "eyJ"); at >= 0 {
			words[i] = word[:at] + "…"
		}
	}
	if text = strings.Join(words, " "); len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}

// failure words why there was no answer.
func (c *Client) failure(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return source.Fail(source.TooSlow, context.Cause(ctx), "%s did not answer in time", c.host)
	}
	var (
		dns         *net.DNSError
		certificate x509.UnknownAuthorityError
		name        x509.HostnameError
		invalid     x509.CertificateInvalidError
	)
	reason := plain(err)
	switch {
	case errors.Is(err, egress.ErrForbiddenAddress), errors.Is(err, egress.ErrForbiddenURL):
		f := source.Refused(source.Forbidden, "%s must not be called: %s", c.host, reason)
		return f
	case errors.Is(err, egress.ErrTooLarge):
		return source.Malformed("%s sends more than %d MiB", c.host, maxAnswer>>20)
	case errors.Is(err, egress.ErrTimeout):
		return source.Fail(source.TooSlow, err, "%s did not answer within %v", c.host, c.timeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		return source.Fail(source.Unreachable, err, "nothing listens at %s (connection refused)", c.host)
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return source.Fail(source.Unreachable, err, "%s cannot be reached: there is no way to it", c.host)
	case errors.As(err, &dns), strings.Contains(reason, "cannot be resolved"):
		return source.Fail(source.Unreachable, err, "the name in %s cannot be resolved", c.host)
	case errors.As(err, &certificate):
		return source.Fail(source.BadTLS, err, "the certificate of %s is signed by an unknown authority: give its CA, or skip the check", c.host)
	case errors.As(err, &name):
		return source.Fail(source.BadTLS, err, "the certificate of %s is for another name", c.host)
	case errors.As(err, &invalid):
		return source.Fail(source.BadTLS, err, "the certificate of %s is not valid: %s", c.host, invalid.Error())
	case strings.Contains(reason, "does not speak TLS"):
		return source.Fail(source.BadTLS, err, "%s does not speak TLS: is it http://?", c.host)
	}
	return source.Fail(source.Unreachable, err, "%s: %s", c.host, reason)
}
