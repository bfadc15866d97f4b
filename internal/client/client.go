// Package client asks a server over its REST interface, as far as `pratique
// gate` and `pratique promote` need it: whether an image may be pulled, and why
// not, and to have it copied.
//
// It must not know a database: what it says is what the server said.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/pratique/pratique/internal/api"
)

// Options are the choices of a Client.
type Options struct {
	// Key is an API key, sent as a Bearer token; "" for none.
	Key string
	// Insecure does not check the server's certificate.
	Insecure  bool
	UserAgent string
}

// Client asks one server.
type Client struct {
	base string
	http *http.Client
	opts Options
}

// Error is an answer that is none.
type Error struct {
	Status int
	Text   string
}

func (e *Error) Error() string { return e.Text }

// Bounds of an answer: its time, and its size in bytes.
const (
	timeout = time.Minute
	maxBody = 64 << 20
)

// New returns a client of the server at an http or https URL.
func New(server string, opts Options) (*Client, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("server %q: want http://HOST or https://HOST", server)
	}
	if strings.ContainsAny(opts.Key, "\r\n") {
		return nil, errors.New("the API key has more than one line")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // that is its type
	if opts.Insecure {
		transport.TLSClientConfig = &tls.Config{InsecureSkipVerify: true} // the user asks for it
	}
	return &Client{base: strings.TrimSuffix(server, "/") + api.Prefix, opts: opts, http: &http.Client{
		Transport: transport, Timeout: timeout,
		// A key must not go where someone else says.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// get reads an answer.
func (c *Client) get(ctx context.Context, path string, query url.Values, into any) error {
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	return c.do(ctx, http.MethodGet, path, nil, into)
}

// post sends a document, and reads the answer.
func (c *Client) post(ctx context.Context, path string, body, into any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.do(ctx, http.MethodPost, path, bytes.NewReader(text), into)
}

func (c *Client) do(ctx context.Context, method, path string, sent io.Reader, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, sent)
	if err != nil {
		return err
	}
	if sent != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", "application/json")
	if c.opts.UserAgent != "" {
		req.Header.Set("User-Agent", c.opts.UserAgent)
	}
	if c.opts.Key != "" {
		req.Header.Set("Authorization", "Bearer "+c.opts.Key)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if err != nil {
		return fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	if len(body) > maxBody {
		return fmt.Errorf("%s: the answer has more than %d bytes", req.URL.Host, maxBody)
	}
	if res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated {
		return &Error{res.StatusCode, problem(req.URL.Host, res, body)}
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: this is no answer of Pratique's: %w", req.URL.Host, err)
	}
	return nil
}

// problem words an answer that is an error.
func problem(host string, res *http.Response, body []byte) string {
	var p struct {
		Detail string `json:"detail"`
		Errors []struct {
			Message string `json:"message"`
		} `json:"errors"`
	}
	text := host + ": " + strconv.Itoa(res.StatusCode) + " " + http.StatusText(res.StatusCode)
	mediaType, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type"))
	if mediaType == "application/problem+json" && json.Unmarshal(body, &p) == nil && p.Detail != "" {
		text = host + ": " + p.Detail
		for _, e := range p.Errors {
			text += ": " + e.Message
		}
	}
	return text
}

// list reads all pages of a list.
func list[T any](ctx context.Context, c *Client, path string, query url.Values) ([]T, error) {
	const maxPages = 1000
	all := []T{}
	if query == nil {
		query = url.Values{}
	}
	for range maxPages {
		var page api.List[T]
		if err := c.get(ctx, path, query, &page); err != nil {
			return nil, err
		}
		all = append(all, page.Items...)
		if page.NextPageToken == "" {
			return all, nil
		}
		query.Set("page_token", page.NextPageToken)
	}
	return nil, fmt.Errorf("%s: the list does not end", path)
}
