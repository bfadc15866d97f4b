package egress

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// HTTP is the client for libraries that speak a protocol of their own: each
// request and each redirect is checked as those of Get are, bodies are limited
// as theirs. What leaves the first origin takes no credentials along.
func (c *Client) HTTP() *http.Client {
	return &http.Client{
		Transport: checked{c},
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if len(via) > c.opts.MaxRedirects {
				return fmt.Errorf("%w: more than %d", ErrRedirect, max(c.opts.MaxRedirects, 0))
			}
			if !sameOrigin(via[0].URL, next.URL) {
				next.Header.Del("Authorization")
			}
			return nil
		},
	}
}

// checked makes requests within the bounds of a client.
type checked struct{ *Client }

func (c checked) RoundTrip(request *http.Request) (*http.Response, error) {
	fail := func(err error) error { return &Error{URL: display(request.URL), Method: request.Method, Err: err} }
	if err := c.checkURL(request.URL); err != nil {
		return nil, fail(err)
	}
	run, cancel := context.WithCancelCause(request.Context())
	total := time.AfterFunc(c.opts.TotalTimeout, func() {
		cancel(fmt.Errorf("%w: it took longer than %v", ErrTimeout, c.opts.TotalTimeout))
	})
	response, err := c.transport.RoundTrip(request.WithContext(run))
	if err == nil && response.ContentLength > c.opts.MaxSize && request.Method != http.MethodHead {
		response.Body.Close()
		err = fmt.Errorf("%w: %d bytes, the limit is %d", ErrTooLarge, response.ContentLength, c.opts.MaxSize)
		total.Stop()
		cancel(nil)
		return nil, fail(err)
	}
	if err != nil {
		err = reason(run, err)
		total.Stop()
		cancel(nil)
		return nil, fail(err)
	}
	response.Body = newBody(run, cancel, total, response.Body, display(request.URL), c.opts)
	return response, nil
}
